"""One test for each trap of the solvers that the modules' notes name."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import mip_models
import numpy as np
import pytest

import moeopt
from moeopt.core.errors import BackendError
from moeopt.core.result import Limit, Status
from moeopt.mip import LinearModel, ModelBuilder, backend_named, solve_model
from moeopt.mip.answer import Claim, Verdict, judged
from moeopt.mip.backends import cpsat, mathopt
from moeopt.mip.backends.integers import whole_bounds, whole_rows
from moeopt.mip.backends.record import Request
from moeopt.mip.backends.scipy_ import SCIPY
from moeopt.mip.presolve import scaled_costs, within_reach

PACKAGE = Path(moeopt.__file__).parent


def _modules_imported(source: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_no_module_imports_highspy() -> None:
    """Ortools and highspy cannot live in one process."""
    files = list(PACKAGE.rglob("*.py"))
    assert len(files) > 10
    assert [f for f in files if "highspy" in _modules_imported(f.read_text())] == []


def test_pulp_does_not_import_highspy(tmp_path: Path) -> None:
    """``import pulp`` takes highspy along where it is installed; ours does not."""
    (tmp_path / "highspy.py").write_text("raise SystemExit('highspy was imported')")
    code = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(PACKAGE.parent)!r}]\n"
        "from moeopt.mip.backends.pulp_ import installed_solvers\n"
        "print(installed_solvers(), 'highspy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "PULP_CBC_CMD" in done.stdout
    assert done.stdout.strip().endswith("False")


def test_import_is_light() -> None:
    """``import moeopt.mip`` loads no solver."""
    code = (
        f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r}); import moeopt.mip; "
        "print([m for m in ('ortools', 'pulp', 'scipy.optimize', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_mathopt_message_is_not_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The solver's own words reach the user, not an AttributeError about canonical_code."""
    parameters = mathopt._parameters("scip", mathopt.Request(threads=2))
    monkeypatch.setattr(mathopt, "_parameters", lambda name, request: parameters)
    with pytest.raises(BackendError, match="highs failed: threads not supported for HiGHS"):
        backend_named("highs").solve(mip_models.knapsack())


def test_highs_is_given_no_threads() -> None:
    """``threads`` with HiGHS would raise."""
    assert backend_named("highs").solve(mip_models.knapsack(), threads=2).objective == -9.0
    assert not backend_named("highs").capabilities.threads


def test_cpsat_unknown_has_no_numbers() -> None:
    """CP-SAT shows 0.0 as objective and bound when it found and proved nothing."""
    model = mip_models.market_split(rows=6, columns=60)
    model = replace(model, column_upper=np.ones(model.num_columns))
    answer = backend_named("cpsat").solve(model, time_limit_s=0.05)
    assert answer.status is Status.NO_PLAN_FOUND
    assert (answer.objective, answer.bound) == (None, None)


def test_cpsat_gets_no_bound_on_the_objective() -> None:
    """A valid bound in the objective's domain can slow the proof: it is off unless asked for."""
    model = mip_models.knapsack()
    costs = cpsat._whole_costs(model)
    assert list(cpsat.proto(model, costs).proto.objective.domain) == []
    asked = cpsat.proto(model, costs, objective_floor=-12.0).proto.objective.domain
    assert asked[0] == -12 * costs.factor[0]


def test_cpsat_decimals_become_exact() -> None:
    """Tenths are multiplied by ten and sides are rounded to the whole number they mean."""
    model = mip_models.fractions()
    rows = whole_rows(model.A.data, model.A.indptr, np.array([1.0, 5.0]))
    assert rows.factor.tolist() == [10.0]
    assert rows.value.tolist() == [1, 7]
    assert whole_bounds(model, rows)[1].tolist() == [15]
    noisy = replace(model, row_upper=model.row_upper - 1e-12)
    assert whole_bounds(noisy, rows)[1].tolist() == [15]


def test_cpsat_refuses_rows_beyond_its_integers() -> None:
    """Coefficients that 64 bits cannot hold within the tolerance are refused, not approximated."""
    builder = ModelBuilder("wide")
    x = builder.add_columns("x", 2, upper=1e9, integer=True, objective=-1.0)
    builder.add_rows("C7", 0, x, [np.pi, 1e9 * np.e], upper=100.0)
    with pytest.raises(BackendError, match=r"row C7\[0\] cannot be written in whole numbers"):
        backend_named("cpsat").solve(builder.build())


