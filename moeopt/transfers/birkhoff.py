"""The shortest order of one peer at a time: Birkhoff's theorem with bottleneck matchings.

Aurora, Theorem 4.2, shows the length of the shortest all-to-all between equal ports, the largest
line sum, and leaves open that an order of this length exists. It does: pad the matrix until all
lines sum to the same, then a perfect matching exists (Hall, König), and taking it off leaves all
lines equal again (Birkhoff, von Neumann). Here nothing is padded with fixed dummies: a line that
has time to spare may idle as long as it can afford to, which takes fewer rounds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from moeopt.core.arrays import FloatArray, IntArray, numbers_of
from moeopt.core.errors import InstanceError
from moeopt.transfers._kernels import birkhoff as _birkhoff

#: Bits that a line's bytes are counted in: sums of thousands of lines stay below 64.
_BITS = 52

#: Units of a line that the kernel can count.
_MOST_UNITS = 2.0**60


@dataclass(frozen=True)
class Rounds:
    """A matrix in rounds: in each, every port sends to at most one and receives from at most one.

    Attributes
    ----------
    length
        Units that each round lasts, shape ``(rounds,)``.
    peer
        Whom each port sends to, shape ``(rounds, ports)``, -1 for nobody.
    sent
        Units that it sends, at most the round's length, shape ``(rounds, ports)``.
    """

    length: FloatArray
    peer: IntArray
    sent: FloatArray


def decompose(units: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Split an integer matrix into rounds whose lengths sum to its largest line sum, exactly.

    Parameters
    ----------
    units
        Shape ``(ports, ports)``, at least 0, line sums below 2**60.

    Returns
    -------
    length, peer, sent
        As in `Rounds`, as integers.

    Raises
    ------
    InstanceError
        If it is no such matrix.
    """
    given = _square(units)
    if not _countable(given):
        raise InstanceError(
            "$",
            f"<{given.dtype} array>",
            "must hold whole numbers >= 0, of less than 2**60 in each row and column",
            "count in larger units, or take rounds_of",
        )
    matrix = np.ascontiguousarray(given, dtype=np.int64)
    length, peer, sent = _birkhoff(matrix)
    return length, peer, sent


def rounds_of(matrix: FloatArray) -> Rounds:
    """Split a matrix of any numbers into rounds whose lengths sum to its largest line sum.

    Parameters
    ----------
    matrix
        Shape ``(ports, ports)``, at least 0: bytes, or seconds where ports differ.

    Notes
    -----
    Integers below 2**52 are kept as they are. Others are counted in units of 2**-52 of the largest
    line, rounded up: the sum of lengths is above the largest line by less than ``ports * 2**-52``
    of it, and the parts of an entry sum to it up to rounding.

    Raises
    ------
    InstanceError
        If it is no such matrix, or lines have no finite sum.
    """
    matrix = _square(matrix).astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        # Twice, for units round up.
        total = 2.0 * matrix.sum()
    if not (np.isfinite(total) and matrix.min(initial=0.0) >= 0.0):
        rule = "must hold finite numbers >= 0, with a finite sum"
        raise InstanceError("$", f"<a sum of {total / 2:.3g}>", rule, "rescale it")
    line = float(max(matrix.sum(axis=0).max(initial=0.0), matrix.sum(axis=1).max(initial=0.0)))
    quantum = _quantum(matrix, line)
    units = np.ceil(matrix / quantum)
    length, peer, sent = decompose(units.astype(np.int64))
    # What rounding up has added is taken off each part again, in proportion.
    exact = np.divide(matrix, units, out=np.zeros_like(matrix), where=units > 0)
    part = sent * np.take_along_axis(exact, np.maximum(peer, 0).T, axis=1).T
    return Rounds(np.asarray(length * quantum), peer, part)


def _square(matrix: object) -> npt.NDArray[Any]:
    array = numbers_of(matrix, "$")
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        rule = "must have a row and a column for each port"
        raise InstanceError("$", f"<shape {array.shape}>", rule, "give a square matrix")
    return array


def _countable(matrix: npt.NDArray[Any]) -> bool:
    """Tell whether all are whole, none is negative, and no sum of a line overflows."""
    if not matrix.size:
        return True
    # Most matrices pass here: this is asked for between two layers of a model that runs.
    fits = float(matrix.max()) * len(matrix) < _MOST_UNITS
    if not fits:
        with np.errstate(over="ignore", invalid="ignore"):
            sums = [matrix.sum(axis=axis, dtype=np.float64).max() for axis in (0, 1)]
        fits = bool(max(sums) < _MOST_UNITS)
    whole = matrix.dtype.kind != "f" or bool((matrix == np.floor(matrix)).all())
    return fits and whole and bool(matrix.min() >= 0)


def _quantum(matrix: FloatArray, line: float) -> float:
    if line == 0.0 or (line < 2.0**_BITS and bool((matrix == np.floor(matrix)).all())):
        return 1.0
    # Of the smallest numbers that there are, the unit is the smallest of them.
    return max(math.ulp(0.0), math.ldexp(1.0, math.frexp(line)[1] - _BITS))
