"""One layer of a placement plan as its workers see it: slots of ranks, and shares of copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray, numbers_of
from moeopt.core.errors import InstanceError
from moeopt.core.wing import Violation
from moeopt.placement.plan import PlacementPlan, violations
from moeopt.placement.problem import PlacementProblem
from moeopt.placement.split import shares_of_plan

#: Shares of an expert's copies sum to 1 but for this.
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Layout:
    """Which expert sits in which slot of which rank, and which copy serves whom.

    Attributes
    ----------
    expert_of_slot
        Logical expert in each slot, ranks one after the other, -1 for an empty slot; ``(slots,)``.
    slots_per_rank
        Shape ``(ranks,)``; a rank may have none.
    share
        Of the tokens that a rank sends to a slot's expert, the part that this slot serves;
        ``(ranks, slots)``. Sums to 1 over an expert's slots, 0 for empty ones.
    """

    expert_of_slot: IntArray
    slots_per_rank: IntArray
    share: FloatArray

    def __post_init__(self) -> None:
        _check_slots(self.expert_of_slot, self.slots_per_rank)
        _check_shares(self)

    @classmethod
    def even(cls, expert_of_slot: Any, slots_per_rank: Any) -> Layout:
        """Return a layout whose copies take equal shares, as vLLM's do.

        Parameters
        ----------
        expert_of_slot
            Shape ``(slots,)``; anything that NumPy makes an array of.
        slots_per_rank
            Shape ``(ranks,)``.
        """
        expert = _whole(expert_of_slot, "expert_of_slot")
        slots = _whole(slots_per_rank, "slots_per_rank")
        _check_slots(expert, slots)
        copies = np.bincount(expert[expert >= 0], minlength=1)
        share = np.where(expert >= 0, 1.0 / np.maximum(copies[expert], 1), 0.0)
        return cls(expert, slots, np.repeat(share[None], len(slots), axis=0))

    @classmethod
    def contiguous(cls, experts: int, ranks: int) -> Layout:
        """Return the usual layout: each expert once, in order, ranks as equal as they can be."""
        if ranks < 1:
            raise InstanceError("ranks", ranks, "must be >= 1", "start at least one worker")
        slots = np.full(ranks, experts // ranks)
        slots[: experts % ranks] += 1
        return cls.even(np.arange(experts), slots)

    @property
    def num_ranks(self) -> int:
        """Number of ranks."""
        return len(self.slots_per_rank)

    @property
    def num_slots(self) -> int:
        """Number of slots of all ranks."""
        return len(self.expert_of_slot)

    @property
    def num_experts(self) -> int:
        """Number of logical experts."""
        return int(self.expert_of_slot.max()) + 1

    @property
    def first_slot(self) -> IntArray:
        """Return the first slot of each rank, shape ``(ranks,)``."""
        return np.asarray(np.cumsum(self.slots_per_rank) - self.slots_per_rank)

    @property
    def rank_of_slot(self) -> IntArray:
        """Return the rank of each slot, shape ``(slots,)``."""
        return np.repeat(np.arange(self.num_ranks), self.slots_per_rank)

    def experts_on(self, rank: int) -> IntArray:
        """Return the expert in each slot of a rank, -1 for an empty one."""
        first = int(self.first_slot[rank])
        return self.expert_of_slot[first : first + int(self.slots_per_rank[rank])]

    def served(self, tokens: FloatArray) -> FloatArray:
        """Return the tokens from each rank to each rank, ``(ranks, ranks)``, in expectation.

        Parameters
        ----------
        tokens
            Tokens that each rank sends to each expert, shape ``(ranks, experts)``.
        """
        filled = self.expert_of_slot >= 0
        by_slot = np.where(filled, tokens[:, self.expert_of_slot] * self.share, 0.0)
        on_rank = self.rank_of_slot[:, None] == np.arange(self.num_ranks)
        return np.asarray(by_slot @ on_rank)

    def folded(self, ranks: int) -> Layout:
        """Return the layout of fewer ranks, each with what several consecutive ones had.

        Raises
        ------
        InstanceError
            If the number of ranks is no multiple of it.
        """
        if not 1 <= ranks <= self.num_ranks or self.num_ranks % ranks:
            raise InstanceError(
                "world",
                ranks,
                f"must divide the plan's {self.num_ranks} devices",
                "start as many workers, or a divisor of it",
            )
        slots = self.slots_per_rank.reshape(ranks, -1).sum(axis=1)
        share = self.share.reshape(ranks, -1, self.num_slots).mean(axis=1)
        return Layout(self.expert_of_slot, slots, share)


def require_valid(broken: Sequence[Violation]) -> None:
    """Raise `InstanceError` if a plan breaks its problem's rules."""
    if broken:
        first = broken[0]
        rule = f"must keep {first.constraint}: {first.message}"
        raise InstanceError(first.path, "<the plan>", rule, "solve the problem again")


def layouts_of_plan(problem: PlacementProblem, plan: PlacementPlan) -> list[Layout]:
    """Return one layout for each layer of a plan, with the problem's split of tokens.

    ``"even"``: every copy alike. ``"nearest"``: copies on the sender's device, else on its node,
    else any, evenly. ``"optimal"``: the shares that the mean loads ask for, the same from every
    sender; copies on one device share evenly.

    Raises
    ------
    InstanceError
        If the plan breaks the problem's rules.
    """
    require_valid(violations(problem, plan))
    slots, device = problem.slots(), problem.slot_device()
    tables = plan.physical_to_logical
    if problem.split == "even":
        return [Layout.even(table, slots) for table in tables]
    if problem.split == "nearest":
        near = _nearness(problem)[:, device]
        return [Layout(table, slots, _nearest(table, near)) for table in tables]
    shares = shares_of_plan(problem, plan.copies(problem), problem.mean_loads())
    return [
        Layout(table, slots, _of_devices(table, device, share, problem.num_devices))
        for table, share in zip(tables, shares, strict=True)
    ]


