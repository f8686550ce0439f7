"""A layer computed here, expert by expert: what every run of functions is compared with."""

from __future__ import annotations

import numpy as np

from moeopt.adapters.aws_lambda.weights import Weights
from moeopt.adapters.aws_lambda.worker.protocol import NUMBER, Tensor
from moeopt.core.arrays import IntArray
from moeopt.core.errors import AdapterError

#: Largest difference that is rounding, as a part of the largest output.
TOLERANCE = 1e-5


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


def require_alike(what: str, outputs: Tensor, truth: Tensor) -> float:
    """Return the largest difference from the reference, as a part of its largest output.

    Parameters
    ----------
    what
        Whose outputs: begins the sentence.
    outputs, truth
        What came, and `reference`'s.

    Raises
    ------
    AdapterError
        If it is more than rounding.
    """
    largest = float(np.abs(truth).max(initial=0.0))
    difference = float(np.abs(outputs - truth).max(initial=0.0))
    if largest > 0:
        difference /= largest
    # Written so that nan is wrong.
    if not difference <= TOLERANCE:
        raise AdapterError(
            f"{what}: outputs differ from the reference's by {difference:.3g} of the largest, more"
            f" than {TOLERANCE:g}; was it deployed with other weights, or another seed?"
        )
    return difference
