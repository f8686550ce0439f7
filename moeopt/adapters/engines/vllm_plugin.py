"""The plugin that gives vLLM moeopt's EPLB policy and migration batches.

vLLM loads it by the entry point ``moeopt`` of the group ``vllm.general_plugins``, in every process.
It acts only where ``VLLM_PLUGINS`` names it, so that moeopt can be installed beside vLLM for other
uses. Written for vLLM 0.33; of a vLLM without the places that it changes, it changes nothing.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

from moeopt.adapters.engines.vllm_limits import Limits
from moeopt.adapters.engines.vllm_policy import LOG, Policy
from moeopt.core.errors import InstanceError

#: Name and target of the entry point.
NAME = "moeopt"
TARGET = "moeopt.adapters.engines.vllm_plugin:register"

_POLICIES = "vllm.distributed.eplb.policy"
_SCHEDULER = "vllm.distributed.eplb.migration_scheduler"
_WORKER = "vllm.distributed.eplb.async_worker"
_SCHEDULE = "schedule_migration_batches_for_layers"

#: Set on what has been replaced, so that a second call finds it.
_MARK = "_moeopt_replaces"


def register() -> None:
    """Replace vLLM's default policy and its migration batches, once.

    Raises
    ------
    InstanceError
        If a variable of the plugin is wrong: every rank must have the same limits, so vLLM must
        not start with some of them left out.
    """
    if NAME not in os.environ.get("VLLM_PLUGINS", "").split(","):
        LOG.info("moeopt: not named in VLLM_PLUGINS, so vLLM keeps its own EPLB policy")
        return
    limits = Limits.from_environment(os.environ)
    try:
        policies = importlib.import_module(_POLICIES)
        scheduler = importlib.import_module(_SCHEDULER)
        default = policies.EPLB_POLICIES["default"]
        base = policies.AbstractEplbPolicy
        schedule, flow = getattr(scheduler, _SCHEDULE), scheduler.MigrationFlow
    except (ImportError, AttributeError, KeyError) as error:
        LOG.warning("moeopt: this vLLM is not known, so it keeps its own EPLB policy (%s)", error)
        return
    if not hasattr(default, _MARK):
        policies.EPLB_POLICIES["default"] = _policy_class(base, default, limits)
        LOG.info("moeopt: EPLB replans from the plan in force, with %s", limits)
    if not hasattr(schedule, _MARK):
        _replace_schedule(scheduler, _schedule_with(flow, schedule))


def _policy_class(base: type, default: type, limits: Limits) -> type:
    """Return a policy class of vLLM that answers by ours."""
    policy = Policy(limits, default.rebalance_experts)  # type: ignore[attr-defined]

    def rebalance_experts(cls: type, *args: Any, **kwargs: Any) -> Any:
        return policy.rebalance_experts(*args, **kwargs)

    body = {"rebalance_experts": classmethod(rebalance_experts), _MARK: default}
    return type("MoeoptEplbPolicy", (base,), body)


def _schedule_with(flow: Callable[..., Any], theirs: Callable[..., Any]) -> Callable[..., Any]:
    """Return vLLM's scheduler of all layers, answered by ours in vLLM's own flows."""
    schedule = partial(_scheduled, flow, theirs)
    setattr(schedule, _MARK, theirs)
    return schedule


def _scheduled(
    flow: Callable[..., Any],
    theirs: Callable[..., Any],
    num_local_experts: int,
    old_indices: Any,
    new_indices: Any,
) -> list[list[list[Any]]]:
    from moeopt.adapters.engines.migration import schedule_migration_batches_for_layers

    try:
        layers = schedule_migration_batches_for_layers(num_local_experts, old_indices, new_indices)
    except InstanceError as error:
        LOG.warning("moeopt: the migration is ordered by vLLM (%s)", error)
        return theirs(num_local_experts, old_indices, new_indices)  # type: ignore[no-any-return]
    return [
        [[flow(one.src_rank, one.dst_rank, one.expert_ids) for one in batch] for batch in batches]
        for batches in layers
    ]


def _replace_schedule(scheduler: ModuleType, schedule: Callable[..., Any]) -> None:
    """Put `schedule` where vLLM looks it up: its module, and the worker if that has it by now."""
    for module in (scheduler, sys.modules.get(_WORKER)):
        if module is not None and hasattr(module, _SCHEDULE):
            setattr(module, _SCHEDULE, schedule)
