"""Every method of every wing keeps what it promises, on problems drawn once for all.

To see the smallest problem on which one fails::

    from moeopt.testing.conformance import check_method
    check_method("placement", "lpt", examples=200, properties=["bound"])
"""

import functools
import itertools
import json
from collections import defaultdict
from dataclasses import dataclass, field, replace

import hypothesis
import pytest
from hypothesis import given, settings

from moeopt.core.registry import wing_named, wing_names
from moeopt.testing.conformance import Case, Report, conformance_cases, kit_for, problem_json
from moeopt.testing.conformance.properties import PROPERTIES
from moeopt.testing.conformance.suite import run_property


class Remembering(Case):
    """A case that solves a problem once for all properties that only look at what came back."""

    @functools.cached_property
    def _solved(self):
        return {}

    def solve(self, problem, **options):
        if options:
            return super().solve(problem, **options)
        # The problem is kept beside its result, so that no other one gets its identity.
        if id(problem) not in self._solved:
            self._solved[id(problem)] = problem, super().solve(problem)
        return self._solved[id(problem)][1]


#: How many problems without a plan are drawn for a wing.
_INFEASIBLE = 40


@dataclass(frozen=True)
class Drawn:
    """How many problems of a wing are drawn, and how many of them each method gets.

    `most` is of methods that prove or search, which take longer for each, and of those that accept
    few; `infeasible` is how many without a plan each method gets; `fresh` are the methods that are
    asked in another process: one for each code of its own; `free` are kinds of
    problems of which a method may take none.
    """

    examples: int
    others: int = 12
    most: dict[str, int] = field(default_factory=dict)
    infeasible: int = 8
    fresh: tuple[str, ...] = ()
    free: tuple[str, ...] = ("long", "infeasible")


DRAWN = {
    "buffering": Drawn(
        200,
        others=10,
        most={"auto": 20, "exact": 20},
        infeasible=4,
        fresh=(
            *("auto", "exact", "clairvoyant", "best_online", "belady", "learned"),
            "activation_matching",
        ),
    ),
    "colocation": Drawn(
        200,
        most={"exact": 10, "auto": 10},
        fresh=("auto", "exact", "bottleneck_matching", "search", "rga"),
    ),
    "committee": Drawn(
        200,
        others=10,
        most={"auto": 20, "exact": 20, "knapsack": 20},
        fresh=("auto", "exact", "flow_curves", "genetic", "rent_or_buy"),
    ),
    "placement": Drawn(
        400,
        most={"exact": 15, "auto": 15, "fast": 50, "search": 30},
        infeasible=4,
        fresh=(
            *("auto", "exact", "search", "replan", "eplb"),
            *("bottleneck_assignment", "anticorrelation"),
        ),
        free=("long",),
    ),
    "serverless": Drawn(150, most={"milp": 6}, fresh=("auto", "milp", "ods", "random")),
    "transfers": Drawn(
        300,
        others=16,
        most={"exact": 10, "auto": 12},
        fresh=(
            *("auto", "exact", "birkhoff", "two_tier", "timed"),
            *("edge_coloring", "greedy", "random"),
        ),
    ),
}


@functools.cache
def drawn(wing, feasible=True):
    """Return problems that have a plan or none, the same in each run, the last drawn first."""
    problems = []
    examples = DRAWN[wing].examples if feasible else _INFEASIBLE

    @hypothesis.seed(2)
    @settings(max_examples=examples, database=None, deadline=None, derandomize=False)
    @given(kit_for(wing).problems(feasible))
    def collect(problem):
        problems.append(problem)

    collect()
    return problems[::-1]


@functools.cache
def accepted(wing, name, feasible=True):
    """Return those that the method takes: one for each set of stated rules before any second."""
    method = wing_named(wing).methods[name]
    by_rules = defaultdict(list)
    for problem in drawn(wing, feasible):
        if method.refuses(problem) is None:
            by_rules[tuple(json.loads(problem_json(problem)))].append(problem)
    rounds = itertools.zip_longest(*by_rules.values())
    taken = [problem for one in rounds for problem in one if problem is not None]
    most = DRAWN[wing].most.get(name, DRAWN[wing].others)
    return taken[: most if feasible else DRAWN[wing].infeasible]


@functools.cache
def remembering(wing, name):
    """Return the one case of a method for all properties."""
    case = Case.of(wing, name)
    return Remembering(case.wing, case.method, case.kit)


def cases():
    """Return every property that each method promises."""
    for wing, numbers in DRAWN.items():
        for name, method in wing_named(wing).methods.items():
            for one in PROPERTIES.values():
                asked = one.name != "fresh_process" or name in numbers.fresh
                if one.promised(method.capabilities) and asked:
                    yield pytest.param(wing, name, one, id=f"{wing}-{name}-{one.name}")


@pytest.mark.parametrize(("wing", "name", "one"), [*cases()])
def test_method_keeps_its_promise(wing, name, one):
    # Whoever looks for another answer to the same question must ask again.
    case = Case.of(wing, name) if one.name == "same_seed" else remembering(wing, name)
    report = Report(name)
    feasible, most = one.takes != "infeasible", DRAWN[wing].infeasible
    problems = accepted(wing, name, feasible)
    # Those without a plan are drawn once for all methods; for one that takes none of them, again.
    once = not feasible and (problems or "infeasible" in DRAWN[wing].free)
    given_to = replace(one, takes="feasible") if once else one
    run_property(case, given_to, problems, most, report)
    # A method may have no long problem, and refuse every problem that can lack a plan.
    applied = report.checked[one.name] + (one.takes in DRAWN[wing].free)
    assert applied > 0, f"nothing was checked: {report}"


def test_no_wing_is_left_out():
    assert set(DRAWN) == set(wing_names())
    for wing, numbers in DRAWN.items():
        assert numbers.fresh
        named = {*numbers.most, *numbers.fresh}
        assert named <= wing_named(wing).methods.keys()


def test_cases_for_other_suites():
    names = [case.name for case in conformance_cases("placement", "lpt", examples=1)]
    assert "lpt-valid_plan" in names
    assert "lpt-optimum" not in names
