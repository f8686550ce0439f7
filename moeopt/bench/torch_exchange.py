"""Orders of an all-to-all between emulated nodes, each beside its bound and its prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, TypeVar

from moeopt.bench.registry import Figure, Report, Setting
from moeopt.bench.timing import Timing
from moeopt.bench.torch_orders import (
    APART,
    ORDERS,
    PORTS,
    RATE_BYTES_PER_S,
    ROW_BYTES,
    SIMULATED,
    TOTAL_BYTES,
    Order,
    bound_s,
    courses_of,
    predicted,
    problem_of,
    swapped,
    traffics,
)
from moeopt.core.arrays import FloatArray
from moeopt.core.table import Cell, Column, Table

if TYPE_CHECKING:
    from moeopt.adapters.torch.link import Link
    from moeopt.adapters.torch.workers import Workers

#: Timed exchanges of each order.
REPEATS = {True: 9, False: 25}

#: Most of the incast order's time that rounds may take.
TARGET = 0.8

_Name = TypeVar("_Name", bound=str)

_COLUMNS = (
    Column("traffic"),
    Column("order"),
    Column("bound ms", ".0f"),
    Column("simulated", ".0f"),
    Column("by the link", ".0f"),
    Column("median", ".0f"),
    Column("runs"),
    Column("spread", ".0%"),
    Column("over bound", ".2f"),
)


def run(setting: Setting) -> Report:
    """Measure every order between nodes with one worker each."""
    from moeopt.adapters.torch.emulate import EmulatedNodes
    from moeopt.adapters.torch.workers import Workers

    with (
        EmulatedNodes(PORTS, RATE_BYTES_PER_S) as nodes,
        Workers(PORTS, prefixes=nodes.prefixes, environment=nodes.environment) as workers,
    ):
        return measured(workers, setting.quick, REPEATS[setting.quick])


def measured(workers: Workers, quick: bool, repeats: int) -> Report:
    """Measure every order between one worker for each port.

    Parameters
    ----------
    workers
        On emulated nodes, or anywhere.
    quick
        Leave out some traffics and orders.
    repeats
        Timed exchanges of each order.
    """
    from moeopt.adapters.torch.link import measure_link
    from moeopt.bench.torch_jobs import exchange_seconds

    found: dict[str, dict[Order, Timing]] = {}
    orders = SIMULATED if quick else ORDERS
    link = workers.run(measure_link, most_bytes=TOTAL_BYTES)[0]
    for name, traffic in traffics(quick).items():
        every = courses_of(problem_of(traffic))
        courses = {order: every[order] for order in orders}
        rows = (traffic / ROW_BYTES).astype(int)
        seconds = workers.run(exchange_seconds, courses, rows, ROW_BYTES, repeats)
        found[name] = slowest(seconds, orders)
    return told(found, link)


def slowest(
    ranks: Sequence[Mapping[str, Sequence[float]]], names: Sequence[_Name]
) -> dict[_Name, Timing]:
    """Return the seconds of the slowest rank in each round."""
    return {
        name: Timing(tuple(map(max, zip(*(rank[name] for rank in ranks), strict=True))))
        for name in names
    }


def link_s(link: Link, traffic_bytes: FloatArray) -> dict[Order, float]:
    """Return the seconds of each order that the link's figures say.

    Parameters
    ----------
    link
        Measured.
    traffic_bytes
        Shape ``(ports, ports)``.
    """
    found: dict[Order, float] = {}
    for order, course in courses_of(problem_of(traffic_bytes)).items():
        plan = course.plan
        if plan is None:
            found[order] = link.single_s(traffic_bytes)
        else:
            columns = (plan.round_index, plan.source, plan.destination, plan.size_bytes)
            found[order] = link.rounds_s(*columns)
    return found


def told(found: Mapping[str, Mapping[Order, Timing]], link: Link) -> Report:
    """Return the report of what was measured, by traffic and order.

    Parameters
    ----------
    found
        For names of `moeopt.bench.torch_orders.traffics`.
    link
        What the workers measured before.
    """
    report = Report(data={"link": asdict(link), "exchange": {}})
    rows: list[list[Cell]] = []
    wrong: list[str] = []
    ratios: dict[str, float] = {}
    for name, times in found.items():
        traffic = traffics()[name]
        bound, told_s = bound_s(traffic), predicted(problem_of(traffic))
        by_link = link_s(link, traffic)
        medians = {order: time.median_s for order, time in times.items()}
        rows += [
            [
                name,
                order,
                1e3 * bound,
                1e3 * told_s[order],
                1e3 * by_link[order],
                1e3 * time.median_s,
                len(time.seconds),
                time.spread,
                time.median_s / bound,
            ]
            for order, time in times.items()
        ]
        wrong += [f"{name}: {pair}" for pair in swapped(told_s, medians)]
        ratios[name] = medians["rounds"] / medians["incast"]
        report.data["exchange"][name] = {
            "bound_s": bound,
            "simulated_s": told_s,
            "by_link_s": by_link,
            "measured": {order: time.to_dict() for order, time in times.items()},
        }
    note = (
        f"{PORTS} nodes of one worker on this machine, ports of {RATE_BYTES_PER_S / 1e6:g} MB/s"
        " (token buckets both ways), TCP with reno. ms of the slowest worker, orders in turn."
        " spread: interquartile range over the median. simulated: moeopt.transfers. by the link:"
        f" measured before, {1e3 * link.startup_s:.1f} ms and {link.bytes_per_s / 1e6:.1f} MB/s in"
        f" one operation ({link.incast_bytes_per_s / 1e6:.1f} to one receiver),"
        f" {1e3 * link.round_startup_s:.1f} ms and {link.round_bytes_per_s / 1e6:.1f} MB/s in a"
        " round. Every byte was checked once."
    )
    report.tables.append(
        Table("Orders of an all-to-all between emulated nodes", _COLUMNS, rows, note)
    )
    report.figures += [
        Figure(f"emulated nodes, {name}: rounds over the incast order", ratio, TARGET, ".2f")
        for name, ratio in ratios.items()
    ]
    report.figures.append(
        Figure(
            f"emulated nodes: orders predicted {APART:g} apart and measured the other way round",
            float(len(wrong)),
            0.0,
            ".0f",
            "; ".join(wrong),
        )
    )
    return report
