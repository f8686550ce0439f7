"""The families of traffic, the papers' clusters, and what recorded routing sends."""

from __future__ import annotations

import numpy as np
import pytest

from moeopt.core.errors import InstanceError
from moeopt.describe.loads import source_devices, source_tokens
from moeopt.transfers import generate
from moeopt.transfers.problem import TransferProblem
from moeopt.transfers.validate import impossible

SIZES = (4, 16, 320)

PROBLEMS = [
    generate.all_to_all("sparse", 6, seed=3, token_bytes=4096.0, bandwidth_bytes_per_s=5e10),
    generate.aurora_cluster(12, "uniform", "random", seed=2),
    generate.startups(5, "uniform", 2e-5, "round", seed=4),
    generate.two_tier(2, 4, 0.5, 1e6, "rails", seed=5),
    generate.expert_moves(6, 3, 1e6, seed=6),
    generate.two_models(5, 0.25, seed=7),
]


def line_sums(traffic: np.ndarray) -> np.ndarray:
    return np.concatenate([traffic.sum(axis=0), traffic.sum(axis=1)])


@pytest.mark.parametrize("family", generate.FAMILIES)
@pytest.mark.parametrize("ports", SIZES)
def test_families_send_nothing_to_themselves_and_draw_by_seed(family: str, ports: int) -> None:
    traffic = generate.tokens(family, ports, seed=1)
    assert traffic.shape == (ports, ports)
    assert (traffic >= 0).all()
    assert not traffic.diagonal().any()
    np.testing.assert_array_equal(traffic, generate.tokens(family, ports, seed=1))
    if family != "empty":
        assert (traffic != generate.tokens(family, ports, seed=2)).any()
    if family != "dense":
        assert (traffic == np.round(traffic)).all()


@pytest.mark.parametrize("ports", SIZES)
def test_families_are_what_they_are_called(ports: int) -> None:
    drawn = {family: generate.tokens(family, ports, seed=5) for family in generate.FAMILIES}
    assert not drawn["empty"].any()
    assert np.count_nonzero(drawn["one_message"]) == 1
    permutation = drawn["permutation"] > 0
    assert (permutation.sum(axis=0) == 1).all()
    assert (permutation.sum(axis=1) == 1).all()
    assert drawn["uniform"].max() <= generate.MOST_TOKENS
    assert (drawn["zipf"].sum(axis=1) <= generate.TOKENS_PER_SENDER).all()
    assert np.count_nonzero(drawn["dense"]) == ports * (ports - 1)
    hot = np.sort(drawn["hot_receiver"].sum(axis=0))
    assert hot[-1] > 3 * hot[-2]


def test_the_share_of_pairs_in_the_sparse_family() -> None:
    share = np.mean([generate.tokens("sparse", 40, seed) > 0 for seed in range(20)])
    assert share == pytest.approx(generate.SPARSE_SHARE * 39 / 40, abs=0.01)


def test_zipf_popularity_falls_with_the_rank() -> None:
    """The most popular of 8 experts has 1 / (1 + 1/2 + ... + 1/8) of the tokens, 37 %."""
    received = [np.sort(generate.tokens("zipf", 8, seed).sum(axis=0))[::-1] for seed in range(200)]
    share = np.mean(received, axis=0) / np.mean(received, axis=0).sum()
    harmonic = (1 / np.arange(1, 9)).sum()
    assert share[0] == pytest.approx(1 / harmonic, abs=0.03)
    assert share[3] == pytest.approx(1 / 4 / harmonic, abs=0.03)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.generator["name"])
def test_a_problem_is_remade_from_its_call(problem: TransferProblem) -> None:
    assert problem.generator is not None
    assert generate.remake(problem.generator) == problem
    assert impossible(problem) == []


def test_every_generator_is_remade_somewhere() -> None:
    called = {problem.generator["name"] for problem in PROBLEMS if problem.generator}
    assert called == set(generate.GENERATORS)


def _single_over_fluid(problem: TransferProblem) -> float:
    """Return what one peer at a time costs over many at once: Theorem 5.2's two readings."""
    pair, rate = problem.pair_bytes(), problem.send_rate()
    single = line_sums(pair / problem.pair_rate()).max()
    fluid = max((pair.sum(axis=1) / rate).max(), (pair.sum(axis=0) / rate).max())
    return float(single / fluid)


