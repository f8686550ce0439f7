"""All-to-alls of rows between workers, in one operation or in an order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch.autograd.function import once_differentiable

from moeopt.core.arrays import IntArray


@dataclass(frozen=True, eq=False)
class Sizes:
    """How many rows go where in one exchange, on the host.

    Attributes
    ----------
    sent, received
        Rows of this rank to each rank, and from each.
    matrix
        Rows from each rank to each, ``(ranks, ranks)``; ``None`` where the exchange needs none.
    """

    sent: list[int]
    received: list[int]
    matrix: IntArray | None = None

    def ends(self, back: bool) -> tuple[list[int], list[int]]:
        """Return the rows sent to each rank and received from each, on the way there or back."""
        return (self.received, self.sent) if back else (self.sent, self.received)


class Pending(Protocol):
    """An exchange on its way."""

    def wait(self) -> torch.Tensor:
        """Return what has arrived; on a GPU later work on the stream waits, not the host."""


class Route(Protocol):
    """One exchange whose sizes are known; backwards it brings the answers back.

    Attributes
    ----------
    sizes
        How many rows go where.
    """

    @property
    def sizes(self) -> Sizes:
        """Return how many rows go where."""

    def start(self, rows: torch.Tensor, out: torch.Tensor, *, back: bool = False) -> Pending:
        """Begin to send rows, sorted by the rank that they go to.

        Parameters
        ----------
        rows
            Contiguous, as many as `Sizes.sent` says; backwards as `Sizes.received` says.
        out
            What arrives, sorted by the rank that it comes from.
        back
            Whether senders and receivers change places.
        """


class Exchange(Protocol):
    """A way to exchange rows.

    Attributes
    ----------
    needs_matrix
        Whether it must know what all ranks send to all.
    """

    needs_matrix: bool

    def route(self, sizes: Sizes, row_bytes: int) -> Route:
        """Decide how rows of these sizes travel; the same decision on every rank."""


class SingleExchange:
    """One ``all_to_all_single``, ordered by the library (NCCL: shifts; gloo: all at once).

    Parameters
    ----------
    group
        The workers; ``None`` for all.
    """

    needs_matrix = False

    def __init__(self, group: Any = None) -> None:
        self.group = group

    def route(self, sizes: Sizes, row_bytes: int) -> Route:
        """Return the only route there is."""
        return _SingleRoute(sizes, self.group)


@dataclass(frozen=True, eq=False)
class _SingleRoute:
    sizes: Sizes
    group: Any

    def start(self, rows: torch.Tensor, out: torch.Tensor, *, back: bool = False) -> Pending:
        sent, received = self.sizes.ends(back)
        # NCCL knows every type; a view less is a launch that begins earlier.
        pair = (out, rows) if rows.is_cuda else (as_bytes(out), as_bytes(rows))
        work = dist.all_to_all_single(*pair, received, sent, group=self.group, async_op=True)
        # The rows must live until they are sent.
        return Works([work], out, rows)


@dataclass(eq=False)
class Works:
    """Operations of torch.distributed that fill `out`; `rows` is kept alive until they are done."""

    works: Sequence[Any]
    out: torch.Tensor
    rows: torch.Tensor | None

    def wait(self) -> torch.Tensor:
        """Return what has arrived."""
        for work in self.works:
            work.wait()
        self.works, self.rows = (), None
        return self.out


class _Exchanged(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, rows: torch.Tensor, anchor: torch.Tensor, route: Route, back: bool
    ) -> torch.Tensor:
        ctx.route, ctx.back = route, back
        return _sent(rows, route, back)

    @staticmethod
    @once_differentiable  # bytes travel, and no graph with them
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        return _sent(grad.contiguous(), ctx.route, not ctx.back), None, None, None


def _sent(rows: torch.Tensor, route: Route, back: bool) -> torch.Tensor:
    out = rows.new_empty(sum(route.sizes.ends(back)[1]), rows.shape[1])
    return route.start(rows, out, back=back).wait()


def exchanged(rows: torch.Tensor, route: Route, *, back: bool = False) -> torch.Tensor:
    """Return the rows that arrive; the backward pass takes the same route the other way.

    Every rank takes part in the backward pass, also one whose rows need no gradient: the others
    wait for it.
    """
    anchor = torch.empty(0, device=rows.device, requires_grad=torch.is_grad_enabled())
    arrived: torch.Tensor = _Exchanged.apply(rows, anchor, route, back)  # type: ignore[no-untyped-call]
    return arrived


def as_bytes(rows: torch.Tensor) -> torch.Tensor:
    """Return the same memory as bytes, ``(rows, bytes)``: every library can send these."""
    # Strides of nothing may be anything, and count as contiguous.
    return (rows if rows.numel() else rows.new_empty(rows.shape)).view(torch.uint8)
