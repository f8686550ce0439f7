"""TensorRT-LLM's YAML, written and read without a library, compared with PyYAML."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from engines_draws import placements
from hypothesis import given, settings

from moeopt.adapters.engines.files import Known
from moeopt.adapters.engines.formats import FORMATS
from moeopt.adapters.engines.placements import EnginePlacement, ModelLayers
from moeopt.core.errors import InstanceError

TENSORRT = FORMATS["tensorrt-llm"]
PLACEMENT = EnginePlacement(
    np.array([[2, 1, 0, 0], [1, 0, 2, 1]]), 2, 3, ModelLayers((1, 3), total=4)
)

TEXT = """\
num_slots: 4
initial_global_assignments:
  1: [2, 1, 0, 0]
  3: [1, 0, 2, 1]
layer_updates_per_iter: 0
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "placement.yaml"


def test_the_bytes(path: Path) -> None:
    TENSORRT.write(PLACEMENT, path)
    assert path.read_text() == TEXT


@settings(max_examples=25, deadline=None)
@given(placement=placements())
def test_yaml_reads_what_is_written(placement: EnginePlacement) -> None:
    assert placement.layers is not None
    assert yaml.safe_load(TENSORRT.encode(placement)) == {
        "num_slots": placement.num_slots,
        "initial_global_assignments": dict(
            zip(placement.layers.ids, placement.table.tolist(), strict=True)
        ),
        "layer_updates_per_iter": 0,
    }


@pytest.mark.parametrize("width", [40, 10_000])
def test_what_yaml_writes_is_read(path: Path, width: int) -> None:
    """As ``generate_eplb_config.py`` does, and with long lists on several lines."""
    rows = np.random.default_rng(3).permuted(np.tile(np.arange(64), (2, 1)), axis=1)
    config = {
        "num_slots": 64,
        "initial_global_assignments": {3: rows[0].tolist(), 12: rows[1].tolist()},
        "layer_updates_per_iter": 0,
    }
    path.write_text(yaml.safe_dump(config, default_flow_style=None, width=width, sort_keys=False))
    found = TENSORRT.read(path, Known(8))
    assert found.table.tolist() == rows.tolist()
    assert found.layers == ModelLayers((3, 12), 13)


def test_keys_in_any_order_comments_and_ranks(path: Path) -> None:
    path.write_text(
        "--- # made by hand\nep_size: 2\nlayer_updates_per_iter: 0\n\n"
        "initial_global_assignments: # by layer\n"
        "  3: [1,0,2,1]\n  1: [2, 1,\n    0, 0] # the first\nnum_slots: 4\n"
    )
    found = TENSORRT.read(path)
    assert found.devices == 2
    assert found.table.tolist() == PLACEMENT.table.tolist()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("num_slots: 4", "num_slots: 5", r"num_slots: must be the 4 experts .*, got 5"),
        ("_iter: 0", "_iter: 1", "must be 0"),
        ("num_slots: 4", "num_slots: four", "line 1: must be num_slots"),
        ("num_slots: 4", "num_slots: 4\nnum_slots: 4", "line 2"),
        ("  3: ", "  1: ", "line 4: .* each once"),
        ("  3: [1, 0, 2, 1]", "  3: [1, 0,, 2]", "line 4: must list experts"),
        ("  3: [1, 0, 2, 1]", "  3:\n  - 1", "line 4: .* as generate_eplb_config.py does"),
        ("  3: [1, 0, 2, 1]", "  3: !!python/name:os.system", "line 4"),
        ("  3: [1, 0, 2, 1]", "  3: &a [1]", "line 4"),
        ("  3: [1, 0, 2, 1]\n", "", "must be of the 2 MoE layers 1 to 3, got <layers 1 to 1>"),
        ("\n  1: [2, 1, 0, 0]\n  3: [1, 0, 2, 1]", "", "must have initial_global_assignments"),
    ],
)
def test_what_is_refused(path: Path, old: str, new: str, said: str) -> None:
    assert old in TEXT
    path.write_text(TEXT.replace(old, new))
    with pytest.raises(InstanceError, match=said):
        TENSORRT.read(path, Known(2, layers=PLACEMENT.layers))


def test_the_options_are_yaml() -> None:
    command, *options = TENSORRT.usage(PLACEMENT, "a: b.yaml")
    assert "--ep_size 2 --extra_llm_api_options options.yaml" in command
    assert yaml.safe_load("\n".join(options)) == {
        "moe_config": {"backend": "WIDEEP", "load_balancer": "a: b.yaml"}
    }
