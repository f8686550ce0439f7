"""The online policy: it watches loads window by window and decides when and how much to move.

Three things decide, none of them a constant threshold: what is known of the loads
(`moeopt.placement.motion.estimate`), how long that may be expected to last, and what a plan saves
and costs meanwhile (`moeopt.placement.motion.worth`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray, numbers_of, own_array, require_shape
from moeopt.core.errors import InstanceError
from moeopt.describe.cluster import Cluster, Device, Node, NodeGroup
from moeopt.placement.motion.estimate import Estimate, Known
from moeopt.placement.motion.simulate import World
from moeopt.placement.motion.worth import Offer, Worth, sampled
from moeopt.placement.problem import PlacementProblem
from moeopt.placement.replan import replan_front

#: Windows that are drawn to judge plans by.
DRAWS = 16


@dataclass(frozen=True, eq=False)
class Decision:
    """What the policy decided after a window, and why.

    Attributes
    ----------
    known
        What was known of the loads.
    batches_ahead
        Batches for which a change of each layer was expected to serve, ``(layers,)``.
    worth
        The best migration found; ``None`` if not even perfect balance would have paid for one.
    """

    known: Known
    batches_ahead: FloatArray
    worth: Worth | None

    @property
    def moved(self) -> bool:
        """Whether a new plan was given."""
        return self.worth is not None and self.worth.layers > 0

    def why(self) -> str:
        """Return the decision in a sentence."""
        if self.worth is None:
            return "stays: perfect balance would not save what one expert's move takes"
        if not self.moved:
            return "stays: no plan saves what its migration takes"
        worth, most = self.worth, float(self.batches_ahead.max())
        return (
            f"changes {worth.layers} of {len(worth.table)} layers: saves {worth.saved_s:.3g} s a "
            f"batch and pays after {worth.break_even_batches:.3g} batches, "
            f"of up to {most:.3g} expected"
        )


class Online:
    """Replans when the seconds that it expects to save exceed those of the migration.

    The same windows give the same plans. Memory does not grow with the stream.

    Parameters
    ----------
    false_alarms
        Changes of the loads noticed in each window where there are none: see `Estimate`.
    remembered
        Regimes of loads that are known again when they return.

    Attributes
    ----------
    estimate
        What is known of the loads, ``None`` before the first window.
    last
        The last decision, ``None`` before the first window.
    """

    name = "online"

    def __init__(self, *, false_alarms: float = 1e-3, remembered: int = 8) -> None:
        self._false_alarms = false_alarms
        self._remembered = remembered
        # Refuses at once what it would refuse later.
        self._new_estimate(1, 1)
        self._world: World | None = None
        self.estimate: Estimate | None = None
        self.last: Decision | None = None

    def start(self, world: World, table: IntArray) -> None:
        """Begin a stream afresh.

        Parameters
        ----------
        world
            What is served and what it costs.
        table
            The plan in force, ``(layers, slots)``.
        """
        self._world = world
        self._layers = len(table)
        _plan(world, table, self._layers)
        self.estimate = None
        # The window after which each layer was last changed.
        self._changed = np.zeros(self._layers)
        self.last = None

    def observe(self, loads: FloatArray, table: IntArray) -> IntArray | None:
        """Take in a window; return a new plan, or ``None`` to stay.

        Parameters
        ----------
        loads
            Tokens of each expert in the window that has just ended, ``(layers, experts)``.
        table
            The plan in force; one that is on its way counts as done.
        """
        world = self._world
        if world is None:
            raise InstanceError(
                "observe", "<no stream>", "must come after start()", "call start(world, table)"
            )
        window, table = numbers_of(loads, "loads"), _plan(world, table, self._layers)
        if window.ndim != 2 or len(window) != self._layers or table.max() >= window.shape[1]:
            rule = f"must have shape ({self._layers}, experts), with all experts of the plan"
            raise InstanceError("loads", f"<shape {window.shape}>", rule, "give one window")
        if self.estimate is None:
            self.estimate = self._new_estimate(*window.shape)
        known = self.estimate.add(window)
        windows = self._windows_ahead(known)
        worth = self._best(world, self.estimate, table, windows) if known.windows else None
        self.last = Decision(known, windows * world.batches_per_window, worth)
        if worth is None or not worth.layers:
            return None
        self._changed[(worth.table != table).any(axis=1)] = known.windows
        return worth.table

    def _new_estimate(self, layers: int, experts: int) -> Estimate:
        return Estimate(
            layers, experts, false_alarms=self._false_alarms, remembered=self._remembered
        )

    def _windows_ahead(self, known: Known) -> FloatArray:
        """Return for how long a change of each layer is expected to serve, ``(layers,)``.

        Until the loads change; but if the layer was planned since they last did, what is wrong
        with its plan took so long to show, and is expected to take as long to be wrong again.
        """
        regime = np.full(len(self._changed), known.windows_to_change)
        planned = self._changed > known.windows - known.since_change
        return np.where(planned, np.minimum(regime, known.windows - self._changed), regime)

    def _best(
        self, world: World, estimate: Estimate, table: IntArray, windows: FloatArray
    ) -> Worth | None:
        """Return the best migration, ``None`` if perfect balance would not pay for one."""
        batches = windows * world.batches_per_window
        # Spread over the time for which a change would serve.
        ahead = (np.arange(DRAWS) + 0.5) / DRAWS * float(windows.mean())
        draws = world.batch_loads(estimate.draws(ahead))
        layers = np.flatnonzero(_most_saved_s(world, draws, table) * batches > _least_s(world))
        if not len(layers):
            return None
        expected = world.batch_loads(estimate.loads())
        front = replan_front(_problem(world, expected[layers], table[layers]))
        tables = [table]
        for part in sampled(front):
            whole = table.copy()
            whole[layers] = part
            tables.append(whole)
        offer = Offer.of(tables, draws, world.costs, world.slots_per_device)
        return offer.best(
            batches, overlapped=world.overlapped, batches_to_next=world.batches_per_window
        )


def _plan(world: World, table: IntArray, layers: int) -> IntArray:
    """Return a plan in force as whole numbers, of the world's shape."""
    plan = own_array(table, "table", np.int64)
    require_shape(plan, "table", (layers, world.num_slots), "layers, slots")
    if not plan.size or plan.dtype != np.int64 or plan.min() < -1:
        rule = "must hold experts, or -1 for an empty slot"
        raise InstanceError("table", "<entries>", rule, "give the plan in force")
    return plan


