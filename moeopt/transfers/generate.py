"""Instances made by a call: the all-to-alls of the papers, and what real routing sends.

Each function of `GENERATORS` returns a problem whose ``generator`` field is the call that made it,
so that `remake` can make it again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.core.generators import known, made_again
from moeopt.describe.loads import TOKENS_AT_ONCE
from moeopt.transfers.problem import Fabric, Startup, TransferProblem, Window

#: Most tokens of a pair in the families that draw each pair on its own.
MOST_TOKENS = 20

#: Further tokens of each sender for the one receiver of the family ``"hot_receiver"``.
HOT_TOKENS = 100

#: Tokens that each port sends in the family ``"zipf"``, those to itself included.
TOKENS_PER_SENDER = 64

#: Share of pairs that send anything in the family ``"sparse"``.
SPARSE_SHARE = 0.35

#: Rates of Aurora's mixed cluster, fastest first: 100, 80, 50 and 40 Gbit/s in bytes/s.
AURORA_RATES = (12.5e9, 10e9, 6.25e9, 5e9)

#: Tokens that each port of Aurora's cluster sends, and the bytes of one: width 768 in two bytes,
#: as LIMoE B/16 has it, the model of Aurora's figures.
AURORA_TOKENS, AURORA_TOKEN_BYTES = 512, 1536

#: A network card of 400 Gbit/s and a port of NVLink 4, in bytes/s.
NIC_BYTES_PER_S, LINK_BYTES_PER_S = 50e9, 450e9

#: Least and most bytes of a pair in `startups`.
LEAST_BYTES, MOST_BYTES = 1e6, 64e6

#: Whether the most popular expert is on the fastest port (Aurora's Theorem 5.1) or anywhere.
Placed = Literal["sorted", "random"]

#: Whether every pair of ports in different nodes has a way, or only those of one rail.
Network = Literal["switched", "rails"]

Call = dict[str, str | int | float]

Routing = npt.NDArray[np.integer[Any]]


def _uniform(rng: np.random.Generator, ports: int) -> FloatArray:
    return rng.integers(0, MOST_TOKENS + 1, (ports, ports)).astype(np.float64)


def _zipf(rng: np.random.Generator, ports: int) -> FloatArray:
    return _by_popularity(rng, ports, TOKENS_PER_SENDER)


def _sparse(rng: np.random.Generator, ports: int) -> FloatArray:
    sends = rng.random((ports, ports)) < SPARSE_SHARE
    return np.where(sends, rng.integers(1, MOST_TOKENS + 1, (ports, ports)), 0.0)


def _hot_receiver(rng: np.random.Generator, ports: int) -> FloatArray:
    tokens = _uniform(rng, ports)
    tokens[:, rng.integers(ports)] += HOT_TOKENS
    return tokens


def _permutation(rng: np.random.Generator, ports: int) -> FloatArray:
    # Along a ring in random order, so that nobody sends to itself.
    order = rng.permutation(ports)
    tokens = np.zeros((ports, ports))
    tokens[order, np.roll(order, 1)] = rng.integers(1, MOST_TOKENS + 1, ports)
    return tokens


def _one_message(rng: np.random.Generator, ports: int) -> FloatArray:
    source, destination = rng.permutation(ports)[:2]
    tokens = np.zeros((ports, ports))
    tokens[source, destination] = rng.integers(1, MOST_TOKENS + 1)
    return tokens


def _empty(rng: np.random.Generator, ports: int) -> FloatArray:
    del rng
    return np.zeros((ports, ports))


def _dense(rng: np.random.Generator, ports: int) -> FloatArray:
    return 1.0 - rng.random((ports, ports))


#: The families of traffic by name.
FAMILIES: Mapping[str, Callable[[np.random.Generator, int], FloatArray]] = {
    "uniform": _uniform,
    "zipf": _zipf,
    "sparse": _sparse,
    "hot_receiver": _hot_receiver,
    "permutation": _permutation,
    "one_message": _one_message,
    "empty": _empty,
    "dense": _dense,
}


def tokens(family: str, ports: int, seed: int = 0) -> FloatArray:
    """Return the tokens of each pair, shape ``(ports, ports)``, none of them local.

    Parameters
    ----------
    family
        One of `FAMILIES`: ``"uniform"`` has 0 to 20 tokens for each pair, ``"zipf"`` deals the 64
        tokens of each sender to experts of popularity 1/rank and drops the local ones,
        ``"sparse"`` has 1 to 20 tokens for 35 % of the pairs, ``"hot_receiver"`` is uniform with
        100 more from each sender for one receiver, ``"permutation"`` and ``"one_message"`` have 1
        to 20, ``"empty"`` none, ``"dense"`` any real number up to 1.
    ports
        Number of ports, at least 2.
    seed
        Of the draw.
    """
    draw = known(FAMILIES, family, "family")
    return _without_local(draw(np.random.default_rng(seed), _ports(ports)))


def all_to_all(
    family: str = "zipf",
    ports: int = 8,
    seed: int = 0,
    token_bytes: float = 1.0,
    bandwidth_bytes_per_s: float = 1.0,
) -> TransferProblem:
    """Return one family of `FAMILIES` between equal ports.

    Parameters
    ----------
    family, ports, seed
        As for `tokens`.
    token_bytes, bandwidth_bytes_per_s
        Of a token and of a port. With the defaults a second is the time of a token.
    """
    return TransferProblem(
        name=f"{family.replace('_', '-')}-{ports}",
        source=f"synthetic traffic {family}, seed {seed}",
        generator={
            "name": "all_to_all",
            "family": family,
            "ports": ports,
            "seed": seed,
            "token_bytes": token_bytes,
            "bandwidth_bytes_per_s": bandwidth_bytes_per_s,
        },
        traffic_bytes=tokens(family, ports, seed) * token_bytes,
        bandwidth_bytes_per_s=bandwidth_bytes_per_s,
    )


def aurora_cluster(
    ports: int = 8, family: str = "zipf", placed: Placed = "sorted", seed: int = 0
) -> TransferProblem:
    """Return Aurora's mixed cluster: 100, 80, 50 and 40 Gbit/s in equal counts.

    Parameters
    ----------
    ports
        A multiple of 4.
    family
        ``"zipf"`` deals 512 tokens of each sender to experts of popularity 1/rank, ``"uniform"``
        to experts that are equally popular.
    placed
        ``"sorted"`` puts the expert with the most tokens on the fastest port, the next on the
        next, as Theorem 5.1 says; ``"random"`` leaves the experts where they were drawn.
    seed
        Of the draw.
    """
    if ports % len(AURORA_RATES) or ports < len(AURORA_RATES):
        rule = f"must be a multiple of {len(AURORA_RATES)}, the kinds of ports"
        raise InstanceError("$.ports", ports, rule, "8 is the paper's number")
    exponent = known({"zipf": 1.0, "uniform": 0.0}, family, "family")
    rng = np.random.default_rng(seed)
    sent = _by_popularity(rng, ports, AURORA_TOKENS, exponent)
    if known({"sorted": True, "random": False}, placed, "placed"):
        sent = sent[:, np.argsort(-sent.sum(axis=0), kind="stable")]
    return TransferProblem(
        name=f"aurora-cluster-{family}-{ports}" + ("" if placed == "sorted" else f"-{placed}"),
        source=f"Aurora's mixed cluster (arXiv:2410.17043, section 8), synthetic traffic {family}",
        generator={
            "name": "aurora_cluster",
            "ports": ports,
            "family": family,
            "placed": placed,
            "seed": seed,
        },
        traffic_bytes=_without_local(sent) * AURORA_TOKEN_BYTES,
        bandwidth_bytes_per_s=np.repeat(AURORA_RATES, ports // len(AURORA_RATES)),
    )


def startups(
    ports: int = 8,
    family: str = "zipf",
    startup_s: float = 1e-5,
    startup_per: Startup = "message",
    seed: int = 0,
) -> TransferProblem:
    """Return an all-to-all of 1 to 64 MB a pair between 50 GB/s ports, with start-ups.

    Parameters
    ----------
    ports
        Number of ports.
    family
        ``"uniform"`` draws each pair between 1 and 64 MB. ``"zipf"`` draws it so, and divides it by
        the rank of its receiver; pairs have 1 MB at least.
    startup_s, startup_per
        Of the problem.
    seed
        Of the draw.
    """
    popular = known({"zipf": True, "uniform": False}, family, "family")
    rng = np.random.default_rng(seed)
    size = rng.uniform(LEAST_BYTES, MOST_BYTES, (_ports(ports), ports))
    if popular:
        size = np.maximum(LEAST_BYTES, size / (1 + rng.permutation(ports)))
    return TransferProblem(
        name=f"startup-{family}-{ports}" + ("" if startup_per == "message" else "-rounds"),
        source=f"synthetic traffic {family}, 1 to 64 MB a pair, {1e6 * startup_s:g} us a start-up",
        generator={
            "name": "startups",
            "ports": ports,
            "family": family,
            "startup_s": startup_s,
            "startup_per": startup_per,
            "seed": seed,
        },
        traffic_bytes=_without_local(np.round(size)),
        bandwidth_bytes_per_s=NIC_BYTES_PER_S,
        startup_s=startup_s,
        startup_per=startup_per,
    )


def two_tier(
    nodes: int = 4,
    ports_per_node: int = 8,
    exponent: float = 0.8,
    bytes_per_port: float = 512e6,
    network: Network = "switched",
    seed: int = 0,
) -> TransferProblem:
    """Return a skewed all-to-all over nodes with 450 GB/s inside and 50 GB/s between them.

    Parameters
    ----------
    nodes, ports_per_node
        The fabric.
    exponent
        Each port's bytes are dealt to the others in proportion to 1/rank**exponent, with ranks in
        an order of its own: FAST's skew is 0.8.
    bytes_per_port
        Sent by each port in all.
    network
        ``"rails"``: ports of different nodes reach each other only in the same place.
    seed
        Of the draw.
    """
    ports = _ports(nodes * ports_per_node)
    rng = np.random.default_rng(seed)
    weight = rng.permuted(np.tile(np.arange(1, ports) ** -exponent, (ports, 1)), axis=1)
    traffic = np.zeros((ports, ports))
    traffic[~np.eye(ports, dtype=np.bool_)] = (weight / weight.sum(axis=1, keepdims=True)).ravel()
    rails = known({"rails": True, "switched": False}, network, "network")
    return TransferProblem(
        name=f"two-tier-{nodes}x{ports_per_node}" + ("-rails" if rails else ""),
        source=f"FAST's two tiers (arXiv:2505.09764), synthetic traffic of skew {exponent:g}",
        generator={
            "name": "two_tier",
            "nodes": nodes,
            "ports_per_node": ports_per_node,
            "exponent": exponent,
            "bytes_per_port": bytes_per_port,
            "network": network,
            "seed": seed,
        },
        traffic_bytes=np.round(traffic * bytes_per_port),
        bandwidth_bytes_per_s=NIC_BYTES_PER_S,
        fabric=Fabric(
            ports_per_node=ports_per_node, bandwidth_bytes_per_s=LINK_BYTES_PER_S, rails=rails
        ),
    )


def expert_moves(
    ports: int = 16, moves_per_port: int = 4, expert_bytes: float = 44040192.0, seed: int = 0
) -> TransferProblem:
    """Return a migration of whole experts between ports that do one thing at a time.

    Parameters
    ----------
    ports
        Number of ports.
    moves_per_port
        Experts that each port receives, each from another port at random.
    expert_bytes
        Of an expert; the default is one of DeepSeek-V3.
    seed
        Of the draw.
    """
    rng = np.random.default_rng(seed)
    destination = np.repeat(np.arange(_ports(ports)), moves_per_port)
    # One of the others: those from the destination on are one further.
    source = rng.integers(0, ports - 1, len(destination))
    source += source >= destination
    experts = np.zeros((ports, ports))
    np.add.at(experts, (source, destination), 1.0)
    return TransferProblem(
        name=f"expert-moves-{ports}",
        source=f"each port receives {moves_per_port} experts from random others; one peer at a"
        " time, either way",
        generator={
            "name": "expert_moves",
            "ports": ports,
            "moves_per_port": moves_per_port,
            "expert_bytes": expert_bytes,
            "seed": seed,
        },
        traffic_bytes=experts * expert_bytes,
        bandwidth_bytes_per_s=NIC_BYTES_PER_S,
        peers="one",
        half_duplex=True,
    )


def two_models(ports: int = 8, delay: float = 0.5, seed: int = 0) -> TransferProblem:
    """Return the dispatches of two models on the same ports, the second released later.

    Parameters
    ----------
    ports
        Number of ports.
    delay
        Release of the second dispatch, as a share of the least time that the first one needs.
    seed
        Of the first dispatch; the second has the next one.
    """
    waves = np.stack([tokens("zipf", ports, seed), tokens("zipf", ports, seed + 1)])
    alone = float(max(waves[0].sum(axis=0).max(), waves[0].sum(axis=1).max()))
    return TransferProblem(
        name=f"two-models-{ports}",
        source="two synthetic dispatches of family zipf, the second released later",
        generator={"name": "two_models", "ports": ports, "delay": delay, "seed": seed},
        traffic_bytes=waves,
        bandwidth_bytes_per_s=1.0,
        windows=(Window(wave=1, release_s=delay * alone),),
    )


#: Every generator by the name that a problem's ``generator`` field carries.
GENERATORS: Mapping[str, Callable[..., TransferProblem]] = {
    "all_to_all": all_to_all,
    "aurora_cluster": aurora_cluster,
    "startups": startups,
    "two_tier": two_tier,
    "expert_moves": expert_moves,
    "two_models": two_models,
}


def remake(call: Mapping[str, str | int | float]) -> TransferProblem:
    """Make a problem again from its ``generator`` field.

    Raises
    ------
    InstanceError
        If the call names no generator, or parameters that it does not have.
    """
    return made_again(GENERATORS, call)


def routed_tokens(
    expert_ids: Routing, source_device: IntArray, expert_device: IntArray, devices: int
) -> FloatArray:
    """Return the tokens from device to device in each layer, ``(layers, devices, devices)``.

    A token goes once to each device that holds any of its experts. The diagonal counts those that
    stay.

    Parameters
    ----------
    expert_ids
        The experts of each token, shape ``(tokens, layers, top_k)``.
    source_device
        Device that each token starts from, as `moeopt.describe.loads.source_devices` gives it.
    expert_device
        Device of each expert, shape ``(layers, experts)``.
    devices
        Their number.
    """
    sent = np.zeros((expert_ids.shape[1], devices, devices))
    for begin in range(0, len(expert_ids), TOKENS_AT_ONCE):
        part = slice(begin, begin + TOKENS_AT_ONCE)
        starts = np.eye(devices)[source_device[part]]
        token = np.arange(len(starts))[:, None]
        for layer in range(len(sent)):
            reached = np.zeros(starts.shape)
            reached[token, expert_device[layer][expert_ids[part, layer]]] = 1.0
            sent[layer] += starts.T @ reached
    return sent


def _by_popularity(
    rng: np.random.Generator, ports: int, each: int, exponent: float = 1.0
) -> FloatArray:
    """Deal `each` tokens of every port to experts of popularity 1/rank**exponent, shuffled."""
    popularity = rng.permutation(np.arange(1.0, ports + 1) ** -exponent)
    return rng.multinomial(each, popularity / popularity.sum(), ports).astype(np.float64)


def _without_local(traffic: FloatArray) -> FloatArray:
    np.fill_diagonal(traffic, 0.0)
    return traffic


def _ports(ports: int) -> int:
    if ports < 2:
        raise InstanceError("$.ports", ports, "must be at least 2", "one port sends to nobody")
    return ports
