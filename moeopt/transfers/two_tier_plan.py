"""A pipeline of slots between nodes, with what must happen inside the nodes around each.

Slot by slot, every rail of a node sends the same number of bytes to the same rail of one other
node. Before a slot its bytes are balanced over the rails, after it they are passed on to their
targets; both on the node's own network, beside other slots. So there are steps: in step `p` slot
``p - 1`` crosses, the bytes of slot `p` are balanced and those of slot ``p - 2`` passed on, and
what time is left on the nodes' networks goes to messages that stay inside.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.transfers._kernels_two_tier import cut, spread
from moeopt.transfers.birkhoff import rounds_of
from moeopt.transfers.plan import TransferPlan
from moeopt.transfers.problem import TransferProblem

#: Shares of a byte count that are rounding.
_NOTHING = 1e-12


@dataclass(frozen=True)
class Nodes:
    """The nodes of a problem, all of one size.

    Attributes
    ----------
    count, size
        Number of nodes, and of ports in each.
    fast
        Bytes/s of a port inside its node.
    slow
        Bytes/s from a port of one node to one of another, shape ``(nodes, nodes)``.
    single_peer
        Whether a port has one peer at a time on its node's network too.
    """

    count: int
    size: int
    fast: float
    slow: FloatArray
    single_peer: bool


@dataclass(frozen=True)
class Messages:
    """Some messages of a problem: wave, origin, target and bytes, each of shape ``(messages,)``."""

    wave: IntArray
    origin: IntArray
    target: IntArray
    size: FloatArray


@dataclass(frozen=True)
class Hops:
    """Bytes of messages that go from port to port: which message, and in which step.

    Attributes
    ----------
    message, step, source, destination, size
        Shape ``(hops,)``.
    """

    message: IntArray
    step: IntArray
    source: IntArray
    destination: IntArray
    size: FloatArray

    def taken(self, chosen: IntArray, size: FloatArray | None = None) -> Hops:
        """Return the hops of these numbers, in this order, perhaps with other sizes."""
        return Hops(
            self.message[chosen],
            self.step[chosen],
            self.source[chosen],
            self.destination[chosen],
            self.size[chosen] if size is None else size,
        )


@dataclass(frozen=True)
class Pipeline:
    """What crosses between nodes slot by slot, and what it takes inside them.

    Attributes
    ----------
    crossing
        The messages between nodes.
    inner
        The messages inside nodes.
    length, sent
        Seconds of each slot, ``(slots,)``, and for how long of it each node sends,
        ``(slots, nodes)``.
    across
        Hops between nodes; their step is the slot plus one.
    around
        Hops inside nodes that balance and pass on.
    filled
        Bytes of messages inside nodes that each step sends, ``(steps, nodes, size, size)``.
    step_s
        How long each step lasts, ``(slots + 2,)``.
    """

    crossing: Messages
    inner: Messages
    length: FloatArray
    sent: FloatArray
    across: Hops
    around: Hops
    filled: FloatArray
    step_s: FloatArray

    @property
    def makespan_s(self) -> float:
        """How long all steps take."""
        return float(self.step_s.sum())


def nodes_of(problem: TransferProblem) -> Nodes:
    """Return the nodes of a problem with a fabric."""
    assert problem.fabric is not None
    size = problem.fabric.ports_per_node
    return Nodes(
        count=problem.num_ports // size,
        size=size,
        fast=problem.fabric.bandwidth_bytes_per_s,
        slow=np.minimum.outer(problem.send_rate()[::size], problem.receive_rate()[::size]),
        single_peer=problem.peers == "one",
    )


def server_bytes(problem: TransferProblem, nodes: Nodes) -> FloatArray:
    """Return the bytes from node to node, ``(nodes, nodes)``, diagonal 0."""
    shape = (nodes.count, nodes.size, nodes.count, nodes.size)
    between: FloatArray = problem.pair_bytes().reshape(shape).sum(axis=(1, 3))
    np.fill_diagonal(between, 0.0)
    return between


def pipeline(problem: TransferProblem, pieces: int) -> Pipeline:
    """Return the pipeline whose slots last at most a share of all of them.

    Parameters
    ----------
    problem
        One that `moeopt.transfers.two_tier.refuses_two_tier` takes.
    pieces
        No slot lasts longer than all together divided by this.
    """
    nodes = nodes_of(problem)
    crossing, inner = _messages(problem)
    length, peer, sent = _slots(problem, nodes, pieces)
    across = _across(nodes, crossing, peer, sent)
    around = _around(crossing, across)
    filled, step_s = _filled(nodes, inner, around, length)
    return Pipeline(crossing, inner, length, sent, across, around, filled, step_s)


def plan_of_pipeline(problem: TransferProblem, line: Pipeline) -> TransferPlan:
    """Return the plan of a pipeline, its steps as rounds."""
    nodes = nodes_of(problem)
    begin = np.concatenate([[0.0], np.cumsum(line.step_s)[:-1]])
    across, inside = line.across, _inside(nodes, line)
    inside, start, duration = _timed(nodes, inside, begin)
    messages = Messages(
        *(
            np.concatenate([getattr(part, field.name) for part in (line.crossing, line.inner)])
            for field in fields(Messages)
        )
    )
    sent_s = line.sent[across.step - 1, across.source // nodes.size]
    hops = _joined([across, inside])
    start = np.concatenate([begin[across.step], start])
    duration = np.concatenate([sent_s, duration])
    order = np.lexsort((hops.source, start, hops.step))
    hops = hops.taken(order)
    return TransferPlan(
        source=hops.source,
        destination=hops.destination,
        size_bytes=hops.size,
        start_s=start[order],
        duration_s=duration[order],
        round_index=hops.step,
        wave=messages.wave[hops.message] if problem.num_waves > 1 else None,
        origin=messages.origin[hops.message],
        target=messages.target[hops.message],
    )


def _messages(problem: TransferProblem) -> tuple[Messages, Messages]:
    """Return the messages between nodes, node pair by node pair, and those inside, port by port."""
    bytes_ = problem.messages()
    wave, origin, target = np.nonzero(bytes_)
    node = problem.node_of_port()
    found = []
    for chosen in (node[origin] != node[target], node[origin] == node[target]):
        w, o, t = wave[chosen], origin[chosen], target[chosen]
        order = np.lexsort((w, t, o, node[t], node[o]))
        w, o, t = w[order], o[order], t[order]
        found.append(Messages(w, o, t, bytes_[w, o, t]))
    return found[0], found[1]


def _slots(
    problem: TransferProblem, nodes: Nodes, pieces: int
) -> tuple[FloatArray, IntArray, FloatArray]:
    """Return Birkhoff's rounds between nodes, short ones first, long ones cut into equal slots."""
    rounds = rounds_of(server_bytes(problem, nodes) / (nodes.size * nodes.slow))
    order = np.argsort(rounds.length, kind="stable")
    longest = rounds.length.sum() / pieces
    count = np.ones(len(order), dtype=np.int64)
    if longest > 0.0:
        count = np.maximum(np.ceil(rounds.length[order] / longest - 1e-9), 1).astype(np.int64)
    which = np.repeat(order, count)
    share = 1.0 / np.repeat(count, count)
    return (
        rounds.length[which] * share,
        rounds.peer[which],
        rounds.sent[which] * share[:, None],
    )


