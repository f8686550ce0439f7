"""Stand-ins for Aurora's loads, its clusters, and recorded routing between groups of experts."""

from __future__ import annotations

import numpy as np
import pytest

import moeopt
from moeopt.colocation import generate
from moeopt.colocation.plan import evaluate
from moeopt.colocation.problem import ColocationProblem
from moeopt.colocation.validate import impossible
from moeopt.core.errors import InstanceError
from moeopt.describe.topology import port_bytes_per_s

PROBLEMS = [
    generate.limoe("b32-coco", "b16-imagenet", "mixed", layer=2, others=1, seed=3),
    generate.synthetic("uniform", 12, 3, "mixed", seed=2),
]


def alone(model: str, layer: int, cluster: generate.Kind = "equal") -> ColocationProblem:
    return ColocationProblem(
        models=(generate.limoe_layer(model, layer),), cluster=generate.aurora_cluster(cluster)
    )


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.generator["name"])
def test_a_problem_is_remade_from_its_call(problem: ColocationProblem) -> None:
    assert problem.generator is not None
    assert generate.remake(problem.generator) == problem
    assert impossible(problem) == []


def test_every_generator_is_remade_somewhere() -> None:
    made = {problem.generator["name"] for problem in PROBLEMS if problem.generator}
    assert made == set(generate.GENERATORS)


@pytest.mark.parametrize("model", generate.SHAPES)
def test_every_source_deals_its_tokens_by_seed(model: str) -> None:
    traffic = generate.limoe_traffic(model)
    assert traffic.shape == (generate.LAYERS, generate.EXPERTS, generate.EXPERTS)
    assert (traffic.sum(axis=2) == generate.SHAPES[model].tokens).all()
    assert (traffic == np.round(traffic)).all()
    np.testing.assert_array_equal(traffic, generate.limoe_traffic(model, seed=0))
    assert (traffic != generate.limoe_traffic(model, seed=1)).any()


@pytest.mark.parametrize("model", generate.SHAPES)
def test_popular_experts_differ_by_layer_but_not_wholly(model: str) -> None:
    """Of the draws of many seeds: skewed in each layer, alike in several."""
    loads = np.stack([generate.limoe_traffic(model, seed).sum(axis=1) for seed in range(40)])
    skew = loads.max(axis=2) / loads.mean(axis=2)
    assert skew.mean() > 1.5
    logs = np.log(loads)
    alike = [np.corrcoef(one[0], one[1])[0, 1] for one in logs]
    assert 0.1 < np.mean(alike) < 0.98


def test_other_layers_are_mixed_in_as_a_mean() -> None:
    traffic = generate.limoe_traffic("b16-coco")
    np.testing.assert_array_equal(generate.mixed_traffic(traffic, 0), traffic[0])
    np.testing.assert_array_equal(generate.mixed_traffic(traffic, 3), traffic.mean(axis=0))
    mixed = generate.limoe_layer("b16-coco", layer=3, others=1).traffic_tokens
    np.testing.assert_array_equal(mixed, (traffic[3] + traffic[0]) / 2)
    # As many tokens as without: noise changes where they go.
    assert (mixed.sum(axis=1) == generate.SHAPES["b16-coco"].tokens).all()


def test_a_model_alone_computes_in_less_than_a_fifth_of_its_time() -> None:
    for cluster in generate.KINDS:
        busy = []
        for model in generate.SHAPES:
            problem = alone(model, 0, cluster)
            plan = moeopt.solve(problem, "two_step").plan
            busy.append(float(evaluate(problem, plan).utilisation.mean()))
        assert np.mean(busy) < 0.2, (cluster, busy)


def test_the_clusters_of_the_paper() -> None:
    mixed = generate.aurora_cluster("mixed", 12)
    rates = np.repeat([100e9, 80e9, 50e9, 40e9], 3) / 8
    np.testing.assert_allclose(port_bytes_per_s(mixed), rates)
    np.testing.assert_allclose(mixed.relative_speed(), rates / rates[0])
    equal = generate.aurora_cluster()
    np.testing.assert_allclose(port_bytes_per_s(equal), np.full(8, 12.5e9))
    assert equal.num_devices == equal.num_nodes == 8


@pytest.mark.parametrize("family", ["zipf", "uniform"])
def test_synthetic_traffic_up_to_256_experts(family: str) -> None:
    problem = generate.synthetic(family, 256)
    assert problem.experts().tolist() == [256, 256]
    assert problem.num_devices == 256
    first, second = (model.traffic_tokens for model in problem.models)
    assert (first != second).any()
    if family == "zipf":
        assert (first.sum(axis=1) == generate.TOKENS).all()
        received = np.sort(first.sum(axis=0))
        assert received[-1] > 10 * received[128]
    else:
        assert first.sum(axis=0).max() < 1.5 * first.sum(axis=0).min()


def test_routing_is_folded_into_groups() -> None:
    """Token 0 starts with group 0 and needs experts 0, 1 (group 0) and 2; the others in group 1."""
    expert_ids = np.array([[[0, 1, 2]], [[2, 3, 0]], [[0, 2, 1]]])
    folded = generate.grouped_traffic(expert_ids, np.array([1, 2]), experts=4, groups=2)
    np.testing.assert_array_equal(folded, [[[2, 1], [3, 3]]])


def test_every_token_counts_once_for_each_expert() -> None:
    rng = np.random.default_rng(0)
    expert_ids = np.argsort(rng.random((50, 3, 12)), axis=2)[:, :, :4]
    folded = generate.grouped_traffic(expert_ids, np.array([20, 5, 25]), 12, 3)
    assert folded.shape == (3, 3, 3)
    assert (folded.sum(axis=(1, 2)) == 50 * 4).all()
    own = generate.grouped_traffic(expert_ids, np.array([20, 5, 25]), 12, 12)
    blocks = own[0].reshape(3, 4, 3, 4).sum(axis=(1, 3))
    np.testing.assert_array_equal(blocks.sum(axis=0), folded[0].sum(axis=0))


@pytest.mark.parametrize(
    ("call", "path"),
    [
        ({"name": "nonsense"}, r"\$.generator.name"),
        ({}, r"\$.generator.name"),
        ({"name": "limoe", "first": "b64-coco"}, r"\$.model"),
        ({"name": "limoe", "cluster": "large"}, r"\$.cluster"),
        ({"name": "limoe", "layer": 4}, r"\$.layer"),
        ({"name": "limoe", "others": -1}, r"\$.others"),
        ({"name": "synthetic", "family": "flat"}, r"\$.family"),
        ({"name": "synthetic", "experts": 1}, r"\$.experts"),
        ({"name": "synthetic", "experts": 6, "cluster": "mixed"}, r"\$.devices"),
        ({"name": "synthetic", "models": 0}, r"\$.models"),
        ({"name": "synthetic", "wings": 2}, r"\$.generator"),
    ],
)
def test_a_strange_call_is_refused(call: dict[str, str | int | float], path: str) -> None:
    with pytest.raises(InstanceError, match=path):
        generate.remake(call)


def test_groups_must_divide_the_experts() -> None:
    with pytest.raises(InstanceError, match="must divide the 4 experts"):
        generate.grouped_traffic(np.zeros((1, 1, 1), dtype=int), np.array([1]), 4, 3)
