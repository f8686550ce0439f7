"""What is known of expert loads after a stream of windows.

Popularity changes at unknown times, as tasks do, and drifts slowly in between; a window is a small
sample of it. The estimate averages since the last change, with as short a memory as the drift asks
for, draws what little was seen towards what earlier regimes had in common, and knows a regime again
that returns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeopt.core.arguments import number, whole
from moeopt.core.arrays import FloatArray, numbers_of, require_finite_nonnegative, require_shape
from moeopt.core.errors import InstanceError
from moeopt.placement.motion.alarm import Alarm, Seen, distance
from moeopt.placement.motion.average import Averages, shares_of

#: A regime of so few windows may turn out to be a remembered one, or what lies between two, and is
#: not worth remembering.
YOUNG = 2

#: Windows for which the loads of a stream are expected to last before any is seen.
EXPECTED = 4.0

#: A gain above would mean drift without any sampling error.
_MOST_GAIN = 0.95


@dataclass(frozen=True)
class Known:
    """What an `Estimate` holds after its last window.

    Attributes
    ----------
    windows
        Seen so far.
    since_change
        Seen since the last change, the one in which it was noticed included.
    changes
        Noticed so far; what begins in one window and is complete in the next counts once.
    regime
        Number of the regime, in order of first appearance.
    regimes
        Regimes remembered besides.
    returned
        Whether the regime had been left and has come back.
    overdispersion
        Variance of counts over that of independent tokens.
    evidence_windows
        The loads are as certain as the sum of so many windows without drift.
    gain
        Weight of the newest window once the average is full: 0 where nothing drifts.
    """

    windows: int = 0
    since_change: int = 0
    changes: int = 0
    regime: int = 0
    regimes: int = 0
    returned: bool = False
    overdispersion: float = 1.0
    evidence_windows: float = 0.0
    gain: float = 0.0

    @property
    def windows_to_change(self) -> float:
        """How long the regime may be expected to last: the mean time between changes so far.

        Before the first change, as long again as it has lasted, and a few windows more.
        """
        return (self.windows + EXPECTED) / (self.changes + 1.0)

    @property
    def drift_windows(self) -> float:
        """Windows in which loads drift as far as one window's sampling error; ``inf`` if never.

        The steady gain of a Kalman filter says so, of loads that walk at random.
        """
        gain = min(self.gain, _MOST_GAIN)
        return (1.0 - gain) / gain**2 if gain > 0 else np.inf


class Estimate:
    """Loads after a stream of windows.

    Memory does not grow with the stream, and a window takes work in proportion to layers x experts
    x remembered regimes.

    Parameters
    ----------
    layers, experts
        Shape of a window.
    false_alarms
        Changes noticed in each window where there are none. Distances of windows to what was
        expected of them are held against those of the stream so far, as log-normal: the windows of
        one regime may be bunched as texts are, but should be alike in how bunched they are.
    remembered
        Regimes that are remembered; the one longest away is forgotten first.
    """

    def __init__(
        self, layers: int, experts: int, *, false_alarms: float = 1e-3, remembered: int = 8
    ) -> None:
        if not 0.0 < number("false_alarms", false_alarms) < 1.0:
            rule = "must lie between 0 and 1"
            raise InstanceError("false_alarms", false_alarms, rule, "choose 0.001, say")
        if whole("remembered", remembered) < 0:
            raise InstanceError("remembered", remembered, "must be >= 0", "choose 8, say")
        self._shape = (layers, experts)
        self._alarm = Alarm(false_alarms)
        self._averages = Averages(layers, experts)
        # Regimes that were left, by their number, the one longest away first.
        self._past: dict[int, Seen] = {}
        self._remembered = remembered
        self._regime = self._numbers = 1
        self._returned = False
        self._size = 0.0
        self.known = Known()

    def add(self, loads: FloatArray) -> Known:
        """Take in one window and return what is known after it.

        Parameters
        ----------
        loads
            Tokens, ``(layers, experts)``; one without any tokens says nothing.
        """
        window = np.asarray(numbers_of(loads, "loads"), dtype=np.float64)
        require_shape(window, "loads", self._shape, "layers, experts")
        require_finite_nonnegative(window, "loads")
        size = float(window.sum(axis=1).mean())
        if size > 0:
            self._size = size
            self._step(Seen(window, size, 1.0))
        return self.known

    def shares(self) -> FloatArray:
        """Return the part of each expert in its layer's tokens, ``(layers, experts)``.

        The average is drawn towards the mean of the remembered regimes and of even loads, in each
        layer by as much as noise explains their distance (James and Stein).
        """
        shares = self._averages.shares()
        evidence = self._averages.evidence()
        if not evidence:
            return shares
        experts = self._shape[1]
        even = np.full(self._shape, 1.0 / experts)
        past = np.mean([even, *(shares_of(seen.tokens) for seen in self._past.values())], axis=0)
        apart = ((shares - past) ** 2 / past).sum(axis=1)
        noise = self.known.overdispersion * max(experts - 3, 0) / evidence
        pull = np.minimum(1.0, np.divide(noise, apart, out=np.ones(len(apart)), where=apart > 0))
        return np.asarray(shares + pull[:, None] * (past - shares))

    def loads(self) -> FloatArray:
        """Return the loads to expect of a window like the last one, ``(layers, experts)``."""
        return self.shares() * self._size

    def draws(self, ahead: FloatArray, seed: int = 0) -> FloatArray:
        """Return windows as they may come: what is not known, drift and sampling all varied.

        Parameters
        ----------
        ahead
            How many windows ahead each is, ``(draws,)``.
        seed
            Of the dice.

        Returns
        -------
        FloatArray
            Tokens, ``(draws, layers, experts)``.
        """
        known = self.known
        spread = 1.0 + np.asarray(ahead) / known.drift_windows
        if known.evidence_windows:
            spread = spread + 1.0 / known.evidence_windows
        size = self._size / (known.overdispersion * spread)
        shape = np.maximum(self.shares() * size[:, None, None], 1e-12)
        drawn = np.random.default_rng(seed).standard_gamma(shape)
        total = drawn.sum(axis=2, keepdims=True)
        # Shares first: of few tokens the total may be so small that the quotient overflows.
        return np.asarray(drawn / np.where(total > 0, total, 1.0) * self._size)

    def _step(self, window: Seen) -> None:
        """Test a window, begin anew where it is of another regime, and average it."""
        known = self.known
        expected = (self._averages.shares(), self._averages.evidence())
        before = self._alarm.test(window, *expected) if known.windows else None
        young = known.since_change <= YOUNG
        changes, age = known.changes, known.since_change
        if before is not None:
            # What begins in one window is complete in the next: one change.
            changes += not (young and changes)
            age = 0
            self._enter(self._like(window), before)
        elif young and changes and not self._returned:
            back = self._like(window, distance(window, *expected))
            if back is not None:
                self._enter(back, window)
        self._averages.add(window)
        self.known = Known(
            windows=known.windows + 1,
            since_change=age + 1,
            changes=changes,
            regime=self._regime,
            regimes=len(self._past),
            returned=self._returned,
            overdispersion=self._alarm.overdispersion,
            evidence_windows=self._averages.evidence() / window.size,
            gain=self._averages.gain,
        )

    def _like(self, window: Seen, nearest: float = np.inf) -> int | None:
        """Return the remembered regime that a window is nearest to, ``None`` if it fits none."""
        found = None
        for past, seen in self._past.items():
            value = self._alarm.fits(window, shares_of(seen.tokens), seen.size)
            if value is not None and value < nearest:
                found, nearest = past, value
        return found

    def _enter(self, back: int | None, seen: Seen) -> None:
        """Leave the regime there is for a remembered one, or for a new one of what was seen."""
        left = self._averages.seen
        if left.windows > YOUNG:
            self._past[self._regime] = left
        self._returned = back is not None
        if back is None:
            self._numbers += 1
            self._regime = self._numbers
        else:
            self._regime, seen = back, self._past.pop(back)
        for past in list(self._past)[: max(len(self._past) - self._remembered, 0)]:
            del self._past[past]
        self._averages.restart(seen)
        self._alarm.restart()
