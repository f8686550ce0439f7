"""Counts without a trace: the record, and CSV files of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moeopt.core.errors import InstanceError
from moeopt.placement import place
from moeopt.traces import ExpertCounts, csv_counts, read_csv_counts

TEXT = """layer,expert,count
3,0,10
3,2,5
7,1,2.5
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "counts.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_sums_and_layers() -> None:
    counts = ExpertCounts(np.array([[[1, 2], [0, 0]], [[3, 0], [0, 0]]]), np.array([3, 5]))
    assert (counts.num_windows, counts.num_layers, counts.num_experts) == (2, 2, 2)
    np.testing.assert_array_equal(counts.total(), [[4, 2], [0, 0]])
    assert counts.active().layer_ids.tolist() == [3]
    assert counts.active().counts.shape == (2, 1, 2)
    with pytest.raises(ValueError, match="read-only"):
        counts.counts[0, 0, 0] = 1


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"counts": np.ones((2, 3))}, "must have shape"),
        ({"counts": np.ones((0, 2, 3))}, "none of them 0"),
        ({"counts": np.full((1, 2, 3), np.nan)}, r"counts\[0\]\[0\]\[0\]: must be a finite"),
        ({"counts": -np.ones((1, 2, 3))}, "must be a finite number >= 0"),
        ({"layer_ids": np.arange(3)}, "each of the 2 layers"),
        ({"layer_ids": np.array([0.5, 1])}, "a whole number"),
        ({"layer_ids": np.array([4, 4])}, "must ascend"),
        ({"layer_ids": np.array([-1, 4])}, "must ascend from 0"),
    ],
)
def test_malformed_counts_are_a_sentence(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(InstanceError, match=said):
        ExpertCounts(**{"counts": np.ones((1, 2, 3)), "layer_ids": np.arange(2), **changed})


def test_csv_of_one_window(tmp_path: Path) -> None:
    counts = read_csv_counts(write(tmp_path, TEXT))
    np.testing.assert_array_equal(counts.counts, [[[10, 0, 5], [0, 2.5, 0]]])
    assert counts.layer_ids.tolist() == [3, 7]
    assert read_csv_counts(write(tmp_path, TEXT), experts=4).num_experts == 4


def test_csv_of_windows_in_any_order(tmp_path: Path) -> None:
    text = "\ufeffcount, Expert,layer,WINDOW\r\n4,1,0,20\r\n\r\n1e1,0,0,10\r\n"
    counts = read_csv_counts(write(tmp_path, text))
    np.testing.assert_array_equal(counts.counts, [[[10, 0]], [[0, 4]]])


def test_windows_are_scenarios_of_a_placement(tmp_path: Path) -> None:
    rows = [
        f"{window},{layer},{expert},{1 + (expert + window) % 4}"
        for window in range(2)
        for layer in range(2)
        for expert in range(8)
    ]
    text = "\n".join(["window,layer,expert,count", *rows])
    counts = read_csv_counts(write(tmp_path, text))
    placed = place(counts.counts, devices=4, objective="mean_max")
    assert placed.physical_to_logical.shape == (2, 8)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: must name the columns"),
        ("0,1,5\n", "line 1: must name the columns"),
        ("layer,expert,count,more\n", "line 1: must name the columns"),
        ("layer,expert,count\n", "must hold counts"),
        ("layer,expert,count\n0,1\n", "line 2: must have 3 cells"),
        ("layer,expert,count\n0,-1,5\n", "line 2: must have a whole expert >= 0, got '-1'"),
        ("layer,expert,count\n1.5,1,5\n", "line 2: must have a whole layer"),
        ("layer,expert,count\n0,1,nan\n", "line 2: must have a finite count"),
        ("layer,expert,count\n0,1,-3\n", "line 2: must have a finite count"),
        ("layer,expert,count\n0,1,1e999\n", "line 2: must have a finite count"),
        ("layer,expert,count\n0,1,1_0\n", "line 2: must have a finite count"),
        ("layer,expert,count\n0,1,5\n0,1,6\n", "line 3: must stand once"),
        ("layer,expert,count\n0,1000000,5\n", "must have at most 1000000, got <1000001 experts>"),
        ("layer,expert,count\n0,9999999999999999,5\n", "whole expert"),
        ('layer,expert,count\n0,1,"5\n', "must be a CSV file"),
    ],
)
def test_a_wrong_csv_is_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InstanceError, match=said):
        read_csv_counts(write(tmp_path, text))


def test_files_that_are_no_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "counts.csv"
    with pytest.raises(InstanceError, match="must be a CSV file"):
        read_csv_counts(path)
    path.write_bytes(b"layer,expert,count\n0,1,\xff\n")
    with pytest.raises(InstanceError, match="UTF-8"):
        read_csv_counts(path)
    with pytest.raises(InstanceError, match="must be at least 3"):
        read_csv_counts(write(tmp_path, TEXT), experts=2)
    # A few rows must not ask for all memory.
    rows = "".join(f"{layer},999999,1\n" for layer in range(2000))
    with pytest.raises(InstanceError, match="must not hold more than 100 times its own size"):
        read_csv_counts(write(tmp_path, "layer,expert,count\n" + rows))
    rows = "".join(f"{layer},{layer % 7},1\n\n" for layer in (3, 4, 3, 4))
    with pytest.raises(InstanceError, match="line 6: must stand once in its window, got <layer 3"):
        read_csv_counts(write(tmp_path, "layer,expert,count\n" + rows))
    monkeypatch.setattr(csv_counts, "MAX_CSV_BYTES", 10)
    with pytest.raises(InstanceError, match="at most 10 bytes"):
        read_csv_counts(write(tmp_path, TEXT))
