"""Experts as serverless functions: the cheapest deployment that keeps its promise."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOME = {
    "Billing": "problem",
    "ClusterRun": "baselines",
    "CpuCluster": "baselines",
    "Deployment": "arrays",
    "Evaluation": "plan",
    "ExpertFunction": "problem",
    "LayerRun": "simulate",
    "MemoryTable": "problem",
    "Met": "realised",
    "Network": "problem",
    "NoDeploymentError": "arrays",
    "Selection": "ods",
    "ServerlessLayer": "problem",
    "ServerlessPlan": "plan",
    "ServerlessProblem": "problem",
    "Simulation": "simulate",
    "VcpuModel": "problem",
    "World": "simulate",
    "bound": "bounds",
    "cpu_cluster": "baselines",
    "deploy": "arrays",
    "evaluate": "plan",
    "lambdaml": "simple",
    "meet": "realised",
    "ods_select": "ods",
    "paper_costs": "problem",
    "simulate_layer": "simulate",
    "violations": "plan",
}

__all__ = [
    "Billing",
    "ClusterRun",
    "CpuCluster",
    "Deployment",
    "Evaluation",
    "ExpertFunction",
    "LayerRun",
    "MemoryTable",
    "Met",
    "Network",
    "NoDeploymentError",
    "Selection",
    "ServerlessLayer",
    "ServerlessPlan",
    "ServerlessProblem",
    "Simulation",
    "VcpuModel",
    "World",
    "bound",
    "cpu_cluster",
    "deploy",
    "evaluate",
    "lambdaml",
    "meet",
    "ods_select",
    "paper_costs",
    "simulate_layer",
    "violations",
]

if TYPE_CHECKING:
    from moeopt.serverless.arrays import Deployment, NoDeploymentError, deploy
    from moeopt.serverless.baselines import ClusterRun, CpuCluster, cpu_cluster
    from moeopt.serverless.bounds import bound
    from moeopt.serverless.ods import Selection, ods_select
    from moeopt.serverless.plan import Evaluation, ServerlessPlan, evaluate, violations
    from moeopt.serverless.problem import (
        Billing,
        ExpertFunction,
        MemoryTable,
        Network,
        ServerlessLayer,
        ServerlessProblem,
        VcpuModel,
        paper_costs,
    )
    from moeopt.serverless.realised import Met, meet
    from moeopt.serverless.simple import lambdaml
    from moeopt.serverless.simulate import LayerRun, Simulation, World, simulate_layer


def __getattr__(name: str) -> Any:
    """Import the module that defines a public name on first use (PEP 562)."""
    if name in _HOME:
        value = getattr(importlib.import_module(f"moeopt.serverless.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'moeopt.serverless' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