def test_cpsat_bound_survives_rounded_costs() -> None:
    """With costs that no factor makes whole, bound <= optimum <= objective holds all the same."""
    rng = np.random.default_rng(3)
    builder = ModelBuilder("irrational")
    x = builder.add_columns("x", 8, upper=9, integer=True, objective=-np.sqrt(rng.random(8)))
    builder.add_rows("C1", 0, x, np.sqrt(rng.random(8)), upper=4.0)
    model = builder.build()
    exact = backend_named("highs").solve(model)
    answer = backend_named("cpsat").solve(model)
    assert answer.status is Status.OPTIMAL
    assert answer.objective == pytest.approx(exact.objective, rel=1e-9)
    assert answer.bound <= exact.objective + 1e-9


def test_pulp_does_not_call_a_time_out_optimal() -> None:
    """CBC's incumbent at the time limit is feasible without a bound; PuLP says 'Optimal'."""
    answer = backend_named("cbc").solve(mip_models.market_split(), time_limit_s=0.5)
    assert answer.status is Status.FEASIBLE
    assert answer.bound is None


def test_integer_just_off_with_a_large_coefficient_is_mended() -> None:
    """An integer at 1e-7 that opens a row of large coefficients is rounded, the rest mended."""
    builder = ModelBuilder("big-M")
    opened = builder.add_columns("opened", upper=1, integer=True, objective=1.0)
    flow = builder.add_columns("flow", upper=1e7, objective=-1e-3)
    builder.add_rows("C1", 0, [flow, opened], [1.0, -1e8], upper=0.0)
    builder.add_rows("C2", 0, flow, 1.0, upper=5.0)
    model = builder.build()

    def run(model: LinearModel, request: Request) -> Claim:
        if not model.integrality.any():
            return SCIPY.run(model, request)
        return Claim(verdict=Verdict.OPTIMAL, x=np.array([5e-8, 5.0]))

    answer = replace(SCIPY, run=run).solve(model)
    assert answer.x.tolist() == [0.0, 0.0]
    assert answer.objective == 0.0


@pytest.mark.parametrize(
    ("small", "status"), [(1e-5, Status.FEASIBLE), (1.0, Status.OPTIMAL), (0.0, Status.OPTIMAL)]
)
def test_costs_far_apart_do_not_lift_the_bound(small: float, status: Status) -> None:
    """A millionth of a cost of 1,500 is more than all of an objective of 1e-5."""
    builder = ModelBuilder("far")
    builder.add_columns("x", 2, upper=1, objective=[small, 1500])
    model = builder.build()
    answer = judged(
        model, verdict=Verdict.OPTIMAL, limit=Limit.NONE, x=np.array([1.0, 0.0]),
        bound=0.9999999 * small, gap=0.0, backend="any",
    )  # fmt: skip
    assert answer.status is status
    assert answer.bound == (pytest.approx(small) if status is Status.OPTIMAL else 0.0)


def test_a_cost_that_no_good_plan_pays_is_not_the_measure() -> None:
    """A millionth of 1e9 is 1,000: beside it nothing could be said of an objective of 3."""
    builder = ModelBuilder("dear")
    x = builder.add_columns("x", 3, upper=1, integer=True, objective=[1e9, 2.0, 3.0])
    builder.add_rows("one", 0, x, 1.0, lower=1.0)
    model = builder.build()
    for backend in ("highs", "scip", "cbc"):
        blind = solve_model(model, backend)
        assert blind.status is Status.FEASIBLE
        assert blind.objective in (2.0, 3.0)
        answer = solve_model(model, backend, warm_start=np.array([0.0, 0.0, 1.0]))
        assert (answer.status, answer.objective) == (Status.OPTIMAL, 2.0)


def test_what_the_start_itself_pays_stays() -> None:
    builder = ModelBuilder("paid")
    x = builder.add_columns("x", 2, upper=1, integer=True, objective=[1e9, 2.0])
    builder.add_rows("both", np.arange(2), x, 1.0, lower=1.0)
    assert within_reach(builder.build(), np.ones(2)).objective.tolist() == [1e9, 2.0]


def test_costs_near_the_smallest_number_are_no_overflow() -> None:
    builder = ModelBuilder("tiny")
    builder.add_columns("x", 1, lower=1, upper=2, objective=[1e-310])
    scaled, factor = scaled_costs(builder.build())
    assert np.isfinite(factor)
    assert scaled.objective[0] == 1e-310 * factor > 0
