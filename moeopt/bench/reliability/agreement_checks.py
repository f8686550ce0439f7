"""One instance put to everything that can answer it, and what does not go together."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from moeopt.bench.reliability.agreement_cases import Instance
from moeopt.bench.reliability.agreement_identities import Checked, check
from moeopt.bench.reliability.agreement_solvers import Asked, ask_solvers
from moeopt.bench.reliability.agreement_truth import Truth, sentence, truth_of
from moeopt.core.registry import wing_named
from moeopt.core.result import Result, Status
from moeopt.core.wing import Problem, Wing
from moeopt.testing.conformance import Case, ConformanceError, Optimum, kit_for
from moeopt.testing.conformance.case import below, equal

#: Functions of ``moeopt.<wing>.bounds`` that return a bound of the objective, or ``None``.
_BOUNDS: dict[str, tuple[str, ...]] = {
    "buffering": ("bound",),
    "colocation": ("bound",),
    "committee": (),
    "placement": ("total_bound", "lp_bound"),
    "serverless": ("bound",),
    "transfers": ("bound",),
}


@dataclass
class Compared:
    """What an instance showed.

    Attributes
    ----------
    brute
        Whether brute force has its optimum.
    methods
        The methods that took it.
    bounds
        How many bounds were computed alone.
    asked
        What each solver alone said of its exact models.
    identities
        What must hold of this wing alone, by name.
    failures
        A sentence for all else that does not go together.
    """

    brute: bool = False
    methods: list[str] = field(default_factory=list)
    bounds: int = 0
    asked: Asked = field(default_factory=Asked)
    identities: dict[str, Checked] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def compare(wing_name: str, instance: Instance, *, solvers: bool = True) -> Compared:
    """Put an instance to brute force, every method and bound, and compare them.

    Parameters
    ----------
    wing_name
        Name of the wing.
    instance
        One of its instances.
    solvers
        Whether to put its exact models to each of `BACKENDS` too.
    """
    wing, kit, problem = wing_named(wing_name), kit_for(wing_name), instance.problem
    compared = Compared()
    results = dict(_solved(wing, problem, compared))
    optimum = None
    with _noting(compared, "brute force", problem):
        optimum = kit.optimum(problem)
        compared.brute = optimum is not None
        _check_draw(instance, optimum)
    found = [r.objective for r in results.values() if r.objective is not None]
    truth = truth_of(instance, optimum, min(found, default=None), kit.tolerance(problem))
    for name, result in results.items():
        case = Case.of(wing_name, name)
        compared.failures += [
            str(case.breach(what, problem, said)) for what, said in _breaches(case, result, truth)
        ]
    for name in _BOUNDS.get(wing_name, ()):
        with _noting(compared, f"bounds.{name}", problem):
            _check_bound(wing_name, name, problem, truth, compared)
    with _noting(compared, "identities", problem):
        compared.identities = check(
            wing_name, problem, optimum, lambda what, said: sentence(what, problem, said)
        )
    if solvers:
        with _noting(compared, "build", problem):
            compared.asked = ask_solvers(wing, problem, truth)
    return compared


@contextmanager
def _noting(compared: Compared, what: str, problem: Problem) -> Iterator[None]:
    """Note any exception as a failure."""
    try:
        yield
    except Exception as error:
        said = f"raised {type(error).__name__}: {error}"
        compared.failures.append(sentence(what, problem, said))


def _check_draw(instance: Instance, optimum: Optimum | None) -> None:
    """Raise if brute force finds a plan of what surely has none, or none of what surely has."""
    if optimum is None or instance.kind not in ("feasible", "infeasible"):
        return
    if instance.impossible != (optimum.objective is None):
        raise ValueError(f"has {optimum.objective!r} for what was drawn {instance.kind}")


def _solved(wing: Wing, problem: Problem, compared: Compared) -> Iterator[tuple[str, Result[Any]]]:
    for name in wing.methods:
        case = Case.of(wing.name, name)
        if not case.accepts(problem):
            continue
        compared.methods.append(name)
        try:
            yield name, case.solve(problem)
        except ConformanceError as breach:
            compared.failures.append(str(breach))


def _breaches(case: Case, result: Result[Any], truth: Truth) -> Iterator[tuple[str, str]]:
    """Yield the broken property and the numbers for all that one result gets wrong."""
    best, objective, exact = truth.objective, result.objective, case.method.capabilities.exact
    if truth.known and best is None:
        if objective is not None:
            yield "infeasible", f"it has a plan of {objective!r} where none exists"
        elif exact and result.status is not Status.INFEASIBLE:
            yield "infeasible", f"no plan exists, but the status is {result.status.value}"
        return
    if best is not None:
        yield from _wrong_numbers(result, best, truth)
    if best is None and not truth.exists:
        return
    if exact and result.status is not Status.OPTIMAL:
        yield "optimum", f"an exact method without a limit ended {result.status.value}"
    if result.status is Status.INFEASIBLE:
        yield "complete", f"it calls a problem infeasible that has a plan of {best!r}"
    elif objective is None and case.method.capabilities.complete:
        yield "complete", "it promises a plan wherever one exists, found none"


def _wrong_numbers(result: Result[Any], best: float, truth: Truth) -> Iterator[tuple[str, str]]:
    objective, bound = result.objective, result.bound
    if objective is not None and not below(best, objective, max(truth.close, 1e-9)):
        yield "not_below_optimum", f"the objective {objective!r} is below the optimum {best!r}"
    if bound is not None and not below(bound, best, truth.loose):
        yield "bound", f"the bound {bound!r} is above the objective {best!r}"
    if result.status is Status.OPTIMAL and not equal(objective, best, 2 * truth.loose):
        yield "optimum", f"it calls {objective!r} optimal, the best is {best!r}"


def _check_bound(
    wing_name: str, name: str, problem: Problem, truth: Truth, compared: Compared
) -> None:
    bound = getattr(importlib.import_module(f"moeopt.{wing_name}.bounds"), name)(problem)
    if bound is None:
        return
    compared.bounds += 1
    if truth.objective is not None and not below(bound, truth.objective, truth.loose):
        said = f"the bound {bound!r} is above the objective {truth.objective!r}"
        compared.failures.append(sentence(f"bounds.{name}", problem, said))
