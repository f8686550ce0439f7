"""The validator and the objective, against tiny instances and values worked out by hand."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import brute_force, fits

from moeopt.describe.cluster import Cluster, Device, Node, NodeGroup
from moeopt.placement.plan import (
    PlacementPlan,
    arrivals,
    copies_of,
    device_sums,
    evaluate,
    layer_copies,
    violations,
)
from moeopt.placement.problem import Pair, PlacementProblem, Timing


def problem(
    loads: Sequence[Any], devices: int = 2, nodes: int = 1, **fields: Any
) -> PlacementProblem:
    """Return a problem on equal devices; two slots each unless `fields` say otherwise."""
    fields.setdefault("cluster", Cluster.uniform(devices, nodes))
    fields.setdefault("slots_per_device", 2)
    return PlacementProblem(loads_tokens=np.array(loads, dtype=float), **fields)


def plan(*layers: Sequence[int]) -> PlacementPlan:
    return PlacementPlan(physical_to_logical=np.array(layers))


FOUR = [[4.0, 3.0, 2.0, 1.0]]

#: Constraint, problem, a table that breaks it and nothing else, where it breaks and by how much.
BROKEN = {
    "C1": (problem([[4, 2]], slots_per_device=1, min_copies_per_expert=1), [[0, 0]], "[0]", 1),
    "C1-two": (
        problem([[4, 2]], 4, slots_per_device=1, min_copies_per_expert=2),
        [[0, 0, 0, 1]],
        "[0]",
        1,
    ),
    "C2": (problem([[4, 2]]), [[0, 1, 1, -1]], "[0]", 1),
    "C3": (problem([[4, 2]], max_copies_per_device=1), [[0, 0, 0, 1]], "[0]", 1),
    "C4": (
        problem([[4, 2]], 3, slots_per_device=(1, 1, 2), max_copies_per_expert=2),
        [[0, 0, 0, 1]],
        "[0]",
        1,
    ),
    "C5": (
        problem(FOUR, expert_bytes=np.array([7, 5, 2, 1]), expert_memory_bytes=(9, 9)),
        [[0, 1, 2, 3]],
        "",
        3,
    ),
    "C5-layers": (
        problem([[4, 2], [4, 2]], slots_per_device=1, expert_bytes=np.array([5, 1]),
                expert_memory_bytes=8),
        [[0, 1], [0, 1]],
        "",
        2,
    ),
    "C6": (problem(FOUR, pinned=(Pair(expert=3, device=0),)), [[0, 1, 2, 3]], "[0]", 1),
    "C6-layer": (
        problem(FOUR * 2, pinned=(Pair(expert=3, device=0, layer=1),)),
        [[0, 1, 2, 3], [0, 1, 2, 3]],
        "[1]",
        1,
    ),
    "C7": (problem(FOUR, forbidden=(Pair(expert=0, device=0),)), [[0, 1, 2, 3]], "[0]", 1),
    "C8": (problem([[4, 2]], 3, dead_devices=(1,)), [[0, 1, 0, -1, 0, 1]], "[0]", 1),
    "C9": (
        problem([[4, 2]], 4, 2, slots_per_device=1, distinct_nodes=True),
        [[0, 0, 1, 1]],
        "[0]",
        1,
    ),
    "C10": (
        problem(FOUR, 2, 2, groups=2, group_rule="one_node"),
        [[0, 2, 1, 3]],
        "[0]",
        1,
    ),
    "C11": (
        problem(
            FOUR, expert_bytes=np.array([8, 4, 2, 1]), max_moved_bytes=5,
            previous=np.array([[0, 1, 2, 3]]),
        ),
        [[0, 2, 1, 3]],
        "",
        1,
    ),
    # Experts 2 (2 bytes) and 1 (4 bytes) change places: the second device may take 3.
    "C12": (
        problem(
            FOUR, expert_bytes=np.array([8, 4, 2, 1]), max_moved_bytes_per_device=(2, 3),
            previous=np.array([[0, 1, 2, 3]]),
        ),
        [[0, 2, 1, 3]],
        "",
        1,
    ),
    "C12-layers": (
        problem(
            FOUR * 2, expert_bytes=np.array([8, 4, 2, 1]), max_moved_bytes_per_device=9,
            previous=np.array([[0, 1, 2, 3]] * 2),
        ),
        [[0, 2, 1, 3], [3, 1, 2, 0]],
        "",
        12 - 9,
    ),
    # Expert 0 comes to both devices of the second node, which takes two copies over its links.
    "C13": (
        problem(
            [[4, 2, 1]], 4, 2, slots_per_device=1, expert_bytes=np.array([8, 4, 2]),
            max_moved_bytes_per_node=(2, 15), previous=np.array([[0, 1, 2, 2]]),
        ),
        [[2, 1, 0, 0]],
        "",
        1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_named_with_its_place_and_amount(name: str) -> None:
    stated, table, where, amount = BROKEN[name]
    (found,) = violations(stated, plan(*table))
    assert found.constraint == name.split("-")[0]
    assert found.path == f"$.physical_to_logical{where}"
    assert found.amount == pytest.approx(amount)


def test_every_rule_has_an_instance_that_breaks_it() -> None:
    assert {name.split("-")[0] for name in BROKEN} == {f"C{i}" for i in range(1, 14)}


def test_several_broken_rules_are_all_named() -> None:
    stated = problem(FOUR, pinned=(Pair(expert=3, device=0),))
    assert [v.constraint for v in violations(stated, plan([0, 0, 1, -1]))] == [
        "C1", "C3", "C2", "C6",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("table", "where"),
    [
        ([[0, 1, 2]], ""),
        ([[0, 1], [2, 3]], ""),
        ([[0, 1, 2, 4]], "[0][3]"),
        ([[0, 1, -2, 3]], "[0][2]"),
        ([[0, 1, 2.5, 3]], "[0][2]"),
        ([[0, 1, np.nan, 3]], "[0][2]"),
    ],
)
def test_a_table_that_cannot_be_read_is_a_shape_violation(table: Any, where: str) -> None:
    (found,) = violations(problem(FOUR), plan(*table))
    assert found.constraint == "shape"
    assert found.path == f"$.physical_to_logical{where}"


def test_a_table_of_whole_floats_is_one_of_integers() -> None:
    table = PlacementPlan(physical_to_logical=np.array([[0.0, 3.0, 1.0, 2.0]]))
    assert table.physical_to_logical.dtype == np.int64
    assert violations(problem(FOUR), table) == []


def test_memory_is_met_exactly_at_its_budget() -> None:
    stated = problem(FOUR, expert_bytes=np.array([7, 5, 2, 1]), expert_memory_bytes=(12, 3))
    assert violations(stated, plan([0, 1, 2, 3])) == []


def test_copies_already_held_may_stay_and_double_without_moving() -> None:
    stated = problem(
        [[4, 2]], max_copies_per_device=None, expert_bytes=8, max_moved_bytes=0,
        previous=np.array([[0, 1, 1, 1]]),
    )  # fmt: skip
    assert violations(stated, plan([0, 0, 1, 1])) == []
    assert evaluate(stated, plan([0, 0, 1, 1])).moved_bytes == 0


def test_what_arrives_is_counted_by_device_and_over_the_links_of_nodes() -> None:
    stated = problem(
        [[4, 3, 2, 1]] * 2, cluster=_nodes_of(2, 2, 1), dead_devices=(3,), slots_per_device=1,
        expert_bytes=np.array([1, 10, 100, 1000]), previous=np.array([[0, 1, 2, 3, -1], [-1] * 5]),
    )  # fmt: skip
    found = arrivals(stated, np.array([[1, 1, 3, -1, 0], [0, 1, 2, -1, 3]]))
    # Layer 0: expert 1 comes from device 1 of the same node; expert 3 was on a dead device of the
    # node, which sends nothing. Layer 1: nobody held anything.
    assert found.device_bytes.tolist() == [[10, 0, 1000, 0, 1], [1, 10, 100, 0, 1000]]
    assert found.node_bytes.tolist() == [[0, 1000, 1], [11, 100, 1000]]
    assert evaluate(stated, plan([1, 1, 3, -1, 0], [0, 1, 2, -1, 3])).moved_bytes == 2122
    fresh = msgspec.structs.replace(stated, previous=None)
    assert not arrivals(fresh, np.array([[1, 1, 3, -1, 0], [0, 1, 2, -1, 3]])).node_bytes.any()


def test_copies_of_a_layer_are_those_of_its_row() -> None:
    stated = problem(FOUR * 2, max_copies_per_device=None)
    table = np.array([[0, 0, 1, -1], [2, 1, 3, 0]])
    copies = copies_of(stated, table)
    assert copies[0].tolist() == [[2, 0], [0, 1], [0, 0], [0, 0]]
    assert layer_copies(stated, table[1]).tolist() == copies[1].tolist()


@pytest.mark.parametrize(
    ("slots", "sums"),
    [((2, 2), [3, 7]), ((1, 3), [1, 9]), ((0, 3, 0, 1, 0), [0, 6, 0, 4, 0])],
)
def test_slots_add_up_by_device(slots: Any, sums: Any) -> None:
    assert device_sums(np.array([[1.0, 2.0, 3.0, 4.0]]), np.array(slots)).tolist() == [sums]


def value(stated: PlacementProblem, *layers: Sequence[int]) -> float:
    assert violations(stated, plan(*layers)) == []
    return evaluate(stated, plan(*layers)).objective


def test_papers_worked_examples() -> None:
    shares = problem([[0.4, 0.3, 0.2, 0.1]])
    assert value(shares, [0, 3, 1, 2]) == pytest.approx(0.5)
    six = problem([[1, 4, 1, 2, 2, 2]], slots_per_device=3)
    assert value(six, [1, 2, 3, 0, 4, 5]) == 7
    assert value(six, [1, 0, 2, 3, 4, 5]) == 6


def test_max_load_is_of_the_mean_over_scenarios() -> None:
    # Means (3, 2) after weights 3:1; expert 0 has two copies of 1.5.
    stated = problem(
        [[[4, 2]], [[0, 2]]], slots_per_device=(1, 2), scenario_weights=np.array([3.0, 1.0])
    )
    assert value(stated, [0, 0, 1]) == pytest.approx(1.5 + 2)
    found = evaluate(stated, plan([0, 0, 1]))
    assert found.imbalance == pytest.approx([3.5 / 2.5])
    assert found.device_loads == pytest.approx(np.array([[[1.5, 3.5]]]))


# Two scenarios; with the table [0, 1 | 2, 3] the device loads are (9, 3) and (2, 6).
SCENARIOS = [[[8, 1, 2, 1]], [[1, 1, 2, 4]]]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"objective": "max_load"}, 5.5),  # means (5.5, 4.5)
        ({"objective": "mean_max"}, 0.5 * 9 + 0.5 * 6),
        ({"objective": "mean_max", "scenario_weights": np.array([1.0, 3.0])}, 0.25 * 9 + 0.75 * 6),
        ({"objective": "worst_max"}, 9),
        ({"objective": "worst_max", "scenario_weights": np.array([0.0, 1.0])}, 9),
        ({"objective": "cvar", "cvar_tail": 0.5}, 9),
        ({"objective": "cvar", "cvar_tail": 0.8}, (0.5 * 9 + 0.3 * 6) / 0.8),
        ({"objective": "cvar", "cvar_tail": 1.0}, 7.5),
    ],
)
def test_scenario_objectives(fields: dict[str, Any], expected: float) -> None:
    assert value(problem(SCENARIOS, **fields), [0, 1, 2, 3]) == pytest.approx(expected)


def test_layers_add_up() -> None:
    stated = problem([FOUR[0], [1, 1, 1, 1]])
    found = evaluate(stated, plan([0, 3, 1, 2], [0, 1, 2, 3]))
    assert found.layer_objective == pytest.approx([5, 2])
    assert found.objective == pytest.approx(7)


def test_activated_counts_every_copy_of_a_used_expert() -> None:
    # Scenario 1 uses experts 0, 1, 2 and scenario 2 only 3: at most 2 and 1 on a device.
    stated = problem([[[5, 1, 1, 0]], [[0, 0, 0, 9]]], objective="activated")
    assert value(stated, [0, 1, 2, 3]) == pytest.approx(0.5 * 2 + 0.5 * 1)
    copied = problem([[5, 1]], objective="activated")
    assert value(copied, [0, 1, 0, 1]) == 2


def _nodes_of(*devices: int) -> Cluster:
    return Cluster(nodes=tuple(NodeGroup(node=Node(devices=count)) for count in devices))


def _unequal(*speeds: float, **node: Any) -> Cluster:
    return Cluster(
        nodes=tuple(
            NodeGroup(
                node=Node(device=Device(relative_speed=v, link_bandwidth_bytes_per_s=100.0), **node)
            )
            for v in speeds
        )
    )


def test_loads_count_over_speed_and_dead_devices_not_at_all() -> None:
    stated = problem([[6, 2]], cluster=_unequal(2.0, 1.0), slots_per_device=1)
    assert value(stated, [0, 1]) == 3
    assert value(stated, [1, 0]) == 6
    dead = problem([[6, 2]], 3, slots_per_device=1, dead_devices=(1,))
    assert value(dead, [0, -1, 1]) == 6


TIMING = Timing(seconds_per_token=0.5, dispatch_bytes_per_token=20, combine_bytes_per_token=30)


def test_layer_time_adds_dispatch_computation_and_combine() -> None:
    cluster = Cluster.uniform(2, 1, Device(link_bandwidth_bytes_per_s=100.0))
    stated = problem(
        [[6, 2]], cluster=cluster, slots_per_device=1, objective="layer_time", timing=TIMING
    )
    # Each device sends half of each expert: device 0 sends 1 and receives 3, device 1 the reverse.
    assert value(stated, [0, 1]) == pytest.approx(3 * 20 / 100 + 6 * 0.5 + 3 * 30 / 100)


def test_layer_time_follows_the_sources() -> None:
    cluster = Cluster.uniform(2, 1, Device(link_bandwidth_bytes_per_s=100.0))
    stated = problem(
        [[6, 2]], cluster=cluster, slots_per_device=1, objective="layer_time", timing=TIMING,
        source_tokens=np.array([[[6, 1]], [[0, 1]]]),
    )  # fmt: skip
    # All of expert 0 is at home on device 0, and half of expert 1 on device 1: 1 token travels.
    assert value(stated, [0, 1]) == pytest.approx(1 * 50 / 100 + 6 * 0.5)


def test_layer_time_of_sources_that_move_with_their_experts() -> None:
    cluster = Cluster.uniform(2, 1, Device(link_bandwidth_bytes_per_s=100.0))
    traffic = np.array([[[1, 2, 0], [3, 0, 4], [5, 1, 0]]], dtype=float)
    stated = problem(
        traffic.sum(axis=1).tolist(), cluster=cluster, objective="layer_time", timing=TIMING,
        expert_traffic_tokens=traffic, allow_empty_slots=True,
    )  # fmt: skip
    # Experts 0 and 1 together: 4 leave them for expert 2, 6 come back; 12 tokens are served there.
    assert value(stated, [0, 1, 2, -1]) == pytest.approx(6 * 50 / 100 + 12 * 0.5)
    # Expert 1 on both: device 0 sends half of the 2 for it and half of its 4 for expert 2, device 1
    # half of its 3 for expert 0, the 5 of expert 2 for that, and half of its 1 for expert 1.
    sent = max(2 / 2 + 4 / 2, 3 / 2 + 5 + 1 / 2)
    assert value(stated, [0, 1, 1, 2]) == pytest.approx(sent * 50 / 100 + (9 + 3 / 2) * 0.5)


def test_gate_and_aggregation_are_those_of_the_slowest_live_device() -> None:
    whole = msgspec.structs.replace(TIMING, gate_s=3.0, aggregation_s=1.0)
    fields: dict[str, Any] = {
        "slots_per_device": 1,
        "objective": "layer_time",
        "cluster": _unequal(1.0, 0.5, 0.1, nic_bandwidth_bytes_per_s=100.0),
        "dead_devices": (2,),
    }
    plain, longer = (problem([[6, 2]], timing=timing, **fields) for timing in (TIMING, whole))
    assert value(longer, [0, 1, -1]) == pytest.approx(value(plain, [0, 1, -1]) + (3 + 1) / 0.5)


def test_layer_time_between_nodes_waits_for_the_slowest_port() -> None:
    cluster = Cluster(
        nodes=(
            NodeGroup(node=Node(nic_bandwidth_bytes_per_s=100.0)),
            NodeGroup(node=Node(nic_bandwidth_bytes_per_s=10.0)),
        )
    )
    stated = problem(
        [[6, 2]], cluster=cluster, slots_per_device=1, objective="layer_time", timing=TIMING
    )
    assert value(stated, [0, 1]) == pytest.approx(3 * 50 / 10 + 3.0)


@pytest.mark.parametrize("split", ["even", "nearest"])
def test_layer_time_of_a_large_shape_stays_small(split: Any) -> None:
    layers, experts, devices = 8, 256, 144
    node = Node(devices=8, nic_bandwidth_bytes_per_s=1e9)
    stated = problem(
        np.ones((layers, experts)).tolist(), objective="layer_time", timing=TIMING, split=split,
        cluster=Cluster(nodes=(NodeGroup(node=node, count=devices // 8),)),
    )  # fmt: skip
    table = PlacementPlan(
        physical_to_logical=np.tile(np.arange(2 * devices) % experts, (layers, 1))
    )
    tracemalloc.start()
    evaluate(stated, table)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * experts * devices**2  # one layer of sources x experts x devices


def test_nearest_serves_at_home_then_on_the_node_then_evenly() -> None:
    stated = problem([[8, 8]], 4, 2, slots_per_device=1, split="nearest")
    # Expert 0 on devices 0, 1, 2; expert 1 on 3. Each device sends 2 of each expert:
    # devices 0, 1, 2 keep theirs, device 3 sends its 2 to its neighbour 2.
    assert evaluate(stated, plan([0, 0, 0, 1])).device_loads == pytest.approx(
        np.array([[[2, 2, 4, 8]]])
    )


def test_optimal_split_evens_out_what_copies_allow() -> None:
    stated = problem([[6, 3]], slots_per_device=(1, 2), split="optimal")
    # Expert 0 (6) on both devices, expert 1 (3) on the second: 4.5 each, evenly split 3 and 6.
    assert value(stated, [0, 0, 1]) == pytest.approx(4.5)
    even = msgspec.structs.replace(stated, split="even")
    assert value(even, [0, 0, 1]) == pytest.approx(6)


def test_cross_node_price_counts_tokens_off_the_best_node() -> None:
    stated = problem(FOUR, 2, 2, groups=2, cross_node_price=10.0)
    # Groups {0, 1} = 4 + 3 and {2, 3} = 2 + 1 sit across both nodes: 3 and 1 tokens are outside.
    assert evaluate(stated, plan([0, 2, 1, 3])).cross_node_tokens == pytest.approx(4)
    assert value(stated, [0, 2, 1, 3]) == pytest.approx(6 + 40)
    assert value(stated, [0, 1, 2, 3]) == pytest.approx(7)


def test_move_price_counts_bytes_of_new_pairs() -> None:
    stated = problem(
        FOUR, expert_bytes=np.array([8, 4, 2, 1]), move_price_per_byte=0.5,
        previous=np.array([[0, 1, 2, 3]]),
    )  # fmt: skip
    assert value(stated, [0, 1, 2, 3]) == pytest.approx(7)
    assert value(stated, [0, 2, 1, 3]) == pytest.approx(6 + 0.5 * (2 + 4))
    assert value(stated, [2, 3, 0, 1]) == pytest.approx(7 + 0.5 * 15)


def test_brute_force_tells_what_it_does_not_take() -> None:
    # One device of 4 experts and 2 slots has 10 fillings: 10^5 tables fit, 10^6 do not.
    assert fits(problem(FOUR, 5))
    assert not fits(problem(FOUR, 6))
    assert fits(problem(FOUR, 6, dead_devices=(2,)))
    with pytest.raises(ValueError, match="too large"):
        brute_force(problem(FOUR, 6))


TABLES = st.lists(st.permutations(range(4)), min_size=2, max_size=2)
LOADS = st.lists(st.integers(0, 50), min_size=16, max_size=16).map(
    lambda flat: np.array(flat, dtype=float).reshape(2, 2, 4)
)


@given(
    LOADS,
    TABLES,
    st.permutations(range(4)),
    st.permutations(range(3)),
    st.sampled_from(["max_load", "mean_max", "worst_max", "cvar", "activated"]),
    st.sampled_from(["even", "optimal"]),
)
def test_names_of_experts_and_devices_do_not_matter(
    loads: Any, tables: Any, experts: Any, devices: Any, objective: Any, split: Any
) -> None:
    split = "even" if objective == "activated" else split
    tail = 0.7 if objective == "cvar" else None
    stated = problem(
        loads, 3, objective=objective, split=split, cvar_tail=tail, max_copies_per_device=None
    )
    table = np.array([[*layer, layer[0], layer[1]] for layer in tables])
    renamed = np.argsort(experts)[table].reshape(2, 3, 2)[:, list(devices)].reshape(2, 6)
    moved = msgspec.structs.replace(stated, loads_tokens=loads[:, :, list(experts)])
    first, second = evaluate(stated, plan(*table)), evaluate(moved, plan(*renamed))
    assert first.objective == pytest.approx(second.objective, rel=1e-7)
    assert first.imbalance == pytest.approx(second.imbalance, rel=1e-7)
