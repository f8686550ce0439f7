"""The exact models of an instance put to each solver alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial

from moeopt.bench.reliability.agreement_truth import Truth, sentence
from moeopt.core.errors import BackendError, InstanceError
from moeopt.core.result import Status
from moeopt.core.wing import Problem, Wing
from moeopt.mip import (
    LinearModel,
    available_backends,
    backend_named,
    solve_model,
    using_backend,
)
from moeopt.testing.conformance.case import equal

#: Every solver that comes with moeopt.
BACKENDS = ("highs", "cpsat", "scip", "scipy", "cbc")

#: Models of more entries are left to `exact`: some of these solvers would take minutes alone.
_MOST_ENTRIES = 1000

#: Wings whose problem is as good as the best of its models; elsewhere it is all of them.
_BEST_OF_MODELS = frozenset({"committee"})


@dataclass
class Asked:
    """What the solvers said.

    Attributes
    ----------
    solvers
        What each backend that takes the exact models made of them alone: ``"agrees"``,
        ``"wrong"``, ``"failed"`` (it said so) or ``"unproven"``.
    wrong
        What a backend alone got wrong; empty if none did.
    uncaught
        The same, where the usual order and its second opinion are wrong too.
    """

    solvers: dict[str, str] = field(default_factory=dict)
    wrong: str = ""
    uncaught: str = ""


def ask_solvers(wing: Wing, problem: Problem, truth: Truth) -> Asked:
    """Put the exact models to each backend alone; where one is wrong, to the usual order too."""
    asked = Asked()
    if wing.impossible(problem):
        return asked  # Models are of problems that counting does not rule out.
    try:
        models = wing.build(problem)
    except InstanceError:
        return asked  # No model has this problem's optimum.
    if sum(model.A.nnz for model in models) > _MOST_ENTRIES:
        return asked
    judge = partial(judged, models, truth, best_of=wing.name in _BEST_OF_MODELS)
    whole = all(model.integrality.all() for model in models)
    for name in BACKENDS:
        if name not in available_backends():
            continue
        if not whole and not backend_named(name).capabilities.continuous:
            continue
        with using_backend(name):
            asked.solvers[name], told = judge()
        if told:
            asked.wrong = sentence(name, problem, told)
    if asked.wrong:
        verdict, told = judge()
        asked.uncaught = sentence("auto", problem, told or verdict)
        if verdict == "agrees":
            asked.uncaught = ""
    return asked


def judged(models: list[LinearModel], truth: Truth, *, best_of: bool) -> tuple[str, str]:
    """Return what a backend made of the models, and what is wrong with it."""
    try:
        answers = [solve_model(model) for model in models]
    except BackendError:
        return "failed", ""
    proofs = {Status.OPTIMAL, Status.INFEASIBLE, Status.UNBOUNDED}
    if any(answer.status not in proofs for answer in answers):
        return "unproven", ""
    values = [math.inf if a.objective is None else a.objective for a in answers]
    value = min(values) if best_of else math.fsum(values)
    if truth.objective is None:
        if truth.known and value < math.inf:
            return "wrong", f"it has an optimum of {value!r} where no plan exists"
        return "agrees", ""
    if equal(value, truth.objective, 2 * truth.loose):
        return "agrees", ""
    return "wrong", f"it proves {value!r}, the best is {truth.objective!r}"
