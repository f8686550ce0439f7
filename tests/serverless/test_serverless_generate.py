"""The paper's models with calibrated constants, random small problems, one that can be run."""

from __future__ import annotations

import numpy as np
import pytest

import moeopt
from moeopt.core.errors import InstanceError
from moeopt.core.result import Status
from moeopt.serverless import generate
from moeopt.serverless.calibration import MODELS, Calibration, calibrated
from moeopt.serverless.plan import evaluate, violations
from moeopt.serverless.problem import Billing, ServerlessProblem, paper_costs
from moeopt.serverless.simple import lambdaml
from moeopt.serverless.validate import impossible

PROBLEMS = [
    generate.deployed(
        "bert-moe-8", "uniform", 2560, 2, 30.0, 3, "paper", seed=4, access_delay_s=0.1
    ),
    generate.stand(3, 5, 100, 0.3),
    generate.small(3, 2, seed=11),
]


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.generator["name"])
def test_a_problem_is_remade_from_its_call(problem: ServerlessProblem) -> None:
    assert problem.generator is not None
    assert generate.remake(problem.generator) == problem
    assert impossible(problem) == []


def test_every_generator_is_remade_somewhere() -> None:
    made = {problem.generator["name"] for problem in PROBLEMS if problem.generator}
    assert made == set(generate.GENERATORS)


def test_the_papers_outline() -> None:
    sizes = {
        "bert-moe-4": (12, 4),
        "bert-moe-8": (12, 8),
        "bert-moe-16": (12, 16),
        "gpt2-moe": (12, 4),
        "bert2bert-moe": (24, 4),
    }
    for name, size in sizes.items():
        problem = generate.deployed(name)
        assert (problem.num_layers, problem.num_experts) == size
        assert all(problem.tokens_of(e).sum() == 10_240 for e in range(problem.num_layers))
        assert (len(problem.memory_mb), problem.max_replicas) == (14, 8)
        assert (problem.memory_mb[0], problem.memory_mb[-1]) == (128, 3072)
        assert problem.expert is not None
        # Two matrices of 768 x 3072 in single precision: 18 MiB.
        assert problem.expert.parameter_bytes == 18 * 2**20
        assert problem.expert.input_bytes_per_token == 3072


def test_gpt2_has_the_papers_speed_on_lambdamls_deployment() -> None:
    """The one figure that the paper publishes of it: 22.9 tokens a second."""
    problem = generate.deployed("gpt2-moe")
    seconds = evaluate(problem, lambdaml(problem)).latency_s
    assert 10_240 / seconds == pytest.approx(22.9, rel=0.01)


@pytest.mark.parametrize("model", [name for name in MODELS if name != "large"])
def test_the_papers_saving_is_within_reach(model: str) -> None:
    """At least 43.41 % cheaper than LambdaML's deployment, in what the paper bills."""
    problem = generate.deployed(model, bill="paper")
    theirs = evaluate(problem, lambdaml(problem)).cost_usd
    ours = moeopt.solve(problem).objective
    assert ours is not None
    assert 1 - ours / theirs > 0.4341


def test_a_promise_is_stated_in_tokens_a_second() -> None:
    assert generate.deployed(tokens=512).slo_s is None
    assert generate.deployed(tokens=512, tokens_per_s=32.0).slo_s == 16.0


def test_bills_by_name() -> None:
    assert generate.deployed(bill="paper").billing == paper_costs()
    assert generate.deployed(bill="all").billing == Billing()


def test_constants_are_named_and_kept_in_the_call() -> None:
    problem = generate.deployed(storage_bytes_per_s=1e8, flops_per_s=1e10, runtime_bytes=0)
    assert problem.generator is not None
    assert problem.generator["flops_per_s"] == 1e10
    assert problem.network.storage_bytes_per_s == 1e8
    usual = generate.deployed()
    assert problem.expert is not None
    assert usual.expert is not None
    assert problem.expert.compute.seconds_per_token < usual.expert.compute.seconds_per_token  # type: ignore[operator]
    assert problem.layers[0].non_moe_s == usual.layers[0].non_moe_s / 2
    assert problem.expert.intermediate_bytes == 0
    with pytest.raises(InstanceError, match=r"\$.bandwidth"):
        calibrated(bandwidth=1.0)
    assert calibrated() == Calibration()


