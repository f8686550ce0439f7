"""Frontiers: tiny ones worked by hand, and what theory says of all."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

import moeopt
from moeopt.core.errors import InstanceError
from moeopt.core.table import print_tables
from moeopt.describe.cluster import Cluster, Device, Node, NodeGroup
from moeopt.placement import locality
from moeopt.placement.frontier_cases import PRICES, Span, devices_cases, prices, slots_cases
from moeopt.placement.frontier_tables import tables
from moeopt.placement.frontiers import Asked, Frontier, frontier, undominated
from moeopt.placement.generate import hard
from moeopt.placement.plan import evaluate, violations
from moeopt.placement.problem import Pair, PlacementProblem, Timing

replace = msgspec.structs.replace


def stated(loads: Any, devices: int = 2, nodes: int = 1, **fields: Any) -> PlacementProblem:
    cluster = fields.pop("cluster", Cluster.uniform(devices, nodes))
    fields.setdefault("slots_per_device", -(-len(loads[0]) // cluster.num_devices))
    return PlacementProblem(loads_tokens=np.array(loads, dtype=float), cluster=cluster, **fields)


def connected(devices: int, nodes: int) -> Cluster:
    """Return nodes whose links carry a byte in a second."""
    node = Node(
        device=Device(link_bandwidth_bytes_per_s=1.0),
        devices=devices,
        nic_bandwidth_bytes_per_s=1.0,
    )
    return Cluster(nodes=(NodeGroup(node=node, count=nodes),))


def seconds(**fields: Any) -> PlacementProblem:
    """Return four experts of two tokens: a second each, a byte each on a port of a byte/s."""
    return stated(
        [[2, 2, 2, 2]],
        cluster=connected(4, 1),
        objective="layer_time",
        timing=Timing(
            seconds_per_token=1.0, dispatch_bytes_per_token=1.0, combine_bytes_per_token=0.0
        ),
        **fields,
    )


def split_groups() -> PlacementProblem:
    """Return two groups, one hot, on two nodes of one device: apart, or half of each on both."""
    return stated([[3, 3, 1, 1]], nodes=2, groups=2)


def replanned() -> PlacementProblem:
    return stated([[4, 3, 2, 1]], previous=np.array([[0, 1, 2, 3]]), expert_bytes=1)


def column(found: Frontier, name: str) -> list[Any]:
    return [
        point.figures[name] if name in point.figures else getattr(point, name)
        for point in found.points
    ]


def below(found: Frontier) -> None:
    """Check that no bound is above its objective."""
    for bound, value in zip(column(found, "bound"), column(found, "objective"), strict=True):
        assert bound <= value * (1 + 1e-9)


def test_slots_by_hand() -> None:
    problem = stated([[4, 2]], expert_bytes=10)
    found = frontier(problem, "slots", Asked(Span(0, 2, 1)))
    # A third slot: half the hot expert beside all of the other is no better than it alone.
    assert column(found, "objective") == [4, 4, 3]
    assert column(found, "bound") == [4, 4, 3]
    assert column(found, "imbalance") == [4 / 3, 4 / 3, 1]
    assert column(found, "memory_bytes") == [10, 20, 20]
    assert column(found, "saved") == [None, 0, 0.25]
    assert column(found, "on_frontier") == [True, False, True]
    assert [point.problem.slots().tolist() for point in found.points] == [[1, 1], [2, 1], [2, 2]]
    best = found.enough()
    assert best is not None
    assert best.at == 2
    assert found.enough(0.5) == found.points[0]


def test_slots_start_at_the_experts_and_add_one_on_every_live_device() -> None:
    cases = slots_cases(stated([[1.0] * 8], devices=4, dead_devices=(1,)), Span())
    assert [case.at for case in cases] == [0, 3, 6]
    assert [case.problem.num_slots for case in cases] == [8, 11, 14]
    assert cases[0].problem.slots().tolist() == [3, 0, 3, 2]


@pytest.mark.parametrize("seed", range(3))
def test_more_slots_that_may_stay_empty_never_hurt(seed: int) -> None:
    problem = replace(hard(5, 2, 6, sigma=1.5, seed=seed), allow_empty_slots=True)
    found = frontier(problem, "slots", Asked(Span(0, 5, 1), method="exact"))
    assert {point.status for point in found.points} == {"optimal"}
    values = column(found, "objective")
    assert all(after <= before * (1 + 1e-9) for before, after in itertools.pairwise(values))


def test_devices_by_hand() -> None:
    found = frontier(seconds(), "devices", Asked(Span(1, 4, 1)))
    # One device exchanges nothing; each of two computes four tokens, half of them from the other;
    # of three, one expert sits on each and the others apart; of four, each has one.
    took = [8, 4 + 2, 8 / 3 * (1 + 2 / 3), 2 * (1 + 3 / 4)]
    assert column(found, "objective") == pytest.approx(took)
    assert column(found, "slots") == [4, 2, 2, 1]
    assert column(found, "speed_up") == pytest.approx([8 / t for t in took])
    assert column(found, "efficiency") == pytest.approx(
        [8 / t / n for t, n in zip(took, (1, 2, 3, 4), strict=True)]
    )
    below(found)
    thrifty, best = found.thriftiest(), found.enough()
    assert (thrifty and thrifty.at, best and best.at) == (1, 4)


def test_devices_without_the_memory_are_told() -> None:
    problem = seconds(expert_bytes=1, expert_memory_bytes=2)
    found = frontier(problem, "devices", Asked(Span(1, 2, 1)))
    assert column(found, "status")[0] == "infeasible"
    assert column(found, "on_frontier") == [False, True]
    assert column(found, "speed_up") == [None, 1]
    assert column(found, "memory_bytes") == [None, 2]


def test_devices_double_up_to_twice_the_cluster() -> None:
    problem = replace(seconds(), cluster=connected(4, 2), slots_per_device=1)
    cases = devices_cases(problem, Span())
    assert [case.at for case in cases] == [1, 2, 4, 8, 16]
    assert [case.problem.cluster.num_nodes for case in cases] == [1, 1, 1, 2, 4]
    # One of each expert is all that a device may hold.
    assert [case.problem.slots_per_device for case in cases] == [4, 4, 2, 1, 1]


def test_balancing_decides_the_seconds_of_equal_devices() -> None:
    rng = np.random.default_rng(0)
    problem = replace(seconds(), loads_tokens=rng.integers(1, 50, (1, 1, 4)).astype(float))
    (case,) = devices_cases(problem, Span(2, 2, 1))
    assert case.easier is not None
    point = frontier(problem, "devices", Asked(Span(2, 2, 1))).points[0]
    assert point.objective == pytest.approx(moeopt.solve(case.problem, "exact").objective)
    # Where scenarios differ, the balance of their mean does not.
    several = replace(problem, loads_tokens=rng.integers(1, 50, (2, 1, 4)).astype(float))
    assert devices_cases(several, Span(2, 2, 1))[0].easier is None


def test_locality_by_hand() -> None:
    found = frontier(split_groups(), "locality", Asked(Span(0.25, 0.75, 0.5)))
    # Apart: six tokens against two, none crosses. Mixed: four each, half of both groups cross.
    assert column(found, "objective") == [4, 4, 6, 6]
    assert column(found, "cost") == [4, 4, 0, 0]
    assert column(found, "cross_node_share") == [0.5, 0.5, 0, 0]
    assert column(found, "bound") == [4, 4, 4, 6]
    assert [point.at for point in found.points] == [0, 0.25, 0.75, np.inf]
    assert found.points[-1].problem.group_rule == "one_node"
    for point in found.points[1:-1]:
        proven = moeopt.solve(point.problem, "exact")
        assert point.plan is not None
        assert evaluate(point.problem, point.plan).objective == pytest.approx(proven.objective)


def grouped(seed: int, **fields: Any) -> PlacementProblem:
    rng = np.random.default_rng(seed)
    loads = rng.lognormal(3, 1, (2, 16))
    return stated(loads, devices=4, nodes=2, groups=4, slots_per_device=5, **fields)


@pytest.mark.parametrize("seed", range(3))
def test_layers_cool_as_they_say(seed: int) -> None:
    problem = grouped(seed)
    first = moeopt.solve(replace(problem, group_rule="one_node")).plan
    curves = [locality.cooled(layer) for layer in locality.layers_of(problem, first)]
    for layer, curve in enumerate(curves):
        assert (np.diff(curve.heat) <= 1e-9).all()
        assert curve.cross[0] == pytest.approx(0)
        alone = replace(
            problem, loads_tokens=problem.loads_tokens[:, layer : layer + 1], cross_node_price=1.0
        )
        for heat, cross, row in zip(curve.heat, curve.cross, curve.rows, strict=True):
            plan = moeopt.placement.PlacementPlan(physical_to_logical=row[None])
            value = evaluate(alone, plan)
            assert violations(alone, plan) == []
            assert value.layer_objective[0] == pytest.approx(heat)
            assert value.cross_node_tokens == pytest.approx(cross, abs=1e-9)
    at_nothing, dear = locality.at_price(curves, 0.0), locality.at_price(curves, 1e9)
    assert dear == first
    assert evaluate(problem, at_nothing).objective == pytest.approx(
        sum(curve.heat[-1] for curve in curves)
    )


def test_at_a_higher_price_less_crosses() -> None:
    found = frontier(grouped(4), "locality")
    assert len(found.points) == len(PRICES) + 2
    swept = found.points[1:-1]
    crossing = [point.cost or 0.0 for point in swept]
    values = [point.objective or 0.0 for point in swept]
    assert crossing == sorted(crossing, reverse=True)
    assert values == sorted(values)
    below(found)


def test_with_time_the_short_cuts_are_searched_further() -> None:
    cut = frontier(grouped(5), "locality", Asked(Span(0.05, 0.05, 1))).points[1]
    assert cut.plan is not None
    (searched,) = Asked(time_limit_s=0.2).further([(cut.problem, cut.plan)])
    assert searched.method == "search"
    assert searched.objective is not None
    assert searched.objective <= evaluate(cut.problem, cut.plan).objective * (1 + 1e-9)


def test_what_the_swaps_do_not_know_is_solved_at_each_price() -> None:
    problem = replace(split_groups(), pinned=(Pair(expert=0, device=1),))
    found = frontier(problem, "locality", Asked(Span(0.25, 0.75, 0.5)))
    assert column(found, "objective") == [4, 4, 6, 6]
    assert all(p.plan and p.plan.copies(p.problem)[0, 0, 1] for p in found.points)


def test_moves_by_hand() -> None:
    found = frontier(replanned(), "moves")
    # Seven against three; two experts change places.
    assert column(found, "cost") == [0, 2]
    assert column(found, "objective") == [7, 5]
    assert column(found, "transfers") == [0, 2]
    assert column(found, "bound") == [5, 5]
    assert [p.plan and evaluate(p.problem, p.plan).moved_bytes for p in found.points] == [0, 2]
    assert column(frontier(replanned(), "moves", Asked(Span(0, 1, 1))), "cost") == [0]


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: stated([[4, 2]], expert_bytes=10**9), "slots"),
        (split_groups, "locality"),
        (lambda: seconds(expert_bytes=1, expert_memory_bytes=2), "devices"),
        (replanned, "moves"),
    ],
)
def test_tables_are_narrow_and_tell_what_it_comes_to(
    make: Callable[[], PlacementProblem], kind: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    print_tables(tables(frontier(make(), kind)))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    said = {
        "slots": "Within 1 % of the best: 2 redundant slots.",
        "locality": "Within 1 % of the best: 50.00 % crossing.",
        "devices": "Most from each device: 2.",
        "moves": "Within 1 % of the best: 0.0 GB moved.",
    }
    assert lines[-1].endswith(said[kind])
    assert ("infeasible" in lines[3]) == (kind == "devices")


def test_undominated() -> None:
    cost, value = np.array([1.0, 2, 2, 3, 3]), np.array([5.0, 5, 3, 3, np.inf])
    assert undominated(cost, value).tolist() == [True, False, True, False, False]
    same = np.ones(2)
    assert undominated(same, same).tolist() == [True, True]


def test_prices() -> None:
    problem = split_groups()
    assert prices(problem, Span()) == [price / 2 for price in PRICES]
    assert prices(problem, Span(0, 1, 0.5)) == [0.5, 1.0]
    assert len(prices(problem, Span(last=1))) == 8


@pytest.mark.parametrize(
    ("make", "kind", "asked", "path"),
    [
        (split_groups, "speed", Asked(), "frontier"),
        (split_groups, "slots", Asked(Span(-1)), "from"),
        (split_groups, "slots", Asked(Span(0.5)), "from"),
        (split_groups, "slots", Asked(Span(3, 2)), "to"),
        (split_groups, "slots", Asked(Span(step=0)), "step"),
        (split_groups, "slots", Asked(Span(step=0.5)), "step"),
        (split_groups, "slots", Asked(Span(0, 10**6, 1)), "step"),
        (split_groups, "slots", Asked(Span(0, float("inf"))), "to"),
        (split_groups, "slots", Asked(method="quick"), "method"),
        (replanned, "slots", Asked(), "$.previous"),
        (split_groups, "devices", Asked(), "$.timing"),
        (lambda: seconds(dead_devices=(0,), allow_empty_slots=True, slots_per_device=4),
         "devices", Asked(), "$.dead_devices"),
        (lambda: replace(seconds(), slots_per_device=(2, 1, 1, 1)),
         "devices", Asked(), "$.slots_per_device"),
        (lambda: replace(seconds(), cluster=Cluster(
            nodes=connected(1, 1).nodes + connected(3, 1).nodes)),
         "devices", Asked(), "$.cluster.nodes"),
        (lambda: replace(seconds(), cluster=connected(2, 2)),
         "devices", Asked(Span(3, 3, 1)), "step"),
        (replanned, "locality", Asked(), "$.cluster"),
        (lambda: replace(split_groups(), groups=1), "locality", Asked(), "$.groups"),
        (split_groups, "moves", Asked(), "$"),
        (replanned, "moves", Asked(method="exact"), "method"),
        (replanned, "moves", Asked(time_limit_s=1.0), "time_limit_s"),
    ],
)  # fmt: skip
def test_what_does_not_suit(
    make: Callable[[], PlacementProblem], kind: Any, asked: Asked, path: str
) -> None:
    with pytest.raises(InstanceError) as raised:
        frontier(make(), kind, asked)
    assert raised.value.path == path
