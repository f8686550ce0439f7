"""From counts of the past to the tokens of each expert in a batch to come.

Equation (1) of arXiv 2501.05313 gives the probability of expert ``i`` for a token with ID ``f1``
as a sum over positions and attention IDs. With positions equally likely it comes to

    ``P(i | f1)  ~  sum over f3 of n_i(f1, f3) P'(f3)``

where ``n_i`` counts the past and ``P'(f3)`` is the share of token ID ``f3`` among the tokens to
come. With ``P'`` constant it is the vote of the token's own counts: Lina's maximum a posteriori.
Positions have no weight of their own, so that tables do not hold them.

The paper leaves out what happens to tokens that the past has not seen. Here they count with the
layer's shares, under every rule. Where all of a token's counts fall on attention IDs that the batch
does not contain, their weights are taken as equal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeopt.core.arguments import number
from moeopt.core.arrays import (
    BoolArray,
    FloatArray,
    IntArray,
    numbers_of,
    require_finite_nonnegative,
)
from moeopt.core.errors import InstanceError
from moeopt.popularity.checks import batch_of
from moeopt.popularity.prediction import CountTable, Prediction, Rule, check_rule

#: Digits after the point to which shares are told apart.
_DIGITS = 12


def predicted_tokens(prediction: Prediction) -> tuple[FloatArray, ...]:
    """Return the predicted tokens of each expert, for each layer ``(experts,)``.

    Parameters
    ----------
    prediction
        Table, batch and rule. Where many batches are predicted from one table, a `Predictor` is
        faster.
    """
    return Predictor(prediction.table).tokens(prediction.token_ids, prediction.rule)


def unigram(token_ids: IntArray) -> FloatArray:
    """Return the share of each ID, ``(largest ID + 1,)``: the paper's ``P'(f3)``.

    Parameters
    ----------
    token_ids
        The batch, ``(tokens,)``.

    Raises
    ------
    InstanceError
        If it is no list of token IDs.
    """
    batch = batch_of(token_ids)
    return np.bincount(batch).astype(np.float64) / max(1, batch.size)


def attention_ratio(table: CountTable, token_ids: IntArray) -> FloatArray:
    """Return how much more common attention IDs are than they were, ``(layers, attention IDs)``.

    As the weight of attention IDs it mends the paper's posterior: ``P'(f3) / P(f3)`` instead
    of ``P'(f3)``. Where attention does not depend on the token, that is the share of an expert
    among the tokens to come. Each layer has a past of its own; IDs that a layer lacks have 0.

    Parameters
    ----------
    table
        Counts of the past.
    token_ids
        The batch, ``(tokens,)``.
    """
    shape = (len(table.experts), int(table.attention.max(initial=-1)) + 1)
    past = _matrix(table.layer * shape[1] + table.attention, table.count, *shape)
    coming = unigram(token_ids)[: shape[1]]
    share = np.zeros(shape)
    share[:, : coming.size] = coming * past.sum(axis=1, keepdims=True)
    # One that was next to never there may be more common than floats can say.
    with np.errstate(over="ignore"):
        ratio = np.divide(share, past, out=np.zeros(shape), where=past > 0)
    return np.minimum(ratio, np.finfo(np.float64).max)


def moving_average(counts: FloatArray, decay: float = 0.5) -> FloatArray:
    """Return the exponential moving average of batches, the last of which weighs most.

    Parameters
    ----------
    counts
        Tokens of each expert in past batches, oldest first, ``(batches, ...)``.
    decay
        Weight of a batch over that of the next; 1 is the plain mean.

    Raises
    ------
    InstanceError
        If there is no batch, a count is negative or not finite, or `decay` is not above 0 and at
        most 1.
    """
    if not 0 < number("decay", decay) <= 1:
        raise InstanceError("decay", decay, "must be above 0 and at most 1", "0.5 is usual")
    batches = numbers_of(counts, "counts")
    if batches.ndim == 0 or len(batches) == 0:
        raise InstanceError("counts", "<no batch>", "must have one batch or more", "wait for one")
    require_finite_nonnegative(batches, "counts")
    weight = decay ** np.arange(len(batches) - 1.0, -1.0, -1.0)
    average: FloatArray = np.tensordot(weight / weight.sum(), batches, axes=1)
    return average


def favourites(share: FloatArray, popular_first: IntArray, top_k: int) -> FloatArray:
    """Return 1 for the experts of a token's largest shares, else 0, ``(tokens, experts)``.

    Parameters
    ----------
    share
        Each expert's share of a token's choices, ``(tokens, experts)``.
    popular_first
        All experts, ``(experts,)``: of equal shares the earlier one is taken.
    top_k
        How many.
    """
    # Equal shares are equal, however their sums were rounded.
    ranked = np.argsort(-share[:, popular_first].round(_DIGITS), axis=1, kind="stable")
    chosen = np.zeros_like(share)
    np.put_along_axis(chosen, popular_first[ranked[:, :top_k]], 1.0, axis=1)
    return chosen


@dataclass(frozen=True)
class Posterior:
    """What a layer's counts say of some tokens.

    Attributes
    ----------
    share
        Each expert's share of a token's choices, ``(tokens, experts)``; rows sum up to 1.
    seen
        How often the past has seen the token, ``(tokens,)``; where 0, the shares are the layer's.
    """

    share: FloatArray
    seen: FloatArray


@dataclass(frozen=True)
class _Layer:
    """A layer's rows, grouped by token.

    Attributes
    ----------
    token
        The distinct token IDs, ascending.
    begin
        First row of each, and the end, ``(distinct tokens + 1,)``.
    total
        Counts of each token, ``(distinct tokens,)``.
    cell
        Place of each row in the flat ``(token, expert)`` matrix.
    attention, expert, count
        Of each row.
    marginal
        Each expert's share of all choices, ``(experts,)``.
    """

    token: IntArray
    begin: IntArray
    total: FloatArray
    cell: IntArray
    attention: IntArray
    expert: IntArray
    count: FloatArray
    marginal: FloatArray

    def votes(self, weight: FloatArray | None) -> FloatArray:
        """Return the weighted counts, ``(distinct tokens, experts)``."""
        votes = self.count if weight is None else self.count * weight[self.attention]
        return _matrix(self.cell, votes, self.token.size, self.marginal.size)

    def counts_of(self, places: IntArray) -> FloatArray:
        """Return the counts of some tokens, by their places, ``(places, experts)``."""
        sizes = self.begin[places + 1] - self.begin[places]
        first = self.begin[places] - sizes.cumsum() + sizes
        rows = np.arange(sizes.sum()) + np.repeat(first, sizes)
        cell = np.repeat(np.arange(places.size), sizes) * self.marginal.size + self.expert[rows]
        return _matrix(cell, self.count[rows], places.size, self.marginal.size)


class Predictor:
    """A table arranged so that batches are predicted quickly.

    Parameters
    ----------
    table
        Counts of the past.
    """

    def __init__(self, table: CountTable) -> None:
        self.table = table
        self._layers = [_arranged(table, e, share) for e, share in enumerate(table.shares())]
        self._most_attention = int(table.attention.max(initial=0))

    def tokens(
        self, token_ids: IntArray, rule: Rule = "bayes_mended", weight: FloatArray | None = None
    ) -> tuple[FloatArray, ...]:
        """Return the predicted tokens of each expert, for each layer ``(experts,)``.

        Each layer's sum up to the batch's tokens times ``top_k``.

        Parameters
        ----------
        token_ids
            The batch, ``(tokens,)``.
        rule
            The predictor.
        weight
            Of each attention ID, instead of the rule's own, as for `posterior`.

        Raises
        ------
        InstanceError
            If the batch is no list of token IDs, there is no such rule, or `weight` is no weight.
        """
        batch = batch_of(token_ids)
        check_rule(rule)
        if rule == "marginal":
            choices = batch.size * self.table.top_k
            return tuple(choices * layer.marginal for layer in self._layers)
        distinct, times = np.unique(batch, return_counts=True)
        weights = self.weight(batch, rule) if weight is None else weight
        found = []
        for layer, posterior in enumerate(self.posterior(distinct, weights)):
            share = self.table.top_k * posterior.share
            if rule in ("token_map", "bayes"):
                seen = posterior.seen > 0
                popular = np.argsort(-self._layers[layer].marginal, kind="stable")
                share[seen] = favourites(posterior.share[seen], popular, self.table.top_k)
            found.append(times @ share)
        return tuple(found)

    def weight(self, token_ids: IntArray, rule: Rule) -> FloatArray | None:
        """Return what a rule weighs attention IDs by, as for `posterior`; ``None`` if equally.

        Parameters
        ----------
        token_ids
            The batch, ``(tokens,)``.
        rule
            The predictor.
        """
        if rule == "bayes_mended":
            return attention_ratio(self.table, token_ids)
        return unigram(token_ids) if rule in ("bayes", "bayes_expected") else None

    def posterior(
        self, token_ids: IntArray, weight: FloatArray | None = None
    ) -> tuple[Posterior, ...]:
        """Return what the counts of each layer say of tokens.

        Parameters
        ----------
        token_ids
            Shape ``(tokens,)``.
        weight
            Of each attention ID, ``(attention IDs,)`` or ``(layers, attention IDs)``, 0 beyond
            the array's end; left out, all are equal.

        Raises
        ------
        InstanceError
            If `token_ids` is no list of token IDs, or a weight is negative or not finite.
        """
        batch, weights = batch_of(token_ids), self._by_layer(weight)
        pairs = zip(self._layers, weights, strict=True)
        return tuple(self._posterior(layer, batch, own) for layer, own in pairs)

    def evidence(self, token_ids: IntArray, weight: FloatArray | None = None) -> list[FloatArray]:
        """Return how many equal votes each token's votes are worth, for each layer ``(tokens,)``.

        ``(sum of w)**2 / sum of w**2`` over occurrences (Kish): all that there are with equal
        weights, one where one weight outweighs the others.

        Parameters
        ----------
        token_ids, weight
            As for `posterior`.
        """
        batch, weights = batch_of(token_ids), self._by_layer(weight)
        pairs = zip(self._layers, weights, strict=True)
        return [_evidence(layer, batch, own) / self.table.top_k for layer, own in pairs]

    def _by_layer(self, weight: FloatArray | None) -> list[FloatArray | None]:
        """Return each layer's weights, as long as its attention IDs need."""
        layers = len(self._layers)
        if weight is None:
            return [None] * layers
        given = numbers_of(weight, "weight")
        if given.ndim not in (1, 2) or (given.ndim == 2 and len(given) != layers):
            raise InstanceError(
                "weight",
                f"<shape {given.shape}>",
                f"must have shape (attention IDs,) or ({layers} layers, attention IDs)",
                "give one weight for each attention ID",
            )
        require_finite_nonnegative(given, "weight")
        rows = np.atleast_2d(given)
        full = np.zeros((len(rows), max(rows.shape[1], self._most_attention + 1)))
        full[:, : rows.shape[1]] = rows
        # Only proportions matter: the largest is 1, so that no square overflows.
        full /= np.maximum(full.max(axis=1, keepdims=True), np.finfo(np.float64).tiny)
        return list(np.broadcast_to(full, (layers, full.shape[1])))

    def _posterior(
        self, layer: _Layer, token_ids: IntArray, weight: FloatArray | None
    ) -> Posterior:
        share = np.tile(layer.marginal, (token_ids.size, 1))
        seen = np.zeros(token_ids.size)
        place, known = _places(layer.token, token_ids)
        rows = np.flatnonzero(known)
        seen[rows] = layer.total[place[rows]] / self.table.top_k
        rows = rows[seen[rows] > 0]
        votes = layer.votes(weight)[place[rows]]
        # No weight at all says nothing of the token: its counts alone are left.
        mute = np.flatnonzero(votes.sum(axis=1) == 0)
        votes[mute] = layer.counts_of(place[rows[mute]])
        share[rows] = votes / votes.sum(axis=1, keepdims=True)
        return Posterior(share, seen)


