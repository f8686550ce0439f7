"""The device that steps run on: its clock and its memory."""

from __future__ import annotations

import gc
import itertools
import platform
import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor

#: Makes what a step needs, and returns the step.
Maker = Callable[[], Callable[[], Tensor]]

#: A step is timed again for so long, seconds.
_TIMED_S = 0.2


class Step(NamedTuple):
    """What a step took: the median of some, and the most memory beside weights and inputs.

    Memory is unknown on a processor.
    """

    seconds: float
    peak_bytes: int | None


class Place:
    """Where steps run.

    Parameters
    ----------
    device
        ``"cuda"`` or ``"cpu"``.
    """

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        self.cuda = self.device.type == "cuda"
        self.dtype = torch.bfloat16 if self.cuda else torch.float32
        gc.freeze()  # so that tidying does not look through all of PyTorch each time
        # Its workspace is no part of a step.
        self.random(64, 64) @ self.random(64, 64)

    def __str__(self) -> str:
        name = f"{platform.machine()} processor, {torch.get_num_threads()} threads"
        if self.cuda:
            name = torch.cuda.get_device_name(self.device)
        return f"{name}, PyTorch {torch.__version__}, {str(self.dtype).removeprefix('torch.')}"

    def random(self, *shape: int, scale: float = 1.0) -> Tensor:
        """Return random numbers."""
        return torch.randn(shape, device=self.device, dtype=self.dtype).mul_(scale)

    def measure(self, make: Maker) -> Step | None:
        """Return what a step takes; ``None`` if memory does not suffice."""
        self.tidy()
        before = torch.cuda.memory_allocated() if self.cuda else 0
        try:
            step = make()
            for _ in range(3):
                step()
            peak = torch.cuda.max_memory_allocated() - before if self.cuda else None
            runs = max(3, min(15, int(_TIMED_S / self._seconds(step, 1)[0])))
            return Step(median(self._seconds(step, runs)), peak)
        except torch.OutOfMemoryError:
            return None

    def fits(self, make: Maker) -> bool:
        """Tell whether memory suffices to make a step and to run it."""
        self.tidy()
        try:
            make()()
        except torch.OutOfMemoryError:
            return False
        return True

    def tidy(self) -> None:
        """Give back what the last step held."""
        if self.cuda:
            gc.collect()
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def _seconds(self, step: Callable[[], Tensor], runs: int) -> list[float]:
        """Return what each of some runs, one after the other, takes."""
        if not self.cuda:
            marks = [time.perf_counter()]
            for _ in range(runs):
                step()
                marks.append(time.perf_counter())
            return [after - before for before, after in itertools.pairwise(marks)]
        events = [torch.cuda.Event(enable_timing=True) for _ in range(runs + 1)]
        events[0].record()
        for event in events[1:]:
            step()
            event.record()
        torch.cuda.synchronize()
        return [a.elapsed_time(b) * 1e-3 for a, b in itertools.pairwise(events)]
