"""What a call carries to a function and back: JSON, in which tensors travel as base64.

Both sides read this module, which needs NumPy only. Tensors are little-endian float32, row by row.
"""

from __future__ import annotations

import base64
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

#: Version of the events: a function refuses others.
VERSION = 1

#: Bytes of a number of a tensor, and its type.
NUMBER_BYTES = 4
NUMBER = np.dtype("<f4")

#: Variables of a function's environment: where objects are, which of them holds its expert,
#: whether a warm function keeps it (``"1"``), and what computes (``"numpy"`` or ``"torch"``).
BUCKET, WEIGHTS, KEEP, ENGINE = "MOEOPT_BUCKET", "MOEOPT_WEIGHTS", "MOEOPT_KEEP", "MOEOPT_ENGINE"

#: Seconds between the first two requests for an input that is not there yet, what each later
#: pause is longer by, and the longest one. A pause grows with what was waited for already, so
#: that the last one is a small part of the whole; each request costs as much as 0.2 s of a
#: function of 128 MB.
FIRST_PAUSE_S, LONGER, LONGEST_PAUSE_S = 0.002, 1.5, 0.5

Tensor = npt.NDArray[np.float32]


class Event(TypedDict):
    """A call: one replica's tokens of one batch, or a part of them.

    Attributes
    ----------
    version
        `VERSION`.
    piece
        Names this work: the same piece called again does the same, and writes the same objects.
    design
        1, 2 or 3: pipelined through storage, through storage, in the call.
    width
        Numbers of an input token.
    minibatches
        Tokens of each minibatch, in order; one entry unless the design is 1.
    inputs
        Keys of the objects that hold the minibatches' inputs; empty if the design is 3.
    payload
        The inputs themselves, base64, if the design is 3, else empty.
    outputs
        Keys of the objects to write, one for each minibatch; empty if the design is 3.
    wait_s
        How long to wait for an input that is not there yet, before the call fails.
    """

    version: int
    piece: str
    design: int
    width: int
    minibatches: list[int]
    inputs: list[str]
    payload: str
    outputs: list[str]
    wait_s: float


class Stages(TypedDict):
    """What the function's own clock says of a call.

    Attributes
    ----------
    load_s, load_bytes
        Download of the parameters; both 0 if they were kept.
    wait_s
        Waiting for inputs that were not there yet, beyond what reading them took.
    read_s, read_bytes
        Of each minibatch's inputs; empty if they came with the call.
    compute_s
        Of each minibatch.
    write_s, write_bytes
        Of each minibatch's outputs; empty if they go with the answer.
    gets, puts
        Requests to storage, those for inputs that were not there yet among them.
    """

    load_s: float
    load_bytes: int
    wait_s: float
    read_s: list[float]
    read_bytes: list[int]
    compute_s: list[float]
    write_s: list[float]
    write_bytes: list[int]
    gets: int
    puts: int


class Answer(TypedDict):
    """What a call returns.

    Attributes
    ----------
    version, piece
        The event's.
    tokens
        How many were computed.
    width
        Numbers of an output token.
    payload
        The outputs, base64, if the design is 3, else empty.
    stages
        Where the seconds went.
    """

    version: int
    piece: str
    tokens: int
    width: int
    payload: str
    stages: Stages


def to_bytes(tensor: npt.NDArray[Any]) -> bytes:
    """Return a tensor's numbers, row by row."""
    return np.ascontiguousarray(tensor, dtype=NUMBER).tobytes()


def from_bytes(data: bytes, width: int) -> Tensor:
    """Return the tensor of these bytes, ``(tokens, width)``.

    Raises
    ------
    ValueError
        If they are not whole rows.
    """
    if len(data) % (NUMBER_BYTES * width):
        raise ValueError(f"{len(data)} bytes are no whole tokens of {width} numbers")
    return np.frombuffer(data, dtype=NUMBER).reshape(-1, width)


def to_text(tensor: npt.NDArray[Any]) -> str:
    """Return a tensor as it travels in JSON."""
    return base64.b64encode(to_bytes(tensor)).decode("ascii")


def from_text(text: str, width: int) -> Tensor:
    """Return the tensor of such a text, ``(tokens, width)``.

    Raises
    ------
    ValueError
        If it is no base64, or not whole rows.
    """
    return from_bytes(base64.b64decode(text, validate=True), width)


def text_bytes(tensor_bytes: int) -> int:
    """Return the characters that so many bytes take as base64."""
    return -(-tensor_bytes // 3) * 4
