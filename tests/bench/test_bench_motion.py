"""The replanning parts of the motion workload on small shapes, and the whole workload's parts."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from moeopt.bench import (
    command,
    motion,
    motion_exact,
    motion_makespan,
    motion_pareto,
    motion_popularity,
)
from moeopt.bench.chart import HEIGHT, chart
from moeopt.bench.contenders import ours
from moeopt.bench.motion_bound import least_transfers
from moeopt.bench.motion_cases import Change, drifted, planning
from moeopt.bench.registry import Report, Setting, workload_named
from moeopt.core.table import print_tables
from moeopt.placement.exact_front import exact_front
from moeopt.placement.generate import SHAPES, Layout, loads

SMALL = "mixtral-16-8"
QUICK = Setting(quick=True, peers=(), say=print)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SMALL in SHAPES
    budgets = {SMALL: ((0.1, 1.2), (0.2, 1.1), (0.4, 1.0))}
    monkeypatch.setattr(motion_pareto, "PUBLISHED", budgets)
    monkeypatch.setattr(motion_makespan, "PUBLISHED", budgets)
    monkeypatch.setattr(motion_pareto, "GROUPED", ())
    monkeypatch.setattr(motion_pareto, "TIMED", SMALL)


def figures(report: Report) -> dict[str, float | None]:
    command.encode("motion", True, report)
    return {figure.name: figure.value for figure in report.figures}


def drawn_width(report: Report, capsys: pytest.CaptureFixture[str]) -> int:
    capsys.readouterr()
    tables = [(table.title, table) for table in report.tables]
    print_tables([table for _, table in tables])
    lines = capsys.readouterr().out.splitlines()
    notes = {table.note for _, table in tables}
    return max(len(line) for line in lines if not any(line in note for note in notes))


def test_the_front_is_read_at_the_published_budgets(capsys: pytest.CaptureFixture[str]) -> None:
    report = motion_pareto.run(QUICK)
    found = figures(report)
    values = [found[f"front, {SMALL}, k={swaps}: imbalance"] for swaps in (8, 16, 32)]
    change, full = drifted(SMALL, ours("eplb"))
    front = change.front()
    for value, (moved, _) in zip(values, motion_pareto.PUBLISHED[SMALL], strict=True):
        point = front.within(moved * change.previous.size)
        assert value == pytest.approx(change.imbalance(front.table(point)))
        assert change.transfers(front.table(point)) <= moved * change.previous.size
    case = report.data["front"]["cases"][0]
    assert case["full"]["imbalance"] == pytest.approx(change.imbalance(full))
    assert case["full"]["relabelled"] <= case["full"]["transfers"] == change.transfers(full)
    assert {"whole", "balance", "eplb"} == report.data["front_times"][SMALL].keys()
    assert drawn_width(report, capsys) <= 100


def test_a_balance_that_is_not_reached_is_no_figure() -> None:
    change, full = drifted(SMALL, ours("search"))
    case = motion_pareto.Case(change, 1, full, change.front(1))
    assert case.to_full() is None
    target = motion_pareto.MOST_SHARE
    report = motion_pareto.told([case], "search")
    missed = [figure for figure in report.figures if figure.target == target]
    assert all(figure.value is None and "not reached" in figure.note for figure in missed)


def test_changes_of_popularity_are_compared_with_fresh_plans(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(motion_popularity, "MADE_UP", (SMALL,))
    report = motion_popularity.run(QUICK)
    found = figures(report)
    assert len(found) == 4
    recorded = [value for name, value in found.items() if "intent" in name]
    assert all(value is not None and value < 0.5 for value in recorded)
    for case in report.data["popularity"]:
        assert case["front"]["transfers"] == sorted(case["front"]["transfers"])
        best = min(plan["imbalance"] for plan in case["fresh"].values())
        assert case["level"] == 1.01 if best <= 1.01 else case["level"] == 1.01 * best
    assert drawn_width(report, capsys) <= 100


def test_migrations_are_ordered(capsys: pytest.CaptureFixture[str]) -> None:
    report = motion_makespan.run(QUICK)
    assert all(figure.value is None and "no vllm" in figure.note for figure in report.figures)
    plans = report.data["makespan"][SMALL]
    assert list(plans)[-1] == motion_makespan.WHOLE
    for orders in plans.values():
        assert orders.keys() == {"ours", "ours, full duplex"}
        for name, layers in orders.items():
            assert all(order["length"] >= order["bound"] for order in layers), name
    assert drawn_width(report, capsys) <= 100


def small_change() -> Change:
    layout = Layout(10, 2)
    before, after = (loads("logn1", 1, 7, seed) for seed in (3, 4))
    table = np.asarray(ours("eplb").bind(before, layout)())
    return Change("small", layout, table, after)


def test_no_exact_plan_copies_less_than_the_bound() -> None:
    change = small_change()
    best = exact_front(change.problem())
    mean = float(change.loads.sum()) / 2
    assert len(best.objective) > 2
    bounds = [least_transfers(change, value / mean) for value in best.objective]
    assert all(bound is not None for bound in bounds)
    for bound, moved in zip(bounds, best.moved_bytes, strict=True):
        assert bound <= moved + 1e-6
    assert any(bound > 0.1 for bound in bounds)
    assert all(one <= other + 1e-6 for one, other in pairwise(bounds))
    assert least_transfers(change, 0.9) is None


def test_exact_fronts_are_compared_point_by_point(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(motion_exact, "QUICK_SHAPES", ((5, Layout(6, 2)),))
    found = motion_exact.compared(5, Layout(6, 2), 1, 20.0)
    for one in found:
        assert one.proven == len(one.exact) == len(one.found)
        assert min(one.excess) >= -1e-6
    report = motion_exact.run(QUICK)
    assert figures(report)["exact: points that replan has no plan for"] == 0
    assert drawn_width(report, capsys) <= 100


def test_the_chart_puts_points_where_they_are() -> None:
    table = chart("t", {"*": [(0.0, 1.0), (1.0, 0.01)], "f": [(0.5, 0.1)]}, "n")
    rows = [str(row[0]).partition("|")[2] for row in table.rows[:HEIGHT]]
    assert rows[0].startswith("*")
    assert rows[-1].rstrip().endswith("*")
    assert len(rows[-1].rstrip()) == len("*" * 64)
    middle = [number for number, row in enumerate(rows) if "f" in row]
    assert len(middle) == 1
    assert middle[0] in (HEIGHT // 2 - 1, HEIGHT // 2)
    # Heights below the least power of ten that is drawn, 0 among them, lie on the axis.
    assert chart("t", {"*": [(0.0, 0.0), (0.5, 0.2)]}, "").rows[HEIGHT - 1]


def test_the_workload_runs_every_part(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    names = ("pareto", "popularity", "exact", "makespan", "drift", "robust", "sweep", "engines")
    called: list[str] = []

    def stand_in(name: str) -> Report:
        called.append(name)
        return Report(data={name: 1})

    for name in names:
        part = getattr(motion, f"motion_{name}")
        monkeypatch.setattr(part, "run", lambda setting, name=name: stand_in(name))
    assert workload_named("motion").run is motion.run
    command.run("motion", quick=True, json_path=tmp_path / "out.json")
    assert called == list(names)
    assert json.loads((tmp_path / "out.json").read_text())["data"].keys() >= set(names)
    assert "bench motion" in capsys.readouterr().err


def test_without_a_wheel_plans_are_compared_with_our_eplb() -> None:
    with planning(QUICK) as planner:
        assert planner.name == "eplb"
