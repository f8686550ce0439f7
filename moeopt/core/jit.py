"""Compiling kernels: one decorator, a cache on disk, a line that says why a first run is slow."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
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
    """Compile `function` with numba, cached on disk; the same code runs with the JIT off.

    numba renews a cached function when its own file changes, not when a kernel that it calls from
    another file does. So the cache of a wing lies in a folder named after all its kernels.
    """
    folder = Path(function.__code__.co_filename).parent
    config: Any = numba.config
    before = config.CACHE_DIR
    config.CACHE_DIR = str(_cache_base(folder, before) / f"kernels-{_fingerprint(folder)}")
    try:
        return numba.njit(cache=True, nogil=True)(function)
    finally:
        config.CACHE_DIR = before


@cache
def _fingerprint(folder: Path) -> str:
    """Return a short hash of all kernel files of a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("_kernels*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _cache_base(folder: Path, configured: str) -> Path:
    """Return where compiled kernels go: as configured, else beside the code, else the user's."""
    if configured:
        return Path(configured)
    beside = folder / "__pycache__"
    try:
        beside.mkdir(exist_ok=True)
    except OSError:
        return _user_cache()
    return beside if os.access(beside, os.W_OK) else _user_cache()


def _user_cache() -> Path:
    base = os.environ.get("LOCALAPPDATA") or os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "moeopt"
