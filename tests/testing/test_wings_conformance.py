"""Every method of every wing keeps what it promises, on problems drawn once for all.

To see the smallest problem on which one fails::

    from moeopt.testing.conformance import check_method
    check_method("placement", "lpt", examples=200, properties=["bound"])
"""

import functools
import itertools
import json
from collections import defaultdict
from dataclasses import dataclass, field

import hypothesis
import pytest
from hypothesis import given, settings

from moeopt.core.registry import wing_named, wing_names
from moeopt.testing.conformance import Case, Report, conformance_cases, kit_for, problem_json
from moeopt.testing.conformance.properties import PROPERTIES
from moeopt.testing.conformance.suite import run_property


@dataclass(frozen=True)
class Drawn:
    """How many problems of a wing are drawn, and how many of them each method gets.

    `most` is of methods that prove or search, which take longer for each, and of those that accept
    few; `infeasible` problems are drawn for each method; `fresh` are the methods that are asked in
    another process, all if left out: one for each code of its own; `free` are kinds of problems of
    which a method may take none.
    """

    examples: int
    others: int = 25
    most: dict[str, int] = field(default_factory=dict)
    infeasible: int = 8
    fresh: tuple[str, ...] | None = None
    free: tuple[str, ...] = ("long", "infeasible")


DRAWN = {
    "buffering": Drawn(
        300,
        others=12,
        most={"auto": 24, "exact": 24},
        infeasible=4,
        fresh=(
            *("auto", "exact", "clairvoyant", "best_online", "belady", "learned"),
            "activation_matching",
        ),
    ),
    "colocation": Drawn(300, most={"exact": 12, "auto": 16, "search": 20}),
    "committee": Drawn(
        300,
        others=12,
        most={"auto": 24, "exact": 24, "knapsack": 24},
        fresh=("auto", "exact", "flow_curves", "genetic", "rent_or_buy"),
    ),
    "placement": Drawn(
        400,
        most={"exact": 30, "auto": 20, "eplb": 12, "fast": 100, "search": 60},
        free=("long",),
    ),
    "serverless": Drawn(200, most={"milp": 8}),
    "transfers": Drawn(
        400, others=40, most={"exact": 12, "auto": 25, "few_rounds": 20, "greedy": 30}
    ),
}


@functools.cache
def drawn(wing):
    """Return problems that have a plan, the same in each run, the last drawn first."""
    problems = []

    @hypothesis.seed(2)
    @settings(max_examples=DRAWN[wing].examples, database=None, deadline=None, derandomize=False)
    @given(kit_for(wing).problems(True))
    def collect(problem):
        problems.append(problem)

    collect()
    return problems[::-1]


@functools.cache
def accepted(wing, name):
    """Return those that the method takes: one for each set of stated rules before any second."""
    method = wing_named(wing).methods[name]
    by_rules = defaultdict(list)
    for problem in drawn(wing):
        if method.refuses(problem) is None:
            by_rules[tuple(json.loads(problem_json(problem)))].append(problem)
    rounds = itertools.zip_longest(*by_rules.values())
    taken = [problem for one in rounds for problem in one if problem is not None]
    return taken[: DRAWN[wing].most.get(name, DRAWN[wing].others)]


def cases():
    """Return every property that each method promises."""
    for wing, numbers in DRAWN.items():
        for name, method in wing_named(wing).methods.items():
            for one in PROPERTIES.values():
                asked = one.name != "fresh_process" or numbers.fresh is None
                if one.promised(method.capabilities) and (asked or name in numbers.fresh):
                    yield pytest.param(wing, name, one, id=f"{wing}-{name}-{one.name}")


@pytest.mark.parametrize(("wing", "name", "one"), [*cases()])
def test_method_keeps_its_promise(wing, name, one):
    case = Case.of(wing, name)
    report = Report(name)
    run_property(case, one, accepted(wing, name), DRAWN[wing].infeasible, report)
    # A method may have no long problem, and refuse every problem that can lack a plan.
    applied = report.checked[one.name] + (one.takes in DRAWN[wing].free)
    assert applied > 0, f"nothing was checked: {report}"


def test_no_wing_is_left_out():
    assert set(DRAWN) == set(wing_names())
    for wing, numbers in DRAWN.items():
        named = {*numbers.most, *(numbers.fresh or ())}
        assert named <= wing_named(wing).methods.keys()


def test_cases_for_other_suites():
    names = [case.name for case in conformance_cases("placement", "lpt", examples=1)]
    assert "lpt-valid_plan" in names
    assert "lpt-optimum" not in names