def _across(nodes: Nodes, crossing: Messages, peer: IntArray, sent: FloatArray) -> Hops:
    """Return what of each message crosses in which slot on which rail.

    The parts of a rail that need no balancing go first, those that need no passing on go last: the
    steps before and after all slots are short.
    """
    part, rail, kind, size = _on_rails(nodes, crossing)
    pair = _pair_of_nodes(nodes, crossing)[part]
    order = np.lexsort((kind, rail, pair))
    part, size, queue = part[order], size[order], (pair * nodes.size + rail)[order]
    slot, node = np.nonzero(sent > 0.0)
    other = peer[slot, node]
    rails = np.arange(nodes.size)
    portion = ((node * nodes.count + other) * nodes.size)[:, None] + rails
    portion_size = np.repeat(sent[slot, node] * nodes.slow[node, other], nodes.size)
    slot = np.repeat(slot, nodes.size)
    in_turn = np.lexsort((slot, portion.ravel()))
    item, which, size = _cut_queues(queue, size, portion.ravel()[in_turn], portion_size[in_turn])
    queue = queue[item]
    near, far = np.divmod(queue // nodes.size, nodes.count)
    on = queue % nodes.size
    return Hops(
        message=part[item],
        step=slot[in_turn][which] + 1,
        source=near * nodes.size + on,
        destination=far * nodes.size + on,
        size=size,
    )


def _on_rails(nodes: Nodes, crossing: Messages) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
    """Return the parts of messages on rails: message, rail, kind and bytes of each."""
    pair = _pair_of_nodes(nodes, crossing)
    pairs = nodes.count * nodes.count
    first = np.searchsorted(pair, np.arange(pairs + 1)).astype(np.int64)
    most = 4 * pair.size + pairs * nodes.size
    part, rail, kind = (np.empty(most, dtype=np.int64) for _ in range(3))
    size = np.empty(most)
    count = spread(
        first, crossing.origin % nodes.size, crossing.target % nodes.size, crossing.size.copy(),
        nodes.size, np.empty(nodes.size), part, rail, kind, size,
    )  # fmt: skip
    return part[:count], rail[:count], kind[:count], size[:count]


def _pair_of_nodes(nodes: Nodes, messages: Messages) -> IntArray:
    near, far = messages.origin // nodes.size, messages.target // nodes.size
    return np.asarray(near * nodes.count + far)


def _cut_queues(
    queue: IntArray, size: FloatArray, portion_queue: IntArray, portion_size: FloatArray
) -> tuple[IntArray, IntArray, FloatArray]:
    """Return the parts of items, sorted by queue, in portions, sorted alike: both, and bytes."""
    queues = np.unique(queue)
    bounds = np.append(queues, queues[-1:] + 1)
    most = queue.size + portion_queue.size
    item, which = np.empty(most, dtype=np.int64), np.empty(most, dtype=np.int64)
    part_size = np.empty(most)
    count = cut(
        np.searchsorted(queue, bounds).astype(np.int64), size,
        np.searchsorted(portion_queue, bounds).astype(np.int64), portion_size,
        item, which, part_size,
    )  # fmt: skip
    return item[:count], which[:count], part_size[:count]


def _around(crossing: Messages, across: Hops) -> Hops:
    """Return the hops that bring bytes to their rail before they cross, and to their target after.

    What crosses in one step is balanced in the step before, and passed on in the step after.
    """
    origin, target = crossing.origin[across.message], crossing.target[across.message]
    to_rail = np.flatnonzero(origin != across.source)
    to_target = np.flatnonzero(target != across.destination)
    before, after = across.taken(to_rail), across.taken(to_target)
    before = replace(
        before, step=before.step - 1, source=origin[to_rail], destination=before.source
    )
    after = replace(
        after, step=after.step + 1, source=after.destination, destination=target[to_target]
    )
    return _joined([before, after])


def _filled(
    nodes: Nodes, inner: Messages, around: Hops, length: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return what each step sends of the messages inside nodes, and how long the steps last.

    A step lasts as long as its slot, or longer if the balancing and passing on in it do. Messages
    that stay inside take what time that leaves on their node's network; the last step sends what
    is left of them.
    """
    steps, size = len(length) + 2, nodes.size
    shape = (nodes.count, size, size)
    load = np.zeros((steps, *shape))
    at = around.source // size, around.source % size, around.destination % size
    np.add.at(load, (around.step, *at), around.size)
    left = np.zeros(shape)
    at = inner.origin // size, inner.origin % size, inner.target % size
    np.add.at(left, at, inner.size)
    filled = np.zeros_like(load)
    step_s = np.maximum(_longest_line(load) / nodes.fast, np.pad(length, 1))
    for step in range(steps - 1):
        room = step_s[step] * nodes.fast
        share = np.minimum(
            _share(room - load[step].sum(axis=2), left.sum(axis=2))[:, :, None],
            _share(room - load[step].sum(axis=1), left.sum(axis=1))[:, None, :],
        )
        filled[step] = np.where(share < 1.0 - _NOTHING, left * share, left)
        left -= filled[step]
    filled[-1] = left
    step_s[-1] = float(_longest_line(load[-1:] + left)[0]) / nodes.fast
    return filled, step_s


def _longest_line(load: FloatArray) -> FloatArray:
    """Return the most bytes that a port sends or receives, of each ``(..., nodes, size, size)``."""
    sends, receives = load.sum(axis=-1), load.sum(axis=-2)
    longest: FloatArray = np.maximum(sends, receives).max(axis=(-1, -2), initial=0.0)
    return longest


def _share(room: FloatArray, wanted: FloatArray) -> FloatArray:
    """Return which share of what is wanted there is room for."""
    share = np.divide(room, wanted, out=np.ones_like(room), where=wanted > 0.0)
    return np.clip(share, 0.0, 1.0)


def _inside(nodes: Nodes, line: Pipeline) -> Hops:
    """Return all hops inside nodes, those of one message, step and pair of ports joined."""
    inner, ports = line.inner, nodes.count * nodes.size
    step, node, near, far = np.nonzero(line.filled)
    portion = (node * nodes.size + near) * ports + node * nodes.size + far
    order = np.lexsort((step, portion))
    item, which, size = _cut_queues(
        inner.origin * ports + inner.target,
        inner.size,
        portion[order],
        line.filled[step, node, near, far][order],
    )
    own = Hops(
        message=item + len(line.crossing.size),
        step=step[order][which],
        source=inner.origin[item],
        destination=inner.target[item],
        size=size,
    )
    hops = _joined([line.around, own])
    key = (hops.step * ports + hops.source) * ports + hops.destination
    order = np.lexsort((hops.message, key))
    hops, key = hops.taken(order), key[order]
    first = np.flatnonzero(
        (np.diff(key, prepend=-1) != 0) | (np.diff(hops.message, prepend=-1) != 0)
    )
    if not first.size:
        return hops
    return hops.taken(first, np.add.reduceat(hops.size, first))


def _timed(nodes: Nodes, hops: Hops, begin: FloatArray) -> tuple[Hops, FloatArray, FloatArray]:
    """Return the hops inside nodes with start and duration, cut where ports have one peer.

    In each step and node either all pairs of ports send at once at constant rates, or one peer at a
    time in Birkhoff's rounds.

    Parameters
    ----------
    nodes
        The nodes.
    hops
        Sorted by step, source and destination.
    begin
        When each step begins, in seconds.
    """
    size, ports = nodes.size, nodes.count * nodes.size
    load = np.zeros((len(begin), nodes.count, size, size))
    at = hops.step, hops.source // size, hops.source % size, hops.destination % size
    np.add.at(load, at, hops.size)
    if not nodes.single_peer:
        lines = np.maximum(load.sum(axis=3), load.sum(axis=2)).max(axis=2)
        return hops, begin[hops.step], lines[at[:2]] / nodes.fast
    queue, start, seconds = [], [], []
    for step, node in zip(*np.nonzero(load.any(axis=(2, 3))), strict=True):
        rounds = rounds_of(load[step, node] / nodes.fast)
        begins = begin[step] + np.cumsum(rounds.length) - rounds.length
        number, near = np.nonzero(rounds.sent > 0.0)
        far = rounds.peer[number, near] + node * size
        queue.append((step * ports + near + node * size) * ports + far)
        start.append(begins[number])
        seconds.append(rounds.sent[number, near])
    if not queue:
        return hops, np.zeros(0), np.zeros(0)
    portion, starts, sent = np.concatenate(queue), np.concatenate(start), np.concatenate(seconds)
    order = np.lexsort((starts, portion))
    key = (hops.step * ports + hops.source) * ports + hops.destination
    item, which, part = _cut_queues(key, hops.size, portion[order], sent[order] * nodes.fast)
    return hops.taken(item, part), starts[order][which], sent[order][which]


def _joined(parts: list[Hops]) -> Hops:
    return Hops(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Hops)))
