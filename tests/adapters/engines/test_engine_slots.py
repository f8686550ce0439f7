"""Slots renumbered: against every permutation, and against what vLLM documents."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from moeopt.placement.relabel import in_place, renumbered


def held(table: np.ndarray, ranks: int) -> list[set[int]]:
    return [set(rank.tolist()) - {-1} for rank in table.reshape(ranks, -1)]


def shared(new: np.ndarray, old: np.ndarray, ranks: int) -> int:
    return sum(len(a & b) for a, b in zip(held(new, ranks), held(old, ranks), strict=True))


def best(new: np.ndarray, old: np.ndarray, ranks: int, nodes: int) -> int:
    """Return the most experts that any order of the ranks keeps, nodes whole."""
    rows, size = new.reshape(ranks, -1), ranks // nodes
    orders = (
        [node * size + rank for node, inner in zip(outer, inners, strict=True) for rank in inner]
        for outer in permutations(range(nodes))
        for inners in _inners(nodes, size)
    )
    return max(shared(rows[order].ravel(), old, ranks) for order in orders)


def _inners(nodes: int, size: int) -> list[tuple[tuple[int, ...], ...]]:
    if nodes == 0:
        return [()]
    each = list(permutations(range(size)))
    return [(inner, *rest) for inner in each for rest in _inners(nodes - 1, size)]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("ranks", "nodes"), [(5, 1), (4, 2), (6, 3)])
def test_ranks_are_renumbered_so_that_most_stays(seed: int, ranks: int, nodes: int) -> None:
    rng = np.random.default_rng(seed)
    new, old = (rng.integers(0, 7, (2, ranks * 3)) for _ in range(2))
    old[0, :4] = -1
    found = renumbered(new, old, ranks, nodes)
    for layer in range(2):
        assert shared(found[layer], old[layer], ranks) == best(new[layer], old[layer], ranks, nodes)
        assert sorted(map(tuple, found[layer].reshape(ranks, 3).tolist())) == sorted(
            map(tuple, new[layer].reshape(ranks, 3).tolist())
        )


def test_nodes_stay_whole() -> None:
    old = np.array([[0, 1, 2, 3]])
    new = np.array([[2, 0, 3, 1]])
    assert renumbered(new, old, 4).tolist() == [[0, 1, 2, 3]]
    split = renumbered(new, old, 4, nodes=2)[0]
    assert {frozenset(split[:2].tolist()), frozenset(split[2:].tolist())} == {
        frozenset({0, 2}),
        frozenset({1, 3}),
    }


def test_experts_that_stay_keep_their_slots() -> None:
    old = np.array([[0, 1, 2, 3, 4, 5], [0, 0, 1, 2, -1, 3]])
    new = np.array([[2, 0, 7, 5, 3, 8], [1, 0, 0, 3, 3, 2]])
    kept = in_place(new, old, devices=2)
    assert kept.tolist() == [[0, 7, 2, 3, 8, 5], [0, 0, 1, 2, 3, 3]]


def test_what_is_the_same_stays_the_same() -> None:
    table = np.random.default_rng(0).integers(0, 9, (4, 12))
    assert (in_place(table, table, 3) == table).all()
    assert (renumbered(table, table, 3) == table).all()
