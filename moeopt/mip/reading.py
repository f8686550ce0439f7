"""Reads MPS files through the parser that ortools carries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from moeopt.core.errors import InstanceError
from moeopt.core.files import plain_size
from moeopt.mip.model import LinearModel
from moeopt.mip.names import NameBlock, parse_row_name


def model_from_mps(path: Path, original: Callable[[str], str]) -> LinearModel:
    """Return the model in the file at `path`, with `original` applied to every name."""
    from ortools.linear_solver.python import model_builder

    try:
        plain_size(path)
        text = path.read_text("utf-8")
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise InstanceError(
            str(path), f"<{said.lower()}>", "must be a readable file in UTF-8", "check the name"
        ) from None
    helper = model_builder.Model().helper  # type: ignore[no-untyped-call]
    if "ROWS" not in text or not helper.import_from_mps_string(text):
        raise InstanceError(
            "$", f"<{path.name}>", "must be an MPS file", "write it with moeopt or a solver"
        )
    sign = -1.0 if helper.maximize() else 1.0
    columns = range(helper.num_variables())
    rows = [parse_row_name(original(helper.constraint_name(i))) for i in _rows(helper)]
    return LinearModel(
        name=original(helper.name()) or path.stem,
        A=_matrix(helper),
        row_lower=_floats(helper.constraint_lower_bound(i) for i in _rows(helper)),
        row_upper=_floats(helper.constraint_upper_bound(i) for i in _rows(helper)),
        column_lower=_floats(helper.var_lower_bound(j) for j in columns),
        column_upper=_floats(helper.var_upper_bound(j) for j in columns),
        integrality=np.array([helper.var_is_integral(j) for j in columns], np.bool_),
        objective=sign * _floats(helper.var_objective_coefficient(j) for j in columns),
        objective_offset=sign * helper.objective_offset(),
        column_blocks=tuple(NameBlock(original(helper.var_name(j))) for j in columns),
        row_group=np.array([group for group, _ in rows], np.str_),
        row_number=np.array([number for _, number in rows], np.int64),
    )


def _rows(helper: Any) -> range:
    return range(helper.num_constraints())


def _floats(values: Any) -> Any:
    return np.fromiter(values, np.float64)


def _matrix(helper: Any) -> Any:
    indices = [np.asarray(helper.constraint_var_indices(i), np.int64) for i in _rows(helper)]
    data = [np.asarray(helper.constraint_coefficients(i), np.float64) for i in _rows(helper)]
    starts = np.cumsum([0, *(row.size for row in indices)])
    flat = [np.concatenate([np.empty(0), *part]) for part in (data, indices)]
    shape = (helper.num_constraints(), helper.num_variables())
    matrix = sparse.csr_array((flat[0], flat[1].astype(np.int64), starts), shape=shape)
    matrix.sum_duplicates()
    return matrix
