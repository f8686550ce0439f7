"""What rules rank experts by: averages that fade, and what is learned of the windows ahead."""

from __future__ import annotations

import numpy as np
import pytest

from moeopt.committee.online import schedule
from moeopt.committee.outlook import START, Outlook
from moeopt.committee.plan import evaluate
from moeopt.committee.problem import CommitteeProblem
from moeopt.committee.rules import Paper, RentOrBuy

NEXT = np.ones(1)


def test_nothing_is_expected_of_nothing() -> None:
    outlook = Outlook(1, 3)
    assert outlook.expect(NEXT).tolist() == [[0, 0, 0]]
    for _ in range(3):
        outlook.learn(np.zeros((1, 3)))
        assert outlook.expect(NEXT).tolist() == [[0, 0, 0]]


def test_before_anything_is_learned_averages_count() -> None:
    outlook = Outlook(1, 3)
    outlook.learn(np.array([[1.0, 2.0, 0.0]]))
    assert START.sum() == pytest.approx(1)
    assert outlook.expect(NEXT)[0] == pytest.approx([1, 2, 0])
    assert outlook.expect(4 * NEXT)[0] == pytest.approx([4, 8, 0])


def test_history_counts_as_windows() -> None:
    history = np.array([[1.0, 3.0]])
    outlook = Outlook(1, 2, history)
    assert outlook.expect(NEXT)[0] == pytest.approx([1, 3])
    outlook.learn(history)
    assert outlook.expect(NEXT)[0] == pytest.approx([1, 3])
    assert outlook.typical() == pytest.approx([2])


def test_only_shares_of_history_count() -> None:
    """Its unit is that of the windows since, layer by layer, also if the first are empty."""
    rng = np.random.default_rng(3)
    history, units = rng.random((2, 4)), np.array([[1e9], [1e-9]])
    one, other = Outlook(2, 4, history), Outlook(2, 4, units * history)
    for seen in (np.zeros((2, 4)), *rng.gamma(0.5, 1.0, (5, 2, 4))):
        one.learn(seen)
        other.learn(seen)
        if seen.any():
            assert one.expect(np.full(2, 3.0)) == pytest.approx(other.expect(np.full(2, 3.0)))
        assert one.typical() == pytest.approx(one.sums.mean(axis=1) / one.windows)


def test_a_history_of_nothing_says_that_all_are_alike() -> None:
    outlook = Outlook(1, 2, np.zeros((1, 2)))
    assert outlook.expect(NEXT).tolist() == [[0, 0]]
    outlook.learn(np.array([[6.0, 0.0]]))
    first, second = outlook.expect(NEXT)[0]
    assert 0 < second < 3 < first


def test_what_follows_is_learned() -> None:
    """Experts that rest as many windows as they work: after one comes the other."""
    outlook = Outlook(1, 4)
    for window in range(40):
        outlook.learn(np.array([[window % 2, 1 - window % 2, 0, 1]], dtype=float))
    assert outlook.expect(NEXT)[0] == pytest.approx([0, 1, 0, 1], abs=0.3)
    # Over many windows, the two weigh much the same.
    both = outlook.expect(20 * NEXT)[0, :2]
    assert abs(both[0] - both[1]) < 1


def test_expectations_stay_within_what_was_seen() -> None:
    rng = np.random.default_rng(0)
    outlook = Outlook(2, 5)
    most = np.zeros((2, 5))
    for window in range(30):
        seen = rng.gamma(0.3, 2.0**window, (2, 5))
        outlook.learn(seen)
        most = np.maximum(most, seen)
        for ahead in (1.0, 7.0):
            found = outlook.expect(np.full(2, ahead))
            assert ((found >= 0) & (found <= ahead * most)).all()


def test_counters_fade_with_what_loads_cost() -> None:
    """At no price only expectations count; at a price what was missed long ago still does."""
    seen = np.zeros((1, 2))
    seen[0, 0] = 1.0
    rules = {price: RentOrBuy(np.array([price]), 2) for price in (0.0, 1.0, 100.0)}
    found = {}
    for price, rule in rules.items():
        rule.observe(seen)
        for _ in range(50):
            rule.observe(np.zeros((1, 2)))
        found[price] = rule.scores()[0, 0]
        assert rule.prices().tolist() == [price]
    assert found[0.0] < 0.1 < found[1.0] < found[100.0]


def test_the_papers_rule_counts_a_period() -> None:
    rule = Paper(1, 2, target_updates=2, period=2)
    left = []
    for window in range(8):
        rule.observe(np.array([[1.0, window]]))
        left.append((rule.scores().tolist()[0], rule.updates_left()))
    assert [scores for scores, _ in left[3:]] == [[4, 6]] * 4 + [[4, 22]]
    assert [updates for _, updates in left[1::2]] == [1, 2, 1, 2]


@pytest.mark.parametrize("price", [0.5, 3.0, 30.0])
def test_a_load_is_paid_for_by_what_was_missed(price: float) -> None:
    """Where it always is the least expected that weighs, loads cost less than what is lost."""
    rng = np.random.default_rng(1)
    table = np.zeros((300, 1, 6))
    rule = RentOrBuy(np.array([price]), 6)
    for window in range(300):
        # Whom the rule expects least of weighs most.
        table[window, 0, np.argmin(rule.scores()[0] + 1e-9 * rng.random(6))] = 1.0
        rule.observe(table[window])
    problem = CommitteeProblem(experts=6, importance=table, load_price=price, budget_bytes=6)
    value = evaluate(problem, schedule(problem, [2], "rent_or_buy"))
    assert value.load_cost <= 0.25 * value.loss
