"""The linear model of ``formulations/serverless.md``, and who solves it: a second proof.

`moeopt.serverless.exact` is faster and proves the same. This shares with it what an option costs
and how long it takes, and nothing of how options are chosen.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import replace

import msgspec
import numpy as np
import numpy.typing as npt

from moeopt.core.arrays import FloatArray
from moeopt.core.errors import InstanceError
from moeopt.core.result import OPTIMALITY_TOLERANCE, Limit, Status
from moeopt.core.stop import Context
from moeopt.core.wing import Outcome, Violation
from moeopt.mip import LinearModel, MipAnswer, solve_model
from moeopt.mip.model import FEASIBILITY_TOLERANCE
from moeopt.serverless.bounds import bound as bound_of
from moeopt.serverless.degrees import MOST_DEGREES, candidate_degrees
from moeopt.serverless.exact_frame import Frame, cheapest_within, compile_model, plan_of
from moeopt.serverless.exact_options import Menu, count_options, short_menus
from moeopt.serverless.plan import ServerlessPlan, evaluate, most_degree, violations
from moeopt.serverless.problem import DESIGNS, ServerlessProblem
from moeopt.serverless.promise import fixed_usd, too_slow

#: Most options that are looked at, before those that no optimal plan needs are left out.
MOST_OPTIONS = 20_000_000

#: Most options of a model that keeps all of them.
MOST_PLAIN_OPTIONS = 200_000

#: Options that are looked at in a second, cautiously.
_OPTIONS_PER_S = 1e6

__all__ = ["build", "compile_model", "decode", "refuses_milp", "run_milp"]


def refuses_milp(problem: ServerlessProblem) -> str | None:
    """Say why the linear model of a problem is too large to be made, or ``None`` if it is not."""
    layers = range(problem.num_layers) if 1 in problem.designs else ()
    if any(len(candidate_degrees(problem, layer)) > MOST_DEGREES for layer in layers):
        return f"more than {MOST_DEGREES} pipeline degrees of a layer may matter: see exact"
    options = count_options(problem, problem.designs)
    if options <= MOST_OPTIONS:
        return None
    return f"its experts have {options} options, more than {MOST_OPTIONS}: see exact"


def build(problem: ServerlessProblem, *, tighten: bool = True) -> list[LinearModel]:
    """Return the problem's model, alone in a list; its objective is in dollars.

    Parameters
    ----------
    problem
        One whose experts do not have too many options.
    tighten
        Whether options that no optimal plan needs are left out, and the family V is added. Without
        it every rule stands in rows of its own label.

    Raises
    ------
    InstanceError
        If the model would be too large.
    """
    options = count_options(problem, problem.designs if tighten else DESIGNS)
    most = MOST_OPTIONS if tighten else MOST_PLAIN_OPTIONS
    if options > most:
        rule = f"must have at most {most} options of its experts"
        raise InstanceError("$", f"<{options} options>", rule, "see exact")
    return [compile_model(problem, tighten=tighten).model]


def decode(problem: ServerlessProblem, x: npt.ArrayLike, *, tighten: bool = True) -> ServerlessPlan:
    """Return the plan of a point of the model that `build` returns."""
    return compile_model(problem, tighten=tighten).plan(x)


def run_milp(problem: ServerlessProblem, context: Context, warm_start: object) -> Outcome:
    """Return an optimal plan, or the best plan and bound that the time allows."""
    known = _known(problem, warm_start)
    options = count_options(problem, problem.designs)
    if options / _OPTIONS_PER_S > context.remaining_s():
        return Outcome(plan=known, bound=bound_of(problem), limit=Limit.TIME)
    started = time.perf_counter()
    frame = compile_model(problem)
    known = _fastest(problem, frame.menus) if known is None else known
    start = None if known is None else frame.point(known)
    if known is not None and not violations(problem, known):
        context.report(evaluate(problem, known).objective, bound_of(problem), "start")
    build_s = time.perf_counter() - started
    answer = _ask(frame.model, context, start)
    if answer.status is Status.INFEASIBLE:
        return Outcome(
            infeasible=_impossible(problem, frame.menus), backend=answer.backend, build_s=build_s
        )
    plan, bound = _best(frame, context, answer, known)
    return Outcome(
        plan=plan,
        bound=bound,
        limit=None if answer.limit is Limit.NONE else answer.limit,
        backend=answer.backend,
        build_s=build_s + answer.build_s,
        statistics={
            "options": options,
            "columns": frame.model.num_columns,
            "rows": frame.model.num_rows,
            "branches": answer.nodes,
        },
    )


def _ask(model: LinearModel, context: Context, start: FloatArray | None) -> MipAnswer:
    remaining_s = context.remaining_s()
    return solve_model(
        model, time_limit_s=None if math.isinf(remaining_s) else remaining_s, gap=context.gap,
        seed=context.seed, threads=context.workers, warm_start=start,
    )  # fmt: skip


def _best(
    frame: Frame, context: Context, answer: MipAnswer, known: ServerlessPlan | None
) -> tuple[ServerlessPlan | None, float]:
    """Return the better of the answer's plan and the known one, and what bounds it."""
    problem = frame.problem
    found = None if answer.x is None else frame.plan(answer.x)
    if found is not None and violations(problem, found):
        # It misses the promise by less than a solver's tolerance: ask for that much more.
        stricter = _ask(_stricter(frame.model), context, None)
        found = None if stricter.x is None else frame.plan(stricter.x)
    plans = [p for p in (found, known) if p is not None and not violations(problem, p)]
    values = [evaluate(problem, plan).objective for plan in plans]
    bound = max(bound_of(problem), -math.inf if answer.bound is None else answer.bound)
    if not plans:
        return None, bound
    value = min(values)
    # What an optimal point misses by the backend's tolerance is no gap.
    if answer.status is Status.OPTIMAL and value - bound <= OPTIMALITY_TOLERANCE * value:
        bound = value
    return plans[values.index(value)], min(bound, value)


