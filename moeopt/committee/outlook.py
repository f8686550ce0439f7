"""What experts will weigh: learned from all windows so far, as a sum over the windows ahead.

A linear rule maps how much an expert weighed lately, at several rates of forgetting, to what it
will weigh: in the next window if loads cost nothing, else in as many as a load takes to be earned.
The rule of a layer is fitted to all its experts together by least-squares temporal differences
(Bradtke and Barto 1996): what was expected of an expert should have been what it then weighed and
what is expected of it now, the latter discounted. Nothing is trained before.
"""

from __future__ import annotations

import numpy as np

from moeopt.core.arrays import FloatArray

#: How old, in windows, what an average counts is on average: the last window alone, and older.
RATES = np.array([0.0, 2.0, 8.0, 32.0])

#: Weights of these averages, and of that over all windows, before anything is learned.
START = np.array([0.0, 0.0, 0.4, 0.3, 0.3])

#: How much `START` counts: as so many windows.
TRUST = 10.0

#: Windows that what is known before the first one counts as.
HISTORY = 10

#: An expert's weights scatter the more, the more it weighs on average; the least that is taken for
#: this, as a share of the mean of all.
FLOOR = 0.1


class Outlook:
    """What the experts of several layers are expected to weigh.

    Parameters
    ----------
    layers, experts
        How many.
    history
        What each expert weighed in a window before, on average, ``(layers, experts)``.
    """

    def __init__(self, layers: int, experts: int, history: FloatArray | None = None) -> None:
        features = START.size
        self.fades = RATES / (1.0 + RATES)
        self.windows = 0 if history is None else HISTORY
        #: Of all windows so far, ``(layers, experts)``.
        self.sums = np.zeros((layers, experts))
        self.peaks = np.zeros((layers, experts))
        self._faded = np.zeros((layers, experts, RATES.size))
        self._seen = np.zeros((layers, experts, features))
        self._now = np.zeros((layers, features, features))
        self._next = np.zeros((layers, features, features))
        self._then = np.zeros((layers, features))
        if history is not None:
            self.sums += HISTORY * history
            self.peaks += history
            self._faded += history[:, :, None] * (1.0 - self.fades**HISTORY)
            self._seen = self._features()

    def learn(self, weights: FloatArray) -> None:
        """Take in what each expert weighed in the window that just ended.

        Parameters
        ----------
        weights
            Of all experts, resident or not, ``(layers, experts)``.
        """
        before, known = self.sums / max(1, self.windows), self.windows > 0
        self.sums = self.sums + weights
        self.peaks = np.maximum(self.peaks, weights)
        self.windows += 1
        self._faded = self.fades * self._faded + (1.0 - self.fades) * weights[:, :, None]
        seen = self._features()
        if known:
            with np.errstate(all="ignore"):
                scatter = before + FLOOR * self.typical()[:, None]
                sure = np.where(scatter > 0, 1.0 / scatter, 0.0)
                told = np.swapaxes(self._seen * sure[:, :, None], 1, 2)
                self._now += told @ self._seen
                self._next += told @ seen
                self._then += (told @ weights[:, :, None])[:, :, 0]
        self._seen = seen

    def typical(self) -> FloatArray:
        """Return what an expert weighed in a window, on average over all, ``(layers,)``."""
        return np.asarray(self.sums.mean(axis=1) / max(1, self.windows))

    def expect(self, ahead: FloatArray) -> FloatArray:
        """Return what each expert will weigh in the windows ahead, ``(layers, experts)``.

        Parameters
        ----------
        ahead
            How many windows count, about, ``(layers,)``: each counts ``1 - 1 / ahead`` of the one
            before it.
        """
        layers, experts = self.sums.shape
        patience = 1.0 - 1.0 / ahead
        trust = TRUST * experts / (1.0 + FLOOR) * self.typical()
        # A layer in which nothing weighs anything has nothing to solve either.
        held = np.where(trust > 0, trust, 1.0)
        with np.errstate(all="ignore"):
            matrix = self._now - patience[:, None, None] * self._next
            matrix += held[:, None, None] * np.eye(START.size)
            right = self._then + (held * ahead)[:, None] * START
            try:
                rule = np.linalg.solve(matrix, right[:, :, None])
            except np.linalg.LinAlgError:
                rule = np.full((layers, START.size, 1), np.nan)
            total = (self._seen @ rule)[:, :, 0]
            usual = ahead[:, None] * (self._seen @ START)
            # Nobody is expected to weigh less than nothing, or more than ever before.
            most = np.minimum(ahead[:, None] * self.peaks, np.finfo(float).max)
        return np.clip(np.where(np.isfinite(total), total, usual), 0.0, most)

    def _features(self) -> FloatArray:
        """Return each expert's averages, ``(layers, experts, features)``."""
        lately = self._faded / (1.0 - self.fades**self.windows)
        return np.concatenate((lately, self.sums[:, :, None] / self.windows), axis=2)
