"""The strategies: what they draw is valid, reaches every option, and is as feasible as it says."""

from collections import Counter

import msgspec
import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from moeopt.describe.cluster import Cluster, Device, Node
from moeopt.describe.model import MoEModel
from moeopt.placement.problem import Pair, PlacementProblem, Timing
from moeopt.testing.strategies import (
    LOAD_KINDS,
    OBJECTIVES,
    SPLITS,
    clusters,
    devices,
    loads,
    models,
    nodes,
    pairs,
    placement_problems,
    timings,
)


def drawn(strategy, examples, number=0):
    """Return examples of a strategy, the same each time."""
    found = []

    @seed(number)
    @settings(max_examples=examples, deadline=None, database=None, derandomize=False)
    @given(strategy)
    def collect(example):
        found.append(example)

    collect()
    return found


@pytest.mark.parametrize(
    ("strategy", "kind"),
    [
        (devices(), Device),
        (nodes(), Node),
        (clusters(), Cluster),
        (models(), MoEModel),
        (timings(), Timing),
        (pairs(), Pair),
    ],
)
def test_draws_the_type_and_every_field(strategy, kind):
    examples = drawn(strategy, 120)
    assert all(type(example) is kind for example in examples)
    varied = {
        field
        for field in kind.__struct_fields__
        if len({repr(getattr(example, field)) for example in examples}) > 1
    }
    assert set(kind.__struct_fields__) - varied <= {"version"}


@given(clusters(max_devices=5))
def test_clusters_keep_their_size(cluster):
    assert 1 <= cluster.num_devices <= 5


@given(clusters(max_devices=6, uniform=True))
def test_uniform_clusters_are_uniform(cluster):
    assert set(cluster.relative_speed()) == {1.0}
    assert len(set(np.bincount(cluster.device_node()))) == 1


def test_clusters_have_presets_among_them():
    named = Counter(
        type(value).__name__
        for cluster in drawn(clusters(max_devices=16), 150)
        for group in cluster.nodes
        for value in (group.node, group.resolved_node().device)
    )
    assert named["str"] > 20


@pytest.mark.parametrize("kind", [*LOAD_KINDS, None])
@given(data=st.data())
@settings(max_examples=15)
def test_loads_are_finite_and_of_their_shape(kind, data):
    value = data.draw(loads(2, 3, 5, kind))
    assert value.shape == (2, 3, 5)
    assert value.dtype == np.float64
    assert (value >= 0).all()
    assert (value <= 1e6).all()
    if kind == "one_hot":
        assert ((value > 0).sum(axis=2) == 1).all()


def test_every_option_of_a_problem_is_reached():
    examples = drawn(placement_problems(), 700)
    seen = Counter(option for problem in examples for option in options(problem))
    missing = {option for option in ALL_OPTIONS if seen[option] < 2}
    assert not missing
    possible = {
        (objective, split)
        for objective in OBJECTIVES
        for split in SPLITS
        if split == "even"
        or (objective != "activated" and (objective, split) != ("layer_time", "optimal"))
    }
    pairs = {(p.objective, p.split) for p in examples}
    # Which of the fifteen are drawn depends on what else hypothesis has seen; nearly all are.
    assert pairs <= possible
    assert len(pairs) >= len(possible) - 3
    assert {objective for objective, _ in pairs} == set(OBJECTIVES)
    assert {split for _, split in pairs} == set(SPLITS)


#: Options that 700 examples must show.
ALL_OPTIONS = (
    *msgspec.structs.asdict(Pair(expert=0, device=0)),
    *(set(PlacementProblem.__struct_fields__) - {"version", "loads_tokens", "cluster"}),
    *("any_copies_on_device", "one_node", "every_layer_pin", "one_layer_pin", "speeds", "nodes"),
    *("device_memory", "memory_by_device", "bytes_by_expert", "bytes_by_layer", "bytes_equal"),
    *("unequal_slots", "zero_slots", "layers", "scenarios", "one_device", "one_expert"),
)


def options(problem):
    """Name the options that a problem uses."""
    default = PlacementProblem(
        loads_tokens=np.ones((1, 1)), cluster=Cluster.uniform(1), slots_per_device=1
    )
    for field in problem.__struct_fields__:
        if repr(getattr(problem, field)) != repr(getattr(default, field)):
            yield field
    for pin in (*problem.pinned, *problem.forbidden):
        yield "every_layer_pin" if pin.layer is None else "one_layer_pin"
        yield from ("expert", "device", "layer")
    slots = problem.slots()
    size = np.ndim(problem.expert_bytes) if problem.expert_bytes is not None else None
    memory = problem.expert_memory_bytes
    tests = {
        "any_copies_on_device": problem.max_copies_per_device is None,
        "one_node": problem.group_rule == "one_node" and problem.groups > 1,
        "speeds": len(set(problem.cluster.relative_speed())) > 1,
        "nodes": problem.cluster.num_nodes > 1,
        "device_memory": memory is None and np.isfinite(problem.memory_budget_bytes()).any(),
        "memory_by_device": isinstance(memory, tuple),
        "bytes_equal": size == 0,
        "bytes_by_expert": size == 1,
        "bytes_by_layer": size == 2,
        "unequal_slots": len(set(slots)) > 1,
        "zero_slots": (slots == 0).any(),
        "layers": problem.num_layers > 1,
        "scenarios": problem.num_scenarios > 1,
        "one_device": problem.num_devices == 1,
        "one_expert": problem.num_experts == 1,
    }
    yield from (name for name, holds in tests.items() if holds)


@given(placement_problems(plain=True))
def test_plain_problems_state_no_rule(problem):
    used = set(options(problem)) - {"layers", "scenarios", "nodes", "one_device", "one_expert"}
    stated = {"loads_tokens", "cluster", "slots_per_device", "objective", "split"}
    # Whose traffic it is, is no rule.
    assert used <= stated | {"timing", "expert_traffic_tokens", "cvar_tail", "allow_empty_slots"}


@given(placement_problems(objectives=("cvar",), splits=("nearest",), max_layers=1))
def test_objectives_and_splits_are_as_asked(problem):
    assert (problem.objective, problem.split, problem.num_layers) == ("cvar", "nearest", 1)
