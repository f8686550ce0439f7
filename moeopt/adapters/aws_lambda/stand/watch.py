"""One thread that sees what all workers write, and when they end."""

from __future__ import annotations

import contextlib
import select
import threading
from collections.abc import Callable


class Watcher:
    """Calls back when a file descriptor can be read, until it is dropped.

    Descriptors are those of pipes and of processes (``os.pidfd_open``). Calls back in one thread of
    its own, which ends with the process.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._lock = threading.Lock()
        self._heard: dict[int, Callable[[], None]] = {}
        threading.Thread(target=self._run, daemon=True).start()

    def add(self, descriptor: int, heard: Callable[[], None]) -> None:
        """Begin to watch a descriptor."""
        with self._lock:
            self._heard[descriptor] = heard
            self._epoll.register(descriptor, select.EPOLLIN)

    def drop(self, descriptor: int) -> None:
        """Stop watching a descriptor; not once it is closed, when its number may be another's."""
        with self._lock:
            if self._heard.pop(descriptor, None) is not None:
                self._epoll.unregister(descriptor)

    def _run(self) -> None:
        while True:
            for descriptor, _ in self._epoll.poll():
                with self._lock:
                    heard = self._heard.get(descriptor)
                if heard is not None:
                    # A descriptor that was dropped and closed in the meantime.
                    with contextlib.suppress(OSError):
                        heard()
