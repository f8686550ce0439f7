"""Tiny placement problems with a known answer, one for each feature, and infeasible ones.

Sizes are chosen so that a person can check the answer; ``source`` says how.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from moeopt.describe.cluster import Cluster, Device, Node, NodeGroup
from moeopt.placement.problem import Pair, PlacementProblem, Timing

#: Round rates, so that ``layer_time`` can be worked out by hand: one byte a second.
_SLOW_LINK = Device(name="one byte a second", link_bandwidth_bytes_per_s=1.0)


def known() -> Iterator[tuple[PlacementProblem, float]]:
    """Yield each tiny problem with its least objective."""
    yield from _copies()
    yield from _rules()
    yield from _machines()
    yield from _scenarios()
    yield from _splits_and_prices()
    yield from _replanning()


def infeasible() -> Iterator[tuple[PlacementProblem, str]]:
    """Yield problems that no plan can meet, each for one reason, with the constraint's label."""
    yield (
        _problem(
            "infeasible-too-few-slots",
            "4 experts need 4 slots, 3 devices of 1 slot have 3",
            [[3, 2, 1, 1]],
            devices=3,
            slots=1,
        ),
        "C2",
    )
    yield (
        _problem(
            "infeasible-memory-too-small",
            "4 experts of 10 bytes need 40 bytes, 2 devices of 15 have 30",
            [[3, 2, 1, 1]],
            expert_bytes=10,
            expert_memory_bytes=15,
        ),
        "C5",
    )
    yield (
        _problem(
            "infeasible-memory-packing",
            "3 + 3 + 3 + 1 bytes are the 10 that 2 devices of 5 have, but two experts of 3 must"
            " meet: counting does not show it",
            [[3, 2, 1, 1]],
            expert_bytes=np.array([3, 3, 3, 1]),
            expert_memory_bytes=5,
        ),
        "C5",
    )
    yield (
        _problem(
            "infeasible-groups-do-not-fit",
            "groups of 2 experts on nodes of 3 slots: one fits on each of 2 nodes, there are 3",
            [[1] * 6],
            cluster=Cluster.uniform(2, 2),
            slots=3,
            groups=3,
            group_rule="one_node",
        ),
        "C10",
    )
    yield (
        _problem(
            "infeasible-pins-exceed-slots",
            "3 experts are pinned to device 0, which has 2 slots",
            [[3, 2, 1, 1]],
            pinned=tuple(Pair(expert=e, device=0) for e in range(3)),
        ),
        "C6",
    )
    yield (
        _problem(
            "infeasible-distinct-nodes",
            "3 copies of each expert on distinct nodes, of which there are 2",
            [[3, 2]],
            cluster=Cluster.uniform(4, 2),
            min_copies_per_expert=3,
            distinct_nodes=True,
            allow_empty_slots=True,
        ),
        "C9",
    )
    yield (
        _problem(
            "infeasible-expert-forbidden-everywhere",
            "expert 1 is forbidden on device 0, and device 1 is dead",
            [[3, 2]],
            forbidden=(Pair(expert=1, device=0),),
            dead_devices=(1,),
        ),
        "C7",
    )
    yield (
        _problem(
            "infeasible-no-move-allowed",
            "expert 0 must leave device 0, but no byte may move: counting does not show it",
            [[3, 2, 1, 1]],
            forbidden=(Pair(expert=0, device=0),),
            previous=np.array([[0, 1, 2, 3]]),
            expert_bytes=10,
            max_moved_bytes=0,
        ),
        "C11",
    )


def _problem(
    name: str,
    why: str,
    loads: list[Any],
    *,
    devices: int = 2,
    slots: int | tuple[int, ...] = 2,
    **rules: Any,
) -> PlacementProblem:
    rules.setdefault("cluster", Cluster.uniform(devices))
    return PlacementProblem(
        name=name,
        source=f"made by hand: {why}",
        loads_tokens=np.array(loads),
        slots_per_device=slots,
        **rules,
    )


