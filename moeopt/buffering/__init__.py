"""Expert caches: which experts stay in a device's memory, and how far that is from hindsight."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOME = {
    "Buffering": "arrays",
    "BufferingPlan": "plan",
    "BufferingProblem": "problem",
    "Evaluation": "plan",
    "Hints": "policies",
    "Joint": "joint",
    "LANGUAGE_MODEL": "accounting",
    "Memory": "accounting",
    "LearnedCache": "online",
    "MemoryPoint": "frontier",
    "NoBufferingError": "arrays",
    "POLICIES": "policies",
    "PaperModel": "accounting",
    "Pins": "pins",
    "Policy": "policies",
    "Replay": "policies",
    "Schedule": "stream",
    "Shared": "memory",
    "Served": "online",
    "Split": "planning",
    "Stall": "clock",
    "Stream": "stream",
    "TRANSLATION": "accounting",
    "Timing": "problem",
    "adapmoe_cost": "adapmoe",
    "assignment_cost": "joint",
    "bound": "bounds",
    "buffer": "arrays",
    "buffering_problem": "from_trace",
    "device_memory": "accounting",
    "device_problem": "joint",
    "evaluate": "plan",
    "flow_curve": "flow",
    "flow_schedule": "flow",
    "joint_assignment": "joint",
    "least_room": "replays",
    "miss_curve": "replays",
    "miss_seconds": "accounting",
    "pareto": "frontier",
    "pins_beside_cache": "pins",
    "policy_plan": "replays",
    "replay": "replays",
    "replay_problem": "replays",
    "share_memory": "memory",
    "split_slots": "planning",
    "stall": "clock",
    "streams": "stream",
    "uniform_slots": "planning",
    "violations": "plan",
    "waste_factor": "accounting",
}

__all__ = [
    "LANGUAGE_MODEL",
    "POLICIES",
    "TRANSLATION",
    "Buffering",
    "BufferingPlan",
    "BufferingProblem",
    "Evaluation",
    "Hints",
    "Joint",
    "LearnedCache",
    "Memory",
    "MemoryPoint",
    "NoBufferingError",
    "PaperModel",
    "Pins",
    "Policy",
    "Replay",
    "Schedule",
    "Served",
    "Shared",
    "Split",
    "Stall",
    "Stream",
    "Timing",
    "adapmoe_cost",
    "assignment_cost",
    "bound",
    "buffer",
    "buffering_problem",
    "device_memory",
    "device_problem",
    "evaluate",
    "flow_curve",
    "flow_schedule",
    "joint_assignment",
    "least_room",
    "miss_curve",
    "miss_seconds",
    "pareto",
    "pins_beside_cache",
    "policy_plan",
    "replay",
    "replay_problem",
    "share_memory",
    "split_slots",
    "stall",
    "streams",
    "uniform_slots",
    "violations",
    "waste_factor",
]

if TYPE_CHECKING:
    from moeopt.buffering.accounting import (
        LANGUAGE_MODEL,
        TRANSLATION,
        Memory,
        PaperModel,
        device_memory,
        miss_seconds,
        waste_factor,
    )
    from moeopt.buffering.adapmoe import adapmoe_cost
    from moeopt.buffering.arrays import Buffering, NoBufferingError, buffer
    from moeopt.buffering.bounds import bound
    from moeopt.buffering.clock import Stall, stall
    from moeopt.buffering.flow import flow_curve, flow_schedule
    from moeopt.buffering.from_trace import buffering_problem
    from moeopt.buffering.frontier import MemoryPoint, pareto
    from moeopt.buffering.joint import Joint, assignment_cost, device_problem, joint_assignment
    from moeopt.buffering.memory import Shared, share_memory
    from moeopt.buffering.online import LearnedCache, Served
    from moeopt.buffering.pins import Pins, pins_beside_cache
    from moeopt.buffering.plan import BufferingPlan, Evaluation, evaluate, violations
    from moeopt.buffering.planning import Split, split_slots, uniform_slots
    from moeopt.buffering.policies import POLICIES, Hints, Policy, Replay
    from moeopt.buffering.problem import BufferingProblem, Timing
    from moeopt.buffering.replays import least_room, miss_curve, policy_plan, replay, replay_problem
    from moeopt.buffering.stream import Schedule, Stream, streams


def __getattr__(name: str) -> Any:
    """Import the module that defines a public name on first use (PEP 562)."""
    if name in _HOME:
        value = getattr(importlib.import_module(f"moeopt.buffering.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'moeopt.buffering' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
