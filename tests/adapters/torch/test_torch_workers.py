"""Workers: what they answer, how their failures surface, and that nothing is left of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch_jobs_workers as jobs
from torch_pools import Pool

from moeopt.adapters.torch.workers import Workers
from moeopt.core.errors import AdapterError, InstanceError

#: A parent that starts workers, tells who they are, and then does something.
_PARENT = """
import torch_jobs_workers as jobs
from moeopt.adapters.torch.workers import Workers

workers = Workers({world})
print(*workers.run(jobs.pid), flush=True)
{then}
"""


@pytest.fixture(scope="module")
def worker() -> Iterator[Pool]:
    """One worker: failures of one need no other, and it starts sooner."""
    pool = Pool(1)
    yield pool
    pool.close()


def _ended(process: int) -> bool:
    """Tell whether a process is gone; one that nobody has waited for counts as gone."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


def test_answers_come_rank_by_rank(workers2: Pool) -> None:
    assert workers2.run(jobs.ranked, 5, plus=1) == [1, 6]
    for answer in workers2.run(jobs.total, torch.arange(3.0)):
        assert answer.tolist() == [0.0, 3.0, 6.0]


def test_big_messages_pass(workers2: Pool) -> None:
    big = torch.ones(1 << 20)
    for answer in workers2.run(jobs.total, big):
        assert torch.equal(answer, big * 3)


def test_what_a_job_prints_and_reads_disturbs_nothing(workers2: Pool) -> None:
    assert workers2.run(jobs.chatty) == ["heard", "heard"]
    assert workers2.run(jobs.ranked, 1) == [0, 1]


@pytest.mark.parametrize(
    ("job", "args", "message"),
    [
        (jobs.refusing_unreadably, (), "failed: .*here: must be 4, got .*; count again"),
        (jobs.returning_a_lock, (), "failed: TypeError: cannot pickle '_thread.lock' object"),
        (jobs.returning_a_stranger, (), "gave an answer that cannot be read here: .*nowhere"),
        (jobs.leaving, (0, 3), "^worker 0 failed: SystemExit: 3"),
        (jobs.crashing, (), "^worker 0 died: exit code 7, last words$"),
    ],
)
def test_an_answer_that_none_can_read_is_told(
    worker: Pool, job: Callable[..., Any], args: tuple[int, ...], message: str
) -> None:
    with pytest.raises(AdapterError, match=message):
        worker.run(job, *args)


@pytest.mark.parametrize(
    ("job", "args", "message"),
    [
        (jobs.raising, (1,), r"^worker 1 failed: torch_jobs_workers\.Odd: a thing"),
        (jobs.killed, (1,), "^worker 1 died: signal SIGKILL"),
    ],
)
def test_a_failure_ends_also_those_that_wait(
    workers2: Pool, job: Callable[..., Any], args: tuple[int, ...], message: str
) -> None:
    workers = workers2.workers()
    processes = workers.run(jobs.pid)
    with pytest.raises(AdapterError, match=message) as caught:
        workers.run(job, *args)
    # The trace of what was raised there comes along.
    assert ("in raising" in "".join(getattr(caught.value, "__notes__", []))) is (
        job is jobs.raising
    )
    assert not workers.alive
    assert all(map(_ended, processes))


def test_our_own_errors_stay_what_they_are(worker: Pool) -> None:
    with pytest.raises(InstanceError, match=r"^here: must be 4, got 3; count again$") as caught:
        worker.run(jobs.refusing)
    assert caught.value.remedy == "count again"


def test_a_call_that_takes_too_long_is_given_up(worker: Pool) -> None:
    processes = worker.run(jobs.pid)
    with pytest.raises(AdapterError, match=r"^no answer of worker 0 in 0\.5 s$"):
        worker.run(jobs.stuck, 0, timeout_s=0.5)
    assert all(map(_ended, processes))


def test_an_interrupted_call_ends_them(worker: Pool) -> None:
    workers = worker.workers()
    processes = workers.run(jobs.pid)
    with pytest.raises(KeyboardInterrupt):
        workers.run(jobs.interrupting, os.getpid())
    assert not workers.alive
    assert all(map(_ended, processes))


def test_a_call_that_cannot_be_sent_ends_nothing(
    worker: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = worker.workers()
    with pytest.raises(AdapterError, match=r"cannot be sent to the workers: .*can import"):
        workers.run(lambda: None)
    # As in a plain script; it could be sent, but nobody there would know it.
    monkeypatch.setattr(sys.modules["__main__"], "ranked", _of_a_script, raising=False)
    with pytest.raises(AdapterError, match=r"a function of the program itself.*give a"):
        workers.run(_of_a_script)
    assert workers.run(jobs.ranked, 1) == [0]


def ranked() -> None:
    """Do nothing, in the name of a program."""


_of_a_script = types.FunctionType(ranked.__code__, {"__name__": "__main__"}, "ranked")


def test_ended_workers_leave_nothing_and_take_no_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Neither a folder that is no address, nor a path that is no text.
    folder = tmp_path / "a b#c?d%20"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(sys, "path", [*sys.path, tmp_path])
    with Workers(1) as workers:
        (process,) = workers.run(jobs.pid)
        assert len(list(folder.iterdir())) == len(list(tmp_path.iterdir())) == 1
    assert _ended(process)
    assert not any(folder.iterdir())
    workers.close()
    with pytest.raises(AdapterError, match="the workers have ended; start new ones"):
        workers.run(jobs.pid)


def test_workers_that_do_not_start_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(InstanceError, match="world: must be >= 1, got 0"):
        Workers(0)
    with pytest.raises(AdapterError, match=r"worker 1 does not start: .*no-such-command"):
        Workers(2, prefixes=[["env"], ["no-such-command"]])
    with pytest.raises(AdapterError, match="worker 0 died: exit code 1"):
        Workers(1, prefixes=[["false"]])
    with pytest.raises(AdapterError, match=r"worker 0 failed: .*no-such-interface"):
        Workers(1, environment={"GLOO_SOCKET_IFNAME": "no-such-interface"})
    assert not any(tmp_path.iterdir())


def test_workers_end_with_their_parent_idle_or_not(tmp_path: Path) -> None:
    with _parent(tmp_path, 2, "workers.run(jobs.stuck, 1)") as parent:
        processes = _told(parent)
        assert len(processes) == 2
        # A parent that is killed leaves its folder.
        parent.send_signal(signal.SIGKILL)
    _wait_for_the_end_of(processes)


def test_a_parent_that_forgets_them_leaves_nothing(tmp_path: Path) -> None:
    with _parent(tmp_path, 1, "") as parent:
        processes = _told(parent)
    assert len(processes) == 1
    assert not any(tmp_path.iterdir())
    _wait_for_the_end_of(processes)


def _parent(folder: Path, world: int, then: str) -> subprocess.Popen[str]:
    here = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    return subprocess.Popen(
        [sys.executable, "-c", _PARENT.format(world=world, then=then)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": here, "TMPDIR": str(folder)},
        text=True,
    )


def _told(parent: subprocess.Popen[str]) -> list[int]:
    """Return the processes that a parent names."""
    assert parent.stdout is not None
    return [int(word) for word in parent.stdout.readline().split()]


def _wait_for_the_end_of(processes: list[int]) -> None:
    deadline = time.monotonic() + 60
    while not all(map(_ended, processes)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert all(map(_ended, processes))
