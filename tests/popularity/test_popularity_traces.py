"""Traces: their checks, their parts, their archives, and stand-ins for token IDs."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moeopt.core.errors import InstanceError
from moeopt.popularity import count_table
from moeopt.popularity.checks import MOST_IDS
from moeopt.traces import RoutingTrace, read_trace, stand_ins, with_stand_in_ids, write_trace
from moeopt.traces.archive import smallest

EXPERTS = np.array([[[0, 1], [2, 0]], [[1, 0], [2, 1]], [[3, 1], [0, 1]], [[2, 3], [1, 3]]])


def whole() -> RoutingTrace:
    return RoutingTrace(
        EXPERTS.astype(np.uint8),
        gate_weights=np.linspace(0, 1, 16, dtype=np.float16).reshape(4, 2, 2),
        sequence_lengths=np.array([1, 3]),
        token_ids=np.array([7, 5, 7, 300]),
        attention_ids=np.array([[7, 7], [7, 5], [5, 5], [7, 5]]),
        experts=6,
    )


def assert_same(one: RoutingTrace, other: RoutingTrace) -> None:
    for field in fields(RoutingTrace):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


def test_what_a_trace_counts() -> None:
    trace = whole()
    assert (trace.num_tokens, trace.num_layers, trace.top_k, trace.num_experts) == (4, 2, 2, 6)
    assert RoutingTrace(EXPERTS).num_experts == 4
    np.testing.assert_array_equal(trace.counts(), [[2, 3, 1, 2, 0, 0], [2, 3, 2, 1, 0, 0]])
    np.testing.assert_array_equal(trace.sequence_starts(), [0, 1])
    np.testing.assert_array_equal(RoutingTrace(EXPERTS).sequence_starts(), [0])


def test_a_part_takes_everything_along() -> None:
    part = whole().part(2, 4)
    np.testing.assert_array_equal(part.expert_ids, EXPERTS[2:])
    np.testing.assert_array_equal(part.token_ids, [7, 300])
    np.testing.assert_array_equal(part.attention_ids, [[5, 5], [7, 5]])
    np.testing.assert_array_equal(part.sequence_lengths, [2])
    assert part.gate_weights is not None
    assert part.gate_weights.shape == (2, 2, 2)
    assert part.num_experts == 6
    assert whole().part(0, 99).num_tokens == 4


def test_halves_are_cut_between_sequences() -> None:
    first, second = whole().halves()
    assert (first.num_tokens, second.num_tokens) == (1, 3)
    first, second = RoutingTrace(EXPERTS).halves()
    assert (first.num_tokens, second.num_tokens) == (2, 2)
    for trace in (
        RoutingTrace(EXPERTS[:1]),
        RoutingTrace(EXPERTS, sequence_lengths=np.array([4])),
    ):
        with pytest.raises(InstanceError, match="two sequences"):
            trace.halves()


def test_nobody_writes_into_a_trace() -> None:
    own = EXPERTS.copy()
    trace = RoutingTrace(own)
    with pytest.raises(ValueError, match="read-only"):
        trace.expert_ids[0, 0, 0] = 3
    assert own.flags.writeable


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"expert_ids": EXPERTS[0]}, "must have shape"),
        ({"expert_ids": EXPERTS[:, :0]}, "must have shape"),
        ({"expert_ids": EXPERTS - 1}, "whole numbers >= 0"),
        ({"expert_ids": EXPERTS / 2}, "whole numbers >= 0"),
        ({"expert_ids": EXPERTS * 0}, r"expert_ids\[0\]\[0\]: must not name an expert twice"),
        ({"experts": 3}, "more than the largest"),
        ({"experts": 2.5}, "whole number"),
        ({"expert_ids": EXPERTS * 10**7}, "must be below 1000000"),
        ({"experts": 10**9}, "must be below 1000000"),
        ({"gate_weights": np.full((4, 2, 2), np.nan)}, r"gate_weights\[0\]\[0\]\[0\]"),
        ({"gate_weights": np.full((4, 2, 2), -1.0)}, r"gate_weights\[0\]\[0\]\[0\]"),
        ({"gate_weights": np.ones((4, 2))}, "gate_weights: must have shape"),
        ({"token_ids": np.arange(3)}, "token_ids: must have shape"),
        ({"token_ids": np.arange(4) - 1}, "token_ids: must be whole numbers"),
        ({"attention_ids": np.ones((4, 3), dtype=int)}, "attention_ids: must have shape"),
        ({"attention_ids": np.full(4, 0.5)}, "attention_ids: must be whole numbers"),
        ({"sequence_lengths": np.array([1, 2])}, "add up to the 4 tokens"),
    ],
)
def test_a_malformed_trace_is_a_sentence(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(InstanceError, match=said):
        RoutingTrace(**{"expert_ids": EXPERTS, **changed})


@pytest.mark.parametrize("trace", [whole(), RoutingTrace(EXPERTS)], ids=["whole", "bare"])
def test_an_archive_gives_the_trace_back(tmp_path: Path, trace: RoutingTrace) -> None:
    write_trace(tmp_path / "trace.npz", trace)
    read = read_trace(tmp_path / "trace.npz")
    assert_same(read, trace)
    assert read.expert_ids.dtype == np.uint8


def test_archives_of_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "trace.npz"
    lengths = np.array([4], dtype=np.int32)
    np.savez(path, expert_ids=EXPERTS.astype(np.uint8), sequence_lengths=lengths, more=np.ones(3))
    assert read_trace(path).num_tokens == 4


def test_a_wrong_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "trace.npz"
    np.savez(path, token_ids=np.arange(3))
    with pytest.raises(InstanceError, match=r"trace\.npz: must hold the array expert_ids"):
        read_trace(path)
    np.savez(path, expert_ids=EXPERTS, token_ids=np.arange(3))
    with pytest.raises(InstanceError, match=r"trace\.npz: token_ids: must have shape"):
        read_trace(path)
    np.savez(path, expert_ids=EXPERTS, token_ids=np.array([{}] * 4, dtype=object))
    with pytest.raises(InstanceError, match="archive of numbers"):
        read_trace(path)
    with pytest.raises(InstanceError, match="archive of numbers"):
        read_trace(tmp_path / "none.npz")


def test_integers_take_the_smallest_type() -> None:
    for low, high, kind in ((0, 255, "uint8"), (0, 256, "uint16"), (-1, 200, "int16")):
        assert smallest(np.array([low, high])).dtype == kind
    assert smallest(np.ones(2)).dtype == np.float64
    assert smallest(np.zeros(0, dtype=np.int64)).dtype == np.int64


def test_stand_ins_are_the_experts_of_the_first_layer() -> None:
    trace = with_stand_in_ids(whole())
    np.testing.assert_array_equal(trace.token_ids, [0, 1, 3, 2])
    # Tokens 0 and 1 begin their sequences.
    np.testing.assert_array_equal(trace.attention_ids, [0, 1, 1, 3])
    np.testing.assert_array_equal(trace.expert_ids, EXPERTS[:, 1:])
    assert trace.gate_weights is not None
    assert trace.gate_weights.shape == (4, 1, 2)
    pairs = with_stand_in_ids(whole(), 2)
    # In any order, and the same number for the same experts in every trace.
    np.testing.assert_array_equal(pairs.token_ids, [0 + 6 * 1, 0 + 6 * 1, 1 + 6 * 3, 2 + 6 * 3])


def test_stand_ins_need_layers_and_experts() -> None:
    with pytest.raises(InstanceError, match="two layers"):
        with_stand_in_ids(RoutingTrace(EXPERTS[:, :1]))
    with pytest.raises(InstanceError, match="1 to 2"):
        with_stand_in_ids(whole(), 3)


def test_stand_ins_are_ids_that_a_table_takes() -> None:
    trace = RoutingTrace(np.array([[[0, 7, 159], [1, 2, 3]]]), experts=160)
    assert count_table(with_stand_in_ids(trace, 2)).layer.size == 3
    with pytest.raises(InstanceError, match="fewer of a token's experts"):
        with_stand_in_ids(trace, 3)
    assert stand_ins._MOST_IDS == MOST_IDS
