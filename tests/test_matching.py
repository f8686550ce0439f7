"""Bottleneck matchings against all permutations, whatever the size of the weights."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from moeopt.core.arrays import FloatArray
from moeopt.matching import bottleneck_matching


def enumerated(weight: FloatArray) -> tuple[float, float] | None:
    """Return the least largest weight and, with it, the least sum; ``None`` without a matching."""
    rows, columns = weight.shape
    found = []
    for order in itertools.permutations(range(columns), rows):
        used = weight[np.arange(rows), list(order)]
        if np.isfinite(used).all():
            found.append((float(used.max()), float(used.sum())))
    return min(found, default=None)


@pytest.mark.parametrize("unit", [1.0, 1e-20, 1e150])
@pytest.mark.parametrize("seed", range(30))
def test_no_matching_is_better(seed: int, unit: float) -> None:
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(1, 5))
    weight = rng.random((rows, int(rng.integers(rows, 6)))) * unit
    weight[rng.random(weight.shape) < 0.3] = np.inf
    best, found = enumerated(weight), bottleneck_matching(weight)
    assert (found is None) == (best is None)
    if found is None or best is None:
        return
    column, largest = found
    used = weight[np.arange(rows), column]
    assert (largest, float(used.max())) == (best[0], best[0])
    assert used.sum() == pytest.approx(best[1], rel=1e-12)


def test_weights_near_the_largest_float() -> None:
    weight = np.array([[1e308, 1e308, 0.4], [1e308, 0.2, 1e308]])
    found = bottleneck_matching(weight)
    assert found is not None
    assert (found[0].tolist(), found[1]) == ([2, 1], 0.4)


def test_weights_far_apart() -> None:
    """What may not be used must not drown the sums of what may."""
    weight = np.array([[3e-20, 1e-20, 2e-20, 5.0], [1e-20, 3e-20, 2e-20, 5.0]])
    found = bottleneck_matching(weight)
    assert found is not None
    assert found[0].tolist() == [1, 0]
