"""Compiling kernels: one decorator, a cache on disk, a line that says why a first run is slow."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numba
from numba.core import event

logger = logging.getLogger("moeopt")


class _SayOnce(event.Listener):
    """Log one line when numba compiles for the first time in this process (a cache miss)."""

    def __init__(self) -> None:
        self.said = False

    def on_start(self, event: Any) -> None:
        """Say why the run is slow, once."""
        if not self.said:
            self.said = True
            logger.warning(
                "compiling moeopt's kernels: only this first run is slow; the result is cached"
            )

    def on_end(self, event: Any) -> None:
        """Do nothing: the start was what mattered."""


event.register("numba:compile", _SayOnce())  # type: ignore[no-untyped-call]


def kernel(function: Callable[..., Any]) -> Any:
    """Compile `function` with numba, cached on disk; the same code runs with the JIT off."""
    return numba.njit(cache=True, nogil=True)(function)
