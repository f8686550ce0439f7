"""Problems from traces: batches within sequences, several sequences at once, ids in order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from moeopt.buffering.from_trace import buffering_problem, steps_of
from moeopt.core.errors import InstanceError
from moeopt.traces import RoutingTrace

EXPERTS = np.array(
    [[[3, 1], [2, 0]], [[1, 0], [2, 1]], [[3, 1], [0, 1]], [[2, 3], [1, 3]], [[0, 1], [3, 2]]]
)


def recorded(*lengths: int, **fields: Any) -> RoutingTrace:
    given = {"expert_ids": EXPERTS.astype(np.uint8), "experts": 5}
    if lengths:
        given["sequence_lengths"] = np.array(lengths)
    return RoutingTrace(**(given | fields))


def test_a_token_is_a_step() -> None:
    problem = buffering_problem(recorded(2, 3), slots=2)
    assert (problem.num_steps, problem.num_layers, problem.num_experts) == (5, 2, 5)
    assert problem.active.tolist() == [1, 3, 0, 2, 0, 1, 1, 2, 1, 3, 0, 1, 2, 3, 1, 3, 0, 1, 2, 3]
    assert problem.starts.tolist() == list(range(0, 21, 2))
    assert problem.weights is not None
    assert (problem.weights == 1).all()
    assert problem.sequence_starts is not None
    assert problem.sequence_starts.tolist() == [0, 2]


def test_batches_end_with_their_sequence() -> None:
    step, starts = steps_of(recorded(3, 0, 2), batch_tokens=2)
    assert step.tolist() == [0, 0, 1, 2, 2]
    assert starts.tolist() == [0, 2]
    problem = buffering_problem(recorded(3, 0, 2), batch_tokens=2, slots=2)
    assert problem.num_steps == 3
    # Layer 0 of tokens 0 and 1: 3, 1 and 1, 0.
    assert problem.active[:3].tolist() == [0, 1, 3]
    assert problem.weights is not None
    assert problem.weights[:3].tolist() == [1, 2, 1]
    assert problem.weights.sum() == EXPERTS.size


def test_without_lengths_there_is_one_sequence() -> None:
    problem = buffering_problem(recorded(), batch_tokens=4, slots=2)
    assert problem.num_steps == 2
    assert problem.sequence_starts is not None
    assert problem.sequence_starts.tolist() == [0]


def test_a_sequence_takes_the_place_of_one_that_has_ended() -> None:
    """Lengths 1, 3, 1, two at once: the third runs beside the second token of the second."""
    step, starts = steps_of(recorded(1, 3, 1), concurrent=2)
    assert starts.tolist() == [0, 0, 1]
    assert step.tolist() == [0, 0, 1, 2, 1]
    problem = buffering_problem(recorded(1, 3, 1), concurrent=2, slots=2)
    assert problem.num_steps == 3
    assert problem.sequence_starts is None
    # Layer 0 of tokens 0 and 1: 3, 1 and 1, 0.
    assert problem.active[:3].tolist() == [0, 1, 3]


def test_gates_are_added_up() -> None:
    gates = np.arange(20, dtype=np.float16).reshape(5, 2, 2) / 16
    trace = recorded(3, 2, gate_weights=gates)
    problem = buffering_problem(trace, batch_tokens=2, weights="gates", slots=2)
    assert problem.weights is not None
    # Expert 1 of layer 0 is token 0's second and token 1's first: 1 and 4 of 16.
    assert problem.weights[:3].tolist() == [5 / 16, 5 / 16, 0]
    assert problem.weights.sum() == gates.astype(float).sum()


def test_layers_are_chosen() -> None:
    every = buffering_problem(recorded(), slots=2)
    last = buffering_problem(recorded(), layers=[1], slots=2)
    assert last.num_layers == 1
    assert last.active.tolist() == every.active[every.group_of() % 2 == 1].tolist()
    swapped = buffering_problem(recorded(), layers=(1, 0), slots=2)
    assert swapped.active[:4].tolist() == [0, 2, 1, 3]


@pytest.mark.parametrize("seed", range(8))
def test_counting_token_by_token_says_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 9, 6)
    tokens, layers, k, experts = int(lengths.sum()), 3, 2, 6
    ids = np.argsort(rng.random((tokens, layers, experts)), axis=2)[:, :, :k]
    trace = RoutingTrace(ids, sequence_lengths=lengths, experts=experts)
    batch, concurrent = int(rng.integers(1, 4)), int(rng.integers(1, 5))
    problem = buffering_problem(trace, batch_tokens=batch, concurrent=concurrent, slots=2)
    step, _ = steps_of(trace, batch, concurrent)
    assert problem.weights is not None
    for group in range(problem.num_groups):
        t, layer = divmod(group, layers)
        wanted = np.bincount(ids[step == t, layer].ravel(), minlength=experts)
        mine = slice(problem.starts[group], problem.starts[group + 1])
        assert problem.active[mine].tolist() == np.flatnonzero(wanted).tolist()
        assert problem.weights[mine].tolist() == wanted[wanted > 0].tolist()
    # No step is empty, and none has more sequences than may be under way.
    of = np.repeat(np.arange(lengths.size), lengths)
    for t in range(problem.num_steps):
        assert 1 <= np.unique(of[step == t]).size <= concurrent


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"batch_tokens": 0}, "batch_tokens"),
        ({"concurrent": 0}, "concurrent"),
        ({"layers": [2]}, "layers of the trace"),
        ({"layers": []}, "layers of the trace"),
        ({"weights": "gates"}, "gate weights"),
        ({"weights": "norms"}, "must be"),
        ({"weights": np.ones(2)}, "weights: must be"),
        ({"slotz": 2}, "did you mean 'slots'"),
        ({"active": [0]}, "no such field"),
    ],
)
def test_what_cannot_be(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(InstanceError, match=said):
        buffering_problem(recorded(), **asked, slots=2)


def test_routing_is_a_trace() -> None:
    with pytest.raises(InstanceError, match="must be a RoutingTrace"):
        buffering_problem(EXPERTS, slots=2)  # type: ignore[arg-type]


def test_a_trace_needs_a_token() -> None:
    with pytest.raises(InstanceError, match="must have a token"):
        buffering_problem(recorded(expert_ids=EXPERTS[:0]), slots=2)
