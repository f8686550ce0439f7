"""What the optimum must show: brute force agrees, Belady agrees, and no policy is below it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from moeopt.bench.buffering_traces import PROTOCOL, SLOTS, Protocol, Recorded, recorded
from moeopt.bench.registry import Figure, Report, Setting
from moeopt.buffering.flow import flow_curve, flow_schedule
from moeopt.buffering.plan import evaluate, violations
from moeopt.buffering.policies import POLICIES
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.replays import least_room, miss_curve, replay_problem
from moeopt.buffering.stream import plan_of, streams
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.table import Cell, Column, Table
from moeopt.testing.conformance.buffering_oracle import brute_force

#: Two optima are one if they differ by no more, relative.
EXACTNESS = 1e-9

#: Random problems, and most experts of a layer and references of such a problem.
PROBLEMS, EXPERTS, REFERENCES = 1000, 5, 20

#: Tokens of the streams that are served elsewhere, where the flow has more arcs.
TOKENS = 2000

#: Loads before a group, and what a load costs more than a reference that is served elsewhere.
LOADS, PRICE = 2, 3.0


def run(setting: Setting) -> Report:
    """Compare the flow with brute force, with Belady's rule, and with every policy."""
    report = _against_brute_force(100 if setting.quick else PROBLEMS)
    report.add(_against_belady(Protocol("quick", 500, 2) if setting.quick else PROTOCOL))
    if not setting.quick:
        report.add(_against_policies())
    return report


