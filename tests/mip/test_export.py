"""Files keep numbers, names and groups, and mean the same to a solver."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import mip_models
import numpy as np
import pytest

from moeopt.core.errors import InstanceError
from moeopt.core.result import Status
from moeopt.mip import (
    LinearModel,
    ModelBuilder,
    backend_named,
    read_mps,
    solve_model,
    write_lp,
    write_mps,
)
from moeopt.mip.backends.pulp_ import import_pulp

WITH_COLUMNS = [case for case in mip_models.OPTIMA if case[0] is not mip_models.no_columns]


def awkward() -> LinearModel:
    """Return a model of every kind of row, bound and name."""
    builder = ModelBuilder("awkward name $")
    x = builder.add_columns(
        "x", 7, integer=[True, True, True, False, False, True, False],
        lower=[0, 0, -np.inf, -np.inf, -2.5, 3, 0], upper=[np.inf, 1, 4, np.inf, -1.5, 3, 1e30],
        objective=[1 / 3, -0.1, 0, 1e-17, 123456789.25, 0, 2**60],
    )  # fmt: skip
    builder.add_columns("two words", (), upper=2)
    builder.add_columns("ümlaut~", (), upper=2)
    builder.add_columns("e12", (), upper=2)
    builder.add_rows("C1", [0, 0, 1, 2], x[[0, 1, 2, 3]], [0.1, -7, 1, 1], [1, -3, -np.inf],
                     [1, 4.5, 9])  # fmt: skip
    builder.add_rows("a b", 0, x[4], 3.0, lower=-7.5)
    builder.objective_offset = -0.3
    return builder.build()


def test_mps_keeps_everything(tmp_path: Path) -> None:
    """Numbers, names, groups, ranges and integrality come back exactly."""
    model = awkward()
    write_mps(model, tmp_path / "m.mps")
    copy = read_mps(tmp_path / "m.mps")
    assert copy.name == model.name
    assert copy.column_names == model.column_names
    assert copy.row_names == model.row_names
    assert copy.groups() == ("C1", "a b")
    assert np.array_equal(copy.A.toarray(), model.A.toarray())
    for field in ("row_lower", "row_upper", "column_lower", "column_upper", "integrality"):
        assert np.array_equal(getattr(copy, field), getattr(model, field)), field
    assert np.array_equal(copy.objective, model.objective)
    assert copy.objective_offset == model.objective_offset


@pytest.mark.parametrize(("make", "optimum"), WITH_COLUMNS)
def test_mps_has_the_same_optimum(
    tmp_path: Path, make: Callable[[], LinearModel], optimum: float
) -> None:
    """Export, read and solve gives the known optimum."""
    write_mps(make(), tmp_path / "m.mps")
    answer = solve_model(read_mps(tmp_path / "m.mps"))
    assert answer.objective == pytest.approx(optimum, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize(("make", "optimum"), WITH_COLUMNS)
def test_lp_has_the_same_optimum(
    tmp_path: Path, make: Callable[[], LinearModel], optimum: float
) -> None:
    """CBC, reading the LP file itself, finds the known optimum."""
    objective = _cbc_objective(tmp_path, make())
    assert objective == pytest.approx(optimum - make().objective_offset, abs=1e-6)


def _cbc_objective(folder: Path, model: LinearModel) -> float:
    write_lp(model, folder / "m.lp")
    cbc = import_pulp().getSolver("PULP_CBC_CMD", msg=False).path
    command = [cbc, "m.lp", "-solve", "-solution", "m.sol"]
    subprocess.run(command, cwd=folder, capture_output=True, check=True)
    head = (folder / "m.sol").read_text().splitlines()[0]
    assert head.startswith("Optimal - objective value ")
    return float(head.split()[-1])


@pytest.mark.parametrize("write", [write_mps, write_lp])
def test_files_are_deterministic(tmp_path: Path, write: Callable[..., None]) -> None:
    """The same model gives the same bytes, and nothing else is left in the folder."""
    for name in ("a", "b"):
        write(awkward(), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_lp_names_stay_different(tmp_path: Path) -> None:
    """Names that a careless replacement would merge stay different."""
    builder = ModelBuilder()
    names = ["x[0]", "x(0)", "x 0", "x_0", "n_e1", "e1", "free", "n_free", "Free", "1a"]
    for name in names:
        builder.add_columns(name, objective=1.0)
    write_lp(builder.build(), tmp_path / "m.lp")
    bounds = (tmp_path / "m.lp").read_text().split("Bounds\n")[1].split("Generals")[0]
    written = [line.split()[2] for line in bounds.splitlines()]
    assert len(set(written)) == len(names)
    assert not any(c in name for name in written for c in "[] ")


@pytest.mark.parametrize("text", ["", "not MPS", "NAME x\nROWS\n Z what\nENDATA\n"])
def test_bad_file_is_an_instance_error(tmp_path: Path, text: str) -> None:
    """A file that is not MPS is bad input, not a crash."""
    (tmp_path / "bad.mps").write_text(text)
    with pytest.raises(InstanceError, match=r"bad\.mps"):
        read_mps(tmp_path / "bad.mps")


def test_maximisation_is_turned(tmp_path: Path) -> None:
    """A file that maximises is read as the minimisation of the negative."""
    write_mps(mip_models.knapsack(), tmp_path / "m.mps")
    text = (tmp_path / "m.mps").read_text().replace("ROWS\n", "OBJSENSE\n MAX\nROWS\n", 1)
    (tmp_path / "m.mps").write_text(text)
    assert read_mps(tmp_path / "m.mps").objective.tolist() == [4.0, 5.0, 3.0]


def test_infeasible_stays_infeasible(tmp_path: Path) -> None:
    """An infeasible model is infeasible after the round trip, for another backend too."""
    write_mps(mip_models.infeasible(), tmp_path / "m.mps")
    assert backend_named("scipy").solve(read_mps(tmp_path / "m.mps")).status is Status.INFEASIBLE
