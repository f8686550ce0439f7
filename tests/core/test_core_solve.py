"""`moeopt.solve`: arguments, trust and what becomes of an outcome."""

from dataclasses import replace

import numpy as np
import pytest
from core_toys import GuessPlan, GuessProblem, broken, returning, wing

from moeopt.core import registry
from moeopt.core.errors import InstanceError, InternalError
from moeopt.core.registry import method_named, register, wing_named, wing_names, wing_of
from moeopt.core.result import Limit, Status
from moeopt.core.solve import solve
from moeopt.core.wing import Outcome


@pytest.fixture
def offer(monkeypatch):
    """Register the toy wing with one method that returns a fixed outcome."""

    def registered(**outcome):
        monkeypatch.setitem(registry._WINGS, "guess", wing(returning(**outcome)))

    return registered


def guess(**arguments):
    return solve(GuessProblem(), "fixed", **arguments)


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({"time_limit_s": 0}, "time_limit_s"),
        ({"time_limit_s": -1.0}, "time_limit_s"),
        ({"time_limit_s": float("nan")}, "time_limit_s"),
        ({"gap": -0.1}, "gap"),
        ({"gap": float("nan")}, "gap"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**31}, "seed"),
        ({"workers": 0}, "workers"),
        ({"time_limit_s": "5"}, "time_limit_s"),
        ({"time_limit_s": True}, "time_limit_s"),
        ({"gap": None}, "gap"),
        ({"gap": 10**400}, "gap"),
        ({"seed": 1.0}, "seed"),
        ({"workers": True}, "workers"),
        ({"progress": "loud"}, "progress"),
        ({"warm_start": "no plan"}, "warm_start"),
        ({"warm_start": GuessPlan(number=1.0)}, "warm_start"),
    ],
)
def test_arguments_are_checked(offer, arguments, path):
    offer(plan=GuessPlan(number=2.0))
    with pytest.raises(InstanceError) as caught:
        guess(**arguments)
    assert caught.value.path == path


def test_an_infinite_time_limit_is_none(monkeypatch):
    seen = []
    listening = replace(
        returning(),
        run=lambda problem, context, warm_start: seen.append(context) or Outcome(),
    )
    monkeypatch.setitem(registry._WINGS, "guess", wing(listening))
    guess(time_limit_s=float("inf"), seed=np.int64(3), gap=np.float32(0.5))
    (context,) = seen
    assert context.time_limit_s is None
    assert (context.seed, context.gap) == (3, 0.5)
    assert type(context.seed) is int


@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e-300, 1e-310])
def test_no_objective_is_too_small_to_have_a_gap(offer, scale):
    offer(plan=GuessPlan(number=4.0 * scale), bound=2.0 * scale)
    result = solve(GuessProblem(hidden=2.0 * scale), "fixed")
    assert result.status is Status.FEASIBLE
    assert result.gap == pytest.approx(0.5)
    offer(plan=GuessPlan(number=2.0 * scale), bound=3.0 * scale)
    with pytest.raises(InternalError, match="bound"):
        solve(GuessProblem(hidden=2.0 * scale), "fixed")


def test_a_problem_of_another_wing_or_a_plan_is_refused(offer):
    offer()
    with pytest.raises(InstanceError, match="must be a GuessProblem"):
        solve(GuessPlan(number=1.0), "fixed")
    with pytest.raises(InstanceError, match="load_problem"):
        solve("file.json")


def test_an_unknown_method_is_told_the_known_ones(offer):
    offer()
    with pytest.raises(InstanceError, match="fixed"):
        solve(GuessProblem(), "fxied")


def test_a_refused_problem_is_told_why(monkeypatch):
    picky = replace(returning(), refuses=lambda problem: "too odd")
    monkeypatch.setitem(registry._WINGS, "guess", wing(picky))
    with pytest.raises(InstanceError, match="too odd"):
        guess()


def test_a_closed_gap_is_optimal(offer):
    offer(plan=GuessPlan(number=2.0), bound=2.0 - 1e-7, limit=Limit.TIME)
    result = guess(seed=4)
    assert (result.status, result.limit) == (Status.OPTIMAL, Limit.NONE)
    assert (result.objective, result.seed, result.method) == (2.0, 4, "fixed")


def test_an_open_gap_keeps_its_limit(offer):
    offer(plan=GuessPlan(number=4.0), bound=2.0, limit=Limit.TIME)
    result = guess()
    assert (result.status, result.limit, result.gap) == (Status.FEASIBLE, Limit.TIME, 0.5)


def test_no_bound_means_no_gap(offer):
    offer(plan=GuessPlan(number=4.0))
    result = guess()
    assert (result.status, result.bound, result.gap) == (Status.FEASIBLE, None, None)


def test_a_bound_of_rounding_noise_above_the_plan_is_lowered(offer):
    offer(plan=GuessPlan(number=2.0), bound=2.0 + 1e-9)
    assert guess().bound == 2.0


def test_an_invalid_plan_is_an_internal_error(offer):
    offer(plan=GuessPlan(number=1.0))
    with pytest.raises(InternalError, match="C1"):
        guess()


def test_a_bound_above_the_plan_is_an_internal_error(offer):
    offer(plan=GuessPlan(number=2.0), bound=3.0)
    with pytest.raises(InternalError, match="bound"):
        guess()


def test_no_plan_keeps_the_bound(offer):
    offer(bound=1.5, limit=Limit.TIME)
    result = guess()
    assert (result.status, result.limit) == (Status.NO_PLAN_FOUND, Limit.TIME)
    assert (result.plan, result.objective, result.bound, result.gap) == (None, None, 1.5, None)


def test_infeasible_is_a_status_with_its_reason(offer):
    offer(infeasible=(broken("C1", 1.0),), limit=Limit.TIME)
    result = guess()
    assert (result.status, result.limit) == (Status.INFEASIBLE, Limit.NONE)
    assert [v.constraint for v in result.violations] == ["C1"]


def test_what_counting_shows_never_reaches_the_method(offer):
    offer(plan=GuessPlan(number=2.0))
    result = solve(GuessProblem(most=1.0), "fixed")
    assert result.status is Status.INFEASIBLE
    assert result.violations[0].amount == 1.0


def test_a_wing_is_found_by_the_tag_of_its_documents(monkeypatch):
    own = wing()
    monkeypatch.setitem(registry._WINGS, "guess", own)
    assert wing_of(GuessProblem()) is own
    assert wing_of(GuessPlan(number=1.0)) is own
    assert {"guess", "placement"} <= set(wing_names())


def test_registering_replaces(monkeypatch):
    monkeypatch.setattr(registry, "_WINGS", {})
    first, second = wing(), wing(returning())
    assert register(first) is first
    assert wing_named("guess") is first
    register(second)
    assert wing_named("guess") is second
    assert method_named(second, "fixed").name == "fixed"


@pytest.mark.parametrize(
    ("name", "hint"), [("placment", "did you mean 'placement'"), ("zzz", "moeopt schema")]
)
def test_an_unknown_wing_is_told_the_closest(name, hint):
    with pytest.raises(InstanceError, match=hint) as caught:
        wing_named(name)
    assert caught.value.path == "$.problem"
