"""Assembles a `LinearModel` from whole families of columns and rows, given as arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.mip.model import LinearModel
from moeopt.mip.names import NameBlock


class ModelBuilder:
    """Collects columns and rows, then builds the model in one go.

    Parameters
    ----------
    name
        Name of the model.

    Examples
    --------
    Pick items worth the most that weigh at most 7 together:

    >>> from moeopt.mip import ModelBuilder
    >>> builder = ModelBuilder("knapsack")
    >>> take = builder.add_columns("take", 3, upper=1, integer=True, objective=[-4, -5, -3])
    >>> builder.add_rows("C1", [0, 0, 0], take, [3, 4, 2], upper=7)
    >>> builder.build().row_names
    ('C1[0]',)
    """

    def __init__(self, name: str = "model") -> None:
        self.name = name
        self.objective_offset = 0.0
        self.num_columns = 0
        self.num_rows = 0
        self._blocks: list[NameBlock] = []
        self._columns: list[tuple[FloatArray, FloatArray, BoolArray, FloatArray]] = []
        self._rows: list[tuple[str, IntArray, FloatArray, FloatArray]] = []
        self._entries: list[tuple[IntArray, IntArray, FloatArray]] = []
        self._rows_in_group: dict[str, int] = {}

    def add_columns(
        self,
        prefix: str,
        shape: int | tuple[int, ...] = (),
        *,
        lower: npt.ArrayLike = 0.0,
        upper: npt.ArrayLike = np.inf,
        integer: npt.ArrayLike = False,
        objective: npt.ArrayLike = 0.0,
    ) -> IntArray:
        """Add a block of columns and return their indices, in the block's shape.

        Parameters
        ----------
        prefix
            Name of the block; its columns are called ``prefix[i,j]``.
        shape
            Extent of each index; the empty shape adds one column called `prefix`.
        lower, upper, integer, objective
            Values that broadcast to `shape`.
        """
        shape = (shape,) if isinstance(shape, int) else tuple(map(int, shape))
        if any(block.prefix == prefix for block in self._blocks):
            raise ValueError(f"there are columns called {prefix!r} already")
        count = math.prod(shape)
        self._blocks.append(NameBlock(prefix, shape))
        self._columns.append(
            (
                _spread(lower, shape, np.float64),
                _spread(upper, shape, np.float64),
                _spread(integer, shape, np.bool_),
                _spread(objective, shape, np.float64),
            )
        )
        first, self.num_columns = self.num_columns, self.num_columns + count
        return np.arange(first, first + count, dtype=np.int64).reshape(shape)

    def add_rows(
        self,
        group: str,
        row_index: npt.ArrayLike,
        column_index: npt.ArrayLike,
        value: npt.ArrayLike,
        lower: npt.ArrayLike = -np.inf,
        upper: npt.ArrayLike = np.inf,
        *,
        count: int | None = None,
    ) -> None:
        """Add a constraint family ``lower <= A x <= upper``; entries given twice add up.

        Parameters
        ----------
        group
            Label on the formulation page (``"C2"``). A label may be used several times.
        row_index, column_index, value
            Entries of the family, broadcast together; rows are numbered from 0 in each call.
        lower, upper
            Bounds, one for each row or one for all.
        count
            Number of rows; by default what `lower` and `upper` say, or ``max(row_index) + 1``.
        """
        row, column, entry = (
            a.ravel() for a in np.broadcast_arrays(row_index, column_index, value)
        )
        if count is None:
            sides = np.broadcast(lower, upper)
            count = sides.size if sides.ndim else int(row.max(initial=-1)) + 1
        if row.size and (row.min() < 0 or row.max() >= count):
            raise ValueError(f"rows of {group} are numbered 0..{count - 1}")
        if column.size and (column.min() < 0 or column.max() >= self.num_columns):
            raise ValueError(f"{group} uses a column that was not added")
        first = self._rows_in_group.get(group, 0)
        self._rows_in_group[group] = first + count
        number = np.arange(first, first + count, dtype=np.int64)
        shape = (count,)
        self._rows.append(
            (group, number, _spread(lower, shape, np.float64), _spread(upper, shape, np.float64))
        )
        self._entries.append(
            (
                row.astype(np.int64) + self.num_rows,
                column.astype(np.int64),
                entry.astype(np.float64),
            )
        )
        self.num_rows += count

    def build(self) -> LinearModel:
        """Return the model; the builder may go on and build a larger one."""
        row, column, value = _joined(self._entries, (np.int64, np.int64, np.float64))
        matrix = sparse.csr_array(
            sparse.coo_array((value, (row, column)), shape=(self.num_rows, self.num_columns))
        )
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        lower, upper, integer, cost = _joined(
            self._columns, (np.float64, np.float64, np.bool_, np.float64)
        )
        number, row_lower, row_upper = _joined(
            [rows[1:] for rows in self._rows], (np.int64, np.float64, np.float64)
        )
        labels = [np.full(numbers.size, group) for group, numbers, _, _ in self._rows]
        return LinearModel(
            name=self.name,
            A=matrix,
            row_lower=row_lower,
            row_upper=row_upper,
            column_lower=lower,
            column_upper=upper,
            integrality=integer,
            objective=cost,
            objective_offset=float(self.objective_offset),
            column_blocks=tuple(self._blocks),
            row_group=np.concatenate(labels) if labels else np.empty(0, np.str_),
            row_number=number,
        )


def _spread(value: npt.ArrayLike, shape: tuple[int, ...], kind: type[np.generic]) -> Any:
    """Return a fresh flat array of `value` broadcast to `shape`."""
    return np.broadcast_to(np.asarray(value, kind), shape).flatten()


def _joined(
    parts: Sequence[tuple[Any, ...]], kinds: tuple[type[np.generic], ...]
) -> tuple[Any, ...]:
    """Return each field of `parts` as one array."""
    return tuple(
        np.concatenate([np.empty(0, kind), *(part[i] for part in parts)]).astype(kind)
        for i, kind in enumerate(kinds)
    )
