"""`moeopt.solve`: run a method, check what it returns with code that did not make it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from moeopt.core import interrupts
from moeopt.core.arguments import number, whole
from moeopt.core.errors import InstanceError, InternalError
from moeopt.core.progress import Moment, Progress, Recorder
from moeopt.core.registry import method_named, wing_of
from moeopt.core.result import (
    OPTIMALITY_TOLERANCE,
    Limit,
    Result,
    Status,
    exceeds,
    relative_gap,
)
from moeopt.core.stop import Context
from moeopt.core.wing import Method, Outcome, Plan, Problem, Wing


def solve(
    problem: Problem,
    method: str = "auto",
    *,
    time_limit_s: float | None = None,
    gap: float = 0.0,
    seed: int = 0,
    workers: int = 1,
    warm_start: Plan | None = None,
    progress: Progress | None = None,
) -> Result[Any]:
    """Solve a problem and return its best plan with a proof of quality.

    Parameters
    ----------
    problem
        The problem of any wing.
    method
        Name of one of the wing's methods; ``"auto"`` is the portfolio most users want.
    time_limit_s
        Wall-clock seconds for the whole solve; ``None`` and ``inf`` are no limit. It holds: a
        solver that overruns is stopped and the incumbent returned.
    gap
        Stop once the relative gap is at most this.
    seed
        The same seed gives the same plan.
    workers
        Threads that a backend may use.
    warm_start
        A plan to start from, for methods that can use one.
    progress
        Receives `ProgressEvent` objects while the solve runs.

    Returns
    -------
    Result
        Infeasible is a status, not an exception. Under `moeopt.core.interrupts.heard` Ctrl-C ends
        the solve, and the result is what there was by then, with the limit ``interrupted``.

    Raises
    ------
    InstanceError
        If the method does not exist, cannot take this problem, or an argument is out of range.
    BackendError
        If a solver failed.
    KeyboardInterrupt
        At Ctrl-C, unless it is heard as above and there is a plan.
    """
    wing = _wing_of_problem(problem)
    chosen = method_named(wing, method)
    context = context_of(time_limit_s, gap, seed, workers, progress)
    context = replace(context, progress=Recorder(progress))
    impossible = tuple(wing.impossible(problem))
    if impossible:
        return _result(context, chosen, Outcome(infeasible=impossible), Status.INFEASIBLE)
    refusal = chosen.refuses(problem)
    if refusal is not None:
        raise InstanceError("method", method, f"cannot take this problem: {refusal}", "use auto")
    if warm_start is not None:
        _check_warm_start(wing, problem, warm_start)
    outcome = chosen.run(problem, context, warm_start)
    return _checked(wing, problem, chosen, context, outcome)


def _checked(
    wing: Wing, problem: Problem, method: Method, context: Context, outcome: Outcome
) -> Result[Any]:
    """Re-validate and re-evaluate what the method returned: its word is not enough."""
    if outcome.plan is None:
        if outcome.infeasible:
            return _result(context, method, outcome, Status.INFEASIBLE)
        if interrupts.asked():
            raise KeyboardInterrupt
        return _result(context, method, outcome, Status.NO_PLAN_FOUND, bound=outcome.bound)
    broken = wing.violations(problem, outcome.plan)
    if broken:
        raise InternalError(f"method {method.name} returned an invalid plan: {broken[0]}")
    objective = wing.evaluate(problem, outcome.plan).objective
    bound = outcome.bound
    if bound is not None and exceeds(bound, objective):
        raise InternalError(
            f"method {method.name} claims the bound {bound!r} above its own plan's {objective!r}"
        )
    gap = relative_gap(objective, bound)
    optimal = gap is not None and gap <= OPTIMALITY_TOLERANCE
    status = Status.OPTIMAL if optimal else Status.FEASIBLE
    return _result(context, method, outcome, status, objective, bound)


def _result(
    context: Context,
    method: Method,
    outcome: Outcome,
    status: Status,
    objective: float | None = None,
    bound: float | None = None,
) -> Result[Any]:
    settled = status in (Status.OPTIMAL, Status.INFEASIBLE)
    limit = Limit.INTERRUPTED if interrupts.asked() else outcome.limit or Limit.NONE
    bound = bound if objective is None or bound is None else min(bound, objective)
    runtime_s = context.elapsed_s()
    assert isinstance(context.progress, Recorder)
    return Result(
        status=status,
        limit=Limit.NONE if settled else limit,
        plan=outcome.plan,
        objective=objective,
        bound=bound,
        method=method.name,
        backend=outcome.backend,
        seed=context.seed,
        runtime_s=runtime_s,
        build_s=outcome.build_s,
        statistics=outcome.statistics,
        violations=outcome.infeasible,
        history=context.progress.history(Moment(runtime_s, objective, bound)),
    )


def _wing_of_problem(problem: Problem) -> Wing:
    wing = wing_of(problem)
    if not isinstance(problem, wing.problem_type):
        raise InstanceError(
            "problem",
            f"<a {type(problem).__name__}>",
            f"must be a {wing.problem_type.__name__}",
            "give the problem that the plan is for",
        )
    return wing


def context_of(
    time_limit_s: float | None, gap: float, seed: int, workers: int, progress: Progress | None
) -> Context:
    """Return the checked arguments of a solve, its clock started."""
    if time_limit_s is not None:
        time_limit_s = number("time_limit_s", time_limit_s, "a number of seconds")
        if not time_limit_s > 0:
            remedy = "leave it out for none"
            raise InstanceError("time_limit_s", time_limit_s, "must be > 0", remedy)
    gap = number("gap", gap, "a number")
    if not gap >= 0:
        raise InstanceError("gap", gap, "must be >= 0", "0.01 stops at one per cent")
    seed = whole("seed", seed)
    if not 0 <= seed < 2**31:
        raise InstanceError("seed", seed, "must be 0 to 2147483647", "solvers take no other")
    workers = whole("workers", workers)
    if workers < 1:
        raise InstanceError("workers", workers, "must be >= 1", "1 is the default")
    if progress is not None and not callable(progress):
        raise InstanceError("progress", progress, "must be callable", "give a function")
    return Context(
        time_limit_s=None if time_limit_s == math.inf else time_limit_s,
        gap=gap,
        seed=seed,
        workers=workers,
        progress=progress,
    )


def _check_warm_start(wing: Wing, problem: Problem, warm_start: Plan) -> None:
    if not isinstance(warm_start, wing.plan_type):
        raise InstanceError(
            "warm_start", type(warm_start).__name__, f"must be a {wing.name} plan", "pass one"
        )
    broken = wing.violations(problem, warm_start)
    if broken:
        raise InstanceError(
            "warm_start", broken[0].path, f"must be a valid plan ({broken[0]})", "repair it"
        )
