"""Locality against balance: swaps that let groups leave their nodes as little as it takes.

A plan with every group on one node sends no token of a group to a second node, and is limited by
the hottest node. From there experts are swapped towards lower and lower loads, each time the pair
that cools the hottest device most for the tokens that cross nodes; every step on the way is a
compromise between the two ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.placement import balance
from moeopt.placement.bounds import layer_bounds
from moeopt.placement.plan import PlacementPlan
from moeopt.placement.problem import PlacementProblem

#: Largest loads that a layer is cooled to, evenly from its first plan's down to its bound.
STEPS = 24

#: The last of them, over the bound: what is left is not worth the tokens that it sends around.
NEAR = 1 + 3e-4


@dataclass(frozen=True)
class Layer:
    """One layer in a plan that keeps groups on their nodes.

    Attributes
    ----------
    row
        Expert in each slot, ``(slots,)``, -1 for an empty one.
    load
        Tokens of each expert, ``(experts,)``.
    group
        Of each expert, ``(experts,)``.
    slot_device
        ``(slots,)``.
    device_node
        ``(devices,)``.
    speed
        Relative, ``(devices,)``.
    per_device
        Most copies of an expert on one device.
    bound
        No plan has a smaller largest load.
    """

    row: IntArray
    load: FloatArray
    group: IntArray
    slot_device: IntArray
    device_node: IntArray
    speed: FloatArray
    per_device: int
    bound: float


@dataclass(frozen=True)
class Curve:
    """Plans of a layer, ever better balanced; the first keeps groups on their nodes.

    Attributes
    ----------
    heat
        Largest load over speed, ``(points,)`` tokens, falling.
    cross
        Tokens served outside the node that serves most of their group, ``(points,)``.
    rows
        Expert in each slot, ``(points, slots)``.
    """

    heat: FloatArray
    cross: FloatArray
    rows: IntArray


def covers(problem: PlacementProblem) -> bool:
    """Tell whether the swaps keep every rule of a problem that has no price of cross-node tokens.

    Its group rule must be free.
    """
    return balance.is_plain(problem) and problem.group_rule == "free"


def layers_of(problem: PlacementProblem, plan: PlacementPlan) -> list[Layer]:
    """Return the layers of a plan that keeps groups on their nodes, each to be cooled by itself."""
    loads, bounds = problem.mean_loads(), layer_bounds(problem)
    return [
        Layer(
            row=row,
            load=load,
            group=problem.expert_group(),
            slot_device=problem.slot_device(),
            device_node=problem.cluster.device_node(),
            speed=problem.cluster.relative_speed(),
            per_device=problem.max_copies_per_device or problem.num_slots,
            bound=float(bound),
        )
        for row, load, bound in zip(plan.physical_to_logical, loads, bounds, strict=True)
    ]


def cooled(layer: Layer) -> Curve:
    """Return the plans on the way from a layer's first plan to a balanced one."""
    state = _State(layer)
    points = [state.point()]
    for target in np.linspace(points[0][0], layer.bound * NEAR, STEPS + 1)[1:]:
        if not state.cool(float(target)):
            break
        points.append(state.point())
    heat, cross, rows = zip(*points, strict=True)
    return Curve(np.array(heat), np.array(cross), np.stack(rows))


def at_price(curves: Sequence[Curve], price: float) -> PlacementPlan:
    """Return the plan of least largest loads plus `price` times the tokens that cross nodes.

    Parameters
    ----------
    curves
        Of each layer.
    price
        Tokens of a largest load that a token across nodes is worth.
    """
    rows = [curve.rows[int(np.argmin(curve.heat + price * curve.cross))] for curve in curves]
    return PlacementPlan(physical_to_logical=np.stack(rows))


