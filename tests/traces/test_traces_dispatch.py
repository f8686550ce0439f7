"""`read_any` finds the reader, and nothing heavy is imported before it is needed."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from moeopt.core.errors import InstanceError
from moeopt.traces import ExpertCounts, RoutingTrace, archive, read_any, write_trace

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.numpy")

IDS = np.array([[[0, 1]], [[2, 3]]])

RECORD = {
    "forward_pass_id": 0,
    "rank": 0,
    "input_ids": [5, 6],
    "topk_ids_of_layer": torch.tensor(IDS.transpose(1, 0, 2).copy()),
}

LINE = {
    "step": 0,
    "stage": "pre_dispatch",
    "block": "decoder",
    "layer": 0,
    "rank": 0,
    "num_tokens": 2,
    "topk": 2,
    "top_indices": IDS[:, 0].tolist(),
}


def test_every_format_is_found(tmp_path: Path) -> None:
    write_trace(tmp_path / "trace.npz", RoutingTrace(IDS))
    np.savez(tmp_path / "requests.npz", IDS)
    np.save(tmp_path / "request.npy", IDS)
    table = {"last_physical_to_logical_map": torch.tensor([[0, 1, 2, 3]])}
    torch.save({"records": [RECORD], **table}, tmp_path / "token.pt")
    (tmp_path / "trace.JSONL").write_text(json.dumps(LINE))
    for path in tmp_path.iterdir():
        read = read_any(path)
        assert isinstance(read, RoutingTrace), path.name
        np.testing.assert_array_equal(read.expert_ids, IDS)


def test_every_format_of_counts_is_found(tmp_path: Path) -> None:
    torch.save({"logical_count": torch.tensor([[[1, 2]]])}, tmp_path / "stat.pt")
    (tmp_path / "counts.csv").write_text("layer,expert,count\n0,0,1\n0,1,2\n")
    folder = tmp_path / "statistics"
    folder.mkdir()
    (folder / "meta_info.json").write_text('{"num_experts": 2}')
    safetensors.save_file({"7_0": np.array([1, 2])}, folder / "rank0.safetensors")
    for path in tmp_path.iterdir():
        read = read_any(path)
        assert isinstance(read, ExpertCounts), path.name
        np.testing.assert_array_equal(read.counts, [[[1, 2]]])


def test_what_is_none_of_them(tmp_path: Path) -> None:
    with pytest.raises(InstanceError, match=r"must be \.npz, \.npy"):
        read_any(tmp_path / "trace.parquet")
    with pytest.raises(InstanceError, match=r"whole \.npz archive"):
        read_any(tmp_path / "none.npz")
    with pytest.raises(InstanceError, match=r"meta_info\.json"):
        read_any(tmp_path)


def test_a_pipe_or_a_device_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "folder" / "meta_info.json")
    with pytest.raises(InstanceError, match="not a plain file"):
        read_any(tmp_path / "folder")
    for suffix in ("npz", "npy", "pt", "jsonl", "csv"):
        os.mkfifo(tmp_path / f"pipe.{suffix}")
        (tmp_path / f"zeros.{suffix}").symlink_to("/dev/zero")
        for name in ("pipe", "zeros"):
            with pytest.raises(InstanceError, match="not a plain file"):
                read_any(tmp_path / f"{name}.{suffix}")


@pytest.mark.parametrize("suffix", ["npz", "pt"])
def test_a_small_archive_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = tmp_path / f"zeros.{suffix}"
    np.savez_compressed(tmp_path / "zeros.npz", expert_ids=np.zeros((10**5, 1, 1), dtype=np.int64))
    (tmp_path / "zeros.npz").rename(path)
    monkeypatch.setattr(archive, "MIN_RATED_BYTES", 10**5)
    with pytest.raises(InstanceError, match="must not hold more than 100 times its own size"):
        read_any(path)


def test_a_broken_packing_is_a_sentence(tmp_path: Path) -> None:
    content = io.BytesIO()
    np.save(content, IDS)
    with zipfile.ZipFile(tmp_path / "one.npz", "w", zipfile.ZIP_LZMA) as made:
        made.writestr("expert_ids.npy", content.getvalue())
    whole = bytearray((tmp_path / "one.npz").read_bytes())
    whole[60:80] = bytes(20)
    (tmp_path / "one.npz").write_bytes(whole)
    with pytest.raises(InstanceError, match=r"whole \.npz archive"):
        read_any(tmp_path / "one.npz")


def test_an_axis_of_an_empty_array_is_limited(tmp_path: Path) -> None:
    np.save(tmp_path / "empty.npy", np.zeros((0, 2**40, 2), dtype=np.int8))
    with pytest.raises(InstanceError, match="is empty, and too long"):
        read_any(tmp_path / "empty.npy")


def test_lengths_that_overflow_do_not_add_up() -> None:
    with pytest.raises(InstanceError, match="must add up to the 2 tokens"):
        RoutingTrace(IDS, sequence_lengths=np.array([2**62] * 4 + [2]))


def test_importing_the_readers_is_light() -> None:
    heavy = {"torch", "safetensors", "transformers", "numba", "scipy", "ortools"}
    code = f"import sys, moeopt.traces; print(sorted({heavy!r} & set(sys.modules)))"
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
