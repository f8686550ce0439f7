"""Slots of layers: against every split, AdapMoE's figures, and slopes against its program."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from moeopt.buffering.adapmoe import adapmoe_cost, slots_by_program
from moeopt.buffering.planning import split_slots, uniform_slots
from moeopt.core.arrays import FloatArray
from moeopt.core.errors import InstanceError


def least(curves: list[FloatArray], sizes: FloatArray, budget: float) -> float:
    """Return the least cost of all splits, ``inf`` if there is none."""
    every = itertools.product(*[range(curve.size) for curve in curves])
    costs = [
        sum(curve[t] for curve, t in zip(curves, slots, strict=True))
        for slots in every
        if np.dot(slots, sizes) <= budget
    ]
    return float(min(costs, default=np.inf))


def drawn(rng: np.random.Generator, kind: str) -> list[FloatArray]:
    curves = []
    for _ in range(int(rng.integers(1, 4))):
        curve = rng.integers(0, 20, int(rng.integers(2, 6))).astype(float)
        if kind != "any":
            curve = np.sort(curve)[::-1].copy()
        if kind == "convex":
            curve = np.cumsum(np.sort(curve))[::-1].copy()
        if rng.random() < 0.3:
            curve[0] = np.inf
        curves.append(curve)
    return curves


@pytest.mark.parametrize("kind", ["convex", "falling", "any"])
@pytest.mark.parametrize("equal", [False, True])
def test_no_split_costs_less(kind: str, equal: bool) -> None:
    rng = np.random.default_rng(len(kind) + equal)
    for _ in range(150):
        curves = drawn(rng, kind)
        sizes = (
            np.full(len(curves), 2.0) if equal else rng.integers(1, 5, len(curves)).astype(float)
        )
        budget = float(rng.integers(0, 30))
        wanted = least(curves, sizes, budget)
        if not np.isfinite(wanted):
            with pytest.raises(InstanceError, match="fewest slots"):
                split_slots(curves, sizes, budget)
            continue
        found = split_slots(curves, sizes, budget)
        assert found.cost == wanted
        assert found.cost == sum(c[t] for c, t in zip(curves, found.slots, strict=True))
        assert found.used_bytes == np.dot(found.slots, sizes) <= budget
        assert found.relaxed <= found.cost
        if equal:
            slots = slots_by_program(curves, int(budget // 2))
            assert sum(c[t] for c, t in zip(curves, slots, strict=True)) == wanted
        if equal and kind == "convex":
            # Slopes alone: the relaxation is the optimum.
            assert found.relaxed == pytest.approx(found.cost, rel=1e-12)


def test_unequal_slots_by_hand() -> None:
    """Slots of 3 save 9 each, slots of 2 save 5: of 8 bytes 3 + 3 + 2 save 23."""
    curves = [np.array([18.0, 9.0, 0.0]), np.array([15.0, 10.0, 5.0, 0.0])]
    found = split_slots(curves, np.array([3.0, 2.0]), 8.0)
    assert found.slots.tolist() == [2, 1]
    assert (found.cost, found.used_bytes) == (10, 8)
    # With 7 bytes a slot of 3 and two of 2 save 19; half a slot of 2 would make it 20.5.
    found = split_slots(curves, np.array([3.0, 2.0]), 7.0)
    assert found.slots.tolist() == [1, 2]
    assert (found.cost, found.relaxed, found.byte_price) == (14, 12.5, 2.5)


def test_a_budget_for_everything_has_no_price() -> None:
    curves = [np.array([4.0, 1.0, 3.0])]
    found = split_slots(curves, 1.0, 99.0)
    assert (found.slots.tolist(), found.cost, found.byte_price) == ([1], 1, 0)


def test_uniform_slots_spend_what_is_left_from_the_first_layer_on() -> None:
    assert uniform_slots(np.full(4, 8), 1.0, 22).tolist() == [6, 6, 5, 5]
    assert uniform_slots(np.full(4, 8), 1.0, 99).tolist() == [8] * 4
    # Layers that have all their experts leave their share to the others.
    assert uniform_slots(np.array([8, 2, 2]), np.array([1.0, 2.0, 3.0]), 20).tolist() == [8, 2, 2]
    assert uniform_slots(np.array([8, 8]), np.array([1.0, 4.0]), 14).tolist() == [3, 2]
    assert uniform_slots(3, 1.0, 0).tolist() == [0]


@pytest.mark.parametrize(
    ("share", "accuracy", "wanted"),
    [
        (0.3, 0.8, [0.9, 0.7175, 0.555, 0.4125, 0.29, 0.1875, 0.105, 0.0425, 0]),
        (0.0, 0.0, [2 - t / 4 for t in range(9)]),
    ],
)
def test_adapmoe_figures(share: float, accuracy: float, wanted: list[float]) -> None:
    np.testing.assert_allclose(adapmoe_cost(share, accuracy), wanted, atol=1e-12)


@pytest.mark.parametrize("experts", [2, 8, 64])
def test_adapmoe_cost_is_convex_so_slopes_do(experts: int) -> None:
    rng = np.random.default_rng(experts)
    shares, accuracies = rng.random(8), rng.random(8)
    curves = []
    for a, p in zip(shares, accuracies, strict=True):
        curve = adapmoe_cost(a, p, experts)
        assert curve[0] == pytest.approx(a * (1 - p) + (1 - a) * (2 - p))
        assert curve[-1] == pytest.approx(0, abs=1e-12)
        assert (np.diff(curve) <= 1e-12).all()
        second = 2 * p * (1 - a) / (experts * (experts - 1))
        np.testing.assert_allclose(np.diff(curve, 2), second, atol=1e-12)
        # The paper gives every layer a slot at least.
        curves.append(np.where(np.arange(experts + 1) < 1, np.inf, curve))
    for slots in (8, 11, 15):
        program = slots_by_program(curves, slots)
        cost = sum(c[t] for c, t in zip(curves, program, strict=True))
        assert program.sum() <= slots
        assert split_slots(curves, 1.0, slots).cost == pytest.approx(cost, rel=1e-12)


def test_too_few_slots_for_all_layers() -> None:
    curves = [np.array([np.inf, 1.0])] * 3
    with pytest.raises(InstanceError, match="too few"):
        slots_by_program(curves, 2)


@pytest.mark.parametrize(
    ("curves", "sizes"),
    [
        ([], 1.0),
        ([np.zeros(2)], 0.0),
        ([np.full(2, np.inf)], 1.0),
        ([np.zeros((1, 2))], 1.0),
        ([np.zeros(2)], np.inf),
        ([np.array([0, -np.inf])], 1.0),
    ],
)
def test_what_is_no_curve(curves: list[FloatArray], sizes: float) -> None:
    with pytest.raises(InstanceError, match="must be"):
        split_slots(curves, sizes, 1.0)


@pytest.mark.parametrize("budget", [float("nan"), float("inf")])
def test_what_is_no_budget(budget: float) -> None:
    with pytest.raises(InstanceError, match="budget_bytes: must be a finite number"):
        split_slots([np.ones(3)], 1.0, budget)
    with pytest.raises(InstanceError, match="budget_bytes: must be a finite number"):
        uniform_slots(3, 1.0, budget)


def test_shares_are_shares() -> None:
    with pytest.raises(InstanceError, match="within 0 and 1"):
        adapmoe_cost(1.2, 0.5)
    with pytest.raises(InstanceError, match="2 or more"):
        adapmoe_cost(0.2, 0.5, 1)
