"""The validator and the bill, against tiny instances and values worked out by hand."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from serverless_cases import EXPERT, MB, drawn, drawn_plan, layer, naive_value, plan, problem

from moeopt.serverless.options import layer_data, layer_options
from moeopt.serverless.plan import evaluate, violations
from moeopt.serverless.problem import Billing, ServerlessProblem, paper_costs

FULL = [128, 128, 128]
ONE = [1, 1, 1]
BIG = msgspec.structs.replace(EXPERT, intermediate_bytes=128 * MB - 100 - 4 * 30)

#: Constraint, problem, a plan that breaks it and nothing else, where it breaks and by how much.
BROKEN: dict[str, tuple[ServerlessProblem, Any, str, float]] = {
    "C1": (problem(), plan(2, [128, 192, 192], ONE), "$.memory_mb[0][1]", 2),
    "C2": (problem(), plan(2, FULL, [1, 6, 0]), "$.replicas[0][1]", 2),
    "C2-none": (problem(), plan(2, FULL, [4, 1, 0]), "$.replicas[0][2]", 1),
    # Eight tokens of 30 bytes, where four fit.
    "C3": (problem(expert=BIG), plan(2, FULL, ONE), "$.memory_mb[0][0]", 120),
    # Seven tokens of 20 bytes go back, where 6.5 fit.
    "C4": (problem([7, 6], payload_bytes=130), plan(3, [128, 128], [1, 1]), "$.replicas[0][0]", 10),
    # 201 s of uploads, 2 s of delays and 1,000 tokens of 0.8 s.
    "C5": (problem([2000]), plan(2, [128], [2]), "$.memory_mb[0][0]", 3),
    "C6": (problem(slo_s=21.0), plan(2, FULL, ONE), "$", 0.8),
    "C7": (problem(), plan(1, FULL, [2, 2, 1], 6), "$.pipeline_degree[0]", 2),
    "C7-none": (problem(), plan(1, FULL, ONE, 0), "$.pipeline_degree[0]", 1),
    "C7-stray": (problem(), plan(2, FULL, ONE, 3), "$.pipeline_degree[0]", 3),
    "C7-model": (
        problem([4], [2], pipeline_degree="model"),
        plan([1, 1], [[128], [128]], [[1], [1]], [3, 2]),
        "$.pipeline_degree",
        1,
    ),
    "C8": (
        problem([1], [1], designs=(1, 3)),
        plan([3, 2], [[128]] * 2, [[1]] * 2),
        "$.design[1]",
        1,
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_named_with_its_place_and_amount(name: str) -> None:
    stated, made, path, amount = BROKEN[name]
    (found,) = violations(stated, made)
    assert (found.constraint, found.path) == (name.split("-")[0], path)
    assert found.amount == pytest.approx(amount)


def test_every_rule_has_an_instance_that_breaks_it() -> None:
    assert {name.split("-")[0] for name in BROKEN} == {f"C{k}" for k in range(1, 9)}


def test_several_broken_rules_are_all_named() -> None:
    stated = problem([2000], expert=BIG, slo_s=50.0, payload_bytes=100)
    broken = violations(stated, plan(3, [128], [1]))
    assert [found.constraint for found in broken] == ["C3", "C4", "C5", "C6"]
    unknown = violations(problem(designs=(1,)), plan(2, [128, 130, 128], [1, 9, 1]))
    assert [found.constraint for found in unknown] == ["C8", "C1", "C2"]


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"design": np.array([2, 2])}, "$.design"),
        ({"design": np.array([4])}, "$.design[0]"),
        ({"design": np.array([0])}, "$.design[0]"),
        ({"design": np.array([1.5])}, "$.design[0]"),
        ({"pipeline_degree": np.array([-1])}, "$.pipeline_degree[0]"),
        ({"memory_mb": np.array([[128, 128]])}, "$.memory_mb"),
        ({"memory_mb": np.array([[128, np.nan, 128]])}, "$.memory_mb[0][1]"),
        ({"replicas": np.array([[1, -1, 1]])}, "$.replicas[0][1]"),
    ],
)
def test_tables_that_cannot_be_read_are_shape_violations(changed: Any, path: str) -> None:
    made = msgspec.structs.replace(plan(2, FULL, ONE), **changed)
    (found,) = violations(problem(), made)
    assert (found.constraint, found.path) == ("shape", path)


def test_entries_beyond_a_layer_s_experts_are_zero() -> None:
    stated = problem([1, 2], [3])
    (found,) = violations(stated, plan([2, 2], [[128, 128]] * 2, [[1, 1], [1, 0]]))
    assert (found.constraint, found.path) == ("shape", "$.memory_mb[1][1]")
    assert "layer 1 has no such expert" in found.message
    assert violations(stated, plan([2, 2], [[128, 128], [128, 0]], [[1, 1], [1, 0]])) == []


@pytest.mark.parametrize(
    ("stated", "made"),
    [
        (problem(expert=BIG), plan(2, FULL, [2, 1, 1])),
        (problem([6.5, 6], payload_bytes=130), plan(3, [128, 128], [1, 1])),
        (problem(slo_s=21.8), plan(2, FULL, ONE)),
        (problem(), plan(1, FULL, [2, 2, 1], 4)),
        (problem([0.25]), plan(1, [128], [1], 1)),
        # With one degree for the model, other layers' tokens count as well.
        (
            problem([9], [2], pipeline_degree="model"),
            plan([1, 1], [[128], [128]], [[1], [1]], [9, 9]),
        ),
        (problem([9], [2], pipeline_degree="model"), plan([1, 2], [[128]] * 2, [[1]] * 2, [7, 0])),
    ],
)
def test_rules_are_met_exactly_at_their_limits(stated: ServerlessProblem, made: Any) -> None:
    assert violations(stated, made) == []


def test_storage_by_hand() -> None:
    # The gate uploads for 1 + 12 * 0.1 s, less than the heads' 4 s. Expert 0 is done after
    # 4 + 2 + 8 * 0.8 = 12.4 s, expert 1 after 4 + 2 + 4 * 0.55 = 8.2 s; then 1 + 12 * 0.2 s.
    found = evaluate(problem(slo_s=30.0), plan(2, [128, 256, 128], ONE))
    assert found.layer_s.tolist() == pytest.approx([15.8])
    assert found.latency_s == pytest.approx(3 + 1 + 15.8 + 2)
    assert found.slack_s == pytest.approx(30 - 21.8)
    assert found.expert_s.tolist() == [pytest.approx([15.8, 11.6, 9.4])]
    # Rounded up to seconds, at 1 and 2 dollars; a call and three reads, two of them with writes.
    assert found.duration_usd == pytest.approx(13 * 1 + 9 * 2)
    assert found.fees_usd == pytest.approx(2 * (0.5 + 0.001 + 2 * 0.011))
    assert (found.held_usd, found.waiting_usd) == (0, 0)
    assert found.expert_usd[0].tolist() == pytest.approx([13.523, 18.523, 0.0])
    assert found.objective == found.cost_usd == pytest.approx(32.046)
    assert found.layer_usd.tolist() == pytest.approx([32.046])
    assert found.replicas_at_once.tolist() == [2]


def test_direct_by_hand() -> None:
    # Expert 0: 8 * 0.2 for the call, 4 + 8 * 0.9 for work; the next layer starts only then.
    found = evaluate(problem(), plan(3, FULL, [1, 2, 1]))
    assert found.layer_s.tolist() == pytest.approx([1.6 + 11.2 + 6])
    assert found.duration_usd == pytest.approx(12 + 2 * 6)
    assert found.fees_usd == pytest.approx(3 * (0.5 + 0.001))
    assert found.replicas_at_once.tolist() == [3]


def test_pipelined_by_hand() -> None:
    # Expert 0 in minibatches of 3, 3 and 2 tokens, counted as three of 8/3: each takes
    # 1 + 8/3 * 0.6 = 2.6 s, the last upload 1 + 8/3 * 0.2 s.
    found = evaluate(problem([8.0]), plan(1, [128], [1], 3))
    assert found.layer_s.tolist() == pytest.approx([4 + 3 * 2.6 + 1 + 8 / 15 + 1 + 1.6])
    assert found.fees_usd == pytest.approx(0.501 + 2 * 3 * 0.011)


def test_the_last_minibatch_waits_for_the_gate() -> None:
    # The gate uploads for 1 + 108 * 0.1 = 11.8 s, most of it for the other expert. The last of
    # eight minibatches then takes 1 + 0.6 s, and 1 + 0.2 s to be written.
    found = evaluate(problem([8.0, 100.0]), plan(1, [128, 128], [1, 4], 1))
    alone = 4 + 8 * 1.6 + 1.2
    assert found.expert_s[0, 0] == pytest.approx(max(alone, 11.8 + 1.6 + 1.2) + 1 + 108 * 0.2)
    late = evaluate(problem([8.0, 300.0]), plan(1, [128, 128], [1, 4], 1))
    assert late.expert_s[0, 0] == pytest.approx(31.8 + 1.6 + 1.2 + 1 + 308 * 0.2)


def test_the_paper_bills_working_seconds_alone() -> None:
    found = evaluate(problem(billing=paper_costs()), plan(2, [128, 256, 128], [2, 1, 1]))
    # c = g * T^h * M + d * (...) * M.
    assert found.cost_usd == pytest.approx(2 * (4 + 2) + 8 * 0.8 + 2 * (4 + 2 + 4 * 0.55))
    assert found.fees_usd == 0


@pytest.mark.parametrize(
    ("billing", "cost"),
    [
        ({}, 13 + 0.523),
        ({"requests": False}, 13 + 0.023),
        ({"storage": False}, 13 + 0.5),
        ({"rounding": False}, 12.4 + 0.523),
        # Half the calls start cold: 17.4 s instead of 12.4 s.
        ({"cold_share": 0.5}, (13 + 18) / 2 + 0.523),
        ({"cold_share": 0.5, "cold_starts": False}, 13 + 0.523),
        # A GB of ephemeral storage beyond what is free costs a dollar a second.
        ({"ephemeral_mb": 1536}, 2 * 13 + 0.523),
        # 128 MB held for 100 s, and half the price for running.
        ({"provisioned_s": 100.0}, 10 + 6.5 + 0.523),
        # 1 GB of a non-MoE function for 3 + 1 + 15 + 2 s.
        ({"non_moe_memory_mb": 1024}, 13 + 0.523 + 8 * 21.0),
    ],
)
def test_what_is_billed_is_stated(billing: dict[str, Any], cost: float) -> None:
    # 4 + 2 + 8 * 0.8 = 12.4 s, and 1 + 8 * 0.2 s for the download.
    found = evaluate(problem([8.0], billing=Billing(**billing)), plan(2, [128], [1]))
    assert found.cost_usd == pytest.approx(cost)
    parts = found.duration_usd + found.fees_usd + found.held_usd + found.waiting_usd
    assert parts == pytest.approx(found.cost_usd)


def test_waiting_is_billed_where_inputs_come_late() -> None:
    stated = problem([8.0, 52.0], billing=Billing(rounding=False, requests=False, storage=False))
    # The upload of 60 tokens takes 7 s, 3 s more than a head.
    waits = evaluate(stated, plan(2, [128, 128], [1, 4])).expert_usd[0, 0]
    assert waits == pytest.approx(7 + 2 + 8 * 0.8)
    works = msgspec.structs.replace(stated, billing=paper_costs())
    assert evaluate(works, plan(2, [128, 128], [1, 4])).expert_usd[0, 0] == pytest.approx(12.4)
    direct = evaluate(stated, plan(3, [128, 128], [1, 4])).expert_usd[0, 0]
    assert direct == pytest.approx(4 + 8 * 0.9)


def test_storage_with_a_price_for_traffic() -> None:
    found = evaluate(problem([8.0], storage="busy"), plan(2, [128], [1]))
    # 240 bytes up at 0.002 dollars each, 340 down at 0.001.
    assert found.fees_usd == pytest.approx(0.523 + 240 * 0.002 + 340 * 0.001)


def test_a_cold_promise_counts_cold_starts_of_experts() -> None:
    warm = evaluate(problem([8.0]), plan(2, [128], [1]))
    cold = evaluate(problem([8.0], slo_start="cold"), plan(2, [128], [1]))
    assert cold.latency_s == pytest.approx(warm.latency_s + 5)
    assert cold.cost_usd == warm.cost_usd


def test_scenarios_are_weighed_in_the_bill_and_slowest_in_time() -> None:
    both = problem([[8.0, 0.0], [0.0, 4.0]], scenario_weights=np.array([3.0, 1.0]))
    found = evaluate(both, plan(2, [128, 128], [1, 1]))
    first = evaluate(problem([8.0, 0.0]), plan(2, [128, 128], [1, 1]))
    second = evaluate(problem([0.0, 4.0]), plan(2, [128, 128], [1, 1]))
    assert found.cost_usd == pytest.approx(0.75 * first.cost_usd + 0.25 * second.cost_usd)
    assert found.latency_s == pytest.approx(max(first.latency_s, second.latency_s))
    assert found.replicas_at_once.tolist() == [1]


def test_experts_and_parameters_of_a_layer_s_own() -> None:
    own = msgspec.structs.replace(EXPERT, parameter_bytes=300, output_bytes_per_token=0)
    layers = (layer([8.0], expert=own), layer([8.0, 8.0], parameter_bytes=np.array([100, 200])))
    found = evaluate(
        problem(layers=layers, billing=paper_costs()),
        plan([2, 2], [[128, 0], [128, 128]], [[1, 0], [1, 1]]),
    )
    assert found.expert_usd[0].tolist() == pytest.approx([6 + 2 + 8 * 0.6, 0])
    assert found.expert_usd[1].tolist() == pytest.approx([12.4, 13.4])


BILLS: list[dict[str, Any]] = [
    {},
    {"billing": paper_costs()},
    {"billing": Billing(cold_share=0.3, ephemeral_mb=1024), "storage": "s3-express"},
    {"billing": Billing(rounding=False, non_moe_memory_mb=2048), "slo_start": "cold"},
    {"billing": Billing(provisioned_s=300.0, waiting=False), "architecture": "arm64"},
    {"billing": Billing(used_gb_s=1e10), "prices": "aws-lambda"},
]


@pytest.mark.parametrize("fields", BILLS)
def test_evaluate_is_the_page_in_loops(fields: dict[str, Any]) -> None:
    for seed in range(25):
        stated = drawn(seed, **fields)
        made = drawn_plan(seed, stated)
        found = evaluate(stated, made)
        usd, seconds = naive_value(stated, made)
        assert found.objective == pytest.approx(usd, rel=1e-12)
        assert found.latency_s == pytest.approx(seconds, rel=1e-12)
        around_usd = stated.waiting_usd_per_s() * (stated.head_s + stated.tail_s)
        assert found.layer_usd.sum() + around_usd == pytest.approx(usd, rel=1e-12)


@pytest.mark.parametrize("fields", BILLS)
def test_options_are_what_plans_come_to(fields: dict[str, Any]) -> None:
    for seed in range(15):
        stated = drawn(seed, **fields)
        made = drawn_plan(seed, stated)
        found, broken = evaluate(stated, made), {v.constraint for v in violations(stated, made)}
        fitting = True
        for e in range(stated.num_layers):
            design, degree = int(made.design[e]), int(made.pipeline_degree[e])
            options = layer_options(stated, layer_data(stated, e), design, degree)
            own = np.arange(stated.experts()[e])
            size = np.searchsorted(stated.memory_mb, made.memory_mb[e, own])
            chosen = (own, size, made.replicas[e, own] - 1)
            assert options.cost_usd[chosen] == pytest.approx(found.expert_usd[e, own], rel=1e-12)
            assert options.latency_s[chosen] == pytest.approx(found.expert_s[e, own], rel=1e-12)
            fitting &= bool(options.fits[chosen].all())
        if "C7" not in broken:
            assert fitting == (not broken)
