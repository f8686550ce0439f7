"""The transfers wing's methods by name, and the wing itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moeopt.core.registry import register
from moeopt.core.stop import Context
from moeopt.core.wing import Capabilities, Method, Outcome, Wing
from moeopt.transfers import aurora, coloring, contention, few_rounds, greedy, paced, ports
from moeopt.transfers.plan import TransferPlan, evaluate, violations
from moeopt.transfers.portfolio import auto
from moeopt.transfers.problem import TransferProblem
from moeopt.transfers.summary import picture, summarise
from moeopt.transfers.validate import impossible

if TYPE_CHECKING:
    from moeopt.mip import LinearModel


# The models bring scipy, which a plain order does not need: imported on use.
def _run_exact(problem: TransferProblem, context: Context, warm_start: object) -> Outcome:
    from moeopt.transfers.exact import run_exact

    return run_exact(problem, context, warm_start)


def _refuses_exact(problem: TransferProblem) -> str | None:
    from moeopt.transfers.exact import refuses_exact

    return refuses_exact(problem)


def _run_timed(problem: TransferProblem, context: Context, warm_start: object) -> Outcome:
    from moeopt.transfers.timed import run_timed

    return run_timed(problem, context, warm_start)


def _refuses_timed(problem: TransferProblem) -> str | None:
    from moeopt.transfers.timed import refuses_timed

    return refuses_timed(problem)


def _run_two_tier(problem: TransferProblem, context: Context, warm_start: object) -> Outcome:
    from moeopt.transfers.two_tier import run_two_tier

    return run_two_tier(problem, context, warm_start)


def _refuses_two_tier(problem: TransferProblem) -> str | None:
    from moeopt.transfers.two_tier import refuses_two_tier

    return refuses_two_tier(problem)


def _build(problem: TransferProblem) -> list[LinearModel]:
    from moeopt.transfers.exact import build

    return build(problem)


_BOUNDED = Capabilities(bounds=True)

_OWN = (
    Method(
        name="birkhoff",
        summary="equal ports: rounds of one peer, as short in all as the largest line sum",
        run=ports.run_birkhoff,
        capabilities=_BOUNDED,
        refuses=ports.refuses_birkhoff,
    ),
    Method(
        name="single_peer",
        summary="unequal ports, one peer at a time: Birkhoff rounds of bytes over pair rates",
        run=ports.run_single_peer,
        capabilities=_BOUNDED,
        refuses=ports.refuses_single_peer,
    ),
    Method(
        name="multi_peer",
        summary="unequal ports, fast ones serve several slow ones at once: the fluid bound",
        run=ports.run_multi_peer,
        capabilities=_BOUNDED,
        refuses=ports.refuses_multi_peer,
    ),
    Method(
        name="few_rounds",
        summary="start-ups: rounds traded against padding, and list schedules of whole messages",
        run=few_rounds.run_few_rounds,
        capabilities=Capabilities(anytime=True, bounds=True),
        refuses=few_rounds.refuses_few_rounds,
    ),
    Method(
        name="two_tier",
        summary="FAST: balance inside nodes, Birkhoff rounds between them, pipelined delivery",
        run=_run_two_tier,
        capabilities=_BOUNDED,
        refuses=_refuses_two_tier,
    ),
    Method(
        name="timed",
        summary="releases, deadlines and busy ports: a linear program over the times between them",
        run=_run_timed,
        capabilities=_BOUNDED,
        refuses=_refuses_timed,
    ),
    Method(
        name="edge_coloring",
        summary="whole tokens in unit slots, exactly as many as the degree (König)",
        run=coloring.run_edge_coloring,
        capabilities=_BOUNDED,
        refuses=coloring.refuses_edge_coloring,
    ),
    Method(
        name="greedy",
        summary="list schedules of whole messages, any rule but barriers; best of many",
        run=greedy.run_greedy,
        capabilities=Capabilities(anytime=True, bounds=True),
        refuses=greedy.refuses_greedy,
    ),
    Method(
        name="paced",
        summary="no order: every pair at a constant rate that makes all end together",
        run=paced.run_paced,
        capabilities=_BOUNDED,
        refuses=paced.refuses_paced,
    ),
    Method(
        name="exact",
        summary="proven, for few ports: fewest rounds, or messages that are not cut",
        run=_run_exact,
        capabilities=Capabilities(
            exact=True, anytime=True, bounds=True, warm_start=True, complete=True
        ),
        refuses=_refuses_exact,
    ),
    Method(
        name="aurora",
        summary="Algorithm 1 as printed: bottleneck port first in random order, then earliest fit",
        run=aurora.run_aurora,
        capabilities=_BOUNDED,
        refuses=aurora.refuses_aurora,
    ),
    Method(
        name="sjf",
        summary="unscheduled: every sender its shortest message first, receivers share fairly",
        run=contention.run_sjf,
        capabilities=_BOUNDED,
        refuses=contention.refuses_unscheduled,
    ),
    Method(
        name="random",
        summary="unscheduled: every sender in random order (the paper's RCS)",
        run=contention.run_random,
        capabilities=_BOUNDED,
        refuses=contention.refuses_unscheduled,
    ),
    Method(
        name="shifted",
        summary="unscheduled: sender i starts with port i + 1 and goes on in order, as NCCL does",
        run=contention.run_shifted,
        capabilities=_BOUNDED,
        refuses=contention.refuses_unscheduled,
    ),
    Method(
        name="all_at_once",
        summary="unscheduled: everything from the start, ports shared fairly",
        run=contention.run_all_at_once,
        capabilities=_BOUNDED,
        refuses=contention.refuses_all_at_once,
    ),
)

_AUTO = Method(
    name="auto",
    summary="the methods that fit the problem, until one meets the bound; the best of them",
    run=auto({method.name: method for method in _OWN}),
    capabilities=Capabilities(anytime=True, bounds=True),
)

METHODS = (_AUTO, *_OWN)

WING = register(
    Wing(
        name="transfers",
        problem_type=TransferProblem,
        plan_type=TransferPlan,
        violations=violations,
        evaluate=evaluate,
        impossible=impossible,
        methods={method.name: method for method in METHODS},
        build=_build,
        summarise=summarise,
        picture=picture,
    )
)
