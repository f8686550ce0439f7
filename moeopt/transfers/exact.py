"""Proven optima: the models of ``formulations/transfers.md``, each for the problems it fits.

`moeopt.transfers.exact_rounds` counts rounds, `moeopt.transfers.exact_shop` orders messages that
must not be cut, `moeopt.transfers.exact_flow` is for messages that may be. Where the last one's
optimum is a formula, the orders that reach it are taken without solving anything.
"""

from __future__ import annotations

import math
import time
from typing import Literal

import numpy as np

from moeopt.core.arrays import FloatArray
from moeopt.core.errors import InstanceError
from moeopt.core.result import Limit, Status
from moeopt.core.stop import Context
from moeopt.core.wing import Outcome, Violation
from moeopt.mip import LinearModel, MipAnswer, solve_guarded
from moeopt.mip.guard import Told
from moeopt.transfers.bounds import bound as bound_of
from moeopt.transfers.exact_flow import compile_flow, flow_of
from moeopt.transfers.exact_rounds import compile_rounds, has_matchings
from moeopt.transfers.exact_rounds_solve import solve_rounds
from moeopt.transfers.exact_shop import Shop, ShopModel, compile_shop, plan_of_starts, shop_of
from moeopt.transfers.exact_shop_cpsat import left_shifted, shop_backend
from moeopt.transfers.paced import run_paced
from moeopt.transfers.plan import TransferPlan, violations
from moeopt.transfers.ports import run_single_peer
from moeopt.transfers.problem import TransferProblem
from moeopt.transfers.timed import refuses_timed, run_timed

#: More messages than this are too many to order them all.
MOST_MESSAGES = 120

_NO_CUTS = "no model knows how best to cut messages whose parts cost a start-up or have a size"

Model = Literal["rounds", "shop", "flow"]

__all__ = ["build", "refuses_exact", "run_exact"]


def refuses_exact(problem: TransferProblem) -> str | None:
    """Say why no model has this problem's optimum, or ``None`` if one has."""
    if problem.fabric is not None:
        return "no model knows what ports pass on for others: see two_tier"
    model = model_of(problem)
    if model == "rounds":
        return _refuses_rounds(problem)
    if model == "shop":
        return _refuses_shop(problem)
    if problem.is_timed:
        return refuses_timed(problem)
    if problem.peers == "one" and (problem.startup_s > 0 or problem.chunk_bytes > 0):
        return _NO_CUTS
    return None


def model_of(problem: TransferProblem) -> Model:
    """Return which model a problem belongs to."""
    if problem.objective == "rounds":
        return "rounds"
    if problem.peers == "many":
        return "flow"
    barriers = problem.startup_per == "round" and problem.startup_s > 0
    if barriers or (problem.preemptive and problem.half_duplex and not problem.is_timed):
        return "rounds"
    return "flow" if problem.preemptive else "shop"


def build(problem: TransferProblem, *, tighten: bool = True) -> list[LinearModel]:
    """Return the problem's model, alone in a list.

    Parameters
    ----------
    problem
        One that `refuses_exact` takes.
    tighten
        Whether rules on single columns become bounds, rows that others imply are left out, and the
        families V are added. Without it every rule stands in rows of its own label.

    Raises
    ------
    InstanceError
        If `refuses_exact` has a reason: a model of something else would be worse than none.
    """
    reason = refuses_exact(problem)
    if reason is not None:
        raise InstanceError("$", "<transfers>", f"must be compilable: {reason}", "change it")
    name = problem.name or "transfers"
    model = model_of(problem)
    if model == "rounds":
        return [compile_rounds(problem, tighten=tighten).builder.build()]
    if model == "shop":
        return [compile_shop(shop_of(problem), name, tighten=tighten).builder.build()]
    offset_s = problem.startup_s if problem.startup_per == "round" else 0.0
    flow = flow_of(problem)
    frame = compile_flow(flow, name, tighten=tighten, offset_s=offset_s if len(flow.need) else 0.0)
    return [frame.builder.build()]


def run_exact(problem: TransferProblem, context: Context, warm_start: object) -> Outcome:
    """Return an optimal plan, or the best plan and bound that the time allows."""
    known = warm_start if isinstance(warm_start, TransferPlan) else None
    model = model_of(problem)
    if model == "rounds":
        return solve_rounds(problem, context, known)
    if model == "shop":
        return solve_shop(problem, context, known)
    if problem.is_timed:
        return run_timed(problem, context, warm_start)
    # Without times there is one interval, and its longest line is reached.
    run = run_single_peer if problem.peers == "one" else run_paced
    return run(problem, context, warm_start)


