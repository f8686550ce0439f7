"""List scheduling: whenever two ports are free, the most urgent message between them starts.

Dense open-shop schedules of this kind are at most twice as long as the bound, and near it with many
messages. Nothing waits for anything but its ports, so start-ups, releases, busy times, half-duplex
ports and messages that must not be cut are all the same to it. In a fabric a message may take two
hops: the second starts when the first has arrived.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.result import Limit
from moeopt.core.stop import Context
from moeopt.core.wing import Outcome
from moeopt.transfers._kernels_list import list_schedule
from moeopt.transfers.bounds import bound as bound_of
from moeopt.transfers.plan import TransferPlan
from moeopt.transfers.problem import TransferProblem

#: Elementary steps that all restarts of one solve may take, about a tenth of a second.
_STEPS = 4e7
_MOST_RESTARTS = 3000

#: Restarts for each order and choice of routes that few messages have: then chance has seen it.
_RESTARTS_OF_EACH = 20

#: Priorities that are tried before chance: weight of a message's own length, urgency of deadlines.
_RULES = ((0.0, 0.0), (0.3, 0.0), (1.0, 0.0), (0.0, 1.0), (0.3, 1.0))

#: Share of messages between nodes that are drawn a route through another port.
_RELAYED = 0.3

#: Spread of the random factors of the priorities.
_SPREAD = 0.15


@dataclass(frozen=True)
class Hops:
    """The messages of a problem as the list scheduler takes them: hop by hop, sorted by sender.

    Attributes
    ----------
    wave, origin, target
        The message of each hop, shape ``(hops,)``.
    source, destination
        The ports of each hop.
    sender, receiver
        Ports of the two networks and directions, each a resource that one hop holds at a time.
    size_bytes, seconds
        Bytes, and seconds at the slower end's rate, start-ups left out.
    release_s, deadline_s
        As `TransferProblem.release` and `TransferProblem.deadline`; a second hop is released when
        the first has arrived, a first hop has no deadline.
    smallest_s
        Seconds of the smallest part.
    follower
        The second hop of a first, -1 else.
    first
        Of each sender, the number of its first hop; the last entry is the number of hops.
    """

    wave: IntArray
    origin: IntArray
    target: IntArray
    source: IntArray
    destination: IntArray
    sender: IntArray
    receiver: IntArray
    size_bytes: FloatArray
    seconds: FloatArray
    release_s: FloatArray
    deadline_s: FloatArray
    smallest_s: FloatArray
    follower: IntArray
    first: IntArray


@dataclass(frozen=True)
class Listing:
    """What one list schedule came to.

    Attributes
    ----------
    hop, start_s, sent_s
        Of each part: its hop, its start, and its seconds after the start-up.
    makespan_s
        When the last part ends.
    late_s
        The most by which a message misses its deadline.
    """

    hop: IntArray
    start_s: FloatArray
    sent_s: FloatArray
    makespan_s: float
    late_s: float


def refuses_greedy(problem: TransferProblem) -> str | None:
    """Say why the problem cannot be solved by a list schedule, if it cannot."""
    if problem.startup_per == "round" and problem.startup_s > 0:
        return "start-ups are per round, and it knows no rounds"
    if problem.objective == "rounds":
        return "it knows no rounds"
    return None


def run_greedy(problem: TransferProblem, context: Context, warm_start: object) -> Outcome:
    """Return the best of several list schedules: fixed priorities first, then random ones."""
    del warm_start
    bound = bound_of(problem)
    best: Listing | None = None
    best_hops: Hops | None = None
    tried, limit = 0, None
    for hops, rule, noise in _attempts(problem, context.seed):
        if best is not None and context.out_of_time():
            limit = Limit.TIME
            break
        found = list_once(problem, hops, rule, noise)
        tried += 1
        if best is None or (found.late_s, found.makespan_s) < (best.late_s, best.makespan_s):
            best, best_hops = found, hops
            context.report(best.makespan_s if best.late_s <= 0 else None, bound, "list schedule")
        if best.late_s <= 0 and context.close_enough(best.makespan_s, bound):
            break
    statistics: dict[str, float] = {"schedules": tried}
    if best is None or best_hops is None or best.late_s > 0:
        late = 0.0 if best is None else best.late_s
        return Outcome(bound=bound, limit=limit, statistics={**statistics, "late_s": late})
    plan = plan_of_listing(problem, best_hops, best)
    return Outcome(plan=plan, bound=bound, limit=limit, statistics=statistics)


def hops_of(problem: TransferProblem, rng: np.random.Generator | None = None) -> Hops:
    """Return the hops of the problem's messages, sorted by sender.

    Parameters
    ----------
    problem
        With a fabric, messages between nodes may be passed on.
    rng
        Draws each message's route; left out, it is direct where that is allowed.
    """
    sizes = problem.messages()
    message = np.nonzero(sizes)
    via_source, via_target = _relays(problem, message[1], message[2], rng)
    split = (via_source != message[1]) | (via_target != message[2])
    # First hops and hops of direct messages, then second hops.
    origin, target = message[1], message[2]
    relay = np.where(via_source != origin, via_source, via_target)
    number = np.concatenate([np.arange(origin.size), np.flatnonzero(split)])
    last = np.concatenate([~split, np.ones(int(split.sum()), dtype=np.bool_)])
    source = np.where(np.arange(number.size) < origin.size, origin[number], relay[number])
    destination = np.where(last, target[number], relay[number])
    follower = np.full(number.size, -1)
    follower[: origin.size][split] = origin.size + np.arange(int(split.sum()))
    sender, receiver = _resources(problem, source, destination)
    order = np.lexsort((destination, message[0][number], sender))
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    key = tuple(column[number[order]] for column in message)
    rate = problem.pair_rate()[source, destination][order]
    moved = np.where(follower >= 0, place[follower], -1)[order]
    is_first = order < origin.size
    return Hops(
        wave=key[0],
        origin=key[1],
        target=key[2],
        source=source[order],
        destination=destination[order],
        sender=sender[order],
        receiver=receiver[order],
        size_bytes=sizes[key],
        seconds=sizes[key] / rate,
        release_s=np.where(is_first, problem.release()[key], np.inf),
        deadline_s=np.where(last[order], problem.deadline()[key], np.inf),
        smallest_s=np.minimum(problem.chunk_bytes, sizes[key]) / rate,
        follower=moved,
        first=np.searchsorted(sender[order], np.arange(_resource_count(problem) + 1)),
    )


def list_once(
    problem: TransferProblem, hops: Hops, rule: tuple[float, float], noise: FloatArray
) -> Listing:
    """Return the list schedule of one set of priorities.

    Parameters
    ----------
    problem, hops
        The problem, and its messages by `hops_of`.
    rule
        Weight of a message's own length, and of the urgency of its deadline.
    noise
        Factor of each hop's priority, shape ``(hops,)``.
    """
    length_weight, urgency = rule
    due = np.where(np.isfinite(hops.deadline_s), -hops.deadline_s, -1e30)
    busy_first, busy_start, busy_end = _busy(problem)
    released = hops.release_s[np.isfinite(hops.release_s)]
    hop, start, sent = list_schedule(
        hops.first, hops.sender, hops.receiver, hops.seconds, problem.startup_s,
        hops.smallest_s, hops.release_s, np.unique(released), busy_first, busy_start, busy_end,
        hops.follower, due * 1e6 if urgency else np.zeros(due.size), length_weight, noise,
        # A part that has arrived cannot go on before the rest: relayed messages stay whole.
        problem.preemptive and not (hops.follower >= 0).any(),
    )  # fmt: skip
    end = start + problem.startup_s + sent
    unsent = len(np.unique(hop)) < len(hops.origin)
    late = float((end - hops.deadline_s[hop]).max(initial=0.0))
    makespan = float(end.max(initial=0.0))
    # Ends are sums of many terms: what rounding alone makes late is not.
    late = np.inf if unsent else late if late > 1e-12 * makespan else 0.0
    return Listing(hop, start, sent, makespan, late)


def plan_of_listing(problem: TransferProblem, hops: Hops, listing: Listing) -> TransferPlan:
    """Return the plan of a list schedule; a part's round is its turn at its two ports."""
    h = listing.hop
    size = hops.size_bytes[h]
    part = np.divide(listing.sent_s, hops.seconds[h], out=np.ones(h.size), where=size > 0)
    turn = _turns(hops, h, _resource_count(problem))
    order = np.lexsort((hops.source[h], listing.start_s, turn))
    h = h[order]
    relayed = bool((hops.follower >= 0).any())
    return TransferPlan(
        source=hops.source[h],
        destination=hops.destination[h],
        size_bytes=(size * part)[order],
        start_s=listing.start_s[order],
        duration_s=(listing.sent_s + problem.startup_s)[order],
        round_index=turn[order],
        wave=hops.wave[h] if problem.num_waves > 1 else None,
        origin=hops.origin[h] if relayed else None,
        target=hops.target[h] if relayed else None,
    )


