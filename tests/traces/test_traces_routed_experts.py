"""Routed experts of vLLM and SGLang: arrays of requests, in memory and as NumPy files."""

from __future__ import annotations

import base64
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moeopt.core.errors import InstanceError
from moeopt.traces import archive, read_routed_experts, trace_of_requests

#: Two requests of 3 and 2 tokens; the middle one of three layers has no experts.
FIRST = np.array(
    [[[0, 1], [0, 0], [3, 2]], [[1, 2], [0, 0], [3, 0]], [[2, 0], [0, 0], [1, 0]]], dtype=np.int16
)
SECOND = np.array([[[3, 1], [0, 0], [3, 2]], [[1, 2], [0, 0], [3, 0]]], dtype=np.uint8)


def test_requests_are_sequences() -> None:
    trace = trace_of_requests([FIRST, SECOND.tolist()], experts=8)
    np.testing.assert_array_equal(trace.expert_ids, np.concatenate([FIRST, SECOND])[:, [0, 2]])
    assert trace.sequence_lengths is not None
    assert trace.sequence_lengths.tolist() == [3, 2]
    assert trace.num_experts == 8


def test_padding_is_left_out() -> None:
    padded = FIRST.copy()
    padded[:, 1] = -1
    padded[2] = -1
    trace = trace_of_requests([SECOND, padded])
    assert trace.sequence_lengths is not None
    assert trace.sequence_lengths.tolist() == [2, 2]
    np.testing.assert_array_equal(trace.expert_ids[2:], FIRST[:2, [0, 2]])
    # With one expert for each token, one expert in all of them may be the router's choice.
    assert trace_of_requests([FIRST[:, :, :1]]).num_layers == 3


def test_what_sglang_returns() -> None:
    text = base64.b64encode(FIRST.astype(np.int32).tobytes()).decode()
    array = np.frombuffer(base64.b64decode(text), dtype=np.int32).reshape(-1, 3, 2)
    assert trace_of_requests([array]).num_tokens == 3


def test_numpy_files(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", FIRST)
    np.savez_compressed(tmp_path / "two.npz", b=SECOND, a=FIRST)
    trace = read_routed_experts([tmp_path / "one.npy", tmp_path / "two.npz"])
    assert trace.sequence_lengths is not None
    assert trace.sequence_lengths.tolist() == [3, 2, 3]
    assert read_routed_experts(str(tmp_path / "one.npy")).num_tokens == 3


@pytest.mark.parametrize(
    ("requests", "said"),
    [
        ([], "must hold an array"),
        ([FIRST[0]], r"requests\[0\]: must be whole numbers of shape"),
        ([FIRST / 2], r"requests\[0\]: must be whole numbers of shape"),
        ([FIRST, SECOND[:, :2]], r"requests\[1\]: must have the \(layers, top_k\)"),
        ([FIRST - 2], "must be experts, or -1 for padding, got -2"),
        ([FIRST - 1], r"requests\[0\]\[0\]\[0\]: must name 2 experts"),
        ([FIRST * 0], "must hold routed tokens"),
        ([[[["a", "b"]]]], "must be a number"),
        ([np.where(FIRST == 3, 2, FIRST)], "must not name an expert twice"),
        ([np.array([[[0, 10**7]]])], "must be below 1000000"),
        ([np.array([[[*range(3000), 0]]])], "must not name an expert twice"),
    ],
)
def test_wrong_requests_are_a_sentence(requests: list[Any], said: str) -> None:
    with pytest.raises(InstanceError, match=said):
        trace_of_requests(requests)


def test_files_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "one.npy"
    with pytest.raises(InstanceError, match=r"one\.npy: must be a whole \.npy file"):
        read_routed_experts(path)
    np.save(path, FIRST)
    whole = path.read_bytes()
    for cut in range(0, len(whole), 7):
        path.write_bytes(whole[:cut])
        with pytest.raises(InstanceError, match="must be a whole"):
            read_routed_experts(path)
    np.save(path, np.array([{}], dtype=object))
    with pytest.raises(InstanceError, match="not integers or floats"):
        read_routed_experts(path)
    (tmp_path / "one.npz").write_bytes(b"PK")
    with pytest.raises(InstanceError, match=r"must be a whole \.npz"):
        read_routed_experts(tmp_path / "one.npz")
    np.savez(tmp_path / "none.npz")
    with pytest.raises(InstanceError, match="must hold an array"):
        read_routed_experts(tmp_path / "none.npz")
    with pytest.raises(InstanceError, match="must name a file"):
        read_routed_experts([])
    np.save(path, FIRST)
    np.savez(tmp_path / "one.npz", FIRST)
    monkeypatch.setattr(archive, "MAX_BYTES", 100)
    for name in ("one.npy", "one.npz"):
        with pytest.raises(InstanceError, match="must hold at most"):
            read_routed_experts(tmp_path / name)


@pytest.mark.parametrize("kind", ["<i2", ">i4"])
def test_columns_first_and_bytes_reversed_are_read_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(archive, "_PIECE_BYTES", 7)
    given = np.asfortranarray(FIRST[:, [0, 2]].astype(kind))
    np.save(tmp_path / "a.npy", given)
    np.savez_compressed(tmp_path / "a.npz", a=given)
    for name in ("a.npy", "a.npz"):
        assert read_routed_experts(tmp_path / name).expert_ids.tolist() == given.tolist()


def test_threads_do_not_exchange_filters_of_warnings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Filters are the whole process's: the second to leave would put back those of the first."""
    path, both, met = tmp_path / "a.npy", threading.Barrier(2, timeout=0.2), []
    read = archive._HEADERS[1, 0]

    def waits(file: Any) -> Any:
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait()
            met.append(True)
        return read(file)

    monkeypatch.setitem(archive._HEADERS, (1, 0), waits)
    np.save(path, FIRST)
    with ThreadPoolExecutor(2) as threads:
        assert len(list(threads.map(archive.read_array, [path, path]))) == 2
    assert met == []
