"""Calls spread over processes and clusters: the results, and the errors, of a loop."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moeopt.core import clusters
from moeopt.core.errors import BackendError, InstanceError, MoeoptError
from moeopt.core.many import Solve, solve_all
from moeopt.core.parallel import run_all
from moeopt.core.result import Result
from moeopt.placement.generate import hard

#: By a method that looks at no clock, and has few kernels to compile, in whatever process.
SOLVES = [Solve(hard(6, 2, 7, layers=2, seed=seed), "lpt") for seed in range(4)]


def square(number: int) -> int:
    """Return the square; 7 is too much."""
    if number == 7:
        raise InstanceError("number", number, "must not be 7", "take another")
    return number * number


class StubbornError(Exception):
    """An error that cannot be made again from its arguments."""

    def __init__(self, one: int, other: int) -> None:
        super().__init__(f"{one} and {other}")


def stubborn(number: int) -> int:
    """Raise what cannot travel."""
    raise StubbornError(number, number)


def process(_: int) -> tuple[int, str | None]:
    """Return where a call runs, and how many threads numerics have there."""
    return os.getpid(), os.environ.get("OMP_NUM_THREADS")


def die(number: int) -> int:
    """Take the worker along."""
    os._exit(9 if number else 8)


def told(results: list[Result[Any]]) -> list[Any]:
    return [(r.status, r.plan, r.objective, r.bound, r.gap) for r in results]


@pytest.fixture(scope="module", autouse=True)
def _no_workers_left() -> Iterator[None]:
    yield
    importlib.import_module("joblib.externals.loky").get_reusable_executor().shutdown(wait=True)


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers: int) -> None:
    seen: list[tuple[int, int]] = []
    done = run_all(square, range(6), workers=workers, progress=lambda *counts: seen.append(counts))
    assert done == [0, 1, 4, 9, 16, 25]
    assert seen[-1] == (6, 6)
    assert seen == sorted(seen)
    assert run_all(square, [], workers=workers) == []


def test_one_worker_needs_no_process_and_two_are_others() -> None:
    assert run_all(process, [0], workers=1)[0][0] == os.getpid()
    found = run_all(process, range(4), workers=2)
    assert os.getpid() not in {where for where, _ in found}
    assert {threads for _, threads in found} == {"1"}


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_comes_back_as_it_was_and_names_its_argument(workers: int) -> None:
    with pytest.raises(InstanceError, match="must not be 7") as raised:
        run_all(square, [3, 7, 4], workers=workers)
    assert raised.value.path == "number"
    assert raised.value.__notes__ == ["in call 2 of 3: 7"]


def test_an_error_that_cannot_travel_comes_in_words() -> None:
    with pytest.raises(MoeoptError, match="StubbornError: 5 and 5") as raised:
        run_all(stubborn, [5, 5], workers=2)
    assert "in call" in raised.value.__notes__[0]


def test_a_worker_that_dies_is_told() -> None:
    with pytest.raises(BackendError, match="backend loky failed: TerminatedWorkerError") as raised:
        run_all(die, [0, 1], workers=2)
    assert "use fewer workers" in str(raised.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"workers": 0}, "workers: must be >= 1, got 0"),
        ({"workers": 2.0}, "workers: must be a whole number"),
        ({"backend": "threads"}, "backend: must be one of serial, loky, ray, dask"),
        ({"address": "auto"}, "address: must be left out: loky runs on this machine"),
        ({"backend": "dask", "address": "here"}, "must name a host and a port, got 'here'"),
        ({"backend": "dask", "address": "tcp://h:99999"}, "address: must name a host and a port"),
        ({"backend": "ray", "address": "http://h:1"}, "write auto or ray://host:10001"),
    ],
)
def test_bad_options(options: dict[str, Any], says: str) -> None:
    with pytest.raises(InstanceError) as raised:
        run_all(square, [1, 2], **options)
    assert says in str(raised.value)


@pytest.mark.parametrize("backend", ["ray", "dask"])
def test_where_nobody_listens(backend: Any) -> None:
    with pytest.raises(BackendError, match="Connection refused; is the cluster up"):
        run_all(square, [1, 2], backend=backend, address="127.0.0.1:9")


@pytest.mark.parametrize("backend", ["ray", "dask"])
def test_a_missing_package_is_named(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, backend, None)
    with pytest.raises(InstanceError, match=rf"pip install 'moeopt\[{backend}\]'"):
        run_all(square, [1, 2], backend=backend)


def test_a_local_ray_cluster_gives_the_serial_plans_and_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = importlib.import_module("ray")
    pool = importlib.import_module("joblib.pool")
    bases = pool.PicklingPool.__bases__
    # Ray keeps its token there.
    monkeypatch.setenv("HOME", str(tmp_path))
    left = _scratch_folders()
    with clusters.opened("ray", 2, None) as options:
        assert options == {"backend": "ray", "n_jobs": 2}
        # Connected as we are, calls go to this cluster, and leave it as it is.
        found = solve_all(SOLVES, lambda call, args: run_all(call, args, workers=2, backend="ray"))
        with pytest.raises(InstanceError, match="must not be 7") as raised:
            run_all(square, [3, 7, 4], workers=2, backend="ray")
        with pytest.raises(InstanceError, match="connected to a Ray cluster already"):
            run_all(square, [1, 2], backend="ray", address="auto")
        assert ray.is_initialized()
        assert {"raylet", "gcs_server"} <= _children()
    assert told(found) == told(solve_all(SOLVES))
    assert raised.value.__notes__ == ["in call 2 of 3: 7"]
    assert not ray.is_initialized()
    assert not {"raylet", "gcs_server"} & _children()
    assert pool.PicklingPool.__bases__ == bases
    assert _scratch_folders() == left


def test_a_dask_cluster_named_or_local_gives_the_serial_plans() -> None:
    expected = told(solve_all(SOLVES))
    left = _scratch_folders()
    with clusters.opened("dask", 2, None) as options:
        address = options["backend"].client.scheduler.address
        for workers in (None, 1):
            found = solve_all(
                SOLVES,
                lambda call, args, workers=workers: run_all(
                    call, args, workers=workers, backend="dask", address=address
                ),
            )
            assert told(found) == expected
        # One of its two workers alone.
        alone = run_all(process, range(6), workers=1, backend="dask", address=address)
        assert len({where for where, _ in alone}) == 1
        assert {threads for _, threads in alone} == {"1"}
        with pytest.raises(InstanceError, match="must not be 7") as raised:
            run_all(square, [3, 7, 4], backend="dask", address=address)
        assert raised.value.__notes__ == ["in call 2 of 3: 7"]
        # Where Dask gives a batch up, nobody waits for it.
        with pytest.raises(BackendError, match="backend dask failed: KilledWorker"):
            run_all(die, [0], backend="dask", address=address)
    assert _scratch_folders() == left


def test_ctrl_c_stops_the_workers(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, pathlib, sys, time\n"
        "from moeopt.core.parallel import run_all\n"
        "def wait(number):\n"
        "    pathlib.Path(sys.argv[1], str(os.getpid())).touch()\n"
        "    time.sleep(60)\n"
        "if __name__ == '__main__':\n"
        "    run_all(wait, range(8), workers=2)\n"
    )
    pids = tmp_path / "pids"
    pids.mkdir()
    # What a worker is told by its command line is not the script's.
    source = script.read_text().replace("sys.argv[1]", repr(str(pids)))
    script.write_text(source)
    path = os.pathsep.join(entry for entry in sys.path if entry)
    sweep = subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while len(list(pids.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(sweep.pid, signal.SIGINT)
    _, said = sweep.communicate(timeout=60)
    assert said.splitlines()[-1] == "moeopt.core.parallel.Stopped"
    assert said.count("Traceback") == 1
    for pid in pids.iterdir():
        assert not _runs(int(pid.name))


def _runs(pid: int) -> bool:
    """Tell whether a process runs still; one that nobody waits for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _children() -> set[str]:
    """Return the names of this process's children that run."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue
        state, parent, *_ = rest.split()
        if int(parent) == os.getpid() and state != "Z":
            found.add(head.partition("(")[2])
    return found


def _scratch_folders() -> set[str]:
    """Return the folders that clusters made in the system's place for them."""
    return {path.name for path in Path(tempfile.gettempdir()).glob("moeopt-cluster-*")}
