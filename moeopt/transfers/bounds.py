"""What no order can beat: lower bounds of the makespan and of the rounds, each with its argument.

All hold for every plan that keeps the constraints, preemptive or not: a rule more never shortens.
"""

from __future__ import annotations

import numpy as np

from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.transfers.checks import has_barriers, has_single_peer_rounds
from moeopt.transfers.lines import Lines, families, is_flat
from moeopt.transfers.problem import TransferProblem
from moeopt.transfers.replay import TOLERANCE, busy_before, busy_spans, byte_tolerance

#: Most ports for which every triangle is looked at.
MOST_TRIANGLE_PORTS = 64

#: Most lines that are compared with each other for the number of rounds.
MOST_COMPARED_LINES = 32


def bound(problem: TransferProblem) -> float:
    """Return the best of the cheap lower bounds of the problem's objective."""
    if problem.objective == "rounds":
        return float(rounds_bound(problem))
    return makespan_bound(problem)


def makespan_bound(problem: TransferProblem) -> float:
    """Return the best of the cheap lower bounds of the makespan, in seconds."""
    if problem.num_messages == 0:
        return 0.0
    return max(
        tail_bound(problem),
        message_bound(problem),
        odd_set_bound(problem),
        round_startup_bound(problem),
    )


def tail_bound(problem: TransferProblem) -> float:
    """Return the bound of work that comes late.

    What a line must pass of messages released at r or later, it passes after r and outside the
    busy times of its port. The largest over all lines and releases; with r = 0 the line sums. In
    rounds with start-ups nothing starts before the first start-up.
    """
    earliest = _first_start(problem)
    best = 0.0
    for lines, around in _families(problem):
        if lines.line.size == 0:
            continue
        line, release, work = tails(problem, lines)
        after = np.maximum(release, earliest)
        finish = after + work - lines.slack_s
        if around:
            finish = _around_busy(problem, line, after, finish - after)
        best = max(best, float(finish.max()))
    return best


def _families(problem: TransferProblem) -> list[tuple[Lines, bool]]:
    """Return the lines, and whether their work must go around the busy times of their ports.

    The pauses between rounds are no work of a port: it may be busy with something else meanwhile.
    So lines with pauses are looked at without busy times, and lines without pauses with them.
    """
    with_pauses = [(lines, lines.of_ports) for lines in families(problem)]
    if not (problem.busy and has_barriers(problem)):
        return with_pauses
    plain = [(lines, lines.of_ports) for lines in families(problem, startups=False)]
    return [*((lines, False) for lines, _ in with_pauses), *plain]


