"""Checks of a stated buffering problem: what is malformed, and what no plan can satisfy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from moeopt.core.arrays import require_finite_nonnegative, require_shape
from moeopt.core.errors import InstanceError
from moeopt.core.wing import Violation

if TYPE_CHECKING:
    from moeopt.buffering.problem import BufferingProblem

#: Most experts of all layers: a misprinted size must not fill the memory.
MAX_ITEMS = 1_000_000

#: Most bytes, or slots, of which one more can still be told.
MOST_BYTES = 2**53


def validate(problem: BufferingProblem) -> None:
    """Raise `InstanceError` for the first thing that is malformed or contradicts another."""
    _check_sizes(problem)
    _check_references(problem)
    _check_facts(problem)
    _check_room(problem)
    _check_options(problem)
    _check_pins(problem)
    _check_seconds(problem)


def impossible(problem: BufferingProblem) -> list[Violation]:
    """Return the constraints that no plan can satisfy, as far as counting alone shows."""
    room = problem.sizes_bytes() if problem.cache_bytes is not None else _ones(problem)
    pinned = problem.pinned_mask()
    pins = (room * pinned).sum(axis=1)
    needed = np.zeros(problem.num_layers)
    if problem.serve == "load":
        asked = np.zeros(pinned.size, dtype=np.bool_)
        asked[problem.item_of()] = True
        needed = np.where(asked.reshape(pinned.shape) & ~pinned, room, 0.0).max(axis=1)
    if problem.budget_bytes is not None:
        return _budget_impossible(problem, pins + needed)
    if problem.pooled:
        pins, needed = pins.sum(keepdims=True), needed.max(keepdims=True)
    name, stated = _stated_room(problem)
    over = pins + needed - np.broadcast_to(stated, pins.shape)
    cache = int(np.argmax(over))
    if over[cache] <= 0:
        return []
    unit = "slots" if name == "slots" else "bytes"
    message = (
        f"cache {cache} needs {pins[cache]:.0f} {unit} for what is pinned and {needed[cache]:.0f}"
        f" for an expert that runs; give it {over[cache]:.0f} more, or pin less"
    )
    return [_violation("C2", f"$.{name}", message, over[cache])]


def _check_sizes(problem: BufferingProblem) -> None:
    items = problem.num_layers * problem.num_experts
    if items > MAX_ITEMS:
        raise InstanceError(
            "$.experts",
            f"<{items} experts>",
            f"must make at most {MAX_ITEMS} experts, counted as layers x experts",
            "is a count misprinted?",
        )
    starts, layers = problem.starts, problem.num_layers
    if starts.ndim != 1 or starts.size <= 1 or (starts.size - 1) % layers:
        raise InstanceError(
            "$.starts",
            f"<shape {starts.shape}>",
            f"must have shape (steps * {layers} + 1,): a step passes every layer once",
            "state where each group's references start, and the end of the last",
        )
    if problem.active.ndim != 1:
        raise InstanceError(
            "$.active",
            f"<shape {problem.active.shape}>",
            "must have one axis, the references group after group",
            "join the groups' lists",
        )


def _check_references(problem: BufferingProblem) -> None:
    starts, active = problem.starts, problem.active
    # Written so that nan is strange; an array of floats has some number that is not whole.
    fine = (starts >= 0) & (starts <= active.size) & (starts == np.floor(starts))
    fine[1:] &= starts[1:] >= starts[:-1]
    fine[0] &= starts[0] == 0
    fine[-1] &= starts[-1] == active.size
    _require_all(
        fine, starts, "starts", f"must rise from 0 to {active.size}, the number of references"
    )
    fine = (active >= 0) & (active < problem.num_experts) & (active == np.floor(active))
    _require_all(fine, active, "active", f"must be an expert, 0 to {problem.num_experts - 1}")
    _check_once(problem)
    sequences = problem.sequence_starts
    if sequences is not None:
        if sequences.ndim != 1 or not sequences.size:
            raise InstanceError(
                "$.sequence_starts",
                f"<shape {sequences.shape}>",
                "must have one axis, and an entry for each sequence",
                "state the first step of each, or leave it out",
            )
        fine = (sequences < problem.num_steps) & (sequences == np.floor(sequences))
        fine[1:] &= sequences[1:] > sequences[:-1]
        fine[0] &= sequences[0] == 0
        _require_all(
            fine,
            sequences,
            "sequence_starts",
            f"must be steps, 0 to {problem.num_steps - 1}, rising from 0",
        )


def _check_once(problem: BufferingProblem) -> None:
    """Refuse an expert that a group asks for twice."""
    active = problem.active
    if active.size < 2:
        return
    rising = active[1:] > active[:-1]
    inner = problem.starts[1:-1]
    rising[inner[(inner > 0) & (inner < active.size)] - 1] = True
    if rising.all():
        return
    group = problem.group_of()
    key = group * problem.num_experts + active
    order = np.argsort(key, kind="stable")
    twice = np.flatnonzero(key[order[1:]] == key[order[:-1]])
    if twice.size:
        at = int(order[twice + 1].min())
        raise InstanceError(
            f"$.active[{at}]",
            int(active[at]),
            f"must stand once in its group: group {int(group[at])} asks for it twice",
            "join its tokens in one reference",
        )


def _check_facts(problem: BufferingProblem) -> None:
    """Check what is stated for each reference, layer or expert."""
    _check_table(problem, "expert_bytes", problem.expert_bytes)
    size = np.asarray(problem.expert_bytes, dtype=np.float64)
    whole = (size >= 1) & (size == np.floor(size))
    _require_all(whole, size, "expert_bytes", "must be a whole number >= 1")
    total = float(problem.sizes_bytes().sum())
    if total > MOST_BYTES:
        raise InstanceError(
            "$.expert_bytes",
            f"<{total:.6g} bytes of all experts>",
            f"must sum up to at most {MOST_BYTES}",
            "state bytes in a larger unit, everywhere",
        )
    _check_table(problem, "load_s", problem.load_s)
    _check_table(problem, "miss_s", problem.miss_s)
    if problem.weights is not None:
        require_shape(problem.weights, "$.weights", (problem.num_references,), "references")
        require_finite_nonnegative(problem.weights, "$.weights")
    if problem.history is not None:
        shape = (problem.num_layers, problem.num_experts)
        require_shape(problem.history, "$.history", shape, "layers, experts")
        require_finite_nonnegative(problem.history, "$.history")
    if problem.timing is not None:
        compute = np.asarray(problem.timing.compute_s)
        if compute.ndim:
            path = "$.timing.compute_s"
            require_shape(compute, path, (problem.num_layers,), "layers")
        require_finite_nonnegative(compute, "$.timing.compute_s")


def _check_table(problem: BufferingProblem, name: str, value: object) -> None:
    if value is None:
        return
    table = np.asarray(value)
    layers, experts = problem.num_layers, problem.num_experts
    if table.shape not in ((), (layers,), (layers, experts)):
        raise InstanceError(
            f"$.{name}",
            f"<shape {table.shape}>",
            f"must be one number, or have shape ({layers},) or ({layers}, {experts})",
            "give one for all, or one for each layer or each expert",
        )
    require_finite_nonnegative(table, f"$.{name}")


def _check_room(problem: BufferingProblem) -> None:
    stated = [
        name
        for name in ("slots", "cache_bytes", "budget_bytes")
        if getattr(problem, name) is not None
    ]
    if len(stated) != 1:
        raise InstanceError(
            f"$.{stated[1] if stated else 'slots'}",
            f"<{' and '.join(stated)}>" if stated else "<missing>",
            "must be the only one stated of slots, cache_bytes and budget_bytes",
            "state how much fits, in one way",
        )
    if stated[0] == "budget_bytes":
        if problem.pooled:
            raise InstanceError(
                "$.budget_bytes",
                problem.budget_bytes,
                "must be left out if pooled: one cache has nothing to divide",
                "state cache_bytes",
            )
        if problem.budget_bytes is not None and problem.budget_bytes > MOST_BYTES:
            raise InstanceError(
                "$.budget_bytes",
                problem.budget_bytes,
                f"must be at most {MOST_BYTES}",
                "that of all experts is enough for any plan",
            )
        return
    name, room = _stated_room(problem)
    shapes: list[tuple[int, ...]] = [()] if problem.pooled else [(), (problem.num_layers,)]
    if room.shape not in shapes:
        others = "" if problem.pooled else f", or have shape {shapes[1]} = (layers,)"
        raise InstanceError(
            f"$.{name}",
            f"<shape {room.shape}>",
            f"must be one number{others}",
            "give the room of each cache",
        )
    whole = (room >= 0) & (room <= MOST_BYTES) & (room == np.floor(room))
    _require_all(whole, room, name, f"must be a whole number, 0 to {MOST_BYTES}")


def _check_options(problem: BufferingProblem) -> None:
    """Refuse rules that the other way of serving never reads."""
    rules: dict[str, tuple[object, bool]] = {
        "loads_per_group": (problem.loads_per_group, problem.loads_per_group is not None),
        "update_period": (problem.update_period, problem.update_period != 1),
        "free_fill": (problem.free_fill, problem.free_fill),
    }
    other, what = "bypass", "residents change between groups"
    if problem.serve == "bypass":
        rules = {"any_order": (problem.any_order, problem.any_order)}
        other, what = "load", "experts are loaded as they run"
    for name, (value, stated) in rules.items():
        if stated:
            raise InstanceError(
                f"$.{name}",
                value,
                f'must be left out with serve="{problem.serve}"',
                f'leave it out, or state serve="{other}", where {what}',
            )


def _check_pins(problem: BufferingProblem) -> None:
    pinned = problem.pinned
    if pinned is None or not pinned.size:
        return
    if pinned.ndim != 2 or pinned.shape[1] != 2:
        raise InstanceError(
            "$.pinned",
            f"<shape {pinned.shape}>",
            "must have shape (pins, 2) = pairs of layer and expert",
            "write [[layer, expert], ..]",
        )
    most = np.array([problem.num_layers, problem.num_experts])
    fine = (pinned >= 0) & (pinned < most) & (pinned == np.floor(pinned))
    _require_all(
        fine,
        pinned,
        "pinned",
        f"must be a layer, 0 to {most[0] - 1}, and an expert, 0 to {most[1] - 1}",
    )
    _, first = np.unique(pinned, axis=0, return_index=True)
    if first.size < len(pinned):
        row = int(np.setdiff1d(np.arange(len(pinned)), first)[0])
        raise InstanceError(
            f"$.pinned[{row}]", pinned[row].tolist(), "must be pinned once", "remove it"
        )


def _check_seconds(problem: BufferingProblem) -> None:
    """Refuse seconds that are asked for and not stated, and prices whose sum would overflow."""
    if problem.objective == "seconds":
        if problem.serve == "load" and problem.load_s is None and problem.timing is None:
            raise InstanceError(
                "$.load_s",
                "<missing>",
                'must be stated for objective="seconds"',
                "state load_s, or timing with the link's rate",
            )
        if problem.serve == "bypass" and problem.miss_s is None:
            raise InstanceError(
                "$.miss_s",
                "<missing>",
                'must be stated for objective="seconds" with serve="bypass"',
                "state the seconds of a reference that is served without its expert",
            )
    with np.errstate(over="ignore", invalid="ignore"):
        changes = problem.num_references
        if problem.serve == "bypass":
            changes = problem.num_groups * problem.num_experts * problem.num_layers
        total = float(problem.load_prices().max()) * changes
        if problem.timing is not None:
            total += float(problem.sizes_bytes().max()) / problem.timing.link_bytes_per_s * changes
        if problem.serve == "bypass":
            total += float(problem.miss_prices().sum())
    if not np.isfinite(total):
        path = "$.load_s" if problem.miss_s is None else "$.miss_s"
        if problem.timing is not None and problem.load_s is None:
            path = "$.timing.link_bytes_per_s"
        raise InstanceError(
            path,
            f"<sum above {np.finfo(float).max:.3g}>",
            "must sum up to a finite number of seconds over all references and loads",
            "rescale seconds, bytes, rates or weights",
        )


def _budget_impossible(
    problem: BufferingProblem, needed: npt.NDArray[np.float64]
) -> list[Violation]:
    """Look for a budget below the slots that pins and an expert that runs take."""
    budget = problem.budget_bytes
    slot = problem.sizes_bytes().max(axis=1)
    least = sum(int(k) * int(b) for k, b in zip(needed, slot, strict=True))
    if budget is None or least <= budget:
        return []
    message = (
        f"{needed.sum():.0f} slots for what is pinned, and for one expert of each layer that runs,"
        f" take {least} bytes; raise the budget, or pin less"
    )
    return [_violation("C6", "$.budget_bytes", message, least - budget)]


def _stated_room(problem: BufferingProblem) -> tuple[str, npt.NDArray[Any]]:
    """Return the name and value of what states the room of each cache."""
    if problem.cache_bytes is not None:
        return "cache_bytes", np.asarray(problem.cache_bytes)
    return "slots", np.asarray(problem.slots)


def _ones(problem: BufferingProblem) -> npt.NDArray[np.float64]:
    return np.ones((problem.num_layers, problem.num_experts))


def _require_all(
    fine: npt.NDArray[np.bool_], array: npt.NDArray[Any], name: str, rule: str
) -> None:
    """Raise `InstanceError` naming the first entry that is not fine."""
    if fine.all():
        return
    where = np.unravel_index(int(np.argmin(fine)), fine.shape)
    index = "".join(f"[{int(i)}]" for i in where)
    raise InstanceError(f"$.{name}{index}", array[where].item(), rule, "correct the entry")


def _violation(constraint: str, path: str, message: str, amount: float) -> Violation:
    return Violation(constraint=constraint, path=path, message=message, amount=float(amount))
