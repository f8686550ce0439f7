"""All that a device can hold, weighed: the groups that exact solving chooses from.

A group is a class of interchangeable devices with the experts of each model that one of them holds.
A plan is a choice of groups in which every expert is in one, and of each class no more than it has
devices: a set partition. What a group takes is known in advance, whatever shares a device.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moeopt.colocation.layout import Layout, layout_of
from moeopt.colocation.plan import TOLERANCE
from moeopt.colocation.problem import ColocationProblem
from moeopt.colocation.weights import DeviceClass, Loads, Parts, device_classes, parts_of
from moeopt.core.arrays import BoolArray, IntArray


@dataclass(frozen=True, eq=False)
class Groups:
    """What devices can hold; groups without any expert are left out.

    Attributes
    ----------
    classes
        The classes of devices.
    kind
        The class of each group, shape ``(groups,)``.
    member
        Which experts are in it, shape ``(models, groups, experts)``.
    parts
        What each model takes on its device, arrays ``(models, groups)``.
    """

    classes: list[DeviceClass]
    kind: IntArray
    member: BoolArray
    parts: Parts

    def device_of(self, chosen: IntArray) -> IntArray:
        """Return the device of each expert, ``(models, experts)``, if these groups are taken.

        Devices of a class are taken in order; experts in no group get -1.
        """
        device = np.full((self.member.shape[0], self.member.shape[2]), -1, dtype=np.int64)
        taken = [0] * len(self.classes)
        for group in chosen.tolist():
            kind = int(self.kind[group])
            device[self.member[:, group]] = self.classes[kind].devices[taken[kind]]
            taken[kind] += 1
        return device


@dataclass(frozen=True)
class _Choice:
    """The sets of a model's experts that a device may hold, all with what is pinned there.

    Attributes
    ----------
    kept
        Experts that are in every set.
    free
        Experts that may join.
    sizes
        How many experts a set may have.
    """

    kept: tuple[int, ...]
    free: tuple[int, ...]
    sizes: range

    def count(self) -> int:
        """Return how many sets there are."""
        return sum(math.comb(len(self.free), size - len(self.kept)) for size in self.sizes)

    def sets(self) -> list[tuple[int, ...]]:
        """Return all the sets."""
        return [
            (*self.kept, *more)
            for size in self.sizes
            for more in itertools.combinations(self.free, size - len(self.kept))
        ]


def count_groups(problem: ColocationProblem) -> int:
    """Return how many groups there are, memory aside, without making any."""
    layout = layout_of(problem)
    return sum(
        math.prod(choice.count() for choice in _choices(problem, layout, kind))
        for kind in device_classes(layout)
    )


def groups_of(problem: ColocationProblem) -> Groups:
    """Return all the groups that pins, places and memory allow."""
    layout = layout_of(problem)
    classes = device_classes(layout)
    kinds, members = [], []
    for index, kind in enumerate(classes):
        tables = [
            _table(choice.sets(), problem.num_experts) for choice in _choices(problem, layout, kind)
        ]
        mixed = np.meshgrid(*(np.arange(len(table)) for table in tables), indexing="ij")
        member = np.stack([table[pick.ravel()] for table, pick in zip(tables, mixed, strict=True)])
        size = np.tensordot(layout.size, member.sum(axis=2), axes=1)
        fits = (size <= kind.budget * (1 + TOLERANCE)) & member.any(axis=(0, 2))
        members.append(member[:, fits])
        kinds.append(np.full(int(fits.sum()), index))
    kind_of = np.concatenate(kinds)
    joined = np.concatenate(members, axis=1)
    speed = np.array([kind.speed for kind in classes])[kind_of]
    port = np.array([kind.port for kind in classes])[kind_of]
    return Groups(classes, kind_of, joined, parts_of(layout, _loads(layout, joined), speed, port))


def _choices(problem: ColocationProblem, layout: Layout, kind: DeviceClass) -> list[_Choice]:
    """Return what each model may have on a device of a class."""
    return [_choice(problem, layout, kind, m) for m in range(problem.num_models)]


def _choice(problem: ColocationProblem, layout: Layout, kind: DeviceClass, m: int) -> _Choice:
    experts = range(int(layout.count[m]))
    here = layout.allowed[m][:, kind.devices[0]]
    kept = tuple(e for e in experts if kind.pinned and here[e] and layout.allowed[m, e].sum() == 1)
    free = tuple(e for e in experts if here[e] and e not in kept)
    # What the other devices cannot hold this one must.
    least = max(len(kept), len(experts) - problem.experts_per_device * (problem.num_devices - 1))
    most = min(problem.experts_per_device, len(kept) + len(free))
    return _Choice(kept, free, range(least, most + 1))


def _table(sets: Sequence[tuple[int, ...]], experts: int) -> BoolArray:
    table = np.zeros((len(sets), experts), dtype=np.bool_)
    for row, members in enumerate(sets):
        table[row, list(members)] = True
    return table


def _loads(layout: Layout, member: BoolArray) -> Loads:
    """Return what each model has on a device that holds these experts, arrays of (models, groups).

    What experts of a group exchange needs no network. What does is summed as it is: a difference
    of sums would be something where all stays inside.
    """
    held = member.astype(np.float64)
    pairs = list(zip(held, layout.traffic, strict=True))
    return Loads(
        sent=np.stack([((one @ traffic) * (1.0 - one)).sum(axis=1) for one, traffic in pairs]),
        received=np.stack(
            [((one @ traffic.T) * (1.0 - one)).sum(axis=1) for one, traffic in pairs]
        ),
        tokens=np.einsum("mke,me->mk", held, layout.tokens),
        held=np.asarray(member.any(axis=2), dtype=np.float64),
    )
