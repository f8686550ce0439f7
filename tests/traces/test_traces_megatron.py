"""Routing traces of Megatron-Core: JSON lines as its tracer writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moeopt.core.errors import InstanceError
from moeopt.traces import megatron, read_megatron_trace


def record(step: int, layer: int, rank: int, rows: list[list[int]], **more: Any) -> dict[str, Any]:
    return {
        "step": step,
        "stage": "pre_dispatch",
        "block": "decoder",
        "layer": layer,
        "rank": rank,
        "num_tokens": len(rows),
        "topk": len(rows[0]) if rows else 2,
        "top_indices": rows,
        **more,
    }


def rows_of(step: int, layer: int, rank: int, tokens: int = 2) -> list[list[int]]:
    """Return distinct rows: expert numbers tell where they come from."""
    first = 100 * step + 10 * layer + 40 * rank
    return [[first + 2 * token, first + 2 * token + 1] for token in range(tokens)]


def write(folder: Path, rank: int, records: list[dict[str, Any]]) -> Path:
    path = folder / f"router_trace_rank{rank}.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in records))
    return path


def test_layers_of_a_step_are_joined(tmp_path: Path) -> None:
    order = [(0, 5), (0, 3), (1, 3), (1, 5)]
    records = [record(step, layer, 0, rows_of(step, layer, 0)) for step, layer in order]
    records[0] |= {"hs_offset": 0, "hs_bytes": 64, "hs_shape": [2, 16]}
    records.append(record(0, 0, 0, rows_of(0, 0, 0), block="mtp", mtp_idx=0))
    records.append(record(0, 3, 0, rows_of(0, 3, 0), stage="post_dispatch"))
    path = write(tmp_path, 0, records)
    trace = read_megatron_trace(path)
    expected = [np.stack([rows_of(step, layer, 0) for layer in (3, 5)], axis=1) for step in (0, 1)]
    np.testing.assert_array_equal(trace.expert_ids, np.concatenate(expected))
    assert trace.sequence_lengths is not None
    assert trace.sequence_lengths.tolist() == [2, 2]
    assert read_megatron_trace(path, block="mtp", experts=64).num_experts == 64


def test_ranks_and_batches_follow_each_other(tmp_path: Path) -> None:
    # Two steps, two ranks of other tokens, and in each step two batches, layer after layer.
    paths = []
    for rank in (1, 0):
        records = [
            record(step, layer, rank, rows_of(step, layer, rank, 1 + batch))
            for step in (0, 1)
            for batch in (0, 1)
            for layer in (0, 1)
        ]
        paths.append(write(tmp_path, rank, records))
    trace = read_megatron_trace(paths)
    assert trace.sequence_lengths is not None
    assert trace.sequence_lengths.tolist() == [1, 2] * 4
    firsts = trace.expert_ids[trace.sequence_starts(), 0, 0]
    assert firsts.tolist() == [0, 0, 40, 40, 100, 100, 140, 140]


def test_pipeline_stages_are_joined(tmp_path: Path) -> None:
    # Four ranks, two stages of two layers each, which Megatron numbers from 0 in both.
    paths = [
        write(tmp_path, rank, [record(0, layer, rank, rows_of(0, layer, rank)) for layer in (0, 1)])
        for rank in range(4)
    ]
    trace = read_megatron_trace(paths, pipeline_stages=2)
    assert trace.expert_ids.shape == (4, 4, 2)
    # Rank 0's tokens go on at rank 2, rank 1's at rank 3.
    assert trace.expert_ids[0, :, 0].tolist() == [0, 10, 80, 90]
    assert trace.expert_ids[2, :, 0].tolist() == [40, 50, 120, 130]
    assert read_megatron_trace(paths).expert_ids.shape == (8, 2, 2)
    with pytest.raises(InstanceError, match="pipeline_stages: must divide the 4 ranks"):
        read_megatron_trace(paths, pipeline_stages=3)
    with pytest.raises(InstanceError, match="pipeline_stages: must be a whole number"):
        read_megatron_trace(paths, pipeline_stages=2.0)  # type: ignore[arg-type]


GOOD = record(0, 3, 0, [[0, 1], [2, 3]])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2: must be one record"),
        ("[]", "line 2: must be one record"),
        (json.dumps({**GOOD, "top_indices": [[0, 1.5], [2, 3]]}), r"at `\$.top_indices"),
        (json.dumps({**GOOD, "top_indices": [[0, float("nan")], [2, 3]]}), "line 2: must be one"),
        (json.dumps({**GOOD, "top_indices": [[0, "1"], [2, 3]]}), "line 2: must be one"),
        (json.dumps({**GOOD, "top_indices": [[0, -1], [2, 3]]}), "line 2: must have .*>= 0"),
        (json.dumps({**GOOD, "top_indices": [[0, 2**70], [2, 3]]}), "line 2: must have"),
        (json.dumps({**GOOD, "step": -1}), "line 2: must have step"),
        (json.dumps({**GOOD, "num_tokens": 3}), "must be num_tokens = 3 rows of topk = 2"),
        (json.dumps({**GOOD, "topk": 3}), "must be num_tokens = 2 rows of topk = 3"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "layer"}), "line 2: must be one record"),
        (json.dumps({**GOOD, "layer": 4, "num_tokens": 1, "top_indices": [[0, 1]]}), "same tokens"),
        (json.dumps(record(0, 4, 0, [[0], [1]])), "the same tokens and topk in every layer"),
        ("\n".join(json.dumps({**GOOD, "step": 1, "layer": n}) for n in (3, 4)), "same layers"),
        (json.dumps(record(0, 3, 0, [[0, 0], [2, 3]])), "must not name an expert twice"),
        (json.dumps(record(0, 3, 0, [[0, 10**7], [2, 3]])), "must be below 1000000"),
        (json.dumps({**GOOD, "layer": 4}) + "\n" + json.dumps(GOOD), "every layer equally often"),
    ],
)
def test_a_wrong_line_is_a_sentence(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + line + "\n")
    with pytest.raises(InstanceError, match=said):
        read_megatron_trace(path)


def test_files_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InstanceError, match="must be a readable file"):
        read_megatron_trace(tmp_path / "none.jsonl")
    (tmp_path / "bytes.jsonl").write_bytes(b"{\xff}")
    with pytest.raises(InstanceError, match="line 1: must be one record"):
        read_megatron_trace(tmp_path / "bytes.jsonl")
    path = write(tmp_path, 0, [])
    with pytest.raises(InstanceError, match="must have some of stage pre_dispatch"):
        read_megatron_trace(path)
    path = write(tmp_path, 0, [GOOD])
    with pytest.raises(InstanceError, match="must stand in one file"):
        read_megatron_trace([path, path])
    monkeypatch.setattr(megatron, "MAX_LINE_BYTES", 50)
    with pytest.raises(InstanceError, match="line 1: must have at most 50 bytes"):
        read_megatron_trace(path)
