"""The pictures of transfers: every figure is the checker's, bars of a lane never overlap."""

from __future__ import annotations

import numpy as np
import pytest
from picture_bars import Bar, bars_of, overlap
from transfers_samples import PLAN, PROBLEM, changed, solved

import moeopt
from moeopt.report.picture import Bars, Gallery, Heat, Level, Line, Picture, Points, Spans
from moeopt.report.transfers import REPORT, gantt, port_idleness, traffic
from moeopt.report.transfers.pictures import (
    MOST_BARS,
    MOST_LANES,
    MOST_LINES,
    gantt_picture,
    port_idleness_picture,
    traffic_picture,
)
from moeopt.report.transfers.use import port_uses
from moeopt.transfers import Busy, Fabric, TransferPlan, TransferProblem, evaluate
from moeopt.transfers.generate import all_to_all
from moeopt.transfers.migration import migration_problem, moves_between, order_migration

#: Instances whose solves take no time, with every rule that pictures tell apart.
SOLVED = [
    ("aurora-figure-4", "birkhoff"),
    ("zipf-8", "birkhoff"),
    ("deepseek-v2-lite-intent-8-contiguous", "birkhoff"),
    ("aurora-cluster-zipf-8", "multi_peer"),
    ("zipf-8", "all_at_once"),
    ("startup-zipf-8", "few_rounds"),
    ("startup-zipf-8-rounds", "few_rounds"),
    ("expert-moves-16", "edge_coloring"),
    ("two-models-8", "timed"),
    ("two-tier-2x4", "two_tier"),
]


def told(bars: list[Bar]) -> list[tuple[int, float, float, str, str]]:
    return [(b.lane, b.start, b.end, b.group, b.text) for b in bars]


def uprights(picture: Picture) -> dict[str, float]:
    lines = [mark for mark in picture.marks if isinstance(mark, Line)]
    assert all(line.x[0] == line.x[1] for line in lines)
    return {line.name: float(line.x[0]) for line in lines}


def scale(picture: Picture) -> float:
    """Return the seconds of a picture's unit."""
    return {"s": 1.0, "ms": 1e-3, "us": 1e-6}[picture.x.unit or picture.y.unit]


def test_what_each_port_sends_and_receives() -> None:
    sends = gantt_picture(PROBLEM, PLAN)
    assert told(bars_of(sends)) == [
        (0, 0, 3, "even rounds", "to port 1: 3 B, round 0"),
        (0, 3, 4, "odd rounds", "to port 2: 1 B, round 1"),
        (1, 0, 2, "even rounds", "to port 2: 2 B, round 0"),
    ]
    receives = gantt_picture(PROBLEM, PLAN, side="receives")
    assert told(bars_of(receives)) == [
        (1, 0, 3, "even rounds", "from port 0: 3 B, round 0"),
        (2, 0, 2, "even rounds", "from port 1: 2 B, round 0"),
        (2, 3, 4, "odd rounds", "from port 0: 1 B, round 1"),
    ]
    for picture in (sends, receives):
        assert picture.y.names == ("0", "1", "2")
        assert uprights(picture) == {"makespan": 4, "bound": 4}
        assert picture.says == "The last byte arrives after 4 s; no order is faster."
    late = gantt_picture(PROBLEM, PLAN, bound_s=3.2)
    assert uprights(late) == {"makespan": 4, "bound": 3.2}
    assert "25 % above the bound" in late.says


@pytest.mark.parametrize(("name", "method"), SOLVED)
def test_bars_never_overlap_and_the_last_ends_with_the_makespan(name: str, method: str) -> None:
    problem, result = solved(name, method)
    makespan = evaluate(problem, result.plan).makespan_s
    for side in ("sends", "receives"):
        picture = gantt_picture(problem, result.plan, side=side)  # type: ignore[arg-type]
        bars, unit = bars_of(picture), scale(picture)
        assert overlap(bars) * unit <= 1e-9 * makespan
        assert max(bar.end for bar in bars) * unit == pytest.approx(makespan)
        assert uprights(picture)["makespan"] * unit == pytest.approx(makespan)
        assert uprights(picture)["bound"] * unit <= makespan * (1 + 1e-9)


