"""The bench's own arithmetic, by hand and against the wing's evaluation."""

from __future__ import annotations

import numpy as np
import pytest

from moeopt.bench.balance import device_loads, imbalance
from moeopt.placement.generate import hard
from moeopt.placement.plan import PlacementPlan, evaluate


def test_copies_share_evenly() -> None:
    table = np.array([[0, 1, 0, 2]])
    found = device_loads(table, np.array([[8.0, 2.0, 4.0]]), 2)
    np.testing.assert_allclose(found, [[6.0, 8.0]])
    np.testing.assert_allclose(imbalance(found), [8 / 7])


def test_an_expert_without_a_slot_is_an_error() -> None:
    with pytest.raises(ValueError, match="no slot"):
        device_loads(np.array([[0, 0]]), np.ones((1, 2)), 2)


def test_an_empty_slot_is_no_copy() -> None:
    found = device_loads(np.array([[0, -1, 1, 0]]), np.array([[8.0, 2.0]]), 2)
    np.testing.assert_allclose(found, [[4.0, 6.0]])
    with pytest.raises(ValueError, match="no slot"):
        device_loads(np.array([[0, -1]]), np.ones((1, 2)), 2)


def test_scenarios_come_first() -> None:
    problem = hard(6, 3, 9, layers=2, scenarios=4, seed=5)
    table = np.tile(np.array([0, 1, 2, 3, 4, 5, 0, 1, 2]), (2, 1))
    found = device_loads(table, problem.loads_tokens, 3)
    expected = evaluate(problem, PlacementPlan(physical_to_logical=table)).device_loads
    np.testing.assert_allclose(found, expected)
