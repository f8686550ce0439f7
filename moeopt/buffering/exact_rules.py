"""The rules of ``formulations/buffering.md`` as rows, in the tight and in the plain form."""

from __future__ import annotations

import numpy as np

from moeopt.buffering.exact_frame import Frame, Tight
from moeopt.core.arrays import BoolArray, FloatArray, IntArray

#: How many large items at once V1 looks at.
_LARGE = 4


def add_rules(frame: Frame) -> None:
    """Add all families of the frame's form."""
    room(frame)
    load_cap(frame)
    capacity(frame)
    presence(frame)
    found(frame)
    periods(frame)
    stated_order(frame)
    pinned(frame)
    permutation(frame)
    resident_ends(frame)
    both_ways(frame)
    through_group(frame)
    large_items(frame)


def presence(frame: Frame) -> None:
    """C1: what is there was there or is loaded, and what is dropped was there."""
    for part in frame.plain:
        times, items = part.there.shape
        cell = np.arange(part.there.size).reshape(times, items)
        first = np.where(part.stream.pinned, 1.0, 0.0)
        start = np.zeros(part.there.shape)
        start[:1] = first
        row = [cell, cell[1:], cell, cell]
        column = [part.there, part.there[:-1], part.load, part.drop]
        frame.builder.add_rows(
            "C1", _flat(row), _flat(column), _signs(column, (1.0, -1.0, -1.0, 1.0)),
            lower=start.ravel(), upper=start.ravel(),
        )  # fmt: skip
        row, column = [cell, cell[1:]], [part.drop, part.there[:-1]]
        frame.builder.add_rows(
            "C1", _flat(row), _flat(column), _signs(column, (1.0, -1.0)), upper=start.ravel()
        )


def room(frame: Frame) -> None:
    """C2: what is there at once fits into the cache."""
    for c, plain in enumerate(frame.plain):
        times = len(plain.there)
        rows = np.arange(times)
        column = np.column_stack((plain.there, np.full(times, frame.capacity[c])))
        value = np.append(plain.size, -1.0)
        frame.builder.add_rows("C2", rows[:, None], column, value, upper=0.0, count=times)
    for c, tight in enumerate(frame.tight):
        families = [room_rows(tight)]
        if tight.through.size:
            families.append(beside_loads(tight))
        for number, (row, column, value, upper) in enumerate(families):
            binding = np.ones(upper.size, np.bool_)
            if tight.room is None:
                rows = np.arange(upper.size)
                row = np.concatenate((row, rows))
                column = np.concatenate((column, np.full(rows.size, frame.capacity[c])))
                value = np.concatenate((value, np.full(rows.size, -1.0)))
            elif number == 0:
                binding = np.bincount(row, value, upper.size) > upper
            _add_some(frame, "C2", row, column, value, upper, binding)


def found(frame: Frame) -> None:
    """C3: every reference finds its expert, and what is loaded is the expert that runs next."""
    for part in frame.plain:
        if not part.runs.size:
            continue
        item = part.stream.items[part.reference]
        cell = part.place * part.stream.num_items + item
        pair = np.arange(part.runs.size)
        frame.builder.add_rows(
            "C3", np.stack((pair, pair)), np.stack((part.there.ravel()[cell], part.runs)),
            np.array([[1.0], [-1.0]]), lower=np.zeros(pair.size),
        )  # fmt: skip
        cells = np.arange(part.load.size)
        frame.builder.add_rows(
            "C3", np.concatenate((cells, cell)), np.concatenate((part.load.ravel(), part.runs)),
            np.concatenate((np.ones(cells.size), -np.ones(pair.size))), upper=np.zeros(cells.size),
        )  # fmt: skip


def load_cap(frame: Frame) -> None:
    """C4: no more loads before one group than the cap allows."""
    for plain in frame.plain:
        cap = plain.stream.loads_per_group
        if cap is not None:
            rows = np.arange(len(plain.load))
            frame.builder.add_rows("C4", rows[:, None], plain.load, 1.0, upper=cap, count=rows.size)
    for tight in frame.tight:
        cap, nodes = tight.stream.loads_per_group, tight.nodes
        if cap is None:
            continue
        linked = np.flatnonzero(nodes.before >= 0)
        row = np.concatenate((nodes.time, nodes.time[linked]))
        column = np.concatenate((tight.stay, tight.keep[nodes.before[linked]]))
        value = np.concatenate((np.ones(nodes.count), -np.ones(linked.size)))
        upper = np.full(nodes.times, float(cap))
        binding = np.bincount(nodes.time, minlength=nodes.times) > cap
        _add_some(frame, "C4", row, column, value, upper, binding)


def periods(frame: Frame) -> None:
    """C5: residents change only before groups that are open."""
    for part in frame.plain:
        shut = np.flatnonzero(~part.stream.opens)
        if part.stream.serve == "bypass" and shut.size:
            _none_of(frame, "C5", np.concatenate((part.load[shut], part.drop[shut]), axis=1))


