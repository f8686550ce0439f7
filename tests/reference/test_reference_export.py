"""From training to what is shipped, small: the same commands in another folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference_parts import stretches

from moeopt.traces import read_trace

pytest.importorskip("torch")
pytest.importorskip("safetensors")

import data
import export
import train
import weights


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that runs one of the example's commands on a small text."""
    tokens = stretches("reference-train", 6).ravel()
    data.save(tmp_path / "text.npz", data.Text(tokens[512:], tokens[:512], "0.0"))

    def command(module: Any, *words: str) -> None:
        more = ("--text", str(tmp_path / "text.npz"))
        monkeypatch.setattr("sys.argv", [f"{module.__name__}.py", *words, *more])
        module.main()

    return command


def test_what_training_made_is_exported(
    run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, out, traces = tmp_path / "build", tmp_path / "shipped", tmp_path / "traces"
    words = ("--runs", str(runs), "--out", str(out), "--traces", str(traces), "--ship", "moe")
    for kind in ("moe", "unbalanced"):
        with pytest.raises(SystemExit, match=kind):
            run(export, *words)
        small = ("--size", "toy", "--steps", "1", "--device", "cpu", "--out", str(runs))
        run(train, kind, *small)
    capsys.readouterr()
    run(export, *words)
    printed = json.loads(capsys.readouterr().out)

    reference = json.loads((out / "reference.json").read_text())
    assert reference["traces"] == printed["traces"]
    assert reference["rounding"]["after"] == pytest.approx(
        reference["rounding"]["before"], abs=0.01
    )
    model = weights.load(out / "weights.safetensors")
    assert model.config == train.TOY.config

    index = json.loads((traces / "index.json").read_text())
    entries = {entry["name"]: entry for entry in index["traces"]}
    assert {path.stem for path in traces.glob("*.npz")} == set(entries)
    assert entries["reference-norms"]["arrays"]["frobenius"] == [3, 16]
    trace = read_trace(traces / "reference-held-out.npz")
    assert (trace.num_layers, trace.num_experts, trace.top_k) == (3, 16, 2)
    assert trace.num_tokens == entries["reference-held-out"]["tokens"] == 4 * 128
    assert trace.token_ids is not None
    np.testing.assert_array_equal(trace.token_ids, stretches("reference-train", 1)[0])
    assert entries["reference-unbalanced"]["commands"][0].endswith("train.py unbalanced")
