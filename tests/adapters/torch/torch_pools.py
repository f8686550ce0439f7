"""Workers for many tests."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from moeopt.adapters.torch.layout import Layout
from moeopt.adapters.torch.migrate import planned
from moeopt.adapters.torch.spot import compile_rounds
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
            _compile_once()
            self._workers = Workers(self.world)
        return self._workers

    def close(self) -> None:
        if self._workers is not None:
            self._workers.close()


@functools.cache
def _compile_once() -> None:
    """Compile here what every worker would compile for itself, all of them at once."""
    compile_rounds()
    planned(Layout.contiguous(4, 2), Layout.even(np.array([1, 0, 3, 2]), [2, 2]), 1)
