"""Empty slots are filled where a copy helps most, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engines_draws import placements
from hypothesis import given, settings
from hypothesis import strategies as st

from moeopt.adapters.engines.padded import padded, padded_placement_of
from moeopt.adapters.engines.placements import EnginePlacement
from moeopt.core.errors import InstanceError
from moeopt.describe.cluster import Cluster, Device, Node, NodeGroup
from moeopt.placement import Pair, PlacementPlan, PlacementProblem, evaluate


def _problem(loads: object, slots: object, **fields: object) -> PlacementProblem:
    plain = {"loads_tokens": np.array(loads, dtype=float), "cluster": Cluster.uniform(2)}
    return PlacementProblem(**{**plain, "slots_per_device": slots, **fields})  # type: ignore[arg-type]


def _plan(*rows: list[int]) -> PlacementPlan:
    return PlacementPlan(physical_to_logical=np.array(rows))


def test_the_hottest_expert_is_copied() -> None:
    """Loads 8, 2, 2 on devices 10 and 2: a copy of expert 0 makes them 6 and 6."""
    problem = _problem([[8, 2, 2]], 2, allow_empty_slots=True)
    found = padded_placement_of(problem, _plan([0, 1, 2, -1]))
    assert found.table.tolist() == [[0, 1, 2, 0]]


def test_small_devices_are_filled_up() -> None:
    problem = _problem([[8, 2, 2]], (2, 1))
    found = padded_placement_of(problem, _plan([0, 1, 2]))
    assert found.table.tolist() == [[0, 1, 2, 0]]


def test_a_faster_device_gets_the_copy() -> None:
    """Device 1 is four times as fast; it takes half of expert 0 from device 0."""
    fast = NodeGroup(node=Node(device=Device(relative_speed=4.0), devices=1))
    slow = NodeGroup(node=Node(device=Device(), devices=1))
    cluster = Cluster(nodes=(slow, fast, slow))
    problem = _problem([[9, 1, 1]], 2, cluster=cluster, allow_empty_slots=True)
    found = padded_placement_of(problem, _plan([0, 1, 2, -1, 1, 2]))
    assert found.table.tolist() == [[0, 1, 2, 0, 1, 2]]


def test_second_copies_where_they_are_allowed() -> None:
    """Both devices have 50: a second copy beside the first leaves it so, no other does."""
    plan, fields = _plan([0, 3, -1, 1, 2, -1]), {"allow_empty_slots": True}
    problem = _problem([[40, 30, 20, 10]], 3, **fields, max_copies_per_device=None)
    held = padded_placement_of(problem, plan)
    assert held.table.tolist() == [[0, 3, 0, 1, 2, 1]]
    assert evaluate(problem, held.plan()).objective == 50
    held = padded_placement_of(_problem([[40, 30, 20, 10]], 3, **fields), plan)
    assert held.table.tolist() == [[0, 3, 2, 1, 2, 3]]
    assert evaluate(problem, held.plan()).objective == 55


def test_a_device_that_has_every_expert_takes_second_copies() -> None:
    bare = EnginePlacement(np.array([[0, 1, 2, 0, 1, 2, -1, -1]]), 2, 3)
    held = padded(bare, np.array([[8.0, 2, 2]])).by_device()[0, 1].tolist()
    assert set(held) == {0, 1, 2}


def test_what_is_forbidden_is_not_copied() -> None:
    forbidden = (Pair(expert=0, device=1),)
    problem = _problem([[8, 2, 2]], 2, allow_empty_slots=True, forbidden=forbidden)
    assert padded_placement_of(problem, _plan([0, 1, 2, -1])).table.tolist() == [[0, 1, 2, 1]]


@pytest.mark.parametrize(("first", "second", "copied"), [(8, 4, 0), (4, 8, 1), (6, 6, 0)])
def test_of_equal_copies_the_most_even_then_the_first(
    first: float, second: float, copied: int
) -> None:
    """Device 0 stays at 20, so that only how even the others are tells the copies apart."""
    bare = EnginePlacement(np.array([[3, 4, 0, 1, 2, -1]]), 3, 5)
    allowed = np.ones((1, 5, 3), dtype=bool)
    allowed[0, 3, 2] = False
    held = padded(bare, np.array([[first, second, 1.0, 20.0, 0.0]]), allowed=allowed)
    assert held.table.tolist() == [[3, 4, 0, 1, 2, copied]]


def test_rules_that_copies_would_break() -> None:
    plan = _plan([0, 1, 2, -1])
    problem = _problem([[8, 2, 2]], 2, allow_empty_slots=True, max_copies_per_expert=1)
    with pytest.raises(InstanceError, match=r"table: must keep .* got <C4"):
        padded_placement_of(problem, plan)
    nothing = tuple(Pair(expert=expert, device=1) for expert in range(2))
    problem = _problem([[8, 2, 2]], 2, allow_empty_slots=True, forbidden=nothing)
    with pytest.raises(InstanceError, match=r"must keep .* got <C3"):
        padded_placement_of(problem, plan)
    bare, nowhere = EnginePlacement(plan.physical_to_logical, 2, 3), np.zeros((1, 3, 2), dtype=bool)
    with pytest.raises(InstanceError, match="must have an expert that may fill"):
        padded(bare, np.ones((1, 3)), allowed=nowhere)


def test_moves_are_counted_on_the_wider_devices() -> None:
    fields = {"previous": np.array([[0, 1, 2]]), "expert_bytes": 5, "max_moved_bytes": 4}
    with pytest.raises(InstanceError, match="C11"):
        padded_placement_of(_problem([[8, 2, 2]], (2, 1), **fields), _plan([0, 1, 2]))
    fields["max_moved_bytes"] = 5
    padded_placement_of(_problem([[8, 2, 2]], (2, 1), **fields), _plan([0, 1, 2]))


@settings(max_examples=40, deadline=None)
@given(placement=placements(), data=st.data())
def test_one_slot_is_filled_as_well_as_can_be(
    placement: EnginePlacement, data: st.DataObject
) -> None:
    """Against every expert tried in turn; what was placed stays, and nothing is left empty."""
    count = [np.bincount(row, minlength=placement.experts) for row in placement.table]
    spare = [s for s, e in enumerate(placement.table[0].tolist()) if count[0][e] > 1]
    loads = np.array(
        [[data.draw(st.integers(0, 20)) for _ in range(placement.experts)]] * placement.num_layers
    ).astype(float)
    if not spare:
        assert padded(placement, loads).table.tolist() == placement.table.tolist()
        return
    slot = data.draw(st.sampled_from(spare))
    table = placement.table.copy()
    table[0, slot] = -1
    filled = padded(replace(placement, table=table), loads).table
    assert filled.min() >= 0
    table[0, slot] = filled[0, slot]
    assert filled.tolist() == table.tolist()
    problem = PlacementProblem(
        loads_tokens=loads[:1],
        cluster=Cluster.uniform(placement.devices),
        slots_per_device=placement.slots_per_device,
        max_copies_per_device=None,
    )

    def largest(expert: int) -> float:
        row = table[:1].copy()
        row[0, slot] = expert
        return evaluate(problem, PlacementPlan(physical_to_logical=row)).objective

    rank = slot // placement.slots_per_device
    others = set(np.delete(placement.by_device()[0, rank], slot % placement.slots_per_device))
    best = min(largest(expert) for expert in range(placement.experts) if expert not in others)
    assert largest(int(filled[0, slot])) == pytest.approx(best)
