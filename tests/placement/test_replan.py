"""Replanning by worked examples: what a swap, a copy and a price buy, and which limit holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from both_ways import compiled_and_interpreted

from moeopt import solve
from moeopt.core.errors import InstanceError
from moeopt.describe.cluster import Cluster, Device, Node, NodeGroup
from moeopt.placement import Pair, PlacementProblem, violations
from moeopt.placement.arrays import NoPlacementError
from moeopt.placement.plan import PlacementPlan, evaluate
from moeopt.placement.replan import Front, replan, replan_front

#: Two devices: {0, 1} and {2, 3}. One swap of 1 and 3 levels them.
SWAP: dict[str, Any] = {
    "loads_tokens": np.array([[4.0, 3.0, 2.0, 1.0]]),
    "cluster": Cluster.uniform(2),
    "slots_per_device": 2,
    "previous": np.array([[0, 1, 2, 3]]),
    "expert_bytes": 1,
}


def stated(**fields: Any) -> PlacementProblem:
    return PlacementProblem(**{**SWAP, **fields})


def points(front: Front) -> list[tuple[float, float]]:
    return list(zip(front.moved_bytes.tolist(), front.objective.tolist(), strict=True))


def parts(table: np.ndarray, devices: int = 2) -> set[frozenset[int]]:
    return {frozenset(row.tolist()) for row in table.reshape(devices, -1)}


def uneven(*rates: float) -> Cluster:
    nodes = [NodeGroup(node=Node(device=Device(relative_speed=rate))) for rate in rates]
    return Cluster(nodes=tuple(nodes))


def test_one_swap_levels_two_devices() -> None:
    front = replan_front(stated())
    assert points(front) == [(0, 7), (2, 5)]
    assert front.imbalance.tolist() == [1.4, 1.0]
    assert front.transfers.tolist() == [0, 2]
    assert front.bound == 5
    assert front.table(0).tolist() == [[0, 1, 2, 3]]
    assert parts(front.table(-1)) == {frozenset({0, 3}), frozenset({1, 2})}


def test_a_copy_is_given_to_another_expert() -> None:
    # {0, 1} carries 5, {2, 2} carries 1. With a copy of 0 in place of one of 2 both carry 3.
    loads = np.array([[4.0, 1.0, 1.0]])
    front = replan_front(
        stated(loads_tokens=loads, previous=np.array([[0, 1, 2, 2]]), max_copies_per_device=None)
    )
    assert points(front) == [(0, 5), (1, 3)]
    assert sorted(front.table(1)[0, 2:].tolist()) == [0, 2]


def test_counts_that_change_without_a_copy_cost_nothing() -> None:
    # {0, 0, 1} carries 2 + 2 + 1, {0, 2, 2} carries 2 + 1. One copy of 0 on each: 4 and 4.
    front = replan_front(
        stated(
            loads_tokens=np.array([[6.0, 1.0, 1.0]]),
            slots_per_device=3,
            previous=np.array([[0, 0, 1, 0, 2, 2]]),
            max_copies_per_device=None,
        )
    )
    assert points(front) == [(0, 4)]
    assert front.table(0).tolist() != [[0, 0, 1, 0, 2, 2]]


def test_an_empty_slot_takes_an_expert() -> None:
    # {0, 1} carries 7, {2, -} carries 2: 1 moves for one byte.
    front = replan_front(
        stated(
            loads_tokens=np.array([[4.0, 3.0, 2.0]]),
            previous=np.array([[0, 1, 2, -1]]),
            allow_empty_slots=True,
            max_copies_per_expert=1,
        )
    )
    assert points(front) == [(0, 7), (1, 5)]
    assert front.table(1).tolist() == [[0, -1, 2, 1]]


def test_layers_share_the_bytes_where_they_pay_most() -> None:
    loads = np.array([[4.0, 3.0, 2.0, 1.0], [40.0, 30.0, 20.0, 10.0]])
    front = replan_front(stated(loads_tokens=loads, previous=np.array([[0, 1, 2, 3]] * 2)))
    assert points(front) == [(0, 77), (2, 57), (4, 55)]
    assert front.imbalance == pytest.approx([1.4, 1.2, 1.0])
    assert front.table(1)[0].tolist() == [0, 1, 2, 3]
    # A layer that is even enough is left alone.
    assert points(replan_front(stated(), imbalance=1.4)) == [(0, 7)]


def test_the_front_is_read_by_budget_by_price_and_by_imbalance() -> None:
    front = replan_front(stated(expert_bytes=10))
    assert [front.within(most) for most in (0, 19.9, 20, 1e9)] == [0, 0, 1, 1]
    # 20 bytes buy 2 tokens.
    assert [front.priced(price) for price in (0.0, 0.099, 0.101)] == [1, 1, 0]
    assert [front.reaching(most) for most in (1.5, 1.4, 1.3, 0.9)] == [0, 0, 1, None]
    assert len(front) == 2
    with pytest.raises(IndexError):
        front.table(2)


def test_bytes_decide_where_experts_differ_in_size() -> None:
    # To swap 1 and 3 costs 2 x 9 bytes and buys 2 tokens; 0 and 2 cost 2 and buy 2.
    sizes = np.array([1, 9, 1, 9])
    front = replan_front(stated(expert_bytes=sizes))
    assert points(front) == [(0, 7), (2, 5)]
    assert front.table(1).tolist() == [[2, 1, 0, 3]]


def test_a_faster_device_carries_more() -> None:
    # 7 / 1 and 3 / 4 become 3 / 1 and 7 / 4 by the swap of 0 and 3 and of 1 and 2.
    front = replan_front(stated(cluster=uneven(1.0, 4.0)))
    assert points(front)[0] == (0, 7)
    assert points(front)[-1] == (4, 3)
    assert front.imbalance[-1] == pytest.approx(3 / 2)


LIMITS: dict[str, dict[str, Any]] = {
    "in all": {"max_moved_bytes": 1},
    "of devices": {"max_moved_bytes_per_device": 0},
    "of one device": {"max_moved_bytes_per_device": (0, 9)},
    "of a node": {"cluster": Cluster.uniform(2, 2), "max_moved_bytes_per_node": (9, 0)},
    "pinned": {"pinned": (Pair(expert=1, device=0), Pair(expert=0, device=0))},
    "forbidden": {"forbidden": (Pair(expert=2, device=0), Pair(expert=3, device=0))},
    "groups": {
        "cluster": Cluster.uniform(2, 2), "groups": 2, "group_rule": "one_node"
    },
}  # fmt: skip


@pytest.mark.parametrize("name", LIMITS)
def test_limits_hold_everywhere_on_the_front(name: str) -> None:
    assert points(replan_front(stated(**LIMITS[name]))) == [(0, 7)]


def test_pairs_of_one_layer_bind_that_layer_only() -> None:
    problem = stated(
        loads_tokens=SWAP["loads_tokens"].repeat(3, axis=0),
        previous=SWAP["previous"].repeat(3, axis=0),
        pinned=(Pair(expert=0, device=0, layer=1), Pair(expert=1, device=0, layer=1)),
        forbidden=(Pair(expert=3, device=0, layer=2), Pair(expert=2, device=0, layer=2)),
    )
    front = replan_front(problem)
    assert points(front) == [(0, 21), (2, 19)]
    assert front.table(1)[1:].tolist() == [[0, 1, 2, 3]] * 2


def test_devices_may_have_no_slots() -> None:
    cluster = Cluster.uniform(4)
    front = replan_front(stated(cluster=cluster, slots_per_device=(0, 2, 2, 0)))
    assert points(front) == [(0, 7), (2, 5)]


def test_a_layer_goes_on_around_the_limit_of_a_device() -> None:
    # Device 1 may take nothing. What device 0 has to give goes to device 2 instead.
    loads = np.array([[8.0, 4.0, 0.5, 0.5, 1.0, 2.0]])
    problem = stated(
        loads_tokens=loads,
        cluster=Cluster.uniform(3),
        previous=np.array([[0, 1, 2, 3, 4, 5]]),
        max_moved_bytes_per_device=(9, 0, 9),
    )
    front = replan_front(problem)
    assert points(front)[0] == (0, 12)
    assert points(front)[-1][1] == 9
    assert front.table(-1)[0, 2:4].tolist() == [2, 3]


def test_devices_that_died_are_replaced_first() -> None:
    problem = stated(
        slots_per_device=(2, 2, 2),
        cluster=Cluster.uniform(3),
        previous=np.array([[0, 1, 2, 3, 0, 2]]),
        dead_devices=(1,),
    )
    front = replan_front(problem)
    # Experts 1 and 3 are needed: 3 is nowhere else, a spare copy of 0 or 2 gives way.
    assert front.moved_bytes[0] == 1
    assert front.transfers[0] == 1
    assert front.table(0)[0, 2:4].tolist() == [-1, -1]
    assert violations(problem, PlacementPlan(physical_to_logical=front.table(-1))) == []


def test_what_the_limits_leave_no_room_to_mend_is_said() -> None:
    died = {"dead_devices": (1,), "slots_per_device": (4, 2), "max_moved_bytes": 1}
    problem = stated(previous=np.array([[0, 1, -1, -1, 2, 3]]), allow_empty_slots=True, **died)
    with pytest.raises(NoPlacementError, match=r"^no_plan_found"):
        replan_front(problem)
    result = solve(problem, "replan")
    assert result.plan is None
    assert result.bound == 10


def test_the_method_takes_the_best_plan_at_the_price() -> None:
    for price, objective, moved in ((0.0, 5.0, 2), (0.5, 6.0, 2), (2.0, 7.0, 0)):
        result = solve(stated(move_price_per_byte=price), "replan")
        assert result.objective == objective
        assert result.statistics["transfers"] == moved
        assert result.statistics["points"] == 2
        assert result.bound == 5


def test_arrays_in_and_out() -> None:
    loads = [[4.0, 3.0, 2.0, 1.0], [1.0, 1.0, 1.0, 1.0]]
    found = replan([[0, 1, 2, 3]] * 2, loads, devices=2, expert_bytes=10)
    assert parts(found.physical_to_logical[0]) == {frozenset({0, 3}), frozenset({1, 2})}
    assert found.physical_to_logical[1].tolist() == [0, 1, 2, 3]
    assert found.expert_count.tolist() == [[1] * 4] * 2
    assert (found.moved_bytes, found.transfers, found.imbalance) == (20, 2, 1.0)
    assert len(found.front) == 2
    for stay in ({"most_bytes": 19.0}, {"price_per_byte": 0.2}, {"max_moved_bytes": 19}):
        assert replan([[0, 1, 2, 3]] * 2, loads, 2, expert_bytes=10, **stay).transfers == 0


REFUSED: dict[str, dict[str, Any]] = {
    "previous plan": {"previous": None},
    "expert_bytes": {"expert_bytes": None},
    "even split": {"split": "optimal"},
    "max_load": {"objective": "activated"},
    "cross-node": {"cluster": Cluster.uniform(2, 2), "cross_node_price": 1.0},
    "memory": {"expert_memory_bytes": 1, "allow_empty_slots": True},
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_it_cannot_take_is_refused_with_the_reason(reason: str) -> None:
    with pytest.raises(InstanceError, match=f"cannot be replanned: .*{reason}"):
        replan_front(stated(**REFUSED[reason]))


@pytest.mark.parametrize(
    ("previous", "devices"), [([[0, 1, 2]], 2), ([[0, 1]], 0), (3, 1), ([[0, 1, 2, 9]], 2)]
)
def test_malformed_arguments_are_bad_input(previous: Any, devices: int) -> None:
    with pytest.raises(InstanceError, match="previous"):
        replan(previous, [[1.0, 1.0, 1.0]], devices)


def test_a_fresh_plan_is_offered_where_the_descent_ends_far_from_the_bound() -> None:
    rng = np.random.default_rng(5)
    problem = stated(
        loads_tokens=rng.lognormal(0.0, 1.0, (3, 32)),
        cluster=Cluster.uniform(8, 4),
        slots_per_device=5,
        previous=rng.permuted(np.tile(np.arange(40) % 32, (3, 1)), axis=1),
        max_copies_per_device=None,
    )
    with_it, without = replan_front(problem), replan_front(problem, fresh=False)
    assert with_it.objective[-1] < without.objective[-1]
    for point in range(len(with_it)):
        plan = PlacementPlan(physical_to_logical=with_it.table(point))
        assert violations(problem, plan) == []
        assert evaluate(problem, plan).moved_bytes == with_it.moved_bytes[point]


JIT_SCRIPT = """
import numpy as np
from moeopt.placement.replan import replan_front
from moeopt.describe.cluster import Cluster
from moeopt.placement.problem import PlacementProblem
rng = np.random.default_rng(0)
for rules in ({}, {"distinct_nodes": True}, {"max_moved_bytes_per_device": 3}):
    front = replan_front(PlacementProblem(
        loads_tokens=rng.integers(1, 99, (2, 8)), cluster=Cluster.uniform(4, 4),
        slots_per_device=3, expert_bytes=1, previous=np.tile(np.arange(12) % 8, (2, 1)), **rules))
    print(front.objective.tolist(), front.table(-1).tolist())
"""


def test_kernels_give_the_same_front_with_the_jit_off() -> None:
    compiled, interpreted = compiled_and_interpreted(JIT_SCRIPT)
    assert compiled == interpreted
    assert len(compiled) == 3
