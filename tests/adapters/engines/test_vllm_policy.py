"""vLLM's policy by the contract of vLLM's call, without vLLM."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pytest

from moeopt.adapters.engines import vllm_policy
from moeopt.adapters.engines.eplb import rebalance_experts
from moeopt.adapters.engines.vllm_limits import Limits
from moeopt.adapters.engines.vllm_policy import Policy, Sizes, rebalance
from moeopt.bench.balance import device_loads, imbalance
from moeopt.core.errors import InstanceError
from moeopt.transfers.migration import moves_between

Table = npt.NDArray[np.int64]
Loads = npt.NDArray[np.float64]

#: Experts, slots, groups, nodes and ranks; the last is spread over nodes by groups.
SHAPES = {
    "plain": (16, Sizes(24, 1, 1, 4)),
    "no redundant slot": (16, Sizes(16, 1, 1, 4)),
    "one rank": (6, Sizes(9, 1, 1, 1)),
    "groups that nodes do not divide": (12, Sizes(16, 3, 2, 4)),
    "groups on nodes": (16, Sizes(24, 4, 2, 4)),
}

#: As far as it goes, whatever it gains.
ALL = Limits(least_gain=0.0)


@pytest.fixture(params=SHAPES, ids=lambda name: name.replace(" ", "-"))
def shape(request: pytest.FixtureRequest) -> tuple[int, Sizes]:
    return SHAPES[request.param]


@pytest.fixture(autouse=True)
def _say_again() -> None:
    vllm_policy._SAID.clear()


def drawn(experts: int, seed: int = 0, layers: int = 3) -> Loads:
    return np.ceil(100 * np.random.default_rng(seed).lognormal(0.0, 1.0, (layers, experts)))


def first_map(experts: int, sizes: Sizes, layers: int = 3) -> Table:
    """Return the map that vLLM starts with."""
    return np.tile(np.arange(sizes.slots) % experts, (layers, 1))


def planned(loads: Loads, sizes: Sizes) -> Table:
    table: Table = rebalance_experts(loads, sizes.slots, sizes.groups, sizes.nodes, sizes.ranks)[0]
    return table


def spread(table: Table, loads: Loads, sizes: Sizes) -> float:
    return float(imbalance(device_loads(table, loads, sizes.ranks)).mean())


def heat(table: Table, loads: Loads, sizes: Sizes) -> float:
    """Return the largest loads of all layers."""
    return float(device_loads(table, loads, sizes.ranks).max(axis=1).sum())


def transfers(old: Table, new: Table, sizes: Sizes) -> int:
    slots = sizes.slots_per_rank
    return sum(len(moves_between(a, b, slots)[0]) for a, b in zip(old, new, strict=True))


def assert_servable(table: Table, experts: int, sizes: Sizes) -> None:
    assert table.shape[1] == sizes.slots
    assert table.dtype == np.int64
    assert table.flags.c_contiguous
    for row in table:
        assert set(row.tolist()) == set(range(experts))


def assert_grouped(table: Table, experts: int, sizes: Sizes) -> None:
    nodes = np.arange(sizes.slots) // (sizes.slots // sizes.nodes)
    for row in table:
        groups = row // (experts // sizes.groups)
        assert len(set(zip(groups.tolist(), nodes.tolist(), strict=True))) == sizes.groups


def test_every_rank_holds_every_expert_it_should(shape: tuple[int, Sizes]) -> None:
    experts, sizes = shape
    loads = drawn(experts)
    for old in (None, first_map(experts, sizes), planned(drawn(experts, seed=1), sizes)):
        new = rebalance(loads, sizes, old)
        assert_servable(new, experts, sizes)
        if sizes.group_nodes > 1:
            assert_grouped(new, experts, sizes)


def test_it_is_never_worse_than_the_plan_in_force(shape: tuple[int, Sizes]) -> None:
    experts, sizes = shape
    loads = drawn(experts)
    old = planned(drawn(experts, seed=1), sizes)
    full = rebalance(loads, sizes, old, ALL)
    assert spread(full, loads, sizes) <= spread(old, loads, sizes)
    # Within what EPLB from scratch reaches, for fewer transfers.
    fresh = planned(loads, sizes)
    assert spread(full, loads, sizes) <= spread(fresh, loads, sizes) * 1.001
    assert transfers(old, full, sizes) <= transfers(old, fresh, sizes)


@pytest.mark.parametrize("budget", [0.0, 1.0, 2.5])
def test_transfers_stay_within_their_limit(shape: tuple[int, Sizes], budget: float) -> None:
    experts, sizes = shape
    loads = drawn(experts)
    old = planned(drawn(experts, seed=1), sizes)
    new = rebalance(loads, sizes, old, Limits(transfers_per_layer=budget, least_gain=0.0))
    assert transfers(old, new, sizes) <= budget * len(loads)
    if sizes.ranks > 1 and budget:
        assert spread(new, loads, sizes) < spread(old, loads, sizes)
    if not budget:
        # Copies may be given up for others on their own rank, which costs nothing.
        assert spread(new, loads, sizes) <= spread(old, loads, sizes)


def test_no_more_is_moved_than_the_target_needs() -> None:
    experts, sizes = SHAPES["plain"]
    loads, old = drawn(experts), planned(drawn(experts, seed=1), sizes)
    full = rebalance(loads, sizes, old, ALL)
    halfway = (spread(old, loads, sizes) + spread(full, loads, sizes)) / 2
    new = rebalance(loads, sizes, old, Limits(target_imbalance=halfway, least_gain=0.0))
    assert spread(full, loads, sizes) < spread(new, loads, sizes) <= halfway
    assert 0 < transfers(old, new, sizes) < transfers(old, full, sizes)


def test_a_layer_near_the_target_is_left_alone() -> None:
    """The first layer is uneven by 1.08; a target of 1.2 leaves what is below 1.1."""
    loads = np.array([[300.0, 240.0, 250.0, 210.0], [2.0, 2.0, 0.0, 0.0]])
    old = first_map(4, Sizes(4, 1, 1, 2), layers=2)
    near = rebalance(loads, Sizes(4, 1, 1, 2), old, Limits(target_imbalance=1.2))
    assert (near[0] == old[0]).all()
    assert imbalance(device_loads(near, loads, 2)).tolist() == pytest.approx([1.08, 1.0])
    assert (rebalance(loads, Sizes(4, 1, 1, 2), old, ALL)[0] != old[0]).any()


def test_a_gain_below_the_threshold_changes_nothing() -> None:
    experts, sizes = SHAPES["plain"]
    before = drawn(experts)
    old = rebalance(before, sizes, planned(before, sizes), ALL)
    barely = before * np.random.default_rng(2).uniform(0.999, 1.001, before.shape)
    assert (rebalance(barely, sizes, old) == old).all()
    changed = drawn(experts, seed=5)
    gain = 1.0 - heat(rebalance(changed, sizes, old, ALL), changed, sizes) / heat(
        old, changed, sizes
    )
    kept = rebalance(changed, sizes, old, Limits(least_gain=min(1.0, gain + 0.05)))
    assert (kept == old).all()
    assert (rebalance(changed, sizes, old, Limits(least_gain=gain / 2)) != old).any()


def test_experts_that_stay_keep_their_slots(shape: tuple[int, Sizes]) -> None:
    experts, sizes = shape
    old = planned(drawn(experts, seed=1), sizes)
    new = rebalance(drawn(experts), sizes, old)
    before = old.reshape(-1, sizes.slots_per_rank)
    for row, held in zip(new.reshape(before.shape), before, strict=True):
        moved = row != held
        # An expert off its slot has another of its slots, or is more often there than before.
        for expert in set(row[moved].tolist()) & set(held.tolist()):
            assert (row == expert).sum() > (held == expert).sum() or not (held == expert)[
                moved
            ].any()


def test_without_load_nothing_changes(shape: tuple[int, Sizes]) -> None:
    experts, sizes = shape
    zero = np.zeros((3, experts))
    old = planned(drawn(experts), sizes)
    assert (rebalance(zero, sizes, old) == old).all()
    some = drawn(experts, seed=3)
    some[1] = 0
    assert (rebalance(some, sizes, old)[1] == old[1]).all()
    assert_servable(rebalance(zero, sizes, None), experts, sizes)


def test_a_plan_against_the_group_rule_is_made_anew_and_kept_from_then_on() -> None:
    experts, sizes = SHAPES["groups on nodes"]
    loads, old = drawn(experts), first_map(experts, sizes)
    first = rebalance(loads, sizes, old, Limits(transfers_per_layer=0))
    assert_grouped(first, experts, sizes)
    # Ranks and nodes are numbered so that more stays than in a plan from nothing.
    assert 0 < transfers(old, first, sizes) < transfers(old, planned(loads, sizes), sizes)
    again = rebalance(drawn(experts, seed=4), sizes, first, Limits(transfers_per_layer=1))
    assert_grouped(again, experts, sizes)
    assert transfers(first, again, sizes) <= len(loads)


def test_a_layer_that_lacks_an_expert_is_made_anew_alone() -> None:
    experts, sizes = SHAPES["plain"]
    loads, old = drawn(experts), planned(drawn(experts), sizes)
    broken = old.copy()
    broken[1, broken[1] == 3] = 4
    new = rebalance(loads, sizes, broken, Limits(transfers_per_layer=0, least_gain=1.0))
    assert_servable(new, experts, sizes)
    assert (new[[0, 2]] == old[[0, 2]]).all()


def test_ranks_that_come_are_filled_and_the_others_keep_what_they_can() -> None:
    experts, sizes = 16, Sizes(36, 1, 1, 6)
    loads = drawn(experts)
    old = np.full((3, 36), -1)
    old[:, :24] = planned(loads, Sizes(24, 1, 1, 4))
    new = rebalance(loads, sizes, old)
    assert_servable(new, experts, sizes)
    fresh = planned(loads, sizes)
    assert transfers(old, new, sizes) <= transfers(old, fresh, sizes)
    assert_servable(rebalance(0 * loads, sizes, old), experts, sizes)
    # A map that has not been widened yet is the same.
    assert (rebalance(loads, sizes, old[:, :24]) == new).all()


def test_ranks_that_go_take_nothing_with_them() -> None:
    experts, sizes = 16, Sizes(18, 1, 1, 3)
    loads = drawn(experts)
    old = planned(loads, Sizes(24, 1, 1, 4))
    new = rebalance(loads, sizes, old)
    assert_servable(new, experts, sizes)


@pytest.mark.parametrize(
    "old",
    [np.zeros((2, 24), dtype=np.int64), np.zeros(24, dtype=np.int64), np.full((3, 7), 1)],
    ids=["other layers", "one axis", "other slots"],
)
def test_a_map_of_another_shape_is_no_plan(old: Table) -> None:
    experts, sizes = SHAPES["plain"]
    loads = drawn(experts)
    assert (rebalance(loads, sizes, old) == rebalance(loads, sizes, None)).all()


@pytest.mark.parametrize("entry", [99, -5, -99])
def test_entries_that_are_no_expert_are_empty_slots(entry: int) -> None:
    experts, sizes = SHAPES["plain"]
    old = planned(drawn(experts), sizes)
    empty = old.copy()
    old[0, 0], empty[0, 0] = entry, -1
    new = rebalance(drawn(experts), sizes, old)
    assert_servable(new, experts, sizes)
    assert (new == rebalance(drawn(experts), sizes, empty)).all()


def test_two_copies_on_a_rank_are_a_plan_like_any_other() -> None:
    loads = np.array([[8.0, 1.0, 1.0, 1.0]])
    old = np.array([[0, 0, 1, 2, 3, 1]])
    new = rebalance(loads, Sizes(6, 1, 1, 2), old)
    # A copy of the hot expert for the other rank: 5.5 each, and one transfer is enough.
    assert imbalance(device_loads(new, loads, 2)).tolist() == [1.0]


def test_loads_that_are_no_loads_count_as_none(caplog: pytest.LogCaptureFixture) -> None:
    experts, sizes = SHAPES["plain"]
    old = planned(drawn(experts), sizes)
    loads = drawn(experts)
    loads[0, :3] = -5, np.nan, np.inf
    clean = np.where(np.isfinite(loads) & (loads > 0), loads, 0)
    with caplog.at_level(logging.WARNING, "vllm.moeopt"):
        for _ in range(2):
            assert (rebalance(loads, sizes, old) == rebalance(clean, sizes, old)).all()
    assert [record.getMessage() for record in caplog.records] == [
        "moeopt: some loads are negative or no numbers; they count as 0"
    ]


def test_tensors_in_and_out() -> None:
    torch = pytest.importorskip("torch")
    experts, sizes = SHAPES["plain"]
    loads, old = drawn(experts), first_map(experts, sizes)
    arguments = (sizes.slots, sizes.groups, sizes.nodes, sizes.ranks)
    policy = Policy(Limits())
    right = policy.rebalance_experts(loads, *arguments, old)
    for weight in (torch.from_numpy(loads).long(), torch.from_numpy(loads).int()):
        answer = policy.rebalance_experts(weight, *arguments, torch.from_numpy(old))
        assert answer.dtype == torch.int64
        assert answer.device.type == "cpu"
        assert (answer.numpy() == right).all()
    half = policy.rebalance_experts(torch.from_numpy(loads).bfloat16(), *arguments)
    assert_servable(half.numpy(), experts, sizes)


def test_what_it_cannot_answer_goes_to_the_next_policy(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*arguments: object) -> None:
        raise ValueError("no front")

    experts, sizes = SHAPES["plain"]
    loads = drawn(experts)
    arguments = (sizes.slots, sizes.groups, sizes.nodes, sizes.ranks)
    monkeypatch.setattr(vllm_policy, "_improved", fail)
    policy = Policy(Limits(), lambda *given: given)
    old = first_map(experts, sizes)
    with caplog.at_level(logging.WARNING, "vllm.moeopt"):
        for _ in range(2):
            answer = policy.rebalance_experts(loads, *arguments, old)
            assert (answer == planned(loads, sizes)).all()
    assert len(caplog.records) == 1
    assert "no front" in caplog.text
    # A plan that lacks an expert would stop the engine.
    monkeypatch.setattr(vllm_policy, "_improved", lambda loads, before, *_: 0 * before)
    assert (policy.rebalance_experts(loads, *arguments, old) == planned(loads, sizes)).all()
    # Five slots on two ranks: only vLLM's own may know what to do.
    odd = (np.ones((1, 4)), 5, 1, 1, 2, None)
    assert policy.rebalance_experts(*odd) == odd
    with pytest.raises(InstanceError, match="num_replicas"):
        Policy(Limits()).rebalance_experts(*odd)


def test_a_lack_of_memory_on_one_rank_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise MemoryError

    monkeypatch.setattr(vllm_policy, "rebalance", fail)
    with pytest.raises(MemoryError):
        Policy(Limits(), lambda *given: given).rebalance_experts(np.ones((1, 4)), 4, 1, 1, 2)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("TRANSFERS_PER_LAYER", "-1", ">= 0"),
        ("TRANSFERS_PER_LAYER", "many", "must be a number >= 0"),
        ("TARGET_IMBALANCE", "0.9", ">= 1"),
        ("TARGET_IMBALANCE", "inf", "must be a number"),
        ("LEAST_GAIN", "5", "<= 1"),
        ("LEAST_GAIN", "nan", "must be a number"),
        ("TRANSFERS", "16", "must be one of MOEOPT_VLLM_TRANSFERS_PER_LAYER"),
    ],
)
def test_a_wrong_variable_is_refused_in_one_sentence(name: str, value: str, rule: str) -> None:
    with pytest.raises(InstanceError) as refused:
        Limits.from_environment({f"MOEOPT_VLLM_{name}": value, "HOME": "elsewhere"})
    said = str(refused.value)
    assert f"MOEOPT_VLLM_{name}" in said
    assert rule in said
    assert "\n" not in said


def test_variables_are_read() -> None:
    assert Limits.from_environment({"PATH": "x"}) == Limits()
    given = {"TRANSFERS_PER_LAYER": "16", "TARGET_IMBALANCE": "1.05", "LEAST_GAIN": "0.02"}
    read = Limits.from_environment({f"MOEOPT_VLLM_{name}": text for name, text in given.items()})
    assert read == Limits(16.0, 1.05, 0.02)


RANK = """
import numpy as np
from moeopt.adapters.engines.vllm_limits import Limits
from moeopt.adapters.engines.vllm_policy import Policy

loads = np.ceil(100 * np.random.default_rng(0).lognormal(0, 1, (4, 64)))
policy, old = Policy(Limits(transfers_per_layer=6)), None
for step in range(3):
    old = policy.rebalance_experts(np.roll(loads, step, axis=1), 80, 1, 1, 8, old)
    print(old.tolist())
"""


def test_two_ranks_agree(capsys: pytest.CaptureFixture[str]) -> None:
    """As two ranks: this process, and one with another hash seed and other threads."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    other = {"PYTHONPATH": path, "PYTHONHASHSEED": "2", "OMP_NUM_THREADS": "2"}
    if os.environ.get("PYTHONHASHSEED") == other["PYTHONHASHSEED"]:
        other["PYTHONHASHSEED"] = "1"
    rank = subprocess.run(
        [sys.executable, "-c", RANK],
        env={**os.environ, **other},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=120,
    )
    exec(RANK, {})
    assert capsys.readouterr().out == rank.stdout
    assert len(set(rank.stdout.splitlines())) == 3
