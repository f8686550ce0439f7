"""Bytes of messages over the rails of a node, and queues cut into portions."""

from __future__ import annotations

from typing import Any

from moeopt.core.jit import kernel

Array = Any

#: A share of what lies in a queue that is rounding.
_NOTHING = 1e-12


@kernel
def _take(
    message: int, rail: int, kind: int, left: Array, room: Array,
    part_message: Array, part_rail: Array, part_kind: Array, part_size: Array, count: int,
) -> int:  # fmt: skip
    """Put of a message as much on a rail as that has room for; return the number of parts."""
    size = min(left[message], room[rail])
    if size <= 0.0:
        return count
    left[message] -= size
    room[rail] -= size
    part_message[count] = message
    part_rail[count] = rail
    part_kind[count] = kind
    part_size[count] = size
    return count + 1


@kernel
def spread(
    first: Array, near: Array, far: Array, size: Array, rails: int, room: Array,
    part_message: Array, part_rail: Array, part_kind: Array, part_size: Array,
) -> int:  # fmt: skip
    """Spread the messages of every pair of nodes evenly over the rails; few bytes change ports.

    Bytes stay where they are as far as the rail's share goes, those first that also end on it;
    of the rest those that end on a rail with room move there; what is left fills up. Kinds of
    parts: 0 must be passed on after crossing, 1 needs nothing, 2 both moves, 3 must be moved
    before.

    Parameters
    ----------
    first
        Where the messages of each pair of nodes begin, and the end, shape ``(pairs + 1,)``.
    near, far
        Rail of each message's origin and of its target.
    size
        Bytes; used up.
    rails
        Number of rails.
    room
        Scratch of this length.
    part_message, part_rail, part_kind, part_size
        Filled with the parts; their number is returned.
    """
    count = 0
    for pair in range(first.size - 1):
        low, high = first[pair], first[pair + 1]
        total = 0.0
        for k in range(low, high):
            total += size[k]
        for rail in range(rails):
            room[rail] = total / rails
        for k in range(low, high):
            if near[k] == far[k]:
                count = _take(
                    k, near[k], 1, size, room, part_message, part_rail, part_kind, part_size, count
                )
        for k in range(low, high):
            if near[k] != far[k]:
                count = _take(
                    k, near[k], 0, size, room, part_message, part_rail, part_kind, part_size, count
                )
        for k in range(low, high):
            if near[k] != far[k]:
                count = _take(
                    k, far[k], 3, size, room, part_message, part_rail, part_kind, part_size, count
                )
        rail = 0
        for k in range(low, high):
            while size[k] > _NOTHING * total and rail < rails:
                count = _take(
                    k, rail, 2, size, room, part_message, part_rail, part_kind, part_size, count
                )
                if room[rail] <= 0.0:
                    rail += 1
    return count


@kernel
def cut(
    queue_first: Array, queue_size: Array, portion_first: Array, portion_size: Array,
    part_item: Array, part_portion: Array, part_size: Array,
) -> int:  # fmt: skip
    """Cut queues of items into portions, each queue in its order; return the number of parts.

    Parameters
    ----------
    queue_first, portion_first
        Where the items and the portions of each queue begin, and the end, ``(queues + 1,)``.
    queue_size, portion_size
        Of a queue both have the same sum but for rounding, which the parts take over.
    part_item, part_portion, part_size
        Filled with the parts; there are at most as many as items and portions together.
    """
    count = 0
    for queue in range(queue_first.size - 1):
        total = 0.0
        for item in range(queue_first[queue], queue_first[queue + 1]):
            total += queue_size[item]
        nothing = _NOTHING * total
        portion, end = portion_first[queue], portion_first[queue + 1]
        room = portion_size[portion] if portion < end else 0.0
        for item in range(queue_first[queue], queue_first[queue + 1]):
            left = queue_size[item]
            while left > 0.0:
                fits = portion == end - 1 or left <= room + nothing
                size = left if fits else room
                if fits or room > nothing:
                    part_item[count] = item
                    part_portion[count] = portion
                    part_size[count] = size
                    count += 1
                    left -= size
                    room -= size
                if room <= nothing and portion < end - 1:
                    portion += 1
                    room = portion_size[portion]
    return count
