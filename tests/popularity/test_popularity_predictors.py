"""The predictors against equation (1) as loops, the paper note's example, and each other."""

from __future__ import annotations

import itertools
from typing import Any, get_args

import numpy as np
import pytest
from popularity_draws import by_equation_one, counted, draw_trace, one_layer

from moeopt.core.errors import InstanceError
from moeopt.popularity import (
    Prediction,
    Predictor,
    attention_ratio,
    count_table,
    log_loss,
    moving_average,
    unigram,
)
from moeopt.popularity.prediction import Rule
from moeopt.traces import RoutingTrace

RULES = get_args(Rule)

A, X, Y = 0, 1, 2

#: Section 6, identity 6 of the paper's notes: counts (5, 1) beside x and (1, 3) beside y.
EXAMPLE = one_layer({(A, X, 0): 5, (A, X, 1): 1, (A, Y, 0): 1, (A, Y, 1): 3}, experts=2)


@pytest.mark.parametrize(
    ("weight", "votes", "expert"),
    [((0.0, 0.5, 0.5), (3.0, 2.0), 0), ((0.0, 0.2, 0.8), (1.8, 2.6), 1)],
)
def test_the_example_of_two_attention_tokens(
    weight: tuple[float, ...], votes: tuple[float, ...], expert: int
) -> None:
    predictor = Predictor(EXAMPLE)
    (posterior,) = predictor.posterior(np.array([A]), np.array(weight))
    np.testing.assert_allclose(posterior.share[0], np.array(votes) / sum(votes))
    (tokens,) = predictor.tokens(np.array([A]), "bayes", np.array(weight))
    assert tokens.argmax() == expert


def test_the_example_by_the_composition_of_batches() -> None:
    """The batch's own tokens are the unigram: x and y in equal numbers, then 1 to 4."""
    for others, expert in (([X, Y], 0), ([X, Y, Y, Y, Y], 1)):
        batch = np.array([*others, A])
        (posterior,) = Predictor(EXAMPLE).posterior(np.array([A]), unigram(batch))
        assert posterior.share[0].argmax() == expert
    (token_map,) = Predictor(EXAMPLE).tokens(np.array([A, A]), "token_map")
    np.testing.assert_array_equal(token_map, [2, 0])  # 6 votes against 4


@pytest.mark.parametrize("seed", range(5))
def test_positions_cancel_in_equation_one(seed: int) -> None:
    """The collapsed sum is (1) with positions, up to a factor."""
    rng = np.random.default_rng(seed)
    past = [tuple(map(int, row)) for row in rng.integers(3, size=(80, 4))]
    coming = dict(enumerate(rng.dirichlet(np.ones(3))))
    rows: dict[tuple[int, int, int], float] = {}
    for token, _, attention, expert in past:
        rows[token, attention, expert] = rows.get((token, attention, expert), 0) + 1
    weight = np.array(list(coming.values()))
    (posterior,) = Predictor(one_layer(rows, experts=3)).posterior(np.arange(3), weight)
    for token in range(3):
        votes = by_equation_one(past, token, coming, 3)  # type: ignore[arg-type]
        np.testing.assert_allclose(posterior.share[token], np.array(votes) / sum(votes))


@pytest.mark.parametrize("seed", range(5))
def test_constant_attention_is_the_token_map(seed: int) -> None:
    trace = draw_trace(seed)
    predictor = Predictor(count_table(trace))
    assert trace.token_ids is not None
    for plain, equal in zip(
        predictor.tokens(trace.token_ids, "token_map"),
        predictor.tokens(trace.token_ids, "bayes", np.full(5, 0.2)),
        strict=True,
    ):
        np.testing.assert_array_equal(plain, equal)


def test_the_token_map_is_the_favourites_of_a_loop() -> None:
    past, batch = draw_trace(1, tokens=400), np.array([0, 3, 3, 4])
    times, popular = counted(past), past.counts()
    for layer, found in enumerate(Predictor(count_table(past)).tokens(batch, "token_map")):
        expected = np.zeros(4)
        for token in batch:
            votes = [sum(times[layer, token, f3, i] for f3 in range(5)) for i in range(4)]
            ranked = sorted(range(4), key=lambda i: (-votes[i], -popular[layer, i], i))
            expected[ranked[:2]] += 1
        np.testing.assert_array_equal(found, expected)


