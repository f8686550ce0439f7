"""Does a window come from other loads than those believed in? A test that the stream calibrates."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from moeopt.core.arrays import FloatArray

#: Windows whose sums are tested together: one, and more where a change is too small to see in one.
SPANS = (1, 4, 16)

#: Alarms of a span in a row after which its distances have changed rather than the loads.
_IN_A_ROW = 3

#: What is believed of the logarithm of distances before any: a mean of 0, worth so many distances,
#: and a spread of 0.25, worth so many.
_MEAN_WORTH, _SPREAD, _SPREAD_WORTH = 0.25, 0.25, 8.0

#: A distance this improbable is learnt as the one of this probability.
_CLIPPED = 0.01

#: Distances below are rounding.
_LEAST = 1e-6

#: A share over another, less 1, where it rounds to none: its logarithm must be finite.
_NONE = -1.0 + 1e-15

#: Distances that are remembered.
_REMEMBERED = 256.0


@dataclass(frozen=True, eq=False)
class Seen:
    """Windows of one regime.

    Attributes
    ----------
    tokens
        Their sum, ``(layers, experts)``.
    size, windows
        Tokens of a layer in them, and their number.
    """

    tokens: FloatArray
    size: float
    windows: float

    def plus(self, other: Seen) -> Seen:
        """Return both together."""
        return Seen(
            self.tokens + other.tokens, self.size + other.size, self.windows + other.windows
        )


def distance(seen: Seen, shares: FloatArray, evidence: float) -> float:
    """Return how far loads are from expected ones: the G statistic of two samples, over its mean.

    It is 1 on average where both are samples of the same shares by independent tokens, and the
    overdispersion where tokens come in alike bunches.

    Parameters
    ----------
    seen
        Windows.
    shares
        What is expected of them, each layer summing to 1.
    evidence
        Tokens of a layer that the expectation is worth.
    """
    tokens, expected = seen.tokens, shares * evidence
    rows = tokens.sum(axis=1, keepdims=True)
    both = tokens + expected
    # Each share over that of both samples together, less 1. Logarithms of whole counts would cancel
    # to noise once a long stream outweighs the window.
    apart = np.divide(
        tokens / np.where(rows > 0, rows, 1.0) - shares,
        both,
        out=np.zeros_like(both),
        where=both > 0,
    )
    cells = tokens * np.log1p(np.maximum(apart * evidence, _NONE))
    cells += expected * np.log1p(np.maximum(-apart * rows, _NONE))
    freedom = float(np.maximum((both > 0).sum(axis=1) - 1, 0).sum())
    value = 2.0 * float(cells.sum()) / freedom if freedom else 1.0
    return max(value, _LEAST)


class Calibrated:
    """Distances of windows without a change: log-normal, with the stream's own mean and spread.

    Normal with a conjugate prior, so that the next one is Student's; outliers are clipped before
    they are learnt, since a change that went unnoticed would hide all later ones.
    """

    def __init__(self) -> None:
        self._count = _MEAN_WORTH
        self._mean = 0.0
        self._squares = 0.0

    @property
    def usual(self) -> float:
        """The usual distance, 1 before any was seen."""
        return math.exp(self._mean)

    def threshold(self, probability: float) -> float:
        """Return the distance that the next one without a change exceeds so improbably."""
        freedom = _SPREAD_WORTH + self._count - _MEAN_WORTH
        variance = (_SPREAD_WORTH * _SPREAD**2 + self._squares) / freedom
        quantile = float(stdtrit(freedom, 1.0 - probability))
        return math.exp(self._mean + quantile * math.sqrt(variance * (1.0 + 1.0 / self._count)))

    def learn(self, value: float) -> None:
        """Take in a distance without a change."""
        log = math.log(min(value, self.threshold(_CLIPPED)))
        if self._count >= _REMEMBERED:
            self._squares *= 1.0 - 1.0 / _REMEMBERED
            self._count -= 1.0
        self._count += 1.0
        step = log - self._mean
        self._mean += step / self._count
        self._squares += step * (log - self._mean)


class Span:
    """Tests the sum of so many windows against what was expected before the first of them.

    Parameters
    ----------
    windows
        Tested together.
    false_alarms
        Of one test.
    """

    def __init__(self, windows: int, false_alarms: float) -> None:
        self.null = Calibrated()
        self._false_alarms = false_alarms
        self._length = windows
        self._alarms = 0
        self.restart()

    def restart(self) -> None:
        """Drop the windows that wait for a test."""
        self._seen: Seen | None = None
        self._shares: FloatArray | None = None
        self._evidence = 0.0

    def test(self, window: Seen, shares: FloatArray, evidence: float) -> Seen | None:
        """Take in a window; return those before it in the span where they are of other loads.

        Parameters
        ----------
        window
            One window.
        shares, evidence
            What is expected of it, and the tokens of a layer that the expectation is worth.
        """
        before = self._seen or Seen(np.zeros_like(window.tokens), 0.0, 0.0)
        if self._shares is None:
            self._shares, self._evidence = shares, evidence
        self._seen = before.plus(window)
        if self._seen.windows < self._length:
            return None
        value = distance(self._seen, self._shares, self._evidence)
        self.restart()
        alarmed = value > self.null.threshold(self._false_alarms)
        self._alarms = self._alarms + 1 if alarmed else 0
        if not alarmed or self._alarms >= _IN_A_ROW:
            self.null.learn(value)
        # Kept apart: beside a giant window, a difference of sums would be what rounding left.
        return before if alarmed else None


class Alarm:
    """Notices changes, in one window or in the sum of several.

    Parameters
    ----------
    false_alarms
        In each window without a change, over all spans.
    """

    def __init__(self, false_alarms: float) -> None:
        self._level = false_alarms / sum(1.0 / windows for windows in SPANS)
        self._spans = [Span(windows, self._level) for windows in SPANS]

    @property
    def overdispersion(self) -> float:
        """Variance of a window's counts over that of independent tokens."""
        return self._spans[0].null.usual

    def fits(self, window: Seen, shares: FloatArray, evidence: float) -> float | None:
        """Return the distance of one window to other loads, ``None`` where it is of a change."""
        value = distance(window, shares, evidence)
        null, probability = self._spans[0].null, self._level
        return value if value <= null.threshold(probability) else None

    def test(self, window: Seen, shares: FloatArray, evidence: float) -> Seen | None:
        """Take in a window; return those before it that, like it, are of other loads.

        Parameters
        ----------
        window, shares, evidence
            As for `Span.test`.

        Returns
        -------
        Seen | None
            Maybe of no windows; ``None`` where nothing has changed.
        """
        for span in self._spans:
            before = span.test(window, shares, evidence)
            if before is not None:
                self.restart()
                return before
        return None

    def restart(self) -> None:
        """Begin afresh with other loads; what is usual stays known."""
        for span in self._spans:
            span.restart()
