"""Arrays of routed experts that vLLM and SGLang return with a request."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from moeopt.core.arrays import numbers_of
from moeopt.core.errors import InstanceError
from moeopt.traces.archive import read_array, read_every_array
from moeopt.traces.joining import PAD, Paths, lengths_of, names_of, routed
from moeopt.traces.trace import Integers, RoutingTrace


def read_routed_experts(paths: Paths, *, experts: int | None = None) -> RoutingTrace:
    """Return the trace of requests whose routed experts were saved by NumPy.

    Parameters
    ----------
    paths
        ``.npy``, each the array of one request, or ``.npz``, each array that of one request;
        requests in the order in which they stand.
    experts
        As in `trace_of_requests`.

    Raises
    ------
    InstanceError
        If a file is no such file, or requests contradict each other.
    """
    names = names_of(paths)
    arrays: dict[str, Any] = {}
    for name in names:
        if os.path.splitext(name)[1].lower() == ".npz":
            for key, array in read_every_array(name).items():
                arrays[f"{name}: {key}"] = array
        else:
            arrays[name] = read_array(name)
    return _joined(arrays, experts)


def trace_of_requests(requests: Iterable[Any], *, experts: int | None = None) -> RoutingTrace:
    """Return the trace of requests, each an array of its own, each one sequence.

    Layers that no request was routed in are left out: engines number all layers, and those
    without experts have -1 or one expert in all places. So are tokens of which all places are -1.

    Parameters
    ----------
    requests
        Experts of each request's tokens, ``(tokens, layers, top_k)``: ``routed_experts`` of vLLM's
        ``CompletionOutput``, or of SGLang's ``meta_info`` once it is decoded and reshaped.
    experts
        Experts of each layer; left out, one more than the largest.

    Raises
    ------
    InstanceError
        If an array has not that shape, or requests contradict each other.
    """
    named = {f"requests[{number}]": array for number, array in enumerate(requests)}
    return _joined(named, experts)


def _joined(given: dict[str, Any], experts: int | None) -> RoutingTrace:
    arrays = [_checked(array, name) for name, array in given.items()]
    if not arrays:
        raise InstanceError("requests", [], "must hold an array", "give one for each request")
    shape = arrays[0].shape[1:]
    for name, array in zip(given, arrays, strict=True):
        if array.shape[1:] != shape:
            raise InstanceError(
                name,
                f"<shape {array.shape}>",
                f"must have the (layers, top_k) = {shape} of the first request",
                "give requests of one model",
            )
    # Of the files' own small type, if it can hold the padding: a trace is large.
    given_type = np.result_type(*(array.dtype for array in arrays))
    signed = np.promote_types(given_type, np.int8)
    whole = np.concatenate(
        arrays, dtype=signed if signed.kind == "i" else np.int64, casting="unsafe"
    )
    if shape[1] > 1:
        # A router takes no expert twice: one in all places of all tokens is a buffer's filling.
        whole[:, (whole == whole[:, :, :1]).all(axis=0).all(axis=1)] = PAD
    name = next(iter(given))
    expert_ids, kept = routed(whole, name)
    sequence = np.repeat(np.arange(len(arrays)), [len(array) for array in arrays])
    try:
        return RoutingTrace(
            expert_ids, sequence_lengths=lengths_of(sequence[kept]), experts=experts
        )
    except InstanceError as error:
        raise error.under(f"{name}: ") from None


def _checked(given: Any, name: str) -> Integers:
    array = numbers_of(given, name)
    if array.ndim != 3 or array.dtype.kind not in "iu":
        raise InstanceError(
            name,
            f"<{array.dtype} array of shape {array.shape}>",
            "must be whole numbers of shape (tokens, layers, top_k)",
            "reshape it: one array is one request",
        )
    return array
