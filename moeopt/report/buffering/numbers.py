"""What the pictures and the summary of expert caches are made of: misses, curves, residents."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from moeopt.buffering import arrays
from moeopt.buffering.bounds import cache_bound
from moeopt.buffering.exact import is_flow
from moeopt.buffering.flow import arcs_of, flow_curve
from moeopt.buffering.plan import BufferingPlan
from moeopt.buffering.planning import split_slots
from moeopt.buffering.policies import policy_named
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.replays import hints_of, least_room, matching_of, miss_curve, replay
from moeopt.buffering.residents import changes_of, finds_resident
from moeopt.buffering.stream import Stream, streams, with_capacity
from moeopt.core.arrays import BoolArray, FloatArray, IntArray

#: Most rooms at which a policy is replayed, and fewest with which its curve says anything.
_MOST_ROOMS, _FEWEST_ROOMS = 17, 4

#: References of all caches, times rooms, that are replayed: a second or two of each policy.
_REPLAYED, _LEARNED = 10_000_000, 1_000_000

#: The same for Belady's rule, which is fast; arcs times slots of the flows of all caches.
_FORESEEN, _FLOWED = 100_000_000, 40_000_000

#: Rooms at which a bound is looked for where the optimum is no flow.
_BOUNDED = 9


@dataclass(frozen=True)
class Hits:
    """What one cache finds at each room.

    Attributes
    ----------
    references
        How often it is asked.
    rooms, best
        Rooms, slots or bytes, and the most hits that are possible there, ``(rooms,)``; NaN where
        the cache cannot serve. Empty if that would take too long.
    proven
        Whether `best` is reached by a schedule, or only bounds all of them.
    rivals
        Of each policy its rooms and hits; none for one that would take too long.
    """

    references: int
    rooms: IntArray
    best: FloatArray
    proven: bool
    rivals: dict[str, tuple[IntArray, FloatArray]] = field(default_factory=dict)

    def best_at(self, room: int) -> float | None:
        """Return the most hits with this room, ``None`` if they are not known.

        Parameters
        ----------
        room
            Slots or bytes.
        """
        return hits_at(room, self.rooms, self.best)


def hits_at(room: int, rooms: IntArray, hits: FloatArray) -> float | None:
    """Return the hits of a curve with this room, ``None`` if they are not known.

    Parameters
    ----------
    room
        Slots or bytes.
    rooms, hits
        Of a curve, ``(rooms,)``; NaN where the cache cannot serve.
    """
    at = np.flatnonzero(rooms == room)
    return float(hits[at[0]]) if at.size and np.isfinite(hits[at[0]]) else None


def missed(problem: BufferingProblem, plan: BufferingPlan) -> BoolArray:
    """Return which references do not find their expert, as they are stated, ``(references,)``.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    """
    return ~arrays.hits_of(problem, plan)


def hits_of(
    problem: BufferingProblem, rooms: IntArray, policies: Sequence[str]
) -> tuple[Hits, ...]:
    """Return what each cache finds at many rooms, its own among them.

    Parameters
    ----------
    problem
        What is asked for.
    rooms
        Room of each cache, ``(caches,)``.
    policies
        What the optimum is compared with; one without the history that it needs is left out.
    """
    parts = streams(problem)
    # The optimum is that of hits, whatever the plan minimises.
    counted = streams(msgspec.structs.replace(problem, objective="misses", generator=None))
    replayed = {
        policy: _rivals(problem, parts, rooms, policy)
        for policy in policies
        if problem.history is not None or not policy_named(policy).needs_history
    }
    found = []
    for cache, (part, room) in enumerate(zip(counted, rooms.tolist(), strict=True)):
        grid, best, proven = _best(part, room, counted)
        found.append(
            Hits(
                references=part.items.size,
                rooms=grid,
                best=best,
                proven=proven,
                rivals={name: curves[cache] for name, curves in replayed.items() if curves},
            )
        )
    return tuple(found)


def together(found: Sequence[Hits], rooms: IntArray, *, in_slots: bool) -> Hits | None:
    """Return what all caches find together at each room of all of them.

    Caches of one room stay alike at every other. Slots of caches that differ are divided as is
    best for the optimum, and equally for policies, as systems have them; with bytes that differ
    there is no such curve.

    Parameters
    ----------
    found
        Of each cache.
    rooms
        Of each cache in the plan, ``(caches,)``.
    in_slots
        Whether rooms are slots, not bytes.
    """
    alike = bool((rooms == rooms[0]).all())
    if not (alike or in_slots):
        return None
    names = set.intersection(*(set(each.rivals) for each in found))
    rivals = {
        name: _summed([each.rivals[name] for each in found])
        for name in found[0].rivals
        if name in names
    }
    if not alike:
        rivals = {name: (at * len(found), hits) for name, (at, hits) in rivals.items()}
    at, best = _summed([(each.rooms, each.best) for each in found])
    if not alike:
        at, best = _divided(found, int(rooms.sum()))
    return Hits(
        references=sum(each.references for each in found),
        rooms=at,
        best=best,
        proven=all(each.proven for each in found),
        rivals=rivals,
    )


def residents(
    problem: BufferingProblem, plan: BufferingPlan, layer: int, steps: IntArray
) -> BoolArray:
    """Return which experts of a layer are there after its pass in some steps.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    layer
        Which layer.
    steps
        Which steps, ``(steps,)``, rising.

    Returns
    -------
    BoolArray
        ``(experts, steps)``.
    """
    groups = steps * problem.layers + layer
    when = groups if problem.serve == "bypass" else problem.starts[groups + 1] - 1
    items = layer * problem.experts + np.arange(problem.experts)
    there = finds_resident(
        problem,
        changes_of(problem, plan),
        np.tile(items, steps.size),
        np.repeat(when, problem.experts),
    )
    return there.reshape(steps.size, problem.experts).T


def stretches(steps: int, most: int) -> IntArray:
    """Return the first step of each of at most so many stretches, which are equally long.

    Parameters
    ----------
    steps
        How many there are, at least 1.
    most
        Most stretches.
    """
    return np.arange(0, steps, -(-steps // most))


def _summed(curves: Sequence[tuple[IntArray, FloatArray]]) -> tuple[IntArray, FloatArray]:
    """Return the sum of curves where all of them are known."""
    common = functools.reduce(np.intersect1d, [rooms for rooms, _ in curves])
    return common, np.sum([hits[np.isin(rooms, common)] for rooms, hits in curves], axis=0)


def _divided(found: Sequence[Hits], own: int) -> tuple[IntArray, FloatArray]:
    """Return the most hits of so many slots in all caches, divided as is best."""
    curves = [each.references - each.best for each in found]
    if any(each.rooms.size != each.rooms.max(initial=-1) + 1 for each in found):
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    known = [np.where(np.isfinite(curve), curve, np.inf) for curve in curves]
    fewest = sum(int(np.argmax(np.isfinite(curve))) for curve in known)
    most = sum(each.rooms.size - 1 for each in found)
    even = np.round(np.linspace(fewest, most, 2 * _MOST_ROOMS)).astype(np.int64)
    totals = np.unique(np.append(even, own))
    asked = sum(each.references for each in found)
    hits = [asked - split_slots(known, 1.0, float(total)).cost for total in totals.tolist()]
    return totals, np.array(hits)


def _rivals(
    problem: BufferingProblem, parts: Sequence[Stream], own: IntArray, policy: str
) -> list[tuple[IntArray, FloatArray]]:
    """Return a policy's rooms and hits in each cache; none if that would take too long."""
    rule = policy_named(policy)
    work = _REPLAYED if rule.run is None else _LEARNED
    most = min(_MOST_ROOMS, work // max(1, problem.num_references))
    if most < _FEWEST_ROOMS:
        return []
    matching = matching_of(problem) if policy == "activation_matching" else None
    curves = []
    for part, room in zip(parts, own.tolist(), strict=True):
        rooms, hints = _grid(part, room, most), hints_of(problem, part, matching)
        hits = np.full(rooms.size, np.nan)
        for k in np.flatnonzero(rooms >= least_room(part)).tolist():
            hits[k] = replay(part, policy, int(rooms[k]), hints).hits
        curves.append((rooms, hits))
    return curves


def _best(part: Stream, room: int, parts: Sequence[Stream]) -> tuple[IntArray, FloatArray, bool]:
    """Return rooms, the most hits there, and whether a schedule has these."""
    every = _grid(part, room, part.num_items + 1)
    asked = part.items.size
    if not is_flow(part) or np.unique(part.sizes).size > 1:
        rooms = _grid(part, room, _BOUNDED)
        units = _FLOWED // max(1, rooms.size * sum(map(arcs_of, parts)))
        misses = [cache_bound(with_capacity(part, k), units) for k in rooms.tolist()]
        hits = np.where(rooms < least_room(part), np.nan, asked - np.array(misses))
        return rooms, hits, False
    if part.serve == "load":
        most = _FORESEEN // max(1, sum(each.items.size for each in parts))
        rooms = _grid(part, room, min(every.size, max(most, _FEWEST_ROOMS)))
        return rooms, _hits(asked, miss_curve(part, "belady", rooms)), True
    if sum(arcs_of(each) * each.num_items for each in parts) > _FLOWED:
        return np.zeros(0, dtype=np.int64), np.zeros(0), True
    slots = np.minimum(every // int(part.sizes[0]), part.num_items)
    return every, _hits(asked, flow_curve(part)[slots]), True


def _hits(asked: int, misses: FloatArray) -> FloatArray:
    return np.where(np.isfinite(misses), asked - misses, np.nan)


def _grid(part: Stream, room: int, most: int) -> IntArray:
    """Return rooms from none to all, at most so many and the cache's own: slots, or bytes."""
    full = int(part.sizes.sum())
    sizes = part.sizes
    step = int(sizes[0]) if np.unique(sizes).size == 1 else 1
    count = min(most, full // step + 1)
    even = np.round(np.linspace(0, full // step, count)).astype(np.int64) * step
    least = least_room(part)
    return np.unique(np.concatenate((even, [room, min(least, full)])))
