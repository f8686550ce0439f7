"""vLLM's JSON: a list for every MoE layer, or one for all."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from moeopt.adapters.engines.files import Known
from moeopt.adapters.engines.formats import FORMATS
from moeopt.adapters.engines.placements import EnginePlacement, ModelLayers
from moeopt.core.errors import InstanceError

VLLM = FORMATS["vllm"]
LAYERS = ModelLayers((1, 3), total=4)
PLACEMENT = EnginePlacement(np.array([[2, 1, 0, 0], [1, 0, 2, 1]]), 2, 3)

TEXT = """\
[
  [2, 1, 0, 0],
  [1, 0, 2, 1]
]
"""


def test_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "placement.json"
    VLLM.write(PLACEMENT, path)
    assert path.read_text() == TEXT


def test_one_list_stands_for_all_layers(tmp_path: Path) -> None:
    path = tmp_path / "placement.json"
    path.write_text("[0, 1, 2, 3, 0, 1]")
    assert VLLM.read(path, Known(3)).table.tolist() == [[0, 1, 2, 3, 0, 1]]
    assert VLLM.read(path, Known(3, layers=LAYERS)).table.tolist() == [[0, 1, 2, 3, 0, 1]] * 2


@pytest.mark.parametrize("text", ["[[0, 1], 2]", "[[0, 1], [true, 0]]", '[["0"]]', "[[[0]]]"])
def test_what_is_no_table(tmp_path: Path, text: str) -> None:
    path = tmp_path / "placement.json"
    path.write_text(text)
    with pytest.raises(InstanceError, match=path.name):
        VLLM.read(path, Known(1))


def test_a_list_for_each_layer_of_the_model(tmp_path: Path) -> None:
    path = tmp_path / "placement.json"
    path.write_text(TEXT)
    with pytest.raises(InstanceError, match="one for each of the 3 MoE layers, got <2 lists>"):
        VLLM.read(path, Known(2, layers=ModelLayers((1, 2, 3), total=4)))


def test_the_command() -> None:
    command, *notes = VLLM.usage(PLACEMENT, "it's.json")
    words = shlex.split(command)
    assert json.loads(words[words.index("--eplb-config") + 1]) == {
        "num_redundant_experts": 1,
        "initial_expert_map_path": "it's.json",
    }
    assert all(note.startswith("# ") for note in notes)
    assert "step_interval" in notes[-1]  # after which vLLM's own policy moves the experts
