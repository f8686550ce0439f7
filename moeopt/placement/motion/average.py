"""Averages of one stream with short and long memories, and the mix that foretells it best."""

from __future__ import annotations

import numpy as np

from moeopt.core.arrays import FloatArray, read_only
from moeopt.placement.motion.alarm import Seen

#: Windows that each average remembers; the last one forgets nothing.
MEMORIES = (1.0, 4.0, 16.0, 64.0, 256.0, np.inf)

#: What an average keeps of its past with each window.
_KEEPS = np.array([1.0 - 1.0 / memory for memory in MEMORIES])

#: Windows over which errors of the averages are compared.
_COMPARED = 256.0

#: Mean squared errors below are rounding.
_LEAST = 1e-12

#: What is left of tokens is none below this share of a window's: it would fade to numbers so small
#: that processors are slow with them, and never to 0.
_GONE = 1e-100

#: Share of an expert that errors are divided by at least, times 1 over the experts.
_RARE = 0.1


class Averages:
    """Averages of the windows since a change, each with its own memory.

    Their mix has the non-negative weights, summing to 1, whose squared error on the windows so far
    was smallest (Bates and Granger's combination of forecasts): all on the longest memory where
    nothing drifts, on shorter ones as drift is faster. Errors are remembered over changes.

    Parameters
    ----------
    layers, experts
        Shape of a window.
    """

    def __init__(self, layers: int, experts: int) -> None:
        count = len(MEMORIES)
        self._errors = np.zeros((count, count))
        self._mix = np.eye(count)[-1]
        self._shape = (layers, experts)
        self.restart()

    def restart(self, seen: Seen | None = None) -> None:
        """Begin anew, from windows seen elsewhere or from none."""
        windows = seen.windows if seen else 0.0
        share = np.minimum(1.0, np.array(MEMORIES) / windows) if windows else np.zeros(len(_KEEPS))
        tokens, size = (seen.tokens, seen.size) if seen else (np.zeros(self._shape), 0.0)
        self._windows = windows
        self._tokens = share[:, None, None] * tokens
        self._sizes = share * size
        # As if each average had only the last of these windows, all alike.
        self._products = np.minimum.outer(share, share) * size

    def add(self, window: Seen) -> None:
        """Take in a window: first judge the averages by it, then change them."""
        if self._windows:
            self._judge(window)
        self._windows += window.windows
        self._tokens *= _KEEPS[:, None, None]
        self._tokens[self._tokens < _GONE * window.size] = 0.0
        self._tokens += window.tokens
        self._sizes = _KEEPS * self._sizes + window.size
        self._products = np.outer(_KEEPS, _KEEPS) * self._products + window.size

    @property
    def seen(self) -> Seen:
        """All windows since the change."""
        return Seen(self._tokens[-1].copy(), float(self._sizes[-1]), self._windows)

    @property
    def tokens(self) -> FloatArray:
        """What each memory holds of every expert's tokens, ``(memories, layers, experts)``."""
        return read_only(self._tokens)

    @property
    def gain(self) -> float:
        """Weight of the newest window once all memories are full: 0 where nothing drifts."""
        return float(self._mix @ (1.0 - _KEEPS))

    def shares(self) -> FloatArray:
        """Return the part of each expert in its layer that the mix expects."""
        return np.tensordot(self._mix, shares_of(self._tokens), axes=1)

    def evidence(self) -> float:
        """Return the tokens of a layer that one window would need to be as certain as the mix."""
        weights = np.divide(
            self._mix, self._sizes, out=np.zeros_like(self._mix), where=self._sizes > 0
        )
        variance = float(weights @ self._products @ weights)
        return 1.0 / variance if variance > 0 else 0.0

    def _judge(self, window: Seen) -> None:
        seen, expected = shares_of(window.tokens), shares_of(self._tokens)
        rare = np.maximum(expected[-1], _RARE / self._shape[1])
        errors = (seen - expected) * np.sqrt(window.size / rare)
        errors = errors.reshape(len(MEMORIES), -1)
        self._errors += errors @ errors.T / errors.shape[1] - self._errors / _COMPARED
        self._mix = _best_mix(self._errors)


def shares_of(tokens: FloatArray) -> FloatArray:
    """Return the part of each expert in its layer, even where a layer has no tokens."""
    total = tokens.sum(axis=-1, keepdims=True)
    even = 1.0 / tokens.shape[-1]
    shares = np.full(tokens.shape, even)
    np.divide(tokens, total, out=shares, where=total > 0)
    return shares


def _best_mix(errors: FloatArray) -> FloatArray:
    """Return the weights >= 0, summing to 1, of least error: the worst is dropped till all fit."""
    count = len(errors)
    mean = float(np.trace(errors)) / count
    if mean < _LEAST:
        return np.asarray(np.eye(count)[-1])
    level = errors + 1e-6 * mean * np.eye(count)
    left = np.arange(count)
    while True:
        weights = np.linalg.solve(level[np.ix_(left, left)], np.ones(len(left)))
        if (weights > 0).all():
            break
        left = np.delete(left, int(weights.argmin()))
    mix = np.zeros(count)
    mix[left] = weights / weights.sum()
    return mix
