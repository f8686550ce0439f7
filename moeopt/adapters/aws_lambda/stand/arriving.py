"""Objects that moto has already, but that for everyone else are still on their way."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator

_Name = tuple[str, str]


class Arriving:
    """Writes that go on, by bucket and key; threads share it.

    An object that is written for the first time is hidden until then. One that was there stays in
    sight, as an object is replaced in one step. What was deleted with others in one request counts
    as having been there.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._writes: Counter[_Name] = Counter()
        self._there: set[_Name] = set()

    @contextlib.contextmanager
    def hidden(self, bucket: str, key: str) -> Iterator[Callable[[], None]]:
        """Hide an object while it is written, unless it is there; call the result if it came."""
        name = (bucket, key)
        with self._lock:
            self._writes[name] += 1
        try:
            yield lambda: self._came(name)
        finally:
            with self._lock:
                self._writes[name] -= 1
                if not self._writes[name]:
                    del self._writes[name]

    def hides(self, bucket: str, key: str) -> bool:
        """Tell whether an object is on its way and was not there before."""
        with self._lock:
            return (bucket, key) in self._writes and (bucket, key) not in self._there

    def gone(self, bucket: str, key: str) -> None:
        """Tell that an object was deleted."""
        with self._lock:
            self._there.discard((bucket, key))

    def _came(self, name: _Name) -> None:
        with self._lock:
            self._there.add(name)
