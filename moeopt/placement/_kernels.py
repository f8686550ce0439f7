"""Hot loops of one block: replica counts, packing, swap descent, iterated local search.

Plain arrays and scalars in and out, no Python objects.

The same code runs with ``NUMBA_DISABLE_JIT=1`` and gives the same plans: sorts are stable, random
numbers come from an integer generator that cannot overflow, and nothing depends on the clock.

A *block* is a set of devices and the experts that must sit on them: a whole layer, or one node of
a hierarchical layer. Its slots are device-major; ``start[g]:start[g + 1]`` are those of device g.
Loads are divided by speed where devices are compared: ``load[g] * slow[g]``.
"""

from __future__ import annotations

import numpy as np

from moeopt.core.jit import kernel

#: Moves must gain at least this share of the hottest device's load: below it is rounding.
_GAIN = 1e-9
_MODULUS = 2147483647
_MULTIPLIER = 48271


@kernel
def next_random(state):
    """Advance the Lehmer generator in ``state[0]`` and return a float in [0, 1)."""
    state[0] = (state[0] * _MULTIPLIER) % _MODULUS
    return state[0] / _MODULUS


@kernel
def replicate(load, slots, least, most, counts):
    """Give spare slots one by one to the expert with the largest piece; return the slots used.

    ``most[e]`` caps the copies of expert e. This greedy rule (DeepSeek's EPLB) minimises the
    largest piece ``load / counts``.
    """
    experts = len(load)
    piece = np.empty(experts)
    for e in range(experts):
        counts[e] = least
        piece[e] = load[e] / least
    used = experts * least
    while used < slots:
        best = -1
        largest = -1.0
        for e in range(experts):
            if piece[e] > largest and counts[e] < most[e]:
                largest = piece[e]
                best = e
        if best < 0:
            break
        counts[best] += 1
        piece[best] = load[best] / counts[best]
        used += 1
    return used


@kernel
def pack(load, counts, start, slow, per_device, table, copies, device_load):
    """Place copies, largest first, on the least loaded device with room (LPT); tell if all fit.

    At most `per_device` copies of one expert go to one device (0: any number).
    """
    experts = len(load)
    devices = len(slow)
    piece = load / np.maximum(counts, 1)
    order = np.argsort(-piece, kind="mergesort")
    filled = start[:devices].copy()
    table[:] = -1
    copies[:, :] = 0
    device_load[:] = 0.0
    for rank in range(experts):
        e = order[rank]
        for _ in range(counts[e]):
            best = -1
            least = np.inf
            for g in range(devices):
                if filled[g] < start[g + 1] and (per_device == 0 or copies[e, g] < per_device):
                    value = (device_load[g] + piece[e]) * slow[g]
                    if value < least:
                        least = value
                        best = g
            if best < 0:
                best = make_room(e, piece, start, filled, per_device, table, copies, device_load)
                if best < 0:
                    return False
            table[filled[best]] = e
            filled[best] += 1
            copies[e, best] += 1
            device_load[best] += piece[e]
    return True


@kernel
def make_room(e, piece, start, filled, per_device, table, copies, device_load):
    """Free a slot for expert `e` by moving another to a device with room; -1 if impossible."""
    devices = len(filled)
    for room in range(devices):
        if filled[room] == start[room + 1]:
            continue
        for g in range(devices):
            if g == room or copies[e, g] >= per_device:
                continue
            for slot in range(start[g], filled[g]):
                other = table[slot]
                if copies[other, room] < per_device:
                    table[filled[room]] = other
                    filled[room] += 1
                    copies[other, room] += 1
                    device_load[room] += piece[other]
                    copies[other, g] -= 1
                    device_load[g] -= piece[other]
                    filled[g] -= 1
                    table[slot] = table[filled[g]]
                    table[filled[g]] = -1
                    return g
    return -1


@kernel
def hottest(device_load, slow):
    """Return the device with the largest load over speed."""
    best = 0
    value = device_load[0] * slow[0]
    for g in range(1, len(slow)):
        if device_load[g] * slow[g] > value:
            value = device_load[g] * slow[g]
            best = g
    return best


