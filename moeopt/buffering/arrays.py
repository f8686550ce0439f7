"""Expert caches for other systems: plain arrays in, plain arrays out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from moeopt.buffering.from_trace import buffering_problem
from moeopt.buffering.plan import BufferingPlan, evaluate
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.residents import changes_of, finds_resident
from moeopt.core.arrays import BoolArray, IntArray, own_array
from moeopt.core.errors import InstanceError, MoeoptError
from moeopt.core.progress import Progress
from moeopt.core.result import Result, relative_gap
from moeopt.core.sentences import require_fields
from moeopt.core.solve import solve
from moeopt.traces.trace import RoutingTrace

#: Fields of the problem that `buffer` makes from the routing.
_MADE = ("layers", "experts", "active", "starts", "weights", "sequence_starts", "slots")


class NoBufferingError(MoeoptError, ValueError):
    """No schedule exists, or none was found; the message names the rule that cannot hold."""


@dataclass(frozen=True)
class Buffering:
    """What the caches did, as arrays.

    Attributes
    ----------
    slots
        Room of each layer's cache, ``(layers,)``; of the pool, ``(1,)``.
    active
        Expert of each reference, step after step, layer after layer, ``(references,)``.
    layer
        Layer of each reference, ``(references,)``.
    hit
        Whether each reference found its expert, ``(references,)``.
    hit_rate
        Share of hits.
    objective, bound
        As the problem counts them; `bound` is ``None`` if none was proven.
    problem, plan, result
        The whole of it: loads and drops are the plan's.
    """

    slots: IntArray
    active: IntArray
    layer: IntArray
    hit: BoolArray
    hit_rate: float | None
    objective: float
    bound: float | None
    problem: BufferingProblem
    plan: BufferingPlan
    result: Result[BufferingPlan]

    @property
    def gap(self) -> float | None:
        """Relative distance to the bound, ``None`` without one."""
        return relative_gap(self.objective, self.bound)


def buffer(
    routing: Any,
    slots: Any = None,
    *,
    experts: int | None = None,
    batch_tokens: int = 1,
    method: str = "auto",
    time_limit_s: float | None = None,
    gap: float = 0.0,
    seed: int = 0,
    workers: int = 1,
    progress: Progress | None = None,
    **rules: Any,
) -> Buffering:
    """Return what caches of some size make of recorded routing.

    Parameters
    ----------
    routing
        Experts of each token in each MoE layer, ``(tokens, layers, top_k)``, or a `RoutingTrace`.
    slots
        Experts that fit, for each layer: one number, or ``(layers,)``. Left out if `rules` state
        ``cache_bytes`` or ``budget_bytes``.
    experts
        Experts of each layer; left out, one more than the largest that occurs.
    batch_tokens
        Tokens of a step.
    method
        ``"auto"`` is the optimum in hindsight; a policy's name (``"learned"``, ``"lru"``, ...) is
        what a cache can do that does not know the future.
    time_limit_s, gap, seed, workers, progress
        As for `moeopt.solve`.
    **rules
        Any further field of `BufferingProblem`: ``pooled=True``, ``expert_bytes=...``, ...

    Returns
    -------
    Buffering

    Raises
    ------
    InstanceError
        If the arguments are malformed or do not fit together.
    NoBufferingError
        If no schedule exists, or none was found in time.

    Examples
    --------
    Three experts in turn, two slots: keeping one of them is best, LRU keeps none.

    >>> from moeopt.buffering import buffer
    >>> in_turn = [[[0]], [[1]], [[2]]] * 4
    >>> buffer(in_turn, slots=2).hit.astype(int).tolist()
    [0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1]
    >>> buffer(in_turn, slots=2, method="lru").hit_rate
    0.0
    """
    allowed = [n for n in BufferingProblem.__struct_fields__ if n not in _MADE]
    require_fields(rules, allowed)
    trace = _trace(routing, experts)
    if slots is not None:
        rules = {**rules, "slots": slots}
    problem = buffering_problem(trace, batch_tokens=batch_tokens, **rules)
    result = solve(
        problem,
        method,
        time_limit_s=time_limit_s,
        gap=gap,
        seed=seed,
        workers=workers,
        progress=progress,
    )
    plan: BufferingPlan | None = result.plan
    if plan is None or result.objective is None:
        raise NoBufferingError(result.why())
    return Buffering(
        # Copies, because other systems may want to write to them.
        slots=plan.capacity.copy(),
        active=problem.active.copy(),
        layer=problem.group_of() % problem.num_layers,
        hit=hits_of(problem, plan),
        hit_rate=evaluate(problem, plan).hit_rate,
        objective=result.objective,
        bound=result.bound,
        problem=problem,
        plan=plan,
        result=result,
    )


def hits_of(problem: BufferingProblem, plan: BufferingPlan) -> BoolArray:
    """Return which references find their expert in the cache, ``(references,)``.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    """
    if problem.serve == "bypass":
        changes = changes_of(problem, plan)
        return finds_resident(problem, changes, problem.item_of(), problem.group_of())
    hit = np.ones(problem.num_references, dtype=np.bool_)
    hit[plan.load_at if plan.order is None else plan.order[plan.load_at]] = False
    return hit


def _trace(routing: Any, experts: int | None) -> RoutingTrace:
    if isinstance(routing, RoutingTrace):
        if experts is not None:
            raise InstanceError(
                "experts", experts, "must be left out: the trace knows", "leave it out"
            )
        return routing
    ids = own_array(routing, "routing", np.int64)
    if ids.ndim != 3:
        raise InstanceError(
            "routing",
            f"<shape {ids.shape}>",
            "must have shape (tokens, layers, top_k)",
            "give a list of layers for each token, and a list of experts for each layer",
        )
    return RoutingTrace(ids, experts=experts)