class _State:
    """A layer's plan, and what changes in it as experts are swapped."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.row = layer.row.copy()
        held = self.row >= 0
        self.slots = np.flatnonzero(held)
        expert, device = self.row[held], layer.slot_device[held]
        copies = np.bincount(expert, minlength=len(layer.load))
        self.piece = layer.load / np.maximum(copies, 1)
        self.node = layer.device_node[layer.slot_device]
        devices, nodes = len(layer.speed), int(layer.device_node.max()) + 1
        self.copies = np.zeros((len(layer.load), devices), dtype=np.int64)
        np.add.at(self.copies, (expert, device), 1)
        self.heat = np.bincount(device, self.piece[expert], minlength=devices) / layer.speed
        #: Tokens of each group that each node serves.
        self.served = np.zeros((int(layer.group.max()) + 1, nodes))
        np.add.at(self.served, (layer.group[expert], self.node[held]), self.piece[expert])

    def point(self) -> tuple[float, float, IntArray]:
        """Return the largest load over speed, the tokens across nodes, and the plan."""
        cross = float((self.served.sum(axis=1) - self.served.max(axis=1)).sum())
        return float(self.heat.max()), cross, self.row.copy()

    def cool(self, target: float) -> bool:
        """Swap until no device is above `target`; ``False`` where no swap helps."""
        while self.heat.max() > target * (1 + 1e-12):
            pair = self._best_pair(int(self.heat.argmax()), target)
            if pair is None:
                return False
            self._swap(*pair)
        return True

    def _best_pair(self, hot: int, target: float) -> tuple[int, int] | None:
        """Return the swap that cools the hottest device most for what it sends across nodes.

        The other device must stay within `target`. Swaps that send nothing across come first.
        """
        layer = self.layer
        on_hot = layer.slot_device[self.slots] == hot
        mine, theirs = self.slots[on_hot], self.slots[~on_hot]
        less = self.piece[self.row[mine]][:, None] - self.piece[self.row[theirs]]
        device = layer.slot_device[theirs]
        # What hardly cools would be swapped for ever.
        helps = (less > 1e-9 * target) & (less <= ((target - self.heat) * layer.speed)[device])
        i, j = np.nonzero(helps)
        one, other = self.row[mine[i]], self.row[theirs[j]]
        fits = self.copies[one, device[j]] < layer.per_device
        fits &= self.copies[other, hot] < layer.per_device
        i, j, one, other = i[fits], j[fits], one[fits], other[fits]
        if len(i) == 0:
            return None
        cooler = np.minimum(less[i, j] / layer.speed[hot], self.heat[hot] - target)
        crossing = self._crossing(hot, one, other, self.node[theirs[j]])
        free = crossing <= 0
        score = np.where(free, -cooler, np.inf) if free.any() else crossing / cooler
        best = int(score.argmin())
        return int(mine[i[best]]), int(theirs[j[best]])

    def _crossing(self, hot: int, one: IntArray, other: IntArray, node: IntArray) -> FloatArray:
        """Return how many more tokens cross nodes after each swap, ``(swaps,)``.

        A group's tokens cross but for those of the node that serves most: its largest share falls
        or grows at the two nodes of the swap, and is what it was at the others.
        """
        layer, served = self.layer, self.served
        here, nodes = int(layer.device_node[hot]), np.arange(served.shape[1])
        elsewhere = np.repeat(served[:, None, :], len(nodes), axis=1)
        elsewhere[:, :, here] = elsewhere[:, nodes, nodes] = -np.inf
        elsewhere = elsewhere.max(axis=2)
        ours, theirs = layer.group[one], layer.group[other]
        out, back = self.piece[one], self.piece[other]
        same = ours == theirs
        largest = served.max(axis=1)

        def gain(group: IntArray, less: FloatArray) -> FloatArray:
            both = np.maximum(served[group, here] - less, served[group, node] + less)
            return np.asarray(np.maximum(elsewhere[group, node], both) - largest[group])

        kept = gain(ours, np.where(same, out - back, out))
        kept += np.where(same, 0.0, gain(theirs, -back))
        return np.where(node == here, 0.0, -kept)

    def _swap(self, mine: int, theirs: int) -> None:
        layer = self.layer
        for slot, expert, sign in (
            (mine, self.row[mine], -1),
            (theirs, self.row[theirs], -1),
            (mine, self.row[theirs], 1),
            (theirs, self.row[mine], 1),
        ):
            device, tokens = layer.slot_device[slot], sign * self.piece[expert]
            self.copies[expert, device] += sign
            self.heat[device] += tokens / layer.speed[device]
            self.served[layer.group[expert], self.node[slot]] += tokens
        self.row[mine], self.row[theirs] = self.row[theirs], self.row[mine]
