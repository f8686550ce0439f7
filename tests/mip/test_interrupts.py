"""Ctrl-C is the program's own again after a solve, whichever solver ran."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

PROGRAM = """
import signal, sys
sys.path.insert(0, sys.argv[1])
import mip_models
import moeopt
from moeopt.mip import available_backends, backend_named

def interrupted_after(name, solve):
    solve()
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        print(name, flush=True)

for name in available_backends():
    interrupted_after(name, lambda: backend_named(name).solve(mip_models.assignment()))
for name in sys.argv[2:]:
    problem = moeopt.load_problem(name)
    interrupted_after(name, lambda: moeopt.solve(problem, "exact"))
"""

#: Solved by CP-SAT models of their own.
PROBLEMS = ("@transfers/tiny-whole-messages", "@colocation/tiny-memory")


def test_ctrl_c_after_a_solve_is_a_keyboard_interrupt() -> None:
    from moeopt.mip import available_backends

    program = [sys.executable, "-c", PROGRAM, str(Path(__file__).parent), *PROBLEMS]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr)
    assert done.stdout.split() == [*available_backends(), *PROBLEMS]


def test_in_another_thread_it_is_left_alone() -> None:
    import mip_models

    from moeopt.mip import backend_named

    before = signal.getsignal(signal.SIGINT)
    objectives: list[float | None] = []

    def solve() -> None:
        objectives.append(backend_named("cpsat").solve(mip_models.assignment()).objective)

    thread = threading.Thread(target=solve)
    thread.start()
    thread.join()
    assert objectives == [5.0]
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
