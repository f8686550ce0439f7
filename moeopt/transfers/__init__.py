"""The order of an all-to-all: who sends what to whom when, with a proof of quality."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOME = {
    "Busy": "problem",
    "Evaluation": "plan",
    "Fabric": "problem",
    "Flow": "migration",
    "Migration": "migration",
    "Moves": "migration",
    "NoScheduleError": "arrays",
    "Part": "plan",
    "PortRound": "plan",
    "Rounds": "birkhoff",
    "Schedule": "arrays",
    "TransferPlan": "plan",
    "TransferProblem": "problem",
    "Window": "problem",
    "bound": "bounds",
    "choose_sources": "migration",
    "decompose": "birkhoff",
    "evaluate": "plan",
    "migration_problem": "migration",
    "moves_between": "migration",
    "order_migration": "migration",
    "rounds_of": "birkhoff",
    "schedule": "arrays",
    "speedups": "contention",
    "violations": "plan",
}

__all__ = [
    "Busy",
    "Evaluation",
    "Fabric",
    "Flow",
    "Migration",
    "Moves",
    "NoScheduleError",
    "Part",
    "PortRound",
    "Rounds",
    "Schedule",
    "TransferPlan",
    "TransferProblem",
    "Window",
    "bound",
    "choose_sources",
    "decompose",
    "evaluate",
    "migration_problem",
    "moves_between",
    "order_migration",
    "rounds_of",
    "schedule",
    "speedups",
    "violations",
]

if TYPE_CHECKING:
    from moeopt.transfers.arrays import NoScheduleError, Schedule, schedule
    from moeopt.transfers.birkhoff import Rounds, decompose, rounds_of
    from moeopt.transfers.bounds import bound
    from moeopt.transfers.contention import speedups
    from moeopt.transfers.migration import (
        Flow,
        Migration,
        Moves,
        choose_sources,
        migration_problem,
        moves_between,
        order_migration,
    )
    from moeopt.transfers.plan import (
        Evaluation,
        Part,
        PortRound,
        TransferPlan,
        evaluate,
        violations,
    )
    from moeopt.transfers.problem import Busy, Fabric, TransferProblem, Window


def __getattr__(name: str) -> Any:
    """Import the module that defines a public name on first use (PEP 562)."""
    if name in _HOME:
        value = getattr(importlib.import_module(f"moeopt.transfers.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'moeopt.transfers' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