def test_every_constant_has_its_reason() -> None:
    said = Calibration.__doc__ or ""
    assert all(name in said for name in Calibration.__dataclass_fields__)


@pytest.mark.parametrize(("load", "top_k"), [("zipf", 1), ("uniform", 1), ("zipf", 2)])
def test_every_token_goes_to_so_many_experts(load: str, top_k: int) -> None:
    rng = np.random.default_rng(0)
    drawn = generate.routed(rng, 8, load, 1000, top_k, 5)
    assert drawn.shape == (5, 8)
    assert (drawn.sum(axis=1) == 1000 * top_k).all()
    assert drawn.max() <= 1000
    skew = drawn.mean(axis=0).max() / drawn.mean()
    assert skew < 1.2 if load == "uniform" else skew > 1.5


def test_layers_differ_in_who_is_popular() -> None:
    problem = generate.deployed("bert-moe-16")
    popular = {int(problem.tokens_of(e).argmax()) for e in range(12)}
    assert len(popular) > 3


def test_the_next_function_after_the_last_layer_is_the_head() -> None:
    problem = generate.deployed("gpt2-moe")
    after = [layer.next_parameter_bytes for layer in problem.layers]
    assert after == [4 * 768**2 * 4] * 11 + [50_257 * 768 * 4]


def test_the_stand_is_small_and_its_plan_is_mixed() -> None:
    problem = generate.stand()
    assert problem.expert is not None
    assert problem.expert.parameter_bytes == 2 * 2**20
    assert sum(problem.tokens_of(e).sum() for e in range(2)) == 160
    result = moeopt.solve(problem)
    assert result.status is Status.OPTIMAL
    assert result.plan.design.tolist() == [2, 3]
    assert evaluate(problem, result.plan).latency_s < 0.15


@pytest.mark.parametrize("number", range(8))
def test_a_small_problem_has_a_plan(number: int) -> None:
    problem = generate.small(2, 3, number)
    result = moeopt.solve(problem)
    assert result.plan is not None
    assert violations(problem, result.plan) == []


def test_small_problems_are_of_all_kinds() -> None:
    drawn = [generate.small(1, 2, number) for number in range(60)]
    assert {problem.pipeline_degree for problem in drawn} == {"layer", "model"}
    assert {problem.num_scenarios for problem in drawn} == {1, 2}
    assert {problem.slo_s is None for problem in drawn} == {True, False}
    assert {design for problem in drawn for design in problem.designs} == {1, 2, 3}
    assert len({problem.designs for problem in drawn}) > 3
    for name in ("requests", "storage", "cold_starts", "waiting", "rounding"):
        assert {getattr(problem.billing, name) for problem in drawn} == {True, False}


def test_promises_lie_between_the_fastest_plan_and_the_cheapest() -> None:
    problem = generate.deployed("gpt2-moe")
    fastest_s, cheapest_s = generate.latency_span(problem)
    cheapest = moeopt.solve(problem)
    assert evaluate(problem, cheapest.plan).latency_s == pytest.approx(cheapest_s, rel=0.02)
    assert fastest_s < cheapest_s


@pytest.mark.parametrize(
    ("call", "path"),
    [
        ({"name": "nonsense"}, r"\$.generator.name"),
        ({}, r"\$.generator.name"),
        ({"name": "deployed", "model": "bert"}, r"\$.model"),
        ({"name": "deployed", "load": "flat"}, r"\$.load"),
        ({"name": "deployed", "bill": "none"}, r"\$.bill"),
        ({"name": "deployed", "top_k": 5}, r"\$.top_k"),
        ({"name": "deployed", "scenarios": 0}, r"\$.scenarios"),
        ({"name": "deployed", "bandwidth": 1.0}, r"\$.bandwidth"),
        ({"name": "small", "layers": 0}, r"\$.layers"),
        ({"name": "small", "experts": 0}, r"\$.experts"),
        ({"name": "stand", "devices": 2}, r"\$.generator"),
    ],
)
def test_a_strange_call_is_refused(call: dict[str, str | int | float], path: str) -> None:
    with pytest.raises(InstanceError, match=path):
        generate.remake(call)
