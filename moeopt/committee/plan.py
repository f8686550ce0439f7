"""What the committee wing gives: the plan, its checker and its value.

Written from ``formulations/committee.md`` alone; no solver is imported here and none is trusted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from moeopt.committee.loss import swaps_of, table_of, total_loss, window_losses
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.core.wing import Plan, Violation

#: Relative slack of rules about sums of seconds, and of bytes against a rate.
TOLERANCE = 1e-9

#: A table of loads or drops without a row; JSON has but one empty list.
_NONE = np.zeros((0, 3), dtype=np.int64)
_NONE.flags.writeable = False


class CommitteePlan(Plan, frozen=True, kw_only=True, tag="committee"):
    """How many experts of each layer are resident, how often they change, and which they are.

    Attributes
    ----------
    version
        Version of the document's schema.
    period
        Windows from one update to the next.
    slots
        Experts of each layer for which there is room, ``(layers,)``.
    loads
        What is loaded and before which window, rows of window, layer and expert, ``(loads, 3)``,
        in rising order; none with ``loss="table"``.
    drops
        The same of what leaves, ``(drops, 3)``; drops of a window precede its loads.
    """

    version: Literal[1] = 1
    period: int
    slots: IntArray
    loads: IntArray
    drops: IntArray

    def __post_init__(self) -> None:
        for name in ("loads", "drops"):
            if not getattr(self, name).size:
                msgspec.structs.force_setattr(self, name, _NONE)


@dataclass(frozen=True)
class Evaluation:
    """The value of a plan.

    Attributes
    ----------
    objective
        Loss and the price of loads.
    loss
        Of absent experts, over all windows.
    load_cost
        Price of the loads, but for a free fill.
    loss_share
        `loss` of that without any resident; ``None`` if that is nothing.
    memory_bytes
        Of everything that is there: what is fixed, staging slots, slots and their activations.
    latency_s
        Of an input.
    loads
        Experts that the plan names to be loaded, but for a free fill.
    swap_bytes
        Bytes of those loads; with a table of one update, ``None`` without `swaps`.
    mean_swap_bytes_per_s
        `swap_bytes` over the time of all windows, or of a period with a table; ``None`` without
        `window_s`.
    peak_swap_bytes_per_s
        Bytes of the largest update over the time of a period; ``None`` without `window_s`.
    slots
        Of all layers.
    loss_by_layer, loads_by_layer
        The same by layer, ``(layers,)``.
    """

    objective: float
    loss: float
    load_cost: float
    loss_share: float | None
    memory_bytes: int
    latency_s: float
    loads: int
    swap_bytes: float | None
    mean_swap_bytes_per_s: float | None
    peak_swap_bytes_per_s: float | None
    slots: int
    loss_by_layer: FloatArray
    loads_by_layer: IntArray


def violations(problem: CommitteeProblem, plan: CommitteePlan) -> list[Violation]:
    """Return every constraint of the formulation page that the plan breaks."""
    return _shape_violations(problem, plan) or [
        *_memory_violations(problem, plan),
        *_latency_violations(problem, plan),
        *_link_violations(problem, plan),
        *_slot_violations(problem, plan),
        *_change_violations(problem, plan),
        *_room_violations(problem, plan),
        *_time_violations(plan),
        *_period_violations(problem, plan),
    ]


def evaluate(problem: CommitteeProblem, plan: CommitteePlan) -> Evaluation:
    """Return the objective of a valid plan and the figures behind it."""
    if problem.loss == "table":
        losses = table_of(problem, plan.period)[np.arange(problem.num_layers), plan.slots]
    else:
        losses = window_losses(problem, resident_at(problem, plan)).sum(axis=0)
    paid = _paid(problem, plan)
    loads = np.bincount(plan.loads[paid, 1], minlength=problem.num_layers)
    loss = float(losses.sum())
    load_cost = float((problem.by_layer(problem.load_price) * loads).sum())
    total = float(total_loss(problem, plan.period).sum())
    updates = _update_bytes(problem, plan)
    mean_s, peak_s = _rates(problem, plan, updates)
    return Evaluation(
        objective=loss + load_cost,
        loss=loss,
        load_cost=load_cost,
        loss_share=loss / total if total else None,
        memory_bytes=memory_bytes(problem, plan.slots),
        latency_s=latency_s(problem, plan.slots),
        loads=int(loads.sum()),
        swap_bytes=None if updates is None else float(updates.sum()),
        mean_swap_bytes_per_s=mean_s,
        peak_swap_bytes_per_s=peak_s,
        slots=int(plan.slots.sum()),
        loss_by_layer=np.asarray(losses, dtype=np.float64),
        loads_by_layer=loads,
    )


def resident_at(problem: CommitteeProblem, plan: CommitteePlan) -> BoolArray:
    """Return who is there in each window, after its changes, ``(windows, layers, experts)``."""
    shape = (problem.num_windows, problem.num_layers, problem.num_experts)
    there = np.zeros(shape, dtype=np.bool_)
    times = np.arange(problem.num_windows + 1)
    load_from = np.searchsorted(plan.loads[:, 0], times)
    drop_from = np.searchsorted(plan.drops[:, 0], times)
    for t in range(problem.num_windows):
        if t:
            there[t] = there[t - 1]
        for changes, begins, now in ((plan.drops, drop_from, False), (plan.loads, load_from, True)):
            rows = changes[begins[t] : begins[t + 1]]
            there[t, rows[:, 1], rows[:, 2]] = now
    return there


def memory_bytes(problem: CommitteeProblem, slots: npt.NDArray[Any]) -> int:
    """Return the bytes of everything that is there with so many slots, ``(layers,)``."""
    staging = problem.by_layer(problem.staging_slots)
    # Python's integers: sizes are whole, and no sum of them is rounded.
    return problem.fixed_bytes + sum(
        int(b) * int(size) + int(k) * int(slot)
        for b, size, k, slot in zip(
            staging, problem.sizes_bytes(), slots, problem.slot_bytes(), strict=True
        )
    )


def latency_s(problem: CommitteeProblem, slots: npt.NDArray[Any]) -> float:
    """Return the seconds of an input with so many slots, ``(layers,)``."""
    return problem.base_s + float((problem.by_layer(problem.slot_s) * slots).sum())


def _paid(problem: CommitteeProblem, plan: CommitteePlan) -> BoolArray:
    """Return which loads are none of a free fill, ``(loads,)``."""
    paid: BoolArray = plan.loads[:, 0] >= (1 if problem.free_fill else 0)
    return paid


def _update_bytes(problem: CommitteeProblem, plan: CommitteePlan) -> FloatArray | None:
    """Return the bytes that pass the link before each window, ``(windows,)``.

    With a table there is one update, of the mean bytes; ``None`` if it is not stated.
    """
    size = problem.sizes_bytes()
    if problem.loss == "table":
        swaps = swaps_of(problem, plan.period)
        if swaps is None:
            return None
        replaced = swaps[np.arange(problem.num_layers), plan.slots]
        return np.array([float((size * replaced).sum())])
    rows = plan.loads[_paid(problem, plan)]
    loaded = np.bincount(rows[:, 0], weights=size[rows[:, 1]], minlength=problem.num_windows)
    # Without a row there are no weights, and the counts are whole.
    return loaded.astype(np.float64)


def _rates(
    problem: CommitteeProblem, plan: CommitteePlan, updates: FloatArray | None
) -> tuple[float | None, float | None]:
    """Return the bytes a second on average, and of the largest update."""
    if problem.window_s is None or updates is None:
        return None, None
    period_s = plan.period * problem.window_s
    all_s = period_s if problem.loss == "table" else problem.num_windows * problem.window_s
    return float(updates.sum()) / all_s, float(updates.max()) / period_s


def _shape_violations(problem: CommitteeProblem, plan: CommitteePlan) -> list[Violation]:
    """Return the first thing that makes the plan unreadable, if any."""
    if not 1 <= plan.period <= 2**53:
        return [_violation("shape", "period", f"must be 1 to {2**53}, is {plan.period}")]
    slots, layers = plan.slots, problem.num_layers
    if slots.shape != (layers,):
        message = f"must have shape ({layers},), has {slots.shape}"
        return [_violation("shape", "slots", message)]
    # Written so that nan is strange.
    fine = (slots >= 0) & (slots <= 2**53) & (slots == np.floor(slots))
    if not fine.all():
        at = int(np.argmin(fine))
        message = f"must be whole, 0 or more, is {slots[at]}"
        return [_violation("shape", f"slots[{at}]", message, float((~fine).sum()))]
    return _table_violations(problem, "loads", plan.loads) + _table_violations(
        problem, "drops", plan.drops
    )


def _table_violations(problem: CommitteeProblem, name: str, table: IntArray) -> list[Violation]:
    """Look for rows of a table that are no changes, or are out of order."""
    if problem.loss == "table" and table.size:
        message = f'must be empty with loss="table", which names no experts, has {len(table)} rows'
        return [_violation("shape", name, message, float(len(table)))]
    if table.ndim != 2 or table.shape[1] != 3:
        message = f"must have shape ({name}, 3), has {table.shape}"
        return [_violation("shape", name, message)]
    most = np.array([problem.num_windows, problem.num_layers, problem.num_experts])
    fine = (table >= 0) & (table < most) & (table == np.floor(table))
    if not fine.all():
        row, column = (int(i) for i in np.unravel_index(int(np.argmin(fine)), fine.shape))
        what = ("window", "layer", "expert")[column]
        message = f"must be a {what}, 0 to {most[column] - 1}, is {table[row, column]}"
        return [_violation("shape", f"{name}[{row}][{column}]", message, float((~fine).sum()))]
    key = (table[:, 0] * most[1] + table[:, 1]) * most[2] + table[:, 2]
    rises = np.diff(key) > 0
    if not rises.all():
        row = int(np.argmin(rises)) + 1
        message = f"must come after the row before it, is {table[row].tolist()}"
        return [_violation("shape", f"{name}[{row}]", message, float((~rises).sum()))]
    return []


def _memory_violations(problem: CommitteeProblem, plan: CommitteePlan) -> list[Violation]:
    used = memory_bytes(problem, plan.slots)
    over = used - problem.budget_bytes
    if over <= 0:
        return []
    message = f"{plan.slots.sum()} slots and the rest take {used} bytes, the budget is"
    return [_violation("C1", "slots", f"{message} {problem.budget_bytes}", float(over))]


def _latency_violations(problem: CommitteeProblem, plan: CommitteePlan) -> list[Violation]:
    limit, seconds = problem.latency_s, latency_s(problem, plan.slots)
    if limit is None or seconds <= limit * (1 + TOLERANCE):
        return []
    message = f"{plan.slots.sum()} slots take {seconds} s, at most {limit} are allowed"
    return [_violation("C2", "slots", message, seconds - limit)]


def _link_violations(problem: CommitteeProblem, plan: CommitteePlan) -> list[Violation]:
    """Look for the update that loads most more than the link carries in a period."""
    most = problem.load_bytes(plan.period)
    table = problem.loss == "table"
    if np.isinf(most) or (table and not _has_entry(problem, plan)):
        return []
    updates = _update_bytes(problem, plan)
    if updates is None or updates.max() <= most * (1 + TOLERANCE):
        return []
    t = int(np.argmax(updates))
    where = "slots" if table else f"loads[{int(np.searchsorted(plan.loads[:, 0], t))}]"
    when = "an update" if table else f"before window {t}"
    message = f"{updates[t]:.0f} bytes {when}, the link carries {most:.0f} in a period"
    return [_violation("C3", where, message, float(updates[t] - most))]


def _has_entry(problem: CommitteeProblem, plan: CommitteePlan) -> bool:
    """Tell whether the tables have an entry for the plan: C4 and C7 say if they have none."""
    within = bool((plan.slots <= problem.num_experts).all())
    return within and plan.period in problem.choices()


def _slot_violations(problem: CommitteeProblem, plan: CommitteePlan) -> list[Violation]:
    fewest, most = problem.fewest(), problem.most()
    off = np.maximum(fewest - plan.slots, plan.slots - most)
    worst = int(np.argmax(off))
    if off[worst] <= 0:
        return []
    message = f"must be {fewest[worst]} to {most[worst]}, is {plan.slots[worst]}"
    return [_violation("C4", f"slots[{worst}]", message, float(np.maximum(off, 0).sum()))]


def _change_violations(problem: CommitteeProblem, plan: CommitteePlan) -> list[Violation]:
    """Look for loads of what is there and drops of what is not."""
    rows = np.concatenate((plan.drops, plan.loads))
    load = np.arange(len(rows)) >= len(plan.drops)
    item = rows[:, 1] * problem.num_experts + rows[:, 2]
    order = np.lexsort((load, rows[:, 0], item))
    was = np.zeros(order.size, dtype=np.bool_)
    was[1:] = load[order[:-1]] & (item[order[1:]] == item[order[:-1]])
    wrong = order[load[order] == was]
    if not wrong.size:
        return []
    first = wrong[np.lexsort((wrong, rows[wrong, 0]))[0]]
    what, rule = ("loaded", "absent") if load[first] else ("dropped", "resident")
    window, layer, expert = rows[first].tolist()
    message = (
        f"expert {expert} of layer {layer} may be {what} only while it is {rule},"
        f" before window {window} it is not"
    )
    where = f"loads[{first - len(plan.drops)}]" if load[first] else f"drops[{first}]"
    return [_violation("C5", where, message, float(wrong.size))]


def _room_violations(problem: CommitteeProblem, plan: CommitteePlan) -> list[Violation]:
    """Look for the committee that has most more members than its layer has slots."""
    held = resident_at(problem, plan).sum(axis=2)
    over = held - plan.slots
    t, layer = (int(i) for i in np.unravel_index(int(np.argmax(over)), over.shape))
    if over[t, layer] <= 0:
        return []
    message = (
        f"layer {layer} holds {held[t, layer]} experts in window {t},"
        f" it has {plan.slots[layer]} slots"
    )
    return [_violation("C5", f"slots[{layer}]", message, float(over[t, layer]))]


def _time_violations(plan: CommitteePlan) -> list[Violation]:
    found = []
    for name, table in (("loads", plan.loads), ("drops", plan.drops)):
        wrong = table[:, 0] % plan.period != 0
        if wrong.any():
            row = int(np.argmax(wrong))
            message = (
                f"must be a window that is a multiple of the period {plan.period},"
                f" is {table[row, 0]}"
            )
            found.append(_violation("C6", f"{name}[{row}][0]", message, float(wrong.sum())))
    return found


def _period_violations(problem: CommitteeProblem, plan: CommitteePlan) -> list[Violation]:
    choices = problem.choices()
    if plan.period in choices:
        return []
    off = int(np.abs(choices - plan.period).min())
    message = f"must be one of {choices.tolist()}, is {plan.period}"
    return [_violation("C7", "period", message, float(off))]


def _violation(constraint: str, where: str, message: str, amount: float = 1.0) -> Violation:
    return Violation(constraint=constraint, path=f"$.{where}", message=message, amount=amount)
