"""Hypothesis strategies for every public description type, and for problems and plans.

Examples
--------
>>> from hypothesis import given
>>> from moeopt.testing.strategies import placement_problems
>>> @given(placement_problems(objectives=("max_load",)))
... def test_my_method(problem):
...     assert problem.num_experts <= 6
>>> test_my_method()
"""

try:
    import hypothesis  # noqa: F401
except ImportError as error:
    raise ImportError(
        "moeopt.testing.strategies needs hypothesis: pip install 'moeopt[test]'"
    ) from error

from moeopt.testing.strategies.buffering import (
    BUFFERING_FEATURES,
    BUFFERING_OBJECTIVES,
    buffering_plans,
    buffering_problems,
)
from moeopt.testing.strategies.colocation import (
    COLOCATION_FEATURES,
    COLOCATION_OBJECTIVES,
    colocation_plans,
    colocation_problems,
)
from moeopt.testing.strategies.committee import (
    COMMITTEE_FEATURES,
    COMMITTEE_LOSSES,
    committee_plans,
    committee_problems,
)
from moeopt.testing.strategies.loads import LOAD_KINDS, LoadKind, loads
from moeopt.testing.strategies.machines import clusters, devices, models, nodes
from moeopt.testing.strategies.placement import (
    FEATURES,
    OBJECTIVES,
    SPLITS,
    pairs,
    placement_plans,
    placement_problems,
    timings,
)
from moeopt.testing.strategies.serverless import (
    SERVERLESS_FEATURES,
    serverless_plans,
    serverless_problems,
)
from moeopt.testing.strategies.transfers import (
    TRANSFER_FEATURES,
    transfer_plans,
    transfer_problems,
)

__all__ = [
    "BUFFERING_FEATURES",
    "BUFFERING_OBJECTIVES",
    "COLOCATION_FEATURES",
    "COLOCATION_OBJECTIVES",
    "COMMITTEE_FEATURES",
    "COMMITTEE_LOSSES",
    "FEATURES",
    "LOAD_KINDS",
    "OBJECTIVES",
    "SERVERLESS_FEATURES",
    "SPLITS",
    "TRANSFER_FEATURES",
    "LoadKind",
    "buffering_plans",
    "buffering_problems",
    "clusters",
    "colocation_plans",
    "colocation_problems",
    "committee_plans",
    "committee_problems",
    "devices",
    "loads",
    "models",
    "nodes",
    "pairs",
    "placement_plans",
    "placement_problems",
    "serverless_plans",
    "serverless_problems",
    "timings",
    "transfer_plans",
    "transfer_problems",
]
