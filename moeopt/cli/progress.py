"""Progress on standard error: a bar that lives on a terminal only, and only over long work."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from moeopt.core import interrupts

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from moeopt.core.progress import Progress, ProgressEvent

#: Work that ends sooner has no bar.
_SHORT_S = 0.5

#: Columns of the bar itself.
_BAR = 10


@contextlib.contextmanager
def shown(quiet: bool, time_limit_s: float | None = None) -> Iterator[Progress | None]:
    """Yield a listener that shows a solve's progress, ``None`` where nobody would see it.

    Parameters
    ----------
    quiet
        Whether nothing is to be shown.
    time_limit_s
        Of the solve, if it has one: the bar is full when it is over.
    """
    with _bar(quiet) as bar:
        if bar is None:
            yield None
            return
        bar.limit_s = time_limit_s
        yield bar.listen


@contextlib.contextmanager
def counted(quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Yield what is told how many of all solves are done; ``None`` where nobody would see it."""
    with _bar(quiet) as bar:
        yield None if bar is None else bar.count


@contextlib.contextmanager
def _bar(quiet: bool) -> Iterator[_Bar | None]:
    console = None if quiet or not sys.stderr.isatty() else _console()
    if console is None:
        yield None
        return
    from rich.live import Live

    bar = _Bar(console)
    live = Live(
        get_renderable=bar.drawn, console=console, transient=True, redirect_stdout=False,
        refresh_per_second=8,
    )  # fmt: skip
    timer = threading.Timer(_SHORT_S, live.start)
    timer.daemon = True
    timer.start()
    try:
        yield bar
    finally:
        timer.cancel()
        timer.join()
        live.stop()


def _console() -> Console | None:
    """Return standard error as a terminal, ``None`` if it cannot move its cursor."""
    from rich.console import Console

    console = Console(stderr=True)
    return None if console.is_dumb_terminal else console


class _Bar:
    """A bar, the time, and what is known.

    Attributes
    ----------
    limit_s
        When the bar is full, if time fills it.
    """

    def __init__(self, console: Console) -> None:
        self.limit_s: float | None = None
        self._console = console
        self._began_s = time.perf_counter()
        self._known: list[str] = []
        self._counts: tuple[int, int] | None = None

    def listen(self, event: ProgressEvent) -> None:
        """Take in what a solve tells; what it says of no plan does not hide the best one."""
        self._known = _known(event) or self._known or [event.note]

    def count(self, done: int, of: int) -> None:
        """Take in how many solves are done."""
        self._counts = done, of
        self._known = [f"{done} of {of} solved"]

    def drawn(self) -> RenderableType:
        """Return the line as it is now, its last parts left out where there is no room."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        elapsed_s = time.perf_counter() - self._began_s
        done, of = self._counts or (elapsed_s, self.limit_s)
        limit = "" if self.limit_s is None else f" of {self.limit_s:g}"
        known = ["stopping; Ctrl-C again ends at once"] if interrupts.asked() else self._known
        line = f"{elapsed_s:.1f}{limit} s"
        for part in known:
            if len(line) + 2 + len(part) <= self._console.width - _BAR - 1:
                line += f"  {part}"
        grid = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=of, completed=min(done, of or done), width=_BAR, pulse=of is None)
        grid.add_row(bar, Text(line, no_wrap=True))
        return grid


def _known(event: ProgressEvent) -> list[str]:
    from moeopt.core.result import relative_gap

    gap = relative_gap(event.objective, event.bound)
    values = (("objective", event.objective), ("bound", event.bound))
    return [
        *(f"{name} {value:.6g}" for name, value in values if value is not None),
        *([] if gap is None else [f"gap {100 * gap:.3g} %"]),
    ]
