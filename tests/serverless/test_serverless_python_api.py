"""Serverless deployment from Python: bad arguments are named, arrays are owned, names load."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import moeopt.serverless
from moeopt.core.errors import InstanceError
from moeopt.serverless import (
    Billing,
    ExpertFunction,
    Network,
    NoDeploymentError,
    ServerlessLayer,
    ServerlessPlan,
    ServerlessProblem,
    VcpuModel,
    deploy,
    evaluate,
    paper_costs,
    violations,
)

TOKENS = np.array([[900.0, 80, 20], [300, 400, 300]])

RULES: dict[str, Any] = {
    "parameter_bytes": 19_000_000,
    "input_bytes_per_token": 3072,
    "output_bytes_per_token": 3072,
    "seconds_per_token": 1e-3,
    "storage_bytes_per_s": 65e6,
    "function_bytes_per_s": 65e6,
    "access_delay_s": 0.08,
    "memory_mb": (512, 1024, 1792),
    "max_replicas": 4,
}


def found_with(tokens: Any = TOKENS, **changes: Any) -> Any:
    return deploy(tokens, **{**RULES, **changes})


def test_lists_in_and_arrays_out() -> None:
    found = found_with(TOKENS.tolist(), slo_s=3.0)
    assert found.memory_mb.shape == found.replicas.shape == (2, 3)
    assert found.design.shape == found.layer_s.shape == found.layer_usd.shape == (2,)
    assert found.gap == pytest.approx(0, abs=1e-9)
    assert found.latency_s <= 3.0
    before = found.plan.memory_mb.copy()
    found.memory_mb[:] = 7
    np.testing.assert_array_equal(found.plan.memory_mb, before)


def test_what_comes_out_is_valid_for_the_problem_it_states() -> None:
    found = found_with(slo_s=3.0, non_moe_s=[0.1, 0.2], next_parameter_bytes=10**6)
    problem = ServerlessProblem(
        layers=tuple(
            ServerlessLayer(tokens=row, non_moe_s=s, next_parameter_bytes=10**6)
            for row, s in zip(TOKENS, (0.1, 0.2), strict=True)
        ),
        expert=ExpertFunction(
            parameter_bytes=19_000_000,
            input_bytes_per_token=3072,
            output_bytes_per_token=3072,
            compute=VcpuModel(seconds_per_token=1e-3),
        ),
        network=Network(storage_bytes_per_s=65e6, function_bytes_per_s=65e6, access_delay_s=0.08),
        memory_mb=(512, 1024, 1792),
        max_replicas=4,
        slo_s=3.0,
    )
    assert violations(problem, found.plan) == []
    assert evaluate(problem, found.plan).objective == found.objective
    assert found.layer_usd.sum() == pytest.approx(found.objective)


def test_layers_of_unequal_experts_and_scenarios() -> None:
    ragged = found_with([[900.0, 80, 20], [500.0, 500.0]])
    assert ragged.replicas[1, 2] == ragged.memory_mb[1, 2] == 0
    several = found_with([np.array([[900.0, 100], [100, 900]])] * 2, scenario_weights=[1, 3])
    assert several.replicas.shape == (2, 2)


def test_a_table_of_seconds_has_an_entry_for_each_size() -> None:
    table = found_with(seconds_per_token=[3e-3, 1.7e-3, 1e-3])
    assert table.result.status.value == "optimal"
    assert found_with(most_vcpus=6.0, slo_s=3.0).objective > 0


def test_a_faster_promise_costs_more() -> None:
    costs = [found_with(slo_s=slo_s).objective for slo_s in (2.6, 3.0, 4.0)]
    assert costs == sorted(costs, reverse=True)
    assert found_with().objective <= costs[-1]


def test_the_papers_bill_is_smaller() -> None:
    assert found_with(billing=paper_costs()).objective < found_with(billing=Billing()).objective


def test_warm_start_is_a_plan() -> None:
    found = found_with(slo_s=3.0)
    assert found_with(slo_s=3.0, warm_start=found.plan).objective == found.objective


@pytest.mark.parametrize(
    ("tokens", "rules", "path"),
    [
        (3.0, {}, "$.tokens"),
        ([], {}, "$.layers"),
        ([[1, -1]], {}, "$.layers[0].tokens"),
        ([[1, 2], "many"], {}, "$.layers[1].tokens"),
        (TOKENS, {"bandwidth": 1}, "$.bandwidth"),
        (TOKENS, {"memory_mb": (1024, 512)}, "$.memory_mb"),
        (TOKENS, {"memory_mb": ()}, "$.memory_mb"),
        (TOKENS, {"memory_mb": (64,)}, "$.memory_mb[0]"),
        (TOKENS, {"designs": (1, 1)}, "$.designs"),
        (TOKENS, {"designs": (4,)}, "$.designs[0]"),
        (TOKENS, {"non_moe_s": [1.0]}, "$.non_moe_s"),
        (TOKENS, {"seconds_per_token": [1.0]}, "$.expert.compute.seconds_per_token"),
        (TOKENS, {"seconds_per_token": [1.0] * 3, "most_vcpus": 2.0}, "$.most_vcpus"),
        (TOKENS, {"storage_bytes_per_s": 0}, "$.storage_bytes_per_s"),
        (TOKENS, {"slo_s": -1}, "$.slo_s"),
        (TOKENS, {"prices": "aws"}, "prices"),
        (TOKENS, {"architecture": "riscv"}, "$.architecture"),
        (TOKENS, {"method": "cheap"}, "method"),
        (TOKENS, {"gap": "0"}, "gap"),
    ],
)
def test_a_bad_argument_is_named(tokens: Any, rules: dict[str, Any], path: str) -> None:
    with pytest.raises(InstanceError) as caught:
        found_with(tokens, **rules)
    assert path in caught.value.path
    assert caught.value.remedy


def test_it_says_why_there_is_no_deployment() -> None:
    with pytest.raises(NoDeploymentError, match="infeasible: C6 at"):
        found_with(slo_s=0.1)
    with pytest.raises(NoDeploymentError, match="infeasible: C3 at"):
        found_with(parameter_bytes=10**11)


def test_a_problem_owns_its_arrays() -> None:
    tokens = TOKENS[0].copy()
    layer = ServerlessLayer(tokens=tokens)
    tokens[:] = 9
    assert layer.tokens is not None
    assert layer.tokens[0] == 900


def test_plans_compare_by_value() -> None:
    plan = found_with().plan
    same: dict[str, Any] = {
        name: getattr(plan, name).tolist()
        for name in ("design", "pipeline_degree", "memory_mb", "replicas")
    }
    assert plan == ServerlessPlan(**same)
    assert plan != ServerlessPlan(**{**same, "replicas": np.full((2, 3), 4)})


def test_public_names_load_on_use_and_are_listed() -> None:
    for name in moeopt.serverless.__all__:
        assert getattr(moeopt.serverless, name) is not None
        assert name in dir(moeopt.serverless)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = moeopt.serverless.nonsense