@kernel
def descend(piece, start, slow, per_device, table, copies, device_load, target, budget):
    """Swap slots of the hottest device with any other while that lowers both; return the maximum.

    The best swap is taken each time, the one with the lowest larger load of the two devices.
    Stops at `target`, or when ``budget[0]``, which counts the pairs of slots looked at, is used up.
    """
    devices = len(slow)
    while True:
        h = hottest(device_load, slow)
        top = device_load[h] * slow[h]
        if top <= target or budget[0] <= 0:
            return top
        best = top * (1.0 - _GAIN)
        best_i = -1
        best_j = -1
        best_g = -1
        for g in range(devices):
            if g == h:
                continue
            # A swap that helps must move less than this from h to g.
            room = best / slow[g] - device_load[g]
            if room <= 0.0:
                continue
            budget[0] -= (start[h + 1] - start[h]) * (start[g + 1] - start[g])
            for i in range(start[h], start[h + 1]):
                a = table[i]
                if a < 0:
                    continue
                p = piece[a]
                if p <= 0.0:
                    continue
                for j in range(start[g], start[g + 1]):
                    b = table[j]
                    moved = p if b < 0 else p - piece[b]
                    if moved <= 0.0 or moved >= room:
                        continue
                    value = max(
                        (device_load[h] - moved) * slow[h], (device_load[g] + moved) * slow[g]
                    )
                    if value >= best:
                        continue
                    if per_device > 0 and (
                        copies[a, g] >= per_device or (b >= 0 and copies[b, h] >= per_device)
                    ):
                        continue
                    best = value
                    best_i, best_j, best_g = i, j, g
                    room = best / slow[g] - device_load[g]
        if best_i < 0:
            return top
        swap(best_i, best_j, h, best_g, piece, table, copies, device_load)


@kernel
def swap(i, j, h, g, piece, table, copies, device_load):
    """Exchange slot `i` of device `h` with slot `j` of device `g`; either may be empty."""
    a = table[i]
    b = table[j]
    if a >= 0:
        copies[a, h] -= 1
        copies[a, g] += 1
        device_load[h] -= piece[a]
        device_load[g] += piece[a]
    if b >= 0:
        copies[b, g] -= 1
        copies[b, h] += 1
        device_load[g] -= piece[b]
        device_load[h] += piece[b]
    table[i] = b
    table[j] = a


@kernel
def recount(a, b, load, counts, piece, start, per_device, table, copies, device_load, state):
    """Turn one copy of expert `a` into a copy of `b`, in a random slot where that is allowed."""
    devices = len(device_load)
    slots = start[devices]
    chosen = -1
    where = -1
    offset = int(next_random(state) * slots)
    for step in range(slots):
        slot = offset + step
        if slot >= slots:
            slot -= slots
        if table[slot] != a:
            continue
        g = int(np.searchsorted(start, slot, side="right")) - 1
        if per_device == 0 or copies[b, g] < per_device:
            chosen = slot
            where = g
            break
    if chosen < 0:
        return False
    table[chosen] = b
    copies[a, where] -= 1
    copies[b, where] += 1
    counts[a] -= 1
    counts[b] += 1
    new_a = load[a] / counts[a]
    new_b = load[b] / counts[b]
    for g in range(devices):
        gone = 1 if g == where else 0
        device_load[g] += copies[a, g] * (new_a - piece[a]) - gone * piece[a]
        device_load[g] += copies[b, g] * (new_b - piece[b]) + gone * piece[b]
    piece[a] = new_a
    piece[b] = new_b
    return True


