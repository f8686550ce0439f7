"""The best plan of a tiny problem, by dynamic programming over sets of residents, and its value.

Nothing here knows a solver, a stream or the checker: sets, loops and the formulation page.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from moeopt.buffering.plan import BufferingPlan
from moeopt.buffering.problem import BufferingProblem

#: Most items of one cache: there are as many sets of residents as subsets of them.
MOST_ITEMS = 9

Residents = frozenset[int]


@dataclass(frozen=True)
class Best:
    """The least objective over all plans, and one plan that has it.

    Attributes
    ----------
    objective
        In the problem's unit.
    plan
        ``None`` if labels were ignored: what has the objective then is no plan.
    """

    objective: float
    plan: BufferingPlan | None


class Event(NamedTuple):
    """What happens before a reference, counted as it runs, or before a group."""

    at: int
    kind: str
    item: int


class _Way(NamedTuple):
    """The cheapest way to a set of residents: its cost, and its events and order, latest first."""

    cost: float
    past: tuple[Any, ...] | None


def brute_force(problem: BufferingProblem, ignore: tuple[str, ...] = ()) -> Best | None:
    """Return the best plan, or ``None`` if there is none.

    Parameters
    ----------
    problem
        A few experts, a few steps: at most `MOST_ITEMS` items in one cache, at most 5 references
        in a group that runs in any order.
    ignore
        Labels of constraints that need not hold. C1: residents appear unpaid. C3: nothing need be
        resident. C5: every group is open. C6: room is free. C7: groups run in any order. C8: what
        is pinned is there at the start but may be dropped, and loaded again.

    Raises
    ------
    ValueError
        If a cache has too many items.
    """
    caches = 1 if problem.pooled else problem.layers
    if problem.budget_bytes is None or "C6" in ignore:
        rooms = [_stated_room(problem, cache, ignore) for cache in range(caches)]
        found = [_best_of_cache(problem, cache, rooms[cache], ignore) for cache in range(caches)]
        return _together(problem, rooms, found, ignore)
    counts = range(problem.experts + 1)
    ways = [[_best_of_cache(problem, c, k, ignore) for k in counts] for c in range(caches)]
    best: Best | None = None
    for split in itertools.product(counts, repeat=caches):
        if sum(k * _slot_bytes(problem, c) for c, k in enumerate(split)) <= problem.budget_bytes:
            found = [ways[c][k] for c, k in enumerate(split)]
            new = _together(problem, list(split), found, ignore)
            if new is not None and (best is None or new.objective < best.objective):
                best = new
    return best


def room_curve(problem: BufferingProblem, cache: int) -> list[float]:
    """Return the least cost of one cache with room 0 to its number of items; inf: impossible."""
    ways = [
        _best_of_cache(problem, cache, room, ()) for room in range(len(_items(problem, cache)) + 1)
    ]
    return [math.inf if way is None else way.cost for way in ways]


def naive_value(problem: BufferingProblem, plan: BufferingPlan) -> dict[str, float]:
    """Return ``misses``, ``loads`` and ``objective`` of a plan, replayed one event at a time.

    Raises
    ------
    ValueError
        If the plan breaks a rule; the message is its label.
    """
    order = list(range(problem.num_references)) if plan.order is None else plan.order.tolist()
    _require(sorted(order) == list(range(problem.num_references)), "C7")
    for place, reference in enumerate(order):
        _require(_group(problem, place) == _group(problem, reference), "C7")
        _require(problem.any_order or place == reference, "C7")
    _check_rooms(problem, plan.capacity.tolist())
    there = set(_pins(problem))
    _check_fits(problem, plan, there)
    cost, loads, misses = 0.0, 0, 0
    times = problem.num_references if problem.serve == "load" else problem.num_groups
    for at in range(times):
        for item in plan.drop_item[plan.drop_at == at].tolist():
            _require(item not in _pins(problem), "C8")
            _require(item in there, "C1")
            there.remove(item)
        new = plan.load_item[plan.load_at == at].tolist()
        for item in new:
            _require(item not in there, "C8" if item in _pins(problem) else "C1")
            there.add(item)
            cost += _load_price(problem, item, at)
        loads += len(new)
        _check_fits(problem, plan, there)
        if problem.serve == "load":
            asked = _asked(problem, order[at])
            _require(asked in there and set(new) <= {asked}, "C3")
            misses += len(new)
            continue
        changed = [*new, *plan.drop_item[plan.drop_at == at].tolist()]
        _require(len(new) <= (problem.loads_per_group or len(new)), "C4")
        _require(not changed or _is_open(problem, at), "C5")
        for item in changed:
            own = problem.pooled or item // problem.experts == at % problem.layers
            _require(own, "C5")
        for reference in range(int(problem.starts[at]), int(problem.starts[at + 1])):
            if _asked(problem, reference) not in there:
                misses += 1
                cost += _miss_price(problem, reference)
    return {"objective": cost, "misses": misses, "loads": loads}


def problem_of(groups: list[list[int]], layers: int = 1, **fields: Any) -> BufferingProblem:
    """Return a problem from the experts of each group; `fields` as they are, `experts` if more."""
    fields.setdefault("experts", 1 + max((max(group) for group in groups if group), default=0))
    if not fields.keys() & {"slots", "cache_bytes", "budget_bytes"}:
        fields["slots"] = 2
    return BufferingProblem(
        layers=layers,
        active=np.array([expert for group in groups for expert in group], dtype=np.int64),
        starts=np.concatenate(([0], np.cumsum([len(group) for group in groups]))),
        **fields,
    )


def drawn(
    seed: int, layers: int = 1, experts: int = 4, steps: int = 6, most: int = 2, **fields: Any
) -> BufferingProblem:
    """Return a problem with whole numbers drawn from a seed.

    Parameters
    ----------
    seed
        Of the draw.
    layers, experts, steps
        Sizes.
    most
        Most references of a group; there may be none.
    fields
        Of the problem, as they are; ``seconds=True`` draws `load_s`, and for ``serve="bypass"``
        `miss_s` and `weights`, and makes seconds the objective. ``sizes=True`` draws
        `expert_bytes` from 1 to 3.
    """
    rng = np.random.default_rng(seed)
    groups = [
        rng.permutation(experts)[: rng.integers(0, min(most, experts) + 1)].tolist()
        for _ in range(layers * steps)
    ]
    shape = (layers, experts)
    if fields.pop("seconds", False):
        fields |= {"objective": "seconds", "load_s": rng.integers(1, 6, shape).astype(float)}
        if fields.get("serve") == "bypass":
            fields["miss_s"] = rng.integers(1, 4, shape).astype(float)
            fields["weights"] = rng.integers(0, 4, sum(map(len, groups))).astype(float)
    if fields.pop("sizes", False):
        fields["expert_bytes"] = rng.integers(1, 4, shape)
    return problem_of(groups, layers, experts=experts, **fields)


def _best_of_cache(
    problem: BufferingProblem, cache: int, room: int | None, ignore: tuple[str, ...]
) -> _Way | None:
    """Return the cheapest way through the groups of one cache; `room` ``None`` is no limit."""
    items = _items(problem, cache)
    if len(items) > MOST_ITEMS:
        raise ValueError("too large for brute force")
    pins = frozenset(_pins(problem) & set(items))
    kept = frozenset() if "C8" in ignore else pins
    limit = None if "C2" in ignore else room

    def fits(there: Residents) -> bool:
        return limit is None or sum(_room_of(problem, item) for item in there) <= limit

    if not fits(pins):
        return None
    step = _load_step if problem.serve == "load" else _bypass_step
    ways = {pins: _Way(0.0, None)}
    for group in range(problem.num_groups):
        if problem.pooled or group % problem.layers == cache:
            ways = step(problem, group, ways, items, kept, fits, ignore)
    return min(ways.values(), key=lambda way: way.cost, default=None)


def _load_step(
    problem: BufferingProblem,
    group: int,
    ways: dict[Residents, _Way],
    items: list[int],
    kept: Residents,
    fits: Callable[[Residents], bool],
    ignore: tuple[str, ...],
) -> dict[Residents, _Way]:
    """Return the ways after a group whose missing experts are loaded one by one."""
    del items
    first, end = int(problem.starts[group]), int(problem.starts[group + 1])
    orders: Any = [range(first, end)]
    if problem.any_order or "C7" in ignore:
        orders = itertools.permutations(range(first, end))
    after: dict[Residents, _Way] = {}
    for order in orders:
        now = ways
        for place, reference in enumerate(order, start=first):
            now = _serve(problem, place, reference, now, kept, fits, ignore)
        for there, way in now.items():
            _keep(after, there, way)
    return after


def _serve(
    problem: BufferingProblem,
    place: int,
    reference: int,
    ways: dict[Residents, _Way],
    kept: Residents,
    fits: Callable[[Residents], bool],
    ignore: tuple[str, ...],
) -> dict[Residents, _Way]:
    """Return the ways after one reference, run at a place of the order.

    Drops wait for the load that needs their room: before it they help nobody.
    """
    item = _asked(problem, reference)
    price = 0.0 if "C1" in ignore else _load_price(problem, item, place)
    after: dict[Residents, _Way] = {}
    for there, way in ways.items():
        ran = ("run", place, reference)
        if item in there or "C3" in ignore:
            _keep(after, there, _Way(way.cost, (way.past, [ran])))
            continue
        for gone in _subsets(there - kept):
            now = (there - gone) | {item}
            if fits(now):
                events = [*(Event(place, "drop", lost) for lost in sorted(gone)),
                          Event(place, "load", item), ran]  # fmt: skip
                _keep(after, now, _Way(way.cost + price, (way.past, events)))
    return after


def _bypass_step(
    problem: BufferingProblem,
    group: int,
    ways: dict[Residents, _Way],
    items: list[int],
    kept: Residents,
    fits: Callable[[Residents], bool],
    ignore: tuple[str, ...],
) -> dict[Residents, _Way]:
    """Return the ways after a group before which residents may change."""
    changes = _is_open(problem, group) or "C5" in ignore
    most = None if "C4" in ignore else problem.loads_per_group
    targets = [kept | new for new in _subsets(frozenset(items) - kept) if fits(kept | new)]
    references = range(int(problem.starts[group]), int(problem.starts[group + 1]))
    after: dict[Residents, _Way] = {}
    for there, way in ways.items():
        for now in targets if changes else [there]:
            new = now - there
            if most is not None and len(new) > most:
                continue
            cost = way.cost
            if "C1" not in ignore:
                cost += sum(_load_price(problem, item, group) for item in sorted(new))
            cost += sum(
                _miss_price(problem, reference)
                for reference in references
                if _asked(problem, reference) not in now
            )
            events = [*(Event(group, "drop", item) for item in sorted(there - now)),
                      *(Event(group, "load", item) for item in sorted(new))]  # fmt: skip
            _keep(after, now, _Way(cost, (way.past, events)))
    return after


def _keep(ways: dict[Residents, _Way], there: Residents, way: _Way) -> None:
    if there not in ways or way.cost < ways[there].cost:
        ways[there] = way


def _subsets(items: Residents) -> Iterator[Residents]:
    for count in range(len(items) + 1):
        for chosen in itertools.combinations(sorted(items), count):
            yield frozenset(chosen)


def _together(
    problem: BufferingProblem,
    rooms: list[int | None],
    found: list[_Way | None],
    ignore: tuple[str, ...],
) -> Best | None:
    """Return the caches' ways as one plan, or ``None`` if some cache has none."""
    ways = [way for way in found if way is not None]
    if len(ways) < len(found):
        return None
    cost = sum(way.cost for way in ways)
    if ignore:
        return Best(cost, None)
    happened: list[Any] = []
    for way in ways:
        past = way.past
        while past is not None:
            past, events = past
            happened += events
    order = np.arange(problem.num_references)
    for event in happened:
        if event[0] == "run":
            order[event[1]] = event[2]
    table = {}
    for kind in ("load", "drop"):
        chosen = sorted(e for e in happened if isinstance(e, Event) and e.kind == kind)
        table[f"{kind}_at"] = np.array([event.at for event in chosen], dtype=np.int64)
        table[f"{kind}_item"] = np.array([event.item for event in chosen], dtype=np.int64)
    return Best(
        cost,
        BufferingPlan(
            capacity=np.array(rooms), order=order if problem.any_order else None, **table
        ),
    )


