"""What keeps a layer from being cheaper: the rules without which it would be, one at a time."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import msgspec
import numpy as np

from moeopt.serverless.degrees import MOST_DEGREES, candidate_degrees, largest_degree
from moeopt.serverless.fronts import layer_front
from moeopt.serverless.options import LayerData, layer_data
from moeopt.serverless.plan import TOLERANCE, Evaluation, ServerlessPlan
from moeopt.serverless.problem import DESIGNS, ServerlessProblem
from moeopt.serverless.validate import MAX_CELLS

#: The rules that are tried, in words.
RULES = {
    "C2": "replicas",
    "C3": "memory",
    "C4": "payload",
    "C5": "longest call",
    "C6": "promise",
    "C7": "one degree",
    "C8": "designs",
}

#: More than any call carries or takes.
_ANY_BYTES, _ANY_S = 2**62, 1e300

#: Most replicas that a problem may state.
_MOST_REPLICAS = 1000


def binding(
    problem: ServerlessProblem, plan: ServerlessPlan, value: Evaluation, layers: Iterable[int]
) -> list[tuple[str, ...]]:
    """Return, for each of some layers, the rules without any one of which it would be cheaper.

    All other layers stay as they are, and leave it the seconds that it has and what is left of the
    promise. Freed are: one more replica than allowed (C2), memory (C3), payload (C4), the longest
    call (C5), the promise (C6), a degree of the layer's own (C7) and all designs (C8).

    Parameters
    ----------
    problem, plan, value
        A valid plan and its value.
    layers
        Which layers.

    Returns
    -------
    list
        Labels of the formulation page, of `RULES`.
    """
    freed = _freed(problem)
    return [_of_layer(problem, plan, value, layer, freed) for layer in layers]


def _of_layer(
    problem: ServerlessProblem,
    plan: ServerlessPlan,
    value: Evaluation,
    layer: int,
    freed: dict[str, ServerlessProblem],
) -> tuple[str, ...]:
    data = layer_data(problem, layer)
    degree = int(plan.pipeline_degree[layer])
    if problem.pipeline_degree == "model":
        degree = int(plan.pipeline_degree.max())  # where no layer has one, it is still to choose
    own = [degree or largest_degree(data.tokens)]
    budget_s = math.inf if value.slack_s is None else float(value.layer_s[layer]) + value.slack_s
    now_usd = _least_usd(problem, data, own, budget_s)
    least = {label: _least_usd(other, data, own, budget_s) for label, other in freed.items()}
    anything = replace(data, memory_bytes=np.full_like(data.memory_bytes, math.inf))
    least["C3"] = _least_usd(problem, anything, own, budget_s)
    if value.slack_s is not None:
        least["C6"] = _least_usd(problem, data, own, math.inf)
    if problem.pipeline_degree == "model" and 1 in problem.designs:
        every = candidate_degrees(problem, layer)
        if len(every) <= MOST_DEGREES:
            least["C7"] = _least_usd(problem, data, sorted({*own, *every}), budget_s)
    cheaper = now_usd * (1 - TOLERANCE)
    return tuple(label for label in RULES if least.get(label, now_usd) < cheaper)


def _freed(problem: ServerlessProblem) -> dict[str, ServerlessProblem]:
    """Return the problem without each rule that another problem can leave out."""
    changed = msgspec.structs.replace
    book, more = problem.book(), problem.max_replicas + 1
    longer = changed(book, limits=changed(book.limits, timeout_s=_ANY_S))
    found = {"C5": changed(problem, prices=longer), "C8": changed(problem, designs=DESIGNS)}
    cells = problem.num_scenarios * problem.num_experts * len(problem.memory_mb) * more
    if more <= _MOST_REPLICAS and cells <= MAX_CELLS:
        found["C2"] = changed(problem, max_replicas=more)
    if 3 in problem.designs:
        larger = changed(book, limits=changed(book.limits, payload_bytes=_ANY_BYTES))
        found["C4"] = changed(problem, prices=larger, payload_bytes=None)
    return found


def _least_usd(
    problem: ServerlessProblem, data: LayerData, degrees: list[int], budget_s: float
) -> float:
    """Return what a layer costs at least within a latency."""
    front = layer_front(problem, data, problem.designs, degrees).front
    # Costs fall along the front; the tolerance is that of the promise's own check.
    in_time = front.latency_s <= budget_s * (1 + TOLERANCE)
    return float(front.cost_usd[in_time].min(initial=math.inf))
