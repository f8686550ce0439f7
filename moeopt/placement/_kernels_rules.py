"""Hot loops for placement under every rule and objective: annealing of one layer.

The plain case has kernels of its own (``_kernels.py``), an order of magnitude faster; these here
carry rules and scenarios along. The same code runs with ``NUMBA_DISABLE_JIT=1``.

Rules come as arrays: ``allowed`` and ``pinned`` ``(experts, devices)``, ``most`` ``(experts,)``,
``node`` ``(devices,)``, ``size`` ``(experts,)`` bytes, ``room`` ``(devices,)`` bytes.
"""

from __future__ import annotations

import numpy as np

from moeopt.core.jit import kernel
from moeopt.placement._kernels import next_random


@kernel
def may_add(e, g, allowed, copies, per_device, distinct, node, size, used, room):
    """Tell whether one more copy of expert `e` may go to device `g`."""
    if not allowed[e, g] or (per_device > 0 and copies[e, g] >= per_device):
        return False
    if used[g] + size[e] > room[g]:
        return False
    if distinct:
        for other in range(len(node)):
            if node[other] == node[g] and copies[e, other] > 0:
                return False
    return True


@kernel
def join(largest, weight, kind, tail):
    """Join the largest loads of the scenarios: kind 0 their mean, 1 the maximum, 2 the tail mean.

    Kind 2 is the mean of the worst `tail` of the scenarios by weight, the last counted in part.
    """
    if kind == 1:
        return largest.max()
    if kind == 0:
        mean = 0.0
        for s in range(len(largest)):
            mean += weight[s] * largest[s]
        return mean
    left = tail
    mean = 0.0
    for s in np.argsort(-largest, kind="mergesort"):
        part = min(left, weight[s])
        mean += part * largest[s]
        left -= part
        if left <= 0.0:
            break
    return mean / (tail - max(left, 0.0))


@kernel
def survey(work, slow, largest, top, who):
    """Find the three hottest devices of each scenario and term, and the sum of the hottest.

    ``largest[s]`` becomes the sum over terms of ``max_g work[t, s, g] * slow[t, g]``; ``top`` and
    ``who``, ``(terms, scenarios, 3)``, the three largest values and their devices (-1: none).
    """
    terms, scenarios, devices = work.shape
    for s in range(scenarios):
        largest[s] = 0.0
        for t in range(terms):
            for k in range(3):
                top[t, s, k] = -1.0
                who[t, s, k] = -1
            for g in range(devices):
                value = work[t, s, g] * slow[t, g]
                if value <= top[t, s, 2]:
                    continue
                k = 2
                while k > 0 and value > top[t, s, k - 1]:
                    top[t, s, k] = top[t, s, k - 1]
                    who[t, s, k] = who[t, s, k - 1]
                    k -= 1
                top[t, s, k] = value
                who[t, s, k] = g
            largest[s] += top[t, s, 0]


@kernel
def peek(work, slow, top, who, h, g, largest):
    """Write to `largest` what `survey` would after devices `h` and `g` alone have changed."""
    for s in range(len(largest)):
        total = 0.0
        for t in range(len(work)):
            value = max(work[t, s, h] * slow[t, h], work[t, s, g] * slow[t, g])
            for k in range(3):
                # With two devices changed one of the three hottest has not.
                if who[t, s, k] != h and who[t, s, k] != g:
                    value = max(value, top[t, s, k])
                    break
            total += value
        largest[s] = total


@kernel
def put(slot, g, e, load, divide, table, copies, counts, device):
    """Let `slot` of device `g` hold expert `e` (-1: nothing); loads of all its copies follow."""
    scenarios, devices = device.shape
    for sign in range(2):
        x = table[slot] if sign == 0 else e
        if x < 0:
            continue
        before = counts[x]
        after = before - 1 if sign == 0 else before + 1
        if divide:
            for h in range(devices):
                c = copies[x, h]
                if c > 0:
                    for s in range(scenarios):
                        device[s, h] -= c * load[s, x] / before
        copies[x, g] += -1 if sign == 0 else 1
        counts[x] = after
        for h in range(devices):
            c = copies[x, h]
            if divide:
                if c > 0:
                    for s in range(scenarios):
                        device[s, h] += c * load[s, x] / after
            elif h == g:
                for s in range(scenarios):
                    device[s, h] += -load[s, x] if sign == 0 else load[s, x]
    table[slot] = e


