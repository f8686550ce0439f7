"""Choices made rows, and rows combined: against the definition, token by token."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lambda_gate_cases import OUT, WIDTH, batches

from moeopt.adapters.aws_lambda.dispatch.routing import combine, route, routed
from moeopt.adapters.aws_lambda.reference import reference
from moeopt.adapters.aws_lambda.weights import Expert, Weights
from moeopt.adapters.aws_lambda.worker.protocol import Tensor
from moeopt.core.arrays import IntArray
from moeopt.core.errors import InstanceError

Batch = tuple[Tensor, IntArray, Tensor]


def _expert(layer: int, expert: int) -> Expert:
    rng = np.random.default_rng((layer, expert))
    up, down = rng.standard_normal((WIDTH, 4)), rng.standard_normal((4, OUT))
    return Expert(up.astype(np.float32), down.astype(np.float32))


WEIGHTS = Weights([4], _expert)


def _through_rows(batch: Batch, experts: int) -> Tensor:
    """Return a layer's outputs, its experts computed row by row here."""
    tokens, routing = route(*batch, width=WIDTH, experts=experts)
    answers = np.empty((routing.rows, OUT), dtype=np.float32)
    for expert in range(experts):
        own = slice(*routing.starts[expert : expert + 2])
        answers[own] = WEIGHTS.expert(0, expert).compute(tokens[routing.token[own]])
    return combine(routing, answers)


@given(st.integers(1, 4).flatmap(lambda e: st.tuples(st.just(e), batches(e))))
def test_rows_combined_are_the_definition(drawn: tuple[int, Batch]) -> None:
    experts, (tokens, expert_ids, weights) = drawn
    wanted = np.zeros((len(tokens), OUT))
    for token, choice in np.ndindex(*expert_ids.shape):
        answer = WEIGHTS.expert(0, int(expert_ids[token, choice])).compute(tokens[[token]])[0]
        wanted[token] += float(weights[token, choice]) * answer.astype(np.float64)
    outputs = _through_rows((tokens, expert_ids, weights), experts)
    assert outputs.shape == (len(tokens), OUT)
    np.testing.assert_allclose(outputs, wanted, rtol=1e-5, atol=1e-5)
    here = reference(WEIGHTS, 0, tokens, expert_ids, weights)
    np.testing.assert_allclose(here, wanted, rtol=1e-5, atol=1e-5)


@given(st.integers(1, 4).flatmap(lambda e: st.tuples(st.just(e), batches(e))))
def test_rows_are_sorted_and_none_comes_twice(drawn: tuple[int, Batch]) -> None:
    experts, (tokens, expert_ids, weights) = drawn
    same, routing = route(tokens, expert_ids, weights, width=WIDTH, experts=experts)
    assert same is tokens
    chosen = {(int(expert_ids[at]), at[0]) for at in np.ndindex(*weights.shape) if weights[at]}
    expert = np.repeat(np.arange(experts), routing.counts)
    assert list(zip(expert.tolist(), routing.token.tolist(), strict=True)) == sorted(chosen)
    assert routing.starts[0] == 0
    assert routing.starts[-1] == routing.rows == len(chosen)


def test_an_expert_chosen_twice_computes_a_token_once() -> None:
    tokens = np.ones((2, WIDTH), dtype=np.float32)
    choices, weights = np.array([[1, 1], [1, 0]]), np.full((2, 2), 0.5, dtype=np.float32)
    _, routing = route(tokens, choices, weights, width=WIDTH, experts=2)
    assert routing.counts.tolist() == [1, 2]
    assert routing.weight.tolist() == [0.5, 1.0, 0.5]


def test_nan_stays_with_its_token() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.standard_normal((6, WIDTH), dtype=np.float32)
    tokens[2, 1], tokens[4, 0] = np.nan, np.inf
    choices, weights = rng.integers(0, 2, (6, 2)), np.ones((6, 2), dtype=np.float32)
    weights[5] = 0.0
    with np.errstate(invalid="ignore"):
        outputs = _through_rows((tokens, choices, weights), 2)
    assert np.isnan(outputs[2]).all()
    assert not np.isfinite(outputs[4]).any()
    assert np.isfinite(outputs[[0, 1, 3, 5]]).all()
    assert not outputs[5].any()


def _fine() -> dict[str, object]:
    return {
        "tokens": np.zeros((2, WIDTH), dtype=np.float32),
        "expert_ids": np.zeros((2, 1), dtype=np.int32),
        "weights": np.ones((2, 1), dtype=np.float32),
    }


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("tokens", np.zeros((2, WIDTH)), "must be an array of float32, got <float64 array>"),
        ("tokens", np.zeros((2, 4), dtype=np.float32), "must have shape (2, 3)"),
        ("tokens", np.zeros(3, dtype=np.float32), "must have shape (3, 3) = (tokens, width)"),
        ("tokens", np.float32(1.0), "must have shape (3,) = (tokens, width)"),
        ("tokens", [[1.0], []], "must be an array of float32"),
        ("expert_ids", np.zeros((2, 1)), "must be an array of integers, got <float64 array>"),
        ("expert_ids", np.zeros((2, 1), dtype=bool), "must be an array of integers"),
        ("expert_ids", np.zeros(2, dtype=np.int64), "must have shape (2, 0) = (tokens, choices)"),
        ("expert_ids", np.zeros((3, 1), dtype=np.int64), "must have shape (2, 1)"),
        ("expert_ids", np.array([[0], [2]]), "expert_ids[1][0]: must be one of the layer's exp"),
        ("expert_ids", np.array([[-1], [0]]), "0 to 1, got -1; give a choice that is none"),
        ("expert_ids", np.array([[2**63], [0]], dtype=np.uint64), "got 9223372036854775808"),
        ("weights", np.ones((2, 1)), "weights: must be an array of float32"),
        ("weights", np.ones((2, 2), dtype=np.float32), "weights: must have shape (2, 1)"),
    ],
)  # fmt: skip
def test_what_is_no_batch_is_refused_in_a_sentence(name: str, value: object, said: str) -> None:
    with pytest.raises(InstanceError) as refused:
        route(**(_fine() | {name: value}), width=WIDTH, experts=2)  # type: ignore[arg-type]
    assert said in str(refused.value)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=5), st.integers(0, 99))
def test_routed_gives_each_expert_its_tokens(counts: list[int], seed: int) -> None:
    tokens, expert_ids, weights = routed(np.array(counts, dtype=np.float64), WIDTH, seed)
    _, routing = route(tokens, expert_ids, weights, width=WIDTH, experts=len(counts))
    assert routing.counts.tolist() == counts
    for here, again in zip((tokens, expert_ids, weights), routed(counts, WIDTH, seed), strict=True):
        assert np.array_equal(here, again)


@pytest.mark.parametrize(
    ("counts", "said"),
    [([1.5], "whole numbers"), ([-1], ">= 0"), ([np.nan], ">= 0"), ([[1]], "for each expert")],
)
def test_routed_refuses_what_are_no_tokens(counts: object, said: str) -> None:
    with pytest.raises(InstanceError, match=said):
        routed(counts, WIDTH)  # type: ignore[arg-type]
