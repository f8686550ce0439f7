"""The paper's model of accuracy (arXiv:2308.15030, A.2): two fully connected layers with ReLU.

Its input is a configuration, the slots of each layer and the update period; it is trained by least
squares on random configurations that were run with the scheduler on. So the losses of layers need
not add up. The paper states no widths and no optimiser: 64 hidden units and L-BFGS on all samples
at once are ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from moeopt.committee.configurations import random_configurations, stated_periods
from moeopt.core.arguments import whole
from moeopt.core.arrays import FloatArray, IntArray, own_array, require_shape
from moeopt.core.errors import InstanceError

#: Weight of the parameters' squares beside the mean squared error of standardised losses.
_DECAY = 1e-4

#: What configurations cost when they are run: slots ``(samples, layers)``, periods ``(samples,)``.
Measure = Callable[[IntArray, IntArray], FloatArray]


@dataclass(frozen=True)
class Surrogate:
    """Two fully connected layers with ReLU between them.

    Attributes
    ----------
    inner, inner_bias
        Of the first layer, ``(layers + 1, hidden)`` and ``(hidden,)``: the last input is the
        logarithm of the period.
    outer, outer_bias
        Of the second, ``(hidden,)`` and a number.
    centre, spread
        Of the inputs, ``(layers + 1,)``.
    loss_centre, loss_spread
        Of the losses.
    """

    inner: FloatArray
    inner_bias: FloatArray
    outer: FloatArray
    outer_bias: float
    centre: FloatArray
    spread: FloatArray
    loss_centre: float
    loss_spread: float

    def predict(self, slots: IntArray, period: IntArray | int = 1) -> FloatArray:
        """Return the predicted losses, ``(configurations,)``.

        Parameters
        ----------
        slots
            ``(configurations, layers)``.
        period
            Windows from one update to the next, one number or ``(configurations,)``.
        """
        rows = _inputs(slots, period)
        require_shape(rows[:, 1:], "slots", (len(rows), self.centre.size - 1), "samples, layers")
        inputs = (rows - self.centre) / self.spread
        hidden = np.maximum(inputs @ self.inner + self.inner_bias, 0.0)
        found = hidden @ self.outer + self.outer_bias
        return np.asarray(self.loss_centre + self.loss_spread * found)

    def objective(self, period: int) -> Callable[[IntArray], FloatArray]:
        """Return the predicted loss as an objective of `moeopt.committee.genetic.search`.

        Parameters
        ----------
        period
            Windows from one update to the next.
        """
        return lambda slots: self.predict(slots, period)


@dataclass(frozen=True)
class PredictionError:
    """How far predictions are from what was measured.

    Attributes
    ----------
    mean
        Mean absolute error over the mean measured loss: what the paper reports below 1 %.
    worst
        Largest absolute error over the mean measured loss.
    unexplained
        Mean squared error over the variance of what was measured: 1 for a model that knows only
        the mean. ``None`` if all measured losses are equal.
    samples
        Configurations that were compared.
    """

    mean: float
    worst: float
    unexplained: float | None
    samples: int


@dataclass(frozen=True)
class Learned:
    """A surrogate and how well it does on configurations that it has not seen.

    Attributes
    ----------
    surrogate
        The model.
    error
        On held-out configurations.
    training_error
        On those it was trained on.
    """

    surrogate: Surrogate
    error: PredictionError
    training_error: PredictionError


def learn(
    measure: Measure,
    fewest: IntArray,
    most: IntArray,
    periods: IntArray | None = None,
    *,
    samples: int = 1000,
    held_out: int = 250,
    hidden: int = 64,
    rounds: int = 500,
    seed: int = 0,
) -> Learned:
    """Run random configurations, train on them and report the error on further ones.

    Parameters
    ----------
    measure
        Runs configurations and returns what they cost, all in one call.
    fewest, most
        Slots of each layer, ``(layers,)``.
    periods
        Update periods to draw from; left out, 1.
    samples, held_out
        Configurations to train on, and to test on.
    hidden, rounds, seed
        As for `train`.

    Raises
    ------
    InstanceError
        If the arguments do not fit together, or a measured loss is not finite.
    """
    low, high = own_array(fewest, "fewest", np.int64), own_array(most, "most", np.int64)
    if low.ndim != 1 or low.shape != high.shape or not ((low >= 0) & (low <= high)).all():
        raise InstanceError(
            "fewest",
            low.tolist(),
            f"must be slots of each layer, no more than the most, {high.tolist()}",
            "give as many of both",
        )
    # Two and more: a spread cannot be had of one.
    if whole("samples", samples) < 2 or whole("held_out", held_out) < 2:
        raise InstanceError(
            "samples", min(samples, held_out), "must be 2 or more, as must held_out", "draw more"
        )
    choices = stated_periods([1] if periods is None else periods)
    rng = np.random.default_rng([samples, held_out, _seed(seed)])
    slots = random_configurations(low, high, samples + held_out, rng)
    period = rng.choice(choices, samples + held_out)
    losses = _measured(measure(slots, period), samples + held_out)
    seen, kept = slice(0, samples), slice(samples, None)
    model = train(slots[seen], period[seen], losses[seen], hidden=hidden, rounds=rounds, seed=seed)
    return Learned(
        surrogate=model,
        error=prediction_error(model, slots[kept], period[kept], losses[kept]),
        training_error=prediction_error(model, slots[seen], period[seen], losses[seen]),
    )


def train(
    slots: IntArray,
    period: IntArray | int,
    losses: FloatArray,
    *,
    hidden: int = 64,
    rounds: int = 500,
    seed: int = 0,
) -> Surrogate:
    """Return the surrogate of least squared error that descent from random weights finds.

    Parameters
    ----------
    slots
        Of the configurations that were run, ``(samples, layers)``.
    period
        Windows from one update to the next of each, ``(samples,)`` or one number.
    losses
        What they cost, ``(samples,)``.
    hidden
        Units between the two layers.
    rounds
        Most steps of the descent.
    seed
        Of the weights that it begins with.

    Raises
    ------
    InstanceError
        If the arrays do not fit together, or a loss is not finite.
    """
    inputs = _inputs(slots, period)
    wanted = _measured(losses, len(inputs))
    if whole("hidden", hidden) < 1 or whole("rounds", rounds) < 1:
        raise InstanceError("hidden", min(hidden, rounds), "must be 1 or more", "correct it")
    centre, spread = inputs.mean(axis=0), _spread(inputs)
    loss_centre, loss_spread = float(wanted.mean()), float(_spread(wanted))
    net = _Net((inputs - centre) / spread, (wanted - loss_centre) / loss_spread, hidden)
    start = net.random(np.random.default_rng(_seed(seed)))
    found = minimize(
        net.error, start, jac=True, method="L-BFGS-B", options={"maxiter": rounds, "maxcor": 20}
    )
    inner, inner_bias, outer, outer_bias = net.parts(found.x)
    return Surrogate(
        inner, inner_bias, outer, float(outer_bias), centre, spread, loss_centre, loss_spread
    )


def prediction_error(
    model: Surrogate, slots: IntArray, period: IntArray | int, losses: FloatArray
) -> PredictionError:
    """Return how far a surrogate is from what was measured.

    Parameters
    ----------
    model
        The surrogate.
    slots, period, losses
        As for `train`.
    """
    predicted = model.predict(slots, period)
    measured = _measured(losses, len(predicted))
    off = np.abs(predicted - measured)
    scale = float(np.abs(measured).mean()) or 1.0
    variance = float(np.var(measured))
    return PredictionError(
        mean=float(off.mean()) / scale,
        worst=float(off.max()) / scale,
        unexplained=float((off**2).mean()) / variance if variance else None,
        samples=len(off),
    )


class _Net:
    """The squared error of the two layers, and its gradient, as a function of all weights."""

    def __init__(self, inputs: FloatArray, wanted: FloatArray, hidden: int) -> None:
        self.inputs, self.wanted, self.hidden = inputs, wanted, hidden
        self.edge = inputs.shape[1] * hidden

    def random(self, rng: np.random.Generator) -> FloatArray:
        """Return weights to begin with, of a size that keeps the spread of the inputs."""
        fan_in = self.inputs.shape[1]
        inner = rng.normal(0.0, (2 / fan_in) ** 0.5, self.edge)
        outer = rng.normal(0.0, (1 / self.hidden) ** 0.5, self.hidden)
        return np.concatenate((inner, np.zeros(self.hidden), outer, np.zeros(1)))

    def parts(self, weights: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, float]:
        """Return the weights and biases of both layers."""
        inner, bias, outer, last = np.split(
            weights, np.cumsum((self.edge, self.hidden, self.hidden))
        )
        return inner.reshape(-1, self.hidden), bias, outer, float(last[0])

    def error(self, weights: FloatArray) -> tuple[float, FloatArray]:
        """Return the mean squared error with its decay, and the gradient."""
        inner, bias, outer, last = self.parts(weights)
        hidden = np.maximum(self.inputs @ inner + bias, 0.0)
        off = hidden @ outer + last - self.wanted
        slope = 2 * off / off.size
        through = np.where(hidden > 0, slope[:, None] * outer, 0.0)
        gradient = np.concatenate(
            (
                (self.inputs.T @ through).ravel(),
                through.sum(axis=0),
                hidden.T @ slope,
                [slope.sum()],
            )
        )
        value = float((off**2).mean()) + _DECAY * float(weights @ weights)
        return value, gradient + 2 * _DECAY * weights


def _inputs(slots: IntArray, period: IntArray | int) -> FloatArray:
    """Return configurations as inputs, ``(configurations, layers + 1)``."""
    rows = np.asarray(slots, dtype=np.float64)
    if rows.ndim != 2:
        raise InstanceError(
            "slots",
            f"<shape {rows.shape}>",
            "must have shape (configurations, layers)",
            "give one row for each configuration",
        )
    every = np.asarray(period, dtype=np.float64)
    if every.shape not in ((), rows.shape[:1]) or not (every >= 1).all():
        raise InstanceError(
            "period",
            period if every.ndim == 0 else f"<shape {every.shape}>",
            f"must be 1 or more, one number or one for each of {len(rows)} configurations",
            "give windows from one update to the next",
        )
    return np.column_stack((rows, np.broadcast_to(np.log(every), rows.shape[:1])))


def _measured(losses: FloatArray, count: int) -> FloatArray:
    """Return what so many configurations cost, one or more, ``(configurations,)``."""
    wanted = own_array(losses, "losses", np.float64)
    if wanted.shape != (count,) or not count or not np.isfinite(wanted).all():
        raise InstanceError(
            "losses",
            f"<shape {wanted.shape}>",
            f"must be one finite loss for each of {count} configurations",
            "leave out configurations that were not measured",
        )
    return wanted


def _seed(seed: int) -> int:
    if whole("seed", seed) < 0:
        raise InstanceError("seed", seed, "must be 0 or more", "give another number")
    return seed


def _spread(values: FloatArray) -> FloatArray:
    """Return the standard deviation along the first axis, 1 where nothing varies."""
    spread = np.std(values, axis=0)
    return np.where(spread > 0, spread, 1.0)