@kernel
def exchange(i, h, j, g, load, divide, table, copies, counts, device):
    """Let slot `i` of device `h` and slot `j` of device `g` change their experts."""
    a = table[i]
    b = table[j]
    for s in range(len(device)):
        moved = 0.0
        if a >= 0:
            moved += load[s, a] / counts[a] if divide else load[s, a]
        if b >= 0:
            moved -= load[s, b] / counts[b] if divide else load[s, b]
        device[s, h] -= moved
        device[s, g] += moved
    if a >= 0:
        copies[a, h] -= 1
        copies[a, g] += 1
    if b >= 0:
        copies[b, g] -= 1
        copies[b, h] += 1
    table[i] = b
    table[j] = a


@kernel
def carry(first, last, table, slot_start, counts, load, busy, sends, leaves, stays, between):
    """Write to `busy` what the ports of devices `first` to `last` carry, the busier direction.

    Parameters
    ----------
    busy
        ``(scenarios, devices)``.
    sends, leaves, stays
        Tokens that a device sends whatever it holds, ``(scenarios, devices)``, that it sends with
        an expert, ``(scenarios, experts)``, and those of an expert that it would serve where they
        are, ``(scenarios, experts, devices)``.
    between
        Tokens from the device of each expert to each other expert, local if both sit on one
        device; ``(0, 0)`` for none.
    """
    for g in range(first, last + 1):
        for s in range(len(busy)):
            sent = sends[s, g]
            received = 0.0
            for slot in range(slot_start[g], slot_start[g + 1]):
                e = table[slot]
                if e >= 0:
                    local = stays[s, e, g]
                    if len(between) > 0:
                        for other in range(slot_start[g], slot_start[g + 1]):
                            if table[other] >= 0:
                                local += between[table[other], e] / counts[table[other]]
                    sent -= local / counts[e]
                    received -= local / counts[e]
                    sent += leaves[s, e] / counts[e]
                    received += load[s, e] / counts[e]
            busy[s, g] = max(sent, received)


@kernel
def away_tokens(mean, groups, node, nodes, copies, counts):
    """Return the tokens served outside the node that serves most of their group."""
    experts, devices = copies.shape
    members = experts // groups
    away = 0.0
    for k in range(groups):
        at = np.zeros(nodes)
        for e in range(k * members, (k + 1) * members):
            for g in range(devices):
                if copies[e, g] > 0:
                    at[node[g]] += mean[e] * copies[e, g] / counts[e]
        away += at.sum() - at.max()
    return away


@kernel
def arrive(g, copies, held, near, size, arrived, crossed):
    """Write to `arrived` and `crossed` what comes to device `g`, and what from other nodes."""
    arrived[g] = 0.0
    crossed[g] = 0.0
    for e in range(len(size)):
        if copies[e, g] > 0 and not held[e, g]:
            arrived[g] += size[e]
            if not near[e, g]:
                crossed[g] += size[e]


@kernel
def within(h, g, node, arrived, crossed, move_room, device_room, node_room):
    """Tell whether moved bytes keep their limits after devices `h` and `g` alone have changed."""
    if arrived[h] > device_room[h] or arrived[g] > device_room[g] or arrived.sum() > move_room:
        return False
    for device in (h, g):
        m = node[device]
        if node_room[m] < np.inf:
            total = 0.0
            for other in range(len(node)):
                if node[other] == m:
                    total += crossed[other]
            if total > node_room[m]:
                return False
    return True