def _attempts(
    problem: TransferProblem, seed: int
) -> Iterator[tuple[Hops, tuple[float, float], FloatArray]]:
    """Return hops, priorities and noise to try: fixed rules first, then random ones."""
    hops = hops_of(problem)
    count = len(hops.origin)
    due = bool(np.isfinite(hops.deadline_s).any())
    rules = [rule for rule in _RULES if due or not rule[1]]
    yield from ((hops, rule, np.ones(count)) for rule in rules)
    rng = np.random.default_rng(seed)
    steps = max(1.0, count * np.sqrt(count) * 4)
    few = min(count, 6)
    different = math.factorial(few) * (1 if problem.fabric is None else 3**few)
    for i in range(int(min(_MOST_RESTARTS, _RESTARTS_OF_EACH * different, _STEPS / steps))):
        tried = hops if problem.fabric is None else hops_of(problem, rng)
        noise = 1.0 + _SPREAD * rng.standard_normal(len(tried.origin))
        yield tried, rules[i % len(rules)], noise


def _relays(
    problem: TransferProblem,
    origin: IntArray,
    target: IntArray,
    rng: np.random.Generator | None,
) -> tuple[IntArray, IntArray]:
    """Return the ports by which each message leaves its node and enters the other.

    One of them is its own: it is passed on inside the one node or the other, or not at all.
    """
    if problem.fabric is None:
        return origin, target
    size, present = problem.fabric.ports_per_node, problem.present()
    crossing = ~problem.inside()[origin, target]
    leaves = origin - origin % size + target % size
    enters = target - target % size + origin % size
    direct = problem.direct()[origin, target]
    choice = np.zeros(origin.size, dtype=np.int64)
    if rng is not None:
        choice = np.where(rng.random(origin.size) < _RELAYED, rng.integers(1, 3, origin.size), 0)
    choice = np.where(direct | (choice > 0), choice, 1)
    # The other way round where the port that would pass it on is absent.
    choice = np.where((choice == 1) & ~present[leaves], 2, choice)
    choice = np.where((choice == 2) & ~present[enters], np.where(direct, 0, 1), choice)
    choice = np.where(crossing, choice, 0)
    return np.where(choice == 1, leaves, origin), np.where(choice == 2, enters, target)