def _copies() -> Iterator[tuple[PlacementProblem, float]]:
    yield (
        _problem(
            "tiny-one-copy",
            "4 + 1 + 1 against 2 + 2 + 2; largest first with 3 on each ends at 7 and 5",
            [[1, 4, 1, 2, 2, 2]],
            slots=3,
        ),
        6,
    )
    yield (
        _problem("tiny-replicas", "expert 0 on both devices: 4 + 2 on each", [[8, 2, 2]]),
        6,
    )
    yield (
        _problem(
            "tiny-duplicates",
            "thirds of expert 0, two of them on one device: 6 + 3 = 9; distinct copies give 9.5",
            [[9, 1, 5]],
            max_copies_per_device=None,
        ),
        9,
    )
    yield (
        _problem(
            "tiny-most-copies",
            "expert 0 may have 2 copies of 6, each beside another expert: 7; 3 copies would give 6",
            [[12, 2, 2, 2]],
            devices=3,
            max_copies_per_expert=2,
        ),
        7,
    )
    yield (
        _problem(
            "tiny-fewest-copies",
            "2 copies of each fill the slots: 6 + 1.5; without the rule 3 copies of 0 give 7",
            [[12, 3, 3]],
            devices=3,
            min_copies_per_expert=2,
        ),
        7.5,
    )
    yield (
        _problem(
            "tiny-empty-slots",
            "slots 3 and 1, one may stay empty: 9 alone; if all had to be filled, 11.5",
            [[9, 4, 3]],
            slots=(3, 1),
            allow_empty_slots=True,
        ),
        9,
    )


def _rules() -> Iterator[tuple[PlacementProblem, float]]:
    yield (
        _problem(
            "tiny-distinct-nodes",
            "2 copies of each, one on each node: a device has 8 and 2; on all 4 devices expert 0"
            " would weigh 4",
            [[16, 4, 4, 4]],
            cluster=Cluster.uniform(4, 2),
            distinct_nodes=True,
        ),
        10,
    )
    yield (
        _problem(
            "tiny-groups-on-one-node",
            "experts 0 and 1 stay together: 6 + 5; free they would give 7",
            [[6, 5, 2, 1]],
            cluster=Cluster.uniform(2, 2),
            groups=2,
            group_rule="one_node",
        ),
        11,
    )
    yield (
        _problem(
            "tiny-pins",
            "experts 0 and 1 on device 0: 5 + 4; free they would give 6",
            [[5, 4, 2, 1]],
            pinned=(Pair(expert=0, device=0), Pair(expert=1, device=0)),
        ),
        9,
    )
    yield (
        _problem(
            "tiny-forbidden",
            "expert 0 on device 0 and 3 on device 1, so 5 + 2 against 4 + 1; free 5 + 1 gives 6",
            [[5, 4, 2, 1]],
            forbidden=(Pair(expert=0, device=1), Pair(expert=3, device=0)),
        ),
        7,
    )


def _machines() -> Iterator[tuple[PlacementProblem, float]]:
    yield (
        _problem(
            "tiny-memory",
            "experts 0 and 3 have 5 bytes together, 4 fit: 5 + 2 against 4 + 1; without it 6",
            [[5, 4, 2, 1]],
            expert_bytes=np.array([3, 1, 1, 2]),
            expert_memory_bytes=4,
        ),
        7,
    )
    yield (
        _problem(
            "tiny-memory-across-layers",
            "room for 2 spare copies in both layers together: best in layer 0, 6 + 6; with room for"
            " 4 it would be 6 + 5.5",
            [[10, 2], [6, 5]],
            allow_empty_slots=True,
            expert_bytes=1,
            expert_memory_bytes=3,
        ),
        12,
    )
    fast = NodeGroup(node=Node(device=Device(name="fast", relative_speed=2.0)))
    yield (
        _problem(
            "tiny-speeds",
            "device 1 is twice as fast: 4 + 3 = 7 against (6 + 5) / 2; equal speeds would give 9",
            [[6, 5, 4, 3]],
            cluster=Cluster(nodes=(NodeGroup(node=Node()), fast)),
        ),
        7,
    )
    yield (
        _problem(
            "tiny-dead-device",
            "device 1 of 3 is dead: 5 + 1 against 4 + 2",
            [[5, 4, 2, 1]],
            devices=3,
            dead_devices=(1,),
        ),
        6,
    )