def _most_saved_s(world: World, draws: FloatArray, table: IntArray) -> FloatArray:
    """Return the seconds of a batch that perfect balance would save in each layer."""
    costs, speed = world.costs, world.costs.relative_speed
    served = costs.served(draws, table, world.slots_per_device)
    even = served.sum(axis=-1, keepdims=True) * (speed / speed.sum())
    saved = costs.of_served(served).total_s - costs.of_served(even).total_s
    return np.asarray(saved.mean(axis=0))


def _least_s(world: World) -> float:
    """Return what the migration of one expert costs in seconds of serving."""
    costs = world.costs
    return 0.0 if world.overlapped else costs.expert_bytes / float(costs.port_bytes_per_s.min())


def _problem(world: World, loads: FloatArray, table: IntArray) -> PlacementProblem:
    """Return the problem of replanning some layers."""
    speeds = world.costs.relative_speed.tolist()
    nodes = [Node(device=Device(relative_speed=speed), devices=1) for speed in speeds]
    crowded = world.slots_per_device > loads.shape[1]
    return PlacementProblem(
        loads_tokens=loads,
        cluster=Cluster(nodes=tuple(NodeGroup(node=node) for node in nodes)),
        slots_per_device=world.slots_per_device,
        expert_bytes=world.costs.expert_bytes,
        max_copies_per_device=None if crowded else 1,
        allow_empty_slots=bool((table < 0).any()),
        previous=table,
    )
