"""What replanning is made of: plans mended, devices renumbered, trails cut to their corners."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from moeopt.core.arrays import IntArray
from moeopt.describe.cluster import Cluster
from moeopt.placement import Pair, PlacementProblem
from moeopt.placement._kernels_hull import hulls
from moeopt.placement.relabel import device_kinds, in_place, relabelled
from moeopt.placement.repair import repaired


def mended(table: list[int], **fields: Any) -> list[int] | None:
    """Mend a plan of four experts on three devices of two slots, loads 4, 3, 2, 1."""
    problem = PlacementProblem(
        **{
            "loads_tokens": np.array([[4.0, 3.0, 2.0, 1.0]]),
            "cluster": Cluster.uniform(3),
            "slots_per_device": 2,
            "previous": np.array([table]),
            "expert_bytes": 1,
            **fields,
        }
    )
    found = repaired(problem, np.array([table]))
    return None if found is None else found[0].tolist()


def test_what_the_rules_allow_stays() -> None:
    assert mended([0, 1, 2, 3, 0, 1]) == [0, 1, 2, 3, 0, 1]


def test_a_missing_expert_takes_the_spare_copy_of_the_coolest_device() -> None:
    # Expert 3 is nowhere; 1 has three copies. {0, 1} carries 5, {0, 1} 3, {2, 1} 3.
    found = mended([0, 1, 2, 1, 0, 1])
    assert found is not None
    assert found.count(3) == 1
    assert found[1] == 1 or found[0] == 0
    assert sorted(set(found)) == [0, 1, 2, 3]


def test_second_copies_on_a_device_give_way_to_the_heaviest_copies() -> None:
    # One of both copies of 0 on device 0 goes; its slot takes 1, whose copies carry most there.
    assert mended([0, 0, 1, 2, 3, 2]) == [0, 1, 1, 2, 3, 2]
    assert mended([0, 0, 1, 2, 3, 2], allow_empty_slots=True) == [0, -1, 1, 2, 3, 2]


def test_dead_and_forbidden_devices_are_emptied() -> None:
    found = mended([0, 1, 0, 2, 3, 2], dead_devices=(2,))
    assert found is not None
    assert found[4:] == [-1, -1]
    assert set(found[:4]) == {0, 1, 2, 3}
    forbidden = mended([0, 1, 2, 3, 0, 1], forbidden=(Pair(expert=0, device=0),))
    assert forbidden is not None
    assert 0 not in forbidden[:2]
    assert forbidden[2:] == [2, 3, 0, 1]


def test_pinned_experts_come_first() -> None:
    found = mended([0, 1, 2, 3, 0, 1], pinned=(Pair(expert=3, device=0),))
    assert found is not None
    assert 3 in found[:2]
    assert set(found) == {0, 1, 2, 3}


def test_copies_are_parted_over_nodes_and_made_up() -> None:
    rules = {"cluster": Cluster.uniform(3, 3), "distinct_nodes": True}
    found = mended([0, 1, 2, 3, -1, -1], min_copies_per_expert=1, **rules)
    assert found is not None
    assert -1 not in found
    assert mended([0, 1, 2, 3, 0, 1], max_copies_per_expert=1, allow_empty_slots=True) == [
        0, 1, 2, 3, -1, -1,
    ]  # fmt: skip


def test_what_cannot_be_mended_is_given_up() -> None:
    everywhere = tuple(Pair(expert=0, device=device) for device in range(2))
    assert mended([1, 2, 3, 1, 2, 3], forbidden=everywhere, dead_devices=(2,)) is None


def copied(new: IntArray, old: IntArray, devices: int, sizes: IntArray) -> int:
    pairs = zip(new.reshape(devices, -1), old.reshape(devices, -1), strict=True)
    return sum(int(sizes[list(set(a.tolist()) - set(b.tolist()) - {-1})].sum()) for a, b in pairs)


@pytest.mark.parametrize("seed", range(6))
def test_no_other_numbering_of_the_devices_copies_less(seed: int) -> None:
    rng = np.random.default_rng(seed)
    old, new = rng.integers(-1, 6, (2, 1, 8))
    sizes = rng.integers(1, 5, 6)
    found = relabelled(new, old, np.arange(0, 9, 2), expert_bytes=sizes[None].astype(float))[0]
    blocks = new[0].reshape(4, 2)
    every = [
        copied(blocks[list(order)].ravel(), old[0], 4, sizes)
        for order in itertools.permutations(range(4))
    ]
    assert copied(found, old[0], 4, sizes) == min(every)
    rows = [sorted(row) for row in found.reshape(4, 2).tolist()]
    assert sorted(rows) == sorted(sorted(row) for row in blocks.tolist())


def test_renumbered_devices_keep_experts_in_their_slots() -> None:
    old, new = np.array([[0, 1, 2, 3]]), np.array([[3, 2, 1, 4]])
    start = np.array([0, 2, 4])
    assert relabelled(new, old, start).tolist() == [[4, 1, 2, 3]]
    # Devices of two kinds may not change places.
    assert relabelled(new, old, start, kind=np.array([0, 1])).tolist() == [[3, 2, 1, 4]]
    assert in_place(np.array([[2, 2, 1]]), np.array([[2, 5, 2]])).tolist() == [[2, 1, 2]]


def test_devices_are_of_a_kind_if_nothing_tells_them_apart() -> None:
    problem = PlacementProblem(
        loads_tokens=np.ones((1, 4)),
        cluster=Cluster.uniform(6, 2),
        slots_per_device=(1, 1, 2, 1, 2, 2),
        dead_devices=(5,),
        allow_empty_slots=True,
    )
    a, b, c, d, e, f = device_kinds(problem).tolist()
    assert (a, c) == (b, e)
    assert a == d
    assert len({a, c, f}) == 3


def test_only_corners_of_the_lower_hull_are_kept() -> None:
    # Size and heat. (1, 9) lies above the line from (0, 10) to (2, 4); (4, 5) is no better.
    trail = np.array([[[0, 10], [1, 9], [2, 4], [3, 3], [4, 5], [5, 2]]], dtype=float)
    kept = np.zeros((1, 6), dtype=np.int64)
    hulls(trail, np.array([6]), True, kept)
    assert kept.tolist() == [[0, 2, 3, 5, -1, -1]]
    # A layer that has the bytes for itself keeps all that nothing is as good as.
    hulls(trail, np.array([6]), False, kept)
    assert kept.tolist() == [[0, 1, 2, 3, 5, -1]]
