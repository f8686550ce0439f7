"""Writes rows in whole numbers for CP-SAT, always as a relaxation whose size is known.

A row ``a @ x <= b`` over integers is multiplied by a factor and its coefficients are rounded. The
rounding can shift the left side by at most ``error = sum |rounded - factor * a| * max |x|``, so
``rounded @ x <= floor(factor * b + error)`` holds wherever the row does. What CP-SAT proves of the
relaxation (a bound, infeasibility) is therefore true of the model; and the relaxation stays far
inside the feasibility tolerance, or the row is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import BackendError
from moeopt.mip.model import FEASIBILITY_TOLERANCE, LinearModel

#: Factors tried first: they make decimal and dyadic fractions whole.
_FACTORS = (*range(1, 33), 50, 64, 100, 1000, *(2**k for k in range(7, 31)), 10**4, 10**5, 10**6)

#: A left side that may be off by this much is still a whole number beyond doubt.
_EXACT = 1e-6

#: Beyond this, sums of terms could overflow 64 bits inside CP-SAT, or lose digits in a float.
_LARGEST_SUM = 2.0**52

#: Rounding noise in a bound, relative to its size; far below `FEASIBILITY_TOLERANCE`.
_NOISE = 1e-9

#: What CP-SAT takes for no bound.
_INFINITE = 2**62


@dataclass(frozen=True, eq=False)
class WholeRows:
    """Rows in whole numbers.

    Attributes
    ----------
    value
        Coefficients, in the order of the matrix entries.
    factor
        What each row was multiplied by.
    error
        Most that rounding can shift the left side of each row, in multiplied units.
    """

    value: IntArray
    factor: FloatArray
    error: FloatArray


def whole_rows(data: FloatArray, indptr: npt.NDArray[np.integer], reach: FloatArray) -> WholeRows:
    """Return CSR rows in whole numbers.

    Parameters
    ----------
    data
        Coefficients, ``(entries,)``.
    indptr
        Where each row starts, ``(rows + 1,)``.
    reach
        Largest ``|x|`` of the column of each entry, ``(entries,)``.
    """
    num_rows = indptr.size - 1
    row_of = np.repeat(np.arange(num_rows), np.diff(indptr))

    def row_sums(terms: FloatArray) -> FloatArray:
        return np.bincount(row_of, terms, num_rows).astype(np.float64)

    size = row_sums(np.abs(data) * reach)
    factor = 2.0 ** np.floor(np.log2(_LARGEST_SUM / 2 / np.maximum(size, 1e-200)))
    pending = size > 0.0
    factor[~pending] = 1.0
    for candidate in _FACTORS:
        if not pending.any():
            break
        scaled = data * candidate
        noise = 0.0 if candidate & (candidate - 1) == 0 else np.finfo(float).eps
        off = row_sums((np.abs(scaled - np.round(scaled)) + noise * np.abs(scaled)) * reach)
        fits = pending & (off <= _EXACT) & (size * candidate <= _LARGEST_SUM)
        factor[fits] = candidate
        pending &= ~fits
    scaled = data * factor[row_of]
    value = np.round(scaled)
    return WholeRows(value.astype(np.int64), factor, row_sums(np.abs(scaled - value) * reach))


def whole_bounds(model: LinearModel, rows: WholeRows) -> tuple[IntArray, IntArray]:
    """Return the bounds of the rows in whole numbers, rounded outwards by the rows' error.

    Raises
    ------
    BackendError
        If a row's error reaches the feasibility tolerance.
    """
    loose = rows.error > 0.5 * FEASIBILITY_TOLERANCE * rows.factor
    if loose.any():
        name = model.row_names[int(np.argmax(loose))]
        raise BackendError(
            "cpsat",
            f"row {name} cannot be written in whole numbers within the tolerance",
            "use highs, or integral data in larger units",
        )
    lower = _rounded(model.row_lower, rows, np.ceil, -1.0)
    upper = _rounded(model.row_upper, rows, np.floor, 1.0)
    return lower, upper


def _rounded(bound: FloatArray, rows: WholeRows, towards: np.ufunc, outwards: float) -> IntArray:
    finite = np.isfinite(bound)
    scaled = np.where(finite, bound, 0.0) * rows.factor
    slack = rows.error + _NOISE * np.maximum(rows.factor, np.abs(scaled))
    whole = towards(scaled + outwards * slack)
    whole = np.where(finite, whole, outwards * _INFINITE)
    return np.clip(whole, -_INFINITE, _INFINITE).astype(np.int64)