@pytest.mark.parametrize(
    ("name", "method"),
    [("aurora-unequal-ports-one-peer", "single_peer"), ("expert-moves-16", "edge_coloring")],
)
def test_of_ports_with_one_peer_the_bars_are_all_their_time(name: str, method: str) -> None:
    problem, result = solved(name, method)
    assert problem.peers == "one"
    picture = gantt_picture(problem, result.plan)
    drawn = np.zeros(problem.num_ports)
    for bar in bars_of(picture):
        assert bar.group != "several at once"
        drawn[bar.lane] += (bar.end - bar.start) * scale(picture)
    assert drawn == pytest.approx(port_uses(problem, result.plan)[0].seconds)


def test_transmissions_that_share_a_port_are_one_bar() -> None:
    # Every message at its constant rate for the whole time.
    problem = changed(PROBLEM, traffic_bytes=np.array([[0.0, 3, 1], [2, 0, 2], [0, 0, 0]]))
    result = moeopt.solve(problem, "paced")
    assert told(bars_of(gantt_picture(problem, result.plan))) == [
        (0, 0, 4, "several at once", "to 2 ports: 4 B"),
        (1, 0, 4, "several at once", "to 2 ports: 4 B"),
    ]
    receives = bars_of(gantt_picture(problem, result.plan, side="receives"))
    assert [(bar.lane, bar.group) for bar in receives] == [
        (0, "one at a time"),
        (1, "one at a time"),
        (2, "several at once"),
    ]


def test_a_change_of_rate_is_not_a_new_transmission() -> None:
    plan = TransferPlan(
        source=np.array([0, 0]),
        destination=np.array([1, 1]),
        size_bytes=np.array([1.0, 2.0]),
        start_s=np.array([0.0, 2.0]),
        duration_s=np.array([2.0, 2.0]),
        round_index=np.array([0, 0]),
    )
    traffic_bytes = np.array([[0.0, 3.0], [0.0, 0.0]])
    problem = TransferProblem(traffic_bytes=traffic_bytes, bandwidth_bytes_per_s=1.0)
    assert told(bars_of(gantt_picture(problem, plan))) == [
        (0, 0, 4, "one at a time", "to port 1: 3 B")
    ]
    # Half as busy in the first two seconds as in the others.
    assert port_uses(problem, plan)[0].seconds.tolist() == [3, 0]
    assert port_uses(changed(problem, peers="one"), plan)[0].seconds.tolist() == [4, 0]


def test_half_duplex_ports_have_one_picture_of_both_directions() -> None:
    problem, result = solved("expert-moves-16", "edge_coloring")
    picture = gantt_picture(problem, result.plan)
    assert picture.name == "transfers-both"
    assert {bar.group for bar in bars_of(picture)} == {"sends", "receives"}
    assert len(bars_of(picture)) == 2 * evaluate(problem, result.plan).num_transmissions
    assert isinstance(REPORT.pictures(problem, result.plan, result)[0], Picture)


def test_waves_are_told_apart() -> None:
    problem, result = solved("two-models-8", "timed")
    bars = bars_of(gantt_picture(problem, result.plan))
    late = float(problem.release()[1].max())
    assert {bar.group for bar in bars} == {"wave 0", "wave 1"}
    assert min(bar.start for bar in bars if bar.group == "wave 1") >= late


def test_ports_with_a_fast_network_have_two_lanes() -> None:
    problem, result = solved("two-tier-2x4", "two_tier")
    picture = gantt_picture(problem, result.plan)
    assert picture.y.names[:3] == ("0", "0 inside", "1")
    lanes = {bar.group: bar.lane % 2 for bar in bars_of(picture) if "at once" not in bar.group}
    assert lanes == {"between nodes": 0, "inside a node": 1}
    # By the rates, all bytes: those between nodes and those inside, relayed ones too.
    value = evaluate(problem, result.plan)
    sending, _, within, _ = port_uses(problem, result.plan)
    idle = value.makespan_s - sending.seconds
    assert idle * problem.send_rate() == pytest.approx(value.idle_send_bytes, abs=1.0)
    moved = sending.size_bytes.sum() + within.size_bytes.sum()
    assert moved == pytest.approx(result.plan.size_bytes.sum())


