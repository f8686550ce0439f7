"""A layer computed here, expert by expert: what every run of functions is compared with."""

from __future__ import annotations

import numpy as np

from moeopt.adapters.aws_lambda.weights import Weights
from moeopt.adapters.aws_lambda.worker.protocol import NUMBER, Tensor
from moeopt.core.arrays import IntArray


def reference(
    weights: Weights, layer: int, tokens: Tensor, expert_ids: IntArray, gate_weights: Tensor
) -> Tensor:
    """Return the weighted sum of each token's experts, ``(tokens, output width)``.

    By the definition: nothing is sorted, shared or sent. A choice of weight 0 is none.

    Parameters
    ----------
    weights
        Parameters of all experts.
    layer
        Which.
    tokens, expert_ids, gate_weights
        As `moeopt.adapters.aws_lambda.gate.Gate.layer` takes them.
    """
    outputs = np.zeros((len(tokens), weights.expert(layer, 0).down.shape[1]), dtype=NUMBER)
    for expert in np.unique(expert_ids).tolist():
        own = weights.expert(layer, expert)
        # One choice after the other: a token may have chosen this expert twice.
        for choice in range(expert_ids.shape[1]):
            weight = gate_weights[:, choice]
            here = np.flatnonzero((expert_ids[:, choice] == expert) & (weight != 0))
            with np.errstate(over="ignore", invalid="ignore"):
                outputs[here] += weight[here, None] * own.compute(tokens[here])
    return outputs
