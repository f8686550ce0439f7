"""The search: ended at any moment it has valid slots and a bound, and it drops nothing of worth."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from committee_knapsack_oracle import cost_of, drawn, layers_of, least, used_by

from moeopt.committee.knapsack import choose
from moeopt.committee.knapsack_changes import improved, repaired
from moeopt.committee.knapsack_labels import search, undominated
from moeopt.committee.knapsack_ready import made_ready
from moeopt.committee.knapsack_relaxed import relax


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_stopped_at_any_moment(rows: int) -> None:
    rng = np.random.default_rng(rows)
    for _ in range(40):
        knapsack = drawn(rng, rows)
        wanted = least(knapsack)
        for asked in (0, 1, 3):
            calls = itertools.count()
            found = choose(*knapsack, stop=lambda calls=calls, asked=asked: next(calls) >= asked)
            if found is None:
                assert wanted == np.inf
                continue
            assert found.bound <= wanted + 1e-9 <= found.cost + 2e-9
            if found.slots is not None:
                assert (used_by(knapsack, found.slots) <= knapsack[2] * (1 + 1e-9)).all()
                assert found.cost == pytest.approx(cost_of(knapsack, found.slots))


@pytest.mark.parametrize("rows", [2, 3])
def test_more_effort_never_hurts(rows: int) -> None:
    knapsack = layers_of(np.random.default_rng(2), 10, 24, rows)
    costs, bounds = [], []
    for effort in (0, 1_000, 30_000, 300_000, 10_000_000):
        found = choose(*knapsack, effort=effort)
        assert found is not None
        costs.append(found.cost)
        bounds.append(found.bound)
    assert costs == sorted(costs, reverse=True)
    assert bounds == sorted(bounds)
    assert bounds[0] < bounds[-1] == costs[-1]


def test_stopped_before_anything_was_found() -> None:
    """Nine layers must be split five to four, and nothing else keeps the limits."""
    curves = [np.array([0.0, 1.0, 0.5])] * 9
    uses = [np.array([[3.0, 0.0, 9.0], [0.0, 4.0, 9.0]])] * 9
    found = choose(curves, uses, np.array([15.0, 16.0]))
    assert found is not None
    assert (found.cost, found.bound) == (4, 4)
    found = choose(curves, uses, np.array([15.0, 16.0]), stop=lambda: True)
    assert found is not None
    assert found.bound <= 4


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_only_what_is_beaten_is_dropped(rows: int) -> None:
    rng = np.random.default_rng(rows)
    for draw in range(60):
        whole = np.full(rows, draw % 2 == 0)
        points = rng.integers(0, 6, (rows + 1, 80)) if whole[0] else rng.random((rows + 1, 80))
        cost, used = points[0].astype(float), points[1:].astype(float)
        kept = undominated(cost, used, whole)
        all_ = np.concatenate([cost[None], used])
        beats = (all_[:, :, None] <= all_[:, None, :]).all(axis=0)
        # Each point has one that is kept, itself or another, and is at most as much in all.
        assert beats[kept].any(axis=0).all()
        less = (cost[:, None] < cost) | (used[0][:, None] < used[0])
        dropped = np.setdiff1d(np.arange(80), kept)
        assert len(dropped) == 0 or beats[kept][:, dropped].any(axis=0).all()
        if whole[0] or rows == 1:
            # Whole numbers stand on places of their own: what costs more or uses more is gone.
            assert not (beats & less)[:, kept].any()


def test_a_search_within_a_width_is_complete() -> None:
    """Nothing within a width of the bound is missed, and beyond it nothing is claimed."""
    rng = np.random.default_rng(0)
    for rows in (1, 2, 3):
        for _ in range(30):
            knapsack = drawn(rng, rows)
            ready = made_ready(*knapsack)
            relaxed = None if ready is None else relax(ready)
            if ready is None or relaxed is None or not ready.room.size:
                continue
            above = least(knapsack) - relaxed.bound
            for width in (0.5 * above, 1.5 * above) if above < np.inf else (1.0,):
                found = search(ready, relaxed, width, 10**6, lambda: False)
                assert found is not None
                assert found.complete
                assert (found.slots is None) == (above > width + 1e-9)
                assert found.above == pytest.approx(min(above, width), abs=1e-9)
                # Few sums at a time: what was dropped may still be better, and the bound says so.
                few = search(ready, relaxed, width, 2, lambda: False)
                assert few is not None
                assert few.above <= min(above, width) + 1e-9
                if few.complete and few.slots is not None:
                    assert ready.cost_of(few.slots) - relaxed.bound == pytest.approx(
                        above, abs=1e-9
                    )


def test_single_changes() -> None:
    """From all slots the repair gives up those that are worth least for what is too much."""
    curves = [np.array([9.0, 4.0, 0.0]), np.array([3.0, 1.0, 0.0])]
    uses = [np.array([[0.0, 1.0, 2.0], [0.0, 1.0, 5.0]])] * 2
    ready = made_ready(curves, uses, np.array([3.0, 8.0]))
    assert ready is not None
    relaxed = relax(ready)
    assert relaxed is not None
    slots = repaired(ready, relaxed, np.array([2, 2]))
    assert slots is not None
    assert slots.tolist() == [2, 1]
    assert improved(ready, np.array([0, 0])).tolist() == [2, 1]


def test_choices_far_apart_are_cut() -> None:
    """No slots or all of them cost no swaps: the relaxation mixes these two, which is no plan."""
    slots = np.arange(17.0)
    rng = np.random.default_rng(1)
    curves = [(16 - slots) ** 1.5 * rng.uniform(0.5, 2) for _ in range(6)]
    swaps = slots * (16 - slots) / 16
    uses = [np.array([slots, slots * rng.uniform(0.9, 1.1), swaps]) for _ in range(6)]
    limits = np.array([40.0, 41.0, 6.0])
    first, found = choose(curves, uses, limits, effort=0), choose(curves, uses, limits)
    assert first is not None
    assert found is not None
    assert first.bound == found.relaxed < found.bound == found.cost
    assert found.slots is not None
    assert (used_by((curves, uses, limits), found.slots) <= limits * (1 + 1e-9)).all()
