"""A colocation problem as plain arrays, and plans as tables of who is in which place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeopt.colocation.plan import ColocationPlan
from moeopt.colocation.problem import ColocationProblem
from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.describe.topology import port_bytes_per_s


@dataclass(frozen=True)
class Layout:
    """What the methods need of a problem; experts are padded to the model that has most.

    Attributes
    ----------
    traffic
        Tokens between different experts, ``(models, experts, experts)``.
    sent, received, tokens
        Its sums by row and column, and what each expert computes, ``(models, experts)``.
    seconds, there, back, size
        By model: computation of a token, its bytes to the expert and back, bytes of an expert.
    fixed
        Seconds of gate and aggregation, ``(models, 2)``.
    port, speed, budget
        Of each device: rate, relative speed, bytes for experts.
    count
        Experts of each model.
    allowed
        Whether an expert may sit on a device, ``(models, experts, devices)``.
    """

    traffic: FloatArray
    sent: FloatArray
    received: FloatArray
    tokens: FloatArray
    seconds: FloatArray
    there: FloatArray
    back: FloatArray
    size: FloatArray
    fixed: FloatArray
    port: FloatArray
    speed: FloatArray
    budget: FloatArray
    count: IntArray
    allowed: BoolArray


def layout_of(problem: ColocationProblem) -> Layout:
    """Return the problem as plain arrays."""
    models, experts, devices = problem.num_models, problem.num_experts, problem.num_devices
    traffic = np.zeros((models, experts, experts))
    tokens = np.zeros((models, experts))
    for m, model in enumerate(problem.models):
        traffic[m, : model.num_experts, : model.num_experts] = model.remote()
        tokens[m, : model.num_experts] = model.tokens()
    allowed = np.ones((models, experts, devices), dtype=np.bool_)
    for pin in problem.pinned:
        allowed[pin.model, pin.expert] = np.arange(devices) == pin.device
    return Layout(
        traffic=traffic,
        sent=traffic.sum(axis=2),
        received=traffic.sum(axis=1),
        tokens=tokens,
        seconds=np.array([m.seconds_per_token for m in problem.models]),
        there=np.array([m.dispatch_bytes_per_token for m in problem.models]),
        back=np.array([m.combine_bytes_per_token for m in problem.models]),
        size=np.array([float(m.expert_bytes or 0) for m in problem.models]),
        fixed=np.array([[m.gate_s, m.aggregation_s] for m in problem.models]),
        port=port_bytes_per_s(problem.cluster),
        speed=problem.cluster.relative_speed(),
        budget=problem.memory_budget_bytes(),
        count=problem.experts(),
        allowed=allowed,
    )


def table_of(problem: ColocationProblem, plan: ColocationPlan) -> IntArray:
    """Return the expert in each place, -1 for none, ``(models, devices, places)``."""
    at = np.full(
        (problem.num_models, problem.num_devices, problem.experts_per_device), -1, dtype=np.int64
    )
    for m, experts in enumerate(problem.experts().tolist()):
        taken = np.zeros(problem.num_devices, dtype=np.int64)
        for e, g in enumerate(plan.device[m, :experts].tolist()):
            at[m, g, taken[g]] = e
            taken[g] += 1
    return at


def plan_of(problem: ColocationProblem, at: IntArray) -> ColocationPlan:
    """Return the plan of a table of places; the reverse of `table_of`."""
    device = np.full((problem.num_models, problem.num_experts), -1, dtype=np.int64)
    model, g, place = np.nonzero(at >= 0)
    device[model, at[model, g, place]] = g
    return ColocationPlan(device=device)
