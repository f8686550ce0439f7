"""Tokens of each expert as a problem states them: a table of counts, and the tokens to come."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.core.wing import Document
from moeopt.describe.cluster import Count
from moeopt.popularity.checks import check_table, check_token_ids

Rule = Literal["marginal", "token_map", "token_expected", "bayes", "bayes_expected", "bayes_mended"]


def check_rule(rule: str) -> None:
    """Raise `InstanceError` unless a rule is one of `Rule`."""
    if rule not in get_args(Rule):
        raise InstanceError(
            "rule", rule, f"must be one of {', '.join(get_args(Rule))}", "bayes_mended is usual"
        )


class CountTable(Document, frozen=True, kw_only=True, omit_defaults=True):
    """How often tokens went to experts: the paper's Omega, with the position summed up.

    Row by row, sorted by layer, token, attention and expert, each combination once.

    Attributes
    ----------
    layer, token, attention, expert
        MoE layer, token ID, attention ID and expert of each row, ``(rows,)``. IDs are below
        `moeopt.popularity.checks.MOST_IDS`; where the attention is unknown, its ID is 0.
    count
        Occurrences, ``(rows,)``.
    experts
        Experts of each layer.
    top_k
        Experts of a token.
    """

    layer: IntArray
    token: IntArray
    attention: IntArray
    expert: IntArray
    count: FloatArray
    experts: tuple[Count, ...]
    top_k: Count = 1

    def __post_init__(self) -> None:
        check_table(self)

    def rows_of(self, layer: int) -> slice:
        """Return the rows of a layer."""
        begin, end = np.searchsorted(self.layer, [layer, layer + 1])
        return slice(int(begin), int(end))

    def shares(self) -> tuple[FloatArray, ...]:
        """Return each expert's share of all choices, for each layer ``(experts,)``.

        Equal shares where a layer has no counts.
        """
        found = []
        for layer, experts in enumerate(self.experts):
            rows = self.rows_of(layer)
            counts = np.bincount(self.expert[rows], self.count[rows], minlength=experts)
            total = counts.sum()
            found.append(counts / total if total else np.full(experts, 1.0 / experts))
        return tuple(found)


class Prediction(Document, frozen=True, kw_only=True, omit_defaults=True):
    """The tokens of a coming batch, to be turned into loads.

    Attributes
    ----------
    table
        Counts of the past.
    token_ids
        The batch, ``(tokens,)``.
    rule
        The predictor: each layer's shares of the past (``"marginal"``), the experts that each
        token went to most often (``"token_map"``: Lina), the sums of those counts as shares
        (``"token_expected"``), the most votes of counts weighted by how common the attention
        token is (``"bayes"``: the paper), the sums of those votes as shares
        (``"bayes_expected"``), or the same with attention tokens weighted by how much more
        common they are than they were (``"bayes_mended"``).
    """

    table: CountTable
    token_ids: IntArray
    rule: Rule = "bayes_mended"

    def __post_init__(self) -> None:
        check_token_ids(self.token_ids)

    def tokens(self) -> tuple[FloatArray, ...]:
        """Return the predicted tokens of each expert, for each layer ``(experts,)``."""
        from moeopt.popularity.predictors import predicted_tokens

        return predicted_tokens(self)
