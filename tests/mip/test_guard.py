"""The time limit holds and a dying solver is an error with a name, not a hang."""

from __future__ import annotations

import importlib
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import broken_backends as broken
import mip_models
import numpy as np
import pytest

from moeopt.core import interrupts
from moeopt.core.errors import BackendError
from moeopt.core.result import Limit, Status
from moeopt.mip import Backend, backend_named, guard, solve_guarded, solve_model, warm_up
from moeopt.mip.children import acquire, close_idle, release

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _warm() -> None:
    """Have a child ready, so that limits of some tenths of a second go to the solver."""
    worker = acquire()
    assert worker.wait_until_ready(time.perf_counter() + 30)
    release(worker)


@pytest.mark.parametrize("backend", [broken.SLEEPER, broken.BUSY], ids=lambda b: b.name)
def test_deadline_holds(backend: Backend) -> None:
    """A solver that never stops, even one that holds the interpreter, is killed in time."""
    started = time.perf_counter()
    answer = solve_guarded(mip_models.knapsack(), backend, time_limit_s=0.3)
    assert time.perf_counter() - started <= 0.3 + 0.2
    assert answer.status is Status.NO_PLAN_FOUND
    assert answer.limit is Limit.TIME
    assert (answer.x, answer.objective, answer.bound) == (None, None, None)


def test_killed_solver_leaves_its_incumbent() -> None:
    """The last reported point that satisfies the model survives the solver."""
    answer = solve_guarded(mip_models.knapsack(), broken.REPORTER, time_limit_s=0.5)
    assert answer.status is Status.FEASIBLE
    assert answer.x.tolist() == [0.0, 1.0, 0.0]
    assert answer.objective == -5.0


def test_killed_solver_leaves_the_warm_start() -> None:
    """Without a report the warm start is the incumbent; an infeasible one is not."""
    model = mip_models.knapsack()
    good, bad = np.array([1.0, 0.0, 1.0]), np.ones(3)
    answer = solve_guarded(model, broken.SLEEPER, time_limit_s=0.1, warm_start=good)
    assert answer.objective == -7.0
    answer = solve_guarded(model, broken.SLEEPER, time_limit_s=0.1, warm_start=bad)
    assert answer.x is None


def test_dead_solver_is_named() -> None:
    """A child that dies raises an error with the backend and the signal, and the next one works."""
    with pytest.raises(BackendError, match=r"killed failed.*SIGKILL"):
        solve_guarded(mip_models.knapsack(), broken.KILLED, time_limit_s=20)
    answer = solve_guarded(mip_models.knapsack(), backend_named("highs"), time_limit_s=20)
    assert answer.objective == -9.0


def test_programs_of_the_solver_die_with_it(tmp_path: Path) -> None:
    """A program that the solver started (CBC, say) does not outlive the deadline."""
    model = replace(mip_models.knapsack(), name=str(tmp_path / "alive"))
    solve_guarded(model, broken.WITH_A_PROGRAM, time_limit_s=0.2)
    time.sleep(1.2)
    assert not (tmp_path / "alive").exists()


def test_exception_in_the_solver_is_named() -> None:
    """An exception inside a backend comes back as a BackendError, and the child lives on."""
    with pytest.raises(BackendError, match="ZeroDivisionError: inside the solver"):
        solve_guarded(mip_models.knapsack(), broken.CRASHING, time_limit_s=20)


def test_noise_of_the_solver_is_harmless(capfd: pytest.CaptureFixture[str]) -> None:
    """What a solver prints neither breaks the protocol nor reaches the user's output."""
    answer = solve_guarded(mip_models.knapsack(), broken.CHATTY, time_limit_s=20)
    assert answer.objective == -9.0
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("name", ["highs", "scip", "cpsat", "scipy", "cbc"])
def test_hard_model_returns_in_time(name: str) -> None:
    """Each backend returns a hard model's incumbent within the allowed overrun."""
    model = mip_models.market_split()
    start = mip_models.market_split_start(model)
    started = time.perf_counter()
    answer = solve_model(model, name, time_limit_s=0.6, warm_start=start)
    assert time.perf_counter() - started <= 0.6 + 0.2
    assert answer.status is Status.FEASIBLE
    assert answer.limit is Limit.TIME
    assert model.violations(answer.x) == []


def test_child_stays_warm() -> None:
    """The second solve does not pay for the start of a process."""
    model = mip_models.knapsack()
    solve_model(model, time_limit_s=20)
    started = time.perf_counter()
    solve_model(model, time_limit_s=20)
    assert time.perf_counter() - started < 0.2


def test_cold_start_counts_against_the_limit() -> None:
    """A limit shorter than the start of a child holds too."""
    close_idle()
    started = time.perf_counter()
    answer = solve_guarded(mip_models.knapsack(), broken.SLEEPER, time_limit_s=0.02)
    assert time.perf_counter() - started <= 0.02 + 0.2
    assert answer.status is Status.NO_PLAN_FOUND


def test_script_without_main_guard(tmp_path: Path) -> None:
    """A script without ``if __name__ == "__main__"`` can solve with a time limit."""
    script = tmp_path / "plain.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys
            sys.path[:0] = [{str(ROOT)!r}, {str(Path(__file__).parent)!r}]
            import mip_models
            from moeopt.mip import solve_model
            print(solve_model(mip_models.knapsack(), time_limit_s=20).objective)
            """
        )
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)], capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("-9.0", "")


def test_warm_up_starts_one_child() -> None:
    """Asking twice starts one child."""
    close_idle()
    warm_up()
    first = acquire()
    release(first)
    warm_up()
    assert acquire() is first
    release(first)


def test_a_task_that_the_child_cannot_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "gone_backend.py"
    source.write_text("def run(*arguments): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    gone = replace(broken.CHATTY, run=importlib.import_module("gone_backend").run)
    source.unlink()
    with pytest.raises(BackendError, match="No module named 'gone_backend'"):
        solve_guarded(mip_models.knapsack(), gone, time_limit_s=20)


def test_programs_of_the_solver_die_with_the_caller(tmp_path: Path) -> None:
    """Who is killed in the middle of a solve without a limit leaves nothing running."""
    program = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(Path(__file__).parent)!r}]
from dataclasses import replace
import broken_backends, mip_models
from moeopt.core import interrupts
from moeopt.mip import guard
guard._SMALL = 0
with interrupts.heard():
    model = replace(mip_models.knapsack(), name={str(tmp_path / "alive")!r})
    guard.solve_guarded(model, broken_backends.ENDLESS_PROGRAM)
"""
    caller = subprocess.Popen([sys.executable, "-c", program])
    started = tmp_path / "alive"
    deadline = time.monotonic() + 60
    while not (started.exists() and started.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    pid = int(started.read_text())
    caller.kill()
    caller.wait()
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _runs(pid)


def test_small_models_need_no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Ctrl-C is heard, only solves that may be long pay for a process."""
    monkeypatch.setattr(guard, "acquire", lambda: pytest.fail("a child"))
    with interrupts.heard():
        answer = solve_guarded(mip_models.knapsack(), backend_named("cpsat"))
        signal.raise_signal(signal.SIGINT)
        assert interrupts.asked()
    assert answer.objective == -9.0


def _runs(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    # Nobody may wait for one whose parents are gone: a zombie is dead.
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"