@kernel
def perturb(
    load, least, most, counts, piece, start, slow, per_device, table, copies, device_load, state
):
    """Change replica counts at random, with a preference for large pieces to grow in number."""
    experts = len(load)
    slots = start[len(slow)]
    changes = 1 if next_random(state) < 0.6 else 2
    for _ in range(changes):
        a = -1
        offset = int(next_random(state) * slots)
        for step in range(slots):
            slot = offset + step
            if slot >= slots:
                slot -= slots
            e = table[slot]
            if e >= 0 and counts[e] > least:
                a = e
                break
        if a < 0:
            break
        b = -1
        rounds = 1 + int(next_random(state) * 11)
        for _ in range(rounds):
            e = int(next_random(state) * experts)
            if e != a and counts[e] < most and (b < 0 or piece[e] > piece[b]):
                b = e
        if b >= 0:
            recount(a, b, load, counts, piece, start, per_device, table, copies, device_load, state)


@kernel
def shuffle(count, piece, start, per_device, table, copies, device_load, state):
    """Make up to `count` random swaps between devices."""
    devices = len(device_load)
    slots = start[devices]
    for _ in range(count):
        i = int(next_random(state) * slots)
        j = int(next_random(state) * slots)
        h = np.searchsorted(start, i, side="right") - 1
        g = np.searchsorted(start, j, side="right") - 1
        if h == g:
            continue
        a = table[i]
        b = table[j]
        if per_device > 0 and (
            (a >= 0 and copies[a, g] >= per_device) or (b >= 0 and copies[b, h] >= per_device)
        ):
            continue
        swap(i, j, h, g, piece, table, copies, device_load)


@kernel
def improve(
    load,
    start,
    slow,
    least,
    most,
    per_device,
    table,
    copies,
    device_load,
    counts,
    target,
    budget,
    seed,
):
    """Improve a block's plan by recounts, repacking and swap descent; return its largest load.

    Iterated local search: perturb the replica counts, then repack from scratch or shuffle a
    little, then descend; a worse plan is accepted now and then (simulated annealing at a fixed,
    low temperature). The best plan seen is the one left in the arrays.
    """
    state = np.array([1 + seed % (_MODULUS - 1)])
    for _ in range(3):
        next_random(state)
    piece = load / np.maximum(counts, 1)
    now = descend(piece, start, slow, per_device, table, copies, device_load, target, budget)
    best = now
    pack_work = start[len(slow)] * len(slow)
    if best <= target or budget[0] < pack_work:
        return best
    best_table, best_copies, best_load = table.copy(), copies.copy(), device_load.copy()
    best_counts = counts.copy()
    now_table, now_copies, now_load = table.copy(), copies.copy(), device_load.copy()
    now_counts = counts.copy()
    while best > target and budget[0] > 0:
        perturb(
            load,
            least,
            most,
            counts,
            piece,
            start,
            slow,
            per_device,
            table,
            copies,
            device_load,
            state,
        )
        fits = True
        if next_random(state) < 0.5:
            budget[0] -= pack_work
            fits = pack(load, counts, start, slow, per_device, table, copies, device_load)
        else:
            shuffle(
                int(next_random(state) * 4),
                piece,
                start,
                per_device,
                table,
                copies,
                device_load,
                state,
            )
        value = np.inf
        if fits:
            value = descend(
                piece, start, slow, per_device, table, copies, device_load, target, budget
            )
        # What every round costs beside packing and descending, in the same unit.
        budget[0] -= 400 + pack_work // 4
        chance = np.exp(min(0.0, (now - value) / (0.002 * best))) if best > 0.0 else 0.0
        if value <= now or next_random(state) < chance:
            now = value
            now_table[:] = table
            now_copies[:, :] = copies
            now_load[:] = device_load
            now_counts[:] = counts
            if value < best:
                best = value
                best_table[:] = table
                best_copies[:, :] = copies
                best_load[:] = device_load
                best_counts[:] = counts
        else:
            table[:] = now_table
            copies[:, :] = now_copies
            device_load[:] = now_load
            counts[:] = now_counts
            piece[:] = load / np.maximum(counts, 1)
    table[:] = best_table
    copies[:, :] = best_copies
    device_load[:] = best_load
    counts[:] = best_counts
    return best
