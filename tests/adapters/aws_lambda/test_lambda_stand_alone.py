"""Parts of the stand by themselves: a worker without a server, what a log says, what a bill is."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from lambda_small import CODE, runs, soon

from moeopt.adapters.aws_lambda.stand.callers import Callers
from moeopt.adapters.aws_lambda.stand.front import name_of
from moeopt.adapters.aws_lambda.stand.functions import Function
from moeopt.adapters.aws_lambda.stand.governor import Governor
from moeopt.adapters.aws_lambda.stand.instance import Home
from moeopt.adapters.aws_lambda.stand.invocation import Conditions, Run
from moeopt.adapters.aws_lambda.stand.link import Links
from moeopt.adapters.aws_lambda.stand.pool import Pool
from moeopt.adapters.aws_lambda.stand.report import TAIL_BYTES, Ran, billed_ms, written
from moeopt.adapters.aws_lambda.stand.shape import Shape
from moeopt.adapters.aws_lambda.stand.watch import Watcher
from moeopt.core.errors import AdapterError

PLAIN = Conditions(cold_start_s=0.0, processors=False, answer_s=lambda size: 0.0)


@pytest.fixture
def function(tmp_path: Path) -> Function:
    (tmp_path / "code").mkdir()
    return Function(
        name="alone", arn="arn:aws:lambda:us-east-1:123456789012:function:alone", memory_mb=1769,
        timeout_s=5, handler="small.handle", folder=tmp_path / "code", paths=(), environment=(),
        revision=0, reserved=None,
    )  # fmt: skip


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    (tmp_path / "workers").mkdir()
    home = Home(
        python=sys.executable, endpoint="http://127.0.0.1:1", region="us-east-1",
        folder=tmp_path / "workers", watcher=Watcher(),
    )  # fmt: skip
    governor = Governor()
    made = Pool(home, governor, Callers(), Links(Shape()))
    yield made
    made.close()
    governor.close()
    assert not list((tmp_path / "workers").iterdir())


def test_lambda_stand_alone_a_start_beyond_its_limit_is_the_calls_own_time(
    pool: Pool, function: Function
) -> None:
    (function.folder / "small.py").write_text(f"import time\ntime.sleep(0.2)\n{CODE}")
    ran = Run(pool, function, b"{}", replace(PLAIN, init_s=0.02)).run()
    assert not ran.failed
    assert ran.init_s is None
    assert ran.duration_s >= 0.2
    assert b"Phase: init\tStatus: timeout\n" in ran.log
    assert pool.alive() == 1
    # Nobody sees more of a log than its end, so no more is kept.
    ran = Run(pool, function, b'{"print": "%s"}' % (b"y" * 10_000), PLAIN).run()
    assert len(ran.log) == TAIL_BYTES
    # The call was on its way when the function was deleted.
    pool.update("alone", None)
    assert not Run(pool, function, b"{}", PLAIN).run().failed
    assert pool.alive() == 0


def test_lambda_stand_alone_a_start_beyond_the_time_out_fails(
    pool: Pool, function: Function
) -> None:
    (function.folder / "small.py").write_text(f"import time\ntime.sleep(60)\n{CODE}")
    ran = Run(pool, replace(function, timeout_s=0.2), b"{}", replace(PLAIN, init_s=0.1)).run()
    assert ran.failed
    assert ran.status == "timeout"
    assert b"Sandbox.Timedout" in ran.body
    assert pool.alive() == 0


def test_lambda_stand_alone_a_worker_killed_while_it_waits_is_not_called(
    pool: Pool, function: Function
) -> None:
    (function.folder / "small.py").write_text(CODE)
    first = Run(pool, function, b"{}", PLAIN).run()
    assert not first.failed
    worker = pool.idle(function)
    assert worker is not None
    pool.release(worker)
    worker.crash()
    assert soon(lambda: not worker.alive)
    again = Run(pool, function, b"{}", PLAIN).run()
    assert not again.failed
    assert again.init_s is not None


def test_lambda_stand_alone_a_worker_that_cannot_start_leaves_nothing(
    pool: Pool, function: Function, tmp_path: Path
) -> None:
    def left() -> tuple[int, int, list[Path]]:
        files = len(list(Path("/proc/self/fd").iterdir()))
        return files, threading.active_count(), list((tmp_path / "workers").iterdir())

    before = left()
    with pytest.raises(FileNotFoundError):
        pool.start(replace(function, folder=tmp_path / "nowhere"))
    assert soon(lambda: left() == before)


def test_lambda_stand_alone_without_a_governor_workers_end(pool: Pool, function: Function) -> None:
    (function.folder / "small.py").write_text(CODE)
    first, second = pool.start(function), pool.start(function)
    os.kill(pool.governor.pid, signal.SIGKILL)
    assert soon(lambda: not pool.governor.alive)
    with pytest.raises(AdapterError, match="governor has ended"):
        pool.end(first)
    with pytest.raises(AdapterError, match="governor has ended"):
        pool.start(function)
    pool.close()
    assert not runs(first.pid)
    assert not runs(second.pid)


def test_lambda_stand_alone_closing_ends_calls_that_run(
    pool: Pool, function: Function, tmp_path: Path
) -> None:
    (function.folder / "small.py").write_text(CODE)
    child, found = tmp_path / "child", []
    event = f'{{"child": "{child}", "seconds": 60}}'.encode()
    call = threading.Thread(target=lambda: found.append(Run(pool, function, event, PLAIN).run()))
    call.start()
    assert soon(lambda: child.exists() and len(child.read_text().split()) == 2)
    pids = [int(word) for word in child.read_text().split()]
    pool.close()
    assert soon(lambda: not any(map(runs, pids)))
    call.join(20.0)
    assert found[0].failed


def test_lambda_stand_alone_starts_are_billed_with_the_call() -> None:
    assert billed_ms(0.0009999, None) == 1
    assert billed_ms(0.002, None) == 2
    assert billed_ms(0.00201, None) == 3
    assert billed_ms(0.0005, 0.0004) == 1
    assert billed_ms(0.1, 0.25) == 350


def test_lambda_stand_alone_a_log_is_lambdas_to_the_letter() -> None:
    ran = Ran(
        request_id="c0ffee", body=b"", failed=False, duration_s=0.01234, init_s=0.1005,
        used_mb=43, log=b"no end of line",
    )  # fmt: skip
    assert written(ran, 128).decode() == (
        "START RequestId: c0ffee Version: $LATEST\n"
        "no end of line\n"
        "END RequestId: c0ffee\n"
        "REPORT RequestId: c0ffee\tDuration: 12.34 ms\tBilled Duration: 113 ms\t"
        "Memory Size: 128 MB\tMax Memory Used: 43 MB\tInit Duration: 100.50 ms\t\n"
    )


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("one", ("one", "")),
        ("one:7", ("one", "7")),
        ("function", ("function", "")),
        ("123456789012:function:one", ("one", "")),
        (
            "arn:aws:lambda:us-east-1:123456789012:function:function:$LATEST",
            ("function", "$LATEST"),
        ),
    ],
)
def test_lambda_stand_alone_names_are_read_from_arns(text: str, name: tuple[str, str]) -> None:
    assert name_of(text) == name


def test_lambda_stand_alone_watching_stops_when_it_is_dropped(tmp_path: Path) -> None:
    watcher, heard = Watcher(), threading.Event()
    reading, writing = os.pipe()
    watcher.add(reading, heard.set)
    os.write(writing, b"x")
    assert heard.wait(20.0)
    watcher.drop(reading)
    time.sleep(0.02)
    heard.clear()
    os.write(writing, b"x")
    assert not heard.wait(0.05)
    watcher.drop(reading)
    os.close(reading)
    os.close(writing)
