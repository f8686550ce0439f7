"""The bench's own arithmetic: known numbers, intervals, and what it compares."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

import moeopt
from moeopt.bench.command import encode
from moeopt.bench.registry import Setting
from moeopt.bench.serverless_claims import CONSTANTS, Constant, intervals, stated, told
from moeopt.bench.serverless_identities import Identity, identities
from moeopt.bench.serverless_identities import run as run_identities
from moeopt.bench.serverless_proofs import MOST_OPTIONS, promised, random_problems
from moeopt.bench.serverless_simulator import WORLDS, compared
from moeopt.bench.serverless_simulator import run as run_simulator
from moeopt.bench.serverless_study import LOST
from moeopt.bench.serverless_study import compared as compared_with_lambdaml
from moeopt.core.stop import Context
from moeopt.serverless.exact_options import count_options
from moeopt.serverless.generate import deployed, latency_span
from moeopt.serverless.ods import fixed_design
from moeopt.serverless.plan import ServerlessPlan, evaluate
from moeopt.serverless.problem import ServerlessProblem
from moeopt.serverless.simple import lambdaml


def few() -> ServerlessProblem:
    """Return two layers of a model of the paper."""
    problem = deployed("gpt2-moe", bill="paper")
    return msgspec.structs.replace(problem, layers=problem.layers[:2], generator=None)


def test_every_identity_holds() -> None:
    found = list(identities())
    assert len({one.name for one in found}) == len(found) >= 60
    assert [one for one in found if one.computed != one.expected] == []


@pytest.mark.parametrize(
    ("expected", "value", "computed"),
    [("41.80", 41.8002, "41.80"), ("0", 0.0, "0"), ("-0.3926", -0.39261, "-0.3926")],
)
def test_an_identity_has_the_digits_it_is_known_with(
    expected: str, value: float, computed: str
) -> None:
    assert Identity("", expected, value).computed == computed


def halfway(low: float, high: float) -> float:
    return (low + high) / 2


def test_intervals_are_found_by_halving() -> None:
    values = np.arange(9.0)
    assert intervals(lambda x: x < 2.3, values, halfway, 8) == [(0.0, pytest.approx(2.3, abs=0.01))]
    assert intervals(lambda x: x > 6.7, values, halfway, 8) == [(pytest.approx(6.7, abs=0.01), 8.0)]
    inside = intervals(lambda x: 1.5 < x < 3.5 or x > 6, values, halfway, 8)
    assert inside == [(pytest.approx(1.5, abs=0.01), pytest.approx(3.5, abs=0.01)),
                      (pytest.approx(6.0, abs=0.01), 8.0)]  # fmt: skip
    assert intervals(lambda x: False, values, halfway, 8) == []
    assert intervals(lambda x: True, values, halfway, 8) == [(0.0, 8.0)]


def test_an_end_of_what_is_looked_at_is_no_end_of_an_interval() -> None:
    assert told([], 1, 9) == "nowhere from 1 to 9"
    assert told([(1, 9)], 1, 9) == "all of 1 to 9"
    assert told([(1, 3), (5, 9)], 1, 9) == "1 or less, to 3; 5 to 9, or more"
    assert told([(2.5, 3.25)], 1, 9) == "2.5 to 3.25"


@pytest.mark.parametrize("constant", CONSTANTS, ids=lambda constant: constant.key)
def test_the_calibrated_value_of_a_constant_changes_nothing(constant: Constant) -> None:
    same, usual = stated("gpt2-moe", **{constant.key: constant.base}), stated("gpt2-moe")
    assert constant.low <= constant.base <= constant.high
    assert same.network == usual.network
    assert same.expert == usual.expert
    assert same.tail_s == usual.tail_s
    other = stated("gpt2-moe", **{constant.key: constant.high})
    changed = (other.network, other.expert, other.tail_s, other.layers)
    assert changed != (usual.network, usual.expert, usual.tail_s, usual.layers)


def test_lambdaml_is_beaten_within_the_loss() -> None:
    problem = few()
    found = compared_with_lambdaml(problem)
    assert found is not None
    theirs = evaluate(problem, lambdaml(problem))
    assert found.theirs_usd == theirs.cost_usd
    assert found.saved == pytest.approx(1 - found.usd / theirs.cost_usd)
    assert found.lost <= LOST + 1e-9
    assert found.usd == pytest.approx(evaluate(problem, found.plan).cost_usd)
    same = compared_with_lambdaml(problem, lost=0.0)
    assert same is not None
    assert same.lost <= 1e-9
    assert found.usd <= same.usd <= theirs.cost_usd


def test_a_plan_of_lambdamls_that_breaks_a_rule_is_no_comparison() -> None:
    assert compared_with_lambdaml(stated(token_ms=50.0, most_vcpus=0.25)) is None


def test_promises_lie_between_the_shortest_latency_and_the_cheapest_plans() -> None:
    problem = few()
    shortest_s, cheapest_s = latency_span(problem)
    assert promised(problem, 0.0).slo_s == pytest.approx(shortest_s)
    assert promised(problem, 0.25).slo_s == pytest.approx(0.75 * shortest_s + 0.25 * cheapest_s)


def test_random_problems_are_small_and_some_have_no_plan() -> None:
    problems = list(random_problems(10))
    assert len(problems) == 10
    assert max(count_options(one, one.designs) for one in problems) <= MOST_OPTIONS
    statuses = [moeopt.solve(problem, "exact").status.value for problem in problems]
    assert {*statuses} == {"optimal", "infeasible"}


def test_the_simulator_is_compared_in_every_world() -> None:
    problem = few()
    plan = fixed_design(problem, Context(), 2).plan
    assert isinstance(plan, ServerlessPlan)
    found = compared(problem, plan, draws=2)
    assert list(found) == list(WORLDS)
    assert found["own world"] == pytest.approx(0.0, abs=1e-12)
    assert found["objects"] > 0 >= found["eager"]


def test_the_simulators_part_meets_its_targets() -> None:
    report = run_simulator(Setting(quick=True, peers=(), say=lambda line: None))
    assert [figure.met for figure in report.figures] == [True, True, None]
    assert encode("serverless", True, report)


def test_identities_are_written_as_json() -> None:
    report = run_identities()
    assert [figure.met for figure in report.figures] == [True]
    assert encode("serverless", True, report)
