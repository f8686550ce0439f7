"""The constraints C1 to C12 of ``formulations/transfers.md``, each checked on a plan's replay.

No solver is imported here and none is trusted. Every function names the worst case of each rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.wing import Violation
from moeopt.transfers.problem import TransferProblem
from moeopt.transfers.replay import (
    TOLERANCE,
    Replay,
    busy_before,
    busy_spans,
    changes,
    least_stocks,
    uses,
    worst_overload,
)

if TYPE_CHECKING:
    from moeopt.transfers.plan import TransferPlan


def has_barriers(problem: TransferProblem) -> bool:
    """Tell whether a round may start only when all rows of the rounds before have ended.

    Rounds that cost nothing and are not counted are mere numbers.
    """
    costly = problem.startup_per == "round" and problem.startup_s > 0
    return costly or problem.objective == "rounds"


def has_single_peer_rounds(problem: TransferProblem) -> bool:
    """Tell whether a port has at most one peer each way in a round."""
    by_round = has_barriers(problem) and problem.peers == "one"
    return by_round or problem.objective == "rounds"


def byte_violations(problem: TransferProblem, seen: Replay) -> list[Violation]:
    """C1: count what reaches targets, and look for ports that send what they do not have."""
    bytes_of = problem.messages().ravel()
    into = seen.row_destination == seen.message % problem.num_ports
    out_of = seen.row_source == seen.message % problem.num_ports
    signed = seen.size_bytes * (into.astype(np.float64) - out_of)
    missing = bytes_of - np.bincount(seen.message, weights=signed, minlength=bytes_of.size)
    found = []
    at = int(np.argmax(missing))
    if missing[at] > seen.byte_tolerance:
        what = (
            f"{_name(problem, at)} has {bytes_of[at]:.6g} bytes, of which"
            f" {bytes_of[at] - missing[at]:.6g} reach its target; send the rest"
        )
        found.append(violation_at("C1", "size_bytes", None, what, float(missing[at])))
    message, port, least = least_stocks(problem, seen)
    if least.size and -least.min() > seen.byte_tolerance:
        at = int(np.argmin(least))
        rows = (seen.message == message[at]) & (seen.row_source == port[at])
        what = (
            f"port {port[at]} sends {-least[at]:.6g} bytes more of {_name(problem, message[at])}"
            " than it has by then; send only what is there"
        )
        row = int(seen.row[np.flatnonzero(rows)[0]])
        found.append(violation_at("C1", "size_bytes", row, what, float(-least[at])))
    return found


def rate_violations(problem: TransferProblem, seen: Replay) -> list[Violation]:
    """C2 to C4: replay what every port is asked for against the time that there is."""
    use = uses(problem, seen)
    network = use.port * 2 + use.inside
    each_way = network * 2 + use.receiving
    alone = np.ones_like(use.share)
    checks = [("C2", each_way, use.share, "its rate allows in one direction")]
    if problem.peers == "one":
        checks.append(("C3", each_way, alone, "one transmission at a time each way allows"))
    if problem.half_duplex and problem.peers == "one":
        checks.append(("C4", network, alone, "one transmission at a time allows"))
    elif problem.half_duplex:
        checks.append(("C4", network, use.share, "its rate, shared by both directions, allows"))
    found = []
    for label, key, share, allowed in checks:
        worst = worst_overload(key, use.start_s, use.end_s, share)
        if worst is not None and worst.seconds > seen.time_tolerance_s:
            row = int(seen.row[seen.first_row[worst.use % seen.source.size]])
            what = (
                f"port {use.port[worst.use]} is used for {worst.seconds:.6g} s more than {allowed}"
                f" until {use.end_s[worst.use]:.6g} s; send later or slower"
            )
            found.append(violation_at(label, "start_s", row, what, worst.seconds))
    return found


def window_violations(problem: TransferProblem, seen: Replay) -> list[Violation]:
    """C5 and C6: look at the first hops of messages, and at the last ones."""
    if not problem.windows:
        return []
    ports = problem.num_ports
    leaves = seen.row_source == seen.message // ports % ports
    arrives = seen.row_destination == seen.message % ports
    early = np.where(leaves, problem.release().ravel()[seen.message] - seen.row_start_s, 0.0)
    late = np.where(arrives, seen.row_end_s - problem.deadline().ravel()[seen.message], 0.0)
    leave = "{} leaves its source {:.6g} s before its release; send it later"
    arrive = "{} arrives {:.6g} s after its deadline; send it earlier"
    return [
        *_worst_row(problem, seen, "C5", "start_s", early, seen.time_tolerance_s, leave),
        *_worst_row(problem, seen, "C6", "duration_s", late, seen.time_tolerance_s, arrive),
    ]


def part_violations(problem: TransferProblem, seen: Replay) -> list[Violation]:
    """C7 and C8: join rows of a message that continue each other, and look at these parts."""
    if problem.chunk_bytes == 0 and problem.preemptive:
        return []
    chain = seen.chain[seen.transmission]
    order = np.lexsort((seen.message, chain))
    new = changes(chain[order], seen.message[order])
    part = np.empty(order.size, dtype=np.int64)
    part[order] = np.cumsum(new) - 1
    carried = np.bincount(part, weights=seen.size_bytes)[part]
    least = np.minimum(problem.chunk_bytes, problem.messages().ravel()[seen.message])
    small = "a transmission carries {1:.6g} bytes less of {0} than a chunk; join parts"
    found = _worst_row(
        problem, seen, "C7", "size_bytes", least - carried, seen.byte_tolerance, small
    )
    if problem.preemptive:
        return found
    first = order[new]
    hop = seen.message[first] * problem.num_ports + seen.row_source[first]
    _, which, parts = np.unique(hop, return_inverse=True, return_counts=True)
    extra = np.zeros(order.size)
    extra[first] = parts[which] - 1
    cut = "{} leaves a port as {:.0f} transmissions more than one; send it in one piece"
    return found + _worst_row(problem, seen, "C8", "start_s", extra, 0.0, cut)


def closed_violations(problem: TransferProblem, seen: Replay) -> list[Violation]:
    """C9: look for absent ports, and for time in which a port is busy."""
    present = problem.present()
    touches = ~(present[seen.row_source] & present[seen.row_destination])
    absent = "{} uses an absent port; send it without"
    found = _worst_row(problem, seen, "C9", "source", touches.astype(np.float64), 0.0, absent)
    taken = np.zeros(seen.source.size)
    for port, spans in busy_spans(problem).items():
        mine = np.flatnonzero((seen.source == port) | (seen.destination == port))
        start, end = seen.start_s[mine], seen.end_s[mine]
        taken[mine] = np.maximum(taken[mine], busy_before(spans, end) - busy_before(spans, start))
    what = "{} passes a port that is busy for {:.6g} s of that time; send around it"
    return found + _worst_row(
        problem, seen, "C9", "start_s", taken[seen.transmission], seen.time_tolerance_s, what
    )


def round_violations(problem: TransferProblem, plan: TransferPlan, seen: Replay) -> list[Violation]:
    """C10: look at the starts of rounds, and at the peers of each port in them."""
    if not has_barriers(problem) or seen.row.size == 0:
        return []
    pause = problem.startup_s if problem.startup_per == "round" else 0.0
    rounds, which = np.unique(plan.round_index[seen.row], return_inverse=True)
    ended = np.zeros(len(rounds))
    np.maximum.at(ended, which, seen.row_end_s)
    open_s = np.append(0.0, np.maximum.accumulate(ended)[:-1]) + pause
    early = open_s[which] - seen.row_start_s
    what = "{} starts {:.6g} s before its round may; send it later"
    found = _worst_row(problem, seen, "C10", "start_s", early, seen.time_tolerance_s, what)
    if not has_single_peer_rounds(problem):
        return found
    extra = _peers_in_round(problem, seen, which).astype(np.float64) - 1.0
    what = "a port that passes {} has {:.0f} peers more than one in its round; use more rounds"
    return found + _worst_row(problem, seen, "C10", "round_index", extra, 0.0, what)


def _peers_in_round(problem: TransferProblem, seen: Replay, which: IntArray) -> IntArray:
    """Return of each row the most peers that one of its ports has in its round, one way."""
    ports = problem.num_ports
    source, destination = seen.row_source, seen.row_destination
    hop = (which * ports + source) * ports + destination
    _, first, back = np.unique(hop, return_index=True, return_inverse=True)
    node = problem.node_of_port()
    inside = (node[source] == node[destination])[first]
    # Both ends' ports in their rounds; without half duplex, sending and receiving apart.
    ends = np.stack([(which * ports + port)[first] * 2 + inside for port in (source, destination)])
    if not problem.half_duplex:
        ends = ends * 2 + [[0], [1]]
    _, end, counts = np.unique(ends.ravel(), return_inverse=True, return_counts=True)
    most: IntArray = counts[end].reshape(2, -1).max(axis=0)[back]
    return most


def route_violations(problem: TransferProblem, seen: Replay) -> list[Violation]:
    """C11: look at every hop: without a fabric from origin to target, with one its nodes."""
    ports = problem.num_ports
    source, destination = seen.row_source, seen.row_destination
    origin, target = seen.message // ports % ports, seen.message % ports
    if problem.fabric is None:
        astray = (source != origin) | (destination != target)
        what = "{} takes a way round; send it straight from its source to its destination"
    else:
        node = problem.node_of_port()
        inside = node[source] == node[destination]
        at_an_end = (node[source] == node[origin]) | (node[source] == node[target])
        across = (node[source] == node[origin]) & (node[destination] == node[target])
        astray = ~np.where(inside, at_an_end, across & problem.direct()[source, destination])
        what = (
            "{} leaves its two nodes or crosses between rails; use ports of these nodes that meet"
        )
    return _worst_row(problem, seen, "C11", "source", astray.astype(np.float64), 0.0, what)


def makespan_violations(problem: TransferProblem, plan: TransferPlan) -> list[Violation]:
    """C12: compare with the largest line sum, which can be reached."""
    if problem.objective != "rounds":
        return []
    pair = problem.pair_bytes()
    line = float(max(pair.sum(axis=0).max(), pair.sum(axis=1).max()))
    least = line / float(problem.send_rate()[0])
    late = plan.makespan_s - least * (1 + TOLERANCE)
    if late <= 0:
        return []
    what = f"the plan takes {plan.makespan_s:.6g} s, the least is {least:.6g} s; leave no gaps"
    return [violation_at("C12", "start_s", None, what, plan.makespan_s - least)]


def _worst_row(
    problem: TransferProblem,
    seen: Replay,
    label: str,
    column: str,
    excess: FloatArray,
    tolerance: float,
    what: str,
) -> list[Violation]:
    """Return one violation for the row with the largest excess, if that is above the tolerance."""
    if excess.size == 0 or excess.max() <= tolerance:
        return []
    at = int(np.argmax(excess))
    message = what.format(_name(problem, int(seen.message[at])), float(excess[at]))
    return [violation_at(label, column, int(seen.row[at]), message, float(excess[at]))]


def _name(problem: TransferProblem, message: int) -> str:
    """Return a message's name, from its index in the flattened traffic."""
    wave, origin, target = np.unravel_index(message, problem.traffic_bytes.shape)
    of_wave = f" of wave {wave}" if problem.num_waves > 1 else ""
    return f"message {origin} -> {target}{of_wave}"


def violation_at(
    constraint: str, column: str, row: int | None, message: str, amount: float
) -> Violation:
    """Return a violation that names a column of the plan, and one row of it if there is one."""
    path = f"$.{column}" if row is None else f"$.{column}[{row}]"
    return Violation(constraint=constraint, path=path, message=message, amount=amount)
