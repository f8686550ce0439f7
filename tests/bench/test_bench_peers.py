"""Peers are loaded from files alone; their absence is told, not raised."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from moeopt.bench import peers
from moeopt.core.errors import InstanceError
from moeopt.placement.generate import Layout

VLLM = "vllm/distributed/eplb/policy"
SGLANG = "sglang/srt/eplb/eplb_algorithms"

ABSTRACT = "class AbstractEplbPolicy: ...\n"

DEFAULT = """
import numpy as np
from .abstract import AbstractEplbPolicy

class DefaultEplbPolicy(AbstractEplbPolicy):
    @classmethod
    def rebalance_experts(cls, weight, slots, groups, nodes, ranks):
        return np.tile(np.arange(slots) % weight.shape[1], (weight.shape[0], 1))
"""

DEEPSEEK = """
def rebalance_experts(weight, slots, groups, nodes, gpus, grouped):
    return [[grouped] * slots] * len(weight), None, None
"""

VECTOR = """
def rebalance_experts(weight, slots, local, groups, nodes, grouped):
    return [[local] * slots] * weight.shape[1], None, None
"""

SCHEDULER = "def schedule_migration_batches(*arguments): return []\n"

#: Would run if the package itself were imported.
TRAP = "raise RuntimeError('the package was imported')\n"

FILES = {
    "vllm/__init__.py": TRAP,
    f"{VLLM}/__init__.py": TRAP,
    f"{VLLM}/abstract.py": ABSTRACT,
    f"{VLLM}/default.py": DEFAULT,
    "vllm/distributed/eplb/migration_scheduler.py": SCHEDULER,
    f"{SGLANG}/__init__.py": TRAP,
    f"{SGLANG}/deepseek.py": DEEPSEEK,
    f"{SGLANG}/deepseek_vec.py": VECTOR,
}


class Torch:
    """As much of torch as the loader touches, so that no test needs it."""

    @staticmethod
    def tensor(array: np.ndarray) -> np.ndarray:
        return array

    @staticmethod
    def set_num_threads(threads: int) -> None:
        assert threads == 1


@pytest.fixture(autouse=True)
def _torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", Torch)


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "site"


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "vllm-0.33.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in FILES.items():
            archive.writestr(name, text)
        archive.writestr("vllm-0.33.0.dist-info/METADATA", "Name: vllm\n")
    return path


def test_all_policies_are_found_without_importing_the_packages(unpacked: Path) -> None:
    with peers.find([unpacked]) as found:
        assert [one.name for one in found.contenders] == ["vllm", "sglang", "sglang-vec"]
        assert found.absent == ()
    assert not {"vllm", "sglang"} & set(sys.modules)


def test_a_packages_own_folder_will_do(unpacked: Path) -> None:
    with peers.find([unpacked / "vllm"]) as found:
        assert found.contenders[0].name == "vllm"


def test_a_wheel_is_unpacked_and_tells_its_version(wheel: Path) -> None:
    with peers.find([wheel]) as found:
        assert [one.name for one in found.contenders] == ["vllm", "sglang", "sglang-vec"]
        assert found.contenders[0].version == "0.33.0"
        assert found.contenders[1].version == "of unknown version"


def test_calls_pass_the_sizes_in_each_systems_order(unpacked: Path) -> None:
    layout = Layout(slots=8, devices=4, groups=2, nodes=2)
    loads = np.ones((3, 6))
    with peers.find([unpacked]) as found:
        answers = {one.name: peers.table_of(one.bind(loads, layout)()) for one in found.contenders}
    np.testing.assert_array_equal(answers["vllm"][0], [0, 1, 2, 3, 4, 5, 0, 1])
    assert (answers["sglang"] == 1).all()
    assert (answers["sglang-vec"] == layout.slots_per_device).all()
    assert {table.shape for table in answers.values()} == {(3, 8)}


def test_absence_is_one_line_each() -> None:
    with peers.find([]) as found:
        assert found.contenders == ()
        assert [line.partition(":")[0] for line in found.absent] == ["vllm", "sglang", "sglang-vec"]
        assert f"no {VLLM}/default.py" in found.absent[0]


def test_without_torch_every_peer_is_absent(
    unpacked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with peers.find([unpacked]) as found:
        assert found.contenders == ()
        assert all("torch" in line for line in found.absent)


def test_a_peer_of_another_make_is_absent(unpacked: Path) -> None:
    (unpacked / VLLM / "default.py").write_text("x = 1\n", encoding="utf-8")
    with peers.find([unpacked]) as found:
        assert [one.name for one in found.contenders] == ["sglang", "sglang-vec"]
        assert "DefaultEplbPolicy" in found.absent[0]


def test_a_second_copy_is_not_mistaken_for_the_first(unpacked: Path, tmp_path: Path) -> None:
    with peers.find([unpacked]):
        pass
    other = tmp_path / "other" / VLLM
    other.mkdir(parents=True)
    (other / "abstract.py").write_text(ABSTRACT, encoding="utf-8")
    (other / "default.py").write_text(DEFAULT.replace("np.arange", "0 * np.arange"), "utf-8")
    with peers.find([tmp_path / "other"]) as found:
        answer = found.contenders[0].bind(np.ones((1, 4)), Layout(4, 2))()
    assert (answer == 0).all()


def test_a_broken_wheel_is_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "vllm-0.33.0-py3-none-any.whl"
    path.write_bytes(b"not a zip file")
    with pytest.raises(InstanceError, match="must be a wheel"), peers.find([path]):
        pass


def test_the_migration_scheduler_is_loaded_by_itself(unpacked: Path) -> None:
    with peers.migration_scheduler([unpacked]) as module:
        assert module.schedule_migration_batches() == []
    with pytest.raises(ImportError), peers.migration_scheduler([]):
        pass
