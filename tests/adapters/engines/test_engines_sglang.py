"""SGLang's JSON: one key, a row for every layer of the model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from moeopt.adapters.engines.files import Known
from moeopt.adapters.engines.formats import FORMATS
from moeopt.adapters.engines.placements import EnginePlacement, ModelLayers
from moeopt.core.errors import InstanceError

SGLANG = FORMATS["sglang"]
LAYERS = ModelLayers((1, 3), total=4)
PLACEMENT = EnginePlacement(np.array([[2, 1, 0, 0], [1, 0, 2, 1]]), 2, 3, LAYERS)

TEXT = """\
{
  "physical_to_logical_map": [
    [0, 1, 2, 0],
    [2, 1, 0, 0],
    [0, 1, 2, 0],
    [1, 0, 2, 1]
  ]
}
"""


def test_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "placement.json"
    SGLANG.write(PLACEMENT, path)
    assert path.read_text() == TEXT
    assert list(json.loads(TEXT)) == ["physical_to_logical_map"]


def test_dense_layers_have_every_expert() -> None:
    whole = np.array(json.loads(SGLANG.encode(PLACEMENT))["physical_to_logical_map"])
    assert whole.shape == (4, 4)
    assert all(set(row) == {0, 1, 2} for row in whole.tolist())


def test_without_the_model_every_layer_is_read(tmp_path: Path) -> None:
    path = tmp_path / "placement.json"
    path.write_text(TEXT)
    assert SGLANG.read(path, Known(2)).table.shape == (4, 4)
    assert SGLANG.read(path, Known(2, layers=LAYERS)).table.tolist() == PLACEMENT.table.tolist()
    with pytest.raises(InstanceError, match=r"must have the model's 5, .* got <4 layers>"):
        SGLANG.read(path, Known(2, layers=ModelLayers((1, 3), total=5)))


def test_a_further_key_is_refused_as_the_engine_does(tmp_path: Path) -> None:
    path = tmp_path / "placement.json"
    path.write_text(json.dumps({**json.loads(TEXT), "logical_count": [[1]]}))
    with pytest.raises(InstanceError, match="physical_to_logical_map alone"):
        SGLANG.read(path, Known(2))


def test_a_dense_layer_must_be_a_placement_too(tmp_path: Path) -> None:
    path = tmp_path / "placement.json"
    path.write_text(TEXT.replace("[0, 1, 2, 0]", "[0, 1, 1, 0]", 1))
    with pytest.raises(InstanceError, match=r"table\[0\].*no expert 2"):
        SGLANG.read(path, Known(2, layers=LAYERS))


def test_the_command() -> None:
    (line,) = SGLANG.usage(PLACEMENT, "a b.json")
    assert "--tp-size 2 --ep-size 2 --ep-num-redundant-experts 1" in line
    assert line.endswith("--init-expert-location 'a b.json'")