def _resource_count(problem: TransferProblem) -> int:
    return 4 * problem.num_ports


def _resources(
    problem: TransferProblem, origin: IntArray, target: IntArray
) -> tuple[IntArray, IntArray]:
    """Return what a message holds: a port's sending and receiving side on one of two networks."""
    ports = problem.num_ports
    network = np.zeros(origin.size, dtype=np.int64)
    if problem.fabric is not None:
        network = 2 * ports * problem.inside()[origin, target]
    receiving = 0 if problem.half_duplex else ports
    return origin + network, target + network + receiving


def _busy(problem: TransferProblem) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return the busy times of every resource: each port's hold all of its sides."""
    times = sorted((b.port, b.start_s, b.end_s) for b in problem.busy)
    resource = [(port + k * problem.num_ports, s, e) for k in range(4) for port, s, e in times]
    counts = np.bincount([r[0] for r in resource] or [0], minlength=_resource_count(problem))
    if not resource:
        counts[:] = 0
    first = np.concatenate([[0], np.cumsum(counts)])
    start = np.array([r[1] for r in resource])
    end = np.array([r[2] for r in resource])
    return first, start, end


def _turns(hops: Hops, parts: IntArray, resources: int) -> IntArray:
    """Return each part's turn: one more than the latest of those before it.

    Before it are the parts at its ports, and the first hop of a second one.
    """
    turns = np.zeros(parts.size, dtype=np.int64)
    last = np.zeros(resources, dtype=np.int64)
    arrived = np.zeros(len(hops.origin), dtype=np.int64)
    for k, h in enumerate(parts.tolist()):
        i, j, follower = hops.sender[h], hops.receiver[h], hops.follower[h]
        turns[k] = max(last[i], last[j], arrived[h])
        last[i] = last[j] = turns[k] + 1
        if follower >= 0:
            arrived[follower] = turns[k] + 1
    return turns
