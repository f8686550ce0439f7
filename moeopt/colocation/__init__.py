"""Experts of several models on the same devices: who shares a device, with a proof of quality."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOME = {
    "Colocation": "arrays",
    "ColocationPlan": "plan",
    "ColocationProblem": "problem",
    "Evaluation": "plan",
    "ModelLayer": "problem",
    "NoColocationError": "arrays",
    "Pin": "problem",
    "WireOrder": "wire",
    "bound": "bounds",
    "colocate": "arrays",
    "device_phases": "plan",
    "evaluate": "plan",
    "order_on_the_wire": "wire",
    "speedups": "summary",
    "violations": "plan",
}

__all__ = [
    "Colocation",
    "ColocationPlan",
    "ColocationProblem",
    "Evaluation",
    "ModelLayer",
    "NoColocationError",
    "Pin",
    "WireOrder",
    "bound",
    "colocate",
    "device_phases",
    "evaluate",
    "order_on_the_wire",
    "speedups",
    "violations",
]

if TYPE_CHECKING:
    from moeopt.colocation.arrays import Colocation, NoColocationError, colocate
    from moeopt.colocation.bounds import bound
    from moeopt.colocation.plan import (
        ColocationPlan,
        Evaluation,
        device_phases,
        evaluate,
        violations,
    )
    from moeopt.colocation.problem import ColocationProblem, ModelLayer, Pin
    from moeopt.colocation.summary import speedups
    from moeopt.colocation.wire import WireOrder, order_on_the_wire


def __getattr__(name: str) -> Any:
    """Import the module that defines a public name on first use (PEP 562)."""
    if name in _HOME:
        value = getattr(importlib.import_module(f"moeopt.colocation.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'moeopt.colocation' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
