"""Steps by what they save for what they use: the optimum of convex curves and equal slots."""

from __future__ import annotations

import numpy as np
import pytest
from committee_knapsack_oracle import cost_of, drawn, layers_of, least, used_by

from moeopt.committee.knapsack import choose, merge

#: Bytes of an expert of the paper's model, and experts for which 4.7 GiB have room.
EXPERT, ROOM = 18 * 2**20, 227


def test_merging_convex_curves_of_equal_slots_is_the_optimum() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        curves, _, _ = layers_of(rng, int(rng.integers(2, 13)), 16, 1)
        uses = [7.0 * np.arange(17)[None] for _ in curves]
        limit = np.array([float(rng.integers(0, 100 * len(curves)))])
        merged, chosen = merge(curves, uses, limit), choose(curves, uses, limit)
        assert merged is not None
        assert chosen is not None
        assert merged.exact
        assert merged.bound == merged.cost == pytest.approx(chosen.cost, rel=1e-12)


def test_the_papers_size_is_merged_with_proof() -> None:
    """Twelve layers of 64 experts: the 227 steps that save most, wherever they are."""
    curves, _, _ = layers_of(np.random.default_rng(0), 12, 64, 1)
    uses = [EXPERT * np.arange(65.0)[None] for _ in curves]
    merged = merge(curves, uses, np.array([ROOM * EXPERT + 0.5 * EXPERT]))
    assert merged is not None
    assert merged.exact
    assert merged.slots.sum() == ROOM
    savings = np.sort(np.concatenate([-np.diff(curve) for curve in curves]))[::-1]
    total = sum(curve[0] for curve in curves)
    assert merged.cost == pytest.approx(total - savings[:ROOM].sum(), rel=1e-12)


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_never_over_a_limit_and_never_below_the_optimum(rows: int) -> None:
    rng = np.random.default_rng(20 + rows)
    for _ in range(150):
        knapsack = drawn(rng, rows)
        merged, wanted = merge(*knapsack), least(knapsack)
        if merged is None:
            continue
        assert (used_by(knapsack, merged.slots) <= knapsack[2] * (1 + 1e-9)).all()
        assert merged.cost == pytest.approx(cost_of(knapsack, merged.slots))
        assert merged.bound - 1e-9 <= wanted <= merged.cost + 1e-9
        if merged.exact:
            assert merged.bound == merged.cost == pytest.approx(wanted, abs=1e-9)


def test_unequal_slots_leave_a_gap() -> None:
    """A slot of 4 saves 5, slots of 3 save 3 each: of 6 bytes the steepest step spoils the best."""
    curves = [np.array([5.0, 0.0]), np.array([6.0, 3.0, 0.0])]
    uses = [np.array([[0.0, 4.0]]), np.array([[0.0, 3.0, 6.0]])]
    merged, chosen = merge(curves, uses, np.array([6.0])), choose(curves, uses, np.array([6.0]))
    assert merged is not None
    assert chosen is not None
    assert (merged.slots.tolist(), merged.cost, merged.exact) == ([1, 0], 6, False)
    assert (chosen.cost, chosen.bound) == (5, 5)
    assert merged.bound == pytest.approx(4)


def test_a_step_that_saves_nothing_ends_a_layer() -> None:
    merged = merge([np.array([3.0, 3.0, 0.0])], [np.arange(3.0)[None]], np.array([2.0]))
    assert merged is not None
    assert (merged.slots.tolist(), merged.cost, merged.bound, merged.exact) == ([0], 3, 0, False)


def test_whole_costs_prove_what_the_relaxation_alone_does_not() -> None:
    """Half a slot of 3 would save half of 1 more, but nothing costs a half."""
    curves = [np.array([5.0, 0.0]), np.array([1.0, 0.0])]
    uses = [np.array([[0.0, 4.0]]), np.array([[0.0, 2.5]])]
    merged = merge(curves, uses, np.array([5.2]))
    assert merged is not None
    assert (merged.slots.tolist(), merged.bound, merged.exact) == ([1, 0], 1, True)


def test_fewest_slots_that_break_a_limit() -> None:
    uses = [np.array([[2.0, 0.0]])]
    assert merge([np.array([1.0, 0.0])], uses, np.array([-1.0])) is None
    # No slot uses too much and is left out; one slot does.
    merged = merge([np.array([1.0, 0.0])], uses, np.array([1.0]))
    assert merged is not None
    assert merged.slots.tolist() == [1]
