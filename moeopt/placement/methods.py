"""The placement wing's methods by name, and the wing itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from moeopt.core.registry import register
from moeopt.core.stop import Context
from moeopt.core.wing import Capabilities, Method, Outcome, Wing
from moeopt.placement import assignment, balance, greedy, replan
from moeopt.placement.bounds import layer_bounds
from moeopt.placement.enumeration import solve_exactly
from moeopt.placement.impossible import impossible
from moeopt.placement.plan import PlacementPlan, evaluate, violations
from moeopt.placement.portfolio import auto
from moeopt.placement.problem import PlacementProblem
from moeopt.placement.search import plain_outcome, search
from moeopt.placement.summary import summarise

if TYPE_CHECKING:
    from moeopt.mip import LinearModel

Construction = Callable[[PlacementProblem], PlacementPlan | None]


def _constructed(
    build: Construction,
) -> Callable[[PlacementProblem, Context, object], Outcome]:
    def run(problem: PlacementProblem, context: Context, warm_start: object) -> Outcome:
        del context, warm_start
        bound = layer_bounds(problem)
        return Outcome(
            plan=build(problem),
            bound=float(bound.sum()),
            statistics={"layer_bound": bound.tolist()},
        )

    return run


def _packed(
    pack: Callable[[balance.Blocks], balance.Balanced],
) -> Callable[[PlacementProblem, Context, object], Outcome]:
    def run(problem: PlacementProblem, context: Context, warm_start: object) -> Outcome:
        del context, warm_start
        blocks = balance.blocks_of(problem)
        # EPLB's own steps know no bound of the groups: the best spread's is told in all cases.
        found = replace(pack(blocks), bound=balance.block_bounds(blocks))
        return plain_outcome(problem, found)

    return run


def _not_linear(problem: PlacementProblem) -> str | None:
    # Imported on use: the models bring scipy, which a fast solve does not need.
    from moeopt.placement.exact import refuses

    return refuses(problem)


def _build(problem: PlacementProblem) -> list[LinearModel]:
    from moeopt.placement.exact import build

    return build(problem)


def _not_plain(problem: PlacementProblem) -> str | None:
    if balance.is_plain(problem):
        return None
    return (
        "it takes objective max_load with the even split and rules on copies, slots and groups"
        " only (memory must not bind)"
    )


def _not_eplb(problem: PlacementProblem) -> str | None:
    if problem.max_copies_per_device is not None:
        return "it may put two copies of an expert on one device: set max_copies_per_device to null"
    return _not_plain(problem)


def _not_hierarchical(problem: PlacementProblem) -> str | None:
    if problem.group_rule != "one_node":
        return 'it needs group_rule "one_node"'
    return _not_plain(problem)


METHODS = (
    Method(
        name="auto",
        summary="the portfolio: fast search in the plain case, enumeration or a MILP for tiny"
        " shapes, an assignment for one expert per device, annealing else; always with a bound",
        run=auto,
        capabilities=Capabilities(anytime=True, bounds=True, warm_start=True),
    ),
    Method(
        name="fast",
        summary="EPLB's plan improved by a short swap descent, for engines; never worse than EPLB",
        run=_packed(balance.fast),
        capabilities=Capabilities(bounds=True),
        refuses=_not_plain,
    ),
    Method(
        name="search",
        summary="local search over places and replica counts; anytime, any rule and objective",
        run=search,
        capabilities=Capabilities(anytime=True, bounds=True, warm_start=True),
    ),
    Method(
        name="replan",
        summary="from the previous plan by the copies that pay best, one front for all layers and"
        " budgets; for when moves cost or are limited",
        run=replan.outcome,
        capabilities=Capabilities(bounds=True),
        refuses=replan.refuses,
    ),
    Method(
        name="exact",
        summary="proven: enumeration for tiny plain shapes, else the MILP of the formulation page",
        run=solve_exactly,
        capabilities=Capabilities(
            exact=True, anytime=True, bounds=True, warm_start=True, complete=True
        ),
        refuses=_not_linear,
    ),
    Method(
        name="bottleneck_assignment",
        summary="proven: one expert per device for the least layer time, by bottleneck matchings"
        " under a threshold that sweeps; sources may stay or move",
        run=assignment.assign,
        capabilities=Capabilities(exact=True, bounds=True, complete=True),
        refuses=assignment.not_assignable,
    ),
    Method(
        name="aurora_sort",
        summary="Aurora's Theorem 5.1: experts by their tokens onto devices by their speed; tells"
        " whether the theorem's conditions hold",
        run=assignment.sort,
        capabilities=Capabilities(bounds=True),
        refuses=assignment.not_sortable,
    ),
    Method(
        name="eplb",
        summary="DeepSeek's EPLB, our own writing: greedy replicas, LPT, groups packed on nodes",
        run=_packed(balance.eplb),
        capabilities=Capabilities(bounds=True),
        refuses=_not_eplb,
    ),
    Method(
        name="hierarchical",
        summary="groups spread optimally over nodes, then EPLB's replicas and LPT on each node",
        run=_packed(balance.hierarchical),
        capabilities=Capabilities(bounds=True),
        refuses=_not_hierarchical,
    ),
    Method(
        name="lpt",
        summary="largest copies first on the least loaded device (Huang's greedy), any rule",
        run=_constructed(greedy.lpt),
        capabilities=Capabilities(bounds=True),
    ),
    Method(
        name="anticorrelation",
        summary="LPT that keeps experts apart that are busy together (Huang), weight scaled",
        run=_constructed(greedy.anticorrelation),
        capabilities=Capabilities(bounds=True),
    ),
    Method(
        name="anticorrelation-0.5",
        summary="the same with the weight as printed, beside loads as shares",
        run=_constructed(
            lambda problem: greedy.anticorrelation(problem, greedy.PRINTED_WEIGHT, as_printed=True)
        ),
        capabilities=Capabilities(bounds=True),
    ),
    Method(
        name="contiguous",
        summary="experts in order of their number, as engines start",
        run=_constructed(greedy.contiguous),
        capabilities=Capabilities(bounds=True),
    ),
    Method(
        name="round_robin",
        summary="experts dealt to the devices in turn",
        run=_constructed(greedy.round_robin),
        capabilities=Capabilities(bounds=True),
    ),
)

WING = register(
    Wing(
        name="placement",
        problem_type=PlacementProblem,
        plan_type=PlacementPlan,
        violations=violations,
        evaluate=evaluate,
        impossible=impossible,
        methods={method.name: method for method in METHODS},
        build=_build,
        summarise=summarise,
    )
)
