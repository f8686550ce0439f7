"""Problems from recorded routing: the loads of a trace, or of counts, on so many devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from moeopt.core.arguments import whole
from moeopt.core.errors import InstanceError
from moeopt.core.sentences import require_fields
from moeopt.describe.cluster import Cluster
from moeopt.placement.problem import PlacementProblem
from moeopt.traces.counts import ExpertCounts
from moeopt.traces.trace import RoutingTrace
from moeopt.traces.windows import counts_of_model

#: Fields of the problem that are made from the recording.
_MADE = ("loads_tokens", "cluster", "slots_per_device")


def placement_problem(
    recorded: RoutingTrace | ExpertCounts,
    cluster: Cluster,
    slots: int | None = None,
    *,
    windows: int = 1,
    layer_ids: Sequence[int] | None = None,
    experts: int | None = None,
    **fields: Any,
) -> PlacementProblem:
    """Return the problem of placing what was recorded.

    Parameters
    ----------
    recorded
        A trace or counts.
    cluster
        The devices.
    slots
        Physical slots of each layer over all devices; left out, just enough for one copy of each
        expert.
    windows
        Scenarios that the recording is cut into, in order.
    layer_ids
        Numbers of the MoE layers in the model, of a trace one for each of its layers; left out,
        the layers that have tokens.
    experts
        Of each layer; left out, as many as were recorded.
    **fields
        Fields of `PlacementProblem`, such as ``expert_bytes`` and ``previous``.

    Returns
    -------
    PlacementProblem

    Raises
    ------
    InstanceError
        If the recording is of another model, or the arguments do not fit together.
    """
    require_fields(fields, [n for n in PlacementProblem.__struct_fields__ if n not in _MADE])
    counts = counts_of_model(recorded, windows, layer_ids, experts)
    devices = cluster.num_devices
    total = -(-counts.num_experts // devices) * devices if slots is None else whole("slots", slots)
    if total < 1 or total % devices:
        rule = f"must be a multiple of the {devices} devices"
        raise InstanceError("slots", total, rule, "give the slots of all devices")
    return PlacementProblem(
        loads_tokens=counts.counts, cluster=cluster, slots_per_device=total // devices, **fields
    )