def test_expected_counts_are_the_sums_of_a_loop() -> None:
    past, batch = draw_trace(2), np.array([0, 3, 3, 4])
    times, common = counted(past), unigram(batch)
    for layer, found in enumerate(Predictor(count_table(past)).tokens(batch, "bayes_expected")):
        expected = np.zeros(4)
        for token in batch:
            votes = np.zeros(4)
            for f3, i in itertools.product(range(5), range(4)):
                votes[i] += times[layer, token, f3, i] * common[f3]
            expected += 2 * votes / votes.sum()
        np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("rule", RULES)
def test_every_choice_is_predicted_once(rule: str) -> None:
    """Seen or not, each token brings `top_k` choices to every layer."""
    batch = np.array([0, 1, 1, 4, 99, 100_000])
    prediction = Prediction(table=count_table(draw_trace()), token_ids=batch, rule=rule)  # type: ignore[arg-type]
    layers = prediction.tokens()
    assert len(layers) == 2
    for tokens in layers:
        assert tokens.sum() == pytest.approx(12)
        assert (tokens >= 0).all()
        assert tokens.max() <= 6 + 1e-9


@pytest.mark.parametrize("rule", RULES)
def test_unseen_tokens_have_the_shares_of_the_layer(rule: str) -> None:
    past = draw_trace()
    counts = past.counts()
    found = Predictor(count_table(past)).tokens(np.array([77, 78, 79]), rule)  # type: ignore[arg-type]
    for tokens, layer in zip(found, counts, strict=True):
        np.testing.assert_allclose(tokens, 6 * layer / layer.sum())


def test_attention_that_the_batch_lacks_leaves_the_counts_alone() -> None:
    table = one_layer({(0, 9, 0): 1, (0, 9, 1): 3, (1, 1, 0): 5}, experts=2)
    (tokens,) = Predictor(table).tokens(np.array([0, 1]), "bayes_expected")
    np.testing.assert_allclose(tokens, [1.25, 0.75])


def test_of_equal_votes_the_popular_expert_is_taken() -> None:
    table = one_layer({(0, 0, 0): 2, (0, 0, 2): 2, (1, 0, 2): 1}, experts=3)
    (tokens,) = Predictor(table).tokens(np.array([0]), "token_map")
    np.testing.assert_array_equal(tokens, [0, 0, 1])


def test_a_layer_without_counts_is_shared_evenly() -> None:
    empty = one_layer({}, experts=4)
    for rule in RULES:
        (tokens,) = Predictor(empty).tokens(np.array([3, 3]), rule)  # type: ignore[arg-type]
        np.testing.assert_allclose(tokens, 0.5)


def test_an_empty_batch_needs_no_expert() -> None:
    for rule in RULES:
        batch = np.zeros(0, dtype=np.int64)
        for tokens in Predictor(count_table(draw_trace())).tokens(batch, rule):  # type: ignore[arg-type]
            np.testing.assert_array_equal(tokens, 0)


def test_the_mended_posterior_is_the_share_among_the_tokens_to_come() -> None:
    """Counts in proportion to ``P(f3) P(i | f1, f3)``, and other attention to come."""
    rng = np.random.default_rng(4)
    given = rng.dirichlet(np.ones(3), size=(2, 4))  # (f1, f3, expert)
    past, coming = rng.dirichlet(np.ones(4)), np.array([5, 1, 1, 3])
    rows = {
        (f1, f3, i): past[f3] * given[f1, f3, i]
        for f1, f3, i in itertools.product(range(2), range(4), range(3))
    }
    table = one_layer(rows, experts=3)
    batch = np.repeat(np.arange(4), coming)
    true = np.tensordot(coming / 10, given, axes=(0, 1))
    predictor = Predictor(table)
    (mended,) = predictor.posterior(np.arange(2), attention_ratio(table, batch))
    np.testing.assert_allclose(mended.share, true)
    (printed,) = predictor.posterior(np.arange(2), unigram(batch))
    assert np.abs(printed.share - true).max() > 0.01


