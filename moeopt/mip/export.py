"""MPS and LP files, written here and not by PuLP.

PuLP's writer has no two-sided rows, drops the names of rows it has to split and rounds numbers to
12 digits. These files keep every number exactly, every name (characters that a format forbids are
escaped so that names stay different) and, through the row names, the constraint groups.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from moeopt.core.files import write_atomically
from moeopt.mip.lp import lp_lines
from moeopt.mip.model import LinearModel
from moeopt.mip.mps import mps_lines
from moeopt.mip.names import unescape
from moeopt.mip.reading import model_from_mps


def write_mps(model: LinearModel, path: str | Path) -> None:
    """Write `model` as free-format MPS; the same model always gives the same bytes.

    A row without finite bounds restricts nothing and is left out.
    """
    _write(mps_lines(model), path)


def write_lp(model: LinearModel, path: str | Path) -> None:
    """Write `model` in CPLEX's LP format; the same model always gives the same bytes.

    Brackets are not allowed in names there: ``x[3,1]`` is written ``x(3,1)``. A two-sided row is
    written as two, the second with ``#upper`` after its name.
    """
    _write(lp_lines(model), path)


def read_mps(path: str | Path) -> LinearModel:
    """Read an MPS file into a model; a maximisation is turned into a minimisation.

    Raises
    ------
    InstanceError
        If the file is not MPS.
    """
    return model_from_mps(Path(path), unescape)


def _write(lines: Iterable[str], path: str | Path) -> None:
    write_atomically(Path(path), ("\n".join(lines) + "\n").encode("ascii"))
