"""The solvers users own, through PuLP: CBC at once, Gurobi, CPLEX, Xpress, COPT, ... if installed.

What to know of PuLP 3.3:

- After a time-out it reports the status 'Optimal'; only ``sol_status`` tells. No solver behind it
  tells a bound, so there is one only where optimality was proven.
- ``import pulp`` imports highspy if it is installed, which breaks ortools in the same process. The
  import below hides it.
- It has no rows with two sides: such a row is written twice.
- CBC cannot read a file that bounds a column in no row and without cost: such columns stay here.
- Its files carry 12 digits.
"""

from __future__ import annotations

import importlib
import sys
import time
import warnings
from functools import cache, partial
from importlib.metadata import version
from typing import Any

import numpy as np

from moeopt.core.errors import BackendError
from moeopt.core.result import Limit
from moeopt.mip.answer import Claim, Verdict
from moeopt.mip.backends.record import Backend, BackendCapabilities, Request
from moeopt.mip.model import LinearModel
from moeopt.mip.presolve import offset_as_column

#: Solvers of PuLP that would load highspy.
_FORBIDDEN = frozenset({"HiGHS"})

_CBC = "PULP_CBC_CMD"


@cache
def import_pulp() -> Any:
    """Import pulp without letting it import highspy, which cannot live beside ortools."""
    hidden = "highspy" not in sys.modules
    if hidden:
        sys.modules["highspy"] = None  # type: ignore[assignment]  # makes the import fail
    try:
        return importlib.import_module("pulp")
    finally:
        if hidden:
            del sys.modules["highspy"]


@cache
def installed_solvers() -> tuple[str, ...]:
    """Return PuLP's names of the solvers that this machine can run."""
    pulp = import_pulp()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # asking a solver may warn of its deprecation
        names = [name for name in pulp.listSolvers() if name not in _FORBIDDEN]
        return tuple(name for name in names if pulp.getSolver(name, msg=False).available())


def pulp_backend(solver: str) -> Backend:
    """Return the backend ``pulp:<solver>`` for one of PuLP's solver names."""
    return Backend(
        name=f"pulp:{solver}",
        version=partial(_version, solver),
        available=partial(_available, solver),
        run=partial(_run, solver),
        capabilities=_CAPABILITIES,
    )


def _version(solver: str) -> str:
    name = "cbc" if solver == _CBC else solver
    return f"{name} (pulp {version('pulp')})"


def _available(solver: str) -> bool:
    return solver in installed_solvers()


def _run(solver: str, model: LinearModel, request: Request) -> Claim:
    with warnings.catch_warnings():
        # PuLP 3.3 announces PuLP 4 at every call; the dependency is pinned below it.
        warnings.simplefilter("ignore", DeprecationWarning)
        return _solved(import_pulp(), solver, model, request)


def _solved(pulp: Any, solver: str, model: LinearModel, request: Request) -> Claim:
    started = time.perf_counter()
    if model.A.nnz == 0 and not model.objective.any():
        x = np.clip(0.0, model.column_lower, model.column_upper)
        return Claim(verdict=Verdict.OPTIMAL, x=x, bound=model.objective_offset)
    whole = offset_as_column(model)
    problem, columns = _compiled(pulp, whole)
    start = request.warm_start
    if start is not None:
        full = np.append(start, np.ones(whole.num_columns - start.size))
        for column, value in zip(columns, full.tolist(), strict=True):
            column.setInitialValue(value, check=False)
    build_s = time.perf_counter() - started
    try:
        problem.solve(_solver(pulp, solver, request, warm=start is not None))
    except pulp.PulpError as error:
        raise BackendError(f"pulp:{solver}", str(error), "try highs") from None
    return _translated(pulp, model, problem, columns, request, build_s)


