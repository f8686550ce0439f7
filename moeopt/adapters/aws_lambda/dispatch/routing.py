"""Which tokens go to which expert, and what comes back to them: a layer's choices as rows.

A row is a token at an expert. Rows lie expert by expert, in each by token, so that what goes to a
function is a slice of them. A choice of weight 0 is none: nothing is sent for it. An expert chosen
twice by a token computes it once, with both weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from moeopt.adapters.aws_lambda.worker.protocol import NUMBER, Tensor
from moeopt.core.arrays import IntArray, require_shape
from moeopt.core.errors import InstanceError


@dataclass(frozen=True)
class Routing:
    """The rows of a layer's batch.

    Attributes
    ----------
    tokens
        Of the batch, those without an expert among them.
    token
        Whose each row is, ``(rows,)``.
    weight
        That its output is multiplied by, ``(rows,)``.
    starts
        Where each expert's rows begin, and where the last's end, ``(experts + 1,)``.
    """

    tokens: int
    token: IntArray
    weight: Tensor
    starts: IntArray

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.token)

    @property
    def counts(self) -> IntArray:
        """Tokens of each expert, ``(experts,)``."""
        return np.diff(self.starts)


def route(
    tokens: object, expert_ids: object, weights: object, *, width: int, experts: int
) -> tuple[Tensor, Routing]:
    """Return the tokens as an array, and their rows.

    What the numbers are is not looked at: NaN and infinities go through experts as they are.

    Parameters
    ----------
    tokens
        Of the batch, float32, ``(tokens, width)``.
    expert_ids
        Experts of each token, integers, ``(tokens, choices)``.
    weights
        Of each choice, float32, ``(tokens, choices)``.
    width
        Numbers of an input token.
    experts
        Of the layer.

    Raises
    ------
    InstanceError
        If a shape or a type is another, or an expert is none of the layer's.
    """
    inputs = _array(tokens, "tokens", "f", "float32")
    require_shape(inputs, "tokens", (*inputs.shape[:1], width), "tokens, width")
    chosen = _array(expert_ids, "expert_ids", "iu", "integers")
    choices = chosen.shape[1] if chosen.ndim == 2 else 0
    shape = (len(inputs), choices)
    require_shape(chosen, "expert_ids", shape, "tokens, choices")
    shares = _array(weights, "weights", "f", "float32")
    require_shape(shares, "weights", shape, "tokens, choices")
    _require_experts(chosen, experts)
    return inputs, _rows(chosen, shares, experts)


def combine(routing: Routing, answers: Tensor) -> Tensor:
    """Return each token's weighted sum of its rows' outputs, ``(tokens, width)``.

    Experts are added in their order, whichever answered first: the same batch has the same sum.

    Parameters
    ----------
    routing
        The rows.
    answers
        Outputs of experts, ``(rows, width)``.
    """
    outputs = np.zeros((routing.tokens, answers.shape[1]), dtype=NUMBER)
    # What is not finite passes without a word.
    with np.errstate(over="ignore", invalid="ignore"):
        for first, end in zip(routing.starts[:-1], routing.starts[1:], strict=True):
            weighted = answers[first:end] * routing.weight[first:end, None]
            # A token has one row at an expert: no index comes twice.
            outputs[routing.token[first:end]] += weighted
    return outputs


def routed(counts: npt.ArrayLike, width: int, seed: int = 0) -> tuple[Tensor, IntArray, Tensor]:
    """Return random tokens, each with one expert, of which each expert gets as many as stated.

    Parameters
    ----------
    counts
        Tokens of each expert, ``(experts,)``.
    width
        Numbers of a token.
    seed
        Of the numbers, the weights, and the order of tokens.

    Returns
    -------
    tokens, expert_ids, weights
        ``(tokens, width)``, and twice ``(tokens, 1)``.

    Raises
    ------
    InstanceError
        If counts are not whole numbers, or negative.
    """
    wanted = np.asarray(counts, dtype=np.float64)
    if wanted.ndim != 1 or not (np.isfinite(wanted) & (wanted >= 0)).all():
        rule = "must be a number >= 0 for each expert"
        raise InstanceError("counts", wanted.tolist(), rule, "give whole tokens")
    if (wanted != np.floor(wanted)).any():
        raise InstanceError("counts", wanted.tolist(), "must be whole numbers", "round them")
    rng = np.random.default_rng(seed)
    experts = np.repeat(np.arange(len(wanted)), wanted.astype(np.int64))
    expert_ids = rng.permutation(experts)[:, None]
    tokens = rng.standard_normal((len(experts), width), dtype=np.float32)
    # In (0, 1]: a weight of 0 would be no choice.
    weights = np.float32(1.0) - rng.random((len(experts), 1), dtype=np.float32)
    return tokens, expert_ids, weights


def _array(value: object, name: str, kinds: str, wanted: str) -> npt.NDArray[Any]:
    """Return an array of the wanted type; what is one already is not copied."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        array = np.empty(0, dtype=object)
    fine = array.dtype.kind in kinds and (kinds != "f" or array.dtype == NUMBER)
    if not fine:
        raise InstanceError(
            name, f"<{array.dtype} array>", f"must be an array of {wanted}", "convert it"
        )
    return array


def _require_experts(chosen: npt.NDArray[Any], experts: int) -> None:
    strange = (chosen < 0) | (chosen >= experts)
    if strange.any():
        token, choice = np.argwhere(strange)[0].tolist()
        raise InstanceError(
            f"expert_ids[{token}][{choice}]",
            chosen[token, choice].item(),
            f"must be one of the layer's experts, 0 to {experts - 1}",
            "give a choice that is none the weight 0 and any expert",
        )


def _rows(chosen: npt.NDArray[Any], shares: npt.NDArray[Any], experts: int) -> Routing:
    tokens = len(chosen)
    token, choice = np.nonzero(shares)
    # Sorted by expert and token; equal keys are an expert chosen twice by a token.
    key = chosen[token, choice].astype(np.int64) * tokens + token
    order = np.argsort(key, kind="stable")
    key, first = np.unique(key[order], return_index=True)
    weight = shares[token, choice][order].astype(NUMBER)
    if len(first) < len(weight):
        weight = np.add.reduceat(weight, first)
    starts = np.searchsorted(key, np.arange(experts + 1, dtype=np.int64) * tokens)
    return Routing(
        tokens=tokens,
        token=key % max(1, tokens),
        weight=weight,
        starts=starts.astype(np.int64),
    )
