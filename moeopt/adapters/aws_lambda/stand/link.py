"""Connections with a rate and a delay: how long bytes take that in truth are there at once.

A transfer has a moment at which it began, which may lie in the past: what this machine has taken
since then counts as a part of it.
"""

from __future__ import annotations

import threading
import time

from moeopt.adapters.aws_lambda.stand.shape import Shape
from moeopt.adapters.aws_lambda.stand.sharing import Share, Sharing


def wait_until(moment_s: float) -> None:
    """Sleep until a moment of ``time.monotonic``; not at all if it has passed."""
    left_s = moment_s - time.monotonic()
    if left_s > 0.0:
        time.sleep(left_s)


class Lane:
    """One direction of a connection: transfers at the same time share its rate equally.

    Threads share it.

    Parameters
    ----------
    bytes_per_s
        Rate; ``None`` for no limit.
    """

    def __init__(self, bytes_per_s: float | None) -> None:
        self._lock = threading.Lock()
        self._sharing = None if bytes_per_s is None else Sharing(bytes_per_s)

    def begin(self, size: int, began_s: float | None = None) -> Transfer:
        """Begin a transfer.

        Parameters
        ----------
        size
            Bytes of it.
        began_s
            When it began, by ``time.monotonic``, not in the future; now if left out.
        """
        began_s = time.monotonic() if began_s is None else began_s
        if self._sharing is None:
            return Transfer(self, Share(0.0, 0, ended_s=began_s), size)
        with self._lock:
            return Transfer(self, self._sharing.begin(size, began_s), size)

    def due(self, share: Share, short: int) -> float:
        """Return when all but `short` bytes of a transfer are through, as it looks now."""
        if self._sharing is None:
            return share.ended_s or 0.0
        with self._lock:
            self._sharing.settle(time.monotonic())
            return self._sharing.due(share, short)


class Transfer:
    """Bytes on their way over a lane; one thread waits for them.

    Parameters
    ----------
    lane, share
        Where, and as what.
    size
        Bytes of it.
    """

    def __init__(self, lane: Lane, share: Share, size: int) -> None:
        self._lane = lane
        self._share = share
        self._size = size

    def wait(self, size: int | None = None) -> float:
        """Sleep until the first `size` bytes, all if left out, are through; return when that was.

        If only a part was waited for and all is through by now, that moment is the whole's.
        """
        short = 0 if size is None else self._size - size
        while True:
            # Who begins meanwhile makes it later, never sooner.
            due_s = self._lane.due(self._share, short)
            if due_s <= time.monotonic():
                return due_s
            wait_until(due_s)


class Link:
    """A connection: a delay of each access, and a lane each way.

    Parameters
    ----------
    shape
        Of which the delay and rate between storage and a function are taken.

    Attributes
    ----------
    delay_s
        Of each access.
    up, down
        To storage, and from it.
    """

    def __init__(self, shape: Shape) -> None:
        self.delay_s = shape.access_delay_s
        self.up = Lane(shape.storage_bytes_per_s)
        self.down = Lane(shape.storage_bytes_per_s)


class Links:
    """The links of all who have one, by name, each made when first asked for; threads share them.

    Parameters
    ----------
    shape
        Of all links.
    """

    def __init__(self, shape: Shape) -> None:
        self._lock = threading.Lock()
        self._shape = shape
        self._links: dict[str, Link] = {}

    def of(self, name: str) -> Link:
        """Return someone's link."""
        with self._lock:
            if name not in self._links:
                self._links[name] = Link(self._shape)
            return self._links[name]

    def forget(self, name: str) -> None:
        """Forget someone who will not ask again."""
        with self._lock:
            self._links.pop(name, None)

    def reshape(self, shape: Shape) -> None:
        """Give everyone new links from now on; what is on its way keeps the old ones."""
        with self._lock:
            self._shape = shape
            self._links.clear()