def test_evidence_is_the_number_of_equal_votes() -> None:
    table = one_layer({(0, 1, 0): 4, (0, 2, 1): 6, (3, 1, 1): 2}, experts=2)
    predictor = Predictor(table)
    batch = np.array([0, 3, 8])
    np.testing.assert_allclose(predictor.evidence(batch)[0], [10, 2, 0])
    np.testing.assert_allclose(predictor.evidence(batch, np.array([0, 1.0, 0]))[0], [4, 2, 0])
    (one,) = predictor.evidence(batch, np.array([0, 2.0, 1.0]))
    assert one[0] == pytest.approx((4 * 2 + 6) ** 2 / (4 * 4 + 6))


def test_the_last_batch_weighs_most_in_a_moving_average() -> None:
    counts = np.array([[[8.0, 0.0]], [[0.0, 8.0]], [[4.0, 4.0]]])
    np.testing.assert_allclose(
        moving_average(counts), (counts[0] / 4 + counts[1] / 2 + counts[2]) / 1.75
    )
    np.testing.assert_allclose(moving_average(counts, 1.0), counts.mean(axis=0))
    for decay in (0.0, 1.5):
        with pytest.raises(InstanceError, match="above 0"):
            moving_average(counts, decay)
    with pytest.raises(InstanceError, match="one batch"):
        moving_average(counts[:0])


def test_a_batch_is_a_list_of_ids() -> None:
    predictor = Predictor(EXAMPLE)
    with pytest.raises(InstanceError, match=r"token_ids\[1\]"):
        predictor.tokens(np.array([0, -1]))
    with pytest.raises(InstanceError, match="shape"):
        predictor.tokens(np.array([[0]]))
    for batch in ([0.5, 1.0], np.array([0.0, 1.0]), ["0"], np.array([2**21])):
        with pytest.raises(InstanceError, match="token_ids"):
            predictor.tokens(batch)  # type: ignore[arg-type]
        with pytest.raises(InstanceError, match="token_ids"):
            unigram(batch)  # type: ignore[arg-type]
    (tokens,) = predictor.tokens([])  # type: ignore[arg-type]
    assert not tokens.any()


def two_layers() -> RoutingTrace:
    """Return a trace whose layers pay attention to opposite IDs: mostly 0, then mostly 1."""
    rng, n = np.random.default_rng(6), 3_000
    attention = np.stack([rng.random(n) > 0.9, rng.random(n) > 0.1], axis=1).astype(np.int64)
    expert = (attention + (rng.random((n, 2)) > 0.8)) % 2
    return RoutingTrace(
        expert[:, :, None],
        token_ids=rng.integers(2, size=n),
        attention_ids=attention,
        experts=2,
    )


@pytest.mark.parametrize("rule", RULES)
def test_a_layer_is_predicted_alike_alone_and_in_a_model(rule: Any) -> None:
    past, batch = two_layers(), np.array([0, 0, 0, 1])
    both = Predictor(count_table(past)).tokens(batch, rule)
    losses = []
    for layer, tokens in enumerate(both):
        assert past.attention_ids is not None
        alone = RoutingTrace(
            past.expert_ids[:, layer : layer + 1],
            token_ids=past.token_ids,
            attention_ids=past.attention_ids[:, layer],
            experts=2,
        )
        predictor = Predictor(count_table(alone))
        np.testing.assert_allclose(predictor.tokens(batch, rule)[0], tokens)
        losses.append(log_loss(predictor, alone, rule))
    assert log_loss(Predictor(count_table(past)), past, rule) == pytest.approx(np.mean(losses))


def test_the_ratio_is_of_each_layer() -> None:
    table, batch = count_table(two_layers()), np.array([0, 1, 1, 1])
    ratio = attention_ratio(table, batch)
    assert ratio.shape == (2, 2)
    for layer in range(2):
        rows = table.rows_of(layer)
        past = np.bincount(table.attention[rows], table.count[rows])
        np.testing.assert_allclose(ratio[layer], np.array([0.25, 0.75]) * past.sum() / past)
    assert attention_ratio(one_layer({}, 2), batch).shape == (1, 0)


