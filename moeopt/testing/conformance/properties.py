"""The properties, one function each: what every method owes, and what capabilities promise.

Each takes the case and a problem that the method accepts, raises `ConformanceError` on a breach,
and returns whether it could check anything.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from moeopt.core.progress import ProgressEvent
from moeopt.core.result import OPTIMALITY_TOLERANCE, Limit, Result, Status
from moeopt.core.wing import Capabilities, Problem
from moeopt.testing.conformance._fresh import ask
from moeopt.testing.conformance.case import Case, below, equal, problem_json

#: The limit that ``"deadline"`` sets, and the most a solve may take under it.
DEADLINE_S = 0.2
_DEADLINE_MOST_S = DEADLINE_S * 1.1 + 0.2

_Takes = Literal["feasible", "infeasible", "long", "one"]


def always(capabilities: Capabilities) -> bool:
    """Promise the property whatever the capabilities (the default of `Property.promised`)."""
    del capabilities
    return True


@dataclass(frozen=True)
class Property:
    """Something that a method owes.

    Attributes
    ----------
    name
        Name in reports and messages.
    check
        ``check(case, problem)`` raises `ConformanceError` on a breach; returns whether it applied.
    takes
        ``"feasible"`` or ``"infeasible"`` problems, one ``"long"`` one, or just ``"one"``.
    promised
        Whether capabilities promise it.
    """

    name: str
    check: Callable[[Case, Any], bool]
    takes: _Takes = "feasible"
    promised: Callable[[Capabilities], bool] = always


def check_valid_plan(case: Case, problem: Problem) -> bool:
    """Check that the plan breaks no constraint, as the wing's own checker sees it."""
    result = case.solve(problem)
    if result.plan is None:
        return False
    broken = case.wing.violations(problem, result.plan)
    case.require(not broken, "valid_plan", problem, f"the plan breaks {broken[:1]}")
    return True


def check_objective(case: Case, problem: Problem) -> bool:
    """Check that the objective is what the wing evaluates, and that progress told no better one."""
    events: list[ProgressEvent] = []
    result = case.solve(problem, progress=events.append)
    if result.plan is None:
        return False
    value = case.wing.evaluate(problem, result.plan).objective
    said = f"the result says {result.objective!r}, its plan evaluates to {value!r}"
    case.require(result.objective == value, "objective", problem, said)
    close = case.close(problem)
    for event in events:
        said = f"progress told the objective {event.objective!r}, the plan has {value!r}"
        honest = event.objective is None or below(value, event.objective, close)
        case.require(honest, "objective", problem, said)
        said = f"progress told the bound {event.bound!r} above the objective {value!r}"
        honest = event.bound is None or below(event.bound, value, OPTIMALITY_TOLERANCE)
        case.require(honest, "bound", problem, said)
    times = [event.elapsed_s for event in events]
    case.require(times == sorted(times), "objective", problem, f"progress ran back: {times}")
    return True


def check_bound(case: Case, problem: Problem) -> bool:
    """Check that the bound is at most the optimum, by brute force, and at most the objective."""
    result = case.solve(problem)
    if result.bound is None:
        return False
    if result.objective is not None:
        said = f"the bound {result.bound!r} is above the objective {result.objective!r}"
        case.require(result.bound <= result.objective, "bound", problem, said)
    optimum = case.kit.optimum(problem)
    if optimum is None or optimum.objective is None:
        return False
    said = f"the bound {result.bound!r} is above the optimum {optimum.objective!r}"
    tolerance = max(OPTIMALITY_TOLERANCE, case.kit.tolerance(problem))
    case.require(below(result.bound, optimum.objective, tolerance), "bound", problem, said)
    return True


def check_not_below_optimum(case: Case, problem: Problem) -> bool:
    """Check that no plan beats brute force: else the wing's checker or the oracle errs."""
    optimum = case.kit.optimum(problem)
    result = case.solve(problem)
    if optimum is None or result.objective is None:
        return False
    said = f"the objective {result.objective!r} is below the optimum {optimum.objective!r}"
    close = max(case.kit.tolerance(problem), 1e-9)
    beaten = optimum.objective is None or not below(optimum.objective, result.objective, close)
    case.require(not beaten, "not_below_optimum", problem, said)
    return True


