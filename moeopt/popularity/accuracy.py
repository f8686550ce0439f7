"""How far a prediction was off: in tokens of each expert, and in what it said of each token."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.popularity.prediction import CountTable, Rule
from moeopt.popularity.predictors import Predictor
from moeopt.traces.trace import RoutingTrace


def mean_difference(real: Sequence[FloatArray], predicted: Sequence[FloatArray]) -> float:
    """Return the mean of ``|real - predicted|`` over the experts of all layers, in tokens.

    It is the measure of arXiv 2501.05313, Fig. 10.

    Parameters
    ----------
    real, predicted
        Tokens of each expert, for each layer ``(experts,)``.
    """
    apart = [np.abs(np.asarray(a) - b) for a, b in zip(real, predicted, strict=True)]
    return float(np.concatenate(apart).mean())


def log_loss(
    predictor: Predictor,
    trace: RoutingTrace,
    rule: Rule = "bayes_expected",
    smoothing: float = 1.0,
    weight: FloatArray | None = None,
) -> float:
    """Return the mean of ``-log(share)`` of the experts that tokens went to, in nats.

    Shares are those before an argmax, whose log-loss would be infinite: ``"bayes"`` and
    ``"bayes_expected"`` have the same.

    Parameters
    ----------
    predictor
        Of counts that do not contain `trace`.
    trace
        With token IDs.
    rule
        The predictor's rule.
    smoothing
        Occurrences of the layer's shares that are added to each token's, so that no share is 0.
    weight
        Of each attention ID in the ``bayes`` rules, instead of the trace's own `unigram`.

    Raises
    ------
    InstanceError
        If the trace has no token IDs or other layers than the table, or `smoothing` is not
        above 0.
    """
    if not smoothing > 0:
        raise InstanceError("smoothing", smoothing, "must be above 0", "1 is usual")
    table = predictor.table
    if trace.token_ids is None or trace.num_layers != len(table.experts):
        raise InstanceError(
            "trace",
            f"<{trace.num_layers} layers>",
            f"must have token IDs and the {len(table.experts)} layers of the table",
            "take a trace of the same model",
        )
    distinct, which = np.unique(trace.token_ids.astype(np.int64), return_inverse=True)
    if weight is None:
        weight = predictor.weight(trace.token_ids.astype(np.int64), rule)
    evidence = predictor.evidence(distinct, weight)
    shares = []
    for layer, posterior in enumerate(predictor.posterior(distinct, weight)):
        marginal = _smoothed_marginal(table, layer, smoothing)
        everywhere = np.tile(marginal, (distinct.size, 1))
        seen = evidence[layer][:, None] if rule != "marginal" else 0.0
        shares.append((seen * posterior.share + smoothing * everywhere) / (seen + smoothing))
    return cross_entropy(shares, which, trace)


def cross_entropy(shares: Sequence[FloatArray], which: IntArray, trace: RoutingTrace) -> float:
    """Return the mean of ``-log(share)`` of the experts that tokens went to, in nats.

    Parameters
    ----------
    shares
        For each layer ``(distinct tokens, experts)``, above 0.
    which
        Row of each token of the trace, ``(tokens,)``.
    trace
        Where the tokens went.
    """
    total = 0.0
    for layer, share in enumerate(shares):
        total -= float(np.log(share[which[:, None], trace.expert_ids[:, layer]]).mean())
    return total / len(shares)


def _smoothed_marginal(table: CountTable, layer: int, smoothing: float) -> FloatArray:
    rows, experts = table.rows_of(layer), table.experts[layer]
    counts = np.bincount(table.expert[rows], table.count[rows], minlength=experts)
    whole: FloatArray = (counts + smoothing) / (counts.sum() + experts * smoothing)
    return whole
