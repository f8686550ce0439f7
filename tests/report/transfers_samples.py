"""Plans of transfers for tests: one by hand, and instances of the library solved once."""

from __future__ import annotations

import functools
from typing import Any

import msgspec
import numpy as np

import moeopt
from moeopt.transfers import TransferPlan, TransferProblem

#: 0 -> 1 for 3 s, then 0 -> 2 for 1 s; 1 -> 2 at the same time as the first.
PLAN = TransferPlan(
    source=np.array([0, 1, 0]),
    destination=np.array([1, 2, 2]),
    size_bytes=np.array([3.0, 2.0, 1.0]),
    start_s=np.array([0.0, 0.0, 3.0]),
    duration_s=np.array([3.0, 2.0, 1.0]),
    round_index=np.array([0, 0, 1]),
)
PROBLEM = TransferProblem(
    traffic_bytes=np.array([[0.0, 3, 1], [0, 0, 2], [0, 0, 0]]), bandwidth_bytes_per_s=1.0
)


@functools.cache
def solved(name: str, method: str) -> tuple[TransferProblem, Any]:
    """Return an instance of the library and its result."""
    problem: TransferProblem = moeopt.load_problem(f"@transfers/{name}")
    return problem, moeopt.solve(problem, method)


def changed(problem: TransferProblem, **fields: Any) -> TransferProblem:
    """Return a problem with other values of some fields."""
    return msgspec.structs.replace(problem, **fields)
