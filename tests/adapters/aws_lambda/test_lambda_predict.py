"""What a layer should take: the wing's formulas without the next start, and the real gate's way."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import numpy as np
import pytest
from lambda_cases import fleet_named, plan_of, roomy, tiny

from moeopt.adapters.aws_lambda.calibration.network import Beyond
from moeopt.adapters.aws_lambda.fleet import Fleet
from moeopt.adapters.aws_lambda.predict import predicted
from moeopt.core.arrays import IntArray
from moeopt.serverless.plan import evaluate
from moeopt.serverless.problem import Billing, ServerlessLayer

#: All of a call is billed.
BILLED = Beyond(unbilled_s=0.0, unbilled_s_per_byte=0.0)


def fleet_of(design: int, *, replicas: int = 1, **fields: Any) -> Fleet:
    """Return a fleet of ``tiny-2x4`` in which all experts have 512 MB."""
    problem = msgspec.structs.replace(roomy(), **fields)
    plan = plan_of(problem, design, replicas=replicas, degree=20)
    return fleet_named("predict", problem, plan)


def whole(fleet: Fleet, layer: int = 0) -> IntArray:
    """Return the tokens that were planned for."""
    tokens: IntArray = fleet.problem.tokens_of(layer)[0].astype(np.int64)
    return tokens


@pytest.mark.parametrize("design", [1, 2, 3])
def test_with_the_planned_tokens_it_is_the_plan_without_the_next_start(design: int) -> None:
    fleet = fleet_of(design, replicas=2)
    value = evaluate(fleet.problem, fleet.plan)
    network = fleet.problem.network
    next_s = network.warm_start_s + network.access_delay_s if design == 3 else 0.0
    usd = 0.0
    for layer in (0, 1):
        found = predicted(fleet, layer, whole(fleet, layer))
        assert found.seconds == pytest.approx(value.layer_s[layer] - next_s)
        assert found.calls == 8
        # Functions of 512 MB.
        assert found.billed_gb_s > 0
        usd += found.usd
    assert usd == pytest.approx(value.cost_usd)


def test_one_direct_call_by_hand() -> None:
    """One expert with tokens: no link is shared, so the simulation is the formula."""
    fleet = fleet_of(3)
    network = fleet.problem.network
    found = predicted(fleet, 0, np.array([30, 0, 0, 0]))
    there = back = 30 * 1024 / network.function_bytes_per_s
    load_s = network.access_delay_s + 2097152 / network.storage_bytes_per_s
    compute_s = 30 * float(fleet.problem.seconds_per_token_of(0)[-1])
    inside_s = load_s + compute_s + back
    assert found.calls == 1
    assert found.seconds == pytest.approx(there + network.warm_start_s + inside_s)
    assert found.simulated_s == pytest.approx(found.seconds)
    # The formulas bill a warm start; the platform only what it sees of a call.
    assert found.billed_gb_s == pytest.approx(0.5 * np.ceil(1e3 * (inside_s + 0.002)) / 1e3)
    assert found.simulated_gb_s == pytest.approx(0.5 * np.ceil(1e3 * inside_s) / 1e3)
    known = predicted(fleet, 0, np.array([30, 0, 0, 0]), beyond=BILLED)
    all_s = inside_s + network.warm_start_s + there
    assert known.simulated_gb_s == pytest.approx(0.5 * np.ceil(1e3 * all_s) / 1e3)
    assert known.billed_gb_s == found.billed_gb_s


def test_one_call_through_storage_by_hand() -> None:
    fleet = fleet_of(2)
    network = fleet.problem.network
    found = predicted(fleet, 0, np.array([0, 30, 0, 0]))
    object_s = network.access_delay_s + 30 * 1024 / network.storage_bytes_per_s
    head_s = network.warm_start_s + network.access_delay_s + 2097152 / network.storage_bytes_per_s
    compute_s = 30 * float(fleet.problem.seconds_per_token_of(0)[-1])
    assert object_s < head_s
    assert found.seconds == pytest.approx(head_s + 3 * object_s + compute_s)
    assert found.simulated_s == pytest.approx(found.seconds)
    prices = fleet.problem.book().storage_prices("s3-standard")
    asked = 2 * prices.usd_per_put + 3 * prices.usd_per_get
    rate = fleet.problem.book().function_prices("x86").usd_per_gb_s()
    assert found.simulated_usd == pytest.approx(found.simulated_gb_s * rate + asked + 2e-7)


def test_requests_in_vain_are_paid() -> None:
    """Inputs are late: there when others' uploads have shared the link with them."""
    network = msgspec.structs.replace(roomy().network, storage_bytes_per_s=3e5)
    small = msgspec.structs.replace(roomy().expert, parameter_bytes=1024)
    fleet = fleet_of(2, network=network, expert=small)
    found = predicted(fleet, 0, whole(fleet))
    free = msgspec.structs.replace(fleet.problem.billing, storage=False)
    unpaid = dataclasses.replace(
        fleet, problem=msgspec.structs.replace(fleet.problem, billing=free)
    )
    rate = fleet.problem.book().function_prices("x86").usd_per_gb_s()
    fees = found.simulated_usd - found.simulated_gb_s * rate
    planned = found.usd - found.billed_gb_s * rate
    gets = (fees - planned) / fleet.problem.book().storage_prices("s3-standard").usd_per_get
    assert gets == pytest.approx(round(gets))
    assert gets >= 4
    assert predicted(unpaid, 0, whole(fleet)).simulated_usd == pytest.approx(
        found.simulated_gb_s * rate + 4 * 2e-7
    )


