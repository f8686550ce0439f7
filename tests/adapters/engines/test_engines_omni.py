"""OmniInfer's ``.npy``: who holds what, as 0 and 1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import yaml

from moeopt.adapters.engines.files import Known
from moeopt.adapters.engines.formats import FORMATS
from moeopt.adapters.engines.placements import EnginePlacement
from moeopt.core.errors import InstanceError

OMNI = FORMATS["omni"]
PLACEMENT = EnginePlacement(np.array([[2, 1, 0, 1], [1, 0, 2, 1]]), 2, 3)
PATTERN = [[[0, 1, 1], [1, 1, 0]], [[1, 1, 0], [0, 1, 1]]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "placement.npy"


def test_the_matrix(path: Path) -> None:
    OMNI.write(PLACEMENT, path)
    pattern = np.load(path)
    assert pattern.dtype == np.int32
    assert pattern.shape == (2, 2, 3)  # devices, layers, experts
    assert pattern.tolist() == PATTERN


def test_anything_but_zero_is_there(path: Path) -> None:
    np.save(path, 7 * np.array(PATTERN, dtype=np.int64))
    found = OMNI.read(path)
    assert found.table.tolist() == [[1, 2, 0, 1], [0, 1, 1, 2]]
    assert (found.devices, found.experts) == (2, 3)


def test_a_rank_with_fewer_experts_has_empty_slots(path: Path) -> None:
    pattern = np.array(PATTERN)
    pattern[1, 0, 1] = 0
    np.save(path, pattern)
    found = OMNI.read(path)
    assert found.table.tolist() == [[1, 2, 0, -1], [0, 1, 1, 2]]
    with pytest.raises(InstanceError, match=r"table\[0\]\[3\]: must hold an expert"):
        OMNI.write(found, path)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 2, 3), dtype=np.int64),
        np.array(PATTERN, dtype=np.float64),
        np.array(PATTERN)[0],
        np.zeros((0, 2, 3), dtype=np.int64),
        np.array(PATTERN)[:, :, :2] * np.array([1, 0]),
    ],
)
def test_what_is_no_pattern(path: Path, array: npt.NDArray[np.generic]) -> None:
    np.save(path, array)
    with pytest.raises(InstanceError, match=path.name):
        OMNI.read(path)


def test_objects_are_not_unpickled(path: Path) -> None:
    np.save(path, np.array([[[{}]]], dtype=object), allow_pickle=True)
    with pytest.raises(InstanceError, match="not integers or floats"):
        OMNI.read(path)


def test_another_model_is_refused(path: Path) -> None:
    OMNI.write(PLACEMENT, path)
    with pytest.raises(InstanceError, match="must have 4, got <3 experts>"):
        OMNI.read(path, Known(experts=4))


def test_the_configuration_is_yaml() -> None:
    lines = OMNI.usage(PLACEMENT, "p: q.npy")
    config = yaml.safe_load("\n".join(lines[lines.index("# omni.yaml") :]))
    # The engine compares the pattern's shape with max_moe_layer_num, which has no default.
    assert config == {
        "pattern_path": "p: q.npy",
        "max_moe_layer_num": PLACEMENT.num_layers,
        "enable_dynamic": False,
        "enable_rank_round_robin": False,
        "enable_dump": False,
    }
