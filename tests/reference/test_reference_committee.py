"""Committees on the reference model: gates among residents, schedulers, streams, the runtime."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from reference_parts import stretches

pytest.importorskip("torch")
pytest.importorskip("safetensors")

import torch
from cache_links import FileLink, packed, strip
from committee import Committee, Loader, serve
from committee_library import Library
from committee_schedulers import (
    Exchanges,
    LastPeriod,
    Memory,
    Remembering,
    best,
    mass_of,
)
from committee_streams import Pace, play
from device_cache import decode
from model import MASKED, Config, Gate, Gating, Model
from torch import Tensor

TOY = Config(layers=2, width=32, heads=2, experts=8, top_k=3, hidden=16, context=12)
TOKENS = torch.from_numpy(stretches("reference-held-out", 2)[:, :24].astype(np.int64))
NORMS = torch.ones(TOY.layers, TOY.experts)
PRIOR = torch.rand(TOY.layers, TOY.experts, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def toy() -> Model:
    torch.manual_seed(0)
    return Model(TOY).eval().requires_grad_(False)


@pytest.fixture
def link(toy: Model, tmp_path: Path) -> Iterator[FileLink]:
    link = FileLink(packed(toy), TOY.width, 1, 9, tmp_path / "experts.bin")
    yield link
    link.close()


def _members(*slots: int, rows: int = 1) -> Tensor:
    return best(PRIOR.expand(rows, -1, -1), torch.tensor([slots] * rows))


def _gate(gating: Gating, present: list[int]) -> tuple[Gate, Tensor]:
    """Return a gate whose logits are its input, of four experts, two for a token."""
    gate = Gate(Config(width=4, experts=4, top_k=2))
    gate.weight.data = torch.eye(4)
    gate.resident = torch.zeros(4, dtype=torch.bool)
    gate.resident[present] = True
    gate.most, gate.gating = min(2, len(present)), gating
    return gate, torch.tensor([[[3.0, 2.0, 1.0, 0.0]]])


def test_damped_weights_lie_between_those_of_residents_and_those_of_all() -> None:
    wanted = torch.tensor([3.0, 2.0]).softmax(0)
    for damping in (0.0, 0.5, 1.0):
        gate, x = _gate(Gating(damping), [1, 3])
        routing = gate(x)
        assert routing.ids.tolist() == [[[1, 3]]]
        alone = torch.tensor([2.0, 0.0]).softmax(0)
        beside = wanted[1] * torch.tensor([0.0, -2.0]).exp()
        expected = alone ** (1 - damping) * beside**damping
        torch.testing.assert_close(routing.weights[0, 0], expected)
        assert routing.logits.tolist() == x.tolist()


def test_without_substitutes_what_is_absent_is_skipped() -> None:
    gate, x = _gate(Gating(1.0, 0.0), [1, 3])
    wanted = torch.tensor([3.0, 2.0]).softmax(0)
    torch.testing.assert_close(gate(x).weights[0, 0], torch.tensor([float(wanted[1]), 0.0]))
    gate, x = _gate(Gating(0.0, 0.0), [2, 3])
    assert gate(x).weights.tolist() == [[[0.0, 0.0]]]
    gate, x = _gate(Gating(1.0, 1.0), [2, 3])
    near = float(torch.tensor(1.0 - np.logaddexp(3.0, 2.0)).exp())
    torch.testing.assert_close(gate(x).weights[0, 0], torch.tensor([near, 0.0]))


def test_with_all_resident_no_gating_changes_anything(toy: Model) -> None:
    expected, *_ = toy(TOKENS[:, :12])
    everything = torch.ones(TOY.layers, TOY.experts, dtype=torch.bool)
    for gating in (MASKED, Gating(0.6), Gating(0.3, 0.0)):
        toy.set_resident(everything, gating)
        found, *_ = toy(TOKENS[:, :12])
        torch.testing.assert_close(found, expected)


def test_each_sequence_has_residents_of_its_own(toy: Model) -> None:
    apart = torch.stack((_members(3, 4)[0], _members(5, 2)[0]), 1)
    toy.set_resident(apart, Gating(0.6))
    together, *_ = toy(TOKENS[:, :12])
    for row in range(2):
        toy.set_resident(apart[:, row])
        alone, *_ = toy(TOKENS[row : row + 1, :12])
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=1e-5)


def test_mass_is_that_of_the_unmasked_gate(toy: Model) -> None:
    _, routings, _ = toy(TOKENS[:, :12])
    mass = mass_of([routing.logits for routing in routings], TOY.top_k)
    expected = torch.zeros_like(mass)
    for layer, routing in enumerate(routings):
        for row, ids, weights in zip(range(2), routing.ids, routing.weights, strict=True):
            expected[row, layer].index_add_(0, ids.flatten(), weights.flatten())
    torch.testing.assert_close(mass, expected)


def _asked(found: Exchanges, row: int = 0) -> list[tuple[int, int]]:
    count = int(found.count[row])
    coming, going = found.incoming[row, :count], found.outgoing[row, :count]
    return list(zip(coming.tolist(), going.tolist(), strict=True))


def test_the_paper_s_target_is_what_weighed_most_in_the_last_period() -> None:
    slots, resident = torch.tensor([[2, 1], [2, 1]]), torch.zeros(2, 2, 4, dtype=torch.bool)
    resident[:, 0, :2] = resident[:, 1, 0] = True
    scheduler = LastPeriod(slots, torch.ones(2, 4), torch.tensor([1, 2]))
    scheduler.observe(torch.tensor([[[1.0, 0, 3, 2], [0, 0, 0, 9]]] * 2))
    found = scheduler.exchanges(resident)
    # The best to come for the worst to go; what gains most first; the second is not due yet.
    assert _asked(found) == [(4 + 3, 4), (2, 1), (3, 0)]
    assert _asked(found, 1) == []
    scheduler.observe(torch.tensor([[[0.0, 9, 0, 0], [5, 0, 0, 0]]] * 2))
    found = scheduler.exchanges(resident)
    assert _asked(found) == []
    assert _asked(found, 1) == [(4 + 3, 4), (2, 0)]
    # What was summed is forgotten with its period.
    scheduler.observe(torch.zeros(2, 2, 4))
    assert _asked(scheduler.exchanges(resident), 1) == [(4 + 3, 4), (2, 0)]


def test_ours_remembers_and_asks_for_what_is_worth_a_load() -> None:
    slots, prior = torch.tensor([[1]]), torch.tensor([[0.5, 0.3, 0.2]])
    resident = torch.tensor([[[True, False, False]]])
    memory = Memory(half_life=4.0, prior_weight=1.0, margin=0.6)
    scheduler = Remembering(slots, torch.ones(1, 3), prior, 4, memory)
    # Half of the window's mean and the prior: 0.5 and 0.3 + 0.5 * 0.7, a mean expert has 1 / 3.
    scheduler.observe(torch.tensor([[[0.0, 2.8, 1.2]]]))
    assert _asked(scheduler.exchanges(resident)) == []
    scheduler.observe(torch.tensor([[[0.0, 2.8, 1.2]]]))
    assert _asked(scheduler.exchanges(resident)) == [(1, 0)]
    # Half of it has faded by the next.
    scheduler.observe(torch.tensor([[[4.0, 0.0, 0.0]]]))
    assert _asked(scheduler.exchanges(resident)) == []


def test_the_library_s_paper_is_this_one() -> None:
    slots = torch.tensor([[3, 4], [5, 1]])
    library = Library(slots, NORMS, PRIOR, window=4, loads=99.0, rule="paper")
    ours = LastPeriod(slots, NORMS, torch.tensor([1, 1]))
    resident = best(PRIOR.expand(2, -1, -1), slots)
    same = resident.clone()
    for mass in torch.rand(6, 2, *NORMS.shape, generator=torch.Generator().manual_seed(2)):
        for scheduler, members in ((library, resident), (ours, same)):
            scheduler.observe(mass)
            found = scheduler.exchanges(members)
            for row in range(2):
                for coming, going in _asked(found, row):
                    members[row].view(-1)[[going, coming]] = torch.tensor([False, True])
        assert torch.equal(resident, same)
        assert torch.equal(resident.sum(-1), slots)


class _Asks:
    """Asks for the same exchanges after every window, those that are still to be made."""

    def __init__(self, pairs: list[tuple[int, int]]) -> None:
        self.pairs = pairs
        self.seen: list[Tensor] = []

    def observe(self, mass: Tensor) -> None:
        self.seen.append(mass)

    def exchanges(self, resident: Tensor) -> Exchanges:
        items = resident[0].numel()
        flat = resident[0].flatten()
        due = [(coming, going) for coming, going in self.pairs if not flat[coming]]
        rows = [
            named + [item for item in range(items) if item not in named]
            for named in ([pair[0] for pair in due], [pair[1] for pair in due])
        ]
        coming, going = (torch.tensor([row] * len(resident)) for row in rows)
        return Exchanges(coming, going, torch.tensor([len(due)] * len(resident)))


def test_streams_exchange_a_window_later_and_no_more_than_the_link_carries(toy: Model) -> None:
    first = _members(4, 4)
    absent = (~first[0]).flatten().nonzero()[:3, 0].tolist()
    there = first[0].flatten().nonzero()[:3, 0].tolist()
    pairs = list(zip(absent, there, strict=True))
    asks, pace = _Asks(pairs), Pace(window=4, loads=1.5)
    found = play(toy, TOKENS[:1], first, asks, Gating(0.6), pace)
    # One, then two of what is left: 1 + 2 of six windows.
    assert found.loads.tolist() == [3 / 6]
    logits, members, past = [], first[0].clone(), None
    for window in range(6):
        if window % 3 == 0:
            past = None
        if window == 2:
            members.view(-1)[[pairs[0][1], pairs[0][0]]] = torch.tensor([False, True])
        if window == 3:
            for coming, going in pairs[1:]:
                members.view(-1)[[going, coming]] = torch.tensor([False, True])
        toy.set_resident(members, Gating(0.6))
        some, _, past = toy(TOKENS[:1, 4 * window : 4 * window + 4], past)
        logits.append(some)
    told = [k for k in range(23) if k % 12 != 11]
    whole = torch.cat(logits, 1)[0]
    loss = torch.nn.functional.cross_entropy(whole[told], TOKENS[0, 1:][told])
    torch.testing.assert_close(found.loss, loss[None])
    assert torch.stack(asks.seen).sum((2, 3)).allclose(torch.tensor(4.0 * TOY.layers))
    with pytest.raises(ValueError, match="whole windows"):
        play(toy, TOKENS[:1, :23], first, asks, pace=pace)


def test_a_committee_that_stays_is_the_model_with_these_residents(
    toy: Model, link: FileLink
) -> None:
    toy.set_resident(_members(4, 3)[0], Gating(0.6))
    expected, _ = decode(toy, TOKENS[0])
    toy.set_resident(None)
    strip(toy)
    committee = Committee(toy, link, _members(4, 3)[0], None, Gating(0.6), Pace(4, 2.0), 0)
    with committee.serving():
        found, begun = serve(committee, TOKENS[0])
    assert len(begun) == 24
    assert "fetch" not in vars(toy.layers()[0].experts)
    assert torch.equal(found, expected)
    assert not committee.arrived


class _HeldLink(FileLink):
    """Transfers end only when they may."""

    let = threading.Event()

    def wait(self, slot: int) -> None:
        assert self.let.wait(10)
        super().wait(slot)


def test_a_newcomer_is_masked_until_all_its_bytes_are_there(toy: Model, tmp_path: Path) -> None:
    first = _members(4, 4)[0]
    coming, going = (int(some.flatten().nonzero()[0, 0]) for some in (~first, first))
    after = first.clone()
    after.view(-1)[[going, coming]] = torch.tensor([False, True])
    expected = []
    for residents in (first, after):
        toy.set_resident(residents, Gating(0.6))
        expected.append(decode(toy, TOKENS[0, :12])[0])
    toy.set_resident(None)
    link = _HeldLink(packed(toy), TOY.width, 1, 16, tmp_path / "experts.bin")
    strip(toy)
    link.let.set()
    committee = Committee(toy, link, first, _Asks([(coming, going)]), Gating(0.6), Pace(4, 2.0))
    link.let.clear()
    with committee.serving():
        found, _ = serve(committee, TOKENS[0, :12])
        # Asked for after four tokens, into the only spare slot, from which nobody serves.
        assert committee.goes == {coming: going}
        assert (8 in committee.slot_of.values(), committee.spare) == (False, [])
        link.let.set()
    assert torch.equal(found, expected[0])
    # What was on its way at the end serves in what follows.
    assert torch.equal(committee.resident, after)
    assert (committee.goes, len(committee.arrived)) == ({}, 1)
    with committee.serving():
        found, _ = serve(committee, TOKENS[0, :12])
    assert torch.equal(found, expected[1])
    link.close()


def test_experts_come_beside_the_computation_and_no_slot_is_read_that_is_written(
    toy: Model, link: FileLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _members(4, 4)[0]
    absent = (~first).flatten().nonzero()[:3, 0].tolist()
    there = first.flatten().nonzero()[:3, 0].tolist()
    experts, read = packed(toy), link.matrices

    def checked(slot: int) -> tuple[Tensor, Tensor]:
        assert slot not in link.due
        w_in, w_out = read(slot)
        item = next(item for item, at in committee.slot_of.items() if at == slot)
        assert torch.equal(torch.cat((w_in.flatten(), w_out.flatten())), experts[item])
        return w_in, w_out

    strip(toy)
    asks = _Asks(list(zip(absent, there, strict=True)))
    committee = Committee(toy, link, first, asks, Gating(0.6), Pace(1, 1.0))
    monkeypatch.setattr(link, "matrices", checked)
    with committee.serving():
        logits, begun = serve(committee, TOKENS[0])
        while committee.goes or committee.due:
            committee.step([torch.zeros(1, 1, TOY.experts)] * TOY.layers)
    assert logits.isfinite().all()
    assert begun == sorted(begun)
    after = first.clone()
    after.view(-1)[there], after.view(-1)[absent] = False, True
    assert torch.equal(committee.resident, after)
    assert set(committee.slot_of) == set(after.flatten().nonzero()[:, 0].tolist())
    assert sorted([*committee.slot_of.values(), *committee.spare]) == list(range(9))


def test_exchanges_need_a_spare_slot(toy: Model, link: FileLink) -> None:
    with pytest.raises(ValueError, match="spare"):
        Committee(toy, link, _members(5, 4)[0], _Asks([]), MASKED, Pace(4, 2.0), 0)
    with pytest.raises(ValueError, match="too few"):
        Committee(toy, link, _members(5, 4)[0], _Asks([]), MASKED, Pace(4, 2.0))


def test_a_transfer_that_fails_is_told_of_at_the_end(
    toy: Model, link: FileLink, tmp_path: Path
) -> None:
    first = _members(4, 4)[0]
    coming, going = (int(some.flatten().nonzero()[0, 0]) for some in (~first, first))
    strip(toy)
    committee = Committee(toy, link, first, _Asks([(coming, going)]), MASKED, Pace(4, 2.0))
    os.truncate(tmp_path / "experts.bin", 0)
    with pytest.raises(OSError, match="shorter"), committee.serving():
        # Asked for after the last token.
        serve(committee, TOKENS[0, :4])
    assert "fetch" not in vars(toy.layers()[0].experts)


def test_what_goes_wrong_in_the_background_is_told(link: FileLink) -> None:
    loader = Loader(link)
    loader.ask((0, 99))
    loader.stop()
    with pytest.raises(OSError, match="shorter"):
        list(loader.arrived())
