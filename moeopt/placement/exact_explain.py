"""Why a placement problem is infeasible: which rules would have to give way, and by how much."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import replace

import numpy as np
from scipy import sparse

from moeopt.core.arrays import BoolArray, FloatArray
from moeopt.core.errors import BackendError
from moeopt.core.wing import Violation
from moeopt.mip import LinearModel, solve_model
from moeopt.mip.names import NameBlock
from moeopt.placement.exact_rules import add_rules, bytes_unit, start_model
from moeopt.placement.problem import PlacementProblem

_log = logging.getLogger(__name__)

#: Where each rule is stated, and what its rows count.
_STATED = {
    "C1": ("$.min_copies_per_expert", "copies"),
    "C2": ("$.slots_per_device", "slots"),
    "C3": ("$.max_copies_per_device", "copies"),
    "C4": ("$.max_copies_per_expert", "copies"),
    "C5": ("$.expert_memory_bytes", "bytes"),
    "C6": ("$.pinned", "copies"),
    "C7": ("$.forbidden", "copies"),
    "C8": ("$.dead_devices", "copies"),
    "C9": ("$.distinct_nodes", "copies"),
    "C10": ("$.group_rule", "copies"),
    "C11": ("$.max_moved_bytes", "bytes"),
    "C12": ("$.max_moved_bytes_per_device", "bytes"),
    "C13": ("$.max_moved_bytes_per_node", "bytes"),
}

#: Less than this is a backend's tolerance and no conflict.
_NOTHING = 1e-6


def explain(
    problem: PlacementProblem, layers: tuple[int, ...], time_limit_s: float = math.inf
) -> tuple[Violation, ...]:
    """Return every rule that alone, by giving way, would make an infeasible problem feasible.

    Each rule in turn gets slack columns whose sum is minimised while the others hold. If no rule
    suffices alone, all get slack together, and those that use it are returned.
    """
    deadline = time.perf_counter() + time_limit_s
    frame = start_model(problem, "rules", tighten=False)
    add_rules(frame)
    model = frame.builder.build()
    rules = [group for group in model.groups() if group in _STATED]
    found = []
    for rule in rules:
        slack = _least_slack(model, model.row_group == rule, deadline)
        if slack is not None:
            found.append(_violation(problem, layers, rule, float(slack.sum()), alone=True))
    if not found:
        every = np.isin(model.row_group, rules)
        slack = _least_slack(model, every, deadline)
        amounts = np.ones(0) if slack is None else slack
        labels = model.row_group[every]
        for rule in rules if slack is not None else []:
            amount = float(amounts[labels == rule].sum())
            if amount > _NOTHING:
                found.append(_violation(problem, layers, rule, amount, alone=False))
    return tuple(found) or (_unexplained(layers),)


def _least_slack(model: LinearModel, rows: BoolArray, deadline: float) -> FloatArray | None:
    """Return the slack of `rows`, of least sum, that makes the model feasible; ``None`` if none."""
    left_s = deadline - time.perf_counter()
    if left_s <= 0:
        return None
    limit_s = None if math.isinf(left_s) else left_s
    try:
        answer = solve_model(_elastic(model, rows), time_limit_s=limit_s)
    except BackendError as error:
        _log.info("not explained: %s", error)
        return None
    if answer.x is None:
        return None
    parts = answer.x[model.num_columns :].reshape(2, -1)
    return np.asarray(parts.sum(axis=0))


def _elastic(model: LinearModel, rows: BoolArray) -> LinearModel:
    """Return the model with two priced slack columns in each of `rows` and no other cost."""
    index = np.flatnonzero(rows)
    slack = sparse.csr_array(
        (np.ones(len(index)), (index, np.arange(len(index)))), shape=(model.num_rows, len(index))
    )
    more = 2 * len(index)
    return replace(
        model,
        A=sparse.csr_array(sparse.hstack([model.A, slack, -slack], format="csr")),
        column_lower=np.append(model.column_lower, np.zeros(more)),
        column_upper=np.append(model.column_upper, np.full(more, np.inf)),
        integrality=np.append(model.integrality, np.zeros(more, dtype=np.bool_)),
        objective=np.append(np.zeros(model.num_columns), np.ones(more)),
        objective_offset=0.0,
        column_blocks=(*model.column_blocks, NameBlock("slack", (2, len(index)))),
    )


def _violation(
    problem: PlacementProblem, layers: tuple[int, ...], rule: str, amount: float, *, alone: bool
) -> Violation:
    path, unit = _STATED[rule]
    if unit == "bytes":
        # The rows of C5 and C11 to C13 count in units of the largest expert.
        amount *= bytes_unit(problem)
    if rule == "C5" and problem.expert_memory_bytes is None:
        path = "$.cluster"
    where = f"in layer {layers[0]}" if len(layers) == 1 else "over all layers"
    enough = "relaxing this rule alone" if alone else "relaxing this rule with the others named"
    message = (
        f"must give way by {amount:g} {unit} {where} for any plan to exist;"
        f" {enough} would be enough"
    )
    return Violation(constraint=rule, path=path, message=message, amount=amount)


def _unexplained(layers: tuple[int, ...]) -> Violation:
    where = f"layer {layers[0]}" if len(layers) == 1 else "the layers together"
    message = f"{where} must have a plan but was proven to have none; time ended before the reason"
    return Violation(constraint="C2", path="$", message=message, amount=1.0)
