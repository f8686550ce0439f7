"""Pictures of expert caches: hits against slots and over time, each layer, who is there when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from moeopt.buffering.plan import BufferingPlan, evaluate
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.replays import policy_plan
from moeopt.core.arguments import whole
from moeopt.core.arrays import IntArray
from moeopt.core.errors import InstanceError
from moeopt.core.units import memory_unit
from moeopt.report.buffering.numbers import (
    Hits,
    hits_at,
    hits_of,
    missed,
    residents,
    stretches,
    together,
)
from moeopt.report.drawing import draw
from moeopt.report.picture import Axis, Bars, Heat, Line, Mark, Picture, Points, Role

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What the optimum is compared with where nothing else is asked for.
POLICIES = ("lru", "lfu", "fifo", "learned")

#: Stretches of time that are told apart, and steps of a map.
MOST_STRETCHES, MOST_STEPS = 64, 96

#: None looks like the plan or the optimum.
_RIVALS: tuple[Role, ...] = ("second", "quiet", "fourth", "fifth", "sixth")

_WANTED = {"miss_bytes": "bytes", "seconds": "seconds"}


def hits_against_slots(
    problem: BufferingProblem,
    plan: BufferingPlan,
    policies: Sequence[str] = POLICIES,
    *,
    layer: int | None = None,
    ax: Any = None,
) -> Axes:
    """Draw the hit rate of policies and of the optimum against slots, and where the plan stands.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    policies
        Names, as in `moeopt.buffering.POLICIES`. Those for which it would take too long are left
        out, as are those without the history that they need.
    layer
        Which layer's cache; left out, all caches together.
    ax
        Where to draw; left out, on new axes.

    Raises
    ------
    InstanceError
        If there is no such policy or layer, or caches whose bytes differ are drawn together.
    """
    found = hits_of(problem, plan.capacity, policies)
    if layer is not None:
        return draw(layer_hits_picture(problem, plan, found, _layer(problem, layer)), ax)
    picture = all_hits_picture(problem, plan, found)
    if picture is None:
        raise InstanceError(
            "layer", None, "must be given where layers have different bytes", "name a layer"
        )
    return draw(picture, ax)


def hits_over_time(problem: BufferingProblem, plan: BufferingPlan, *, ax: Any = None) -> Axes:
    """Draw the hit rate along the steps, beside that of LRU with the same room.

    Parameters
    ----------
    problem, plan, ax
        As for `hits_against_slots`.
    """
    return draw(over_time_picture(problem, plan), ax)


def cache_slots(problem: BufferingProblem, plan: BufferingPlan, *, ax: Any = None) -> Axes:
    """Draw the room of each layer's cache, beside the experts that it is asked for.

    Parameters
    ----------
    problem, plan, ax
        As for `hits_against_slots`; a pool is one cache.
    """
    return draw(slots_picture(problem, plan), ax)


def misses_per_layer(problem: BufferingProblem, plan: BufferingPlan, *, ax: Any = None) -> Axes:
    """Draw the misses of each layer, beside LRU's and the fewest that are possible.

    Parameters
    ----------
    problem, plan, ax
        As for `hits_against_slots`.
    """
    return draw(misses_picture(problem, plan, hits_of(problem, plan.capacity, ())), ax)


def cache_residents(
    problem: BufferingProblem,
    plan: BufferingPlan,
    layer: int = 0,
    *,
    first_step: int | None = None,
    ax: Any = None,
) -> Axes:
    """Draw which experts of a layer are there when, and where they are missed.

    Parameters
    ----------
    problem, plan, ax
        As for `hits_against_slots`.
    layer
        Which layer.
    first_step
        Where the map begins, which has at most 96 steps; left out, it ends with the stream.

    Raises
    ------
    InstanceError
        If there is no such layer or step.
    """
    first = None
    if first_step is not None:
        first = _one_of("first_step", first_step, problem.num_steps)
    return draw(residents_picture(problem, plan, _layer(problem, layer), first), ax)


def all_hits_picture(
    problem: BufferingProblem, plan: BufferingPlan, found: Sequence[Hits]
) -> Picture | None:
    """Return the hit rate of all caches against slots; ``None`` if their bytes differ.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    found
        What each cache finds, of `hits_of`.
    """
    rooms = plan.capacity
    summed = together(found, rooms, in_slots=problem.cache_bytes is None)
    if summed is None:
        return None
    value = evaluate(problem, plan)
    alike = bool((rooms == rooms[0]).all())
    of = "of each layer" if alike else "of all layers"
    if problem.pooled or problem.layers == 1:
        of = "of the pool" if problem.pooled else "of the layer"
    room = int(rooms[0]) if alike else int(rooms.sum())
    return _hits_picture(problem, summed, room, value.hits, of, "hits-against-slots")


def layer_hits_picture(
    problem: BufferingProblem, plan: BufferingPlan, found: Sequence[Hits], layer: int
) -> Picture:
    """Return the hit rate of one layer's cache against slots.

    Parameters
    ----------
    problem, plan, found
        As for `all_hits_picture`.
    layer
        Which layer, with a cache of its own.
    """
    cache = 0 if problem.pooled else layer
    value = evaluate(problem, plan)
    hits = value.references_by_layer - value.misses_by_layer
    own = value.hits if problem.pooled else int(hits[layer])
    of = "of the pool" if problem.pooled else f"of layer {layer}"
    name = f"hits-against-slots-{layer}"
    return _hits_picture(problem, found[cache], int(plan.capacity[cache]), own, of, name)


def _hits_picture(
    problem: BufferingProblem, found: Hits, room: int, hits: int, of: str, name: str
) -> Picture:
    asked = max(1, found.references)
    size, unit = (1.0, "") if problem.cache_bytes is None else memory_unit(found.rooms.max())
    marks: list[Mark] = [
        Line(name=policy, role=_RIVALS[k % len(_RIVALS)], x=rooms / size, y=100 * rate / asked)
        for k, (policy, (rooms, rate)) in enumerate(found.rivals.items())
    ]
    best = found.best_at(room)
    if found.best.size:
        role: Role = "best" if found.proven else "bound"
        told = "optimum in hindsight" if found.proven else "bound: nothing hits more"
        marks.append(Line(name=told, role=role, x=found.rooms / size, y=100 * found.best / asked))
    mine = 100 * hits / asked
    marks.append(Points(name="plan", role="plan", x=[room / size], y=[mine]))
    others = {policy: hits_at(room, *curve) for policy, curve in found.rivals.items()}
    held = f"{room / size:.6g} {unit}" if unit else "1 slot" if room == 1 else f"{room:,} slots"
    says = [f"With {held} {of} the plan hits {mine:.1f} % of references"]
    for policy, rate in others.items():
        says += [] if rate is None else [f"{policy} {100 * rate / asked:.1f} %"]
    end = "" if best is None else f"; no schedule hits more than {100 * best / asked:.1f} %"
    if problem.objective != "misses":
        end += f" (it minimises {_WANTED[problem.objective]})"
    what = "slots" if problem.cache_bytes is None else "room"
    return Picture(
        name=name,
        title=f"Hits against {what} {of}",
        x=Axis(label=f"{what} {of}", unit=unit, whole=problem.cache_bytes is None, from_zero=True),
        y=Axis(label="hit rate", unit="%", from_zero=True),
        marks=marks,
        says=", ".join(says) + end + ".",
    )


def over_time_picture(problem: BufferingProblem, plan: BufferingPlan) -> Picture:
    """Return the hit rate of each stretch of the steps; NaN where nothing is asked for.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem, with a step at least.
    """
    begins = stretches(problem.num_steps, MOST_STRETCHES)
    edges = np.append(problem.starts[begins * problem.layers], problem.num_references)
    asked = np.diff(edges)
    rates = [
        100 * (1 - _between(missed(problem, each), edges) / np.where(asked, asked, np.nan))
        for each in (plan, _lru(problem, plan))
    ]
    steps = int(begins[1]) if begins.size > 1 else problem.num_steps
    known = [rate[asked > 0] for rate in rates]
    told = [f"{rate.min(initial=100):.1f} to {rate.max(initial=0):.1f} %" for rate in known]
    return Picture(
        name="hits-over-time",
        title="Hits over time",
        x=Axis(label="step", whole=True),
        y=Axis(label=f"hit rate of {_steps(steps)}", unit="%", from_zero=True),
        marks=[
            Line(name="lru", role="rival", x=begins, y=rates[1], step=True),
            Line(name="plan", role="plan", x=begins, y=rates[0], step=True),
        ],
        says=f"Of {_steps(steps)} the plan hits {told[0]} of the references, LRU with the same room"
        f" {told[1]}.",
    )


def _steps(count: int) -> str:
    return "each step" if count == 1 else f"each {count} steps"


def _lru(problem: BufferingProblem, plan: BufferingPlan) -> BufferingPlan:
    """Return what most systems do with the plan's room."""
    return policy_plan(problem, "lru", plan.capacity)


