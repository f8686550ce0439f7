"""Pictures of a placement plan: every number is the plan's."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from placement_samples import KINDS, by_hand, fact, mark, names, solved

import moeopt
from moeopt import library
from moeopt.core.errors import InstanceError
from moeopt.core.result import Result
from moeopt.describe.cluster import Cluster
from moeopt.placement.bounds import layer_bounds
from moeopt.placement.plan import PlacementPlan, evaluate, moved_bytes
from moeopt.placement.problem import Pair, PlacementProblem
from moeopt.report import placement
from moeopt.report.picture import Bars, Gallery, Heat, Level, Line, Picture
from moeopt.report.placement import REPORT, pictures
from moeopt.report.placement.numbers import Told

replace = msgspec.structs.replace


@pytest.mark.parametrize("name", KINDS)
def test_bars_and_tables_add_up_to_the_evaluation(name: str) -> None:
    problem, result = solved(name)
    plan, value = result.plan, evaluate(problem, result.plan)
    weights = np.ones(1) if len(value.device_loads) == 1 else problem.weights()
    expected = np.tensordot(weights, value.device_loads, axes=1)
    told = Told(problem, plan, result)
    slots = REPORT.tables(problem, plan, result)[2].rows
    # The tokens that slots serve add up to the devices' loads.
    summed = np.zeros_like(expected)
    for layer, device, _, _, _, tokens in slots:
        summed[layer, device] += tokens
    np.testing.assert_allclose(
        summed / problem.cluster.relative_speed(), expected, rtol=1e-9, atol=1e-9
    )
    for layer in range(problem.num_layers):
        picture = pictures.device_loads_picture(problem, plan, layer, result)
        np.testing.assert_allclose(mark(picture, "this plan").height, expected[layer])
        np.testing.assert_allclose(
            told.served[layer].sum(axis=0) / problem.cluster.relative_speed(),
            expected[layer],
            rtol=1e-9,
            atol=1e-9,
        )
    picture = pictures.device_loads_picture(problem, plan)
    np.testing.assert_allclose(mark(picture, "this plan").height, expected.sum(axis=0))
    if problem.split == "even" and problem.objective != "activated":
        np.testing.assert_allclose(expected, by_hand(problem, plan), rtol=1e-9)


@pytest.mark.parametrize("name", KINDS)
def test_bounds_are_below_and_what_is_waited_for_is_above_the_bars(name: str) -> None:
    problem, result = solved(name)
    for layer in (None, *range(problem.num_layers)):
        picture = pictures.device_loads_picture(problem, result.plan, layer, result)
        (bound,) = [m for m in picture.marks if isinstance(m, Level) and m.role == "bound"]
        bars = mark(picture, "this plan").height
        waited = [m.value for m in picture.marks if m.name == "waited for now"]
        slowest = waited[0] if waited else bars.max()
        assert bound.value <= slowest * (1 + 1e-9)
        assert slowest >= bars.max() * (1 - 1e-9)
        assert all(m.value <= bound.value for m in picture.marks if m.name == "mean")


def test_all_layers_wait_for_the_sum_of_each_layers_busiest_device() -> None:
    problem, result = solved("qwen3-144-16")
    picture = pictures.device_loads_picture(problem, result.plan, None, result)
    assert mark(picture, "waited for now").value == pytest.approx(result.objective)
    value = by_hand(problem, result.plan)
    assert value.sum(axis=0).max() < result.objective
    assert f"{result.objective:,.0f}" in picture.says


@pytest.mark.parametrize("name", KINDS)
def test_layers_are_the_evaluations_objective_between_before_and_bound(name: str) -> None:
    problem, result = solved(name)
    table = REPORT.tables(problem, result.plan, result)[0]
    picture = pictures.layer_imbalance_picture(problem, result.plan, result)
    told = Told(problem, result.plan, result)
    value = evaluate(problem, result.plan).layer_objective
    np.testing.assert_allclose(mark(picture, "this plan").y * told.unit, value)
    np.testing.assert_allclose([row[2] for row in table.rows], value / told.unit)
    assert (told.bound >= layer_bounds(problem) * (1 - 1e-9)).all()
    assert (told.bound <= value * (1 + 1e-9)).all()
    np.testing.assert_allclose([row[3] for row in table.rows], told.bound / told.unit)
    assert table.footer is not None
    assert table.footer[2] == pytest.approx(value.sum() / told.unit.sum())


def test_layers_of_a_timed_problem_are_milliseconds() -> None:
    problem = moeopt.load_problem(library.find("placement/tiny-layer-time"))
    assert isinstance(problem, PlacementProblem)
    plan = PlacementPlan(physical_to_logical=np.array([[0, 2, 1, 3]]))
    picture = pictures.layer_imbalance_picture(problem, plan)
    seconds = evaluate(problem, plan).layer_objective
    np.testing.assert_allclose(mark(picture, "this plan").y, 1e3 * seconds)
    assert picture.y.unit == "ms"
    assert f"The worst layer is 0: {1e3 * seconds[0]:.4g} ms, its bound " in picture.says
    assert picture.says.count(" ms") == 3
    assert "all devices alike" not in names(picture)


@pytest.mark.parametrize("name", [name for name in KINDS if name != "tiny-activated"])
def test_the_map_shows_every_copy_and_hundredths_of_the_mean_load(name: str) -> None:
    problem, result = solved(name)
    told = Told(problem, result.plan)
    for layer in range(problem.num_layers):
        picture = pictures.expert_device_map_picture(problem, result.plan, layer)
        (heat,) = picture.marks
        assert isinstance(heat, Heat)
        experts = [int(expert) for expert in picture.x.names]
        copies = told.copies[layer][experts].T
        assert ((heat.values > 0) == (copies > 0)).all()
        load = told.served[layer][experts].T / problem.cluster.relative_speed()[:, None]
        exact = 100.0 * load / told.after.mean[layer]
        # Rounded up, and at least 1 where there is a copy.
        assert (heat.values >= exact - 1e-6).all()
        assert (heat.values <= np.maximum(exact + 1, copies > 0)).all()
        np.testing.assert_array_equal(heat.values, np.floor(heat.values))
        tokens = problem.mean_loads()[layer, experts]
        assert (np.diff(tokens) <= 0).all()


def test_a_copy_of_many_mean_loads_is_not_cut_off() -> None:
    problem = PlacementProblem(
        loads_tokens=[[1e6, 1.0, 1.0, 1.0]], cluster=Cluster.uniform(4), slots_per_device=1
    )
    plan = PlacementPlan(physical_to_logical=np.array([[0, 1, 2, 3]]))
    (heat,) = pictures.expert_device_map_picture(problem, plan).marks
    assert isinstance(heat, Heat)
    assert heat.values[0, 0] == 400
    problem = replace(problem, cluster=Cluster.uniform(40), allow_empty_slots=True)
    wide = np.concatenate([plan.physical_to_logical, np.full((1, 36), -1)], axis=1)
    (heat,) = pictures.expert_device_map_picture(
        problem, PlacementPlan(physical_to_logical=wide)
    ).marks
    assert isinstance(heat, Heat)
    assert heat.values.max() == 4000


def test_replicas_are_the_hottest_experts_and_the_most_that_one_device_serves() -> None:
    problem, result = solved("qwen3-144-16")
    picture = pictures.replicas_picture(problem, result.plan, 1)
    experts = [int(expert) for expert in picture.x.names]
    assert len(experts) == pictures.MOST_EXPERTS
    tokens = problem.mean_loads()[1]
    assert tokens[experts].min() >= np.delete(tokens, experts).max()
    copies = np.bincount(result.plan.physical_to_logical[1])
    np.testing.assert_allclose(mark(picture, "whole expert").height, tokens[experts])
    np.testing.assert_allclose(
        mark(picture, "most of it on one device").height, (tokens / copies)[experts]
    )


def test_scenarios_are_the_imbalance_of_each_even_where_the_mean_is_planned_for() -> None:
    problem = PlacementProblem(
        loads_tokens=[[[6.0, 3.0, 8.0, 5.0]], [[7.0, 0.0, 1.0, 4.0]], [[0.0, 0.0, 0.0, 0.0]]],
        cluster=Cluster.uniform(2),
        slots_per_device=2,
    )
    plan = PlacementPlan(physical_to_logical=np.array([[0, 1, 2, 3]]))
    for objective in ("max_load", "mean_max"):
        picture = pictures.scenario_imbalance_picture(replace(problem, objective=objective), plan)
        # 6 + 3 against 8 + 5, and 7 against 1 + 4; without tokens nothing is uneven.
        np.testing.assert_allclose(mark(picture, "this plan").y, [13 / 11, 7 / 6, 1.0])


def test_before_is_the_previous_plan_where_there_is_one() -> None:
    problem, result = solved("tiny-move-price")
    picture = pictures.device_loads_picture(problem, result.plan)
    before = mark(picture, "previous plan")
    assert (before.role, before.height.tolist()) == ("before", [29.0, 10.0])


def test_before_is_mended_where_a_device_of_the_previous_plan_has_died() -> None:
    problem = PlacementProblem(
        loads_tokens=[[5.0, 4.0, 2.0, 1.0]],
        cluster=Cluster.uniform(3),
        slots_per_device=2,
        dead_devices=(1,),
        previous=np.array([[0, 1, 2, 3, 0, 1]]),
    )
    plan = PlacementPlan(physical_to_logical=np.array([[0, 3, -1, -1, 1, 2]]))
    picture = pictures.device_loads_picture(problem, plan)
    bars = mark(picture, "previous plan, mended").height
    # Nothing is on the dead device, and no token is lost.
    assert bars[1] == 0
    assert bars.sum() == pytest.approx(12.0)
    assert "Dead: 1." in picture.says


def test_before_is_eplb_where_the_rules_forbid_experts_in_order() -> None:
    problem, result = solved("deepseek-v3-320-64-hierarchical")
    told = Told(problem, result.plan, result)
    assert told.before_name == "EPLB"
    assert told.before is not None
    assert told.before.imbalance >= told.after.imbalance > 1


def test_nothing_stands_before_where_nothing_is_known() -> None:
    problem = PlacementProblem(
        loads_tokens=[[4.0, 3.0, 2.0, 1.0]],
        cluster=Cluster.uniform(2),
        slots_per_device=2,
        forbidden=(Pair(expert=0, device=0),),
    )
    plan = PlacementPlan(physical_to_logical=np.array([[1, 2, 0, 3]]))
    assert Told(problem, plan).before is None
    picture = pictures.device_loads_picture(problem, plan)
    assert [m.name for m in picture.marks if isinstance(m, Bars)] == ["this plan"]
    tables = REPORT.tables(problem, plan, None)
    assert tables[0].rows[0][1] is None
    assert [column.name for column in tables[1].columns].count("before") == 0
    assert fact(REPORT.summary(problem, plan, None).gained, "imbalance").text == "1.0000"


def test_layers_without_tokens_are_even() -> None:
    problem = PlacementProblem(
        loads_tokens=[[0.0, 0.0, 0.0, 0.0], [4.0, 3.0, 2.0, 1.0]],
        cluster=Cluster.uniform(2),
        slots_per_device=2,
        expert_bytes=1,
        previous=np.array([[0, 1, 2, 3], [0, 1, 2, 3]]),
    )
    result = moeopt.solve(problem)
    summary = REPORT.summary(problem, result.plan, result)
    assert fact(summary.gained, "imbalance").number == 1.0
    assert fact(summary.gained, "imbalance").text == "1.4000 → 1.0000"
    found = REPORT.pictures(problem, result.plan, result)
    maps = next(p for p in found if p.name == "expert-device-map")
    assert isinstance(maps, Gallery)
    (heat,) = maps.pictures[0].marks
    assert isinstance(heat, Heat)
    assert heat.values.tolist() == [[1, 1, 0, 0], [0, 0, 1, 1]]


def test_a_solvers_bound_counts_unless_it_is_of_something_else() -> None:
    problem, result = solved("tiny-speeds")
    told = Told(problem, result.plan, result)
    assert told.bound.tolist() == [7.0] > layer_bounds(problem).tolist()
    for claimed in ([8.0], [1.0, 2.0], "seven", ["7"], None):
        hollow = Result(
            status=result.status, method="", statistics={"layer_bound": claimed}, plan=result.plan
        )
        assert Told(problem, result.plan, hollow).bound.tolist() == layer_bounds(problem).tolist()


def test_pictures_of_a_plan_come_in_one_order_and_galleries_have_every_layer() -> None:
    problem, result = solved("qwen3-144-16")
    found = REPORT.pictures(problem, result.plan, result)
    assert [p.name for p in found] == [
        "layer-imbalance", "device-loads", "expert-device-map", "replicas",
    ]  # fmt: skip
    sizes = [len(p.pictures) for p in found if isinstance(p, Gallery)]
    assert sizes == [4, 3, 3]
    every = [q for p in found for q in (p.pictures if isinstance(p, Gallery) else [p])]
    assert len({p.name for p in every}) == len(every)
    assert all(p.says and p.title for p in every)
    assert all(isinstance(m, Line) or len(m.name) < 32 for p in every for m in p.marks)


def test_front_of_moves_is_shown_with_the_plan_where_there_is_a_previous_one() -> None:
    problem, result = solved("tiny-move-price")
    moves = REPORT.pictures(problem, result.plan, result)[-1]
    assert isinstance(moves, Picture)
    here = mark(moves, "this plan")
    moved = moved_bytes(problem, result.plan.physical_to_logical)
    assert (here.x.tolist(), here.y.tolist()) == ([moved], [20 / 19.5])


def test_pictures_are_drawn_on_the_axes_given() -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    problem, result = solved("tiny-scenario-weights")
    figure, ax = pyplot.subplots()
    for draw in (
        placement.device_loads,
        placement.layer_imbalance,
        placement.expert_device_map,
        placement.replicas,
        placement.scenario_imbalance,
    ):
        ax.clear()
        assert draw(problem, result.plan, ax=ax) is ax
        assert ax.get_xlabel()
    pyplot.close(figure)


def test_wrong_layers_and_plans_are_refused() -> None:
    problem, result = solved("qwen3-144-16")
    for layer in (3, -1, 1.5):
        with pytest.raises(InstanceError, match="layer"):
            pictures.device_loads_picture(problem, result.plan, layer)  # type: ignore[arg-type]
    wrong = PlacementPlan(physical_to_logical=result.plan.physical_to_logical[:2])
    with pytest.raises(InstanceError, match="must have shape"):
        pictures.layer_imbalance_picture(problem, wrong)
