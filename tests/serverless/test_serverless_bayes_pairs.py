"""Pairs laid over a table, and what they do to the predicted tokens."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serverless_bayes_study import EXPERTS, LAYERS, NOTHING, predicted, rows, space

from moeopt.core.errors import InstanceError
from moeopt.popularity import CountTable, Prediction
from moeopt.popularity.prediction import Rule
from moeopt.serverless.bayes_loads import layer_loads
from moeopt.serverless.bayes_pairs import Pairs, pairs_of, table_space

TABLE = CountTable(
    layer=np.array([0, 0, 1]),
    token=np.array([2, 5, 2]),
    attention=np.array([5, 5, 2]),
    expert=np.array([1, 0, 0]),
    count=np.array([4.0, 1.0, 3.0]),
    experts=(2, 1),
)
SMALL = table_space(Prediction(table=TABLE, token_ids=np.array([2, 5, 9]), rule="bayes"))

RULES = tuple(rule for rule in get_args(Rule) if rule != "bayes_mended")


def listed(table: CountTable) -> list[tuple[float, ...]]:
    columns = (table.layer, table.token, table.attention, table.expert, table.count)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_pairs_replace_rows_and_make_new_ones() -> None:
    found = SMALL.adjusted(rows([0, 2, 5, 1, 7], [0, 2, 2, 0, 6], [1, 9, 2, 0, 1]))
    assert listed(found) == [
        (0, 2, 2, 0, 6.0),
        (0, 2, 5, 1, 7.0),
        (0, 5, 5, 0, 1.0),
        (1, 2, 2, 0, 3.0),
        (1, 9, 2, 0, 1.0),
    ]
    assert listed(SMALL.adjusted(NOTHING)) == listed(TABLE)


def test_of_equal_keys_the_last_counts() -> None:
    found = SMALL.adjusted(rows([0, 2, 5, 1, 7], [0, 5, 5, 0, 2], [0, 2, 5, 1, 9]))
    assert [row[-1] for row in listed(found)] == [9.0, 2.0, 3.0]


def test_the_start_changes_nothing() -> None:
    for count in (2, 50):
        start = SMALL.start(np.random.default_rng(0), count)
        assert len(start) == count
        assert listed(SMALL.adjusted(start)) == listed(TABLE)


def test_pairs_are_drawn_from_all_there_are() -> None:
    """The most occurrences of a token in a layer are 4."""
    drawn = SMALL.draw(np.random.default_rng(0), 2000)
    assert SMALL.most_count == 4
    keys = {tuple(row) for row in drawn.rows()[:, :4].tolist()}
    # Three tokens, as many attention IDs, two experts and one.
    assert len(keys) == 3 * 3 * 3
    assert set(drawn.count.tolist()) == {1, 2, 3, 4}
    limited = SMALL.draw(np.random.default_rng(0), 100, np.array([7, 8]))
    assert set(limited.token.tolist()) == {7, 8}
    assert (
        table_space(SMALL.prediction, most_count=2).draw(np.random.default_rng(0), 100).count.max()
        == 2
    )


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([2, 2, 2, 0, 1], r"\$\.layer: must be < 2"),
        ([1, 2, 2, 1, 1], r"\$\.expert\[0\]: must be an expert of layer 1"),
        ([0, 2, 2, 0, 0], r"\$\.count: must be >= 1"),
        ([0, -2, 2, 0, 1], "must be IDs >= 0"),
        ([0, 2**21, 2, 0, 1], r"\$\.token: must be < 2097152"),
        ([0, 2, 2**40, 0, 1], r"\$\.attention: must be < 2097152"),
    ],
)
def test_pairs_that_cannot_be_are_refused(row: list[int], message: str) -> None:
    with pytest.raises(InstanceError, match=message):
        SMALL.adjusted(rows(row))


def test_columns_of_other_lengths_are_refused() -> None:
    one, two = np.ones(1, dtype=int), np.ones(2, dtype=int)
    with pytest.raises(InstanceError, match=r"\$\.count: must have shape"):
        Pairs(layer=one, token=one, attention=one, expert=one, count=two)


def test_counts_that_no_pair_can_have_are_never_the_start() -> None:
    thinned = msgspec.structs.replace(TABLE, count=np.array([0.0, 2.5, 3.0]))
    where = table_space(Prediction(table=thinned, token_ids=np.array([2]), rule="bayes"))
    start = where.start(np.random.default_rng(0), 5)
    assert start.rows().tolist() == [[1, 2, 2, 0, 3]] * 5
    assert listed(where.adjusted(start)) == listed(thinned)


@pytest.mark.parametrize("count", [[], [0.5]])
def test_a_table_without_rows_is_refused(count: list[float]) -> None:
    ids = np.zeros(len(count), dtype=int)
    table = CountTable(
        layer=ids, token=ids, attention=ids, expert=ids, count=np.array(count), experts=(2,)
    )
    with pytest.raises(InstanceError, match="must have rows"):
        table_space(Prediction(table=table, token_ids=np.array([1]), rule="bayes"))


@pytest.mark.parametrize("most", [0, -1, 2.5, "many"])
def test_a_largest_count_is_a_whole_number_from_1_on(most: Any) -> None:
    with pytest.raises(InstanceError, match="most_count: must be"):
        table_space(SMALL.prediction, most_count=most)


def test_a_batch_without_tokens_is_refused() -> None:
    prediction = Prediction(table=TABLE, token_ids=np.empty(0, dtype=int), rule="bayes")
    with pytest.raises(InstanceError, match=r"\$\.token_ids: must be the tokens to come"):
        table_space(prediction)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("top_k", [1, 2])
@given(st.integers(0, 2**31), st.integers(0, 120))
@settings(max_examples=15)
def test_loads_are_those_of_the_adjusted_table(
    rule: str, top_k: int, seed: int, pairs: int
) -> None:
    where = space(rule, top_k)
    drawn = where.draw(np.random.default_rng(seed), pairs)
    for layer, (loads, whole) in enumerate(
        zip(layer_loads(where), predicted(where, drawn), strict=True)
    ):
        own = drawn.rows()[drawn.layer == layer]
        np.testing.assert_allclose(loads.loads(own), whole, atol=1e-9)
        assert loads.total == pytest.approx(whole.sum())


def test_pairs_that_leave_a_row_as_it_is_change_nothing() -> None:
    (first, _) = layer_loads(SMALL)
    given = rows([0, 2, 5, 1, 4], [0, 2, 5, 0, 1], [0, 5, 5, 0, 9], [0, 5, 5, 0, 2]).rows()
    # The third is overruled by the fourth.
    assert first.changes(given).tolist() == [False, True, False, True]


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "marginal"])
def test_pairs_are_built_that_bring_loads_near_a_target(rule: str) -> None:
    where = space(rule, tokens=4000)
    for loads in layer_loads(where):
        before, left = loads.loads(NOTHING.rows()), []
        target = 0.7 * before + 0.3 * loads.total / EXPERTS
        for seed in range(20):
            built = loads.steered(np.random.default_rng(seed), target, 30)
            assert len(built) <= 30
            left.append(np.abs(loads.loads(built) - target).sum())
            assert where.adjusted(pairs_of(built)).experts == (EXPERTS,) * LAYERS
        assert np.mean(left) < 0.7 * np.abs(before - target).sum()


def test_nothing_is_built_where_nothing_is_to_be_moved() -> None:
    (first, _) = layer_loads(space())
    rng, before = np.random.default_rng(0), first.loads(NOTHING.rows())
    assert len(first.steered(rng, before, 30)) == 0
    assert len(first.steered(rng, before[::-1], 0)) == 0


def test_weights_that_every_pair_would_change_are_refused() -> None:
    prediction = msgspec.structs.replace(SMALL.prediction, rule="bayes_mended")
    with pytest.raises(InstanceError, match="every pair would change its weights"):
        table_space(prediction)
