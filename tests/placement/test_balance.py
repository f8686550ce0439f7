"""The plain case: EPLB's algorithm, the fast search above it, and the drop-in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moeopt import InstanceError
from moeopt.adapters.engines.eplb import logical_maps, rebalance_experts
from moeopt.placement import balance, generate

#: The example of deepseek-ai/EPLB's README: 12 experts in 4 groups, 16 slots, 8 devices, 2 nodes.
README_WEIGHT = np.array(
    [
        [90, 132, 40, 61, 104, 165, 39, 4, 73, 56, 183, 86],
        [20, 107, 104, 64, 19, 197, 187, 157, 172, 86, 16, 27],
    ]
)
README_PLAN = np.array(
    [
        [5, 6, 5, 7, 8, 4, 3, 4, 10, 9, 10, 2, 0, 1, 11, 1],
        [7, 10, 6, 8, 6, 11, 8, 9, 2, 4, 5, 1, 5, 0, 3, 1],
    ]
)


def device_loads(weight, table, devices):
    """Device loads under the even split, computed the slow way."""
    loads = np.zeros((len(table), devices))
    per_device = table.shape[1] // devices
    for layer, row in enumerate(table):
        count = np.bincount(row, minlength=weight.shape[1])
        for slot, expert in enumerate(row):
            loads[layer, slot // per_device] += weight[layer, expert] / count[expert]
    return loads


@st.composite
def shapes(draw):
    """Weights with slots, devices, nodes and groups that EPLB accepts."""
    nodes = draw(st.sampled_from([1, 2, 4]))
    devices = nodes * draw(st.integers(1, 3))
    groups = draw(st.sampled_from([1, nodes, 2 * nodes]))
    experts = groups * draw(st.integers(1, 4))
    per_device = -(-experts // devices) + draw(st.integers(0, 2))
    layers = draw(st.integers(1, 3))
    values = st.one_of(st.integers(0, 1000), st.floats(0, 1e6))
    cells = st.lists(values, min_size=layers * experts, max_size=layers * experts)
    weight = np.array(draw(cells), dtype=float).reshape(layers, experts)
    return weight, per_device * devices, groups, nodes, devices


def test_eplb_gives_the_loads_of_the_published_example():
    """Our writing of EPLB reproduces its README's plan in device loads, layer by layer."""
    table, _, _ = rebalance_experts(README_WEIGHT, 16, 4, 2, 8, method="eplb")
    ours = np.sort(device_loads(README_WEIGHT, table, 8), axis=1)
    theirs = np.sort(device_loads(README_WEIGHT, README_PLAN, 8), axis=1)
    np.testing.assert_allclose(ours, theirs)


@pytest.mark.parametrize("load", ["logn1", "zipf1.2"])
def test_eplb_gives_the_published_imbalance(load):
    """On DeepSeek-V3's shape EPLB's mean imbalance is the one its own code was measured at."""
    expected = {"logn1": 1.0048, "zipf1.2": 1.0241}[load]
    weight = generate.loads(load, 58, 256)
    table, _, _ = rebalance_experts(weight, 288, 1, 1, 32, method="eplb")
    loads = device_loads(weight, table, 32)
    assert round(float((loads.max(axis=1) / loads.mean(axis=1)).mean()), 4) == expected


@settings(max_examples=60, deadline=None)
@given(shapes())
def test_fast_and_auto_are_never_worse_than_eplb(shape):
    """No layer's largest load grows when EPLB's plan is improved."""
    weight, slots, groups, nodes, devices = shape
    largest = {}
    for method in ("eplb", "fast", "auto"):
        table, _, _ = rebalance_experts(weight, slots, groups, nodes, devices, method=method)
        largest[method] = device_loads(weight, table, devices).max(axis=1)
    assert (largest["fast"] <= largest["eplb"] * (1 + 1e-9) + 1e-9).all()
    assert (largest["auto"] <= largest["eplb"] * (1 + 1e-9) + 1e-9).all()


