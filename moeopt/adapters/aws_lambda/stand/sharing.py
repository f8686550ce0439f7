"""Who is through when, if transfers at the same time share a rate equally: arithmetic, no clock."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field


@dataclass(order=True)
class Share:
    """One transfer among those that share.

    Attributes
    ----------
    until
        Bytes that each of those on their way has been given when this one is through.
    number
        Decides between equals.
    ended_s
        When it was through; ``None`` as long as that is not settled.
    """

    until: float
    number: int
    ended_s: float | None = field(default=None, compare=False)


class Sharing:
    """Transfers that share a rate, up to a moment that only moves on.

    Parameters
    ----------
    bytes_per_s
        The rate.
    """

    def __init__(self, bytes_per_s: float) -> None:
        self._rate = bytes_per_s
        self._numbers = itertools.count()
        self._on_their_way: list[Share] = []
        # Up to this moment it is settled who got what, and each of those on their way this much.
        self._settled_s = 0.0
        self._given = 0.0

    def begin(self, size: float, began_s: float) -> Share:
        """Begin a transfer.

        Parameters
        ----------
        size
            Bytes of it.
        began_s
            When; where the others' shares are settled beyond that, it begins there.
        """
        self.settle(began_s)
        if not self._on_their_way:
            self._settled_s = max(self._settled_s, began_s)
        share = Share(self._given + size, next(self._numbers))
        heapq.heappush(self._on_their_way, share)
        return share

    def settle(self, moment_s: float) -> None:
        """Settle who got what up to a moment; those who have all drop out on the way."""
        while self._on_their_way:
            first, sharing = self._on_their_way[0], len(self._on_their_way)
            ended_s = self._settled_s + (first.until - self._given) * sharing / self._rate
            if ended_s > moment_s:
                if moment_s > self._settled_s:
                    self._given += (moment_s - self._settled_s) * self._rate / sharing
                    self._settled_s = moment_s
                break
            first.ended_s = self._settled_s = ended_s
            self._given = first.until
            heapq.heappop(self._on_their_way)

    def due(self, share: Share, short: float = 0.0) -> float:
        """Return when all but `short` bytes of a transfer are through, if nobody else begins one.

        The moment of its end, once that is settled.
        """
        if share.ended_s is not None:
            return share.ended_s
        due_s, given, until = self._settled_s, self._given, share.until - short
        for done, other in enumerate(sorted(self._on_their_way)):
            step = min(other.until, until)
            due_s += max(0.0, step - given) * (len(self._on_their_way) - done) / self._rate
            given = max(given, step)
            if other.until >= until:
                break
        return due_s
