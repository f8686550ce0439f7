"""Ranks that are forked from one process, which has imported transformers for all of them.

To import it takes seconds, and as long again in every worker.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import pickle
import sys
import tempfile
import traceback
from multiprocessing import connection, forkserver
from typing import Any

import pytest

#: Where the jobs are. The tests do not import it: they run in the only process without it.
JOBS = "torch_jobs_hf"

_TIMEOUT_S = 120.0


class Forked:
    """Ranks that are forked for each call, and end with it.

    Every model that transformers spreads makes process groups, whose threads go on looking for
    messages until their process ends.
    """

    def __init__(self, world: int) -> None:
        self.world = world
        self._ranks: list[tuple[Any, Any]] = []

    def run(self, job: str, *args: Any, **kwargs: Any) -> list[Any]:
        """Call a job by its name on every rank."""
        self._start()
        call = pickle.dumps((job, args, kwargs))
        try:
            for _, pipe in self._ranks:
                pipe.send_bytes(call)
            return self._answers()
        finally:
            self.close()

    def close(self) -> None:
        for process, pipe in self._ranks:
            process.kill()
            process.join()
            pipe.close()
        if self._ranks:
            self._folder.cleanup()
        self._ranks = []

    def _start(self) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([JOBS, "pytest"])
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", os.pathsep.join(map(str, sys.path)))
            forkserver.ensure_running()
        self._folder = tempfile.TemporaryDirectory(prefix="moeopt-")
        store = os.path.join(self._folder.name, "store")
        for rank in range(self.world):
            pipe, other = context.Pipe()
            args = (other, store, rank, self.world)
            process = context.Process(target=_serve, args=args, daemon=True)
            process.start()
            other.close()
            self._ranks.append((process, pipe))

    def _answers(self) -> list[Any]:
        found: dict[Any, Any] = {}
        pipes = [pipe for _, pipe in self._ranks]
        while len(found) < len(pipes):
            ready = connection.wait([pipe for pipe in pipes if pipe not in found], _TIMEOUT_S)
            assert ready, f"no answer in {_TIMEOUT_S:g} s"
            for pipe in ready:
                trace, found[pipe] = pickle.loads(pipe.recv_bytes())  # type: ignore[union-attr]
                assert not trace, trace
        return [found[pipe] for pipe in pipes]


def _serve(pipe: Any, store: str, rank: int, world: int) -> None:
    """Answer one call, and wait until all have."""
    jobs = importlib.import_module(JOBS)
    try:
        jobs.join(store, rank, world)
        job, args, kwargs = pickle.loads(pipe.recv_bytes())
        answer = ("", getattr(jobs, job)(*args, **kwargs))
    except BaseException:
        answer = (traceback.format_exc(), None)
    pipe.send_bytes(pickle.dumps(answer))
    with contextlib.suppress(EOFError):
        pipe.recv_bytes()  # another rank may still need this one
