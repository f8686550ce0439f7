"""Expert statistics of TensorRT-LLM: a folder in the form that its examples read."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moeopt.core.errors import AdapterError, InstanceError
from moeopt.traces import read_tensorrt_counts

safetensors = pytest.importorskip("safetensors.numpy")

#: Two iterations of the layers 3 and 4 of a model, on two ranks.
RANKS = [
    {f"{i}_{layer}": np.array([i, layer, rank]) for i in (100, 101) for layer in (3, 4)}
    for rank in (0, 1)
]


def write(folder: Path, ranks: list[Mapping[str, Any]], meta: object = None) -> Path:
    for rank, tensors in enumerate(ranks):
        safetensors.save_file(dict(tensors), folder / f"rank{rank}.safetensors")
    meta = {"num_experts": 3, "num_experts_per_token": 2} if meta is None else meta
    (folder / "meta_info.json").write_text(json.dumps(meta))
    return folder


def test_ranks_add_up(tmp_path: Path) -> None:
    # What the co-occurrence variant writes beside it is no rank.
    safetensors.save_file({"100_3": np.zeros((3, 3))}, tmp_path / "cooccurrence_rank0.safetensors")
    counts = read_tensorrt_counts(write(tmp_path, RANKS))
    np.testing.assert_array_equal(
        counts.counts, [[[200, 6, 1], [200, 8, 1]], [[202, 6, 1], [202, 8, 1]]]
    )
    assert counts.layer_ids.tolist() == [3, 4]


def without(key: str) -> list[Mapping[str, Any]]:
    return [{name: tensor for name, tensor in RANKS[0].items() if name != key}]


@pytest.mark.parametrize(
    ("ranks", "meta", "said"),
    [
        ([], None, "must hold a rank's counts"),
        ([{}], None, "must hold counts"),
        (without("101_3"), None, "must have every layer in every iteration, got <no 101_3>"),
        ([{"layer3": np.zeros(3, dtype=int)}], None, "must name tensors"),
        ([{"0_3": np.zeros(4, dtype=int)}], None, "one for each of the 3 experts"),
        ([{"0_3": np.zeros(3)}], None, "must be whole numbers"),
        ([{"0_3": np.array([1, -1, 0])}], None, "must be counts >= 0"),
        (RANKS, {}, "must be JSON with num_experts"),
        (RANKS, {"num_experts": 3.0}, "must be JSON with num_experts"),
        (RANKS, {"num_experts": 0}, "num_experts: must be >= 1"),
    ],
)
def test_a_wrong_folder_is_a_sentence(
    tmp_path: Path, ranks: list[Mapping[str, Any]], meta: object, said: str
) -> None:
    with pytest.raises(InstanceError, match=said):
        read_tensorrt_counts(write(tmp_path, ranks, meta))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InstanceError, match=r"meta_info\.json: must be JSON"):
        read_tensorrt_counts(tmp_path)
    write(tmp_path, RANKS)
    path = tmp_path / "rank1.safetensors"
    whole = path.read_bytes()
    for cut in (0, 4, 8, 50, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(InstanceError, match="must be a whole safetensors file"):
            read_tensorrt_counts(tmp_path)
    path.unlink()
    path.symlink_to(tmp_path / "gone")
    with pytest.raises(InstanceError, match=r"rank1\.safetensors: must be a readable file"):
        read_tensorrt_counts(tmp_path)


def test_without_safetensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, RANKS)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(AdapterError, match="needs safetensors"):
        read_tensorrt_counts(tmp_path)
