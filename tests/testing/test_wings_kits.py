"""The kits and strategies of all wings: what they draw is valid, what changes nothing does not."""

import inspect
from dataclasses import dataclass, field
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moeopt.core.registry import wing_named, wing_names
from moeopt.testing import strategies
from moeopt.testing.conformance import kit_for


@dataclass(frozen=True)
class Stated:
    """What is true of one wing's kit and strategies.

    `name` is the strategies' own, without ``_problems``; `small` makes problems small enough for
    brute force where a default one may not be, and `declined` is the share that it declines all the
    same. Brute force is right up to `solved`, a plan's value up to `worth`, both relative, and up
    to `nothing`. Counting shows every contradiction if `counted`. A drawn plan keeps the rules
    `kept`. `large` are sizes beyond the default; `choice` names an argument, the problem's field
    for it, and its values.
    """

    name: str
    choice: tuple[str, str, tuple[str, ...]] | None
    features: tuple[str, ...]
    large: dict[str, int]
    solved: float = 1e-12
    worth: float = 1e-12
    nothing: float = 1e-14
    declined: float = 0.0
    counted: bool = False
    kept: frozenset[str] = frozenset({"shape"})
    small: dict[str, Any] = field(default_factory=dict)

    def problems(self, **fields: Any) -> Any:
        """Return the strategy of its problems."""
        return getattr(strategies, f"{self.name}_problems")(**(self.small | fields))

    def default(self) -> dict[str, int]:
        """Return the sizes `large` where none are asked for."""
        stated = inspect.signature(getattr(strategies, f"{self.name}_problems")).parameters
        return {name: self.small.get(name, stated[name].default) for name in self.large}

    def of_kit(self, wing: str) -> Any:
        """Return the strategy of problems that the conformance suite draws, or of small ones."""
        return self.problems() if self.small else kit_for(wing).problems(True)

    def plans(self, problem: Any) -> Any:
        """Return the strategy of plans for a problem."""
        return getattr(strategies, f"{self.name}_plans")(problem)

    def pairs(self) -> Any:
        """Return the strategy of problems with a plan each."""
        return self.problems().flatmap(lambda p: st.tuples(st.just(p), self.plans(p)))


KITS = {
    "buffering": Stated(
        "buffering",
        ("objectives", "objective", strategies.BUFFERING_OBJECTIVES),
        strategies.BUFFERING_FEATURES,
        {"max_experts": 12, "max_steps": 30},
        nothing=1e-12,
        declined=0.05,
        counted=True,
    ),
    "colocation": Stated(
        "colocation",
        ("objectives", "objective", strategies.COLOCATION_OBJECTIVES),
        strategies.COLOCATION_FEATURES,
        {"max_devices": 12},
        nothing=1e-300,
        declined=0.05,
    ),
    "committee": Stated(
        "committee",
        ("losses", "loss", strategies.COMMITTEE_LOSSES),
        strategies.COMMITTEE_FEATURES,
        {"max_experts": 12, "max_layers": 5, "max_windows": 9},
        nothing=1e-12,
    ),
    "placement": Stated(
        "placement",
        ("objectives", "objective", strategies.OBJECTIVES),
        strategies.FEATURES,
        {"max_experts": 16, "max_devices": 8, "max_layers": 4},
        solved=1e-9,
        worth=1e-6,
        nothing=1e-12,
        declined=0.5,
        small={"max_experts": 4, "max_devices": 3},
    ),
    "serverless": Stated(
        "serverless",
        None,
        strategies.SERVERLESS_FEATURES,
        {"max_layers": 5, "max_experts": 8},
        declined=0.1,
        kept=frozenset({"shape", "C1", "C2", "C8"}),
    ),
    "transfers": Stated(
        "transfer",
        None,
        strategies.TRANSFER_FEATURES,
        {"max_ports": 16},
        solved=1e-6,
        worth=1e-9,
        declined=0.5,
    ),
}

every_wing = pytest.mark.parametrize("wing", KITS)


def each(strategy: Any, examples: int, check: Any) -> None:
    """Run a check on drawn examples; the smallest that fails is shown."""
    drawing = settings(max_examples=examples, suppress_health_check=[HealthCheck.too_slow])
    drawing(given(strategy)(check))()


def drawn(strategy: Any, examples: int) -> list[Any]:
    """Return examples of a strategy, the same each time."""
    found: list[Any] = []

    @hypothesis.seed(1)
    @settings(max_examples=examples, deadline=None, database=None, derandomize=False)
    @given(strategy)
    def collect(example: Any) -> None:
        found.append(example)

    collect()
    return found


def size(problem: Any, name: str) -> int:
    """Return what an argument ``max_...`` limits."""
    return int(getattr(problem, name.replace("max_", "num_")))


def close(wing: str, value: float, relative: float) -> Any:
    return pytest.approx(value, rel=relative, abs=KITS[wing].nothing)


def test_no_wing_is_left_out():
    assert set(KITS) == set(wing_names())


