"""Committees of experts: how many and which of each layer stay, when none may wait for a load."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOME = {
    "Changes": "online",
    "Committee": "arrays",
    "CommitteePlan": "plan",
    "CommitteeProblem": "problem",
    "Evaluation": "plan",
    "NoCommitteeError": "arrays",
    "Order": "submodular",
    "Scheduler": "online",
    "bound": "bounds",
    "committee_problem": "from_trace",
    "evaluate": "plan",
    "hindsight_curves": "hindsight",
    "hindsight_schedule": "hindsight",
    "improve": "submodular",
    "lazy_greedy": "submodular",
    "resident_at": "plan",
    "schedule": "online",
    "seat": "arrays",
    "upper_bound": "submodular",
    "violations": "plan",
}

__all__ = [
    "Changes",
    "Committee",
    "CommitteePlan",
    "CommitteeProblem",
    "Evaluation",
    "NoCommitteeError",
    "Order",
    "Scheduler",
    "bound",
    "committee_problem",
    "evaluate",
    "hindsight_curves",
    "hindsight_schedule",
    "improve",
    "lazy_greedy",
    "resident_at",
    "schedule",
    "seat",
    "upper_bound",
    "violations",
]

if TYPE_CHECKING:
    from moeopt.committee.arrays import Committee, NoCommitteeError, seat
    from moeopt.committee.bounds import bound
    from moeopt.committee.from_trace import committee_problem
    from moeopt.committee.hindsight import hindsight_curves, hindsight_schedule
    from moeopt.committee.online import Changes, Scheduler, schedule
    from moeopt.committee.plan import (
        CommitteePlan,
        Evaluation,
        evaluate,
        resident_at,
        violations,
    )
    from moeopt.committee.problem import CommitteeProblem
    from moeopt.committee.submodular import Order, improve, lazy_greedy, upper_bound


def __getattr__(name: str) -> Any:
    """Import the module that defines a public name on first use (PEP 562)."""
    if name in _HOME:
        value = getattr(importlib.import_module(f"moeopt.committee.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'moeopt.committee' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
