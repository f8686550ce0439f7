"""What must hold of every method on a problem whose quantities are extreme."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from moeopt.core.errors import BackendError, InstanceError
from moeopt.core.registry import wing_of
from moeopt.core.result import OPTIMALITY_TOLERANCE, Limit, Result, Status, exceeds
from moeopt.core.solve import solve
from moeopt.core.table import print_tables
from moeopt.core.wing import Method
from moeopt.io.encode import result_to_json
from moeopt.testing.conformance.kit import kit_for

#: Seconds after which an exact method gives up; most end in a few hundredths.
_LIMIT_S = 2.0

#: Seconds for others: a search does not end by itself.
_SEARCH_S = 0.1


@dataclass(frozen=True)
class Solved:
    """What one method made of a problem: a result, or the sentence that says what went wrong."""

    method: str
    result: Result[Any] | None = None
    wrong: str | None = None


def solved(problem: Any, methods: Collection[str]) -> list[Solved]:
    """Return what each of the methods made of a problem, warnings being errors."""
    of_wing = wing_of(problem).methods
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return [_solved(problem, of_wing[name]) for name in methods]


def wrong(problem: Any, found: list[Solved]) -> Iterator[str]:
    """Yield a sentence for everything that is wrong with what the methods made of a problem."""
    for one in found:
        if one.wrong is not None:
            yield one.wrong
    results = [one.result for one in found if one.result is not None]
    plans = [r for r in results if r.objective is not None]
    bounds = [r for r in results if r.bound is not None]
    if plans and bounds:
        objective, best = min((r.objective or 0.0, r.method) for r in plans)
        bound, high = max((r.bound or 0.0, r.method) for r in bounds)
        if exceeds(bound, objective):
            yield f"{high} has the bound {bound!r}, above {objective!r} of {best}"
    infeasible = [r for r in results if r.status is Status.INFEASIBLE]
    if infeasible and plans:
        yield f"{infeasible[0].method} calls infeasible what {plans[0].method} has a plan for"


def unscaled(problem: Any, method: str, exponent: int) -> str | None:
    """Tell how quantities times ``2**exponent`` change more than the objective's unit, if so.

    Raises
    ------
    InstanceError
        If the quantities are refused then.
    """
    wing = wing_of(problem)
    kit = kit_for(wing.name)
    try:
        scaled, factor = kit.scaled(problem, exponent)
    except OverflowError:
        raise InstanceError("$", f"2**{exponent}", "must not overflow", "scale by less") from None
    first, second = (solved(each, [method])[0] for each in (problem, scaled))
    if first.result is None or second.result is None:
        return second.wrong or first.wrong
    tolerance = kit.tolerance(problem)
    if wing.methods[method].capabilities.exact:
        tolerance = max(tolerance, 2 * OPTIMALITY_TOLERANCE)
    for name in ("objective", "bound"):
        before, after = getattr(first.result, name), getattr(second.result, name)
        wanted = None if before is None else before * factor
        if Limit.TIME in (first.result.limit, second.result.limit) or after == wanted:
            continue
        if after is None or wanted is None or not math.isclose(after, wanted, rel_tol=tolerance):
            return f"{method}: x 2**{exponent} turns the {name} {before!r} into {after!r}"
    return None


def _solved(problem: Any, method: Method) -> Solved:
    limit_s = _LIMIT_S if method.capabilities.exact else _SEARCH_S
    try:
        result = solve(problem, method.name, time_limit_s=limit_s)
        return Solved(method.name, result, _odd(problem, result))
    except (InstanceError, BackendError):
        return Solved(method.name)
    except Exception as error:
        said = f"{method.name} raised {type(error).__name__}: {error}"
        return Solved(method.name, wrong=said)


def _odd(problem: Any, result: Result[Any]) -> str | None:
    """Tell what of a result is no number, or cannot be written and shown."""
    for name in ("objective", "bound"):
        value = getattr(result, name)
        if value is not None and not (math.isfinite(value) or value == -math.inf):
            return f"{result.method} has the {name} {value!r}"
    if result.plan is None:
        return None
    result_to_json(problem, result)
    print_tables(wing_of(problem).summarise(problem, result.plan, result), io.StringIO())
    return None
