"""The device cache of the reference model, filled from a file: what it does and in which order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from reference_parts import stretches

pytest.importorskip("torch")
pytest.importorskip("safetensors")

import cache_links
import run_cache
import torch
from cache_links import FileLink, Load, packed, strip
from cache_timing import LinkTimes, fit, observe, passes, predict
from device_cache import decode, script_of
from model import Config, Model

from moeopt.buffering.plan import BufferingPlan
from moeopt.buffering.problem import BufferingProblem
from moeopt.traces import RoutingTrace

TOY = Config(layers=2, width=32, heads=2, experts=8, top_k=3, hidden=16, context=12)
TOKENS = torch.from_numpy(stretches("reference-held-out", 1)[0, :20].astype(np.int64))

#: A model without its experts, its logits, what it asked for, and the experts.
Toy = tuple[Model, torch.Tensor, RoutingTrace, torch.Tensor]


class Told(FileLink):
    """A link that writes down what it is told, in order."""

    def __init__(self, experts: torch.Tensor, slots: int, path: Path) -> None:
        self.told: list[tuple[str, int]] = []
        super().__init__(experts, TOY.width, 2, slots, path)

    def request(self, loads: Sequence[Load], copies: int = 0) -> None:
        self.told += [("ask", slot) for slot, _ in loads]
        super().request(loads, copies)

    def wait(self, slot: int) -> None:
        self.told.append(("wait", slot))
        super().wait(slot)


@pytest.fixture
def toy() -> Toy:
    torch.manual_seed(0)
    model = Model(TOY).eval().requires_grad_(False)
    logits, routings = decode(model, TOKENS)
    experts = packed(model)
    strip(model)
    return model, logits, run_cache.trace_of(model, routings), experts


@pytest.fixture
def link(toy: Toy, tmp_path: Path) -> Iterator[Told]:
    link = Told(toy[3], 16, tmp_path / "experts.bin")
    yield link
    link.close()


def _plan(**events: Sequence[int]) -> BufferingPlan:
    names = ("load_at", "load_item", "drop_at", "drop_item")
    return BufferingPlan(
        capacity=np.array([2]), **{name: np.array(events[name], np.int64) for name in names}
    )


def _problem(groups: Sequence[Sequence[int]]) -> BufferingProblem:
    return BufferingProblem(
        experts=4,
        active=np.concatenate(groups),
        starts=np.concatenate(([0], np.cumsum([len(group) for group in groups]))),
        slots=2,
    )


def test_a_slot_is_used_again_once_nothing_of_its_group_needs_it() -> None:
    plan = _plan(
        load_at=[0, 1, 2, 4], load_item=[0, 1, 2, 3], drop_at=[2, 4], drop_item=[0, 1]
    )  # fmt: skip
    script = script_of(_problem([[0, 1], [2, 1], [3]]), plan)
    assert script.slots == [0, 1, 0, 1, 1]
    assert script.loaded == [True, True, True, False, True]
    assert script.asked == {0: [(0, 0), (1, 1)], 2: [(0, 2)], 4: [(1, 3)]}
    assert script.num_slots == 2


def test_what_a_group_has_run_and_drops_needs_a_slot_beside_the_cache() -> None:
    plan = _plan(
        load_at=[0, 1, 2, 3], load_item=[0, 1, 2, 0], drop_at=[2, 3], drop_item=[0, 2]
    )  # fmt: skip
    script = script_of(_problem([[0, 1, 2], [0]]), plan)
    # The third expert is asked for while the first one's slot is still needed.
    assert script.slots[:3] == [0, 1, 2]
    assert script.asked[0] == [(0, 0), (1, 1), (2, 2)]
    assert script.num_slots == 3


def test_what_is_not_demand_paging_in_slots_is_refused() -> None:
    problem = _problem([[0]])
    plan = _plan(load_at=[0], load_item=[0], drop_at=[], drop_item=[])
    changed = BufferingProblem(
        experts=4, active=problem.active, starts=problem.starts, cache_bytes=2
    )
    with pytest.raises(ValueError, match="needs slots"):
        script_of(changed, plan)


@pytest.mark.parametrize("policy", ["lru", "inactive_lifo"])
@pytest.mark.parametrize("slots", [3, 5])
def test_logits_are_the_same_and_transfers_are_asked_for_by_group(
    toy: Toy,
    link: Told,
    policy: str,
    slots: int,
) -> None:
    model, expected, trace, _ = toy
    case = run_cache.case_of(trace, policy, slots)
    found = run_cache.run(model, TOKENS, case, link)
    assert torch.equal(found.logits, expected)
    assert found.seconds > found.cache.waited_s > 0

    script, told = case.script, []
    for begin, end in zip(case.problem.starts[:-1], case.problem.starts[1:], strict=True):
        places = [place for place in range(begin, end) if script.loaded[place]]
        told += [("ask", script.slots[place]) for place in places]
        told += [("wait", script.slots[place]) for place in places]
    assert link.told == told
    assert sum(script.loaded) == case.plan.load_item.size > TOY.layers * slots


def test_with_everything_resident_nothing_is_transferred(toy: Toy, link: Told) -> None:
    model, expected, trace, _ = toy
    case = run_cache.all_resident(trace)
    found = run_cache.run(model, TOKENS, case, link)
    assert torch.equal(found.logits, expected)
    items = TOY.layers * TOY.experts
    assert link.told == [(what, slot) for what in ("ask", "wait") for slot in range(items)]
    before_s, experts_s = passes(found.cache, case.problem, found.begin, found.end)
    assert before_s.shape == experts_s.shape == (TOY.layers,)
    whole = (before_s.sum() + experts_s.sum()) * case.problem.num_steps
    assert whole == pytest.approx(found.seconds)


def test_another_text_or_an_absent_expert_stops_the_run(toy: Toy, link: Told) -> None:
    model, _, trace, _ = toy
    case = run_cache.case_of(trace, "lru", 4)
    with pytest.raises(RuntimeError, match="not recorded"):
        run_cache.run(model, TOKENS + 1, case, link)
    with pytest.raises(RuntimeError, match="asked for less"):
        run_cache.run(model, TOKENS[:-1], case, link)
    late = {place: loads for place, loads in case.script.asked.items() if place}
    broken = replace(case, script=replace(case.script, asked=late))
    with pytest.raises(RuntimeError, match=r"reference 0, .* not there"):
        run_cache.run(model, TOKENS, broken, link)
    # The model is left without the cache.
    assert "fetch" not in vars(model.layers()[0].experts)


@pytest.mark.parametrize("direct", [True, False])
def test_a_file_gives_what_was_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, direct: bool
) -> None:
    if not direct:
        monkeypatch.setattr(
            cache_links, "_opened", lambda path: (os.open(path, os.O_RDONLY), False)
        )
    experts = torch.arange(3 * 2 * 32 * 16, dtype=torch.float32).view(3, -1)
    link = FileLink(experts, 32, 3, 2, tmp_path / "experts.bin")
    link.forget()
    link.request([(1, 2), (0, 1)])
    for slot, item in ((1, 2), (0, 1)):
        link.wait(slot)
        w_in, w_out = link.matrices(slot)
        assert w_in.shape == (32, 16)
        assert w_out.shape == (16, 32)
        assert torch.equal(torch.cat((w_in.flatten(), w_out.flatten())), experts[item])
        assert torch.equal(link.rows[slot][: 3 * 1024], experts[item].repeat(3))
    # One copy alone leaves the rest as it was.
    link.request([(1, 0)], copies=1)
    link.wait(1)
    assert torch.equal(link.rows[1][:1024], experts[0])
    assert torch.equal(link.rows[1][1024 : 3 * 1024], experts[2].repeat(2))
    os.truncate(tmp_path / "experts.bin", 100)
    link.request([(0, 2)])
    with pytest.raises(OSError, match="shorter"):
        link.wait(0)
    link.close()


def test_transfer_times_are_found_again() -> None:
    known = LinkTimes(latency_s=2e-5, each_s=5e-6, bytes_per_s=2e9)
    seconds = {
        (count, size): [known.latency_s + count * known.transfer_s(size)]
        for count in (1, 2, 4)
        for size in (10_000, 100_000)
    }
    found = fit(seconds)
    assert (found.latency_s, found.each_s) == pytest.approx((2e-5, 5e-6))
    assert found.bytes_per_s == pytest.approx(2e9)


def test_transfers_of_every_size_are_timed(toy: Toy, link: Told) -> None:
    computed: list[int] = []
    found = observe(link, 2, len(toy[3]), lambda: computed.append(1), seed=0, repeats=2)
    assert list(found) == [(n, 4096 * c) for c in (1, 2) for n in (1, 2, 4)]
    assert all(len(seconds) == 2 for seconds in found.values())
    assert len(computed) == 12


def test_what_comes_before_the_gate_hides_no_transfer() -> None:
    plan = _plan(
        load_at=[0, 1, 3], load_item=[0, 1, 2], drop_at=[3], drop_item=[0]
    )  # fmt: skip
    problem = _problem([[0, 1], [1, 2]])
    times = LinkTimes(latency_s=1.0, each_s=2.0, bytes_per_s=1.0)
    # Transfers keep the link for 2 + 1 seconds. The first two end 1 + 3 and 1 + 6 after their gate:
    # the device waits 4, computes 2, waits 1. The third ends 4 after its gate, 2 of it computed.
    found = predict(problem, plan, times, 1, np.array([10.0]), np.array([4.0]))
    assert found.stall_s == pytest.approx(4 + 1 + 2)
    assert found.total_s == pytest.approx(2 * 14 + 7)
    # Where nothing overlaps, every second counts.
    alone = predict(problem, plan, times, 1, np.array([14.0]), np.array([0.0]))
    assert alone.stall_s == pytest.approx(7 + 4)


def test_a_run_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = "run_cache.py --tokens 3 --repeats 1 --slots 8 --policy lru learned"
    monkeypatch.setattr("sys.argv", words.split())
    run_cache.main()
    lines = capsys.readouterr().out.splitlines()
    assert "3 tokens one by one; an expert of 53,248 bytes: 1 times its own 51,200" in lines
    rows = [line.split() for line in lines if line.startswith(("lru", "learned"))]
    assert [row[:2] for row in rows] == [["lru", "8"], ["learned", "8"]]
    assert lines[-1] == "logits of all runs: the same to the last bit"
    assert not list(tmp_path.iterdir())
