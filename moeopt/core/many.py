"""Many solves at once: each a record that travels to a worker, the results in order.

With no time limit the results are the same wherever the solves run; only their seconds differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from moeopt.core import interrupts
from moeopt.core.errors import InstanceError
from moeopt.core.registry import method_named, wing_of
from moeopt.core.result import Limit, Result
from moeopt.core.solve import context_of, solve
from moeopt.core.wing import Plan, Problem

#: Calls a function with each of some arguments: a loop, or `moeopt.core.parallel.run_all` with
#: its options bound.
Run = Callable[[Callable[[Any], Any], Sequence[Any]], list[Any]]


@dataclass(frozen=True)
class Solve:
    """One call of `moeopt.solve`, with one thread.

    Attributes
    ----------
    problem
        Of any wing.
    method, time_limit_s, gap, seed, warm_start
        As for `moeopt.solve`.
    """

    problem: Problem
    method: str = "auto"
    time_limit_s: float | None = None
    gap: float = 0.0
    seed: int = 0
    warm_start: Plan | None = None


def in_turn(call: Callable[[Any], Any], arguments: Sequence[Any]) -> list[Any]:
    """Call a function with each argument, one after the other, in this process."""
    return [call(argument) for argument in arguments]


def solve_all(solves: Sequence[Solve], run: Run = in_turn) -> list[Result[Any]]:
    """Return the result of every solve, in order; infeasible is a result like others.

    Parameters
    ----------
    solves
        Checked before the first begins.
    run
        Where they run.

    Raises
    ------
    InstanceError
        If a method does not exist or cannot take its problem, or an argument is out of range.
    BackendError
        If a solver failed: the others are stopped.
    """
    for one in solves:
        _require_sound(one)
    return run(solved, solves)


def solved(one: Solve) -> Result[Any]:
    """Solve; Ctrl-C ends the whole sweep, not this solve alone."""
    with interrupts.heard():
        result = solve(
            one.problem,
            one.method,
            time_limit_s=one.time_limit_s,
            gap=one.gap,
            seed=one.seed,
            warm_start=one.warm_start,
        )
        if interrupts.asked() or result.limit is Limit.INTERRUPTED:
            raise KeyboardInterrupt
    return result


def _require_sound(one: Solve) -> None:
    """Raise now what `moeopt.solve` would raise later, perhaps on another machine."""
    wing = wing_of(one.problem)
    method = method_named(wing, one.method)
    context_of(one.time_limit_s, one.gap, one.seed, 1, None)
    # What has no plan is told so by every method, whatever else it refuses.
    refusal = None if wing.impossible(one.problem) else method.refuses(one.problem)
    if refusal is not None:
        named = f" {one.problem.name}" if one.problem.name else ""
        rule = f"cannot take the problem{named}: {refusal}"
        raise InstanceError("method", one.method, rule, "use auto")
