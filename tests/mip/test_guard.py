"""The time limit holds and a dying solver is an error with a name, not a hang."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path

import mip_models
import numpy as np
import pytest

from moeopt.core import interrupts
from moeopt.core.errors import BackendError
from moeopt.core.result import Limit, Status
from moeopt.mip import Backend, backend_named, children, guard, solve_guarded, solve_model, warm_up
from moeopt.mip.children import acquire, close_idle, release
from moeopt.testing import broken_backends as broken

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _warm() -> None:
    """Have a child ready, so that limits of some tenths of a second go to the solver."""
    worker = acquire()
    assert worker.wait_until_ready(time.perf_counter() + 30)
    release(worker)


@pytest.mark.parametrize("backend", [broken.BUSY, broken.TALKER], ids=lambda b: b.name)
def test_deadline_holds(backend: Backend) -> None:
    """A solver that never stops is killed, whatever it does, says or reports meanwhile."""
    answer = solve_guarded(mip_models.knapsack(), backend, time_limit_s=0.2)
    assert answer.limit is Limit.TIME
    assert answer.status in (Status.NO_PLAN_FOUND, Status.FEASIBLE)
    assert answer.objective in (None, 0.0)
    assert answer.bound is None


# All others are tried by `moeopt bench reliability --only solvers`: each costs a process.
@pytest.mark.parametrize("name", ["no pickle", "forks, dies", "unpicklable answer"])
def test_a_dying_solver_is_an_error_that_names_it(name: str) -> None:
    """However a child dies, or falls silent, the error says so long before the deadline."""
    backend = next(backend for backend in broken.DYING if backend.name == name)
    with pytest.raises(BackendError, match=r"died|lives|Memory|inside the solver|cannot be sent"):
        solve_guarded(mip_models.knapsack(), backend, time_limit_s=50)


def test_nothing_is_left_of_failed_solves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither processes nor folders nor open files pile up."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    close_idle()
    before = len(os.listdir("/proc/self/fd"))
    for backend in (broken.KILLED, broken.FILLS_THE_FOLDER):
        with contextlib.suppress(BackendError):
            solve_guarded(mip_models.knapsack(), backend, time_limit_s=0.3)
    close_idle()
    deadline = time.monotonic() + 30
    while os.listdir(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert os.listdir(tmp_path) == []
    assert len(os.listdir("/proc/self/fd")) <= before


def test_a_point_of_the_model_before_is_not_taken_for_one_of_this() -> None:
    """What a solver's thread reports behind its answer reaches nobody."""
    solve_guarded(mip_models.knapsack(), broken.TALKS_BEHIND, time_limit_s=20)
    answer = solve_guarded(mip_models.assignment(), broken.SLEEPER, time_limit_s=0.2)
    assert (answer.x, answer.bound) == (None, None)


def test_a_killed_solver_proves_nothing_by_a_bound_above_its_point() -> None:
    answer = solve_guarded(
        mip_models.knapsack(), broken.PROVES_TOO_MUCH, time_limit_s=0.5, warm_start=np.zeros(3)
    )
    assert (answer.status, answer.objective, answer.bound) == (Status.FEASIBLE, 0.0, None)


def test_a_child_that_failed_strangely_is_not_used_again() -> None:
    """What ran out of memory would run out of it again; what refused a model has done no harm."""
    worker = acquire()
    release(worker)
    with pytest.raises(BackendError, match="ZeroDivisionError"):
        solve_guarded(mip_models.knapsack(), broken.CRASHING, time_limit_s=50)
    worker, before = acquire(), worker
    assert worker is not before
    release(worker)
    with pytest.raises(BackendError, match="must lie in"):
        solve_guarded(mip_models.knapsack(), broken.WRONG, time_limit_s=50)
    assert acquire() is worker
    release(worker)


def test_no_process_to_be_had_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """No temporary folder, no more processes or open files: a sentence, and nothing is left."""
    close_idle()
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with pytest.raises(BackendError, match="no process could be started"):
        solve_guarded(mip_models.knapsack(), broken.SLEEPER, time_limit_s=0.2)
    warm_up()


def test_killed_solver_leaves_its_incumbent() -> None:
    """The best reported point that satisfies the model survives the solver."""
    answer = solve_guarded(mip_models.knapsack(), broken.REPORTER, time_limit_s=1.0)
    assert answer.status is Status.FEASIBLE
    assert answer.x.tolist() == [0.0, 0.0, 0.0]
    assert answer.objective == 0.0


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
        solve_guarded(mip_models.knapsack(), broken.KILLED, time_limit_s=50)
    answer = solve_guarded(mip_models.knapsack(), backend_named("highs"), time_limit_s=50)
    assert answer.objective == -9.0


def test_programs_of_the_solver_die_with_it(tmp_path: Path) -> None:
    """A program that the solver started (CBC, say) does not outlive the deadline."""
    model = replace(mip_models.knapsack(), name=str(tmp_path / "alive"))
    solve_guarded(model, broken.WITH_A_PROGRAM, time_limit_s=0.2)
    time.sleep(1.2)
    assert not (tmp_path / "alive").exists()


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
    answer = solve_model(model, name, time_limit_s=0.6, warm_start=start)
    assert answer.status is Status.FEASIBLE
    assert answer.limit is Limit.TIME
    assert model.violations(answer.x) == []


def test_child_stays_warm() -> None:
    """The second solve does not pay for the start of a process."""
    first = acquire()
    release(first)
    solve_guarded(mip_models.knapsack(), backend_named("highs"), time_limit_s=50)
    assert acquire() is first
    release(first)


def test_a_warm_child_keeps_nothing_of_what_it_solved() -> None:
    """Threads that are done would pile up over many solves."""
    for _ in range(3):
        solve_guarded(mip_models.knapsack(), broken.CHATTY, time_limit_s=50)
    worker = acquire()
    assert len(worker._threads) == 3
    release(worker)


def test_no_child_is_started_for_a_program_that_ends() -> None:
    """A child that is to replace a failed one is of no use then."""
    program = """
import atexit
from moeopt.mip import children
children.discard(children.Worker(), renew=True)
atexit.register(lambda: print(len(children._idle)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout.strip(), done.stderr) == ("0", "")


def test_who_takes_over_has_the_only_child() -> None:
    """A child that is to replace a failed one is of no use where the next solver started one."""
    close_idle()
    before = set(threading.enumerate())
    with pytest.raises(BackendError):
        solve_guarded(mip_models.knapsack(), broken.UNPICKLABLE, time_limit_s=50)
    solve_guarded(mip_models.knapsack(), backend_named("scip"), time_limit_s=50)
    for thread in set(threading.enumerate()) - before:
        if not thread.daemon:
            thread.join(timeout=60)
    assert len(children._idle) == 1


def test_cold_start_counts_against_the_limit() -> None:
    """A limit shorter than the start of a child holds too."""
    close_idle()
    answer = solve_guarded(mip_models.knapsack(), broken.SLEEPER, time_limit_s=0.02)
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
import mip_models
from moeopt.testing import broken_backends
from moeopt.core import interrupts
from moeopt.mip import guard
guard.SMALL = 0
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
