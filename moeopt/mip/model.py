"""A linear model as data: sparse matrix, bounds, integrality, objective, names and row groups.

This is no modelling language. A wing fills a `moeopt.mip.builder.ModelBuilder` with whole
constraint families as arrays, and every backend takes the finished `LinearModel` in bulk.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.core.wing import Violation
from moeopt.mip.names import NameBlock, row_name

#: What a row may be off by, in units of its own scale (`LinearModel.row_scale`).
FEASIBILITY_TOLERANCE = 1e-6


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearModel:
    """Minimise ``objective @ x + objective_offset`` under linear rows; all arrays are read-only.

    Attributes
    ----------
    name
        Name of the model, for files and logs.
    A
        Coefficients, a scipy CSR array ``(rows, columns)`` without duplicate entries.
    row_lower, row_upper
        ``row_lower <= A @ x <= row_upper``; infinite where a side does not restrict.
    column_lower, column_upper
        Bounds of each column.
    integrality
        True where a column must be an integer.
    objective
        Cost of each column.
    objective_offset
        Constant part of the objective.
    column_blocks
        Pattern of the column names.
    row_group
        Label of the constraint family of each row (``"C1"``).
    row_number
        Number of each row within its family; negative for a row named by its group alone.
    """

    name: str
    A: Any
    row_lower: FloatArray
    row_upper: FloatArray
    column_lower: FloatArray
    column_upper: FloatArray
    integrality: BoolArray
    objective: FloatArray
    objective_offset: float = 0.0
    column_blocks: tuple[NameBlock, ...]
    row_group: npt.NDArray[np.str_]
    row_number: IntArray

    def __post_init__(self) -> None:
        for array in (
            self.row_lower, self.row_upper, self.column_lower, self.column_upper,
            self.integrality, self.objective, self.row_group, self.row_number,
            self.A.data, self.A.indices, self.A.indptr,
        ):  # fmt: skip
            array.flags.writeable = False
        _check_shapes(self)
        _check_numbers(self)

    @property
    def num_rows(self) -> int:
        """Return the number of rows."""
        return int(self.row_lower.size)

    @property
    def num_columns(self) -> int:
        """Return the number of columns."""
        return int(self.objective.size)

    @cached_property
    def column_names(self) -> tuple[str, ...]:
        """Return the name of each column, such as ``x[3,1]``."""
        return tuple(name for block in self.column_blocks for name in block.names())

    @cached_property
    def row_names(self) -> tuple[str, ...]:
        """Return the name of each row, such as ``C2[5]``."""
        pairs = zip(self.row_group.tolist(), self.row_number.tolist(), strict=True)
        return tuple(row_name(group, number) for group, number in pairs)

    def groups(self) -> tuple[str, ...]:
        """Return the labels of the constraint families in the order of their first rows."""
        return tuple(dict.fromkeys(self.row_group.tolist()))

    def evaluate(self, x: npt.ArrayLike) -> float:
        """Return the objective of the point `x`."""
        return float(self.objective @ np.asarray(x, np.float64)) + self.objective_offset

    def row_scale(self, x: FloatArray) -> FloatArray:
        """Return the magnitude of each row at `x`: its largest term or finite bound, at least 1.

        Rounding errors grow with the terms that cancel, not with what is left of them.
        """
        scale = np.ones(self.num_rows)
        for bound in (self.row_lower, self.row_upper):
            np.maximum(scale, np.abs(bound), out=scale, where=np.isfinite(bound))
        terms = np.abs(self.A.data * x[self.A.indices])
        np.maximum.at(scale, np.repeat(np.arange(self.num_rows), np.diff(self.A.indptr)), terms)
        return scale

    def violations(
        self, x: npt.ArrayLike, tolerance: float = FEASIBILITY_TOLERANCE
    ) -> list[Violation]:
        """Return every bound, integrality condition and row that the point `x` breaks.

        Parameters
        ----------
        x
            The point, ``(columns,)``.
        tolerance
            A row may be off by this times its `row_scale`; a column by this times
            ``max(1, |bound|)``; an integer by this.
        """
        x = np.asarray(x, np.float64)
        if x.shape != (self.num_columns,) or not np.isfinite(x).all():
            rule = f"must be {self.num_columns} finite numbers"
            return [Violation(constraint="shape", path="x", message=rule, amount=np.inf)]
        found = _outside(
            x, self.column_lower, self.column_upper, tolerance * np.maximum(1.0, np.abs(x))
        )
        broken = [
            self._column_violation("bounds", j, x[j], found[j])
            for j in np.flatnonzero(found).tolist()
        ]
        off = np.where(self.integrality, np.abs(x - np.round(x)), 0.0)
        broken += [
            self._column_violation("integrality", j, x[j], off[j])
            for j in np.flatnonzero(off > tolerance).tolist()
        ]
        activity = self.A @ x
        found = _outside(activity, self.row_lower, self.row_upper, tolerance * self.row_scale(x))
        broken += [
            self._row_violation(i, activity[i], found[i]) for i in np.flatnonzero(found).tolist()
        ]
        return broken

    def relaxed(self) -> LinearModel:
        """Return the model without integrality."""
        return replace(self, integrality=np.zeros(self.num_columns, np.bool_))

    def without(self, group: str) -> LinearModel:
        """Return the model without the rows of one constraint family.

        Raises
        ------
        KeyError
            If no row has this label.
        """
        keep = self.row_group != group
        if keep.all():
            raise KeyError(f"no rows labelled {group!r}; the labels are {self.groups()}")
        return replace(
            self,
            A=self.A[np.flatnonzero(keep)],
            row_lower=self.row_lower[keep],
            row_upper=self.row_upper[keep],
            row_group=self.row_group[keep],
            row_number=self.row_number[keep],
        )

    def _column_violation(self, constraint: str, j: int, value: float, amount: float) -> Violation:
        rule = (
            "must be an integer"
            if constraint == "integrality"
            else f"must lie in [{self.column_lower[j]:g}, {self.column_upper[j]:g}]"
        )
        name = self.column_names[j]
        message = f"{name} {rule}, got {value:.9g}"
        return Violation(constraint=constraint, path=name, message=message, amount=float(amount))

    def _row_violation(self, i: int, value: float, amount: float) -> Violation:
        name = self.row_names[i]
        message = (
            f"{name} must lie in [{self.row_lower[i]:g}, {self.row_upper[i]:g}], got {value:.9g}"
        )
        group = str(self.row_group[i])
        return Violation(constraint=group, path=name, message=message, amount=float(amount))


def _outside(
    value: FloatArray, lower: FloatArray, upper: FloatArray, allowed: FloatArray
) -> FloatArray:
    """Return by how much each value is outside its range, 0 where it is within `allowed`."""
    amount = np.maximum(lower - value, value - upper)
    return np.where(amount > allowed, amount, 0.0)


def _check_shapes(model: LinearModel) -> None:
    rows, columns = model.num_rows, model.num_columns
    if model.A.shape != (rows, columns):
        raise ValueError(f"A has shape {model.A.shape}, the bounds say {(rows, columns)}")
    for name in ("row_upper", "row_group", "row_number"):
        if getattr(model, name).shape != (rows,):
            raise ValueError(f"{name} must have one entry for each of the {rows} rows")
    for name in ("column_lower", "column_upper", "integrality"):
        if getattr(model, name).shape != (columns,):
            raise ValueError(f"{name} must have one entry for each of the {columns} columns")
    if sum(block.size for block in model.column_blocks) != columns:
        raise ValueError("column_blocks must name every column once")


def _check_numbers(model: LinearModel) -> None:
    if not (np.isfinite(model.A.data).all() and np.isfinite(model.objective).all()):
        raise ValueError("coefficients and costs must be finite")
    for name in ("row_lower", "row_upper", "column_lower", "column_upper"):
        bound = getattr(model, name)
        wrong = np.inf if name.endswith("lower") else -np.inf
        if np.isnan(bound).any() or (bound == wrong).any():
            raise ValueError(f"{name} must not hold NaN or {wrong}")
