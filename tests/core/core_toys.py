"""A tiny wing for the tests of moeopt.core: guess a number, at least as large as the hidden one."""

from dataclasses import dataclass

from moeopt.core.wing import (
    Capabilities,
    Method,
    Outcome,
    Plan,
    Problem,
    Violation,
    Wing,
)


class GuessProblem(Problem, frozen=True, kw_only=True, tag="guess"):
    hidden: float = 2.0
    most: float | None = None


class GuessPlan(Plan, frozen=True, kw_only=True, tag="guess"):
    number: float


@dataclass(frozen=True)
class Value:
    objective: float


def violations(problem, plan):
    missing = problem.hidden - plan.number
    return [broken("C1", missing)] if missing > 0 else []


def broken(constraint, amount):
    return Violation(constraint=constraint, path="$.number", message="too small", amount=amount)


def impossible(problem):
    over = problem.hidden - (problem.hidden if problem.most is None else problem.most)
    return [broken("C2", over)] if over > 0 else []


def returning(**outcome):
    """Return a method that always hands back this outcome."""
    return Method(
        name="fixed",
        summary="",
        run=lambda problem, context, warm_start: Outcome(**outcome),
        capabilities=Capabilities(),
    )


def wing(*methods):
    return Wing(
        name="guess",
        problem_type=GuessProblem,
        plan_type=GuessPlan,
        violations=violations,
        evaluate=lambda problem, plan: Value(plan.number),
        impossible=impossible,
        methods={method.name: method for method in methods},
        build=lambda problem: [],
        summarise=lambda *arguments: [],
    )
