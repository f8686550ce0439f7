"""The transfers wing's part of the library."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tiny_transfers
from instance_files import TASKS, TRACE_SOURCE, Entry, write

from moeopt.core.arrays import IntArray
from moeopt.core.solve import solve
from moeopt.describe.cluster import Cluster
from moeopt.describe.loads import source_devices, total_counts
from moeopt.describe.presets import preset
from moeopt.placement.greedy import contiguous
from moeopt.placement.plan import PlacementPlan
from moeopt.placement.problem import PlacementProblem
from moeopt.transfers import generate
from moeopt.transfers.problem import TransferProblem

#: Methods that may find better plans or bounds.
METHODS = ("auto",)

#: Families and ports of the instances whose second is the time of a token.
FAMILIES = {
    "zipf": (8, 16, 32, 64, 128, 320),
    "uniform": (4, 8, 16, 64),
    "sparse": (16, 64),
    "hot_receiver": (16,),
    "permutation": (32,),
    "one_message": (8,),
    "empty": (4,),
    "dense": (12, 40),
}

#: Cells of a matrix from which on it lies beside its file.
MOST_INLINE = 64 * 64

#: Devices of the real all-to-alls, and the rate of their ports: links of one node, or a network
#: card for each device.
REAL = {8: generate.LINK_BYTES_PER_S, 32: generate.NIC_BYTES_PER_S}

#: The layer whose tokens are sent: the middle one.
LAYER = 13


def generated() -> Iterator[Entry]:
    """Yield the instances that a call makes."""
    for family, sizes in FAMILIES.items():
        for ports in sizes:
            yield _written(generate.all_to_all(family, ports))
    yield _written(generate.aurora_cluster())
    yield _written(generate.aurora_cluster(placed="random"))
    yield _written(generate.aurora_cluster(family="uniform"))
    for ports in (8, 16, 64):
        for family in ("zipf", "uniform"):
            yield _written(generate.startups(ports, family))
    yield _written(generate.startups(startup_per="round"))
    yield _written(generate.two_tier(2, 4))
    yield _written(generate.two_tier())
    yield _written(generate.two_tier(network="rails"))
    yield _written(generate.expert_moves())
    yield _written(generate.two_models())


def tiny() -> Iterator[Entry]:
    """Yield the instances made by hand."""
    for problem, optimum in tiny_transfers.known():
        entry = _written(problem)
        entry.best_objective = entry.best_bound = float(optimum)
        entry.proven_by = "enumeration"
        yield entry
    for problem, constraint in tiny_transfers.infeasible():
        entry = _written(problem)
        entry.proven_by = f"infeasible: {constraint}"
        yield entry


def from_traces(folder: Path) -> Iterator[Entry]:
    """Yield the all-to-alls of recorded routing, experts in order and placed for balance."""
    model = preset("model", "deepseek-v2-lite")
    for task in TASKS:
        with np.load(folder / f"{task}.npz", allow_pickle=False) as trace:
            expert_ids, lengths = trace["expert_ids"], trace["sequence_lengths"]
        counts = total_counts(expert_ids, model.experts)
        for devices, rate in REAL.items():
            start = source_devices(lengths, devices)
            stated = PlacementProblem(
                loads_tokens=counts,
                cluster=Cluster.uniform(devices),
                slots_per_device=model.experts // devices,
            )
            for placed, plan in (
                ("contiguous", contiguous(stated)),
                ("balanced", solve(stated).plan),
            ):
                assert isinstance(plan, PlacementPlan)
                where = _device_of_expert(plan, model.experts, devices)
                sent = generate.routed_tokens(expert_ids, start, where, devices)[LAYER]
                source = TRACE_SOURCE.format(task=task)
                yield _written(
                    TransferProblem(
                        name=f"deepseek-v2-lite-{task}-{devices}-{placed}",
                        source=f"{source}; dispatch of layer {LAYER}, {len(expert_ids)} tokens of"
                        f" {model.hidden_size} x 2 bytes, experts {placed}",
                        traffic_bytes=sent * model.hidden_size * 2,
                        bandwidth_bytes_per_s=rate,
                    )
                )


def _device_of_expert(plan: PlacementPlan, experts: int, devices: int) -> IntArray:
    """Return the device of each expert of a plan without copies, ``(layers, experts)``."""
    table = plan.physical_to_logical
    device = np.empty((len(table), experts), dtype=np.int64)
    slot_device = np.arange(table.shape[1]) * devices // table.shape[1]
    np.put_along_axis(device, table, np.broadcast_to(slot_device, table.shape), axis=1)
    return device


def _written(problem: TransferProblem) -> Entry:
    """Write one instance, its traffic beside the file where it is large."""
    waves = f"{problem.num_waves} waves x " if problem.num_waves > 1 else ""
    size = f"{waves}{problem.num_ports} ports, {problem.num_messages} messages"
    if problem.traffic_bytes.size < MOST_INLINE:
        return write("transfers", problem, size)
    traffic = problem.traffic_bytes
    small = bool((traffic == np.floor(traffic)).all() and traffic.max() < 2**31)
    dtype = np.int32 if small else np.float64
    return write("transfers", problem, size, beside="traffic_bytes", dtype=dtype)
