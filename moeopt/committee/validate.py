"""Checks of a stated committee problem: what is malformed, and what no plan can satisfy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from moeopt.committee.plan import TOLERANCE, latency_s, memory_bytes
from moeopt.core.arrays import require_finite_nonnegative
from moeopt.core.errors import InstanceError
from moeopt.core.wing import Violation

if TYPE_CHECKING:
    from moeopt.committee.problem import CommitteeProblem

#: Most experts of all layers: a misprinted size must not fill the memory.
MAX_ITEMS = 1_000_000

#: Most bytes of which one more can still be told.
MOST_BYTES = 2**53


def validate(problem: CommitteeProblem) -> None:
    """Raise `InstanceError` for the first thing that is malformed or contradicts another."""
    _check_sizes(problem)
    _check_stated(problem)
    _check_periods(problem)
    _check_losses(problem)
    _check_windows(problem)
    _check_bytes(problem)
    _check_slots(problem)
    _check_seconds(problem)
    _check_sums(problem)


def impossible(problem: CommitteeProblem) -> list[Violation]:
    """Return the constraints that no plan can satisfy, as far as counting alone shows."""
    return [
        *_budget_impossible(problem),
        *_latency_impossible(problem),
        *_link_impossible(problem),
    ]


def _check_sizes(problem: CommitteeProblem) -> None:
    items = problem.num_layers * problem.num_experts
    if items > MAX_ITEMS:
        raise InstanceError(
            "$.experts",
            f"<{items} experts>",
            f"must make at most {MAX_ITEMS} experts, counted as layers x experts",
            "is a count misprinted?",
        )


def _check_stated(problem: CommitteeProblem) -> None:
    """Refuse data that the loss needs and are missing, and data that it never reads."""
    loss = problem.loss
    needs = _losses_of(problem)
    if getattr(problem, needs) is None:
        raise InstanceError(
            f"$.{needs}",
            "<missing>",
            f'must be stated for loss="{loss}"',
            f"state {needs}, or another loss",
        )
    read_by: dict[str, tuple[bool, tuple[str, ...]]] = {
        "importance": (problem.importance is not None, ("additive",)),
        "router": (problem.router is not None, ("masked", "skip")),
        "window_starts": (problem.window_starts is not None, ("masked", "skip")),
        "table": (problem.table is not None, ("table",)),
        "swaps": (problem.swaps is not None, ("table",)),
        "load_price": (_some(problem.load_price), ("additive", "masked", "skip")),
        "free_fill": (not problem.free_fill, ("additive", "masked", "skip")),
    }
    for name, (stated, losses) in read_by.items():
        if stated and loss not in losses:
            names = " or ".join(f'"{one}"' for one in losses)
            raise InstanceError(
                f"$.{name}",
                _shown(getattr(problem, name)),
                f'must be left out with loss="{loss}", which does not read it',
                f"leave it out, or state loss={names}",
            )


def _check_periods(problem: CommitteeProblem) -> None:
    periods = problem.periods
    if periods is None:
        return
    if periods.ndim != 1 or not periods.size:
        raise InstanceError(
            "$.periods",
            f"<shape {periods.shape}>",
            "must have shape (periods,), and an entry at least",
            "state each that the plan may choose, or leave it out for 1",
        )
    fine = (periods >= 1) & (periods <= MOST_BYTES) & (periods == np.floor(periods))
    _require_all(fine, periods, "periods", "must be a whole number of windows >= 1")
    _, first = np.unique(periods, return_index=True)
    if first.size < periods.size:
        at = int(np.setdiff1d(np.arange(periods.size), first)[0])
        raise InstanceError(f"$.periods[{at}]", int(periods[at]), "must be named once", "remove it")


def _check_windows(problem: CommitteeProblem) -> None:
    starts, router = problem.window_starts, problem.router
    if starts is None or router is None:
        return
    if starts.ndim != 1 or not starts.size:
        raise InstanceError(
            "$.window_starts",
            f"<shape {starts.shape}>",
            "must have shape (windows,), and an entry at least",
            "state the first token of each window, or leave it out for one",
        )
    tokens = router.shape[0]
    fine = (starts < tokens) & (starts == np.floor(starts))
    fine[1:] &= starts[1:] > starts[:-1]
    fine[0] &= starts[0] == 0
    _require_all(fine, starts, "window_starts", f"must be tokens, 0 to {tokens - 1}, rising from 0")


def _check_losses(problem: CommitteeProblem) -> None:
    """Check the shapes and entries of what absent experts cost."""
    layers, experts = problem.num_layers, problem.num_experts
    for name in ("importance", "router"):
        stated = getattr(problem, name)
        if stated is None:
            continue
        first = "windows" if name == "importance" else "tokens"
        if stated.ndim != 3 or not stated.shape[0] or stated.shape[1:] != (layers, experts):
            raise InstanceError(
                f"$.{name}",
                f"<shape {stated.shape}>",
                f"must have shape ({first}, {layers}, {experts}) = ({first}, layers, experts)",
                f"give one entry for each, and one of the {first} at least",
            )
        require_finite_nonnegative(stated, f"$.{name}")
    for name in ("table", "swaps"):
        stated = getattr(problem, name)
        if stated is None:
            continue
        by_layer = (layers, experts + 1)
        shapes = (by_layer, (problem.choices().size, *by_layer))
        if stated.shape not in shapes:
            raise InstanceError(
                f"$.{name}",
                f"<shape {stated.shape}>",
                f"must have shape {shapes[0]} = (layers, experts + 1) or {shapes[1]} = (periods,"
                " layers, experts + 1)",
                "give an entry for each number of slots from 0 to all experts",
            )
        require_finite_nonnegative(stated, f"$.{name}")
    if problem.swaps is not None:
        slots = np.broadcast_to(np.arange(experts + 1), problem.swaps.shape)
        _require_all(
            problem.swaps <= slots,
            problem.swaps,
            "swaps",
            "must be at most the number of slots, the last index: no more can be replaced",
        )


def _check_bytes(problem: CommitteeProblem) -> None:
    for name, least in (("expert_bytes", 1), ("activation_bytes", 0), ("staging_slots", 0)):
        _check_by_layer(problem, name)
        value = np.asarray(getattr(problem, name), dtype=np.float64)
        fine = (value >= least) & (value == np.floor(value))
        _require_all(fine, value, name, f"must be a whole number >= {least}")
    experts = problem.num_experts + problem.by_layer(problem.staging_slots)
    with np.errstate(over="ignore"):
        activations = problem.num_experts * problem.by_layer(problem.activation_bytes)
        # Cut off, as Python turns no integer beyond the range of floats into one.
        total = float(min(problem.fixed_bytes, 2 * MOST_BYTES))
        total += float((experts * problem.sizes_bytes() + activations).sum())
    if total > MOST_BYTES:
        raise InstanceError(
            "$.expert_bytes",
            f"<{total:.6g} bytes of everything>",
            f"must sum up to at most {MOST_BYTES}: all experts, their activations, staging slots"
            " and what is fixed",
            "state bytes in a larger unit, everywhere",
        )
    if problem.budget_bytes > MOST_BYTES:
        raise InstanceError(
            "$.budget_bytes",
            problem.budget_bytes,
            f"must be at most {MOST_BYTES}",
            "that of all experts is enough for any plan",
        )


def _check_slots(problem: CommitteeProblem) -> None:
    experts = problem.num_experts
    for name in ("min_slots", "max_slots"):
        if getattr(problem, name) is None:
            continue
        _check_by_layer(problem, name)
        value = np.asarray(getattr(problem, name))
        fine = (value >= 0) & (value <= experts) & (value == np.floor(value))
        _require_all(fine, value, name, f"must be a whole number of experts, 0 to {experts}")
    fewest, most = problem.fewest(), problem.most()
    if (fewest > most).any():
        layer = int(np.argmax(fewest > most))
        stated = "top_k, as min_slots is left out" if problem.min_slots is None else "min_slots"
        raise InstanceError(
            "$.max_slots",
            int(most[layer]),
            f"must be at least {fewest[layer]} in layer {layer}: {stated}",
            "allow more slots, or state a smaller min_slots",
        )


def _check_seconds(problem: CommitteeProblem) -> None:
    """Check latency and link, of which some are read only beside others."""
    for name in ("slot_s", "load_price"):
        _check_by_layer(problem, name)
    pairs = (("link_bytes_per_s", "window_s"), ("window_s", "link_bytes_per_s"))
    for name, other in pairs:
        if getattr(problem, name) is not None and getattr(problem, other) is None:
            raise InstanceError(
                f"$.{other}",
                "<missing>",
                f"must be stated beside {name}: the link carries bytes for seconds",
                f"state {other}, or leave {name} out",
            )
    if problem.loss == "table" and problem.link_bytes_per_s is not None and problem.swaps is None:
        raise InstanceError(
            "$.swaps",
            "<missing>",
            'must be stated for a link with loss="table"',
            "state how many experts an update replaces, or leave link_bytes_per_s out",
        )


def _check_sums(problem: CommitteeProblem) -> None:
    """Refuse numbers whose sums would not be finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        loss = sum(_sum(table) for table in (problem.importance, problem.router, problem.table))
        # Losses and the price of loads are one objective.
        paid = loss + _most_paid(problem)
        sums = {_losses_of(problem): loss, "load_price": paid, "slot_s": _most_seconds(problem)}
        sums["link_bytes_per_s"] = _most_carried(problem)
    for name, total in sums.items():
        if not np.isfinite(total):
            raise InstanceError(
                f"$.{name}",
                f"<sum above {np.finfo(float).max:.3g}>",
                "must sum up to a finite number over all windows, layers and experts",
                "rescale it",
            )