def _compiled(pulp: Any, model: LinearModel) -> tuple[Any, list[Any]]:
    kinds = np.where(model.integrality, pulp.LpInteger, pulp.LpContinuous).tolist()
    columns = [
        pulp.LpVariable(f"c{j}", _side(low), _side(high), kind)
        for j, (low, high, kind) in enumerate(
            zip(model.column_lower.tolist(), model.column_upper.tolist(), kinds, strict=True)
        )
    ]
    problem = pulp.LpProblem("model", pulp.LpMinimize)
    used = np.flatnonzero(model.objective).tolist()
    mentioned = set(used).union(model.A.indices.tolist())
    problem.addVariables([columns[j] for j in sorted(mentioned)])
    problem.setObjective(
        pulp.LpAffineExpression([(columns[j], float(model.objective[j])) for j in used])
    )
    starts, indices, data = (a.tolist() for a in (model.A.indptr, model.A.indices, model.A.data))
    sides = zip(model.row_lower.tolist(), model.row_upper.tolist(), strict=True)
    for i, (low, high) in enumerate(sides):
        entries = slice(starts[i], starts[i + 1])
        terms = [(columns[j], a) for j, a in zip(indices[entries], data[entries], strict=True)]
        if not terms:
            continue  # rows without entries were checked before
        for sense, side in _senses(pulp, low, high):
            name = f"r{i}{'u' if sense == pulp.LpConstraintLE else ''}"
            problem.addConstraint(
                pulp.LpConstraint(pulp.LpAffineExpression(terms), sense, name, side)
            )
    return problem, columns


def _side(bound: float) -> float | None:
    return bound if np.isfinite(bound) else None


def _senses(pulp: Any, low: float, high: float) -> list[tuple[int, float]]:
    if low == high:
        return [(pulp.LpConstraintEQ, low)]
    sides = [(pulp.LpConstraintGE, low), (pulp.LpConstraintLE, high)]
    return [(sense, side) for sense, side in sides if np.isfinite(side)]


def _solver(pulp: Any, solver: str, request: Request, *, warm: bool) -> Any:
    arguments: dict[str, Any] = {"msg": False, "timeLimit": request.remaining_s()}
    if request.gap > 0.0:
        arguments["gapRel"] = request.gap
    if solver == _CBC:
        arguments["threads"] = request.threads
        arguments["warmStart"] = warm
        arguments["options"] = [f"randomCbcSeed {request.seed % (2**31 - 1)}"]
    return pulp.getSolver(solver, **arguments)


def _translated(
    pulp: Any,
    model: LinearModel,
    problem: Any,
    columns: list[Any],
    request: Request,
    build_s: float,
) -> Claim:
    proven = problem.sol_status == pulp.LpSolutionOptimal
    if proven or problem.sol_status == pulp.LpSolutionIntegerFeasible:
        values = [column.varValue for column in columns]
        x = np.array([0.0 if value is None else value for value in values], np.float64)
        x = x[: model.num_columns]
        absent = np.array([value is None for value in values[: model.num_columns]], np.bool_)
        x[absent] = np.clip(0.0, model.column_lower, model.column_upper)[absent]
        # With a gap to reach, 'Optimal' means that it was reached, and nobody tells the bound.
        bound = model.evaluate(x) if proven and request.gap == 0.0 else None
        return Claim(
            verdict=Verdict.OPTIMAL if proven else Verdict.FEASIBLE,
            limit=Limit.NONE if proven else Limit.TIME,
            x=x,
            bound=bound,
            build_s=build_s,
        )
    if problem.status == pulp.LpStatusInfeasible:
        return Claim(verdict=Verdict.INFEASIBLE_OR_UNBOUNDED, build_s=build_s)
    if problem.status == pulp.LpStatusUnbounded:
        return Claim(verdict=Verdict.UNBOUNDED, build_s=build_s)
    return Claim(verdict=Verdict.UNKNOWN, limit=Limit.TIME, build_s=build_s)


_CAPABILITIES = BackendCapabilities(bound=False, warm_start=False, threads=False, seed=False)

CBC = Backend(
    name="cbc",
    version=partial(_version, _CBC),
    available=partial(_available, _CBC),
    run=partial(_run, _CBC),
    capabilities=BackendCapabilities(bound=False),
)
