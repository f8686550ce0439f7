"""The exact method: as good as looking at every degree, with its promise, limits and refusals."""

import math
import re
from typing import Any

import msgspec
import numpy as np
import pytest
from serverless_cases import drawn, layer, problem

import moeopt
from moeopt.core.result import Limit, Status
from moeopt.core.stop import Context
from moeopt.describe.pricing import price_book
from moeopt.serverless.degrees import candidate_degrees, largest_degree
from moeopt.serverless.exact import run_exact, solve_exact
from moeopt.serverless.fronts import LayerFront, layer_front
from moeopt.serverless.knapsack import choose
from moeopt.serverless.methods import METHODS
from moeopt.serverless.options import layer_data, layer_options, options_within
from moeopt.serverless.plan import ServerlessPlan, evaluate, violations
from moeopt.serverless.problem import (
    Billing,
    ExpertFunction,
    Network,
    ServerlessLayer,
    ServerlessProblem,
    VcpuModel,
    paper_costs,
)
from moeopt.serverless.promise import fixed_usd, limit_of

METHODS_BY_NAME = {method.name: method for method in METHODS}

_BILLS = (
    Billing(),
    paper_costs(),
    Billing(cold_share=0.3, non_moe_memory_mb=1024),
    Billing(waiting=False, ephemeral_mb=2048),
)


