"""The exact front of objective against moved bytes, against every placement of tiny problems."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import numpy as np
import pytest

from moeopt.core.errors import InstanceError
from moeopt.describe.cluster import Cluster
from moeopt.placement.exact_front import exact_front
from moeopt.placement.plan import PlacementPlan, evaluate, moved_bytes, violations
from moeopt.placement.problem import Pair, PlacementProblem


def drifted(seed: int, **fields: Any) -> PlacementProblem:
    """Return four experts in five slots of three devices, placed for other loads than it has."""
    rng = np.random.default_rng(seed)
    stated: dict[str, Any] = {
        "loads_tokens": rng.integers(1, 30, (1, 4)).astype(float),
        "cluster": Cluster.uniform(3),
        "slots_per_device": (2, 2, 1),
        "previous": np.array([[0, 1, 2, 3, 0]]),
        "expert_bytes": rng.choice([2, 3, 4], 4),
    }
    return PlacementProblem(**{**stated, **fields})


def front_of_all_tables(problem: PlacementProblem) -> list[tuple[float, float]]:
    """Return the least objective for every number of moved bytes, over all tables."""
    best: dict[float, float] = {}
    unpriced = msgspec.structs.replace(problem, move_price_per_byte=0.0)
    for row in itertools.product(range(problem.num_experts), repeat=problem.num_slots):
        if len(set(row)) < problem.num_experts:
            continue
        plan = PlacementPlan(physical_to_logical=np.array([row]))
        if not violations(problem, plan):
            moved = moved_bytes(problem, plan.physical_to_logical)
            value = evaluate(unpriced, plan).objective
            best[moved] = min(value, best.get(moved, np.inf))
    front: list[tuple[float, float]] = []
    for moved, value in sorted(best.items()):
        if not front or value < front[-1][1] * (1 - 1e-9):
            front.append((moved, value))
    return front


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "priced": {"move_price_per_byte": 3.0},
    "limits": {"max_moved_bytes": 9, "max_moved_bytes_per_device": (4, 3, 4)},
    "nodes": {
        "cluster": Cluster.uniform(4, 2),
        "slots_per_device": (2, 1, 1, 1),
        "max_moved_bytes_per_node": (3, 4),
    },
    "forbidden": {"forbidden": (Pair(expert=0, device=0),), "max_copies_per_device": 2},
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_front_is_that_of_all_tables(name: str, seed: int) -> None:
    problem = drifted(seed, **CASES[name])
    found = exact_front(problem)
    expected = front_of_all_tables(problem)
    assert found.moved_bytes.tolist() == [moved for moved, _ in expected]
    assert found.objective == pytest.approx([value for _, value in expected])
    assert found.proven.all()
    for table, moved in zip(found.tables, found.moved_bytes, strict=True):
        assert violations(problem, PlacementPlan(physical_to_logical=table)) == []
        assert moved_bytes(problem, table) == moved


def test_budgets_that_are_named_are_those_that_are_solved() -> None:
    whole = exact_front(drifted(1))
    assert len(whole.objective) > 2
    middle = int(whole.moved_bytes[1])
    some = exact_front(drifted(1), [middle, 0, middle + 1])
    assert some.objective == pytest.approx(whole.objective[[0, 1]])
    assert [whole.within(most) for most in (0, middle - 1, middle, 1e9)] == [
        0, 0, 1, len(whole.objective) - 1,
    ]  # fmt: skip


def test_experts_of_gigabytes_move_one_by_one() -> None:
    size = 1_234_567_891
    light, heavy = (drifted(1, expert_bytes=scale) for scale in (1, size))
    found, expected = exact_front(heavy), exact_front(light)
    assert found.objective == pytest.approx(expected.objective)
    assert found.moved_bytes == pytest.approx(expected.moved_bytes * size)


def test_layers_share_the_bytes() -> None:
    # One swap of two bytes takes 2 from the layer with loads 4, 3, 2, 1 and 20 from the other.
    problem = PlacementProblem(
        loads_tokens=np.array([[4.0, 3.0, 2.0, 1.0], [40.0, 30.0, 20.0, 10.0]]),
        cluster=Cluster.uniform(2),
        slots_per_device=2,
        previous=np.array([[0, 1, 2, 3]] * 2),
        expert_bytes=1,
    )
    found = exact_front(problem)
    assert found.moved_bytes.tolist() == [0, 2, 4]
    assert found.objective == pytest.approx([77, 57, 55])
    assert found.tables[1, 0].tolist() == [0, 1, 2, 3]


def test_without_a_plan_there_is_no_point() -> None:
    found = exact_front(drifted(1, forbidden=(Pair(expert=0, device=0),), max_moved_bytes=0))
    assert found.tables.shape == (0, 1, 5)
    assert found.within(1e9) == -1


@pytest.mark.parametrize("name", ["previous", "expert_bytes"])
def test_what_moves_are_counted_by_must_be_there(name: str) -> None:
    with pytest.raises(InstanceError, match=rf"^\$\.{name}: must be given"):
        exact_front(drifted(1, **{name: None}))
