"""The committee wing's tables: the layers and the facts."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from moeopt.committee import generate
from moeopt.committee.plan import CommitteePlan, evaluate
from moeopt.committee.problem import CommitteeProblem
from moeopt.committee.summary import MOST_LAYERS, layers_table, summarise
from moeopt.core.result import Limit, Result, Status
from moeopt.core.table import Table, print_tables

MIB = 2**20

#: Expert 1 of layer 0 comes in for expert 0 before the second window.
PLAN = CommitteePlan(
    period=1,
    slots=np.array([1, 2]),
    loads=np.array([[0, 0, 0], [0, 1, 0], [0, 1, 1], [1, 0, 1]]),
    drops=np.array([[1, 0, 0]]),
)


def _problem(**fields: Any) -> CommitteeProblem:
    """Return two layers of three experts in two windows."""
    importance = np.array([[[5.0, 1, 0], [4, 3, 2]], [[0, 5, 1], [4, 3, 1]]])
    given: dict[str, Any] = {
        "name": "two windows",
        "layers": 2,
        "experts": 3,
        "importance": importance,
        "expert_bytes": MIB,
        "budget_bytes": 4 * MIB,
    }
    return CommitteeProblem(**(given | fields))


def _facts(table: Table) -> dict[Any, Any]:
    return {row[0]: row[1] for row in table.rows}


def _result(plan: CommitteePlan, **fields: Any) -> Result[Any]:
    given = {
        "status": Status.FEASIBLE,
        "limit": Limit.TIME,
        "plan": plan,
        "objective": 5.0,
        "bound": 4.0,
        "method": "greedy",
    }
    return Result(**{**given, **fields})


def test_what_each_layer_has_and_loses() -> None:
    layers, _ = summarise(_problem(), PLAN, None)
    names = [column.name for column in layers.columns]
    assert names == ["layer", "slots", "MiB", "loss", "loss %", "loads"]
    assert layers.rows[0] == [0, 1, 1.0, 2.0, pytest.approx(200 / 12), 1]
    assert layers.rows[1] == [1, 2, 2.0, 3.0, pytest.approx(300 / 17), 0]
    assert layers.footer == ["all", 3, 3.0, 5.0, pytest.approx(500 / 29), 1]
    assert "which is free" in layers.note
    paid = layers_table(*_valued(_problem(free_fill=False), PLAN))
    assert [row[-1] for row in paid.rows] == [2, 2]
    assert paid.note == ""


def _valued(problem: CommitteeProblem, plan: CommitteePlan) -> tuple[Any, Any, Any]:
    return problem, plan, evaluate(problem, plan)


def test_activations_are_part_of_a_slot() -> None:
    problem = _problem(activation_bytes=np.array([MIB, 0]))
    assert [row[2] for row in summarise(problem, PLAN, None)[0].rows] == [2.0, 2.0]


def test_a_layer_that_nobody_needs_has_no_share() -> None:
    problem = _problem(importance=np.zeros((2, 2, 3)))
    layers, facts = summarise(problem, PLAN, None)
    assert [row[4] for row in layers.rows] == [None, None]
    assert layers.footer is not None
    assert layers.footer[4] is None
    assert _facts(facts)["loss"] == "0"


def test_facts_of_memory_time_and_link() -> None:
    problem = _problem(
        fixed_bytes=MIB,
        base_s=0.25,
        slot_s=0.5,
        latency_s=2.0,
        load_price=2.0,
        link_bytes_per_s=2.0 * MIB,
        window_s=0.5,
    )
    facts = _facts(summarise(problem, PLAN, None)[1])
    assert facts["slots"] == "3 of 6"
    assert facts["memory"] == "4 MiB of 4 MiB"
    assert facts["latency"] == "1.75 s of 2 s"
    assert facts["windows"] == "2"
    assert facts["loads"] == facts["windows from update to update"] == "1"
    assert facts["bytes of loads"] == "1 MiB"
    assert facts["link"] == "1 MiB/s on average, 2 MiB/s at most, of 2 MiB/s"
    assert (facts["loss"], facts["price of loads"]) == ("5", "2")
    assert facts["objective"] == "additive, 7"
    plain = _facts(summarise(_problem(), PLAN, None)[1])
    assert not {"latency", "link", "price of loads"} & plain.keys()


def test_a_table_has_swaps_and_no_loads() -> None:
    problem = CommitteeProblem(
        layers=2,
        experts=2,
        loss="table",
        table=np.array([[9.0, 4, 0], [6, 2, 1]]),
        swaps=np.array([[0, 0.5, 0], [0, 1, 0]]),
        expert_bytes=MIB,
        budget_bytes=2 * MIB,
        link_bytes_per_s=2.0 * MIB,
        window_s=1.0,
    )
    none = np.zeros((0, 3), dtype=np.int64)
    plan = CommitteePlan(period=1, slots=np.array([1, 1]), loads=none, drops=none)
    layers, facts = summarise(problem, plan, None)
    assert [column.name for column in layers.columns][-1] == "loss %"
    assert layers.rows[1] == [1, 1, 1.0, 2.0, pytest.approx(100 / 3)]
    found = _facts(facts)
    assert found["bytes of an update"] == "1.5 MiB"
    assert found["link"] == "1.5 MiB/s on average, 1.5 MiB/s at most, of 2 MiB/s"
    assert found["objective"] == "table, 6"
    assert not {"loads", "windows"} & found.keys()


def test_facts_of_the_solve() -> None:
    problem = _problem()
    facts = _facts(summarise(problem, PLAN, _result(PLAN))[1])
    assert (facts["lower bound"], facts["gap"]) == ("4", "20.000 %")
    assert facts["status"] == "feasible, stopped by its time limit"
    assert facts["method"] == "greedy, seed 0"
    told = _facts(summarise(problem, PLAN, None)[1])
    assert not {"lower bound", "method", "status"} & told.keys()
    assert _facts(summarise(problem, PLAN, _result(PLAN, bound=None))[1])["lower bound"] is None


def test_many_layers_are_cut_to_those_that_lose_most() -> None:
    problem = generate.routed(40, 4, 1, 30, 1)
    rows = [[0, layer, e] for layer in range(40) for e in range(layer % 3)]
    none = np.zeros((0, 3), dtype=np.int64)
    slots = np.arange(40) % 3
    plan = CommitteePlan(period=1, slots=slots, loads=np.array(rows), drops=none)
    tables = summarise(problem, plan, _result(plan))
    assert len(tables[0].rows) == MOST_LAYERS
    assert f"The {MOST_LAYERS} of 40 layers that lose most." in tables[0].note
    losses = evaluate(problem, plan).loss_by_layer
    shown = [row[0] for row in tables[0].rows]
    left_out = np.setdiff1d(np.arange(40), shown)
    assert losses[left_out].max() <= losses[shown].min()
    printed = io.StringIO()
    print_tables(tables, printed)
    assert max(map(len, printed.getvalue().splitlines())) <= 80
