"""A small table, and an objective that is known: how far predicted tokens are from real ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from moeopt.core.arrays import FloatArray
from moeopt.popularity import Prediction, Predictor, count_table, token_routing
from moeopt.popularity.prediction import Rule
from moeopt.serverless.bayes_pairs import Pairs, TableSpace, pairs_of, table_space
from moeopt.serverless.bayes_trials import Measured

LAYERS, EXPERTS = 2, 4

NOTHING = pairs_of(np.empty((0, 5), dtype=np.int64))


def space(rule: Rule = "bayes", top_k: int = 1, tokens: int = 400) -> TableSpace:
    """Return the space of a table that has seen 600 tokens of 60 kinds."""
    routing = token_routing(EXPERTS, layers=LAYERS, top_k=top_k, vocabulary=60, seed=3)
    token_ids = routing.draw(tokens, 1).token_ids
    assert token_ids is not None
    table = count_table(routing.draw(600, 0))
    return table_space(Prediction(table=table, token_ids=token_ids.astype(int), rule=rule))


def predicted(where: TableSpace, pairs: Pairs) -> tuple[FloatArray, ...]:
    """Return what the whole adjusted table predicts."""
    prediction = where.prediction
    return Predictor(where.adjusted(pairs)).tokens(prediction.token_ids, prediction.rule)


@dataclass
class Distance:
    """Dollars for the squared distance of predicted tokens from `real`, layer by layer.

    Attributes
    ----------
    space
        Where pairs are laid over.
    real
        Tokens of each expert, ``(layers, experts)``.
    told
        Whether feedback is given: overruns, costs of layers and tokens.
    calls
        Pairs that were evaluated.
    """

    space: TableSpace
    real: FloatArray
    told: bool = True
    calls: list[Pairs] = field(default_factory=list)

    def __call__(self, pairs: Pairs) -> Measured:
        self.calls.append(pairs)
        apart = np.array(predicted(self.space, pairs)) - self.real
        layer_usd = 1.0 + (apart**2).sum(axis=1) / 1e4
        if not self.told:
            return Measured(cost_usd=float(layer_usd.sum()))
        return Measured(
            cost_usd=float(layer_usd.sum()),
            over_memory=bool((apart < -100).any()),
            mispredicted=True,
            token_ids=np.arange(7),
            layer_usd=layer_usd,
            tokens=self.real,
        )


def distance(where: TableSpace | None = None, told: bool = True) -> Distance:
    """Return the objective whose optimum has the experts the other way round."""
    where = where or space()
    real = np.array([tokens[::-1] for tokens in predicted(where, NOTHING)])
    return Distance(where, real, told)


def rows(*listed: Sequence[int]) -> Pairs:
    """Return pairs from lists of layer, token, attention, expert and count."""
    return pairs_of(np.array(listed, dtype=np.int64))
