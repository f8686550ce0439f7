"""The best schedule in hindsight of items of one size: a flow, for every capacity in one run.

A unit of flow is a slot that travels through time. With ``serve="load"`` a slot either waits or
carries an item from one reference to the next, which saves its load; with ``"bypass"`` it waits at
hubs, comes in by gates and serves the references that it passes. Each further slot goes by the
cheapest path that is left, so that what it saves never grows: costs are convex in the number of
slots.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from moeopt.buffering._kernels_flow import first_potentials, send
from moeopt.buffering.stream import Schedule, Stream
from moeopt.core.arrays import BoolArray, FloatArray, IntArray

#: Arcs times slots between two looks at the clock: a part of a second.
_ARCS_AT_ONCE = 500_000

#: What rounding may add to the difference of two sums, as a share of the sums.
_ROUNDING = 1e-13

#: Sums of whole numbers up to this are not rounded.
_WHOLE = 2.0**53

#: What a bound may be above the truth, as a share: less than any two figures are told apart by.
_NEGLIGIBLE = 1e-9

#: What an arc of a graph stands for.
WAIT, LOAD, SERVE, STAY, DROP = range(5)


@dataclass(frozen=True)
class Graph:
    """Arcs between nodes that are numbered in order of time.

    Attributes
    ----------
    nodes
        How many; slots enter at the first and leave at the last.
    tail, head
        Nodes, ``(arcs,)``, ``tail < head``.
    cost
        Of a slot that goes by this arc, ``(arcs,)``.
    room
        Most slots that can, ``(arcs,)``.
    kind
        ``WAIT``, ``LOAD``, ``SERVE``, ``STAY`` or ``DROP``, ``(arcs,)``.
    item
        Which item is loaded, stays or is dropped, ``(arcs,)``; -1 for the others.
    time
        When, in the counting of `Schedule`, ``(arcs,)``.
    base
        What is paid without any slot.
    spare
        Slots that are taken by what is always there: pinned items and, with ``serve="load"``, the
        one that runs.
    """

    nodes: int
    tail: IntArray
    head: IntArray
    cost: FloatArray
    room: IntArray
    kind: IntArray
    item: IntArray
    time: IntArray
    base: float
    spare: int


def flow_curve(stream: Stream, out_of_time: Callable[[], bool] = lambda: False) -> FloatArray:
    """Return the least cost of a stream for every number of slots, ``(items + 1,)``.

    Non-increasing and convex where finite; ``inf`` where no schedule exists. When time is up the
    rest is what no schedule costs less than.

    Parameters
    ----------
    stream
        What the cache sees; its items must be of one size.
    out_of_time
        Asked now and then.
    """
    graph = graph_of(stream)
    units = max(0, stream.num_items - graph.spare)
    curve = np.full(stream.num_items + 1, np.inf)
    curve[graph.spare :] = costs_of(graph, units, out_of_time)[: curve.size - graph.spare]
    return curve


def costs_of(
    graph: Graph, units: int, out_of_time: Callable[[], bool] = lambda: False
) -> FloatArray:
    """Return the least cost of 0, 1, ... units of flow, ``(units + 1,)``.

    When time is up the rest is less: each further unit is taken to save what the last one did.

    Parameters
    ----------
    graph, units, out_of_time
        As for `sent`.
    """
    gains, _ = sent(graph, units, out_of_time)
    known = np.full(units, gains[-1] if gains.size else graph.base)
    known[: gains.size] = gains
    # Sums of many prices end a little beside nothing.
    return np.maximum(graph.base - np.concatenate(([0.0], np.cumsum(known))), 0.0)


def proven(cost: float, total: float) -> float:
    """Return a bound, a total less what is saved, without what rounding may have added to it.

    Parameters
    ----------
    cost
        The difference.
    total
        What is paid if nothing is saved.
    """
    if cost.is_integer() and total.is_integer() and total <= _WHOLE:
        return max(0.0, cost)
    off = _ROUNDING * total
    return max(0.0, cost - off if off > _NEGLIGIBLE * cost else cost)


def flow_schedule(stream: Stream, slots: int) -> tuple[Schedule, float]:
    """Return a schedule of least cost, and the cost.

    Parameters
    ----------
    stream
        As for `flow_curve`.
    slots
        Room of the cache, at least what `flow_curve` needs to be finite.
    """
    flowed = flow_within(stream, slots)
    return flowed.schedule, flowed.cost


@dataclass(frozen=True)
class Flowed:
    """What a flow has found when it ended or was stopped.

    Attributes
    ----------
    schedule
        Of least cost for the slots that were sent; all of them if it was not stopped.
    cost
        What it costs.
    bound
        No schedule for all slots costs less: none that is still to come saves more than the last.
    ended
        Whether no slot is still to come.
    """

    schedule: Schedule
    cost: float
    bound: float
    ended: bool


def flow_within(
    stream: Stream, slots: int, out_of_time: Callable[[], bool] = lambda: False
) -> Flowed:
    """Return a schedule of least cost, or what is known of it when time is up.

    Parameters
    ----------
    stream, slots
        As for `flow_schedule`.
    out_of_time
        Asked now and then.
    """
    graph = graph_of(stream)
    units = min(slots, stream.num_items) - graph.spare
    gains, flow = sent(graph, units, out_of_time)
    make = _load_schedule if stream.serve == "load" else _bypass_schedule
    cost = max(0.0, graph.base - float(gains.sum()))
    to_come = max(0, units - gains.size)
    # Before the first slot is sent nothing is known of what one can save.
    most = to_come * float(gains[-1]) if gains.size else (graph.base if to_come else 0.0)
    bound = proven(max(0.0, cost - most), graph.base)
    return Flowed(make(stream, graph, flow > 0), cost, bound, ended=to_come == 0)


def arcs_of(stream: Stream) -> int:
    """Return about how many arcs a stream's graph has."""
    arcs = 5 * stream.items.size
    if stream.loads_per_group is not None:
        arcs += int(stream.opens.sum()) * stream.num_items
    return arcs