def _matrix(cell: IntArray, amount: FloatArray, rows: int, columns: int) -> FloatArray:
    """Return sums of amounts by cell of a flat matrix, ``(rows, columns)``."""
    # Of nothing, NumPy returns integers.
    sums = np.bincount(cell, amount, minlength=rows * columns).astype(np.float64, copy=False)
    return sums.reshape(rows, columns)


def _arranged(table: CountTable, layer: int, marginal: FloatArray) -> _Layer:
    rows = table.rows_of(layer)
    token = table.token[rows]
    begin = np.flatnonzero(np.diff(token, prepend=-1, append=-1))
    sizes = np.diff(begin)
    group = np.repeat(np.arange(sizes.size), sizes)
    count, expert = table.count[rows], table.expert[rows]
    return _Layer(
        token=token[begin[:-1]],
        begin=begin,
        total=np.add.reduceat(count, begin[:-1]) if sizes.size else np.zeros(0),
        cell=group * marginal.size + expert,
        attention=table.attention[rows],
        expert=expert,
        count=count,
        marginal=marginal,
    )


def _evidence(layer: _Layer, token_ids: IntArray, weight: FloatArray | None) -> FloatArray:
    worth = layer.total.copy()
    if weight is not None and layer.token.size:
        each = weight[layer.attention]
        once = np.add.reduceat(layer.count * each, layer.begin[:-1])
        twice = np.add.reduceat(layer.count * each * each, layer.begin[:-1])
        # Squared last: it is no more than all counts, but the sum's square may be beyond floats.
        np.divide(once, np.sqrt(twice), out=worth, where=twice > 0)
        worth[twice > 0] **= 2
    place, known = _places(layer.token, token_ids)
    found = np.zeros(token_ids.size)
    found[known] = worth[place[known]]
    return found


def _places(sorted_ids: IntArray, ids: IntArray) -> tuple[IntArray, BoolArray]:
    """Return where each ID stands among sorted ones, and whether it does."""
    if sorted_ids.size == 0:
        return np.zeros(ids.size, dtype=np.int64), np.zeros(ids.size, dtype=np.bool_)
    place = np.minimum(np.searchsorted(sorted_ids, ids), sorted_ids.size - 1)
    return place, sorted_ids[place] == ids
