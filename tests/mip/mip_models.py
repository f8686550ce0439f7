"""Tiny models with known optima, and enumeration as the oracle."""

from __future__ import annotations

import itertools

import numpy as np

from moeopt.mip import LinearModel, ModelBuilder


def knapsack() -> LinearModel:
    """Three items, the best two weigh exactly the capacity: optimum -9."""
    builder = ModelBuilder("knapsack")
    take = builder.add_columns("take", 3, upper=1, integer=True, objective=[-4, -5, -3])
    builder.add_rows("C1", 0, take, [3, 4, 2], upper=7)
    return builder.build()


def assignment() -> LinearModel:
    """Three workers, three jobs: optimum 5 = 1 + 2 + 2."""
    cost = np.array([[4, 1, 3], [2, 0, 5], [3, 2, 2]])
    builder = ModelBuilder("assignment")
    x = builder.add_columns("x", (3, 3), upper=1, integer=True, objective=cost)
    line = np.arange(3)[:, None]
    builder.add_rows("C1", line, x, 1.0, 1.0, 1.0)
    builder.add_rows("C2", line, x.T, 1.0, 1.0, 1.0)
    return builder.build()


def set_cover() -> LinearModel:
    """Cover a triangle with sets of two: two are needed, the relaxation says 1.5."""
    builder = ModelBuilder("cover")
    x = builder.add_columns("x", 3, upper=1, integer=True, objective=1.0)
    builder.add_rows("C1", [0, 0, 1, 1, 2, 2], x[[0, 1, 1, 2, 0, 2]], 1.0, lower=1.0)
    return builder.build()


def equality() -> LinearModel:
    """3 a + 5 b = 14 over integers has only a = 3, b = 1: optimum 4 with offset 10 is 14."""
    builder = ModelBuilder("equality")
    a = builder.add_columns("a", upper=20, integer=True, objective=1.0)
    b = builder.add_columns("b", upper=20, integer=True, objective=1.0)
    builder.add_rows("C1", 0, [a, b], [3, 5], 14.0, 14.0)
    builder.objective_offset = 10.0
    return builder.build()


def ranges() -> LinearModel:
    """Two-sided row 3 <= x + y <= 5 with negative lower bounds: x = 4, y = -1, optimum 2."""
    builder = ModelBuilder("ranges")
    x = builder.add_columns("x", lower=-4, upper=4, integer=True, objective=1.0)
    y = builder.add_columns("y", lower=-4, upper=4, integer=True, objective=2.0)
    builder.add_rows("C1", 0, [x, y], 1.0, 3.0, 5.0)
    return builder.build()


def free_variable() -> LinearModel:
    """Bound a free integer by a row and a free real by it: optimum -7 - 3.5."""
    builder = ModelBuilder("free")
    x = builder.add_columns("x", lower=-np.inf, integer=True, objective=1.0)
    y = builder.add_columns("y", lower=-np.inf, objective=1.0)
    builder.add_rows("C1", 0, x, 1.0, lower=-7.5)
    builder.add_rows("C2", 0, [y, x], [2.0, -1.0], lower=0.0)
    return builder.build()


def no_objective() -> LinearModel:
    """Any point is optimal: objective 0."""
    builder = ModelBuilder("any")
    x = builder.add_columns("x", 2, upper=3, integer=True)
    builder.add_rows("C1", 0, x, 1.0, 4.0, 5.0)
    return builder.build()


def no_rows() -> LinearModel:
    """Only bounds: optimum -3 + 2."""
    builder = ModelBuilder("box")
    builder.add_columns("x", 2, lower=[0, 2], upper=[3, 5], integer=True, objective=[-1, 1])
    return builder.build()


def no_columns() -> LinearModel:
    """Only a constant: optimum 2.5."""
    builder = ModelBuilder("constant")
    builder.objective_offset = 2.5
    return builder.build()


