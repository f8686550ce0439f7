"""One recorded text, or many: the experts of every token in every MoE layer."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from moeopt.core.arguments import whole
from moeopt.core.arrays import (
    FloatArray,
    IntArray,
    numbers_of,
    require_finite_nonnegative,
    require_shape,
)
from moeopt.core.errors import InstanceError
from moeopt.describe.loads import total_counts

#: Arrays keep the small types in which traces are stored.
Integers = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.floating[Any]]

#: Most experts of a layer: counts have one entry for each.
MOST_EXPERTS = 10**6


@dataclass(frozen=True, eq=False)
class RoutingTrace:
    """Which experts the tokens of a text went to.

    Attributes
    ----------
    expert_ids
        Experts of each token in each MoE layer, no expert twice, ``(tokens, layers, top_k)``;
        below `MOST_EXPERTS`.
    gate_weights
        Their gate weights, of the same shape, finite and >= 0.
    sequence_lengths
        Tokens of each sequence, in order, ``(sequences,)``.
    token_ids
        Each token's ID in the vocabulary, ``(tokens,)``.
    attention_ids
        Token ID of the token to which the token paid most attention before each MoE layer,
        ``(tokens, layers)``, or ``(tokens,)`` if it is the same in all layers.
    experts
        Experts of each layer; left out, one more than the largest of `expert_ids`.
    """

    expert_ids: Integers
    gate_weights: Floats | None = None
    sequence_lengths: Integers | None = None
    token_ids: Integers | None = None
    attention_ids: Integers | None = None
    experts: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and field.name != "experts":
                object.__setattr__(self, field.name, _sealed(value, field.name))
        if self.experts is not None:
            object.__setattr__(self, "experts", whole("experts", self.experts))
        _check_experts(self.expert_ids, self.experts)
        _check_beside(self)

    @property
    def num_tokens(self) -> int:
        """Number of tokens."""
        return int(self.expert_ids.shape[0])

    @property
    def num_layers(self) -> int:
        """Number of MoE layers."""
        return int(self.expert_ids.shape[1])

    @property
    def top_k(self) -> int:
        """Number of experts of a token."""
        return int(self.expert_ids.shape[2])

    @property
    def num_experts(self) -> int:
        """Number of experts of each layer."""
        if self.experts is not None:
            return self.experts
        return int(self.expert_ids.max()) + 1 if self.expert_ids.size else 1

    def counts(self) -> FloatArray:
        """Return the tokens of each expert, ``(layers, experts)``."""
        return total_counts(self.expert_ids, self.num_experts)

    def sequence_starts(self) -> IntArray:
        """Return the first token of each sequence, ``(sequences,)``; one sequence if unknown."""
        if self.sequence_lengths is None:
            return np.zeros(min(1, self.num_tokens), dtype=np.int64)
        lengths = self.sequence_lengths.astype(np.int64)
        return np.cumsum(lengths) - lengths

    def part(self, begin: int, end: int) -> RoutingTrace:
        """Return the tokens from `begin` to before `end`; sequences are cut where these fall.

        Parameters
        ----------
        begin, end
            Tokens, counted from 0.
        """
        begin, end, _ = slice(begin, end).indices(self.num_tokens)
        cut: dict[str, Any] = {"experts": self.num_experts}
        for name in ("expert_ids", "gate_weights", "token_ids", "attention_ids"):
            array = getattr(self, name)
            cut[name] = None if array is None else array[begin:end]
        if self.sequence_lengths is not None:
            starts = self.sequence_starts()
            ends = np.minimum(starts + self.sequence_lengths, end)
            lengths = ends - np.maximum(starts, begin)
            cut["sequence_lengths"] = lengths[lengths > 0]
        return replace(self, **cut)

    def halves(self) -> tuple[RoutingTrace, RoutingTrace]:
        """Return the earlier and the later half, cut between two sequences where these are known.

        Raises
        ------
        InstanceError
            If there are not two sequences, or not two tokens, to be parted.
        """
        middle = self.num_tokens // 2
        if self.sequence_lengths is not None:
            starts = self.sequence_starts()[1:]
            middle = int(starts[np.argmin(np.abs(starts - middle))]) if starts.size else 0
        if middle == 0:
            raise InstanceError(
                "trace",
                f"<{self.num_tokens} tokens>",
                "must have two sequences, or two tokens, to be parted",
                "take a longer trace, or leave sequence_lengths out",
            )
        return self.part(0, middle), self.part(middle, self.num_tokens)


def _sealed(value: object, name: str) -> npt.NDArray[Any]:
    """Return a view that cannot be written through."""
    array = numbers_of(value, name).view()
    array.flags.writeable = False
    return array


def _check_experts(expert_ids: Integers, experts: int | None) -> None:
    if expert_ids.ndim != 3 or min(expert_ids.shape[1:]) < 1:
        raise InstanceError(
            "expert_ids",
            f"<shape {expert_ids.shape}>",
            "must have shape (tokens, layers, top_k)",
            "add the missing axis",
        )
    _check_ids(expert_ids, "expert_ids")
    most = max(int(expert_ids.max(initial=0)) + 1, experts or 0)
    if most > MOST_EXPERTS:
        raise InstanceError(
            "expert_ids", f"<{most} experts>", f"must be below {MOST_EXPERTS}", "number them from 0"
        )
    if experts is not None and (experts < 1 or (expert_ids.size and expert_ids.max() >= experts)):
        raise InstanceError(
            "experts",
            experts,
            "must be more than the largest of expert_ids",
            "give the experts of a layer, or leave it out",
        )
    ordered = np.sort(expert_ids, axis=2)
    same = (ordered[:, :, 1:] == ordered[:, :, :-1]).any(axis=2)
    if same.any():
        token, layer = np.unravel_index(int(np.argmax(same)), same.shape)
        raise InstanceError(
            f"expert_ids[{token}][{layer}]",
            expert_ids[token, layer].tolist(),
            "must not name an expert twice",
            "drop padded tokens",
        )


def _check_beside(trace: RoutingTrace) -> None:
    tokens, layers, _ = trace.expert_ids.shape
    if trace.gate_weights is not None:
        shape = trace.expert_ids.shape
        require_shape(trace.gate_weights, "gate_weights", shape, "tokens, layers, top_k")
        require_finite_nonnegative(trace.gate_weights, "gate_weights")
    if trace.token_ids is not None:
        require_shape(trace.token_ids, "token_ids", (tokens,), "tokens")
        _check_ids(trace.token_ids, "token_ids")
    if trace.attention_ids is not None:
        flat = trace.attention_ids.ndim == 1
        shape = (tokens,) if flat else (tokens, layers)
        require_shape(trace.attention_ids, "attention_ids", shape, "tokens, layers")
        _check_ids(trace.attention_ids, "attention_ids")
    if trace.sequence_lengths is not None:
        lengths = trace.sequence_lengths
        _check_ids(lengths, "sequence_lengths")
        # A sum of few huge lengths may come round to any number.
        if lengths.ndim != 1 or lengths.max(initial=0) > tokens or int(lengths.sum()) != tokens:
            raise InstanceError(
                "sequence_lengths",
                f"<shape {lengths.shape}, sum {lengths.sum(dtype=np.float64):.0f}>",
                f"must add up to the {tokens} tokens",
                "give the tokens of each sequence",
            )


def _check_ids(array: Integers, name: str) -> None:
    if array.dtype.kind not in "iu" or (array.size and array.min() < 0):
        raise InstanceError(
            name, f"<{array.dtype} array>", "must be whole numbers >= 0", "drop padded tokens"
        )
