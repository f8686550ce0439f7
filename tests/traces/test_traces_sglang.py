"""Dumps of SGLang's recorder in its four modes, and files that would do harm."""

from __future__ import annotations

import itertools
import os
import sys
import zipfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from moeopt.bench.reliability.fuzz_archives import RAN, archives
from moeopt.bench.reliability.fuzz_judge import judged
from moeopt.bench.reliability.fuzz_targets import targets
from moeopt.core.errors import AdapterError, InstanceError
from moeopt.traces import archive, read_sglang_counts, read_sglang_trace

torch = pytest.importorskip("torch")

#: Three layers, the first dense; four logical experts in six physical slots.
MAP = [[0, 1, 2, 3, 0, 1], [3, 2, 1, 0, 3, 2], [0, 1, 2, 3, 1, 0]]


def chosen(layers: list[list[list[int]]]) -> Any:
    """Return physical experts in the recorder's form, ``(layers, tokens, 8)`` padded with -1."""
    ids = torch.full((3, len(layers[1]), 8), -1, dtype=torch.int32)
    for layer in (1, 2):
        ids[layer, :, :2] = torch.tensor(layers[layer])
    return ids


def record(number: int, rank: int, ids: Any, **more: Any) -> dict[str, Any]:
    tokens = ids.shape[1]
    counts = torch.stack(
        [torch.bincount(row[row >= 0].flatten(), minlength=6).int() for row in ids]
    )
    return {
        "forward_pass_id": number,
        "rank": rank,
        "gatherer_key": "primary",
        "input_ids": list(range(10 * number, 10 * number + tokens)),
        "positions": list(range(tokens)),
        "extend_seq_lens": None,
        "forward_mode": 2,
        "topk_ids_of_layer": ids,
        "misc_objects": [],
        "global_physical_count": counts,
        **more,
    }


PREFILL = chosen([[], [[0, 1], [4, 5], [2, 3]], [[0, 1], [4, 5], [2, 3]]])
DECODE = chosen([[], [[1, 0]], [[5, 4]]])


def dump(records: list[dict[str, Any]], table: object = MAP) -> dict[str, Any]:
    return {"records": records, "last_physical_to_logical_map": torch.tensor(table)}


def counted(counts: Any) -> dict[str, Any]:
    return dump([record(1, 0, PREFILL, global_physical_count=counts)])


def save(folder: Path, content: object, name: str = "dump.pt") -> Path:
    torch.save(content, folder / name)
    return folder / name


def test_stat(tmp_path: Path) -> None:
    counts = torch.zeros((4, 3, 4), dtype=torch.int32)
    counts[:2, 1:] = torch.arange(16, dtype=torch.int32).reshape(2, 2, 4)
    content = {"rank": 0, "logical_count": counts, "average_utilization_rate_over_window": None}
    read = read_sglang_counts(save(tmp_path, content))
    np.testing.assert_array_equal(read.counts, counts[:2].numpy())
    assert read.active().layer_ids.tolist() == [1, 2]


def test_per_token(tmp_path: Path) -> None:
    records = [record(2, 0, DECODE), record(1, 0, PREFILL, extend_seq_lens=[2, 1], forward_mode=1)]
    trace = read_sglang_trace(save(tmp_path, dump(records)))
    # The maps of layers 1 and 2 tell what the physical experts were.
    np.testing.assert_array_equal(trace.expert_ids[:, 0], [[3, 2], [3, 2], [1, 0], [2, 3]])
    np.testing.assert_array_equal(trace.expert_ids[:, 1], [[0, 1], [1, 0], [2, 3], [0, 1]])
    assert trace.sequence_lengths is not None
    assert trace.sequence_lengths.tolist() == [2, 1, 1]
    assert trace.token_ids is not None
    assert trace.token_ids.tolist() == [10, 11, 12, 20]
    assert trace.num_experts == 4


def test_tokens_that_were_not_routed_are_left_out(tmp_path: Path) -> None:
    padded = PREFILL.clone()
    padded[:, 1] = -1
    trace = read_sglang_trace(save(tmp_path, dump([record(1, 0, padded, extend_seq_lens=[2, 1])])))
    assert trace.token_ids is not None
    assert trace.token_ids.tolist() == [10, 12]
    assert trace.sequence_lengths is not None
    assert trace.sequence_lengths.tolist() == [1, 1]


