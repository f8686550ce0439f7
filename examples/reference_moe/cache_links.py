"""How experts come to a device: copied from pinned host memory, or read from a file.

A link owns the device's slots, each for one expert, taken once and for all. Its transfers run one
after another, in the order in which they are asked for. So that transfers may be as large as a
served model's, each expert can be kept several times over: all copies are moved, the first is
computed with.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from model import Model
from torch import Tensor

#: What direct reads must be a multiple of: offsets, lengths and addresses.
BLOCK = 4096

#: A slot and what comes into it, ``layer * experts + expert``.
Load = tuple[int, int]


class Link(Protocol):
    """Slots, and what fills them; a slot has at most one transfer under way.

    Attributes
    ----------
    num_slots
        How many slots there are.
    expert_bytes
        What a transfer moves.
    name
        From where it comes.
    overlaps
        Whether transfers go on beside the computation.
    """

    num_slots: int
    expert_bytes: int
    name: str
    overlaps: bool

    def request(self, loads: Sequence[Load], copies: int = 0) -> None:
        """Ask for transfers of so many copies, or all, into slots that have no more use."""

    def moves(self, copies: int) -> int:
        """Return the bytes that a transfer of so many copies moves."""

    def wait(self, slot: int) -> None:
        """Return when the transfer into a slot has ended."""

    def matrices(self, slot: int) -> tuple[Tensor, Tensor]:
        """Return the two matrices of the expert in a slot."""

    def forget(self) -> None:
        """Overwrite all slots with NaN, so that what was not transferred spoils the result."""

    def finish(self) -> None:
        """Return when all computation asked for has ended."""

    def close(self) -> None:
        """Give up what is not memory."""


def packed(model: Model) -> Tensor:
    """Return both matrices of every expert in a row, on the host, ``(layers * experts, floats)``.

    Parameters
    ----------
    model
        Whose experts.
    """
    rows = [
        torch.cat((block.experts.w_in.flatten(1), block.experts.w_out.flatten(1)), 1)
        for block in model.layers()
    ]
    return torch.cat(rows).detach().float().cpu()


def strip(model: Model) -> None:
    """Take the experts out of a model: from here on it must be given a cache.

    Parameters
    ----------
    model
        On its device, which has room for other things then.
    """
    for block in model.layers():
        for matrix in (block.experts.w_in, block.experts.w_out):
            matrix.data = matrix.data.new_empty(0)


class _Slots:
    """Memory for some experts, and the matrices in it."""

    def __init__(self, memory: Tensor, width: int, hidden: int) -> None:
        self.memory, self.num_slots = memory, len(memory)
        self.rows = list(memory)
        size = width * hidden
        self._matrices = [
            (row[:size].view(width, hidden), row[size : 2 * size].view(hidden, width))
            for row in self.rows
        ]

    def matrices(self, slot: int) -> tuple[Tensor, Tensor]:
        """Return the two matrices of the expert in a slot."""
        return self._matrices[slot]

    def forget(self) -> None:
        """Overwrite all slots with NaN."""
        self.memory.fill_(torch.nan)


class PinnedLink(_Slots):
    """GPU memory filled from pinned host memory, on a stream of its own."""

    name = "pinned host memory"
    overlaps = True

    def __init__(self, experts: Tensor, width: int, copies: int, slots: int) -> None:
        items, size = experts.shape
        self.size = size
        host = torch.empty((items, copies * size), pin_memory=True)
        host.view(items, copies, size).copy_(experts[:, None])
        self.host = list(host)
        self.expert_bytes = 4 * copies * size
        super().__init__(
            torch.empty((slots, copies * size), device="cuda"), width, size // 2 // width
        )
        self.side = torch.cuda.Stream()
        self.arrived = [torch.cuda.Event() for _ in range(slots)]

    def request(self, loads: Sequence[Load], copies: int = 0) -> None:
        """Ask for transfers; they begin when what has been asked of the device has been computed.

        Parameters
        ----------
        loads
            Slots, and what comes into each.
        copies
            Of each expert that are moved; all if 0.
        """
        self.side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.side):
            for slot, item in loads:
                target, source = self.rows[slot], self.host[item]
                if copies:
                    target, source = target[: copies * self.size], source[: copies * self.size]
                target.copy_(source, non_blocking=True)
                self.arrived[slot].record(self.side)

    def moves(self, copies: int) -> int:
        """Return the bytes that a transfer of so many copies moves.

        Parameters
        ----------
        copies
            One to all.
        """
        return 4 * copies * self.size

    def wait(self, slot: int) -> None:
        """Return when the transfer into a slot has ended.

        Computation waits with the host, which has no more to ask of this small model than the
        device can do at once.
        """
        self.arrived[slot].synchronize()

    def finish(self) -> None:
        """Return when all computation asked for has ended."""
        torch.cuda.synchronize()

    def close(self) -> None:
        """Give up nothing: it is all memory."""


class FileLink(_Slots):
    """Host memory filled from a file, past the page cache, by the thread that asks for it."""

    overlaps = False

    def __init__(self, experts: Tensor, width: int, copies: int, slots: int, path: Path) -> None:
        size = experts.shape[1]
        self.size = size
        self.expert_bytes = self.moves(copies)
        with path.open("wb") as file:
            for row in experts:
                record = row.repeat(copies).numpy().tobytes()
                file.write(record.ljust(self.expert_bytes, b"\0"))
            file.flush()
            os.fsync(file.fileno())
        self.file, self.direct = _opened(path)
        self.name = "file, read directly" if self.direct else "file, pages dropped before"
        # Anonymous pages begin where direct reads may begin.
        self.pages = mmap.mmap(-1, slots * self.expert_bytes)
        whole = memoryview(self.pages)
        self.targets = [
            whole[k * self.expert_bytes : (k + 1) * self.expert_bytes] for k in range(slots)
        ]
        memory = torch.frombuffer(self.pages, dtype=torch.float32).view(slots, -1)
        super().__init__(memory, width, size // 2 // width)
        self.due: dict[int, tuple[int, int]] = {}

    def request(self, loads: Sequence[Load], copies: int = 0) -> None:
        """Ask for transfers.

        Parameters
        ----------
        loads
            Slots, and what comes into each.
        copies
            Of each expert that are moved; all if 0.
        """
        length = self.moves(copies) if copies else self.expert_bytes
        for slot, item in loads:
            self.due[slot] = item * self.expert_bytes, length

    def moves(self, copies: int) -> int:
        """Return the bytes that a transfer of so many copies moves.

        Parameters
        ----------
        copies
            One to all.
        """
        return -(-4 * copies * self.size // BLOCK) * BLOCK

    def wait(self, slot: int) -> None:
        """Read what was asked for; only then has the file anything to do."""
        start, length = self.due.pop(slot)
        if not self.direct:
            os.posix_fadvise(self.file, start, length, os.POSIX_FADV_DONTNEED)
        if os.preadv(self.file, [self.targets[slot][:length]], start) != length:
            raise OSError("the file of experts is shorter than it was written")

    def finish(self) -> None:
        """Return at once: here computation is over when it returns."""

    def close(self) -> None:
        """Close the file."""
        os.close(self.file)


def _opened(path: Path) -> tuple[int, bool]:
    """Return a file to read from, and whether it is read past the page cache."""
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECT), True
    except OSError:  # A file system that lives in memory may not offer it.
        return os.open(path, os.O_RDONLY), False


def link_to(device: str, folder: Path, **sizes: Any) -> Link:
    """Return the link of a device.

    Parameters
    ----------
    device
        ``"cuda"``, or ``"cpu"`` for a file.
    folder
        Where the file is to be.
    **sizes
        `experts`, `width`, `copies` and `slots`.
    """
    if device == "cuda":
        return PinnedLink(**sizes)
    return FileLink(**sizes, path=folder / "experts.bin")
