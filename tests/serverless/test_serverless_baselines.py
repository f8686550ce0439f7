"""A cluster by the hour, by hand."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from moeopt.core.errors import InstanceError
from moeopt.serverless.baselines import ClusterRun, CpuCluster, cpu_cluster, least_idle_share
from moeopt.serverless.problem import (
    ExpertFunction,
    MemoryTable,
    Network,
    ServerlessLayer,
    ServerlessProblem,
    VcpuModel,
)


def stated(**compute: Any) -> ServerlessProblem:
    """Return 100 tokens on average, 80 ms each, then 2 s of attention; twice, and a tail of 1 s."""
    layer = ServerlessLayer(tokens=np.array([[50.0, 30.0], [70.0, 50.0]]), non_moe_s=2.0)
    return ServerlessProblem(
        layers=(layer, layer),
        expert=ExpertFunction(
            parameter_bytes=1000,
            input_bytes_per_token=4.0,
            output_bytes_per_token=4.0,
            compute=VcpuModel(seconds_per_token=0.08),
        ),
        network=Network(storage_bytes_per_s=1e6, function_bytes_per_s=1e6),
        memory_mb=(884, 1769, 3008),
        head_s=7.0,
        tail_s=1.0,
        **compute,
    )


CLUSTER = CpuCluster(cores=4, usd_per_hour=36.0, core_speed=0.5, idle_share=0.75)


def test_a_batch_on_a_cluster() -> None:
    """16 s of one processor for experts and 5 s for the rest, on 2 processors' worth of cores."""
    assert cpu_cluster(stated(), CLUSTER) == ClusterRun(8.0, 10.5, 0.32, 0.42)


def test_functions_of_several_processors_leave_more_to_do() -> None:
    run = cpu_cluster(stated(), CLUSTER, non_moe_vcpus=2.0)
    assert (run.experts_s, run.total_s) == (8.0, 13.0)


def test_a_table_is_read_at_one_processor() -> None:
    problem = stated()
    assert problem.expert is not None
    table = MemoryTable(seconds_per_token=(0.16, 0.08, 0.07))
    measured = msgspec.structs.replace(
        problem, expert=msgspec.structs.replace(problem.expert, compute=table)
    )
    assert cpu_cluster(measured, CLUSTER) == cpu_cluster(problem, CLUSTER)


def test_weights_make_the_mean() -> None:
    heavy = cpu_cluster(stated(scenario_weights=np.array([1.0, 0.0])), CLUSTER)
    assert heavy.experts_s == pytest.approx(2 * 80 * 0.08 / 2)


def test_what_must_fit_and_hold() -> None:
    with pytest.raises(InstanceError, match="parameters, 4000 bytes"):
        cpu_cluster(stated(), CpuCluster(memory_bytes=3999.0))
    with pytest.raises(InstanceError, match=r"\$\.idle_share"):
        CpuCluster(idle_share=1.0)
    with pytest.raises(InstanceError, match=r"\$\.cores"):
        CpuCluster(cores=0)


def test_the_idle_share_at_which_functions_pay() -> None:
    busy = cpu_cluster(stated(), CpuCluster(cores=4, usd_per_hour=36.0, core_speed=0.5)).total_usd
    share = least_idle_share(0.2, busy, 0.75)
    idle = CpuCluster(cores=4, usd_per_hour=36.0, core_speed=0.5, idle_share=share)
    assert pytest.approx(0.25 * cpu_cluster(stated(), idle).total_usd) == 0.2
    assert least_idle_share(0.01, busy, 0.5) == 0.0


def test_the_default_is_the_papers_cluster() -> None:
    assert cpu_cluster(stated()) == cpu_cluster(stated(), CpuCluster())
    assert CpuCluster().cores == 2 * 64