def _between(flags: Any, edges: IntArray) -> IntArray:
    """Return how many flags are set from each edge to the next, ``(edges - 1,)``."""
    return np.diff(np.concatenate(([0], np.cumsum(flags)))[edges])


def slots_picture(problem: BufferingProblem, plan: BufferingPlan) -> Picture:
    """Return the room of each cache, beside the experts that are asked for.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    """
    cells = problem.layers * problem.experts
    asked = np.bincount(problem.item_of(), minlength=cells) > 0
    caches = plan.capacity.size
    size, unit = 1.0, "experts"
    each = np.ones(cells)
    if problem.cache_bytes is not None:
        each = problem.sizes_bytes().ravel()
        size, unit = memory_unit(max(float(each.max()), float(plan.capacity.max())))
    wanted = (asked * each).reshape(caches, -1).sum(axis=1) / size
    x = np.arange(caches)
    room = plan.capacity / size
    low, high = float(room.min()), float(room.max())
    spread = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
    return Picture(
        name="cache-slots",
        title="Room of each cache",
        x=Axis(label="pool" if problem.pooled else "layer", whole=True),
        y=Axis(label="room", unit=unit, from_zero=True),
        marks=[
            Bars(name="asked for", role="quiet", x=x, height=wanted),
            Bars(name="room", role="plan", x=x, height=room),
        ],
        says=f"A cache holds {spread} {unit}, and is asked for {wanted.min():.4g} to"
        f" {wanted.max():.4g}.",
    )


