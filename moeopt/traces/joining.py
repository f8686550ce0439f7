"""What readers share: names of files, padding that is left out, parts that become one trace."""

from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from moeopt.core.arrays import IntArray
from moeopt.core.errors import InstanceError
from moeopt.traces.trace import Integers

#: One file, or several that belong together.
Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]

#: Stands where a token was not routed.
PAD = -1


def names_of(paths: Paths) -> list[str]:
    """Return the names of one file or of several.

    Raises
    ------
    InstanceError
        If there is none.
    """
    if isinstance(paths, str | os.PathLike):
        return [os.fspath(paths)]
    names = [os.fspath(path) for path in paths]
    if not names:
        raise InstanceError("paths", names, "must name a file", "is the folder empty?")
    return names


def routed(expert_ids: Integers, path: str) -> tuple[Integers, npt.NDArray[np.bool_]]:
    """Return the experts without padding, and which tokens are left.

    Layers, tokens and places that are `PAD` throughout are left out: dense layers, padded tokens,
    and what a format's width has beyond the model's experts per token.

    Parameters
    ----------
    expert_ids
        Shape ``(tokens, layers, top_k)``.
    path
        Where they stand, for errors.

    Raises
    ------
    InstanceError
        If they are no such array, no token is left, or one has fewer experts than another.
    """
    _check_shape(expert_ids, path)
    there = expert_ids != PAD
    # Tokens first, of which there are far more than layers and places.
    somewhere = there.any(axis=0)
    tokens, layers, places = there.any(axis=(1, 2)), somewhere.any(axis=1), somewhere.any(axis=0)
    if not tokens.any():
        raise InstanceError(
            path,
            f"<{len(expert_ids)} tokens, all of them padding>",
            "must hold routed tokens",
            "record while requests are served",
        )
    kept = expert_ids if tokens.all() else expert_ids[tokens]
    if not (layers.all() and places.all()):
        kept = kept[:, layers][:, :, places]
    short = (kept == PAD).any(axis=2)
    if short.any():
        token, layer = np.unravel_index(int(np.argmax(short)), short.shape)
        where = f"[{np.flatnonzero(tokens)[token]}][{np.flatnonzero(layers)[layer]}]"
        raise InstanceError(
            path + where,
            kept[token, layer].tolist(),
            f"must name {kept.shape[2]} experts, as other tokens or layers do",
            "leave out layers with fewer, or tokens that were not routed",
        )
    return kept, tokens


def lengths_of(sequence: IntArray) -> IntArray:
    """Return the tokens of each sequence, given the sequence of each token, ascending."""
    counts = np.bincount(sequence) if sequence.size else np.zeros(0, dtype=np.int64)
    return counts[counts > 0].astype(np.int64)


def _check_shape(expert_ids: Integers, path: str) -> None:
    if expert_ids.ndim != 3 or expert_ids.dtype.kind not in "iu":
        raise InstanceError(
            path,
            f"<{expert_ids.dtype} array of shape {expert_ids.shape}>",
            "must be whole numbers of shape (tokens, layers, top_k)",
            "one request is one array",
        )
    if expert_ids.size and int(expert_ids.min()) < PAD:
        raise InstanceError(
            path, int(expert_ids.min()), "must be experts, or -1 for padding", "correct the entry"
        )
