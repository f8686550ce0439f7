"""A strategy for routing loads: the shapes that traces show, and the corners that break code."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from hypothesis import strategies as st

from moeopt.core.arrays import FloatArray

LoadKind = Literal["zeros", "ties", "integers", "one_hot", "uniform", "zipf", "lognormal"]

#: The kinds of load, plainest first: a failing example shrinks towards the front.
LOAD_KINDS: tuple[LoadKind, ...] = get_args(LoadKind)

#: Tokens of a layer in the random kinds; far from where float64 sums lose digits.
_TOKENS = 4096.0


@st.composite
def loads(
    draw: st.DrawFn, scenarios: int, layers: int, experts: int, kind: LoadKind | None = None
) -> FloatArray:
    """Draw tokens of each expert, shape ``(scenarios, layers, experts)``.

    Parameters
    ----------
    scenarios, layers, experts
        The shape.
    kind
        ``"zeros"``, ``"ties"`` (two values), ``"integers"``, ``"one_hot"`` (one expert has all),
        ``"uniform"``, ``"zipf"`` or ``"lognormal"``; ``None`` draws it.
    """
    drawn = draw(st.sampled_from(LOAD_KINDS)) if kind is None else kind
    shape = (scenarios, layers, experts)
    if drawn == "zeros":
        return np.zeros(shape)
    if drawn == "one_hot":
        hot = draw(_filled(shape[:2], st.integers(0, experts - 1)))
        return np.asarray(np.eye(experts)[hot.astype(np.int64)] * draw(st.integers(1, 4096)))
    if drawn == "ties":
        low, high = draw(st.integers(0, 8)), draw(st.integers(1, 8))
        return draw(_filled(shape, st.sampled_from([low, high])))
    if drawn == "integers":
        return draw(_filled(shape, st.integers(0, 100)))
    return _random(drawn, shape, draw(st.integers(0, 2**16)))


@st.composite
def _filled(draw: st.DrawFn, shape: tuple[int, ...], element: st.SearchStrategy[int]) -> FloatArray:
    size = int(np.prod(shape))
    values = draw(st.lists(element, min_size=size, max_size=size))
    return np.array(values, dtype=np.float64).reshape(shape)


def _random(kind: str, shape: tuple[int, ...], seed: int) -> FloatArray:
    """Return loads from a seed: one draw for the whole array keeps big examples cheap."""
    rng = np.random.default_rng(seed)
    if kind == "uniform":
        weight = rng.random(shape)
    elif kind == "lognormal":
        weight = rng.lognormal(sigma=1.0, size=shape)
    else:
        ranks = np.arange(1, shape[-1] + 1, dtype=np.float64)
        weight = rng.permuted(np.broadcast_to(ranks**-1.2, shape), axis=-1)
        mean = weight / weight.sum(axis=-1, keepdims=True) * _TOKENS
        return np.asarray(rng.poisson(mean), dtype=np.float64)
    total = np.maximum(weight.sum(axis=-1, keepdims=True), 1e-12)
    return np.asarray(weight / total * _TOKENS)
