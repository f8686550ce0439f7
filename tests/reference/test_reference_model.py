"""The reference model: the shipped weights, and what others change in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reference_parts import FOLDER, SHIPPED, reference, stretches, trace

pytest.importorskip("torch")
pytest.importorskip("safetensors")

import check
import data
import record
import torch
import weights
from model import Config, Model
from torch import Tensor

from moeopt.library import trace_path
from moeopt.traces import read_trace, write_trace

TOY = Config(layers=2, width=32, heads=2, experts=8, top_k=3, hidden=16, context=48)

#: How many stretches of the held-out trace are run again.
SEQUENCES = 2


@pytest.fixture(scope="module")
def shipped() -> Model:
    return weights.load(SHIPPED / "weights.safetensors")


@pytest.fixture
def toy() -> Model:
    torch.manual_seed(0)
    return Model(TOY).eval().requires_grad_(False)


def _tokens(sequences: int = 2) -> Tensor:
    return torch.from_numpy(stretches("reference-held-out", sequences)).long()[:, : TOY.context]


def test_shipped_weights_route_and_predict_as_recorded(shipped: Model) -> None:
    before, known = trace("reference-held-out"), reference()
    found, losses = record.record(shipped, stretches("reference-held-out", SEQUENCES))
    assert losses == pytest.approx(
        known["traces"]["reference-held-out"]["losses"][:SEQUENCES], abs=check.TOLERANCE
    )
    ids = before.expert_ids[: found.num_tokens]
    assert (found.expert_ids == ids).mean() >= check.SAME
    same = (found.expert_ids == ids).all(axis=2)
    assert before.gate_weights is not None
    assert found.gate_weights is not None
    apart = found.gate_weights[same].astype(float) - before.gate_weights[: len(ids)][same]
    assert np.abs(apart).max() <= 2 / record.STEPS
    assert sum(p.numel() for p in shipped.parameters()) == known["runs"]["moe"]["parameters"]


def test_norms_are_those_of_the_weights(shipped: Model) -> None:
    found = record.norms(shipped)
    with np.load(trace_path("reference-norms"), allow_pickle=False) as file:
        assert set(file.files) == set(found)
        for name, norm in found.items():
            np.testing.assert_allclose(norm, file[name], rtol=1e-4)


def test_check_agrees_and_the_readme_shows_what_it_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    some = stretches("reference-train", 2).ravel()
    data.save(tmp_path / "text.npz", data.Text(some, some[:600], "0.0"))
    words = ["check.py", "--sequences", "1", "--text", str(tmp_path / "text.npz")]
    monkeypatch.setattr("sys.argv", words)
    assert check.main() == 0
    assert capsys.readouterr().out.rstrip().endswith("agrees")
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    missing = [line for line in check.recorded_figures(reference()) if line not in readme]
    assert not missing


def test_figures_that_differ_do_not_agree(
    shipped: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded = reference()["traces"]["reference-held-out"]
    assert check._trace_agrees(shipped, recorded, 1)
    wrong = {"losses": [loss + 0.01 for loss in recorded["losses"]]}
    assert not check._trace_agrees(shipped, wrong, 1)
    assert "choices of experts" in capsys.readouterr().out


def test_weights_come_back_rounded(toy: Model, tmp_path: Path) -> None:
    weights.save(tmp_path / "toy.safetensors", toy)
    again = weights.load(tmp_path / "toy.safetensors")
    assert again.config == TOY
    for name, tensor in toy.state_dict().items():
        limit = tensor.abs().amax(-2, keepdim=True) / 127
        assert ((again.state_dict()[name] - tensor).abs() <= limit).all(), name


def test_only_residents_are_chosen(toy: Model) -> None:
    resident = torch.zeros(TOY.layers, TOY.experts, dtype=torch.bool)
    resident[0, [1, 4, 5, 6]] = True
    resident[1, [2, 7]] = True
    toy.set_resident(resident)
    _, routings, _ = toy(_tokens())
    for layer, routing in enumerate(routings):
        assert resident[layer][routing.ids].all()
        assert torch.allclose(routing.weights.sum(-1), torch.ones(routing.weights.shape[:-1]))
    # Two residents: a token has no more than these.
    assert [routing.ids.shape[-1] for routing in routings] == [3, 2]
    toy.set_resident(None)
    _, free, _ = toy(_tokens())
    assert not resident[0][free[0].ids].all()


def test_every_chosen_expert_is_fetched_once_a_layer(toy: Model) -> None:
    expected, routings, _ = toy(_tokens())
    fetched: list[list[int]] = []
    for block in toy.layers():
        calls: list[int] = []

        def cached(expert: int, own=block.experts.fetch, calls=calls) -> tuple[Tensor, Tensor]:
            calls.append(expert)
            w_in, w_out = own(expert)
            return w_in.clone(), w_out.clone()

        block.experts.fetch = cached  # type: ignore[method-assign]
        fetched.append(calls)
    found, _, _ = toy(_tokens())
    assert torch.equal(found, expected)
    assert fetched == [sorted(set(routing.ids.flatten().tolist())) for routing in routings]


def test_all_experts_at_once_compute_the_same(toy: Model) -> None:
    expected, _, _ = toy(_tokens())
    toy.compute_together(True)
    found, _, _ = toy(_tokens())
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_going_on_from_the_past_is_the_same(toy: Model) -> None:
    tokens = _tokens()
    expected, routings, _ = toy(tokens, attend=True)
    parts, attended, past = [], [], None
    for begin, end in ((0, 1), (1, 2), (2, 20), (20, TOY.context)):
        logits, some, past = toy(tokens[:, begin:end], past, attend=True)
        parts.append(logits)
        attended.append(some[-1].attended)
    torch.testing.assert_close(torch.cat(parts, 1), expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(torch.cat(attended, 1), routings[-1].attended)


def test_a_recorded_trace_reads_as_one(toy: Model, tmp_path: Path) -> None:
    texts = stretches("reference-held-out", 3)[:, : TOY.context]
    found, losses = record.record(toy, texts, batch=2)
    write_trace(tmp_path / "toy.npz", found)
    again = read_trace(tmp_path / "toy.npz")
    assert again.expert_ids.shape == (3 * TOY.context, TOY.layers, TOY.top_k)
    assert again.num_experts == TOY.experts
    assert len(losses) == 3
    follow, apart = record.overlap(again)
    assert len(follow) == len(apart) == TOY.layers
    assert all(0 <= share <= 1 for share in follow + apart)


def test_parameters_are_counted_as_the_readme_says() -> None:
    assert TOY.active == 32 * (2 * 3 * 16 + 8)
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"{reference()['runs']['moe']['parameters'] / 1e6:.1f} million parameters" in readme
    experts = 8 * 64 * 2 * 160 * 40
    assert f"{experts / 1e6:.1f} million of them in the experts" in readme
    assert f"meets {reference()['runs']['dense']['parameters'] / 1e6:.1f} million" in readme