def check_bound_given(case: Case, problem: Problem) -> bool:
    """Check that a method that promises bounds always gives one."""
    result = case.solve(problem)
    said = f"it promises bounds but gave none (status {result.status.value})"
    given = result.bound is not None or result.status is Status.INFEASIBLE
    case.require(given, "bound_given", problem, said)
    return True


def check_optimum(case: Case, problem: Problem) -> bool:
    """Check that an exact method without a limit proves the optimum that brute force has."""
    result = case.solve(problem)
    if case.time_limit_s is not None:
        return False
    said = f"an exact method without a time limit ended {result.status.value}"
    case.require(result.status is Status.OPTIMAL, "optimum", problem, said)
    optimum = case.kit.optimum(problem)
    if optimum is None:
        return False
    said = f"it calls {result.objective!r} optimal, brute force has {optimum.objective!r}"
    same = equal(result.objective, optimum.objective, case.close(problem))
    case.require(same, "optimum", problem, said)
    return True


def check_complete(case: Case, problem: Problem) -> bool:
    """Check that what has a plan is not called infeasible, and that a complete method finds one."""
    result = case.solve(problem)
    said = "it calls a problem infeasible that has a plan"
    case.require(result.status is not Status.INFEASIBLE, "complete", problem, said)
    found = result.plan is not None or not case.method.capabilities.complete
    case.require(found, "complete", problem, "it promises a plan wherever one exists, found none")
    return True


def check_status(case: Case, problem: Problem) -> bool:
    """Check that status, limit, gap and the unknown values say the same thing."""
    _require_consistent(case, problem, case.solve(problem))
    return True


def check_infeasible(case: Case, problem: Problem) -> bool:
    """Check that a problem without a plan gives a status, which an exact method proves."""
    result = case.solve(problem)
    _require_consistent(case, problem, result)
    allowed = {Status.INFEASIBLE}
    if not case.method.capabilities.exact or case.time_limit_s is not None:
        allowed.add(Status.NO_PLAN_FOUND)
    said = f"no plan exists, but the status is {result.status.value}"
    case.require(result.status in allowed, "infeasible", problem, said)
    return True


def check_relabelling(case: Case, problem: Problem) -> bool:
    """Check that other names for devices, experts, layers or scenarios change names alone.

    An exact method keeps its objective. A heuristic may break ties by index and end elsewhere, but
    its plan, renamed back, is a plan of the same value, and neither problem's bound is above the
    other's objective.
    """
    first = case.solve(problem)
    for other in case.kit.relabelled(problem, case.rng()):
        second = case.solve(other.problem)
        _require_same_but_names(case, problem, other.what, first, second)
        if second.plan is None:
            continue
        back = other.back(second.plan)
        broken = case.wing.violations(problem, back)
        said = f"after renaming {other.what}, the plan renamed back breaks {broken[:1]}"
        case.require(not broken, "relabelling", problem, said)
        value = case.wing.evaluate(problem, back).objective
        said = f"after renaming {other.what}, {second.objective!r} is worth {value!r} renamed back"
        tolerance = case.kit.tolerance(problem)
        case.require(equal(value, second.objective, tolerance), "relabelling", problem, said)
    return True


def check_scaling(case: Case, problem: Problem) -> bool:
    """Check that loads times a power of two multiply objective and bound by it: no hidden units."""
    first = case.solve(problem)
    for exponent in (10, -7):
        scaled, factor = case.kit.scaled(problem, exponent)
        second = case.solve(scaled)
        for name in ("objective", "bound"):
            before, after = getattr(first, name), getattr(second, name)
            wanted = None if before is None else before * factor
            said = f"loads x 2**{exponent} turn the {name} {before!r} into {after!r}"
            same = equal(after, wanted, case.close(problem))
            case.require(same, "scaling", problem, f"{said}, not {wanted!r}")
    return True