@every_wing
def test_feasible_problems_have_a_plan_that_is_worth_what_the_oracle_says(wing):
    own = wing_named(wing)

    def check(problem):
        assert not own.impossible(problem)
        optimum = kit_for(wing).optimum(problem)
        if optimum is None:
            return
        assert optimum.plan is not None
        assert own.violations(problem, optimum.plan) == []
        value = own.evaluate(problem, optimum.plan).objective
        assert value == close(wing, optimum.objective, KITS[wing].worth)

    each(KITS[wing].of_kit(wing), 30, check)


@every_wing
def test_no_plan_is_below_the_optimum(wing):
    own = wing_named(wing)

    def check(pair):
        problem, plan = pair
        if own.violations(problem, plan):
            return
        optimum, value = kit_for(wing).optimum(problem), own.evaluate(problem, plan).objective
        if optimum is not None and value < optimum.objective:
            assert value == close(wing, optimum.objective, KITS[wing].solved)

    each(KITS[wing].pairs(), 30, check)


@every_wing
def test_infeasible_problems_have_none(wing):
    def check(problem):
        optimum = kit_for(wing).optimum(problem)
        assert optimum is None or optimum.objective is None

    each(KITS[wing].problems(feasible=False), 25, check)


@every_wing
def test_what_counting_calls_impossible_is(wing):
    def check(problem):
        if wing_named(wing).impossible(problem):
            optimum = kit_for(wing).optimum(problem)
            assert optimum is None or optimum.objective is None

    each(KITS[wing].problems(feasible=None), 25, check)


@every_wing
def test_some_infeasible_problems_pass_the_counting(wing):
    examples = drawn(KITS[wing].problems(feasible=False), 80)
    passed = sum(not wing_named(wing).impossible(problem) for problem in examples)
    assert passed == 0 if KITS[wing].counted else 2 < passed < 78


@every_wing
def test_names_do_not_change_the_optimum(wing):
    own, kit = wing_named(wing), kit_for(wing)

    def check(problem):
        optimum = kit.optimum(problem)
        if optimum is None:
            return
        for other in kit.relabelled(problem, np.random.default_rng(3)):
            renamed = kit.optimum(other.problem)
            assert renamed.objective == close(wing, optimum.objective, KITS[wing].solved)
            back = other.back(renamed.plan)
            assert own.violations(problem, back) == []
            value = own.evaluate(problem, back).objective
            both = max(KITS[wing].solved, KITS[wing].worth)
            assert value == close(wing, optimum.objective, both), other.what

    each(KITS[wing].of_kit(wing), 12, check)


@every_wing
def test_scaling_scales_the_optimum(wing):
    kit = kit_for(wing)

    def check(problem):
        optimum = kit.optimum(problem)
        if optimum is None:
            return
        for exponent in (5, -3):
            other, factor = kit.scaled(problem, exponent)
            value = kit.optimum(other).objective
            assert value == close(wing, optimum.objective * factor, KITS[wing].solved)

    each(KITS[wing].of_kit(wing), 12, check)


@every_wing
def test_more_freedom_never_hurts(wing):
    kit = kit_for(wing)

    def check(problem):
        optimum = kit.optimum(problem)
        if optimum is None:
            return
        for what, other in kit.larger(problem, np.random.default_rng(3)):
            freed = kit.optimum(other)
            if freed is not None and freed.objective > optimum.objective:
                assert freed.objective == close(wing, optimum.objective, KITS[wing].solved), what

    each(KITS[wing].of_kit(wing), 12, check)


@every_wing
def test_most_drawn_problems_are_small_enough_for_brute_force(wing):
    examples = drawn(KITS[wing].problems(), 60)
    declined = sum(kit_for(wing).optimum(problem) is None for problem in examples)
    assert declined <= KITS[wing].declined * len(examples)


@every_wing
def test_every_feature_can_stand_alone(wing):
    kind = wing_named(wing).problem_type
    for feature in KITS[wing].features:
        examples = drawn(KITS[wing].problems(features=(feature,), feasible=None), 12)
        assert {type(problem) for problem in examples} == {kind}, feature
        for name, most in KITS[wing].default().items():
            assert all(size(problem, name) <= most for problem in examples), feature


@pytest.mark.parametrize("wing", [wing for wing, stated in KITS.items() if stated.choice])
def test_choices_are_those_asked_for(wing):
    argument, name, values = KITS[wing].choice
    for value in values:
        examples = drawn(KITS[wing].problems(**{argument: (value,)}), 10)
        assert {getattr(problem, name) for problem in examples} == {value}


@every_wing
def test_plans_have_the_shape_and_range(wing):
    def check(pair):
        broken = {violation.constraint for violation in wing_named(wing).violations(*pair)}
        assert not broken & KITS[wing].kept

    each(KITS[wing].pairs(), 25, check)


@every_wing
def test_larger_problems_are_drawn_too(wing):
    large = KITS[wing].large
    examples = drawn(KITS[wing].problems(feasible=None, **large), 20)
    for name, most in large.items():
        assert KITS[wing].default()[name] < most
        assert all(size(problem, name) <= most for problem in examples)
