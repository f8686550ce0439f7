"""Parameters of experts: read from a file, or made up where only their time and bill matter."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from moeopt.adapters.aws_lambda.worker import experts_numpy
from moeopt.adapters.aws_lambda.worker.parameters import read_parameters, write_parameters
from moeopt.adapters.aws_lambda.worker.protocol import NUMBER, NUMBER_BYTES, Tensor
from moeopt.core.errors import InstanceError
from moeopt.serverless.problem import ServerlessProblem
from moeopt.traces.archive import read_arrays


@dataclass(frozen=True, eq=False)
class Expert:
    """A feed-forward expert, in float32.

    Attributes
    ----------
    up
        Into it, ``(in, hidden)``.
    down
        Out of it, ``(hidden, out)``.
    gate
        ``(in, hidden)``: SwiGLU if it is there, else GELU in its tanh form.

    Raises
    ------
    InstanceError
        If they are no tables of finite numbers, or do not fit each other.
    """

    up: Tensor
    down: Tensor
    gate: Tensor | None = None

    def __post_init__(self) -> None:
        for name, array in self.arrays().items():
            object.__setattr__(self, name, _table(array, name))
        _require_shape(self.down, "down", (self.up.shape[1], None), "rows of up's columns")
        if self.gate is not None:
            _require_shape(self.gate, "gate", self.up.shape, "the shape of up")

    def arrays(self) -> dict[str, Tensor]:
        """Return what is there, by name."""
        named = {"up": self.up, "down": self.down, "gate": self.gate}
        return {name: array for name, array in named.items() if array is not None}

    def compute(self, tokens: Tensor) -> Tensor:
        """Return the outputs ``(tokens, out)`` of inputs ``(tokens, in)``, as a function would."""
        return experts_numpy.compute(np.ascontiguousarray(tokens, dtype=NUMBER), self.arrays())

    def to_npz(self) -> bytes:
        """Return the bytes that a function downloads: the same for the same numbers."""
        return write_parameters(self.arrays())

    @staticmethod
    def from_npz(data: bytes) -> Expert:
        """Return the expert of such bytes.

        Raises
        ------
        ValueError
            If they are none.
        """
        return Expert(**read_parameters(io.BytesIO(data)))


class Weights:
    """The experts of a model, each made or read when it is asked for: a model may be large.

    Parameters
    ----------
    experts
        How many each layer has.
    load
        Returns the expert of a layer.
    """

    def __init__(self, experts: Sequence[int], load: Callable[[int, int], Expert]) -> None:
        self._experts = tuple(experts)
        self._load = load

    @property
    def layers(self) -> int:
        """Number of layers."""
        return len(self._experts)

    def experts(self, layer: int) -> int:
        """Return the number of experts of a layer."""
        return self._experts[layer]

    def expert(self, layer: int, expert: int) -> Expert:
        """Return one expert of a layer, both counted from 0."""
        return self._load(layer, expert)


def random_weights(problem: ServerlessProblem, seed: int = 0) -> Weights:
    """Return experts of a problem's sizes with random numbers: their outputs mean nothing.

    Parameters
    ----------
    problem
        Gives widths, and bytes of parameters: the hidden width is what fits into them.
    seed
        The same seed gives the same experts.
    """

    def load(layer: int, expert: int) -> Expert:
        inner, outer = _widths(problem, layer)
        size = int(problem.parameter_bytes_of(layer)[expert])
        hidden = max(1, size // (NUMBER_BYTES * (inner + outer)))
        random = np.random.default_rng((seed, layer, expert))
        # Of such a size that outputs are about as large as inputs.
        up = random.standard_normal((inner, hidden), dtype=NUMBER) / np.sqrt(inner)
        down = random.standard_normal((hidden, outer), dtype=NUMBER) / np.sqrt(hidden)
        return Expert(up, down)

    return Weights(problem.experts().tolist(), load)


def read_weights(path: str | os.PathLike[str], problem: ServerlessProblem) -> Weights:
    """Return the experts of an ``.npz``; nothing in it is unpickled.

    Parameters
    ----------
    path
        An archive with ``layer0.expert1.up``, ``layer0.expert1.down`` and, where there is one,
        ``layer0.expert1.gate`` for each expert of each layer. It is read again for each expert.
    problem
        Whose experts they must be.

    Raises
    ------
    InstanceError
        If it is no such archive, or an expert is missing or takes other tokens than the problem's.
    """

    def load(layer: int, expert: int) -> Expert:
        start = f"layer{layer}.expert{expert}."
        needed = (f"{start}up", f"{start}down")
        arrays = read_arrays(path, needed, (f"{start}gate",))
        try:
            found = Expert(**{name.removeprefix(start): array for name, array in arrays.items()})
            inner, outer = _widths(problem, layer)
            _require_shape(found.up, "up", (inner, None), "numbers of the problem's input tokens")
            _require_shape(found.down, "down", (None, outer), "as many as of its output tokens")
        except InstanceError as error:
            raise error.under(f"{os.fspath(path)}: {start}") from None
        return found

    weights = Weights(problem.experts().tolist(), load)
    for layer in range(weights.layers):
        for expert in range(weights.experts(layer)):
            load(layer, expert)
    return weights


def _widths(problem: ServerlessProblem, layer: int) -> tuple[int, int]:
    """Return the numbers of an input token and of an output token; `Fleet` wants them whole."""
    expert = problem.expert_of(layer)
    both = (expert.input_bytes_per_token, expert.output_bytes_per_token)
    return max(1, int(both[0]) // NUMBER_BYTES), max(1, int(both[1]) // NUMBER_BYTES)


def _table(array: npt.NDArray[Any], name: str) -> Tensor:
    """Return an array as a table of float32 that nobody writes to."""
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iuf" or array.ndim != 2:
        shown = f"<{array.dtype} {array.shape}>" if isinstance(array, np.ndarray) else array
        raise InstanceError(name, shown, "must be a table of numbers", "give a two-axis array")
    if 0 in array.shape:
        raise InstanceError(name, f"<shape {array.shape}>", "must not be empty", "correct it")
    with np.errstate(over="ignore"):
        own = np.array(array, dtype=NUMBER, order="C")
    if not np.isfinite(own).all():
        raise InstanceError(name, "<nan or inf>", "must be finite in float32", "correct it")
    own.flags.writeable = False
    return own


def _require_shape(array: Tensor, name: str, shape: tuple[int | None, ...], meaning: str) -> None:
    """Raise `InstanceError` unless an array has a shape; ``None`` stands for any number."""
    if any(want not in (None, there) for want, there in zip(shape, array.shape, strict=True)):
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        rule = f"must have shape ({wanted}): {meaning}"
        raise InstanceError(name, f"<shape {array.shape}>", rule, "give the parameters of it")
