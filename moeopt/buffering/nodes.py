"""The moments of a stream at which it matters what is there, and schedules in terms of them.

Between two references of an item only one thing matters: whether it stays. So exact models and
heuristics for items of unequal size speak of nodes and links, and this module makes schedules of
their answers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeopt.buffering.stream import Schedule, Stream
from moeopt.core.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Nodes:
    """The moments at which it matters whether an item is there, in order of time.

    With ``serve="load"`` a node is a reference and the item is there. With ``"bypass"`` it is an
    item in an *epoch*, the groups from one that is open to the next. Pinned items have none.

    Attributes
    ----------
    item
        Item of each node, ``(nodes,)``.
    time
        Place among the references that are not pinned, the group if they may run in any order, or
        the epoch, ``(nodes,)``.
    reference
        The stream's reference of each node, ``(nodes,)``; none with ``"bypass"``.
    before, after
        The same item's node before and after, -1 where there is none, ``(nodes,)``. The *link*
        of a node leads to the one after it.
    load_price
        Cost of a load for this node, ``(nodes,)``.
    miss_price
        Cost of the epoch's references without the item, ``(nodes,)``.
    times
        Number of times.
    """

    item: IntArray
    time: IntArray
    reference: IntArray
    before: IntArray
    after: IntArray
    load_price: FloatArray
    miss_price: FloatArray
    times: int

    @property
    def count(self) -> int:
        """Number of nodes."""
        return int(self.item.size)

    def links(self) -> IntArray:
        """Return the nodes that have one after them, ``(links,)``."""
        return np.flatnonzero(self.after >= 0)

    def over(self, first: int, last: int) -> tuple[IntArray, IntArray]:
        """Return every time that a link is over, as pairs of time and link's node.

        Parameters
        ----------
        first, last
            Where a link begins and ends: 1 and 0 for the times strictly between its nodes, 0 and
            0 for its first node's too.
        """
        links = self.links()
        low = self.time[links] + first
        many = np.maximum(self.time[self.after[links]] + last - low, 0)
        offset = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
        return np.repeat(low, many) + offset, np.repeat(links, many)


def nodes_of(stream: Stream) -> Nodes:
    """Return the nodes of a stream."""
    if stream.serve == "bypass":
        return _bypass_nodes(stream)
    reference = np.flatnonzero(~stream.pinned[stream.items])
    item = stream.items[reference]
    time = stream.group_of()[reference] if stream.any_order else np.arange(item.size)
    before, after = _chain(item, time)
    return Nodes(
        item, time, reference, before, after, stream.load_prices[item], np.zeros(item.size),
        stream.num_groups if stream.any_order else int(item.size),
    )  # fmt: skip


def epochs_of(stream: Stream) -> IntArray:
    """Return the epoch of each group of a stream, ``(groups,)``."""
    epochs: IntArray = np.cumsum(stream.opens) - 1
    return epochs


def _bypass_nodes(stream: Stream) -> Nodes:
    items, epochs = stream.num_items, int(stream.opens.sum())
    free = ~stream.pinned[stream.items]
    keys = (epochs_of(stream)[stream.group_of()] * items + stream.items)[free]
    last = np.full(items, -1)
    np.maximum.at(last, keys % items, keys // items)
    here = keys
    if stream.loads_per_group is not None:
        # Before any epoch an item may be loaded ahead, as there may be no room for it later.
        many = last + 1
        time = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
        here = time * items + np.repeat(np.arange(items), many)
    elif stream.free_fill:
        here = np.concatenate((keys, np.flatnonzero(last >= 0)))
    here = np.unique(here)
    item, time = here % items, here // items
    before, after = _chain(item, time)
    missed = np.zeros(here.size)
    np.add.at(missed, np.searchsorted(here, keys), stream.miss_prices[free])
    load_price = stream.load_prices[item]
    if stream.free_fill:
        load_price = np.where(time == 0, 0.0, load_price)
    empty = np.empty(0, dtype=np.int64)
    return Nodes(item, time, empty, before, after, load_price, missed, epochs)


def _chain(item: IntArray, time: IntArray) -> tuple[IntArray, IntArray]:
    """Return the same item's node before and after each."""
    order = np.lexsort((time, item))
    same = item[order[:-1]] == item[order[1:]]
    first, then = order[:-1][same], order[1:][same]
    before, after = np.full(item.size, -1), np.full(item.size, -1)
    before[then], after[first] = first, then
    return before, after


@dataclass(frozen=True, eq=False)
class Choice:
    """What is there and what stays.

    Attributes
    ----------
    there
        Whether the item is there at each node, ``(nodes,)``; always with ``serve="load"``.
    kept
        Whether the link of each node is kept, ``(nodes,)``: only if the item is there at both ends.
    """

    there: BoolArray
    kept: BoolArray

    def stayed(self, nodes: Nodes) -> BoolArray:
        """Return at which nodes the item is there without a load, ``(nodes,)``."""
        stayed = np.zeros(nodes.count, dtype=np.bool_)
        stayed[nodes.after[self.kept]] = True
        return stayed

    def cost(self, nodes: Nodes) -> float:
        """Return what loads and references without their item cost."""
        loaded = self.there & ~self.stayed(nodes)
        return float(nodes.load_price[loaded].sum() + nodes.miss_price[~self.there].sum())


