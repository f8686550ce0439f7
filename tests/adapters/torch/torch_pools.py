"""Workers for many tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moeopt.adapters.torch.workers import Workers


class Pool:
    """Workers that are started when first needed, and anew after a call that ended them."""

    def __init__(self, world: int) -> None:
        self.world = world
        self._workers: Workers | None = None

    def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> list[Any]:
        """Call a function on every worker: one of a module that they can import."""
        return self.workers().run(function, *args, **kwargs)

    def workers(self) -> Workers:
        """Return the running workers."""
        if self._workers is None or not self._workers.alive:
            self.close()
            self._workers = Workers(self.world)
        return self._workers

    def close(self) -> None:
        if self._workers is not None:
            self._workers.close()