def check_capacity(case: Case, problem: Problem) -> bool:
    """Check that a slot, a device or a freedom more never worsens an exact method's plan."""
    first = case.solve(problem)
    added = list(case.kit.larger(problem, case.rng()))
    for what, larger in added:
        if first.objective is None or not case.accepts(larger):
            return False
        second = case.solve(larger)
        said = f"with {what}, the objective goes from {first.objective!r} to {second.objective!r}"
        better = second.objective is not None and below(
            second.objective, first.objective, case.close(problem)
        )
        case.require(better, "capacity", problem, said)
    return bool(added)


def check_json(case: Case, problem: Problem) -> bool:
    """Check that problem and plan survive their files, and that the copy has the same plan."""
    from moeopt.io import load_plan, load_problem, save_plan, save_problem

    result = case.solve(problem)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "document.json"
        save_problem(file, problem)
        again = load_problem(file)
        said = f"read back, the problem is {problem_json(again)}"
        case.require(again == problem, "json", problem, said)
        if result.plan is None:
            return True
        save_plan(file, problem, result)
        plan = load_plan(file, problem)
    said = f"read back, the plan is {problem_json(plan)}, not {problem_json(result.plan)}"
    case.require(plan == result.plan, "json", problem, said)
    same = case.solve(again).plan == result.plan
    case.require(same, "json", problem, "the problem read back has another plan")
    return True


def check_same_seed(case: Case, problem: Problem) -> bool:
    """Check that the same seed gives the same plan."""
    first, second = case.solve(problem), case.solve(problem)
    said = f"two solves with seed {case.seed} gave {first.objective!r} and {second.objective!r}"
    same = first.plan == second.plan and first.bound == second.bound
    case.require(same, "same_seed", problem, f"{said}, by different plans or bounds")
    return True


def check_fresh_process(case: Case, problem: Problem) -> bool:
    """Check that a process with another hash seed finds the same plan."""
    first = case.solve(problem)
    registered = case.wing.methods.get(case.method.name) is case.method
    method = case.method.name if registered else case.method
    try:
        request = pickle.dumps((case.wing.name, method, problem, case.seed))
    except (pickle.PicklingError, AttributeError, TypeError):
        return False  # A method made in a function cannot be sent to another process.
    answer = ask(request)
    said = f"in a fresh process it failed: {answer.error[-300:]}"
    case.require(not answer.error, "fresh_process", problem, said)
    table = "" if first.plan is None else problem_json(first.plan)
    said = f"a fresh process gave {answer.plan!r}, this one {table!r}"
    case.require(answer.plan == table, "fresh_process", problem, said)
    return True


def check_warm_start(case: Case, problem: Problem) -> bool:
    """Check that a plan to start from is taken, left as it was, and where promised not worsened."""
    optimum = case.kit.optimum(problem)
    start = case.solve(problem).plan if optimum is None else optimum.plan
    if start is None:
        return False
    before = problem_json(start)
    result = case.solve(problem, warm_start=start)
    same = problem_json(start) == before
    case.require(same, "unchanged", problem, "it changed the plan given as warm_start")
    if not case.method.capabilities.warm_start:
        return True
    value = case.wing.evaluate(problem, start).objective
    said = f"started from a plan of {value!r}, it returned {result.objective!r}"
    kept = result.objective is not None and below(result.objective, value, case.close(problem))
    case.require(kept, "warm_start", problem, said)
    return True


