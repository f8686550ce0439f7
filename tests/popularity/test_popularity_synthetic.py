"""Routing made by a call is what it says it is."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from moeopt.core.errors import InstanceError
from moeopt.popularity import token_routing


@pytest.mark.parametrize("top_k", [1, 2])
def test_drawn_shares_are_the_true_ones(top_k: int) -> None:
    routing = token_routing(4, layers=1, top_k=top_k, vocabulary=3, topics=2, seed=1)
    topics = np.array([1.0, 3.0])
    trace = routing.draw(200_000, 5, topics)
    assert trace.token_ids is not None
    (true,) = routing.true_shares(np.arange(3), topics)
    np.testing.assert_allclose(true.sum(axis=1), 1)
    for token in range(3):
        chosen = trace.expert_ids[trace.token_ids == token, 0]
        drawn = np.bincount(chosen.ravel(), minlength=4) / chosen.size
        np.testing.assert_allclose(drawn, true[token], atol=0.01)
    share = np.bincount(trace.token_ids, minlength=3) / trace.num_tokens
    np.testing.assert_allclose(share, routing.token_share(topics), atol=0.01)


def test_two_experts_by_enumeration() -> None:
    routing = token_routing(5, layers=1, top_k=2, vocabulary=1, topics=1, seed=2)
    score = np.exp(routing.token_score[0, 0] + routing.topic_score[0, 0])
    p = score / score.sum()
    expected = np.zeros(5)
    for i, j in itertools.permutations(range(5), 2):
        expected[[i, j]] += p[i] * p[j] / (1 - p[i]) / 2
    (true,) = routing.true_shares(np.array([0]))
    np.testing.assert_allclose(true[0], expected)


def test_attention_is_drawn_as_asked() -> None:
    routing = token_routing(4, layers=2, vocabulary=10, zipf=2.0)
    for attention, share in (("unigram", routing.token_share()[0]), ("even", 0.1)):
        trace = routing.draw(50_000, 1, attention=attention)  # type: ignore[arg-type]
        assert trace.attention_ids is not None
        assert np.mean(trace.attention_ids == 0) == pytest.approx(share, abs=0.01)


def test_without_attention_the_topics_do_not_matter() -> None:
    routing = token_routing(4, layers=2, vocabulary=20, attention_effect=0.0)
    few = np.where(np.arange(16) < 1, 1.0, 0.01)
    for one, other in zip(
        routing.true_shares(np.arange(20)), routing.true_shares(np.arange(20), few), strict=True
    ):
        np.testing.assert_allclose(one, other)


def test_the_same_seed_is_the_same_text() -> None:
    one, other = (token_routing(4, layers=2, seed=7).draw(100, 3) for _ in range(2))
    np.testing.assert_array_equal(one.expert_ids, other.expert_ids)
    np.testing.assert_array_equal(one.attention_ids, other.attention_ids)
    third = token_routing(4, layers=2, seed=8).draw(100, 3)
    assert (one.expert_ids != third.expert_ids).any()
    assert (one.num_experts, one.top_k) == (4, 1)


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(InstanceError, match="1 or 2"):
        token_routing(8, top_k=3)
    with pytest.raises(InstanceError, match="more than 2"):
        token_routing(2, top_k=2)
    with pytest.raises(InstanceError, match="unigram or even"):
        token_routing(4, layers=1).draw(5, 0, attention="odd")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changed",
    [
        {"topics": 0},
        {"layers": 0},
        {"vocabulary": 0},
        {"seed": -1},
        {"zipf": np.inf},
        {"zipf": np.nan},
        {"skew": np.inf},
        {"token_effect": np.nan},
        {"attention_effect": -np.inf},
    ],
)
def test_a_router_of_impossible_numbers_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(InstanceError, match=next(iter(changed))):
        token_routing(4, **changed)


@pytest.mark.parametrize(
    "changed",
    [
        {"tokens": -1},
        {"seed": -1},
        {"topics": np.ones(3)},
        {"topics": np.array([1.0, -1.0])},
        {"topics": np.array([1.0, np.inf])},
        {"topics": np.zeros(2)},
    ],
)
def test_an_impossible_text_is_refused(changed: dict[str, Any]) -> None:
    routing = token_routing(4, layers=1, vocabulary=9, topics=2)
    with pytest.raises(InstanceError, match=next(iter(changed))):
        routing.draw(**{"tokens": 5, "seed": 0, **changed})
    assert routing.draw(0, 0).num_tokens == 0
