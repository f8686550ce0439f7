"""HiGHS and SCIP through ortools MathOpt.

The model goes over as one protocol buffer filled from whole arrays: the modelling classes of
MathOpt loop in Python and import pandas. What to know of MathOpt 9.15:

- ``threads`` with HiGHS raises, and its own thread count can be set only once per process, so HiGHS
  gets none. (``node_limit`` with CP-SAT raises too; we never ask for it.)
- The solver's error message is masked by ``AttributeError: ... 'canonical_code'`` in
  ``mathopt.solve``; the call below takes it from the exception itself.
- No callback reports incumbents: HiGHS ignores them, SCIP prints errors.
- Never import highspy beside it: the two cannot live in one process.
"""

from __future__ import annotations

import time
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import numpy as np

from moeopt.core.arrays import FloatArray
from moeopt.core.errors import BackendError
from moeopt.core.result import Limit
from moeopt.mip.answer import Claim, Verdict
from moeopt.mip.backends.record import Backend, BackendCapabilities, Request
from moeopt.mip.model import LinearModel

_LARGEST_SEED = 2**31 - 1

#: Versions of the solvers that ortools bundles; the wheel does not tell them.
_BUNDLED = {"9.15": {"highs": "1.12", "scip": "10.0"}}

_SOLVER_TYPE = {"highs": "SOLVER_TYPE_HIGHS", "scip": "SOLVER_TYPE_GSCIP"}

_VERDICT = {
    "OPTIMAL": Verdict.OPTIMAL,
    "INFEASIBLE": Verdict.INFEASIBLE,
    "UNBOUNDED": Verdict.UNBOUNDED,
    "INFEASIBLE_OR_UNBOUNDED": Verdict.INFEASIBLE_OR_UNBOUNDED,
    "FEASIBLE": Verdict.FEASIBLE,
    "IMPRECISE": Verdict.FEASIBLE,
    "NO_SOLUTION_FOUND": Verdict.UNKNOWN,
}

_LIMIT = {"TIME": Limit.TIME, "NODE": Limit.NODES, "INTERRUPTED": Limit.INTERRUPTED}


@cache
def ortools_version() -> str:
    """Return the installed version of ortools as ``major.minor``, or ``""``."""
    try:
        return ".".join(version("ortools").split(".")[:2])
    except PackageNotFoundError:
        return ""


def ortools_available() -> bool:
    """Tell whether ortools is installed, without importing it."""
    return find_spec("ortools") is not None


def _version(name: str) -> str:
    bundle = ortools_version()
    own = _BUNDLED.get(bundle, {}).get(name, "")
    return " ".join(filter(None, [name, own, f"(ortools {bundle})"]))


def _run(name: str, model: LinearModel, request: Request) -> Claim:
    from ortools.math_opt import callback_pb2, parameters_pb2
    from ortools.math_opt.core.python import solver
    from pybind11_abseil.status import StatusNotOk  # type: ignore[import-untyped]

    started = time.perf_counter()
    proto = model_proto(model)
    build_s = time.perf_counter() - started
    try:
        result = solver.solve(
            proto,
            parameters_pb2.SolverTypeProto.Value(_SOLVER_TYPE[name]),
            parameters_pb2.SolverInitializerProto(),
            _parameters(name, request),
            _hint(request.warm_start),
            None,
            callback_pb2.CallbackRegistrationProto(),
            None,
            None,
        )
    except StatusNotOk as error:
        said = str(getattr(error, "message", error))
        raise BackendError(name, said, "try another backend") from None
    return _translated(name, model, result, build_s)


def model_proto(model: LinearModel) -> Any:
    """Return the model as MathOpt's protocol buffer."""
    from ortools.math_opt import model_pb2

    proto = model_pb2.ModelProto(name=model.name)
    columns = np.arange(model.num_columns)
    proto.variables.ids.extend(columns.tolist())
    proto.variables.lower_bounds.extend(model.column_lower.tolist())
    proto.variables.upper_bounds.extend(model.column_upper.tolist())
    proto.variables.integers.extend(model.integrality.tolist())
    proto.objective.offset = model.objective_offset
    costly = np.flatnonzero(model.objective)
    proto.objective.linear_coefficients.ids.extend(costly.tolist())
    proto.objective.linear_coefficients.values.extend(model.objective[costly].tolist())
    rows = np.arange(model.num_rows)
    proto.linear_constraints.ids.extend(rows.tolist())
    proto.linear_constraints.lower_bounds.extend(model.row_lower.tolist())
    proto.linear_constraints.upper_bounds.extend(model.row_upper.tolist())
    matrix = proto.linear_constraint_matrix
    matrix.row_ids.extend(np.repeat(rows, np.diff(model.A.indptr)).tolist())
    matrix.column_ids.extend(model.A.indices.tolist())
    matrix.coefficients.extend(model.A.data.tolist())
    return proto


def _parameters(name: str, request: Request) -> Any:
    from ortools.math_opt import parameters_pb2

    parameters = parameters_pb2.SolveParametersProto(
        random_seed=request.seed % _LARGEST_SEED, relative_gap_tolerance=request.gap
    )
    remaining_s = request.remaining_s()
    if remaining_s is not None:
        parameters.time_limit.FromNanoseconds(int(remaining_s * 1e9))
    if name != "highs":
        parameters.threads = request.threads
    return parameters


def _hint(start: FloatArray | None) -> Any:
    from ortools.math_opt import model_parameters_pb2

    parameters = model_parameters_pb2.ModelSolveParametersProto()
    if start is not None:
        values = parameters.solution_hints.add().variable_values
        values.ids.extend(range(start.size))
        values.values.extend(start.tolist())
    return parameters


def _translated(name: str, model: LinearModel, result: Any, build_s: float) -> Claim:
    from ortools.math_opt import result_pb2, solution_pb2

    end = result.termination
    reason = result_pb2.TerminationReasonProto.Name(end.reason).removeprefix("TERMINATION_REASON_")
    limit = result_pb2.LimitProto.Name(end.limit).removeprefix("LIMIT_")
    if reason not in _VERDICT:
        raise BackendError(name, f"{reason} {end.detail}".strip(), "try another backend")
    x = None
    for solution in result.solutions:
        primal = solution.primal_solution
        if primal.feasibility_status == solution_pb2.SOLUTION_STATUS_FEASIBLE:
            x = np.array(primal.variable_values.values, np.float64)
            break
    return Claim(
        verdict=_VERDICT[reason],
        limit=_LIMIT.get(limit, Limit.NONE),
        x=x,
        bound=end.objective_bounds.dual_bound,
        nodes=result.solve_stats.node_count if model.integrality.any() else None,
        build_s=build_s,
    )


HIGHS = Backend(
    name="highs",
    version=partial(_version, "highs"),
    available=ortools_available,
    run=partial(_run, "highs"),
    capabilities=BackendCapabilities(threads=False),
)

SCIP = Backend(
    name="scip",
    version=partial(_version, "scip"),
    available=ortools_available,
    run=partial(_run, "scip"),
)
