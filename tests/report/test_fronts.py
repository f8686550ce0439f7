"""Pictures of frontiers: the staircase, what it beats, the bound, and the points told apart."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from placement_samples import mark, names

import moeopt
from moeopt import library
from moeopt.buffering.frontier import pareto
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.problem import Timing as CacheTiming
from moeopt.core.errors import InstanceError
from moeopt.core.result import Result
from moeopt.describe.cluster import Cluster, Device, Node, NodeGroup
from moeopt.placement.frontier_cases import Span
from moeopt.placement.frontiers import Asked, Frontier, frontier
from moeopt.placement.problem import PlacementProblem, Timing
from moeopt.placement.replan import replan_front
from moeopt.report import fronts
from moeopt.report.picture import Axis, Level, Points
from moeopt.report.placement.fronts import frontier_picture, moves_picture
from moeopt.report.trade import MOST_MARKED, Trade, pareto_picture
from moeopt.serverless.fronts import layer_front
from moeopt.serverless.options import layer_data
from moeopt.serverless.plan import evaluate as bill_of
from moeopt.serverless.problem import ServerlessProblem

replace = msgspec.structs.replace

_COST, _VALUE = Axis(label="cost", unit="USD"), Axis(label="value")


def trade(cost: Any, value: Any, **more: Any) -> Trade:
    return Trade(cost=cost, value=value, cost_axis=_COST, value_axis=_VALUE, **more)


def stated(loads: Any, **fields: Any) -> PlacementProblem:
    fields.setdefault("cluster", Cluster.uniform(2))
    fields.setdefault("slots_per_device", 2)
    return PlacementProblem(loads_tokens=np.array(loads, dtype=float), **fields)


def test_the_staircase_is_what_nothing_beats_in_order_of_cost() -> None:
    picture = pareto_picture(
        trade([3.0, 1.0, 2.0, 4.0, 2.5], [1.0, 5.0, 2.0, 1.0, 6.0]), "a", "b", "c"
    )
    line = mark(picture, "frontier")
    assert (line.x.tolist(), line.y.tolist()) == ([1.0, 2.0, 3.0], [5.0, 2.0, 1.0])
    assert (line.step, line.points, line.role) == (True, True, "plan")
    # As good for more, and worse for more, stand behind.
    beaten = mark(picture, "beaten")
    assert (beaten.x.tolist(), beaten.y.tolist()) == ([4.0, 2.5], [1.0, 6.0])
    assert beaten.role == "quiet"
    assert (picture.name, picture.title, picture.says) == ("a", "b", "c")
    assert names(picture).index("beaten") < names(picture).index("frontier")


def test_bounds_are_a_level_or_of_each_point() -> None:
    level = mark(pareto_picture(trade([1.0, 2.0], [2.0, 1.0], bound=0.5), "a", "b"), "bound")
    assert isinstance(level, Level)
    assert level.value == 0.5
    each = mark(
        pareto_picture(trade([2.0, 1.0], [1.0, 2.0], bound=[0.5, np.nan]), "a", "b"), "bound"
    )
    # Of points between them nothing is said.
    assert isinstance(each, Points)
    np.testing.assert_array_equal([each.x, each.y], [[2.0, 1.0], [0.5, np.nan]])
    assert "bound" not in names(pareto_picture(trade([1.0], [1.0]), "a", "b"))


def test_points_told_apart_say_where_they_are() -> None:
    marked = {"this plan": (2.0, 1.0), "another": (1.0, 2.0)}
    picture = pareto_picture(trade([1.0, 2.0], [2.0, 1.0], marked=marked), "a", "b")
    plan, other = mark(picture, "this plan"), mark(picture, "another")
    assert (plan.x.tolist(), plan.y.tolist(), plan.texts) == ([2.0], [1.0], ("2 USD",))
    assert plan.role != other.role


def test_many_points_are_a_line() -> None:
    many = np.arange(MOST_MARKED + 1.0)
    assert not mark(pareto_picture(trade(many, -many), "a", "b"), "frontier").points


def test_moves_are_the_fronts_bytes_and_loads() -> None:
    problem = stated(
        [[4.0, 3.0, 2.0, 1.0], [1.0, 8.0, 5.0, 6.0]],
        expert_bytes=3e9,
        previous=np.array([[0, 1, 2, 3], [0, 2, 1, 3]]),
    )
    front = replan_front(problem)
    picture = moves_picture(problem, front)
    line = mark(picture, "frontier")
    np.testing.assert_allclose(line.x, front.moved_bytes / 1e9)
    # Means are 5 and 10 tokens.
    np.testing.assert_allclose(line.y, front.objective / 15.0)
    assert line.y[0] == pytest.approx((7.0 + 14.0) / 15.0)
    assert mark(picture, "bound").value == pytest.approx(front.bound / 15.0)
    assert picture.x.unit == "GB"
    assert f"{len(front)} plans, from 1.4000 for 0 B" in picture.says
    best = mark(picture, "within 1 % of the best")
    assert best.y[0] <= 1.01 * line.y[-1]


def test_moves_of_a_problem_without_a_previous_plan_are_refused() -> None:
    with pytest.raises(InstanceError, match="previous plan"):
        moves_picture(stated([[4.0, 3.0, 2.0, 1.0]]))


def test_slots_tell_the_bound_of_each_point_and_the_one_that_is_enough() -> None:
    problem = stated([[9.0, 3.0, 2.0, 2.0]])
    found = frontier(problem, "slots", Asked(Span(0, 4, 1)))
    picture = frontier_picture(found)
    plans = [point for point in found.points if point.plan is not None]
    every = {(p.at, p.objective / 8.0) for p in plans if p.objective is not None}
    drawn = [m for m in picture.marks if m.name in ("frontier", "beaten")]
    assert {(x, y) for m in drawn for x, y in zip(m.x, m.y, strict=True)} == every
    np.testing.assert_allclose(
        mark(picture, "bound").y, [point.bound / 8.0 for point in plans if point.bound]
    )
    enough = found.enough()
    assert enough is not None
    assert mark(picture, "within 1 % of the best").x.tolist() == [enough.at]
    assert picture.name == "frontier-slots"


def test_locality_is_shares_of_tokens_above_the_bound_of_free_experts() -> None:
    problem = stated([[8.0, 6.0, 2.0, 1.0]], cluster=Cluster.uniform(2, 2), groups=2)
    found = frontier(problem, "locality", Asked(method="lpt"))
    picture = frontier_picture(found)
    line = mark(picture, "frontier")
    best = [point for point in found.points if point.on_frontier]
    shares = {100 * (point.figures["cross_node_share"] or 0.0) for point in best}
    assert line.x.tolist() == sorted(shares)
    # 8 + 6 on one node; 8 + 1 and 6 + 2, where 6 and 1 are not with the most of their groups.
    np.testing.assert_allclose(line.x[[0, -1]], [0.0, 100 * 7 / 17])
    np.testing.assert_allclose(line.y[[0, -1]], [14 / 8.5, 9 / 8.5])
    free = found.points[0]
    assert free.bound is not None
    assert mark(picture, "bound").value == pytest.approx(free.bound / 8.5)
    assert (mark(picture, "bound").value <= line.y).all()


def test_devices_are_milliseconds() -> None:
    node = Node(
        device=Device(link_bandwidth_bytes_per_s=1e9),
        devices=2,
        nic_bandwidth_bytes_per_s=1e9,
    )
    problem = stated(
        [[4.0, 3.0, 2.0, 1.0]],
        cluster=Cluster(nodes=(NodeGroup(node=node),)),
        objective="layer_time",
        timing=Timing(
            seconds_per_token=1e-3, dispatch_bytes_per_token=1e3, combine_bytes_per_token=1e3
        ),
    )
    found = frontier(problem, "devices")
    picture = frontier_picture(found)
    line = mark(picture, "frontier")
    best = [point for point in found.points if point.on_frontier]
    assert line.x.tolist() == [point.at for point in best]
    np.testing.assert_allclose(line.y, [1e3 * (point.objective or 0.0) for point in best])
    assert line.y[0] == pytest.approx(10.0)
    assert (picture.y.unit, picture.x.log) == ("ms", True)
    thrifty = found.thriftiest()
    assert thrifty is not None
    assert mark(picture, "most from each device").x.tolist() == [thrifty.at]


def test_moves_of_a_sweep_are_the_same_picture_with_fewer_points() -> None:
    problem = stated([[4.0, 3.0, 2.0, 1.0]], expert_bytes=1, previous=np.array([[0, 1, 2, 3]]))
    picture = frontier_picture(frontier(problem, "moves"))
    line = mark(picture, "frontier")
    assert (line.x.tolist(), line.y.tolist()) == ([0.0, 2.0], [1.4, 1.0])
    assert picture.x.unit == "B"
    assert isinstance(mark(picture, "bound"), Level)


def test_frontiers_without_a_plan_are_refused() -> None:
    with pytest.raises(InstanceError, match="must have a point with a plan"):
        frontier_picture(Frontier("slots", "", ()))


def test_memory_is_the_points_bytes_and_milliseconds() -> None:
    problem = moeopt.load_problem(library.find("buffering/locality-2x16x32-any-order"))
    assert isinstance(problem, BufferingProblem)
    problem = replace(
        problem,
        timing=CacheTiming(compute_s=1e-3, link_bytes_per_s=1e9),
        expert_bytes=2_000_000,
        generator=None,
    )
    points = pareto(problem, "lru", [16e6, 32e6, 48e6, 47e6])
    picture = fronts.memory_picture(points)
    drawn = [m for m in picture.marks if m.name in ("frontier", "beaten")]
    assert sorted((x, y) for m in drawn for x, y in zip(m.x, m.y, strict=True)) == sorted(
        (point.used_bytes / 1e6, 1e3 * point.seconds_per_step) for point in points
    )
    best = {p.used_bytes / 1e6 for p in points if p.on_frontier}
    assert set(mark(picture, "frontier").x.tolist()) == best
    assert picture.x.unit == "MB"
    with pytest.raises(InstanceError, match="must not be empty"):
        fronts.memory_picture([])


@pytest.fixture(scope="module")
def serverless() -> ServerlessProblem:
    problem = moeopt.load_problem(library.find("serverless/bert-moe-4"))
    assert isinstance(problem, ServerlessProblem)
    return replace(problem, slo_s=None, generator=None)


def test_bills_stand_above_the_bounds_of_their_promises(serverless: ServerlessProblem) -> None:
    free = moeopt.solve(serverless)
    slowest = bill_of(serverless, free.plan).latency_s
    promises = [0.9 * slowest, 0.95 * slowest, np.inf]
    solves = [
        (s, moeopt.solve(replace(serverless, slo_s=s if np.isfinite(s) else None)))
        for s in promises
    ]
    picture = fronts.cost_picture(serverless, solves)
    bills = [bill_of(serverless, r.plan) for _, r in solves if r.plan is not None]
    line = mark(picture, "frontier")
    assert set(zip(line.x, line.y, strict=True)) <= {(b.latency_s, b.cost_usd) for b in bills}
    bound = mark(picture, "bound")
    assert bound.step
    # Each promise's bound holds up to it; without a promise, to the end.
    np.testing.assert_allclose(bound.x[1:], [min(s, slowest) for s, _ in solves])
    np.testing.assert_allclose(bound.y[:-1], [r.bound for _, r in solves])
    held = bound.y[np.searchsorted(bound.x, line.x, side="left").clip(1) - 1]
    assert (line.y >= held * (1 - 1e-9)).all()


def test_bills_of_no_plan_are_refused(serverless: ServerlessProblem) -> None:
    nothing = moeopt.solve(replace(serverless, slo_s=1e-6))
    assert isinstance(nothing, Result)
    with pytest.raises(InstanceError, match="must have a plan"):
        fronts.cost_picture(serverless, [(1e-6, nothing)])


def test_what_a_layer_can_do_is_its_exact_front(serverless: ServerlessProblem) -> None:
    data = layer_data(serverless, 0)
    front = layer_front(serverless, data, [2, 3]).front
    picture = fronts.layer_cost_picture(front, 0)
    line = mark(picture, "frontier")
    np.testing.assert_array_equal(line.x, front.latency_s)
    np.testing.assert_array_equal(line.y, front.cost_usd)
    assert names(picture) == ["frontier"]
    assert "layer 0" in picture.title


def test_fronts_are_drawn_on_the_axes_given(serverless: ServerlessProblem) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    problem = stated([[4.0, 3.0, 2.0, 1.0]], expert_bytes=1, previous=np.array([[0, 1, 2, 3]]))
    front = layer_front(serverless, layer_data(serverless, 0), [2, 3]).front
    figure, ax = pyplot.subplots()
    assert fronts.frontier_front(frontier(problem, "moves"), ax=ax) is ax
    ax.clear()
    assert fronts.moves_front(problem, ax=ax) is ax
    assert ax.get_xlabel() == "bytes moved (B)"
    ax.clear()
    assert fronts.layer_cost_front(front, ax=ax) is ax
    assert ax.get_ylabel() == "bill of a batch (USD)"
    pyplot.close(figure)
