"""Tables against a loop over the trace; what is malformed; the archive."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from popularity_draws import counted, draw_trace, one_layer

from moeopt.core.errors import InstanceError
from moeopt.popularity import (
    CountTable,
    Prediction,
    count_table,
    merged,
    read_table,
    table_from_rows,
    write_table,
)
from moeopt.popularity.checks import MOST_IDS
from moeopt.traces import RoutingTrace


def rows(table: CountTable) -> dict[tuple[int, ...], float]:
    columns = (table.layer, table.token, table.attention, table.expert)
    keys = zip(*(column.tolist() for column in columns), strict=True)
    return dict(zip(keys, table.count.tolist(), strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_a_table_counts_what_a_loop_counts(seed: int) -> None:
    trace = draw_trace(seed, top_k=1 + seed % 2)
    table = count_table(trace)
    assert rows(table) == counted(trace)
    assert (table.experts, table.top_k) == ((4, 4), trace.top_k)
    for share, counts in zip(table.shares(), trace.counts(), strict=True):
        np.testing.assert_allclose(share, counts / counts.sum())


def test_rows_of_a_layer_are_a_run() -> None:
    table = count_table(draw_trace(layers=3))
    for layer in range(3):
        np.testing.assert_array_equal(table.layer[table.rows_of(layer)], layer)
    sizes = [table.rows_of(layer) for layer in range(3)]
    assert sum(s.stop - s.start for s in sizes) == table.layer.size


def test_one_attention_for_all_layers_or_none() -> None:
    trace = draw_trace()
    assert trace.attention_ids is not None
    first = np.repeat(trace.attention_ids[:, :1], 2, axis=1)
    common = RoutingTrace(trace.expert_ids, token_ids=trace.token_ids, attention_ids=first[:, 0])
    each = RoutingTrace(trace.expert_ids, token_ids=trace.token_ids, attention_ids=first)
    assert count_table(common) == count_table(each)
    none = count_table(RoutingTrace(trace.expert_ids, token_ids=trace.token_ids))
    assert not none.attention.any()
    assert none.count.sum() == trace.expert_ids.size


def test_halves_add_up() -> None:
    trace = draw_trace(5)
    parts = [count_table(trace.part(0, 25)), count_table(trace.part(25, 60))]
    assert merged(parts) == count_table(trace)
    assert merged(parts[:1]) == parts[0]


def test_tables_of_two_models_do_not_add_up() -> None:
    for tables in ([], [one_layer({}, 2), one_layer({}, 3)]):
        with pytest.raises(InstanceError, match="same experts"):
            merged(tables)


def test_rows_in_any_order_are_sorted_and_added_up() -> None:
    table = table_from_rows(
        np.array([1, 0, 0, 0]),
        np.array([0, 7, 2, 7]),
        np.array([0, 1, 5, 1]),
        np.array([2, 0, 1, 0]),
        np.array([1.0, 2.0, 3.0, 0.5]),
        experts=(2, 3),
    )
    assert rows(table) == {(0, 2, 5, 1): 3.0, (0, 7, 1, 0): 2.5, (1, 0, 0, 2): 1.0}


@pytest.mark.parametrize("count", [1.0, 300.0, 2.5])
def test_an_archive_gives_the_table_back(tmp_path: Path, count: float) -> None:
    table = count_table(draw_trace(layers=3))
    table = msgspec.structs.replace(table, count=table.count * count)
    write_table(tmp_path / "table.npz", table)
    assert read_table(tmp_path / "table.npz") == table
    with np.load(tmp_path / "table.npz", allow_pickle=False) as archive:
        assert archive["token"].dtype == np.uint8
        assert archive["count"].dtype == (np.float64 if count == 2.5 else archive["count"].dtype)
        assert archive["count"].dtype.kind == ("f" if count == 2.5 else "u")


def test_an_empty_table_is_written_and_read(tmp_path: Path) -> None:
    table = one_layer({}, 4)
    write_table(tmp_path / "table.npz", table)
    assert read_table(tmp_path / "table.npz") == table


def test_an_archive_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.npz"
    with pytest.raises(InstanceError, match="whole"):
        read_table(path)
    path.write_bytes(b"no archive")
    with pytest.raises(InstanceError, match="whole"):
        read_table(path)
    np.savez(path, token=np.array([{}], dtype=object))
    with pytest.raises(InstanceError, match="must hold the array attention"):
        read_table(path)
    arrays: dict[str, Any] = {
        "token": np.array([{}], dtype=object),
        **dict.fromkeys(("attention", "expert", "count", "rows", "experts", "top_k"), np.ones(1)),
    }
    np.savez(path, **arrays)
    with pytest.raises(InstanceError, match=r"whole \.npz archive of numbers"):
        read_table(path)


def test_an_archive_of_wrong_rows_names_them(tmp_path: Path) -> None:
    path = tmp_path / "table.npz"
    write_table(path, one_layer({(0, 0, 0): 1, (1, 0, 1): 1}, 2))
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **{**arrays, "expert": np.array([0, 5])})
    with pytest.raises(InstanceError, match=r"table\.npz: .*expert\[1\]"):
        read_table(path)
    np.savez(path, **{**arrays, "rows": np.array([1])})
    with pytest.raises(InstanceError, match=r"table\.npz: .*rows.*add up"):
        read_table(path)


GOOD: dict[str, Any] = {
    "layer": np.array([0, 0, 1]),
    "token": np.array([1, 1, 0]),
    "attention": np.array([0, 0, 0]),
    "expert": np.array([0, 1, 2]),
    "count": np.array([1.0, 2.0, 3.0]),
    "experts": (2, 3),
}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"experts": ()}, r"\$\.experts: must name one layer"),
        ({"top_k": 3}, r"\$\.top_k: must be at most the 2 experts"),
        ({"token": np.array([1, 1])}, r"\$\.token: must have shape"),
        ({"count": np.array([1.0, -2.0, 3.0])}, r"\$\.count\[1\]"),
        ({"layer": np.array([0, 0, 2])}, r"\$\.layer\[2\]: must be 0 to 1"),
        ({"token": np.array([1, 1, -1])}, r"\$\.token\[2\]"),
        ({"token": np.array([1, 1, 0.5])}, r"\$\.token: must be whole numbers"),
        ({"attention": np.array([0, 0, MOST_IDS])}, r"\$\.attention\[2\]"),
        ({"expert": np.array([0, 2, 2])}, r"\$\.expert\[1\]: must be below the 2 experts"),
        ({"expert": np.array([1, 0, 2])}, r"\$\.layer\[1\]: must come after"),
        ({"expert": np.array([0, 0, 2])}, r"\$\.layer\[1\]: must come after"),
    ],
)
def test_a_malformed_table_is_a_sentence(changed: dict[str, Any], said: str) -> None:
    CountTable(**GOOD)
    with pytest.raises(InstanceError, match=said):
        CountTable(**{**GOOD, **changed})


def test_a_batch_in_a_prediction_is_checked() -> None:
    table = CountTable(**GOOD)
    with pytest.raises(InstanceError, match=r"\$\.token_ids\[0\]"):
        Prediction(table=table, token_ids=np.array([-3]))
    with pytest.raises(InstanceError, match="rule"):
        Prediction(table=table, token_ids=np.array([3]), rule="oracle")  # type: ignore[arg-type]


@pytest.mark.parametrize("changed", [{"token_ids": None}, {"token_ids": np.full(60, MOST_IDS)}])
def test_a_trace_without_usable_ids_has_no_table(changed: dict[str, Any]) -> None:
    trace = RoutingTrace(draw_trace().expert_ids, **changed)
    with pytest.raises(InstanceError, match=r"token_ids"):
        count_table(trace)


def test_rows_out_of_range_are_refused() -> None:
    one = np.array([0])
    with pytest.raises(InstanceError, match=r"expert\[0\]"):
        table_from_rows(one, one, one, np.array([2]), np.ones(1), experts=(2, 3))
    with pytest.raises(InstanceError, match=r"layer\[0\]"):
        table_from_rows(np.array([2]), one, one, one, np.ones(1), experts=(2, 3))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"count": np.array([-1.0, 3.0])}, r"count\[0\]"),
        ({"count": np.array([np.nan, 3.0])}, r"count\[0\]"),
        ({"count": np.array([1.0, 1e308])}, r"count\[1\]: must be at most 1e\+300"),
        ({"token": [1]}, "token: must have shape"),
        ({"expert": [[0, 0]]}, "expert: must have shape"),
        ({"attention": [0.5, 0.5]}, "attention: must be whole"),
        ({"token": ["1", "1"]}, "token"),
        ({"experts": ()}, "experts: must name"),
        ({"experts": (0,)}, r"experts\[0\]"),
        ({"experts": (2.5,)}, "experts: must be whole"),
        ({"experts": (10**7,)}, r"experts\[0\]"),
    ],
)
def test_malformed_rows_are_a_sentence(changed: dict[str, Any], said: str) -> None:
    """Rows of the same key, whose sum would hide a negative count."""
    good: dict[str, Any] = {
        "layer": [0, 0],
        "token": [1, 1],
        "attention": [0, 0],
        "expert": np.zeros(2, dtype=np.uint8),
        "count": [1, 2],
        "experts": [2],
    }
    assert rows(table_from_rows(**good)) == {(0, 1, 0, 0): 3.0}
    with pytest.raises(InstanceError, match=said):
        table_from_rows(**{**good, **changed})


HOSTILE: list[dict[str, Any]] = [
    {"rows": np.array([-2])},
    {"rows": np.array([[2]])},
    {"rows": np.array([2.0])},
    {"rows": np.array(["2"])},
    {"rows": np.array([2**64 - 1], dtype=np.uint64)},
    {"rows": np.array([10**15])},
    {"experts": np.array(2)},
    {"experts": np.array([2.0])},
    {"experts": np.array([-1])},
    {"experts": np.zeros(0, dtype=int)},
    {"top_k": np.array([1, 1])},
    {"top_k": np.zeros(0, dtype=int)},
    {"top_k": np.array(1.0)},
    {"top_k": np.array(0)},
    {"count": np.array([2**63, 1], dtype=np.uint64)},
    {"token": np.array(3)},
    {"token": np.array([1j, 2])},
]


@pytest.mark.parametrize("changed", HOSTILE, ids=str)
def test_a_hostile_archive_is_one_sentence(tmp_path: Path, changed: dict[str, Any]) -> None:
    path = tmp_path / "table.npz"
    write_table(path, one_layer({(0, 0, 0): 1, (1, 0, 1): 1}, 2))
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **{**arrays, **changed})
    with pytest.raises(InstanceError, match=r"table\.npz"):
        read_table(path)


@pytest.mark.parametrize("shape", ["(10**12,)", "(10**30,)", "(-1,)", "(0, 10**30)", "(", "None"])
@pytest.mark.parametrize("version", [1, 2, 7])
def test_a_header_that_promises_more_is_refused(tmp_path: Path, shape: str, version: int) -> None:
    path = tmp_path / "table.npz"
    shown = shape.replace("10**12", str(10**12)).replace("10**30", str(10**30))
    header = f"{{'descr': '<i8', 'fortran_order': False, 'shape': {shown}, }}\n".encode()
    size = struct.pack("<H" if version == 1 else "<I", len(header))
    write_table(path, one_layer({}, 2))
    with np.load(path) as archive:
        arrays = dict(archive)
    del arrays["token"]
    np.savez(path, **arrays)
    with zipfile.ZipFile(path, "a") as archive:
        member = b"\x93NUMPY" + bytes([version, 0]) + size + header + bytes(16)
        archive.writestr("token.npy", member)
    with pytest.raises(InstanceError, match="whole"):
        read_table(path)


def test_counts_beyond_whole_floats_are_written_and_read(tmp_path: Path) -> None:
    for count in (2.0**53, 2.0**63, 1e300):
        table = one_layer({(0, 0, 0): count}, 2)
        write_table(tmp_path / "table.npz", table)
        assert read_table(tmp_path / "table.npz") == table
