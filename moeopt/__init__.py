"""Placement and scheduling of Mixture-of-Experts models, solved with a proof of quality.

Names are loaded on first use, so that ``import moeopt`` stays light: no solver, no compiler and no
plotting library is imported until something needs it.
"""

import importlib
import logging
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

logging.getLogger("moeopt").addHandler(logging.NullHandler())

_HOME = {
    "AdapterError": "moeopt.core.errors",
    "BackendError": "moeopt.core.errors",
    "Cluster": "moeopt.describe.cluster",
    "InstanceError": "moeopt.core.errors",
    "Limit": "moeopt.core.result",
    "MoeoptError": "moeopt.core.errors",
    "PlacementProblem": "moeopt.placement.problem",
    "ProgressEvent": "moeopt.core.progress",
    "Result": "moeopt.core.result",
    "Status": "moeopt.core.result",
    "TransferProblem": "moeopt.transfers.problem",
    "Violation": "moeopt.core.wing",
    "load_plan": "moeopt.io",
    "load_problem": "moeopt.io",
    "save_plan": "moeopt.io",
    "save_problem": "moeopt.io",
    "solve": "moeopt.core.solve",
}

__all__ = [
    "AdapterError",
    "BackendError",
    "Cluster",
    "InstanceError",
    "Limit",
    "MoeoptError",
    "PlacementProblem",
    "ProgressEvent",
    "Result",
    "Status",
    "TransferProblem",
    "Violation",
    "__version__",
    "load_plan",
    "load_problem",
    "save_plan",
    "save_problem",
    "solve",
]

if TYPE_CHECKING:
    from moeopt.core.errors import AdapterError, BackendError, InstanceError, MoeoptError
    from moeopt.core.progress import ProgressEvent
    from moeopt.core.result import Limit, Result, Status
    from moeopt.core.solve import solve
    from moeopt.core.wing import Violation
    from moeopt.describe.cluster import Cluster
    from moeopt.io import load_plan, load_problem, save_plan, save_problem
    from moeopt.placement.problem import PlacementProblem
    from moeopt.transfers.problem import TransferProblem


def __getattr__(name: str) -> Any:
    """Import the module that defines a public name on first use (PEP 562)."""
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'moeopt' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
