"""What is malformed is named with its path; what cannot be met is counted."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from serverless_cases import BOOK, EXPERT, MB, layer, problem

from moeopt.core.errors import InstanceError
from moeopt.core.stop import Context
from moeopt.describe.pricing import PriceBook
from moeopt.serverless.exact import solve_exact
from moeopt.serverless.problem import Billing, MemoryTable
from moeopt.serverless.validate import impossible


def expert(**fields: Any) -> Any:
    return msgspec.structs.replace(EXPERT, **fields)


def network(**fields: Any) -> Any:
    return msgspec.structs.replace(problem().network, **fields)


HELD = Billing(provisioned_s=60.0)


@pytest.mark.parametrize(
    ("fields", "path", "rule"),
    [
        ({"layers": ()}, "$.layers", "must name a layer"),
        ({"layers": (layer([]),)}, "$.layers[0].tokens", "must have shape"),
        ({"layers": (layer([1.0]), layer([[[1.0]]]))}, "$.layers[1].tokens", "must have shape"),
        ({"layers": (layer([1.0, -1.0]),)}, "$.layers[0].tokens[1]", ">= 0"),
        ({"layers": (layer([1.0, np.inf]),)}, "$.layers[0].tokens[1]", "finite"),
        (
            {"layers": (layer([1.0]), layer([[1.0], [2.0]]))},
            "$.layers[1].tokens", "must have the 1 scenarios of layer 0",
        ),
        (
            {"layers": (msgspec.structs.replace(layer([1.0]), tokens=None),)},
            "$.layers[0].tokens", "no prediction",
        ),
        (
            {"layers": (layer([1.0, 2.0], parameter_bytes=np.array([1])),)},
            "$.layers[0].parameter_bytes", "must have shape (2,)",
        ),
        (
            {"layers": (layer([1.0], parameter_bytes=np.array([-1])),)},
            "$.layers[0].parameter_bytes[0]", ">= 0",
        ),
        ({"expert": None}, "$.layers[0].expert", "must be given"),
        ({"memory_mb": ()}, "$.memory_mb", "growing order"),
        ({"memory_mb": (256, 128)}, "$.memory_mb", "growing order"),
        ({"memory_mb": (128, 128)}, "$.memory_mb", "each named once"),
        ({"memory_mb": (64, 128)}, "$.memory_mb[0]", "128 to 1024 MB in steps of 64"),
        ({"memory_mb": (128, 150)}, "$.memory_mb[1]", "in steps of 64"),
        ({"memory_mb": (128, 2048)}, "$.memory_mb[1]", "128 to 1024"),
        (
            {"memory_mb": (128, 192, 256)},
            "$.expert.compute.seconds_per_token", "one entry for each of the 3 sizes",
        ),
        (
            {"layers": (layer([1.0], expert=expert(compute=MemoryTable(seconds_per_token=(1,)))),)},
            "$.layers[0].expert.compute.seconds_per_token", "each of the 2 sizes",
        ),
        ({"max_replicas": 0}, "$.max_replicas", ">= 1"),
        ({"max_replicas": 1001}, "$.max_replicas", "<= 1000"),
        (
            {"layers": (layer(np.ones((40, 400))),), "max_replicas": 1000},
            "$.max_replicas", "must make at most",
        ),
        ({"designs": ()}, "$.designs", "each once"),
        ({"designs": (2, 2)}, "$.designs", "each once"),
        ({"designs": (4,)}, "$.designs[0]", "must be one of"),
        ({"pipeline_degree": "expert"}, "$.pipeline_degree", "must be one of"),
        ({"slo_s": 0}, "$.slo_s", "> 0"),
        ({"scenario_weights": np.array([1.0, 2.0])}, "$.scenario_weights", "must have shape (1,)"),
        ({"scenario_weights": np.array([0.0])}, "$.scenario_weights", "finite sum > 0"),
        ({"scenario_weights": np.array([-1.0])}, "$.scenario_weights[0]", ">= 0"),
        ({"prices": "aws"}, "$.prices", "preset"),
        ({"architecture": "riscv"}, "$.architecture", "must be one of x86, bare"),
        ({"storage": "floppy"}, "$.storage", "must be one of s3-standard, busy"),
        ({"payload_bytes": 401}, "$.payload_bytes", "must be at most 400"),
        ({"billing": Billing(ephemeral_mb=2049)}, "$.billing.ephemeral_mb", "at most 2048"),
        ({"billing": Billing(non_moe_memory_mb=100)}, "$.billing.non_moe_memory_mb", "in steps"),
        ({"billing": HELD, "architecture": "bare"}, "$.billing.provisioned_s", "no price for it"),
        ({"billing": HELD, "slo_start": "cold"}, "$.slo_start", "start warm"),
        (
            {"billing": msgspec.structs.replace(HELD, cold_share=0.5)},
            "$.billing.cold_share", "start warm",
        ),
        ({"network": network(storage_bytes_per_s=1e-308)}, "$.layers[0]", "finite time"),
        ({"layers": (layer([1.0]), layer([1e308]))}, "$.layers[1].tokens", "whole numbers"),
        ({"layers": (layer([1.0], non_moe_s=1e308),) * 2}, "$.layers[0]", "finite time"),
    ],
)  # fmt: skip
def test_a_malformed_problem_names_the_field_and_the_rule(
    fields: dict[str, Any], path: str, rule: str
) -> None:
    with pytest.raises(InstanceError) as caught:
        problem(**fields)
    assert caught.value.path == path
    assert rule in caught.value.rule
    assert caught.value.remedy
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "fields",
    [
        {"layers": (layer([0.0, 0.0]),)},
        {"layers": (layer([[1.0], [0.0]]), layer([[2.0, 3.0], [4.0, 0.5]]))},
        {"network": network(access_delay_s=0.0, warm_start_s=0.0)},
        {"expert": expert(parameter_bytes=0, output_bytes_per_token=0)},
        {"designs": (3, 1), "pipeline_degree": "model"},
        {"payload_bytes": 400, "billing": Billing(ephemeral_mb=0, non_moe_memory_mb=192)},
        {"scenario_weights": np.array([7.0])},
    ],
)
def test_what_is_unusual_but_sound_is_accepted(fields: dict[str, Any]) -> None:
    assert impossible(problem(**fields)) == []


def test_a_prediction_fills_in_the_tokens_of_its_layers_only() -> None:
    from moeopt.popularity.prediction import CountTable, Prediction

    table = CountTable(
        layer=np.array([0, 0]),
        token=np.array([1, 2]),
        attention=np.array([0, 0]),
        expert=np.array([0, 1]),
        count=np.array([3.0, 1.0]),
        experts=(2,),
    )
    predicted = Prediction(table=table, token_ids=np.array([1, 1, 2, 1]))
    bare = msgspec.structs.replace(layer([1.0]), tokens=None)
    stated = problem(layers=(bare,), prediction=predicted)
    assert stated.tokens_of(0).tolist() == [[3.0, 1.0]]
    with pytest.raises(InstanceError, match="must predict the 2 layers"):
        problem(layers=(bare, bare), prediction=predicted)


def quick_book(timeout_s: float) -> PriceBook:
    limits = msgspec.structs.replace(BOOK.limits, timeout_s=timeout_s)
    return msgspec.structs.replace(BOOK, limits=limits)


@pytest.mark.parametrize(
    ("fields", "constraint", "path", "amount"),
    [
        # Two tokens of a replica need 60 bytes, and 40 are left of 256 MB.
        (
            {"expert": expert(intermediate_bytes=256 * MB - 140)},
            "C3", "$.memory_mb", 20,
        ),
        (
            {
                "layers": (
                    layer([8.0]),
                    layer([4.0, 1.0], expert=expert(intermediate_bytes=2**30)),
                ),
                "designs": (2,),
            },
            "C3", "$.memory_mb", 2**30 + 130 - 256 * MB,
        ),
        ({"designs": (3,), "payload_bytes": 30}, "C4", "$.designs", 10),
        ({"prices": quick_book(4.25)}, "C5", "$.max_replicas", 0.25),
    ],
)  # fmt: skip
def test_what_counting_shows_impossible_is_named(
    fields: dict[str, Any], constraint: str, path: str, amount: float
) -> None:
    stated = problem(**fields)
    (found,) = impossible(stated)
    assert (found.constraint, found.path) == (constraint, path)
    assert found.amount == pytest.approx(amount)
    outcome = solve_exact(stated, Context())
    assert outcome.plan is None
    assert outcome.infeasible


def test_what_just_fits_is_possible() -> None:
    for fields in (
        {"expert": expert(intermediate_bytes=256 * MB - 160)},
        {"designs": (3,), "payload_bytes": 40},
    ):
        stated = problem(**fields)
        assert impossible(stated) == []
        assert solve_exact(stated, Context()).plan is not None
