"""What is measured of committees: the profile, the plans made of it, and the tables of figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference_parts import stretches

pytest.importorskip("torch")
pytest.importorskip("safetensors")

import committee_plans
import committee_profile
import committee_quality
import data
import run_committee
import torch
from committee_entries import Entry, Measured
from committee_methods import (
    OURS,
    PAPER,
    Known,
    Lab,
    even_slots,
    known_of,
    streams_of,
)
from committee_plans import KEPT_BACK, our_plans, paper_plans, profiled
from committee_profile import SHARES, Sizes, allotted, better, turned
from committee_quality import against, table
from committee_streams import Pace, play
from model import Config, Model

TOY = Config(layers=2, width=32, heads=2, experts=8, top_k=2, hidden=16, context=32)


@pytest.fixture
def toy() -> Model:
    torch.manual_seed(0)
    return Model(TOY).eval().requires_grad_(False)


@pytest.fixture
def lab(toy: Model) -> Lab:
    text = stretches("reference-held-out", 2)
    known = known_of(toy, stretches("reference-train", 2)[:, :32])
    return Lab(toy, text[:, :64], known, Pace(16, 4.0), rows=3)


@pytest.fixture
def text(tmp_path: Path) -> str:
    """Write a text as data.py does, and return where."""
    path = tmp_path / "text.npz"
    some = stretches("reference-held-out", 4).ravel()
    data.save(path, data.Text(some, some, "0.0"))
    return str(path)


def test_configurations_come_out_alike_one_by_one_and_together(lab: Lab) -> None:
    slots = np.array([[3, 4], [8, 8], [2, 7]])
    together = lab.run(PAPER, slots, np.array([1, 2, 1]))
    assert together.loss.shape == together.loads.shape == (3, 2)
    for row, period in enumerate((1, 2, 1)):
        alone = lab.run(PAPER, slots[row : row + 1], period)
        np.testing.assert_allclose(alone.loss[0], together.loss[row], rtol=1e-5)
        np.testing.assert_array_equal(alone.loads[0], together.loads[row])
    # With all experts there, it is the model itself, and nothing is loaded.
    np.testing.assert_allclose(together.loss[1], lab.original(), rtol=1e-5)
    assert not together.loads[1].any()
    tokens = lab.tokens[:1]
    np.testing.assert_allclose(lab.original()[0], float(play(lab.model, tokens).loss[0]), rtol=1e-5)


def test_known_are_choices_weights_and_norms(toy: Model, lab: Lab) -> None:
    known: Known = lab.known
    torch.testing.assert_close(known.prior.sum(1), torch.ones(TOY.layers))
    torch.testing.assert_close(known.frequency.sum(1), torch.full((TOY.layers,), 2.0))
    first = toy.layers()[0].experts
    expected = float((first.w_in[3].square().sum() + first.w_out[3].square().sum()).sqrt())
    assert float(known.norms[0, 3]) == pytest.approx(expected)


def test_streams_begin_where_the_seed_says() -> None:
    some = np.arange(200, dtype=np.uint8)
    one, again, other = (streams_of(some, 3, 20, seed) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert (np.diff(one, axis=1) == 1).all()
    assert streams_of(some, 3, 20)[:, 0].tolist() == [0, 90, 180]
    assert even_slots(11, 4).tolist() == [3, 3, 3, 2]


def test_slots_are_the_best_of_a_table() -> None:
    inf = np.inf
    table = np.array([[inf, 5.0, 3.0, 2.5], [inf, 9.0, 4.0, 1.0], [inf, 1.0, 0.9, inf]])
    assert allotted(table, 6).tolist() == [2, 3, 1]


def test_a_turn_leads_to_slots_as_many_and_no_worse(lab: Lab) -> None:
    centres = [np.array([4, 4]), np.array([3, 2])]
    turns = turned(lab, centres, (0.5, 1.5))
    for turn, centre in zip(turns, centres, strict=True):
        assert turn.slots.sum() <= centre.sum()
        assert (turn.table[np.arange(2), turn.centre] == 0).all()
        # From half to one and a half times as many, but not fewer than a token chooses.
        finite = np.isfinite(turn.table)
        assert finite.sum(1).tolist() == [min(k + k // 2, 8) - max(2, k // 2) + 1 for k in centre]
        for row, known in zip(turn.table, finite, strict=True):
            assert (np.diff(row[known]) <= 0).all()
    found = np.stack(better(lab, turns))
    before = lab.run(OURS, np.stack(centres)).loss.mean(1)
    assert (lab.run(OURS, found).loss.mean(1) <= before + 1e-6).all()


def test_a_profile_has_what_the_plans_need(toy: Model) -> None:
    some = stretches("reference-train", 2).ravel()
    sizes = Sizes(streams=1, length=32, stretches=2, samples=6, rows=32)
    found = committee_profile.profile(toy, data.Text(some, some, "0.0"), (0.5, 0.8), sizes)
    assert (found["ours_slots"].sum(1) <= [7, 12]).all()
    assert found["random_slots"].shape == (6, 2)
    shipped = profiled()
    assert set(found) | {"made"} == set(shipped)
    assert all(np.ndim(found[name]) == shipped[name].ndim for name in found)
    with np.testing.assert_raises(KeyError):
        our_plans(found, np.array([9]))


def test_shipped_plans_fit_and_are_no_worse_than_where_they_began() -> None:
    found = profiled()
    made: dict[str, Any] = json.loads(str(found["made"]))
    assert made["python"] == "3.11.7"
    assert found["budgets"].tolist() == [round(share * 512) for share in SHARES]
    assert found["ours_slots"].sum(1).tolist() == (found["budgets"] - 1).tolist()
    # The settings of ours are among those that were tried, none far from the best.
    settings = OURS.memory._asdict() | {"damping": OURS.gating.damping}
    for name, values in committee_profile.TRIED.items():
        tried = found[f"tried_{name}"]
        one = tried[values.index(settings[name])]
        assert one.mean() <= tried.mean(1).min() + 0.004
        # They were tried with an even split, which cost no less.
        assert (found["ours_loss"] <= one).all()
    assert (np.diff(found["ours_loss"]) < 0).all()


def _few(samples: int) -> dict[str, Any]:
    """Return what was measured, with fewer samples than the figures have."""
    found = profiled()
    random = [name for name in found if name.startswith("random")]
    return found | {name: found[name][: samples + KEPT_BACK] for name in random}


def test_the_paper_s_plans_fit_and_follow_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committee_plans, "PERIODS", (1, 8))
    monkeypatch.setattr(committee_plans, "SEARCHES", 1)
    few, totals = _few(100), np.array([50, 255])
    plans, error = paper_plans(few, totals, 0)
    assert [int(plan.slots.sum()) for plan in plans] == totals.tolist()
    assert error.samples == KEPT_BACK
    assert error.mean < 0.1
    again, other = (paper_plans(few, totals[:1], seed)[0][0] for seed in (0, 1))
    assert np.array_equal(again.slots, plans[0].slots)
    assert not np.array_equal(other.slots, again.slots)


def test_tables_say_the_mean_and_the_worst_seed() -> None:
    entries = [Entry(name, OURS, "even") for name in ("paper", "ours")]
    paper = Measured(np.array([[0.5, 0.3], [0.7, 0.1]]), np.full((2, 2), 3.0))
    ours = Measured(np.array([[0.4, 0.1], [0.2, 0.2]]), np.full((2, 2), 1.0))
    lines = table(entries, [paper, ours], (0.2, 0.6))
    assert [line.split() for line in lines] == [
        ["experts", "20%", "60%"],
        ["paper", "0.600", "0.200"],
        ["ours", "0.300", "0.150"],
    ]
    lines = against({"paper": paper, "ours": ours}, (0.2, 0.6))
    assert lines[2].split()[-2:] == ["-0.100", "0.100"]
    assert lines[-1] == "ours at most the paper's: 3 of 4 seeds and budgets"


def test_figures_from_the_command_line(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "committee_quality.py --device cpu --seeds 1 --streams 1 --bytes 32 --shares 0.5"
    monkeypatch.setattr("sys.argv", [*words.split(), "--show", "gating", "--text", text])
    committee_quality.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("1 seeds of 1 streams of 32 bytes, held out; original: ")
    assert lines[1] == "memory, MB: all 30.1; 50% 17.0; 3.9 of it no experts"
    rows = [line.rsplit(maxsplit=1)[0] for line in lines if ", damping" in line]
    assert len(rows) == len(set(rows)) == 9


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--shares 0.55", "no plans for"),
        ("--bytes 1000000000", "the text has 2048 bytes"),
        ("--bytes 40", "must be a multiple of 16"),
        ("--seeds 0", "must be 1 or more"),
    ],
)
def test_what_cannot_be_shown_is_refused(
    words: str,
    said: str,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    few = "committee_quality.py --device cpu --seeds 1 --streams 1 --bytes 32 --text"
    monkeypatch.setattr("sys.argv", [*few.split(), text, *words.split()])
    with pytest.raises(SystemExit) as left:
        committee_quality.main()
    assert said in f"{left.value} {capsys.readouterr().err}"


def test_real_committees_from_the_command_line(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = _few(30)
    monkeypatch.setattr(run_committee, "profiled", lambda: few)
    monkeypatch.setattr(committee_plans, "PERIODS", (1, 8))
    monkeypatch.chdir(tmp_path)
    words = "run_committee.py --tokens 8 --warm-up 9 --repeats 1 --shares 0.3"
    monkeypatch.setattr("sys.argv", [*words.split(), "--text", text])
    run_committee.main()
    lines = capsys.readouterr().out.splitlines()
    assert "8 bytes of held-out text one by one, after 9 that do not count" in lines[1]
    rows = [line.rsplit(maxsplit=7) for line in lines if "%" in line]
    loss = {row[0].strip(): float(row[5]) for row in rows}
    # On demand the outputs are those of the model.
    assert loss["30%  on demand, lru"] == loss["100%  original"]
    assert [row[0].split(maxsplit=1)[1] for row in rows[2:]] == [
        "pruned, frequency",
        "paper",
        "ours",
    ]
    assert lines[-1].startswith("latency of committees, least: ")
    # The folder of the experts' file is gone.
    assert [path.name for path in tmp_path.iterdir()] == ["text.npz"]
