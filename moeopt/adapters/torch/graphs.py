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


Given = tuple[torch.Tensor, ...]


@dataclass(eq=False)
class _Captured:
    graph: torch.cuda.CUDAGraph
    given: Given
    answer: Any


class Graphs:
    """Calls of functions of tensors that wait for nothing, captured when they come again.

    What a captured call returns stays as it is until the next call, of whatever kind: all work in
    the same memory, so that many of them take little more than one.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[Hashable, _Captured | None] = OrderedDict()
        self._memory: tuple[Any, torch.cuda.Stream] | None = None

    def call(self, function: Callable[..., Any], given: Given, kind: Hashable) -> Any:
        """Return ``function(*given)``.

        Parameters
        ----------
        function
            Takes the same course whatever the tensors' values, and keeps hold of no other tensors;
            two of one kind do the same.
        given
            The tensors, always on the same device; on a CPU nothing is captured.
        kind
            What else the function depends on.
        """
        if not given[0].is_cuda or given[0].numel() == 0:
            return function(*given)
        key = (kind, tuple((each.shape, each.dtype) for each in given))
        if key not in self._seen:
            # A call that comes once is not worth a capture; this one also loads the kernels.
            self._remember(key, None)
            return function(*given)
        found = self._seen[key] or self._captured(function, given)
        self._remember(key, found)
        for own, each in zip(found.given, given, strict=True):
            own.copy_(each)
        found.graph.replay()
        return found.answer

    def _remember(self, key: Hashable, captured: _Captured | None) -> None:
        self._seen[key] = captured
        self._seen.move_to_end(key)
        if len(self._seen) > MOST_GRAPHS:
            self._seen.popitem(last=False)

    def _captured(self, function: Callable[..., Any], given: Given) -> _Captured:
        device = given[0].device
        if self._memory is None:
            # Graphs share memory if they are captured on the same stream.
            self._memory = torch.cuda.graph_pool_handle(), torch.cuda.Stream(device)
        pool, stream = self._memory
        graph = torch.cuda.CUDAGraph()
        # What is made in inference mode, only it may write to.
        with torch.cuda.device(device), torch.inference_mode(False):
            own = tuple(each.clone() for each in given)
            # Other threads, such as NCCL's, may ask the device for its state meanwhile.
            with torch.cuda.graph(graph, pool, stream, capture_error_mode="thread_local"):
                answer = function(*own)
        return _Captured(graph, own, answer)
