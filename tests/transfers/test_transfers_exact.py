"""The exact models against brute force, rule by rule, and what is proven of rounds and orders."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.optimize import linprog

from moeopt.core.arrays import FloatArray
from moeopt.core.errors import InstanceError
from moeopt.core.result import Limit, Status
from moeopt.core.solve import solve
from moeopt.core.stop import Context
from moeopt.mip import LinearModel, MipAnswer, solve_model
from moeopt.testing.conformance.transfers_oracle import brute_force
from moeopt.testing.strategies import transfer_problems
from moeopt.transfers import exact_rounds_solve
from moeopt.transfers.exact import build, model_of, refuses_exact, run_exact
from moeopt.transfers.exact_rounds import RoundsModel, compile_rounds
from moeopt.transfers.plan import TransferPlan, evaluate, violations
from moeopt.transfers.problem import Busy, Fabric, TransferProblem, Window

THREE = [[0, 3, 1], [2, 0, 2], [1, 1, 0]]

#: Port 1 must have its message by 1, and port 3's is released then: both others go to port 2 late.
LATE = [[0, 1, 1, 0], [0] * 4, [0] * 4, [0, 0, 1, 0]]
LATE_WINDOWS = (Window(source=0, destination=1, deadline_s=1.0), Window(source=3, release_s=1.0))


def problem(traffic: Any, **fields: Any) -> TransferProblem:
    """Return a problem between ports of one byte per second."""
    fields.setdefault("bandwidth_bytes_per_s", 1.0)
    return TransferProblem(traffic_bytes=np.array(traffic, dtype=float), **fields)


def pair(source: int, destination: int, size: float = 1.0) -> list[list[float]]:
    """Return the traffic of one message between three ports."""
    traffic = [[0.0] * 3 for _ in range(3)]
    traffic[source][destination] = size
    return traffic


def whole(traffic: Any, **fields: Any) -> TransferProblem:
    return problem(traffic, preemptive=False, peers="one", **fields)


#: Rules of each model that bind: the optimum with the rule, and without its rows.
BINDING = {
    "flow C1": (problem(THREE), 4, 0),
    "flow C2": (problem(THREE), 4, 0),
    "flow C3": (
        problem(
            [[0, 2, 2], [0] * 3, [0] * 3],
            peers="one",
            bandwidth_bytes_per_s=np.array([2.0, 1.0, 1.0]),
        ),
        4,
        2,
    ),
    "flow C4": (problem([[0, 1, 0], [0, 0, 1], [0] * 3], half_duplex=True), 2, 1),
    "flow C5": (problem(pair(0, 1), windows=(Window(release_s=3.0),)), 4, 1),
    "flow C6": (problem(LATE, windows=LATE_WINDOWS), 3, 2),
    "flow C9": (problem(pair(0, 1), busy=(Busy(port=1, start_s=0.0, end_s=2.0),)), 3, 1),
    "shop C3": (whole([[0, 1, 1], [0] * 3, [0] * 3]), 2, 1),
    "shop C4": (whole([[0, 1, 0], [0, 0, 1], [0] * 3], half_duplex=True), 2, 1),
    "shop C5": (whole(pair(0, 1), windows=(Window(release_s=3.0),)), 4, 1),
    "shop C6": (whole(LATE, windows=LATE_WINDOWS), 3, 2),
    "shop C9": (whole(pair(0, 1), busy=(Busy(port=1, start_s=0.0, end_s=2.0),)), 3, 1),
    "rounds C1": (problem(THREE, objective="rounds"), 3, 0),
    "rounds C10": (problem(THREE, objective="rounds"), 3, 0),
    "rounds C12": (problem(THREE, objective="rounds"), 3, 2),
}


def exact(stated: TransferProblem, time_limit_s: float | None = None, start: Any = None) -> Any:
    return run_exact(stated, Context(time_limit_s=time_limit_s), start)


@pytest.mark.parametrize("rule", BINDING)
def test_dropping_a_rule_that_binds_changes_the_optimum(rule: str) -> None:
    stated, with_rule, without = BINDING[rule]
    name, label = rule.split()
    assert model_of(stated) == name
    best = brute_force(stated)
    assert best is not None
    assert best.objective == pytest.approx(with_rule)
    (tight,), (plain,) = build(stated), build(stated, tighten=False)
    assert solve_model(tight).objective == pytest.approx(with_rule)
    assert solve_model(plain).objective == pytest.approx(with_rule)
    assert solve_model(plain.without(label)).objective == pytest.approx(without)


@given(transfer_problems(max_ports=3))
@settings(max_examples=40)
def test_exact_is_brute_force(stated: TransferProblem) -> None:
    if stated.num_waves > 1 and stated.startup_s > 0:
        return  # brute force lets no two waves of a pair share a start-up
    best = brute_force(stated)
    if refuses_exact(stated) is not None or best is None or best.objective is None:
        return
    outcome = exact(stated)
    assert violations(stated, outcome.plan) == []
    value = evaluate(stated, outcome.plan).objective
    assert value == pytest.approx(best.objective, rel=1e-6, abs=1e-12)
    assert outcome.bound == pytest.approx(value, rel=1e-6)
    (model,) = build(stated)
    assert solve_model(model).objective == pytest.approx(value, rel=1e-6, abs=1e-12)


def fewest_rounds(traffic: FloatArray) -> int:
    """Return the fewest permutations, idle on the diagonal, whose lengths cover the traffic."""
    ports = len(traffic)
    line = max(traffic.sum(axis=0).max(), traffic.sum(axis=1).max())
    sets = []
    for row in itertools.permutations(range(ports)):
        table = np.zeros((ports, ports))
        table[range(ports), row] = 1.0
        np.fill_diagonal(table, 0.0)
        sets.append(table.ravel())
    needed = traffic.ravel() > 0
    for count in itertools.count(1):
        for chosen in itertools.combinations(sets, count):
            cover = np.array(chosen)
            if (cover.any(axis=0) >= needed).all():
                answer = linprog(np.ones(count), A_ub=-cover.T, b_ub=-traffic.ravel())
                if answer.status == 0 and answer.fun <= line * (1 + 1e-9):
                    return count
    raise AssertionError


@pytest.mark.parametrize("seed", range(2))
def test_the_fewest_rounds_of_four_dense_ports(seed: int) -> None:
    traffic = np.random.default_rng(seed).integers(1, 50, (4, 4)).astype(float)
    np.fill_diagonal(traffic, 0.0)
    result = solve(problem(traffic, objective="rounds"), "exact")
    assert result.status is Status.OPTIMAL
    assert result.objective == fewest_rounds(traffic)


def test_the_fewest_rounds_of_five_dense_ports_are_proven() -> None:
    traffic = np.random.default_rng(1).integers(1, 100, (5, 5)).astype(float)
    stated = problem(traffic, objective="rounds")
    result = solve(stated, "exact")
    assert result.status is Status.OPTIMAL
    assert result.bound == result.objective
    many = solve(stated, "birkhoff").objective
    assert many is not None
    assert 4 <= result.objective <= many


def test_rounds_that_only_a_tolerance_allows_are_none() -> None:
    """Two rounds would do but for 3e-8 of the longest line: solvers take that for nothing."""
    a, b, little = 0.6, 0.4, 3e-8
    traffic = np.zeros((4, 4))
    traffic[:2, 2:] = [[a, b], [b, a]]
    traffic[2:, :2] = [[a + little, b - little], [b - little, a + little]]
    outcome = exact(problem(traffic, objective="rounds"))
    assert outcome.plan.num_rounds == 3
    assert violations(problem(traffic, objective="rounds"), outcome.plan) == []


def test_start_ups_are_traded_against_padding() -> None:
    cheap, dear = (
        exact(problem(THREE, startup_s=s, startup_per="round", peers="one")).plan
        for s in (0.01, 10.0)
    )
    assert (cheap.num_rounds, dear.num_rounds) == (3, 2)
    assert cheap.makespan_s == pytest.approx(4.03)


@pytest.mark.parametrize(
    "stated",
    [
        problem(np.arange(36).reshape(6, 6), objective="rounds"),
        problem(np.arange(36).reshape(6, 6), startup_s=1.0, startup_per="round", peers="one"),
        whole(np.arange(36).reshape(6, 6) ** 2),
    ],
    ids=["rounds", "round start-ups", "whole messages"],
)
def test_without_time_the_known_plan_and_a_bound_are_left(stated: TransferProblem) -> None:
    outcome = exact(stated, time_limit_s=1e-9)
    assert violations(stated, outcome.plan) == []
    assert 0 < outcome.bound <= evaluate(stated, outcome.plan).objective
    assert outcome.limit is Limit.TIME


def test_with_a_limit_every_model_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one a solver that dies takes the caller with it, and one that hangs never ends."""
    limits = []
    whole = exact_rounds_solve.solve_model

    def noted(model: LinearModel, **options: Any) -> MipAnswer:
        limits.append(options.get("time_limit_s"))
        return whole(model, **options)

    monkeypatch.setattr(exact_rounds_solve, "solve_model", noted)
    stated = problem(THREE, startup_s=1.0, startup_per="round", peers="one")
    assert solve(stated, "exact", time_limit_s=50).status is Status.OPTIMAL
    assert len(limits) > 1
    assert None not in limits