def _scenarios() -> Iterator[tuple[PlacementProblem, float]]:
    apart = [[[8, 8, 0, 0]], [[0, 0, 8, 8]]]
    yield (
        _problem(
            "tiny-mean-max",
            "experts 0 and 1 are busy together, so apart: 8 in each scenario; the mean loads are"
            " all equal and see no difference, together 16",
            apart,
            objective="mean_max",
        ),
        8,
    )
    yield (
        _problem(
            "tiny-scenario-weights",
            "weights 3 to 1: (3 x 11 + 11) / 4; the best plan for equal weights gives 11.5",
            [[[6, 3, 8, 5]], [[7, 0, 1, 4]]],
            objective="mean_max",
            scenario_weights=np.array([3, 1]),
        ),
        11,
    )
    yield (
        _problem(
            "tiny-worst-max",
            "experts 0 and 3 together: 13 at worst; the other plans reach 14 or more",
            [[[6, 8, 5, 7]], [[6, 6, 3, 7]]],
            objective="worst_max",
        ),
        13,
    )
    yield (
        _problem(
            "tiny-cvar",
            "the mean of the 2 worst of 4 scenarios; the best plan for the mean gives 13",
            [[[7, 0, 5, 6]], [[2, 7, 5, 3]], [[0, 1, 6, 3]], [[6, 8, 5, 6]]],
            objective="cvar",
            cvar_tail=0.5,
        ),
        12.5,
    )
    yield (
        _problem(
            "tiny-activated",
            "one busy expert on each device in each scenario, whatever their tokens",
            [[[9, 1, 0, 0]], [[0, 0, 1, 9]]],
            objective="activated",
        ),
        1,
    )


def _splits_and_prices() -> Iterator[tuple[PlacementProblem, float]]:
    sources = np.array([[[6, 1, 0]], [[2, 0, 5]]])
    yield (
        _problem(
            "tiny-nearest-split",
            "expert 0 on both devices serves 6 and 2 tokens near by: 6 + 1 against 2 + 5; an even"
            " split would give 4 + 5",
            [[8, 1, 5]],
            split="nearest",
            source_tokens=sources,
        ),
        7,
    )
    yield (
        _problem(
            "tiny-optimal-split",
            "expert 0 on both devices, 6 of its tokens beside expert 1 and 2 beside expert 2",
            [[8, 1, 5]],
            split="optimal",
        ),
        7,
    )
    yield (
        _problem(
            "tiny-layer-time",
            "each device keeps the experts its own tokens go to: 8 s of computing and no transfer;"
            " any other pairing computes as long and sends",
            [[4, 4, 4, 4]],
            cluster=Cluster.uniform(2, device=_SLOW_LINK),
            objective="layer_time",
            source_tokens=np.array([[[4, 0, 4, 0]], [[0, 4, 0, 4]]]),
            timing=Timing(
                seconds_per_token=1.0, dispatch_bytes_per_token=1.0, combine_bytes_per_token=1.0
            ),
        ),
        8,
    )
    yield (
        _problem(
            "tiny-priced-groups",
            "6 + 1 against 5 + 2, and 6 tokens outside their group's node at 0.5; together on their"
            " nodes 11",
            [[6, 5, 2, 1]],
            cluster=Cluster.uniform(2, 2),
            groups=2,
            cross_node_price=0.5,
        ),
        10,
    )


def _replanning() -> Iterator[tuple[PlacementProblem, float]]:
    before = np.array([[0, 1, 2, 3, 4, 5]])
    yield (
        _problem(
            "tiny-move-price",
            "one swap of 2 x 10 bytes at 0.1 leads from 29 to 20 + 2; the same load in two swaps"
            " costs 24",
            [[12, 10, 7, 4, 3, 3]],
            slots=3,
            previous=before,
            expert_bytes=10,
            move_price_per_byte=0.1,
        ),
        22,
    )
    yield (
        _problem(
            "tiny-move-limit",
            "19 falls to 17 by one swap of 2 x 10 bytes; 15 would take three moves in a ring",
            [[9, 4, 13, 6, 11, 2]],
            devices=3,
            previous=before,
            expert_bytes=10,
            max_moved_bytes=20,
        ),
        17,
    )