def small_costs() -> LinearModel:
    """Count in nanounits, below every solver's absolute tolerance: optimum -9e-9."""
    builder = ModelBuilder("nano")
    take = builder.add_columns("take", 3, upper=1, integer=True, objective=[-4e-9, -5e-9, -3e-9])
    builder.add_rows("C1", 0, take, [3, 4, 2], upper=7)
    return builder.build()


def fractions() -> LinearModel:
    """Coefficients that no binary float holds: 0.1 a + 0.7 b <= 1.5 is reached exactly: -1.5."""
    builder = ModelBuilder("fractions")
    x = builder.add_columns("x", 2, upper=[1, 5], integer=True, objective=[-0.1, -0.7])
    builder.add_rows("C1", 0, x, [0.1, 0.7], upper=1.5)
    return builder.build()


def infeasible() -> LinearModel:
    """No two of three binaries sum to 2.5: every integer point fails, the relaxation does not."""
    builder = ModelBuilder("infeasible")
    x = builder.add_columns("x", 3, upper=1, integer=True, objective=1.0)
    builder.add_rows("C1", 0, x, 1.0, 2.5, 2.5)
    return builder.build()


def unbounded() -> LinearModel:
    """Let the cost fall for ever."""
    builder = ModelBuilder("unbounded")
    x = builder.add_columns("x", 2, integer=True, objective=[-1, 1])
    builder.add_rows("C1", 0, x, [1, -1], upper=3)
    builder.add_columns("y", integer=True, objective=-1.0)
    return builder.build()


def unbounded_relaxation() -> LinearModel:
    """2 x = 3 has no integer, though the relaxation falls for ever along y."""
    builder = ModelBuilder("trap")
    x = builder.add_columns("x", upper=9, integer=True)
    builder.add_columns("y", integer=True, objective=-1.0)
    z = builder.add_columns("z", upper=9, integer=True)
    builder.add_rows("C1", 0, [x, z], [2.0, 4.0], 3.0, 3.0)
    return builder.build()


OPTIMA = [
    (knapsack, -9.0),
    (assignment, 5.0),
    (set_cover, 2.0),
    (equality, 14.0),
    (ranges, 2.0),
    (free_variable, -10.5),
    (no_objective, 0.0),
    (no_rows, -1.0),
    (no_columns, 2.5),
    (small_costs, -9e-9),
    (fractions, -1.5),
]


def market_split(rows: int = 4, columns: int = 30, seed: int = 0) -> LinearModel:
    """Return a market split model: minutes of work for any solver, feasible from the start."""
    rng = np.random.default_rng(seed)
    demand = rng.integers(0, 100, (rows, columns))
    half = demand.sum(axis=1) // 2
    builder = ModelBuilder("market split")
    x = builder.add_columns("x", columns, upper=1, integer=True)
    off = builder.add_columns("off", (rows, 2), upper=10_000, integer=True, objective=1.0)
    line = np.arange(rows)
    builder.add_rows(
        "C1",
        np.concatenate([np.repeat(line, columns), line, line]),
        np.concatenate([np.tile(x, rows), off[:, 0], off[:, 1]]),
        np.concatenate([demand.ravel(), np.ones(rows), -np.ones(rows)]),
        half,
        half,
    )
    return builder.build()


def market_split_start(model: LinearModel) -> np.ndarray:
    """Return the point that splits nothing."""
    x = np.zeros(model.num_columns)
    x[-2 * model.num_rows :: 2] = model.row_lower
    return x


def brute_force(model: LinearModel) -> float | None:
    """Return the optimum of a bounded integer model by enumeration, ``None`` if infeasible."""
    domains = [
        range(int(low), int(high) + 1)
        for low, high in zip(model.column_lower, model.column_upper, strict=True)
    ]
    values = [
        model.evaluate(point)
        for point in itertools.product(*domains)
        if not model.violations(np.array(point, float))
    ]
    return min(values, default=None)
