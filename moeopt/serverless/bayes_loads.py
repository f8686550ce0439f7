"""What pairs do to the predicted tokens of each expert, and pairs that do what is wanted.

A deployment depends on a table of counts only through the predicted tokens: a thousand pairs act
through a few numbers for each layer. `LayerLoads.loads` gives these numbers for some pairs, the
same as `moeopt.popularity.predictors.Predictor` for the whole table but touching only what the
pairs touch, and `LayerLoads.steered` goes the other way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.popularity.checks import keys
from moeopt.popularity.prediction import CountTable, Rule
from moeopt.popularity.predictors import favourites, unigram
from moeopt.serverless.bayes_pairs import TableSpace

#: Rules that count each token by expected experts, not by its favourites.
_EXPECTED = frozenset({"bayes_expected", "token_expected"})

#: Rules without weights of attention IDs.
_UNWEIGHTED = frozenset({"token_map", "token_expected"})

#: Columns of `moeopt.serverless.bayes_pairs.Pairs.rows`.
_TOKEN, _ATTENTION, _EXPERT, _COUNT = 1, 2, 3, 4

#: Where votes are shares, a pair gets so many times all votes of its token.
_OUTWEIGHING = 4.0

#: Tokens that are looked at for each that may be moved.
_TRIED = 4


@dataclass(frozen=True)
class _Batch:
    """The tokens to come.

    Attributes
    ----------
    distinct, times
        Their IDs, ascending, and how often each comes, ``(distinct,)``.
    weight
        Of each attention ID, ``P'(f3)``.
    rule
        The predictor.
    """

    distinct: IntArray
    times: FloatArray
    weight: FloatArray
    rule: Rule


class LayerLoads:
    """One layer's predicted tokens under any pairs.

    Parameters
    ----------
    table, layer
        The layer before any change.
    batch
        The tokens to come.
    most_count
        Largest value of a pair.
    """

    def __init__(self, table: CountTable, layer: int, batch: _Batch, most_count: int) -> None:
        rows = table.rows_of(layer)
        self._batch, self._layer, self._most = batch, layer, most_count
        self._experts, self._top_k = table.experts[layer], table.top_k
        token, attention = table.token[rows], table.attention[rows]
        self._expert, self._count = table.expert[rows], table.count[rows]
        self._key = keys(token, attention, self._expert, self._experts)
        self._counts = self._by_expert(self._expert, self._count)
        shape = (len(batch.distinct), self._experts)
        self._plain, self._weighted = np.zeros(shape), np.zeros(shape)
        changes = np.stack([token, attention, self._expert], axis=1)
        self._add(self._plain, self._weighted, self._places(token), changes, self._count)
        self._order = _most_popular_first(self._counts)
        self._seen = self._plain.sum(axis=1) > 0
        self._each = self._choices(self._plain, self._weighted, self._order)
        self._sum = (batch.times * self._seen) @ self._each
        self._unseen = float(batch.times[~self._seen].sum())
        self._base = self.loads(_no_rows())

    def loads(self, rows: IntArray) -> FloatArray:
        """Return the predicted tokens of each expert, ``(experts,)``.

        Parameters
        ----------
        rows
            Pairs of this layer, as `Pairs.rows` gives them, ``(pairs, 5)``.
        """
        last, change = self._changes(rows)
        rows = rows[last]
        counts = self._counts + self._by_expert(rows[:, _EXPERT], change)
        order = _most_popular_first(counts)
        places = self._places(rows[:, _TOKEN])
        if self._batch.rule in _EXPECTED or (order == self._order).all():
            touched = np.unique(places[places >= 0])
        else:
            # Votes that are equal may have another winner now.
            touched = np.arange(len(self._plain))
        plain, weighted = self._plain[touched], self._weighted[touched]
        inside = np.where(places >= 0, np.searchsorted(touched, places), -1)
        self._add(plain, weighted, inside, rows[:, _TOKEN:_COUNT], change)
        times, seen = self._batch.times[touched], plain.sum(axis=1) > 0
        before = self._seen[touched]
        total = self._sum - (times * before) @ self._each[touched]
        total = total + (times * seen) @ self._choices(plain, weighted, order)
        unseen = self._unseen + float(times[~seen].sum() - times[~before].sum())
        if self._batch.rule == "marginal":
            total, unseen = np.zeros(self._experts), float(self._batch.times.sum())
        loads: FloatArray = total + unseen * self._top_k * _shares(counts)
        return loads

    @property
    def total(self) -> float:
        """Predicted tokens of all experts together."""
        return float(self._batch.times.sum()) * self._top_k

    def changes(self, rows: IntArray) -> BoolArray:
        """Return which pairs, the last of their keys, change the table, ``(pairs,)``."""
        changing = np.zeros(len(rows), dtype=np.bool_)
        last, change = self._changes(rows)
        changing[last] = change != 0
        return changing

    def steered(self, rng: np.random.Generator, target: FloatArray, most_pairs: int) -> IntArray:
        """Return pairs that bring the predicted tokens near `target`, in at most `most_pairs`.

        Tokens of experts with too many are moved to experts with too few, frequent ones first
        but for chance: each by one pair that outvotes what the table knows of the token.

        Parameters
        ----------
        rng
            Which tokens, and to which expert.
        target
            Tokens of each expert, ``(experts,)``.
        most_pairs
            The budget.
        """
        gap = target - self._base
        favourite = self._each.argmax(axis=1)
        mass = self._batch.times * self._each.max(axis=1)
        movable = np.flatnonzero((gap[favourite] < 0) & self._seen)
        # Sampling without replacement, by weight.
        order = np.argsort(rng.exponential(size=movable.size) / mass[movable])
        tried = movable[order[: _TRIED * most_pairs]]
        chosen, experts = _moves(gap, favourite[tried], mass[tried], most_pairs)
        chosen = tried[chosen]
        rows = np.empty((chosen.size, 5), dtype=np.int64)
        rows[:, 0] = self._layer
        rows[:, _TOKEN] = self._batch.distinct[chosen]
        rows[:, _ATTENTION] = int(self._batch.weight.argmax())
        rows[:, _EXPERT] = experts
        rows[:, _COUNT] = self._outvoting(chosen, experts, rows)
        return rows

    def _outvoting(self, tokens: IntArray, experts: IntArray, rows: IntArray) -> IntArray:
        """Return counts for `rows` with which they move their tokens, and not much larger ones.

        What tokens count that the past has not seen depends on all counts.
        """
        votes, weight = self._weighted[tokens], float(self._batch.weight.max())
        if self._batch.rule in _UNWEIGHTED:
            votes, weight = self._plain[tokens], 1.0
        lacking = votes.max(axis=1) - votes[np.arange(len(tokens)), experts]
        if self._batch.rule in _EXPECTED:
            lacking = _OUTWEIGHING * votes.sum(axis=1)
        own = np.floor(lacking / weight) + 1.0 + self._known(rows)
        counts: IntArray = np.clip(own, 1, self._most).astype(np.int64)
        return counts

    def _known(self, rows: IntArray) -> FloatArray:
        """Return the table's counts of the keys of `rows`."""
        if not self._key.size:
            return np.zeros(len(rows))
        key = keys(rows[:, _TOKEN], rows[:, _ATTENTION], rows[:, _EXPERT], self._experts)
        at = np.minimum(np.searchsorted(self._key, key), self._key.size - 1)
        return np.where(self._key[at] == key, self._count[at], 0.0)

    def _choices(self, plain: FloatArray, weighted: FloatArray, order: IntArray) -> FloatArray:
        """Return the experts that tokens with these votes are counted for, ``(tokens, experts)``.

        Rows sum up to `top_k`, or to 0 for tokens without votes.
        """
        votes = plain if self._batch.rule in _UNWEIGHTED else weighted
        votes = np.where(votes.sum(axis=1, keepdims=True) > 0, votes, plain)
        total = votes.sum(axis=1, keepdims=True)
        share = np.divide(votes, total, out=np.zeros_like(votes), where=total > 0)
        if self._batch.rule in _EXPECTED:
            return np.asarray(self._top_k * share)
        return favourites(share, order, self._top_k)

    def _changes(self, rows: IntArray) -> tuple[IntArray, FloatArray]:
        """Return which pair is the last of each key, and by how much it changes the count."""
        key = keys(rows[:, _TOKEN], rows[:, _ATTENTION], rows[:, _EXPERT], self._experts)
        _, last = np.unique(key[::-1], return_index=True)
        last = len(rows) - 1 - last
        return last, rows[last, _COUNT] - self._known(rows[last])

    def _by_expert(self, expert: IntArray, amount: FloatArray) -> FloatArray:
        """Return sums of amounts by expert, ``(experts,)``."""
        return np.bincount(expert, amount, minlength=self._experts).astype(np.float64)

    def _places(self, token: IntArray) -> IntArray:
        """Return each token's place among the batch's, -1 for one that does not come."""
        distinct = self._batch.distinct
        at = np.minimum(np.searchsorted(distinct, token), distinct.size - 1)
        return np.where(distinct[at] == token, at, -1)

    def _add(
        self, plain: FloatArray, weighted: FloatArray, at: IntArray, rows: IntArray,
        change: FloatArray,
    ) -> None:  # fmt: skip
        """Add changes of counts to the votes of tokens `at`, in place."""
        here = at >= 0
        where = (at[here], rows[here, 2])
        np.add.at(plain, where, change[here])
        weight = self._batch.weight
        attention = rows[here, 1]
        share = np.where(attention < weight.size, weight[np.minimum(attention, weight.size - 1)], 0)
        np.add.at(weighted, where, change[here] * share)


