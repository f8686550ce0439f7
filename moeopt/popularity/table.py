"""Tables of counts: made in one pass over a trace, added up, written and read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import numpy as np

from moeopt.core.arguments import whole
from moeopt.core.arrays import (
    FloatArray,
    IntArray,
    numbers_of,
    require_shape,
)
from moeopt.core.errors import InstanceError
from moeopt.popularity.checks import MOST_IDS, check_counts, check_ids, keys
from moeopt.popularity.prediction import CountTable
from moeopt.traces.archive import Array, read_arrays, write_arrays
from moeopt.traces.trace import MOST_EXPERTS, RoutingTrace

_IDS = ("layer", "token", "attention", "expert")

_COLUMNS = ("token", "attention", "expert", "count")

_Rows = tuple[IntArray, IntArray, IntArray, FloatArray]


def count_table(trace: RoutingTrace) -> CountTable:
    """Return how often each token of a trace went to each expert.

    Layer by layer: each row becomes one integer, and these are sorted and counted.

    Parameters
    ----------
    trace
        With token IDs. Without attention IDs, all of them are 0.

    Raises
    ------
    InstanceError
        If there are no token IDs, or one is too large.
    """
    if trace.token_ids is None:
        raise InstanceError(
            "trace", "<no token_ids>", "must have token IDs", "or with_stand_in_ids for stand-ins"
        )
    token = trace.token_ids.astype(np.int64)
    check_ids(token, "token_ids")
    experts = trace.num_experts
    layers: list[_Rows] = []
    for layer in range(trace.num_layers):
        attention = _attention_of(trace, layer)
        pairs = keys(token, attention, np.zeros_like(token), experts)
        key, count = np.unique(pairs[:, None] + trace.expert_ids[:, layer], return_counts=True)
        layers.append((*_unpacked(key, experts), count.astype(np.float64)))
    return _stacked(layers, (experts,) * trace.num_layers, trace.top_k)


def table_from_rows(
    layer: IntArray,
    token: IntArray,
    attention: IntArray,
    expert: IntArray,
    count: FloatArray,
    *,
    experts: Sequence[int],
    top_k: int = 1,
) -> CountTable:
    """Return a table of rows in any order, equal ones added up.

    Parameters
    ----------
    layer, token, attention, expert, count
        As in `CountTable`, ``(rows,)``.
    experts, top_k
        As in `CountTable`.

    Raises
    ------
    InstanceError
        If columns differ in length, an ID or a count is negative or too large, or `experts` does
        not name one layer or more.
    """
    sizes = _sizes_of(experts)
    ends = {"layer": len(sizes), "expert": max(sizes)}
    layer, token, attention, expert = (
        _id_column(column, name, ends.get(name, MOST_IDS))
        for name, column in zip(_IDS, (layer, token, attention, expert), strict=True)
    )
    count = numbers_of(count, "count").astype(np.float64)
    for name, column in zip((*_IDS[1:], "count"), (token, attention, expert, count), strict=True):
        require_shape(column, name, layer.shape, "rows")
    # Before equal rows hide it in a sum.
    check_counts(count, "count")
    layers: list[_Rows] = []
    for e, most in enumerate(sizes):
        rows = np.flatnonzero(layer == e)
        check_ids(expert[rows], "expert", most)
        key = keys(token[rows], attention[rows], expert[rows], max(sizes))
        # Stable sorts merge runs that are sorted already.
        order = np.argsort(key, kind="stable")
        key = key[order]
        first = np.flatnonzero(np.diff(key, prepend=-1))
        total = np.add.reduceat(count[rows[order]], first) if first.size else np.zeros(0)
        layers.append((*_unpacked(key[first], max(sizes)), total))
    return _stacked(layers, sizes, top_k)


def merged(tables: Iterable[CountTable]) -> CountTable:
    """Return the sum of tables of the same model.

    Parameters
    ----------
    tables
        One or more.

    Raises
    ------
    InstanceError
        If there is none, or they differ in their experts.
    """
    every = list(tables)
    shapes = {(table.experts, table.top_k) for table in every}
    if len(shapes) != 1:
        raise InstanceError(
            "tables",
            f"<{len(shapes)} shapes>",
            "must be one or more tables with the same experts and top_k",
            "add up tables of one model",
        )
    names = ("layer", "token", "attention", "expert", "count")
    columns = [np.concatenate([getattr(table, name) for table in every]) for name in names]
    experts, top_k = shapes.pop()
    return table_from_rows(*columns, experts=experts, top_k=top_k)


def write_table(path: str | os.PathLike[str], table: CountTable) -> None:
    """Write a table as a compressed ``.npz`` of small integers.

    Parameters
    ----------
    path
        Where to.
    table
        What to write.
    """
    arrays = {name: getattr(table, name) for name in _COLUMNS}
    # Up to here floats are exact.
    if (table.count == np.floor(table.count)).all() and table.count.max(initial=0.0) <= 2.0**53:
        arrays["count"] = table.count.astype(np.uint64)
    arrays["rows"] = np.bincount(table.layer, minlength=len(table.experts))
    arrays["experts"] = np.array(table.experts)
    arrays["top_k"] = np.array(table.top_k)
    write_arrays(path, arrays)


def read_table(path: str | os.PathLike[str]) -> CountTable:
    """Return a table that `write_table` wrote.

    Parameters
    ----------
    path
        The ``.npz``.

    Raises
    ------
    InstanceError
        If it is no such archive, or its rows contradict each other.
    """
    arrays = read_arrays(path, (*_COLUMNS, "rows", "experts", "top_k"))
    try:
        experts = _sizes_of(arrays["experts"])
        require_shape(arrays["top_k"], "$.top_k", (), "one number")
        return CountTable(
            layer=np.repeat(np.arange(len(experts)), _rows_of(arrays, len(experts))),
            experts=experts,
            top_k=whole("$.top_k", arrays["top_k"][()]),
            **{name: arrays[name] for name in _COLUMNS},
        )
    except InstanceError as error:
        raise error.under(f"{os.fspath(path)}: ") from None


def _sizes_of(experts: Sequence[int] | Array) -> tuple[int, ...]:
    """Return the experts of each layer, or raise `InstanceError`."""
    given = numbers_of(experts, "experts")
    if given.ndim != 1 or not given.size:
        raise InstanceError(
            "experts", f"<shape {given.shape}>", "must name one layer or more", "give each layer's"
        )
    # From 1 on: a layer has an expert.
    check_ids(_integers(given) - 1, "experts", MOST_EXPERTS)
    return tuple(given.tolist())


def _id_column(column: IntArray, name: str, end: int) -> IntArray:
    given = numbers_of(column, name)
    require_shape(given, name, (given.size,), "rows")
    ids = _integers(given)
    check_ids(ids, name, end)
    return ids


def _integers(array: Array) -> IntArray:
    """Return integers of 64 bits; floats as they are, to be refused, unless there are none."""
    return array.astype(np.int64) if array.dtype.kind in "iu" or not array.size else array


def _rows_of(arrays: dict[str, Array], layers: int) -> IntArray:
    """Return the rows of each layer, ``(layers,)``, which must add up to those that are there."""
    most = arrays["token"].size
    rows = _integers(numbers_of(arrays["rows"], "$.rows"))
    require_shape(rows, "$.rows", (layers,), "layers")
    check_ids(rows, "$.rows", most + 1)
    if rows.sum() != most:
        raise InstanceError(
            "$.rows", int(rows.sum()), f"must add up to the {most} rows", "write the table again"
        )
    return rows


def _attention_of(trace: RoutingTrace, layer: int) -> IntArray:
    ids = trace.attention_ids
    if ids is None:
        return np.zeros(trace.num_tokens, dtype=np.int64)
    column = (ids if ids.ndim == 1 else ids[:, layer]).astype(np.int64)
    check_ids(column, "attention_ids")
    return column


def _unpacked(key: IntArray, experts: int) -> tuple[IntArray, IntArray, IntArray]:
    pair, expert = np.divmod(key, experts)
    token, attention = np.divmod(pair, MOST_IDS)
    return token, attention, expert


def _stacked(layers: Sequence[_Rows], experts: tuple[int, ...], top_k: int) -> CountTable:
    token, attention, expert, count = (
        np.concatenate([rows[column] for rows in layers]) for column in range(4)
    )
    sizes = [rows[0].size for rows in layers]
    arrays = (np.repeat(np.arange(len(layers)), sizes), token, attention, expert, count)
    for array in arrays:
        # Closed for good, so that the record takes them as they are.
        array.flags.writeable = False
    return CountTable(
        layer=arrays[0],
        token=arrays[1],
        attention=arrays[2],
        expert=arrays[3],
        count=arrays[4],
        experts=experts,
        top_k=top_k,
    )
