"""A plan drawn before its problem, so that the rules can be stated around it and it keeps them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from moeopt.core.arrays import IntArray


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The sets of a problem, and the structural rules its witness must keep.

    Attributes
    ----------
    layers, experts, groups
        Their numbers.
    device_node
        Node of each device.
    live
        Devices that may hold something.
    min_copies
        Copies that each expert has at least.
    equal_slots
        Whether all devices have the same number of slots.
    one_node
        Whether a group stays on one node.
    distinct_nodes
        Whether copies of an expert sit on distinct nodes.
    duplicates
        Whether a device may hold an expert twice.
    sparse
        Whether slots may stay empty though something would fit.
    """

    layers: int
    experts: int
    groups: int
    device_node: IntArray
    live: tuple[int, ...]
    min_copies: int = 1
    equal_slots: bool = True
    one_node: bool = False
    distinct_nodes: bool = False
    duplicates: bool = False
    sparse: bool = False

    def most_copies(self) -> int:
        """Return how many copies an expert can have whatever the slots and groups."""
        if self.distinct_nodes:
            return 1 if self.one_node else len({int(self.device_node[g]) for g in self.live})
        if self.duplicates:
            return 3
        if not self.one_node:
            return len(self.live)
        nodes = [int(self.device_node[g]) for g in self.live]
        return min(nodes.count(node) for node in nodes)


@dataclass(frozen=True)
class Witness:
    """A plan and the slots it needs.

    Attributes
    ----------
    slots
        Slots of each device.
    table
        Expert in each slot, shape ``(layers, slots)``, -1 for an empty slot.
    """

    slots: tuple[int, ...]
    table: IntArray

    def copies(self, experts: int) -> IntArray:
        """Return the copies of each expert on each device, ``(layers, experts, devices)``."""
        device = np.repeat(np.arange(len(self.slots)), self.slots)
        copies = np.zeros((len(self.table), experts, len(self.slots)), dtype=np.int64)
        for layer, row in enumerate(self.table):
            held = row >= 0
            np.add.at(copies[layer], (row[held], device[held]), 1)
        return copies


@st.composite
def witnesses(draw: st.DrawFn, sizes: Sizes) -> Witness:
    """Draw a plan that keeps the structural rules of `sizes`, and its slots."""
    slots = draw(_slots(sizes))
    held = [_hold_all(draw, sizes, slots) for _ in range(sizes.layers)]
    grown = [max(s, *(len(layer[g]) for layer in held)) for g, s in enumerate(slots)]
    if sizes.equal_slots:
        grown = [max(grown)] * len(grown)
    rows = []
    for layer in held:
        _fill(draw, sizes, grown, layer)
        rows.append([e for g, n in enumerate(grown) for e in _padded(layer[g], n)])
    table = np.array(rows, dtype=np.int64).reshape(sizes.layers, sum(grown))
    return Witness(tuple(grown), table)


@st.composite
def _slots(draw: st.DrawFn, sizes: Sizes) -> list[int]:
    """Draw slots of each device, enough in all for the least copies of each expert."""
    devices = len(sizes.device_node)
    fewest = -(-sizes.experts * sizes.min_copies // len(sizes.live))
    if sizes.equal_slots:
        return [fewest + draw(st.integers(0, 2))] * devices
    # Dead devices and some live ones may have none: the witness grows what it needs.
    return draw(st.lists(st.integers(0, fewest + 2), min_size=devices, max_size=devices))


def _hold_all(draw: st.DrawFn, sizes: Sizes, slots: list[int]) -> list[list[int]]:
    """Give every expert its least copies in one layer; a device may exceed its slots."""
    held: list[list[int]] = [[] for _ in slots]
    homes = _homes(draw, sizes)
    count = sizes.experts * sizes.min_copies
    wishes = draw(st.lists(st.integers(0, len(slots) - 1), min_size=count, max_size=count))
    for i, wish in enumerate(wishes):
        expert = i % sizes.experts
        able = [g for g in sizes.live if _accepts(sizes, held, homes, expert, g)]
        nearest = sorted(able, key=lambda g: (g - wish) % len(slots))
        free = [g for g in nearest if len(held[g]) < slots[g]]
        home = free[0] if free else min(able, key=lambda g: len(held[g]) - slots[g])
        held[home].append(expert)
    return held


def _homes(draw: st.DrawFn, sizes: Sizes) -> list[int] | None:
    """Draw the node of each group, if a group must stay on one."""
    if not sizes.one_node:
        return None
    nodes = sorted({int(sizes.device_node[g]) for g in sizes.live})
    return draw(st.lists(st.sampled_from(nodes), min_size=sizes.groups, max_size=sizes.groups))


def _accepts(
    sizes: Sizes, held: list[list[int]], homes: list[int] | None, expert: int, device: int
) -> bool:
    """Tell whether another copy of `expert` on `device` keeps the structural rules."""
    node = sizes.device_node[device]
    group = expert * sizes.groups // sizes.experts
    if homes is not None and homes[group] != node:
        return False
    if sizes.distinct_nodes:
        return not any(
            expert in there for g, there in enumerate(held) if sizes.device_node[g] == node
        )
    return sizes.duplicates or expert not in held[device]


def _fill(draw: st.DrawFn, sizes: Sizes, slots: list[int], held: list[list[int]]) -> None:
    """Fill the free slots of live devices with further copies, or leave them empty."""
    homes: list[int] | None = None
    if sizes.one_node:
        homes = _homes_of(sizes, held)
    for g in sizes.live:
        while len(held[g]) < slots[g]:
            able = [e for e in range(sizes.experts) if _accepts(sizes, held, homes, e, g)]
            if not able or (sizes.sparse and draw(st.booleans())):
                break
            held[g].append(draw(st.sampled_from(able)))


def _homes_of(sizes: Sizes, held: list[list[int]]) -> list[int]:
    node = {e: int(sizes.device_node[g]) for g, there in enumerate(held) for e in there}
    return [node[group * sizes.experts // sizes.groups] for group in range(sizes.groups)]


def _padded(experts: list[int], slots: int) -> list[int]:
    return experts + [-1] * (slots - len(experts))