def layer_loads(space: TableSpace) -> tuple[LayerLoads, ...]:
    """Return what pairs do to each layer."""
    prediction = space.prediction
    distinct, times = np.unique(prediction.token_ids, return_counts=True)
    batch = _Batch(
        distinct, times.astype(np.float64), unigram(prediction.token_ids), prediction.rule
    )
    return tuple(
        LayerLoads(prediction.table, layer, batch, space.most_count)
        for layer in range(space.num_layers)
    )


def _moves(
    gap: FloatArray, favourite: IntArray, mass: FloatArray, most: int
) -> tuple[IntArray, IntArray]:
    """Return which tokens to move, and to which expert, so that gaps close.

    In their order, each to the expert that lacks most, if both gaps have room for it.

    Parameters
    ----------
    gap
        What each expert lacks, ``(experts,)``; below 0 what it has too much.
    favourite, mass
        Where each token is counted, and as how much, ``(tokens,)``.
    most
        Tokens to move at most.
    """
    left: list[float] = gap.tolist()
    chosen: list[int] = []
    experts: list[int] = []
    for token, (source, moved) in enumerate(zip(favourite.tolist(), mass.tolist(), strict=True)):
        if len(chosen) == most:
            break
        lacking = max(left)
        if moved > lacking or moved > -left[source]:
            continue
        expert = left.index(lacking)
        left[expert] -= moved
        left[source] += moved
        chosen.append(token)
        experts.append(expert)
    return np.array(chosen, dtype=np.int64), np.array(experts, dtype=np.int64)


def _no_rows() -> IntArray:
    return np.empty((0, 5), dtype=np.int64)


def _most_popular_first(counts: FloatArray) -> IntArray:
    return np.argsort(-_shares(counts), kind="stable")


def _shares(counts: FloatArray) -> FloatArray:
    total = counts.sum()
    return counts / total if total else np.full(len(counts), 1.0 / len(counts))
