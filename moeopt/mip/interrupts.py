"""Ctrl-C and CP-SAT: it stops at one, and leaves behind that the next one ends the program."""

from __future__ import annotations

import signal
import threading
from typing import Any

from moeopt.core import interrupts


def solve_cpsat(solver: Any, model: Any, listener: Any = None) -> Any:
    """Return the status of a CP-SAT solve, after which Ctrl-C does what it did before.

    CP-SAT catches SIGINT, and when it is done sets what the system does by default: the process
    would end, with no `KeyboardInterrupt`. Only the main thread may set it back; in others CP-SAT
    is told not to catch it, and also where Ctrl-C is heard for it (`moeopt.core.interrupts`).

    Parameters
    ----------
    solver
        A ``CpSolver``, with its parameters.
    model
        A ``CpModel``.
    listener
        Told of incumbents, if given.
    """
    main = threading.current_thread() is threading.main_thread()
    solver.parameters.catch_sigint_signal = main and not interrupts.hearing()
    before = signal.getsignal(signal.SIGINT)
    try:
        return solver.solve(model) if listener is None else solver.solve(model, listener)
    finally:
        # None is a handler that Python knows nothing of, and cannot set again.
        if main and before is not None:
            signal.signal(signal.SIGINT, before)
