"""Solves the model of rounds, and makes of its point a plan that is exact to rounding."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
from scipy import sparse

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.result import OPTIMALITY_TOLERANCE, Limit, Status
from moeopt.core.stop import Context
from moeopt.core.wing import Outcome
from moeopt.mip import LinearModel, MipAnswer, ModelBuilder, solve_model
from moeopt.transfers.birkhoff import Rounds, rounds_of
from moeopt.transfers.bounds import bound as bound_of
from moeopt.transfers.exact_rounds import RoundsModel, compile_rounds
from moeopt.transfers.few_rounds import refuses_few_rounds, run_few_rounds
from moeopt.transfers.plan import TransferPlan, evaluate
from moeopt.transfers.problem import TransferProblem
from moeopt.transfers.rounds import pieces_of_rounds, plan_from_pieces

#: Rounds may miss the bytes of a pair, or the least makespan, by this share of the longest line.
_EXACT = 1e-10

#: Seconds that lengths may take however late it is; some milliseconds are usual.
_LENGTHS_LEAST_S = 0.05

#: What a bound of a linear program is lowered by: the solver's tolerance.
_TOLERANCE = 1e-7


def solve_rounds(
    problem: TransferProblem, context: Context, warm_start: TransferPlan | None
) -> Outcome:
    """Return the plan of fewest rounds, or of least makespan where rounds cost start-ups.

    The solver's tolerance is wider than a plan's: matchings that it accepts though no lengths
    solve them exactly are cut off, and it is asked again.
    """
    started = time.perf_counter()
    known = _known_rounds(problem, context, warm_start)
    incumbent = None if known is None else _plan(problem, known)
    at_most_s = None if incumbent is None else incumbent.makespan_s
    if incumbent is not None:
        context.report(_value(problem, incumbent), None, "heuristic")
    frame = compile_rounds(problem, at_most_s=at_most_s)
    model = frame.builder.build()
    start = None if known is None else frame.point(known)
    build_s = time.perf_counter() - started
    while True:
        answer = _ask(model, context.remaining_s(), context, start)
        if answer.x is None:
            return _outcome(problem, incumbent, answer, build_s, frame)
        settled = _settled(frame, answer.x, context)
        if settled is None:
            answer = replace(answer, limit=Limit.TIME)
            return _outcome(problem, incumbent, answer, build_s, frame)
        chosen, length = settled
        if length is not None:
            break
        model, start = _without_set(frame, model, chosen), None
    found = _plan(problem, frame.rounds(chosen, length))
    if incumbent is not None and _value(problem, incumbent) <= _value(problem, found):
        found = incumbent
    return _outcome(problem, found, answer, build_s, frame)


def _ask(
    model: LinearModel, limit_s: float, context: Context, start: FloatArray | None
) -> MipAnswer:
    return solve_model(
        model,
        time_limit_s=None if math.isinf(limit_s) else limit_s,
        gap=context.gap,
        seed=context.seed,
        threads=context.workers,
        warm_start=start,
    )


def _known_rounds(
    problem: TransferProblem, context: Context, warm_start: TransferPlan | None
) -> Rounds | None:
    """Return the best rounds at hand: those of the warm start, or of a heuristic."""
    plans = [] if warm_start is None else [warm_start]
    if problem.objective == "rounds":
        rounds = rounds_of(problem.pair_bytes() / problem.pair_rate())
        plans.append(_plan(problem, rounds))
    elif problem.startup_s > 0.0 and refuses_few_rounds(problem) is None:
        plan = run_few_rounds(problem, context.part(0.25), None).plan
        assert isinstance(plan, TransferPlan)
        plans.append(plan)
    best = min(plans, key=lambda plan: _value(problem, plan), default=None)
    return None if best is None else _rounds_of_plan(problem, best)


def _rounds_of_plan(problem: TransferProblem, plan: TransferPlan) -> Rounds:
    """Return the rounds of a plan in seconds, however its rows lie in them."""
    numbers, which = np.unique(plan.round_index, return_inverse=True)
    peer = np.full((len(numbers), problem.num_ports), -1, dtype=np.int64)
    sent = np.zeros(peer.shape)
    peer[which, plan.source] = plan.destination
    rate = problem.pair_rate()[plan.source, plan.destination]
    np.add.at(sent, (which, plan.source), plan.size_bytes / rate)
    return Rounds(sent.max(axis=1, initial=0.0), peer, sent)


def _settled(
    frame: RoundsModel, x: FloatArray, context: Context
) -> tuple[IntArray, FloatArray | None] | None:
    """Return the matchings of a point and their exact lengths, ``None`` if there are none.

    Where there was no time to find out, the point's own lengths are mended, which may be longer by
    the solver's tolerance; where the sum of lengths is given, nothing at all is returned then.
    """
    chosen = _chosen(frame, x)
    total = 1.0 if frame.problem.objective == "rounds" else np.inf
    length = _lengths(frame, chosen, context)
    mend = frame.used is None or length is None
    if length is None:
        if math.isfinite(total):
            return None
        length = np.maximum(x[frame.length][chosen], 0.0)
    short = np.maximum(frame.need - length @ frame.member[chosen], 0.0)
    if mend and (short > 0).any():
        # Lengths are not counted, only summed: what a solver's tolerance left short is added.
        holds = frame.member[chosen][:, short > 0].argmax(axis=0)
        np.maximum.at(extra := np.zeros(len(chosen)), holds, short[short > 0])
        length = length + extra
        short = np.maximum(frame.need - length @ frame.member[chosen], 0.0)
    if max(short.max(initial=0.0), length.sum() - total) > _EXACT:
        return chosen, None
    kept = np.argsort(-length, kind="stable")[: np.count_nonzero(length > 0.0)]
    return chosen[kept], length[kept]


def _chosen(frame: RoundsModel, x: FloatArray) -> IntArray:
    """Return the matchings that a point uses."""
    if frame.used is not None:
        return np.flatnonzero(x[frame.used] > 0.5)
    chosen = np.flatnonzero(x[frame.length] > 0.0)
    # A pair whose bytes are within the solver's tolerance may have been left out.
    left_out = np.flatnonzero(~frame.member[chosen].any(axis=0))
    if not left_out.size:
        return chosen
    return np.union1d(chosen, frame.member[:, left_out].argmax(axis=0))


def _lengths(frame: RoundsModel, chosen: IntArray, context: Context) -> FloatArray | None:
    """Return lengths of least sum with which these matchings alone send everything.

    Zeros if there are none, ``None`` if there was no time.
    """
    builder = ModelBuilder("lengths")
    length = builder.add_columns("l", len(chosen), objective=1.0)
    pair, matching = np.nonzero(frame.member[chosen].T)
    builder.add_rows("C1", pair, length[matching], 1.0, lower=frame.need, count=len(frame.need))
    limit_s = max(context.remaining_s(), _LENGTHS_LEAST_S)
    answer = _ask(builder.build(), limit_s, context, None)
    infeasible = answer.status is Status.INFEASIBLE
    return np.zeros(len(chosen)) if infeasible else answer.x


def _without_set(frame: RoundsModel, model: LinearModel, chosen: IntArray) -> LinearModel:
    """Return the model without the points that use no other matchings than these."""
    assert frame.used is not None
    others = np.setdiff1d(frame.used, frame.used[chosen])
    row = sparse.csr_array(
        (np.ones(len(others)), (np.zeros(len(others), np.int64), others)),
        shape=(1, model.num_columns),
    )
    return replace(
        model,
        A=sparse.csr_array(sparse.vstack([model.A, row], format="csr")),
        row_lower=np.append(model.row_lower, 1.0),
        row_upper=np.append(model.row_upper, np.inf),
        row_group=np.append(model.row_group, "cut"),
        row_number=np.append(model.row_number, np.count_nonzero(model.row_group == "cut")),
    )


def _plan(problem: TransferProblem, rounds: Rounds) -> TransferPlan:
    alpha, per = problem.startup_s, problem.startup_per
    pieces = pieces_of_rounds(rounds, problem.pair_rate(), 1.0, alpha, per)
    return plan_from_pieces(problem, pieces)


def _value(problem: TransferProblem, plan: TransferPlan) -> float:
    return evaluate(problem, plan).objective


def _outcome(
    problem: TransferProblem,
    plan: TransferPlan | None,
    answer: MipAnswer,
    build_s: float,
    frame: RoundsModel,
) -> Outcome:
    bound = bound_of(problem)
    if answer.bound is not None:
        whole = problem.objective == "rounds"
        lowered = math.ceil(answer.bound - 1e-6) if whole else answer.bound * (1.0 - _TOLERANCE)
        bound = max(bound, float(lowered))
    if plan is not None:
        value = _value(problem, plan)
        proven = answer.objective if answer.status is Status.OPTIMAL else None
        # The solver's optimum and the plan's exact value differ by the solver's tolerance.
        if proven is not None and abs(value - proven) <= OPTIMALITY_TOLERANCE * value:
            bound = value
        bound = min(bound, value)
    return Outcome(
        plan=plan,
        bound=bound,
        limit=None if answer.limit is Limit.NONE else answer.limit,
        backend=answer.backend,
        build_s=build_s + answer.build_s,
        statistics={"matchings": len(frame.member), "nodes": answer.nodes},
    )
