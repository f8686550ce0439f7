"""Every method of the transfers wing keeps what it promises, on problems drawn once for all.

To see the smallest problem on which one fails::

    from moeopt.testing.conformance import check_method
    check_method("transfers", "birkhoff", examples=200, properties=["bound"])
"""

import functools
import itertools
import json
from collections import defaultdict

import hypothesis
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings

import moeopt
from moeopt.core.registry import wing_named
from moeopt.testing.conformance import Case, Report, kit_for, problem_json
from moeopt.testing.conformance.properties import PROPERTIES
from moeopt.testing.conformance.suite import run_property
from moeopt.testing.strategies import transfer_problems

#: Drawn problems that a method accepts; methods that prove or search take longer for each.
PROBLEMS = {"exact": 12, "auto": 25, "few_rounds": 20, "greedy": 30}
MOST = 40

#: Problems without a plan, drawn for each method.
INFEASIBLE = 8

#: Methods whose plans meet the optimum wherever they take a plain problem: messages may be cut.
PREEMPTIVE = ("birkhoff", "single_peer", "multi_peer", "paced", "auto")


@functools.cache
def drawn():
    """Return problems that have a plan, the same in each run, the last drawn first."""
    problems = []

    @hypothesis.seed(2)
    @settings(max_examples=400, database=None, deadline=None, derandomize=False)
    @given(kit_for("transfers").problems(True))
    def collect(problem):
        problems.append(problem)

    collect()
    return problems[::-1]


@functools.cache
def accepted(name):
    """Return those that the method takes: one for each set of stated rules before any second."""
    method = wing_named("transfers").methods[name]
    by_rules = defaultdict(list)
    for problem in drawn():
        if method.refuses(problem) is None:
            by_rules[tuple(json.loads(problem_json(problem)))].append(problem)
    rounds = itertools.zip_longest(*by_rules.values())
    taken = [problem for one in rounds for problem in one if problem is not None]
    return taken[: PROBLEMS.get(name, MOST)]


def cases():
    """Return every property that each method promises."""
    for name, method in wing_named("transfers").methods.items():
        for one in PROPERTIES.values():
            if one.promised(method.capabilities):
                yield pytest.param(name, one, id=f"{name}-{one.name}")


@pytest.mark.parametrize(("name", "one"), cases())
def test_method_keeps_its_promise(name, one):
    case = Case.of("transfers", name)
    report = Report(name)
    run_property(case, one, accepted(name), INFEASIBLE, report)
    # A method may have no long problem, and refuse every problem that can lack a plan.
    applied = report.checked[one.name] + (one.takes in ("long", "infeasible"))
    assert applied > 0, f"nothing was checked: {report}"


PLAIN = transfer_problems(
    max_ports=6, features=("absent", "local", "one_peer", "receive", "unequal", "waves")
)


def value(problem, method):
    """Return the makespan that a method finds, or ``None`` if it takes no such problem."""
    if wing_named("transfers").methods[method].refuses(problem) is not None:
        return None
    return moeopt.solve(problem, method).objective


@pytest.mark.parametrize("method", PREEMPTIVE)
@given(problem=PLAIN)
@settings(max_examples=15)
def test_the_way_back_takes_as_long(method, problem):
    back = msgspec.structs.replace(
        problem,
        traffic_bytes=problem.traffic_bytes.transpose(0, 2, 1),
        bandwidth_bytes_per_s=problem.receive_rate(),
        receive_bytes_per_s=problem.send_rate(),
    )
    there = value(problem, method)
    if there is not None:
        assert value(back, method) == pytest.approx(there, rel=1e-9)


@pytest.mark.parametrize("method", PREEMPTIVE)
@given(problem=PLAIN)
@settings(max_examples=15)
def test_a_message_in_two_waves_takes_as_long(method, problem):
    share = np.random.default_rng(0).random(problem.traffic_bytes.shape)
    parts = [problem.traffic_bytes * share, problem.traffic_bytes * (1 - share)]
    cut = msgspec.structs.replace(problem, traffic_bytes=np.concatenate(parts))
    whole = value(problem, method)
    if whole is not None:
        assert value(cut, method) == pytest.approx(whole, rel=1e-9)
