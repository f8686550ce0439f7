"""Traces as ``.npz``: the names of `RoutingTrace`'s arrays, all but the experts optional."""

from __future__ import annotations

import os
from dataclasses import fields
from typing import Any

import numpy as np

from moeopt.core.errors import InstanceError
from moeopt.traces.archive import read_arrays, write_arrays
from moeopt.traces.trace import RoutingTrace

_REQUIRED = "expert_ids"


def read_trace(path: str | os.PathLike[str]) -> RoutingTrace:
    """Return the trace of an ``.npz``.

    Parameters
    ----------
    path
        An archive with ``expert_ids`` ``(tokens, layers, top_k)`` and any of ``gate_weights``,
        ``sequence_lengths``, ``token_ids``, ``attention_ids`` and the number ``experts``, shaped
        as `RoutingTrace` has them; other arrays are left unread.

    Raises
    ------
    InstanceError
        If it is no such archive, or its arrays contradict each other.
    """
    names = [field.name for field in fields(RoutingTrace)]
    optional = tuple(name for name in names if name != _REQUIRED)
    arrays: dict[str, Any] = read_arrays(path, (_REQUIRED,), optional)
    if "experts" in arrays:
        arrays["experts"] = arrays["experts"][()]
    try:
        return RoutingTrace(**arrays)
    except InstanceError as error:
        raise error.under(f"{os.fspath(path)}: ") from None


def write_trace(path: str | os.PathLike[str], trace: RoutingTrace) -> None:
    """Write a trace so that `read_trace` reads it, integers in the smallest type.

    Parameters
    ----------
    path
        Where to.
    trace
        What to write.
    """
    arrays = {field.name: getattr(trace, field.name) for field in fields(trace)}
    write_arrays(path, {k: np.asarray(array) for k, array in arrays.items() if array is not None})
