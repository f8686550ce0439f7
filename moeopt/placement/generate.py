"""Instances made by a call: the published benchmark's shapes and loads, and random ones for tests.

Each function of `GENERATORS` returns a problem whose ``generator`` field is the call that made it,
so that `remake` can make it again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from moeopt.core.arrays import FloatArray
from moeopt.core.generators import known, made_again
from moeopt.describe.cluster import Cluster, NodeGroup
from moeopt.describe.presets import preset
from moeopt.placement.problem import PlacementProblem

#: Tokens of each layer after scaling: 65536 tokens, each to 8 experts.
TOKENS_PER_LAYER = 65536 * 8

#: Devices of one machine in the instances for users.
DEVICES_PER_NODE = 8

#: ``"eplb"``: what EPLB assumes, copies of an expert may share a device. ``"distinct"``: moeopt's
#: default rules, on named machines whose memory counts.
Rules = Literal["eplb", "distinct"]

Call = dict[str, str | int | float]


@dataclass(frozen=True)
class Layout:
    """The sizes that EPLB is told.

    Attributes
    ----------
    slots, devices
        Physical slots of each layer, and the devices that share them equally.
    groups, nodes
        Router groups and nodes; EPLB is hierarchical exactly if `nodes` divides `groups`.
    """

    slots: int
    devices: int
    groups: int = 1
    nodes: int = 1

    @property
    def hierarchical(self) -> bool:
        """Whether EPLB keeps every group on one node."""
        return self.nodes > 1 and self.groups % self.nodes == 0

    @property
    def slots_per_device(self) -> int:
        """Physical slots of each device in each layer."""
        return self.slots // self.devices


@dataclass(frozen=True)
class Shape(Layout):
    """A model on devices, as one row of the benchmark's table.

    Attributes
    ----------
    model
        Preset that the layers, experts and bytes come from.
    """

    model: str = field(kw_only=True)

    @property
    def layers(self) -> int:
        """Number of MoE layers."""
        return int(preset("model", self.model).moe_layers)

    @property
    def experts(self) -> int:
        """Number of logical experts of each layer."""
        return int(preset("model", self.model).experts)


_V3 = "deepseek-v3"

SHAPES: Mapping[str, Shape] = {
    "deepseek-v3-288-32-hierarchical": Shape(288, 32, groups=8, nodes=4, model=_V3),
    "deepseek-v3-288-32": Shape(288, 32, model=_V3),
    "deepseek-v3-320-64-hierarchical": Shape(320, 64, groups=8, nodes=8, model=_V3),
    "deepseek-v3-320-64": Shape(320, 64, model=_V3),
    "deepseek-v3-288-144": Shape(288, 144, groups=8, nodes=18, model=_V3),
    "qwen3-144-16": Shape(144, 16, nodes=2, model="qwen3-235b-a22b"),
    "mixtral-16-8": Shape(16, 8, model="mixtral-8x7b"),
    "kimi-416-32": Shape(416, 32, nodes=4, model="kimi-k2"),
    "kimi-448-32": Shape(448, 32, nodes=4, model="kimi-k2"),
}


def _lognormal(rng: np.random.Generator, layers: int, experts: int) -> FloatArray:
    return rng.lognormal(0.0, 1.0, (layers, experts))


def _zipf(exponent: float) -> Callable[[np.random.Generator, int, int], FloatArray]:
    def draw(rng: np.random.Generator, layers: int, experts: int) -> FloatArray:
        base = 1.0 / np.arange(1, experts + 1) ** exponent
        # All permutations come before the noise: the order of draws is part of the benchmark.
        ranked = np.stack([base[rng.permutation(experts)] for _ in range(layers)])
        return np.asarray(ranked * rng.lognormal(0.0, 0.1, (layers, experts)))

    return draw


def _dirichlet(rng: np.random.Generator, layers: int, experts: int) -> FloatArray:
    return rng.dirichlet(np.full(experts, 0.5), layers)


#: The benchmark's loads by name.
LOADS: Mapping[str, Callable[[np.random.Generator, int, int], FloatArray]] = {
    "logn1": _lognormal,
    "zipf0.8": _zipf(0.8),
    "zipf1.2": _zipf(1.2),
    "dirich0.5": _dirichlet,
}


def loads(name: str, layers: int, experts: int, seed: int = 1) -> FloatArray:
    """Return the benchmark's loads, shape ``(layers, experts)``: whole tokens, at least 1 each.

    Parameters
    ----------
    name
        One of `LOADS`.
    layers, experts
        Shape of the result.
    seed
        1 in the published figures.
    """
    drawn = known(LOADS, name, "load")(np.random.default_rng(seed), layers, experts)
    return _scaled(drawn, np.full(layers, float(TOKENS_PER_LAYER)))


def drift(before: FloatArray, sigma: float = 0.2, seed: int = 2) -> FloatArray:
    """Return the loads after each expert's popularity changed by a lognormal factor.

    Every layer keeps its total, up to rounding.
    """
    factor = np.random.default_rng(seed).lognormal(0.0, sigma, before.shape)
    return _scaled(before * factor, before.sum(axis=1))


def workload(
    shape: str, load: str = "logn1", seed: int = 1, rules: Rules = "distinct"
) -> PlacementProblem:
    """Return one shape of `SHAPES` under one load of `LOADS`.

    Parameters
    ----------
    shape, load
        Names.
    seed
        Of the load.
    rules
        ``"eplb"`` for comparisons with EPLB, ``"distinct"`` for what a deployment wants.
    """
    row = known(SHAPES, shape, "shape")
    call: Call = {"name": "workload", "shape": shape, "load": load, "seed": seed, "rules": rules}
    tokens = loads(load, row.layers, row.experts, seed)
    return PlacementProblem(
        name=shape if load == "logn1" else f"{shape}-{load}",
        source=f"shape of {row.model}; synthetic load {load}, independent experts",
        generator=call,
        loads_tokens=tokens,
        cluster=_cluster(row, rules),
        slots_per_device=row.slots_per_device,
        expert_bytes=preset("model", row.model).expert_bytes if rules == "distinct" else None,
        groups=row.groups,
        group_rule="one_node" if row.hierarchical else "free",
        max_copies_per_device=1 if rules == "distinct" else None,
    )


def one_hot_expert(
    experts: int = 128,
    slots: int = 144,
    devices: int = 16,
    tokens: int = 1_000_000,
    rules: Rules = "distinct",
) -> PlacementProblem:
    """Return one layer with one expert of `tokens` and the others of 1.

    EPLB gives the hot expert more copies than there are devices, so that two of them meet on one.
    """
    load = np.ones((1, experts))
    load[0, 0] = tokens
    call: Call = {
        "name": "one_hot_expert",
        "experts": experts,
        "slots": slots,
        "devices": devices,
        "tokens": tokens,
        "rules": rules,
    }
    return PlacementProblem(
        name="one-hot-expert",
        source="pigeonhole case of EPLB: a copy on every device is perfect, one more is not",
        generator=call,
        loads_tokens=load,
        cluster=Cluster.uniform(devices),
        slots_per_device=slots // devices,
        max_copies_per_device=1 if rules == "distinct" else None,
    )


def hard(
    experts: int,
    devices: int,
    slots: int,
    sigma: float = 1.0,
    layers: int = 1,
    scenarios: int = 1,
    seed: int = 0,
) -> PlacementProblem:
    """Return a random problem for tests: lognormal loads, slots as equal as they divide.

    Parameters
    ----------
    experts, devices, slots
        Slots are all slots of a layer; where they do not divide, the first devices have one more.
    sigma
        Skew: 0 is uniform, 1 a usual model, 2 a few experts with nearly everything.
    layers, scenarios
        With more than one scenario the objective is ``"mean_max"``.
    seed
        Of the loads.
    """
    rng = np.random.default_rng(seed)
    tokens = np.maximum(1.0, np.round(rng.lognormal(4.0, sigma, (scenarios, layers, experts))))
    call: Call = {
        "name": "hard",
        "experts": experts,
        "devices": devices,
        "slots": slots,
        "sigma": sigma,
        "layers": layers,
        "scenarios": scenarios,
        "seed": seed,
    }
    per_device = slots // devices + (np.arange(devices) < slots % devices)
    return PlacementProblem(
        name=f"hard-{experts}-{devices}-{slots}-{sigma:g}-{seed}",
        source="random loads for tests",
        generator=call,
        loads_tokens=tokens,
        cluster=Cluster.uniform(devices),
        slots_per_device=tuple(per_device.tolist()),
        objective="max_load" if scenarios == 1 else "mean_max",
        # More slots than copies allowed: the rest stay empty.
        allow_empty_slots=slots > experts * devices,
    )


#: Every generator by the name that a problem's ``generator`` field carries.
GENERATORS: Mapping[str, Callable[..., PlacementProblem]] = {
    "workload": workload,
    "one_hot_expert": one_hot_expert,
    "hard": hard,
}


def remake(call: Mapping[str, str | int | float]) -> PlacementProblem:
    """Make a problem again from its ``generator`` field.

    Raises
    ------
    InstanceError
        If the call names no generator, or parameters that it does not have.
    """
    return made_again(GENERATORS, call)


def _scaled(tokens: FloatArray, totals: FloatArray) -> FloatArray:
    share = tokens / tokens.sum(axis=1, keepdims=True)
    scaled: FloatArray = np.maximum(1.0, np.round(share * totals[:, None]))
    return scaled


def _cluster(row: Shape, rules: Rules) -> Cluster:
    if rules == "eplb":
        return Cluster.uniform(row.devices, row.nodes)
    group = NodeGroup(node="hgx-h100", count=row.devices // DEVICES_PER_NODE)
    return Cluster(nodes=(group,))
