"""The conformance kit catches methods that break one promise, and passes honest ones."""

import functools
import json
import os
import pickle
import subprocess
import sys

import hypothesis
import numpy as np
import pytest
import toy_methods as toy
from hypothesis import given, settings

from moeopt.core import registry
from moeopt.core.wing import Capabilities, Method, Outcome, Wing
from moeopt.describe.cluster import Cluster
from moeopt.placement.impossible import impossible
from moeopt.placement.plan import PlacementPlan, evaluate, violations
from moeopt.placement.problem import PlacementProblem
from moeopt.testing.conformance import (
    PROPERTIES,
    ConformanceError,
    check_method,
    conformance_cases,
)
from moeopt.testing.strategies import placement_problems

EXAMPLES = 6

#: Each broken method, what it promises, and the property that must catch it.
BROKEN = [
    (toy.every_slot_the_first_expert, toy.HEURISTIC, "valid_plan"),
    (toy.plan_of_the_wrong_shape, toy.HEURISTIC, "valid_plan"),
    (toy.changes_the_loads, toy.HEURISTIC, "unchanged"),
    (toy.changes_the_previous_plan, toy.HEURISTIC, "unchanged"),
    (toy.counts_its_calls, toy.HEURISTIC, "same_seed"),
    (toy.any_plan_is_called_optimal, toy.HEURISTIC, "bound"),
    (toy.bound_above_the_plan, toy.HEURISTIC, "bound"),
    (toy.tells_too_high_a_bound, toy.HEURISTIC, "bound"),
    (toy.tells_a_better_objective, toy.HEURISTIC, "objective"),
    (toy.no_bound_though_promised, Capabilities(bounds=True), "bound_given"),
    (toy.exact_in_name_only, toy.EXACT, "optimum"),
    (toy.gives_up, toy.HEURISTIC, "complete"),
    (toy.calls_everything_infeasible, toy.HEURISTIC, "complete"),
    (toy.tells_arrays, toy.HEURISTIC, "status"),
    (toy.builds_for_years, toy.HEURISTIC, "status"),
    (toy.plan_with_excuses, toy.HEURISTIC, "status"),
    (toy.crashes_where_there_is_no_plan, toy.HEURISTIC, "no_exception"),
    (toy.proves_nothing_infeasible, toy.EXACT, "infeasible"),
    (toy.thinks_in_whole_tokens, toy.HEURISTIC, "scaling"),
    (toy.ignores_the_warm_start, Capabilities(warm_start=True), "warm_start"),
    (toy.spoils_the_warm_start, toy.HEURISTIC, "unchanged"),
]


@pytest.fixture(autouse=True)
def _toy_wing(monkeypatch):
    """Put a wing without methods in place of the real one: these tests need no solver of ours."""
    wing = Wing(
        name="placement",
        problem_type=PlacementProblem,
        plan_type=PlacementPlan,
        violations=violations,
        evaluate=evaluate,
        impossible=impossible,
        methods={},
        build=lambda problem: [],
        summarise=lambda *arguments: [],
    )
    monkeypatch.setitem(registry._WINGS, "placement", wing)


def local(name="fresh_process"):
    """Return all properties but one."""
    return [property_name for property_name in PROPERTIES if property_name != name]


@pytest.mark.parametrize(
    ("run", "capabilities"), [(toy.exact, toy.EXACT), (toy.blind, toy.HEURISTIC)]
)
def test_honest_methods_pass(run, capabilities):
    report = check_method(
        "placement", toy.method(run, capabilities), examples=EXAMPLES, properties=local()
    )
    unchecked = {name for name, count in report.checked.items() if count == 0}
    # Brute force declines the long problem; a method without bounds has none to compare.
    assert unchecked == ({"deadline"} if capabilities.exact else {"deadline", "bound"})


@functools.cache
def pickled_pool():
    """Return problems drawn once for all broken methods: brute force remembers their optima."""
    problems = []

    @hypothesis.seed(5)
    @settings(max_examples=12, database=None, deadline=None, derandomize=False)
    @given(placement_problems(max_experts=4, max_devices=3))
    def collect(problem):
        problems.append(problem)

    collect()
    return pickle.dumps(problems)


def pool():
    """Return fresh copies: some methods spoil them."""
    return pickle.loads(pickled_pool())


def test_chance_without_a_seed_is_caught():
    """By whichever of the properties that solve twice chance strikes first."""
    with pytest.raises(ConformanceError) as caught:
        check_method(
            "placement",
            toy.method(toy.unseeded, toy.HEURISTIC),
            pool(),
            examples=15,
            properties=local(),
        )
    twice = {"same_seed", "relabelling", "scaling", "capacity", "json", "warm_start"}
    assert caught.value.property_name in twice