def test_busy_and_absent_ports() -> None:
    problem = changed(
        PROBLEM, busy=(Busy(port=1, start_s=3.5, end_s=9.0),), traffic_bytes=np.zeros((4, 4))
    )
    problem = changed(problem, traffic_bytes=np.pad(PROBLEM.traffic_bytes[0], (0, 1)))
    problem = changed(problem, absent_ports=(3,))
    picture = gantt_picture(problem, PLAN)
    quiet = [mark for mark in picture.marks if isinstance(mark, Spans) and mark.role == "quiet"]
    # As far as the picture goes.
    assert [(m.lane.tolist(), m.start.tolist(), m.end.tolist()) for m in quiet] == [
        ([1.0], [3.5], [4.0])
    ]
    assert picture.y.names == ("0", "1", "2")


def test_of_many_ports_the_busiest_are_drawn() -> None:
    problem, result = solved("uniform-64", "birkhoff")
    picture = gantt_picture(problem, result.plan)
    bars, shown = bars_of(picture), [int(name) for name in picture.y.names]
    assert len(bars) <= MOST_BARS
    assert len(shown) <= MOST_LANES
    sent = problem.pair_bytes().sum(axis=1)
    left_out = np.setdiff1d(np.arange(64), shown)
    assert sent[shown].min() >= sent[left_out].max()
    assert f"the {len(shown)} busiest of 64 ports" in picture.says


