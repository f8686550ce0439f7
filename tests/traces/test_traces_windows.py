"""Recordings as counts, window by window, of the layers of a model; counts as CSV both ways."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from moeopt.core.errors import InstanceError
from moeopt.describe.cluster import Cluster
from moeopt.placement.from_trace import placement_problem
from moeopt.traces import (
    ExpertCounts,
    RoutingTrace,
    counts_in_windows,
    counts_of_layers,
    read_any,
    read_csv_counts,
    write_csv_counts,
)
from moeopt.traces.windows import counts_of_model

TRACE = RoutingTrace(np.array([[[0], [1]], [[0], [2]], [[3], [1]], [[3], [1]], [[0], [0]]]))
COUNTS = ExpertCounts(np.arange(1, 19).reshape(3, 3, 2), np.array([0, 2, 5]))


def test_a_trace_is_cut_in_order() -> None:
    found = counts_in_windows(TRACE, 2)
    assert found.counts.tolist() == [[[2, 0, 0, 1], [0, 2, 1, 0]], [[1, 0, 0, 1], [1, 1, 0, 0]]]
    assert counts_in_windows(TRACE).counts.tolist() == [TRACE.counts().tolist()]


def test_windows_are_added_up() -> None:
    assert counts_in_windows(COUNTS).counts.tolist() == COUNTS.counts.tolist()
    found = counts_in_windows(COUNTS, 2)
    assert found.counts.tolist() == [
        (COUNTS.counts[0] + COUNTS.counts[1]).tolist(),
        COUNTS.counts[2].tolist(),
    ]
    assert found.layer_ids.tolist() == [0, 2, 5]


@pytest.mark.parametrize(("recorded", "windows"), [(TRACE, 6), (COUNTS, 4), (COUNTS, 0)])
def test_more_windows_than_there_are(recorded: RoutingTrace | ExpertCounts, windows: int) -> None:
    with pytest.raises(InstanceError, match=r"^windows: must be 1 to"):
        counts_in_windows(recorded, windows)


def test_layers_are_found_by_number_or_in_order() -> None:
    found = counts_of_layers(COUNTS, [2, 5], experts=3)
    assert found.counts[:, :, :2].tolist() == COUNTS.counts[:, 1:].tolist()
    assert found.num_experts == 3
    assert not found.counts[:, :, 2].any()
    found = counts_of_layers(COUNTS, [7, 8, 9])
    assert found.layer_ids.tolist() == [7, 8, 9]
    assert found.counts.tolist() == COUNTS.counts.tolist()
    with pytest.raises(InstanceError, match="layer_ids: must be among the 3"):
        counts_of_layers(COUNTS, [5, 6])
    with pytest.raises(InstanceError, match="experts: must be at least the 2"):
        counts_of_layers(COUNTS, experts=1)


def test_layers_without_tokens_are_dense_unless_they_are_named() -> None:
    counts = ExpertCounts(np.array([[[0, 0], [1, 2]]]), np.array([3, 4]))
    assert counts_of_layers(counts).layer_ids.tolist() == [4]
    assert counts_of_layers(counts, [3, 4]).layer_ids.tolist() == [3, 4]


def test_a_trace_has_no_numbers_to_pick_layers_by() -> None:
    """Its layers 0 and 1 are the model's 1 and 2, of which 1 alone would be its first."""
    found = counts_of_model(TRACE, layer_ids=[1, 2], experts=5)
    assert found.counts[:, :, :4].tolist() == [TRACE.counts().tolist()]
    assert (found.layer_ids.tolist(), found.num_experts) == ([1, 2], 5)
    with pytest.raises(InstanceError, match="layer_ids: must be as many as the trace's 2"):
        counts_of_model(TRACE, layer_ids=[1])
    assert counts_of_model(COUNTS, 1, [5]).counts.tolist() == [[[5 + 11 + 17, 6 + 12 + 18]]]


@pytest.mark.filterwarnings("error")
def test_counts_of_nothing_and_of_too_much() -> None:
    with pytest.raises(InstanceError, match="counts: must have tokens"):
        counts_of_layers(ExpertCounts(np.zeros((2, 1, 3)), np.array([4])))
    much = ExpertCounts(np.full((2, 1, 1), 1.5e308), np.array([0]))
    with pytest.raises(InstanceError, match="must be a finite number >= 0, got inf"):
        counts_in_windows(much, 1)


def test_the_problem_of_a_recording() -> None:
    problem = placement_problem(TRACE, Cluster.uniform(2), windows=2, expert_bytes=7)
    assert problem.loads_tokens.tolist() == counts_in_windows(TRACE, 2).counts.tolist()
    assert (problem.slots_per_device, problem.expert_bytes) == (2, 7)
    assert placement_problem(TRACE, Cluster.uniform(2), 6).slots_per_device == 3
    assert placement_problem(TRACE, Cluster.uniform(3)).slots_per_device == 2
    with pytest.raises(InstanceError, match="slots: must be a multiple of the 2 devices, got 5"):
        placement_problem(TRACE, Cluster.uniform(2), 5)
    with pytest.raises(InstanceError, match="cluster_size"):
        placement_problem(TRACE, Cluster.uniform(2), cluster_size=3)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    counts=hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=3, max_dims=3, max_side=3),
        elements=st.one_of(st.just(0.0), st.floats(0, 1e15, allow_subnormal=False)),
    ),
    first=st.integers(0, 10**9),
)
def test_counts_are_written_and_read(tmp_path: Path, counts: np.ndarray, first: int) -> None:
    given_counts = ExpertCounts(counts, first + 2 * np.arange(counts.shape[1]))
    path = tmp_path / "counts.csv"
    write_csv_counts(path, given_counts)
    found = read_csv_counts(path)
    assert found.counts.tolist() == given_counts.counts.tolist()
    assert found.layer_ids.tolist() == given_counts.layer_ids.tolist()


def test_several_files_are_one_recording(tmp_path: Path) -> None:
    for name in ("a.npy", "b.npy"):
        np.save(tmp_path / name, np.array([[[0, 1]], [[2, 1]]]))
    found = read_any([tmp_path / "a.npy", tmp_path / "b.npy"])
    assert isinstance(found, RoutingTrace)
    assert found.num_tokens == 4
    for names in (["a.npy", "c.csv"], ["c.csv", "d.csv"]):
        with pytest.raises(InstanceError, match="one recording has several"):
            read_any([tmp_path / name for name in names])
