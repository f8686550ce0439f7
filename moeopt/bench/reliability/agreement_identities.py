"""What must hold of a wing beside its methods, instance by instance: who checks it, and how often.

A wing's module has ``IDENTITIES``: checks by name. Each takes a problem with a plan and what brute
force found, and returns a sentence for all that does not hold, or ``None`` where it does not apply.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from moeopt.bench.reliability.trial import Trial
from moeopt.core.wing import Problem
from moeopt.testing.conformance.case import below, equal
from moeopt.testing.conformance.kit import Optimum

Sentences = list[str]
Identity = Callable[[Any, Optimum], Sentences | None]

#: The wings that have identities of their own, and the modules of this package that check them.
_OWN = {
    "buffering": "agreement_buffering",
    "committee": "agreement_committee",
    "serverless": "agreement_serverless",
}

#: Relative difference of figures that are computed in two ways.
_CLOSE = 1e-9


@dataclass
class Checked:
    """How often an identity was checked, and what did not hold."""

    times: int = 0
    failures: list[str] = field(default_factory=list)


def identities(wing: str) -> Mapping[str, Identity]:
    """Return a wing's identities by name; none if it has none of its own.

    Parameters
    ----------
    wing
        Name of the wing.
    """
    if wing not in _OWN:
        return {}
    found: Mapping[str, Identity] = importlib.import_module(
        f"moeopt.bench.reliability.{_OWN[wing]}"
    ).IDENTITIES
    return found


def check(
    wing: str, problem: Problem, optimum: Optimum | None, sentence: Callable[[str, str], str]
) -> dict[str, Checked]:
    """Check all identities of one instance, those that apply.

    Parameters
    ----------
    wing, problem
        The instance.
    optimum
        What brute force found; nothing is checked without a plan of it.
    sentence
        Makes a failure of an identity's name and what it said.
    """
    if optimum is None or optimum.objective is None:
        return {}
    found = {}
    for name, identity in identities(wing).items():
        said = identity(problem, optimum)
        if said is not None:
            found[name] = Checked(1, [sentence(name, each) for each in said])
    return found


def trials(checked: Iterable[Mapping[str, Checked]]) -> list[Trial]:
    """Return a trial for each identity, over all instances.

    Parameters
    ----------
    checked
        What `check` returned for each.
    """
    totals: dict[str, Checked] = {}
    for each in checked:
        for name, one in each.items():
            total = totals.setdefault(name, Checked())
            total.times += one.times
            total.failures += one.failures
    return [Trial(name, total.times, tuple(total.failures)) for name, total in totals.items()]


def above(what: str, bound: float, optimum: Optimum) -> Sentences:
    """Return what is wrong with a lower bound: that it is above the optimum, or no number.

    Parameters
    ----------
    what
        How it was found.
    bound
        What it is.
    optimum
        What brute force found.
    """
    best = optimum.objective
    assert best is not None, "there is a plan"
    if bound >= 0 and below(bound, best, _CLOSE):
        return []
    return [f"the bound {what} is {bound!r}, the optimum {best!r}"]


def apart(what: str, one: float, other: float) -> Sentences:
    """Return what is wrong with a figure that is to be another: that they differ.

    Parameters
    ----------
    what
        Whose figure it is.
    one, other
        The two.
    """
    if one == other or equal(one, other, _CLOSE):
        return []
    return [f"{what}: {one!r}, but {other!r} another way"]
