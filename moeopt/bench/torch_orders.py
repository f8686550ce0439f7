"""Orders of an all-to-all between four ports, and what the fluid simulator says of each.

``single`` is one operation that sends everything at once, as gloo does. ``rounds`` is a plan of the
transfers wing whose ports go on when they can, ``barriers`` the same with all waiting for all after
each round. ``shifted`` goes from distance to distance. In ``incast`` everybody sends to port 0,
then everybody to port 1, and so on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, get_args

import msgspec
import numpy as np

from moeopt.bench.registry import Figure, Report, Setting
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.solve import solve
from moeopt.core.table import Cell, Column, Table
from moeopt.transfers.contention import unscheduled_makespan
from moeopt.transfers.generate import tokens
from moeopt.transfers.plan import TransferPlan
from moeopt.transfers.problem import TransferProblem
from moeopt.transfers.rounds import Pieces, joined, plan_from_pieces

Order = Literal["single", "rounds", "barriers", "shifted", "incast"]
ORDERS: tuple[Order, ...] = get_args(Order)

PORTS = 4

#: Rate of an emulated port: 200 Mbit/s, which two cores can move between four nodes.
RATE_BYTES_PER_S = 25e6

#: Bytes of each exchange, over all pairs, and of one row of it.
TOTAL_BYTES, ROW_BYTES = 6_000_000, 1000

#: What a round costs on sockets; a plan has fewer of them for it.
ROUND_S = 1e-3

#: Orders that are predicted to differ by less than this need not be measured in that order.
APART = 1.25

#: To the simulator rounds are barriers.
SIMULATED: tuple[Order, ...] = ("single", "rounds", "shifted", "incast")

#: Families that are simulated, where every port sends to every other: so does a layer.
FAMILIES = ("uniform", "zipf", "dense")

#: Most of another order's time that simulated rounds may take: their start-ups.
STARTUPS = 1.1

#: Matrices that are simulated of each family.
_DRAWS = {True: 10, False: 500}


def traffics(quick: bool = False) -> dict[str, FloatArray]:
    """Return bytes from each port to each, whole rows, by name; shape ``(ports, ports)``.

    Parameters
    ----------
    quick
        Leave out those of popular receivers.
    """
    families = {"even": np.ones((PORTS, PORTS)), "pairs": tokens("uniform", PORTS)}
    if not quick:
        families["zipf"] = tokens("zipf", PORTS, 1)
    return {name: _scaled(matrix) for name, matrix in families.items()}


def bound_s(traffic_bytes: FloatArray) -> float:
    """Return what no order can beat: the busiest port's bytes over its rate."""
    lines = (traffic_bytes.sum(axis=axis).max() for axis in (0, 1))
    return float(max(lines) / RATE_BYTES_PER_S)


def problem_of(traffic_bytes: FloatArray) -> TransferProblem:
    """Return the exchange as a problem of its ports, rounds with their start-up."""
    return TransferProblem(
        traffic_bytes=traffic_bytes,
        bandwidth_bytes_per_s=RATE_BYTES_PER_S,
        startup_s=ROUND_S,
        startup_per="round",
    )


@dataclass(frozen=True)
class Course:
    """How one order goes.

    Attributes
    ----------
    plan
        Its rounds; ``None`` for one operation.
    barrier
        Whether all wait for all after each round.
    """

    plan: TransferPlan | None
    barrier: bool = False


def courses_of(problem: TransferProblem) -> dict[Order, Course]:
    """Return how each order goes."""
    ports = np.arange(problem.num_ports)
    plan = planned(problem)
    return {
        "single": Course(None),
        "rounds": Course(plan),
        "barriers": Course(plan, barrier=True),
        "shifted": Course(in_rounds(problem, (ports - ports[:, None]) % problem.num_ports)),
        "incast": Course(in_rounds(problem, _by_receiver(problem))),
    }


def planned(problem: TransferProblem) -> TransferPlan:
    """Return the transfers wing's plan."""
    plan: TransferPlan | None = solve(problem, "few_rounds").plan
    assert plan is not None
    return plan