def solve_shop(
    problem: TransferProblem, context: Context, warm_start: TransferPlan | None
) -> Outcome:
    """Return the best order of whole messages, by CP-SAT on the model's intervals."""
    started = time.perf_counter()
    shop = shop_of(problem)
    frame = compile_shop(shop, problem.name or "transfers")
    start = _known_starts(problem, shop, warm_start)
    if start is not None:
        known = plan_of_starts(problem, shop, start)
        context.report(known.makespan_s, bound_of(problem), "longest first")
    build_s = time.perf_counter() - started

    def told(objective: float | None, bound: float | None) -> None:
        context.report(objective, bound, "branch and bound")

    answer = _ask(frame, context, None if start is None else frame.point(start), told)
    if answer.status is Status.INFEASIBLE:
        return Outcome(
            infeasible=(_lateness(shop, context),), backend=answer.backend, build_s=build_s
        )
    bound = bound_of(problem)
    if answer.bound is not None:
        bound = max(bound, answer.bound)
    plan = None
    if answer.x is not None:
        # The backend's tolerance is wider than a plan's.
        starts = left_shifted(shop, answer.x[frame.start])
        found = plan_of_starts(problem, shop, starts)
        plan = None if violations(problem, found) else found
    return Outcome(
        plan=plan,
        bound=bound if plan is None else min(bound, plan.makespan_s),
        limit=None if answer.limit is Limit.NONE else answer.limit,
        backend=answer.backend,
        build_s=build_s + answer.build_s,
        statistics={"messages": len(shop.duration), "branches": answer.nodes},
    )


def _ask(
    frame: ShopModel, context: Context, start: FloatArray | None, told: Told | None = None
) -> MipAnswer:
    remaining_s = context.remaining_s()
    return solve_guarded(
        frame.builder.build(),
        shop_backend(frame),
        time_limit_s=None if math.isinf(remaining_s) else remaining_s,
        gap=context.gap,
        seed=context.seed,
        threads=context.workers,
        warm_start=start,
        told=told,
    )


def _known_starts(
    problem: TransferProblem, shop: Shop, warm_start: TransferPlan | None
) -> FloatArray | None:
    """Return starts in the order of the warm start, or of the longest messages first."""
    wished = -shop.duration
    if warm_start is not None:
        begun = np.full(problem.traffic_bytes.shape, np.inf)
        wave = np.zeros_like(warm_start.source) if warm_start.wave is None else warm_start.wave
        where = wave, warm_start.source, warm_start.destination
        np.minimum.at(begun, where, warm_start.start_s)
        wished = begun[shop.wave, shop.source, shop.destination]
    starts = left_shifted(shop, wished)
    late = starts + shop.duration > shop.deadline
    return None if late.any() else starts


def _lateness(shop: Shop, context: Context) -> Violation:
    """Return by how many seconds the deadlines of an infeasible problem must give way together."""
    frame = compile_shop(shop.measured_by_deadlines(), "lateness")
    answer = _ask(frame, context, frame.point(left_shifted(shop, -shop.duration)))
    assert answer.objective is not None
    amount = answer.objective
    message = f"deadlines must give way: all {amount:.4g} s later would be enough for a plan"
    return Violation(constraint="C6", path="$.windows", message=message, amount=amount)


def _refuses_rounds(problem: TransferProblem) -> str | None:
    if problem.is_timed:
        return "no model knows rounds together with windows or busy ports: see greedy"
    if not problem.preemptive or problem.chunk_bytes > 0:
        return "its rounds cut messages as they need"
    if problem.startup_per == "message" and problem.startup_s > 0:
        return _NO_CUTS
    if not has_matchings(problem):
        return "it has too many ports to look at all sets of pairs that a round can send"
    return None


def _refuses_shop(problem: TransferProblem) -> str | None:
    if problem.num_messages > MOST_MESSAGES:
        return f"it has more than {MOST_MESSAGES} messages to put in order: see greedy"
    messages = np.count_nonzero(problem.messages(), axis=0)
    if problem.startup_s > 0 and (messages > 1).any():
        return "no model knows which waves of a pair should share a start-up"
    return None
