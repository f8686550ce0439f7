"""vllm-ascend's JSON: the experts of each device of each layer, layers numbered from 0."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moeopt.adapters.engines.files import Known
from moeopt.adapters.engines.formats import FORMATS
from moeopt.adapters.engines.placements import EnginePlacement, ModelLayers
from moeopt.core.errors import InstanceError

ASCEND = FORMATS["vllm-ascend"]
PLACEMENT = EnginePlacement(
    np.array([[2, 1, 0, 1], [1, 0, 2, 1]]), 2, 3, ModelLayers((1, 3), total=4)
)

DOCUMENT: dict[str, Any] = {
    "moe_layer_count": 2,
    "layer_list": [
        {
            "layer_id": layer,
            "device_count": 2,
            "device_list": [
                {"device_id": 0, "device_expert": first},
                {"device_id": 1, "device_expert": second},
            ],
        }
        for layer, (first, second) in enumerate([([2, 1], [0, 1]), ([1, 0], [2, 1])])
    ],
}


def test_the_document(tmp_path: Path) -> None:
    path = tmp_path / "placement.json"
    ASCEND.write(PLACEMENT, path)
    assert json.loads(path.read_text()) == DOCUMENT
    assert list(json.loads(path.read_text())) == ["moe_layer_count", "layer_list"]


def test_the_engine_reads_layers_by_their_place(tmp_path: Path) -> None:
    """What its `expert_file_to_tensor` does: a row for each rank, of equal length."""
    data = json.loads(ASCEND.encode(PLACEMENT))
    for layer, row in enumerate(PLACEMENT.by_device().tolist()):
        devices = data["layer_list"][layer]["device_list"]
        assert [device["device_expert"] for device in devices] == row


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (["moe_layer_count"], 3),
        (["layer_list"], []),
        (["layer_list", 0, "layer_id"], 1),
        (["layer_list", 1, "device_count"], 3),
        (["layer_list", 1, "device_list", 0, "device_id"], 1),
        (["layer_list", 0, "device_list", 0, "device_expert"], [2, 1, 0]),
        (["layer_list", 0, "device_list", 0, "device_expert"], ["2", "1"]),
    ],
)
def test_what_contradicts_itself_is_refused(
    tmp_path: Path, where: list[Any], value: object
) -> None:
    document = json.loads(json.dumps(DOCUMENT))
    inner = document
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    path = tmp_path / "placement.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InstanceError, match=path.name):
        ASCEND.read(path, Known())


def test_the_command() -> None:
    words = shlex.split(ASCEND.usage(PLACEMENT, "p.json")[0])
    config = json.loads(words[words.index("--additional-config") + 1])
    assert config == {"eplb_config": {"expert_map_path": "p.json"}}
