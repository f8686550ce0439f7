"""`solve_model`: what wings call. Picks a backend, keeps the deadline, goes on when one fails."""

from __future__ import annotations

import logging
import time

from moeopt.core.arrays import FloatArray
from moeopt.core.errors import BackendError
from moeopt.mip.answer import MipAnswer
from moeopt.mip.backends import backend_named, default_order
from moeopt.mip.guard import solve_guarded
from moeopt.mip.model import LinearModel

_log = logging.getLogger(__name__)


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
        A name of `available_backends`, or ``"auto"``: `default_order`, one after another's failure.
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
    names = default_order(model) if backend == "auto" else (backend,)
    failures: list[BackendError] = []
    for name in names:
        remaining_s = None
        if time_limit_s is not None:
            remaining_s = max(0.0, time_limit_s - (time.perf_counter() - started))
            if remaining_s == 0.0 and failures:
                break
        try:
            return solve_guarded(
                model, backend_named(name), time_limit_s=remaining_s, gap=gap, seed=seed,
                threads=threads, warm_start=warm_start,
            )  # fmt: skip
        except BackendError as error:
            _log.info("%s", error)
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    said = "; ".join(f"{error.backend}: {error.said}" for error in failures)
    raise BackendError("auto", said or "none is installed", "install ortools, or name a backend")
