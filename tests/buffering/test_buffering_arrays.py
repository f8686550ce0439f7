"""Plain arrays in and out, and the methods behind them."""

from __future__ import annotations

import numpy as np
import pytest

import moeopt
from moeopt.buffering import NoBufferingError, buffer
from moeopt.buffering.methods import METHODS
from moeopt.buffering.problem import BufferingProblem
from moeopt.core.errors import InstanceError
from moeopt.core.result import Status
from moeopt.traces import RoutingTrace

IN_TURN = np.tile(np.arange(3), 4).reshape(12, 1, 1)


def test_the_cyclic_scan_of_the_paper() -> None:
    """Three experts, two slots, four scans: hits of each policy (papers' worked example 6)."""
    hits = {
        name: int(buffer(IN_TURN, 2, method=name).hit.sum())
        for name in ("auto", "belady", "mru", "lifo", "lru", "fifo")
    }
    assert hits == {"auto": 5, "belady": 5, "mru": 5, "lifo": 3, "lru": 0, "fifo": 0}


def test_arrays_tell_what_the_plan_does() -> None:
    rng = np.random.default_rng(3)
    shuffled = rng.permuted(np.tile(np.arange(8), (40, 2, 1)), axis=2)
    routing = shuffled[:, :, :3]
    found = buffer(routing, slots=[4, 5], method="learned")
    assert found.slots.tolist() == [4, 5]
    assert found.hit_rate == found.hit.mean()
    assert found.objective == (~found.hit).sum() == found.plan.load_at.size
    assert found.bound is not None
    assert 0 <= found.bound <= found.objective
    assert found.layer.tolist() == np.tile(np.repeat([0, 1], 3), 40).tolist()
    assert (np.sort(routing[0, 1]) == found.active[3:6]).all()


def test_bypassed_references_are_no_hits() -> None:
    found = buffer(IN_TURN, 2, serve="bypass", method="lru")
    assert found.objective == (~found.hit).sum()


def test_a_trace_states_its_experts() -> None:
    trace = RoutingTrace(IN_TURN, experts=5)
    assert buffer(trace, 2).problem.num_experts == 5
    assert buffer(IN_TURN, 2, experts=7).problem.num_experts == 7
    with pytest.raises(InstanceError, match="must be left out"):
        buffer(trace, 2, experts=5)


def test_wrong_shapes_and_unknown_rules_are_refused() -> None:
    with pytest.raises(InstanceError, match=r"shape \(tokens, layers, top_k\)"):
        buffer([[1, 2]], 2)
    with pytest.raises(InstanceError, match="policy"):
        buffer(IN_TURN, 2, policy="lru")


def test_no_room_is_no_schedule() -> None:
    with pytest.raises(NoBufferingError, match="C"):
        buffer(IN_TURN, budget_bytes=0)


@pytest.mark.parametrize("method", [method.name for method in METHODS])
def test_every_method_divides_a_budget(method: str) -> None:
    rng = np.random.default_rng(7)
    groups = [rng.permutation(n)[:2] for _ in range(60) for n in (3, 8)]
    problem = BufferingProblem(
        layers=2, experts=8, active=np.concatenate(groups), starts=np.arange(121) * 2,
        expert_bytes=[10, 20], budget_bytes=135, history=np.ones((2, 8)),
    )  # fmt: skip
    result = moeopt.solve(problem, method)
    assert result.plan is not None
    assert result.objective is not None
    assert result.bound is not None
    assert (result.plan.capacity * [10, 20]).sum() <= 135
    assert result.bound <= result.objective
    best = moeopt.solve(problem, "exact")
    assert best.status is Status.OPTIMAL
    assert best.objective == pytest.approx(result.bound)


def test_policies_that_need_a_history_say_so() -> None:
    with pytest.raises(InstanceError, match="history"):
        buffer(IN_TURN, 2, method="static_top_k")
