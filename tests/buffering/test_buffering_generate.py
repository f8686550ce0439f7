"""Drawn streams with locality, scans, and streams against a policy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from moeopt.buffering import generate
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.validate import impossible
from moeopt.core.errors import InstanceError
from moeopt.describe.presets import preset

PROBLEMS = [
    generate.locality(
        3, 8, 12, 2, batch=2, drift=0.5, domains=2, domain_steps=5, past=4, rules="caps", seed=7
    ),
    generate.offloaded("mixtral-8x7b", steps=4, batch=2, uploads=1, seed=3),
    generate.scan(6, 3, 2, layers=2, together=3),
    generate.adversary("lifo", 3, 12),
]


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.generator["name"])
def test_a_problem_is_remade_from_its_call(problem: BufferingProblem) -> None:
    assert problem.generator is not None
    assert generate.remake(problem.generator) == problem
    assert impossible(problem) == []


def test_every_generator_is_remade_somewhere() -> None:
    made = {problem.generator["name"] for problem in PROBLEMS if problem.generator}
    assert made == set(generate.GENERATORS)


@pytest.mark.parametrize("rules", generate.RULES)
@pytest.mark.parametrize("room", [0.0, 0.5, 1.0])
def test_all_rules_have_a_plan_whatever_the_room(rules: str, room: float) -> None:
    problem = generate.locality(3, 6, 8, batch=2, room=room, rules=rules)
    assert impossible(problem) == []
    assert (problem.weights is not None) == (problem.serve == "bypass")


def test_groups_ask_for_the_experts_of_all_their_tokens_in_rising_order() -> None:
    problem = generate.locality(2, 16, 40, 3, batch=4, rules="caps")
    for begin, end in zip(problem.starts[:-1], problem.starts[1:], strict=True):
        asked = problem.active[begin:end]
        assert (np.diff(asked) > 0).all()
        assert 3 <= asked.size <= 12
        assert problem.weights is not None
        assert problem.weights[begin:end].sum() == 3 * 4


def kept(problem: BufferingProblem) -> float:
    """Return the share of references that the group before, of the same layer, had too."""
    groups = [
        set(problem.active[begin:end].tolist())
        for begin, end in zip(problem.starts[:-1], problem.starts[1:], strict=True)
    ]
    again = [len(one & other) for one, other in itertools.pairwise(groups)]
    return sum(again) / problem.num_references


def test_experts_stay_as_they_are_told() -> None:
    shares = [kept(generate.locality(1, 64, 400, 4, stay=s, skew=0.0)) for s in (0.0, 0.5, 0.9)]
    # Beside those that stay, a few of 64 are drawn again.
    assert shares[0] < 0.15
    assert 0.45 < shares[1] < 0.6
    assert shares[2] > 0.85


def top(problem: BufferingProblem, begin: int, end: int) -> int:
    """Return the expert of layer 0 that is asked for most in these steps."""
    part = problem.active[(problem.item_of() < problem.experts)]
    per_step = part.size // problem.num_steps
    return int(np.bincount(part[begin * per_step : end * per_step]).argmax())


def test_skew_drift_and_domains() -> None:
    counts = np.bincount(generate.locality(1, 32, 500, 1, stay=0.0, skew=2.0).active)
    assert counts.max() > 0.4 * counts.sum()
    domains = generate.locality(
        1, 32, 400, 1, stay=0.0, skew=3.0, domains=2, domain_steps=100, seed=1
    )
    tops = [top(domains, begin, begin + 100) for begin in (0, 100, 200, 300)]
    assert tops[0] == tops[2] != tops[1] == tops[3]
    assert domains.sequence_starts is not None
    assert domains.sequence_starts.tolist() == [0, 100, 200, 300]
    still, moving = (
        generate.locality(1, 8, 400, 1, stay=0.0, skew=3.0, drift=d, seed=1) for d in (0.0, 1.0)
    )
    spans = range(0, 400, 40)
    assert len({top(still, begin, begin + 40) for begin in spans}) == 1
    assert len({top(moving, begin, begin + 40) for begin in spans}) > 2


def test_history_is_of_the_past_and_not_of_the_trace() -> None:
    problem = generate.locality(2, 8, 10, 2, batch=3, past=5)
    assert problem.history is not None
    assert problem.history.shape == (2, 8)
    assert problem.history.sum(axis=1).tolist() == [5 * 2 * 3] * 2
    assert generate.locality(2, 8, 10, 2, batch=3).history is None


def test_seeds_differ_and_names_tell() -> None:
    one, other = generate.locality(seed=1), generate.locality(seed=2)
    assert one.name != other.name
    assert (one.active != other.active).any()


def test_a_scan_repeats() -> None:
    problem = generate.scan(4, 2, 3)
    assert problem.active.tolist() == [0, 1, 2, 3] * 3
    assert problem.num_steps == 12
    batches = generate.scan(4, 2, 3, layers=2, together=4)
    assert batches.active.tolist() == [0, 1, 2, 3] * 6
    assert batches.num_steps == 3


@pytest.mark.parametrize("policy", generate.ADVERSARIES)
def test_one_expert_more_than_slots_suffices_against_a_policy(policy: str) -> None:
    problem = generate.adversary(policy, 4, 60)
    assert problem.num_experts == 5
    assert problem.slots == 4
    assert (np.diff(problem.active) != 0).all()


def test_an_offloaded_model_has_its_bytes_and_rates() -> None:
    problem = generate.offloaded("mixtral-8x7b", steps=3)
    shape = preset("model", "mixtral-8x7b")
    assert (problem.num_layers, problem.num_experts) == (shape.moe_layers, shape.experts)
    assert problem.expert_bytes == shape.expert_bytes
    assert problem.load_prices()[0, 0] == pytest.approx(
        shape.expert_bytes / generate.LINK_BYTES_PER_S
    )
    assert problem.serve == "load"
    capped = generate.offloaded("mixtral-8x7b", steps=3, uploads=2)
    assert (capped.serve, capped.loads_per_group, capped.free_fill) == ("bypass", 2, True)
    assert capped.miss_prices()[0] < capped.load_prices()[0, 0]


@pytest.mark.parametrize(
    ("call", "path"),
    [
        ({"name": "nonsense"}, r"\$.generator.name"),
        ({}, r"\$.generator.name"),
        ({"name": "locality", "rules": "none"}, r"\$.rules"),
        ({"name": "locality", "stay": 1.5}, r"\$.stay"),
        ({"name": "locality", "room": -0.1}, r"\$.room"),
        ({"name": "locality", "top_k": 17}, r"\$.top_k"),
        ({"name": "locality", "steps": 10**8}, r"\$.steps"),
        ({"name": "locality", "domains": 0}, r"\$.domains"),
        ({"name": "offloaded", "model": "small"}, "must be a model preset"),
        ({"name": "offloaded", "uploads": 65}, r"\$.uploads"),
        ({"name": "scan", "experts": 4, "slots": 5}, r"\$.slots"),
        ({"name": "scan", "experts": 4, "together": 3}, r"\$.together"),
        ({"name": "scan", "rounds": 0}, r"\$.rounds"),
        ({"name": "adversary", "policy": "belady"}, r"\$.policy"),
        ({"name": "adversary", "slots": 0}, r"\$.slots"),
        ({"name": "adversary", "wings": 2}, r"\$.generator"),
    ],
)
def test_a_strange_call_is_refused(call: dict[str, str | int | float], path: str) -> None:
    with pytest.raises(InstanceError, match=path):
        generate.remake(call)
