"""What was asked of storage, counted by who asked."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Traffic:
    """What someone asked of storage.

    Attributes
    ----------
    gets, puts, heads, lists, deletes, others
        Requests: reads and writes of objects, and the rest by kind.
    missing
        Reads among `gets` of objects that were not there.
    errors
        Requests that were answered 5xx, counted here alone: they are not billed.
    get_bytes, put_bytes
        Of the objects read and written.
    """

    gets: int = 0
    puts: int = 0
    heads: int = 0
    lists: int = 0
    deletes: int = 0
    others: int = 0
    missing: int = 0
    errors: int = 0
    get_bytes: int = 0
    put_bytes: int = 0


class Counts:
    """Traffic by function, and the caller's; threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._traffic: dict[str, Traffic] = {}

    def add(self, who: str, **more: int) -> None:
        """Count more of someone's traffic, by the fields of `Traffic`."""
        with self._lock:
            old = self._traffic.get(who, Traffic())
            new = {field: getattr(old, field) + number for field, number in more.items()}
            self._traffic[who] = replace(old, **new)

    def read(self) -> dict[str, Traffic]:
        """Return what was counted, by function; the caller's under `CALLER`."""
        with self._lock:
            return dict(self._traffic)

    def clear(self) -> None:
        """Count from nothing again."""
        with self._lock:
            self._traffic.clear()
