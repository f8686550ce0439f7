"""The engines' part of the motion workload where no engine is there."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from moeopt.bench import motion_engines, motion_engines_ranks
from moeopt.bench.motion_engines import Rebalance
from moeopt.bench.peers import package_root
from moeopt.bench.registry import Setting
from moeopt.placement.generate import SHAPES


def test_absent_engines_are_told(tmp_path: Path) -> None:
    report = motion_engines.run(Setting(quick=True, peers=(tmp_path,), say=print))
    assert [figure.name for figure in report.figures] == [
        "sglang: its own code",
        "vllm: its own code",
    ]
    assert all(figure.met is None for figure in report.figures)
    assert motion_engines.SGLANG in report.figures[0].note
    assert motion_engines.VLLM in report.figures[1].note
    assert report.tables == []


def test_without_torch_they_are_absent_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    report = motion_engines.run(Setting(quick=True, peers=(), say=print))
    assert all("torch" in figure.note for figure in report.figures)


def test_a_packages_folder_is_found_unpacked_or_in_a_wheel(tmp_path: Path) -> None:
    file = tmp_path / "site" / motion_engines.VLLM
    file.parent.mkdir(parents=True)
    file.write_text("x = 1\n", encoding="utf-8")
    wheel = tmp_path / "vllm-0.33.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in (motion_engines.VLLM, "vllm/envs.py", "vllm/model_executor/large.py"):
            archive.writestr(name, "x = 1\n")
    with package_root([tmp_path / "site"], motion_engines.VLLM) as root:
        assert root == tmp_path / "site"
    with package_root([tmp_path, wheel], motion_engines.VLLM) as root:
        assert (root / "vllm" / "envs.py").is_file()
        assert not (root / "vllm" / "model_executor").exists()
    with pytest.raises(ImportError, match="eplb_state"), package_root([], motion_engines.VLLM):
        pass


def test_the_worst_shape_is_told() -> None:
    def pair(shape: str, after: float, transfers: float) -> tuple[Rebalance, Rebalance]:
        theirs = Rebalance(shape, "theirs", 1.2, 1.01, 100.0, 0.9, 0.03)
        return theirs, Rebalance(shape, "ours", 1.2, after, transfers, 0.1, 0.01)

    pairs = [
        pair("deepseek-v3-288-32", 1.0, 20.0),
        pair("qwen3-144-16", 1.0201, 10.0),
        pair("deepseek-v3-288-32-hierarchical", 1.0, 90.0),
    ]
    report = motion_engines._rebalance_report(pairs)
    imbalance, transfers = report.figures
    assert imbalance.value == pytest.approx(1.01)
    assert imbalance.met is False
    # Whole groups that go to other nodes are no measure of it.
    assert transfers.value == pytest.approx(0.2)
    assert len(report.tables[0].rows) == 6


def test_the_exported_plans_have_their_models_layers() -> None:
    placement = motion_engines.placement_of(SHAPES["mixtral-16-8"])
    assert placement.table.shape == (32, 16)
    assert placement.layers is not None
    assert placement.layers.total == 32


def test_transfers_are_experts_that_a_rank_lacked() -> None:
    old = np.array([[0, 0, 1, 2], [0, 1, 2, 2]])
    new = np.array([[0, 1, 1, 2], [2, 2, 0, 1]])
    assert motion_engines.transfers_of(old, new, 2) == [1, 3]


def test_tokens_of_slots_add_up() -> None:
    loads = np.array([[7.0, 3.0, 0.0]])
    table = np.array([[0, 1, 0, 2, 0]])
    slots = motion_engines_ranks.slot_tokens(loads, table)
    assert slots.tolist() == [[3, 3, 2, 0, 2]]
