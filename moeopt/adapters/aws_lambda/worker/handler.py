"""The function: one expert, which computes the tokens of a call.

Handler ``moeopt_worker.handler.handle``. Runs under AWS's runtime interface client in the local
stand; not tried on AWS itself.
"""

from __future__ import annotations

import functools
import importlib
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from .events import checked, tokens_of
from .parameters import read_parameters
from .protocol import (
    BUCKET,
    ENGINE,
    KEEP,
    VERSION,
    WEIGHTS,
    Answer,
    Event,
    Stages,
    Tensor,
    from_bytes,
    to_bytes,
    to_text,
)
from .storage import Storage, connect, wait_for

#: Seconds before the function's time-out at which waiting ends, so that the caller is told what
#: for: a function that is cut off says nothing.
_MARGIN_S = 0.5

#: Modules that compute, by the name in the environment.
_ENGINES = {"numpy": "experts_numpy", "torch": "experts_torch"}

Parameters = Mapping[str, Tensor]
Compute = Callable[[Tensor, Parameters], Tensor]


class Context(Protocol):
    """What of Lambda's context object is used."""

    def get_remaining_time_in_millis(self) -> int:
        """Return what is left until the time-out."""


def handle(event: Any, context: Context) -> Answer:
    """Compute the tokens of a call.

    Parameters
    ----------
    event
        An `Event`.
    context
        Lambda's.

    Raises
    ------
    ValueError
        If the event is none, or the function is not set up for it: to call again is no use.
    StorageError
        If parameters, inputs or outputs could not be had, or inputs were not there in time.
    """
    call = checked(event)
    until_s = time.monotonic() + context.get_remaining_time_in_millis() / 1000.0 - _MARGIN_S
    stages = _no_stages()
    storage = Storage(_client(), _setting(BUCKET))
    parameters = _parameters(storage, stages)
    inner, outer = parameters["up"].shape[0], parameters["down"].shape[1]
    if call["width"] != inner:
        raise ValueError(f"$.width: must be the expert's {inner}, is {call['width']}")
    payload = ""
    if call["design"] == 3:
        payload = to_text(_computed(tokens_of(call), parameters, stages))
    else:
        _through_storage(call, parameters, storage, stages, until_s)
    stages["gets"], stages["puts"] = storage.gets, storage.puts
    return Answer(
        version=VERSION,
        piece=call["piece"],
        tokens=sum(call["minibatches"]),
        width=outer,
        payload=payload,
        stages=stages,
    )


def _through_storage(
    call: Event, parameters: Parameters, storage: Storage, stages: Stages, until_s: float
) -> None:
    """Read, compute and write minibatch by minibatch: outputs of one beside inputs of the next.

    No more than one minibatch's outputs wait to be written, so that memory for them stays small,
    and an error in writing ends the call within one minibatch.
    """
    # Leaving the block waits for the thread: a frozen function must have none under way.
    with ThreadPoolExecutor(1, "uploader") as uploader:
        written: Future[None] | None = None
        rows = zip(call["minibatches"], call["inputs"], call["outputs"], strict=True)
        for tokens, source, target in rows:
            some = _read(storage, source, (tokens, call["width"]), call["wait_s"], until_s, stages)
            outputs = _computed(some, parameters, stages)
            if written is not None:
                written.result()
            written = uploader.submit(_write, storage, target, outputs, stages)
        if written is not None:
            written.result()


def _read(
    storage: Storage, key: str, shape: tuple[int, int], wait_s: float, until_s: float,
    stages: Stages,
) -> Tensor:  # fmt: skip
    """Return a minibatch's inputs, once they are there."""
    began_s = time.monotonic()
    latest_s, why = began_s + wait_s, f"the call waits for {wait_s:.3g} s"
    if until_s < latest_s:
        latest_s, why = until_s, "the function's time-out is near"
    data, seconds = wait_for(storage, key, latest_s, why)
    stages["wait_s"] += time.monotonic() - began_s - seconds
    stages["read_s"].append(seconds)
    stages["read_bytes"].append(len(data))
    tokens = from_bytes(data, shape[1])
    if len(tokens) != shape[0]:
        raise ValueError(f"input {key}: must hold {shape[0]} tokens, holds {len(tokens)}")
    return tokens


def _computed(tokens: Tensor, parameters: Parameters, stages: Stages) -> Tensor:
    """Return a minibatch's outputs."""
    began_s = time.monotonic()
    outputs = _engine(os.environ.get(ENGINE, "numpy"))(tokens, parameters)
    stages["compute_s"].append(time.monotonic() - began_s)
    return outputs


def _write(storage: Storage, key: str, outputs: Tensor, stages: Stages) -> None:
    """Write a minibatch's outputs."""
    data = to_bytes(outputs)
    began_s = time.monotonic()
    storage.put(key, data)
    stages["write_s"].append(time.monotonic() - began_s)
    stages["write_bytes"].append(len(data))


#: The expert that a warm function keeps, if it shall: by key, of which there is one.
_kept: dict[str, Parameters] = {}


def _parameters(storage: Storage, stages: Stages) -> Parameters:
    """Return the expert: kept from a call before, or downloaded."""
    key, keep = _setting(WEIGHTS), os.environ.get(KEEP) == "1"
    if keep and key in _kept:
        return _kept[key]
    began_s = time.monotonic()
    with storage.opened(key) as stream:
        counted = _Counted(stream)
        parameters = read_parameters(counted)
    stages["load_s"] = time.monotonic() - began_s
    stages["load_bytes"] = counted.bytes
    if keep:
        _kept[key] = parameters
    return parameters


class _Counted:
    """A stream that counts what was read of it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.bytes = 0

    def read(self, size: int) -> bytes:
        data: bytes = self._stream.read(size)
        self.bytes += len(data)
        return data


def _no_stages() -> Stages:
    return Stages(
        load_s=0.0, load_bytes=0, wait_s=0.0, read_s=[], read_bytes=[], compute_s=[], write_s=[],
        write_bytes=[], gets=0, puts=0,
    )  # fmt: skip


def _setting(name: str) -> str:
    """Return a variable of the environment that must be there."""
    value = os.environ.get(name, "")
    if not value:
        raise ValueError(f"the environment has no {name}: the function is not set up")
    return value


@functools.cache
def _engine(name: str) -> Compute:
    """Return what computes."""
    if name not in _ENGINES:
        raise ValueError(f"{ENGINE} must be one of {', '.join(_ENGINES)}, is {name!r}")
    compute: Compute = importlib.import_module(f".{_ENGINES[name]}", __package__).compute
    return compute


@functools.cache
def _client() -> Any:
    """Return the client of S3 that all calls of a warm function share."""
    return connect()


if BUCKET in os.environ:
    # In a function: before its first call a whole processor is lent to it, whatever its memory.
    _client()
    _engine(os.environ.get(ENGINE, "numpy"))
