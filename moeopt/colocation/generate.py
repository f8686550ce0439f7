"""Instances made by a call: Aurora's evaluation as far as it is published, and real routing.

Each function of `GENERATORS` returns a problem whose ``generator`` field is the call that made it,
so that `remake` can make it again.

Of Aurora's loads (arXiv:2410.17043, section 8) only the outline is published: the models LIMoE
B/16 and B/32 with 8 experts and 4 MoE layers, each on COCO and ImageNet, on 100 Gbit/s, or on
100, 80, 50 and 40 Gbit/s in equal counts. Published with LIMoE are the width of 768, the experts'
3072, and that every token goes to one expert.

Invented here are the tokens (batches of 32 and 64 images, with the texts), how popular experts are
(about ``1 / rank**s`` with s of `SHAPES`, in ranks that each layer changes somewhat), and all
seconds: experts at 150 teraflops a second, half of what an A100 has at most, gates and aggregations
of some tens of microseconds. They are chosen so that a model alone computes in less than a fifth of
its time, as most of the paper's do, and that two on the same devices gain about as much utilisation
as in the paper. That a device with a port of 80 Gbit/s also computes at 0.8 of the speed of one
with 100 is our reading of the paper's footnote 2, which only says that compute and ports are
ordered alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import msgspec
import numpy as np
import numpy.typing as npt

from moeopt.colocation.problem import ColocationProblem, ModelLayer
from moeopt.core.arrays import FloatArray
from moeopt.core.errors import InstanceError
from moeopt.core.generators import known, made_again
from moeopt.describe.cluster import Cluster, Device, Node, NodeGroup
from moeopt.describe.loads import source_devices, source_tokens
from moeopt.transfers.generate import AURORA_RATES

#: Experts, devices and MoE layers of a LIMoE model in the paper.
EXPERTS, LAYERS = 8, 4

#: Width of LIMoE B/16 and B/32, and of an expert's hidden layer; a number takes two bytes.
WIDTH, EXPERT_WIDTH = 768, 3072

#: Operations per second of a device of relative speed 1, in the experts.
FLOPS_PER_S = 1.5e14

#: Share of an expert's popularity, as a logarithm, that is the same in all layers.
COMMON_SHARE = 0.5

#: Tokens of each source in `synthetic`, and its most experts.
TOKENS, MOST_EXPERTS = 512, 1024

#: ``"equal"``: 100 Gbit/s each. ``"mixed"``: 100, 80, 50 and 40 Gbit/s in equal counts, compute in
#: proportion.
Kind = Literal["equal", "mixed"]

KINDS: tuple[Kind, ...] = get_args(Kind)

Routing = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Shape:
    """What stands for a LIMoE model on a data set.

    Attributes
    ----------
    tokens
        Tokens of each source in each layer: images and texts of its batch.
    skew
        Popularity of experts is about ``1 / rank**skew``.
    gate_s, aggregation_s
        Seconds of gate and aggregation on a device of relative speed 1.
    seed
        Of its popularities and tokens.
    """

    tokens: int
    skew: float
    gate_s: float
    aggregation_s: float
    seed: int


#: 196 or 49 patches of an image, and a text of 16 tokens in COCO or 6 in ImageNet.
SHAPES: Mapping[str, Shape] = {
    "b16-coco": Shape(32 * (196 + 16), 1.3, 4e-5, 6e-5, seed=160),
    "b16-imagenet": Shape(32 * (196 + 6), 1.5, 4e-5, 6e-5, seed=161),
    "b32-coco": Shape(64 * (49 + 16), 1.2, 3e-5, 4e-5, seed=320),
    "b32-imagenet": Shape(64 * (49 + 6), 1.4, 3e-5, 4e-5, seed=321),
}


def limoe_traffic(model: str, seed: int = 0) -> FloatArray:
    """Return the tokens of all layers of a stand-in for LIMoE, ``(layers, experts, experts)``.

    Every source deals its tokens to experts by their popularity, those of its own expert stay.
    A layer's popularities have the ranks of all layers and of its own mixed, so that a plan made
    for one layer serves the others less well.

    Parameters
    ----------
    model
        One of `SHAPES`.
    seed
        Of the draw; 0 is what the instances have.
    """
    shape = known(SHAPES, model, "model")
    rng = np.random.default_rng([shape.seed, seed])
    rank = np.log(np.arange(1.0, EXPERTS + 1))
    common = rng.permutation(rank)
    own = np.stack([rng.permutation(rank) for _ in range(LAYERS)])
    weight = np.exp(-shape.skew * (COMMON_SHARE * common + (1 - COMMON_SHARE) * own))
    share = weight / weight.sum(axis=1, keepdims=True)
    dealt = [rng.multinomial(shape.tokens, share[layer], EXPERTS) for layer in range(LAYERS)]
    return np.stack(dealt).astype(np.float64)


def limoe_layer(model: str, layer: int = 0, others: int = 0, seed: int = 0) -> ModelLayer:
    """Return one layer of a stand-in for LIMoE, or its mean with layers after it.

    Parameters
    ----------
    model, seed
        As for `limoe_traffic`.
    layer
        Which of the 4.
    others
        How many of the layers after it are mixed in, the first again after the last: with k of
        them ``k / (k + 1)`` of the traffic is unknown to who plans for the layer alone.
    """
    _within("layer", layer, 0, LAYERS - 1)
    _within("others", others, 0, LAYERS - 1)
    shape = known(SHAPES, model, "model")
    traffic = np.roll(limoe_traffic(model, seed), -layer, axis=0)
    return ModelLayer(
        name=model,
        traffic_tokens=mixed_traffic(traffic, others),
        gate_s=shape.gate_s,
        aggregation_s=shape.aggregation_s,
        # Two products of a vector with a matrix, an addition and a multiplication for each entry.
        seconds_per_token=2 * 2 * WIDTH * EXPERT_WIDTH / FLOPS_PER_S,
        dispatch_bytes_per_token=2 * WIDTH,
        combine_bytes_per_token=2 * WIDTH,
    )


def mixed_traffic(traffic: FloatArray, others: int) -> FloatArray:
    """Return the first layer's traffic mixed with that of others: the paper's imprecise input.

    Parameters
    ----------
    traffic
        Tokens of each layer, shape ``(layers, experts, experts)``.
    others
        How many layers after the first are mixed in. The mean of all, so that the traffic does not
        grow with their number.
    """
    mixed: FloatArray = traffic[: others + 1].mean(axis=0)
    return mixed


def limoe(
    first: str = "b16-coco",
    second: str = "b32-imagenet",
    cluster: Kind = "equal",
    layer: int = 0,
    others: int = 0,
    seed: int = 0,
) -> ColocationProblem:
    """Return one layer of two stand-ins for LIMoE on 8 devices.

    Parameters
    ----------
    first, second
        Of `SHAPES`.
    cluster
        ``"equal"`` or ``"mixed"``, as for `aurora_cluster`.
    layer, others, seed
        As for `limoe_layer`.
    """
    models = tuple(limoe_layer(name, layer, others, seed) for name in (first, second))
    noise = f"-noise-{others}" if others else ""
    return ColocationProblem(
        name=f"limoe-{first}-{second}-{cluster}" + (f"-layer-{layer}" if layer else "") + noise,
        source="synthetic layers in the place of LIMoE's (arXiv:2410.17043, section 8)"
        + (f", {others} other layers mixed in" if others else ""),
        generator={
            "name": "limoe",
            "first": first,
            "second": second,
            "cluster": cluster,
            "layer": layer,
            "others": others,
            "seed": seed,
        },
        models=models,
        cluster=aurora_cluster(cluster, EXPERTS),
    )


def synthetic(
    family: str = "zipf",
    experts: int = 8,
    models: int = 2,
    cluster: Kind = "equal",
    seed: int = 0,
) -> ColocationProblem:
    """Return layers of 512 tokens a source, as many devices as experts.

    Parameters
    ----------
    family
        ``"zipf"`` deals them to experts of popularity 1/rank, in an order of each model's own;
        ``"uniform"`` sends 0 to 128 tokens of every pair, so that sources differ too.
    experts
        Of each model; a multiple of 4 for the mixed cluster.
    models
        How many models.
    cluster
        As for `aurora_cluster`.
    seed
        Of the draw.
    """
    _within("experts", experts, 2, MOST_EXPERTS)
    _within("models", models, 1, 16)
    draw = known({"zipf": _zipf, "uniform": _uniform}, family, "family")
    rng = np.random.default_rng(seed)
    layer = limoe_layer("b32-coco")
    drawn = tuple(
        msgspec.structs.replace(layer, name=f"model {m}", traffic_tokens=draw(rng, experts))
        for m in range(models)
    )
    counted = f"-{models}-models" if models != 2 else ""
    return ColocationProblem(
        name=f"{family}-{experts}-{cluster}{counted}",
        source=f"{models} synthetic layers of family {family}, seed {seed}",
        generator={
            "name": "synthetic",
            "family": family,
            "experts": experts,
            "models": models,
            "cluster": cluster,
            "seed": seed,
        },
        models=drawn,
        cluster=aurora_cluster(cluster, experts),
    )


#: Every generator by the name that a problem's ``generator`` field carries.
GENERATORS: Mapping[str, Callable[..., ColocationProblem]] = {
    "limoe": limoe,
    "synthetic": synthetic,
}


def remake(call: Mapping[str, str | int | float]) -> ColocationProblem:
    """Make a problem again from its ``generator`` field.

    Raises
    ------
    InstanceError
        If the call names no generator, or parameters that it does not have.
    """
    return made_again(GENERATORS, call)


def aurora_cluster(kind: Kind = "equal", devices: int = EXPERTS) -> Cluster:
    """Return Aurora's cluster: a switch that never limits, and a port for each device.

    Parameters
    ----------
    kind
        ``"equal"``: 100 Gbit/s and relative speed 1 each. ``"mixed"``: 100, 80, 50 and 40 Gbit/s in
        equal counts, fastest first, relative speed in proportion.
    devices
        For ``"mixed"`` a multiple of 4.
    """
    rates = known({"equal": AURORA_RATES[:1], "mixed": AURORA_RATES}, kind, "cluster")
    if devices < 1 or devices % len(rates):
        rule = f"must be a multiple of {len(rates)}, the kinds of devices"
        raise InstanceError("$.devices", devices, rule, "8 is the paper's number")
    groups = (
        NodeGroup(node=_node(rate, rate / AURORA_RATES[0]), count=devices // len(rates))
        for rate in rates
    )
    return Cluster(nodes=tuple(groups))


def grouped_traffic(
    expert_ids: Routing, sequence_lengths: Routing, experts: int, groups: int
) -> FloatArray:
    """Return recorded routing between groups of experts, ``(layers, groups, groups)``.

    Groups are runs of equally many experts, one to a device. Sequences are dealt to the devices in
    equal runs and stay with their group wherever that goes, as sources move with experts in Aurora.
    A token counts once for each of its experts, as there: a transport that sends it to a device
    once would send less.

    Parameters
    ----------
    expert_ids
        The experts of each token, shape ``(tokens, layers, top_k)``.
    sequence_lengths
        Tokens of each sequence, in order.
    experts, groups
        Of each layer; `groups` divides `experts`.
    """
    if groups < 1 or experts % groups:
        raise InstanceError("groups", groups, f"must divide the {experts} experts", "8 divides 64")
    start = source_devices(sequence_lengths, groups)
    sent = source_tokens(expert_ids, start, experts, groups)
    folded = sent.reshape(groups, sent.shape[1], groups, experts // groups).sum(axis=3)
    return np.ascontiguousarray(folded.transpose(1, 0, 2))


def _node(rate: float, speed: float) -> Node:
    gbit = round(8e-9 * rate)
    return Node(
        device=Device(name=f"{gbit} Gbit/s", relative_speed=speed), nic_bandwidth_bytes_per_s=rate
    )


def _zipf(rng: np.random.Generator, experts: int) -> FloatArray:
    popularity = rng.permutation(1.0 / np.arange(1.0, experts + 1))
    dealt = rng.multinomial(TOKENS, popularity / popularity.sum(), experts)
    return dealt.astype(np.float64)


def _uniform(rng: np.random.Generator, experts: int) -> FloatArray:
    return rng.integers(0, TOKENS // 4 + 1, (experts, experts)).astype(np.float64)


def _within(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InstanceError(f"$.{name}", value, f"must be {least} to {most}", "correct it")
