"""CP-SAT of ortools, for models of integers only.

What to know of it:

- On UNKNOWN and INFEASIBLE it shows 0.0 as objective and bound: read them only after the status.
- A valid tighter lower bound on the objective can turn a 0.2 s proof into none in 12 s, so none is
  given unless asked for (`proto` takes ``objective_floor``).
- It computes in 64-bit integers: see `moeopt.mip.backends.integers` for how coefficients get there.
- With one worker it is deterministic; with several only its proofs are.
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from moeopt.core.errors import BackendError
from moeopt.core.result import Limit
from moeopt.mip.answer import Claim, Verdict
from moeopt.mip.backends.integers import WholeRows, whole_bounds, whole_rows
from moeopt.mip.backends.mathopt import ortools_available, ortools_version
from moeopt.mip.backends.record import Backend, BackendCapabilities, OnIncumbent, Request
from moeopt.mip.interrupts import solve_cpsat
from moeopt.mip.model import LinearModel

_LARGEST_BOUND = 2.0**52
_LARGEST_SEED = 2**31 - 1


def _version() -> str:
    return f"cpsat (ortools {ortools_version()})"


def _run(model: LinearModel, request: Request) -> Claim:
    from ortools.sat.python import cp_model

    started = time.perf_counter()
    _require_bounded_integers(model)
    costs = _whole_costs(model)
    compiled = proto(model, costs)
    if compiled is None:
        return Claim(verdict=Verdict.INFEASIBLE)
    if request.warm_start is not None:
        compiled.proto.solution_hint.vars.extend(range(model.num_columns))
        compiled.proto.solution_hint.values.extend(request.warm_start.astype(np.int64).tolist())
    build_s = time.perf_counter() - started
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = request.threads
    solver.parameters.random_seed = request.seed % _LARGEST_SEED
    solver.parameters.relative_gap_limit = request.gap
    remaining_s = request.remaining_s()
    if remaining_s is not None:
        solver.parameters.max_time_in_seconds = remaining_s
    listener = _listener(model, costs, request.on_incumbent)
    if request.on_incumbent is not None:
        report = request.on_incumbent
        solver.best_bound_callback = lambda shown: report(None, _bound(model, costs, shown))
    status = solve_cpsat(solver, compiled, listener)
    if status == cp_model.MODEL_INVALID:
        raise BackendError("cpsat", compiled.validate().strip() or "invalid model", "use highs")
    if status == cp_model.INFEASIBLE:
        return Claim(verdict=Verdict.INFEASIBLE, build_s=build_s)
    found = status in (cp_model.OPTIMAL, cp_model.FEASIBLE)
    return Claim(
        verdict=_verdict(proven=status == cp_model.OPTIMAL, found=found),
        limit=Limit.NONE if status == cp_model.OPTIMAL else Limit.TIME,
        x=np.array(solver.response_proto.solution, np.float64) if found else None,
        # On UNKNOWN the bound reads 0.0 whether or not anything was proven.
        bound=_bound(model, costs, solver.best_objective_bound) if found else None,
        nodes=solver.num_branches,
        build_s=build_s,
    )


def proto(model: LinearModel, costs: WholeRows, objective_floor: float | None = None) -> Any:
    """Return the ``CpModel``, or ``None`` if rounding shows that no integers can meet a row.

    Parameters
    ----------
    model
        A model of bounded integers.
    costs
        Its objective in whole numbers.
    objective_floor
        A proven lower bound to put into the model; by default none, see the module's notes.
    """
    from ortools.sat.python import cp_model

    rows = whole_rows(model.A.data, model.A.indptr, _reach(model)[model.A.indices])
    lower, upper = whole_bounds(model, rows)
    if (lower > upper).any():
        return None
    compiled = cp_model.CpModel()
    target = compiled.proto
    columns = zip(
        model.column_lower.astype(np.int64).tolist(),
        model.column_upper.astype(np.int64).tolist(),
        strict=True,
    )
    for bounds in columns:
        target.variables.add().domain.extend(bounds)
    starts = model.A.indptr.tolist()
    indices, values = model.A.indices.tolist(), rows.value.tolist()
    for i, domain in enumerate(zip(lower.tolist(), upper.tolist(), strict=True)):
        row = target.constraints.add().linear
        row.vars.extend(indices[starts[i] : starts[i + 1]])
        row.coeffs.extend(values[starts[i] : starts[i + 1]])
        row.domain.extend(domain)
    used = np.flatnonzero(costs.value)
    if used.size:
        target.objective.vars.extend(used.tolist())
        target.objective.coeffs.extend(costs.value[used].tolist())
        # The relative gap is measured with the constant; the factor cancels in it.
        target.objective.offset = model.objective_offset * costs.factor[0]
        target.objective.scaling_factor = 1.0
        if objective_floor is not None:
            floor = (objective_floor - model.objective_offset) * costs.factor[0] - costs.error[0]
            target.objective.domain.extend([math.floor(floor), 2**62])
    return compiled


def _whole_costs(model: LinearModel) -> WholeRows:
    return whole_rows(model.objective, np.array([0, model.num_columns]), _reach(model))


def _reach(model: LinearModel) -> Any:
    return np.maximum(np.abs(model.column_lower), np.abs(model.column_upper))


def _bound(model: LinearModel, costs: WholeRows, shown: float) -> float:
    """Return the bound of the model that the bound of its rounded objective supports."""
    if not costs.value.any():
        shown = model.objective_offset * float(costs.factor[0])
    return (shown - float(costs.error[0])) / float(costs.factor[0])


def _verdict(*, proven: bool, found: bool) -> Verdict:
    if proven:
        return Verdict.OPTIMAL
    return Verdict.FEASIBLE if found else Verdict.UNKNOWN


def _listener(model: LinearModel, costs: WholeRows, on_incumbent: OnIncumbent | None) -> Any:
    if on_incumbent is None:
        return None
    from ortools.sat.python import cp_model

    report: OnIncumbent = on_incumbent

    class Listener(cp_model.CpSolverSolutionCallback):
        def on_solution_callback(self) -> None:
            x = np.array(self.response_proto.solution, np.float64)
            report(x, _bound(model, costs, self.best_objective_bound))

    return Listener()


def _require_bounded_integers(model: LinearModel) -> None:
    if not model.integrality.all():
        name = model.column_names[int(np.argmin(model.integrality))]
        raise BackendError("cpsat", f"column {name} is continuous", "use highs, scip or scipy")
    wide = _reach(model) > _LARGEST_BOUND
    if wide.any():
        name = model.column_names[int(np.argmax(wide))]
        raise BackendError(
            "cpsat", f"column {name} has no finite bounds", "bound it, or use highs or scip"
        )


CPSAT = Backend(
    name="cpsat",
    version=_version,
    available=ortools_available,
    run=_run,
    capabilities=BackendCapabilities(continuous=False, infinite_bounds=False, incumbents=True),
)
