"""``auto``: the methods that fit a problem, in the order in which a port would wish for them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from moeopt.core.errors import BackendError
from moeopt.core.result import Limit
from moeopt.core.stop import Context
from moeopt.core.wing import Method, Outcome
from moeopt.transfers.bounds import bound as bound_of
from moeopt.transfers.plan import evaluate
from moeopt.transfers.problem import TransferProblem

_log = logging.getLogger(__name__)

#: One peer at a time first, then few, all at once last: shared rates are what real transports deal
#: out unfairly. What comes first among equals is what costs least to find.
_ORDER = (
    "birkhoff",
    "single_peer",
    "two_tier",
    "multi_peer",
    "edge_coloring",
    "timed",
    "few_rounds",
    "greedy",
    "paced",
)

#: A plan this close to the bound cannot be improved but in its rounding.
_REACHED = 1e-9

#: Most pairs that `exact` is tried on after the others, and where rounds are counted.
_TINY, _TINY_ROUNDS = 12, 20

#: What is tried where nothing else takes the problem, or none of it found a plan.
_LAST = ("exact", "shifted", "all_at_once")


def auto(methods: Mapping[str, Method]) -> Callable[[TransferProblem, Context, object], Outcome]:
    """Return the portfolio of `methods`, as a method's ``run``.

    It stops at the first plan that meets the bound, and returns the best otherwise.
    """

    def run(problem: TransferProblem, context: Context, warm_start: object) -> Outcome:
        del warm_start
        names = [name for name in _ORDER if methods[name].refuses(problem) is None]
        if _is_tiny(problem) and methods["exact"].refuses(problem) is None:
            names.append("exact")
        last = [n for n in _LAST if n not in names and methods[n].refuses(problem) is None]
        best: Outcome | None = None
        value = float("inf")
        for name in (*names, *last):
            if best is not None and best.plan is not None and context.out_of_time():
                return replace(best, limit=Limit.TIME)
            if name in last and best is not None and best.plan is not None:
                break
            try:
                found = methods[name].run(problem, context, None)
            except BackendError as error:
                # Another method may do without a solver.
                _log.info("%s: %s", name, error)
                continue
            if found.infeasible:
                return found
            if found.plan is not None:
                worth = evaluate(problem, found.plan).objective  # type: ignore[arg-type]
                if worth < value * (1 - _REACHED):
                    best, value = _named(found, name, best), worth
                    context.report(value, found.bound, name)
            best = _with_bound(best, found)
            if best.bound is not None and value <= best.bound * (1 + max(_REACHED, context.gap)):
                break
        return best if best is not None else Outcome(bound=bound_of(problem))

    return run


def _is_tiny(problem: TransferProblem) -> bool:
    """Tell whether a proof is likely to take a few seconds at most."""
    pairs = int(np.count_nonzero(problem.pair_bytes()))
    return pairs <= (_TINY_ROUNDS if problem.objective == "rounds" else _TINY)


def _named(found: Outcome, name: str, before: Outcome | None) -> Outcome:
    """Return the outcome with the method's name in its statistics, and the better bound."""
    told = replace(found, statistics={"by": name, **found.statistics})
    return told if before is None else _with_bound(told, before)


def _with_bound(best: Outcome | None, other: Outcome) -> Outcome:
    """Return `best` with the larger of both bounds."""
    if best is None:
        return other
    bounds = [one.bound for one in (best, other) if one.bound is not None]
    return replace(best, bound=max(bounds, default=None))