@kernel
def anneal(
    load,
    weight,
    slow,
    kind,
    tail,
    divide,
    sends,
    leaves,
    stays,
    between,
    slot_start,
    allowed,
    pinned,
    per_device,
    least,
    most,
    distinct,
    node,
    nodes,
    size,
    room,
    may_empty,
    held,
    near,
    move_price,
    move_room,
    device_room,
    node_room,
    groups,
    cross_price,
    rounds,
    heat,
    seed,
    table,
):
    """Anneal one layer's table in place under every rule; return its objective, prices included.

    A step takes the hottest device of a random scenario and either exchanges one of its slots
    with a slot elsewhere or gives a slot to another expert. The table must be valid at the start;
    the best valid table seen is left in it.

    Parameters
    ----------
    load
        ``(scenarios, experts)``.
    slow
        ``(terms, devices)``: one over the rate at which a device does each term's work.
    divide
        Whether copies share a load (else every copy counts it whole).
    sends, leaves, stays, between
        Tokens in the network, as for `carry`; read if there are two terms, loads and ports.
    held, near
        ``(experts, devices)``: what each device holds before, and what a live one of its node does.
    move_price, move_room, device_room, node_room
        Price of a moved byte; most of them in all, at each device, and at each node from others.
    rounds, heat
        Steps, and the first temperature as a share of the objective.
    """
    scenarios, experts = load.shape
    devices = slow.shape[1]
    slots = slot_start[devices]
    state = np.array([1 + seed % 2147483646])
    for _ in range(3):
        next_random(state)
    device_of = np.empty(slots, dtype=np.int64)
    copies = np.zeros((experts, devices), dtype=np.int64)
    counts = np.zeros(experts, dtype=np.int64)
    # Loads; and, where seconds count, what the ports carry.
    work = np.zeros((len(slow), scenarios, devices))
    device = work[0]
    ports = len(slow) > 1
    network = (sends, leaves, stays, between)
    used = np.zeros(devices)
    for g in range(devices):
        for slot in range(slot_start[g], slot_start[g + 1]):
            device_of[slot] = g
            e = table[slot]
            table[slot] = -1
            if e >= 0:
                put(slot, g, e, load, divide, table, copies, counts, device)
                used[g] += size[e]
    mean = np.zeros(experts)
    for s in range(scenarios):
        mean += weight[s] * load[s]
    largest = np.empty(scenarios)
    trial = np.empty(scenarios)
    top = np.empty((len(slow), scenarios, 3))
    who = np.empty((len(slow), scenarios, 3), dtype=np.int64)
    if ports:
        carry(0, devices - 1, table, slot_start, counts, load, work[-1], *network)
    survey(work, slow, largest, top, who)
    now = join(largest, weight, kind, tail)
    if cross_price > 0.0:
        now += cross_price * away_tokens(mean, groups, node, nodes, copies, counts)
    arrived = np.zeros(devices)
    crossed = np.zeros(devices)
    limited = move_room < np.inf or device_room.min() < np.inf or node_room.min() < np.inf
    moves = move_price > 0.0 or limited
    if moves:
        for g in range(devices):
            arrive(g, copies, held, near, size, arrived, crossed)
        now += move_price * arrived.sum()
    best = now
    best_table = table.copy()
    spare = may_empty or slots > experts * least
    for step in range(rounds):
        temperature = heat * (1.0 - step / rounds) ** 2 * abs(best)
        s = int(next_random(state) * scenarios)
        if kind != 0 and next_random(state) < 0.8:
            s = int(np.argmax(largest))
        # The device that computes longest, or the one whose port is busiest.
        t = int(next_random(state) * len(slow)) if ports else 0
        h = who[t, s, 0] if next_random(state) < 0.9 else int(next_random(state) * devices)
        width = slot_start[h + 1] - slot_start[h]
        if width == 0:
            continue
        i = slot_start[h] + int(next_random(state) * width)
        a = table[i]
        a_stuck = a >= 0 and pinned[a, h] and copies[a, h] == 1
        recount = spare and next_random(state) < 0.3
        j = i
        g = h
        if recount:
            if next_random(state) < 0.5:
                # Cool the hot device by giving one of its experts a further copy elsewhere.
                j = int(next_random(state) * slots)
                g = device_of[j]
                b = a
                a = table[j]
                a_stuck = a >= 0 and pinned[a, g] and copies[a, g] == 1
            else:
                b = int(next_random(state) * (experts + 1)) - 1
                j = i
            if a == b or a_stuck or (a >= 0 and counts[a] <= least):
                continue
            if (b < 0 and not may_empty) or (b >= 0 and counts[b] >= most[b]):
                continue
            if a >= 0:
                copies[a, g] -= 1
                used[g] -= size[a]
            fits = b < 0 or may_add(
                b, g, allowed, copies, per_device, distinct, node, size, used, room
            )
            if a >= 0:
                copies[a, g] += 1
                used[g] += size[a]
            if not fits:
                continue
            put(j, g, b, load, divide, table, copies, counts, device)
        else:
            j = int(next_random(state) * slots)
            g = device_of[j]
            b = table[j]
            if g == h or a == b or a_stuck or (b >= 0 and pinned[b, g] and copies[b, g] == 1):
                continue
            if a >= 0:
                copies[a, h] -= 1
                used[h] -= size[a]
            if b >= 0:
                copies[b, g] -= 1
                used[g] -= size[b]
            fits = a < 0 or may_add(
                a, g, allowed, copies, per_device, distinct, node, size, used, room
            )
            fits = fits and (
                b < 0
                or may_add(b, h, allowed, copies, per_device, distinct, node, size, used, room)
            )
            if a >= 0:
                copies[a, h] += 1
                used[h] += size[a]
            if b >= 0:
                copies[b, g] += 1
                used[g] += size[b]
            if not fits:
                continue
            exchange(i, h, j, g, load, divide, table, copies, counts, device)
        if recount:
            # Every device with a copy of either expert has changed.
            if ports:
                carry(0, devices - 1, table, slot_start, counts, load, work[-1], *network)
            survey(work, slow, trial, top, who)
        else:
            if ports:
                carry(h, h, table, slot_start, counts, load, work[-1], *network)
                carry(g, g, table, slot_start, counts, load, work[-1], *network)
            peek(work, slow, top, who, h, g, trial)
        value = join(trial, weight, kind, tail)
        if cross_price > 0.0:
            value += cross_price * away_tokens(mean, groups, node, nodes, copies, counts)
        if moves:
            arrive(h, copies, held, near, size, arrived, crossed)
            arrive(g, copies, held, near, size, arrived, crossed)
            value += move_price * arrived.sum()
            if limited and not within(
                h, g, node, arrived, crossed, move_room, device_room, node_room
            ):
                value = np.inf
        chance = next_random(state)
        if value <= now or (temperature > 0.0 and chance < np.exp((now - value) / temperature)):
            now = value
            survey(work, slow, largest, top, who)
            if recount:
                if a >= 0:
                    used[g] -= size[a]
                if b >= 0:
                    used[g] += size[b]
            else:
                moved_size = (size[a] if a >= 0 else 0.0) - (size[b] if b >= 0 else 0.0)
                used[h] -= moved_size
                used[g] += moved_size
            if value < best * (1.0 - 1e-12):
                best = value
                best_table[:] = table
        else:
            if recount:
                put(j, g, a, load, divide, table, copies, counts, device)
            else:
                exchange(i, h, j, g, load, divide, table, copies, counts, device)
            if moves:
                arrive(h, copies, held, near, size, arrived, crossed)
                arrive(g, copies, held, near, size, arrived, crossed)
            if recount:
                if ports:
                    carry(0, devices - 1, table, slot_start, counts, load, work[-1], *network)
                survey(work, slow, largest, top, who)
            elif ports:
                carry(h, h, table, slot_start, counts, load, work[-1], *network)
                carry(g, g, table, slot_start, counts, load, work[-1], *network)
    table[:] = best_table
    return best
