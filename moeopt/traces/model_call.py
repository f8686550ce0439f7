"""One call of a model that is recorded: its tokens, and what each layer's router chose."""

from __future__ import annotations

import contextlib
import inspect
import weakref
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from moeopt.core.arrays import IntArray
from moeopt.core.errors import InstanceError
from moeopt.traces.archive import Array, smallest

#: Names of the argument with the tokens: as IDs, ``(sequences, tokens)``, or as vectors.
_IDS, _VECTORS = ("input_ids", "tokens"), ("inputs_embeds", "hidden_states")

#: Names of the argument with the keys and values of calls before.
_PAST = ("past_key_values", "past")


class Choice(NamedTuple):
    """What one layer's router chose, ``(rows, top_k)``."""

    expert_ids: Array
    gate_weights: Array | None


class ModelCall:
    """A call, opened by its arguments and closed when every layer has been called.

    Attributes
    ----------
    kept
        Which rows are no padding, ``(rows,)``.
    sequence
        Sequence of each row, ``(rows,)``.
    layer_names
        Layers in the order in which they were called.
    expert_ids, gate_weights, token_ids
        Of the rows that are kept, ``(tokens, layers, top_k)`` and ``(tokens,)``; set by `close`,
        ``None`` where the call does not tell.

    Parameters
    ----------
    model, args, kwargs
        The call.
    last
        The call before, if any, which this one may go on from.
    """

    def __init__(
        self,
        model: Any,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        last: ModelCall | None,
    ) -> None:
        given = _by_name(model, args, kwargs)
        self.rows, ids = _tokens(given)
        batch, length = self.rows
        self.kept = _unpadded(given.get("attention_mask"), batch, length)
        first = 0 if last is None else int(last.sequence.max(initial=-1)) + 1
        past = _past(given)
        if past is not None and last is not None:
            if last.rows[0] != batch or not last.may_have_returned(past):
                raise InstanceError(
                    "past_key_values",
                    f"<{batch} sequences>" if last.rows[0] != batch else "<those of another>",
                    f"must go on from the {last.rows[0]} of the call before",
                    "finish one batch before the next, and hand on what it returned, not a copy",
                )
            first -= batch
        self.sequence: IntArray = np.repeat(first + np.arange(batch), length)
        self.token_ids = None if ids is None else smallest(ids.reshape(-1)[self.kept])
        self.expert_ids: Array = np.empty((0, 0, 0), dtype=np.int64)
        self.gate_weights: Array | None = None
        self._layers: dict[str, Choice] = {}
        self._past: weakref.ref[Any] | None = None

    def keep_past(self, output: Any) -> None:
        """Keep which keys and values the call returned, if they have a name of their own."""
        past = getattr(output, _PAST[0], None)
        with contextlib.suppress(TypeError):  # tuples cannot be told apart
            self._past = None if past is None else weakref.ref(past)

    def may_have_returned(self, past: Any) -> bool:
        """Tell whether keys and values may be the call's own: where it cannot be told, they are."""
        return self._past is None or self._past() is past

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Layers in the order in which they were called."""
        return tuple(self._layers)

    def add(self, name: str, choice: Choice) -> None:
        """Keep what a layer's router chose.

        Raises
        ------
        InstanceError
            If the layer was called before.
        """
        if name in self._layers:
            raise InstanceError(
                name, "<a second time>", "must be called once in a call", "turn chunking off"
            )
        self._layers[name] = choice

    def close(self, expected: tuple[str, ...]) -> None:
        """Join the layers.

        Parameters
        ----------
        expected
            Layers of the call before; none if there was none.

        Raises
        ------
        InstanceError
            If layers saw different tokens, or are not those of the call before.
        """
        names = self.layer_names
        if not names or (expected and names != expected):
            raise InstanceError(
                "model",
                f"<{len(names)} layers>",
                f"must call its {len(expected) or ''} layers of experts in every call",
                "record a part of the model in which all of them run",
            )
        self._require_alike()
        choices = self._layers.values()
        weights = [choice.gate_weights for choice in choices]
        known = [layer for layer in weights if layer is not None]
        self.expert_ids = smallest(np.stack([c.expert_ids for c in choices], 1)[self.kept])
        if len(known) == len(weights):
            self.gate_weights = np.stack(known, 1)[self.kept]
        # The names stay; what they stand for would be kept twice.
        self._layers = dict.fromkeys(names, Choice(self.expert_ids, None))

    def _require_alike(self) -> None:
        batch, length = self.rows
        (first, choice), *_ = self._layers.items()
        shape = choice.expert_ids.shape
        for name, other in self._layers.items():
            if other.expert_ids.shape != shape:
                raise InstanceError(
                    name,
                    f"<(tokens, top_k) {other.expert_ids.shape}>",
                    f"must see the tokens and the top_k of {first}, {shape}",
                    "record a part of the model in which layers are alike, such as its decoder",
                )
        if len(choice.expert_ids) != batch * length:
            raise InstanceError(
                first,
                f"<{len(choice.expert_ids)} tokens>",
                f"must see the {batch} x {length} tokens of the call",
                "record the part of the model that has these",
            )


def chosen(values: Iterable[Any], name: str) -> Choice:
    """Return the experts and gate weights among what a layer's experts were called with.

    The experts are the first tensor of whole numbers, the weights the first one of fractions after
    it with the same shape.

    Parameters
    ----------
    values
        Arguments; tuples among them are looked into.
    name
        The layer, for errors.

    Raises
    ------
    InstanceError
        If there are no experts among them.
    """
    flat = [one for v in values for one in (v if isinstance(v, tuple) else (v,))]
    tensors = [value for value in flat if hasattr(value, "is_floating_point")]
    for place, tensor in enumerate(tensors):
        if tensor.is_floating_point() or tensor.dim() < 2:
            continue
        ids = _array(tensor).reshape(-1, tensor.shape[-1])
        if ids.dtype.kind not in "iu":
            continue
        beside = [t for t in tensors[place:] if t.is_floating_point() and t.shape == tensor.shape]
        return Choice(ids, _array(beside[0]).reshape(ids.shape) if beside else None)
    raise InstanceError(
        name,
        f"<{len(tensors)} tensors>",
        "must be called with the chosen experts, whole numbers of shape (tokens, top_k)",
        "leave this part of the model out",
    )


def _array(tensor: Any) -> Array:
    """Return a tensor's values; NumPy has no bfloat16."""
    plain = tensor.detach().float() if tensor.is_floating_point() else tensor.detach()
    array: Array = plain.cpu().numpy()
    return array


