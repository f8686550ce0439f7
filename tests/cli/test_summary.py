"""The placement wing's tables: units, totals and what is left out when it would mislead."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from moeopt.core.result import Limit, Result, Status
from moeopt.core.table import Table
from moeopt.describe.cluster import Cluster, Device, Node, NodeGroup
from moeopt.placement.plan import PlacementPlan, evaluate
from moeopt.placement.problem import Pair, PlacementProblem, Timing
from moeopt.placement.summary import summarise

LOADS = np.array([[40.0, 30, 20, 10], [10, 20, 30, 40]])
BEST = PlacementPlan(physical_to_logical=np.array([[0, 3, 1, 2], [0, 3, 1, 2]]))


def _tables(bound: list[Any] | None = None, **fields: Any) -> tuple[Table, dict[Any, Any]]:
    given: dict[str, Any] = {
        "loads_tokens": LOADS,
        "cluster": Cluster.uniform(2),
        "slots_per_device": 2,
        **fields,
    }
    problem = PlacementProblem(**given)
    objective = evaluate(problem, BEST).objective
    result: Result[Any] = Result(
        status=Status.FEASIBLE,
        limit=Limit.TIME,
        plan=BEST,
        objective=objective,
        bound=objective * 0.9,
        method="auto",
        statistics={} if bound is None else {"layer_bound": bound},
    )
    layers, solve = summarise(problem, BEST, result)
    return layers, {row[0]: row[1] for row in solve.rows}


def test_layers_and_total_in_imbalance() -> None:
    layers, solve = _tables([45.0, 50.0])
    assert layers.rows == [
        [0, pytest.approx(1.4), 1.0, 0.9, pytest.approx(10.0)],
        [1, pytest.approx(1.4), 1.0, 1.0, 0.0],
    ]
    assert layers.footer == ["total", pytest.approx(1.4), 1.0, 0.95, pytest.approx(5.0)]
    assert solve["objective"] == "100"
    assert solve["status"] == "feasible, stopped by its time limit"


def test_a_bound_of_the_whole_only() -> None:
    layers, _ = _tables()
    assert [row[3:] for row in layers.rows] == [[None, None]] * 2
    assert layers.footer == ["total", pytest.approx(1.4), 1.0, 0.9, pytest.approx(10.0)]


@pytest.mark.parametrize("bound", ["x", [1.0], [None, 1.0], {"a": 1}])
def test_what_a_file_claims_may_be_nonsense(bound: Any) -> None:
    assert [row[3] for row in _tables(bound)[0].rows] == [None, None]


def test_a_contiguous_plan_that_the_rules_forbid() -> None:
    layers, _ = _tables([50.0, 50.0], forbidden=(Pair(expert=1, device=0),))
    assert [row[1] for row in layers.rows] == [None, None]
    assert layers.texts()[-1] == ["total", "-", "1.0000", "1.0000", "0.000"]


def test_prices_are_told_apart() -> None:
    previous = np.array([[0, 1, 2, 3], [0, 1, 2, 3]])
    layers, solve = _tables(
        [50.0, 50.0], previous=previous, expert_bytes=5, move_price_per_byte=1.0
    )
    assert [row[3] for row in layers.rows] == [None, None]
    assert layers.footer is not None
    assert layers.footer[3] is None
    assert solve["bytes moved"] == "20"


def test_scenarios_are_said() -> None:
    loads = np.stack([LOADS, LOADS[:, [1, 0, 2, 3]]])
    layers, _ = _tables(loads_tokens=loads, objective="worst_max")
    assert layers.note.startswith("2 load scenarios: all are planned for.")
    assert "worst scenario" in layers.title
    assert layers.rows[0][2] == pytest.approx(60 / 50)
    mean, _ = _tables(loads_tokens=loads)
    assert mean.note.startswith("2 load scenarios: their mean is planned for.")


def test_layer_time_is_in_milliseconds() -> None:
    device = Device(link_bandwidth_bytes_per_s=1e9)
    layers, _ = _tables(
        objective="layer_time",
        cluster=Cluster(nodes=(NodeGroup(node=Node(device=device, devices=2)),)),
        timing=Timing(
            seconds_per_token=1e-3, dispatch_bytes_per_token=0, combine_bytes_per_token=0
        ),
    )
    assert layers.rows[0][2] == pytest.approx(50.0)
    assert "milliseconds" in layers.title


def test_a_layer_without_tokens() -> None:
    layers, _ = _tables([0.0, 50.0], loads_tokens=np.array([[0.0] * 4, LOADS[0]]))
    assert layers.rows[0][2:] == [0.0, 0.0, 0.0]
