"""Training the example: small, on a processor, stopped and continued."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from reference_parts import reference, stretches

pytest.importorskip("torch")
pytest.importorskip("safetensors")

import data
import torch
import train
from model import Config, Model, Routing

TEXT = stretches("reference-train", 12).ravel()


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """Return the file of a small text, and leave torch's precision as it was."""
    path = tmp_path / "text.npz"
    data.save(path, data.Text(TEXT[1024:], TEXT[:1024], "0.0"))
    return path


@pytest.fixture(autouse=True)
def _precision() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


def _train(monkeypatch: pytest.MonkeyPatch, out: Path, text: Path, *more: str) -> None:
    words = ["train.py", "moe", "--size", "toy", "--steps", "6", "--report", "3", "--dropout"]
    words += ["0.1", "--device", "cpu", "--text", str(text), "--out", str(out), *more]
    monkeypatch.setattr("sys.argv", words)
    train.main()


def test_stopped_and_continued_is_the_same_as_in_one_go(
    text: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pieces, whole = tmp_path / "pieces", tmp_path / "whole"
    _train(monkeypatch, pieces, text, "--minutes", "0")
    assert "3 of 6 steps: run it again" in capsys.readouterr().out
    assert not (pieces / "moe.pt").exists()
    _train(monkeypatch, pieces, text)
    _train(monkeypatch, whole, text)
    assert "done:" in capsys.readouterr().out
    one, other = (
        torch.load(folder / "moe.pt", map_location="cpu", weights_only=True)
        for folder in (pieces, whole)
    )
    for name, tensor in other["model"].items():
        assert torch.equal(one["model"][name], tensor), name
    assert one["facts"]["held_out"] == other["facts"]["held_out"]
    losses = [entry["train"] for entry in other["log"]]
    assert losses[1] < losses[0] < np.log(256) + 0.1
    with pytest.raises(SystemExit, match="other settings"):
        _train(monkeypatch, whole, text, "--seed", "1")


def test_kinds_are_alike_but_for_what_they_leave_out() -> None:
    moe, unbalanced, dense = (train.settings_of(kind, "full") for kind in train.KINDS)
    assert (moe.balance, unbalanced.balance, dense.balance) == (0.01, 0.0, 0.0)
    assert unbalanced.config == moe.config
    assert dense.config.active == moe.config.active
    for other in (unbalanced, dense):
        assert (other.steps, other.batch, other.rate) == (moe.steps, moe.batch, moe.rate)


def test_recorded_runs_have_these_settings() -> None:
    runs = reference()["runs"]
    assert set(runs) == {"dense", "dense_dropout", "moe", "moe_dropout", "unbalanced"}
    for run in runs.values():
        settings, config = run["settings"], run["settings"]["config"]
        expected = train.settings_of(settings["kind"], "full")
        dropout = config.pop("dropout")
        assert Config(**config) == expected.config
        assert (settings["steps"], settings["seed"]) == (expected.steps, 0)
        assert dropout in (0.0, 0.1)


def test_experts_gain_over_the_dense_model_trained_alike() -> None:
    runs = reference()["runs"]
    for name in ("", "_dropout"):
        moe, dense = runs["moe" + name], runs["dense" + name]
        assert moe["settings"]["config"]["dropout"] == dense["settings"]["config"]["dropout"]
        assert moe["held_out"] < dense["held_out"] - 0.02


def test_balance_loss_is_one_where_all_are_alike_and_more_where_one_gets_all() -> None:
    even = torch.full((1, 8, 4), 0.25)
    ids = torch.arange(8).remainder(4).view(1, 8, 1)
    ones = torch.ones(1, 8, 1)
    assert float(train.balance_loss(Routing(ids, ones, even.log()))) == pytest.approx(1.0)
    skewed = torch.zeros(1, 8, 4)
    skewed[..., 2] = 1.0
    one = Routing(torch.full((1, 8, 1), 2), ones, skewed.log())
    assert float(train.balance_loss(one)) == pytest.approx(4.0)


def test_loss_of_a_model_that_knows_nothing() -> None:
    torch.manual_seed(0)
    model = Model(Config(layers=1, width=32, heads=2, experts=4, top_k=2, hidden=8, context=16))
    model.head.data.zero_()
    loss, counts = train.evaluate(model, torch.from_numpy(TEXT[:200].copy()))
    assert loss == pytest.approx(np.log(256), rel=1e-6)
    # 12 stretches of 16 bytes, 2 experts to each.
    assert counts.shape == (1, 4)
    assert int(counts.sum()) == 12 * 16 * 2


def test_the_text_of_a_library_is_parted_by_file(tmp_path: Path) -> None:
    for number in range(60):
        (tmp_path / f"part{number}.py").write_bytes(b"a = %d\r\n" % number)
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages" / "other.py").write_bytes(b"left out")
    (tmp_path / "_sysconfigdata_here.py").write_bytes(b"left out")
    (tmp_path / "notes.txt").write_bytes(b"left out")
    text = data.read(tmp_path)
    files = [part.tobytes().split(data.END)[:-1] for part in (text.train, text.held_out)]
    assert sorted(files[0] + files[1]) == sorted(b"a = %d\n" % number for number in range(60))
    assert 0 < len(files[1]) < 12
    assert data.read(tmp_path).digests == text.digests
    data.save(tmp_path / "text.npz", text)
    assert data.load(tmp_path / "text.npz").digests == text.digests


def test_windows_are_evenly_far_apart() -> None:
    found = data.windows(np.arange(100, dtype=np.uint8), 4, 10)
    np.testing.assert_array_equal(found[:, 0], [0, 30, 60, 90])
    assert data.windows(np.arange(25, dtype=np.uint8), 9, 10).shape == (2, 10)