def _by_name(model: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call by their names; without names they are left out."""
    try:
        signature = inspect.signature(model.forward)
        return {**signature.bind_partial(*args, **kwargs).arguments, **kwargs}
    except (TypeError, ValueError):
        return dict(kwargs)


def _tokens(given: Mapping[str, Any]) -> tuple[tuple[int, int], Array | None]:
    """Return the sequences and tokens of a call, and the tokens' IDs if it has them."""
    for names, axes in ((_IDS, 2), (_VECTORS, 3)):
        for name in names:
            value = given.get(name)
            if value is None:
                continue
            if getattr(value, "ndim", None) != axes:
                raise InstanceError(
                    name,
                    f"<shape {tuple(getattr(value, 'shape', ()))}>",
                    f"must have {axes} axes, sequences and tokens first",
                    "put [None] before one sequence",
                )
            size = (int(value.shape[0]), int(value.shape[1]))
            return size, _array(value) if names is _IDS else None
    raise InstanceError(
        "model",
        f"<called with {', '.join(given) or 'no names'}>",
        f"must be called with one of {', '.join((*_IDS, *_VECTORS))}",
        "give it by name",
    )


def _unpadded(mask: Any, batch: int, length: int) -> npt.NDArray[np.bool_]:
    """Return which rows are no padding: a mask has what came before in front."""
    if mask is None:
        return np.ones(batch * length, dtype=np.bool_)
    shape = tuple(getattr(mask, "shape", ()))
    if len(shape) != 2 or shape[0] != batch or shape[1] < length:
        raise InstanceError(
            "attention_mask",
            f"<shape {shape}>",
            f"must have shape ({batch}, {length}), or columns for earlier tokens in front",
            "give the mask that the tokeniser made, and take no static cache",
        )
    there: npt.NDArray[np.bool_] = _array(mask)[:, shape[1] - length :] != 0
    return there.reshape(-1)


def _past(given: Mapping[str, Any]) -> Any:
    """Return the keys and values of calls before that a call is handed, if there are any."""
    for name in _PAST:
        past = given.get(name)
        if past is not None:
            asked = getattr(past, "get_seq_length", None)
            there = int(asked()) > 0 if asked is not None else len(past) > 0
            return past if there else None
    return None
