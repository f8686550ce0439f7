"""The knapsack over layers: against every choice, by hand, and at the edges of limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from committee_knapsack_oracle import cost_of, drawn, layers_of, least, used_by

from moeopt.buffering.planning import split_slots
from moeopt.committee.knapsack import choose
from moeopt.core.errors import InstanceError


@pytest.mark.parametrize(("rows", "draws"), [(1, 1000), (2, 250), (3, 250)])
def test_no_choice_costs_less(rows: int, draws: int) -> None:
    rng = np.random.default_rng(rows)
    for _ in range(draws):
        knapsack = drawn(rng, rows)
        wanted, found = least(knapsack), choose(*knapsack)
        if wanted == np.inf:
            assert found is None
            continue
        assert found is not None
        assert found.slots is not None
        assert found.cost == pytest.approx(wanted, rel=1e-9, abs=1e-12)
        assert found.bound == found.cost == pytest.approx(cost_of(knapsack, found.slots))
        assert (used_by(knapsack, found.slots) <= knapsack[2] * (1 + 1e-9)).all()
        assert found.relaxed <= wanted + 1e-9


@pytest.mark.parametrize("equal", [False, True])
@pytest.mark.parametrize("shape", ["convex", "any"])
def test_one_row_of_slots_is_split_as_buffering_splits_it(equal: bool, shape: str) -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        curves, uses, limits = layers_of(rng, 12, 64, 1)
        if shape == "any":
            curves = [curve + rng.random(curve.size) for curve in curves]
        sizes = np.full(12, 18.0) if equal else np.array([use[0, 1] for use in uses])
        uses = [size * np.arange(65.0)[None] for size in sizes]
        found = choose(curves, uses, limits)
        assert found is not None
        assert found.bound == found.cost
        assert found.cost == pytest.approx(split_slots(curves, sizes, float(limits[0])).cost)


def test_by_hand() -> None:
    """Slots of 3 save 9 each, slots of 2 save 5: of 7 bytes 3 + 2 + 2 save 19.

    The relaxation takes 3 + 3 and half a slot of 2: 20.5, at 2.5 a byte. Rounded down that half is
    lost, at most a slot's 5.
    """
    curves = [np.array([18.0, 9.0, 0.0]), np.array([15.0, 10.0, 5.0, 0.0])]
    uses = [3 * np.arange(3.0)[None], 2 * np.arange(4.0)[None]]
    found = choose(curves, uses, np.array([7.0]))
    assert found is not None
    assert found.slots is not None
    assert (found.slots.tolist(), found.cost, found.bound) == ([1, 2], 14, 14)
    assert found.relaxed == pytest.approx(12.5)
    assert (found.fractional.tolist(), found.rounded_cost) == ([1], 15)
    assert (found.certificate, found.prices.tolist()) == (5, [2.5])


def test_each_row_counts() -> None:
    """Bytes limit all slots, seconds those of the first layer, swaps one slot of the second."""
    curves = [np.array([9.0, 4.0, 0.0]), np.array([8.0, 6.0, 0.0])]
    slots = np.arange(3.0)
    uses = [np.array([slots, slots, 0 * slots]), np.array([slots, 0 * slots, [0.0, 2.0, 0.0]])]
    for limits, wanted in [
        ([4.0, 2.0, 2.0], [2, 2]),
        ([4.0, 1.0, 2.0], [1, 2]),
        ([2.0, 1.0, 2.0], [0, 2]),
        ([2.0, 2.0, 1.0], [2, 0]),
        ([1.0, 2.0, 1.0], [1, 0]),
        ([np.inf, np.inf, np.inf], [2, 2]),
    ]:
        found = choose(curves, uses, np.array(limits))
        assert found is not None
        assert found.slots is not None
        assert found.slots.tolist() == wanted


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_whole_costs_have_whole_bounds(rows: int) -> None:
    """Multiples of 7: so are the bounds, however early the search ends."""
    rng, raised, proven = np.random.default_rng(rows), 0, 0
    for _ in range(60):
        curves = [7.0 * rng.integers(0, 9, 6) for _ in range(4)]
        knapsack = curves, [5 * rng.random((rows, 6)) for _ in curves], np.full(rows, 8.0)
        found, wanted = choose(*knapsack, effort=0), least(knapsack)
        if found is None:
            assert wanted == np.inf
            continue
        assert found.relaxed - 1e-9 <= found.bound <= wanted
        assert found.bound % 7 == 0
        raised += found.bound > found.relaxed + 1e-6
        proven += found.bound == wanted
    assert raised > 20
    assert proven > 5


def test_limits_of_any_size() -> None:
    """The smallest and the largest of all floats, beside each other: no sum or price overflows."""
    slots = np.arange(4.0)
    curves = [1e200 * np.array([9.0, 4.0, 2.0, 1.0]), 1e200 * np.array([8.0, 6.0, 1.0, 0.0])]
    for small, large in [(1e-308, 1e300), (5e-324, 1.0), (1e-300, 1e-300), (1e300, 1e307)]:
        uses = [np.array([small * slots, large * slots]), np.array([large * slots, small * slots])]
        for limits in [(3 * large, large), (small, 2 * large), (small, small), (0.0, large)]:
            knapsack = curves, uses, np.array(limits)
            found, wanted = choose(*knapsack), least(knapsack)
            assert found is not None
            assert found.bound == found.cost == wanted
    # As far as a step beyond the smallest float, which has no price.
    assert not np.isnan(found.prices).any()


def test_rows_that_are_one() -> None:
    """Seconds in proportion to bytes: the tighter of the two is all that counts."""
    curves, uses, limits = layers_of(np.random.default_rng(3), 4, 16, 1)
    uses = [np.arange(17.0)[None] * 18 for _ in uses]
    both = [np.concatenate([use, use * 0.0026]) for use in uses]
    for seconds in (0.3, 0.5, 0.9):
        one = choose(curves, uses, np.array([min(limits[0], seconds / 0.0026)]))
        two = choose(curves, both, np.array([limits[0], seconds]))
        assert one is not None
        assert two is not None
        assert two.cost == one.cost
        # What is left of a slot is of no use, and the relaxation knows it.
        assert two.relaxed == pytest.approx(two.cost, rel=1e-12)
        assert np.count_nonzero(two.prices) == 1


def test_whole_limits_are_kept_to_the_byte() -> None:
    size = 10.0**13
    curves, uses = [np.array([2.0, 1.0, 0.0])], [size * np.arange(3.0)[None]]
    for limit, wanted in [(2 * size, 2), (2 * size - 1, 1), (size - 1, 0), (0.0, 0)]:
        found = choose(curves, uses, np.array([limit]))
        assert found is not None
        assert found.slots is not None
        assert found.slots.tolist() == [wanted]
    assert choose(curves, uses, np.array([-1.0])) is None


def test_limits_that_sums_of_floats_just_keep() -> None:
    """Three times 0.1 is more than 0.3 by an ulp."""
    curves = [np.array([1.0, 0.0])] * 3
    for size, limit in [(0.1, 0.3), (0.1, 0.2), (1 / 3, 1.0)]:
        uses = [np.array([[0.0, size]])] * 3
        found = choose(curves, uses, np.array([limit]))
        assert found is not None
        assert found.cost == 3 - round(limit / size)


def test_together_limits_may_be_too_tight() -> None:
    """Each limit can be kept; few slots break one of them, and many the other."""
    curves, uses = [np.zeros(2)], [np.array([[0.0, 2.0], [2.0, 0.0]])]
    assert choose(curves, uses, np.array([2.0, 1.0])) is not None
    assert choose(curves, uses, np.array([1.0, 1.0])) is None
    # Half of each would do, but there is no half.
    halves = [np.array([[0.0, 2.0], [2.0, 0.0]])] * 3
    assert choose(curves * 3, halves, np.array([3.0, 3.0])) is None
    assert choose(curves * 3, halves, np.array([4.0, 3.0])) is not None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"curves": []}, "uses"),
        ({"curves": [np.zeros((1, 2))]}, r"curves\[0\]"),
        ({"curves": [np.array([0.0, np.nan])]}, r"curves\[0\]"),
        ({"curves": [np.array([0.0, -np.inf])]}, r"curves\[0\]"),
        ({"uses": [np.zeros(2)]}, r"uses\[0\]"),
        ({"uses": [np.array([[0.0, np.inf]])]}, r"uses\[0\]"),
        ({"uses": [np.array([[0.0, -1.0]])]}, r"uses\[0\]"),
        ({"limits": np.array([np.nan])}, "limits"),
        ({"limits": np.zeros(4)}, "limits"),
        ({"limits": np.zeros((1, 1))}, "limits"),
    ],
)
def test_what_is_no_knapsack(changed: dict[str, Any], message: str) -> None:
    given = {"curves": [np.zeros(2)], "uses": [np.zeros((1, 2))], "limits": np.ones(1)} | changed
    with pytest.raises(InstanceError, match=f"^{message}: must be"):
        choose(**given)
