"""One method under test: running it as a user would, and saying precisely what it broke."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import msgspec
import numpy as np

from moeopt.core.errors import InternalError
from moeopt.core.progress import Progress
from moeopt.core.registry import method_named, register, wing_named
from moeopt.core.result import OPTIMALITY_TOLERANCE, Result
from moeopt.core.solve import solve
from moeopt.core.wing import Method, Outcome, Plan, Problem, Wing
from moeopt.testing.conformance.kit import Kit, kit_for


class ConformanceError(AssertionError):
    """A method broke a property.

    Attributes
    ----------
    property_name
        Name of the property, a key of `PROPERTIES`.
    method
        Name of the method.
    problem
        The problem on which it did.
    """

    def __init__(self, property_name: str, method: str, problem: Problem, said: str) -> None:
        self.property_name = property_name
        self.method = method
        self.problem = problem
        super().__init__(
            f"method {method!r} breaks {property_name!r}: {said}; problem: {_pasteable(problem)}"
        )


@dataclass(frozen=True)
class Case:
    """A method of a wing, with what is needed to try it.

    Attributes
    ----------
    wing
        The wing, its methods included.
    method
        The method under test; it need not be registered.
    kit
        What the suite knows of the wing.
    seed
        Seed of the solves and of the suite's own choices.
    time_limit_s
        Limit of every solve, for methods that would never end; ``None`` for no limit.
    """

    wing: Wing
    method: Method
    kit: Kit
    seed: int = 0
    time_limit_s: float | None = None

    @staticmethod
    def of(
        wing_name: str, method: Method | str, *, seed: int = 0, time_limit_s: float | None = None
    ) -> Case:
        """Return the case of a method, given itself or by name."""
        wing = wing_named(wing_name)
        found = method_named(wing, method) if isinstance(method, str) else method
        return Case(wing, found, kit_for(wing_name), seed, time_limit_s)

    def rng(self) -> np.random.Generator:
        """Return the generator of the suite's own choices, the same each time."""
        return np.random.default_rng(self.seed)

    def accepts(self, problem: Problem) -> bool:
        """Tell whether the method takes the problem."""
        return self.method.refuses(problem) is None

    def solve(
        self,
        problem: Problem,
        *,
        time_limit_s: float | None = None,
        warm_start: Plan | None = None,
        progress: Progress | None = None,
    ) -> Result[Any]:
        """Solve as a user would; an exception is a breach of ``"no_exception"``."""
        outcomes: list[Outcome] = []

        def recording(problem: Any, context: Any, warm_start: Any) -> Outcome:
            before = problem_json(problem)
            outcome = self.method.run(problem, context, warm_start)
            # Checked here, for a changed problem makes every later figure wrong.
            said = f"solving changed the problem, which was {before}"
            self.require(problem_json(problem) == before, "unchanged", problem, said)
            outcomes.append(outcome)
            return outcome

        with _installed(self.wing, replace(self.method, run=recording)):
            try:
                return solve(
                    problem,
                    self.method.name,
                    seed=self.seed,
                    time_limit_s=self.time_limit_s if time_limit_s is None else time_limit_s,
                    warm_start=warm_start,
                    progress=progress,
                )
            except ConformanceError:
                raise
            except InternalError as error:
                self._explain(problem, outcomes, error)
            except Exception as error:
                said = f"raised {type(error).__name__}: {error}"
                raise self.breach("no_exception", problem, said) from error

    def breach(self, property_name: str, problem: Problem, said: str) -> ConformanceError:
        """Return the error that says what the method broke."""
        return ConformanceError(property_name, self.method.name, problem, said)

    def require(self, holds: bool, property_name: str, problem: Problem, said: str) -> None:
        """Raise the breach unless `holds`."""
        if not holds:
            raise self.breach(property_name, problem, said)

    def close(self, problem: Problem) -> float:
        """Return the relative difference that two solves' objectives may have."""
        own = self.kit.tolerance(problem)
        # An exact method may stop anywhere within the optimality tolerance.
        return max(own, 2 * OPTIMALITY_TOLERANCE) if self.method.capabilities.exact else own

    def _explain(self, problem: Problem, outcomes: list[Outcome], error: InternalError) -> NoReturn:
        """Name the property behind a refusal of `moeopt.solve` to return what the method gave."""
        plan = outcomes[-1].plan if outcomes else None
        broken = self.wing.violations(problem, plan) if plan is not None else []
        if broken:
            raise self.breach("valid_plan", problem, f"the plan breaks {broken[0]}") from error
        raise self.breach("bound", problem, str(error)) from error


def below(one: float, other: float, tolerance: float) -> bool:
    """Tell whether `one` is at most `other`, up to a relative tolerance.

    Objectives may be seconds: nothing but rounding noise around zero is forgiven absolutely.
    """
    return one <= other + tolerance * max(abs(one), abs(other)) + 1e-14


def equal(one: float | None, other: float | None, tolerance: float) -> bool:
    """Tell whether two numbers agree up to a relative tolerance, or are both unknown."""
    if one is None or other is None:
        return one is other
    return below(one, other, tolerance) and below(other, one, tolerance)


def problem_json(document: Problem | Plan) -> str:
    """Return a problem or plan as one line of JSON, fields at their default left out."""
    return msgspec.json.encode(document, enc_hook=_plain).decode()


def _pasteable(problem: Problem) -> str:
    """Return the problem as one line that `moeopt solve` reads from a file."""
    content = msgspec.json.decode(problem_json(problem))
    tag = str(type(problem).__struct_config__.tag_field)
    content = {tag: content.pop(tag), "version": problem.version, **content}
    return msgspec.json.encode(content).decode()


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise NotImplementedError(f"no JSON form of {type(value).__name__}")


@contextmanager
def _installed(wing: Wing, method: Method) -> Iterator[None]:
    """Register the method with its wing for the time of one solve."""
    register(replace(wing, methods={**wing.methods, method.name: method}))
    try:
        yield
    finally:
        register(wing)
