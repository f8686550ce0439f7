"""Plans in force and the loads that come after: what the replanning parts of the bench share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from moeopt.bench.balance import device_loads, imbalance
from moeopt.bench.contenders import ours
from moeopt.bench.peers import Contender, find, table_of
from moeopt.bench.registry import Setting
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.describe.cluster import Cluster
from moeopt.placement.generate import SHAPES, Layout, drift, loads
from moeopt.placement.plan import moved_bytes
from moeopt.placement.problem import PlacementProblem
from moeopt.placement.relabel import device_kinds, relabelled
from moeopt.placement.replan import Front, replan_front

#: The system whose full replans are compared with.
PEER = "vllm"


@dataclass(frozen=True, eq=False)
class Change:
    """A plan in force, and the loads that it meets.

    Attributes
    ----------
    name
        For tables.
    layout
        Sizes.
    previous
        The plan, ``(layers, slots)``.
    loads
        Tokens of each expert now, ``(layers, experts)``.
    """

    name: str
    layout: Layout
    previous: IntArray
    loads: FloatArray

    def problem(self, copies: int | None = None) -> PlacementProblem:
        """Return the problem of replanning, in which moved bytes are transfers.

        Parameters
        ----------
        copies
            Most copies of an expert on one device.
        """
        row = self.layout
        return PlacementProblem(
            loads_tokens=self.loads,
            cluster=Cluster.uniform(row.devices, row.nodes),
            slots_per_device=row.slots_per_device,
            previous=self.previous,
            expert_bytes=1,
            max_copies_per_device=copies,
            groups=row.groups,
            group_rule="one_node" if row.hierarchical else "free",
        )

    def front(self, copies: int | None = None, **options: Any) -> Front:
        """Return moeopt's front, whose moved bytes are transfers.

        Parameters
        ----------
        copies
            As for `problem`.
        **options
            As for `replan_front`.
        """
        return replan_front(self.problem(copies), **options)

    @cached_property
    def all_slots(self) -> int:
        """Slots of all layers."""
        return self.previous.size

    def imbalance(self, table: IntArray) -> float:
        """Return a plan's largest load over the mean, averaged over layers."""
        return float(imbalance(device_loads(table, self.loads, self.layout.devices)).mean())

    def transfers(self, table: IntArray) -> int:
        """Return how many experts must be copied for a plan."""
        return round(moved_bytes(self.problem(), table))

    def relabelled(self, table: IntArray) -> IntArray:
        """Return a plan with its devices renumbered so that the fewest experts move."""
        slot_start = self.layout.slots_per_device * np.arange(self.layout.devices + 1)
        kind = device_kinds(self.problem())
        return relabelled(table, self.previous, slot_start, kind=kind)


def drifted(shape: str, planner: Contender) -> tuple[Change, IntArray]:
    """Return a shape planned on lognormal loads after 20 % drift, and the planner's full replan."""
    row = SHAPES[shape]
    before = loads("logn1", row.layers, row.experts)
    after = drift(before)
    old, new = (table_of(planner.bind(tokens, row)()) for tokens in (before, after))
    return Change(shape, row, old, after), new


@contextlib.contextmanager
def planning(setting: Setting) -> Iterator[Contender]:
    """Give what plans are compared with: vLLM's policy if it is there, else moeopt's EPLB."""
    with find(setting.peers) as peers:
        yield next((one for one in peers.contenders if one.name == PEER), ours("eplb"))
