"""The exact models and the choice of groups against brute force, rule by rule."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import numpy as np
import pytest
from colocation_oracle import best_pairing, brute_force, cluster_of, drawn, layer

import moeopt
from moeopt.colocation.arrays import colocate
from moeopt.colocation.bounds import bound
from moeopt.colocation.exact import (
    build,
    compile_model,
    is_matching,
    refuses_exact,
    run_exact,
)
from moeopt.colocation.exact_groups import count_groups, groups_of
from moeopt.colocation.layout import layout_of
from moeopt.colocation.plan import ColocationPlan, evaluate, violations
from moeopt.colocation.problem import ColocationProblem, Objective, Pin
from moeopt.colocation.validate import impossible
from moeopt.colocation.weights import device_classes
from moeopt.core.errors import InstanceError
from moeopt.core.result import Status
from moeopt.core.stop import Context
from moeopt.mip import solve_model

OBJECTIVES: tuple[Objective, ...] = ("time", "bottleneck", "communication")

TYPES = ((2.0, 2.0, 1), (1.0, 1.0, 2))
SHAPES: dict[str, tuple[Any, tuple[int, ...], dict[str, Any]]] = {
    "equal": (((1.0, 1.0, 3),), (3, 3), {}),
    "types": (((2.0, 2.0, 2), (1.0, 1.0, 2)), (4, 3), {}),
    "unlike": (((2.0, 1.0, 1), (1.0, 3.0, 1), (1.5, 2.0, 1)), (3, 2), {}),
    "one model": (TYPES, (3,), {}),
    "three models": (TYPES, (3, 2, 3), {}),
    "two places": (TYPES, (4, 2), {"experts_per_device": 2}),
    "memory": (TYPES, (3, 2), {"expert_memory_bytes": (3, 6, 4)}),
    "pins": (TYPES, (3, 3), {"pinned": (Pin(model=1, expert=0, device=2),)}),
}


def computing(tokens: list[float], **fields: Any) -> Any:
    """Return a layer whose experts compute these tokens of their own, a second each."""
    return layer(np.diag(tokens), seconds_per_token=1.0, **fields)


def problem(*models: Any, kinds: Any = TYPES, **fields: Any) -> ColocationProblem:
    return ColocationProblem(models=models, cluster=cluster_of(*kinds), **fields)


def optimum(stated: ColocationProblem, without: str | None = None, **options: Any) -> float:
    """Return the optimum of the model, one rule's rows left out."""
    (model,) = build(stated, **options)
    answer = solve_model(model if without is None else model.without(without))
    assert answer.status is Status.OPTIMAL
    return answer.objective or 0.0


def proven(stated: ColocationProblem, **options: Any) -> float:
    """Return the objective of the plan of `run_exact`, which must be proven."""
    outcome = run_exact(stated, Context(**options), None)
    assert isinstance(outcome.plan, ColocationPlan)
    assert violations(stated, outcome.plan) == []
    value = evaluate(stated, outcome.plan).objective
    assert outcome.bound == pytest.approx(value, rel=1e-6, abs=1e-12)
    assert outcome.limit is None
    return value


#: For each rule an instance whose optimum is worse for it: with the rule and without.
BINDING = {
    "C1": (problem(computing([6, 4])), 4, 0),
    # On a device four times as fast two experts are better than one.
    "C2": (problem(computing([6, 4, 4]), kinds=((4.0, 1.0, 1), (1.0, 1.0, 2))), 4, 3.5),
    "C3": (
        problem(computing([6, 4], expert_bytes=2), kinds=((2.0, 1.0, 1), (1.0, 1.0, 2)),
                expert_memory_bytes=(1, 2, 2)),
        6, 4,
    ),
    "C4": (problem(computing([6, 4]), pinned=(Pin(model=0, expert=0, device=1),)), 6, 4),
}  # fmt: skip