def _nearness(problem: PlacementProblem) -> IntArray:
    """Return 2 on the same device, 1 on the same node, else 0; ``(devices, devices)``."""
    node = problem.cluster.device_node()
    return np.asarray((node[:, None] == node).astype(np.int64) + np.eye(len(node), dtype=np.int64))


def _nearest(table: IntArray, near: IntArray) -> FloatArray:
    """Return the share of each slot for each sender, the nearest copies evenly."""
    share = np.zeros(near.shape)
    for expert in np.unique(table[table >= 0]):
        slots = np.flatnonzero(table == expert)
        nearest = near[:, slots] == near[:, slots].max(axis=1, keepdims=True)
        share[:, slots] = nearest / nearest.sum(axis=1, keepdims=True)
    return share


def _of_devices(table: IntArray, device: IntArray, share: FloatArray, devices: int) -> FloatArray:
    """Return the share of each slot where each device's share, ``(experts, devices)``, is known."""
    filled = table >= 0
    expert = np.where(filled, table, 0)
    pair = expert * devices + device
    copies = np.bincount(pair[filled], minlength=share.size)
    own = np.where(filled, share.ravel()[pair] / np.maximum(copies[pair], 1), 0.0)
    return np.repeat(own[None], devices, axis=0)


def _whole(value: object, path: str) -> IntArray:
    numbers = numbers_of(value, path)
    if (numbers != np.floor(numbers)).any():
        raise InstanceError(path, "<fractions>", "must be whole numbers", "round them")
    return numbers.astype(np.int64)


def _check_slots(expert: IntArray, slots: IntArray) -> None:
    if expert.ndim != 1 or slots.ndim != 1 or len(slots) == 0 or (slots < 0).any():
        rule = "must be slots of at least one rank, none negative"
        raise InstanceError("slots_per_rank", f"<shape {slots.shape}>", rule, "count them")
    if expert.dtype.kind != "i" or slots.dtype.kind != "i":
        shown = f"<{expert.dtype} and {slots.dtype}>"
        raise InstanceError("expert_of_slot", shown, "must be integers", "use Layout.even")
    if slots.sum() != len(expert):
        rule = f"must sum to the {len(expert)} slots of expert_of_slot"
        raise InstanceError("slots_per_rank", int(slots.sum()), rule, "correct either")
    if (expert < -1).any() or not (expert >= 0).any():
        rule = "must be experts, or -1 for an empty slot, and not all empty"
        raise InstanceError("expert_of_slot", "<slots>", rule, "number experts from 0")
    # One more than there are slots: numbers far beyond are no reason to count that far.
    missing = np.setdiff1d(np.arange(min(int(expert.max()), len(expert)) + 1), expert)
    if len(missing):
        rule = f"must hold every expert: {int(missing[0])} has no copy"
        raise InstanceError("expert_of_slot", "<slots>", rule, "place it")


def _check_shares(layout: Layout) -> None:
    shape = (layout.num_ranks, layout.num_slots)
    if layout.share.shape != shape:
        rule = f"must have shape {shape} = (ranks, slots)"
        raise InstanceError("share", f"<shape {layout.share.shape}>", rule, "correct it")
    filled = layout.expert_of_slot >= 0
    total = np.zeros((layout.num_ranks, layout.num_experts))
    np.add.at(total.T, layout.expert_of_slot[filled], layout.share.T[filled])
    fine = (layout.share >= 0).all() and not layout.share[:, ~filled].any()
    if not fine or not np.allclose(total, 1.0, rtol=0, atol=_ROUNDING):
        rule = "must be >= 0, sum to 1 over each expert's slots, and be 0 for empty slots"
        raise InstanceError("share", "<shares>", rule, "Layout.even shares evenly")


def slots_by_expert(layout: Layout, rank: int) -> tuple[IntArray, FloatArray]:
    """Return the filled slots, expert by expert, and for each the sum of shares up to it.

    It is exactly 1 from the last slot of an expert on that has a share.
    """
    filled = np.flatnonzero(layout.expert_of_slot >= 0)
    slot = filled[np.argsort(layout.expert_of_slot[filled], kind="stable")]
    expert, share = layout.expert_of_slot[slot], layout.share[rank, slot]
    count = np.bincount(expert)
    total = np.cumsum(share)
    before = np.append(0.0, total[np.cumsum(count)[:-1] - 1])
    upto = np.clip(total - np.repeat(before, count), 0.0, 1.0)
    # Of an expert's slots with a share, the last one is what stays.
    last = np.zeros(layout.num_experts, dtype=np.int64)
    last[expert[share > 0]] = np.flatnonzero(share > 0)
    return slot, np.where(np.arange(len(slot)) >= last[expert], 1.0, upto)


def require_same_experts(layouts: Sequence[Layout]) -> None:
    """Raise `InstanceError` unless all layouts are of the same experts on as many ranks."""
    sizes = {(layout.num_experts, layout.num_ranks) for layout in layouts}
    if len(sizes) > 1:
        rule = "must have the same experts and ranks"
        raise InstanceError("layouts", f"<{sorted(sizes)}>", rule, "plan them for one model")
