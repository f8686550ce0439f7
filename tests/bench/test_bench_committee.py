"""The committee bench's own arithmetic: what is planned, what is compared, what is told."""

from __future__ import annotations

import numpy as np
import pytest

import moeopt
from moeopt.bench import committee_budgets, committee_identities, committee_online
from moeopt.bench import committee_planners as planners
from moeopt.bench.buffering_traces import Recorded
from moeopt.bench.command import encode
from moeopt.bench.registry import Report, Setting
from moeopt.committee.curves import standing
from moeopt.committee.generate import routed, tables
from moeopt.committee.genetic import Search, costs_by
from moeopt.committee.loss import weights
from moeopt.committee.plan import CommitteePlan
from moeopt.committee.surrogate import Learned, learn
from moeopt.core.arrays import IntArray
from moeopt.traces import RoutingTrace

QUICK = Setting(quick=True, peers=(), say=lambda line: None)


def drawn(experts: int = 12, past: bool = True) -> Recorded:
    """Return a small trace of two experts a token and no gates, and counts of another."""
    rng = np.random.default_rng(0)
    chance = rng.random((5, 1, experts)).repeat(40, axis=0) + 3 * rng.random((200, 1, experts))
    ids = np.argsort(-chance, axis=2)[:, :, :2].repeat(2, axis=1)
    trace = RoutingTrace(ids, sequence_lengths=np.array([150, 50]), experts=experts)
    return Recorded(f"of {experts}", trace, 1000 * trace.counts()[:, ::-1] if past else None)


def values(report: Report) -> dict[str, float | None]:
    return {figure.name: figure.value for figure in report.figures}


def test_the_identities_are_the_papers() -> None:
    report = committee_identities.run(QUICK)
    found = values(report)
    assert found["slots within 4.7 GiB"] == 227
    totals = [found[f"SwitchT-{n}, all experts, GiB"] for n in (16, 32, 64)]
    assert totals == pytest.approx([4.08, 7.46, 14.2], abs=0.006)
    (table,) = report.tables
    assert [row[2] for row in table.rows] == [192, 53, 116, 164, 187]
    assert table.rows[0][0] == "all experts"
    assert encode("committee", True, report)


def test_a_price_is_that_of_a_usual_expert() -> None:
    """Also of a trace without gates, in which a token weighs as much as its experts are many."""
    one = drawn()
    dear = committee_online.windows(one, None, 3.0)
    assert dear.num_windows == 7
    assert weights(dear).sum() == one.trace.expert_ids.size
    assert float(dear.by_layer(dear.load_price)[0]) == pytest.approx(3 * 200 * 2 / (7 * 12))
    linked = committee_online.windows(one, 4, 0.0)
    assert linked.load_bytes(1) == 4 * linked.sizes_bytes()[0]


def test_schedulers_are_compared_on_every_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """No layer gets slots for more experts than it has; the unit of what is known is any."""
    told = (drawn(), drawn(experts=9, past=False), drawn(experts=6))
    monkeypatch.setattr(committee_online, "recorded", lambda: told)
    monkeypatch.setattr(committee_online, "SLOTS", (4, 8, 11))
    report = committee_online.run(Setting(quick=False, peers=(), say=lambda line: None))
    assert [len(table.rows) for table in report.tables] == [15, 10, 5]
    rows = report.data["schedulers"]
    for row in rows:
        assert min(row["paper"], row["ours"]) >= 1.0
        assert row["cost"] == pytest.approx(row["ours"] / row["paper"])
        assert (row["peak"] is None) == (row["loads"] is None)
    found = values(report)
    assert found["schedulers: ours over the paper's, worst case"] == max(r["cost"] for r in rows)
    assert found["largest swap rate over the link's"] == pytest.approx(1.0)
    assert found["two experts in turn: the paper's over hindsight"] == pytest.approx(40300 / 300)
    assert encode("committee", False, report)


def test_nothing_lost_by_both_is_a_draw() -> None:
    assert committee_online._over(0.0, 0.0) == 1.0
    assert committee_online._over(1.0, 0.0) == np.inf
    assert committee_online._over(1.0, 2.0) == 0.5


