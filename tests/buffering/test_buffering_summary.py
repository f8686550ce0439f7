"""The buffering wing's tables: the layers, where the time goes, and the facts."""

from __future__ import annotations

import io
from typing import Any

import buffering_oracle
import msgspec
import numpy as np
import pytest

from moeopt.buffering import generate
from moeopt.buffering.clock import stall
from moeopt.buffering.flow import flow_schedule
from moeopt.buffering.plan import BufferingPlan, evaluate
from moeopt.buffering.problem import BufferingProblem, Timing
from moeopt.buffering.stream import plan_of, streams
from moeopt.buffering.summary import MOST_LAYERS, layers_table, summarise, time_table
from moeopt.core.result import Limit, Result, Status
from moeopt.core.table import Table, print_tables


def _problem(**fields: Any) -> BufferingProblem:
    """Return two layers: 0, 1, 2 in turn, and always 0; two slots and one."""
    groups = [[0], [0], [1], [0], [2], [0]] * 2
    given = {"layers": 2, "slots": np.array([2, 1]), "expert_bytes": 2**20, "name": "two layers"}
    return buffering_oracle.problem_of(groups, **(given | fields))


def _best(problem: BufferingProblem) -> BufferingPlan:
    parts = streams(problem)
    rooms = np.array([part.capacity for part in parts])
    made = [flow_schedule(part, int(room))[0] for part, room in zip(parts, rooms, strict=True)]
    return plan_of(problem, parts, rooms, made)


def _facts(table: Table) -> dict[Any, Any]:
    return {row[0]: row[1] for row in table.rows}


def _result(plan: BufferingPlan, **fields: Any) -> Result[Any]:
    given = {
        "status": Status.FEASIBLE,
        "limit": Limit.TIME,
        "plan": plan,
        "objective": 5.0,
        "bound": 4.0,
        "method": "lru",
    }
    return Result(**{**given, **fields})


def test_what_each_layer_asks_for_and_finds() -> None:
    problem = _problem()
    layers, _ = summarise(problem, _best(problem), None)
    names = [column.name for column in layers.columns]
    assert names == ["layer", "slots", "asked for", "references", "misses", "hits %"]
    assert layers.rows[0] == [0, 2, 3, 6, 4, pytest.approx(100 / 3)]
    assert layers.rows[1] == [1, 1, 1, 6, 1, pytest.approx(500 / 6)]
    assert layers.footer == ["all", 3, 4, 12, 5, pytest.approx(700 / 12)]
    assert layers.note == ""


def test_loads_are_told_apart_from_misses_where_they_differ() -> None:
    problem = _problem(serve="bypass", load_s=3.0, miss_s=2.0, objective="seconds")
    plan = _best(problem)
    value = evaluate(problem, plan)
    table = layers_table(problem, plan, value)
    assert [column.name for column in table.columns][-1] == "loads"
    assert [row[-1] for row in table.rows] == value.loads_by_layer.tolist()
    facts = _facts(summarise(problem, plan, None)[-1])
    assert facts["loads"] == str(value.loads)
    assert facts["objective"] == f"seconds, {value.objective:g} s"


def test_a_pool_has_no_room_of_a_layer() -> None:
    problem = _problem(slots=3, pooled=True, pinned=np.array([[1, 0]]))
    table = summarise(problem, _best(problem), None)[0]
    assert table.title == "what was asked for and found: a pool of 3 slots"
    assert "slots" not in [column.name for column in table.columns]
    assert table.note == "The room includes 1 pinned experts, which are always found."


def test_bytes_are_shown_in_large_units() -> None:
    problem = _problem(slots=None, cache_bytes=2**21, objective="miss_bytes")
    plan = buffering_oracle.brute_force(problem)
    assert plan is not None
    assert plan.plan is not None
    layers, facts = summarise(problem, plan.plan, None)
    assert [column.name for column in layers.columns][1] == "MiB"
    assert [row[1] for row in layers.rows] == [2.0, 2.0]
    assert _facts(facts)["objective"] == "miss_bytes, 5 MiB"
    budget = _problem(slots=None, budget_bytes=3 * 2**30)
    plan = BufferingPlan(**{**msgspec.structs.asdict(_best(_problem())), "capacity": [2, 1]})
    assert _facts(summarise(budget, plan, None)[1])["budget"] == "3 GiB"


def test_facts_of_the_solve() -> None:
    problem = _problem()
    plan = _best(problem)
    facts = _facts(summarise(problem, plan, _result(plan))[1])
    assert facts["references"] == "12"
    assert facts["misses"] == facts["loads"] == "5"
    assert facts["hit rate"] == "58.33 %"
    assert facts["bytes of misses and loads"] == "5 MiB"
    assert facts["objective"] == "misses, 5"
    assert facts["lower bound"] == "4"
    assert facts["gap"] == "20.000 %"
    assert facts["status"] == "feasible, stopped by its time limit"
    assert facts["method"] == "lru, seed 0"
    assert "seconds of misses and loads" not in facts


def test_nothing_is_claimed_without_a_result() -> None:
    problem = _problem()
    plan = _best(problem)
    facts = _facts(summarise(problem, plan, None)[1])
    assert not {"lower bound", "method", "status"} & facts.keys()
    assert _facts(summarise(problem, plan, _result(plan, bound=None))[1])["lower bound"] is None
    empty = buffering_oracle.problem_of([[]], experts=1)
    facts = _facts(summarise(empty, _best(empty), None)[1])
    assert facts["hit rate"] is None


def test_where_the_time_goes() -> None:
    """Seconds are the clock's, in its three parts."""
    timing = Timing(link_bytes_per_s=2**20, compute_s=0.5)
    problem = _problem(timing=timing, objective="seconds")
    plan = _best(problem)
    spent = stall(problem, plan)
    table = time_table(problem, plan)
    assert [row[0] for row in table.rows] == [
        "computation on the device",
        "waiting for the host",
        "waiting for transfers",
    ]
    assert [row[1] for row in table.rows] == [spent.compute_s, spent.host_s, spent.stall_s]
    assert table.footer == ["all", spent.total_s, 100.0]
    assert table.note.startswith("5 transfers; the link is busy for")
    facts = _facts(summarise(problem, plan, None)[2])
    assert facts["seconds of misses and loads"] == "5 s"
    assert facts["waiting for transfers"] == f"{spent.stall_s:.6g} s"
    wrong = msgspec.structs.replace(timing, lookahead_groups=1, lookahead_accuracy=0.0)
    guessed = msgspec.structs.replace(problem, timing=wrong)
    assert "of them for nothing" in time_table(guessed, plan).note


@pytest.mark.parametrize("uploads", [0, 1])
def test_many_layers_are_cut_to_those_that_miss_most(uploads: int) -> None:
    problem = generate.offloaded("qwen3-30b-a3b", steps=4, uploads=uploads)
    plan = _best(problem)
    tables = summarise(problem, plan, _result(plan))
    assert problem.num_layers > len(tables[0].rows) == MOST_LAYERS
    assert f"The {MOST_LAYERS} of {problem.num_layers} layers" in tables[0].note
    misses = evaluate(problem, plan).misses_by_layer
    left_out = np.setdiff1d(np.arange(problem.num_layers), [row[0] for row in tables[0].rows])
    assert misses[left_out].max() <= min(row[4] for row in tables[0].rows)  # type: ignore[type-var]
    printed = io.StringIO()
    print_tables(tables, printed)
    assert max(map(len, printed.getvalue().splitlines())) <= 80
