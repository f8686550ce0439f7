"""Knapsacks over layers, drawn, and their optimum by looking at every choice."""

from __future__ import annotations

import itertools

import numpy as np

from moeopt.core.arrays import FloatArray

#: Curves, uses and limits.
Knapsack = tuple[list[FloatArray], list[FloatArray], FloatArray]


def drawn(rng: np.random.Generator, rows: int) -> Knapsack:
    """Return a small one: curves of any shape with gaps, uses that rise evenly or as they like."""
    shape, whole, equal = rng.choice(["any", "falling", "convex"]), *(rng.random(2) < [0.5, 0.3])
    curves, uses = [], []
    for _ in range(int(rng.integers(1, 5))):
        points = int(rng.integers(1, 7))
        curve = rng.integers(0, 20, points).astype(float) if whole else rng.random(points)
        if shape != "any":
            curve = np.sort(curve)[::-1].copy()
        if shape == "convex":
            curve = np.cumsum(np.sort(curve))[::-1].copy()
        curve[rng.random(points) < 0.1] = np.inf
        curves.append(curve)
        uses.append(np.array([_use(rng, row, points, equal) for row in range(rows)]))
    limits = np.where(rng.random(rows) < 0.7, rng.integers(0, 25, rows), rng.random(rows) * 25)
    limits[0] = np.inf if rng.random() < 0.1 else limits[0]
    return curves, uses, limits


def _use(rng: np.random.Generator, row: int, points: int, equal: bool) -> FloatArray:
    if row == 2 or rng.random() < 0.15:
        # As swaps were measured: no more slots need use more.
        return rng.integers(0, 8, points) * 1.0 if rng.random() < 0.5 else rng.random(points) * 8
    size = float(rng.integers(1, 5)) if rng.random() < 0.5 else 0.1 + 4 * rng.random()
    return (2.0, 0.3)[row] * np.arange(points) if equal else size * np.arange(points)


def least(knapsack: Knapsack) -> float:
    """Return the least cost of all choices within the limits, ``inf`` if there are none."""
    curves, uses, limits = knapsack
    every = np.array(list(itertools.product(*[range(curve.size) for curve in curves])))
    cost = sum(curve[every[:, i]] for i, curve in enumerate(curves))
    used = sum(use[:, every[:, i]] for i, use in enumerate(uses))
    within = (used <= limits[:, None] * (1 + 1e-12)).all(axis=0)
    return float(np.min(cost[within], initial=np.inf))


def used_by(knapsack: Knapsack, slots: FloatArray) -> FloatArray:
    """Return what slots use of each limit, ``(rows,)``."""
    return np.sum([use[:, k] for use, k in zip(knapsack[1], slots, strict=True)], axis=0)


def cost_of(knapsack: Knapsack, slots: FloatArray) -> float:
    """Return what slots cost."""
    return float(sum(curve[k] for curve, k in zip(knapsack[0], slots, strict=True)))


def layers_of(
    rng: np.random.Generator, layers: int, experts: int, rows: int, share: float = 0.3
) -> Knapsack:
    """Return one as the wing has: convex curves, bytes, seconds, swaps that rise and fall."""
    slots = np.arange(experts + 1)
    worth = np.sort(rng.pareto(1.5, (layers, experts)))[:, ::-1] * rng.uniform(0.5, 2, (layers, 1))
    curves = worth.sum(axis=1)[:, None] - np.cumsum(np.pad(worth, ((0, 0), (1, 0))), axis=1)
    swaps = slots * (experts - slots) / experts * rng.uniform(0.5, 2, (layers, 1))
    table = [
        slots * rng.integers(10, 30, (layers, 1)) * 1.0,
        slots * rng.uniform(1e-3, 3e-3, (layers, 1)),
        np.round(swaps + rng.random((layers, experts + 1)), 2),
    ][:rows]
    uses = np.stack(table, axis=1)
    limits = share * uses.max(axis=2).sum(axis=0)
    return list(curves), list(uses), limits
