"""Strategies of the colocation wing: problems with every rule it knows, and plans for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from hypothesis import strategies as st

from moeopt.colocation.plan import ColocationPlan
from moeopt.colocation.problem import ColocationProblem, ModelLayer, Pin
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.describe.cluster import Cluster, Device, Node, NodeGroup
from moeopt.testing.strategies._broken_colocation import broken_colocation

#: What a plan may be good at.
COLOCATION_OBJECTIVES = ("time", "bottleneck", "communication")

#: Optional parts of a problem. An example has a few of them; a failing one shrinks to those it
#: needs. Without any there are two models of as many experts as there are devices, all equal.
COLOCATION_FEATURES = (
    "bytes",
    "computation",
    "fewer",
    "fixed",
    "local",
    "memory",
    "models",
    "named",
    "one_node",
    "packed",
    "pins",
    "rates",
    "speeds",
)

#: Tokens between experts, plainest first: a failing example shrinks towards the front.
_KINDS = ("ones", "integers", "one_expert", "symmetric", "reals", "zeros")

_FACTOR = st.sampled_from([1.0, 0.5, 2.0, 0.8]) | st.floats(0.1, 10.0)

Fields = dict[str, Any]


def colocation_problems(
    *,
    max_devices: int = 4,
    objectives: Sequence[str] = COLOCATION_OBJECTIVES,
    features: Sequence[str] = COLOCATION_FEATURES,
    feasible: bool | None = True,
    plain: bool = False,
) -> st.SearchStrategy[ColocationProblem]:
    """Draw colocation problems, small by default.

    Parameters
    ----------
    max_devices
        Most devices, at least 2.
    objectives
        Of `COLOCATION_OBJECTIVES`.
    features
        Optional rules to draw from, of `COLOCATION_FEATURES`.
    feasible
        ``True``: a plan exists, because memory and pins are stated around one. ``False``: none
        exists, though counting alone may not show it. ``None``: either.
    plain
        Whether to draw nothing but traffic: short for no `features`.

    Examples
    --------
    >>> from moeopt.testing.strategies import colocation_problems
    >>> strategy = colocation_problems(objectives=("time",), features=("speeds", "rates"))
    """
    chosen = () if plain else tuple(features)
    stated = _stated(max(2, max_devices), tuple(objectives), chosen)
    kept = stated.map(_problem)
    if feasible is True:
        return kept
    contradictory = stated.flatmap(broken_colocation).map(_problem)
    return contradictory if feasible is False else kept | contradictory


@st.composite
def colocation_plans(draw: st.DrawFn, problem: ColocationProblem) -> ColocationPlan:
    """Draw a plan of the right shape and range; it need not keep the problem's rules.

    Parameters
    ----------
    problem
        The problem that the plan is for.
    """
    device = np.full((problem.num_models, problem.num_experts), -1, dtype=np.int64)
    where = st.integers(-1, problem.num_devices - 1)
    for m, experts in enumerate(problem.experts().tolist()):
        device[m, :experts] = draw(st.lists(where, min_size=experts, max_size=experts))
    return ColocationPlan(device=device)


def _problem(fields: Fields) -> ColocationProblem:
    return ColocationProblem(**fields)


@st.composite
def _stated(
    draw: st.DrawFn, max_devices: int, objectives: tuple[str, ...], known: tuple[str, ...]
) -> Fields:
    """Draw the fields of a problem, its rules stated around a plan that keeps them."""
    features = draw(st.sets(st.sampled_from(known), max_size=6)) if known else set()
    devices = draw(st.integers(1, max_devices))
    count = draw(st.sampled_from([2, 3, 1])) if "models" in features else 2
    places = 1
    if "packed" in features:
        # Fewer devices and models, so that brute force has not too many plans to look at.
        devices, count, places = min(devices, 3), min(count, 2), draw(st.integers(2, 3))
    most = min(devices * places, 5)
    full = most if "packed" in features and draw(st.booleans()) else min(devices, most)
    experts = [draw(st.integers(1, full)) if "fewer" in features else full for _ in range(count)]
    token = draw(st.sampled_from([(1.0, 1.0), (1536.0, 12.5e9)]))
    fields: Fields = {
        "models": tuple(draw(_model(n, features, token)) for n in experts),
        "cluster": draw(_cluster(devices, features, token[1])),
        "experts_per_device": places,
        "objective": draw(st.sampled_from(objectives)),
    }
    witness = [_dealt(n, devices, places, draw(st.integers(0, 2**16))) for n in experts]
    if "memory" in features:
        draw(_with_memory(fields, witness))
    if "pins" in features:
        places_of = [(m, e) for m, n in enumerate(experts) for e in range(n)]
        chosen = draw(st.lists(st.sampled_from(places_of), max_size=3, unique=True))
        fields["pinned"] = tuple(
            Pin(model=m, expert=e, device=int(witness[m][e])) for m, e in chosen
        )
    if "named" in features:
        fields["name"] = draw(st.text("abc-0", max_size=5))
        fields["source"] = draw(st.text("abc é", max_size=5))
        fields["generator"] = {"name": "drawn", "seed": draw(st.integers(0, 9)), "size": 0.5}
    return fields


@st.composite
def _model(
    draw: st.DrawFn, experts: int, features: set[str], token: tuple[float, float]
) -> ModelLayer:
    """Draw a layer; the seconds of its computation are of the size of those of its tokens."""
    size, rate = token
    traffic = draw(_traffic(experts))
    if "local" not in features:
        traffic = traffic * ~np.eye(experts, dtype=np.bool_)
    stated: Fields = {"dispatch_bytes_per_token": size, "combine_bytes_per_token": size}
    token_s = size / rate
    share = st.sampled_from([1.0, 0.5, 3.0]) | st.floats(0.01, 5.0)
    if "bytes" in features:
        for name in stated:
            stated[name] = size * draw(st.sampled_from([2.0, 1.0, 0.0]) | share)
    if "computation" in features:
        stated["seconds_per_token"] = token_s * draw(share)
    if "fixed" in features:
        stated["gate_s"] = 2 * token_s * draw(share | st.just(0.0))
        stated["aggregation_s"] = 2 * token_s * draw(share | st.just(0.0))
    if "named" in features:
        stated["name"] = draw(st.text("abc", max_size=3))
    return ModelLayer(traffic_tokens=traffic, **stated)


@st.composite
def _traffic(draw: st.DrawFn, experts: int) -> FloatArray:
    """Draw tokens from each expert's device to each expert, its diagonal not yet empty."""
    kind = draw(st.sampled_from(_KINDS))
    shape = (experts, experts)
    if kind == "zeros":
        return np.zeros(shape)
    if kind == "reals":
        rng = np.random.default_rng(draw(st.integers(0, 2**16)))
        return np.asarray(rng.random(shape) ** 2 * 9.0)
    most = 1 if kind == "ones" else 6
    size = experts * experts
    cells = draw(st.lists(st.integers(0, most), min_size=size, max_size=size))
    drawn = np.array(cells, dtype=np.float64).reshape(shape)
    if kind == "one_expert":
        return np.asarray(drawn * (np.arange(experts) == draw(st.integers(0, experts - 1))))
    return drawn + drawn.T if kind == "symmetric" else drawn


