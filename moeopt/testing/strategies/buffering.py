"""Strategies of the buffering wing: problems with every rule it knows, and plans for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from moeopt.buffering.plan import BufferingPlan
from moeopt.buffering.problem import BufferingProblem, Timing
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.testing.strategies._broken_buffering import broken_buffering

#: What a plan may be good at.
BUFFERING_OBJECTIVES = ("misses", "miss_bytes", "seconds")

#: Optional parts of a problem. An example has a few of them; a failing one shrinks to those it
#: needs. Without any there is one layer with slots, whose missing experts are loaded one by one.
#: Those of `_BYPASS` bring ``serve="bypass"`` with them.
BUFFERING_FEATURES = (
    "any_order",
    "batches",
    "budget",
    "bypass",
    "cache_bytes",
    "caps",
    "fill",
    "history",
    "layers",
    "named",
    "period",
    "pins",
    "pool",
    "reals",
    "sequences",
    "sizes",
    "timing",
    "unequal_slots",
    "weights",
)

_BYPASS = frozenset(("bypass", "caps", "fill", "period", "weights"))

_PRICE = st.sampled_from([1.0, 2.0, 0.5, 3.0, 0.0])

Fields = dict[str, Any]


def buffering_problems(
    *,
    max_experts: int = 4,
    max_steps: int = 6,
    objectives: Sequence[str] = BUFFERING_OBJECTIVES,
    features: Sequence[str] = BUFFERING_FEATURES,
    feasible: bool | None = True,
    plain: bool = False,
) -> st.SearchStrategy[BufferingProblem]:
    """Draw buffering problems, small by default.

    Parameters
    ----------
    max_experts, max_steps
        Most experts of a layer, and most steps.
    objectives
        Of `BUFFERING_OBJECTIVES`.
    features
        Optional rules to draw from, of `BUFFERING_FEATURES`.
    feasible
        ``True``: a plan exists, because the room is stated around one. ``False``: none exists.
        ``None``: either.
    plain
        Whether to draw nothing but one layer's references and its slots: short for no `features`.

    Examples
    --------
    >>> from moeopt.testing.strategies import buffering_problems
    >>> strategy = buffering_problems(objectives=("misses",), features=("layers", "budget"))
    """
    chosen = () if plain else tuple(features)
    stated = _stated(max(1, max_experts), max(1, max_steps), tuple(objectives), chosen)
    kept = stated.map(_problem)
    if feasible is True:
        return kept
    contradictory = stated.flatmap(broken_buffering).map(_problem)
    return contradictory if feasible is False else kept | contradictory


@st.composite
def buffering_plans(draw: st.DrawFn, problem: BufferingProblem) -> BufferingPlan:
    """Draw a plan of the right shape and range; it need not keep the problem's rules.

    Parameters
    ----------
    problem
        The problem that the plan is for.
    """
    caches = 1 if problem.pooled else problem.num_layers
    stated = problem.slots if problem.cache_bytes is None else problem.cache_bytes
    if stated is None:
        rooms = draw(
            st.lists(st.integers(0, problem.num_experts), min_size=caches, max_size=caches)
        )
        capacity = np.array(rooms, dtype=np.int64)
    else:
        capacity = np.array(np.broadcast_to(np.asarray(stated), (caches,)), dtype=np.int64)
    times = problem.num_references if problem.serve == "load" else problem.num_groups
    order = None
    if draw(st.booleans()):
        order = np.array(draw(st.permutations(range(problem.num_references))), dtype=np.int64)
    loads, drops = draw(_events(problem, times)), draw(_events(problem, times))
    return BufferingPlan(
        capacity=capacity,
        order=order,
        load_at=loads[0],
        load_item=loads[1],
        drop_at=drops[0],
        drop_item=drops[1],
    )


@st.composite
def _events(draw: st.DrawFn, problem: BufferingProblem, times: int) -> tuple[IntArray, IntArray]:
    """Draw times that rise, and an item for each."""
    items = problem.num_layers * problem.num_experts
    most = 8 if times else 0
    at = sorted(draw(st.lists(st.integers(0, max(0, times - 1)), max_size=most)))
    item = draw(st.lists(st.integers(0, items - 1), min_size=len(at), max_size=len(at)))
    return np.array(at, dtype=np.int64), np.array(item, dtype=np.int64)


def _problem(fields: Fields) -> BufferingProblem:
    return BufferingProblem(**fields)


@st.composite
def _stated(
    draw: st.DrawFn,
    max_experts: int,
    max_steps: int,
    objectives: tuple[str, ...],
    known: tuple[str, ...],
) -> Fields:
    """Draw the fields of a problem, its room stated so that a plan exists."""
    features = draw(st.sets(st.sampled_from(known), max_size=6)) if known else set()
    bypass = bool(features & _BYPASS)
    layers = draw(st.integers(1, 2)) if features & {"layers", "budget", "pool"} else 1
    # A pool's experts are one cache's: fewer of them, for brute force.
    most = min(max_experts, 3) if "pool" in features and layers > 1 else max_experts
    experts = draw(st.integers(1, most))
    fields: Fields = {
        "layers": layers,
        "experts": experts,
        "objective": draw(st.sampled_from(objectives)),
    }
    draw(_with_references(fields, features, max_steps))
    if features & {"sizes", "cache_bytes"}:
        fields["expert_bytes"] = draw(_sizes(layers, experts))
    draw(_with_prices(fields, features, bypass))
    if "pins" in features:
        draw(_with_pins(fields))
    if bypass:
        fields["serve"] = "bypass"
        draw(_with_bypass(fields, features))
    elif "any_order" in features:
        fields["any_order"] = True
    draw(_with_room(fields, features))
    if "named" in features:
        fields["name"] = draw(st.text("abc-0", max_size=5))
        fields["source"] = draw(st.text("abc é", max_size=5))
        fields["generator"] = {"name": "drawn", "seed": draw(st.integers(0, 9)), "size": 0.5}
    return fields


@st.composite
def _with_references(draw: st.DrawFn, fields: Fields, features: set[str], max_steps: int) -> None:
    """State references: one expert in each group, or up to three, or none."""
    layers, experts = fields["layers"], fields["experts"]
    steps = draw(st.integers(1, max(1, max_steps // layers)))
    expert = st.integers(0, experts - 1)
    one = st.lists(expert, min_size=1, max_size=1)
    some = st.lists(expert, max_size=min(3, experts), unique=True) if "batches" in features else one
    groups = draw(st.lists(some, min_size=steps * layers, max_size=steps * layers))
    fields["active"] = np.array([e for group in groups for e in group], dtype=np.int64)
    fields["starts"] = np.concatenate(([0], np.cumsum([len(group) for group in groups])))
    if "sequences" in features:
        later = draw(st.sets(st.integers(1, steps), max_size=2)) - {steps}
        fields["sequence_starts"] = np.array([0, *sorted(later)])
    if "history" in features:
        counts = draw(st.lists(st.integers(0, 5), min_size=experts, max_size=experts))
        fields["history"] = np.array([counts] * layers, dtype=np.float64)


@st.composite
def _sizes(draw: st.DrawFn, layers: int, experts: int) -> Any:
    """Draw bytes of experts: one number, one for each layer, or one for each expert."""
    size = st.integers(1, 3)
    axes = draw(st.sampled_from([2, 1, 0]))
    if axes == 0:
        return draw(size)
    shape = (layers, experts)[:axes]
    count = int(np.prod(shape))
    drawn = draw(st.lists(size, min_size=count, max_size=count))
    return np.array(drawn, dtype=np.int64).reshape(shape)


@st.composite
def _with_prices(draw: st.DrawFn, fields: Fields, features: set[str], bypass: bool) -> None:
    """State seconds of loads and of what is served elsewhere, and rates."""
    seconds = fields["objective"] == "seconds"
    if "timing" in features:
        fields["timing"] = Timing(
            link_bytes_per_s=draw(st.sampled_from([1.0, 2.0, 1e9])),
            link_latency_s=draw(st.sampled_from([0.0, 0.25])),
            compute_s=draw(st.sampled_from([0.0, 1.5])),
            parallel_transfers=draw(st.integers(1, 2)),
            lookahead_groups=draw(st.integers(0, 2)),
            lookahead_accuracy=draw(st.sampled_from([1.0, 0.5])),
            seed=draw(st.integers(0, 3)),
        )
    if seconds and ("timing" not in features or draw(st.booleans())):
        fields["load_s"] = draw(_prices(fields, features))
    if seconds and bypass:
        fields["miss_s"] = draw(_prices(fields, features))


@st.composite
def _prices(draw: st.DrawFn, fields: Fields, features: set[str]) -> Any:
    shape = (fields["layers"], fields["experts"])
    if "reals" in features:
        rng = np.random.default_rng(draw(st.integers(0, 2**16)))
        return _positive(rng.random(shape) * 3.0)
    if draw(st.booleans()):
        return draw(_PRICE)
    count = shape[0] * shape[1]
    drawn = draw(st.lists(_PRICE, min_size=count, max_size=count))
    return np.array(drawn).reshape(shape)


def _positive(value: FloatArray) -> FloatArray:
    return np.maximum(value, 1e-3)


@st.composite
def _with_pins(draw: st.DrawFn, fields: Fields) -> None:
    layers, experts = fields["layers"], fields["experts"]
    every = [(layer, expert) for layer in range(layers) for expert in range(experts)]
    chosen = draw(st.lists(st.sampled_from(every), min_size=1, max_size=2, unique=True))
    fields["pinned"] = np.array(sorted(chosen), dtype=np.int64)


@st.composite
def _with_bypass(draw: st.DrawFn, fields: Fields, features: set[str]) -> None:
    if "caps" in features:
        fields["loads_per_group"] = draw(st.integers(1, 2))
    if "period" in features:
        fields["update_period"] = draw(st.integers(2, 3))
    if "fill" in features:
        fields["free_fill"] = True
    if "weights" in features:
        count = fields["active"].size
        weights = draw(st.lists(st.integers(0, 4), min_size=count, max_size=count))
        fields["weights"] = np.array(weights, dtype=np.float64)


@st.composite
def _with_room(draw: st.DrawFn, fields: Fields, features: set[str]) -> None:
    """State slots, bytes or a budget: what is needed, and some more."""
    layers, experts = fields["layers"], fields["experts"]
    size = np.broadcast_to(_by_expert(fields.get("expert_bytes", 1)), (layers, experts))
    in_bytes = "cache_bytes" in features
    pooled = "pool" in features
    least = _needed_room(fields, size if in_bytes else np.ones_like(size), pooled)
    largest = int(size.max())
    more = st.integers(0, (experts - 1) * (largest if in_bytes else 1))
    if pooled:
        fields["pooled"] = True
    if "budget" in features and not pooled and not in_bytes:
        needed = _needed_room(fields, np.ones_like(size), pooled) @ size.max(axis=1)
        spare = draw(st.integers(0, layers * experts * largest))
        fields["budget_bytes"] = max(1, int(needed) + spare)
        return
    room: Any = int(least.max()) + draw(more)
    if "unequal_slots" in features and not pooled:
        room = least + np.array([draw(more) for _ in range(layers)])
    fields["cache_bytes" if in_bytes else "slots"] = room


def _needed_room(fields: Fields, size: IntArray, pooled: bool) -> IntArray:
    """Return the least room with which each cache has a plan, ``(caches,)``.

    Pinned experts stay, and of the others that are asked for one at a time is there.
    """
    pinned, asked = (np.zeros(size.shape, dtype=np.bool_) for _ in range(2))
    for layer, expert in fields.get("pinned", ()):
        pinned[layer, expert] = True
    if fields.get("serve") != "bypass":
        starts = fields["starts"]
        groups = np.repeat(np.arange(starts.size - 1), np.diff(starts))
        asked[groups % fields["layers"], fields["active"]] = True
    caches = (1, -1) if pooled else size.shape
    kept = np.where(pinned, size, 0).reshape(caches).sum(axis=1)
    come = np.where(asked & ~pinned, size, 0).reshape(caches).max(axis=1)
    room: IntArray = kept + come
    return room


def _by_expert(value: Any) -> Any:
    array = np.asarray(value, dtype=np.int64)
    return array[:, None] if array.ndim == 1 else array
