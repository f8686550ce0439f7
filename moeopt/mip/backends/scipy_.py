"""``scipy.optimize.milp``: the HiGHS inside SciPy, always there, with few controls.

It takes neither a seed nor threads nor a warm start, knows no constant in the objective, and gives
a pure linear program no bound of its own (an optimal one is its own bound).
"""

from __future__ import annotations

import time
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np

from moeopt.core.errors import BackendError
from moeopt.core.result import Limit
from moeopt.mip.answer import Claim, Verdict
from moeopt.mip.backends.record import Backend, BackendCapabilities, Request
from moeopt.mip.model import LinearModel
from moeopt.mip.presolve import offset_as_column

_VERDICT = {0: Verdict.OPTIMAL, 2: Verdict.INFEASIBLE, 3: Verdict.UNBOUNDED}


@cache
def _version() -> str:
    return f"scipy milp {version('scipy')}"


def _available() -> bool:
    return True


def _run(model: LinearModel, request: Request) -> Claim:
    from scipy.optimize import Bounds, LinearConstraint, milp

    started = time.perf_counter()
    whole = offset_as_column(model)
    rows = LinearConstraint(whole.A, whole.row_lower, whole.row_upper)
    options: dict[str, Any] = {"mip_rel_gap": request.gap}
    remaining_s = request.remaining_s()
    if remaining_s is not None:
        options["time_limit"] = remaining_s
    build_s = time.perf_counter() - started
    result = milp(
        whole.objective,
        integrality=whole.integrality.astype(np.int64),
        bounds=Bounds(whole.column_lower, whole.column_upper),
        constraints=rows if whole.num_rows else None,
        options=options,
    )
    x = None if result.x is None else np.asarray(result.x, np.float64)[: model.num_columns]
    verdict = _VERDICT.get(result.status)
    if verdict is None:
        verdict = _ambiguous(result, found=x is not None)
    bound = result.mip_dual_bound
    if verdict is Verdict.OPTIMAL and bound is None:
        bound = result.fun
    return Claim(
        verdict=verdict,
        limit=Limit.TIME if result.status == 1 else Limit.NONE,
        x=x,
        bound=bound,
        nodes=result.mip_node_count,
        build_s=build_s,
    )


def _ambiguous(result: Any, *, found: bool) -> Verdict:
    if result.status == 1:
        return Verdict.FEASIBLE if found else Verdict.UNKNOWN
    if "unbounded or infeasible" in result.message:
        return Verdict.INFEASIBLE_OR_UNBOUNDED
    raise BackendError("scipy", result.message, "try another backend")


SCIPY = Backend(
    name="scipy",
    version=_version,
    available=_available,
    run=_run,
    capabilities=BackendCapabilities(warm_start=False, threads=False, seed=False),
)