@pytest.mark.parametrize(("run", "capabilities", "name"), BROKEN)
def test_broken_methods_are_caught(run, capabilities, name):
    with pytest.raises(ConformanceError) as caught:
        check_method(
            "placement", toy.method(run, capabilities), pool(), examples=8, properties=local()
        )
    assert caught.value.property_name == name
    message = str(caught.value)
    assert run.__name__ in message
    stated = json.loads(message.partition("; problem: ")[2])
    assert (stated["problem"], stated["version"]) == ("placement", 1)


@pytest.mark.parametrize(
    ("run", "name"),
    [(toy.likes_the_first_expert_hot, "relabelling"), (toy.lost_with_room, "capacity")],
)
def test_what_only_exact_methods_promise_is_caught(run, name):
    # Brute force would catch them too: here the property must do it alone.
    with pytest.raises(ConformanceError, match=name):
        check_method("placement", toy.method(run, toy.EXACT), examples=40, properties=[name])


@pytest.mark.parametrize("run", [toy.sleeps_through_the_deadline, toy.forgets_its_incumbent])
def test_deadlines_are_checked(run):
    anytime = Method(
        name=run.__name__, summary="", run=run, capabilities=Capabilities(anytime=True)
    )
    with pytest.raises(ConformanceError, match="'deadline'"):
        check_method("placement", anytime, properties=["deadline"])


def test_a_fresh_process_is_asked():
    problem = PlacementProblem(
        loads_tokens=np.array([[1.0, 2.0]]), cluster=Cluster.uniform(1), slots_per_device=2
    )
    honest, broken = toy.method(toy.blind), toy.method(toy.hashes_strings)
    name = ["fresh_process"]
    assert check_method("placement", honest, [problem], properties=name).checked == {name[0]: 1}
    # The fresh process has one fixed hash seed; ours is any: try what differs from it.
    turn = hash("moeopt") % 2
    code = "print(hash('moeopt') % 2)"
    environment = {**os.environ, "PYTHONHASHSEED": "4242"}
    other = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    if int(other.stdout) != turn:
        with pytest.raises(ConformanceError, match="'fresh_process'"):
            check_method("placement", broken, [problem], properties=name)
    else:
        check_method("placement", broken, [problem], properties=name)


def test_the_smallest_problem_is_shown():
    with pytest.raises(ConformanceError) as caught:
        check_method("placement", toy.method(toy.gives_up), examples=20, properties=["complete"])
    problem = caught.value.problem
    assert problem.loads_tokens.shape == (1, 1, 2)
    assert problem.num_devices == 1
    assert problem.objective == "max_load"


def test_given_problems_are_used():
    problem = PlacementProblem(
        loads_tokens=np.array([[1.0, 2.0]]), cluster=Cluster.uniform(2), slots_per_device=1
    )
    report = check_method(
        "placement",
        toy.method(toy.blind),
        [problem, problem],
        properties=["valid_plan", "status"],
    )
    assert report.checked == {"valid_plan": 2, "status": 2}
    with pytest.raises(ConformanceError, match="valid_plan"):
        check_method("placement", toy.method(toy.every_slot_the_first_expert), [problem])


def test_refused_problems_are_counted_as_skipped():
    picky = toy.method(toy.blind, refuses=lambda problem: "never")
    report = check_method("placement", picky, pool()[:3], properties=["valid_plan"])
    assert (report.checked["valid_plan"], report.skipped["valid_plan"]) == (0, 3)


def test_cases_are_named_and_raise():
    cases = conformance_cases("placement", toy.method(toy.gives_up), examples=10)
    by_name = {case.__name__: case for case in cases}
    assert "gives_up-complete" in by_name
    assert "gives_up-optimum" not in by_name
    by_name["gives_up-valid_plan"]()
    with pytest.raises(ConformanceError):
        by_name["gives_up-complete"]()


def test_the_registry_is_left_as_it_was():
    before = dict(registry._WINGS)
    check_method("placement", toy.method(toy.blind), examples=2, properties=["valid_plan"])
    assert before == registry._WINGS


def test_what_is_not_promised_is_told():
    method = Method(name="none", summary="", run=lambda *arguments: Outcome())
    report = check_method("placement", method, examples=1, properties=["optimum", "status"])
    assert report.not_promised == ("optimum",)