def check_deadline(case: Case, problem: Problem) -> bool:
    """Check that a time limit holds, and that an anytime method returns its incumbent there."""
    for _ in range(3):
        # The first try may compile kernels, and a busy machine deserves another.
        result = case.solve(problem, time_limit_s=DEADLINE_S)
        if result.runtime_s <= _DEADLINE_MOST_S:
            break
    said = f"limited to {DEADLINE_S} s it took {result.runtime_s:.3f} s"
    case.require(result.runtime_s <= _DEADLINE_MOST_S, "deadline", problem, said)
    _require_consistent(case, problem, result)
    capabilities = case.method.capabilities
    said = "an anytime method returned no plan at its deadline"
    case.require(result.plan is not None or not capabilities.anytime, "deadline", problem, said)
    if capabilities.exact:
        ended = result.status in (Status.OPTIMAL, Status.INFEASIBLE)
        said = f"stopped without proof, but the limit is {result.limit.value!r}"
        case.require(ended or result.limit is not Limit.NONE, "status", problem, said)
    return True


def check_unchanged(case: Case, problem: Problem) -> bool:
    """Check that solving leaves the problem as it was: every solve of the suite looks at that."""
    case.solve(problem)
    return True


def _require_consistent(case: Case, problem: Problem, result: Result[Any]) -> None:
    def require(holds: bool, said: str) -> None:
        case.require(holds, "status", problem, f"{said}: {result.to_dict()}")

    found = result.status in (Status.OPTIMAL, Status.FEASIBLE)
    require(found == (result.plan is not None), "a plan goes with optimal or feasible alone")
    require(found == (result.objective is not None), "an objective goes with a plan alone")
    unknown = result.objective is None or result.bound is None
    require(unknown == (result.gap is None), "the gap is known when objective and bound are")
    close = result.gap is not None and result.gap <= OPTIMALITY_TOLERANCE
    require(close == (result.status is Status.OPTIMAL), "optimal means a closed gap")
    settled = result.status in (Status.OPTIMAL, Status.INFEASIBLE)
    require(not settled or result.limit is Limit.NONE, "what is settled was not stopped")
    proven = result.status is Status.INFEASIBLE
    require(proven == bool(result.violations), "violations go with infeasible alone")
    require(result.method == case.method.name, "the method is named")
    require(0 <= result.build_s <= result.runtime_s, "building is part of the run")
    try:
        msgspec.json.decode(msgspec.json.encode(result.to_dict()))
    except (TypeError, ValueError) as error:
        said = f"the result is not plain JSON ({error}): {result.statistics!r}"
        raise case.breach("status", problem, said) from error


def _require_same_but_names(
    case: Case, problem: Problem, what: str, first: Result[Any], second: Result[Any]
) -> None:
    if case.method.capabilities.exact:
        said = f"renaming {what} turns the optimum {first.objective!r} into {second.objective!r}"
        same = equal(first.objective, second.objective, case.close(problem))
        case.require(same, "relabelling", problem, said)
    for one, other in ((first, second), (second, first)):
        if one.bound is None or other.objective is None:
            continue
        said = f"renaming {what}, the bound {one.bound!r} is above a plan of {other.objective!r}"
        tolerance = max(OPTIMALITY_TOLERANCE, case.kit.tolerance(problem))
        case.require(below(one.bound, other.objective, tolerance), "bound", problem, said)


#: Every property by name, in the order of `check_method`: what spoils the rest comes first.
PROPERTIES: dict[str, Property] = {
    one.name: one
    for one in (
        Property("valid_plan", check_valid_plan),
        Property("unchanged", check_unchanged),
        Property("same_seed", check_same_seed),
        Property("objective", check_objective),
        Property("bound", check_bound),
        Property("not_below_optimum", check_not_below_optimum),
        Property("bound_given", check_bound_given, promised=lambda c: c.bounds),
        Property("optimum", check_optimum, promised=lambda c: c.exact),
        Property("complete", check_complete),
        Property("status", check_status),
        Property("infeasible", check_infeasible, "infeasible"),
        Property("relabelling", check_relabelling),
        Property("scaling", check_scaling),
        Property("capacity", check_capacity, promised=lambda c: c.exact),
        Property("json", check_json),
        Property("fresh_process", check_fresh_process, "one"),
        Property("warm_start", check_warm_start),
        Property("deadline", check_deadline, "long"),
    )
}
