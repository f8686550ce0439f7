"""`solve_model`: what wings call. Picks a backend, keeps the deadline, goes on when one fails.

`using_backend` says for a block which one ``"auto"`` picks.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace

from moeopt.core import interrupts
from moeopt.core.arrays import FloatArray
from moeopt.core.errors import BackendError
from moeopt.core.result import OPTIMALITY_TOLERANCE, Status
from moeopt.mip.answer import MipAnswer, checked_start
from moeopt.mip.backends import backend_named, default_order
from moeopt.mip.guard import SMALL, solve_guarded
from moeopt.mip.model import LinearModel
from moeopt.mip.presolve import within_reach

_log = logging.getLogger(__name__)

#: Backends that share a solver are no second opinion on each other.
_ENGINE = {"highs": "highs", "scipy": "highs"}

#: A second opinion gets this many times what the first took, and at least this many seconds, of
#: which the start of its process may take one.
_CONFIRM_FACTOR = 2.0
_CONFIRM_LEAST_S = 2.0

#: Linear programs with more entries are asked of one solver: what they prove can be doubted less,
#: and a second opinion costs as much as the first.
_SMALL_PROGRAM = 5_000

#: A backend that stops with nothing before this share of the time is left has given up.
_EARLY_SHARE = 0.1

#: The only backend that ``"auto"`` may ask, or ``None`` for the usual order.
_ONLY: ContextVar[str | None] = ContextVar("only backend", default=None)


@contextmanager
def using_backend(name: str) -> Iterator[None]:
    """Let ``"auto"`` ask this backend alone within a ``with`` block, and nobody about its answers.

    For comparing solvers, and for whoever owns a better one. What a single solver claims to have
    proven is not `confirmed`, and where it fails, no other takes over. Methods that hand their own
    intervals or groups to CP-SAT do so all the same.

    Parameters
    ----------
    name
        A name of `available_backends`.

    Raises
    ------
    BackendError
        If there is no such backend, or it cannot run on this machine.
    """
    backend_named(name)
    token = _ONLY.set(name)
    try:
        yield
    finally:
        _ONLY.reset(token)


def solve_model(
    model: LinearModel,
    backend: str = "auto",
    *,
    time_limit_s: float | None = None,
    gap: float = 0.0,
    seed: int = 0,
    threads: int = 1,
    warm_start: FloatArray | None = None,
) -> MipAnswer:
    """Return what a backend finds for `model` within the time limit.

    Parameters
    ----------
    model
        What to minimise.
    backend
        A name of `available_backends`, or ``"auto"``: that of `using_backend`, else
        `default_order`, one after another's failure, and a second opinion (`confirmed`) on what the
        first claims to have proven.
    time_limit_s
        Wall-clock seconds for everything; holds even if a solver does not stop.
    gap
        Stop at this relative gap.
    seed
        Seed of the solver's random choices.
    threads
        Threads the solver may use, where it obeys.
    warm_start
        A point to start from. If it is feasible, the answer is never worse.

    Raises
    ------
    BackendError
        If the backend failed; with ``"auto"``, if every one did.
    """
    started = time.perf_counter()
    if backend == "auto":
        backend = _ONLY.get() or backend
    start = checked_start(model, warm_start)
    model = model if start is None else within_reach(model, start)
    names = default_order(model) if backend == "auto" else (backend,)
    failures: list[BackendError] = []
    left: MipAnswer | None = None
    for name in names:
        remaining_s = None
        if time_limit_s is not None:
            remaining_s = max(0.0, time_limit_s - (time.perf_counter() - started))
            if remaining_s == 0.0 and failures:
                break
        try:
            answer = solve_guarded(
                model, backend_named(name), time_limit_s=remaining_s, gap=gap, seed=seed,
                threads=threads, warm_start=start,
            )  # fmt: skip
        except BackendError as error:
            _log.info("%s", error)
            failures.append(error)
            continue
        if backend != "auto":
            return answer
        left_s = None
        if time_limit_s is not None:
            left_s = time_limit_s - (time.perf_counter() - started)
        if not _gave_up(answer, left_s, time_limit_s):
            return confirmed(model, answer, name, left_s)
        _log.info("%s found nothing and stopped before the time", answer.backend)
        left = answer
    if left is not None:
        return left
    if len(failures) == 1:
        raise failures[0]
    said = "; ".join(f"{error.backend}: {error.said}" for error in failures)
    raise BackendError("auto", said or "none is installed", "install ortools, or name a backend")


def confirmed(model: LinearModel, answer: MipAnswer, name: str, left_s: float | None) -> MipAnswer:
    """Ask a second solver about a claim that nothing is better, for a comparable time.

    HiGHS 1.12 to 1.15 prove some small models optimal at a point that is not (the model
    ``highs-wrong-optimum`` among the tests): a point can be checked, a proof cannot. If the second
    solver finds better, its answer stands; if it cannot tell in time, the claim is passed on.
    Linear programs are confirmed up to 5,000 entries, and agreement about them is not told.

    Parameters
    ----------
    answer, name
        What the first backend said, and its name.
    left_s
        Seconds left, or ``None`` for no limit.
    """
    proven = answer.status in (Status.OPTIMAL, Status.INFEASIBLE, Status.UNBOUNDED)
    second = _second_opinion(model, name)
    program = not model.integrality.any()
    if not proven or second is None or (program and model.A.nnz > _SMALL_PROGRAM):
        return answer
    limit_s = max(_CONFIRM_LEAST_S, _CONFIRM_FACTOR * answer.solve_s)
    limit_s = limit_s if left_s is None else min(limit_s, left_s)
    if limit_s <= 0:
        return answer
    # A program of some hundred entries takes less than a process in which it could be stopped.
    unlimited = program and left_s is None and model.A.nnz <= SMALL
    try:
        other = solve_guarded(
            model,
            backend_named(second),
            time_limit_s=None if unlimited else limit_s,
            warm_start=answer.x,
        )
    except BackendError as error:
        _log.info("no second opinion: %s", error)
        return answer
    if other.objective is not None and not _agree(answer.objective, other.objective):
        _log.warning(
            "%s says %s (objective %s), but %s found %s: the better one is taken",
            answer.backend, answer.status, answer.objective, other.backend, other.objective,
        )  # fmt: skip
        return replace(other, solve_s=answer.solve_s + other.solve_s)
    if program or other.status is not answer.status:
        return answer
    backend = f"{answer.backend}, confirmed by {other.backend}"
    return replace(answer, backend=backend, solve_s=answer.solve_s + other.solve_s)


def _gave_up(answer: MipAnswer, left_s: float | None, limit_s: float | None) -> bool:
    """Tell whether a backend stopped with nothing though there was time."""
    if answer.status is not Status.NO_PLAN_FOUND or interrupts.asked():
        return False
    return left_s is None or limit_s is None or left_s > _EARLY_SHARE * limit_s


def _second_opinion(model: LinearModel, name: str) -> str | None:
    """Return a backend that takes the model and has another solver inside than `name`."""
    engine = _ENGINE.get(name, name)
    others = (o for o in default_order(model) if _ENGINE.get(o, o) != engine)
    return next(others, None)


def _agree(first: float | None, second: float) -> bool:
    """Tell whether the first objective is no worse than the second, up to tolerance."""
    return first is not None and first <= second + OPTIMALITY_TOLERANCE * max(1.0, abs(second))
