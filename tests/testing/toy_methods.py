"""Two honest methods by brute force, and many that each break one promise.

They live in a module so that the suite can send them to a fresh process.
"""

import itertools
import random
import time
from dataclasses import replace

import msgspec
import numpy as np

from moeopt.core.result import Limit
from moeopt.core.wing import Capabilities, Method, Outcome, Violation
from moeopt.placement.plan import PlacementPlan, evaluate
from moeopt.testing.conformance import placement_oracle, problem_json

_KNOWN = {}


def brute_force(problem):
    """Return the oracle's answer, remembered by the problem's content."""
    key = problem_json(problem)
    if key not in _KNOWN:
        _KNOWN[key] = placement_oracle.brute_force(problem)
    return _KNOWN[key]


EXACT = Capabilities(exact=True, bounds=True, complete=True, warm_start=True)
HEURISTIC = Capabilities(complete=True)


def exact(problem, context, warm_start):
    """Solve by brute force."""
    optimum = brute_force(problem)
    if optimum.plan is None:
        return impossible()
    context.report(optimum.objective, None, "counted")
    # A copy: a test may spoil the plan that it is given.
    return Outcome(plan=copied(optimum.plan), bound=optimum.objective)


def copied(plan):
    return PlacementPlan(physical_to_logical=plan.physical_to_logical.copy())


def blind(problem, context, warm_start):
    """Return a valid plan without a look at the loads."""
    moving = problem.expert_traffic_tokens
    bare = msgspec.structs.replace(
        problem,
        loads_tokens=problem.loads_tokens * 0,
        expert_traffic_tokens=None if moving is None else moving * 0,
    )
    plan = brute_force(bare).plan
    return Outcome(plan=copied(plan)) if plan is not None else impossible()


def impossible():
    said = Violation(constraint="C1", path="$", message="counted every plan", amount=1.0)
    return Outcome(infeasible=(said,))


def too_large(problem):
    return "too large for brute force" if brute_force(problem) is None else None


def method(run, capabilities=HEURISTIC, refuses=too_large):
    return Method(
        name=run.__name__, summary="", run=run, capabilities=capabilities, refuses=refuses
    )


def every_slot_the_first_expert(problem, context, warm_start):
    shape = (problem.num_layers, problem.num_slots)
    return Outcome(plan=PlacementPlan(physical_to_logical=np.zeros(shape, dtype=np.int64)))


def plan_of_the_wrong_shape(problem, context, warm_start):
    outcome = blind(problem, context, warm_start)
    if outcome.plan is None:
        return outcome
    table = outcome.plan.physical_to_logical[:, :-1]
    return Outcome(plan=PlacementPlan(physical_to_logical=table))


def changes_the_loads(problem, context, warm_start):
    outcome = blind(problem, context, warm_start)
    # The arrays are read-only: it takes ill will.
    msgspec.structs.force_setattr(problem, "loads_tokens", problem.loads_tokens * 0.5)
    return outcome


def changes_the_previous_plan(problem, context, warm_start):
    outcome = blind(problem, context, warm_start)
    if problem.previous is not None:
        emptied = np.full_like(problem.previous, -1)
        msgspec.structs.force_setattr(problem, "previous", emptied)
    return outcome


def any_plan_is_called_optimal(problem, context, warm_start):
    outcome = blind(problem, context, warm_start)
    if outcome.plan is None:
        return outcome
    return Outcome(plan=outcome.plan, bound=evaluate(problem, outcome.plan).objective)


def bound_above_the_plan(problem, context, warm_start):
    outcome = exact(problem, context, warm_start)
    return replace(outcome, bound=1e6) if outcome.plan is not None else outcome


def no_bound_though_promised(problem, context, warm_start):
    return replace(exact(problem, context, warm_start), bound=None)


def exact_in_name_only(problem, context, warm_start):
    outcome = blind(problem, context, warm_start)
    return replace(outcome, bound=0.0) if outcome.plan is not None else outcome


def unseeded(problem, context, warm_start):
    best = exact if _DICE.random() < 0.5 else blind
    return replace(best(problem, context, warm_start), bound=None)


#: Knows nothing of a context's seed, nor of what hypothesis makes of the module's own dice.
_DICE = random.Random(7)


def counts_its_calls(problem, context, warm_start):
    best = exact if next(_CALLS) % 2 else blind
    return replace(best(problem, context, warm_start), bound=None)


_CALLS = itertools.count()


def hashes_strings(problem, context, warm_start):
    outcome = blind(problem, context, warm_start)
    if outcome.plan is not None:
        # The order of the slots within a device is free: half of all hash seeds turn it round.
        turn = -1 if hash("moeopt") % 2 else 1
        table = outcome.plan.physical_to_logical
        slots = np.split(table, np.cumsum(problem.slots())[:-1], axis=1)
        turned = np.concatenate([block[:, ::turn] for block in slots], axis=1)
        outcome = Outcome(plan=PlacementPlan(physical_to_logical=turned))
    return outcome


def crashes_where_there_is_no_plan(problem, context, warm_start):
    outcome = blind(problem, context, warm_start)
    if outcome.plan is None:
        raise ZeroDivisionError("nothing to place")
    return outcome


def calls_everything_infeasible(problem, context, warm_start):
    return impossible()


def gives_up(problem, context, warm_start):
    if problem.num_experts > 1:
        return Outcome()
    return blind(problem, context, warm_start)


def proves_nothing_infeasible(problem, context, warm_start):
    outcome = exact(problem, context, warm_start)
    return Outcome() if outcome.plan is None else outcome


def sleeps_through_the_deadline(problem, context, warm_start):
    time.sleep(0.6)
    return Outcome(limit=Limit.TIME)


def forgets_its_incumbent(problem, context, warm_start):
    return Outcome(limit=Limit.TIME)


def tells_a_better_objective(problem, context, warm_start):
    outcome = blind(problem, context, warm_start)
    if outcome.plan is not None:
        value = evaluate(problem, outcome.plan).objective
        context.report(value * 0.5 - 1.0, None, "almost there")
    return outcome


def tells_too_high_a_bound(problem, context, warm_start):
    outcome = blind(problem, context, warm_start)
    if outcome.plan is not None:
        context.report(None, evaluate(problem, outcome.plan).objective + 1.0, "proven")
    return outcome


def thinks_in_whole_tokens(problem, context, warm_start):
    if problem.loads_tokens.max(initial=0.0) < 1000:
        return blind(problem, context, warm_start)
    return replace(exact(problem, context, warm_start), bound=None)


def likes_the_first_expert_hot(problem, context, warm_start):
    load = problem.loads_tokens.sum(axis=(0, 1))
    best = exact if load[0] == load.max() else blind
    return replace(best(problem, context, warm_start), bound=None)


def lost_with_room(problem, context, warm_start):
    best = blind if problem.allow_empty_slots else exact
    return replace(best(problem, context, warm_start), bound=None)


def ignores_the_warm_start(problem, context, warm_start):
    return blind(problem, context, warm_start)


def spoils_the_warm_start(problem, context, warm_start):
    outcome = blind(problem, context, warm_start)
    if warm_start is not None:
        msgspec.structs.force_setattr(
            warm_start, "physical_to_logical", warm_start.physical_to_logical * 0
        )
    return outcome


def tells_arrays(problem, context, warm_start):
    return replace(blind(problem, context, warm_start), statistics={"loads": np.ones(2)})


def builds_for_years(problem, context, warm_start):
    return replace(blind(problem, context, warm_start), build_s=1e8)


def plan_with_excuses(problem, context, warm_start):
    return replace(blind(problem, context, warm_start), infeasible=impossible().infeasible)