def test_tokens_beyond_a_direct_call_are_more_calls() -> None:
    problem = tiny(slo_s=None, layers=(ServerlessLayer(tokens=np.array([20.0, 5.0])),))
    fleet = fleet_named("split", problem, plan_of(problem, 3))
    assert fleet.direct_tokens(0) == 20
    assert predicted(fleet, 0, np.array([20, 5])).calls == 2
    assert predicted(fleet, 0, np.array([61, 0])).calls == 4


def test_no_tokens_take_nothing() -> None:
    for design in (1, 2, 3):
        found = predicted(fleet_of(design), 0, np.zeros(4, dtype=np.int64))
        figures = dataclasses.asdict(found)
        del figures["layer"], figures["design"]
        assert set(figures.values()) == {0}


def test_fewer_tokens_than_replicas_are_fewer_calls() -> None:
    assert predicted(fleet_of(2, replicas=2), 0, np.array([1, 0, 3, 0])).calls == 3


@pytest.mark.parametrize("design", [1, 2, 3])
def test_a_cold_start_is_longer_and_billed_if_the_platform_does(design: int) -> None:
    fleet = fleet_of(design)
    warm, cold = (predicted(fleet, 1, whole(fleet, 1), cold=c) for c in (False, True))
    assert cold.seconds == pytest.approx(warm.seconds + 0.2)
    assert cold.billed_gb_s == pytest.approx(warm.billed_gb_s + 4 * 0.5 * 0.2)
    assert cold.simulated_gb_s == pytest.approx(warm.simulated_gb_s + 4 * 0.5 * 0.2, abs=2.1e-3)
    fleet = fleet_of(design, billing=Billing(cold_starts=False))
    free = predicted(fleet, 1, whole(fleet, 1), cold=True)
    assert free.seconds == cold.seconds
    assert free.billed_gb_s == pytest.approx(warm.billed_gb_s)
    assert free.simulated_gb_s == pytest.approx(warm.simulated_gb_s, abs=2.1e-3)


def test_small_functions_take_longer_to_read_and_write_what_calls_carry() -> None:
    """The first size is 512 MB: what its bytes take beyond the best rate is work, and billed."""
    fleet = fleet_of(3)
    one, sizes = np.array([30, 0, 0, 0]), len(fleet.problem.memory_mb)
    fast = 1.0 / fleet.problem.network.function_bytes_per_s
    at = fleet.problem.memory_mb.index(512)
    slow = tuple(fast + 1e-6 * (size == at) for size in range(sizes))
    even, uneven = (
        predicted(fleet, 0, one, beyond=dataclasses.replace(BILLED, call_s_per_byte=rates))
        for rates in ((), slow)
    )
    more_s = 30 * 2 * 1024 * 1e-6
    assert uneven.simulated_s == pytest.approx(even.simulated_s + more_s)
    assert uneven.simulated_gb_s == pytest.approx(even.simulated_gb_s + 0.5 * more_s, abs=1e-3)
    assert uneven.seconds == even.seconds


def test_the_slowest_of_many_calls_ends_a_layer() -> None:
    fleet = fleet_of(2, replicas=2)
    even, uneven = (
        predicted(fleet, 1, whole(fleet, 1), beyond=dataclasses.replace(BILLED, straggling=s))
        for s in (0.0, 0.3)
    )
    assert uneven.simulated_s > 1.1 * even.simulated_s
    # Calls are as slow as they are fast, in the mean.
    assert uneven.simulated_gb_s == pytest.approx(even.simulated_gb_s, rel=0.05)
    assert uneven.seconds == even.seconds
