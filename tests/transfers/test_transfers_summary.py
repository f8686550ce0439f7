"""The transfers wing's tables: the picture, the ports' bytes and the facts."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

import moeopt
from moeopt.core.result import Limit, Result, Status
from moeopt.core.table import Table, print_tables
from moeopt.transfers import Busy, Fabric, TransferPlan, TransferProblem
from moeopt.transfers.generate import all_to_all
from moeopt.transfers.summary import CELLS, MOST_PORTS, gantt, summarise

#: 0 -> 1 for 3 s, then 0 -> 2 for 1 s; 1 -> 2 at the same time as the first.
PLAN = TransferPlan(
    source=np.array([0, 1, 0]),
    destination=np.array([1, 2, 2]),
    size_bytes=np.array([3.0, 2.0, 1.0]),
    start_s=np.array([0.0, 0.0, 3.0]),
    duration_s=np.array([3.0, 2.0, 1.0]),
    round_index=np.array([0, 0, 1]),
)
PROBLEM = TransferProblem(
    traffic_bytes=np.array([[0.0, 3, 1], [0, 0, 2], [0, 0, 0]]), bandwidth_bytes_per_s=1.0
)


def _lines(table: Table) -> dict[Any, str]:
    return {row[0]: str(row[1]) for row in table.rows}


def _facts(table: Table) -> dict[Any, Any]:
    return {row[0]: row[1] for row in table.rows}


def _result(**fields: Any) -> Result[Any]:
    given = {
        "status": Status.FEASIBLE,
        "limit": Limit.TIME,
        "plan": PLAN,
        "objective": 4.0,
        "bound": 3.8,
        "method": "auto",
        "statistics": {"by": "birkhoff"},
    }
    return Result(**{**given, **fields})


def test_the_picture_has_whom_each_port_sends_to() -> None:
    picture = gantt(PLAN, PROBLEM)
    quarter = CELLS // 4
    assert _lines(picture) == {
        0: "1" * 3 * quarter + "2" * quarter,
        1: "2" * 2 * quarter + "." * 2 * quarter,
        2: "." * CELLS,
    }
    assert picture.note == ". idle"
    assert picture.columns[1].name == "0 to 4 s"
    # Without the problem, a plan's file shows the same.
    assert _lines(gantt(PLAN)) == _lines(picture)


def test_bytes_of_each_port_and_what_it_could_have_carried_besides() -> None:
    _, ports, _ = summarise(PROBLEM, PLAN, _result())
    assert ports.rows == [[0, 4, 0, 0, 4], [1, 2, 3, 2, 1], [2, 0, 3, 4, 1]]
    assert ports.footer == ["total", 6, 6, 6, 6]
    assert ports.title == "bytes of each port"


def test_facts_of_the_solve() -> None:
    facts = _facts(summarise(PROBLEM, PLAN, _result())[2])
    assert facts["makespan"] == "4 s"
    assert facts["lower bound"] == "3.8 s"
    assert facts["gap"] == "5.000 %"
    assert (facts["rounds"], facts["transmissions"]) == ("2", "3")
    assert facts["status"] == "feasible, stopped by its time limit"
    assert facts["method"] == "auto: birkhoff, seed 0"
    assert "start-ups" not in facts
    # All at once port 0 shares its rate, and the receivers theirs: nobody is in another's way.
    assert facts["speed-up over all_at_once"] == "1.000"


def test_nothing_is_claimed_without_a_result() -> None:
    facts = _facts(summarise(PROBLEM, PLAN, None)[2])
    assert "lower bound" not in facts
    assert "method" not in facts
    assert facts["makespan"] == "4 s"
    assert _facts(summarise(PROBLEM, PLAN, _result(bound=None))[2])["lower bound"] is None


def test_several_at_once_and_absent_and_busy_ports() -> None:
    problem = TransferProblem(
        traffic_bytes=np.pad(PROBLEM.traffic_bytes[0], (0, 1)),
        bandwidth_bytes_per_s=2.0,
        absent_ports=(3,),
        busy=(Busy(port=2, start_s=2.0, end_s=4.0),),
    )
    shared = TransferPlan(
        source=np.array([0, 0]),
        destination=np.array([1, 2]),
        size_bytes=np.array([3.0, 1.0]),
        start_s=np.array([0.0, 0.0]),
        duration_s=np.array([4.0, 2.0]),
        round_index=np.array([0, 0]),
    )
    picture = gantt(shared, problem)
    half = CELLS // 2
    assert _lines(picture) == {
        0: "*" * half + "1" * half,
        1: "." * CELLS,
        2: "." * half + "=" * half,
    }
    assert picture.note == ". idle; * several at once; = busy with something else"


def test_inside_a_node_is_shown_where_nothing_leaves_it() -> None:
    problem = TransferProblem(
        traffic_bytes=np.array([[0, 2.0, 1, 0], [0] * 4, [0] * 4, [0] * 4]),
        bandwidth_bytes_per_s=1.0,
        fabric=Fabric(ports_per_node=2, bandwidth_bytes_per_s=1.0),
    )
    plan = TransferPlan(
        source=np.array([0, 0]),
        destination=np.array([1, 2]),
        size_bytes=np.array([2.0, 1.0]),
        start_s=np.array([0.0, 0.0]),
        duration_s=np.array([2.0, 1.0]),
        round_index=np.array([0, 0]),
    )
    picture, ports, _ = summarise(problem, plan, None)
    assert _lines(picture)[0] == "2" * (CELLS // 2) + "-" * (CELLS // 2)
    assert "- inside its node only" in picture.note
    assert ports.title == "bytes of each port, between nodes"
    assert ports.rows[0] == [0, 1, 0, 1, 2]


@pytest.mark.parametrize("ports", [8, 40, 80])
def test_many_ports_are_cut_to_the_busiest_and_fit_a_terminal(ports: int) -> None:
    problem = all_to_all("uniform", ports)
    result = moeopt.solve(problem, "birkhoff")
    tables = summarise(problem, result.plan, result)
    assert len(tables[0].rows) == len(tables[1].rows) == min(ports, MOST_PORTS)
    letters = set("".join(_lines(tables[0]).values()))
    assert ("#" in letters) == (ports > 62)
    assert ("the 32 busiest of" in tables[0].note) == (ports > MOST_PORTS)
    assert all(len(line) == CELLS for line in _lines(tables[0]).values())
    totals = tables[1].footer
    assert totals is not None
    assert totals[1] == totals[2] == problem.pair_bytes().sum()
    printed = io.StringIO()
    print_tables(tables, printed)
    assert max(map(len, printed.getvalue().splitlines())) <= 100


def test_nothing_to_send_is_shown_too() -> None:
    problem = all_to_all("empty", 3)
    result = moeopt.solve(problem)
    picture, _, facts = summarise(problem, result.plan, result)
    assert list(_lines(picture).values()) == ["." * CELLS] * 3
    assert _facts(facts)["makespan"] == "0 s"


def test_rounds_are_bounded_in_rounds_and_start_ups_counted() -> None:
    rounds = TransferProblem(
        traffic_bytes=PROBLEM.traffic_bytes, bandwidth_bytes_per_s=1.0, objective="rounds"
    )
    result = moeopt.solve(rounds)
    assert _facts(summarise(rounds, result.plan, result)[2])["lower bound"].endswith("rounds")
    slow = TransferProblem(
        traffic_bytes=PROBLEM.traffic_bytes, bandwidth_bytes_per_s=1.0, startup_s=1e-5
    )
    result = moeopt.solve(slow)
    assert _facts(summarise(slow, result.plan, result)[2])["start-ups"] == "3 of 10 us each"
