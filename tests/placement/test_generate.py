"""The benchmark's loads and shapes, and the random instances."""

from __future__ import annotations

import numpy as np
import pytest

from moeopt.core.errors import InstanceError
from moeopt.placement import generate
from moeopt.placement.impossible import impossible


@pytest.mark.parametrize("load", generate.LOADS)
def test_every_layer_has_the_same_whole_tokens(load: str) -> None:
    tokens = generate.loads(load, 5, 64)
    assert tokens.shape == (5, 64)
    assert (tokens == np.round(tokens)).all()
    assert tokens.min() >= 1
    # Rounding each expert, and lifting it to 1, moves the total by less than its experts.
    assert np.abs(tokens.sum(axis=1) - generate.TOKENS_PER_LAYER).max() < 64


def test_the_draws_are_the_published_ones() -> None:
    """Written out as the benchmark states them, so that a change of their order is seen."""
    rng = np.random.default_rng(1)
    ranked = np.stack([(1 / np.arange(1, 9) ** 1.2)[rng.permutation(8)] for _ in range(3)])
    raw = ranked * rng.lognormal(0, 0.1, (3, 8))
    expected = np.round(raw / raw.sum(axis=1, keepdims=True) * 524288)
    np.testing.assert_array_equal(generate.loads("zipf1.2", 3, 8), np.maximum(expected, 1))
    raw = np.random.default_rng(1).dirichlet(np.full(8, 0.5), 3)
    expected = np.round(raw / raw.sum(axis=1, keepdims=True) * 524288)
    np.testing.assert_array_equal(generate.loads("dirich0.5", 3, 8), np.maximum(expected, 1))


def test_drift_keeps_the_totals() -> None:
    before = generate.loads("logn1", 4, 32)
    after = generate.drift(before)
    assert (after != before).any()
    assert np.abs(after.sum(axis=1) - before.sum(axis=1)).max() < 32
    np.testing.assert_array_equal(after, generate.drift(before))


@pytest.mark.parametrize("shape", generate.SHAPES)
@pytest.mark.parametrize("rules", ["eplb", "distinct"])
def test_shapes_are_solvable_and_add_up(shape: str, rules: generate.Rules) -> None:
    row = generate.SHAPES[shape]
    problem = generate.workload(shape, rules=rules)
    assert (problem.num_layers, problem.num_experts) == (row.layers, row.experts)
    assert (problem.num_slots, problem.num_devices) == (row.slots, row.devices)
    assert (problem.max_copies_per_device is None) == (rules == "eplb")
    assert row.hierarchical == shape.endswith("hierarchical")
    assert impossible(problem) == []


@pytest.mark.parametrize(
    "problem",
    [
        generate.workload("mixtral-16-8", "zipf0.8", seed=3, rules="eplb"),
        generate.one_hot_expert(experts=16, slots=24, devices=4),
        generate.hard(7, 3, 10, sigma=2.0, layers=2, scenarios=3, seed=9),
    ],
    ids=lambda problem: problem.generator["name"],
)
def test_a_problem_is_remade_from_its_call(problem: generate.PlacementProblem) -> None:
    assert problem.generator is not None
    assert generate.remake(problem.generator) == problem


@pytest.mark.parametrize(
    ("experts", "devices", "slots"), [(4, 2, 4), (5, 3, 7), (6, 4, 6), (3, 3, 12), (9, 2, 11)]
)
def test_hard_instances_have_a_plan(experts: int, devices: int, slots: int) -> None:
    problem = generate.hard(experts, devices, slots, seed=slots)
    assert problem.num_slots == slots
    assert impossible(problem) == []


@pytest.mark.parametrize(
    ("call", "path"),
    [
        ({"name": "nonsense"}, r"\$.generator.name"),
        ({}, r"\$.generator.name"),
        ({"name": "workload", "shape": "nonsense"}, r"\$.shape"),
        ({"name": "workload", "shape": "mixtral-16-8", "load": "flat"}, r"\$.load"),
        ({"name": "hard", "experts": 3}, r"\$.generator"),
        ({"name": "hard", "experts": 3, "wings": 2}, r"\$.generator"),
    ],
)
def test_a_strange_call_is_refused(call: dict[str, str | int | float], path: str) -> None:
    with pytest.raises(InstanceError, match=path):
        generate.remake(call)