def graph_of(stream: Stream) -> Graph:
    """Return the graph of a stream."""
    return load_graph(stream) if stream.serve == "load" else bypass_graph(stream)


def load_graph(stream: Stream) -> Graph:
    """Return the graph of ``serve="load"``: one node before each reference, one at the end.

    The item of a reference has a slot of its own while it runs, so all others share one less.
    From one reference of an item to its next, a slot passes by all references between: the arc
    spans these. Where there are none between, the item is simply still there.
    """
    free = ~stream.pinned[stream.items]
    items = stream.items[free]
    following = next_reference(items)
    begin = np.flatnonzero(following > np.arange(items.size) + 1)
    begin = begin[following[begin] < items.size]
    count = items.size
    prices = stream.load_prices[items]
    adjacent = following == np.arange(count) + 1
    adjacent[-1:] = False
    node = np.arange(count)
    return sorted_graph(
        nodes=count + 1,
        parts=(
            (WAIT, node, node + 1, 0.0, stream.num_items, -1, node),
            (STAY, begin + 1, following[begin], -prices[begin], 1, items[begin], begin),
        ),
        base=float(prices.sum() - prices[adjacent].sum()),
        spare=int(stream.pinned.sum()) + (1 if count else 0),
    )


def bypass_graph(stream: Stream) -> Graph:
    """Return the graph of ``serve="bypass"``: hubs and gates, and two nodes for each reference.

    The hub of a group holds the slots that wait before it, its gate lets as many in as may be
    loaded. A slot that passes a reference, once, serves it; then it stays for the item's next one
    or is dropped before the next group that is open.
    """
    free = np.flatnonzero(~stream.pinned[stream.items])
    items, group = stream.items[free], stream.group_of()[free]
    following = next_reference(items)
    opens, groups = np.flatnonzero(stream.opens), stream.num_groups
    loaded, load_group = _load_choices(stream, group, following, opens)
    price = np.where(stream.free_fill & (load_group == 0), 0.0, stream.load_prices[items[loaded]])
    stays = np.flatnonzero(following < free.size)
    leaves = np.concatenate((opens, [groups]))[np.searchsorted(opens, group, side="right")]
    drops = np.flatnonzero(leaves <= np.concatenate((group, [groups]))[following])
    # Nodes in order of time: hub and gate of each group, then its references, in and out.
    at_group = 2 + 2 * np.bincount(group, minlength=groups)
    hub = np.concatenate(([0], np.cumsum(at_group)))
    into = 2 * (group + 1 + np.arange(free.size))
    saved = stream.miss_prices[free]
    cap = stream.num_items if stream.loads_per_group is None else stream.loads_per_group
    return sorted_graph(
        nodes=int(hub[-1]) + 1,
        parts=(
            (WAIT, hub[:-1], hub[1:], 0.0, stream.num_items, -1, np.arange(groups)),
            (WAIT, hub[opens], hub[opens] + 1, 0.0, cap, -1, opens),
            (LOAD, hub[load_group] + 1, into[loaded], price, 1, items[loaded], load_group),
            (SERVE, into, into + 1, -saved, 1, items, group),
            (STAY, into[stays] + 1, into[following[stays]], 0.0, 1, items[stays], group[stays]),
            (DROP, into[drops] + 1, hub[leaves[drops]], 0.0, 1, items[drops], leaves[drops]),
        ),
        base=float(saved.sum()),
        spare=int(stream.pinned.sum()),
    )


