"""Algorithm 2's search: how its epsilons fall, what is kept, and where it explores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from serverless_bayes_study import rows, space

from moeopt.core.errors import InstanceError
from moeopt.serverless.bayes_pairs import Pairs
from moeopt.serverless.bayes_search import Epsilons, multi_epsilon, random_search, single_epsilon
from moeopt.serverless.bayes_trials import Measured, Trial

WHERE = space()
PAIRS = 40


def trials(last: Measured | None = None, count: int = 9) -> list[Trial]:
    """Return trials of which the fourth is the best."""
    rng = np.random.default_rng(0)
    drawn = [WHERE.draw(rng, PAIRS) for _ in range(count)]
    costs = [3.0, 4.0, 2.0, 1.0, 5.0, 1.0, 9.0, 9.0, 9.0][:count]
    found = [Trial(p, Measured(cost_usd=c)) for p, c in zip(drawn, costs, strict=True)]
    return [*found[:-1], Trial(drawn[-1], last or found[-1].measured)]


def kept(proposed: Pairs, history: list[Trial]) -> np.ndarray[Any, Any]:
    """Return which pairs are those of the best trial, ``(pairs,)``."""
    equal: np.ndarray[Any, Any] = (proposed.rows() == history[3].pairs.rows()).all(axis=1)
    return equal


def test_one_factor_for_each_evaluation() -> None:
    """E6 and E7, with rho 0.5 and rho_1 0.3: the limited pairs' share tends to 0.6, not to 0."""
    epsilons, overrun = Epsilons(), Measured(cost_usd=1.0, over_memory=True)
    slow = [epsilons.after(tau, overrun)[0] for tau in (1, 10, 100, 10_000)]
    assert slow == pytest.approx([0.867, 0.667, 0.608, 0.600], abs=5e-4)
    fast = [epsilons.after(tau, overrun)[1] for tau in (1, 10, 100)]
    assert fast == pytest.approx([1 / 1.5, 1 / 6, 1 / 51])


def test_a_memory_overrun_explores_longest() -> None:
    epsilons = Epsilons()
    feedback: tuple[dict[str, Any], ...] = (
        {"over_memory": True, "over_payload": True, "mispredicted": True},
        {"over_payload": True, "mispredicted": True},
        {"mispredicted": True},
        {},
    )
    shares = [epsilons.after(10, Measured(cost_usd=1.0, **kind)) for kind in feedback]
    slow = [share[0] for share in shares]
    assert slow == sorted(slow, reverse=True)
    assert len(set(slow)) == 4
    assert shares[-1][0] == shares[-1][1]


def test_shares_stay_shares() -> None:
    """E10 sees to it: with rho_1 below rho, by however little, none exceeds epsilon_0."""
    epsilons = Epsilons(start=0.75, decay=0.5, memory=0.499999)
    overrun = Measured(cost_usd=1.0, over_memory=True)
    slow = [epsilons.after(tau, overrun)[0] for tau in (0, 1, 10, 10**6, 10**12)]
    assert slow == sorted(slow, reverse=True)
    assert slow[0] == 0.75


@pytest.mark.parametrize(
    "fields",
    [
        {"start": 1.5},
        {"limited": -0.1},
        {"memory": 0.5},
        {"other": 0.25},
        {"other": -1},
        {"start": "all"},
        {"decay": float("nan")},
        {"limited": True},
    ],
)
def test_numbers_in_the_wrong_order_are_refused(fields: dict[str, Any]) -> None:
    """E10: rho_3 < rho_2 < rho_1 < rho."""
    with pytest.raises(InstanceError, match=r"\$\.epsilons"):
        Epsilons(**fields)


@pytest.mark.parametrize("search", [multi_epsilon, single_epsilon])
def test_without_exploring_the_best_pairs_are_kept(search: Any) -> None:
    history = trials(Measured(cost_usd=9.0, over_memory=True))
    propose = search(WHERE, PAIRS, Epsilons(start=0.0))
    assert kept(propose(history, np.random.default_rng(1)), history).all()


def test_the_first_pairs_explore_longer_and_only_mispredicted_tokens() -> None:
    last = Measured(cost_usd=9.0, over_memory=True, token_ids=np.array([3, 5]))
    history = trials(last)
    propose = multi_epsilon(WHERE, PAIRS, Epsilons(limited=0.25))
    explored = np.zeros(PAIRS)
    for seed in range(200):
        proposed = propose(history, np.random.default_rng(seed))
        moved = ~kept(proposed, history)
        explored += moved
        limited = proposed.token[:10][moved[:10]]
        assert np.isin(limited, [3, 5]).all()
    # After 9 evaluations 1 / 5.5 of all explore, of the limited ones 3.7 / 5.5.
    assert explored[:10].mean() / 200 == pytest.approx(3.7 / 5.5, abs=0.05)
    assert explored[10:].mean() / 200 == pytest.approx(1 / 5.5, abs=0.05)


def test_without_mispredictions_all_tokens_are_explored() -> None:
    history = trials()
    propose = multi_epsilon(WHERE, PAIRS, Epsilons(decay=1e-6, memory=1e-7, payload=1e-8, other=0))
    proposed = propose(history, np.random.default_rng(0))
    assert len(np.unique(proposed.token)) > 10


def test_tokens_that_the_table_does_not_know_can_be_explored() -> None:
    unknown = int(WHERE.token_ids[-1]) + 7
    history = trials(Measured(cost_usd=9.0, over_memory=True, token_ids=np.array([unknown])))
    propose = multi_epsilon(WHERE, PAIRS, Epsilons(limited=1.0))
    proposed = propose(history, np.random.default_rng(0))
    table = WHERE.adjusted(proposed)
    assert unknown in table.token


def test_random_search_forgets() -> None:
    propose = random_search(WHERE, PAIRS)
    history = trials()
    assert not kept(propose(history, np.random.default_rng(0)), history).any()
    assert len(rows([0, 0, 0, 0, 1])) == 1
