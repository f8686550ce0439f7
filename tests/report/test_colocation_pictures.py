"""The colocation wing on a page: who shares a device, what it takes, and how to put it to work."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from picture_bars import bars_of, covered
from written_steps import require_command, run_python

import moeopt
from moeopt.cli.main import main
from moeopt.colocation import (
    ColocationPlan,
    ColocationProblem,
    ModelLayer,
    Pin,
    device_phases,
    evaluate,
    order_on_the_wire,
    speedups,
)
from moeopt.colocation.generate import aurora_cluster
from moeopt.describe.cluster import Cluster
from moeopt.report.colocation import REPORT, device_weights, shared_devices, utilisation
from moeopt.report.colocation.pictures import (
    MOST_DEVICES,
    device_weights_picture,
    shared_devices_picture,
    timelines,
    utilisation_picture,
)
from moeopt.report.picture import Bars, Gallery, Heat, Level, Picture, Points
from moeopt.report.wings import Names

Solved = Callable[[str], tuple[ColocationProblem, Any]]


@pytest.fixture(scope="module")
def solved() -> Solved:
    """Return a function that gives an instance and its result, solved once."""
    found: dict[str, tuple[ColocationProblem, Any]] = {}

    def of(name: str) -> tuple[ColocationProblem, Any]:
        if name not in found:
            problem = moeopt.load_problem(f"@colocation/{name}")
            found[name] = (problem, moeopt.solve(problem, "search"))
        return found[name]

    return of


def heat(picture: Picture) -> np.ndarray[Any, Any]:
    (mark,) = picture.marks
    assert isinstance(mark, Heat)
    return np.asarray(mark.values)


def test_the_paper_s_table_2_takes_16_together_and_24_one_after_the_other(solved: Solved) -> None:
    problem, result = solved("aurora-table-2")
    gallery = timelines(problem, result.plan)
    assert isinstance(gallery, Gallery)
    lasts = [max(bar.end for bar in bars_of(picture)) for picture in gallery.pictures]
    assert lasts == [16, 13, 11]
    for picture, total in zip(gallery.pictures, lasts, strict=True):
        assert covered([bar for bar in bars_of(picture) if bar.marked]) == total
    assert gallery.names[0] == "taking turns"
    summary = REPORT.summary(problem, result.plan, result)
    gained = {fact.label: fact.number for fact in summary.gained}
    assert gained["one layer of all"] == 16
    assert gained["one after the other"] == 24
    # Gate, experts and aggregation of both: 5 + 5 seconds.
    assert gained["devices compute"] == pytest.approx(10 / 16)
    told = {fact.label: fact.text for fact in summary.gained}
    assert told["devices compute"] == "62.5 %: 41.7 % one after the other"
    assert {f.label: f.number for f in summary.distance}["lower bound"] == 16


def test_the_idle_network_is_in_what_binds(solved: Solved) -> None:
    problem, result = solved("aurora-table-2-idle")
    binds = REPORT.summary(problem, result.plan, result).binds
    assert [fact.number for fact in binds[:5]] == [4, 6, 7, 1, 1]
    assert binds[2].text.startswith("combine of model 0 and model 1 (device")
    assert "36.8 % of the time" in binds[2].text
    assert binds[5].label == "places (C2)"


def test_every_expert_is_on_the_map_with_its_tokens(solved: Solved) -> None:
    problem, result = solved("deepseek-v2-lite-both-mixed")
    picture = shared_devices_picture(problem, result.plan)
    table = heat(picture)
    assert table.shape == (8, 16)
    device = np.concatenate(list(result.plan.device))
    assert table.argmax(axis=0).tolist() == device.tolist()
    tokens = np.concatenate([model.tokens() for model in problem.models])
    assert table.sum(axis=0) == pytest.approx(tokens)
    assert (table > 0).sum() == 16
    assert picture.x.names[8] == "translation 0"
    busiest = int(tokens.argmax())
    assert picture.says.startswith(f"The busiest expert, {picture.x.names[busiest]}, sits on")


def test_models_of_unequal_size_and_experts_that_sit_together(solved: Solved) -> None:
    problem, result = solved("tiny-fewer-experts")
    assert heat(shared_devices_picture(problem, result.plan)).shape == (3, 4)
    experts = REPORT.tables(problem, result.plan, result)[0]
    assert [row[:3] for row in experts.rows] == [
        *(["model 0", e, int(result.plan.device[0, e])] for e in range(3)),
        ["model 1", 0, int(result.plan.device[1, 0])],
    ]
    problem, result = solved("tiny-two-places")
    assert (heat(shared_devices_picture(problem, result.plan)) > 0).sum(axis=1).max() == 2
    # One model has nobody to take turns with.
    assert isinstance(timelines(problem, result.plan), Picture)


def test_weights_of_devices_are_the_timeline_s(solved: Solved) -> None:
    problem, result = solved("deepseek-v2-lite-both-mixed")
    value = evaluate(problem, result.plan)
    layers = device_phases(problem, result.plan)
    picture = device_weights_picture(problem, result.plan)
    assert picture.y.unit == "ms"
    bars = {mark.name: mark for mark in picture.marks if isinstance(mark, Bars)}
    for name, layer in zip(("intent", "translation"), layers, strict=True):
        assert 1e-3 * bars[f"computes: {name}"].height == pytest.approx(layer.computing_s)
    # The second model stands on the first; together they are the busier direction's seconds.
    top = bars["sends, receives: translation"]
    assert top.base is not None
    lines = np.zeros(8)
    for phase in ("dispatch", "combine"):
        sent = sum(getattr(layer, phase).send_s for layer in layers)
        received = sum(getattr(layer, phase).receive_s for layer in layers)
        lines += np.maximum(sent, received)
    assert 1e-3 * (top.base + top.height) == pytest.approx(lines)
    (alone,) = [mark for mark in picture.marks if isinstance(mark, Points)]
    assert 1e-3 * alone.y == pytest.approx(value.device_time_s)
    (level,) = [mark for mark in picture.marks if isinstance(mark, Level)]
    assert 1e-3 * level.value == pytest.approx(value.time_s)


def test_utilisation_before_and_after(solved: Solved) -> None:
    problem, result = solved("deepseek-v2-lite-both-mixed")
    picture = utilisation_picture(problem, result.plan)
    before, after = (mark for mark in picture.marks if isinstance(mark, Bars))
    value = evaluate(problem, result.plan)
    assert after.height == pytest.approx(100 * value.utilisation)
    assert after.height / before.height == pytest.approx(
        speedups(problem, result.plan)["one after the other"]
    )
    assert f"{after.height.mean():.1f} % in turns" in picture.says


@pytest.mark.parametrize("objective", ["bottleneck", "communication"])
def test_of_another_objective_the_gains_are_in_it(solved: Solved, objective: str) -> None:
    problem, _ = solved("deepseek-v2-lite-both-mixed")
    problem = msgspec.structs.replace(problem, objective=objective)
    result = moeopt.solve(problem, "two_step")
    summary = REPORT.summary(problem, result.plan, result)
    assert summary.gained[0].number == result.objective
    ratios = speedups(problem, result.plan)
    gained = {fact.label: fact.number for fact in summary.gained}
    told = gained["the best pairs on random devices (rga)"]
    assert told == pytest.approx(ratios["rga"] * result.objective)
    assert summary.binds[0].number == pytest.approx(result.objective)
    without = REPORT.summary(problem, result.plan, None).distance
    assert [fact.label for fact in without] == ["objective", "lower bound"]
    assert without[1].number <= result.objective * (1 + 1e-9)


def test_rules_that_leave_no_room_are_named() -> None:
    tokens = np.array([[0.0, 2.0], [1.0, 0.0]])
    problem = ColocationProblem(
        models=tuple(ModelLayer(traffic_tokens=tokens, expert_bytes=5) for _ in range(2)),
        cluster=aurora_cluster("equal", 3),
        expert_memory_bytes=(12, 8, 5),
        pinned=(Pin(model=0, expert=0, device=0),),
    )
    plan = ColocationPlan(device=np.array([[0, 1], [0, 2]]))
    summary = REPORT.summary(problem, plan, None)
    binds = {fact.label: fact.number for fact in summary.binds}
    assert binds["memory (C3)"] == 3  # 2, 3 and 0 bytes are free
    assert binds["pins (C4)"] == 1
    assert binds["places (C2)"] == 1
    asked = {fact.label: fact.text for fact in summary.asked}
    assert asked["memory for experts"] == "5 B or more on each device"
    devices = REPORT.tables(problem, plan, None)[1]
    assert [column.name for column in devices.columns][-1] == "memory (B)"
    assert [row[-1] for row in devices.rows] == [10, 5, 5]
    assert [row[1:3] for row in devices.rows] == [["0", "0"], ["1", "-"], ["-", "1"]]


def test_of_many_devices_those_that_take_longest_are_drawn(solved: Solved) -> None:
    count = MOST_DEVICES + 6
    tokens = np.zeros((count, count))
    tokens[np.arange(count), (np.arange(count) + 1) % count] = 1.0 + np.arange(count)
    problem = ColocationProblem(
        models=(ModelLayer(traffic_tokens=tokens, seconds_per_token=1.0),) * 4,
        cluster=aurora_cluster("equal", count),
    )
    plan = ColocationPlan(device=np.tile(np.arange(count), (4, 1)))
    picture = shared_devices_picture(problem, plan)
    assert heat(picture).shape == (MOST_DEVICES, 4 * MOST_DEVICES)
    assert f"Shown are the {MOST_DEVICES} of {count}" in picture.says
    # More models than colours: what they do together.
    names = [mark.name for mark in device_weights_picture(problem, plan).marks]
    assert names == ["computes: all", "sends, receives: all", "alone", "all devices together"]


def test_what_is_empty_is_left_out(solved: Solved) -> None:
    problem, result = solved("tiny-two-models")
    assert not evaluate(problem, result.plan).utilisation.any()
    names = [one.name for one in REPORT.pictures(problem, result.plan, result)]
    assert names == ["timeline", "shared-devices", "device-weights"]
    gained = REPORT.summary(problem, result.plan, result).gained
    assert "devices compute" not in [fact.label for fact in gained]


def test_the_steps_work_as_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    local = np.array([[4.0]])
    problem = ColocationProblem(
        models=(ModelLayer(name="a", traffic_tokens=local, seconds_per_token=1.0),) * 2,
        cluster=Cluster.uniform(1),
    )
    named = Names(plan="my \N{GRINNING FACE} plan.json", instance="one device.json")
    result = moeopt.solve(problem, "search")
    moeopt.save_problem(named.instance, problem)
    moeopt.save_plan(named.plan, problem, result)
    check, run, layouts, wire = REPORT.steps(problem, result.plan, named)
    assert main(shlex.split(check.command)[1:]) == 0
    require_command(run.command)
    assert run_python(layouts.command) == [
        "model 0 device 0 experts [0]",
        "model 1 device 0 experts [0]",
    ]
    assert run_python(wire.command)[0].startswith("8.0 s in this order")


def test_the_layouts_and_the_wire_of_a_plan_of_the_library(
    solved: Solved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    problem, result = solved("aurora-table-2-idle")
    moeopt.save_plan("plan.json", problem, result)
    names = Names(plan="plan.json", instance="@colocation/aurora-table-2-idle")
    _, _, layouts, wire = REPORT.steps(problem, result.plan, names)
    told = run_python(layouts.command)
    for (model, expert), device in np.ndenumerate(result.plan.device):
        assert f"model {model} device {device} experts [{expert}]" in told
    order = order_on_the_wire(problem, result.plan)
    assert run_python(wire.command)[0].startswith(f"{order.total_s} s in this order")


def test_they_are_drawn_on_the_axes_that_are_given(solved: Solved) -> None:
    figures = pytest.importorskip("matplotlib.figure")
    problem, result = solved("aurora-table-2")
    for drawn, label in (
        (shared_devices, "expert"),
        (device_weights, "device"),
        (utilisation, "device"),
    ):
        ax = figures.Figure().subplots()
        assert drawn(problem, result.plan, ax=ax) is ax
        assert ax.get_xlabel() == label
