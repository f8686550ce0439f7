"""How tokens split over copies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moeopt.describe.cluster import Cluster, Node, NodeGroup
from moeopt.placement import split
from moeopt.placement.problem import PlacementProblem, Timing
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


def _problem(rule: Any, loads: Any, devices: int = 4, nodes: int = 2) -> PlacementProblem:
    return PlacementProblem(
        loads_tokens=np.array(loads, dtype=float),
        cluster=Cluster.uniform(devices, nodes),
        slots_per_device=2,
        max_copies_per_device=None,
        split=rule,
    )


def _dense(problem: PlacementProblem, copies: Any) -> Any:
    """Return the share by source, ``(layers, sources, experts, devices)``, cell by cell."""
    layers, experts, devices = copies.shape
    node = problem.cluster.device_node()
    shares = np.zeros((layers, devices, experts, devices))
    for layer, source, expert in np.ndindex(layers, devices, experts):
        near = [np.arange(devices) == source, node == node[source]]
        rings = [*near, node >= 0] if problem.split == "nearest" else [node >= 0]
        rows = [copies[layer, expert] * ring for ring in rings]
        row = next(row for row in rows if row.any())
        shares[layer, source, expert] = row / row.sum()
    return shares


def _traffic(problem: PlacementProblem, copies: Any) -> Any:
    loads = problem.loads_tokens
    found = np.full((*loads.shape[:2], problem.num_devices, problem.num_devices), np.nan)
    for scenario, layers, tokens in split.traffic_of_plan(problem, copies, loads):
        found[scenario, layers] = tokens
    return found


def test_nearest_prefers_the_device_then_the_node_then_anyone() -> None:
    stated = _problem("nearest", [[4.0]])
    found = _traffic(stated, np.array([[[1, 0, 0, 2]]]))[0, 0]
    assert found == pytest.approx(
        np.array([[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1]])
    )
    far = _traffic(stated, np.array([[[1, 1, 0, 0]]]))[0, 0]
    assert far[2:] == pytest.approx(np.array([[0.5, 0.5, 0, 0]] * 2))


NODE = Node(devices=2, nic_bandwidth_bytes_per_s=1.0)


@st.composite
def _splits(draw: st.DrawFn) -> tuple[PlacementProblem, Any]:
    """Draw a problem of 2 scenarios, 3 layers, 3 experts and 4 devices, and copies."""
    numbers = np.random.default_rng(draw(st.integers(0, 10**6)))
    copies = numbers.integers(0, 3, (3, 3, 4)) * (numbers.random((3, 3, 4)) < 0.5)
    dead = draw(st.sampled_from([(), (1,)]))
    copies[..., list(dead)] = 0
    copies[..., 0] = np.maximum(copies[..., 0], copies.sum(axis=2) == 0)
    sources = numbers.integers(0, 3, (4, 3, 3)).astype(np.float64)
    sources[list(dead)] = 0
    stated = PlacementProblem(
        loads_tokens=numbers.integers(0, 20, (2, 3, 3)).astype(np.float64),
        cluster=Cluster(nodes=(NodeGroup(node=NODE, count=2),)),
        slots_per_device=6,
        dead_devices=dead,
        split=draw(st.sampled_from(["even", "nearest"])),
        source_tokens=draw(st.sampled_from([None, sources])),
        objective="layer_time",
        timing=Timing(
            seconds_per_token=1.0, dispatch_bytes_per_token=1.0, combine_bytes_per_token=0.0
        ),
    )
    return stated, copies


@given(_splits(), st.sampled_from([1, split.BLOCK_CELLS]))
def test_traffic_and_shares_are_those_of_every_source(case: Any, cells: int) -> None:
    stated, copies = case
    dense = _dense(stated, copies)
    sources = stated.source_shares()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(split, "BLOCK_CELLS", cells)
        traffic = _traffic(stated, copies)
        shares = shares_of_plan(stated, copies, stated.loads_tokens[0])
    expected = np.einsum("ile,lieg,sle->slig", sources, dense, stated.loads_tokens)
    assert traffic == pytest.approx(expected)
    assert shares == pytest.approx(np.einsum("ile,lieg->leg", sources, dense))


@given(
    st.sampled_from(["even", "nearest", "optimal"]),
    st.lists(st.integers(0, 20), min_size=3, max_size=3),
    st.lists(st.integers(0, 2), min_size=12, max_size=12),
)
def test_shares_are_a_split_over_the_copies(rule: Any, loads: Any, flat: Any) -> None:
    copies = np.array(flat).reshape(1, 3, 4)
    copies[..., 0] = np.maximum(copies[..., 0], copies.sum(axis=2) == 0)
    stated = _problem(rule, [loads])
    shares = shares_of_plan(stated, copies, stated.loads_tokens[0])
    assert shares.sum(axis=-1) == pytest.approx(np.ones(shares.shape[:-1]))
    assert (shares[copies == 0] == 0).all()
    assert shares.min() >= 0


def test_optimal_split_depends_on_the_scenario() -> None:
    stated = _problem("optimal", [[[6, 4]], [[6, 0]]], devices=2, nodes=1)
    copies = np.array([[[1, 1], [0, 1]]])
    shares = [shares_of_plan(stated, copies, load)[0, 0] for load in stated.loads_tokens]
    # First 5 and 1 of the 6 tokens, so that both devices serve 5; then 3 and 3.
    assert shares == pytest.approx(np.array([[5 / 6, 1 / 6], [0.5, 0.5]]))


@given(
    st.lists(st.integers(0, 2), min_size=24, max_size=24),
    st.lists(st.integers(0, 9), min_size=32, max_size=32),
)
def test_both_ends_are_split_where_sources_move(flat: Any, entries: Any) -> None:
    copies = np.array(flat).reshape(2, 4, 3)
    copies[:, :, 0] += copies.sum(axis=2) == 0
    tokens = np.array(entries, dtype=float).reshape(2, 4, 4)
    wanted = np.zeros((2, 3, 3))
    part = copies / copies.sum(axis=2, keepdims=True)
    for layer, e, f, g in np.ndindex(2, 4, 4, 3):
        if e == f:
            wanted[layer, g, g] += tokens[layer, e, e] * part[layer, e, g]
        else:
            wanted[layer, g] += tokens[layer, e, f] * part[layer, e, g] * part[layer, f]
    found = split.traffic_between_copies(copies, tokens)
    assert found == pytest.approx(wanted)
    served = np.einsum("lef,lfg->lg", tokens, part)
    assert found.sum(axis=1) == pytest.approx(served)