def misses_picture(
    problem: BufferingProblem, plan: BufferingPlan, found: Sequence[Hits]
) -> Picture:
    """Return the misses of each layer, LRU's, and the fewest that are possible.

    Parameters
    ----------
    problem, plan, found
        As for `all_hits_picture`.
    """
    value, lru = (evaluate(problem, each) for each in (plan, _lru(problem, plan)))
    x = np.arange(problem.layers)
    marks: list[Mark] = [
        Bars(name="lru", role="rival", x=x, height=lru.misses_by_layer),
        Bars(name="plan", role="plan", x=x, height=value.misses_by_layer),
    ]
    pairs = zip(found, plan.capacity.tolist(), strict=True)
    best = [(each.references, each.best_at(room)) for each, room in pairs]
    fewest = [asked - hits for asked, hits in best if hits is not None]
    if not problem.pooled and len(fewest) == problem.layers:
        marks.append(Points(name="fewest possible", role="best", x=x, y=fewest))
    saved = 100 * (1 - value.misses / lru.misses) if lru.misses else 0.0
    most = int(np.argmax(value.misses_by_layer))
    return Picture(
        name="misses-per-layer",
        title="Misses of each layer",
        x=Axis(label="layer", whole=True),
        y=Axis(label="misses", unit="references", from_zero=True),
        marks=marks,
        says=f"The plan misses {value.misses:,} of {value.references:,}, {saved:.1f} % fewer than"
        f" LRU's {lru.misses:,} with the same room; layer {most} misses most.",
    )


def residents_picture(
    problem: BufferingProblem, plan: BufferingPlan, layer: int, first_step: int | None = None
) -> Picture:
    """Return which experts of a layer are there after each of some steps, and which were missed.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem, with a step at least.
    layer
        Which layer.
    first_step
        Where the map begins, which has at most 96 steps; left out, it ends with the stream.
    """
    first = max(0, problem.num_steps - MOST_STEPS) if first_step is None else first_step
    steps = np.arange(first, min(problem.num_steps, first + MOST_STEPS))
    there = residents(problem, plan, layer, steps)
    absent = missed(problem, plan)
    step, of = np.divmod(problem.group_of()[absent], problem.layers)
    own = (of == layer) & (step >= first) & (step <= steps[-1])
    at, expert = step[own] - first, problem.active[absent][own]
    always = int(there.all(axis=1).sum())
    return Picture(
        name=f"residents-{layer}",
        title=f"Who is there when, layer {layer}",
        x=Axis(label="step", names=tuple(map(str, steps.tolist()))),
        y=Axis(label="expert", whole=True),
        marks=[
            Heat(name="there after the step", values=there.astype(np.uint8)),
            Points(name="missed", role="second", x=at, y=expert),
        ],
        says=f"Steps {first:,} to {steps[-1]:,}: {always} of {problem.experts} experts are there"
        f" all the time; {at.size:,} references miss theirs.",
    )


def _layer(problem: BufferingProblem, layer: int) -> int:
    return _one_of("layer", layer, problem.layers)


def _one_of(path: str, given: int, count: int) -> int:
    """Return a number that is one of the first so many."""
    number = whole(path, given)
    if not 0 <= number < count:
        rule = f"must be 0 to {count - 1}"
        raise InstanceError(path, given, rule, "name one that the problem has")
    return number
