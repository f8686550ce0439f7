"""Whole solves of each wing while its solvers fail: by the next solver, and by none at all."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import moeopt
from moeopt.bench.reliability.trial import Trial
from moeopt.core.errors import BackendError
from moeopt.core.result import OPTIMALITY_TOLERANCE, Result, exceeds
from moeopt.mip import Backend, backend_named
from moeopt.mip.guard import OVERRUN_S, OVERRUN_SHARE
from moeopt.testing import broken_backends as broken

#: Small problems of each wing whose method asks `moeopt.mip.solve_model`.
_PROBLEMS = (
    ("placement/tiny-memory", "exact"),
    ("committee/tiny-link", "exact"),
    ("buffering/tiny-sizes", "exact"),
    ("serverless/tiny-2x4", "milp"),
    ("transfers/tiny-round-startups", "exact"),
    ("transfers/tiny-release", "exact"),
)

#: Small problems that are handed to CP-SAT in their own terms, and who makes that backend.
_OWN_TERMS = (
    ("colocation/tiny-bottleneck", "moeopt.colocation.exact.group_backend"),
    ("transfers/tiny-whole-messages", "moeopt.transfers.exact.shop_backend"),
)

#: Problems that nobody solves in a few seconds.
_HARD = (
    ("placement/mixtral-16-8", "exact"),
    ("colocation/zipf-16-mixed", "exact"),
    ("colocation/zipf-64-mixed", "auto"),
    ("committee/additive-2x16x16-drift-link", "exact"),
    ("buffering/locality-2x16x64-unequal", "exact"),
    ("serverless/gpt2-moe", "milp"),
    ("transfers/startup-uniform-8", "exact"),
    ("transfers/startup-zipf-16", "auto"),
)

#: A limit that nothing here reaches.
_LONG_S = 100.0

#: Of a solve without any solver: where nothing is proven, ``auto`` searches for a share of it.
_ALONE_S = 4.0


def wings(quick: bool) -> list[Trial]:
    """Ask a broken solver first in each wing: the next one gives the same result."""
    liars = (broken.WRONG, broken.SAYS_INFEASIBLE) if quick else broken.LYING
    dying = () if quick else (*broken.DYING[:2], *broken.DYING[11:])
    problems = _PROBLEMS[1:2] + _PROBLEMS[4:5] if quick else _PROBLEMS
    failures: list[str] = []
    times = 0
    for name, method in problems:
        problem = moeopt.load_problem(f"@{name}")
        healthy = moeopt.solve(problem, method)
        for backend in (*liars, *dying):
            times += 1
            limit_s = _LONG_S if backend in dying else None
            with broken.asked_first(backend, backend_named("scip"), backend_named("scipy")):
                failures += _differs(problem, method, limit_s, backend, healthy)
    what = "whole solves: the next solver takes over"
    return [Trial(what, times, tuple(failures), f"{len(problems)} problems of {_wings(problems)}")]


def _wings(problems: Iterable[tuple[str, str]]) -> str:
    return ", ".join(dict.fromkeys(name.partition("/")[0] for name, _ in problems))


def _differs(
    problem: Any, method: str, limit_s: float | None, backend: Backend, healthy: Result[Any]
) -> list[str]:
    """Return what a solve says against a healthy one, in a sentence, or nothing.

    Of what a solver that died has left nothing is felt. A liar's claims about linear programs are
    put to nobody else: it may cost a proof, and makes no false one.
    """
    try:
        found = moeopt.solve(problem, method, time_limit_s=limit_s)
    except Exception as error:
        return [f"@{problem.name} with {backend.name}: {type(error).__name__}: {error}"]
    best = healthy.objective
    assert best is not None
    slack = 10 * OPTIMALITY_TOLERANCE * abs(best)
    above = math.inf if found.objective is None else found.objective - best
    below = 0.0 if found.bound is None else best - found.bound
    proven = found.status is healthy.status
    true = min(above, below) >= -slack and (max(above, below) <= slack or not proven)
    if true and (proven or backend in broken.LYING):
        return []
    said = f"{found.status.value} {found.objective} bound {found.bound}"
    return [f"@{problem.name} with {backend.name}: {said}, and not {best}"]


def without_solvers(quick: bool) -> list[Trial]:
    """Let every solver fail: ``auto`` returns a plan with a true bound, a named method an error."""
    ways: list[tuple[str, AbstractContextManager[object]]]
    ways = [(name, _every(broken.NAN_POINT)) for name, _ in _PROBLEMS]
    ways += [(name, patch(maker, lambda frame: broken.KILLED)) for name, maker in _OWN_TERMS]
    ways = ways[1:3] if quick else ways
    failures: list[str] = []
    for name, failing in ways:
        problem = moeopt.load_problem(f"@{name}")
        best = moeopt.solve(problem, "auto").objective
        with failing:
            failures += _alone(name, problem, best)
    what = "all solvers fail: auto has a plan all the same"
    trials = [Trial(what, len(ways), tuple(failures), "each valid, with a true bound")]
    if not quick:
        refused = [_refusal(name, maker) for name, maker in _OWN_TERMS]
        told = tuple(filter(None, refused))
        trials.append(Trial("the one solver is killed: exact says so", len(refused), told))
    return trials


@contextlib.contextmanager
def _every(backend: Backend) -> Iterator[None]:
    """Let all backends fail, those too that are asked for by name."""
    with broken.asked_first(*(replace(backend, name=n) for n in ("highs", "scip", "cpsat"))):
        yield


def _alone(name: str, problem: Any, best: float | None) -> list[str]:
    """Return what is wrong with ``auto`` while solvers fail; its plan was checked by `solve`."""
    try:
        found = moeopt.solve(problem, "auto", time_limit_s=_ALONE_S)
    except Exception as error:
        return [f"@{name} auto: {type(error).__name__}: {error}"]
    if found.plan is None or found.objective is None or best is None:
        return [f"@{name} auto: {found.status.value} without a plan"]
    if exceeds(best, found.objective) or (found.bound is not None and exceeds(found.bound, best)):
        return [f"@{name} auto: {found.objective} bound {found.bound}, the optimum is {best}"]
    return []


def _refusal(name: str, maker: str) -> str:
    """Return what is wrong with how ``exact`` fails when its solver does, or nothing."""
    with patch(maker, lambda frame: broken.KILLED):
        try:
            found = moeopt.solve(moeopt.load_problem(f"@{name}"), "exact", time_limit_s=_LONG_S)
        except BackendError:
            return ""
        except Exception as error:
            return f"@{name} exact: {type(error).__name__}: {error}"
    return f"@{name} exact: {found.status.value} of a solver that was killed"


def deadlines_of_wings() -> Trial:
    """Give hard problems, CP-SAT's own too, a second or two: whole solves end in time."""
    failures: list[str] = []
    worst, last, times = 0.0, "", 0
    for name, method in _HARD:
        problem = moeopt.load_problem(f"@{name}")
        for limit_s in (1.0, 4.0):
            begun = time.perf_counter()
            moeopt.solve(problem, method, time_limit_s=limit_s)
            over_s = time.perf_counter() - begun - limit_s
            times += 1
            if over_s > worst:
                worst, last = over_s, f"{name} {method}"
            if over_s > max(OVERRUN_SHARE * limit_s, OVERRUN_S):
                failures.append(f"@{name} {method}: {over_s:.2f} s over the limit of {limit_s} s")
    seen = f"at most {worst:.3f} s over the limit ({last})"
    return Trial("hard problems with a time limit", times, tuple(failures), seen)
