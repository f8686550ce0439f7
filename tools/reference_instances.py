"""Instances made from the reference model's routing, one for each wing.

Their traces lie in ``instances/traces``, so that they can always be made again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec
import numpy as np
from instance_files import LIBRARY, Entry, write

from moeopt.colocation.generate import aurora_cluster, grouped_traffic
from moeopt.colocation.problem import ColocationProblem, ModelLayer
from moeopt.committee.from_trace import committee_problem
from moeopt.core.arrays import FloatArray
from moeopt.describe.cluster import Cluster
from moeopt.describe.loads import source_devices, window_counts
from moeopt.placement.problem import PlacementProblem
from moeopt.serverless.calibration import MEMORY_MB, REPLICAS, Calibration, Model
from moeopt.serverless.problem import ServerlessLayer, ServerlessProblem
from moeopt.traces import RoutingTrace, read_trace
from moeopt.traces.trace import Integers
from moeopt.transfers.generate import LINK_BYTES_PER_S, routed_tokens
from moeopt.transfers.problem import TransferProblem

#: The sizes of the model, as ``examples/reference_moe/model.py`` has them.
MODEL = Model(8, 64, width=160, hidden=40, vocabulary=256)

#: Bytes of a token and of an expert in half precision.
TOKEN_BYTES = 2 * MODEL.width
EXPERT_BYTES = 2 * MODEL.matrices * MODEL.width * MODEL.hidden

#: Devices, the slots of each where experts may have copies, and the layer that one layer is.
DEVICES, SLOTS, LAYER = 8, 9, 4

#: Tokens of a window: two stretches of text.
WINDOW = 1024

#: Rate at which experts as small as these are assumed to compute.
FLOPS_PER_S = 1e12

#: Batches of the serverless instance, the stretches of each, and its promise: between the fastest
#: plan's 11.2 s and the cheapest one's 11.9 s.
BATCHES, STRETCHES, PROMISE_S = 3, 20, 11.5

#: Stretches of text for committees, each a window, the share of the experts that fits, and the
#: experts that the link carries in a window.
TEXTS, SHARE, CARRIED = 16, 0.4, 16

SOURCE = "routing of the reference model, instances/traces/{name}.npz"


def made(wing: str) -> Iterator[Entry]:
    """Write a wing's instances of the reference model and yield their lines of the index.

    Parameters
    ----------
    wing
        Its name; buffering has its own in ``buffering_instances``.
    """
    if wing in WINGS:
        yield WINGS[wing]()


def placement() -> Entry:
    """Write where experts and 8 copies go, over windows of the held-out text."""
    trace = _trace("reference-held-out")
    windows = window_counts(trace.expert_ids, trace.num_experts, WINDOW)
    problem = PlacementProblem(
        name="reference-windows",
        source=f"{_source('held-out')}; {len(windows)} windows of {WINDOW} tokens",
        loads_tokens=windows,
        cluster=Cluster.uniform(DEVICES),
        slots_per_device=SLOTS,
        expert_bytes=EXPERT_BYTES,
        objective="mean_max",
    )
    size = (
        f"{len(windows)} scenarios x {problem.num_layers} layers x {problem.num_experts} experts,"
        f" {problem.num_slots} slots, {problem.num_devices} devices"
    )
    return write("placement", problem, size, beside="loads_tokens", dtype=np.uint16)


def transfers() -> Entry:
    """Write one layer's dispatch: sequences in order on the devices, experts in order too."""
    trace = _trace("reference-held-out")
    where = np.arange(trace.num_experts) * DEVICES // trace.num_experts
    sent = routed_tokens(
        trace.expert_ids,
        source_devices(_lengths(trace), DEVICES),
        np.tile(where, (trace.num_layers, 1)),
        DEVICES,
    )
    problem = TransferProblem(
        name=f"reference-{DEVICES}-contiguous",
        source=f"{_source('held-out')}; dispatch of layer {LAYER}, {trace.num_tokens} tokens of"
        f" {TOKEN_BYTES} bytes, experts contiguous",
        traffic_bytes=sent[LAYER] * TOKEN_BYTES,
        bandwidth_bytes_per_s=LINK_BYTES_PER_S,
    )
    size = f"{problem.num_ports} ports, {problem.num_messages} messages"
    return write("transfers", problem, size)