@pytest.mark.parametrize("rule", BINDING)
def test_dropping_a_rule_that_binds_changes_the_optimum(rule: str) -> None:
    stated, with_rule, without = BINDING[rule]
    best, relaxed = brute_force(stated), brute_force(stated, ignore=(rule,))
    assert best is not None
    assert relaxed is not None
    assert best.objective == pytest.approx(with_rule)
    assert relaxed.objective == pytest.approx(without)
    assert proven(stated) == pytest.approx(with_rule)
    assert optimum(stated) == pytest.approx(with_rule)
    assert optimum(stated, tighten=False) == pytest.approx(with_rule)
    assert optimum(stated, rule, tighten=False) == pytest.approx(without, abs=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_exact_is_brute_force(shape: str, objective: Objective) -> None:
    kinds, experts, fields = SHAPES[shape]
    for seed in range(2):
        stated = drawn(seed, kinds, experts, objective=objective, **fields)
        best = brute_force(stated)
        if best is None:
            assert run_exact(stated, Context(), None).infeasible
            continue
        assert proven(stated) == pytest.approx(best.objective, rel=1e-9)
        tight = seed == 0
        assert optimum(stated, tighten=tight) == pytest.approx(best.objective, rel=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_plan_s_point_is_feasible_and_costs_what_it_takes(
    shape: str, objective: Objective
) -> None:
    kinds, experts, fields = SHAPES[shape]
    fields = {name: value for name, value in fields.items() if name != "expert_memory_bytes"}
    stated = drawn(3, kinds, experts, objective=objective, **fields)
    rng = np.random.default_rng(0)
    places = np.repeat(np.arange(stated.num_devices), stated.experts_per_device)
    frames = [compile_model(stated, tighten=tighten) for tighten in (True, False)]
    for _ in range(4):
        device = np.full((stated.num_models, stated.num_experts), -1)
        for m, count in enumerate(experts):
            device[m, :count] = rng.permutation(places)[:count]
        if stated.pinned:
            device[1, :3] = [2, *rng.permutation(2)]
        plan = ColocationPlan(device=device)
        assert violations(stated, plan) == []
        for frame in frames:
            x = frame.point(plan)
            model = frame.builder.build()
            assert model.violations(x) == []
            value = evaluate(stated, plan).objective
            assert model.evaluate(x) == pytest.approx(value, rel=1e-12)
            assert evaluate(stated, frame.plan(x)).objective == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_many_groups_are_left_to_the_linear_model(
    objective: Objective, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds, experts, fields = SHAPES["unlike"]
    stated = drawn(1, kinds, experts, objective=objective, **fields)
    by_groups = proven(stated)
    monkeypatch.setattr("moeopt.colocation.exact.MOST_GROUPS", 0)
    assert proven(stated) == pytest.approx(by_groups, rel=1e-6)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_eight_experts_on_four_types_of_devices_are_proven(objective: Objective) -> None:
    kinds = ((1.0, 100.0, 2), (0.8, 80.0, 2), (0.5, 50.0, 2), (0.4, 40.0, 2))
    stated = drawn(7, kinds, (8, 8), objective=objective)
    value = proven(stated)
    assert bound(stated) <= value * (1 + 1e-12)
    # No swap of two experts of one model makes it better.
    outcome = run_exact(stated, Context(), None)
    assert isinstance(outcome.plan, ColocationPlan)
    for m, (e, f) in itertools.product(range(2), itertools.combinations(range(8), 2)):
        device = outcome.plan.device.copy()
        device[m, [e, f]] = device[m, [f, e]]
        swapped = evaluate(stated, ColocationPlan(device=device)).objective
        assert swapped >= value * (1 - 1e-12)


def test_papers_worked_example_of_case_ii() -> None:
    # Section 6, item 10: lines (5,2), (3,2), (2,6) and (3,3), (4,1), (2,5).
    a, b = layer([[0, 1, 4], [1, 0, 2], [1, 1, 0]]), layer([[0, 0, 3], [2, 0, 2], [1, 1, 0]])
    stated = problem(a, b, kinds=((1.0, 1.0, 3),), objective="communication")
    assert is_matching(stated)
    outcome = run_exact(stated, Context(), None)
    assert isinstance(outcome.plan, ColocationPlan)
    assert evaluate(stated, outcome.plan).objective == 7.0
    assert outcome.bound == 7.0
    # Its one optimum: a0 with b2, a1 with b0, a2 with b1.
    assert outcome.plan.device[0].tolist() == outcome.plan.device[1][[2, 0, 1]].tolist()
    assert proven(msgspec.structs.replace(stated, pinned=(Pin(model=0, expert=0, device=0),))) == 7


@pytest.mark.parametrize("experts", [(1, 1), (4, 4), (7, 7), (6, 4), (3, 6)])
def test_pairing_on_equal_devices_is_optimal(experts: tuple[int, int]) -> None:
    devices = max(experts)
    for seed in range(6):
        stated = drawn(seed, ((1.0, 1.0, devices),), experts, objective="communication")
        assert is_matching(stated)
        lines = np.zeros((2, 2, devices))
        for m, model in enumerate(stated.models):
            tokens = model.remote() * model.dispatch_bytes_per_token
            lines[m, :, : experts[m]] = tokens.sum(axis=1), tokens.sum(axis=0)
        assert proven(stated) == pytest.approx(best_pairing(*lines), rel=1e-12)


def test_many_experts_are_paired_by_matching() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 50, (2, 256, 256)).astype(float)
    stated = problem(layer(a), layer(b), kinds=((1.0, 1.0, 256),), objective="communication")
    assert proven(stated) == bound(stated)


def test_one_model_alone_is_no_matter_of_pairing() -> None:
    stated = problem(layer([[0, 3], [1, 0]]), kinds=((1.0, 1.0, 3),), objective="communication")
    assert is_matching(stated)
    assert proven(stated) == 3.0


def test_what_matching_ignores_is_not_left_to_it() -> None:
    fields: dict[str, Any] = {"kinds": ((1.0, 1.0, 2),), "objective": "communication"}
    a = layer([[0, 3], [1, 0]], expert_bytes=2)
    assert is_matching(problem(a, a, expert_memory_bytes=4, **fields))
    assert not is_matching(problem(a, a, expert_memory_bytes=3, **fields))
    assert not is_matching(problem(a, a, a, **fields))
    assert not is_matching(problem(a, a, experts_per_device=2, **fields))
    assert not is_matching(problem(a, a, pinned=(Pin(model=0, expert=0, device=0),), **fields))
    assert not is_matching(problem(a, a, kinds=TYPES, objective="communication"))


def test_memory_that_no_plan_fits_is_explained() -> None:
    # Each device must hold 3 + 2 bytes; no count shows that 6 and 4 are not enough.
    a, b = layer([[0, 1], [1, 0]], expert_bytes=3), layer([[0, 1], [1, 0]], expert_bytes=2)
    stated = problem(a, b, kinds=((1.0, 1.0, 2),), expert_memory_bytes=(6, 4))
    assert impossible(stated) == []
    assert brute_force(stated) is None
    (found,) = run_exact(stated, Context(), None).infeasible
    assert (found.constraint, found.path) == ("C3", "$.expert_memory_bytes")
    assert found.amount == pytest.approx(1)
    assert "1 bytes larger" in found.message
    assert proven(msgspec.structs.replace(stated, expert_memory_bytes=(6, 5))) > 0


def test_a_deadline_leaves_a_valid_plan_and_a_bound() -> None:
    stated = drawn(0, ((1.0, 1.0, 8),), (10, 10), experts_per_device=2)
    outcome = run_exact(stated, Context(time_limit_s=1.0), None)
    assert isinstance(outcome.plan, ColocationPlan)
    assert violations(stated, outcome.plan) == []
    assert outcome.bound is not None
    assert 0 < outcome.bound <= evaluate(stated, outcome.plan).objective


def test_no_time_at_all_leaves_the_plan_at_hand() -> None:
    stated = drawn(0, ((1.0, 1.0, 60), (2.0, 1.0, 60)), (120, 120), experts_per_device=2)
    outcome = run_exact(stated, Context(time_limit_s=1e-3), None)
    assert isinstance(outcome.plan, ColocationPlan)
    assert outcome.bound is not None
    assert 0 < outcome.bound <= evaluate(stated, outcome.plan).objective


def test_a_warm_start_is_never_lost_and_a_gap_is_enough() -> None:
    kinds, experts, fields = SHAPES["types"]
    stated = drawn(2, kinds, experts, **fields)
    best = run_exact(stated, Context(), None).plan
    assert isinstance(best, ColocationPlan)
    value = evaluate(stated, best).objective
    again = run_exact(stated, Context(), best)
    assert isinstance(again.plan, ColocationPlan)
    assert evaluate(stated, again.plan).objective == value
    loose = run_exact(stated, Context(gap=0.9), None)
    assert isinstance(loose.plan, ColocationPlan)
    assert loose.bound is not None
    assert 0.1 * evaluate(stated, loose.plan).objective <= loose.bound <= value * (1 + 1e-12)


def test_the_same_seed_gives_the_same_plan() -> None:
    kinds, experts, fields = SHAPES["three models"]
    stated = drawn(4, kinds, experts, **fields)
    one, other = (run_exact(stated, Context(seed=3), None).plan for _ in range(2))
    assert one == other


@pytest.mark.parametrize("scale", [1e-9, 1e9])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_units_do_not_matter(objective: Objective, scale: float) -> None:
    kinds, experts, fields = SHAPES["unlike"]
    stated = drawn(6, kinds, experts, objective=objective, **fields)
    models = tuple(
        msgspec.structs.replace(
            model,
            gate_s=model.gate_s * scale,
            aggregation_s=model.aggregation_s * scale,
            seconds_per_token=model.seconds_per_token * scale,
            dispatch_bytes_per_token=model.dispatch_bytes_per_token * scale,
            combine_bytes_per_token=model.combine_bytes_per_token * scale,
        )
        for model in stated.models
    )
    scaled = msgspec.structs.replace(stated, models=models)
    assert proven(scaled) == pytest.approx(proven(stated) * scale, rel=1e-9)
    assert optimum(scaled) == pytest.approx(proven(stated) * scale, rel=1e-6)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_nothing_to_do_takes_no_time(objective: Objective) -> None:
    stated = problem(layer(np.zeros((2, 2))), layer(np.zeros((1, 1))), objective=objective)
    assert proven(stated) == 0.0


def test_groups_weigh_what_devices_take() -> None:
    stated = drawn(8, TYPES, (4, 3), experts_per_device=2, objective="bottleneck")
    groups = groups_of(stated)
    weight = groups.parts.value("bottleneck")
    plan = ColocationPlan(device=np.array([[0, 0, 1, 2], [2, 1, 1, -1]]))
    alone = evaluate(stated, plan).device_time_s
    for g, kind in ((0, 1), (1, 0), (2, 0)):
        assert groups.classes[kind].devices.tolist() == ([0] if g == 0 else [1, 2])
        members = plan.device == g
        (group,) = np.flatnonzero(
            (groups.kind == kind) & (groups.member == members[:, None, :]).all(axis=(0, 2))
        )
        assert weight[group] == pytest.approx(alone[g], rel=1e-12)


def test_groups_are_counted_without_being_made() -> None:
    for shape in ("types", "unlike", "two places", "pins"):
        kinds, experts, fields = SHAPES[shape]
        stated = drawn(0, kinds, experts, **fields)
        made = len(groups_of(stated).kind)
        # Groups without any expert count, but are not made.
        assert made <= count_groups(stated) <= made + len(device_classes(layout_of(stated)))
    assert count_groups(drawn(0, ((1.0, 1.0, 64),), (64, 64), experts_per_device=32)) > 10**20


def test_devices_are_told_apart_by_all_that_matters() -> None:
    def classes(**fields: Any) -> list[list[int]]:
        kinds = ((1.0, 2.0, 2), (1.0, 1.0, 2), (2.0, 2.0, 1))
        stated = problem(computing([1, 2], expert_bytes=1), kinds=kinds, **fields)
        return sorted(kind.devices.tolist() for kind in device_classes(layout_of(stated)))

    assert classes() == [[0, 1], [2, 3], [4]]
    assert classes(pinned=(Pin(model=0, expert=0, device=3),)) == [[0, 1], [2], [3], [4]]
    assert classes(expert_memory_bytes=(5, 6, 7, 7, 7)) == [[0], [1], [2, 3], [4]]


def test_what_is_too_large_is_refused_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    stated = drawn(0, TYPES, (3, 3))
    assert refuses_exact(stated) is None
    monkeypatch.setattr("moeopt.colocation.exact.MOST_COLUMNS", 10)
    assert "columns" in (refuses_exact(stated) or "")
    with pytest.raises(InstanceError, match="columns"):
        build(stated)
    paired = drawn(0, ((1.0, 1.0, 3),), (3, 3), objective="communication")
    assert refuses_exact(paired) is None


def test_a_model_that_probing_gets_wrong() -> None:
    """With probing, CP-SAT 9.15 calls 7.9917e-06 optimal."""
    first, second = (
        np.zeros((5, 5)),
        np.array(
            [
                [0.0, 5.063513997549657, 3.9512778812510096, 6.416874126556554, 0.6370098483704293],
                [
                    0.24584366895430412,
                    0.0,
                    0.01752743930333844,
                    8.28655826929327,
                    5.462569614939422,
                ],
                [6.7394388002422, 0.9418588919876865, 0.0, 1.2228813524681985, 1.7226724762841572],
                [0.10000676975727031, 6.554922262327608, 4.694524083243562, 0.0, 3.818106033321256],
                [
                    0.3958161437101819,
                    8.174673538530966,
                    0.40734271499720265,
                    0.0007043773447177057,
                    0,
                ],
            ]
        ),
    )
    first[[1, 3, 4], 0] = 4.0, 6.0, 4.0
    rules: dict[str, Any] = {"bandwidth": 12.5e9, "experts_per_device": 3}
    both = {"dispatch_bytes_per_token": 1536.0, "combine_bytes_per_token": 1536.0}
    found = colocate(
        first, second, devices=3, seconds_per_token=1.042719697450596e-7, method="exact",
        **rules, **both,
    )  # fmt: skip
    assert found.objective == pytest.approx(7.98091048570168e-06, rel=1e-9)
    assert found.bound == pytest.approx(found.objective, rel=1e-6)


def test_seconds_and_speeds_that_only_together_overflow():
    """A second of 1e290 on a device of speed 1e30 was a number above all numbers."""
    model = layer([[0, 2], [1, 0]], seconds_per_token=1e285, gate_s=1e280)
    cluster = cluster_of((1e30, 1e30, 1), (1.0, 1.0, 1))
    problem = ColocationProblem(models=(model, model), cluster=cluster)
    result = moeopt.solve(problem, "exact")
    assert result.status is Status.OPTIMAL
    assert result.objective == brute_force(problem).objective
