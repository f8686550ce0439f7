"""The buffering bench's own arithmetic: what is taken of traces, what is compared, what is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from moeopt.bench import buffering_real, buffering_traces
from moeopt.bench.buffering_hit_rates import BEST, OURS, Rates, rates_of
from moeopt.bench.buffering_joint import DEVICES, Case, dealt, judged
from moeopt.bench.buffering_memory import latencies, shared
from moeopt.bench.buffering_planning import BUDGETS, Half, compared
from moeopt.bench.buffering_proofs import bypassed, flow_costs, random_problems
from moeopt.bench.buffering_times import LEAN, capped, flow_cases, long_problem
from moeopt.bench.buffering_traces import (
    EVERYTHING,
    PROTOCOL,
    Protocol,
    Recorded,
    halves,
    recorded,
)
from moeopt.bench.command import encode
from moeopt.bench.registry import Setting
from moeopt.bench.serverless_prediction import TRACES
from moeopt.buffering.from_trace import buffering_problem
from moeopt.buffering.policies import POLICIES
from moeopt.buffering.stream import streams
from moeopt.core.errors import InstanceError
from moeopt.testing.conformance.buffering_oracle import brute_force
from moeopt.traces import RoutingTrace

QUICK = Setting(quick=True, peers=(), say=lambda line: None)


def drawn(tokens: int = 60, layers: int = 3, experts: int = 8, seed: int = 0) -> Recorded:
    """Return a small trace of two experts a token, and counts of another."""
    rng = np.random.default_rng(seed)
    liked = rng.permuted(np.tile(1.0 / np.arange(1, experts + 1), (layers, 1)), axis=1)
    chance = liked + 0.2 * rng.random((tokens, layers, experts))
    ids = np.argsort(-chance - 0.3 * rng.random(chance.shape), axis=2)[:, :, :2]
    lengths = np.full(6, tokens // 6)
    trace = RoutingTrace(ids, sequence_lengths=lengths, experts=experts)
    return Recorded("drawn", trace, trace.counts()[:, ::-1])


def test_the_protocol_takes_the_layers_that_were_published() -> None:
    trace = RoutingTrace(np.zeros((2, 26, 1), dtype=np.int64), experts=64)
    assert (PROTOCOL.layers_of(trace) + 1).tolist() == [1, 9, 18, 26]
    assert EVERYTHING.layers_of(trace).tolist() == list(range(26))


def test_a_protocol_is_a_step_for_each_token_in_order_of_ids() -> None:
    one = drawn()
    problem = Protocol("some", 10, 2).problem(one, slots=3)
    assert (problem.num_layers, problem.num_steps, problem.slots) == (2, 10, 3)
    ids = np.sort(one.trace.expert_ids[:10][:, [0, 2]], axis=2)
    np.testing.assert_array_equal(problem.active, ids.ravel())
    assert problem.history is not None
    assert one.past is not None
    np.testing.assert_array_equal(problem.history, one.past[[0, 2]])


def test_traces_of_a_folder_know_each_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for seed, name in enumerate(("one", "two")):
        ids = drawn(seed=seed).trace.expert_ids
        np.savez(tmp_path / f"{name}.npz", expert_ids=ids)
    (tmp_path / "zoo").mkdir()
    np.savez(tmp_path / "zoo" / "one.npz", expert_ids=np.zeros((4, 2, 1), dtype=np.int64))
    monkeypatch.setattr(buffering_traces, "recorded", recorded.__wrapped__)
    monkeypatch.setenv(TRACES, str(tmp_path))
    reference, one, two, alone = buffering_traces.recorded()
    assert reference.name == buffering_traces.REFERENCE
    assert [found.name for found in (one, two, alone)] == ["one", "two", "zoo/one"]
    assert one.past is not None
    np.testing.assert_array_equal(one.past, two.trace.counts())
    assert alone.past is None
    assert buffering_traces.where_more_is() == ""
    monkeypatch.delenv(TRACES)
    assert len(buffering_traces.recorded()) == 1
    assert TRACES in buffering_traces.where_more_is()


@pytest.mark.parametrize("folder", ["empty", "nowhere"])
def test_a_folder_without_traces_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: str
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv(TRACES, str(tmp_path / folder))
    with pytest.raises(InstanceError, match="must be a folder with traces"):
        recorded.__wrapped__()
    np.savez(tmp_path / "empty" / "no.npz", expert_ids=np.zeros((0, 2, 1), dtype=np.int64))
    monkeypatch.setenv(TRACES, str(tmp_path))
    with pytest.raises(InstanceError, match=r"empty/no\.npz: must have tokens"):
        recorded.__wrapped__()


def test_a_text_is_parted_even_if_it_is_one_sequence() -> None:
    trace = RoutingTrace(np.arange(5).reshape(5, 1, 1), sequence_lengths=np.array([5]))
    parted = halves(trace)
    assert parted is not None
    assert [half.expert_ids.ravel().tolist() for half in parted] == [[0, 1], [2, 3, 4]]
    two = RoutingTrace(trace.expert_ids, sequence_lengths=np.array([1, 4]))
    assert [half.num_tokens for half in halves(two) or ()] == [1, 4]
    assert halves(trace.part(0, 1)) is None


def test_the_gap_is_that_of_the_best_other_policy_without_foresight() -> None:
    by_policy = {"lru": [0.2, 0.5], "fifo": [0.3, 0.4], OURS: [0.4, 0.6], BEST: [0.5, 0.9]}
    rates = Rates({name: np.array(found) for name, found in by_policy.items()})
    assert rates.others.tolist() == [0.3, 0.5]
    assert rates.lead.tolist() == pytest.approx([0.1, 0.1])
    assert rates.closed.tolist() == pytest.approx([0.5, 0.25])
    assert rates.above_best == 0.0
    # Where the best other is as good as hindsight there is nothing to close.
    by_policy = {"lru": [0.5], OURS: [0.4], BEST: [0.5]}
    rates = Rates({name: np.array(found) for name, found in by_policy.items()})
    assert np.isnan(rates.closed).all()


def test_every_policy_is_replayed_and_none_beats_hindsight() -> None:
    one = drawn()
    rates = rates_of(one, EVERYTHING, slots=(3, 8))
    assert rates.by_policy.keys() == POLICIES.keys()
    assert rates.above_best <= 0.0
    blind = rates_of(Recorded(one.name, one.trace, None), EVERYTHING, slots=(3,))
    assert POLICIES.keys() - blind.by_policy.keys() == {"static_top_k"}


def test_random_problems_are_small_varied_and_solved_by_the_flow() -> None:
    problems = list(random_problems(24))
    assert {problem.serve for problem in problems} == {"load", "bypass"}
    assert any(problem.pinned is not None for problem in problems)
    for problem in problems:
        best, costs = brute_force(problem), flow_costs(problem)
        assert best is not None
        assert (best.objective is None) == (costs is None)
        if costs is not None:
            assert costs == pytest.approx((best.objective, best.objective))
    assert any(flow_costs(problem) is None for problem in random_problems(60))


def test_what_is_served_elsewhere_has_prices_and_a_cap() -> None:
    blind, told = bypassed(drawn(), 2)
    assert blind.history is None
    assert told.history is not None
    assert (told.serve, told.loads_per_group) == ("bypass", 2)
    assert told.load_prices()[0, 0] == 3.0 * told.miss_prices()[0]


def test_long_streams_are_the_references_layers_over_and_over() -> None:
    problem = long_problem(300_000)
    trace = recorded()[0].trace
    layer = np.sort(trace.expert_ids[:, 0], axis=1).ravel()
    np.testing.assert_array_equal(problem.active[: layer.size], layer)
    assert 300_000 <= problem.num_references < 300_000 + trace.top_k
    assert set(LEAN) < POLICIES.keys()
    case = flow_cases()["drawn"]
    assert (case.num_experts, case.num_steps) == (64, 8000)
    assert capped(case).loads_per_group == 2


def test_planned_slots_cost_what_the_policy_does_with_them() -> None:
    one = drawn(tokens=240)
    for policy in ("lru", "learned", "belady"):
        rows = compared(one, policy)
        assert [row.share for row in rows] == list(BUDGETS)
        assert rows[-1].uniform <= rows[0].uniform
        assert all(1 <= row.least <= row.most <= 8 for row in rows)
    # Hindsight's own curves are convex: with the ideal slots nothing costs less.
    assert all(row.ideal <= min(row.uniform, row.planned) for row in rows)


def test_slow_curves_reach_to_all_experts_however_many() -> None:
    ids = np.random.default_rng(0).integers(0, 128, (600, 1, 1))
    trace = RoutingTrace(ids, experts=128)
    half = Half(streams(buffering_problem(trace, slots=1)), "learned")
    (curve,) = half.curves()
    assert curve[128] == half.cost(np.array([128])) == np.unique(ids).size < curve[96] < curve[64]


def test_experts_are_dealt_equally_and_judged_by_all_devices() -> None:
    loads = np.arange(16.0).reshape(1, 1, 16)
    table = dealt(loads, "contiguous")
    np.testing.assert_array_equal(table[0], np.arange(16) // 2)
    assert np.bincount(dealt(loads, "lpt")[0]).tolist() == [2] * DEVICES
    trace = RoutingTrace(np.arange(16).reshape(16, 1, 1), experts=16)
    problem = buffering_problem(trace, batch_tokens=4, slots=1)
    total, worst, imbalance = judged(Case(problem, problem, loads, loads), table, "lru")
    # Steps of four tokens meet two devices, two misses each.
    assert (total, worst) == (16.0, 8.0)
    assert imbalance == pytest.approx((14 + 15) / 15)


def test_memory_buys_hits() -> None:
    one = drawn(tokens=120)
    points = latencies(one, "lru")
    assert [point.used_bytes for point in points] == sorted(point.used_bytes for point in points)
    assert points[-1].hit_rate > points[0].hit_rate
    assert shared(one, "lru", memory=2.0)[0].sequences == 1


PRINTED = """a machine
policy         slots  loads  predicted s  stall s          from to  ratio  in waits
lru                8    370        0.233    0.516    0.516   0.516   2.22     0.735
inactive_lifo     16    327        0.211    0.538    0.530   0.541   2.54     0.781
all the same"""


def test_the_real_caches_table_is_read_by_its_headings() -> None:
    report = buffering_real.told(PRINTED.splitlines())
    (table,), (figure,) = report.tables, report.figures
    assert [column.name for column in table.columns][4:7] == ["stall s", "from to", "ratio"]
    second = ["inactive_lifo", "16", "327", "0.211", "0.538", "0.530   0.541", "2.54", "0.781"]
    assert table.rows[1] == second
    assert table.note == "a machine; all the same"
    assert figure.value == 2.54
    assert encode("buffering", True, report)


def test_without_torch_the_real_cache_is_a_line_with_its_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(buffering_real, "missing_here", lambda: "needs torch")
    (figure,) = buffering_real.run(QUICK).figures
    assert figure.value is None
    assert "needs torch; run python examples/reference_moe/run_cache.py --device" in figure.note
    assert buffering_real.told(["nothing"]).figures[0].note == "the script printed no table"
