"""A time limit that holds: the solver runs in a child process that can be killed.

Solvers treat their time limit as advice (HiGHS and CP-SAT are known to overrun it by hours), and
no thread can be stopped from outside. So, with a time limit, or where Ctrl-C is to end the solve
alone (`moeopt.core.interrupts`) and the model is not small, the solver runs in a child process;
else it runs in this process.

The child is our own and not one of `multiprocessing`: ``spawn`` and ``forkserver`` import the
user's main script again, which fails for every script without ``if __name__ == "__main__"``, and
``fork`` copies the locks of running threads. It takes 0.3 s to start (1 s on a busy machine), so it
stays, idle, for the next solve: from then on a call costs some 10 ms. The start counts against the
time limit; `warm_up` lets it happen while the caller builds the model.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from moeopt.core import interrupts
from moeopt.core.arrays import FloatArray
from moeopt.core.errors import BackendError
from moeopt.core.result import Limit, Status
from moeopt.mip.answer import (
    MipAnswer,
    Verdict,
    checked_start,
    disproved,
    judged,
    with_start,
)
from moeopt.mip.backends.record import Backend
from moeopt.mip.children import Worker, acquire, discard, release
from moeopt.mip.model import LinearModel

#: A call may overrun its time limit by this share or this many seconds, whichever is more.
OVERRUN_SHARE = 0.10
OVERRUN_S = 0.2

#: Part of the allowed overrun that a solver gets to stop by itself; the rest is for killing it.
_GRACE = 0.5

#: Nonzeros up to which a solver without a time limit is done before a child has started.
SMALL = 500

#: How often one that waits for a solver looks whether there was a Ctrl-C.
_LOOK_S = 0.05

#: ``told(objective, bound)``: what a solver has found so far; ``None`` is unknown.
Told = Callable[[float | None, float | None], None]

#: The last incumbent and the last bound that a solver reported.
_Found = tuple[FloatArray | None, float | None]


def solve_guarded(
    model: LinearModel,
    backend: Backend,
    *,
    time_limit_s: float | None = None,
    gap: float = 0.0,
    seed: int = 0,
    threads: int = 1,
    warm_start: FloatArray | None = None,
    told: Told | None = None,
) -> MipAnswer:
    """Solve with `backend`, returning at the latest 10 % or 0.2 s after the time limit.

    A solver that had to be killed still gives its last reported incumbent, or the warm start.

    Parameters
    ----------
    model, time_limit_s, gap, seed, threads, warm_start
        As for `moeopt.mip.solve.solve_model`.
    backend
        Which solver.
    told
        Told of incumbents and bounds by a backend that reports them, if it runs in a child process.

    Raises
    ------
    BackendError
        If the solver failed, or its process died.
    """
    options: dict[str, Any] = {"gap": gap, "seed": seed, "threads": threads}
    if time_limit_s is None and (not interrupts.hearing() or model.A.nnz <= SMALL):
        return backend.solve(model, warm_start=warm_start, **options)
    if interrupts.asked():
        return _cut_short(model, backend, (None, None), warm_start, 0.0)
    started = time.perf_counter()
    limit_s = math.inf if time_limit_s is None else time_limit_s
    kill_at = started + limit_s + _GRACE * max(OVERRUN_SHARE * limit_s, OVERRUN_S)
    worker = acquire()
    best: _Found = None, None
    keep = True  # a child that is still starting will be warm for the next call
    try:
        if _ready(worker, started + limit_s):
            keep = False
            remaining_s = max(0.0, started + limit_s - time.perf_counter())
            task = {"backend": backend, "model": model, "warm_start": warm_start, **options}
            worker.send({**task, "time_limit_s": None if math.isinf(limit_s) else remaining_s})
            while frames := _received(worker, kill_at):
                reported = [content for kind, content in frames if kind == "incumbent"]
                best = functools.reduce(functools.partial(_better, model), reported, best)
                if reported and told is not None:
                    told(None if best[0] is None else model.evaluate(best[0]), best[1])
                kind, content = frames[-1]  # nothing comes behind an answer
                if kind == "incumbent":
                    continue
                keep = kind != "broken"
                if kind != "answer":
                    raise cast("BackendError", content)
                answer = cast("MipAnswer", content)
                return replace(answer, solve_s=time.perf_counter() - started)
            worker.raise_if_dead(backend.name)
    finally:
        if keep and worker.alive and not worker.ended:
            release(worker)
        else:
            discard(worker, renew=not interrupts.asked())
    return _cut_short(model, backend, best, warm_start, time.perf_counter() - started)


def _better(model: LinearModel, best: _Found, reported: _Found) -> _Found:
    """Return what is known after a report, which may be of a point or of a bound alone."""
    x, bound = reported
    worse = x is None or (best[0] is not None and model.evaluate(best[0]) < model.evaluate(x))
    return best[0] if worse else x, best[1] if bound is None else bound


def _ready(worker: Worker, deadline: float) -> bool:
    """Wait for a child's start; ``False`` at the deadline or after Ctrl-C."""
    while not interrupts.asked():
        now = time.perf_counter()
        if worker.wait_until_ready(min(deadline, now + _LOOK_S)):
            return True
        if now >= deadline:
            break
    return False


def _received(worker: Worker, deadline: float) -> list[tuple[str, Any]]:
    """Return the child's next messages; none at the deadline, if it died, or after Ctrl-C."""
    while not interrupts.asked():
        now = time.perf_counter()
        if now >= deadline:  # whatever is said by then: a solver may talk for ever
            break
        frames = worker.receive(min(deadline, now + _LOOK_S))
        if frames or worker.ended:
            return frames
    return []


def _cut_short(
    model: LinearModel,
    backend: Backend,
    best: _Found,
    warm_start: FloatArray | None,
    solve_s: float,
) -> MipAnswer:
    """Return what is known when the solver had to be killed."""
    limit = Limit.INTERRUPTED if interrupts.asked() else Limit.TIME
    start = checked_start(model, warm_start)
    x, bound = best
    if bound is not None and any(
        disproved(model, bound, point) for point in (x, start) if point is not None
    ):
        bound = None
    answer = MipAnswer(
        status=Status.NO_PLAN_FOUND, limit=limit, bound=bound, backend=backend.version()
    )
    if x is not None:
        answer = judged(
            model, verdict=Verdict.FEASIBLE, limit=limit, x=x, bound=bound, gap=0.0,
            backend=answer.backend,
        )  # fmt: skip
    answer = with_start(answer, model, start)
    return replace(answer, solve_s=solve_s)
