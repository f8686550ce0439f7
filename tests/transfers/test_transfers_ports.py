"""Equal and unequal ports: one peer at a time, and fast ports that serve several at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from moeopt.core.arrays import FloatArray
from moeopt.core.errors import InstanceError
from moeopt.core.solve import solve
from moeopt.transfers.bounds import makespan_bound
from moeopt.transfers.generate import FAMILIES, all_to_all, aurora_cluster
from moeopt.transfers.problem import TransferProblem

AMOUNTS = st.just(0.0) | st.floats(1e-3, 1e6)


@st.composite
def traffic_and_rates(draw: st.DrawFn) -> tuple[FloatArray, FloatArray, FloatArray]:
    n = draw(st.integers(2, 6))
    rates = arrays(np.float64, n, elements=st.floats(0.1, 100.0))
    traffic = draw(arrays(np.float64, (n, n), elements=AMOUNTS))
    return traffic, draw(rates), draw(rates)


def fluid(traffic: FloatArray, send: FloatArray, receive: FloatArray) -> float:
    remote = traffic * ~np.eye(len(traffic), dtype=bool)
    return float(max((remote.sum(axis=1) / send).max(), (remote.sum(axis=0) / receive).max()))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("ports", [4, 7, 16])
def test_equal_ports_meet_the_bound(family: str, ports: int) -> None:
    for seed in range(3):
        problem = all_to_all(family, ports, seed, token_bytes=14336.0, bandwidth_bytes_per_s=5e10)
        result = solve(problem, "birkhoff")
        assert result.plan.makespan_s == pytest.approx(makespan_bound(problem), rel=1e-9, abs=0)


@given(traffic_and_rates())
def test_several_peers_reach_the_fluid_bound(
    drawn: tuple[FloatArray, FloatArray, FloatArray],
) -> None:
    traffic, send, receive = drawn
    problem = TransferProblem(
        traffic_bytes=traffic, bandwidth_bytes_per_s=send, receive_bytes_per_s=receive
    )
    result = solve(problem, "multi_peer")
    assert result.objective == pytest.approx(fluid(traffic, send, receive), rel=1e-9)


@given(traffic_and_rates())
def test_one_peer_takes_the_largest_line_of_bytes_over_pair_rates(
    drawn: tuple[FloatArray, FloatArray, FloatArray],
) -> None:
    traffic, send, receive = drawn
    problem = TransferProblem(
        traffic_bytes=traffic,
        bandwidth_bytes_per_s=send,
        receive_bytes_per_s=receive,
        peers="one",
    )
    seconds = traffic * ~np.eye(len(traffic), dtype=bool) / np.minimum.outer(send, receive)
    line = max(seconds.sum(axis=0).max(), seconds.sum(axis=1).max())
    result = solve(problem, "single_peer")
    assert result.objective == pytest.approx(line, rel=1e-9)
    assert result.gap == pytest.approx(0.0, abs=1e-9)


def test_the_printed_order_does_not_reach_the_printed_bound() -> None:
    # papers/aurora.md, section 6, item 7.
    traffic = np.array([[0, 2, 2], [0, 0, 0], [0, 0, 0]])
    problem = TransferProblem(traffic_bytes=traffic, bandwidth_bytes_per_s=np.array([2, 1, 1]))
    assert solve(problem, "single_peer").objective == pytest.approx(4.0)
    assert solve(problem, "multi_peer").objective == pytest.approx(2.0)
    assert solve(problem).objective == pytest.approx(2.0)


def test_few_peers_share_a_port_at_once() -> None:
    for seed in range(3):
        problem = aurora_cluster(seed=seed)
        result = solve(problem, "multi_peer")
        assert result.gap is not None
        assert result.gap < 1e-9
        # Pacing has all seven peers at once.
        assert result.statistics["most_peers_at_once"] < 7


def test_fluid_rates_stay_in_range_where_nothing_is_sent() -> None:
    problem = TransferProblem(traffic_bytes=np.zeros((4, 4)), bandwidth_bytes_per_s=1.0)
    for method in ("birkhoff", "single_peer", "multi_peer"):
        assert solve(problem, method).objective == 0.0


@pytest.mark.parametrize(
    ("method", "rules", "why"),
    [
        ("birkhoff", {"bandwidth_bytes_per_s": np.array([1.0, 2.0])}, "single_peer"),
        ("birkhoff", {"half_duplex": True}, "same time"),
        ("birkhoff", {"preemptive": False}, "cuts"),
        ("birkhoff", {"chunk_bytes": 2.0}, "multiple"),
        ("single_peer", {"chunk_bytes": 1.0}, "cuts"),
        ("multi_peer", {"peers": "one"}, "several peers"),
        ("multi_peer", {"startup_s": 1.0}, "start-ups"),
    ],
)
def test_what_does_not_fit_is_refused(method: str, rules: dict[str, object], why: str) -> None:
    fields = {"bandwidth_bytes_per_s": 1.0, **rules}
    problem = TransferProblem(traffic_bytes=np.array([[0.0, 3.0], [1.0, 0.0]]), **fields)  # type: ignore[arg-type]
    with pytest.raises(InstanceError, match=why):
        solve(problem, method)


def test_parts_are_whole_chunks() -> None:
    problem = all_to_all("zipf", 8, token_bytes=100.0)
    chunked = TransferProblem(
        traffic_bytes=problem.traffic_bytes, bandwidth_bytes_per_s=1.0, chunk_bytes=100.0
    )
    result = solve(chunked, "birkhoff")
    assert (result.plan.size_bytes % 100 == 0).all()
    assert result.status.value == "optimal"


def test_messages_of_a_pair_go_in_the_order_of_their_waves() -> None:
    waves = np.array([[[0, 3], [1, 0]], [[0, 2], [4, 0]]], dtype=float)
    problem = TransferProblem(traffic_bytes=waves, bandwidth_bytes_per_s=1.0)
    result = solve(problem, "birkhoff")
    assert result.objective == pytest.approx(5.0)
    plan = result.plan
    for source in (0, 1):
        mine = plan.source == source
        assert (np.diff(plan.wave[mine][np.argsort(plan.start_s[mine])]) >= 0).all()