@settings(max_examples=60, deadline=None)
@given(shapes(), st.sampled_from(["eplb", "fast", "auto", "search"]))
def test_the_three_arrays_agree(shape, method):
    """Every expert is placed, groups stay on nodes, and the maps are inverse to each other."""
    weight, slots, groups, nodes, devices = shape
    table, slots_of, count = rebalance_experts(weight, slots, groups, nodes, devices, method=method)
    layers, experts = weight.shape
    assert table.shape == (layers, slots)
    assert count.min() >= 1
    assert slots_of.shape == (layers, experts, count.max())
    for layer in range(layers):
        for expert in range(experts):
            mine = slots_of[layer, expert]
            np.testing.assert_array_equal(
                mine[: count[layer, expert]], np.flatnonzero(table[layer] == expert)
            )
            assert (mine[count[layer, expert] :] == -1).all()
    if groups > 1 and groups % nodes == 0:
        node = np.arange(slots) // (slots // nodes)
        group = table // (experts // groups)
        for layer in range(layers):
            for g in range(groups):
                assert len(set(node[group[layer] == g].tolist())) == 1


def test_one_hot_expert_is_spread_over_every_device():
    """With one expert of nearly all load, 16 devices of 9 slots balance perfectly (EPLB: 1.88)."""
    weight = np.ones((1, 128))
    weight[0, 0] = 1e6
    table, _, _ = rebalance_experts(weight, 144, 1, 1, 16)
    loads = device_loads(weight, table, 16)[0]
    assert loads.max() / loads.mean() < 1.001
    eplb, _, _ = rebalance_experts(weight, 144, 1, 1, 16, method="eplb")
    worse = device_loads(weight, eplb, 16)[0]
    assert worse.max() / worse.mean() == pytest.approx(1.88, abs=0.01)


def test_copies_can_be_kept_on_distinct_devices():
    """``max_copies_per_gpu=1`` leaves no device with two copies of an expert."""
    weight = generate.loads("zipf1.2", 4, 32)
    table, _, _ = rebalance_experts(weight, 40, 1, 1, 8, max_copies_per_gpu=1)
    for row in table.reshape(4 * 8, 5):
        assert len(set(row.tolist())) == 5


def test_same_seed_same_plan_and_input_untouched():
    """Every rank that calls with the same loads gets the same plan."""
    weight = generate.loads("zipf0.8", 3, 64)
    before = weight.copy()
    plans = [rebalance_experts(weight, 80, 1, 1, 16, seed=7)[0] for _ in range(2)]
    np.testing.assert_array_equal(*plans)
    np.testing.assert_array_equal(weight, before)


def test_torch_in_torch_out():
    """A tensor gives tensors with the values that an array gives."""
    torch = pytest.importorskip("torch")
    tensor = torch.tensor(README_WEIGHT)
    answer = rebalance_experts(tensor, 16, 4, 2, 8)
    expected = rebalance_experts(README_WEIGHT, 16, 4, 2, 8)
    for ours, array in zip(answer, expected, strict=True):
        assert isinstance(ours, torch.Tensor)
        assert ours.dtype == torch.int64
        np.testing.assert_array_equal(ours.numpy(), array)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((15, 4, 2, 8), "num_replicas: must be a multiple of num_gpus = 8"),
        ((8, 4, 2, 8), "num_replicas: must be at least the 12 experts"),
        ((16, 5, 2, 8), "num_groups: must divide the 12 experts"),
        ((16, 4, 3, 8), "num_nodes: must divide num_gpus = 8"),
    ],
)
def test_sizes_that_do_not_fit_are_named(arguments, words):
    """Wrong sizes raise a sentence with the argument, the rule and a remedy."""
    with pytest.raises(InstanceError, match=words):
        rebalance_experts(README_WEIGHT, *arguments)


def test_logical_maps_of_a_known_table():
    """Slots are listed in order and padded with -1."""
    slots_of, count = logical_maps(np.array([[1, 0, 1, 2]]), 3)
    assert slots_of.tolist() == [[[1, -1], [0, 2], [3, -1]]]
    assert count.tolist() == [[1, 2, 1]]


def test_hierarchical_bound_is_the_best_spread_of_groups():
    """Four groups of loads 4, 3, 2, 1 on two nodes split 5 and 5; the bound is 5 per node."""
    load = np.repeat([[4.0, 3.0, 2.0, 1.0]], 1, axis=0)
    blocks = balance.uniform_blocks(load, 4, 2, nodes=2, groups=4)
    np.testing.assert_allclose(balance.block_bounds(blocks), [5.0])
