"""What the buffering wing gives: the plan, its checker and its value.

Written from ``formulations/buffering.md`` alone; no solver is imported here and none is trusted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.residents import Changes, changes_of, finds_resident, in_time, item_order
from moeopt.core.arrays import IntArray
from moeopt.core.errors import InternalError
from moeopt.core.wing import Plan, Violation


class BufferingPlan(Plan, frozen=True, kw_only=True, tag="buffering"):
    """What each cache loads and drops, and when.

    Attributes
    ----------
    version
        Version of the document's schema.
    capacity
        Room of each cache, ``(caches,)``: slots, or bytes if the problem states `cache_bytes`.
    order
        References in the order in which they run, ``(references,)``; ``None`` as stated.
    load_at, load_item
        When each load takes place and of what, ``(loads,)``, in rising order of time: before the
        reference at this place of the order (``serve="load"``), before this group (``"bypass"``).
        Items are ``layer * experts + expert``.
    drop_at, drop_item
        The same of what leaves, ``(drops,)``; drops precede the loads of their time.
    """

    version: Literal[1] = 1
    capacity: IntArray
    order: IntArray | None = None
    load_at: IntArray
    load_item: IntArray
    drop_at: IntArray
    drop_item: IntArray


@dataclass(frozen=True)
class Evaluation:
    """The value of a plan.

    Attributes
    ----------
    objective
        The one of `misses`, `miss_bytes` and `seconds` that the problem names.
    references
        How many experts were asked for.
    hits, misses
        References that found their expert in the cache, and the others.
    hit_rate
        Share of hits; ``None`` if nothing was asked for.
    loads
        Experts brought to the device.
    miss_bytes
        Bytes of what was loaded, but for a free first fill, and of what was served elsewhere.
    seconds
        Of the same; ``None`` if the problem does not say how long they take.
    references_by_layer, misses_by_layer, loads_by_layer
        The same by layer, ``(layers,)``.
    stall_s
        Seconds for which computation waits for transfers; ``None`` without `timing`.
    """

    objective: float
    references: int
    hits: int
    misses: int
    hit_rate: float | None
    loads: int
    miss_bytes: float
    seconds: float | None
    references_by_layer: IntArray
    misses_by_layer: IntArray
    loads_by_layer: IntArray
    stall_s: float | None


def violations(problem: BufferingProblem, plan: BufferingPlan) -> list[Violation]:
    """Return every constraint of the formulation page that the plan breaks."""
    strange = _shape_violations(problem, plan)
    if strange:
        return strange
    changes = changes_of(problem, plan)
    found = [
        *_change_violations(problem, plan, changes),
        *_room_violations(problem, plan, changes),
    ]
    if problem.serve == "load":
        found += _reference_violations(problem, plan, changes)
    else:
        found += _cap_violations(problem, plan)
        found += _time_violations(problem, plan)
    return [
        *found,
        *_capacity_violations(problem, plan),
        *_order_violations(problem, plan),
        *_pin_violations(problem, plan),
    ]


def evaluate(problem: BufferingProblem, plan: BufferingPlan) -> Evaluation:
    """Return the objective of a valid plan and the figures behind it."""
    shape = (problem.num_layers, problem.num_experts)
    items, cells = problem.item_of(), shape[0] * shape[1]
    loads = np.bincount(plan.load_item, minlength=cells).reshape(shape)
    paid, missed = loads, loads
    weighted: npt.NDArray[Any] = np.zeros(shape)
    if problem.serve == "bypass":
        absent = ~finds_resident(problem, changes_of(problem, plan), items, problem.group_of())
        missed = np.bincount(items[absent], minlength=cells).reshape(shape)
        weights = None if problem.weights is None else problem.weights[absent]
        weighted = np.bincount(items[absent], weights, minlength=cells).reshape(shape)
        if problem.free_fill:
            first = 1 if problem.pooled else problem.num_layers
            filled = plan.load_item[plan.load_at < first]
            paid = loads - np.bincount(filled, minlength=cells).reshape(shape)
    carried = paid + missed if problem.serve == "bypass" else paid
    misses = int(missed.sum())
    miss_bytes = float((problem.sizes_bytes() * carried).sum())
    seconds = _seconds(problem, paid, weighted)
    values = {"misses": float(misses), "miss_bytes": miss_bytes, "seconds": seconds}
    objective = values[problem.objective]
    if objective is None:
        raise InternalError("a problem in seconds must state them")
    references = problem.num_references
    return Evaluation(
        objective=objective,
        references=references,
        hits=references - misses,
        misses=misses,
        hit_rate=(references - misses) / references if references else None,
        loads=int(loads.sum()),
        miss_bytes=miss_bytes,
        seconds=seconds,
        references_by_layer=np.bincount(items, minlength=cells).reshape(shape).sum(axis=1),
        misses_by_layer=missed.sum(axis=1),
        loads_by_layer=loads.sum(axis=1),
        stall_s=_stall_s(problem, plan),
    )


def _seconds(problem: BufferingProblem, paid: IntArray, weighted: npt.NDArray[Any]) -> float | None:
    """Return the seconds of loads, counted in `paid`, and of references served elsewhere.

    With ``serve="bypass"`` loads take no time unless the problem says so: they may be ahead of
    need.
    """
    load_s, miss_s = problem.load_s, problem.miss_s
    if load_s is None and problem.timing is not None:
        load_s = problem.sizes_bytes() / problem.timing.link_bytes_per_s
    if problem.serve == "load":
        return None if load_s is None else float((_by_expert(load_s) * paid).sum())
    if miss_s is None:
        return None
    seconds = _by_expert(0.0 if load_s is None else load_s) * paid + _by_expert(miss_s) * weighted
    return float(seconds.sum())


def _by_expert(value: object) -> npt.NDArray[Any]:
    """Return one number, or one for each layer, in a shape that goes with ``(layers, experts)``."""
    array = np.asarray(value)
    return array[:, None] if array.ndim == 1 else array


def _stall_s(problem: BufferingProblem, plan: BufferingPlan) -> float | None:
    if problem.timing is None:
        return None
    # Imported here: the clock is compiled, and takes plans.
    from moeopt.buffering.clock import stall

    return float(stall(problem, plan).stall_s)


def _shape_violations(problem: BufferingProblem, plan: BufferingPlan) -> list[Violation]:
    """Return the first thing that makes the plan unreadable, if any."""
    caches = 1 if problem.pooled else problem.num_layers
    times = problem.num_references if problem.serve == "load" else problem.num_groups
    items = problem.num_layers * problem.num_experts
    tables: list[tuple[str, Any, int | None, int | None]] = [
        ("capacity", plan.capacity, caches, None),
        ("load_at", plan.load_at, None, times),
        ("load_item", plan.load_item, plan.load_at.size, items),
        ("drop_at", plan.drop_at, None, times),
        ("drop_item", plan.drop_item, plan.drop_at.size, items),
    ]
    if plan.order is not None:
        tables.append(("order", plan.order, problem.num_references, problem.num_references))
    for name, table, entries, end in tables:
        if table.ndim != 1 or (entries is not None and table.size != entries):
            wanted = "one axis" if entries is None else f"shape ({entries},)"
            return [_violation("shape", name, f"must have {wanted}, has {table.shape}")]
        # Written so that nan is strange.
        fine = (table >= 0) & (table == np.floor(table))
        if end is not None:
            fine &= table < end
        if name.endswith("_at"):
            fine[1:] &= table[1:] >= table[:-1]
        if not fine.all():
            at = int(np.argmin(fine))
            rule = "whole, 0 or more" if end is None else f"0 to {end - 1}"
            rising = ", in rising order" if name.endswith("_at") else ""
            message = f"must be {rule}{rising}, is {table[at]}"
            amount = float((~fine).sum())
            return [_violation("shape", f"{name}[{at}]", message, amount)]
    return []


def _change_violations(
    problem: BufferingProblem, plan: BufferingPlan, changes: Changes
) -> list[Violation]:
    wrong = np.flatnonzero(~changes.sound)
    if not wrong.size:
        return []
    first = wrong[np.argmin(changes.turn[wrong])]
    kind, rule = ("load", "absent") if changes.load[first] else ("drop", "resident")
    message = (
        f"{_name(problem, changes.item[first])} may be {kind}{'ed' if kind == 'load' else 'ped'}"
        f" only while it is {rule}, {_when(problem, changes.at[first])} it is not"
    )
    where = f"{kind}_item[{int(changes.row[first])}]"
    return [_violation("C1", where, message, float(wrong.size))]


def _room_violations(
    problem: BufferingProblem, plan: BufferingPlan, changes: Changes
) -> list[Violation]:
    """Look for the cache that holds most more than it has room for, after the loads of a time."""
    room, pinned = _room_of(problem), problem.pinned_mask().ravel()
    caches = plan.capacity.size
    cache_of = np.zeros(room.size, dtype=np.int64)
    if not problem.pooled:
        cache_of = np.arange(room.size) // problem.num_experts
    held = np.bincount(cache_of[pinned], room[pinned], minlength=caches)
    # Cache by cache, each in order of time.
    order = in_time(changes)
    order = order[changes.sound[order]]
    order = order[item_order(problem, cache_of[changes.item[order]])]
    cache, at = cache_of[changes.item[order]], changes.at[order]
    change = np.where(changes.load[order], 1, -1) * room[changes.item[order]]
    first = np.searchsorted(cache, np.arange(caches))
    used = np.concatenate(([0], np.cumsum(change)))
    used = held[cache] + used[1:] - used[first[cache]]
    settled = np.ones(cache.size, dtype=np.bool_)
    settled[:-1] = (at[1:] != at[:-1]) | (cache[1:] != cache[:-1])
    over = np.where(settled, used - plan.capacity[cache], -1)
    at_start = int(np.argmax(held - plan.capacity))
    excess, c, when = held[at_start] - plan.capacity[at_start], at_start, 0
    if over.size and over.max() > excess:
        worst = int(np.argmax(over))
        excess, c, when = over[worst], int(cache[worst]), int(at[worst])
    if excess <= 0:
        return []
    message = (
        f"cache {c} holds {excess + plan.capacity[c]:.0f} {_unit(problem)}"
        f" {_when(problem, when)}, {plan.capacity[c]} fit"
    )
    return [_violation("C2", f"capacity[{c}]", message, float(excess))]


def _reference_violations(
    problem: BufferingProblem, plan: BufferingPlan, changes: Changes
) -> list[Violation]:
    """Look for references without their expert, and for loads of what is not about to run."""
    items = problem.item_of()
    if plan.order is not None:
        items = items[plan.order]
    found = finds_resident(problem, changes, items, np.arange(items.size))
    foreign = items[plan.load_at] != plan.load_item
    amount = float((~found).sum() + foreign.sum())
    if not found.all():
        at = int(np.argmin(found))
        message = f"{_name(problem, items[at])} must be resident {_when(problem, at)}"
        return [_violation("C3", "load_at", message, amount)]
    if foreign.any():
        row = int(np.argmax(foreign))
        at = int(plan.load_at[row])
        message = (
            f"only {_name(problem, items[at])} may be loaded {_when(problem, at)},"
            f" not {_name(problem, plan.load_item[row])}"
        )
        return [_violation("C3", f"load_item[{row}]", message, amount)]
    return []


def _cap_violations(problem: BufferingProblem, plan: BufferingPlan) -> list[Violation]:
    if problem.loads_per_group is None or not plan.load_at.size:
        return []
    loads = np.bincount(plan.load_at)
    group, most = int(np.argmax(loads)), problem.loads_per_group
    if loads[group] <= most:
        return []
    row = int(np.searchsorted(plan.load_at, group))
    message = f"{loads[group]} loads {_when(problem, group)}, at most {most} are allowed"
    return [_violation("C4", f"load_at[{row}]", message, float(loads[group] - most))]


def _time_violations(problem: BufferingProblem, plan: BufferingPlan) -> list[Violation]:
    """Look for changes before a closed group, or before one of another cache."""
    found = []
    for name, at, item in (
        ("load_at", plan.load_at, plan.load_item),
        ("drop_at", plan.drop_at, plan.drop_item),
    ):
        step, layer = np.divmod(at, problem.num_layers)
        wrong = step % problem.update_period != 0
        if not problem.pooled:
            wrong |= item // problem.num_experts != layer
        if wrong.any():
            row = int(np.argmax(wrong))
            message = (
                f"{_name(problem, item[row])} may not change {_when(problem, at[row])}: only"
                f" before groups of its cache whose step is a multiple of {problem.update_period}"
            )
            found.append(_violation("C5", f"{name}[{row}]", message, float(wrong.sum())))
    return found


def _capacity_violations(problem: BufferingProblem, plan: BufferingPlan) -> list[Violation]:
    if problem.budget_bytes is not None:
        slot = problem.sizes_bytes().max(axis=1)
        used = sum(int(k) * int(b) for k, b in zip(plan.capacity, slot, strict=True))
        over = used - problem.budget_bytes
        message = f"slots of {used} bytes, the budget is {problem.budget_bytes}"
        return [_violation("C6", "capacity", message, float(over))] if over > 0 else []
    stated = problem.slots if problem.cache_bytes is None else problem.cache_bytes
    room = np.broadcast_to(np.asarray(stated), plan.capacity.shape)
    wrong = plan.capacity != room
    if not wrong.any():
        return []
    c = int(np.argmax(wrong))
    message = f"must be {room[c]}, as the problem states, is {plan.capacity[c]}"
    amount = float(np.abs(plan.capacity - room).sum())
    return [_violation("C6", f"capacity[{c}]", message, amount)]


def _order_violations(problem: BufferingProblem, plan: BufferingPlan) -> list[Violation]:
    if plan.order is None:
        return []
    places = np.arange(plan.order.size)
    if problem.any_order:
        group = problem.group_of()
        wrong, rule = group[plan.order] != group, "must be a reference of the same group"
        twice = np.bincount(plan.order, minlength=places.size)[plan.order] > 1
        wrong |= twice
    else:
        wrong, rule = plan.order != places, "must stay in its place without any_order"
    if not wrong.any():
        return []
    at = int(np.argmax(wrong))
    message = f"{rule}, and each must run once, is {plan.order[at]}"
    return [_violation("C7", f"order[{at}]", message, float(wrong.sum()))]


def _pin_violations(problem: BufferingProblem, plan: BufferingPlan) -> list[Violation]:
    pinned = problem.pinned_mask().ravel()
    found = []
    for name, item in (("drop_item", plan.drop_item), ("load_item", plan.load_item)):
        wrong = pinned[item]
        if wrong.any():
            row = int(np.argmax(wrong))
            message = f"{_name(problem, item[row])} is pinned: it is there from start to end"
            found.append(_violation("C8", f"{name}[{row}]", message, float(wrong.sum())))
    return found


def _room_of(problem: BufferingProblem) -> IntArray:
    """Return the room that each item takes: a slot, or its bytes, ``(items,)``."""
    if problem.cache_bytes is None:
        return np.ones(problem.num_layers * problem.num_experts, dtype=np.int64)
    return problem.sizes_bytes().astype(np.int64).ravel()


def _unit(problem: BufferingProblem) -> str:
    return "experts" if problem.cache_bytes is None else "bytes of experts"


def _name(problem: BufferingProblem, item: int | np.int64) -> str:
    layer, expert = divmod(int(item), problem.num_experts)
    return f"expert {expert} of layer {layer}"


def _when(problem: BufferingProblem, at: int | np.int64) -> str:
    if problem.serve == "load":
        return f"before reference {int(at)}"
    step, layer = divmod(int(at), problem.num_layers)
    return f"before step {step} of layer {layer}"


def _violation(constraint: str, where: str, message: str, amount: float = 1.0) -> Violation:
    return Violation(constraint=constraint, path=f"$.{where}", message=message, amount=amount)
