"""Scenarios of many windows: by label by hand, by clusters, and what they promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moeopt.core.errors import InstanceError
from moeopt.describe.cluster import Cluster
from moeopt.placement import PlacementPlan, PlacementProblem, evaluate, place
from moeopt.placement.robust import reduction, scenarios

SEEDS = st.integers(0, 2**32 - 1)


def _of_regimes(seed, windows=12, regimes=3, layers=2, experts=8):
    """Return windows of regimes that take turns at random, and the regime of each."""
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.full(experts, 0.3), (regimes, layers))
    regime = rng.integers(regimes, size=windows)
    counts = [[rng.multinomial(300, one) for one in share[r]] for r in regime]
    return np.array(counts, dtype=float), regime


def test_the_mean_of_each_label():
    windows = np.array([[[3.0, 1.0]], [[1.0, 3.0]], [[4.0, 0.0]], [[8.0, 4.0]]])
    found = scenarios(windows, ["day", "night", "day", "night"])
    # The mean window has (4 + 4 + 4 + 12) / 4 = 6 tokens; day 7 + 1 of 8, night 9 + 7 of 16.
    np.testing.assert_allclose(found.loads_tokens, [[[5.25, 0.75]], [[3.375, 2.625]]])
    np.testing.assert_allclose(found.weights, [8 / 24, 16 / 24])
    assert found.labels == ("day", "night")
    assert found.members.tolist() == [0, 1, 0, 1]


def test_empty_windows_stand_for_nothing():
    windows = np.array([[[3.0, 1.0]], [[0.0, 0.0]], [[2.0, 2.0]]])
    found = scenarios(windows)
    assert found.members.tolist() == [0, -1, 0]
    np.testing.assert_allclose(found.loads_tokens, [[[2.5, 1.5]]])


def test_as_many_scenarios_as_windows_are_the_windows():
    windows, _ = _of_regimes(0)
    found = scenarios(windows, each=12)
    np.testing.assert_allclose(found.loads_tokens, windows)
    np.testing.assert_allclose(found.weights, np.full(12, 1 / 12))


def test_clusters_are_the_regimes():
    windows, regime = _of_regimes(1)
    members = scenarios(windows, each=3).members
    for first in range(3):
        assert len(set(members[regime == first])) == 1
    assert members[0] == 0
    assert len(set(members)) == 3


def test_labels_are_never_put_together():
    windows, _ = _of_regimes(2)
    labels = [f"day {i % 2}" for i in range(12)]
    found = scenarios(windows, labels, each=3)
    assert found.labels == ("day 0",) * 3 + ("day 1",) * 3
    for window, scenario in enumerate(found.members):
        assert found.labels[scenario] == labels[window]
    np.testing.assert_allclose(found.weights[:3].sum(), 0.5)


@given(SEEDS, st.integers(1, 6))
@settings(max_examples=15, deadline=None)
def test_no_plan_looks_worse_than_in_the_windows(seed, each):
    """Jensen: the mean largest load of sums is at most that of the windows; the mean is kept."""
    windows, _ = _of_regimes(seed)
    table = np.random.default_rng(seed).permuted(np.tile(np.arange(8), (2, 1)), axis=1)
    found = scenarios(windows, each=each)

    def value(objective, loads, weights=None):
        problem = PlacementProblem(
            loads_tokens=loads,
            scenario_weights=weights,
            cluster=Cluster.uniform(4),
            slots_per_device=2,
            objective=objective,
        )
        return evaluate(problem, PlacementPlan(physical_to_logical=table)).objective

    few = value("mean_max", found.loads_tokens, found.weights)
    assert few <= value("mean_max", windows) * (1 + 1e-9)
    assert value("max_load", found.loads_tokens, found.weights) == pytest.approx(
        value("max_load", windows)
    )


@given(SEEDS)
@settings(max_examples=15, deadline=None)
def test_scale_and_names_of_experts(seed):
    windows, _ = _of_regimes(seed)
    order = np.random.default_rng(seed).permutation(8)
    found, other = scenarios(windows, each=4), scenarios(3.0 * windows[:, :, order], each=4)
    assert (found.members == other.members).all()
    np.testing.assert_allclose(other.loads_tokens, 3.0 * found.loads_tokens[:, :, order])


def test_one_plan_for_two_tasks_by_hand():
    """Each task is even on its own plan; the sum of both tells nothing, the scenarios do."""
    tasks = np.array([[[4.0, 4.0, 0.0, 0.0]], [[0.0, 0.0, 4.0, 4.0]]])
    few = scenarios(tasks, ["a", "b"])
    plan = place(
        few.loads_tokens, devices=2, scenario_weights=few.weights, objective="mean_max", seed=1
    )
    rows = {frozenset(row) for row in plan.physical_to_logical.reshape(2, 2).tolist()}
    assert plan.objective == pytest.approx(4.0)
    assert rows in ({frozenset({0, 2}), frozenset({1, 3})}, {frozenset({0, 3}), frozenset({1, 2})})


def test_refusals(monkeypatch):
    windows = np.ones((3, 1, 2))
    with pytest.raises(InstanceError, match="labels"):
        scenarios(windows, ["a", "b"])
    with pytest.raises(InstanceError, match="each"):
        scenarios(windows, each=0)
    with pytest.raises(InstanceError, match="label 'b'"):
        scenarios(windows * [[[1]], [[0]], [[1]]], ["a", "b", "a"])
    monkeypatch.setattr(reduction, "MOST_WINDOWS", 2)
    with pytest.raises(InstanceError, match="consecutive"):
        scenarios(windows, each=2)
