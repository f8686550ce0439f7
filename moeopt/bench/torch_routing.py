"""Tokens of two nodes that mostly want other experts, and the placement that this asks for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.describe.cluster import Cluster, Node, NodeGroup
from moeopt.placement.problem import PlacementProblem, Timing

NODES, RANKS_PER_NODE = 2, 2
RANKS = NODES * RANKS_PER_NODE

EXPERTS, TOP_K = 16, 2

#: Part of a node's choices that go to its own half of the experts, about.
AFFINITY = 0.9


@dataclass(frozen=True, eq=False)
class Routing:
    """What the gates of all ranks chose.

    Attributes
    ----------
    ids
        Shape ``(ranks, tokens, top_k)``.
    weights
        Shape alike, float32.
    experts
        How many there are.
    """

    ids: IntArray
    weights: npt.NDArray[np.float32]
    experts: int

    def source_tokens(self) -> FloatArray:
        """Return the tokens from each rank to each expert, ``(ranks, experts)``."""
        count = [np.bincount(ids.ravel(), minlength=self.experts) for ids in self.ids]
        return np.stack(count).astype(np.float64)


def drawn(tokens: int, seed: int = 0) -> Routing:
    """Return a routing where each node prefers one half of the experts, drawn at random.

    Parameters
    ----------
    tokens
        Of each rank.
    seed
        Of all draws.
    """
    rng = np.random.default_rng(seed)
    home = rng.permutation(EXPERTS) % NODES
    node = np.repeat(np.arange(NODES), RANKS_PER_NODE)
    share = np.where(home == node[:, None], AFFINITY, (1 - AFFINITY) / (NODES - 1))
    # Gumbel noise draws without putting back.
    keys = np.log(share)[:, None] + rng.gumbel(size=(RANKS, tokens, EXPERTS))
    ids = np.argsort(-keys, axis=2)[:, :, :TOP_K]
    weights = rng.dirichlet(np.ones(TOP_K), (RANKS, tokens)).astype(np.float32)
    return Routing(np.ascontiguousarray(ids), weights, EXPERTS)


def problem_of(routing: Routing, node_bytes_per_s: float, row_bytes: int) -> PlacementProblem:
    """Return the placement of the routing's experts that makes a layer short.

    Parameters
    ----------
    routing
        Of one layer.
    node_bytes_per_s
        Rate of a node's port, which its ranks share.
    row_bytes
        Bytes of a token.
    """
    sent = routing.source_tokens()
    node = Node(devices=RANKS_PER_NODE, nic_bandwidth_bytes_per_s=node_bytes_per_s / RANKS_PER_NODE)
    return PlacementProblem(
        loads_tokens=sent.sum(axis=0)[None],
        cluster=Cluster(nodes=(NodeGroup(node=node, count=NODES),)),
        slots_per_device=routing.experts // RANKS,
        objective="layer_time",
        source_tokens=sent[:, None],
        timing=Timing(
            seconds_per_token=0.0,
            dispatch_bytes_per_token=row_bytes,
            combine_bytes_per_token=row_bytes,
        ),
    )


def between_nodes(rank_tokens: FloatArray) -> FloatArray:
    """Return the tokens from each node to each, ``(nodes, nodes)``, from those of ranks."""
    shape = (NODES, RANKS_PER_NODE, NODES, RANKS_PER_NODE)
    return np.asarray(rank_tokens.reshape(shape).sum(axis=(1, 3)))
