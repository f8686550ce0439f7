"""What is malformed is named with its path; what cannot be met is counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from colocation_oracle import brute_force, cluster_of, layer

from moeopt.colocation.problem import ColocationProblem, Pin
from moeopt.colocation.validate import impossible
from moeopt.core.errors import InstanceError
from moeopt.describe.cluster import Cluster, Device, Node, NodeGroup

A = layer(np.ones((3, 3)), expert_bytes=2)
B = layer(np.ones((2, 2)))
C = layer(np.ones((3, 3)), expert_bytes=3)


def problem(**fields: Any) -> ColocationProblem:
    stated = {"models": (A, B), "cluster": cluster_of((1.0, 1.0, 3))}
    return ColocationProblem(**{**stated, **fields})


@pytest.mark.parametrize(
    ("fields", "path", "rule"),
    [
        ({"models": ()}, "$.models", "must name a model"),
        ({"models": (A, layer(np.ones((2, 3))))}, "$.models[1].traffic_tokens", "must have shape"),
        ({"models": (A, layer(np.ones(3)))}, "$.models[1].traffic_tokens", "must have shape"),
        ({"models": (layer(np.empty((0, 0))),)}, "$.models[0].traffic_tokens", "must have shape"),
        (
            {"models": (A, layer([[0, 1], [1, -1]]))}, "$.models[1].traffic_tokens[1][1]", ">= 0",
        ),
        (
            {"models": (A, layer([[0, np.nan], [1, 1]]))}, "$.models[1].traffic_tokens[0][1]",
            "finite",
        ),
        ({"models": (A, layer(np.full((2, 2), 1e308)))}, "$.models[1]", "finite time"),
        (
            {"models": (layer(np.ones((2, 2)), gate_s=1e308, aggregation_s=1e308),)},
            "$.models[0]", "finite time",
        ),
        ({"experts_per_device": 0}, "$.experts_per_device", ">= 1"),
        ({"experts_per_device": 1_000_000, "cluster": Cluster.uniform(1000)},
         "$.experts_per_device", "at most"),
        ({"cluster": Cluster.uniform(1_000_000, 1_000_000)}, "$.cluster.nodes", "bandwidth"),
        ({"cluster": Cluster(nodes=(NodeGroup(node=Node(devices=1_000_000), count=1_000_000),))},
         "$.cluster", "at most"),
        ({"cluster": Cluster.uniform(3)}, "$.cluster.nodes", "must state its bandwidth"),
        (
            {"cluster": Cluster.uniform(4, 2, Device(link_bandwidth_bytes_per_s=1.0))},
            "$.cluster.nodes", "must state its bandwidth",
        ),
        ({"expert_memory_bytes": (1, 2)}, "$.expert_memory_bytes", "one entry for each"),
        ({"expert_memory_bytes": (1, 2, -3)}, "$.expert_memory_bytes[2]", ">= 0"),
        ({"models": (B, B), "expert_memory_bytes": 9}, "$.expert_memory_bytes", "left out"),
        ({"pinned": (Pin(model=2, expert=0, device=0),)}, "$.pinned[0].model", "0 to 1"),
        ({"pinned": (Pin(model=1, expert=2, device=0),)}, "$.pinned[0].expert", "0 to 1"),
        ({"pinned": (Pin(model=0, expert=2, device=3),)}, "$.pinned[0].device", "0 to 2"),
        (
            {"pinned": (Pin(model=0, expert=2, device=1), Pin(model=0, expert=2, device=0))},
            "$.pinned[1].device", "must be 1",
        ),
        ({"objective": "latency"}, "$.objective", "must be one of"),
    ],
)  # fmt: skip
def test_a_malformed_problem_names_the_field_and_the_rule(
    fields: dict[str, Any], path: str, rule: str
) -> None:
    with pytest.raises(InstanceError) as caught:
        problem(**fields)
    assert caught.value.path == path
    assert rule in caught.value.rule
    assert caught.value.remedy
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "fields",
    [
        # Nothing travels: on one device, without tokens for others, or without bytes.
        {"cluster": Cluster.uniform(1), "experts_per_device": 3},
        {"cluster": Cluster.uniform(3), "models": (layer(np.eye(3)),)},
        {
            "cluster": Cluster.uniform(3),
            "models": (
                layer(np.ones((2, 2)), dispatch_bytes_per_token=0.0, combine_bytes_per_token=0.0),
            ),
        },
        {"pinned": (Pin(model=0, expert=2, device=1), Pin(model=0, expert=2, device=1))},
        {"models": (layer(np.zeros((1, 1))),), "cluster": Cluster.uniform(1)},
    ],
)
def test_what_is_unusual_but_sound_is_accepted(fields: dict[str, Any]) -> None:
    assert impossible(problem(**fields)) == []


@pytest.mark.parametrize(
    ("fields", "constraint", "path", "amount"),
    [
        ({"cluster": cluster_of((1.0, 1.0, 2))}, "C2", "$.experts_per_device", 1),
        # 2 bytes fit once, not at all, and once, with one expert on a device.
        ({"expert_memory_bytes": (5, 1, 2)}, "C3", "$.expert_memory_bytes", 2),
        (
            {"models": (A, C), "expert_memory_bytes": (9, 3, 2)},
            "C3", "$.expert_memory_bytes", 3,
        ),
        (
            {"models": (A, C), "expert_memory_bytes": (5, 5, 4)},
            "C3", "$.expert_memory_bytes", 1,
        ),
        (
            {"pinned": (Pin(model=0, expert=0, device=1), Pin(model=0, expert=2, device=1))},
            "C4", "$.pinned", 1,
        ),
        (
            {
                "models": (A, layer(np.ones((2, 2)), expert_bytes=3)),
                "expert_memory_bytes": (9, 4, 9),
                "pinned": (Pin(model=0, expert=0, device=1), Pin(model=1, expert=1, device=1)),
            },
            "C3", "$.pinned", 1,
        ),
    ],
)  # fmt: skip
def test_what_counting_shows_impossible_is_named(
    fields: dict[str, Any], constraint: str, path: str, amount: float
) -> None:
    stated = problem(**fields)
    (found,) = impossible(stated)
    assert (found.constraint, found.path) == (constraint, path)
    assert found.amount == pytest.approx(amount)
    assert brute_force(stated) is None


def test_tight_places_and_memory_are_possible() -> None:
    tight = problem(expert_memory_bytes=(2, 2, 2), experts_per_device=1)
    assert impossible(tight) == []
    assert brute_force(tight) is not None
