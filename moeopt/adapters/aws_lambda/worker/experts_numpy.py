"""An expert computed with NumPy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .protocol import NUMBER, Tensor

#: Numbers of hidden values held at once, beside as many of the activation: tokens are computed in
#: slices, so that memory for them does not grow with their number.
_SLICE = 1 << 20


def compute(tokens: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
    """Return the expert's outputs.

    Parameters
    ----------
    tokens
        ``(tokens, in)``.
    parameters
        ``up (in, hidden)`` and ``down (hidden, out)``, with GELU in its tanh form between them;
        with ``gate (in, hidden)`` what stands between them is ``silu(x gate) * (x up)``.

    Returns
    -------
    Tensor
        ``(tokens, out)``.
    """
    up, down, gate = parameters["up"], parameters["down"], parameters.get("gate")
    outputs = np.empty((len(tokens), down.shape[1]), dtype=NUMBER)
    rows = max(1, _SLICE // up.shape[1])
    for first in range(0, len(tokens), rows):
        some = tokens[first : first + rows]
        hidden = some @ up
        hidden = _gelu(hidden) if gate is None else hidden * _silu(some @ gate)
        np.matmul(hidden, down, out=outputs[first : first + rows])
    return outputs


def _gelu(x: Tensor) -> Tensor:
    """Return GELU in its tanh form."""
    with np.errstate(over="ignore"):
        inner = x * x
        inner *= np.float32(0.044715)
        inner += np.float32(1.0)
        inner *= x
        inner *= np.float32(np.sqrt(2.0 / np.pi))
    np.tanh(inner, out=inner)
    inner += np.float32(1.0)
    inner *= x
    inner *= np.float32(0.5)
    return inner


def _silu(x: Tensor) -> Tensor:
    """Return ``x / (1 + exp(-x))``."""
    # Where exp overflows, the quotient is 0, as it should be.
    with np.errstate(over="ignore"):
        below = np.exp(-x)
    below += np.float32(1.0)
    np.divide(x, below, out=below)
    return below