def _items(problem: BufferingProblem, cache: int) -> list[int]:
    if problem.pooled:
        return list(range(problem.layers * problem.experts))
    return list(range(cache * problem.experts, (cache + 1) * problem.experts))


def _pins(problem: BufferingProblem) -> set[int]:
    pairs = [] if problem.pinned is None else problem.pinned.tolist()
    return {layer * problem.experts + expert for layer, expert in pairs}


def _stated_room(problem: BufferingProblem, cache: int, ignore: tuple[str, ...]) -> int | None:
    if "C6" in ignore:
        return None
    stated = problem.slots if problem.cache_bytes is None else problem.cache_bytes
    return int(_entry(stated, cache))


def _entry(value: Any, *index: int) -> float:
    """Return a number, or the entry for a layer, or for a layer and an expert."""
    array = np.asarray(value)
    return float(array[index[: array.ndim]])


def _bytes(problem: BufferingProblem, item: int) -> float:
    return _entry(problem.expert_bytes, *divmod(item, problem.experts))


def _slot_bytes(problem: BufferingProblem, layer: int) -> float:
    return max(_bytes(problem, item) for item in _items(problem, layer))


def _room_of(problem: BufferingProblem, item: int) -> float:
    return 1.0 if problem.cache_bytes is None else _bytes(problem, item)


