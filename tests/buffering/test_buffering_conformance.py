"""Every method of the buffering wing keeps what it promises, on problems drawn once for all.

To see the smallest problem on which one fails::

    from moeopt.testing.conformance import check_method
    check_method("buffering", "lru", examples=200, properties=["bound"])
"""

import functools
import itertools
import json
from collections import defaultdict

import hypothesis
import pytest
from hypothesis import given, settings

from moeopt.core.registry import wing_named
from moeopt.testing.conformance import Case, Report, kit_for, problem_json
from moeopt.testing.conformance.properties import PROPERTIES
from moeopt.testing.conformance.suite import run_property

#: Drawn problems that a method accepts; those that prove take any rules.
PROBLEMS = {"auto": 24, "exact": 24}
MOST = 12

#: Problems without a plan, drawn for each method.
INFEASIBLE = 4

#: Asked in another process: a method of each code of its own, and one that tries every policy.
FRESH = ("auto", "exact", "clairvoyant", "best_online", "belady", "learned", "activation_matching")


@functools.cache
def drawn():
    """Return problems that have a plan, the same in each run, the last drawn first."""
    problems = []

    @hypothesis.seed(2)
    @settings(max_examples=300, database=None, deadline=None, derandomize=False)
    @given(kit_for("buffering").problems(True))
    def collect(problem):
        problems.append(problem)

    collect()
    return problems[::-1]


@functools.cache
def accepted(name):
    """Return those that the method takes: one for each set of stated rules before any second."""
    method = wing_named("buffering").methods[name]
    by_rules = defaultdict(list)
    for problem in drawn():
        if method.refuses(problem) is None:
            by_rules[tuple(json.loads(problem_json(problem)))].append(problem)
    rounds = itertools.zip_longest(*by_rules.values())
    taken = [problem for one in rounds for problem in one if problem is not None]
    return taken[: PROBLEMS.get(name, MOST)]


def cases():
    """Return every property that each method promises."""
    for name, method in wing_named("buffering").methods.items():
        for one in PROPERTIES.values():
            if one.name == "fresh_process" and name not in FRESH:
                continue
            if one.promised(method.capabilities):
                yield pytest.param(name, one, id=f"{name}-{one.name}")


@pytest.mark.parametrize(("name", "one"), cases())
def test_method_keeps_its_promise(name, one):
    case = Case.of("buffering", name)
    report = Report(name)
    run_property(case, one, accepted(name), INFEASIBLE, report)
    # A method may have no long problem, and refuse every problem that can lack a plan.
    applied = report.checked[one.name] + (one.takes in ("long", "infeasible"))
    assert applied > 0, f"nothing was checked: {report}"
