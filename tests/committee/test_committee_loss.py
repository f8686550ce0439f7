"""What absent experts cost: against loops over tokens, identities and properties."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from committee_oracle import drawn, loss_of, problem_of

from moeopt.committee import loss as loss_module
from moeopt.committee.loss import (
    own_experts,
    retained,
    swaps_of,
    table_of,
    total_loss,
    weights,
    window_losses,
)
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.arrays import BoolArray
from moeopt.core.errors import InstanceError

KINDS: dict[str, dict[str, Any]] = {
    "additive": {},
    "masked": {"loss": "masked"},
    "masked pairs": {"loss": "masked", "top_k": 2, "experts": 5},
    "masked by all": {"loss": "masked", "top_k": 4},
    "skip": {"loss": "skip"},
    "skip pairs": {"loss": "skip", "top_k": 2, "experts": 5, "tokens": 6},
    "skip of all": {"loss": "skip", "top_k": 3},
}


def masked(values: Any, **fields: Any) -> CommitteeProblem:
    """Return a problem of one window and one layer with these router values."""
    router = np.asarray(values, dtype=np.float64)[:, None, :]
    fields = {"loss": "masked", "budget_bytes": 9, **fields}
    return CommitteeProblem(experts=router.shape[2], router=router, **fields)


def committees(problem: CommitteeProblem, seed: int) -> BoolArray:
    """Return some residents of each window and layer."""
    shape = (problem.num_windows, problem.num_layers, problem.num_experts)
    return np.random.default_rng(seed).random(shape) < 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_losses_are_those_of_a_loop_over_tokens(kind: str) -> None:
    for seed in range(5):
        stated = drawn(seed, **KINDS[kind])
        there = committees(stated, seed)
        found = window_losses(stated, there)
        assert found.shape == there.shape[:2]
        for t, layer in np.ndindex(found.shape):
            residents = frozenset(np.flatnonzero(there[t, layer]).tolist())
            assert found[t, layer] == pytest.approx(loss_of(stated, t, layer, residents))


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_loses_everything_and_everybody_nothing(kind: str) -> None:
    stated = drawn(3, **KINDS[kind])
    nobody = np.zeros(committees(stated, 0).shape, dtype=np.bool_)
    assert not window_losses(stated, ~nobody).any()
    total = total_loss(stated)
    assert window_losses(stated, nobody).sum(axis=0) == pytest.approx(total)
    assert weights(stated).sum(axis=(0, 2)) == pytest.approx(total)


@pytest.mark.parametrize("kind", ["masked", "masked pairs", "skip pairs"])
def test_blocks_of_tokens_change_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stated = drawn(1, tokens=7, **{key: value for key, value in KINDS[kind].items()
                                   if key != "tokens"})  # fmt: skip
    there = committees(stated, 1)
    whole = window_losses(stated, there), weights(stated), total_loss(stated)
    cells = stated.layers * stated.experts
    for tokens in (1, 2, 5):
        monkeypatch.setattr(loss_module, "_BLOCK", tokens * cells)
        parts = window_losses(stated, there), weights(stated), total_loss(stated)
        for one, other in zip(whole, parts, strict=True):
            assert np.array_equal(one, other)


def test_losses_of_any_floats_are_never_negative_and_zero_if_nobody_is_missed() -> None:
    rng = np.random.default_rng(0)
    stated = masked(rng.random((200, 12)) ** 8, top_k=5)
    for count in range(13):
        there = np.zeros((1, 1, 12), dtype=np.bool_)
        there[0, 0, rng.permutation(12)[:count]] = True
        lost = window_losses(stated, there)[0, 0]
        assert lost >= 0
        assert stated.router is not None
        kept = retained(stated.router[:, 0], there[0, 0], 5)
        assert lost + kept == pytest.approx(total_loss(stated)[0])
    assert lost == 0


def test_masked_gating_of_one_token_by_hand() -> None:
    stated = masked([[1.0, 4.0, 3.0, 2.0]], top_k=2)
    losses = {(): 7, (0,): 6, (1,): 3, (2,): 4, (0, 3): 4, (1, 2): 0, (0, 1, 3): 1, (0, 2, 3): 2}
    for residents, lost in losses.items():
        there = np.zeros((1, 1, 4), dtype=np.bool_)
        there[0, 0, list(residents)] = True
        assert window_losses(stated, there)[0, 0] == lost
    skipped = masked([[1.0, 4.0, 3.0, 2.0]], top_k=2, loss="skip")
    assert weights(skipped)[0, 0].tolist() == [0, 4, 3, 0]
    assert weights(stated)[0, 0].tolist() == [0, 4, 3, 0]


def test_of_equal_values_the_lowest_expert_is_the_tokens_own() -> None:
    values = np.array([[1.0, 2, 2, 2], [0, 0, 0, 0], [3, 1, 3, 3], [5, 4, 4, 4]])
    chosen = [np.flatnonzero(row).tolist() for row in own_experts(values, 2)]
    assert chosen == [[1, 2], [0, 1], [0, 2], [0, 1]]
    assert own_experts(values, 4).all()
    assert own_experts(values, 9).all()
    skipped = masked(values, top_k=2, loss="skip")
    assert weights(skipped)[0, 0].tolist() == [3 + 5, 2 + 4, 2 + 3, 0]


def test_windows_keep_their_own_tokens() -> None:
    stated = CommitteeProblem(
        experts=2, loss="skip", router=[[[1, 0]], [[2, 0]], [[0, 3]], [[5, 4]]],
        window_starts=[0, 1, 3], budget_bytes=1,
    )  # fmt: skip
    assert weights(stated)[:, 0].tolist() == [[1, 0], [2, 3], [5, 0]]


def test_retained_mass_is_monotone_and_submodular_and_never_below_the_importance() -> None:
    rng = np.random.default_rng(2)
    for top_k in (1, 2):
        values = rng.integers(0, 9, (6, 5)).astype(float)
        stated = masked(values, top_k=top_k)
        worth = weights(stated)[0, 0]
        gates = np.array(list(itertools.product([False, True], repeat=5)))
        f = {tuple(gate): retained(values, gate, top_k) for gate in gates}
        for gate in gates:
            assert f[tuple(gate)] >= worth[gate].sum() - 1e-12
            for e, other in itertools.permutations(np.flatnonzero(~gate).tolist(), 2):
                one, both = gate.copy(), gate.copy()
                one[e] = both[e] = both[other] = True
                just = gate.copy()
                just[other] = True
                gain = f[tuple(one)] - f[tuple(gate)]
                assert gain >= f[tuple(both)] - f[tuple(just)] - 1e-12 >= -1e-12
        assert f[(True,) * 5] == pytest.approx(worth.sum())


@pytest.mark.parametrize(
    ("experts", "slots", "share"), [(8, 1, 0.143), (16, 4, 0.267), (64, 8, 0.127)]
)
def test_the_paper_notes_tight_family_of_top_importance(
    experts: int, slots: int, share: float
) -> None:
    # One expert is every token's second choice, by little, and nobody's first.
    values = np.eye(experts)[1:]
    values[:, 0] = 1 - 1e-3
    worth = weights(masked(values))[0, 0]
    assert worth.tolist() == [0] + [1] * (experts - 1)
    hub, top = np.zeros((2, experts), dtype=np.bool_)
    hub[:slots] = True
    top[1 : slots + 1] = True
    ratio = retained(values, top, 1) / retained(values, hub, 1)
    assert round(ratio, 3) == share
    assert ratio >= slots / experts


def test_tables_are_those_of_the_period() -> None:
    table = np.arange(12.0).reshape(2, 2, 3)
    stated = CommitteeProblem(
        layers=2, experts=2, loss="table", table=table, swaps=[[0, 0, 1], [0, 1, 0]],
        periods=[3, 1], budget_bytes=9,
    )  # fmt: skip
    assert table_of(stated).tolist() == table_of(stated, 3).tolist() == table[0].tolist()
    assert table_of(stated, 1).tolist() == table[1].tolist()
    found = swaps_of(stated, 1)
    assert found is not None
    assert found.tolist() == [[0, 0, 1], [0, 1, 0]]
    assert total_loss(stated).tolist() == [0, 3]
    assert total_loss(stated, 1).tolist() == [6, 9]
    with pytest.raises(InstanceError, match="what each expert is worth"):
        weights(stated)


def test_importance_is_taken_as_it_is() -> None:
    stated = problem_of([[1, 2], [3, 4]])
    assert weights(stated) is stated.importance
