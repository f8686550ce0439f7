"""Contradictions: each turns a stated colocation problem into one that no plan can satisfy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from hypothesis import strategies as st

from moeopt.colocation.problem import ModelLayer, Pin
from moeopt.describe.cluster import Cluster

Fields = dict[str, Any]


@st.composite
def broken_colocation(draw: st.DrawFn, fields: Fields) -> Fields:
    """Draw a contradiction and return the fields with it.

    Parameters
    ----------
    fields
        Fields of a problem.
    """
    # What counting does not show comes more often: only that reaches a method at all.
    weighted = [*_CONTRADICTIONS, "apart", "apart", "beside_a_pin", "beside_a_pin"]
    return _CONTRADICTIONS[draw(st.sampled_from(weighted))](fields)


def _crowded(fields: Fields) -> Fields:
    """Let a model have more experts than there are places."""
    places = fields["cluster"].num_devices * fields["experts_per_device"]
    model = fields["models"][0]
    larger = msgspec.structs.replace(model, traffic_tokens=np.ones((places + 1, places + 1)))
    return {**fields, "models": (larger, *fields["models"][1:]), **_NO_PINS}


def _too_large(fields: Fields) -> Fields:
    """Let all experts together be larger than the memory."""
    models = tuple(msgspec.structs.replace(model, expert_bytes=3) for model in fields["models"])
    total = 3 * sum(model.num_experts for model in models)
    memory = (total - 1) // fields["cluster"].num_devices
    return {**fields, "models": models, "expert_memory_bytes": memory, **_NO_PINS}


def _too_large_alone(fields: Fields) -> Fields:
    """Let an expert be larger than any device's memory."""
    models = fields["models"]
    large = msgspec.structs.replace(models[0], expert_bytes=10)
    others = tuple(msgspec.structs.replace(model, expert_bytes=0) for model in models[1:])
    return {**fields, "models": (large, *others), "expert_memory_bytes": 9, **_NO_PINS}


def _pinned_together(fields: Fields) -> Fields:
    """Pin more experts to a device than it may hold."""
    places = fields["experts_per_device"]
    tokens = np.ones((places + 1, places + 1))
    model = msgspec.structs.replace(fields["models"][0], traffic_tokens=tokens)
    pins = tuple(Pin(model=0, expert=e, device=0) for e in range(places + 1))
    return {
        **fields,
        "cluster": _two_devices(fields["cluster"]),
        "models": (model, *fields["models"][1:]),
        "expert_memory_bytes": None,
        "pinned": pins,
    }


def _apart(fields: Fields) -> Fields:
    """State two large experts, one on each of two devices, beside which a third does not fit.

    Each model fits by itself, and all bytes together do.
    """
    return {**_pair(fields), "expert_memory_bytes": 4}


def _beside_a_pin(fields: Fields) -> Fields:
    """Pin the third one to the device that is too small for it: the other is large enough."""
    return {
        **_pair(fields),
        "expert_memory_bytes": (4, 5),
        "pinned": (Pin(model=0, expert=0, device=0),),
    }


def _pair(fields: Fields) -> Fields:
    model = fields["models"][0]
    small = _resized(model, 1, 2)
    large = _resized(model, 2, 3)
    return {
        **fields,
        "cluster": _two_devices(fields["cluster"]),
        "models": (small, large),
        "experts_per_device": 1,
        **_NO_PINS,
    }


def _resized(model: ModelLayer, experts: int, size: int) -> ModelLayer:
    tokens = np.ones((experts, experts))
    return msgspec.structs.replace(model, traffic_tokens=tokens, expert_bytes=size)


def _two_devices(cluster: Cluster) -> Cluster:
    """Return two devices as the first one, in one node."""
    node = msgspec.structs.replace(cluster.nodes[0].resolved_node(), devices=2)
    return Cluster(nodes=(msgspec.structs.replace(cluster.nodes[0], node=node, count=1),))


#: The plan that pins were stated around is no more.
_NO_PINS: Fields = {"pinned": ()}

_CONTRADICTIONS: dict[str, Callable[[Fields], Fields]] = {
    "crowded": _crowded,
    "too_large": _too_large,
    "too_large_alone": _too_large_alone,
    "pinned_together": _pinned_together,
    "apart": _apart,
    "beside_a_pin": _beside_a_pin,
}