def tails(problem: TransferProblem, lines: Lines) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return lines, releases and the work of each line that is released then or later.

    Without windows only the line sums; else one entry for each message at each line.
    """
    if not problem.windows:
        total = np.bincount(lines.line, weights=lines.work_s).astype(np.float64)
        line = np.flatnonzero(total)
        return line, np.zeros(line.size), total[line]
    release = problem.release().ravel()[lines.message]
    order = np.lexsort((-release, lines.line))
    line, work = lines.line[order], np.cumsum(lines.work_s[order])
    first = np.flatnonzero(np.append(True, line[1:] != line[:-1]))
    before = np.append(0.0, work[first[1:] - 1])
    owner = np.cumsum(np.append(True, line[1:] != line[:-1])) - 1
    return line, release[order], work - before[owner]


def message_bound(problem: TransferProblem) -> float:
    """Return the bound of single messages.

    A message takes its start-up and its bytes over the rate of its pair, after its release. Where
    it may be relayed, its bytes leave its origin on two networks at once, enter its target so, and
    cross between nodes on all ports of a node; ports that rails keep apart cost a second
    start-up, as a relay sends on only what has arrived. Without preemption a message also needs a
    gap of that length between the busy times of each of its ports.
    """
    return float(least_finish(problem)[problem.messages() > 0].max(initial=0.0))


def least_finish(problem: TransferProblem) -> FloatArray:
    """Return when each message, were it alone, is through, ``(waves, ports, ports)`` seconds."""
    earliest = np.maximum(problem.release(), _first_start(problem))
    need = _message_seconds(problem)
    if not problem.preemptive and is_flat(problem):
        return _in_one_gap(problem, earliest, need)
    return np.asarray(earliest + need)


def odd_set_bound(problem: TransferProblem) -> float:
    """Return the bound of odd sets of half-duplex ports that serve one peer at a time.

    Transmissions under way at one time are a matching, and a matching has at most (k - 1) / 2
    edges within k ports, k odd (Edmonds): so the seconds of all messages within them, over that,
    are a bound. Every triangle of up to 64 ports, and the set of all ports that have messages,
    or of all but the one with the least work if they are even in number.
    """
    begins = problem.startup_s if problem.startup_per == "message" else 0.0
    return _first_start(problem) + _odd_set_seconds(problem, begins)


def round_startup_bound(problem: TransferProblem) -> float:
    """Return the bound of rounds that begin with start-ups.

    Rounds do not overlap, and before each there is a start-up: the makespan is at least the fewest
    rounds times the start-up, plus all rounds' lengths, which are at least any line's sum, and any
    odd set's.
    """
    if problem.startup_per != "round":
        return 0.0
    sums = [
        float(np.bincount(lines.line, weights=lines.work_s).max())
        for lines in families(problem, startups=False)
        if lines.line.size
    ]
    length = max([_odd_set_seconds(problem, 0.0), *sums])
    return least_rounds(problem) * problem.startup_s + length


def rounds_bound(problem: TransferProblem) -> int:
    """Return the best of the lower bounds of the number of rounds."""
    if problem.objective != "rounds":
        return least_rounds(problem)
    return max(least_rounds(problem), tight_line_rounds(problem))


def least_rounds(problem: TransferProblem) -> int:
    """Return a number of rounds that every plan has: a port meets one peer each way in a round.

    So there are at least as many as a port has partners in one direction; with half duplex, in
    both, and at least all pairs over half the ports. Where bytes may be relayed, a node's ports
    reach in a round at most as many other nodes as they are. Where rounds are not of single
    peers, one.
    """
    pair = problem.pair_bytes() > byte_tolerance(problem)
    if not pair.any():
        return 0
    if not has_single_peer_rounds(problem):
        return 1
    if not is_flat(problem):
        return _node_rounds(problem, pair)
    out, into = pair.sum(axis=1), pair.sum(axis=0)
    if not problem.half_duplex:
        return int(max(out.max(), into.max()))
    at_once = int(np.count_nonzero(out + into)) // 2
    return max(int((out + into).max()), -(-int(pair.sum()) // at_once))


def tight_line_rounds(problem: TransferProblem) -> int:
    """Return a number of rounds that every plan of least makespan has.

    A port whose line sum is the makespan is never idle, so each round is all given to one of its
    messages. For two such ports with p and q messages the rounds are edges between the messages
    of one and of the other, and in each component of that graph both sides have the same sum. A
    component of c messages has at least c - 1 edges, so there are at least p + q minus the
    components. One of two messages needs two that are equal, any other has three: at most
    e + (p + q - 2 e) / 3 components if e messages can be paired with equal ones.
    """
    pair = problem.pair_bytes()
    lines = np.concatenate([pair, pair.T])
    sums = lines.sum(axis=1)
    tight = np.flatnonzero(sums >= sums.max() - byte_tolerance(problem))
    # A plan may round every message: what might be equal counts as equal, what might be 0 as 0.
    rounding = 4 * len(sums) * byte_tolerance(problem)
    counts = (lines[tight] > rounding).sum(axis=1)
    tight = tight[np.argsort(-counts, kind="stable")][:MOST_COMPARED_LINES]
    parts = [np.sort(line[line > rounding]) for line in lines[tight]]
    best = 0
    for i, one in enumerate(parts):
        for other in parts[:i]:
            equal = _paired(one, other, rounding)
            rest = len(one) + len(other) - 2 * equal
            best = max(best, equal + rest - rest // 3)
    return best


def overloads(problem: TransferProblem) -> list[tuple[str, float, float, float]]:
    """Return where messages with deadlines ask more of a line than there is time for.

    What is released at a or later and due by b must pass a line within [a, b] outside its busy
    times. Of each family the worst line: its name, a, b and the seconds too many.
    """
    found = []
    deadline, release = problem.deadline().ravel(), problem.release().ravel()
    earliest = _first_start(problem)
    spans = busy_spans(problem)
    for lines, around in _families(problem):
        due = np.flatnonzero(np.isfinite(deadline[lines.message]))
        due = due[np.argsort(lines.line[due], kind="stable")]
        worst: tuple[float, int, float, float] | None = None
        for group in np.split(due, np.flatnonzero(np.diff(lines.line[due])) + 1):
            if group.size == 0:
                continue
            port = int(lines.line[group[0]])
            message = lines.message[group]
            a, from_a = np.unique(np.maximum(release[message], earliest), return_inverse=True)
            b, to_b = np.unique(deadline[message], return_inverse=True)
            work = np.zeros((a.size, b.size))
            np.add.at(work, (from_a, to_b), lines.work_s[group])
            work = np.cumsum(np.cumsum(work[::-1], axis=0)[::-1], axis=1) - lines.slack_s
            free = b[None, :] - a[:, None]
            if around and port in spans:
                free = free - busy_before(spans[port], b) + busy_before(spans[port], a)[:, None]
            over = work - np.maximum(free, 0.0)
            at = np.unravel_index(int(np.argmax(over)), over.shape)
            if worst is None or over[at] > worst[0]:
                worst = (float(over[at]), port, float(a[at[0]]), float(b[at[1]]))
        if worst is not None and worst[0] > TOLERANCE * makespan_bound(problem):
            found.append((lines.name.format(worst[1]), worst[2], worst[3], worst[0]))
    return found


def _first_start(problem: TransferProblem) -> float:
    """Return the time before which nothing starts: a round's start-up, if it has one."""
    return problem.startup_s if problem.startup_per == "round" else 0.0


