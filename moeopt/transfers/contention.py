"""What an unscheduled all-to-all costs: a fluid simulator of messages that share ports fairly.

Nobody is told to wait for anybody: every sender works through its own list, and messages that meet
at a port share its rate max-min fairly. These are the baselines that every order is held against.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import msgspec
import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.stop import Context
from moeopt.core.wing import Outcome
from moeopt.transfers.bounds import bound
from moeopt.transfers.plan import TransferPlan
from moeopt.transfers.problem import TransferProblem
from moeopt.transfers.rounds import Pieces

#: How senders go through their messages: all at the same time, or one after another in order of
#: size, of chance (the paper's RCS), or of distance ``(j - i) mod ports`` (as NCCL does).
Order = Literal["all_at_once", "sjf", "random", "shifted"]
ORDERS: tuple[Order, ...] = get_args(Order)

#: Pieces beyond which a plan tells mean rates over longer windows; its makespan stays the same.
MOST_PIECES = 250_000

#: Messages up to which all of them are simulated at once: every end of one changes the rates of
#: the others, so that the time grows with the square of their number.
MOST_AT_ONCE = 20_000

#: Messages up to which `speedups` simulates: well below a second.
CHEAP_MESSAGES = {"all_at_once": 5_000, "sjf": 30_000, "random": 30_000, "shifted": 30_000}


@dataclass(frozen=True)
class Flows:
    """The messages of a problem as flows over ports of capacity 1, direct ways only.

    Attributes
    ----------
    source, destination, wave
        Whose message it is, shape ``(flows,)``.
    size_bytes, startup_bytes, release_s
        Its bytes, the bytes of nothing that its start-up is worth, and its release.
    port, weight
        The port it leaves by and the one it arrives at, and the share of each that one byte/s
        takes; shape ``(flows, 2)``.
    receiver
        Whom it meets other senders at: destination and network as one number.
    num_ports
        Ports of all networks and directions; half-duplex ports have one for both.
    """

    source: IntArray
    destination: IntArray
    wave: IntArray
    size_bytes: FloatArray
    startup_bytes: FloatArray
    release_s: FloatArray
    port: IntArray
    weight: FloatArray
    receiver: IntArray
    num_ports: int

    def take(self, chosen: IntArray) -> Flows:
        """Return the flows `chosen`, in that order."""
        columns = {name: value[chosen] for name, value in vars(self).items() if name != "num_ports"}
        return Flows(**columns, num_ports=self.num_ports)


def flows_of(problem: TransferProblem) -> Flows:
    """Return the messages of `problem` as flows, by wave, source and destination."""
    bytes_of = problem.messages()
    wave, source, destination = np.nonzero(bytes_of)
    ports = problem.num_ports
    network = problem.inside()[source, destination].astype(np.int64)
    fast = 0.0 if problem.fabric is None else problem.fabric.bandwidth_bytes_per_s
    rates = [problem.send_rate()[source], problem.receive_rate()[destination]]
    rate = np.where(network[:, None] == 1, fast, np.stack(rates, axis=1))
    startup_s = problem.startup_s if problem.startup_per == "message" else 0.0
    directions = 1 if problem.half_duplex else 2
    first = network * ports * directions
    return Flows(
        source=source,
        destination=destination,
        wave=wave,
        size_bytes=bytes_of[wave, source, destination],
        startup_bytes=startup_s * rate.min(axis=1, initial=np.inf),
        release_s=problem.release()[wave, source, destination],
        port=np.stack([first + source, first + (directions - 1) * ports + destination], axis=1),
        weight=1.0 / rate,
        receiver=network * ports + destination,
        num_ports=ports * directions * (1 if problem.fabric is None else 2),
    )


def first_start_s(problem: TransferProblem) -> float:
    """Return when the first round may begin: after its start-up, where rounds have one."""
    return problem.startup_s if problem.startup_per == "round" else 0.0


def simulate(problem: TransferProblem, order: Order | IntArray, seed: int = 0) -> Pieces:
    """Return what happens if nobody schedules.

    Messages under way share ports max-min fairly: what a sender cannot use at a crowded receiver
    goes to its other messages, and the other way round. So kind is that to ``"all_at_once"`` that
    without an incast penalty it often comes close to the bound. A receiver with k senders has
    ``1 / (1 + incast_penalty * (k - 1))`` of its rate. Waves of a pair go one after another. A
    message that is not yet released is passed over. Everything is one round: no barrier.

    Parameters
    ----------
    problem
        One that `refuses_unscheduled` does not refuse.
    order
        ``"all_at_once"``: every pair from the start. Otherwise each sender has one message under
        way at a time: ``"sjf"`` the smallest first (ties by destination), ``"random"``,
        ``"shifted"`` destinations by ``(j - i) mod ports``, or any order: the place of each
        destination in its sender's list, shape ``(ports, ports)``.
    seed
        Of the random order.

    Returns
    -------
    Pieces
        A change of rate makes a new piece which continues the former. Where start-ups of messages
        overlap changes of rate, or beyond `MOST_PIECES`, mean rates over longer windows are told:
        a start-up is spread evenly over its piece, so that a piece lasts at least as long as it.
    """
    return _course(problem, order, seed, MOST_PIECES).pieces()


def unscheduled_makespan(problem: TransferProblem, order: Order | IntArray, seed: int = 0) -> float:
    """Return the makespan of `simulate` without its pieces, in seconds."""
    return _course(problem, order, seed, 0).makespan_s


def speedups(problem: TransferProblem, makespan_s: float, seed: int = 0) -> dict[str, float]:
    """Return each baseline's makespan over a plan's; above 1 the plan is faster.

    Parameters
    ----------
    problem
        What the plan is for.
    makespan_s
        Of the plan.
    seed
        Of the random order.

    Returns
    -------
    dict of str to float
        By order: those that take the problem and are cheap at its size; none if there is nothing
        to send.
    """
    # Who does not schedule shares its ports, whatever the plan must keep to.
    problem = msgspec.structs.replace(problem, peers="many")
    if makespan_s <= 0 or refuses_unscheduled(problem) is not None:
        return {}
    messages = problem.num_messages
    cheap: list[Order] = [order for order in ORDERS if messages <= CHEAP_MESSAGES[order]]
    return {order: unscheduled_makespan(problem, order, seed) / makespan_s for order in cheap}


def refuses_unscheduled(problem: TransferProblem) -> str | None:
    """Return why nobody can leave this problem unscheduled, or ``None``."""
    if problem.peers == "one":
        return 'receivers are shared by whoever sends: set peers to "many"'
    if problem.busy or np.isfinite(problem.deadline()).any():
        return "it heeds neither deadlines nor busy times"
    if problem.objective == "rounds":
        return 'it makes no rounds: set objective to "makespan"'
    if (problem.pair_bytes()[~problem.direct()] > 0).any():
        return "it passes nothing on, and rails do not reach every port: set fabric.rails to false"
    pays = problem.startup_s > 0 and problem.startup_per == "message"
    if pays and (problem.release() > 0).any():
        return 'it knows no start-ups of messages beside releases: set startup_per to "round"'
    return None


def refuses_all_at_once(problem: TransferProblem) -> str | None:
    """Return why not everything can be simulated at once, or ``None``."""
    if problem.num_messages > MOST_AT_ONCE:
        return f'it follows {MOST_AT_ONCE} messages at once and no more: choose "shifted"'
    return refuses_unscheduled(problem)


def run_all_at_once(problem: TransferProblem, context: Context, warm_start: object) -> Outcome:
    """Send every message from the start."""
    return _outcome(problem, "all_at_once", context, warm_start)


def run_sjf(problem: TransferProblem, context: Context, warm_start: object) -> Outcome:
    """Let every sender send its smallest message first, one at a time."""
    return _outcome(problem, "sjf", context, warm_start)


def run_random(problem: TransferProblem, context: Context, warm_start: object) -> Outcome:
    """Let every sender send its messages one at a time, in an order of chance."""
    return _outcome(problem, "random", context, warm_start)


def run_shifted(problem: TransferProblem, context: Context, warm_start: object) -> Outcome:
    """Let every sender send to the next port first, then to the one after it."""
    return _outcome(problem, "shifted", context, warm_start)


def _outcome(
    problem: TransferProblem, order: Order, context: Context, warm_start: object
) -> Outcome:
    del warm_start
    course = _course(problem, order, context.seed, MOST_PIECES)
    by_start = np.lexsort((course.source, course.start_s))
    plan = TransferPlan(
        **{name: column[by_start] for name, column in vars(course.pieces()).items()},
        wave=course.wave[by_start] if problem.num_waves > 1 else None,
    )
    return Outcome(plan=plan, bound=bound(problem))


@dataclass(frozen=True)
class _Course:
    """What the simulator tells: `Pieces`, the wave of each, and when all is over."""

    source: IntArray
    destination: IntArray
    wave: IntArray
    start_s: FloatArray
    duration_s: FloatArray
    size_bytes: FloatArray
    makespan_s: float

    def pieces(self) -> Pieces:
        """Return the pieces without their waves, all in one round."""
        return Pieces(
            source=self.source,
            destination=self.destination,
            size_bytes=self.size_bytes,
            start_s=self.start_s,
            duration_s=self.duration_s,
            round_index=np.zeros(len(self.source), dtype=np.int64),
        )


def _course(
    problem: TransferProblem, order: Order | IntArray, seed: int, most_pieces: int
) -> _Course:
    """Return what happens, in about `most_pieces` at most; with none only the makespan counts."""
    flows, queue_start = _queues(problem, order, seed)
    course, needed = _simulated(problem, flows, queue_start, 0.0, most_pieces)
    if needed <= most_pieces or most_pieces == 0:
        return course
    # Every flow has a piece, and one more at the end of each window in which its queue is served.
    queues = len(queue_start) - 1
    windows = max(1, (most_pieces - len(flows.source)) // queues)
    room = len(flows.source) + queues * (windows + len(np.unique(flows.release_s)) + 1)
    grain_s = (course.makespan_s - first_start_s(problem)) / windows
    return _simulated(problem, flows, queue_start, grain_s, room)[0]


def _queues(problem: TransferProblem, order: Order | IntArray, seed: int) -> tuple[Flows, IntArray]:
    """Return the flows queue by queue in order of service, and where each queue begins."""
    flows = flows_of(problem)
    source, destination = flows.source, flows.destination
    queue = source
    if not isinstance(order, str):
        key: IntArray | FloatArray = np.asarray(order)[source, destination]
    elif order == "all_at_once":
        queue = source * problem.num_ports + destination
        key = flows.release_s
    elif order == "sjf":
        key = flows.size_bytes
    elif order == "random":
        key = np.random.default_rng(seed).random(len(source))
    else:
        key = (destination - source) % problem.num_ports
    by_queue = np.lexsort((flows.release_s, destination, key, queue))
    _, first = np.unique(queue[by_queue], return_index=True)
    return flows.take(by_queue), np.append(first, len(source)).astype(np.int64)


def _simulated(
    problem: TransferProblem, flows: Flows, queue_start: IntArray, grain_s: float, room: int
) -> tuple[_Course, int]:
    """Return what the kernel tells in `room` pieces, and how many there are."""
    from moeopt.transfers import _kernels_fluid

    begin_s = first_start_s(problem)
    flow = np.empty(room, dtype=np.int64)
    start_s, duration_s, size_bytes = np.empty(room), np.empty(room), np.empty(room)
    releases = np.unique(flows.release_s)
    makespan_s, needed = _kernels_fluid.simulate(
        flows.size_bytes,
        flows.startup_bytes,
        flows.release_s,
        flows.port,
        flows.weight,
        flows.receiver,
        flows.num_ports,
        queue_start,
        releases[releases > begin_s],
        begin_s,
        problem.incast_penalty,
        grain_s,
        flow,
        start_s,
        duration_s,
        size_bytes,
    )
    told = min(needed, room)
    flow, size_bytes = flow[:told].copy(), size_bytes[:told].copy()
    start_s, duration_s = start_s[:told].copy(), duration_s[:told].copy()
    if problem.num_waves > 1:
        _put_waves_apart(flows, flow, start_s, duration_s, size_bytes)
    course = _Course(
        source=flows.source[flow],
        destination=flows.destination[flow],
        wave=flows.wave[flow],
        start_s=start_s,
        duration_s=duration_s,
        size_bytes=size_bytes,
        makespan_s=float(makespan_s) if len(flows.source) else 0.0,
    )
    return course, int(needed)


def _put_waves_apart(
    flows: Flows,
    flow: IntArray,
    start_s: FloatArray,
    duration_s: FloatArray,
    size_bytes: FloatArray,
) -> None:
    """Put waves of one pair that share a window one after another, at their rate together.

    Side by side over the same time they would be one transmission of several messages. Pieces
    that end in a window come in the order in which their flows began.
    """
    pair = flows.port[flow, 0] * flows.num_ports + flows.port[flow, 1]
    carried = size_bytes.copy()
    began, first = np.unique(flow, return_index=True)
    carried[first] += flows.startup_bytes[began]
    order = np.lexsort((duration_s, start_s, pair))
    same = np.zeros(len(order), dtype=np.bool_)
    same[1:] = np.all(
        [np.diff(column[order]) == 0 for column in (pair, start_s, duration_s)], axis=0
    )
    held, heads = carried[order], np.flatnonzero(~same)
    members = np.diff(heads, append=len(order))
    before = np.zeros(len(order))
    for place in range(1, members.max(initial=0)):
        at = heads[members > place] + place
        before[at] = before[at - 1] + held[at - 1]
    total = np.repeat(np.add.reduceat(held, heads) if heads.size else held, members)
    start_s[order] += duration_s[order] * before / total
    duration_s[order] *= held / total