@pytest.mark.parametrize("rule", RULES)
def test_counts_of_any_size_are_predicted_from(rule: Rule) -> None:
    """An attention token that was there 1e-300 times among 1e300 is more common than floats say."""
    table = one_layer({(A, X, 0): 1e300, (A, Y, 1): 1e-300, (X, X, 1): 1e-300}, experts=2)
    batch = np.array([A, X, Y, Y])
    (tokens,) = Predictor(table).tokens(batch, rule)
    (evidence,) = Predictor(table).evidence(batch, unigram(batch))
    assert evidence[0] == pytest.approx(1e300)
    assert (tokens >= 0).all()
    assert tokens.sum() == pytest.approx(4.0)


def test_a_weight_may_differ_between_layers() -> None:
    predictor, ids = Predictor(count_table(two_layers())), np.arange(2)
    weight = np.array([[1.0, 3.0], [2.0, 0.0]])
    for layer in range(2):
        one, each = predictor.posterior(ids, weight[layer]), predictor.posterior(ids, weight)
        np.testing.assert_allclose(each[layer].share, one[layer].share)
        found = predictor.evidence(ids, weight)[layer]
        np.testing.assert_allclose(found, predictor.evidence(ids, weight[layer])[layer])
    # Only proportions matter, however large.
    np.testing.assert_allclose(
        predictor.evidence(ids, weight * 1e300), predictor.evidence(ids, weight)
    )


@pytest.mark.parametrize(
    "weight", [np.array([-1.0, 1]), np.array([np.nan]), np.array([np.inf]), np.ones((3, 2)), 1.0]
)
def test_a_weight_that_is_none_is_refused(weight: Any) -> None:
    predictor = Predictor(count_table(two_layers()))
    with pytest.raises(InstanceError, match="weight"):
        predictor.tokens(np.array([0]), "bayes", weight)
    with pytest.raises(InstanceError, match="weight"):
        log_loss(predictor, two_layers(), "bayes", weight=weight)


def test_an_unknown_rule_is_refused_by_the_names_of_the_others() -> None:
    predictor: Any = Predictor(EXAMPLE)
    for ask in (
        lambda: predictor.tokens(np.array([0]), "oracle"),
        lambda: log_loss(predictor, two_layers(), "oracle"),  # type: ignore[arg-type]
    ):
        with pytest.raises(InstanceError, match=r"token_expected.*bayes_mended"):
            ask()


def test_the_mended_posterior_is_the_default() -> None:
    past, batch = two_layers(), np.array([0, 0, 1])
    predictor = Predictor(count_table(past))
    mended = predictor.tokens(batch, "bayes_mended")
    np.testing.assert_array_equal(predictor.tokens(batch), mended)
    assert log_loss(predictor, past) == log_loss(predictor, past, "bayes_mended")
    assert Prediction(table=predictor.table, token_ids=batch).rule == "bayes_mended"


def test_token_expected_adds_up_the_shares_of_the_counts() -> None:
    past, batch = draw_trace(2), np.array([0, 3, 3, 4])
    times = counted(past)
    found = Predictor(count_table(past)).tokens(batch, "token_expected")
    for layer, tokens in enumerate(found):
        expected = np.zeros(4)
        for token in batch:
            votes = np.array([sum(times[layer, token, f3, i] for f3 in range(5)) for i in range(4)])
            expected += 2 * votes / votes.sum()
        np.testing.assert_allclose(tokens, expected)


@pytest.mark.parametrize(
    ("counts", "decay"),
    [([[1.0, np.nan]], 0.5), ([[-1.0]], 0.5), ([[1.0]], np.nan), ([[1.0]], "1"), (3.0, 0.5)],
)
def test_a_moving_average_of_what_is_no_number_is_refused(counts: Any, decay: Any) -> None:
    with pytest.raises(InstanceError, match=r"counts|decay"):
        moving_average(counts, decay)