def random_problems(count: int) -> Iterator[BufferingProblem]:
    """Return small random problems, one way to serve and the other in turn, every third unpriced.

    Some have pinned experts, caps, update periods and a free fill; a few have no plan.

    Parameters
    ----------
    count
        How many.
    """
    for seed in range(count):
        rng = np.random.default_rng([20230306, seed])
        layers, experts = int(rng.integers(1, 3)), int(rng.integers(2, EXPERTS + 1))
        steps = int(rng.integers(2, REFERENCES // layers // 2 + 1))
        sizes = rng.integers(0, min(3, experts) + 1, steps * layers)
        chosen = [np.sort(rng.permutation(experts)[:size]) for size in sizes]
        active = np.concatenate(chosen)[:REFERENCES].astype(np.int64)
        starts = np.minimum(np.concatenate(([0], np.cumsum(sizes))), active.size)
        fields: dict[str, Any] = {"layers": layers, "experts": experts, "active": active}
        fields |= {"starts": starts, "slots": rng.integers(1, experts + 1, layers)}
        if rng.random() < 0.3:
            fields["pinned"] = np.array([[rng.integers(layers), rng.integers(experts)]])
        if seed % 3:
            fields |= {"objective": "seconds", "load_s": rng.random((layers, experts)) * 3.0}
        if seed % 2:
            fields |= _bypassing(rng, layers, experts, active.size)
        yield BufferingProblem(**fields)


def _bypassing(
    rng: np.random.Generator, layers: int, experts: int, references: int
) -> dict[str, Any]:
    return {
        "serve": "bypass",
        "weights": rng.random(references),
        "miss_s": rng.random((layers, experts)) * 3.0,
        "loads_per_group": int(rng.integers(1, 3)) if rng.random() < 0.6 else None,
        "update_period": int(rng.integers(1, 4)),
        "free_fill": bool(rng.random() < 0.5),
    }


def flow_costs(problem: BufferingProblem) -> tuple[float, float] | None:
    """Return the optimum of the curves, and what the schedules cost; ``None`` if there is no plan.

    The schedules' cost is what the checker of plans says; it is infinite if a rule is broken.

    Parameters
    ----------
    problem
        With slots.
    """
    parts = streams(problem)
    rooms = np.array([part.capacity for part in parts], dtype=np.int64)
    if any(room < least_room(part) for room, part in zip(rooms.tolist(), parts, strict=True)):
        return None
    told = sum(float(flow_curve(part)[room]) for part, room in zip(parts, rooms, strict=True))
    found = [flow_schedule(part, int(room))[0] for part, room in zip(parts, rooms, strict=True)]
    plan = plan_of(problem, parts, rooms, found)
    if violations(problem, plan):
        return told, np.inf
    return told, evaluate(problem, plan).objective


def _against_brute_force(count: int) -> Report:
    worst, strange, belady = 0.0, 0, 0.0
    served = {"load": 0, "bypass": 0, "without a plan": 0, "Belady": 0}
    for problem in random_problems(count):
        best = brute_force(problem)
        # They are small enough.
        assert best is not None
        costs = flow_costs(problem)
        strange += (best.objective is None) is not (costs is None)
        if best.objective is None or costs is None:
            served["without a plan"] += 1
            continue
        served[problem.serve] += 1
        unit = max(1.0, abs(best.objective))
        worst = max([worst, *(abs(cost - best.objective) / unit for cost in costs)])
        if problem.serve == "load" and problem.objective == "misses":
            served["Belady"] += 1
            misses = sum(one.misses for one in replay_problem(problem, "belady"))
            belady = max(belady, abs(misses - best.objective))
    told = ", ".join(f"{served[kind]} {kind}" for kind in ("load", "bypass", "without a plan"))
    return Report(
        figures=[
            Figure(f"flow and brute force, {count} problems: one has no plan", strange, 0, "d"),
            Figure("the same: optima differ by", worst, EXACTNESS, ".1e", told),
            Figure("Belady and brute force: misses differ by", belady, 0, ".0f",
                   f"{served['Belady']} of these, loads of one price"),
        ]
    )  # fmt: skip


def _against_belady(protocol: Protocol) -> Report:
    """Compare on recorded streams with equal prices."""
    worst, compared = 0.0, 0
    for one in recorded():
        for part in streams(protocol.problem(one)):
            rooms = np.arange(1, part.num_items + 1)
            flow, hindsight = flow_curve(part)[rooms], miss_curve(part, "belady", rooms)
            worst = max(worst, float(np.abs(flow - hindsight).max()))
            compared += rooms.size
    told = f"{compared} caches of every size"
    return Report(
        figures=[
            Figure("flow and Belady on recorded routing: misses differ by", worst, 0, ".0f", told)
        ]
    )


def _against_policies() -> Report:
    """Compare all policies with the flow where what is missing is served elsewhere."""
    report = Report(data={"bypass": {}})
    least = np.inf
    for one in recorded():
        problem, known = bypassed(one, PROTOCOL.layers)
        parts = streams(problem)
        curve = np.sum([flow_curve(part) for part in parts], axis=0)
        best = curve[np.minimum(SLOTS, problem.num_experts)]
        rows: list[list[Cell]] = []
        for name, policy in POLICIES.items():
            if policy.needs_history and known.history is None:
                continue
            costs = _costs(known if policy.needs_history else problem, name)
            ratios = costs / best
            least = min(least, float(ratios.min()))
            rows.append([name, *map(float, ratios)])
            report.data["bypass"][f"{one.name}, {name}"] = ratios.tolist()
        nothing = float(sum(part.miss_prices.sum() for part in parts)) / best
        rows.append(["nothing resident", *map(float, nothing)])
        report.tables.append(_table(one, problem, rows))
    figure = Figure("optimum over the cost of any policy, most", 1.0 / least, 1.0, ".4f",
                    "served elsewhere")  # fmt: skip
    report.figures.append(figure)
    return report


def bypassed(one: Recorded, layers: int | None) -> tuple[BufferingProblem, BufferingProblem]:
    """Return the problem of a trace whose missing experts are served elsewhere.

    Without counts of other texts, and with them.

    Parameters
    ----------
    one, layers
        What is taken of the trace, and how many layers.
    """
    told = msgspec.structs.replace(
        Protocol("bypass", TOKENS, layers).problem(one),
        serve="bypass",
        objective="seconds",
        load_s=PRICE,
        miss_s=1.0,
        loads_per_group=LOADS,
    )
    return msgspec.structs.replace(told, history=None), told


def _costs(problem: BufferingProblem, policy: str) -> FloatArray:
    return np.array(
        [
            sum(one.miss_cost for one in replay_problem(problem, policy, _rooms(problem, count)))
            for count in SLOTS
        ]
    )


def _rooms(problem: BufferingProblem, count: int) -> IntArray:
    return np.full(problem.num_layers, min(count, problem.num_experts))


def _table(one: Recorded, problem: BufferingProblem, rows: list[list[Cell]]) -> Table:
    columns = [Column("policy"), *(Column(f"{count} slots", ".3f") for count in SLOTS)]
    note = (
        f"{problem.num_layers} layers, {problem.num_steps:,} tokens. A load costs {PRICE:g} times a"
        f" reference that is served elsewhere, at most {LOADS} before a group. All but"
        " static_top_k are blind to other texts; rules made for demand load whatever they lack."
    )
    return Table(f"Served elsewhere: cost over the optimum, {one.name}", columns, rows, note)
