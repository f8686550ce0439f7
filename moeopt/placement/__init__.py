"""Experts and their replicas on devices: load balancing with a proof of quality."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOME = {
    "Evaluation": "plan",
    "Front": "replan",
    "NoPlacementError": "arrays",
    "Pair": "problem",
    "Placement": "arrays",
    "PlacementPlan": "plan",
    "PlacementProblem": "problem",
    "Timing": "problem",
    "anticorrelation": "greedy",
    "contiguous": "greedy",
    "evaluate": "plan",
    "layer_bounds": "bounds",
    "lpt": "greedy",
    "place": "arrays",
    "relabelled": "relabel",
    "replan_front": "replan",
    "round_robin": "greedy",
    "violations": "plan",
}

__all__ = [
    "Evaluation",
    "Front",
    "NoPlacementError",
    "Pair",
    "Placement",
    "PlacementPlan",
    "PlacementProblem",
    "Timing",
    "anticorrelation",
    "contiguous",
    "evaluate",
    "layer_bounds",
    "lpt",
    "place",
    "relabelled",
    "replan_front",
    "round_robin",
    "violations",
]

if TYPE_CHECKING:
    from moeopt.placement.arrays import NoPlacementError, Placement, place
    from moeopt.placement.bounds import layer_bounds
    from moeopt.placement.greedy import anticorrelation, contiguous, lpt, round_robin
    from moeopt.placement.plan import Evaluation, PlacementPlan, evaluate, violations
    from moeopt.placement.problem import Pair, PlacementProblem, Timing
    from moeopt.placement.relabel import relabelled
    from moeopt.placement.replan import Front, replan_front


def __getattr__(name: str) -> Any:
    """Import the module that defines a public name on first use (PEP 562)."""
    if name in _HOME:
        value = getattr(importlib.import_module(f"moeopt.placement.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'moeopt.placement' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
