"""Hot loops that build a layer's first plan under every rule.

Rules come as the arrays that ``_kernels_rules.py`` names. The same code runs with
``NUMBA_DISABLE_JIT=1``.
"""

from __future__ import annotations

import numpy as np

from moeopt.core.jit import kernel
from moeopt.placement._kernels_rules import may_add


@kernel
def construct(
    piece,
    counts,
    order,
    slot_start,
    slow,
    allowed,
    pinned,
    per_device,
    distinct,
    node,
    size,
    room,
    affinity,
    table,
    copies,
):
    """Place ``counts[e]`` copies of each expert, in `order`, on the best device that may take them.

    Best is the least load over speed after placing, plus the `affinity` of the expert to those
    already there (``(experts, experts)``, or ``(0, 0)`` for none: then this is LPT under rules).
    Pinned pairs go first. Returns whether everything fitted.
    """
    experts = len(piece)
    devices = len(slow)
    table[:] = -1
    copies[:, :] = 0
    filled = slot_start[:devices].copy()
    used = np.zeros(devices)
    load = np.zeros(devices)
    bond = np.zeros((devices, experts))
    for first in range(2):
        for rank in range(experts):
            e = order[rank]
            left = counts[e]
            if first == 1:
                for g in range(devices):
                    left -= copies[e, g]
            for step in range(devices if first == 0 else left):
                best = -1
                if first == 0:
                    fits = filled[step] < slot_start[step + 1]
                    if pinned[e, step] and copies[e, step] == 0 and fits:
                        best = step
                else:
                    least = np.inf
                    for g in range(devices):
                        if filled[g] == slot_start[g + 1] or not may_add(
                            e, g, allowed, copies, per_device, distinct, node, size, used, room
                        ):
                            continue
                        value = (load[g] + piece[e]) * slow[g] + bond[g, e]
                        if value < least:
                            least = value
                            best = g
                    if best < 0:
                        best = relocate(
                            e,
                            piece,
                            slot_start,
                            filled,
                            allowed,
                            pinned,
                            per_device,
                            distinct,
                            node,
                            size,
                            room,
                            used,
                            load,
                            table,
                            copies,
                        )
                        if best < 0:
                            return False
                if best >= 0:
                    table[filled[best]] = e
                    filled[best] += 1
                    copies[e, best] += 1
                    used[best] += size[e]
                    load[best] += piece[e]
                    if len(affinity) > 0:
                        bond[best] += affinity[e]
    return True


@kernel
def relocate(
    e,
    piece,
    slot_start,
    filled,
    allowed,
    pinned,
    per_device,
    distinct,
    node,
    size,
    room,
    used,
    load,
    table,
    copies,
):
    """Free a slot that may take expert `e` by moving another expert away; -1 if impossible."""
    devices = len(filled)
    for g in range(devices):
        for slot in range(slot_start[g], filled[g]):
            other = table[slot]
            if pinned[other, g] and copies[other, g] == 1:
                continue
            # Take it out, see whether both then have a place, and put it back if not.
            copies[other, g] -= 1
            used[g] -= size[other]
            if may_add(e, g, allowed, copies, per_device, distinct, node, size, used, room):
                for h in range(devices):
                    if (
                        h != g
                        and filled[h] < slot_start[h + 1]
                        and may_add(
                            other, h, allowed, copies, per_device, distinct, node, size, used, room
                        )
                    ):
                        table[filled[h]] = other
                        filled[h] += 1
                        copies[other, h] += 1
                        used[h] += size[other]
                        load[h] += piece[other]
                        load[g] -= piece[other]
                        filled[g] -= 1
                        table[slot] = table[filled[g]]
                        table[filled[g]] = -1
                        return g
            copies[other, g] += 1
            used[g] += size[other]
    return -1