@st.composite
def _cluster(draw: st.DrawFn, devices: int, features: set[str], rate: float) -> Cluster:
    """Draw devices with a port each: nodes of one device, or all in one node, or in nodes of two.

    Devices of one node are equal.
    """
    size = devices if "one_node" in features else draw(st.sampled_from([1, 1, 2]))
    groups = []
    for first in range(0, devices, size):
        speed = draw(_FACTOR) if "speeds" in features else 1.0
        port = rate * draw(_FACTOR) if "rates" in features else rate
        node = Node(
            device=Device(relative_speed=speed, link_bandwidth_bytes_per_s=port),
            devices=min(size, devices - first),
            nic_bandwidth_bytes_per_s=port,
        )
        groups.append(NodeGroup(node=node))
    return Cluster(nodes=tuple(groups))


def _dealt(experts: int, devices: int, places: int, seed: int) -> IntArray:
    """Return a device for each expert, at most so many on each."""
    every = np.repeat(np.arange(devices), places)
    return np.random.default_rng(seed).permutation(every)[:experts]


@st.composite
def _with_memory(draw: st.DrawFn, fields: Fields, witness: list[IntArray]) -> None:
    """State sizes of experts, and memory that the witness fits into."""
    devices = fields["cluster"].num_devices
    sizes = [draw(st.integers(0, 4)) for _ in witness]
    used = np.zeros(devices, dtype=np.int64)
    models = []
    for model, device, size in zip(fields["models"], witness, sizes, strict=True):
        np.add.at(used, device, size)
        models.append(msgspec.structs.replace(model, expert_bytes=size))
    fields["models"] = tuple(models)
    spare = draw(st.sampled_from([0, 1, 5]))
    if draw(st.booleans()):
        fields["expert_memory_bytes"] = int(used.max()) + spare
    else:
        fields["expert_memory_bytes"] = tuple((used + spare).tolist())
