"""Memory that passes of a layer use again, instead of asking for it every time."""

from __future__ import annotations

from typing import Literal

import torch

from moeopt.adapters.torch.graphs import Graphs

Role = Literal["sent", "arrived", "by_slot", "answers", "home", "by_token"]


class Buffers:
    """Rows for one pass at a time; each role's memory grows to the most rows it has had.

    Attributes
    ----------
    graphs
        Its captured calls, whose answers stand in memory that is used again, too.
    """

    def __init__(self) -> None:
        self.graphs = Graphs()
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