def _losses_of(problem: CommitteeProblem) -> str:
    """Return the name of the data that the loss reads."""
    names = {"additive": "importance", "masked": "router", "skip": "router", "table": "table"}
    return names[problem.loss]


def _sum(table: npt.NDArray[np.float64] | None) -> float:
    return 0.0 if table is None else float(table.sum())


def _most_paid(problem: CommitteeProblem) -> float:
    """Return the price of loading everything before every window."""
    loads = problem.num_windows * problem.num_experts
    return float(problem.by_layer(problem.load_price).sum()) * loads


def _most_seconds(problem: CommitteeProblem) -> float:
    return problem.base_s + float(problem.by_layer(problem.slot_s).sum()) * problem.num_experts


def _most_carried(problem: CommitteeProblem) -> float:
    if problem.link_bytes_per_s is None:
        return 0.0
    return problem.load_bytes(int(problem.choices().max()))


def _budget_impossible(problem: CommitteeProblem) -> list[Violation]:
    """Look for a budget below the fewest slots and what is always there."""
    fewest = problem.fewest()
    needed = memory_bytes(problem, fewest)
    over = needed - problem.budget_bytes
    if over <= 0:
        return []
    message = (
        f"{fewest.sum()} slots, the fewest allowed, with what is fixed and staging slots, take"
        f" {needed} bytes; raise the budget or lower min_slots"
    )
    return [_violation("C1", "$.budget_bytes", message, over)]


