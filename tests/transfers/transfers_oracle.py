"""Slow and plain: exhaustive search of tiny transfers, and a replay in loops over time.

The replay is the formulation page a second time, one port and one stretch of time after the other.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from typing import Any

from moeopt.transfers.plan import TransferPlan
from moeopt.transfers.problem import TransferProblem

Units = tuple[tuple[int, ...], ...]


def brute_force_slots(units: Any, half_duplex: bool = False) -> int:
    """Return the fewest unit slots in which single tokens are sent, one peer each way at a time.

    Parameters
    ----------
    units
        Tokens from each port to each, ``(ports, ports)`` integers: 4 ports, about 10 tokens.
    half_duplex
        Whether a port either sends or receives in a slot.
    """
    start = _without_diagonal(units)
    seen, frontier, slots = {start}, {start}, 0
    while not any(sum(map(sum, state)) == 0 for state in frontier):
        slots += 1
        frontier = {
            _take(state, hops, 1) for state in frontier for hops in _matchings(state, half_duplex)
        } - seen
        seen |= frontier
    return slots


def brute_force_rounds(units: Any) -> int:
    """Return the fewest rounds of whole lengths that send all tokens in the least makespan.

    A round is a partial permutation for some slots; ports may stay idle for a part of it.
    """
    start = _without_diagonal(units)
    total = max(max(map(sum, start)), max(map(sum, zip(*start, strict=True))))

    @functools.cache
    def fewest(state: Units, left: int) -> float:
        if sum(map(sum, state)) == 0:
            return 0
        lines = [*map(sum, state), *map(sum, zip(*state, strict=True))]
        if max(lines) > left:
            return float("inf")
        return 1 + min(
            fewest(_take(state, hops, length), left - length)
            for hops in _matchings(state, half_duplex=False)
            for length in range(1, left + 1)
        )

    return int(fewest(start, total))


def naive_labels(problem: TransferProblem, plan: TransferPlan) -> set[str]:
    """Return the labels of the constraints that a well-formed plan breaks."""
    replay = _Replay(problem, plan)
    checks = {
        "C1": replay.bytes_broken,
        "C2": lambda: replay.rates_broken(both_ways=False, whole=False),
        "C3": lambda: problem.peers == "one" and replay.rates_broken(both_ways=False, whole=True),
        "C4": lambda: (
            problem.half_duplex
            and replay.rates_broken(both_ways=True, whole=problem.peers == "one")
        ),
        "C5": replay.release_broken,
        "C6": replay.deadline_broken,
        "C7": replay.chunk_broken,
        "C8": replay.cut_broken,
        "C9": replay.closed_broken,
        "C10": replay.round_broken,
        "C11": replay.route_broken,
        "C12": replay.least_broken,
    }
    return {label for label, broken in checks.items() if broken()}


class _Replay:
    """The rows of a plan as tuples, and its transmissions."""

    def __init__(self, problem: TransferProblem, plan: TransferPlan) -> None:
        self.problem = problem
        self.makespan = max((plan.start_s + plan.duration_s).tolist(), default=0.0)
        self.tau = 1e-9 * self.makespan
        pair = problem.pair_bytes()
        self.epsilon = 1e-9 * max(*pair.sum(axis=0), *pair.sum(axis=1))
        count = len(plan.source)
        zero = [0] * count
        self.rows = [
            {
                "source": s, "destination": d, "bytes": b, "start": t, "end": t + u, "round": r,
                "message": (w, o, g),
            }
            for s, d, b, t, u, r, w, o, g in zip(
                plan.source.tolist(), plan.destination.tolist(), plan.size_bytes.tolist(),
                plan.start_s.tolist(), plan.duration_s.tolist(), plan.round_index.tolist(),
                zero if plan.wave is None else plan.wave.tolist(),
                (plan.source if plan.origin is None else plan.origin).tolist(),
                (plan.destination if plan.target is None else plan.target).tolist(),
                strict=True,
            )
            if b > 0 or u > 0
        ]  # fmt: skip
        self.transmissions: dict[tuple[int, int, float, float], list[dict[str, Any]]] = {}
        for row in self.rows:
            key = (row["source"], row["destination"], row["start"], row["end"])
            self.transmissions.setdefault(key, []).append(row)
        self.former = {key: self._former(key) for key in self.transmissions}

    def _former(self, key: tuple[int, int, float, float]) -> Any:
        """Return the transmission that this one continues, if any."""
        carried = {row["message"] for row in self.transmissions[key]}
        alike = [
            other
            for other, rows in self.transmissions.items()
            if other[:2] == key[:2] and {row["message"] for row in rows} == carried
        ]
        before = [other for other in alike if other[2:] < key[2:]]
        last = max(before, key=lambda other: other[2:], default=None)
        return last if last is not None and abs(last[3] - key[2]) <= self.tau else None

    def chain(self, row: dict[str, Any]) -> Any:
        """Return the first transmission of the chain that a row is part of."""
        key = (row["source"], row["destination"], row["start"], row["end"])
        while self.former[key] is not None:
            key = self.former[key]
        return key

    def is_inside(self, source: int, destination: int) -> bool:
        fabric = self.problem.fabric
        size = 1 if fabric is None else fabric.ports_per_node
        return source // size == destination // size

    def bytes_broken(self) -> bool:
        size = self.problem.messages()
        for message in {row["message"] for row in self.rows} | set(
            itertools.product(*map(range, size.shape))
        ):
            mine = [row for row in self.rows if row["message"] == message]
            for port in range(self.problem.num_ports):
                stock = size[message] if port == message[1] else 0.0
                events = [(r["end"] - self.tau, 0, r["bytes"]) for r in mine
                          if r["destination"] == port]  # fmt: skip
                events += [(r["start"], 1, -r["bytes"]) for r in mine if r["source"] == port]
                for _, _, change in sorted(events):
                    stock += change
                    if stock < -self.epsilon:
                        return True
                if port == message[2] and stock < size[message] - self.epsilon:
                    return True
        return False

    def rates_broken(self, both_ways: bool, whole: bool) -> bool:
        """Look at every port and every stretch between two events."""
        for port, inside in itertools.product(range(self.problem.num_ports), (False, True)):
            ends = {"source": self.problem.send_rate(), "destination": self.problem.receive_rate()}
            used = []
            for key, rows in self.transmissions.items():
                for end, rates in ends.items():
                    if rows[0][end] != port or self.is_inside(*key[:2]) != inside:
                        continue
                    rate = self.problem.fabric.bandwidth_bytes_per_s if inside else rates[port]
                    seconds = key[3] - key[2] if whole else self.held(key) / rate
                    used.append((end, key[2], key[3], seconds))
            for ways in [list(ends)] if both_ways else [[end] for end in ends]:
                if self._asks_too_much([use[1:] for use in used if use[0] in ways]):
                    return True
        return False

    def held(self, key: tuple[int, int, float, float]) -> float:
        total = sum(row["bytes"] for row in self.transmissions[key])
        if self.problem.startup_per == "message" and self.former[key] is None:
            total += self.problem.startup_s * self.problem.pair_rate()[key[0], key[1]]
        return total

    def _asks_too_much(self, used: list[tuple[float, float, float]]) -> bool:
        times = sorted({time for use in used for time in use[:2]})
        for a, b in itertools.combinations(times, 2):
            within = sum(
                seconds * max(0.0, min(b, end) - max(a, start)) / (end - start)
                for start, end, seconds in used
            )
            if within - (b - a) > self.tau:
                return True
        return False

    def release_broken(self) -> bool:
        release = self.problem.release()
        return any(
            row["start"] < release[row["message"]] - self.tau
            for row in self.rows
            if row["source"] == row["message"][1]
        )

    def deadline_broken(self) -> bool:
        deadline = self.problem.deadline()
        return any(
            row["end"] > deadline[row["message"]] + self.tau
            for row in self.rows
            if row["destination"] == row["message"][2]
        )

    def chunk_broken(self) -> bool:
        parts: dict[Any, float] = {}
        for row in self.rows:
            key = (self.chain(row), row["message"])
            parts[key] = parts.get(key, 0.0) + row["bytes"]
        size = self.problem.messages()
        return any(
            carried < min(self.problem.chunk_bytes, size[message]) - self.epsilon
            for (_, message), carried in parts.items()
        )

    def cut_broken(self) -> bool:
        chains: dict[Any, set[Any]] = {}
        for row in self.rows:
            chains.setdefault((row["message"], row["source"]), set()).add(self.chain(row))
        return not self.problem.preemptive and any(len(found) > 1 for found in chains.values())

    def closed_broken(self) -> bool:
        absent = set(self.problem.absent_ports)
        for row in self.rows:
            ports = {row["source"], row["destination"]}
            if ports & absent:
                return True
            for port in ports:
                times = {row["start"], row["end"]}
                spans = [(b.start_s, b.end_s) for b in self.problem.busy if b.port == port]
                times |= {t for span in spans for t in span if row["start"] < t < row["end"]}
                busy = sum(
                    b - a
                    for a, b in itertools.pairwise(sorted(times))
                    if any(start <= a and b <= end for start, end in spans)
                )
                if busy > self.tau:
                    return True
        return False

    def round_broken(self) -> bool:
        by_round = self.problem.startup_per == "round" and self.problem.startup_s > 0
        counted = self.problem.objective == "rounds"
        if not (by_round or counted):
            return False
        pause = self.problem.startup_s if by_round else 0.0
        for row in self.rows:
            before = [r["end"] for r in self.rows if r["round"] < row["round"]]
            if row["start"] < max(before, default=0.0) + pause - self.tau:
                return True
        if not counted and self.problem.peers == "many":
            return False
        for index in {row["round"] for row in self.rows}:
            hops = {(r["source"], r["destination"]) for r in self.rows if r["round"] == index}
            for one, other in itertools.combinations(hops, 2):
                if self.is_inside(*one) != self.is_inside(*other):
                    continue
                if one[0] == other[0] or one[1] == other[1]:
                    return True
                if self.problem.half_duplex and (one[0] == other[1] or one[1] == other[0]):
                    return True
        return False

    def route_broken(self) -> bool:
        direct = self.problem.direct()
        node = self.problem.node_of_port()
        for row in self.rows:
            source, destination, (_, origin, target) = (
                row["source"], row["destination"], row["message"],
            )  # fmt: skip
            if self.problem.fabric is None:
                fine = (source, destination) == (origin, target)
            elif node[source] == node[destination]:
                fine = node[source] in (node[origin], node[target])
            else:
                fine = node[source] == node[origin] and node[destination] == node[target]
                fine = fine and direct[source, destination]
            if not fine:
                return True
        return False

    def least_broken(self) -> bool:
        pair = self.problem.pair_bytes()
        line = max(*pair.sum(axis=0), *pair.sum(axis=1))
        least = line / self.problem.send_rate()[0]
        return self.problem.objective == "rounds" and self.makespan > least * (1 + 1e-9)


def _without_diagonal(units: Any) -> Units:
    return tuple(
        tuple(0 if i == j else int(count) for j, count in enumerate(row))
        for i, row in enumerate(units)
    )


def _matchings(state: Units, half_duplex: bool) -> Iterator[tuple[tuple[int, int], ...]]:
    """Yield every non-empty set of hops with tokens left that may be under way together."""

    def extend(i: int, chosen: tuple[tuple[int, int], ...]) -> Iterator[Any]:
        if i == len(state):
            if chosen:
                yield chosen
            return
        yield from extend(i + 1, chosen)
        for j, count in enumerate(state[i]):
            clash = any(j == b or (half_duplex and (i in (a, b) or j in (a, b))) for a, b in chosen)
            if count and not clash:
                yield from extend(i + 1, (*chosen, (i, j)))

    return extend(0, ())


def _take(state: Units, hops: tuple[tuple[int, int], ...], length: int) -> Units:
    """Return the tokens left after hops of some slots."""
    return tuple(
        tuple(max(0, count - length) if (i, j) in hops else count for j, count in enumerate(row))
        for i, row in enumerate(state)
    )
