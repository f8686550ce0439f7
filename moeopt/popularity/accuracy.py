"""How far a prediction was off: in tokens of each expert, and in what it said of each token."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from moeopt.core.arguments import number
from moeopt.core.arrays import FloatArray, IntArray, numbers_of
from moeopt.core.errors import InstanceError
from moeopt.popularity.checks import batch_of
from moeopt.popularity.prediction import CountTable, Rule, check_rule
from moeopt.popularity.predictors import Predictor
from moeopt.traces.trace import RoutingTrace


def mean_difference(real: Sequence[FloatArray], predicted: Sequence[FloatArray]) -> float:
    """Return the mean of ``|real - predicted|`` over the experts of all layers, in tokens.

    It is the measure of arXiv 2501.05313, Fig. 10.

    Parameters
    ----------
    real, predicted
        Tokens of each expert, for each layer ``(experts,)``.

    Raises
    ------
    InstanceError
        If they do not have the same layers and experts, or none.
    """
    one, other = ([numbers_of(layer, "tokens") for layer in side] for side in (real, predicted))
    shapes, expected = ([layer.shape for layer in side] for side in (other, one))
    if shapes != expected or not all(len(shape) == 1 for shape in shapes) or not sum(shapes, ()):
        raise InstanceError(
            "predicted",
            f"<shapes {shapes}>",
            f"must have the shapes of real, {expected}, one (experts,) for each layer",
            "compare tokens of one model",
        )
    apart = [np.abs(a - b) for a, b in zip(one, other, strict=True)]
    return float(np.concatenate(apart).mean())


def log_loss(
    predictor: Predictor,
    trace: RoutingTrace,
    rule: Rule = "bayes_mended",
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
        Of each attention ID, instead of the rule's own, as for `Predictor.posterior`.

    Raises
    ------
    InstanceError
        If the trace has no tokens, no token IDs, or other layers or more experts than the table,
        there is no such rule, or `smoothing` is not finite and above 0.
    """
    check_rule(rule)
    if not 0 < number("smoothing", smoothing) < np.inf:
        raise InstanceError("smoothing", smoothing, "must be finite and above 0", "1 is usual")
    table = predictor.table
    batch = _batch_of_model(trace, table)
    distinct, which = np.unique(batch, return_inverse=True)
    if weight is None:
        weight = predictor.weight(batch, rule)
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


def _batch_of_model(trace: RoutingTrace, table: CountTable) -> IntArray:
    """Return the token IDs of a trace, whose model must be the table's."""
    if trace.token_ids is None or trace.num_layers != len(table.experts) or not trace.num_tokens:
        raise InstanceError(
            "trace",
            f"<{trace.num_tokens} tokens, {trace.num_layers} layers>",
            f"must have tokens, token IDs and the {len(table.experts)} layers of the table",
            "take a trace of the same model",
        )
    beyond = trace.expert_ids.max(axis=(0, 2)) >= np.array(table.experts)
    if beyond.any() or trace.num_experts > max(table.experts):
        raise InstanceError(
            "trace",
            f"<{trace.num_experts} experts>",
            f"must have the experts of the table, {table.experts}",
            "take a trace of the same model",
        )
    return batch_of(trace.token_ids)


def _smoothed_marginal(table: CountTable, layer: int, smoothing: float) -> FloatArray:
    rows, experts = table.rows_of(layer), table.experts[layer]
    counts = np.bincount(table.expert[rows], table.count[rows], minlength=experts)
    whole: FloatArray = (counts + smoothing) / (counts.sum() + experts * smoothing)
    return whole
