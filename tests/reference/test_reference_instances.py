"""Instances of the reference model's routing: one of every wing, made from the traces shipped."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference_parts import ROOT, trace

import moeopt
from moeopt import library
from moeopt.core.result import Status
from moeopt.io import load_problem


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that writes a wing's instance elsewhere and loads it."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import instance_files
    import reference_instances

    monkeypatch.setattr(instance_files, "LIBRARY", tmp_path)
    yield lambda wing: _made(reference_instances, wing, tmp_path)
    for name in ("instance_files", "reference_instances"):
        sys.modules.pop(name)


def _made(tool: Any, wing: str, folder: Path) -> tuple[Any, Any]:
    (folder / wing).mkdir(exist_ok=True)
    (entry,) = tool.made(wing)
    assert entry.name.startswith(f"{wing}/reference-")
    assert not entry.from_traces
    assert "instances/traces/reference-" in entry.source
    return entry, load_problem(folder / entry.path)


def test_placement_has_every_token(make: Any) -> None:
    entry, problem = make("placement")
    held_out = trace("reference-held-out")
    assert problem.loads_tokens.shape == (32, 8, 64)
    np.testing.assert_array_equal(problem.loads_tokens.sum(axis=0), held_out.counts())
    assert f"{problem.num_layers} layers" in entry.size
    assert f"{problem.num_slots} slots" in entry.size
    assert moeopt.solve(problem, "lpt").status is Status.FEASIBLE


def test_transfers_send_a_token_once_to_a_device(make: Any) -> None:
    _, problem = make("transfers")
    held_out = trace("reference-held-out")
    devices = held_out.expert_ids[:, 4].astype(np.int64) // 8
    first = np.zeros((held_out.num_tokens, 8), dtype=bool)
    np.put_along_axis(first, devices, True, axis=1)
    # Eight stretches of 512 bytes start from each device.
    (traffic,) = problem.traffic_bytes
    expected = 320 * first[3 * 4096 : 4 * 4096].sum(axis=0)
    np.testing.assert_array_equal(np.delete(traffic[3], 3), np.delete(expected, 3))
    assert moeopt.solve(problem).status is Status.OPTIMAL


def test_colocation_is_of_two_models(make: Any) -> None:
    _, problem = make("colocation")
    tokens = [model.traffic_tokens.sum() for model in problem.models]
    assert tokens == [4 * 32768, 4 * 12288]
    assert problem.num_devices == 8
    assert moeopt.solve(problem).status is Status.OPTIMAL


def test_serverless_promise_binds(make: Any) -> None:
    from moeopt.serverless.generate import latency_span

    _, problem = make("serverless")
    assert (problem.num_layers, problem.num_experts, problem.num_scenarios) == (8, 64, 3)
    assert all((problem.tokens_of(e).sum(axis=1) == 4 * 10240).all() for e in range(8))
    fastest_s, cheapest_s = latency_span(problem)
    assert fastest_s < problem.slo_s < cheapest_s
    assert moeopt.solve(problem).status is Status.OPTIMAL


def test_committee_weighs_each_text(make: Any) -> None:
    _, problem = make("committee")
    assert problem.importance.shape == (16, 8, 64)
    assert (problem.importance == np.round(problem.importance)).all()
    held_out = trace("reference-held-out").part(0, 512)
    counts = held_out.counts()
    # An expert that a text never goes to is of no importance there.
    assert (problem.importance[0][counts == 0] == 0).all()
    assert (problem.importance[0][counts >= 20] > 0).all()
    assert problem.room_bytes() == pytest.approx(0.4 * 8 * 64 * 25600, rel=0.01)
    result = moeopt.solve(problem, "flow_curves")
    assert result.gap is not None
    assert result.gap < 0.05


def test_sizes_are_the_models(make: Any) -> None:
    tool = sys.modules["reference_instances"]
    with np.load(library.trace_path("reference-norms"), allow_pickle=False) as file:
        assert file["frobenius"].shape == (tool.MODEL.layers, tool.MODEL.experts)
    config = (ROOT / "examples" / "reference_moe" / "model.py").read_text(encoding="utf-8")
    for name in ("layers", "experts", "width", "hidden"):
        assert f"    {name}: int = {getattr(tool.MODEL, name)}\n" in config
