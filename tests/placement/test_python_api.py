"""Placement from Python: bad arguments are named, good ones are copied, nothing is guessed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numba.core import event

import moeopt
from moeopt.adapters.engines.eplb import rebalance_experts
from moeopt.core.errors import InstanceError
from moeopt.describe import Cluster, Device, Node, NodeGroup
from moeopt.placement import (
    NoPlacementError,
    Pair,
    PlacementPlan,
    PlacementProblem,
    evaluate,
    place,
)
from moeopt.placement.impossible import impossible

LOADS = np.array([[4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0]])


def problem(**fields: Any) -> PlacementProblem:
    stated = {"loads_tokens": LOADS, "cluster": Cluster.uniform(2), "slots_per_device": 2}
    return PlacementProblem(**{**stated, **fields})


@pytest.mark.parametrize(
    ("fields", "path", "rule"),
    [
        ({"objective": "nonsense"}, "$.objective", "must be one of 'activated'"),
        ({"split": "evn"}, "$.split", "must be one of 'even'"),
        ({"group_rule": "onenode"}, "$.group_rule", "must be one of 'free'"),
        ({"cross_node_price": -1.0}, "$.cross_node_price", "must be a number >= 0"),
        ({"cross_node_price": math.nan}, "$.cross_node_price", "must be a number >= 0"),
        ({"cross_node_price": math.inf}, "$.cross_node_price", "must be a finite number"),
        ({"objective": "cvar", "cvar_tail": -1.0}, "$.cvar_tail", "must be a number > 0"),
        ({"loads_tokens": LOADS * 1j}, "$.loads_tokens", "real numbers"),
        ({"loads_tokens": LOADS > 2}, "$.loads_tokens", "real numbers"),
        ({"loads_tokens": [["1", "2"]]}, "$.loads_tokens[0][0]", "must be a number"),
        ({"loads_tokens": [[1, 2], [3]]}, "$.loads_tokens[1]", "rectangular"),
        ({"loads_tokens": ((1, 2), (3,))}, "$.loads_tokens", "rectangular"),
        ({"loads_tokens": None}, "$.loads_tokens", "rectangular"),
        ({"loads_tokens": 3.0}, "$.loads_tokens", "must have shape"),
        ({"loads_tokens": np.array([[2**63]], dtype=np.uint64)}, "$.loads_tokens", "64 bits"),
        ({"groups": 0}, "$.groups", "must be a whole number >= 1"),
        ({"groups": 10**5000}, "$.groups", "must be a whole number <= 1000000"),
        ({"groups": True}, "$.groups", "must be a whole number"),
        ({"groups": np.float64(2.0)}, "$.groups", "must be a whole number"),
        ({"min_copies_per_expert": 0}, "$.min_copies_per_expert", ">= 1"),
        ({"dead_devices": (-1,)}, "$.dead_devices[0]", ">= 0"),
        ({"dead_devices": 1}, "$.dead_devices", "must be a tuple"),
        ({"slots_per_device": -2}, "$.slots_per_device", ">= 0"),
        ({"slots_per_device": (2, -2)}, "$.slots_per_device[1]", ">= 0"),
        ({"slots_per_device": "2"}, "$.slots_per_device", "must be a whole number"),
        ({"pinned": ((0, 1),)}, "$.pinned[0]", "must be a Pair"),
        ({"pinned": Pair(expert=0, device=1)}, "$.pinned", "must be a tuple"),
        ({"cluster": 2}, "$.cluster", "must be a Cluster"),
        ({"timing": 2}, "$.timing", "must be a Timing or None"),
        ({"distinct_nodes": 1}, "$.distinct_nodes", "must be True or False"),
        ({"version": 2}, "$.version", "must be one of 1"),
        ({"generator": {"seed": math.nan}}, "$.generator.seed", "must be a finite number"),
    ],
)
def test_a_problem_names_its_bad_field(fields: dict[str, Any], path: str, rule: str) -> None:
    with pytest.raises(InstanceError) as caught:
        problem(**fields)
    assert caught.value.path == path
    assert rule in caught.value.rule
    assert caught.value.remedy
    assert len(str(caught.value)) < 600


def test_a_replaced_field_is_checked_too() -> None:
    with pytest.raises(InstanceError, match=r"\$\.groups"):
        msgspec.structs.replace(problem(), groups=0)


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda: Cluster(nodes=()), "$.nodes"),
        (lambda: Cluster(nodes=(2,)), "$.nodes[0]"),  # type: ignore[arg-type]
        (lambda: Node(devices=0), "$.devices"),
        (lambda: NodeGroup(node=3), "$.node"),  # type: ignore[arg-type]
        (lambda: Device(relative_speed=0.0), "$.relative_speed"),
        (lambda: Cluster.uniform(0), "devices"),
        (lambda: Cluster.uniform(2.0), "devices"),  # type: ignore[arg-type]
        (lambda: Pair(expert=-1, device=0), "$.expert"),
        (lambda: PlacementPlan(physical_to_logical=np.array([["0"]])), "$.physical_to_logical"),
    ],
)
def test_every_record_is_checked(make: Any, path: str) -> None:
    with pytest.raises(InstanceError) as caught:
        make()
    assert caught.value.path == path


def test_numpy_scalars_and_lists_are_brought_to_python() -> None:
    made = problem(
        groups=np.int64(2),
        cross_node_price=np.float32(0.5),
        slots_per_device=np.array([2, 2]),
        dead_devices=[],
        distinct_nodes=np.False_,
        expert_bytes=np.int64(7),
        pinned=[Pair(expert=np.int32(0), device=1)],  # type: ignore[arg-type]
    )
    assert (made.groups, made.cross_node_price) == (2, 0.5)
    assert type(made.groups) is int
    assert made.slots_per_device == (2, 2)
    assert (made.dead_devices, made.distinct_nodes, made.expert_bytes) == ((), False, 7)
    assert type(made.pinned[0].expert) is int


@pytest.mark.parametrize(
    ("arguments", "rules", "path"),
    [
        ((3.0, 2), {}, "$.loads_tokens"),
        (([1.0, 2.0], 2), {}, "$.loads_tokens"),
        ((LOADS, 0), {}, "devices"),
        ((LOADS, "2"), {}, "devices"),
        ((LOADS, 2, -2), {}, "$.slots_per_device"),
        ((LOADS, 2, 4.0), {}, "slots"),
        ((LOADS, 2, "4"), {}, "slots"),
        ((LOADS, 2, [2, 2.5]), {}, "slots[1]"),
        ((LOADS, 2), {"nodes": 1.0}, "nodes"),
        ((LOADS, 2), {"objectve": "max_load"}, "$.objectve"),
        ((LOADS, 2), {"cluster": Cluster.uniform(2)}, "$.cluster"),
        ((LOADS, 2), {"gap": "0"}, "gap"),
        ((LOADS, 2), {"workers": 0}, "workers"),
        ((LOADS, 2), {"warm_start": [[0]]}, "warm_start"),
        ((LOADS, 2), {"progress": 3}, "progress"),
        ((LOADS, 2), {"method": 5}, "method"),
    ],
)
def test_place_names_its_bad_argument(
    arguments: tuple[Any, ...], rules: dict[str, Any], path: str
) -> None:
    with pytest.raises(InstanceError) as caught:
        place(*arguments, **rules)
    assert caught.value.path == path


def test_place_guesses_the_rule_that_was_meant() -> None:
    with pytest.raises(InstanceError, match="did you mean 'objective'"):
        place(LOADS, 2, objectve="max_load")


def test_place_takes_what_solve_takes() -> None:
    events: list[Any] = []
    found = place(
        LOADS,
        np.int64(2),  # type: ignore[arg-type]
        np.int64(4),  # type: ignore[arg-type]
        gap=0.5,
        workers=1,
        warm_start=[[0, 3, 1, 2]] * 2,
        progress=events.append,
    )
    assert found.objective == 10.0
    # Other systems write to what they are given.
    found.physical_to_logical[0, 0] = 0


@pytest.mark.parametrize("wrong", [{}, "file.json", None, problem, PlacementProblem])
def test_solve_takes_problems_only(wrong: Any) -> None:
    with pytest.raises(InstanceError, match="must be a problem"):
        moeopt.solve(wrong)


def test_solve_takes_no_plan() -> None:
    with pytest.raises(InstanceError, match="must be a PlacementProblem"):
        moeopt.solve(PlacementPlan(physical_to_logical=np.zeros((1, 1))))  # type: ignore[arg-type]


def test_arrays_are_the_problem_s_own() -> None:
    loads, previous = LOADS.copy(), np.array([[0, 1, 2, 3]] * 2)
    made = problem(loads_tokens=loads, previous=previous)
    loads[:], previous[:] = -1.0, 9
    assert made.loads_tokens.max() == 4.0
    assert made.previous is not None
    for array in (made.loads_tokens, made.previous):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    again = msgspec.structs.replace(made, groups=2)
    assert again.loads_tokens is made.loads_tokens
    table = np.array([[0, 1, 2, 3]])
    plan = PlacementPlan(physical_to_logical=table)
    table[:] = -5
    assert plan.physical_to_logical.tolist() == [[0, 1, 2, 3]]
    assert not plan.physical_to_logical.flags.writeable


def test_a_read_only_view_of_what_others_write_to_is_copied() -> None:
    loads = LOADS.copy()
    view = loads[:]
    view.flags.writeable = False
    made = problem(loads_tokens=view)
    loads[:] = 0.0
    assert made.loads_tokens.max() == 4.0


def test_read_only_arrays_compile_nothing_twice() -> None:
    class Count(event.Listener):  # type: ignore[misc]
        started = 0

        def on_start(self, event: Any) -> None:
            self.started += 1

        def on_end(self, event: Any) -> None:
            pass

    def solve_all(stated: PlacementProblem) -> None:
        for method in ("auto", "search", "fast", "lpt"):
            result = moeopt.solve(stated, method)
            moeopt.solve(stated, "search", warm_start=result.plan)
        rebalance_experts(stated.loads_tokens[0].copy(), 32, 1, 1, 2)

    big = np.arange(64.0).reshape(2, 32) % 7
    stated = problem(loads_tokens=big, slots_per_device=16, expert_bytes=np.ones((2, 32)))
    solve_all(problem(loads_tokens=big, slots_per_device=16))
    count = Count()
    event.register("numba:compile", count)  # type: ignore[no-untyped-call]
    try:
        for method in ("auto", "search", "fast", "lpt"):
            moeopt.solve(stated, method)
        rebalance_experts(stated.loads_tokens[0], 32, 1, 1, 2)
    finally:
        event.unregister("numba:compile", count)  # type: ignore[no-untyped-call]
    assert count.started == 0


def test_the_problem_s_repr_is_short() -> None:
    text = repr(problem(name="small"))
    assert text.startswith("<PlacementProblem 'small', ")
    assert "4 experts" in text
    assert "2 layers" in text
    assert len(text) < 120


def test_a_solve_sums_itself_up_in_a_line() -> None:
    line = moeopt.solve(problem()).summary()
    assert line.startswith("optimal, objective 10, bound 10, gap 0 %, ")
    assert "\n" not in line
    broken = moeopt.solve(problem(slots_per_device=1)).summary()
    assert broken.startswith("infeasible, ")
    assert "C2" in broken


@pytest.mark.parametrize("scale", [1.0, 1e-20, 1e-300])
def test_scaling_the_loads_leaves_the_gap(scale: float) -> None:
    loads = np.array([[5.0, 4.0, 3.0, 3.0, 3.0]]) * scale
    found = moeopt.solve(problem(loads_tokens=loads, slots_per_device=3), "lpt")
    same = moeopt.solve(problem(loads_tokens=loads / scale, slots_per_device=3), "lpt")
    assert found.gap == pytest.approx(same.gap)
    assert found.status == same.status


@pytest.mark.parametrize(
    ("fields", "constraint", "said"),
    [
        # Two devices with one copy each: C3 allows two copies.
        ({"slots_per_device": 9, "min_copies_per_expert": 3}, "C3", "C3 allows 2"),
        (
            {
                "slots_per_device": 9,
                "min_copies_per_expert": 2,
                "distinct_nodes": True,
                "max_copies_per_device": None,
            },
            "C9",
            "C9 allows 1",
        ),
        ({"slots_per_device": (1, 5)}, "C3", "device 1 has 5 slots"),
        ({"slots_per_device": 5, "max_copies_per_expert": 2}, "C2", "(C3 allows no more)"),
        (
            {"slots_per_device": 5, "max_copies_per_expert": 1, "max_copies_per_device": None},
            "C2",
            "(C4 allows no more)",
        ),
    ],
)
def test_the_binding_limit_of_copies_is_named(
    fields: dict[str, Any], constraint: str, said: str
) -> None:
    found = impossible(problem(**fields))
    assert any(v.constraint == constraint and said in v.message for v in found), found


def test_every_node_needs_a_group_to_fill_its_slots() -> None:
    rules: dict[str, Any] = {"cluster": Cluster.uniform(4, 4), "groups": 2, "slots_per_device": 2}
    (found,) = impossible(problem(group_rule="one_node", **rules))
    assert (found.constraint, found.amount) == ("C10", 2.0)
    assert "4 live nodes need 4 groups" in found.message
    assert not impossible(problem(group_rule="one_node", allow_empty_slots=True, **rules))
    assert not impossible(problem(group_rule="one_node", dead_devices=(0, 1), **rules))


def test_a_node_s_slots_must_be_fillable_by_the_groups_that_fit() -> None:
    # Node 0 has 3 slots for pairs of experts, each once: one pair leaves a slot, two do not fit.
    nodes = (NodeGroup(node=Node(devices=1)), NodeGroup(node=Node(devices=2)))
    fields: dict[str, Any] = {"cluster": Cluster(nodes=nodes), "slots_per_device": (3, 2, 2)}
    loads = np.ones((1, 6))
    found = impossible(problem(loads_tokens=loads, groups=3, group_rule="one_node", **fields))
    assert [v.constraint for v in found] == ["C10"]
    assert "node 0 needs 2 groups" in found[0].message


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({"method": "fats"}, "method"),
        ({"seed": -1}, "seed"),
        ({"seed": 1.0}, "seed"),
        ({"max_copies_per_gpu": 0}, "max_copies_per_gpu"),
        ({"max_copies_per_gpu": 1}, "max_copies_per_gpu"),
        ({"num_gpus": 2.0}, "num_gpus"),
        ({"weight": [["1"]]}, "weight[0][0]"),
    ],
)
def test_the_drop_in_names_its_bad_argument(arguments: dict[str, Any], path: str) -> None:
    fields = {"weight": np.ones((1, 4)), "num_replicas": 16, "num_groups": 1, "num_nodes": 1}
    with pytest.raises(InstanceError) as caught:
        rebalance_experts(**{**fields, "num_gpus": 2, **arguments})
    assert caught.value.path == path


def test_the_drop_in_returns_no_broken_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    from moeopt.placement import balance

    def given_up(blocks: balance.Blocks, *rest: Any) -> balance.Balanced:
        table = np.array([[0, 1, 2, -1]])
        return balance.Balanced(table=table, value=np.array([math.inf]), bound=np.zeros(1))

    monkeypatch.setattr(balance, "search", given_up)
    with pytest.raises(NoPlacementError):
        rebalance_experts(np.ones((1, 4)), 4, 1, 1, 2)


def test_the_public_names(tmp_path: Path) -> None:
    import moeopt.describe
    import moeopt.placement

    for package in (moeopt, moeopt.describe, moeopt.placement):
        for name in package.__all__:
            assert getattr(package, name) is not None
            assert name in dir(package)
    assert moeopt.Cluster is Cluster
    assert moeopt.PlacementProblem is PlacementProblem
    assert moeopt.describe.preset("node", "hgx-h100") is moeopt.describe.preset("node", "hgx-h100")


def test_an_evaluation_survives_pickling() -> None:
    import pickle

    made = problem()
    again = pickle.loads(pickle.dumps(made))
    assert again == made
    assert not again.loads_tokens.flags.writeable
    plan = PlacementPlan(physical_to_logical=[[0, 3, 1, 2]] * 2)  # type: ignore[arg-type]
    assert evaluate(again, plan).objective == 10.0
