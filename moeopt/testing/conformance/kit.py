"""What the suite must know of a wing: its problems, their optimum, and what may not change it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from moeopt.core.wing import Plan

#: The wings that bring a kit, and the module that registers it.
_OWN_KITS = {
    "buffering": "moeopt.testing.conformance.buffering_kit",
    "colocation": "moeopt.testing.conformance.colocation_kit",
    "committee": "moeopt.testing.conformance.committee_kit",
    "placement": "moeopt.testing.conformance.placement_kit",
    "serverless": "moeopt.testing.conformance.serverless_kit",
    "transfers": "moeopt.testing.conformance.transfers_kit",
}

_KITS: dict[str, Kit] = {}


@dataclass(frozen=True)
class Optimum:
    """What brute force found.

    Attributes
    ----------
    objective
        The least objective, or ``None``: no plan exists.
    plan
        A plan that has it.
    """

    objective: float | None
    plan: Plan | None


@dataclass(frozen=True)
class Relabelled:
    """A problem with other names for the same things.

    Attributes
    ----------
    what
        What was renamed, for messages.
    problem
        The renamed problem.
    back
        Turns a plan of the renamed problem into the same plan of the original.
    """

    what: str
    problem: Any
    back: Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True)
class Kit:
    """One wing's share of the conformance suite.

    Attributes
    ----------
    wing
        Name of the wing.
    problems
        ``problems(feasible)``: a hypothesis strategy of small problems that surely have a plan
        (``True``) or surely have none (``False``).
    long_problems
        Problems that take any good method longer than the time limit of `deadline_s`.
    optimum
        Brute force, independent of every solver; ``None`` for problems too large for it.
    relabelled
        ``relabelled(problem, rng)``: the problem under other names.
    scaled
        ``scaled(problem, exponent)``: the problem with loads times ``2**exponent``, and the factor
        by which its objective grows.
    larger
        ``larger(problem, rng)``: problems that allow at least the plans of this one, each with
        what was added.
    tolerance
        Relative tolerance of the problem's objective: 1e-9, or more where it is itself computed
        by a solver.
    """

    wing: str
    problems: Callable[[bool], Any]
    long_problems: Callable[[], Iterable[Any]]
    optimum: Callable[[Any], Optimum | None]
    relabelled: Callable[[Any, np.random.Generator], Iterable[Relabelled]]
    scaled: Callable[[Any, int], tuple[Any, float]]
    larger: Callable[[Any, np.random.Generator], Iterable[tuple[str, Any]]]
    tolerance: Callable[[Any], float]


def register_kit(kit: Kit) -> Kit:
    """Add a wing's kit, or replace it, and return it."""
    _KITS[kit.wing] = kit
    return kit


def kit_for(wing: str) -> Kit:
    """Return the kit of a wing.

    Raises
    ------
    LookupError
        If the wing has none: `register_kit` adds one.
    """
    if wing not in _KITS:
        if wing not in _OWN_KITS:
            raise LookupError(f"no conformance kit for wing {wing!r}: add one with register_kit")
        importlib.import_module(_OWN_KITS[wing])
    return _KITS[wing]
