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
HISTORY = 10.0

#: What is left of weights is none below this share of the usual ones: it would fade to numbers so
#: small that processors are slow with them, and never to 0.
GONE = 1e-100

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
        What each expert weighed before, ``(layers, experts)``, in whatever unit: of a layer, only
        the shares count. They are taken for `HISTORY` windows of what the layer weighs in those
        since; before the first of these, the numbers are taken as they are.
    """

    def __init__(self, layers: int, experts: int, history: FloatArray | None = None) -> None:
        features = START.size
        self.fades = RATES / (1.0 + RATES)
        self.windows = 0
        #: Of all windows so far, ``(layers, experts)``.
        self.sums = np.zeros((layers, experts))
        self.peaks = np.zeros((layers, experts))
        self._faded = np.zeros((layers, experts, RATES.size))
        self._seen = np.zeros((layers, experts, features))
        self._now = np.zeros((layers, features, features))
        self._next = np.zeros((layers, features, features))
        self._then = np.zeros((layers, features))
        #: What experts of a layer weighed in a window, on average, ``(layers,)``.
        self._mean = np.zeros(layers)
        self._before, self._shares = 0.0, np.zeros((layers, experts))
        if history is not None:
            self._before = HISTORY
            self._shares, self._mean = _shares(history)
            self._seen = self._features()

    def learn(self, weights: FloatArray) -> None:
        """Take in what each expert weighed in the window that just ended.

        Parameters
        ----------
        weights
            Of all experts, resident or not, ``(layers, experts)``.
        """
        known = self.windows + self._before > 0
        sums = self.sums + weights
        self._mean = sums.mean(axis=1) / (self.windows + 1)
        # What was known before, in the unit that is known now.
        before = self._features() if known else self._seen
        self.sums, self.peaks = sums, np.maximum(self.peaks, weights)
        self.windows += 1
        self._faded = self.fades * self._faded + (1.0 - self.fades) * weights[:, :, None]
        self._faded[self._faded < GONE * self._mean[:, None, None]] = 0.0
        self._seen = self._features()
        if known:
            with np.errstate(all="ignore"):
                scatter = before[:, :, -1] + FLOOR * self._mean[:, None]
                sure = np.where(scatter > 0, 1.0 / scatter, 0.0)
                told = np.swapaxes(before * sure[:, :, None], 1, 2)
                self._now += told @ before
                self._next += told @ self._seen
                self._then += (told @ weights[:, :, None])[:, :, 0]

    def typical(self) -> FloatArray:
        """Return what an expert weighed in a window, on average over all, ``(layers,)``."""
        return self._mean

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
            peaks = np.maximum(self.peaks, self._mean[:, None] * self._shares)
            most = np.minimum(ahead[:, None] * peaks, np.finfo(float).max)
        return np.clip(np.where(np.isfinite(total), total, usual), 0.0, most)

    def _features(self) -> FloatArray:
        """Return each expert's averages, ``(layers, experts, features)``."""
        history = self._mean[:, None] * self._shares
        old = self.fades**self.windows
        faded = self._faded + history[:, :, None] * (old * (1.0 - self.fades**self._before))
        windows = self.windows + self._before
        overall = self.sums / windows + history * (self._before / windows)
        return np.concatenate((faded / (1.0 - self.fades**windows), overall[:, :, None]), axis=2)


def _shares(history: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return what each expert weighed over the mean of its layer, and these means.

    In a layer of which nothing is known all are alike.
    """
    most = history.max(axis=1)
    scaled = np.where(most[:, None] > 0, history / np.where(most > 0, most, 1.0)[:, None], 1.0)
    mean = scaled.mean(axis=1)
    return scaled / mean[:, None], most * mean
