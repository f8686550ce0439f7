"""Memory that passes of layers use again, instead of asking for it every time."""

from __future__ import annotations

import weakref
from collections.abc import Hashable
from typing import Any, Literal

import torch

from moeopt.adapters.torch.graphs import Graphs

Role = Literal["sent", "arrived", "by_slot", "answers", "home", "by_token"]


class Buffers:
    """Rows for one pass at a time; each role's memory grows to the most rows it has had.

    Attributes
    ----------
    orders, arrivals
        Captured calls, whose answers stand in memory that is used again, too.
    """

    def __init__(self) -> None:
        self.orders, self.arrivals = Graphs(), Graphs()
        self._held: dict[Role, torch.Tensor] = {}

    def rows(self, role: Role, count: int, like: torch.Tensor) -> torch.Tensor:
        """Return `count` rows of the width, type and device of `like`; what stands there is old."""
        held = self._held.get(role)
        wanted = (like.shape[1], like.dtype, like.device)
        if held is None or (held.shape[1], held.dtype, held.device) != wanted or len(held) < count:
            self._held.pop(role, None)  # before its successor, so that both need not fit
            with torch.inference_mode(False):  # what is made in it, only it may write to
                held = like.new_empty(count, like.shape[1])
            self._held[role] = held
        return held[:count]


class IdleBuffers:
    """Buffers that no pass uses now; layers share them, since they run one after the other.

    A pass on another stream gets others: there, these may still be in use.
    """

    def __init__(self) -> None:
        self._idle: dict[Hashable, list[Buffers]] = {}

    def __reduce__(self) -> Any:
        """Let copies of a layer share them too."""
        return idle_buffers, ()

    def take(self, rows: torch.Tensor) -> Buffers:
        """Return buffers for rows of this width, type and device, to use on the current stream."""
        try:
            return self._idle[_use_of(rows)].pop()
        except (KeyError, IndexError):
            return Buffers()

    def give(self, buffers: Buffers, rows: torch.Tensor) -> None:
        """Take buffers back, from a pass that ended on the current stream."""
        self._idle.setdefault(_use_of(rows), []).append(buffers)


#: Of this process; they go with the last layer.
_shared: weakref.WeakSet[IdleBuffers] = weakref.WeakSet()


def idle_buffers() -> IdleBuffers:
    """Return the buffers that the layers of this process share."""
    found = next(iter(_shared), None) or IdleBuffers()
    _shared.add(found)
    return found


def _use_of(rows: torch.Tensor) -> Hashable:
    stream = torch.cuda.current_stream(rows.device) if rows.is_cuda else None
    return stream, rows.shape[1], rows.dtype, rows.device