def _pipelines(seed: int) -> ServerlessProblem:
    """Return a problem in which the size of minibatches matters."""
    random = np.random.default_rng(seed)
    experts, scenarios = int(random.integers(1, 4)), int(random.integers(1, 3))
    shape = (scenarios, experts)
    layers = tuple(
        ServerlessLayer(
            tokens=np.round(random.random(shape) * 40 * (random.random(shape) < 0.9), 1),
            next_parameter_bytes=int(random.integers(0, 300)),
            non_moe_s=0.2,
        )
        for _ in range(int(random.integers(1, 4)))
    )
    designs: Any = [(1, 2, 3), (1,), (1, 2), (1, 3)][seed % 4]
    degree: Any = ["layer", "model"][seed // 4 % 2]
    start: Any = ["warm", "cold"][seed // 8 % 2]
    return ServerlessProblem(
        layers=layers,
        expert=ExpertFunction(
            parameter_bytes=int(random.integers(0, 300)),
            input_bytes_per_token=float(random.integers(0, 12)),
            output_bytes_per_token=float(random.integers(0, 30)),
            compute=VcpuModel(seconds_per_token=float(random.choice([0.01, 0.05, 0.3]))),
        ),
        network=Network(
            storage_bytes_per_s=100.0,
            function_bytes_per_s=float(random.choice([20, 100])),
            access_delay_s=float(random.choice([0, 0.05, 0.3, 1])),
            warm_start_s=0.5,
            cold_start_s=2.0,
        ),
        memory_mb=(128, 512, 1024),
        max_replicas=int(random.integers(1, 4)),
        designs=designs,
        pipeline_degree=degree,
        slo_start=start,
        billing=_BILLS[seed // 16 % 4],
        payload_bytes=int(random.choice([200, 10**6])),
    )


def _at_every_degree(stated: ServerlessProblem) -> float:
    """Return the least bill, every whole degree looked at, nothing left out."""
    layers = range(stated.num_layers)
    largest = max(largest_degree(stated.tokens_of(e)) for e in layers)

    def fronts(degrees: list[int]) -> list[LayerFront]:
        return [
            layer_front(stated, layer_data(stated, e), stated.designs, degrees, _never)
            for e in layers
        ]

    def least(found: list[LayerFront]) -> float:
        if any(front.is_empty for front in found):
            return math.inf
        choice = choose([front.front for front in found], limit_of(stated))
        return math.inf if choice is None else choice.cost_usd

    degrees = list(range(1, largest + 1))
    if stated.pipeline_degree == "layer":
        return least(fronts(degrees)) + fixed_usd(stated)
    return min(least(fronts([degree])) for degree in degrees) + fixed_usd(stated)


def _never(front: object, found: object) -> bool:
    del front, found
    return False


@pytest.mark.parametrize("seed", range(24))
def test_as_cheap_as_with_every_degree(seed: int) -> None:
    free = _pipelines(seed)
    found = solve_exact(free, Context())
    stated = [free]
    if found.plan is not None:
        latency = evaluate(free, found.plan).latency_s
        stated += [msgspec.structs.replace(free, slo_s=share * latency) for share in (0.9, 0.5)]
    for each in stated:
        found, least = solve_exact(each, Context()), _at_every_degree(each)
        if found.plan is None:
            assert found.infeasible
            assert least == math.inf
            continue
        assert violations(each, found.plan) == []
        assert evaluate(each, found.plan).objective == pytest.approx(least, rel=1e-9)
        assert found.bound == pytest.approx(least, rel=1e-9)


@pytest.mark.parametrize("seed", range(0, 64, 4))
def test_a_range_of_degrees_is_bounded_by_its_best(seed: int) -> None:
    stated = _pipelines(seed)
    data = layer_data(stated, 0)
    largest = largest_degree(data.tokens)
    low = max(1, largest // 3)
    bound = options_within(stated, data, low, largest)
    for degree in range(low, largest + 1):
        options = layer_options(stated, data, 1, degree)
        assert (bound.cost_usd <= options.cost_usd * (1 + 1e-12)).all()
        assert (bound.latency_s <= options.latency_s * (1 + 1e-12)).all()
        assert (bound.fits >= options.fits).all()
    one = options_within(stated, data, low, low)
    same = layer_options(stated, data, 1, low)
    assert (one.cost_usd == same.cost_usd).all()
    assert (one.latency_s == same.latency_s).all()


def test_few_degrees_are_worth_trying() -> None:
    stated = drawn(3)
    degrees = candidate_degrees(stated, 0)
    assert degrees[-1] == largest_degree(stated.tokens_of(0))
    assert len(degrees) < 0.1 * degrees[-1]


@pytest.mark.parametrize("seed", range(12))
def test_a_promise_that_cannot_be_kept_names_the_shortest_there_is(seed: int) -> None:
    stated = _pipelines(seed) if seed % 2 else drawn(seed)
    stated = msgspec.structs.replace(stated, slo_s=1e-3)
    result = moeopt.solve(stated)
    assert result.status is Status.INFEASIBLE
    (violation,) = result.violations
    assert violation.constraint == "C6"
    said = re.search(r"there is ([0-9.]+) s, for (\S+) USD", violation.message)
    assert said is not None
    shortest = float(said[1])
    assert shortest == pytest.approx(1e-3 + violation.amount, rel=1e-8)
    kept = moeopt.solve(msgspec.structs.replace(stated, slo_s=shortest))
    assert kept.objective is not None
    assert f"{kept.objective:.6g}" == said[2]
    missed = moeopt.solve(msgspec.structs.replace(stated, slo_s=shortest * (1 - 1e-6)))
    assert missed.status is Status.INFEASIBLE


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("method", ["exact", "milp", "ods", "fixed_method", "lambdaml"])
def test_a_promise_just_met_is_met(seed: int, method: str) -> None:
    free = drawn(seed)
    result = moeopt.solve(free, method)
    if result.plan is None:
        return
    latency_s = evaluate(free, result.plan).latency_s
    for slo_s in (latency_s, latency_s * (1 - 0.5e-9), latency_s * (1 + 1e-15)):
        met = moeopt.solve(msgspec.structs.replace(free, slo_s=slo_s), method)
        assert met.plan is not None
        assert met.objective is not None
        assert met.objective <= result.objective * (1 + 1e-9)


def test_a_better_start_is_kept() -> None:
    stated = drawn(3)
    best = moeopt.solve(stated)
    assert best.plan is not None
    stopped = run_exact(stated, Context(time_limit_s=0.0), best.plan)
    assert stopped.plan == best.plan
    loose = run_exact(stated, Context(gap=0.9), best.plan)
    assert isinstance(loose.plan, ServerlessPlan)
    assert evaluate(stated, loose.plan).objective <= best.objective * (1 + 1e-12)


def test_many_tokens_without_delays_need_no_list_of_degrees() -> None:
    layers = (ServerlessLayer(tokens=np.array([1e8, 3e7])),)
    expert = ExpertFunction(
        parameter_bytes=1000,
        input_bytes_per_token=1e-3,
        output_bytes_per_token=1e-3,
        compute=VcpuModel(seconds_per_token=1e-7),
    )
    network = Network(storage_bytes_per_s=1e9, function_bytes_per_s=1e6)
    stated = ServerlessProblem(
        layers=layers, expert=expert, network=network, memory_mb=(512, 1024), max_replicas=20
    )
    assert isinstance(candidate_degrees(stated, 0), range)
    result = moeopt.solve(stated, "exact")
    assert result.status is Status.OPTIMAL
    refused = METHODS_BY_NAME["milp"].refuses(stated)
    assert refused is not None
    assert "pipeline degrees" in refused


def test_next_to_no_delay_is_no_delay() -> None:
    """What is divided by it is beyond all floats."""
    layers = (ServerlessLayer(tokens=np.array([3.0])),)
    expert = ExpertFunction(
        parameter_bytes=0,
        input_bytes_per_token=2.5,
        output_bytes_per_token=2.5,
        compute=VcpuModel(seconds_per_token=0.1),
    )
    found = []
    for delay_s in (np.finfo(float).tiny, 0.0):
        network = Network(
            storage_bytes_per_s=1.0, function_bytes_per_s=1.0, access_delay_s=float(delay_s)
        )
        stated = ServerlessProblem(
            layers=layers, expert=expert, network=network, memory_mb=(128,), max_replicas=2
        )
        found.append(moeopt.solve(stated, "exact").objective)
    assert found[0] == pytest.approx(found[1])


def test_an_expert_that_fits_nowhere_is_named() -> None:
    layers = (layer([4, 6]), layer([4, 6], parameter_bytes=np.array([100, 2**40])))
    stated = problem(layers=layers)
    result = moeopt.solve(stated)
    assert result.status is Status.INFEASIBLE
    assert any("expert 1" in str(v) or "[1]" in str(v) for v in result.violations)


def test_a_second_of_time_is_not_needed_to_stop() -> None:
    found = solve_exact(drawn(2), Context(time_limit_s=0.0))
    assert found.plan is None
    assert found.limit is Limit.TIME
    assert not found.infeasible


def test_waiting_functions_make_faster_plans() -> None:
    free = drawn(11)
    billed = msgspec.structs.replace(free, billing=Billing(non_moe_memory_mb=10_240))
    plain, dear = moeopt.solve(free), moeopt.solve(billed)
    assert plain.plan is not None
    assert dear.plan is not None
    assert evaluate(free, dear.plan).latency_s < evaluate(free, plain.plan).latency_s


def test_a_book_of_another_platform_is_obeyed() -> None:
    book = price_book("aws-lambda")
    dear = drawn(4, prices=msgspec.structs.replace(book, usd_per_request=1.0))
    result = moeopt.solve(dear)
    assert result.plan is not None
    assert result.objective is not None
    calls = evaluate(dear, result.plan).replicas_at_once.sum()
    used = [(dear.tokens_of(e) > 0).sum(axis=1).max() for e in range(dear.num_layers)]
    assert calls == sum(used)
    short = msgspec.structs.replace(book.limits, timeout_s=2.0)
    result = moeopt.solve(drawn(4, prices=msgspec.structs.replace(book, limits=short)))
    assert result.status is Status.INFEASIBLE
    assert {violation.constraint for violation in result.violations} == {"C5"}
