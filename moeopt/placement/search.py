"""Local search: iterated descent in the plain case, annealing under every rule and objective."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np

from moeopt.core import interrupts
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.result import Limit
from moeopt.core.stop import Context
from moeopt.core.wing import Outcome
from moeopt.placement import balance
from moeopt.placement.bounds import layer_bounds
from moeopt.placement.certify import certify, nodes_alike
from moeopt.placement.greedy import feasible_plan
from moeopt.placement.plan import PlacementPlan, arrivals, copies_of, evaluate, layer_copies
from moeopt.placement.problem import PlacementProblem
from moeopt.placement.rules import home_mask, joining, loads_and_weights, network_of, rules_of

#: Work per slot of one round of the plain search, and how many rounds without a time limit.
PLAIN_WORK = 20_000
PLAIN_ROUNDS = 2

#: Annealing steps per slot of a layer in each round, and how many rounds without a time limit.
STEPS_PER_SLOT = 600
ANNEAL_ROUNDS = 4

#: Share of the time that goes into the search where bounds can be tightened after it.
SEARCH_SHARE = 0.3

#: Steps after which the pace of annealing is known.
FIRST_STEPS = 2_000

#: Most seconds for a first plan by the exact model, where the constructions find none.
FIRST_PLAN_S = 60.0

#: First temperature of each round, as a share of the objective; where seconds count, experts that
#: exchange tokens must often part before they meet elsewhere.
HEAT = 0.005
HEAT_OF_TIME = 0.05

#: Budgets of bytes times this: what other layers leave of a budget that is met exactly is rounded.
_ROUNDED = 1 + 1e-12


def search(
    problem: PlacementProblem, context: Context, warm_start: PlacementPlan | None = None
) -> Outcome:
    """Search by moves, swaps and changes of replica counts; anytime, with the cheap bounds.

    Without a time limit a fixed number of rounds runs; with one, rounds until the deadline, or,
    where groups must stay on one node, for part of the time, the rest going into tighter bounds
    (`moeopt.placement.certify`).
    """
    if warm_start is None and balance.is_plain(problem):
        found = _plain(problem, context)
        if found.plan is not None:
            return found
    return _anneal(problem, context, warm_start)


def _plain(problem: PlacementProblem, context: Context) -> Outcome:
    blocks = balance.blocks_of(problem)
    certifies = context.time_limit_s is not None and blocks.groups > 0 and nodes_alike(problem)
    share = SEARCH_SHARE if certifies else 1.0
    best: balance.Balanced | None = None
    limit = None
    done = 0
    round_s = 0.0
    try:
        while True:
            # A first, short round makes sure that there is a plan early, and times the rest.
            before_s = context.elapsed_s()
            work = _plain_work(context.part(share), round_s, best is None)
            if best is None:
                best = balance.search(blocks, work, context.seed)
                round_s = context.elapsed_s() - before_s
            else:
                best = _round(blocks, best, work, context.seed + 1000 * done, context)
            done += 1
            value, bound = float(best.value.sum()), float(best.bound.sum())
            if not math.isfinite(value):
                # What packs no layer's plan now will not later: other ways need the time.
                break
            context.report(value, bound, f"round {done}")
            limit = _stop(context.part(share), value, bound, done, PLAIN_ROUNDS + 1)
            if limit is not None:
                break
        if limit is Limit.TIME and certifies:
            best = certify(problem, best, context)
            limit = _stop(context, float(best.value.sum()), float(best.bound.sum()), done, done)
    except KeyboardInterrupt:
        if best is None or interrupts.asked():
            raise
        limit = Limit.INTERRUPTED
    return plain_outcome(problem, best, None if limit is Limit.NONE else limit, rounds=done)


def _round(
    blocks: balance.Blocks, best: balance.Balanced, work: int, seed: int, context: Context
) -> balance.Balanced:
    """Return the better plan of each layer after one more round, as far as time allows."""
    for layer in range(len(best.value)):
        if context.out_of_time():
            break
        one = replace(blocks, load=blocks.load[layer : layer + 1])
        found = balance.search(one, work, seed + layer)
        if found.value[0] < best.value[layer]:
            best.table[layer], best.value[layer] = found.table[0], found.value[0]
            context.report(float(best.value.sum()), float(best.bound.sum()), f"layer {layer}")
        best.bound[layer] = max(best.bound[layer], found.bound[0])
    return best


def _plain_work(context: Context, first_round_s: float, first: bool) -> int:
    """Return the work per slot of a round, so that it ends before the deadline."""
    if first:
        return balance.AUTO_WORK
    if context.time_limit_s is None:
        return PLAIN_WORK
    rounds = 0.5 * context.remaining_s() / max(first_round_s, 1e-6)
    return int(min(PLAIN_WORK, balance.AUTO_WORK * max(1.0, rounds)))


def plain_outcome(
    problem: PlacementProblem, found: balance.Balanced, limit: Limit | None = None, **extra: Any
) -> Outcome:
    """Return the outcome of the fast path; no plan where a layer has none."""
    plan = None
    if np.isfinite(found.value).all():
        plan = PlacementPlan(physical_to_logical=balance.expand(problem, found.table))
    return Outcome(
        plan=plan,
        bound=float(found.bound.sum()),
        limit=limit,
        statistics={"layer_bound": found.bound.tolist(), **extra},
    )


def _stop(context: Context, objective: float, bound: float, done: int, rounds: int) -> Limit | None:
    """Return why to stop after a round, or ``None`` to go on; `Limit.NONE` is the natural end."""
    if objective <= bound * (1 + 1e-9):
        return Limit.NONE
    if context.gap > 0 and context.close_enough(objective, bound):
        return Limit.GAP
    if context.out_of_time():
        return Limit.TIME
    if context.time_limit_s is None and done >= rounds:
        return Limit.NONE
    return None


def _anneal(
    problem: PlacementProblem, context: Context, warm_start: PlacementPlan | None
) -> Outcome:
    bound = layer_bounds(problem)
    known: dict[str, Any] = {"layer_bound": bound.tolist()}
    start = warm_start or feasible_plan(problem)
    if start is None:
        first = first_plan(problem, context)
        if not isinstance(first.plan, PlacementPlan):
            return replace(first, bound=float(bound.sum()), statistics=known)
        start = first.plan
    best, value = start, evaluate(problem, start).objective
    limit: Limit | None = None
    done = 0
    pace = _Pace(context)
    try:
        while limit is None:
            table = _anneal_round(problem, context, best.physical_to_logical, done, pace)
            done += 1
            candidate = PlacementPlan(physical_to_logical=table)
            reached = evaluate(problem, candidate).objective
            if reached < value:
                best, value = candidate, reached
            context.report(value, float(bound.sum()), f"round {done}")
            limit = _stop(context, value, float(bound.sum()), done, ANNEAL_ROUNDS)
    except KeyboardInterrupt:
        if interrupts.asked():
            raise
        limit = Limit.INTERRUPTED
    return Outcome(
        plan=best,
        bound=float(bound.sum()),
        limit=None if limit is Limit.NONE else limit,
        statistics={**known, "rounds": done},
    )


@dataclass
class _Pace:
    """How fast annealing goes, so that no layer's steps overrun the deadline.

    Attributes
    ----------
    context
        Its deadline counts.
    step_s
        Seconds a step took so far, 0 before the first.
    """

    context: Context
    step_s: float = 0.0

    def steps(self, wanted: int, layers_left: int) -> int:
        """Return how many of the wanted steps one of the layers left may take."""
        if self.context.time_limit_s is None:
            return wanted
        if self.step_s == 0.0:
            return min(wanted, FIRST_STEPS)
        return min(wanted, int(0.8 * self.context.remaining_s() / layers_left / self.step_s))

    def took(self, seconds: float, steps: int) -> None:
        """Note what some steps took."""
        if steps >= FIRST_STEPS:
            self.step_s = seconds / steps


def _anneal_round(
    problem: PlacementProblem, context: Context, start: IntArray, done: int, pace: _Pace
) -> IntArray:
    """Anneal every layer once, in order; layers share memory and the limits of moved bytes."""
    from moeopt.placement import _kernels_rules

    loads, weights = loads_and_weights(problem)
    kind, tail = joining(problem)
    heat = HEAT_OF_TIME if problem.objective == "layer_time" else HEAT
    rules = rules_of(problem, home_mask(problem, start))
    table = start.copy()
    copies = copies_of(problem, table)
    for layer in range(problem.num_layers):
        steps = pace.steps(STEPS_PER_SLOT * problem.num_slots, problem.num_layers - layer)
        if context.out_of_time() or steps == 0:
            break
        before_s = context.elapsed_s()
        free = _memory_left(problem, rules.size, copies, layer)
        move_room, device_room, node_room = _moves_left(problem, table, layer)
        network = network_of(problem, layer)
        row = table[layer]
        _kernels_rules.anneal(
            loads[:, layer].copy(),
            weights,
            rules.rates,
            kind,
            tail,
            problem.objective != "activated",
            network.sends,
            network.leaves,
            network.stays,
            network.between,
            rules.slot_start,
            rules.allowed[layer],
            rules.pinned[layer],
            problem.max_copies_per_device or 0,
            problem.min_copies_per_expert,
            rules.most[layer],
            problem.distinct_nodes,
            rules.node,
            problem.cluster.num_nodes,
            rules.size[layer],
            free,
            problem.allow_empty_slots,
            rules.held[layer],
            rules.near[layer],
            problem.move_price_per_byte if problem.previous is not None else 0.0,
            move_room,
            device_room,
            node_room,
            problem.groups,
            problem.cross_node_price,
            steps,
            heat if done % 2 == 0 else heat / 10,
            context.seed + 1_000_003 * done + layer,
            row,
        )
        pace.took(context.elapsed_s() - before_s, steps)
        copies[layer] = layer_copies(problem, row)
    return table


def _memory_left(
    problem: PlacementProblem, size: FloatArray, copies: IntArray, layer: int
) -> FloatArray:
    """Return the bytes of each device that the other layers leave to one, ``(devices,)``."""
    used = np.einsum("leg,le->g", copies, size) - copies[layer].T @ size[layer]
    left: FloatArray = problem.memory_budget_bytes() * _ROUNDED - used
    return left


def _moves_left(
    problem: PlacementProblem, table: IntArray, layer: int
) -> tuple[float, FloatArray, FloatArray]:
    """Return the moved bytes that the other layers leave to one: in all, by device and by node."""
    at_device, at_node = (budget * _ROUNDED for budget in problem.arrival_budget_bytes())
    if not problem.limits_moves():
        return math.inf, at_device, at_node
    found = arrivals(problem, table)
    of_device, of_node = (
        moved.sum(axis=0) - moved[layer] for moved in (found.device_bytes, found.node_bytes)
    )
    in_all = math.inf if problem.max_moved_bytes is None else problem.max_moved_bytes * _ROUNDED
    return in_all - float(of_device.sum()), at_device - of_device, at_node - of_node


def first_plan(problem: PlacementProblem, context: Context) -> Outcome:
    """Return any plan, or the proof that there is none, by the exact model of the rules alone.

    For when the constructions ran into a corner. Whether a plan exists depends neither on the
    objective nor on the split, so these are replaced by what the model takes.
    """
    from moeopt.placement.exact import solve_exact

    rules_only = msgspec.structs.replace(
        problem,
        objective="max_load",
        split="even",
        cvar_tail=None,
        timing=None,
        source_tokens=None,
        expert_traffic_tokens=None,
        cross_node_price=0.0,
        move_price_per_byte=0.0,
    )
    limit_s = context.elapsed_s() + min(FIRST_PLAN_S, context.remaining_s())
    outcome = solve_exact(
        rules_only, replace(context, time_limit_s=limit_s, gap=1e9, progress=None), None
    )
    if outcome.plan is None and not outcome.infeasible:
        return replace(outcome, limit=Limit.TIME)
    return outcome
