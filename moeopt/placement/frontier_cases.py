"""The problems of a frontier: the same question with more slots, at other prices, on more devices.

Each function checks that its frontier suits the problem and returns what is swept and what to ask.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from moeopt.core.arguments import number
from moeopt.core.errors import InstanceError
from moeopt.describe.cluster import Cluster, Node, NodeGroup
from moeopt.placement import balance
from moeopt.placement.problem import PlacementProblem

#: Prices of the locality frontier, left to itself: these over the number of live devices. A token
#: across nodes then weighs from little to more than one on the busiest device.
PRICES = tuple(2.0 ** (k / 2) for k in range(-6, 5))

#: Most points of a frontier.
MOST_POINTS = 1_000


@dataclass(frozen=True)
class Span:
    """What is swept: from `first` to `last` by `step`, each ``None`` for the frontier's own choice.

    Attributes
    ----------
    first, last, step
        In redundant slots of a layer, objective units per token, devices, or moved bytes.
    """

    first: float | None = None
    last: float | None = None
    step: float | None = None

    @property
    def stated(self) -> bool:
        """Whether anything is."""
        return (self.first, self.last, self.step) != (None, None, None)

    def values(self, first: float, last: float, step: float) -> list[float]:
        """Return the swept values, given those that were left out.

        Raises
        ------
        InstanceError
            If there are none, or too many.
        """
        low, high, by = (
            default if value is None else number(name, value)
            for name, value, default in zip(
                ("from", "to", "step"),
                (self.first, self.last, self.step),
                (first, last, step),
                strict=True,
            )
        )
        if not 0 <= low < math.inf:
            raise InstanceError("from", low, "must be >= 0", "0 is the first of most")
        if not low <= high < math.inf:
            raise InstanceError("to", high, f"must be at least {low:g}", "sweep upwards")
        if not 0 < by < math.inf:
            raise InstanceError("step", by, "must be > 0", "leave it out for a sensible one")
        count = math.floor((high - low) / by + 1e-9) + 1
        if count > MOST_POINTS:
            rule = f"must give at most {MOST_POINTS} points, not {count}"
            raise InstanceError("step", by, rule, "take a larger one")
        return [low + k * by for k in range(count)]

    def counts(self, first: int, last: int, step: int) -> list[int]:
        """Return the swept values as whole numbers."""
        for name, value in (("from", self.first), ("step", self.step)):
            if value is not None and value != round(value):
                raise InstanceError(name, value, "must be a whole number", "round it")
        return [round(value) for value in self.values(first, last, step)]


@dataclass(frozen=True)
class Case:
    """One point to be found.

    Attributes
    ----------
    at
        The swept value.
    problem
        What is asked there.
    easier
        A problem whose best plans are as good as the best of `problem`, or nearly, and which is
        solved much faster; ``None`` where there is none.
    """

    at: float
    problem: PlacementProblem
    easier: PlacementProblem | None = None


def slots_cases(problem: PlacementProblem, span: Span) -> list[Case]:
    """Return the problem with more and more redundant slots in each layer.

    Slots are spread over the live devices as evenly as they divide, the first ones have one more:
    without redundant slots there are as many as experts. Left to itself the sweep adds a slot on
    every device at each step, until there are two for each expert.

    Raises
    ------
    InstanceError
        If the problem has a previous plan, whose table fits one number of slots only.
    """
    _require_absent(problem, "slots", ("previous",))
    live = problem.live()
    devices, experts = int(live.sum()), problem.num_experts
    found = []
    for spare in span.counts(0, experts, devices):
        each = np.zeros(len(live), dtype=np.int64)
        each[live] = _shared(experts + spare, devices)
        stated = _restated(problem, slots_per_device=tuple(each.tolist()))
        found.append(Case(spare, stated))
    return found


def devices_cases(problem: PlacementProblem, span: Span) -> list[Case]:
    """Return the problem on more and more devices, in seconds of a layer.

    Every device has as many slots as it takes to have at least those of the stated problem. Left
    to itself the sweep doubles: devices of one node, then nodes, to twice the stated cluster, as
    far as links are known.

    Raises
    ------
    InstanceError
        If the problem has no timing, its nodes differ, or it speaks of devices by number.
    """
    by_number = ("previous", "source_tokens", "pinned", "forbidden", "dead_devices")
    _require_absent(problem, "devices", by_number)
    if problem.timing is None:
        rule = "must be stated, with objective layer_time, on the devices frontier"
        raise InstanceError("$.timing", "<none>", rule, "state what a token and a layer cost")
    for name in ("slots_per_device", "expert_memory_bytes"):
        value = getattr(problem, name)
        if isinstance(value, tuple) and len(set(value)) > 1:
            rule = "must be the same for all devices on the devices frontier"
            raise InstanceError(f"$.{name}", value, rule, "state one number")
    nodes = problem.cluster.all_nodes()
    if any(node != nodes[0] for node in nodes):
        rule = "must have equal nodes on the devices frontier"
        raise InstanceError("$.cluster.nodes", f"<{len(nodes)} nodes>", rule, "state one kind")
    of_node = nodes[0].devices
    if span.stated:
        counts = span.counts(1, 2 * problem.num_devices, of_node)
    else:
        counts = _doubled(nodes[0], 2 * len(nodes))
    return [_on_devices(problem, count, of_node) for count in counts]


def locality_ends(problem: PlacementProblem) -> tuple[PlacementProblem, PlacementProblem]:
    """Return the two ends: experts anywhere at no price, and every group on one node.

    Raises
    ------
    InstanceError
        If there is one node only, or one group.
    """
    if problem.cluster.num_nodes < 2:
        rule = "must have several nodes on the locality frontier"
        raise InstanceError("$.cluster", "<one node>", rule, "state the nodes")
    if problem.groups < 2:
        rule = "must be several on the locality frontier"
        raise InstanceError("$.groups", problem.groups, rule, "state the router's groups")
    free = _restated(problem, group_rule="free", cross_node_price=0.0)
    return free, _restated(free, group_rule="one_node")


def prices(problem: PlacementProblem, span: Span) -> list[float]:
    """Return the prices of a token across nodes that the locality frontier tries, above 0."""
    live = int(problem.live().sum())
    if span.stated:
        last = span.last if span.last is not None else max(PRICES) / live
        found: Iterable[float] = span.values(0.0, last, (last - (span.first or 0.0)) / 8 or 1.0)
    else:
        found = [price / live for price in PRICES]
    return [price for price in found if price > 0]


def _on_devices(problem: PlacementProblem, count: int, of_node: int) -> Case:
    if count < 1 or (count > of_node and count % of_node):
        rule = f"must sweep numbers of devices up to {of_node}, or whole nodes of {of_node}"
        raise InstanceError("step", count, rule, "choose from, to and step so")
    node = problem.cluster.all_nodes()[0]
    group = NodeGroup(
        node=msgspec.structs.replace(node, devices=min(count, of_node)),
        count=max(1, count // of_node),
    )
    slots = -(-problem.num_slots // count)
    if problem.max_copies_per_device is not None and not problem.allow_empty_slots:
        # More slots than copies: they could not be filled.
        slots = min(slots, problem.num_experts * problem.max_copies_per_device)
    memory = problem.expert_memory_bytes
    stated = _restated(
        problem,
        cluster=Cluster(nodes=(group,)),
        slots_per_device=slots,
        expert_memory_bytes=memory[0] if isinstance(memory, tuple) else memory,
        objective="layer_time",
        cvar_tail=None,
    )
    return Case(count, stated, _balanced_instead(stated))


def _balanced_instead(problem: PlacementProblem) -> PlacementProblem | None:
    """Return the balancing of loads where it decides a layer's seconds.

    On equal devices, with even sources and the even split, a device receives and computes what it
    serves: both grow with the largest load. Only a device that is nearly idle sends more.
    """
    if problem.expert_traffic_tokens is not None or problem.num_scenarios > 1:
        return None
    balanced = _restated(problem, objective="max_load", timing=None)
    return balanced if balance.is_plain(balanced) else None


def _restated(problem: PlacementProblem, **fields: Any) -> PlacementProblem:
    """Return the problem with other fields; it is not the generator's any more."""
    return msgspec.structs.replace(problem, generator=None, **fields)


def _require_absent(problem: PlacementProblem, kind: str, names: Iterable[str]) -> None:
    for name in names:
        value = getattr(problem, name)
        if value is not None and len(value):
            rule = f"must be left out on the {kind} frontier"
            raise InstanceError(
                f"$.{name}", "<stated>", rule, "it is of one plan's slots or devices"
            )


def _shared(slots: int, devices: int) -> Any:
    """Return each device's slots, as equal as they divide, shape ``(devices,)``."""
    return slots // devices + (np.arange(devices) < slots % devices)


def _doubled(node: Node, most_nodes: int) -> list[int]:
    """Return devices by doubling: powers of two in one node, then all of 1, 2, 4, ... nodes.

    Only as far as the links are known: those in a node, and those between nodes.
    """
    of_node = node.devices
    inside = [2**k for k in range(of_node.bit_length()) if 2**k < of_node] + [of_node]
    between = [of_node * 2**k for k in range(1, most_nodes.bit_length()) if 2**k <= most_nodes]
    known = inside if node.resolved_device().link_bandwidth_bytes_per_s is not None else []
    return known + (between if node.nic_bandwidth_bytes_per_s is not None else [])
