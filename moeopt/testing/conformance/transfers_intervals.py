"""Linear programs of tiny transfer problems: how long each set of pairs sends, and when.

Written from the formulation and from no solver of it. Which pairs may send at once is enumerated
where a port has one peer at a time; between two neighbouring times of the problem (releases,
deadlines, busy times) nothing changes, so that only lengths are left to be chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from moeopt.core.arrays import FloatArray
from moeopt.testing.conformance.kit import Optimum
from moeopt.testing.conformance.transfers_plans import (
    CLOSE,
    Message,
    Row,
    fluid_bound,
    messages_of,
    plan_of,
)
from moeopt.transfers.problem import TransferProblem

#: Sets of pairs that may send at once, and those of which rounds are made, beyond which brute
#: force declines.
MOST_SETS, MOST_ROUNDS = 300, 6

Pair = tuple[int, int]


def by_rounds(problem: TransferProblem) -> Optimum | None:
    """Try every collection of sets of pairs as the rounds; ``None`` if there are too many."""
    messages = messages_of(problem)
    pairs = sorted({(m.source, m.destination) for m in messages})
    if problem.is_timed or problem.num_waves > 1 or problem.chunk_bytes > 0:
        return None
    sets = _largest(problem, pairs)
    if sets is None or not problem.preemptive or len(sets) > MOST_ROUNDS:
        return None
    counted = problem.objective == "rounds"
    best: tuple[float, list[tuple[tuple[Pair, ...], float]]] | None = None
    for count in range(1, len(sets) + 1):
        for chosen in combinations(sets, count):
            lengths = _round_lengths(problem, messages, chosen)
            if lengths is None or (counted and sum(lengths) > fluid_bound(problem) * (1 + CLOSE)):
                continue
            value = float(count) if counted else sum(lengths) + count * problem.startup_s
            if best is None or value < best[0] * (1 - CLOSE):
                best = value, list(zip(chosen, lengths, strict=True))
        if best is not None and counted:
            break
    assert best is not None
    return Optimum(best[0], plan_of(problem, _played(problem, messages, best[1])))


def _round_lengths(
    problem: TransferProblem, messages: list[Message], chosen: tuple[tuple[Pair, ...], ...]
) -> list[float] | None:
    """Return the lengths of rounds of these pairs whose sum is least."""
    rate = problem.pair_rate()
    program = _Program()
    lengths = [program.add(cost=1.0) for _ in chosen]
    for m in messages:
        pair = (m.source, m.destination)
        parts = {r: program.add() for r, members in enumerate(chosen) if pair in members}
        if not parts:
            return None
        program.equal(dict.fromkeys(parts.values(), 1.0), m.size / rate[pair])
        for r, part in parts.items():
            program.at_most({part: 1.0, lengths[r]: -1.0}, 0.0)
    found = program.solve()
    return None if found is None else [float(found[r]) for r in lengths]


def by_intervals(problem: TransferProblem) -> Optimum | None:
    """Solve the linear program over the intervals between releases, deadlines and busy times."""
    messages = messages_of(problem)
    pairs = sorted({(m.source, m.destination) for m in messages})
    sets = _largest(problem, pairs) if problem.peers == "one" else []
    if sets is None:
        return None
    times = {0.0, *(m.release for m in messages), *(m.deadline for m in messages)}
    times |= {t for b in problem.busy for t in (b.start_s, b.end_s)}
    marks = sorted(t for t in times if np.isfinite(t))
    for last in range(len(marks)):
        found = _until(problem, messages, sets, marks, last)
        if found is not None:
            return found
    return Optimum(None, None)


def _until(
    problem: TransferProblem,
    messages: list[Message],
    sets: list[tuple[Pair, ...]],
    marks: list[float],
    last: int,
) -> Optimum | None:
    """Return the plan that ends soonest in interval `last`, if one does."""
    program = _Program()
    spans = [b - a for a, b in pairwise(marks[: last + 1])]
    end = program.add(cost=1.0, most=marks[last + 1] - marks[last] if marks[last + 1 :] else np.inf)
    carried: dict[tuple[int, int], int] = {}
    durations: dict[tuple[int, int], int] = {}
    for k in range(last + 1):
        room = ({}, spans[k]) if k < last else ({end: -1.0}, 0.0)
        open_now = [n for n, m in enumerate(messages) if _open(problem, m, marks[k])]
        carried |= {(n, k): program.add() for n in open_now}
        if sets:
            durations |= {(s, k): program.add() for s in range(len(sets))}
            program.at_most({durations[s, k]: 1.0 for s in range(len(sets))} | room[0], room[1])
        for row in _capacities(problem, messages, sets, open_now):
            terms = {carried[n, k]: weight for n, weight in row.used}
            limit = {durations[s, k]: -1.0 for s in row.sets} if sets else room[0]
            program.at_most(terms | limit, 0.0 if sets else room[1])
    for n in range(len(messages)):
        terms = {column: 1.0 for (other, _), column in carried.items() if other == n}
        if not terms:
            return None
        program.equal(terms, 1.0)
    value = program.solve()
    if value is None:
        return None
    lengths = [*spans, float(value[end])]
    rows: list[Row] = []
    for k, length in enumerate(lengths):
        part = {
            n: float(value[carried[n, k]]) * m.size
            for n, m in enumerate(messages)
            if (n, k) in carried
        }
        held = [(sets[s], float(value[durations[s, k]])) for s in range(len(sets))]
        rows += _interval_rows(problem, messages, part, marks[k], length, held, len(rows))
    return Optimum(marks[last] + lengths[-1], plan_of(problem, rows))


@dataclass(frozen=True)
class _Capacity:
    """A limit in every interval: seconds that whole messages use, and the sets they may use."""

    used: list[tuple[int, float]]
    sets: list[int]


def _capacities(
    problem: TransferProblem,
    messages: list[Message],
    sets: list[tuple[Pair, ...]],
    open_now: list[int],
) -> list[_Capacity]:
    rows = []
    if sets:
        rate = problem.pair_rate()
        for pair in sorted({(m.source, m.destination) for m in messages}):
            used = [
                (n, messages[n].size / rate[pair])
                for n in open_now
                if (messages[n].source, messages[n].destination) == pair
            ]
            rows.append(_Capacity(used, [s for s, one in enumerate(sets) if pair in one]))
        return [row for row in rows if row.used]
    send, receive = problem.send_rate(), problem.receive_rate()
    for port in range(problem.num_ports):
        mine = [(n, messages[n]) for n in open_now]
        out = [(n, m.size / send[port]) for n, m in mine if m.source == port]
        into = [(n, m.size / receive[port]) for n, m in mine if m.destination == port]
        shared = [out + into] if problem.half_duplex else [out, into]
        rows += [_Capacity(used, []) for used in shared if used]
    return rows


def _open(problem: TransferProblem, message: Message, start: float) -> bool:
    """Tell whether a message may be on its way in the interval that begins at `start`."""
    ends = (message.source, message.destination)
    busy = any(b.port in ends and b.start_s <= start < b.end_s for b in problem.busy)
    return message.release <= start < message.deadline and not busy


def _interval_rows(
    problem: TransferProblem,
    messages: list[Message],
    part: dict[int, float],
    start: float,
    length: float,
    held: list[tuple[tuple[Pair, ...], float]],
    number: int,
) -> list[Row]:
    """Return what is sent in one interval: at constant rates, or set of pairs by set of pairs."""
    moving = [
        Message(m.wave, m.source, m.destination, part[n], 0.0, np.inf)
        for n, m in enumerate(messages)
        if part.get(n, 0.0) > CLOSE * m.size
    ]
    if problem.peers == "many":
        return [Row(m, m.size, start, length, number) for m in moving]
    return _played(problem, moving, held, start, number)


def _played(
    problem: TransferProblem,
    messages: list[Message],
    rounds: list[tuple[tuple[Pair, ...], float]],
    start: float = 0.0,
    number: int = 0,
) -> list[Row]:
    """Play sets of pairs one after the other; each pair sends its messages in order."""
    rate = problem.pair_rate()
    left = {m: m.size for m in messages}
    rows: list[Row] = []
    begin = problem.startup_s if problem.startup_per == "round" else 0.0
    for members, length in rounds:
        if length <= 0:
            continue
        start += begin
        for pair in members:
            now, end = start, start + length
            for m in messages:
                if (m.source, m.destination) != pair:
                    continue
                size = min(left[m], (end - now) * rate[pair])
                if size > CLOSE * m.size:
                    rows.append(Row(m, size, now, size / rate[pair], number))
                    left[m] -= size
                    now += size / rate[pair]
        start += length
        number += 1
    return rows


def _largest(problem: TransferProblem, pairs: list[Pair]) -> list[tuple[Pair, ...]] | None:
    """Return the sets of pairs that may send at once, one peer each, and have no room for more."""
    found: list[tuple[Pair, ...]] = [()]
    for pair in pairs:
        found += [(*members, pair) for members in found if _agrees(problem, members, pair)]
        if len(found) > MOST_SETS:
            return None
    known = [set(members) for members in found]
    return [one for one, own in zip(found, known, strict=True) if not any(own < o for o in known)]


def _agrees(problem: TransferProblem, members: tuple[Pair, ...], pair: Pair) -> bool:
    if problem.half_duplex:
        return not {end for member in members for end in member} & set(pair)
    return all(s != pair[0] and d != pair[1] for s, d in members)


class _Program:
    """A linear program, row by row."""

    def __init__(self) -> None:
        self._cost: list[float] = []
        self._most: list[float] = []
        self._rows: dict[str, list[tuple[dict[int, float], float]]] = {"ub": [], "eq": []}

    def add(self, cost: float = 0.0, most: float = np.inf) -> int:
        """Add a column and return its number."""
        self._cost.append(cost)
        self._most.append(most)
        return len(self._cost) - 1

    def at_most(self, terms: dict[int, float], right: float) -> None:
        """Add a row ``terms <= right``."""
        self._rows["ub"].append((terms, right))

    def equal(self, terms: dict[int, float], right: float) -> None:
        """Add a row ``terms == right``."""
        self._rows["eq"].append((terms, right))

    def solve(self) -> FloatArray | None:
        """Return the best point, or ``None`` if there is none."""
        from scipy.optimize import linprog

        dense = {}
        for kind, rows in self._rows.items():
            table = np.zeros((len(rows), len(self._cost)))
            for n, (terms, _) in enumerate(rows):
                table[n, list(terms)] = list(terms.values())
            right = np.array([value for _, value in rows])
            # Rows in their own size: the solver's tolerances are absolute.
            size = np.maximum(np.abs(table).max(axis=1, initial=0.0), 1e-300)
            dense[f"A_{kind}"], dense[f"b_{kind}"] = table / size[:, None], right / size
        bounds = [(0.0, None if most == np.inf else most) for most in self._most]
        answer = linprog(self._cost, **dense, bounds=bounds, method="highs")
        return np.asarray(answer.x) if answer.status == 0 else None