@pytest.mark.parametrize(
    ("family", "placed", "mean"),
    [("zipf", "sorted", 1.785), ("zipf", "random", 1.30), ("uniform", "random", 1.01)],
)
def test_aurora_cluster_has_the_simulated_ratio(
    family: str, placed: generate.Placed, mean: float
) -> None:
    ratios = [
        _single_over_fluid(generate.aurora_cluster(8, family, placed, seed)) for seed in range(300)
    ]
    assert np.mean(ratios) == pytest.approx(mean, abs=0.03)


def test_aurora_cluster_puts_the_popular_expert_on_the_fastest_port() -> None:
    problem = generate.aurora_cluster(16)
    rates, counts = np.unique(problem.send_rate(), return_counts=True)
    assert rates.tolist() == sorted(generate.AURORA_RATES)
    assert (counts == 4).all()
    received = problem.pair_bytes().sum(axis=0)
    assert received[0] == received.max()


@pytest.mark.parametrize("family", ["zipf", "uniform"])
def test_startups_have_1_to_64_mb_a_pair(family: str) -> None:
    problem = generate.startups(16, family)
    size = problem.pair_bytes()[~np.eye(16, dtype=bool)]
    assert size.min() >= generate.LEAST_BYTES
    assert size.max() <= generate.MOST_BYTES
    assert size.max() > 0.8 * generate.MOST_BYTES
    assert problem.startup_s == 1e-5


def test_two_tier_ports_send_equally_much() -> None:
    problem = generate.two_tier(2, 4, bytes_per_port=1e6)
    np.testing.assert_allclose(problem.pair_bytes().sum(axis=1), 1e6, atol=4)
    assert problem.fabric is not None
    assert not problem.fabric.rails
    assert generate.two_tier(2, 4, network="rails").fabric.rails  # type: ignore[union-attr]


def test_expert_moves_are_whole_experts_to_each_port() -> None:
    problem = generate.expert_moves(7, 3, 10.0)
    np.testing.assert_array_equal(problem.pair_bytes().sum(axis=0), 30.0)
    assert (problem.pair_bytes() % 10.0 == 0).all()


def test_the_second_model_is_released_in_the_middle_of_the_first() -> None:
    problem = generate.two_models(6, delay=0.5)
    first = line_sums(problem.messages()[0]).max()
    assert (problem.release()[0] == 0).all()
    assert (problem.release()[1] == first / 2).all()


def test_routed_tokens_go_once_to_each_device() -> None:
    """Token 0 starts on device 0 and needs experts 0, 1 (device 0) and 2 (device 1)."""
    expert_ids = np.array([[[0, 1, 2]], [[2, 3, 2]], [[0, 2, 1]]])
    device = np.array([[0, 0, 1, 1]])
    sent = generate.routed_tokens(expert_ids, np.array([0, 0, 1]), device, 2)
    np.testing.assert_array_equal(sent, [[[1, 2], [1, 1]]])


def test_routed_tokens_with_an_expert_on_each_device_are_the_counts() -> None:
    rng = np.random.default_rng(0)
    expert_ids = np.argsort(rng.random((50, 3, 4)), axis=2)[:, :, :2]
    start = source_devices(np.array([20, 5, 25]), 4)
    own = np.tile(np.arange(4), (3, 1))
    sent = generate.routed_tokens(expert_ids, start, own, 4)
    np.testing.assert_array_equal(sent, source_tokens(expert_ids, start, 4, 4).transpose(1, 0, 2))


@pytest.mark.parametrize(
    ("call", "path"),
    [
        ({"name": "nonsense"}, r"\$.generator.name"),
        ({}, r"\$.generator.name"),
        ({"name": "all_to_all", "family": "flat"}, r"\$.family"),
        ({"name": "all_to_all", "ports": 1}, r"\$.ports"),
        ({"name": "aurora_cluster", "ports": 6}, r"\$.ports"),
        ({"name": "aurora_cluster", "placed": "well"}, r"\$.placed"),
        ({"name": "startups", "family": "sparse"}, r"\$.family"),
        ({"name": "two_tier", "network": "torus"}, r"\$.network"),
        ({"name": "all_to_all", "wings": 2}, r"\$.generator"),
    ],
)
def test_a_strange_call_is_refused(call: dict[str, str | int | float], path: str) -> None:
    with pytest.raises(InstanceError, match=path):
        generate.remake(call)
