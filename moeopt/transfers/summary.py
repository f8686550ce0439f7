"""What a plan gives, for people: who sends to whom when, each port's bytes, and how good it is."""

from __future__ import annotations

import string
from typing import Any

import numpy as np

from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.core.table import Cell, Column, Table
from moeopt.core.units import time_text
from moeopt.transfers.contention import speedups
from moeopt.transfers.plan import TransferPlan, evaluate, require_readable
from moeopt.transfers.problem import TransferProblem

#: Cells of a line of the picture, and ports that are shown where there are more.
CELLS, MOST_PORTS = 64, 32

#: The ports' characters; those of higher numbers share the last one.
_LETTERS = string.digits + string.ascii_lowercase + string.ascii_uppercase
_LATER = "#"

_IDLE, _SEVERAL, _INSIDE, _BUSY = ".*-="


def summarise(problem: TransferProblem, plan: TransferPlan, result: Any) -> list[Table]:
    """Return the tables of a plan: the picture, the ports' bytes, and how the solve went.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    result
        The `Result` of the solve, or the record of it that a plan's file keeps.
    """
    return [gantt(plan, problem), _ports(problem, plan), _solve(problem, plan, result)]


def picture(plan: TransferPlan) -> list[Table]:
    """Return what a plan shows without its problem.

    Raises
    ------
    InstanceError
        If its columns do not fit together.
    """
    require_readable(plan)
    return [gantt(plan)]


def gantt(plan: TransferPlan, problem: TransferProblem | None = None) -> Table:
    """Return a picture of a plan: a line for each port, a character for each span of time.

    Parameters
    ----------
    plan
        Any plan.
    problem
        Tells absent and busy ports, and the nodes of a fabric; without it the picture knows none.
    """
    ports = _num_ports(plan) if problem is None else problem.num_ports
    sent, received = _bytes_by_port(plan, ports, np.ones(plan.source.shape, dtype=np.bool_))
    there = np.ones(ports, dtype=np.bool_) if problem is None else problem.present()
    shown = _busiest(np.maximum(sent, received), there)
    middle = (np.arange(CELLS) + 0.5) * plan.makespan_s / CELLS
    rows: list[list[Cell]] = [
        [port, "".join(_line(plan, problem, port, middle))] for port in shown.tolist()
    ]
    return Table(
        title=f"whom each port sends to, every {time_text(plan.makespan_s / CELLS)}",
        columns=[Column("port"), Column(f"0 to {time_text(plan.makespan_s)}")],
        rows=rows,
        note=_legend(rows, ports, int(there.sum())),
    )


def _num_ports(plan: TransferPlan) -> int:
    return 1 + int(max(plan.source.max(initial=0), plan.destination.max(initial=0)))


def _busiest(load: FloatArray, there: BoolArray) -> IntArray:
    """Return the ports with the most bytes among those that take part, by number."""
    order = np.argsort(-load, kind="stable")
    return np.sort(order[there[order]][:MOST_PORTS])


def _line(
    plan: TransferPlan, problem: TransferProblem | None, port: int, when: FloatArray
) -> list[str]:
    """Return the character of a port at each time."""
    mine = np.flatnonzero(plan.source == port)
    # Parts of several messages in one transmission are one destination.
    start, end = plan.start_s[mine, None], plan.end_s[mine, None]
    row, cell = np.nonzero((start <= when) & (when < end))
    peer = plan.destination[mine][row]
    inside = np.zeros(peer.shape, dtype=np.bool_)
    if problem is not None and problem.fabric is not None:
        node = problem.node_of_port()
        inside = node[peer] == node[port]
    line = [_IDLE] * CELLS
    for c in np.unique(cell[inside]).tolist():
        line[c] = _INSIDE
    for c in np.unique(cell[~inside]).tolist():
        peers = np.unique(peer[(cell == c) & ~inside])
        line[c] = _SEVERAL if len(peers) > 1 else _letter(int(peers[0]))
    for busy in () if problem is None else problem.busy:
        if busy.port == port:
            for c in np.flatnonzero((busy.start_s <= when) & (when < busy.end_s)).tolist():
                line[c] = _BUSY
    return line


def _letter(port: int) -> str:
    return _LETTERS[port] if port < len(_LETTERS) else _LATER