def test_a_point_is_a_plan_though_its_lengths_were_not_found_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Heuristics need 30 s here: what the solver found at its limit must not be lost."""
    traffic = np.array([[0, 4, 4, 3], [8, 0, 5, 3], [4, 8, 0, 5], [3, 6, 6, 0]])
    stated = problem(traffic, startup_s=3.0, startup_per="round", peers="one")
    assert solve(stated, "few_rounds").objective == pytest.approx(30.0)
    short = []

    def short_lengths(frame: RoundsModel, *rest: Any) -> None:
        short.append(frame)

    monkeypatch.setattr(exact_rounds_solve, "_lengths", short_lengths)
    result = solve(stated, "exact", time_limit_s=50)
    assert short
    assert result.objective == pytest.approx(28.0, rel=1e-6)
    assert isinstance(result.plan, TransferPlan)
    assert violations(stated, result.plan) == []


def test_rounds_that_there_was_no_time_to_count_cut_nothing_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stated = problem(THREE, objective="rounds")
    best = solve(stated, "exact").objective
    assert best is not None
    monkeypatch.setattr(exact_rounds_solve, "_lengths", lambda *arguments: None)
    result = solve(stated, "exact", time_limit_s=50)
    assert result.bound is not None
    assert result.bound <= best <= result.objective
    assert result.limit is Limit.TIME or result.status is Status.OPTIMAL


def test_lengths_have_time_however_late_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = []

    def without_limit(model: LinearModel, **options: Any) -> MipAnswer:
        limits.append(options["time_limit_s"])
        return solve_model(model)

    monkeypatch.setattr(exact_rounds_solve, "solve_model", without_limit)
    frame = compile_rounds(problem(THREE, startup_s=3.0, startup_per="round"))
    every = np.arange(len(frame.member))
    length = exact_rounds_solve._lengths(frame, every, Context(time_limit_s=0.0))
    assert limits == [exact_rounds_solve._LENGTHS_LEAST_S]
    assert length is not None
    assert (length @ frame.member >= frame.need - 1e-9).all()


def test_a_warm_start_is_never_made_worse() -> None:
    stated = whole(np.arange(16).reshape(4, 4))
    best = exact(stated).plan
    again = exact(stated, time_limit_s=1e-9, start=best).plan
    assert again.makespan_s <= best.makespan_s * (1 + 1e-12)
    counted = problem(np.arange(16).reshape(4, 4), objective="rounds")
    best = exact(counted).plan
    assert exact(counted, time_limit_s=1e-9, start=best).plan.num_rounds == best.num_rounds


def test_deadlines_out_of_reach_name_the_seconds() -> None:
    traffic = [[0, 2, 2], [0] * 3, [0] * 3]
    (found,) = exact(whole(traffic, windows=(Window(deadline_s=3.0),))).infeasible
    assert (found.constraint, found.path) == ("C6", "$.windows")
    assert found.amount == pytest.approx(1.0)


def test_times_that_are_no_multiples_of_each_other_are_proven_too() -> None:
    rng = np.random.default_rng(5)
    stated = whole(
        rng.random((5, 5)),
        bandwidth_bytes_per_s=rng.random(5) + 0.5,
        startup_s=0.01,
        half_duplex=True,
        windows=(Window(source=1, release_s=0.7), Window(source=2, release_s=0.3)),
        busy=(Busy(port=0, start_s=1.1, end_s=1.7), Busy(port=3, start_s=0.2, end_s=0.9)),
    )
    result = solve(stated, "exact")
    assert result.status is Status.OPTIMAL


def test_a_message_that_just_fits_before_a_busy_time_does() -> None:
    size = 1 / 3
    stated = whole(pair(0, 1, size), busy=(Busy(port=0, start_s=size, end_s=5.0),))
    assert exact(stated).plan.makespan_s == size


@pytest.mark.parametrize(
    ("stated", "word"),
    [
        (problem(THREE, fabric=Fabric(ports_per_node=3, bandwidth_bytes_per_s=9.0)), "two_tier"),
        (problem(THREE, peers="one", startup_s=1.0), "cut"),
        (problem(THREE, peers="one", chunk_bytes=1.0), "cut"),
        (problem(THREE, peers="one", half_duplex=True, startup_s=1.0), "cut"),
        (whole(THREE, startup_s=1.0, startup_per="round"), "cut messages"),
        (whole([THREE, THREE], startup_s=1.0), "waves"),
        (problem(np.ones((9, 9)), objective="rounds"), "too many ports"),
        (whole(np.ones((12, 12))), "greedy"),
        (problem(THREE, startup_s=1.0, windows=(Window(release_s=1.0),)), "start-ups"),
    ],
)
def test_what_no_model_has_is_refused(stated: TransferProblem, word: str) -> None:
    assert word in (refuses_exact(stated) or "")
    with pytest.raises(InstanceError, match="must be compilable"):
        build(stated)


def test_nothing_to_send_takes_no_time() -> None:
    one_peer: dict[str, Any] = {"peers": "one"}
    for fields in (
        {},
        {"objective": "rounds"},
        {"preemptive": False, **one_peer},
        {"half_duplex": True, **one_peer},
        {"startup_s": 1.0, "startup_per": "round", **one_peer},
    ):
        stated = problem(np.zeros((3, 3)), **fields)
        plan = exact(stated).plan
        assert isinstance(plan, TransferPlan)
        assert (plan.makespan_s, plan.num_rounds) == (0.0, 0)
        assert solve_model(build(stated)[0]).objective == 0.0
