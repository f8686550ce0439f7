"""Progress on standard error: a line that lives, on a terminal only."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moeopt.core.progress import Progress, ProgressEvent


@contextlib.contextmanager
def shown(quiet: bool) -> Iterator[Progress | None]:
    """Yield a listener that shows progress, ``None`` where nobody would see it."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status("solving") as status:
        yield lambda event: status.update(_line(event))


def _line(event: ProgressEvent) -> str:
    parts = [f"{event.elapsed_s:.1f} s"]
    if event.objective is not None:
        parts.append(f"objective {event.objective:.6g}")
    if event.bound is not None:
        parts.append(f"bound {event.bound:.6g}")
    return ", ".join([*parts, event.note])
