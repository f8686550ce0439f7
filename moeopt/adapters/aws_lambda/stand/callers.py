"""Who asks: each worker has an access key of its own, which its requests to storage carry."""

from __future__ import annotations

import threading

#: What stands for everyone who is no worker: the gate's side.
CALLER = "(caller)"


class Callers:
    """Access keys of workers and the functions that they belong to; threads share them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._functions: dict[str, str] = {}
        self._made = 0

    def register(self, function: str) -> str:
        """Return a new access key's id for a worker of a function."""
        with self._lock:
            self._made += 1
            # Twenty characters, as AWS's have.
            key = f"AKIAWORKER{self._made:010d}"
            self._functions[key] = function
        return key

    def forget(self, key: str) -> None:
        """Forget a worker that has ended."""
        with self._lock:
            self._functions.pop(key, None)

    def function_of(self, key: str) -> str:
        """Return the function that a key belongs to, `CALLER` if it is no worker's."""
        with self._lock:
            return self._functions.get(key, CALLER)
