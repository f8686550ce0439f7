"""The colocation wing's methods by name, and the wing itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from moeopt.colocation import pairing
from moeopt.colocation.bounds import bound as bound_of
from moeopt.colocation.layout import Layout, layout_of
from moeopt.colocation.plan import ColocationPlan, evaluate, violations
from moeopt.colocation.portfolio import auto
from moeopt.colocation.problem import ColocationProblem
from moeopt.colocation.search import run_search
from moeopt.colocation.summary import summarise
from moeopt.colocation.validate import impossible
from moeopt.core.arrays import IntArray
from moeopt.core.registry import register
from moeopt.core.stop import Context
from moeopt.core.wing import Capabilities, Method, Outcome, Wing

if TYPE_CHECKING:
    from moeopt.mip import LinearModel

Run = Callable[[ColocationProblem, Context, object], Outcome]
Place = Callable[[ColocationProblem, Layout, IntArray, int], IntArray | None]


def _in_order(problem: ColocationProblem, layout: Layout, groups: IntArray, seed: int) -> IntArray:
    """Put group `p` on device `p`: on equal devices any order is as good."""
    del problem, layout, seed
    return np.arange(groups.shape[1])


def _by_matching(
    problem: ColocationProblem, layout: Layout, groups: IntArray, seed: int
) -> IntArray | None:
    del seed
    return pairing.matched_devices(problem, layout, groups)


def _at_random(problem: ColocationProblem, layout: Layout, groups: IntArray, seed: int) -> IntArray:
    """Put groups on devices at random (the paper's RGA)."""
    del problem, layout
    return np.random.default_rng(seed + 1).permutation(groups.shape[1])


def _two_steps(group: Callable[[int], pairing.Grouping], place: Place) -> Run:
    """Return the method that makes groups, and puts them on devices then."""

    def run(problem: ColocationProblem, context: Context, warm_start: object) -> Outcome:
        del warm_start
        layout = layout_of(problem)
        groups = group(context.seed)(layout, problem.num_devices)
        device = place(problem, layout, groups, context.seed)
        plan = None if device is None else pairing.placed(problem, groups, device)
        return _told(problem, plan)

    return run


def _told(problem: ColocationProblem, plan: ColocationPlan | None) -> Outcome:
    """Return a plan with the bound; a plan that breaks a rule its way does not know is none."""
    if plan is None or violations(problem, plan):
        return Outcome(bound=bound_of(problem))
    value = evaluate(problem, plan)
    statistics = {"time_s": value.time_s, "communication_s": value.communication_s}
    return Outcome(plan=plan, bound=bound_of(problem), statistics=statistics)


def _run_lina(problem: ColocationProblem, context: Context, warm_start: object) -> Outcome:
    del context, warm_start
    return _told(problem, pairing.lina(problem))


# The models bring scipy, which a plain pairing does not need: imported on use.
def _run_exact(problem: ColocationProblem, context: Context, warm_start: object) -> Outcome:
    from moeopt.colocation.exact import run_exact

    return run_exact(problem, context, warm_start)


def _refuses_exact(problem: ColocationProblem) -> str | None:
    from moeopt.colocation.exact import refuses_exact

    return refuses_exact(problem)


def _build(problem: ColocationProblem) -> list[LinearModel]:
    from moeopt.colocation.exact import build

    return build(problem)


_BOUNDED = Capabilities(bounds=True)

_OWN = (
    Method(
        name="sorted_pairing",
        summary="Theorem 6.2: popular experts of one model with unpopular ones of the other",
        run=_two_steps(lambda seed: pairing.sorted_groups, _in_order),
        capabilities=_BOUNDED,
        refuses=pairing.refuses_sorted,
    ),
    Method(
        name="bottleneck_matching",
        summary="Case II: the pairing of the shortest aggregated all-to-all, on equal devices",
        run=_two_steps(lambda seed: pairing.matched_groups, _in_order),
        capabilities=_BOUNDED,
        refuses=pairing.refuses_equal,
    ),
    Method(
        name="two_step",
        summary="the paper's way for unequal devices: pair first, then match pairs with devices",
        run=_two_steps(lambda seed: pairing.matched_groups, _by_matching),
        capabilities=_BOUNDED,
        refuses=pairing.refuses_groups,
    ),
    Method(
        name="search",
        summary="swaps from the decoupled answer; anytime, any number of models and experts",
        run=run_search,
        capabilities=Capabilities(anytime=True, bounds=True, warm_start=True),
    ),
    Method(
        name="exact",
        summary="proven, for few experts: 3-D bottleneck assignment, or the MILP of the page",
        run=_run_exact,
        capabilities=Capabilities(
            exact=True, anytime=True, bounds=True, warm_start=True, complete=True
        ),
        refuses=_refuses_exact,
    ),
    Method(
        name="lina",
        summary="Lina's packing: two experts of one model to a device, each model on its own",
        run=_run_lina,
        capabilities=_BOUNDED,
        refuses=pairing.refuses_lina,
    ),
    Method(
        name="rec",
        summary="random pairing, matched with devices",
        run=_two_steps(pairing.random_groups, _by_matching),
        capabilities=_BOUNDED,
        refuses=pairing.refuses_groups,
    ),
    Method(
        name="rga",
        summary="the best pairing of equal devices, put on devices at random",
        run=_two_steps(lambda seed: pairing.matched_groups, _at_random),
        capabilities=_BOUNDED,
        refuses=pairing.refuses_groups,
    ),
    Method(
        name="rga_rec",
        summary="random pairing on random devices",
        run=_two_steps(pairing.random_groups, _at_random),
        capabilities=_BOUNDED,
        refuses=pairing.refuses_groups,
    ),
)

_AUTO = Method(
    name="auto",
    summary="the decoupled answer, improved by swaps; exact for few experts",
    run=auto({method.name: method for method in _OWN}),
    capabilities=Capabilities(anytime=True, bounds=True, warm_start=True),
)

METHODS = (_AUTO, *_OWN)

WING = register(
    Wing(
        name="colocation",
        problem_type=ColocationProblem,
        plan_type=ColocationPlan,
        violations=violations,
        evaluate=evaluate,
        impossible=impossible,
        methods={method.name: method for method in METHODS},
        build=_build,
        summarise=summarise,
    )
)
