"""Key-value pairs laid over a table of counts: what Bayesian optimisation moves.

A pair is a row of the table, whether it is there already or not: a layer, a token ID, an attention
ID and an expert, with a count of its own. The paper's keys have a position, too; the table has
positions summed up, because the predictor gives them no weight.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass

import numpy as np

from moeopt.core.arrays import IntArray, require_shape
from moeopt.core.errors import InstanceError
from moeopt.core.wing import Document
from moeopt.popularity.checks import MOST_IDS
from moeopt.popularity.prediction import CountTable, Prediction
from moeopt.serverless.bayes_numbers import at_least

_FIELDS = ("layer", "token", "attention", "expert", "count")


class Pairs(Document, frozen=True, kw_only=True):
    """Keys and the counts that they get. Of pairs with the same key the last one counts.

    Attributes
    ----------
    layer, token, attention, expert
        The keys, ``(pairs,)`` each.
    count
        Their values, ``(pairs,)``, positive integers.
    """

    layer: IntArray
    token: IntArray
    attention: IntArray
    expert: IntArray
    count: IntArray

    def __post_init__(self) -> None:
        for name in _FIELDS:
            require_shape(getattr(self, name), f"$.{name}", self.layer.shape[:1], "pairs")
        if len(self) and self.rows().min() < 0:
            raise InstanceError("$", "<a negative number>", "must be IDs >= 0", "correct it")
        if len(self) and self.count.min() < 1:
            raise InstanceError(
                "$.count", int(self.count.min()), "must be >= 1", "leave the pair out instead"
            )

    def __len__(self) -> int:
        return len(self.layer)

    def rows(self) -> IntArray:
        """Return the pairs as one table, ``(pairs, 5)``, with the fields in their order."""
        return np.stack([getattr(self, name) for name in _FIELDS], axis=1)


def pairs_of(rows: IntArray) -> Pairs:
    """Return the pairs of a table as `Pairs.rows` gives it."""
    columns = np.asarray(rows, dtype=np.int64).reshape(-1, len(_FIELDS)).T
    return Pairs(**dict(zip(_FIELDS, columns, strict=True)))


@dataclass(frozen=True)
class TableSpace:
    """All pairs that a table of counts may get.

    Attributes
    ----------
    prediction
        The table before any change, the tokens to come and the rule that predicts them.
    token_ids, attention_ids
        What keys may name, sorted.
    most_count
        Largest value of a pair.
    """

    prediction: Prediction
    token_ids: IntArray
    attention_ids: IntArray
    most_count: int

    @property
    def table(self) -> CountTable:
        """The table before any change."""
        return self.prediction.table

    @property
    def num_layers(self) -> int:
        """Number of MoE layers."""
        return len(self.table.experts)

    def start(self, rng: np.random.Generator, pairs: int) -> Pairs:
        """Return rows of the table as they are: the table is not changed yet.

        What rows it lacks are drawn from it again.
        """
        chosen = rng.choice(self._whole_rows, size=pairs, replace=pairs > self._whole_rows.size)
        return Pairs(
            layer=self.table.layer[chosen],
            token=self.table.token[chosen],
            attention=self.table.attention[chosen],
            expert=self.table.expert[chosen],
            count=self.table.count[chosen].astype(np.int64),
        )

    def draw(
        self, rng: np.random.Generator, pairs: int, token_ids: IntArray | None = None
    ) -> Pairs:
        """Return pairs drawn alike from all there are.

        Parameters
        ----------
        rng, pairs
            From where, and how many.
        token_ids
            Those that keys may name, if not all: the paper's limited range.
        """
        layer = rng.integers(self.num_layers, size=pairs)
        experts = np.array(self.table.experts)[layer]
        return Pairs(
            layer=layer,
            token=rng.choice(self.token_ids if token_ids is None else token_ids, size=pairs),
            attention=rng.choice(self.attention_ids, size=pairs),
            expert=rng.integers(experts),
            count=rng.integers(1, self.most_count + 1, size=pairs),
        )

    def adjusted(self, pairs: Pairs) -> CountTable:
        """Return the table with `pairs` laid over it.

        Raises
        ------
        InstanceError
            If a key names a layer or an expert that is not there, or too large an ID.
        """
        if not len(pairs):
            return self.table
        self.check(pairs)
        mine = self._keys(pairs)
        # The last of equal keys: np.unique keeps the first.
        new, last = np.unique(mine[::-1], return_index=True)
        count = pairs.count[::-1][last].astype(np.float64)
        kept = ~np.isin(self._table_keys, new, assume_unique=True)
        keys = np.concatenate([self._table_keys[kept], new])
        counts = np.concatenate([self.table.count[kept], count])
        order = np.argsort(keys, kind="stable")
        layer, token, attention, expert = np.unravel_index(keys[order], self._sizes)
        return CountTable(
            layer=layer,
            token=token,
            attention=attention,
            expert=expert,
            count=counts[order],
            experts=self.table.experts,
            top_k=self.table.top_k,
        )

    def check(self, pairs: Pairs) -> None:
        """Raise `InstanceError` if a key names a layer, an expert or an ID that cannot be."""
        if not len(pairs):
            return
        ends = {"layer": self.num_layers, "token": MOST_IDS, "attention": MOST_IDS}
        for name, end in ends.items():
            largest = int(getattr(pairs, name).max())
            if largest >= end:
                raise InstanceError(f"$.{name}", largest, f"must be < {end}", "correct it")
        beyond = pairs.expert >= np.array(self.table.experts)[pairs.layer]
        if beyond.any():
            at = int(np.argmax(beyond))
            raise InstanceError(
                f"$.expert[{at}]",
                int(pairs.expert[at]),
                f"must be an expert of layer {pairs.layer[at]}",
                "correct it",
            )

    def fingerprint(self) -> str:
        """Return what tells one space, and its prediction, from another."""
        table, prediction = self.table, self.prediction
        digest = hashlib.sha256()
        arrays = (
            table.layer, table.token, table.attention, table.expert, table.count,
            prediction.token_ids, self.token_ids, self.attention_ids,
        )  # fmt: skip
        for array in arrays:
            digest.update(np.int64(array.size).tobytes() + np.ascontiguousarray(array).tobytes())
        rest = (table.experts, table.top_k, prediction.rule, self.most_count)
        digest.update(repr(rest).encode())
        return digest.hexdigest()

    def _keys(self, rows: Pairs | CountTable) -> IntArray:
        """Return each row's key as one number, in the table's order."""
        columns = (rows.layer, rows.token, rows.attention, rows.expert)
        return np.ravel_multi_index(columns, self._sizes).astype(np.int64)

    @functools.cached_property
    def _table_keys(self) -> IntArray:
        return self._keys(self.table)

    @functools.cached_property
    def _whole_rows(self) -> IntArray:
        """Rows whose counts a pair can have."""
        return _whole_rows(self.table)

    @functools.cached_property
    def _sizes(self) -> tuple[int, int, int, int]:
        # Batches may bring IDs that the space does not name: the limited range has them.
        return (self.num_layers, MOST_IDS, MOST_IDS, max(self.table.experts))


def table_space(prediction: Prediction, most_count: int | None = None) -> TableSpace:
    """Return the pairs that may change a prediction.

    Keys may name every token ID of the table and of the tokens to come, as themselves and as
    attention IDs, with any expert of any layer.

    Parameters
    ----------
    prediction
        Table, tokens to come and rule.
    most_count
        Largest value of a pair: the paper says "any positive integer". If left out, the most
        occurrences of a token in a layer, with which one pair outweighs all that the table knows.

    Raises
    ------
    InstanceError
        If the table has no row with a positive integer, no token is to come, `most_count` is below
        1, or the rule is ``"bayes_mended"``, whose weights every pair would change for all tokens.
    """
    table = prediction.table
    if prediction.rule == "bayes_mended":
        raise InstanceError(
            "$.rule",
            prediction.rule,
            "must be another rule: every pair would change its weights for all tokens",
            "bayes_expected is the nearest",
        )
    if not _whole_rows(table).size:
        raise InstanceError(
            "$.table",
            f"<{len(table.layer)} rows>",
            "must have rows with whole counts from 1 on",
            "build it from a trace with tokens",
        )
    if not prediction.token_ids.size:
        raise InstanceError(
            "$.token_ids", "<no tokens>", "must be the tokens to come", "give some batch"
        )
    token_ids = np.union1d(table.token, prediction.token_ids)
    if most_count is None:
        most_count = max(1, int(np.ceil(_most_of_a_token(table))))
    most_count = at_least("most_count", most_count, 1)
    return TableSpace(
        prediction=prediction,
        token_ids=token_ids,
        attention_ids=np.union1d(table.attention, token_ids),
        most_count=most_count,
    )


def _whole_rows(table: CountTable) -> IntArray:
    return np.flatnonzero((table.count >= 1) & (table.count == np.floor(table.count)))


def _most_of_a_token(table: CountTable) -> float:
    """Return the most occurrences of one token in one layer, all its rows together."""
    starts = np.flatnonzero(np.r_[True, (np.diff(table.layer) != 0) | (np.diff(table.token) != 0)])
    return float(np.add.reduceat(table.count, starts).max())
