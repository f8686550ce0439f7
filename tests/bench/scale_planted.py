"""Scenes that behave badly, for the tests of the part ``scale``."""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from moeopt.bench.reliability.scale_step import Step

Steps = Generator[Step, Any, None]


def quadratic(size: int, folder: Path) -> Steps:
    """Spend processor time by the square of the size, and say that it is in proportion."""
    del folder
    yield Step("compare all", "rows", size, lambda: _spend(5e-4 * size**2))


def linear(size: int, folder: Path) -> Steps:
    """Keep the promise, and hand a value from one operation to the next."""
    del folder
    found = yield Step("double", "rows", size, lambda: 2 * size)
    yield Step("look at each", "rows", found, lambda: _spend(1e-2 * size))


def hungry(size: int, folder: Path) -> Steps:
    """Take memory."""
    del folder
    yield Step("fill", "MiB", size, lambda: len(bytearray(size * 2**20)))


def endless(size: int, folder: Path) -> Steps:
    """Never end."""
    del folder, size
    yield Step("first", "rows", 1, lambda: None)
    yield Step("wait", "rows", 1, lambda: time.sleep(60))


def crashing(size: int, folder: Path) -> Steps:
    """Die at once."""
    del folder
    yield Step("die", "rows", size, lambda: os.abort())


def _spend(seconds: float) -> None:
    """Compute: asking the clock all the time would be the kernel's time."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        sum(range(20_000))