def _load_choices(
    stream: Stream, group: IntArray, following: IntArray, opens: IntArray
) -> tuple[IntArray, IntArray]:
    """Return which references an item may be loaded for, and before which group, two columns.

    Before any open group since the reference before. Without a cap only the last of these: earlier
    loads take room for longer, and no load keeps another out. But the first fill may be free.
    """
    since = np.full(group.size + 1, -1)
    since[following] = group
    low = np.searchsorted(opens, since[:-1], side="right")
    high = np.searchsorted(opens, group, side="right")
    if stream.loads_per_group is None:
        early = stream.free_fill & (since[:-1] < 0)
        low = np.where(early, low, np.maximum(low, high - 1))
    many = np.maximum(high - low, 0)
    first = np.repeat(low - np.cumsum(many) + many, many)
    return np.repeat(np.arange(group.size), many), opens[first + np.arange(first.size)]


def next_reference(items: IntArray) -> IntArray:
    """Return the place of the next reference to the same item, ``len(items)`` if there is none.

    Parameters
    ----------
    items
        What each reference asks for, ``(references,)``.
    """
    order = np.argsort(items, kind="stable")
    following = np.full(items.size, items.size)
    same = items[order[:-1]] == items[order[1:]]
    following[order[:-1][same]] = order[1:][same]
    return following


def sent(
    graph: Graph, units: int, out_of_time: Callable[[], bool] = lambda: False
) -> tuple[FloatArray, IntArray]:
    """Return what each slot saves, ``(units,)``, and the flow of each arc.

    Slots that save no more than rounding does are not sent; what they might save is told.

    Parameters
    ----------
    graph
        What slots travel through.
    units
        How many slots.
    out_of_time
        Asked now and then; when it is so, only the slots sent so far are told of.
    """
    flow = np.zeros(graph.tail.size, dtype=np.int64)
    gains = np.zeros(max(0, units))
    if not graph.tail.size or units <= 0:
        return gains, flow
    potential = np.empty(graph.nodes)
    first_potentials(graph.tail, graph.head, graph.cost, potential)
    arcs = (*_links(graph), graph.tail, graph.head, graph.cost, graph.room, flow, potential)
    piece = max(1, _ARCS_AT_ONCE // graph.tail.size)
    for begin in range(0, units, piece):
        if out_of_time():
            return gains[:begin], flow
        part = gains[begin : begin + piece]
        count = send(*arcs, part)
        if count < part.size:
            gains[begin + count :] = part[count]
            break
    return gains, flow


def _links(graph: Graph) -> tuple[IntArray, IntArray]:
    """Return the arcs at each node, as `send` wants them."""
    arcs = np.arange(graph.tail.size)
    ends = np.concatenate((graph.tail, graph.head))
    order = np.argsort(ends, kind="stable")
    first = np.concatenate(([0], np.cumsum(np.bincount(ends, minlength=graph.nodes))))
    return first, np.concatenate((arcs, ~arcs))[order]


def sorted_graph(nodes: int, parts: tuple[tuple[Any, ...], ...], base: float, spare: int) -> Graph:
    """Return the graph of arcs given by kind: kind, tail, head, cost, room, item and time."""
    columns = [np.broadcast_arrays(*part) for part in parts]
    kind, tail, head, cost, room, item, time = (
        np.concatenate([column[k] for column in columns]) for k in range(7)
    )
    order = np.argsort(tail, kind="stable")
    return Graph(
        nodes=nodes,
        tail=tail[order],
        head=head[order],
        cost=cost[order].astype(np.float64),
        room=room[order],
        kind=kind[order],
        item=item[order],
        time=time[order],
        base=base,
        spare=spare,
    )


def _load_schedule(stream: Stream, graph: Graph, used: BoolArray) -> Schedule:
    """Return the loads and drops that leave exactly the kept intervals."""
    free = np.flatnonzero(~stream.pinned[stream.items])
    items = stream.items[free]
    following = next_reference(items)
    place = np.arange(free.size)
    kept = following == place + 1
    kept[graph.time[used & (graph.kind == STAY)]] = True
    kept &= following < free.size
    found = np.zeros(free.size + 1, dtype=np.bool_)
    found[following[kept]] = True
    loads = np.flatnonzero(~found[:-1])
    # An item leaves before the next reference that runs: nothing else needs to go.
    gone = np.flatnonzero(~kept[:-1])
    return Schedule(
        load_at=free[loads],
        load_item=items[loads],
        drop_at=free[gone + 1],
        drop_item=items[gone],
    )


def _bypass_schedule(stream: Stream, graph: Graph, used: BoolArray) -> Schedule:
    """Return the loads and drops of the arcs in use."""
    loads = np.flatnonzero(used & (graph.kind == LOAD))
    drops = np.flatnonzero(used & (graph.kind == DROP) & (graph.time < stream.num_groups))
    drops = drops[np.argsort(graph.time[drops], kind="stable")]
    return Schedule(
        load_at=graph.time[loads],
        load_item=graph.item[loads],
        drop_at=graph.time[drops],
        drop_item=graph.item[drops],
    )