def capacity(frame: Frame) -> None:
    """C6: capacities are those stated, or their slots' bytes keep the budget."""
    budget, slot = frame.budget_bytes, frame.slot_bytes
    if budget is None:
        stated = [part.room for part in frame.plain if part.room is not None]
        rows = np.arange(len(stated))
        if rows.size:
            frame.builder.add_rows("C6", rows, frame.capacity, 1.0, lower=stated, upper=stated)
        return
    unit = float(np.gcd.reduce(slot.astype(np.int64)))
    frame.builder.add_rows(
        "C6", np.zeros(slot.size, np.int64), frame.capacity, slot / unit, upper=[budget // unit]
    )


def stated_order(frame: Frame) -> None:
    """C7: references run as stated, unless the plan may order those of a group."""
    for part in frame.plain:
        if not part.stream.any_order:
            elsewhere = part.reference != part.place
            row = part.reference[elsewhere]
            if row.size:
                rows, row = np.unique(row, return_inverse=True)
                frame.builder.add_rows(
                    "C7", row, part.runs[elsewhere], 1.0, upper=np.zeros(rows.size)
                )


def pinned(frame: Frame) -> None:
    """C8: pinned experts are neither dropped nor loaded."""
    for part in frame.plain:
        pins = part.stream.pinned
        if pins.any():
            _none_of(frame, "C8", np.concatenate((part.load[:, pins].T, part.drop[:, pins].T), 1))


def permutation(frame: Frame) -> None:
    """D1: every reference runs once, and one at every place."""
    for part in frame.plain:
        count = part.stream.items.size
        for ends in (part.reference, part.place):
            if ends.size:
                frame.builder.add_rows("D1", ends, part.runs, 1.0, lower=1, upper=1, count=count)


def resident_ends(frame: Frame) -> None:
    """D2: a link is kept only if its item is there at both ends."""
    for part in frame.tight:
        links = part.nodes.links()
        if not part.stay.size:
            continue
        for end in (links, part.nodes.after[links]):
            frame.builder.add_rows(
                "D2", np.arange(links.size), np.stack((part.keep[links], part.stay[end])),
                np.array([[1.0], [-1.0]]), upper=np.zeros(links.size),
            )  # fmt: skip


def both_ways(frame: Frame) -> None:
    """D3: an item with the links before and after kept is there all the time that a group runs."""
    for part in frame.tight:
        inner = np.flatnonzero(part.both >= 0)
        columns = [part.both[inner], part.keep[inner], part.keep[part.nodes.before[inner]]]
        frame.builder.add_rows(
            "D3", np.arange(inner.size), np.stack(columns), np.array([[1.0], [-1.0], [-1.0]]),
            lower=-np.ones(inner.size),
        )  # fmt: skip


def through_group(frame: Frame) -> None:
    """D4: what links keep over a group, and through it, is there all the while."""
    for part in frame.tight:
        nodes, size = part.nodes, part.size
        if not part.through.size:
            continue
        times, (time, link) = np.arange(nodes.times), nodes.over(1, 0)
        inner = np.flatnonzero(part.both >= 0)
        frame.builder.add_rows(
            "D4",
            np.concatenate((times, time, nodes.time[inner])),
            np.concatenate((part.through, part.keep[link], part.both[inner])),
            np.concatenate((np.ones(times.size), -size[link], -size[inner])),
            lower=np.zeros(times.size),
        )


def large_items(frame: Frame) -> None:
    """V1: of items larger than a share 1/(q+1) of the room, at most q are there at once."""
    for part in frame.tight:
        if part.room is None or np.unique(part.size).size == 1:
            continue
        row, column, value, upper = room_rows(part)
        at_once = np.zeros(upper.size, dtype=np.int64)
        for most in range(_LARGE):
            large = value * (most + 1) > upper[row]
            count = np.bincount(row[large], minlength=upper.size)
            # The items of the row before, and no others, make that row the stronger one.
            some = (count > most) & (count > at_once)
            _add_some(
                frame, "V1", row[large], column[large], np.ones(int(large.sum())),
                np.full(upper.size, float(most)), some,
            )  # fmt: skip
            at_once = count


def room_rows(part: Tight) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """Return rows, columns and sizes of what is there at each time, and the room for it.

    Times are references, boundaries between groups if these may be in any order, or epochs.
    """
    nodes, size = part.nodes, part.size
    free = -part.taken if part.room is None else part.room
    time, link = nodes.over(0 if part.through.size else 1, 0)
    if part.stay.size:
        row = np.concatenate((time, nodes.time))
        column = np.concatenate((part.keep[link], part.stay))
        return row, column, np.concatenate((size[link], size)), np.full(nodes.times, free)
    own = np.zeros(nodes.times) if part.through.size else size
    return time, part.keep[link], size[link], free - own


def beside_loads(part: Tight) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """Return a row for each node: it is found, or fits beside what is there all the while.

    References of a group that are found run first, what is not kept on before what is; then those
    that are loaded, in the same order. So just what is there all the while is beside a load.
    """
    nodes, size = part.nodes, part.size
    free = -part.taken if part.room is None else part.room
    rows, linked = np.arange(nodes.count), np.flatnonzero(nodes.before >= 0)
    return (
        np.concatenate((rows, linked)),
        np.concatenate((part.through[nodes.time], part.keep[nodes.before[linked]])),
        np.concatenate((np.ones(rows.size), -size[linked])),
        free - size,
    )


def _add_some(
    frame: Frame, group: str, row: IntArray, column: IntArray, value: FloatArray,
    upper: FloatArray, some: BoolArray,
) -> None:  # fmt: skip
    """Add the rows ``A x <= upper`` that are among `some`, numbered anew."""
    kept = some[row]
    number = np.cumsum(some) - 1
    frame.builder.add_rows(
        group, number[row[kept]], column[kept], value[kept], upper=upper[some],
        count=int(some.sum()),
    )  # fmt: skip


def _none_of(frame: Frame, group: str, columns: IntArray) -> None:
    """Add a row for each row of `columns`: none of them."""
    rows = np.arange(len(columns))
    frame.builder.add_rows(group, rows[:, None], columns, 1.0, upper=0.0, count=rows.size)


def _flat(parts: list[IntArray]) -> IntArray:
    return np.concatenate([part.ravel() for part in parts])


def _signs(parts: list[IntArray], signs: tuple[float, ...]) -> FloatArray:
    return np.concatenate([np.full(p.size, sign) for p, sign in zip(parts, signs, strict=True)])
