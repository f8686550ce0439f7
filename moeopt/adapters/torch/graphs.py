"""Many small kernels of a GPU in one launch: captured as a CUDA graph and replayed.

One by one, their launches take longer than their work.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import torch

#: Calls that are remembered; the one that was not used for longest goes first.
MOST_GRAPHS = 64


@dataclass(eq=False)
class _Captured:
    graph: torch.cuda.CUDAGraph
    given: torch.Tensor
    answer: Any


class Graphs:
    """Calls of functions of one tensor that wait for nothing, captured when they come again.

    What a captured call returns stays as it is until the next call of its kind.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[Hashable, _Captured | None] = OrderedDict()

    def call(
        self, function: Callable[[torch.Tensor], Any], given: torch.Tensor, kind: Hashable
    ) -> Any:
        """Return ``function(given)``.

        Parameters
        ----------
        function
            Takes the same course whatever the tensor's values; two of one kind do the same.
        given
            The tensor; on a CPU nothing is captured.
        kind
            What else the function depends on.
        """
        if not given.is_cuda or given.numel() == 0:
            return function(given)
        key = (kind, given.shape, given.dtype)
        if key not in self._seen:
            # A call that comes once is not worth a capture; this one also loads the kernels.
            self._remember(key, None)
            return function(given)
        found = self._seen[key] or _captured(function, given)
        self._remember(key, found)
        found.given.copy_(given)
        found.graph.replay()
        return found.answer

    def _remember(self, key: Hashable, captured: _Captured | None) -> None:
        self._seen[key] = captured
        self._seen.move_to_end(key)
        if len(self._seen) > MOST_GRAPHS:
            self._seen.popitem(last=False)


def _captured(function: Callable[[torch.Tensor], Any], given: torch.Tensor) -> _Captured:
    graph = torch.cuda.CUDAGraph()
    with torch.inference_mode(False):  # what is made in it, only it may write to
        own = given.clone()
        # Other threads, such as NCCL's, may ask the device for its state meanwhile.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            answer = function(own)
    return _Captured(graph, own, answer)