def test_ranks_follow_each_other_in_a_pass(tmp_path: Path) -> None:
    paths = [
        save(tmp_path, dump([record(n, rank, DECODE) for n in (1, 2)]), f"{rank}.pt")
        for rank in (1, 0)
    ]
    trace = read_sglang_trace(paths)
    assert trace.token_ids is not None
    assert trace.token_ids.tolist() == [10, 10, 20, 20]
    with pytest.raises(InstanceError, match="must stand once"):
        read_sglang_trace([paths[0], paths[0]])


def test_per_pass_adds_ranks_up(tmp_path: Path) -> None:
    kept = ("forward_pass_id", "rank", "gatherer_key", "global_physical_count")
    paths = []
    for rank, ids in ((0, PREFILL), (1, DECODE)):
        records = [{key: record(n, rank, ids)[key] for key in kept} for n in (1, 2)]
        paths.append(save(tmp_path, dump(records), f"{rank}.pt"))
    read = read_sglang_counts(paths)
    assert read.counts.shape == (2, 3, 4)
    np.testing.assert_array_equal(read.counts[0], read.counts[1])
    # Of PREFILL 3, 2 twice, 1, 0 in layer 1; of DECODE 2, 3.
    np.testing.assert_array_equal(read.counts[0], [[0, 0, 0, 0], [1, 1, 3, 3], [3, 3, 1, 1]])
    with pytest.raises(InstanceError, match="topk_ids_of_layer: must be a tensor"):
        read_sglang_trace(paths)
    per_token = save(tmp_path, dump([record(1, 0, PREFILL)]))
    assert read_sglang_counts(per_token).total().sum() == 12


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([1], "must hold a dictionary"),
        ({}, "records: must be a list of forward passes"),
        (dump([]), "records: must be a list"),
        (dump([3]), r"records\[0\]: must be a record"),  # type: ignore[list-item]
        (dump([{**record(1, 0, PREFILL), "rank": None}]), "forward_pass_id and rank"),
        (dump([record(1, 0, PREFILL)], [[0, 1], [2, -3]]), "must name experts from 0"),
        (dump([record(1, 0, PREFILL)], [[0, 10**7]] * 3), "must name experts from 0"),
        (dump([record(1, 0, PREFILL)], [[0.0, 1.0]] * 3), "map: must be whole numbers"),
        (dump([record(1, 0, PREFILL)], MAP[:2]), "must have the map's 2"),
        (dump([record(1, 0, PREFILL)], [row[:4] for row in MAP]), "must be -1, or 0 to 3, got 5"),
        (dump([record(1, 0, PREFILL - 1)]), "must be -1, or 0 to 5, got -2"),
        (dump([record(1, 0, PREFILL[0])]), "must be whole numbers with 3 axes"),
        (dump([record(1, 0, PREFILL, input_ids=[1, 2])]), "input_ids: must be a list"),
        (dump([record(1, 0, PREFILL, input_ids=[1, 2, 0.5])]), "input_ids: must be whole"),
        (dump([record(1, 0, PREFILL, input_ids=[1, 2, -7])]), "token_ids: must be whole numbers"),
        (dump([record(1, 0, PREFILL[:, :, :4]), record(2, 0, PREFILL)]), "as many places"),
        (dump([record(1, 0, torch.full_like(PREFILL, -1))]), "must hold routed tokens"),
    ],
)
def test_a_wrong_dump_is_a_sentence(tmp_path: Path, content: object, said: str) -> None:
    with pytest.raises(InstanceError, match=said):
        read_sglang_trace(save(tmp_path, content))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"logical_count": torch.zeros((2, 3, 4), dtype=torch.int32)}, "must hold tokens"),
        ({"logical_count": torch.ones((3, 4), dtype=torch.int32)}, "with 3 axes"),
        ({"logical_count": torch.ones((2, 3, 4))}, "must be whole numbers"),
        ({"logical_count": -torch.ones((2, 3, 4), dtype=torch.int32)}, "finite number >= 0"),
        ({"logical_count": [[[1]]]}, "must be a tensor"),
        ({"logical_count": torch.ones((2, 3, 4)).to_sparse()}, "must be a plain tensor"),
        (counted(torch.ones(3, 5, dtype=torch.int32)), "map's shape"),
        (counted(-torch.ones(3, 6, dtype=torch.int32)), "counts >= 0"),
    ],
)
def test_wrong_counts_are_a_sentence(tmp_path: Path, content: object, said: str) -> None:
    with pytest.raises(InstanceError, match=said):
        read_sglang_counts(save(tmp_path, content))


