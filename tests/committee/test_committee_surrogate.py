"""The paper's model of accuracy: its gradient, what it learns, and configurations drawn for it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from moeopt.committee.configurations import random_configurations
from moeopt.committee.paper import PREDICTION_ERROR
from moeopt.committee.surrogate import Learned, _Net, learn, prediction_error, train
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import InstanceError

LAYERS, EXPERTS = 6, 16
FEWEST, MOST = np.ones(LAYERS, dtype=np.int64), np.full(LAYERS, EXPERTS)
WEIGHT = np.array([0.4, 0.8, 1.2, 1.2, 0.8, 0.4]) / 4.8


def accuracy(slots: IntArray, period: IntArray) -> FloatArray:
    """Return an accuracy to which layers add, the middle ones more, less with rarer updates."""
    lost = (WEIGHT * (1 - slots / EXPERTS) ** 2).sum(axis=1)
    return np.asarray(0.23 - 0.1 * lost - 0.002 * np.log2(period))


def shared_loss(slots: IntArray, period: IntArray) -> FloatArray:
    """Return a loss to which layers do not add: the least of pairs counts."""
    del period
    pairs = np.minimum(slots[:, ::2], slots[:, 1::2]).sum(axis=1)
    return np.asarray(60.0 - pairs)


def learned(seed: int = 0) -> Learned:
    return learn(
        accuracy,
        FEWEST,
        MOST,
        np.array([1, 2, 4]),
        samples=300,
        held_out=100,
        rounds=150,
        seed=seed,
    )


def test_the_gradient_is_that_of_the_error() -> None:
    rng = np.random.default_rng(5)
    net = _Net(rng.normal(size=(20, 4)), rng.normal(size=20), hidden=3)
    weights = net.random(rng) + 0.1 * rng.normal(size=4 * 3 + 3 + 3 + 1)
    value, gradient = net.error(weights)
    assert value > 0
    found = approx_fprime(weights, lambda w: net.error(w)[0], 1e-7)
    np.testing.assert_allclose(gradient, found, atol=1e-5)


def test_a_smooth_accuracy_is_predicted_as_well_as_the_paper_reports() -> None:
    found = learned()
    assert found.error.samples == 100
    assert found.error.mean < PREDICTION_ERROR / 2
    assert found.error.worst < 3 * PREDICTION_ERROR
    assert found.error.unexplained is not None
    assert found.error.unexplained < 0.01
    # What it was trained on says too little about the rest.
    assert found.training_error.mean < found.error.mean


def test_the_period_is_an_input() -> None:
    model = learned().surrogate
    slots = np.full((1, LAYERS), 8)
    often, seldom = model.predict(slots, 1)[0], model.predict(slots, 4)[0]
    assert often - seldom == pytest.approx(0.004, abs=0.002)
    assert model.objective(4)(slots)[0] == seldom
    both = model.predict(np.repeat(slots, 2, axis=0), np.array([1, 4]))
    np.testing.assert_allclose(both, [often, seldom], rtol=1e-12)


def test_layers_need_not_add_up() -> None:
    found = learn(shared_loss, FEWEST, MOST, samples=600, held_out=100, hidden=32, rounds=200)
    # Least squares of the slots alone, which can only add them.
    rng = np.random.default_rng(1)
    slots = random_configurations(FEWEST, MOST, 600, rng)
    wanted = shared_loss(slots, np.ones(600))
    inputs = np.column_stack((slots, np.ones(600)))
    line = np.linalg.lstsq(inputs, wanted, rcond=None)[0]
    off = np.abs(inputs @ line - wanted).mean() / wanted.mean()
    assert found.error.mean < 0.5 * off


def test_the_same_seed_gives_the_same_model() -> None:
    one, again, other = learned(), learned(), learned(seed=1)
    np.testing.assert_array_equal(one.surrogate.inner, again.surrogate.inner)
    assert one.error == again.error
    assert one.error != other.error


def test_configurations_reach_from_nearly_empty_to_nearly_full() -> None:
    rng = np.random.default_rng(2)
    low = np.array([0, 2, 5, 1])
    slots = random_configurations(low, np.array([9, 9, 5, 64]), 2000, rng)
    assert (slots >= low).all()
    assert (slots.min(axis=0) == low).all()
    assert slots.max(axis=0).tolist() == [9, 9, 5, 64]
    totals = random_configurations(FEWEST, MOST, 2000, rng).sum(axis=1) / MOST.sum()
    shares = np.histogram(totals, bins=5, range=(0, 1))[0] / 2000
    assert (shares > 0.1).all()


def test_what_never_changes_is_learned_as_it_is() -> None:
    slots = np.full((5, 2), 3)
    model = train(slots, 1, np.full(5, 7.0), hidden=2, rounds=20)
    assert model.predict(slots[:1])[0] == pytest.approx(7.0)
    error = prediction_error(model, slots, 1, np.full(5, 7.0))
    assert error.unexplained is None
    assert error.mean == pytest.approx(0, abs=1e-9)
    nothing = prediction_error(model, slots, 1, np.zeros(5))
    assert nothing.mean == pytest.approx(7.0)


def test_strange_samples_are_refused() -> None:
    slots = np.ones((3, 2), dtype=np.int64)
    for losses in (np.ones(2), np.array([1.0, np.inf, 2.0]), np.ones((3, 1))):
        with pytest.raises(InstanceError, match="one finite loss for each of 3"):
            train(slots, 1, losses)
    with pytest.raises(InstanceError, match="configurations, layers"):
        train(np.ones(3, dtype=np.int64), 1, np.ones(3))
    with pytest.raises(InstanceError, match="1 or more"):
        train(slots, 1, np.ones(3), hidden=0)
    with pytest.raises(InstanceError, match="0 or more"):
        train(slots, 1, np.ones(3), rounds=1, seed=-1)
    for period in (0, np.ones(2)):
        with pytest.raises(InstanceError, match="period"):
            train(slots, period, np.ones(3))
    model = train(slots, 1, np.arange(3.0), rounds=1)
    with pytest.raises(InstanceError, match="slots"):
        model.predict(np.ones((3, 3), dtype=np.int64))
    with pytest.raises(InstanceError, match="one finite loss"):
        prediction_error(model, slots, 1, np.full(3, np.nan))


def test_strange_ranges_are_refused() -> None:
    with pytest.raises(InstanceError, match="2 or more"):
        learn(accuracy, FEWEST, MOST, samples=1)
    for low, high in ((MOST, FEWEST), (FEWEST, MOST[:1]), (-FEWEST, MOST)):
        with pytest.raises(InstanceError, match="fewest"):
            learn(accuracy, low, high)
    for periods in ([], [0]):
        with pytest.raises(InstanceError, match="periods"):
            learn(accuracy, FEWEST, MOST, np.array(periods, dtype=np.int64))
    with pytest.raises(InstanceError, match="for each of 50 configurations"):
        learn(lambda slots, period: np.ones(40), FEWEST, MOST, samples=40, held_out=10)