def in_rounds(problem: TransferProblem, number: IntArray) -> TransferPlan:
    """Return the plan that sends each pair whole in a round; rounds wait for each other.

    Parameters
    ----------
    problem
        With one rate for all ports.
    number
        Round of each pair, shape ``(ports, ports)``.
    """
    size = problem.pair_bytes()
    rate = problem.send_rate()[0]
    parts = []
    begin_s = 0.0
    for index in np.unique(number[size > 0]).tolist():
        part = np.where(number == index, size, 0.0)
        length_s = max(part.sum(axis=0).max(), part.sum(axis=1).max()) / rate
        source, destination = np.nonzero(part)
        begins, lasts, of_round = (
            np.full(len(source), value) for value in (begin_s, length_s, index)
        )
        sent = part[source, destination]
        parts.append(Pieces(source, destination, sent, begins, lasts, of_round))
        begin_s += length_s
    return plan_from_pieces(problem, joined(parts))


def predicted(problem: TransferProblem) -> dict[Order, float]:
    """Return the seconds of each order: the plan's own, and those of the fluid simulator."""
    free = msgspec.structs.replace(problem, startup_s=0.0)
    plan_s = planned(problem).makespan_s
    return {
        "single": unscheduled_makespan(free, "all_at_once"),
        "rounds": plan_s,
        "barriers": plan_s,
        "shifted": unscheduled_makespan(free, "shifted"),
        "incast": unscheduled_makespan(free, _by_receiver(problem)),
    }


def swapped(predicted_s: Mapping[Order, float], measured_s: Mapping[Order, float]) -> list[str]:
    """Return the measured pairs that are predicted to be `APART` and came the other way round."""
    found = []
    for one, other in combinations(measured_s, 2):
        fast, slow = sorted((one, other), key=predicted_s.__getitem__)
        apart = predicted_s[slow] >= APART * predicted_s[fast]
        if apart and measured_s[slow] <= measured_s[fast]:
            found.append(f"{fast} after {slow}")
    return found


def run(setting: Setting) -> Report:
    """Simulate the orders of many all-to-alls: no network, no torch."""
    report = Report(data={"simulated": {}})
    rows: list[list[Cell]] = []
    every: list[dict[Order, float]] = []
    for family in FAMILIES:
        draws = range(_DRAWS[setting.quick])
        found = [_over_bound(_scaled(tokens(family, PORTS, seed))) for seed in draws]
        means = (float(np.mean([one[order] for one in found])) for order in SIMULATED)
        rows.append([family, len(found), *means])
        report.data["simulated"][family] = found
        every += found
    columns = [Column("traffic"), Column("draws"), *(Column(order, ".3f") for order in SIMULATED)]
    note = (
        "Mean time over the bound, busiest port's bytes over its rate. single: shared max-min"
        f" fairly and without loss. rounds: few_rounds with {1e3 * ROUND_S:g} ms a round."
    )
    title = f"Orders of an all-to-all between {PORTS} ports, simulated"
    report.tables.append(Table(title, columns, rows, note))
    others: tuple[Order, ...] = ("shifted", "incast")
    report.figures += [
        Figure(
            f"simulated: rounds over {other}, most",
            max(one["rounds"] / one[other] for one in every),
            STARTUPS,
            ".3f",
            "start-ups of rounds included",
        )
        for other in others
    ]
    return report


def _over_bound(traffic_bytes: FloatArray) -> dict[Order, float]:
    seconds = predicted(problem_of(traffic_bytes))
    return {order: value / bound_s(traffic_bytes) for order, value in seconds.items()}


def _by_receiver(problem: TransferProblem) -> IntArray:
    """Return the destination of each pair, ``(ports, ports)``: its round in the incast order."""
    ports = np.arange(problem.num_ports)
    return np.broadcast_to(ports, (len(ports), len(ports)))


def _scaled(matrix: FloatArray) -> FloatArray:
    """Return the matrix without its diagonal as bytes of whole rows, `TOTAL_BYTES` together."""
    remote = matrix * ~np.eye(len(matrix), dtype=np.bool_)
    rows = remote * (TOTAL_BYTES / ROW_BYTES / max(remote.sum(), 1.0))
    return np.asarray(np.round(rows) * ROW_BYTES)