def _legend(rows: list[list[Cell]], ports: int, present: int) -> str:
    """Return what the characters mean, of those that are there."""
    seen = set("".join(str(line) for _, line in rows))
    last = min(ports, len(_LETTERS)) - 1
    meaning = {
        _IDLE: "idle",
        _SEVERAL: "several at once",
        _INSIDE: "inside its node only",
        _BUSY: "busy with something else",
        _LATER: f"a port above {last}",
    }
    parts = [f"{sign} {what}" for sign, what in meaning.items() if sign in seen]
    if last >= len(string.digits):
        parts.insert(0, f"a to {_LETTERS[last]} are ports 10 to {last}")
    if present > len(rows):
        parts.append(f"the {len(rows)} busiest of {present} ports")
    return "; ".join(parts)


def _ports(problem: TransferProblem, plan: TransferPlan) -> Table:
    value = evaluate(problem, plan)
    node = problem.node_of_port()
    between = node[plan.source] != node[plan.destination]
    sent, received = _bytes_by_port(plan, problem.num_ports, between)
    columns = (sent, received, value.idle_send_bytes, value.idle_receive_bytes)
    shown = _busiest(np.maximum(sent, received), problem.present())
    size, unit = _unit(max(float(column.max(initial=0.0)) for column in columns))
    where = "" if problem.fabric is None else ", between nodes"
    rows: list[list[Cell]] = [
        [port, *(float(column[port]) / size for column in columns)] for port in shown.tolist()
    ]
    return Table(
        title=f"bytes of each port{where}" + ("" if size == 1 else f", in {unit}"),
        columns=[
            Column("port"),
            *(
                Column(name, ".6g" if size == 1 else ".3f")
                for name in ("sent", "received", "idle sending", "idle receiving")
            ),
        ],
        rows=rows,
        footer=["total", *(float(column.sum()) / size for column in columns)],
        note="Idle: what the port could have carried besides until the last arrival.",
    )


def _bytes_by_port(
    plan: TransferPlan, ports: int, counted: BoolArray
) -> tuple[FloatArray, FloatArray]:
    """Return the bytes that each port sends and receives in the counted rows, relayed ones too."""
    size = plan.size_bytes[counted]
    sent = np.bincount(plan.source[counted], weights=size, minlength=ports)
    received = np.bincount(plan.destination[counted], weights=size, minlength=ports)
    return sent.astype(np.float64), received.astype(np.float64)


def _solve(problem: TransferProblem, plan: TransferPlan, result: Any) -> Table:
    value = evaluate(problem, plan)
    facts: list[tuple[str, Cell]] = [("makespan", time_text(value.makespan_s))]
    if result is not None:
        told = None if result.bound is None else _amount(problem, result.bound)
        facts += [
            ("lower bound", told),
            ("gap", None if result.gap is None else f"{100 * result.gap:.3f} %"),
        ]
    facts += [("rounds", str(value.num_rounds)), ("transmissions", str(value.num_transmissions))]
    if problem.startup_s > 0:
        each = time_text(problem.startup_s)
        facts.append(("start-ups", f"{value.startups} of {each} each"))
    seed = 0 if result is None else result.seed
    facts += [
        (f"speed-up over {name}", f"{ratio:.3f}")
        for name, ratio in speedups(problem, value.makespan_s, seed).items()
    ]
    if result is not None:
        facts += _how(result)
    title = problem.name or "the plan"
    return Table(title=title, columns=[Column(""), Column("")], rows=facts)


def _how(result: Any) -> list[tuple[str, Cell]]:
    """Return how the solve ended, who did it and how long it took."""
    limit = result.limit.value
    stopped = "" if limit == "none" else f", stopped by its {limit} limit"
    by = result.statistics.get("by")
    method = f"{result.method}: {by}" if isinstance(by, str) else result.method
    backend = f" ({result.backend})" if result.backend else ""
    return [
        ("status", result.status.value + stopped),
        ("method", f"{method}{backend}, seed {result.seed}"),
        ("time", f"{result.runtime_s:.3f} s, of which {result.build_s:.3f} s building models"),
    ]


def _amount(problem: TransferProblem, value: float) -> str:
    """Return a value of the objective with its unit."""
    return f"{value:g} rounds" if problem.objective == "rounds" else time_text(value)


def _unit(largest: float) -> tuple[float, str]:
    """Return the unit of bytes that shows the largest value in a few digits."""
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if largest >= 10 * size:
            return size, unit
    return 1.0, "bytes"
