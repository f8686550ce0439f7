"""What makes a time as long as it is: a chain of steps, each with its slowest device."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Literal

from moeopt.core.arrays import FloatArray
from moeopt.core.errors import InstanceError

Phase = Literal["gate", "dispatch", "compute", "combine", "aggregation"]
Direction = Literal["sends", "receives"]


@dataclass(frozen=True)
class Step:
    """One stretch of the chain that makes a time as long as it is.

    Attributes
    ----------
    phase
        ``"gate"``, ``"dispatch"``, ``"compute"``, ``"combine"`` or ``"aggregation"``.
    models
        Whose. An all-to-all that waited for others in the network names them too, first to last.
    device
        The device that takes longest; ``None`` if only the phases' maxima are known.
    direction
        What that device's port does all the while; ``None`` for a phase of computation.
    start_s, end_s
        When.
    share
        Of the whole time, 0 to 1.
    """

    phase: Phase
    models: tuple[int, ...]
    device: int | None
    direction: Direction | None
    start_s: float
    end_s: float
    share: float

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return self.end_s - self.start_s


def point(values: FloatArray, index: tuple[int, ...]) -> float:
    """Return one of the times in `values`.

    Raises
    ------
    InstanceError
        If there is not one index for each axis, or it lies outside.
    """
    if len(index) == values.ndim:
        with contextlib.suppress(IndexError):
            return float(values[index])
    raise InstanceError(
        "index",
        index,
        f"must name one of the times, whose shape is {values.shape}",
        "give one index for each leading axis",
    )
