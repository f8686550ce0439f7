"""What a worker of the bench runs of SGLang: its expert locations, from its wheel's files."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from moeopt.bench.engine_rooms import open_sglang
from moeopt.core.arrays import IntArray
from moeopt.placement.generate import Layout


@dataclass(frozen=True)
class Located:
    """SGLang's maps of one rank.

    Attributes
    ----------
    table
        Expert in each slot, ``(layers, slots)``.
    slots_of
        Slots of each expert among which this rank chooses, ``(layers, experts, slots)``, padded
        with -1.
    count
        Number of them, ``(layers, experts)``.
    dispatch
        Slot to which this rank sends each expert's tokens, ``(layers, experts)``; ``None`` where
        it chooses anew for every token.
    """

    table: IntArray
    slots_of: IntArray
    count: IntArray
    dispatch: IntArray | None


def located(
    root: str,
    given: str,
    experts: int,
    model_layers: int,
    layout: Layout,
    *,
    rank: int = 0,
    transport: str = "none",
) -> Located:
    """Return what SGLang makes of ``--init-expert-location``.

    Parameters
    ----------
    root
        Where its package lies.
    given
        The option: a file's path, or JSON.
    experts, model_layers
        Of the model, all layers counted.
    layout
        Slots, ranks and nodes.
    rank
        Whose maps.
    transport
        ``--moe-a2a-backend``: with ``"none"`` a rank chooses among all copies, for every token;
        with any other it has one copy of each expert that it sends to.
    """
    server = open_sglang(Path(root))
    moe = SimpleNamespace(
        init_expert_location=given,
        ep_num_redundant_experts=layout.slots - experts,
        ep_dispatch_algorithm="dynamic" if transport == "none" else "static",
        ep_join_mode=None,
        moe_a2a_backend=transport,
    )
    server.execution = SimpleNamespace(moe=moe)
    server.parallel = SimpleNamespace(
        ep_size=layout.devices, nnodes=layout.nodes, elastic_ep_initial_size=None
    )
    server.model = {
        "num_layers": model_layers,
        "num_logical_experts": experts,
        "num_groups": layout.groups,
    }
    location = importlib.import_module("sglang.srt.eplb.expert_location")
    found = location.compute_initial_expert_location_metadata(
        SimpleNamespace(hf_config=None), moe_ep_rank=rank
    )
    dispatch = found.logical_to_rank_dispatch_physical_map
    return Located(
        found.physical_to_logical_map_cpu.numpy(),
        found.logical_to_all_physical_map_cpu.numpy(),
        found.logical_to_all_physical_map_num_valid.numpy(),
        None if dispatch is None else dispatch.numpy(),
    )
