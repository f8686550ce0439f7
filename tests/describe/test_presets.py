"""The presets against the models' published sizes, and that each can be read."""

from __future__ import annotations

import pytest

from moeopt.core.errors import InstanceError
from moeopt.describe.cluster import Device, Node
from moeopt.describe.model import MoEModel
from moeopt.describe.presets import preset, preset_names


@pytest.mark.parametrize(
    ("name", "megabytes"),
    [
        ("olmoe-1b-7b", 12.6),
        ("qwen3-30b-a3b", 9.4),
        ("deepseek-v2-lite", 17.3),
        ("qwen3-235b-a22b", 37.7),
        ("deepseek-v3", 44.0),
        ("mixtral-8x7b", 352.3),
        ("kimi-k2", 44.0),
    ],
)
def test_expert_bytes_are_the_published_ones(name: str, megabytes: float) -> None:
    assert preset("model", name).expert_bytes / 1e6 == pytest.approx(megabytes, abs=0.06)


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("mixtral-8x7b", 45.1),
        ("deepseek-v2-lite", 14.4),
        ("deepseek-v3", 653.9),
        ("qwen3-30b-a3b", 29.0),
        ("qwen3-235b-a22b", 227.1),
        ("kimi-k2", 1014.7),
        ("gpt-oss-120b", 114.7),
        ("olmoe-1b-7b", 6.4),
    ],
)
def test_routed_parameters_add_up_to_nearly_the_whole_model(name: str, billions: float) -> None:
    model = preset("model", name)
    total = model.moe_layers * model.experts * model.expert_parameters
    assert total / 1e9 == pytest.approx(billions, abs=0.06)


@pytest.mark.parametrize(
    ("kind", "record"), [("device", Device), ("node", Node), ("model", MoEModel)]
)
def test_every_preset_can_be_read_and_names_its_source(kind: str, record: type) -> None:
    names = preset_names(kind)  # type: ignore[arg-type]
    assert names
    for name in names:
        found = preset(kind, name)  # type: ignore[arg-type]
        assert isinstance(found, record)
        assert found.source


def test_a_wrong_name_is_answered_with_the_closest() -> None:
    with pytest.raises(InstanceError, match="did you mean 'deepseek-v3'"):
        preset("model", "deepseek-v33")
    with pytest.raises(InstanceError, match="write the record out"):
        preset("device", "zzz")


def test_a_token_costs_two_operations_for_each_parameter() -> None:
    model = preset("model", "mixtral-8x7b")
    assert model.flops_per_token == 2 * model.expert_parameters == 6 * 4096 * 14336


@pytest.mark.parametrize(
    ("changes", "path"),
    [({"top_k": 9}, r"\$.top_k"), ({"groups": 3}, r"\$.groups"), ({"groups_per_token": 2}, "g")],
)
def test_contradictory_models_are_refused(changes: dict[str, int], path: str) -> None:
    plain = {
        "name": "m",
        "moe_layers": 1,
        "experts": 8,
        "top_k": 2,
        "hidden_size": 4,
        "expert_hidden_size": 4,
    }
    with pytest.raises(InstanceError, match=path):
        MoEModel(**{**plain, **changes})
