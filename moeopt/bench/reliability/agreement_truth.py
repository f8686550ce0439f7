"""What is known of an instance's optimum, and how close figures must be to it."""

from __future__ import annotations

from dataclasses import dataclass

from moeopt.bench.reliability.agreement_cases import Instance
from moeopt.core.result import OPTIMALITY_TOLERANCE
from moeopt.core.wing import Problem
from moeopt.testing.conformance import ConformanceError, Optimum


@dataclass(frozen=True)
class Truth:
    """The best objective of all: by brute force, else the least that any method found.

    Attributes
    ----------
    objective
        ``None`` if there is no plan, as far as is known.
    known
        Whether it is by brute force, or the problem surely has none.
    close
        Relative tolerance.
    exists
        Whether it surely has a plan, though nothing found one.
    """

    objective: float | None
    known: bool
    close: float
    exists: bool = False

    @property
    def loose(self) -> float:
        """Relative tolerance of what a solver proves."""
        return max(self.close, OPTIMALITY_TOLERANCE)


def truth_of(
    instance: Instance, optimum: Optimum | None, least: float | None, close: float
) -> Truth:
    """Return what is known of an instance.

    Parameters
    ----------
    instance
        The instance.
    optimum
        What brute force found, or ``None`` where there is too much for it.
    least
        The least objective of all methods, or ``None`` if none found a plan.
    close
        Relative tolerance of objectives.
    """
    if instance.impossible:
        return Truth(None, True, close)
    if optimum is not None:
        return Truth(optimum.objective, True, close)
    return Truth(least, False, close, exists=instance.kind == "feasible")


def sentence(what: str, problem: Problem, said: str) -> str:
    """Return what is wrong, and with which problem, as the suite says it of a method."""
    return str(ConformanceError("agreement", what, problem, said)).removeprefix("method ")
