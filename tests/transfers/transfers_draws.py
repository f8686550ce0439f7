"""Tiny problems of every rule, and valid plans for them, placed hop by hop where there is room."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import numpy as np
from hypothesis import strategies as st

from moeopt.transfers.plan import TransferPlan
from moeopt.transfers.problem import Busy, Fabric, TransferProblem, Window

COLUMNS = (
    "source", "destination", "size_bytes", "start_s", "duration_s", "round_index", "wave",
    "origin", "target",
)  # fmt: skip

Row = tuple[Any, ...]


def plan_of(rows: list[Row]) -> TransferPlan:
    """Return the plan of rows that have its columns in order."""
    rows = sorted(rows, key=lambda row: (row[5], row[3], row[0]))
    columns = zip(*rows, strict=True) if rows else ([] for _ in COLUMNS)
    return TransferPlan(
        **{name: np.array(column) for name, column in zip(COLUMNS, columns, strict=True)}
    )


@st.composite
def problems(
    draw: st.DrawFn, fabric: bool | None = None, timed: bool = True, paceable: bool = False
) -> TransferProblem:
    """Draw a problem without deadlines that has a plan.

    Parameters
    ----------
    draw
        Hypothesis's own.
    fabric
        Whether there are two tiers; ``None`` for either.
    timed
        Whether there may be releases and busy times.
    paceable
        Whether `may_be_paced` must hold.
    """
    if paceable:
        fabric, timed = False, False
    with_fabric = draw(st.booleans()) if fabric is None else fabric
    ports = 4 if with_fabric else draw(st.integers(2, 4))
    waves = draw(st.integers(1, 2))
    cells = draw(st.lists(st.integers(0, 5), min_size=waves * ports**2, max_size=waves * ports**2))
    traffic = np.array(cells, dtype=float).reshape(waves, ports, ports)
    absent = draw(st.sampled_from([(), (0,)])) if ports > 2 and not with_fabric else ()
    traffic[:, list(absent)] = 0
    traffic[:, :, list(absent)] = 0
    if paceable:
        traffic[0, ports - 2, ports - 1] = 3
    rate = st.sampled_from([1.0, 2.0, 4.0])
    preemptive = draw(st.booleans())
    window = st.builds(
        Window,
        source=st.none() | st.integers(0, ports - 1),
        wave=st.none() | st.integers(0, waves - 1),
        release_s=st.sampled_from([1.0, 2.5, 7.0]),
    )
    busy = st.builds(
        lambda port, start, length: Busy(port=port, start_s=start, end_s=start + length),
        st.integers(0, ports - 1),
        st.sampled_from([0.0, 1.0, 3.0]),
        st.sampled_from([0.5, 2.0]),
    )
    return TransferProblem(
        traffic_bytes=traffic,
        bandwidth_bytes_per_s=np.array([draw(rate) for _ in range(ports)]),
        receive_bytes_per_s=draw(st.none() | rate),
        startup_s=draw(st.sampled_from([0.0, 0.5])),
        startup_per=draw(st.sampled_from(["message"] if paceable else ["message", "round"])),
        chunk_bytes=draw(st.sampled_from([0.0, 2.0])) if preemptive else 0.0,
        preemptive=preemptive,
        peers=draw(st.sampled_from(["many"] if paceable else ["one", "many"])),
        half_duplex=draw(st.booleans()),
        windows=tuple(draw(st.lists(window, max_size=2 if timed else 0))),
        busy=tuple(draw(st.lists(busy, max_size=2 if timed else 0))),
        absent_ports=absent,
        fabric=draw(
            st.builds(Fabric, ports_per_node=st.just(2), bandwidth_bytes_per_s=st.just(4.0),
                      rails=st.booleans())
        ) if with_fabric else None,
    )  # fmt: skip


@st.composite
def problems_with_plans(draw: st.DrawFn) -> tuple[TransferProblem, TransferPlan]:
    """Draw a problem and a valid plan for it; deadlines are those that the plan just keeps."""
    problem = draw(problems())
    random = draw(st.randoms(use_true_random=False))
    plan = paced(problem) if draw(st.booleans()) and may_be_paced(problem) else None
    plan = plan or placed(problem, random)
    due = []
    for wave, origin, target in np.argwhere(problem.messages() > 0).tolist():
        arrives = (plan.wave == wave) & (plan.origin == origin) & (plan.destination == target)
        if random.random() < 0.3:
            fields = {"wave": wave, "source": origin, "destination": target}
            last = float(plan.end_s[arrives & (plan.target == target)].max())
            due.append(Window(**fields, deadline_s=last))
    return msgspec.structs.replace(problem, windows=(*problem.windows, *due)), plan


def may_be_paced(problem: TransferProblem) -> bool:
    """Tell whether all messages may be under way at once from the beginning."""
    return (
        problem.peers == "many"
        and problem.fabric is None
        and not problem.is_timed
        and problem.num_messages > 0
        and problem.startup_per == "message"
    )


def paced(problem: TransferProblem) -> TransferPlan:
    """Return the plan in which all messages take the same time, that of the fluid bound."""
    pair = problem.pair_bytes()
    held = pair + problem.startup_s * problem.pair_rate() * (pair > 0)
    send = (held / problem.send_rate()[:, None]).sum(axis=1)
    receive = (held / problem.receive_rate()).sum(axis=0)
    lines = send + receive if problem.half_duplex else np.maximum(send, receive)
    time = float(lines.max())
    found = np.argwhere(problem.messages() > 0).tolist()
    return plan_of(
        [(s, d, problem.messages()[w, s, d], 0.0, time, 0, w, s, d) for w, s, d in found]
    )


def placed(problem: TransferProblem, random: Random, even: bool = False) -> TransferPlan:
    """Return a valid plan: parts of messages in random order, each hop where its ports are free.

    Parameters
    ----------
    problem
        Has no deadlines.
    random
        Draws the order, the cuts, the ways and the rates.
    even
        Whether no transmission changes its rate.
    """
    taken: dict[Any, list[tuple[float, float]]] = {}
    for busy in problem.busy:
        for key in _keys(problem, busy.port, busy.port):
            taken.setdefault(key, []).append((busy.start_s, busy.end_s))
    rows: list[Row] = []
    barrier = problem.startup_per == "round" and problem.startup_s > 0
    messages = np.argwhere(problem.messages() > 0).tolist()
    random.shuffle(messages)
    for wave, origin, target in messages:
        size = float(problem.messages()[wave, origin, target])
        half = size / 2
        cut = problem.preemptive and half >= problem.chunk_bytes and random.random() < 0.5
        for part in [half, half] if cut else [size]:
            ready = float(problem.release()[wave, origin, target])
            for source, destination in _route(problem, origin, target, random):
                if barrier:
                    ended = max((row[3] + row[4] for row in rows), default=0.0)
                    ready = max(ready, ended + problem.startup_s)
                rate = problem.pair_rate()[source, destination] / random.choice([1.0, 1.5])
                alpha = 0.0 if barrier else problem.startup_s
                held = part + alpha * problem.pair_rate()[source, destination]
                # Sometimes the second half goes slower: a change of rate, no new start-up.
                pieces = [(part, held / rate)]
                if not even and random.random() < 0.3:
                    pieces = [(part / 2, (held - part / 2) / rate), (part / 2, part / rate)]
                length = sum(seconds for _, seconds in pieces)
                start = _room(problem, taken, source, destination, ready, length)
                index = len(rows)
                for piece, seconds in pieces:
                    rows.append(
                        (source, destination, piece, start, seconds, index, wave, origin, target)
                    )
                    start += seconds
                ready = start
    return plan_of(rows)


def _route(
    problem: TransferProblem, origin: int, target: int, random: Random
) -> list[tuple[int, int]]:
    """Return hops from origin to target: with a fabric perhaps by other ports of both nodes."""
    if problem.fabric is None or problem.inside()[origin, target]:
        return [(origin, target)]
    node = problem.node_of_port()
    ways = [
        (out, into)
        for out in np.flatnonzero(node == node[origin]).tolist()
        for into in np.flatnonzero(node == node[target]).tolist()
        if problem.direct()[out, into]
    ]
    out, into = random.choice(ways)
    hops = [(origin, out), (out, into), (into, target)]
    return [(a, b) for a, b in hops if a != b]


def _keys(problem: TransferProblem, source: int, destination: int) -> list[Any]:
    """Return what a hop takes for itself; a busy port, from itself to itself, takes all."""
    networks = [bool(problem.inside()[source, destination])]
    if source == destination:
        networks = [False, True]
    ways = [(source, "sends"), (destination, "receives")]
    if problem.half_duplex:
        ways = [(source, ""), (destination, "")]
    return [(network, *way) for network in networks for way in ways]


def _room(
    problem: TransferProblem, taken: Any, source: int, destination: int, ready: float, length: float
) -> float:
    """Take the first gap of a length that both ports of a hop have, and return its start."""
    keys = _keys(problem, source, destination)
    spans = sorted(span for key in keys for span in taken.get(key, []))
    start = ready
    moved = True
    while moved:
        moved = False
        for opens, closes in spans:
            if start < closes and start + length > opens:
                start, moved = closes, True
    for key in keys:
        taken.setdefault(key, []).append((start, start + length))
    return start