def colocation() -> Entry:
    """Write a layer of two models on the same devices: the shipped one, and the unbalanced one."""
    layers = []
    for name in ("held-out", "unbalanced"):
        trace = _trace(f"reference-{name}")
        sent = grouped_traffic(trace.expert_ids, _lengths(trace), trace.num_experts, DEVICES)
        layers.append(_layer(name, sent[LAYER]))
    problem = ColocationProblem(
        name="reference-both-mixed",
        source=f"{_source('{held-out,unbalanced}')}; layer {LAYER} of both models,"
        f" {MODEL.experts} experts in {DEVICES} groups, sequences dealt to the groups' devices",
        models=tuple(layers),
        cluster=aurora_cluster("mixed", DEVICES),
    )
    experts = " + ".join(str(n) for n in problem.experts().tolist())
    size = f"{problem.num_models} models of {experts} experts, {problem.num_devices} devices"
    return write("colocation", problem, size)


def committee() -> Entry:
    """Write which experts stay for stretches of text, each expert as its spectral norms weigh it.

    A load is as dear as an expert is important for one stretch in the mean. Whole numbers keep the
    file small.
    """
    trace = _trace("reference-held-out")
    window = int(_lengths(trace)[0])
    with np.load(LIBRARY / "traces" / "reference-norms.npz", allow_pickle=False) as file:
        norms = file["spectral_in"] * file["spectral_out"]
    slots = round(SHARE * MODEL.layers * MODEL.experts)
    exact = committee_problem(
        trace.part(0, TEXTS * window),
        window_tokens=window,
        norms=norms,
        expert_bytes=EXPERT_BYTES,
        staging_slots=1,
        budget_bytes=(slots + MODEL.layers) * EXPERT_BYTES,
        link_bytes_per_s=CARRIED * EXPERT_BYTES,
        window_s=1.0,
        periods=np.array([1, 2, 4]),
        name="reference-texts",
        source=f"{_source('held-out')} and reference-norms.npz, norms of both matrices multiplied;"
        f" {TEXTS} stretches of {window} tokens, importance rounded",
    )
    importance = np.round(exact.importance)  # type: ignore[arg-type]
    price = float(np.round(importance.mean()))
    problem = msgspec.structs.replace(exact, importance=importance, load_price=price)
    size = (
        f"{problem.num_layers} layers x {problem.num_experts} experts,"
        f" {problem.num_windows} windows"
    )
    return write("committee", problem, size)


def serverless() -> Entry:
    """Write the model as functions that serve three batches of held-out text."""
    trace, calibration = _trace("reference-held-out"), Calibration()
    tokens = STRETCHES * int(_lengths(trace)[0])
    loads = window_counts(trace.expert_ids, trace.num_experts, tokens)[:BATCHES]
    after = [MODEL.attention_bytes] * (MODEL.layers - 1) + [MODEL.head_bytes]
    problem = ServerlessProblem(
        name="reference-batches",
        source=f"{_source('held-out')}; {BATCHES} batches of {tokens} tokens, constants calibrated",
        layers=tuple(
            ServerlessLayer(
                tokens=loads[:, layer],
                non_moe_s=calibration.non_moe_s(tokens * MODEL.attention_flops),
                next_parameter_bytes=size,
            )
            for layer, size in enumerate(after)
        ),
        expert=calibration.expert(MODEL.width, MODEL.hidden),
        network=calibration.network(),
        memory_mb=MEMORY_MB,
        max_replicas=REPLICAS,
        slo_s=PROMISE_S,
        head_s=calibration.start_s(MODEL.head_bytes + MODEL.attention_bytes),
        tail_s=calibration.non_moe_s(tokens * MODEL.head_flops),
    )
    size = (
        f"{problem.num_layers} layers of {problem.num_experts} experts,"
        f" {len(MEMORY_MB)} memory sizes, {REPLICAS} replicas"
    )
    return write("serverless", problem, size)


#: What writes the instance of each wing.
WINGS: Mapping[str, Callable[[], Entry]] = {
    "colocation": colocation,
    "committee": committee,
    "placement": placement,
    "serverless": serverless,
    "transfers": transfers,
}


def _layer(name: str, tokens: FloatArray) -> ModelLayer:
    """Return a layer of the model: two products for each token in an expert."""
    return ModelLayer(
        name=name,
        traffic_tokens=tokens,
        gate_s=3e-5,
        aggregation_s=5e-5,
        seconds_per_token=2 * MODEL.matrices * MODEL.width * MODEL.hidden / FLOPS_PER_S,
        dispatch_bytes_per_token=TOKEN_BYTES,
        combine_bytes_per_token=TOKEN_BYTES,
    )


def _trace(name: str) -> RoutingTrace:
    return read_trace(LIBRARY / "traces" / f"{name}.npz")


def _lengths(trace: RoutingTrace) -> Integers:
    assert trace.sequence_lengths is not None
    return trace.sequence_lengths


def _source(name: str) -> str:
    return SOURCE.format(name=f"reference-{name}")
