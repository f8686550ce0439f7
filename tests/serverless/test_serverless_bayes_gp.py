"""The Gaussian process of the search, its expected improvement and its trust region."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm
from serverless_bayes_study import NOTHING, distance

from moeopt.core.errors import InstanceError
from moeopt.serverless.bayes import optimise
from moeopt.serverless.bayes_gp import Region, expected_improvement
from moeopt.serverless.bayes_surrogate import Surrogate
from moeopt.serverless.bayes_trials import Measured, Trial


def trials(*costs: float) -> list[Trial]:
    return [Trial(NOTHING, Measured(cost_usd=cost)) for cost in costs]


@pytest.mark.parametrize("mean", [-1.0, 0.5, 2.0, 6.0])
@pytest.mark.parametrize("deviation", [0.3, 1.0, 4.0])
def test_expected_improvement_is_the_integral(mean: float, deviation: float) -> None:
    least = 1.0
    found = expected_improvement(np.array([mean]), np.array([deviation]), least)
    expected, _ = quad(
        lambda cost: (least - cost) * norm.pdf(cost, mean, deviation), mean - 30, least
    )
    assert found[0] == pytest.approx(expected, abs=1e-8)


def test_what_is_certain_improves_by_what_it_is_below() -> None:
    found = expected_improvement(np.array([0.5, 3.0]), np.zeros(2), 1.0)
    assert found.tolist() == [0.5, 0.0]


def test_the_process_knows_its_points_and_doubts_others() -> None:
    points = np.linspace(0, 1, 8)[:, None]
    costs = 5.0 + 1e-3 * (points[:, 0] - 0.3) ** 2
    process = Surrogate(points, costs)
    mean, deviation = process.at(points)
    assert mean == pytest.approx(costs, abs=1e-5)
    between, far = process.at(np.array([[0.5], [3.0]]))[1]
    assert deviation.max() < far
    assert between < far
    # With its kernel given, nothing is fitted, and it says the same.
    again = Surrogate(points, costs, process.kernel)
    assert again.at(points)[0] == pytest.approx(mean, abs=1e-9)


def test_points_that_are_all_the_same_are_no_harm() -> None:
    mean, deviation = Surrogate(np.ones((3, 2)), np.full(3, 7.0)).at(np.ones((1, 2)))
    assert mean[0] == pytest.approx(7.0)
    assert np.isfinite(deviation).all()


def test_the_trust_region_grows_and_shrinks() -> None:
    region = Region(start=0.4, least=0.1, most=0.8, successes=2, failures=2)
    assert region.size(trials(9)) == 0.4
    assert region.size(trials(9, 8)) == 0.4
    assert region.size(trials(9, 8, 7)) == 0.8
    assert region.size(trials(9, 8, 7, 6, 5)) == 0.8
    assert region.size(trials(9, 9, 9)) == 0.2
    assert region.size(trials(9, 9, 8, 8, 8)) == 0.2
    # Below the least it starts anew.
    assert region.size(trials(*[9] * 7)) == 0.4


@pytest.mark.parametrize(
    "fields",
    [
        {"least": 0.0}, {"start": 9.0}, {"first": 0}, {"candidates": 0}, {"first": 2.5},
        {"start": "wide"}, {"most": np.inf}, {"feedback": 1},
    ],
)  # fmt: skip
def test_a_region_out_of_range_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InstanceError, match=r"\$\.region"):
        Region(**fields)


def test_a_process_that_is_never_asked_draws_shares_all_the_same() -> None:
    asked, never = (
        optimise(o, o.space, "gp", pairs=20, evaluations=8, region=Region(first=first)).trials
        for o, first in ((distance(), 4), (distance(), 1000))
    )
    assert [t.pairs for t in asked[:4]] == [t.pairs for t in never[:4]]
    assert [t.pairs for t in asked[4:]] != [t.pairs for t in never[4:]]
    assert len(never) == 8


def test_the_second_evaluation_goes_to_the_real_tokens() -> None:
    objective = distance()
    tuned = optimise(objective, objective.space, "gp", pairs=60, evaluations=2)
    first, second = (trial.cost_usd - 2.0 for trial in tuned.trials)
    assert second < 0.1 * first


def test_without_feedback_only_the_total_is_used() -> None:
    told, mute = distance(), distance(told=False)
    runs = [
        optimise(o, o.space, "gp", pairs=20, evaluations=6, region=Region(feedback=False))
        for o in (told, mute)
    ]
    assert [t.pairs for t in runs[0].trials] == [t.pairs for t in runs[1].trials]


def test_fewer_pairs_than_layers_are_enough() -> None:
    objective = distance()
    tuned = optimise(objective, objective.space, "gp", pairs=1, evaluations=6)
    assert all(len(trial.pairs) == 1 for trial in tuned.trials)
