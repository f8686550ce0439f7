"""Where experts live and what devices keep of them, together and one after the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeopt.bench.buffering_traces import PROTOCOL, REFERENCE, Recorded, halves, recorded
from moeopt.bench.registry import Figure, Report, Setting
from moeopt.buffering.from_trace import buffering_problem
from moeopt.buffering.joint import Measure, assignment_cost, joint_assignment
from moeopt.buffering.problem import BufferingProblem
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.table import Cell, Column, Table
from moeopt.describe.loads import window_counts
from moeopt.placement.arrays import place
from moeopt.traces.trace import RoutingTrace

#: Devices, slots of each for every layer, and tokens of a step.
DEVICES, SLOTS, BATCH = 8, 4, 4

#: Tokens of the windows that placements are fitted to and their balance is judged by.
WINDOW = 64

#: What the devices' caches do: LRU, and the paper's rule.
POLICIES = ("lru", "inactive_lifo")

#: The paper's way: experts are dealt first, by loads alone.
DEALT = ("contiguous", "lpt", "anticorrelation")

#: Swaps that are looked at in each layer.
TRIES = 1500


@dataclass(frozen=True)
class Case:
    """A trace in two halves.

    Attributes
    ----------
    first, second
        What is fitted, and what is judged.
    loads, later
        Tokens of the experts in windows of each half, ``(windows, layers, experts)``.
    """

    first: BufferingProblem
    second: BufferingProblem
    loads: FloatArray
    later: FloatArray


def run(setting: Setting) -> Report:
    """Deal experts by their loads, improve by what caches cost, judge on the later half."""
    report = Report(data={"joint": {}})
    won: dict[str, list[float]] = {"total": [], "worst": []}
    policies = POLICIES[:1] if setting.quick else POLICIES
    for one in recorded():
        if one.trace.num_experts % DEVICES or (setting.quick and one.name != REFERENCE):
            continue
        if one.trace.num_tokens < 2:
            continue
        case = case_of(one, 6000 if setting.quick else one.trace.num_tokens)
        for policy in policies:
            tables = assignments(case, policy, 200 if setting.quick else TRIES)
            found = {name: judged(case, table, policy) for name, table in tables.items()}
            report.tables.append(_table(one.name, policy, case, found))
            report.data["joint"][f"{one.name}, {policy}"] = found
            for column, measure in enumerate(won):
                dealt = min(found[name][column] for name in DEALT)
                won[measure].append(found[f"together, {measure}"][column] / dealt)
    for measure, ratios in won.items():
        name = f"misses, {measure}: together over the best dealt by loads, mean"
        told = f"least {min(ratios):.4f}, most {max(ratios):.4f}"
        # A quick run looks at few swaps.
        target = None if setting.quick else 1.0
        report.figures.append(Figure(name, float(np.mean(ratios)), target, ".4f", told))
    return report


def case_of(one: Recorded, tokens: int) -> Case:
    """Return the halves of the first tokens of a trace.

    Parameters
    ----------
    one
        The trace, of which the protocol's layers are kept.
    tokens
        How many, two at least.
    """
    layers = PROTOCOL.layers_of(one.trace).tolist()
    parted = halves(one.trace.part(0, tokens))
    assert parted is not None, "two tokens"
    first, second = parted

    def problem(half: RoutingTrace) -> BufferingProblem:
        return buffering_problem(half, layers=layers, batch_tokens=BATCH, slots=SLOTS)

    def windows(half: RoutingTrace) -> FloatArray:
        found: FloatArray = window_counts(half.expert_ids[:, layers], half.num_experts, WINDOW)
        return found

    return Case(problem(first), problem(second), windows(first), windows(second))


def assignments(case: Case, policy: str, tries: int) -> dict[str, IntArray]:
    """Return the device of each expert, ``(layers, experts)``, by each way to find it.

    Parameters
    ----------
    case, policy
        What is fitted to.
    tries
        Swaps that are looked at in each layer, from the best of those that are dealt.
    """
    found = {name: dealt(case.loads, name) for name in DEALT}
    measures: tuple[Measure, ...] = ("total", "worst")
    for measure in measures:
        start = min(
            (found[name] for name in DEALT),
            key=lambda table: assignment_cost(case.first, table, policy, measure),
        )
        joint = joint_assignment(case.first, start, policy, measure=measure, most_tries=tries)
        found[f"together, {measure}"] = joint.assignment
    return found


def dealt(loads: FloatArray, method: str) -> IntArray:
    """Return the device of each expert by a method of the placement wing, equally many each.

    Parameters
    ----------
    loads
        Tokens in windows, ``(windows, layers, experts)``.
    method
        Its name.
    """
    slots = place(loads, DEVICES, method=method, objective="mean_max").physical_to_logical
    table = np.empty_like(slots)
    device = np.arange(slots.shape[1]) * DEVICES // slots.shape[1]
    np.put_along_axis(table, slots, np.broadcast_to(device, slots.shape), axis=1)
    return table


def judged(case: Case, table: IntArray, policy: str) -> list[float]:
    """Return misses of all devices, of each pass's worst, and the mean imbalance, held out.

    Parameters
    ----------
    case, table, policy
        What is judged.
    """
    misses = [
        assignment_cost(case.second, table, policy, "total"),
        assignment_cost(case.second, table, policy, "worst"),
    ]
    home = np.eye(DEVICES)[table]
    load = np.einsum("wle,led->wld", case.later, home)
    return [*misses, float((load.max(axis=2) / load.mean(axis=2)).mean())]


def _table(name: str, policy: str, case: Case, found: dict[str, list[float]]) -> Table:
    least = [min(found[way][column] for way in DEALT) for column in range(3)]
    rows: list[list[Cell]] = [
        [way, told[0], told[0] / least[0], told[1], told[1] / least[1], told[2]]
        for way, told in found.items()
    ]
    columns = [Column("experts dealt by"), Column("misses", ",.0f"), Column("over best", ".3f"),
               Column("worst device's", ",.0f"), Column("over best", ".3f"),
               Column("imbalance", ".3f")]  # fmt: skip
    note = (
        f"Fitted on the earlier half, judged on the later: {case.second.num_references:,}"
        f" references, {case.second.num_layers} layers, steps of {BATCH} tokens, {DEVICES} devices,"
        f" {SLOTS} of {case.second.num_experts // DEVICES} experts of a layer fit. worst device's:"
        " of each pass of a layer, summed; over best: of the three dealt by loads; imbalance: mean"
        f" over windows of {WINDOW} tokens."
    )
    return Table(f"Placement and cache, {name}, {policy}", columns, rows, note)
