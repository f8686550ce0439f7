"""Accuracy by hand, and on routing whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from popularity_draws import draw_trace, one_layer

from moeopt.core.errors import InstanceError
from moeopt.popularity import (
    Predictor,
    TokenRouting,
    attention_ratio,
    count_table,
    log_loss,
    mean_difference,
    table_from_rows,
    token_routing,
)
from moeopt.popularity.accuracy import cross_entropy
from moeopt.traces import RoutingTrace


def test_the_difference_is_a_mean_over_all_experts() -> None:
    real = [np.array([4.0, 0.0]), np.array([1.0, 1.0, 2.0])]
    predicted = [np.array([1.0, 3.0]), np.array([1.0, 2.0, 1.0])]
    assert mean_difference(real, predicted) == pytest.approx(8 / 5)
    assert mean_difference(real, real) == 0


def test_log_loss_by_hand() -> None:
    """Token 0 was seen three times, token 5 never; one occurrence of the layer's is added."""
    table = one_layer({(0, 0, 0): 2, (0, 0, 1): 1, (1, 0, 1): 3}, experts=2)
    trace = RoutingTrace(np.array([[[1]], [[0]]]), token_ids=np.array([0, 5]))
    marginal = np.array([3, 5]) / 8  # (2 + 1) and (4 + 1), of 6 + 2
    seen = (1 + marginal[1]) / 4
    found = log_loss(Predictor(table), trace, "token_map")
    assert found == pytest.approx(-(np.log(seen) + np.log(marginal[0])) / 2)
    assert log_loss(Predictor(table), trace, "marginal") == pytest.approx(-np.log(marginal).mean())


def test_the_hard_posterior_is_judged_before_its_argmax() -> None:
    past, future = draw_trace(0), draw_trace(1)
    predictor = Predictor(count_table(past))
    soft = log_loss(predictor, future, "bayes_expected")
    assert log_loss(predictor, future, "bayes") == soft
    assert soft != log_loss(predictor, future, "token_map")
    equal = log_loss(predictor, future, "bayes", weight=np.ones(5))
    assert equal == pytest.approx(log_loss(predictor, future, "token_map"))


def test_what_cannot_be_judged_is_refused() -> None:
    predictor = Predictor(count_table(draw_trace()))
    with pytest.raises(InstanceError, match="2 layers"):
        log_loss(predictor, draw_trace(layers=3))
    with pytest.raises(InstanceError, match="token IDs"):
        log_loss(predictor, RoutingTrace(draw_trace().expert_ids))
    with pytest.raises(InstanceError, match="above 0"):
        log_loss(predictor, draw_trace(), smoothing=0.0)


def _differences(past: RoutingTrace, batch: RoutingTrace) -> dict[str, float]:
    table = count_table(past)
    predictor = Predictor(table)
    assert batch.token_ids is not None
    ids = batch.token_ids.astype(np.int64)
    predicted = {
        "marginal": predictor.tokens(ids, "marginal"),
        "token_map": predictor.tokens(ids, "token_map"),
        "bayes": predictor.tokens(ids, "bayes"),
        "bayes_expected": predictor.tokens(ids, "bayes_expected"),
        "mended": predictor.tokens(ids, "bayes_expected", attention_ratio(table, ids)),
    }
    real = list(batch.counts())
    return {name: mean_difference(real, tokens) for name, tokens in predicted.items()}


@pytest.fixture(scope="module")
def routing() -> TokenRouting:
    return token_routing(8, layers=2, vocabulary=500, seed=3)


def test_expected_counts_beat_favourites(routing: TokenRouting) -> None:
    found = _differences(routing.draw(40_000, 1), routing.draw(5_000, 2))
    assert found["bayes_expected"] < found["bayes"]
    assert found["mended"] < 0.2 * found["bayes_expected"]
    assert found["mended"] < 0.2 * found["token_map"]


def test_an_even_profile_is_what_the_printed_posterior_is_right_for(routing: TokenRouting) -> None:
    past = routing.draw(40_000, 1, attention="even")
    found = _differences(past, routing.draw(5_000, 2))
    assert found["bayes"] < found["token_map"]
    assert found["bayes_expected"] < 0.6 * found["marginal"]


def test_new_topics_need_the_mended_posterior(routing: TokenRouting) -> None:
    topics = np.where(np.arange(16) < 2, 1.0, 0.01)
    found = _differences(routing.draw(40_000, 1), routing.draw(5_000, 2, topics))
    others = [value for name, value in found.items() if name != "mended"]
    assert found["mended"] < 0.5 * min(others)


def test_nothing_beats_the_truth(routing: TokenRouting) -> None:
    predictor = Predictor(count_table(routing.draw(40_000, 1)))
    future = routing.draw(20_000, 2)
    assert future.token_ids is not None
    distinct, which = np.unique(future.token_ids, return_inverse=True)
    true = cross_entropy(routing.true_shares(distinct), which, future)
    for rule in ("marginal", "token_map", "bayes"):
        assert log_loss(predictor, future, rule) > true  # type: ignore[arg-type]
    assert log_loss(predictor, future, "token_map") < log_loss(predictor, future, "marginal")


def test_a_trace_of_another_model_or_of_nothing_is_refused() -> None:
    predictor, trace = Predictor(count_table(draw_trace())), draw_trace()
    for other in (draw_trace(experts=9), draw_trace(tokens=0)):
        with pytest.raises(InstanceError, match="same model"):
            log_loss(predictor, other)
    uneven = table_from_rows([], [], [], [], [], experts=(4, 3), top_k=2)  # type: ignore[arg-type]
    with pytest.raises(InstanceError, match=r"\(4, 3\)"):
        log_loss(Predictor(uneven), trace)
    large = RoutingTrace(trace.expert_ids, token_ids=np.full(60, 2**21), experts=4)
    with pytest.raises(InstanceError, match="token_ids"):
        log_loss(predictor, large)
    for smoothing in (np.inf, np.nan, -1.0, "1"):
        with pytest.raises(InstanceError, match="smoothing"):
            log_loss(predictor, trace, smoothing=smoothing)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "predicted", [[np.ones(2)], [np.ones(2), np.ones(2)], [np.ones(2), np.ones((3, 1))]]
)
def test_tokens_of_other_shapes_have_no_difference(predicted: list[np.ndarray]) -> None:
    with pytest.raises(InstanceError, match="shapes"):
        mean_difference([np.ones(2), np.ones(3)], predicted)
    with pytest.raises(InstanceError, match="shapes"):
        mean_difference([], [])
