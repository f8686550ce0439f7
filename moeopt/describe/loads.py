"""Loads from recorded routing: which experts each token went to, counted as the wings need it.

Routing is an integer array `expert_ids` of shape ``(tokens, layers, top_k)``: the experts that each
token was sent to in each MoE layer, in the order in which the tokens came.
"""

from __future__ import annotations

import itertools
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import InstanceError

#: Tokens of which a row of a number for each expert or device is held at once.
TOKENS_AT_ONCE = 2**14

#: How sequences are dealt to source devices.
Dealing = Literal["contiguous", "round_robin"]

Routing = npt.NDArray[np.integer[Any]]


def window_counts(
    expert_ids: Routing, experts: int, window_tokens: int, *, keep_short: bool = False
) -> FloatArray:
    """Return the tokens of each expert in consecutive windows, ``(windows, layers, experts)``.

    Parameters
    ----------
    expert_ids
        Shape ``(tokens, layers, top_k)``.
    experts
        Experts of each layer.
    window_tokens
        Tokens of a window.
    keep_short
        Whether the tokens left over at the end make a last, shorter window.
    """
    _check_routing(expert_ids, experts)
    if window_tokens < 1:
        raise InstanceError("window_tokens", window_tokens, "must be >= 1", "256 is usual")
    tokens = len(expert_ids)
    windows = -(-tokens // window_tokens) if keep_short else tokens // window_tokens
    if windows == 0:
        raise InstanceError(
            "window_tokens",
            window_tokens,
            f"must be at most the {tokens} tokens, or keep_short be set",
            "take shorter windows",
        )
    used = expert_ids[: windows * window_tokens]
    return _counts_by(np.arange(len(used)) // window_tokens, windows, used, experts)


def total_counts(expert_ids: Routing, experts: int) -> FloatArray:
    """Return the tokens of each expert over the whole trace, shape ``(layers, experts)``."""
    counts = np.zeros((expert_ids.shape[1] if expert_ids.ndim == 3 else 0, experts))
    # In parts: places take eight times the room of experts, and new room takes longest of all.
    for begin in range(0, max(1, len(expert_ids)), TOKENS_AT_ONCE):
        part = expert_ids[begin : begin + TOKENS_AT_ONCE]
        counts = counts + window_counts(part, experts, max(1, len(part)))[0]
    return counts


def coactivation_counts(expert_ids: Routing, experts: int) -> FloatArray:
    """Return the tokens that went to both of two experts, shape ``(layers, experts, experts)``.

    The diagonal holds the tokens of each expert.
    """
    _check_routing(expert_ids, experts)
    tokens, layers, _ = expert_ids.shape
    both = np.zeros((layers, experts, experts))
    for begin, layer in itertools.product(range(0, tokens, TOKENS_AT_ONCE), range(layers)):
        ids = expert_ids[begin : begin + TOKENS_AT_ONCE, layer]
        chosen = np.zeros((len(ids), experts))
        chosen[np.arange(len(ids))[:, None], ids] = 1.0
        both[layer] += chosen.T @ chosen
    return both


def source_devices(
    sequence_lengths: Routing, devices: int, dealing: Dealing = "contiguous"
) -> IntArray:
    """Return the device that each token starts from, shape ``(tokens,)``.

    Parameters
    ----------
    sequence_lengths
        Tokens of each sequence, in order; a sequence stays on one device.
    devices
        Devices that hold sequences.
    dealing
        ``"contiguous"`` gives each device a run of equally many sequences, ``"round_robin"`` deals
        them one by one.
    """
    number = np.arange(len(sequence_lengths))
    if dealing == "round_robin":
        device = number % devices
    else:
        device = number * devices // max(1, len(number))
    return np.repeat(device, sequence_lengths)


def source_tokens(
    expert_ids: Routing, source_device: IntArray, experts: int, devices: int
) -> FloatArray:
    """Return the tokens each device sends to each expert, shape ``(devices, layers, experts)``.

    Parameters
    ----------
    expert_ids
        Shape ``(tokens, layers, top_k)``.
    source_device
        Device of each token, as `source_devices` gives it.
    experts, devices
        Sizes of the result.
    """
    _check_routing(expert_ids, experts)
    if source_device.shape != expert_ids.shape[:1]:
        raise InstanceError(
            "source_device",
            f"<shape {source_device.shape}>",
            f"must give one device to each of the {len(expert_ids)} tokens",
            "take the sequence lengths of the same trace",
        )
    return _counts_by(source_device, devices, expert_ids, experts)


def halves(windows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Split windows in time: the first half to fit a plan on, the second to score it on.

    Of an odd number the first half is the smaller one.
    """
    if len(windows) < 2:
        raise InstanceError(
            "windows", len(windows), "must be at least 2, one to fit and one to score", "shorten it"
        )
    middle = len(windows) // 2
    return windows[:middle], windows[middle:]


def _counts_by(part: IntArray, parts: int, expert_ids: Routing, experts: int) -> FloatArray:
    """Count ``(part, layer, expert)`` triples, where `part` is given for each token."""
    counts = np.empty((parts, expert_ids.shape[1], experts))
    row = (part * experts)[:, None]
    # Layer by layer: a trace keeps its experts in a byte or two, their places need eight.
    for layer in range(expert_ids.shape[1]):
        places = (row + expert_ids[:, layer]).ravel()
        counts[:, layer] = np.bincount(places, minlength=parts * experts).reshape(parts, experts)
    return counts


def _check_routing(expert_ids: Routing, experts: int) -> None:
    if expert_ids.ndim != 3:
        raise InstanceError(
            "expert_ids",
            f"<shape {expert_ids.shape}>",
            "must have shape (tokens, layers, top_k)",
            "add the missing axis",
        )
    if expert_ids.size and not 0 <= expert_ids.min() <= expert_ids.max() < experts:
        raise InstanceError(
            "expert_ids",
            f"<experts {expert_ids.min()} to {expert_ids.max()}>",
            f"must be 0 to {experts - 1}",
            "drop padded tokens, or correct the number of experts",
        )
