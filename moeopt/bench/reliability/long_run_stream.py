"""A long stream of windows with all that wears statistics out, and sums of it that are exact."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from moeopt.core.arrays import FloatArray

#: Tokens of a usual window, and windows of one popularity.
TOKENS, REGIME = 4096, 1000

#: Powers of two, so that scaled counts stay exact: from 1e-3 to 1e9.
_LEAST_POWER, _MOST_POWER = -10, 30

#: Tokens of the giant window; the others together have fewer.
_GIANT = 2.0**50

#: Windows kept for recomputation: what is older has faded by 1e-27 at the longest memory.
KEPT = 16_384


class Stream:
    """Windows by their number, the same each time; the last tenth is of the first one's kind.

    By tenths: counts; counts of changing magnitude; few among empty windows, and one giant one; the
    same window over and over for five tenths; counts again, twice.

    Parameters
    ----------
    windows
        How many there will be.
    experts
        Of the one layer.
    even
        Whether the window that comes over and over has as many tokens for every expert.
    """

    def __init__(self, windows: int, experts: int, *, even: bool = False) -> None:
        self._windows, self._experts = windows, experts
        growing = np.arange(1.0, experts + 1.0)[None] * 64.0
        self._same = np.full_like(growing, 256.0) if even else growing
        self._dice = np.random.default_rng(12)
        self.shares = self._popularity()

    def window(self, number: int) -> FloatArray:
        """Return the next window, ``(1, experts)``."""
        tenth = 10 * number // self._windows
        if number % REGIME == 0:
            self.shares = self._popularity()
        if 3 <= tenth < 8:
            return self._same
        if tenth == 2 and number == self._windows // 4:
            return np.floor(self._popularity() * _GIANT)[None]
        if tenth == 2 and number % 50:
            return np.zeros((1, self._experts))
        counts = self._dice.multinomial(TOKENS, self.shares).astype(np.float64)[None]
        if tenth == 1:
            counts *= 2.0 ** int(self._dice.integers(_LEAST_POWER, _MOST_POWER + 1))
        return counts

    def _popularity(self) -> FloatArray:
        return self._dice.dirichlet(np.full(self._experts, 0.5))


class Exact:
    """The sum of all windows in whole numbers, and the last ones as they were."""

    def __init__(self) -> None:
        self.count = 0
        self.recent: deque[FloatArray] = deque(maxlen=KEPT)
        self._sum: Any = 0

    def add(self, window: FloatArray) -> None:
        """Take in a window of the stream."""
        self.count += 1
        self.recent.append(window)
        units = (window * 2.0**-_LEAST_POWER).astype(np.int64)
        self._sum = self._sum + units.astype(object)

    def total(self) -> FloatArray:
        """Return the sum of all windows, rounded once."""
        return np.asarray(self._sum / 2**-_LEAST_POWER, dtype=np.float64)
