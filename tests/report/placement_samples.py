"""Placement problems of every kind, solved once, and how their pictures and facts are read."""

from __future__ import annotations

import functools
from typing import Any

import msgspec
import numpy as np

import moeopt
from moeopt import library
from moeopt.core.result import Result
from moeopt.placement.plan import PlacementPlan
from moeopt.placement.problem import PlacementProblem
from moeopt.report.picture import Picture
from moeopt.report.wings import Fact

#: One of every kind: with a previous plan, speeds, scenarios, dead devices, empty slots, splits.
KINDS = (
    "tiny-move-limit",
    "tiny-move-price",
    "tiny-speeds",
    "tiny-scenario-weights",
    "tiny-worst-max",
    "tiny-cvar",
    "tiny-dead-device",
    "tiny-empty-slots",
    "tiny-duplicates",
    "tiny-nearest-split",
    "tiny-optimal-split",
    "tiny-priced-groups",
    "tiny-memory-across-layers",
    "tiny-activated",
    "qwen3-144-16",
)


@functools.cache
def solved(name: str) -> tuple[PlacementProblem, Result[Any]]:
    """Return a problem of the library with its result; of many layers the first three."""
    problem = moeopt.load_problem(library.find(f"placement/{name}"))
    assert isinstance(problem, PlacementProblem)
    if problem.num_layers > 8:
        part = problem.loads_tokens[:, :3]
        problem = msgspec.structs.replace(problem, loads_tokens=part, generator=None)
    return problem, moeopt.solve(problem)


def mark(picture: Picture, name: str) -> Any:
    """Return the mark of a picture that is called so."""
    (found,) = [mark for mark in picture.marks if mark.name == name]
    return found


def names(picture: Picture) -> list[str]:
    """Return what the marks of a picture are called, the first behind."""
    return [mark.name for mark in picture.marks]


def fact(facts: Any, label: str) -> Fact:
    """Return the fact of a label."""
    (found,) = [fact for fact in facts if fact.label == label]
    return found


def by_hand(problem: PlacementProblem, plan: PlacementPlan) -> Any:
    """Return loads over speed under the even split, slot by slot, ``(layers, devices)``."""
    tokens = problem.mean_loads()
    found = np.zeros((problem.num_layers, problem.num_devices))
    device, speed = problem.slot_device(), problem.cluster.relative_speed()
    for layer, row in enumerate(plan.physical_to_logical.tolist()):
        for slot, expert in enumerate(row):
            if expert >= 0:
                part = tokens[layer, expert] / row.count(expert)
                found[layer, device[slot]] += part / speed[device[slot]]
    return found
