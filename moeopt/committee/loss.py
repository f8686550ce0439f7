"""What absent experts cost: the losses of ``formulations/committee.md``, whole arrays at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from moeopt.committee.problem import CommitteeProblem
from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.core.errors import InstanceError, InternalError

#: Most router values that are looked at in one go, so that the intermediate arrays stay small.
_BLOCK = 2**20


def total_loss(problem: CommitteeProblem, period: int | None = None) -> FloatArray:
    """Return the loss of each layer without any resident, over all windows, ``(layers,)``.

    Parameters
    ----------
    problem
        What is stated.
    period
        Whose table is read if there is one for each; ``None``: the first's.
    """
    if problem.loss == "table":
        least: FloatArray = table_of(problem, period)[:, 0]
        return least
    if problem.loss == "masked":
        best = _by_window(problem, lambda values, _: _largest(values, problem.top_k))
        return np.asarray(best.sum(axis=0))
    return np.asarray(weights(problem).sum(axis=(0, 2)))


def window_losses(problem: CommitteeProblem, resident: npt.NDArray[Any]) -> FloatArray:
    """Return the loss of each window and layer, ``(windows, layers)``.

    Parameters
    ----------
    problem
        With any loss but a table, which names no experts.
    resident
        Which experts are there, ``(windows, layers, experts)``.
    """
    there = np.asarray(resident, dtype=np.bool_)
    if problem.loss != "masked":
        return np.asarray(np.where(there, 0.0, weights(problem)).sum(axis=2))

    def short(values: FloatArray, window: IntArray) -> FloatArray:
        # Router values are never negative: an expert of value 0 adds as little as one that is not
        # there, and the two sums are of as many terms in the same order, so none is negative.
        kept = np.where(there[window], values, 0.0)
        return np.asarray(_largest(values, problem.top_k) - _largest(kept, problem.top_k))

    return _by_window(problem, short)


def weights(problem: CommitteeProblem) -> FloatArray:
    """Return the importance of each expert, eq. 1 of the paper, ``(windows, layers, experts)``.

    What is stated as such, or the router values of the tokens that have the expert among their own
    `top_k`, summed over the window; of equal values the lowest expert comes first.

    Parameters
    ----------
    problem
        With any loss but a table, which names no experts.
    """
    if problem.importance is not None:
        return problem.importance
    if problem.router is None:
        raise InstanceError(
            "$.loss", problem.loss, "must say what each expert is worth", "state another loss"
        )
    return _by_window(
        problem, lambda values, _: np.where(own_experts(values, problem.top_k), values, 0.0)
    )


def retained(values: npt.NDArray[np.float64], resident: npt.NDArray[np.bool_], top_k: int) -> float:
    """Return what tokens keep of their router values under masked gating: ``f(resident)``.

    Parameters
    ----------
    values
        Router values of one layer, ``(tokens, experts)``, none negative.
    resident
        Which experts are there, ``(experts,)``.
    top_k
        Experts that serve a token.
    """
    return float(_largest(values[:, np.asarray(resident, dtype=np.bool_)], top_k).sum())


def own_experts(values: npt.NDArray[np.float64], top_k: int) -> BoolArray:
    """Return which experts each token goes to if all are there, in the shape of `values`.

    Parameters
    ----------
    values
        Router values, the experts on the last axis.
    top_k
        Experts of a token; of equal values the lowest expert comes first.
    """
    experts = values.shape[-1]
    if top_k >= experts:
        return np.ones(values.shape, dtype=np.bool_)
    # Sorted whole: partitions are many times slower where values are equal.
    least = np.sort(values, axis=-1)[..., experts - top_k, None]
    chosen: BoolArray = values >= least
    tied = np.count_nonzero(chosen, axis=-1) > top_k
    if tied.any():
        above = values[tied] > least[tied]
        places = top_k - np.count_nonzero(above, axis=-1)[:, None]
        equal = chosen[tied] & ~above
        chosen[tied] = above | (equal & (np.cumsum(equal, axis=-1) <= places))
    return chosen


def table_of(problem: CommitteeProblem, period: int | None = None) -> FloatArray:
    """Return the table of losses of a period, ``(layers, experts + 1)``.

    Parameters
    ----------
    problem
        With ``loss="table"``.
    period
        One of the problem's; ``None``: the first.
    """
    if problem.table is None:
        raise InternalError("only a problem with a table has one to read")
    return _of_period(problem, problem.table, period)


def swaps_of(problem: CommitteeProblem, period: int | None = None) -> FloatArray | None:
    """Return the experts that an update replaces, ``(layers, experts + 1)``, if they are stated.

    Parameters
    ----------
    problem
        With ``loss="table"``.
    period
        One of the problem's; ``None``: the first.
    """
    return None if problem.swaps is None else _of_period(problem, problem.swaps, period)


def _of_period(problem: CommitteeProblem, table: FloatArray, period: int | None) -> FloatArray:
    if table.ndim == 2:
        return table
    chosen = 0 if period is None else int(np.flatnonzero(problem.choices() == period)[0])
    return np.asarray(table[chosen])


def _largest(values: npt.NDArray[np.float64], most: int) -> FloatArray:
    """Return the sum of the `most` largest values on the last axis; of all, if there are fewer."""
    experts = values.shape[-1]
    if most == 1 and experts:
        return np.asarray(values.max(axis=-1))
    # In order, so that the same values always give the same sum.
    return np.asarray(np.sort(values, axis=-1)[..., max(0, experts - most) :].sum(axis=-1))


def _by_window(
    problem: CommitteeProblem, of_tokens: Callable[[FloatArray, IntArray], FloatArray]
) -> FloatArray:
    """Return what a function of tokens comes to in each window, ``(windows, ...)``.

    Parameters
    ----------
    problem
        With a router.
    of_tokens
        Of the router values of some tokens, ``(tokens, layers, experts)``, and of the window of
        each; returns an array with the tokens on its first axis.
    """
    if problem.router is None:
        raise InternalError("only a problem with a router has tokens")
    tokens = problem.router.shape[0]
    starts = np.array([span.start for span in problem.token_windows()])
    window = np.searchsorted(starts, np.arange(tokens), side="right") - 1
    step = max(1, _BLOCK // max(1, problem.num_layers * problem.num_experts))
    sums: FloatArray | None = None
    for first in range(0, tokens, step):
        span = slice(first, first + step)
        values = of_tokens(problem.router[span], window[span])
        if sums is None:
            sums = np.zeros((starts.size, *values.shape[1:]))
        here = window[span]
        begins = np.flatnonzero(np.diff(here, prepend=-1))
        sums[here[begins]] += np.add.reduceat(values, begins, axis=0)
    if sums is None:
        raise InternalError("a router has tokens")
    return sums
