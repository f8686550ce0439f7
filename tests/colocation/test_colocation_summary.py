"""The colocation wing's tables: the devices, the timeline and the facts."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import numpy as np
import pytest

import moeopt
from moeopt.colocation import generate
from moeopt.colocation.plan import ColocationPlan, evaluate
from moeopt.colocation.problem import ColocationProblem
from moeopt.colocation.summary import MOST_DEVICES, speedups, summarise, timeline_table
from moeopt.core.result import Limit, Result, Status
from moeopt.core.table import Table, print_tables
from moeopt.io import load_problem

#: Table 2 with an idle network: both models' experts on both devices, 19 s.
IDLE = load_problem("@colocation/aurora-table-2-idle")
PLAN = ColocationPlan(device=np.array([[0, 1], [1, 0]]))


def _facts(table: Table) -> dict[Any, Any]:
    return {row[0]: row[1] for row in table.rows}


def _result(**fields: Any) -> Result[Any]:
    given = {
        "status": Status.FEASIBLE,
        "limit": Limit.TIME,
        "plan": PLAN,
        "objective": 19.0,
        "bound": 18.05,
        "method": "search",
    }
    return Result(**{**given, **fields})


def test_who_shares_a_device_and_what_it_takes() -> None:
    devices, _, _ = summarise(IDLE, PLAN, None)
    names = [column.name for column in devices.columns]
    assert names == [
        "device", "model 0", "model 1", "compute", "dispatch", "combine", "alone", "busy %"
    ]  # fmt: skip
    # Gates and aggregations 1 each, experts 6 and 3; 4 + 3 tokens each way, twice.
    assert devices.rows[0] == [0, "0", "1", 13, 7, 7, 19, pytest.approx(100 * 13 / 19)]
    assert devices.title == "who shares a device, and what it takes in s"
    assert devices.note == ""


def test_the_timeline_is_the_papers_table() -> None:
    table = timeline_table(IDLE, evaluate(IDLE, PLAN))
    spans = {(row[0], row[1]): (row[2], row[3]) for row in table.rows}
    assert spans == {
        ("gate", "model 1"): (0, 1),
        ("dispatch", "model 0"): (0, 4),
        ("dispatch", "model 1"): (1, 7),
        ("compute", "model 0"): (4, 10),
        ("compute", "model 1"): (10, 13),
        ("combine", "model 0"): (10, 14),
        ("combine", "model 1"): (13, 17),
        ("aggregation", "model 0"): (14, 15),
        ("aggregation", "model 1"): (17, 18),
        ("gate", "model 0"): (18, 19),
    }
    starts = [row[2] for row in table.rows]
    assert starts == sorted(starts)  # type: ignore[type-var]
    assert table.note.startswith("The first model's gate was done before")


def test_the_chain_that_sets_the_time_is_marked() -> None:
    table = timeline_table(IDLE, evaluate(IDLE, PLAN))
    why = {(row[0], row[1]): str(row[4]) for row in table.rows}
    assert why["dispatch", "model 0"] == "device 0 sends: 21 %"
    assert why["compute", "model 0"] == "device 0 computes: 32 %"
    assert why["dispatch", "model 1"] == ""
    # From 10 on the network moves both combines one after the other.
    assert why["combine", "model 1"] == "device 0 sends, with model 0: 37 %"
    assert why["gate", "model 0"] == "device 0 computes: 5 %"


def test_a_model_without_a_gate_needs_no_note() -> None:
    problem = load_problem("@colocation/tiny-two-models")
    assert timeline_table(problem, evaluate(problem, PLAN)).note == ""


def test_facts_of_the_solve() -> None:
    facts = _facts(summarise(IDLE, PLAN, _result())[2])
    assert facts["time"] == facts["slowest device alone"] == "19 s"
    assert facts["aggregated dispatch"] == "7 s"
    assert facts["utilisation"] == "68.4 %"
    assert facts["objective"] == "time, 19 s"
    assert facts["lower bound"] == "18.05 s"
    assert facts["gap"] == "5.000 %"
    assert facts["status"] == "feasible, stopped by its time limit"
    assert facts["method"] == "search, seed 0"
    assert facts["time taken"].startswith("0.000 s, of which")
    # 1 + 4 + 6 + 4 + 1 and 1 + 3 + 3 + 3 + 1.
    assert facts["speed-up over one after the other"] == f"{(16 + 11) / 19:.3f}"


def test_nothing_is_claimed_without_a_result() -> None:
    facts = _facts(summarise(IDLE, PLAN, None)[2])
    assert not {"lower bound", "method", "status"} & facts.keys()
    assert _facts(summarise(IDLE, PLAN, _result(bound=None))[2])["lower bound"] is None


def test_unequal_devices_are_told_apart() -> None:
    problem = generate.limoe(cluster="mixed")
    result = moeopt.solve(problem, "two_step")
    devices, timeline, facts = summarise(problem, result.plan, result)
    columns = [column.name for column in devices.columns[:5]]
    assert columns == ["device", "speed", "Gbit/s", "b16-coco", "b32-imagenet"]
    assert [row[2] for row in devices.rows] == [100, 100, 80, 80, 50, 50, 40, 40]
    assert devices.title.endswith("in ms")
    assert timeline.title.endswith("in ms")
    assert {"speed-up over rec", "speed-up over rga", "speed-up over rga_rec"} <= _facts(
        facts
    ).keys()


def test_speed_ups_are_of_the_objective_over_baselines_that_fit() -> None:
    problem = generate.limoe(cluster="mixed")
    plan = moeopt.solve(problem, "search").plan
    ratios = speedups(problem, plan, seed=5)
    value = evaluate(problem, plan).objective
    for name in ("rec", "rga", "rga_rec"):
        assert ratios[name] == moeopt.solve(problem, name, seed=5).objective / value
    assert "lina" not in ratios
    packed = msgspec.structs.replace(problem, experts_per_device=2, objective="bottleneck")
    ratios = speedups(packed, plan)
    lina = moeopt.solve(packed, "lina").objective
    assert ratios["lina"] == lina / evaluate(packed, plan).objective
    # That models wait for each other is a question of the time.
    assert "one after the other" not in ratios
    quiet = msgspec.structs.replace(problem, models=tuple(map(_without_tokens, problem.models)))
    assert speedups(quiet, plan) == {}


def _without_tokens(model: Any) -> Any:
    none = np.zeros_like(model.traffic_tokens)
    return msgspec.structs.replace(model, traffic_tokens=none, gate_s=0.0, aggregation_s=0.0)


@pytest.mark.parametrize("experts", [16, 64])
def test_many_devices_are_cut_to_those_that_take_longest(experts: int) -> None:
    problem = generate.synthetic("zipf", experts, 3)
    result = moeopt.solve(problem, "bottleneck_matching")
    tables = summarise(problem, result.plan, result)
    assert len(tables[0].rows) == min(experts, MOST_DEVICES)
    assert ("devices that take longest" in tables[0].note) == (experts > MOST_DEVICES)
    shown = [row[0] for row in tables[0].rows]
    longest = evaluate(problem, result.plan).device_time_s
    assert int(longest.argmax()) in shown
    printed = io.StringIO()
    print_tables(tables, printed)
    assert max(map(len, printed.getvalue().splitlines())) <= 100


def test_several_experts_of_a_model_and_none() -> None:
    problem = load_problem("@colocation/tiny-two-places")
    assert isinstance(problem, ColocationProblem)
    problem = msgspec.structs.replace(problem, experts_per_device=3)
    devices, _, _ = summarise(problem, ColocationPlan(device=np.array([[1, 1, 1]])), None)
    assert [row[1] for row in devices.rows] == ["-", "0 1 2"]