def _latency_impossible(problem: CommitteeProblem) -> list[Violation]:
    """Look for a latency that the fewest slots exceed."""
    fewest, limit = problem.fewest(), problem.latency_s
    if limit is None:
        return []
    needed = latency_s(problem, fewest)
    if needed <= limit * (1 + TOLERANCE):
        return []
    message = (
        f"{fewest.sum()} slots, the fewest allowed, take {needed:.6g} s; allow more, or lower"
        " min_slots"
    )
    return [_violation("C2", "$.latency_s", message, needed - limit)]


def _link_impossible(problem: CommitteeProblem) -> list[Violation]:
    """Look for tables in which every number of slots replaces more than the link carries."""
    if problem.swaps is None or problem.link_bytes_per_s is None:
        return []
    slots = np.arange(problem.num_experts + 1)
    allowed = (slots >= problem.fewest()[:, None]) & (slots <= problem.most()[:, None])
    replaced = np.where(allowed, problem.swaps, np.inf).min(axis=-1)
    least = (problem.sizes_bytes() * replaced).sum(axis=-1)
    carried = np.array([problem.load_bytes(int(p)) for p in problem.choices()])
    over = least - carried
    if (over <= carried * TOLERANCE).any():
        return []
    best = int(np.argmin(over))
    message = (
        f"an update replaces {np.broadcast_to(least, over.shape)[best]:.6g} bytes at least, and"
        f" the link carries {carried[best]:.6g} in a period; allow longer periods or other slots"
    )
    return [_violation("C3", "$.link_bytes_per_s", message, over[best])]


def _check_by_layer(problem: CommitteeProblem, name: str) -> None:
    """Refuse what is neither one number nor one for each layer, each finite and >= 0."""
    value = np.asarray(getattr(problem, name))
    if value.shape not in ((), (problem.num_layers,)):
        raise InstanceError(
            f"$.{name}",
            f"<shape {value.shape}>",
            f"must be one number, or have shape ({problem.num_layers},) = (layers,)",
            "give one for all, or one for each layer",
        )
    require_finite_nonnegative(value, f"$.{name}")


def _some(value: object) -> bool:
    """Tell whether anything but 0 is stated."""
    return bool((np.asarray(value) != 0).any())


def _shown(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.item() if not value.ndim else f"<shape {value.shape}>"
    return value


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