def test_the_pictures_of_a_page_are_small() -> None:
    problem, result = solved("uniform-64", "birkhoff")
    size = 0
    for shown in REPORT.pictures(problem, result.plan, result):
        for picture in shown.pictures if isinstance(shown, Gallery) else [shown]:
            for mark in picture.marks:
                arrays = [v for v in vars(mark).values() if isinstance(v, np.ndarray)]
                # As plotly writes them, in base 64.
                size += sum(array.nbytes * 4 // 3 for array in arrays)
                size += sum(len(text) + 3 for text in getattr(mark, "texts", ()))
    assert size < 350_000


def test_busy_seconds_are_what_is_not_idle() -> None:
    problem, result = solved("deepseek-v2-lite-intent-8-contiguous", "birkhoff")
    value = evaluate(problem, result.plan)
    picture = port_idleness_picture(problem, result.plan)
    unit = scale(picture)
    rate = 450e9
    for mark, idle in zip(
        [mark for mark in picture.marks if isinstance(mark, Bars)],
        [value.idle_send_bytes, value.idle_receive_bytes],
        strict=True,
    ):
        busy = value.makespan_s - idle / rate
        assert mark.height * unit == pytest.approx(busy)
    levels = {m.name: m.value * unit for m in picture.marks if isinstance(m, Level)}
    assert levels["makespan"] == value.makespan_s
    assert levels["bound"] == pytest.approx(result.bound)
    (worst,) = [mark for mark in picture.marks if isinstance(mark, Points)]
    received = problem.pair_bytes().sum(axis=0)
    assert worst.texts == (f"port {received.argmax()}",)
    assert worst.y[0] * unit == pytest.approx(received.max() / rate)
    assert "port 6 is busy receiving for 48.1872 us of 48.1872 us (100 %)" in picture.says.lower()


def test_start_ups_are_busy_time() -> None:
    problem = changed(PROBLEM, startup_s=0.5, peers="one")
    result = moeopt.solve(problem, "greedy")
    sending, receiving = port_uses(problem, result.plan)
    assert sending.seconds == pytest.approx([5.0, 2.5, 0.0])
    assert receiving.seconds == pytest.approx([0.0, 3.5, 4.0])
    assert sending.size_bytes.tolist() == [4, 2, 0]


def test_half_duplex_adds_both_directions() -> None:
    problem, result = solved("expert-moves-16", "edge_coloring")
    (use,) = port_uses(problem, result.plan)
    pair = problem.pair_bytes()
    expected = (pair.sum(axis=0) + pair.sum(axis=1)) / problem.send_rate()
    assert use.seconds == pytest.approx(expected)
    assert use.does == "sending and receiving"


def test_the_map_has_every_byte() -> None:
    (heat,) = traffic_picture(PROBLEM).marks
    assert isinstance(heat, Heat)
    assert heat.values.tolist() == PROBLEM.pair_bytes().tolist()
    assert "6 B between 3 pairs of ports, 50 % of all pairs" in traffic_picture(PROBLEM).says
    many = moeopt.load_problem("@transfers/zipf-320")
    picture = traffic_picture(many)
    (heat,) = picture.marks
    assert isinstance(heat, Heat)
    assert max(heat.values.shape) <= MOST_LINES
    size = {"B": 1.0, "kB": 1e3, "MB": 1e6}[heat.unit]
    assert heat.values.sum() * size == pytest.approx(many.pair_bytes().sum())
    assert heat.values[1, 0] * size == many.pair_bytes()[3:6, 0:3].sum()
    assert picture.x.names[:2] == ("0 to 2", "3 to 5")
    assert picture.x.names[-1] == "318 to 319"


def test_nothing_to_send() -> None:
    problem = moeopt.load_problem("@transfers/empty-4")
    result = moeopt.solve(problem, "birkhoff")
    assert REPORT.summary(problem, result.plan, result).binds == []
    orders, idle, _ = REPORT.pictures(problem, result.plan, result)
    assert isinstance(orders, Gallery)
    assert bars_of(orders.pictures[0]) == []
    assert isinstance(idle, Picture)
    assert idle.says == "Nothing is sent."
    assert REPORT.tables(problem, result.plan, result)[-1].rows == []


def test_a_migration_of_experts_is_a_plan_like_others() -> None:
    rng = np.random.default_rng(0)
    old, new = (rng.permutation(np.arange(128)) for _ in range(2))
    _, moves = moves_between(old, new, slots_per_rank=4, expert_bytes=44e6)
    order = order_migration(moves)
    problem = migration_problem(moves, order.source, 50e9)
    result = moeopt.solve(problem, "edge_coloring")
    picture = gantt_picture(problem, result.plan)
    bars = bars_of(picture)
    assert overlap(bars) * scale(picture) <= 1e-9 * result.objective
    assert max(bar.end for bar in bars) * scale(picture) == pytest.approx(
        order.makespan_bytes / 50e9
    )


def test_they_are_drawn_on_the_axes_that_are_given() -> None:
    figures = pytest.importorskip("matplotlib.figure")
    for drawn, label in (
        (lambda ax: gantt(PROBLEM, PLAN, ax=ax), "time (s)"),
        (lambda ax: gantt(PROBLEM, PLAN, side="receives", ax=ax), "time (s)"),
        (lambda ax: port_idleness(PROBLEM, PLAN, ax=ax), "port"),
        (lambda ax: traffic(PROBLEM, ax=ax), "to port"),
    ):
        ax = figures.Figure().subplots()
        assert drawn(ax) is ax
        assert ax.get_xlabel() == label


def test_fabric_of_single_ports_is_none() -> None:
    problem = changed(PROBLEM, fabric=Fabric(ports_per_node=1, bandwidth_bytes_per_s=9.0))
    assert gantt_picture(problem, PLAN).y.names == ("0", "1", "2")
    assert [use.does for use in port_uses(problem, PLAN)] == ["sending", "receiving"]


def test_generated_problems_of_any_family_have_pictures() -> None:
    for family in ("uniform", "zipf", "hot_receiver", "sparse"):
        problem = all_to_all(family, 6, seed=1)  # type: ignore[arg-type]
        result = moeopt.solve(problem, "birkhoff")
        moved = sum(use.size_bytes.sum() for use in port_uses(problem, result.plan))
        assert moved == pytest.approx(2 * problem.messages().sum())
