"""How tokens split over copies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moeopt.describe.cluster import Cluster
from moeopt.placement.problem import PlacementProblem
from moeopt.placement.split import shares_of_plan, slot_loads


def test_slots_share_an_experts_load_evenly() -> None:
    loads = np.array([[[6.0, 3.0, 1.0]]])
    table = np.array([[0, 0, 1, -1, 0]])
    assert slot_loads(table, loads) == pytest.approx(np.array([[[2, 2, 3, 0, 2]]]))
    assert slot_loads(table, loads, divide=False) == pytest.approx(np.array([[[6, 6, 3, 0, 6]]]))


def test_layers_do_not_mix() -> None:
    loads = np.array([[[6.0, 3.0], [1.0, 8.0]]])
    table = np.array([[0, 0, 1], [1, 1, 0]])
    assert slot_loads(table, loads) == pytest.approx(np.array([[[3, 3, 3], [4, 4, 1]]]))


def _problem(split: Any, loads: Any, devices: int = 4, nodes: int = 2) -> PlacementProblem:
    return PlacementProblem(
        loads_tokens=np.array(loads, dtype=float),
        cluster=Cluster.uniform(devices, nodes),
        slots_per_device=2,
        max_copies_per_device=None,
        split=split,
    )


def test_nearest_prefers_the_device_then_the_node_then_anyone() -> None:
    stated = _problem("nearest", [[1.0]])
    copies = np.array([[[1, 0, 0, 2]]])
    shares = shares_of_plan(stated, copies, stated.loads_tokens)[0, 0, :, 0]
    assert shares == pytest.approx(
        np.array([[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1]])
    )
    far = np.array([[[1, 1, 0, 0]]])
    shares = shares_of_plan(stated, far, stated.loads_tokens)[0, 0, :, 0]
    assert shares[2:] == pytest.approx(np.array([[0.5, 0.5, 0, 0]] * 2))


@given(
    st.sampled_from(["even", "nearest", "optimal"]),
    st.lists(st.integers(0, 20), min_size=3, max_size=3),
    st.lists(st.integers(0, 2), min_size=12, max_size=12),
)
def test_shares_are_a_split_over_the_copies(split: Any, loads: Any, flat: Any) -> None:
    copies = np.array(flat).reshape(1, 3, 4)
    copies[..., 0] = np.maximum(copies[..., 0], copies.sum(axis=2) == 0)
    stated = _problem(split, [loads])
    shares = shares_of_plan(stated, copies, stated.loads_tokens)
    assert shares.sum(axis=-1) == pytest.approx(np.ones(shares.shape[:-1]))
    assert (shares[..., copies[0] == 0] == 0).all()
    assert shares.min() >= 0


def test_optimal_split_depends_on_the_scenario() -> None:
    stated = _problem("optimal", [[[6, 4]], [[6, 0]]], devices=2, nodes=1)
    copies = np.array([[[1, 1], [0, 1]]])
    shares = shares_of_plan(stated, copies, stated.loads_tokens)[:, 0, 0, 0]
    # First 5 and 1 of the 6 tokens, so that both devices serve 5; then 3 and 3.
    assert shares == pytest.approx(np.array([[5 / 6, 1 / 6], [0.5, 0.5]]))