def _stricter(model: LinearModel) -> LinearModel:
    """Return the model with a promise that its points keep to the last digit."""
    upper = model.row_upper.copy()
    promise = model.row_group == "C6"
    upper[promise] -= 2 * FEASIBILITY_TOLERANCE * np.maximum(1.0, np.abs(upper[promise]))
    return replace(model, row_upper=upper)


def _known(problem: ServerlessProblem, warm_start: object) -> ServerlessPlan | None:
    """Return the warm start, or the fastest plan without minibatches, if it keeps the promise."""
    if isinstance(warm_start, ServerlessPlan) and not violations(problem, warm_start):
        return warm_start
    plain = tuple(design for design in problem.designs if design != 1)
    simpler = msgspec.structs.replace(problem, designs=plain or (2,))
    plan = _fastest(simpler, short_menus(simpler))
    if plan is not None and not plain:
        # Design 1 with one minibatch is much like design 2.
        plan = msgspec.structs.replace(plan, design=np.ones_like(plan.design))
        degree = most_degree(problem, plan)
        plan = msgspec.structs.replace(plan, pipeline_degree=degree)
    return None if plan is None or violations(problem, plan) else plan


def _fastest(problem: ServerlessProblem, menus: tuple[Menu, ...]) -> ServerlessPlan | None:
    """Return a plan of the shortest latency, ``None`` if some expert fits nowhere."""
    degree, shortest_s = _shortest(problem, menus)
    if math.isinf(shortest_s):
        return None
    modes, options = [], []
    for menu in menus:
        free = np.ones(menu.design.size, dtype=np.bool_)
        if problem.pipeline_degree == "model":
            free = (menu.design != 1) | (menu.degree == degree)
        least_s = float(menu.mode_latency_s()[free].min())
        chosen = cheapest_within(menu, free, least_s)
        assert chosen is not None
        options.append(chosen)
        modes.append(int(menu.mode[chosen[0]]))
    return plan_of(problem, menus, modes, options)


def _shortest(problem: ServerlessProblem, menus: tuple[Menu, ...]) -> tuple[int, float]:
    """Return the shortest sum of the layers' latencies, and the model's degree that has it."""
    late = [menu.mode_latency_s() for menu in menus]
    if problem.pipeline_degree == "layer":
        return 0, sum(float(seconds.min(initial=math.inf)) for seconds in late)
    degrees = sorted({degree for menu in menus for degree in menu.degree.tolist()})
    sums = {
        degree: sum(
            float(seconds[np.isin(menu.degree, (0, degree))].min(initial=math.inf))
            for menu, seconds in zip(menus, late, strict=True)
        )
        for degree in degrees
    }
    return min(sums.items(), key=lambda item: item[1], default=(0, math.inf))


def _impossible(problem: ServerlessProblem, menus: tuple[Menu, ...]) -> tuple[Violation, ...]:
    """Return why there is no plan: experts that fit nowhere, or the promise."""
    unfit = [layer for layer, menu in enumerate(menus) if not menu.design.size]
    if unfit:
        message = (
            "no design takes all experts: memory, payload or the longest call forbids it;"
            " raise memory_mb or max_replicas, or allow another design"
        )
        return tuple(
            Violation(constraint="C3", path=f"$.layers[{layer}]", message=message, amount=1.0)
            for layer in unfit
        )
    # Menus leave out what is too late for the promise: look again, with all the time there is.
    patient = msgspec.structs.replace(problem, slo_s=sys.float_info.max)
    menus = short_menus(patient)
    _, shortest_s = _shortest(patient, menus)
    fastest = _fastest(patient, menus)
    if fastest is None:
        message = "no pipeline degree of the model suits all layers; allow one for each layer"
        return (Violation(constraint="C7", path="$.pipeline_degree", message=message, amount=1.0),)
    moe_usd = evaluate(patient, fastest).cost_usd - fixed_usd(problem)
    return (too_slow(problem, shortest_s, moe_usd),)
