"""Robust fits: straight lines through measured seconds, some of which are far off.

Medians throughout, so that half of the samples could be anything. What is fitted is never negative;
what samples cannot show is ``None``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeopt.core.arrays import FloatArray

#: Samples that slopes are taken between: there are as many pairs as the square of it.
_MOST = 1000

#: Chance with which no relation at all would look as much like one as what is taken for one.
_DOUBT = 0.01

#: Standard deviations between the quartiles of a normal distribution.
_QUARTILES = 1.349


@dataclass(frozen=True)
class Line:
    """Seconds of an amount: ``start + slope * amount``.

    Attributes
    ----------
    start, slope
        Both at least 0.
    slope_shown
        Whether the samples show the slope: else it is the one that was given.
    """

    start: float
    slope: float
    slope_shown: bool

    def at(self, amounts: FloatArray) -> FloatArray:
        """Return the seconds of amounts."""
        return self.start + self.slope * amounts

    def one(self, amount: float) -> float:
        """Return the seconds of one amount."""
        return self.start + self.slope * amount


@dataclass(frozen=True)
class Residual:
    """How far samples are from a fit, as parts of their own size.

    Attributes
    ----------
    median, most
        Half of them, and nine of ten, are no further off.
    """

    median: float
    most: float


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """One constant.

    Attributes
    ----------
    name
        Its path in the instance, or what it is called.
    before, after
        The instance's own, and what it is now; ``None`` if the instance has no such constant.
    samples
        How many it is fitted to.
    residual
        How far they are from the fit.
    note
        Why it was kept, or what else must be known.
    """

    name: str
    before: float | None
    after: float | None
    samples: int
    residual: Residual | None = None
    note: str = ""


def kept(name: str, value: float, note: str) -> Fitted:
    """Return the row of a constant that was not fitted."""
    return Fitted(name=name, before=value, after=value, samples=0, note=note)


def line_through(amounts: FloatArray, seconds: FloatArray, slope: float) -> Line:
    """Return the line through samples, ``(samples,)`` each.

    The slope is the median over all pairs of samples, each with the weight of how far apart its
    amounts are (Theil and Sen's, weighted as by Jaeckel); the start is the median of what it
    leaves. Where the start would be negative, it is 0.

    Parameters
    ----------
    amounts, seconds
        At least one sample.
    slope
        To be kept where the samples cannot show one: their amounts are all the same, or their
        seconds do not grow with them beyond doubt.
    """
    own = _slope(amounts, seconds) if _grows(amounts, seconds) else None
    found = slope if own is None else own
    start = float(np.median(seconds - found * amounts))
    if start >= 0.0:
        return Line(start, found, own is not None)
    through_zero = None if own is None else rate_through(amounts, seconds)
    return Line(0.0, through_zero or found, own is not None)


def rate_through(amounts: FloatArray, seconds: FloatArray) -> float | None:
    """Return seconds per amount of a line through zero; ``None`` if no sample shows it.

    The line of least absolute deviations: the median of the quotients, by the weight of amounts.
    """
    some = amounts > 0
    if not some.any():
        return None
    rate = _weighted_median(seconds[some] / amounts[some], amounts[some])
    return rate if rate > 0 else None


def residual_of(seconds: FloatArray, fitted: FloatArray) -> Residual | None:
    """Return how far samples are from what was fitted; ``None`` if none is above 0."""
    some = seconds > 0
    if not some.any():
        return None
    off = np.abs(fitted[some] - seconds[some]) / seconds[some]
    return Residual(float(np.median(off)), float(np.quantile(off, 0.9)))


def spread_of(seconds: FloatArray, fitted: FloatArray) -> float:
    """Return the standard deviation of the logarithm of how much slower than fitted samples are.

    That of a normal distribution with the same quartiles: what is far off does not count.
    """
    some = (seconds > 0) & (fitted > 0)
    if some.sum() < 2:
        return 0.0
    low, high = np.quantile(np.log(seconds[some] / fitted[some]), (0.25, 0.75))
    return float(high - low) / _QUARTILES


def _grows(amounts: FloatArray, seconds: FloatArray) -> bool:
    """Tell whether seconds grow with amounts beyond doubt, by Kendall's rank correlation."""
    if amounts.min() == amounts.max() or seconds.min() == seconds.max():
        return False
    from scipy.stats import kendalltau

    found = kendalltau(amounts, seconds, alternative="greater")
    return bool(found.pvalue < _DOUBT)


def _slope(amounts: FloatArray, seconds: FloatArray) -> float | None:
    """Return the weighted median of the slopes between samples, if it is positive."""
    # Evenly from all of them: in this order those of an amount are by their seconds.
    order = np.lexsort((seconds, amounts))
    picked = order[np.linspace(0, len(order) - 1, min(len(order), _MOST)).round().astype(int)]
    one, other = np.triu_indices(len(picked), 1)
    far = amounts[picked][other] - amounts[picked][one]
    apart = far > 0
    rise = (seconds[picked][other] - seconds[picked][one])[apart]
    slope = _weighted_median(rise / far[apart], far[apart])
    return slope if slope > 0 else None


def _weighted_median(values: FloatArray, weights: FloatArray) -> float:
    """Return the value below which, and above which, lies at most half of the weight."""
    order = np.argsort(values, kind="stable")
    sums = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(sums, sums[-1] / 2.0)])