def _group(problem: BufferingProblem, reference: int) -> int:
    return max(g for g in range(problem.num_groups) if problem.starts[g] <= reference)


def _asked(problem: BufferingProblem, reference: int) -> int:
    layer = _group(problem, reference) % problem.layers
    return layer * problem.experts + int(problem.active[reference])


def _is_open(problem: BufferingProblem, group: int) -> bool:
    return group // problem.layers % problem.update_period == 0


def _load_price(problem: BufferingProblem, item: int, at: int) -> float:
    """Return what a load costs before a reference, or before a group."""
    bypass = problem.serve == "bypass"
    first = at == 0 if problem.pooled else at < problem.layers
    if bypass and first and problem.free_fill:
        return 0.0
    if problem.objective == "misses":
        return 0.0 if bypass else 1.0
    size = _bytes(problem, item)
    if problem.objective == "miss_bytes":
        return size
    if problem.load_s is not None:
        return _entry(problem.load_s, *divmod(item, problem.experts))
    return 0.0 if problem.timing is None else size / problem.timing.link_bytes_per_s


def _miss_price(problem: BufferingProblem, reference: int) -> float:
    """Return what a reference costs that is served elsewhere."""
    if problem.objective == "misses":
        return 1.0
    item = _asked(problem, reference)
    if problem.objective == "miss_bytes":
        return _bytes(problem, item)
    price = _entry(problem.miss_s, *divmod(item, problem.experts))
    return price if problem.weights is None else price * float(problem.weights[reference])


def _check_rooms(problem: BufferingProblem, rooms: list[int]) -> None:
    if problem.budget_bytes is not None:
        used = sum(k * _slot_bytes(problem, c) for c, k in enumerate(rooms))
        _require(used <= problem.budget_bytes, "C6")
        return
    caches = 1 if problem.pooled else problem.layers
    _require(rooms == [_stated_room(problem, cache, ()) for cache in range(caches)], "C6")


def _check_fits(problem: BufferingProblem, plan: BufferingPlan, there: set[int]) -> None:
    for cache, room in enumerate(plan.capacity.tolist()):
        mine = there & set(_items(problem, cache))
        _require(sum(_room_of(problem, item) for item in mine) <= room, "C2")


def _require(holds: bool, label: str) -> None:
    if not holds:
        raise ValueError(label)
