"""A time limit that holds: the solver runs in a child process that can be killed.

Solvers treat their time limit as advice (HiGHS and CP-SAT are known to overrun it by hours), and
no thread can be stopped from outside. So, with a time limit, the solver always runs in a child
process; without one it runs in this process.

The child is our own and not one of `multiprocessing`: ``spawn`` and ``forkserver`` import the
user's main script again, which fails for every script without ``if __name__ == "__main__"``, and
``fork`` copies the locks of running threads. It takes 0.3 s to start (1 s on a busy machine), so it
stays, idle, for the next solve: from then on a call costs some 10 ms. The start counts against the
time limit; `warm_up` lets it happen while the caller builds the model.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, cast

from moeopt.core.arrays import FloatArray
from moeopt.core.errors import BackendError
from moeopt.core.result import Limit, Status
from moeopt.mip.answer import MipAnswer, Verdict, checked_start, judged, with_start
from moeopt.mip.backends.record import Backend
from moeopt.mip.children import acquire, release, warm_up
from moeopt.mip.model import LinearModel

#: A call may overrun its time limit by this share or this many seconds, whichever is more.
OVERRUN_SHARE = 0.10
OVERRUN_S = 0.2

#: Part of the allowed overrun that a solver gets to stop by itself; the rest is for killing it.
_GRACE = 0.6


def solve_guarded(
    model: LinearModel,
    backend: Backend,
    *,
    time_limit_s: float | None = None,
    gap: float = 0.0,
    seed: int = 0,
    threads: int = 1,
    warm_start: FloatArray | None = None,
) -> MipAnswer:
    """Solve with `backend`, returning at the latest 10 % or 0.2 s after the time limit.

    A solver that had to be killed still gives its last reported incumbent, or the warm start.

    Raises
    ------
    BackendError
        If the solver failed, or its process died.
    """
    options: dict[str, Any] = {"gap": gap, "seed": seed, "threads": threads}
    if time_limit_s is None:
        return backend.solve(model, warm_start=warm_start, **options)
    started = time.perf_counter()
    kill_at = started + time_limit_s + _GRACE * max(OVERRUN_SHARE * time_limit_s, OVERRUN_S)
    worker = acquire()
    best: tuple[FloatArray, float | None] | None = None
    keep = True  # a child that is still starting will be warm for the next call
    try:
        if worker.wait_until_ready(started + time_limit_s):
            keep = False
            remaining_s = max(0.0, started + time_limit_s - time.perf_counter())
            task = {"backend": backend, "model": model, "warm_start": warm_start, **options}
            worker.send({**task, "time_limit_s": remaining_s})
            while (frame := worker.receive(kill_at)) is not None:
                kind, content = frame
                if kind == "incumbent":
                    best = content
                    continue
                keep = True
                if kind == "error":
                    raise cast("BackendError", content)
                answer = cast("MipAnswer", content)
                return replace(answer, solve_s=time.perf_counter() - started)
            worker.raise_if_dead(backend.name)
    finally:
        if keep and worker.alive:
            release(worker)
        else:
            worker.kill()
            warm_up()
    return _cut_short(model, backend, best, warm_start, time.perf_counter() - started)


def _cut_short(
    model: LinearModel,
    backend: Backend,
    best: tuple[FloatArray, float | None] | None,
    warm_start: FloatArray | None,
    solve_s: float,
) -> MipAnswer:
    """Return what is known when the solver had to be killed."""
    bound = best[1] if best else None
    answer = MipAnswer(
        status=Status.NO_PLAN_FOUND, limit=Limit.TIME, bound=bound, backend=backend.version()
    )
    if best is not None:
        answer = judged(
            model, verdict=Verdict.FEASIBLE, limit=Limit.TIME, x=best[0], bound=bound, gap=0.0,
            backend=answer.backend,
        )  # fmt: skip
    answer = with_start(answer, model, checked_start(model, warm_start))
    return replace(answer, solve_s=solve_s)
