"""The columns of a committee problem's linear models.

The tight form of ``formulations/committee.md`` is of one update period, and knows residents from
one update to the next; the plain one chooses the period, and knows them in every window.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from moeopt.committee.exact_prefixes import Prefixes, joined, prefixes_of
from moeopt.committee.loss import table_of, total_loss, weights
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.mip import ModelBuilder


def _no_columns() -> IntArray:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Frame:
    """What the rows of a model are made from.

    Times are updates in the tight form, windows in the plain one; with a table there are none.

    Attributes
    ----------
    problem
        What was asked.
    builder
        Receives columns and rows.
    tight
        Whether this is the tight form.
    periods
        Update periods: the one of the tight form; those that the plain form chooses from.
    slots
        Columns ``k``: slots of each layer, ``(layers,)``.
    chosen
        Columns ``q``: the plan has this period, ``(periods,)``; only in the plain form.
    choice
        Columns ``z``: the plan has this period, and the layer so many slots, ``(periods, layers,
        experts + 1)``; only with a table.
    there
        Columns ``x``: who is resident, ``(times, layers, experts)``.
    load
        Columns ``y``: who is loaded, in the same shape. In the tight form -1 where a load is free
        and not limited, and `there` at the first update.
    drop
        Columns ``d``: who is dropped, in the same shape; only in the plain form.
    serves
        Columns ``a``: the expert serves the token, ``(tokens, layers, experts)``; only in the
        plain form with masked gating.
    prefixes
        What residents retain, its experts numbered as `there` is; only in the tight form with
        masked gating.
    served
        Columns ``m``: experts of a prefix that serve a token, ``(prefixes,)``.
    """

    problem: CommitteeProblem
    builder: ModelBuilder
    tight: bool
    periods: IntArray
    slots: IntArray
    chosen: IntArray = field(default_factory=_no_columns)
    choice: IntArray = field(default_factory=_no_columns)
    there: IntArray = field(default_factory=_no_columns)
    load: IntArray = field(default_factory=_no_columns)
    drop: IntArray = field(default_factory=_no_columns)
    serves: IntArray = field(default_factory=_no_columns)
    prefixes: Prefixes | None = None
    served: IntArray = field(default_factory=_no_columns)


def start_tight(problem: CommitteeProblem, period: int) -> Frame:
    """Return the tight form of a period with its columns and none of its rows."""
    builder, periods = _builder(problem), np.array([period])
    slots = builder.add_columns(
        "k", problem.layers, lower=problem.fewest(), upper=problem.most(), integer=True
    )
    frame = Frame(problem, builder, True, periods, slots)
    return _with_table(frame) if problem.loss == "table" else _with_updates(frame, period)


def start_plain(problem: CommitteeProblem) -> Frame:
    """Return the plain form with its columns and none of its rows."""
    builder, periods = _builder(problem), problem.choices()
    if problem.loss != "table":
        # Any other period is one that is no choice: C7 says so.
        periods = np.union1d(periods, np.arange(1, problem.num_windows + 1))
    chosen = builder.add_columns("q", periods.size, upper=1, integer=True)
    slots = builder.add_columns("k", problem.layers, upper=problem.experts, integer=True)
    frame = Frame(problem, builder, False, periods, slots, chosen)
    return _with_table(frame) if problem.loss == "table" else _with_windows(frame)


def updates_of(problem: CommitteeProblem, period: int) -> IntArray:
    """Return the windows before which residents may change, ``(updates,)``."""
    return np.arange(0, problem.num_windows, min(period, problem.num_windows))


def blocks_of(problem: CommitteeProblem, period: int) -> list[slice]:
    """Return the tokens from each update to the next; for problems with a router."""
    windows, starts = problem.token_windows(), updates_of(problem, period)
    lasts = np.append(starts[1:], len(windows)) - 1
    return [
        slice(windows[a].start, windows[b].stop)
        for a, b in zip(starts.tolist(), lasts.tolist(), strict=True)
    ]


def counts_loads(problem: CommitteeProblem, period: int) -> bool:
    """Tell whether loads cost anything, or the link may be too slow for them."""
    everything = float((problem.sizes_bytes() * problem.most()).sum())
    priced = bool(problem.by_layer(problem.load_price).any())
    return priced or problem.load_bytes(period) < everything


def _builder(problem: CommitteeProblem) -> ModelBuilder:
    builder = ModelBuilder(problem.name or "committee")
    if problem.loss != "table":
        builder.objective_offset = math.fsum(total_loss(problem))
    return builder


def _with_table(frame: Frame) -> Frame:
    """Add the number of slots of each layer, in each period, that has a loss of its own."""
    losses = np.stack([table_of(frame.problem, p) for p in frame.periods.tolist()])
    choice = frame.builder.add_columns("z", losses.shape, upper=1, integer=True, objective=losses)
    return replace(frame, choice=choice)


def _with_windows(frame: Frame) -> Frame:
    """Add who is resident, loaded and dropped in each window, and whom each token goes to."""
    problem, builder = frame.problem, frame.builder
    shape = (problem.num_windows, problem.layers, problem.experts)
    masked = problem.loss == "masked"
    kept = np.zeros(shape) if masked else weights(problem)
    there = builder.add_columns("x", shape, upper=1, integer=True, objective=-kept)
    load = builder.add_columns("y", shape, upper=1, integer=True, objective=_prices(problem, shape))
    drop = builder.add_columns("d", shape, upper=1, integer=True)
    frame = replace(frame, there=there, load=load, drop=drop)
    if not masked:
        return frame
    router = _router(problem)
    serves = builder.add_columns("a", router.shape, upper=1, integer=True, objective=-router)
    return replace(frame, serves=serves)


def _with_updates(frame: Frame, period: int) -> Frame:
    """Add who is resident from one update to the next, and the loads that matter."""
    problem, builder = frame.problem, frame.builder
    updates = updates_of(problem, period)
    shape = (updates.size, problem.layers, problem.experts)
    prefixes = _prefixes(problem, period) if problem.loss == "masked" else None
    if prefixes is None:
        kept = np.add.reduceat(weights(problem), updates, axis=0)
    else:
        kept = prefixes.alone.reshape(shape)
    counted, prices = counts_loads(problem, period), _prices(problem, shape)
    objective = -kept
    # The committee starts empty: who is there at first was loaded.
    objective[0] += prices[0]
    there = builder.add_columns("x", shape, upper=1, integer=True, objective=objective)
    load = np.full(shape, -1)
    if counted:
        later = (updates.size - 1, *shape[1:])
        load[1:] = builder.add_columns("y", later, upper=1, integer=True, objective=prices[1:])
        if not problem.free_fill:
            load[0] = there[0]
    frame = replace(frame, there=there, load=load)
    if prefixes is None:
        return frame
    served = builder.add_columns(
        "m", prefixes.worth.size, upper=problem.top_k, integer=True, objective=-prefixes.worth
    )
    return replace(frame, prefixes=prefixes, served=served)


def _prefixes(problem: CommitteeProblem, period: int) -> Prefixes:
    """Return what residents retain of the tokens of each update and layer, one after the other."""
    router = _router(problem)
    return joined(
        [
            prefixes_of(router[block, layer], problem.top_k)
            for block in blocks_of(problem, period)
            for layer in range(problem.layers)
        ]
    )


def _prices(problem: CommitteeProblem, shape: tuple[int, ...]) -> FloatArray:
    """Return what a load costs at each time, ``(times, layers, experts)``."""
    prices = np.array(np.broadcast_to(problem.by_layer(problem.load_price)[:, None], shape))
    if problem.free_fill:
        prices[0] = 0.0
    return prices


def _router(problem: CommitteeProblem) -> FloatArray:
    assert problem.router is not None, "masked gating has a router"
    return problem.router
