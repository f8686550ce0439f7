"""Exact optimum of tiny plain layers by enumeration: replica counts, then packing.

Equal devices with equally many slots. Every count vector that could beat the incumbent is tried;
for two slots a device, pairing the largest piece with the smallest is optimal, else a branch and
bound packs. The same code runs with ``NUMBA_DISABLE_JIT=1``.
"""

from __future__ import annotations

import numpy as np

from moeopt.core.jit import kernel


@kernel
def sort_pieces(load, counts, slots, piece, owner):
    """Fill `piece` with all copies' loads, largest first, zeros (owner -1) for empty slots."""
    n = 0
    for e in range(len(load)):
        value = load[e] / counts[e]
        for _ in range(counts[e]):
            at = n
            while at > 0 and piece[at - 1] < value:
                piece[at] = piece[at - 1]
                owner[at] = owner[at - 1]
                at -= 1
            piece[at] = value
            owner[at] = e
            n += 1
    for at in range(n, slots):
        piece[at] = 0.0
        owner[at] = -1


@kernel
def fold(piece, owner, devices, per_device, place):
    """Pair largest with smallest; return the largest sum, and whether the rule on copies holds.

    For two slots a device the sum is optimal without that rule, and a bound with it.
    """
    top = 0.0
    valid = True
    for g in range(devices):
        i = g
        j = 2 * devices - 1 - g
        top = max(top, piece[i] + piece[j])
        valid = valid and (per_device != 1 or owner[i] < 0 or owner[i] != owner[j])
        place[i] = g
        place[j] = g
    return top, valid


@kernel
def pack_below(piece, owner, devices, width, per_device, limit, budget, place):
    """Pack pieces, `width` a device, with the largest load below `limit` and as low as possible.

    Depth first, largest piece first, devices of equal content tried once. Returns the largest
    load, ``inf`` if none is below `limit`; the best packing is left in `place`.
    ``budget[0]`` counts steps down; below 0 the answer is not proven.
    """
    n = len(piece)
    load = np.zeros(devices)
    count = np.zeros(devices, dtype=np.int64)
    choice = np.full(n, -1, dtype=np.int64)
    best = limit
    found = np.inf
    i = 0
    while i >= 0:
        g = choice[i]
        if g >= 0:
            load[g] -= piece[i]
            count[g] -= 1
        budget[0] -= 1
        if budget[0] < 0:
            return found
        chosen = -1
        for h in range(g + 1, devices):
            if count[h] == width or load[h] + piece[i] >= best:
                continue
            # Only the first empty device, and of equal copies only non-decreasing devices.
            if count[h] == 0 and h > 0 and count[h - 1] == 0:
                continue
            if i > 0 and owner[i] == owner[i - 1] and h < choice[i - 1]:
                continue
            if per_device > 0 and owner[i] >= 0:
                same = 0
                for k in range(i):
                    if owner[k] == owner[i] and choice[k] == h:
                        same += 1
                if same >= per_device:
                    continue
            chosen = h
            break
        choice[i] = chosen
        if chosen < 0:
            i -= 1
            continue
        load[chosen] += piece[i]
        count[chosen] += 1
        if i == n - 1:
            best = load.max()
            found = best
            place[:] = choice
        else:
            i += 1
    return found


@kernel
def enumerate_layer(
    load, devices, width, least, most, per_device, may_empty, lower, start, budget, table
):
    """Return the optimum of one layer, searching below the incumbent `start`.

    The optimal table is written only if it is better than `start`. ``budget[0]`` below 0 on
    return means that the optimum is not proven.
    """
    experts = len(load)
    slots = devices * width
    counts = np.empty(experts, dtype=np.int64)
    floor = np.empty(experts, dtype=np.int64)
    piece = np.empty(slots)
    owner = np.empty(slots, dtype=np.int64)
    place = np.empty(slots, dtype=np.int64)
    best = start
    e = 0
    used = 0
    descending = True
    while e >= 0:
        budget[0] -= 1
        if budget[0] < 0 or best <= lower * (1.0 + 1e-12):
            break
        if descending:
            # The fewest copies that keep the piece below the incumbent.
            floor[e] = least
            while floor[e] < most and load[e] / floor[e] >= best:
                floor[e] += 1
            counts[e] = floor[e]
            used += counts[e]
        else:
            counts[e] += 1
            used += 1
        rest = slots - used - (experts - 1 - e) * least
        over = counts[e] > most or rest < 0 or load[e] / counts[e] >= best
        if e == experts - 1 and not over and not may_empty:
            # The last expert takes all that is left.
            counts[e] += slots - used
            used = slots
            over = counts[e] > most
        if over:
            used -= counts[e]
            e -= 1
            descending = False
            continue
        if e < experts - 1:
            e += 1
            descending = True
            continue
        sort_pieces(load, counts, slots, piece, owner)
        value = np.inf
        if width == 2:
            value, valid = fold(piece, owner, devices, per_device, place)
            if value < best and not valid:
                value = pack_below(piece, owner, devices, width, per_device, best, budget, place)
        else:
            value = pack_below(piece, owner, devices, width, per_device, best, budget, place)
        if value < best:
            best = value
            filled = np.zeros(devices, dtype=np.int64)
            for k in range(slots):
                table[place[k] * width + filled[place[k]]] = owner[k]
                filled[place[k]] += 1
        if not may_empty:
            used -= counts[e]
            e -= 1
        descending = False
    return best


@kernel
def enumerate_layers(
    load, devices, width, least, most, per_device, may_empty, lower, steps, table, value, proven
):
    """Bring every layer's table and value to the optimum; tell where that is proven.

    ``table`` and ``value`` hold an incumbent at the start. At most `steps` steps a layer.
    """
    for layer in range(len(load)):
        budget = np.array([steps])
        value[layer] = enumerate_layer(
            load[layer],
            devices,
            width,
            least,
            most,
            per_device,
            may_empty,
            lower[layer],
            value[layer],
            budget,
            table[layer],
        )
        proven[layer] = budget[0] >= 0
