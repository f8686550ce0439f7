"""Checks of counts and of the tokens to come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from moeopt.core.arrays import (
    BoolArray,
    FloatArray,
    IntArray,
    numbers_of,
    require_finite_nonnegative,
    require_shape,
)
from moeopt.core.errors import InstanceError

if TYPE_CHECKING:
    from moeopt.popularity.prediction import CountTable

#: Token IDs and attention IDs are below this, so that two of them and an expert are one integer.
MOST_IDS = 2**21

#: Counts are at most this, so that sums of them are finite.
MOST_COUNT = 1e300


def check_table(table: CountTable) -> None:
    """Raise `InstanceError` for the first thing about a table that is malformed."""
    if not table.experts:
        raise InstanceError("$.experts", (), "must name one layer or more", "give each layer's")
    if table.top_k > min(table.experts):
        raise InstanceError(
            "$.top_k",
            table.top_k,
            f"must be at most the {min(table.experts)} experts of a layer",
            "correct one of them",
        )
    for name in ("layer", "token", "attention", "expert", "count"):
        require_shape(getattr(table, name), f"$.{name}", table.layer.shape[:1], "rows")
    check_counts(table.count, "$.count")
    check_ids(table.layer, "$.layer", len(table.experts))
    check_ids(table.token, "$.token")
    check_ids(table.attention, "$.attention")
    check_ids(table.expert, "$.expert", max(table.experts))
    beyond = table.expert >= np.array(table.experts)[table.layer]
    if beyond.any():
        row = int(np.argmax(beyond))
        layer = int(table.layer[row])
        raise InstanceError(
            f"$.expert[{row}]",
            int(table.expert[row]),
            f"must be below the {table.experts[layer]} experts of layer {layer}",
            "correct it",
        )
    _check_order(table)


def check_counts(count: FloatArray, path: str) -> None:
    """Raise `InstanceError` for the first count that is negative, not finite or beyond all bounds.

    Parameters
    ----------
    count
        Occurrences, ``(rows,)``.
    path
        Where they stand.
    """
    require_finite_nonnegative(count, path)
    if count.max(initial=0.0) > MOST_COUNT:
        row = int(count.argmax())
        rule = f"must be at most {MOST_COUNT:g}"
        raise InstanceError(f"{path}[{row}]", float(count[row]), rule, "state occurrences")


def check_token_ids(token_ids: IntArray) -> None:
    """Raise `InstanceError` unless a batch is a list of token IDs."""
    require_shape(token_ids, "$.token_ids", token_ids.shape[:1] or (0,), "tokens")
    check_ids(token_ids, "$.token_ids")


def batch_of(token_ids: object) -> IntArray:
    """Return a batch, ``(tokens,)``, or raise `InstanceError` unless it is a list of token IDs."""
    given = numbers_of(token_ids, "token_ids")
    # Of an empty list, NumPy makes floats.
    batch = given.astype(np.int64) if given.dtype.kind in "iu" or not given.size else given
    check_token_ids(batch)
    return batch


def check_ids(ids: IntArray, path: str, end: int = MOST_IDS) -> None:
    """Raise `InstanceError` for the first ID that is not whole, negative or not below `end`.

    Parameters
    ----------
    ids
        Shape ``(rows,)``.
    path
        Where they stand.
    end
        One more than the largest ID allowed.
    """
    if ids.dtype.kind != "i":
        raise InstanceError(path, f"<{ids.dtype} array>", "must be whole numbers", "correct them")
    bad = (ids < 0) | (ids >= end)
    if bad.any():
        row = int(np.argmax(bad))
        raise InstanceError(
            f"{path}[{row}]", int(ids[row]), f"must be 0 to {end - 1}", "number them from 0"
        )


def keys(token: IntArray, attention: IntArray, expert: IntArray, experts: int) -> IntArray:
    """Return one integer for each row of a layer, ordered as token, attention, expert are.

    Parameters
    ----------
    token, attention, expert
        Each ``(rows,)``; IDs below `MOST_IDS`.
    experts
        More than the largest expert; at most a million.
    """
    return (token * MOST_IDS + attention) * experts + expert


def ascending(table: CountTable) -> BoolArray:
    """Tell of each row but the first whether it comes after the one before, ``(rows - 1,)``."""
    key = keys(table.token, table.attention, table.expert, max(table.experts))
    step = np.diff(table.layer)
    later: BoolArray = (step > 0) | ((step == 0) & (np.diff(key) > 0))
    return later


def _check_order(table: CountTable) -> None:
    in_order = ascending(table)
    if not in_order.all():
        row = int(np.argmin(in_order)) + 1
        raise InstanceError(
            f"$.layer[{row}]",
            f"<row {row}>",
            "must come after the row before it, by layer, token, attention and expert",
            "sort the rows and add up equal ones: moeopt.popularity.table.table_from_rows",
        )
