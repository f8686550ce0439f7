"""Running the properties: over given problems, or over drawn ones that shrink when they fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from moeopt.core.wing import Method, Problem
from moeopt.testing.conformance.case import Case, ConformanceError
from moeopt.testing.conformance.properties import PROPERTIES, Property


@dataclass(frozen=True)
class Report:
    """What a passed suite did: a property that never applied has proven nothing.

    Attributes
    ----------
    method
        Name of the method.
    checked
        On how many problems each property was checked.
    skipped
        On how many it did not apply: the method refuses the problem, or brute force cannot.
    not_promised
        Properties that the method's capabilities do not promise.
    """

    method: str
    checked: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    not_promised: tuple[str, ...] = ()


def check_method(
    wing_name: str,
    method: Method | str,
    problems: Iterable[Problem] | None = None,
    *,
    examples: int = 20,
    seed: int = 0,
    time_limit_s: float | None = None,
    properties: Iterable[str] | None = None,
) -> Report:
    """Put a method through every property that its capabilities promise.

    Parameters
    ----------
    wing_name
        Name of the wing.
    method
        A method, registered or not, or the name of a registered one.
    problems
        Problems to try, each known to have a plan; drawn and, on failure, shrunk if left out.
        Properties of infeasible problems and of time limits bring their own.
    examples
        How many problems to draw for each property.
    seed
        Seed of the draws and of the solves.
    time_limit_s
        Limit of every solve, for a method that would never end by itself.
    properties
        Names of the properties to check, keys of `PROPERTIES`; all if left out.

    Returns
    -------
    Report
        How often each property was checked.

    Raises
    ------
    ConformanceError
        If one is broken; an `AssertionError` with the property, the problem and the numbers.

    Examples
    --------
    >>> from moeopt.testing.conformance import check_method
    >>> report = check_method("placement", "lpt", examples=2, properties=["valid_plan"])
    """
    case = Case.of(wing_name, method, seed=seed, time_limit_s=time_limit_s)
    given = None if problems is None else list(problems)
    chosen = [PROPERTIES[name] for name in (PROPERTIES if properties is None else properties)]
    promised = [p for p in chosen if p.promised(case.method.capabilities)]
    report = Report(
        case.method.name, not_promised=tuple(p.name for p in chosen if p not in promised)
    )
    for one in promised:
        run_property(case, one, given, examples, report)
    return report


def conformance_cases(
    wing_name: str,
    method: Method | str,
    problems: Iterable[Problem] | None = None,
    *,
    examples: int = 20,
    seed: int = 0,
    time_limit_s: float | None = None,
) -> list[Conformance]:
    """Return one callable for each property the method promises, for ``pytest.mark.parametrize``.

    Parameters
    ----------
    wing_name, method, problems, examples, seed, time_limit_s
        As in `check_method`.
    """
    case = Case.of(wing_name, method, seed=seed, time_limit_s=time_limit_s)
    given = None if problems is None else list(problems)
    return [
        Conformance(
            f"{case.method.name}-{one.name}",
            partial(run_property, case, one, given, examples, Report(case.method.name)),
        )
        for one in PROPERTIES.values()
        if one.promised(case.method.capabilities)
    ]


@dataclass(frozen=True)
class Conformance:
    """One property of one method, to be called by a test.

    Attributes
    ----------
    name
        ``method-property``.
    run
        Checks it.
    """

    name: str
    run: Callable[[], None]

    def __call__(self) -> None:
        """Check the property.

        Raises
        ------
        ConformanceError
            If the method breaks it.
        """
        self.run()

    # pytest makes the test's id from this attribute.
    @property
    def __name__(self) -> str:
        """Return the name."""
        return self.name


def run_property(
    case: Case, one: Property, given: list[Problem] | None, examples: int, report: Report
) -> None:
    """Check one property, adding to the report what was checked and what skipped.

    Parameters
    ----------
    case
        The method under test.
    one
        The property.
    given
        Problems that have a plan, or ``None`` to draw them.
    examples
        How many problems to draw.
    report
        Counts, added to in place.

    Raises
    ------
    ConformanceError
        If the method breaks the property.
    """
    report.checked.setdefault(one.name, 0)
    report.skipped.setdefault(one.name, 0)

    def check(problem: Problem) -> None:
        done = case.accepts(problem) and one.check(case, problem)
        counts = report.checked if done else report.skipped
        counts[one.name] += 1

    if one.takes == "long":
        fitting = [problem for problem in case.kit.long_problems() if case.accepts(problem)]
        for problem in fitting[:1]:
            check(problem)
    elif one.takes == "infeasible" or given is None:
        _draw(case, one, examples, check, report)
    else:
        for problem in given[:1] if one.takes == "one" else given:
            check(problem)


def _draw(
    case: Case,
    one: Property,
    examples: int,
    check: Callable[[Problem], None],
    report: Report,
) -> None:
    """Check drawn problems; raise the breach on the smallest problem that shows it."""
    try:
        import hypothesis
    except ImportError as error:
        raise ImportError(
            "drawing problems needs hypothesis: pip install 'moeopt[test]', or pass problems="
        ) from error
    breaches: list[ConformanceError] = []

    def body(problem: Problem) -> None:
        if not case.accepts(problem):
            report.skipped[one.name] += 1
            hypothesis.reject()
        try:
            check(problem)
        except ConformanceError as breach:
            # Shrinking must not slip from one property to another.
            if not breaches or breach.property_name == breaches[0].property_name:
                breaches.append(breach)
                raise

    generate, shrink = hypothesis.Phase.generate, hypothesis.Phase.shrink
    settings = hypothesis.settings(
        max_examples=2 if one.takes == "one" else examples,
        deadline=None,
        database=None,
        derandomize=False,
        report_multiple_bugs=False,
        suppress_health_check=list(hypothesis.HealthCheck),
        verbosity=hypothesis.Verbosity.quiet,
        phases=[generate] if one.takes == "one" else [generate, shrink],
    )
    strategy = case.kit.problems(one.takes != "infeasible")
    given: Any = hypothesis.given  # Typed for test functions with annotations only.
    test = hypothesis.seed(case.seed)(settings(given(strategy)(body)))
    try:
        test()
    except hypothesis.errors.Unsatisfiable:
        return  # The method refuses all that was drawn; the report says so.
    except Exception:
        # A method that is not deterministic makes hypothesis report flakiness: the breach says why.
        if breaches:
            raise breaches[-1] from None
        raise
