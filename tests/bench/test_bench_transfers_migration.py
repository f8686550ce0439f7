"""The migration part of the transfers workload on a small shape, with and without a peer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from moeopt.adapters.engines.migration import MigrationFlow
from moeopt.bench import command, transfers_migration
from moeopt.bench.registry import Report, Setting
from moeopt.core.table import print_tables
from moeopt.placement.generate import SHAPES
from moeopt.transfers.migration import moves_between

#: A scheduler with vLLM's call: every expert is a batch of its own, from its first copy.
SCHEDULER = """
from types import SimpleNamespace


def schedule_migration_batches(num_local_experts, old_indices, new_indices):
    old = [set(row) for row in old_indices.reshape(-1, num_local_experts).tolist()]
    new = [set(row) for row in new_indices.reshape(-1, num_local_experts).tolist()]
    return [
        [SimpleNamespace(src_rank=src, dst_rank=dst, expert_ids=(expert,))]
        for dst in range(len(new))
        for expert in sorted(new[dst] - old[dst])
        for src in [min(rank for rank in range(len(old)) if expert in old[rank])]
    ]
"""


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "mixtral-16-8" in SHAPES
    monkeypatch.setattr(transfers_migration, "REPLANNED", ("mixtral-16-8",))


def run(*peers: Path) -> Report:
    return transfers_migration.run(Setting(quick=True, peers=peers, say=print))


def drawn_width(report: Report, capsys: pytest.CaptureFixture[str]) -> int:
    print_tables([*report.tables, command.figures_table(report.figures)])
    return max(map(len, capsys.readouterr().out.splitlines()))


def test_without_a_peer_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    report = run()
    theirs, kept, ours, duplex = report.figures
    assert theirs.value is None
    assert kept.met is None
    assert "no vllm" in kept.note
    assert ours.met
    assert duplex.met
    assert report.data["migration"]["planner"] == "eplb"
    assert drawn_width(report, capsys) <= 100
    json.dumps(report.data)


def test_a_scheduler_is_measured_with_its_own_sources(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "vllm" / "distributed" / "eplb"
    home.mkdir(parents=True)
    (home / "migration_scheduler.py").write_text(SCHEDULER)
    report = run(tmp_path)
    found = report.data["migration"]["mixtral-16-8"]
    for theirs, kept, ours in zip(
        found["vllm"], found["ours, vllm's sources"], found["ours"], strict=True
    ):
        assert theirs["length"] == theirs["batches"] >= kept["length"] >= ours["length"]
        assert theirs["bound"] == kept["bound"] >= ours["bound"]
    assert report.figures[0].value > 1.0  # type: ignore[operator]
    assert report.figures[1].met
    assert drawn_width(report, capsys) <= 100


def test_length_and_sources_are_read_off_the_batches() -> None:
    batches = [
        [MigrationFlow(0, 1, (0, 3)), MigrationFlow(2, 3, (5,))],
        [MigrationFlow(3, 0, (7,))],
    ]
    assert transfers_migration.length_of(batches) == 3
    old = np.array([0, 3, 1, 1, 5, 5, 7, 0])
    new = np.array([0, 7, 3, 0, 5, 5, 5, 0])
    expert, moves = moves_between(old, new, 2)
    assert expert.tolist() == [0, 3, 5, 7]
    assert transfers_migration.sources_of(batches, expert, moves).tolist() == [0, 0, 2, 3]