def schedule_of(stream: Stream, nodes: Nodes, choice: Choice) -> Schedule:
    """Return the schedule of a choice; what is not kept leaves as soon as it may."""
    if stream.serve == "bypass":
        return _bypass_schedule(stream, nodes, choice)
    return _load_schedule(stream, nodes, choice)


def choice_of(stream: Stream, nodes: Nodes, schedule: Schedule) -> Choice:
    """Return the choice behind a valid schedule; loads that serve no node are left out."""
    after, kept = nodes.after, np.zeros(nodes.count, dtype=np.bool_)
    links = nodes.links()
    if stream.serve == "bypass":
        since = _since(stream, nodes, schedule)
        kept[links] = (since[links] == since[after[links]]) & (since[links] >= 0)
        return Choice(since >= 0, kept)
    loaded = np.zeros(stream.items.size, dtype=np.bool_)
    loaded[schedule.load_at] = True
    found = ~loaded[_places(stream, schedule.order)[nodes.reference]]
    kept[links] = found[after[links]]
    return Choice(np.ones(nodes.count, dtype=np.bool_), kept)


def _load_schedule(stream: Stream, nodes: Nodes, choice: Choice) -> Schedule:
    found = choice.stayed(nodes)
    order = order_of(stream, nodes, found, choice.kept) if stream.any_order else None
    place = _places(stream, order)[nodes.reference]
    loads, gone = np.flatnonzero(~found), np.flatnonzero(~choice.kept)
    # What is not kept leaves before the next reference, whatever that needs.
    gone = gone[place[gone] + 1 < stream.items.size]
    loads, gone = loads[np.argsort(place[loads])], gone[np.argsort(place[gone])]
    return Schedule(
        load_at=place[loads],
        load_item=nodes.item[loads],
        drop_at=place[gone] + 1,
        drop_item=nodes.item[gone],
        order=order,
    )


def order_of(stream: Stream, nodes: Nodes, found: BoolArray, kept: BoolArray) -> IntArray:
    """Return the order of references that needs least room, ``(references,)``.

    In a group those that find their item run before those that load it, and what leaves runs before
    what is kept on: all that counts is then what is there between groups, and beside a load.

    Parameters
    ----------
    stream, nodes
        References in any order, and their nodes.
    found, kept
        Nodes whose item is there without a load, and links that are kept, ``(nodes,)``.
    """
    rank = np.zeros(stream.items.size, dtype=np.int64)
    rank[nodes.reference] = 1 + kept + 2 * ~found
    order: IntArray = np.lexsort((rank, stream.group_of()))
    return order


def _places(stream: Stream, order: IntArray | None) -> IntArray:
    """Return the place at which each reference of a stream runs, ``(references,)``."""
    places = np.arange(stream.items.size)
    if order is not None:
        places[order] = np.arange(order.size)
    return places


def _bypass_schedule(stream: Stream, nodes: Nodes, choice: Choice) -> Schedule:
    loads = np.flatnonzero(choice.there & ~choice.stayed(nodes))
    gone = np.flatnonzero(choice.there & ~choice.kept & (nodes.time + 1 < nodes.times))
    group = np.flatnonzero(stream.opens)
    return Schedule(
        load_at=group[nodes.time[loads]],
        load_item=nodes.item[loads],
        drop_at=group[nodes.time[gone] + 1],
        drop_item=nodes.item[gone],
    )


def _since(stream: Stream, nodes: Nodes, schedule: Schedule) -> IntArray:
    """Return which of the schedule's loads each node's item is there by, -1 if it is not there."""
    epoch = epochs_of(stream)
    turn = np.lexsort((schedule.load_at, schedule.load_item))
    item, begin = schedule.load_item[turn], epoch[schedule.load_at[turn]]
    # The k-th drop of an item ends its k-th load.
    leave = np.lexsort((schedule.drop_at, schedule.drop_item))
    drop_item, drop = schedule.drop_item[leave], epoch[schedule.drop_at[leave]]
    rank = np.arange(item.size) - np.searchsorted(item, item)
    match = np.searchsorted(drop_item, item) + rank
    ended = match < np.searchsorted(drop_item, item, side="right")
    end = np.full(item.size, nodes.times)
    end[ended] = drop[match[ended]]
    span = nodes.times + 1
    last = np.searchsorted(item * span + begin, nodes.item * span + nodes.time, side="right") - 1
    if not item.size:
        return last
    here = (last >= 0) & (item[last] == nodes.item) & (nodes.time < end[last])
    return np.where(here, last, -1)
