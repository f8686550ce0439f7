"""Tokens for a run: the loads to the token, and traces that fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moeopt.adapters.torch.layout import layouts_of_plan
from moeopt.adapters.torch.run.tokens import (
    chosen_top_k,
    in_shares,
    read_choices,
    routed_by_loads,
    routed_by_trace,
    sent_tokens,
    systematic,
    tokens_of_trace,
)
from moeopt.core.errors import InstanceError
from moeopt.describe.cluster import Cluster, Device, Node, NodeGroup
from moeopt.placement.plan import PlacementPlan
from moeopt.placement.problem import PlacementProblem, Timing
from moeopt.placement.split import traffic_of_plan
from moeopt.traces.npz import write_trace
from moeopt.traces.trace import RoutingTrace


def problem_of(**fields: Any) -> PlacementProblem:
    """Return a problem of 2 layers, 3 experts and 4 devices with a slot each."""
    given: dict[str, Any] = {
        "loads_tokens": np.array([[[6.0, 3, 3], [1, 2, 5]]]),
        "cluster": Cluster(nodes=(NodeGroup(node=Node(devices=4)),)),
        "slots_per_device": 1,
    }
    return PlacementProblem(**{**given, **fields})


PLAN = PlacementPlan(physical_to_logical=np.array([[0, 1, 2, 0], [2, 1, 2, 0]]))


@given(
    st.lists(st.integers(0, 50), min_size=2, max_size=12),
    st.integers(0, 40),
    st.integers(1, 4),
    st.integers(0, 5),
)
def test_systematic_tokens_have_the_loads(
    loads: list[int], tokens: int, top_k: int, seed: int
) -> None:
    parts = np.array(loads, dtype=np.float64)
    if not parts.any() or parts.max() * top_k > parts.sum():
        parts = np.ones(max(len(parts), top_k))
    ids = systematic(parts, tokens, top_k, np.random.default_rng(seed))
    assert ids.shape == (tokens, top_k)
    assert all(len(set(row)) == top_k for row in ids.tolist())
    exact = parts / parts.sum() * tokens * top_k
    assert np.abs(np.bincount(ids.ravel(), minlength=len(parts)) - exact).max() < 1


def test_whole_numbers_in_shares() -> None:
    assert in_shares(np.array([1.0, 1, 2]), 8).tolist() == [2, 2, 4]
    assert in_shares(np.array([1.0, 1, 1]), 8).tolist() == [3, 3, 2]
    assert in_shares(np.zeros(3), 8).tolist() == [0, 0, 0]


def test_ranks_send_what_the_sources_send() -> None:
    source = np.zeros((4, 2, 3))
    source[0, 0], source[1, 0], source[3, 1] = [6, 0, 0], [0, 3, 3], [1, 2, 5]
    sent = sent_tokens(problem_of(source_tokens=source, split="nearest"), PLAN, 2)
    assert sent.tolist() == [[[6, 3, 3], [0, 0, 0]], [[0, 0, 0], [1, 2, 5]]]
    batch = routed_by_loads(sent[0], 6, 1, (0,))
    assert batch.counts(3).tolist() == [[6, 3, 3], [0, 0, 0]]
    assert [weights.shape for weights in batch.gate_weights] == [(12, 1), (0, 1)]


def test_dead_devices_send_nothing() -> None:
    problem = problem_of(dead_devices=(2,), allow_empty_slots=True)
    sent = sent_tokens(problem, PLAN, 4)
    assert sent[:, 2].sum() == 0
    assert np.allclose(sent.sum(axis=1), problem.loads_tokens[0])


def test_sources_that_move_with_the_experts_bring_the_plans_traffic() -> None:
    between = np.array([[[0.0, 2, 1], [4, 0, 2], [2, 1, 0]], [[0, 1, 3], [1, 0, 2], [0, 1, 0]]])
    problem = problem_of(
        loads_tokens=between.sum(axis=1)[None],
        cluster=Cluster(
            nodes=(NodeGroup(node=Node(devices=4, device=Device(link_bandwidth_bytes_per_s=1.0))),)
        ),
        expert_traffic_tokens=between,
        objective="layer_time",
        timing=Timing(
            seconds_per_token=1.0, dispatch_bytes_per_token=1.0, combine_bytes_per_token=1.0
        ),
    )
    sent = sent_tokens(problem, PLAN, 4)
    served = [
        layout.served(rows)
        for layout, rows in zip(layouts_of_plan(problem, PLAN), sent, strict=True)
    ]
    loads = problem.loads_tokens
    expected = np.concatenate(
        [rows for _, _, rows in traffic_of_plan(problem, PLAN.copies(problem), loads)]
    )
    assert np.allclose(served, expected)


def test_top_k_that_the_loads_allow() -> None:
    sent = np.array([[[6.0, 3, 3]], [[1, 2, 5]]])
    assert chosen_top_k(sent[:1], None) == 2
    assert chosen_top_k(sent, None) == 1
    assert chosen_top_k(np.zeros((1, 1, 3)), 3) == 3
    with pytest.raises(InstanceError, match=r"layer 1, expert 2 gets 0\.625") as error:
        chosen_top_k(sent, 2)
    assert error.value.path == "top_k"


def trace_of(tokens: int, layers: int = 2, **fields: Any) -> RoutingTrace:
    """Return a trace in which token t chooses experts t and t + 1 of 3."""
    first = np.arange(tokens)[:, None, None] + np.arange(layers)[None, :, None]
    return RoutingTrace((first + np.arange(2)) % 3, **fields)


def test_consecutive_tokens_of_a_trace_are_dealt_to_the_ranks() -> None:
    weights = np.linspace(0, 1, 44).reshape(11, 2, 2)
    trace = trace_of(11, gate_weights=weights)
    batches = routed_by_trace(trace, 1, 2, 2, 9, (0,))
    assert len(batches) == 2
    assert batches[1].expert_ids[0].tolist() == trace.expert_ids[4:6, 1].tolist()
    assert np.allclose(batches[1].gate_weights[1], weights[6:8, 1])
    unweighted = routed_by_trace(trace_of(4), 0, 2, 2, 1, (0,))[0]
    assert np.allclose(unweighted.gate_weights[0].sum(axis=1), 1)


@pytest.mark.parametrize(
    ("trace", "said"),
    [
        (trace_of(4, layers=3), "must be of the problem's 2 layers, got <3 layers>"),
        (trace_of(4, experts=4), "must be of the problem's 3 experts, got <4 experts>"),
    ],
)
def test_traces_of_other_models_are_refused(tmp_path: Path, trace: RoutingTrace, said: str) -> None:
    path = str(tmp_path / "trace.npz")
    write_trace(path, trace)
    with pytest.raises(InstanceError, match=said):
        read_choices(path, problem_of())


def test_counts_are_no_choices(tmp_path: Path) -> None:
    path = tmp_path / "counts.csv"
    path.write_text("layer,expert,count\n0,0,6\n0,1,3\n0,2,3\n1,0,1\n1,1,2\n1,2,5\n")
    with pytest.raises(InstanceError, match="must say what each token chose"):
        read_choices(str(path), problem_of())


def test_tokens_of_a_trace() -> None:
    assert tokens_of_trace(trace_of(9), "t", 2, None, 512) == 4
    assert tokens_of_trace(trace_of(9), "t", 2, 3, 512) == 3
    with pytest.raises(InstanceError, match="must be 1 to 4: the trace has 9 for 2 workers"):
        tokens_of_trace(trace_of(9), "t", 2, 5, 512)
    with pytest.raises(InstanceError, match="must have a token for each of the 4 workers"):
        tokens_of_trace(trace_of(3), "t", 4, None, 512)
