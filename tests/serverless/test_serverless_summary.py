"""The serverless wing's tables: the layers, the bill, and what binds."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import numpy as np
import pytest

import moeopt
from moeopt.core.result import Limit, Result, Status
from moeopt.core.table import Table, print_tables
from moeopt.io import load_problem
from moeopt.serverless import generate
from moeopt.serverless.binding import RULES, binding
from moeopt.serverless.plan import ServerlessPlan, evaluate
from moeopt.serverless.problem import ServerlessProblem
from moeopt.serverless.summary import (
    MOST_FUNCTIONS,
    MOST_LAYERS,
    layers_table,
    money_unit,
    savings,
    simulated,
    summarise,
)

#: 4 and 8 tokens in 10 seconds: a second replica for the second layer, 5 + 10 dollars.
TWO = load_problem("@serverless/tiny-two-layers")
PLAN = ServerlessPlan(
    design=np.array([2, 2]),
    pipeline_degree=np.array([0, 0]),
    memory_mb=np.array([[1024], [1024]]),
    replicas=np.array([[1], [2]]),
)


def _load(name: str) -> ServerlessProblem:
    problem = load_problem(f"@serverless/{name}")
    assert isinstance(problem, ServerlessProblem)
    return problem


def _facts(table: Table) -> dict[Any, Any]:
    return {row[0]: row[1] for row in table.rows}


def _cells(table: Table) -> dict[str, list[Any]]:
    names = [column.name for column in table.columns]
    return {name: [row[i] for row in table.rows] for i, name in enumerate(names)}


def _result(**fields: Any) -> Result[Any]:
    given = {
        "status": Status.FEASIBLE,
        "limit": Limit.TIME,
        "plan": PLAN,
        "objective": 15.0,
        "bound": 14.25,
        "method": "exact",
    }
    return Result(**{**given, **fields})


def test_what_is_rented_for_each_layer() -> None:
    table = summarise(TWO, PLAN, None)[0]
    cells = _cells(table)
    assert cells["layer"] == [0, 1]
    assert cells["design"] == ["2 storage", "2 storage"]
    assert cells["MB"] == ["1024", "1024"]
    assert cells["replicas"] == ["1", "2"]
    assert cells["USD"] == [5, 10]
    assert cells["bill %"] == pytest.approx([100 / 3, 200 / 3])
    assert cells["s"] == [5, 5]
    assert cells["s left"] == [5, 0]
    assert cells["binds"] == ["", "promise"]
    assert "minibatch" not in cells
    assert table.footer == ["all", "", "", "", 15, 100.0, 10, 10, 0, "", ""]
    assert table.note.startswith("Simulated: ")


def test_nothing_is_left_of_no_promise() -> None:
    problem = msgspec.structs.replace(TWO, slo_s=None)
    first, _, facts = summarise(problem, PLAN, None)
    assert "s left" not in _cells(first)
    assert not {"promise", "slack"} & _facts(facts).keys()


def test_minibatches_of_pipelined_layers() -> None:
    problem = _load("tiny-one-degree")
    plan = moeopt.solve(problem).plan
    assert _cells(summarise(problem, plan, None)[0])["minibatch"] == [3, 3]
    mixed = _load("tiny-designs")
    plan = moeopt.solve(mixed).plan
    assert _cells(summarise(mixed, plan, None)[0])["design"] == ["1 pipelined"]


def test_ranges_over_the_experts_of_a_layer() -> None:
    problem = generate.deployed("gpt2-moe", tokens_per_s=28.0)
    plan = moeopt.solve(problem).plan
    cells = _cells(summarise(problem, plan, None)[0])
    own = plan.memory_mb[0]
    assert cells["MB"][0] == f"{own.min()}-{own.max()}"
    assert len(cells["layer"]) == 12
    assert all("promise" in each for each in cells["binds"])
    value = evaluate(problem, plan)
    slowest = int(np.argmax(value.expert_s[3]))
    assert cells["waits for"][3] == f"expert {slowest}"


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("tiny-replicas", "C2"),
        ("tiny-memory", "C3"),
        ("tiny-payload", "C4"),
        ("tiny-timeout", "C5"),
        ("tiny-promise", "C6"),
        ("tiny-one-degree", "C7"),
        ("tiny-designs", "C8"),
    ],
)
def test_each_rule_is_named_where_it_binds(name: str, label: str) -> None:
    problem = _load(name)
    plan = moeopt.solve(problem).plan
    found = binding(problem, plan, evaluate(problem, plan), range(problem.num_layers))
    assert any(label in labels for labels in found)


def test_without_a_rule_that_binds_the_cheapest_layer_is_rented() -> None:
    problem = _load("tiny-idle-expert")
    freed = msgspec.structs.replace(problem, designs=(1, 2, 3))
    plan = moeopt.solve(freed).plan
    assert binding(freed, plan, evaluate(freed, plan), [0]) == [()]


def test_rules_that_are_tried_stand_on_the_page() -> None:
    assert list(RULES) == [f"C{n}" for n in range(2, 9)]


def test_many_layers_are_cut_to_the_dearest() -> None:
    problem = generate.small(MOST_LAYERS + 3, 2, 7)
    plan = moeopt.solve(problem).plan
    value = evaluate(problem, plan)
    table = layers_table(problem, plan, value)
    shown = _cells(table)["layer"]
    assert len(shown) == MOST_LAYERS
    assert shown == sorted(shown)
    left_out = set(range(problem.num_layers)) - set(shown)
    assert value.layer_usd[list(left_out)].max() <= value.layer_usd[shown].min()
    assert table.note.startswith(f"The {MOST_LAYERS} of {MOST_LAYERS + 3} layers")


def test_large_plans_are_not_simulated() -> None:
    problem = generate.small(2, 2, 1)
    plan = moeopt.solve(problem).plan
    assert simulated(problem, plan) is not None
    crowded = msgspec.structs.replace(plan, replicas=plan.replicas + MOST_FUNCTIONS)
    assert simulated(problem, crowded) is None


def test_facts_of_the_bill() -> None:
    facts = _facts(summarise(TWO, PLAN, _result())[-1])
    assert facts["bill of a batch"] == facts["of it durations"] == "15 USD"
    assert facts["fees"] == "0 USD"
    assert facts["end to end"] == facts["promise"] == "10 s"
    assert facts["slack"] == "0 s"
    assert facts["functions"] == "3, 2 at once"
    assert facts["lower bound"] == "14.25 USD"
    assert facts["gap"] == "5.000 %"
    assert facts["status"] == "feasible, stopped by its time limit"
    assert facts["method"] == "exact, seed 0"
    assert facts["time taken"].startswith("0.000 s, of which")


def test_what_is_billed_besides() -> None:
    for name, fact in (
        ("tiny-non-moe", "non-MoE functions"),
        ("tiny-provisioned", "held functions"),
    ):
        problem = _load(name)
        facts = _facts(summarise(problem, moeopt.solve(problem).plan, None)[-1])
        assert facts[fact].endswith(" USD")


def test_nothing_is_claimed_without_a_result() -> None:
    facts = _facts(summarise(TWO, PLAN, None)[-1])
    assert not {"lower bound", "method", "status"} & facts.keys()
    assert _facts(summarise(TWO, PLAN, _result(bound=None))[-1])["lower bound"] is None


def test_savings_count_a_baseline_that_is_too_slow_but_none_that_breaks_a_rule() -> None:
    """One replica each costs 5 + 9, a dollar less, but misses the promise."""
    assert savings(TWO, PLAN) == {"lambdaml": 1 - 15 / 14}
    problem = _load("tiny-timeout")
    assert savings(problem, moeopt.solve(problem).plan) == {}


@pytest.mark.parametrize(
    ("largest", "unit"),
    [(15.0, "USD"), (0.5, "mUSD"), (2e-4, "uUSD"), (1e-9, "uUSD"), (0.0, "USD")],
)
def test_amounts_are_shown_in_few_digits(largest: float, unit: str) -> None:
    assert money_unit(largest)[1] == unit


def test_the_tables_are_printed() -> None:
    out = io.StringIO()
    print_tables(summarise(TWO, PLAN, _result()), file=out)
    assert "what binds" not in out.getvalue()
    assert "2 storage" in out.getvalue()