def _message_seconds(problem: TransferProblem) -> FloatArray:
    """Return the least seconds each message takes from its start, ``(waves, ports, ports)``."""
    size = problem.messages()
    alpha = problem.startup_s if problem.startup_per == "message" else 0.0
    if is_flat(problem):
        return np.asarray(alpha + size / problem.pair_rate())
    assert problem.fabric is not None
    fast, inside = problem.fabric.bandwidth_bytes_per_s, problem.inside()
    present = problem.present()
    node = problem.node_of_port()
    send, receive = problem.send_rate() * present, problem.receive_rate() * present
    together = [np.bincount(node, weights=rate)[node] for rate in (send, receive)]
    rate = np.minimum(np.minimum.outer(send + fast, receive + fast), np.minimum.outer(*together))
    # A node all of whose ports are absent passes nothing: its bytes are impossible anyway.
    rate = np.where(inside, fast, np.where(rate > 0, rate, np.inf))
    hops = np.where(problem.direct(), 1, 2)
    return np.asarray(hops * alpha + size / rate)


def _around_busy(
    problem: TransferProblem, line: IntArray, after: FloatArray, work: FloatArray
) -> FloatArray:
    """Return when ports at the soonest have worked so long after a time, ``(entries,)``."""
    finish = after + work
    for port, spans in busy_spans(problem).items():
        here = np.flatnonzero(line == port)
        length = spans[:, 1] - spans[:, 0]
        total = np.append(0.0, np.cumsum(length))
        # In free time, which stands still while the port is busy.
        done = after[here] - busy_before(spans, after[here]) + work[here]
        opens = spans[:, 0] - total[:-1]
        passed = np.searchsorted(opens, done * (1 - TOLERANCE))
        finish[here] = done + total[passed]
    return finish


def _in_one_gap(problem: TransferProblem, earliest: FloatArray, need: FloatArray) -> FloatArray:
    """Return when each message is through at the soonest, if no busy time may cut it."""
    start = earliest.copy()
    for port, spans in busy_spans(problem).items():
        for messages in (np.s_[:, port, :], np.s_[:, :, port]):
            soonest, seconds = start[messages], need[messages]
            for opens, closes in spans.tolist():
                hit = (soonest < closes) & ((soonest + seconds) * (1 - TOLERANCE) > opens)
                soonest[hit] = closes
    return np.asarray(start + need)


def _odd_set_seconds(problem: TransferProblem, startup_s: float) -> float:
    """Return the most seconds of any odd set; 0 where several may share a port."""
    if not (problem.half_duplex and problem.peers == "one" and is_flat(problem)):
        return 0.0
    pair = problem.pair_bytes()
    seconds = pair / problem.pair_rate() + startup_s * (pair > 0)
    return _most_in_odd_sets(seconds + seconds.T)


def _most_in_odd_sets(both: FloatArray) -> float:
    """Return the largest of the odd sets' sums over their matchings' sizes.

    Parameters
    ----------
    both
        Seconds of the messages between two ports, both directions, ``(ports, ports)``: symmetric.
    """
    used = np.flatnonzero(both.any(axis=1))
    both = both[np.ix_(used, used)]
    best = 0.0
    if 3 <= used.size <= MOST_TRIANGLE_PORTS:
        best = max(_most_in_triangles(both, i) for i in range(used.size - 2))
    if used.size % 2 == 0:
        kept = np.delete(np.arange(used.size), int(np.argmin(both.sum(axis=1))))
        both = both[np.ix_(kept, kept)]
    if len(both) >= 3:
        best = max(best, float(both.sum()) / (len(both) - 1))
    return best


def _most_in_triangles(both: FloatArray, first: int) -> float:
    """Return the largest sum of three ports of which the first is `first`, the others later."""
    spokes = both[first, first + 1 :]
    sums = spokes[:, None] + spokes[None, :] + both[first + 1 :, first + 1 :]
    # Two corners at one port are no triangle.
    np.fill_diagonal(sums, 0.0)
    return float(sums.max())


def _node_rounds(problem: TransferProblem, pair: BoolArray) -> int:
    """Return the most rounds that a node's ports need to reach, or be reached by, other nodes."""
    node = problem.node_of_port()
    nodes = int(node[-1]) + 1
    reached = np.zeros((nodes, nodes), dtype=np.bool_)
    np.logical_or.at(reached, (node[:, None], node[None, :]), pair)
    np.fill_diagonal(reached, False)
    ports = np.maximum(np.bincount(node, weights=problem.present(), minlength=nodes), 1)
    rounds = np.ceil(np.maximum(reached.sum(axis=0), reached.sum(axis=1)) / ports)
    return max(1, int(rounds.max()))


def _paired(one: FloatArray, other: FloatArray, tolerance: float) -> int:
    """Return how many entries of two sorted arrays can be paired with equal ones."""
    i = j = count = 0
    while i < len(one) and j < len(other):
        if abs(one[i] - other[j]) <= tolerance:
            i, j, count = i + 1, j + 1, count + 1
        elif one[i] < other[j]:
            i += 1
        else:
            j += 1
    return count