def test_dumps_that_do_not_belong_together(tmp_path: Path) -> None:
    stat = save(tmp_path, {"logical_count": torch.ones((1, 3, 4), dtype=torch.int32)}, "a.pt")
    one = save(tmp_path, dump([record(1, 0, PREFILL)]), "b.pt")
    wide = [[*row, 0] for row in MAP]
    other = save(tmp_path, dump([record(1, 1, PREFILL)], wide), "c.pt")
    with pytest.raises(InstanceError, match="must stand alone"):
        read_sglang_counts([stat, one])
    with pytest.raises(InstanceError, match="must have the shape"):
        read_sglang_trace([one, other])


class Harm:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("harm",)


def test_nothing_of_a_file_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = save(tmp_path, {"records": [Harm()]})
    with pytest.raises(InstanceError, match="tensors and plain values"):
        read_sglang_trace(path)
    assert not (tmp_path / "harm").exists()


def test_fuzzers_begin_with_dumps_and_commands_in_them_do_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    target = next(target for target in targets() if target.file.endswith(".pt"))
    assert len(target.seeds()) == 3
    for seed in target.seeds():
        target.load(target.put(tmp_path, seed))
    for what, data in itertools.islice(archives(target), 2):
        assert "pickled command" in what
        target.put(tmp_path, data)
        assert judged(target, tmp_path).refused
    assert not Path(RAN).exists()


def test_a_small_file_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = torch.ones(1, dtype=torch.int32).expand(10**4, 10**4, 10**4)
    with pytest.raises(InstanceError, match="must not be larger than what the file holds"):
        read_sglang_counts(save(tmp_path, {"logical_count": wide}))
    big = chosen([[], [[0, 1]] * 5000, [[0, 1]] * 5000])
    tokens = list(range(5000))
    same = [record(n, 0, big, input_ids=tokens) for n in range(20)]
    with pytest.raises(InstanceError, match="must not be larger"):
        read_sglang_trace(save(tmp_path, dump(same)))
    monkeypatch.setattr(archive, "MAX_BYTES", 1000)
    with pytest.raises(InstanceError, match="must hold at most"):
        read_sglang_trace(save(tmp_path, dump([record(1, 0, PREFILL)])))


def test_far_apart_experts_of_many_ranks_take_no_array_each(tmp_path: Path) -> None:
    table = torch.tensor([[0, 199_999, 0], [5, 7, 5]])
    counts = torch.tensor([[1, 2, 3], [4, 5, 6]])
    records = [
        {"forward_pass_id": 1, "rank": rank, "global_physical_count": counts.clone()}
        for rank in range(200)
    ]
    content = {"records": records, "last_physical_to_logical_map": table}
    found = read_sglang_counts(save(tmp_path, content)).counts
    assert found.shape == (1, 2, 200_000)
    assert [found[0, 0, 0], found[0, 0, 199_999]] == [800.0, 400.0]
    assert [found[0, 1, 5], found[0, 1, 7], found.sum()] == [2000.0, 1000.0, 4200.0]


def test_lists_of_the_same_list_are_not_unrolled(tmp_path: Path) -> None:
    within: list[Any] = [1] * 10
    for _ in range(12):
        within = [within] * 10
    round_about: list[Any] = [1, 2, 3]
    round_about[0] = round_about
    good = record(1, 0, PREFILL)
    tokens = len(good["input_ids"])
    for wrong in (
        dump([{**good, "input_ids": [within] * tokens}]),
        dump([{**good, "input_ids": [round_about] * tokens}]),
        dump([{**good, "gatherer_key": within}]),
        dump([{**good, "rank": within}]),
        dump(within),
        {"records": {"a": within}},
        {**dump([good]), "last_physical_to_logical_map": within},
    ):
        with pytest.raises(InstanceError, match=r"got <.{1,40}>;"):
            read_sglang_trace(save(tmp_path, wrong))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InstanceError, match=r"must be a file that torch\.save wrote"):
        read_sglang_trace(tmp_path / "none.pt")
    path = save(tmp_path, dump([record(1, 0, PREFILL)]))
    whole = path.read_bytes()
    for cut in range(0, len(whole), 101):
        path.write_bytes(whole[:cut])
        with pytest.raises(InstanceError):
            read_sglang_trace(path)
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("other", "text")
    with pytest.raises(InstanceError, match="tensors and plain values"):
        read_sglang_trace(path)


@pytest.mark.parametrize("torch_there", [None, SimpleNamespace(__version__="2.9.1+cu128")])
def test_no_torch_or_an_unsafe_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torch_there: ModuleType | None
) -> None:
    path = save(tmp_path, dump([record(1, 0, PREFILL)]))
    monkeypatch.setitem(sys.modules, "torch", torch_there)
    with pytest.raises(AdapterError, match="needs torch"):
        read_sglang_trace(path)
