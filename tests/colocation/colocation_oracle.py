"""Brute force over every colocation of a tiny problem, and its value in loops: the oracles.

`brute_force` knows the wing only through `violations` and `evaluate`; `naive_value` is the
formulation page a second time, one device and one model after the other.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from moeopt.colocation.plan import ColocationPlan, evaluate, violations
from moeopt.colocation.problem import ColocationProblem, ModelLayer
from moeopt.describe.cluster import Cluster, Device, Node, NodeGroup
from moeopt.describe.topology import port_bytes_per_s

#: Most plans that are looked at.
MOST_PLANS = 40_000


@dataclass(frozen=True)
class Best:
    """The least objective over all plans, and one plan that has it."""

    objective: float
    plan: ColocationPlan


def layer(traffic: Any, **fields: Any) -> ModelLayer:
    """Return a layer whose tokens have a byte each way unless `fields` say otherwise."""
    return ModelLayer(traffic_tokens=np.array(traffic, dtype=float), **fields)


def cluster_of(*kinds: tuple[float, float, int]) -> Cluster:
    """Return devices of some kinds: relative speed, port rate and how many of them."""
    return Cluster(
        nodes=tuple(
            NodeGroup(
                node=Node(
                    device=Device(relative_speed=speed, link_bandwidth_bytes_per_s=rate),
                    devices=count,
                    nic_bandwidth_bytes_per_s=rate,
                )
            )
            for speed, rate, count in kinds
        )
    )


def drawn(seed: int, kinds: Any, experts: Any, **fields: Any) -> ColocationProblem:
    """Return a problem with whole numbers drawn from a seed.

    Parameters
    ----------
    seed
        Of the draw.
    kinds
        Devices, as for `cluster_of`.
    experts
        Of each model.
    fields
        Of the problem, as they are.
    """
    rng = np.random.default_rng(seed)
    models = tuple(
        layer(
            rng.integers(0, 10, (count, count)),
            gate_s=float(rng.integers(0, 4)),
            aggregation_s=float(rng.integers(0, 4)),
            seconds_per_token=float(rng.choice([0.0, 0.5, 1.0])),
            dispatch_bytes_per_token=float(rng.choice([1.0, 2.0])),
            combine_bytes_per_token=float(rng.choice([1.0, 2.0])),
            expert_bytes=int(rng.integers(1, 4)),
        )
        for count in experts
    )
    return ColocationProblem(models=models, cluster=cluster_of(*kinds), **fields)


def brute_force(problem: ColocationProblem, ignore: tuple[str, ...] = ()) -> Best | None:
    """Return the best plan, or ``None`` if there is none.

    Parameters
    ----------
    problem
        Two models of 4 experts on 4 devices, for example.
    ignore
        Labels of constraints that need not hold; without ``"C1"`` an expert may be nowhere.

    Raises
    ------
    ValueError
        If there are more than `MOST_PLANS` plans to look at.
    """
    choices = [list(_placements(problem, m, ignore)) for m in range(problem.num_models)]
    if math.prod(map(len, choices)) > MOST_PLANS:
        raise ValueError("too large for brute force")
    best: Best | None = None
    for rows in itertools.product(*choices):
        plan = ColocationPlan(device=np.array(rows, dtype=np.int64))
        if any(found.constraint not in ignore for found in violations(problem, plan)):
            continue
        objective = evaluate(problem, plan).objective
        if best is None or objective < best.objective:
            best = Best(objective, plan)
    return best


def _placements(
    problem: ColocationProblem, model: int, ignore: tuple[str, ...]
) -> Iterator[tuple[int, ...]]:
    """Yield the rows of the table that keep the rules of one model."""
    experts = problem.models[model].num_experts
    nowhere = [-1] * (problem.num_experts - experts)
    pins = {pin.expert: pin.device for pin in problem.pinned if pin.model == model}
    devices = range(-1 if "C1" in ignore else 0, problem.num_devices)
    for row in itertools.product(devices, repeat=experts):
        most = max(row.count(g) for g in range(problem.num_devices))
        if "C2" not in ignore and most > problem.experts_per_device:
            continue
        if "C4" not in ignore and any(row[e] != g for e, g in pins.items()):
            continue
        yield (*row, *nowhere)


def naive_value(problem: ColocationProblem, plan: ColocationPlan) -> dict[str, float]:
    """Return every objective of a plan, written out in loops."""
    devices = range(problem.num_devices)
    components = [_components(problem, plan, g) for g in devices]
    whole = {
        name: [max(component[name][i] for component in components) for i in range(count)]
        for name, count in (("G", problem.num_models), ("F", problem.num_models),
                            ("A", problem.num_models))
    }  # fmt: skip
    spans = components[0]["N"].keys()
    for name in ("N", "C"):
        whole[name] = {span: max(component[name][span] for component in components)
                       for span in spans}  # fmt: skip
    last = problem.num_models - 1
    return {
        "time": naive_round(whole),
        "bottleneck": max(naive_round(component) for component in components),
        "communication": whole["N"][0, last],
    }


def naive_round(component: dict[str, Any]) -> float:
    """Return the end of Table 2 of some components.

    Parameters
    ----------
    component
        Seconds ``G``, ``F``, ``A`` of each model, and ``N``, ``C`` of models j to k.
    """
    gate, compute, aggregation = component["G"], component["F"], component["A"]
    models = range(len(gate))
    release = [sum(gate[1 : k + 1]) for k in models]
    sent = [max(release[j] + component["N"][j, k] for j in range(k + 1)) for k in models]
    clock = release[-1]
    done = []
    for k in models:
        clock = max(clock, sent[k]) + compute[k]
        done.append(clock)
    ready = [max(done[k], sent[-1]) for k in models]
    for k in models:
        back = max(ready[j] + component["C"][j, k] for j in range(k + 1))
        clock = max(clock, back) + aggregation[k]
    return float(clock + gate[0])


def _components(problem: ColocationProblem, plan: ColocationPlan, g: int) -> dict[str, Any]:
    """Return the components of one device."""
    device = problem.cluster.all_devices()[g]
    rate = port_bytes_per_s(problem.cluster)[g]
    gate, compute, aggregation, sent, received = [], [], [], [], []
    for m, model in enumerate(problem.models):
        traffic = model.traffic_tokens
        experts = range(model.num_experts)
        here = [e for e in experts if plan.device[m, e] == g]
        away = [e for e in experts if plan.device[m, e] != g]
        speed = device.relative_speed
        gate.append(model.gate_s / speed if here else 0.0)
        aggregation.append(model.aggregation_s / speed if here else 0.0)
        tokens = sum(traffic[f, e] for e in here for f in experts)
        compute.append(tokens * model.seconds_per_token / speed)
        sent.append(sum(traffic[e, f] for e in here for f in away))
        received.append(sum(traffic[f, e] for e in here for f in away))
    found: dict[str, Any] = {"G": gate, "F": compute, "A": aggregation, "N": {}, "C": {}}
    for j in range(problem.num_models):
        for k in range(j, problem.num_models):
            models = range(j, k + 1)
            for name, bytes_of in (("N", "dispatch"), ("C", "combine")):
                size = [getattr(model, f"{bytes_of}_bytes_per_token") for model in problem.models]
                out = sum(size[m] * sent[m] for m in models)
                into = sum(size[m] * received[m] for m in models)
                found[name][j, k] = max(out, into) / rate
    return found


def best_pairing(a: Any, b: Any) -> float:
    """Return the least largest line of two models paired in every way, by enumeration.

    Parameters
    ----------
    a, b
        What the experts send and receive, shape ``(2, experts)``, at most 8 experts.
    """
    orders = np.array(list(itertools.permutations(range(b.shape[1]))))
    both = a[:, None, :] + b[:, orders]
    return float(both.max(axis=(0, 2)).min())