def test_plans_over_their_budget_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = tables(layers=2, experts=4)
    none = np.zeros((0, 3), dtype=np.int64)
    over = CommitteePlan(period=1, slots=problem.most(), loads=none, drops=none)

    class Solved:
        plan = over

    monkeypatch.setattr(committee_budgets.moeopt, "solve", lambda *args, **how: Solved())
    (genetic,) = [one for one in committee_budgets.METHODS if one.name == "genetic"]
    kept = committee_budgets._kept(genetic, [problem], QUICK)
    assert (kept.method, kept.plans, kept.broken) == ("genetic", 1, 1)
    assert kept.largest > 1.0


def test_methods_are_asked_only_what_they_take(monkeypatch: pytest.MonkeyPatch) -> None:
    generators = {"routed": lambda: routed(layers=2, experts=4, windows=2)}
    monkeypatch.setattr(committee_budgets, "GENERATORS", generators | {"tables": tables})
    names = ("knapsack", "rent_or_buy")
    some = [one for one in committee_budgets.METHODS if one.name in names]
    monkeypatch.setattr(committee_budgets, "METHODS", some)
    monkeypatch.setattr(committee_budgets, "BUDGETS_GIB", ())
    report = committee_budgets.run(QUICK)
    # A scheduler needs windows, which a table has not.
    assert [row[:2] for row in report.tables[0].rows] == [["knapsack", 2], ["rent_or_buy", 1]]
    assert values(report)["constraints that our plans break"] == 0
    over = [row[2] for row in report.tables[1].rows]
    assert [share > 0 for share in over] == [False, False, True, False]
    assert all(row[3] <= row[0] for row in report.tables[1].rows)


def test_the_search_is_told_beside_the_optimum() -> None:
    small = tables(layers=2, experts=4)
    found = planners._searched(small, 0.1, range(2))
    assert (found.problem, found.reached) == (small.name, 2)
    assert found.median == found.worst == pytest.approx(0.0)
    row = [small.name, "costs", 0.1, *[found.median] * 2, 2]
    assert planners._searched_table([found], 2).rows == [row]


def test_a_search_by_predictions_is_judged_by_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is wrong about everything leads to slots that cost more than the best."""
    small = tables(layers=2, experts=4)
    costs = costs_by(standing(small, 1, "top_importance").costs)

    def backwards(measure: object, fewest: IntArray, most: IntArray, *, seed: int) -> Learned:
        return learn(lambda slots, _: -costs(slots), fewest, most, samples=50, held_out=2)

    right = planners._predicted(small, 0.1, range(2))
    monkeypatch.setattr(planners, "learn", backwards)
    wrong = planners._predicted(small, 0.1, range(2))
    assert (right.by, wrong.by) == ("prediction", "prediction")
    assert 0.0 <= right.median < wrong.median


def test_the_best_population_of_the_search_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the seed, it ends twice, half or one and a half times the optimum above it."""
    small = tables(layers=2, experts=4)
    best = moeopt.solve(small, "knapsack").objective
    assert best is not None
    off = {256: 2.0, 64: 0.5, 32: 1.5}

    def search(*args: object, population: int, **how: object) -> Search:
        return Search(small.fewest(), best * (1 + off[population]), (), 1, 1, 1, True)

    monkeypatch.setattr(planners, "search", search)
    found = planners._searched(small, 1.0, range(3))
    assert (found.median, found.worst, found.reached) == (pytest.approx(0.5), found.median, 0)


def test_planners_are_timed_with_their_proofs() -> None:
    small = routed(layers=2, experts=6, windows=1)
    one, two = planners._planned(small, planners.PLANNERS, QUICK)
    assert (one.method, two.method) == ("knapsack", "greedy")
    assert one.objective == pytest.approx(two.objective)
    assert one.proven
    assert one.gap == 0.0
    assert planners._equal_s([two, one], small) == one.seconds
    assert [row[-1] for row in planners._planned_table([one, two]).rows] == ["yes", "yes"]
