"""The bench of PyTorch workers: its orders, its routing, what the workers check, what is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

pytest.importorskip("torch")

from moeopt.adapters.torch.layout import Layout
from moeopt.adapters.torch.link import Link
from moeopt.adapters.torch.workers import Workers
from moeopt.bench import torch as workload
from moeopt.bench import torch_exchange, torch_gating, torch_orders, torch_placement
from moeopt.bench.command import encode
from moeopt.bench.registry import Report, Setting
from moeopt.bench.timing import Timing
from moeopt.bench.torch_jobs import layer_seconds
from moeopt.bench.torch_orders import ORDERS, Order
from moeopt.bench.torch_routing import RANKS, between_nodes, drawn, problem_of
from moeopt.core.errors import AdapterError
from moeopt.transfers.plan import violations

LINK = Link(1e-3, 20e6, 20e6, 1e-3, 25e6)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(RANKS) as started:
        yield started


def values(report: Report) -> dict[str, float | None]:
    return {figure.name: figure.value for figure in report.figures}


@pytest.mark.parametrize("name", ["even", "pairs", "zipf"])
def test_the_orders_send_everything_and_no_faster_than_the_bound(name: str) -> None:
    traffic = torch_orders.traffics()[name]
    assert traffic.sum() == pytest.approx(torch_orders.TOTAL_BYTES, rel=1e-2)
    assert not (traffic % torch_orders.ROW_BYTES).any()
    problem = torch_orders.problem_of(traffic)
    bound = torch_orders.bound_s(traffic)
    courses = torch_orders.courses_of(problem)
    assert tuple(courses) == ORDERS
    free = msgspec.structs.replace(problem, startup_s=0.0)
    for order in ("shifted", "incast"):
        plan = courses[order].plan
        assert plan is not None
        assert violations(free, plan) == []
        assert plan.makespan_s >= bound * (1 - 1e-9)
    found = torch_orders.predicted(problem)
    assert min(found.values()) >= bound * (1 - 1e-9)
    # Without loss everything at once is as short as can be, and incast is the worst order.
    assert found["single"] == pytest.approx(bound, rel=0.01)
    assert found["rounds"] <= bound + 8 * torch_orders.ROUND_S
    assert max(found, key=found.__getitem__) == "incast"


def test_even_traffic_takes_twice_as_long_in_the_incast_order() -> None:
    found = torch_orders.predicted(torch_orders.problem_of(torch_orders.traffics()["even"]))
    assert found["incast"] / found["shifted"] == pytest.approx(2.0)


def test_only_orders_that_are_predicted_apart_can_be_swapped() -> None:
    told: dict[Order, float] = {"single": 1.0, "rounds": 1.1, "shifted": 1.3, "incast": 2.0}
    assert torch_orders.swapped(told, told) == []
    measured: dict[Order, float] = {"single": 1.5, "rounds": 1.0, "shifted": 1.4, "incast": 1.2}
    found = torch_orders.swapped(told, measured)
    assert found == ["single after shifted", "single after incast", "shifted after incast"]


def test_the_simulated_part_always_runs() -> None:
    report = torch_orders.run(Setting(quick=True, peers=(), say=print))
    (table,) = report.tables
    assert [row[0] for row in table.rows] == list(torch_orders.FAMILIES)
    assert all(figure.met for figure in report.figures)


def test_the_plan_keeps_tokens_inside_nodes() -> None:
    routing = drawn(256)
    assert (routing.ids[:, :, 0] != routing.ids[:, :, 1]).all()
    layouts = torch_placement.layouts_of(routing)
    sent = routing.source_tokens()
    assert sent.sum() == routing.ids.size
    away = {}
    for way, layout in layouts.items():
        nodes = between_nodes(layout.served(sent))
        assert nodes.sum() == pytest.approx(routing.ids.size)
        away[way] = 1 - np.trace(nodes) / nodes.sum()
    assert away["contiguous"] > 0.4
    assert away["layer_time"] < 0.15


def test_a_nodes_port_is_what_its_devices_share() -> None:
    problem = problem_of(drawn(8), 10e6, 100)
    (node, _) = problem.cluster.all_nodes()
    assert node.nic_bandwidth_bytes_per_s == 5e6
    tokens = np.array([[5.0, 3.0], [1.0, 7.0]])
    expected = 2 * 3 * torch_placement.ROW_BYTES / torch_orders.RATE_BYTES_PER_S
    assert torch_placement.floor_s(tokens) == pytest.approx(expected)


@pytest.mark.parametrize("quick", [True, False])
def test_workers_exchange_in_every_order_and_check_what_arrives(
    workers: Workers, quick: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (torch_orders, torch_exchange):
        monkeypatch.setattr(module, "TOTAL_BYTES", 60_000)
    report = torch_exchange.measured(workers, quick, 2)
    (table,) = report.tables
    orders = torch_orders.SIMULATED if quick else ORDERS
    traffics = ("even", "pairs") if quick else ("even", "pairs", "zipf")
    assert [tuple(row[:2]) for row in table.rows] == [(t, o) for t in traffics for o in orders]
    assert all(row[6] == 2 for row in table.rows)
    assert encode("torch", quick, report)


def test_the_slowest_worker_counts() -> None:
    found = torch_exchange.slowest([{"one": [1.0, 4.0]}, {"one": [3.0, 2.0]}], ["one"])
    assert found == {"one": Timing((3.0, 4.0))}


def test_workers_run_the_layer_of_each_placement(workers: Workers) -> None:
    report = torch_placement.measured(workers, 32, 1)
    (table,) = report.tables
    assert [row[0] for row in table.rows] == ["contiguous", "layer_time"]
    assert "32 tokens a worker" in str(table.note)
    assert encode("torch", True, report)


def test_what_is_wrong_is_an_error() -> None:
    routing = drawn(8)
    alone = {"strange": Layout.contiguous(routing.experts, 1)}
    routing.weights[0, 3, 1] = np.nan
    with pytest.raises(AdapterError, match="strange: outputs of rank 0 are wrong"):
        layer_seconds(alone, routing, 16, 8, 1)


def test_what_was_measured_is_told_beside_its_bound() -> None:
    times: dict[Order, Timing] = {
        order: Timing((0.1 * number,) * 9) for number, order in enumerate(ORDERS, 1)
    }
    report = torch_exchange.told({"even": times, "pairs": times}, LINK)
    (table,) = report.tables
    assert [row[1] for row in table.rows] == [*ORDERS, *ORDERS]
    found = values(report)
    assert found["emulated nodes, even: rounds over the incast order"] == pytest.approx(0.4)
    assert 0.0 in found.values()
    times["rounds"] = Timing((1.0,) * 9)
    del times["barriers"]  # as in a quick run
    report = torch_exchange.told({"even": times}, LINK)
    assert report.figures[-1].note == "even: rounds after incast"
    assert report.figures[-1].met is False
    assert encode("torch", True, report)


def test_gatings_agree_where_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, dropped = torch_gating.layers_of(torch_gating.Model("all", 8, 1.0))
    assert dropped == 0
    assert set(calls) == {"static", "dynamic"}
    _, dropped = torch_gating.layers_of(torch_gating.Model("few", 8, 0.1))
    assert 0 < dropped < 1
    monkeypatch.setattr(torch_gating, "TOLERANCE", -1.0)
    with pytest.raises(AdapterError, match="all: static and dynamic gating give other outputs"):
        torch_gating.layers_of(torch_gating.Model("all", 8, 1.0))


def test_without_namespaces_the_emulated_parts_are_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said: list[str] = []
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(torch_gating, "MODELS", (torch_gating.Model("small", 8, 1.0),))
    report = workload.run(Setting(quick=True, peers=(), say=said.append))
    why = "emulated nodes need unshare, nsenter, ip, tc on the PATH"
    assert said[-1] == f"bench torch: left out, exchange, placement: {why}"
    assert set(report.data["part_s"]) == {"simulated", "gating"}
    untold = [figure for figure in report.figures if figure.value is None]
    assert [figure.note for figure in untold] == [why, why]
    assert encode("torch", True, report)


def test_without_torch_gating_is_told_to_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    report = workload.run(Setting(quick=True, peers=(), say=said.append))
    assert said[-1] == "bench torch: left out, gating, exchange, placement: needs torch"
    assert set(report.data["part_s"]) == {"simulated"}
    assert sum(figure.value is None for figure in report.figures) == 3
