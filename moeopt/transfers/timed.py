"""Releases, deadlines and busy ports: a linear program over the times between them.

The program (`moeopt.transfers.exact_flow`) says how much of each message travels in each interval.
What travels in one is a flat exchange between free ports: Birkhoff rounds where they reach its
bound (equal ports, or one peer at a time), constant rates else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec
import numpy as np

from moeopt.core.arrays import FloatArray
from moeopt.core.result import Limit, Status
from moeopt.core.stop import Context
from moeopt.core.wing import Outcome, Violation
from moeopt.mip import LinearModel, MipAnswer, solve_model
from moeopt.transfers.birkhoff import rounds_of
from moeopt.transfers.bounds import bound as bound_of
from moeopt.transfers.exact_flow import Flow, FlowModel, compile_flow, flow_of
from moeopt.transfers.plan import TransferPlan, violations
from moeopt.transfers.problem import TransferProblem
from moeopt.transfers.rounds import Pieces, pieces_of_rounds, plan_from_pieces

#: Most messages times intervals that go into a program.
MOST_AMOUNTS = 400_000

#: What the optimum of a program may be above the true one: the solver's tolerance.
_TOLERANCE = 1e-7

#: Parts of a message smaller than this share of it are rounding.
_NOTHING = 1e-10

#: Intervals overfilled by this share are full.
_ROUNDING = 1e-11

#: How exactly an infeasible problem is told what its deadlines miss.
_LATENESS_STEPS = 12


def refuses_timed(problem: TransferProblem) -> str | None:
    """Say why the problem is not for a program over intervals, if it is not."""
    if problem.fabric is not None:
        return "it takes one network: see two_tier"
    if problem.startup_s > 0 or problem.objective == "rounds":
        return "it cuts messages as it needs, and knows no start-ups and rounds"
    if not problem.preemptive or problem.chunk_bytes > 0:
        return "it cuts messages as it needs"
    if problem.half_duplex and problem.peers == "one":
        return 'half-duplex ports need peers "many": with one peer there is more to keep than sums'
    if problem.num_messages * len(flow_of(problem).begin) > MOST_AMOUNTS:
        return "it has too many messages and times: see greedy"
    return None


def run_timed(problem: TransferProblem, context: Context, warm_start: object) -> Outcome:
    """Return the plan of least makespan, or by how much the deadlines are out of reach."""
    del warm_start
    bound = bound_of(problem)
    flow = flow_of(problem)
    if not len(flow.need):
        return Outcome(plan=_joined(problem, []), bound=bound)
    frame = compile_flow(flow, problem.name or "transfers")
    ending = _least(frame, frame.builder.build(), bound, context)
    answer = ending.answer
    if answer.status is Status.INFEASIBLE and not np.isfinite(problem.deadline()).any():
        # Without deadlines a plan exists: the numbers are beyond what a solver can tell apart.
        return Outcome(bound=bound, backend=answer.backend)
    if answer.status is Status.INFEASIBLE:
        return Outcome(infeasible=(lateness(problem, context),), backend=answer.backend)
    bound = max(bound, ending.bound * (1.0 - _TOLERANCE))
    if answer.x is None:
        return Outcome(bound=bound, limit=Limit.TIME, backend=answer.backend)
    plan = plan_of_amounts(problem, flow, answer.x[frame.amount], ending.interval)
    # Deadlines that are missed by less than the solver's tolerance may still be missed.
    missed = bool(violations(problem, plan))
    optimal = answer.bound is not None and ending.bound >= answer.bound
    return Outcome(
        plan=None if missed else plan,
        bound=bound if missed else min(bound, plan.makespan_s),
        limit=None if optimal else Limit.TIME,
        backend=answer.backend,
        build_s=answer.build_s,
        statistics={"intervals": len(flow.begin), "last_interval": ending.interval},
    )


def plan_of_amounts(
    problem: TransferProblem, flow: Flow, amount: FloatArray, last: int
) -> TransferPlan:
    """Return the plan that sends these amounts in these intervals.

    Parameters
    ----------
    problem, flow
        The problem, and its messages and intervals.
    amount
        How long each message travels in each interval, in units; off by a solver's tolerance.
    last
        The last interval used.
    """
    amount = _mended(flow, amount, last)
    parts = []
    for interval in np.flatnonzero(amount.any(axis=0)).tolist():
        mine = amount[:, interval]
        alone = np.zeros(problem.traffic_bytes.shape)
        seconds = mine * flow.unit_s
        alone[flow.wave, flow.source, flow.destination] = seconds * flow.pair_rate
        begin_s = float(flow.begin[interval]) * flow.unit_s
        if problem.half_duplex or not (problem.has_equal_ports or problem.peers == "one"):
            parts.append((begin_s, _paced(flow, mine, alone)))
            continue
        # The waves of a pair follow each other in its rounds: all are released by now.
        flat = msgspec.structs.replace(problem, traffic_bytes=alone, windows=(), busy=())
        rounds = rounds_of(flat.pair_bytes() / problem.pair_rate())
        pieces = pieces_of_rounds(rounds, problem.pair_rate(), 1.0)
        parts.append((begin_s, plan_from_pieces(flat, pieces)))
    return _joined(problem, parts)


@dataclass(frozen=True)
class _Ending:
    """The answer of the program that ends in one interval, and what is proven of the makespan."""

    interval: int
    answer: MipAnswer
    bound: float


def _least(frame: FlowModel, model: LinearModel, bound: float, context: Context) -> _Ending:
    """Return the optimum of the first interval that can be the last one.

    What can end in one interval can end in every later one. The first one that the bound allows is
    tried first, then the very last, since an infeasible problem shows there; then bisection.
    """
    begin = frame.flow.begin * frame.flow.unit_s

    def ask(interval: int) -> MipAnswer:
        return _answer(frame.ending_in(model, interval), context)

    # No message ends before the first interval in which it may travel, however small it is: a
    # solver's tolerance would swallow the smallest.
    soonest = int(np.argmax(frame.flow.allowed, axis=1).max())
    low = max(soonest, int(np.searchsorted(begin[1:], bound * (1.0 - _TOLERANCE))))
    high = len(begin) - 1
    best = ask(low)
    if best.status is not Status.INFEASIBLE or low == high:
        return _Ending(low, best, best.bound or 0.0)
    best = ask(high)
    while best.status is Status.OPTIMAL and low + 1 < high:
        middle = (low + high) // 2
        answer = ask(middle)
        if answer.status is Status.OPTIMAL:
            high, best = middle, answer
        elif answer.status is Status.INFEASIBLE:
            low = middle
        else:
            # Time is out: nothing ends in the interval that was last found too early.
            return _Ending(high, best, float(begin[low + 1]))
    return _Ending(high, best, best.bound or 0.0)


def _answer(model: LinearModel, context: Context) -> MipAnswer:
    remaining_s = context.remaining_s()
    limit_s = None if math.isinf(remaining_s) else remaining_s
    return solve_model(model, time_limit_s=limit_s, seed=context.seed)


def _mended(flow: Flow, amount: FloatArray, last: int) -> FloatArray:
    """Return amounts that are whole messages and fit the intervals but for rounding.

    What a solver's tolerance left out goes into the last interval in which its message may travel;
    what it put into an interval beyond its length goes into the last one used.
    """
    amount = np.where(amount > _NOTHING * flow.need[:, None], amount, 0.0)
    latest = last - np.argmax(flow.allowed[:, last::-1], axis=1)
    missing = flow.need - amount.sum(axis=1)
    missing[missing < _NOTHING * flow.need] = 0.0
    amount[np.arange(len(latest)), latest] += missing
    amount *= (flow.need / amount.sum(axis=1))[:, None]
    for interval in range(last):
        mine = amount[:, interval]
        over = flow.loads(mine) / flow.length[interval]
        over[over < 1.0 + _ROUNDING] = 1.0
        kept = mine / over[flow.line].max(axis=0)
        moved = np.where(flow.allowed[:, last], mine - kept, 0.0)
        amount[:, interval] -= moved
        amount[:, last] += moved
    return amount


def _paced(flow: Flow, amount: FloatArray, bytes_: FloatArray) -> TransferPlan:
    """Return constant rates over the time that the busiest line needs."""
    sent = np.flatnonzero(amount)
    sent = sent[np.argsort(flow.source[sent], kind="stable")]
    message = flow.wave[sent], flow.source[sent], flow.destination[sent]
    seconds = float(flow.loads(amount).max()) * flow.unit_s
    return TransferPlan(
        source=message[1],
        destination=message[2],
        size_bytes=bytes_[message],
        start_s=np.zeros(len(sent)),
        duration_s=np.full(len(sent), seconds),
        round_index=np.zeros(len(sent), dtype=np.int64),
        wave=message[0] if len(bytes_) > 1 else None,
    )


def _joined(problem: TransferProblem, parts: list[tuple[float, TransferPlan]]) -> TransferPlan:
    """Return the plans of all intervals, each begun at its time, as one."""
    if not parts:
        nothing = np.zeros(0, dtype=np.int64)
        none = Pieces(nothing, nothing, np.zeros(0), np.zeros(0), np.zeros(0), nothing)
        return plan_from_pieces(problem, none)
    rounds = np.cumsum([0, *(int(plan.round_index.max()) + 1 for _, plan in parts)])
    plans = [plan for _, plan in parts]
    waves = [plan.wave for plan in plans if plan.wave is not None]
    return TransferPlan(
        source=np.concatenate([plan.source for plan in plans]),
        destination=np.concatenate([plan.destination for plan in plans]),
        size_bytes=np.concatenate([plan.size_bytes for plan in plans]),
        start_s=np.concatenate([begin + plan.start_s for begin, plan in parts]),
        duration_s=np.concatenate([plan.duration_s for plan in plans]),
        round_index=np.concatenate(
            [first + plan.round_index for first, plan in zip(rounds[:-1], plans, strict=True)]
        ),
        wave=np.concatenate(waves) if waves else None,
    )


def lateness(problem: TransferProblem, context: Context) -> Violation:
    """Return by how many seconds all deadlines of an infeasible problem must move together.

    Bisection: feasible or not is a linear program for each time tried.
    """
    low, high = 0.0, flow_of(problem).unit_s / 8
    while np.isfinite(high) and not _feasible(problem, high, context):
        low, high = high, 2 * high
    for _ in range(_LATENESS_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if _feasible(problem, middle, context) else (middle, high)
    message = f"deadlines must give way: all {high:.4g} s later would be enough for a plan to exist"
    return Violation(constraint="C6", path="$.windows", message=message, amount=high)


def _feasible(problem: TransferProblem, later_s: float, context: Context) -> bool:
    """Tell whether a plan exists with later deadlines; yes if time is out before that is known."""
    frame = compile_flow(flow_of(problem, later_s), "lateness")
    model = frame.ending_in(frame.builder.build(), len(frame.last) - 1)
    return _answer(model, context).status is not Status.INFEASIBLE
