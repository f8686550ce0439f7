"""What the same batch costs without functions: a cluster of processors, rented by the hour.

Not a plan: nothing in it can be chosen. arXiv 2501.05313 compares with two 64-core EPYC processors
and 512 GB, and says neither what they cost nor what share of the time they work.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeopt.core.errors import InstanceError
from moeopt.serverless.problem import MemoryTable, ServerlessProblem


@dataclass(frozen=True, kw_only=True)
class CpuCluster:
    """A cluster that serves a batch and is paid for whether it works or not.

    Attributes
    ----------
    cores
        Processor cores.
    memory_bytes
        Of all machines together: the parameters stay there.
    usd_per_hour
        Of all machines together: by default two m6a.32xlarge of AWS on demand in us-east-1, each
        with 64 EPYC cores.
    core_speed
        What a core does of this work, losses of working in parallel included, over what a
        function's virtual CPU does.
    idle_share
        Share of the paid time in which there is no batch.
    """

    cores: int = 128
    memory_bytes: float = 512e9
    usd_per_hour: float = 2 * 5.5296
    core_speed: float = 1.0
    idle_share: float = 0.0

    def __post_init__(self) -> None:
        for name in ("cores", "memory_bytes", "usd_per_hour", "core_speed"):
            if not getattr(self, name) > 0:
                raise InstanceError(
                    f"$.{name}", getattr(self, name), "must be positive", "correct it"
                )
        if not 0 <= self.idle_share < 1:
            raise InstanceError(
                "$.idle_share", self.idle_share, "must be 0 or more, and below 1", "correct it"
            )


@dataclass(frozen=True)
class ClusterRun:
    """What a batch takes on a cluster, and costs.

    Attributes
    ----------
    experts_s, total_s
        Seconds of the experts, and of the model from end to end.
    experts_usd, total_usd
        The same in US dollars, with the idle time that comes with them.
    """

    experts_s: float
    total_s: float
    experts_usd: float
    total_usd: float


def cpu_cluster(
    problem: ServerlessProblem, cluster: CpuCluster | None = None, non_moe_vcpus: float = 1.0
) -> ClusterRun:
    """Return what the problem's batch takes on a cluster.

    All cores work on one layer at a time, with their memory as their network; parameters are
    there. So the head, which starts functions and loads parameters, takes no time.

    Parameters
    ----------
    problem
        The batch: its mean over scenarios.
    cluster
        The paper's, with stated stand-ins for what it leaves out, if not given.
    non_moe_vcpus
        Virtual CPUs that the functions of non-MoE layers, and of the tail, keep busy.

    Raises
    ------
    InstanceError
        If the experts' parameters do not fit into the cluster's memory.
    """
    cluster = cluster or CpuCluster()
    layers = range(problem.num_layers)
    parameters = sum(float(problem.parameter_bytes_of(layer).sum()) for layer in layers)
    if parameters > cluster.memory_bytes:
        raise InstanceError(
            "$.memory_bytes",
            cluster.memory_bytes,
            f"must hold the experts' parameters, {parameters:.6g} bytes",
            "take a larger cluster",
        )
    weights = problem.weights()
    experts = sum(
        float(weights @ problem.tokens_of(layer).sum(axis=1)) * _vcpu_s(problem, layer)
        for layer in layers
    )
    others = problem.tail_s + sum(layer.non_moe_s for layer in problem.layers)
    speed = cluster.cores * cluster.core_speed
    experts_s = experts / speed
    total_s = experts_s + others * non_moe_vcpus / speed
    usd_per_s = cluster.usd_per_hour / 3600.0 / (1.0 - cluster.idle_share)
    return ClusterRun(
        experts_s=experts_s,
        total_s=total_s,
        experts_usd=experts_s * usd_per_s,
        total_usd=total_s * usd_per_s,
    )


def least_idle_share(cost_usd: float, busy_usd: float, saving: float) -> float:
    """Return from which idle share on a deployment is so much cheaper than a cluster.

    Parameters
    ----------
    cost_usd
        Of the deployment.
    busy_usd
        Of a cluster that is never idle.
    saving
        Share of the cluster's cost.
    """
    return max(0.0, 1.0 - (1.0 - saving) * busy_usd / cost_usd)


def _vcpu_s(problem: ServerlessProblem, layer: int) -> float:
    """Return the seconds of a token in an expert on one virtual CPU."""
    compute = problem.expert_of(layer).compute
    if isinstance(compute, MemoryTable):
        # Between the measured sizes; the smallest or the largest beyond them.
        one = problem.limits().mb_per_vcpu
        return float(np.interp(one, problem.memory_mb, compute.seconds_per_token))
    return compute.seconds_per_token
