"""Ctrl-C during a solve: the first asks for the best plan so far, the second ends the program.

The first makes every deadline now, so that each method that keeps a time limit hands back what it
has. Signals belong to the program: only the command line hears them by itself, and in a library
call Ctrl-C is the `KeyboardInterrupt` that it is everywhere else, unless the caller says `heard`.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_asked = threading.Event()
_hearing = threading.Event()


@contextlib.contextmanager
def heard() -> Iterator[None]:
    """Let the first Ctrl-C stop the solves inside; a second one is a `KeyboardInterrupt`.

    Does nothing outside the main thread, and where the program has a handler of its own. Solvers
    without a time limit run in a child process too, for there they can be stopped.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _hear)
    _hearing.set()
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _hearing.clear()
        _asked.clear()


def hearing() -> bool:
    """Tell whether Ctrl-C is to stop solves, and not the program."""
    return _hearing.is_set()


def asked() -> bool:
    """Tell whether there was a Ctrl-C: whatever runs should hand back what it has."""
    return _asked.is_set()


def _hear(signum: int, frame: FrameType | None) -> None:
    if _asked.is_set():
        raise KeyboardInterrupt
    _asked.set()
