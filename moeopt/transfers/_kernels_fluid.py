"""Hot loops of the fluid simulator: flows that share ports max-min fairly.

A flow uses two ports, its sender's and its receiver's, each with the capacity 1: at the rate x
(bytes/s) it takes ``weight * x`` of each. Plain arrays only; the same code runs with
``NUMBA_DISABLE_JIT=1``.
"""

from __future__ import annotations

import numpy as np

from moeopt.core.jit import kernel

#: Times, and levels of rates, that are relatively closer than this are one.
SAME = 1e-12


@kernel
def link(node, port, head, after, before):
    """Put a flow's side on the list of its port; side ``k`` of flow ``f`` is ``2 * f + k``."""
    after[node] = head[port]
    before[node] = -1
    if head[port] >= 0:
        before[head[port]] = node
    head[port] = node


@kernel
def unlink(node, port, head, after, before):
    """Take a flow's side off the list of its port."""
    if before[node] >= 0:
        after[before[node]] = after[node]
    else:
        head[port] = after[node]
    if after[node] >= 0:
        before[after[node]] = before[node]


@kernel
def fair_rates(active, count, port, weight, receiver, senders, incast, head, after, rate):
    """Set ``rate[f]`` of the first `count` flows in `active`: progressive filling.

    All rates grow together; when a port is full, the flows on it stay as they are. A receiver
    with k senders has ``1 / (1 + incast * (k - 1))`` of its rate.

    Parameters
    ----------
    port, weight
        ``(flows, 2)``: the sender's and the receiver's.
    receiver, senders
        Which receiver a flow goes to, and how many active flows go to each receiver.
    head, after
        The lists of active flows on each port.
    """
    ports = len(head)
    room = np.ones(ports)
    load = np.zeros(ports)
    members = np.zeros(ports, dtype=np.int64)
    full = np.empty(ports, dtype=np.int64)
    for i in range(count):
        f = active[i]
        rate[f] = -1.0
        load[port[f, 0]] += weight[f, 0]
        load[port[f, 1]] += weight[f, 1] * (1.0 + incast * (senders[receiver[f]] - 1))
        members[port[f, 0]] += 1
        members[port[f, 1]] += 1
    whole = load.copy()
    open_flows = count
    reached = 0.0
    while open_flows > 0:
        level = np.inf
        for p in range(ports):
            if members[p] > 0:
                level = min(level, room[p] / load[p])
        # Levels never fall; rounding must not make them.
        level = max(level, reached)
        reached = level
        num_full = 0
        for p in range(ports):
            if members[p] > 0 and room[p] <= level * (1.0 + SAME) * load[p]:
                full[num_full] = p
                num_full += 1
        for k in range(num_full):
            node = head[full[k]]
            while node >= 0:
                f = node // 2
                node = after[node]
                if rate[f] >= 0.0:
                    continue
                rate[f] = level
                open_flows -= 1
                pull = weight[f, 0]
                for side in range(2):
                    if side == 1:
                        pull = weight[f, 1] * (1.0 + incast * (senders[receiver[f]] - 1))
                    p = port[f, side]
                    room[p] = max(0.0, room[p] - level * pull)
                    load[p] -= pull
                    members[p] -= 1
                    if members[p] > 0 and load[p] < 1e-3 * whole[p]:
                        # Most of the sum is gone: what is left is summed afresh.
                        load[p] = open_load(p, head, after, weight, receiver, senders, incast, rate)
                        whole[p] = load[p]


@kernel
def open_load(p, head, after, weight, receiver, senders, incast, rate):
    """Return what the flows on port `p` without a rate take of it, per byte/s."""
    total = 0.0
    node = head[p]
    while node >= 0:
        f = node // 2
        if rate[f] < 0.0:
            worse = 1.0
            if node % 2 == 1:
                worse = 1.0 + incast * (senders[receiver[f]] - 1)
            total += weight[f, node % 2] * worse
        node = after[node]
    return total


@kernel
def next_in_queue(q, queue_start, first, started, release, now):
    """Return the first flow of a queue that has not started and may, or -1; move ``first[q]``."""
    end = queue_start[q + 1]
    while first[q] < end and started[first[q]]:
        first[q] += 1
    for f in range(first[q], end):
        if not started[f] and release[f] <= now:
            return f
    return -1


@kernel
def simulate(
    size,
    startup,
    release,
    port,
    weight,
    receiver,
    num_ports,
    queue_start,
    releases,
    begin_s,
    incast,
    grain_s,
    piece_flow,
    piece_start,
    piece_duration,
    piece_size,
):
    """Serve every queue one flow at a time; return when all is over and the number of pieces.

    The pieces of a flow follow each other without a pause, each at one rate. Time is told in
    windows that end at events: of at least `grain_s`, at every release, and none while a flow
    that began in it still pays its start-up. In a window each flow has its mean rate, so that no
    port is above its capacity; without grain and start-ups windows are what lies between events.
    Pieces beyond the output's length are counted, not written.

    Parameters
    ----------
    size, startup, release
        ``(flows,)``: bytes; bytes of nothing that are sent before; when each may begin.
    port, weight, receiver
        As in `fair_rates`; ports are 0 to `num_ports` - 1.
    queue_start
        First flow of each queue, and the number of flows; flows are in order of service.
    releases
        The different releases after `begin_s`, ascending.
    """
    flows = len(size)
    queues = len(queue_start) - 1
    left = size + startup
    rate = np.zeros(flows)
    moved = np.zeros(flows)
    started = np.zeros(flows, dtype=np.bool_)
    first = queue_start[:-1].copy()
    queue = np.empty(flows, dtype=np.int64)
    for q in range(queues):
        queue[queue_start[q] : queue_start[q + 1]] = q
    head = np.full(num_ports, -1, dtype=np.int64)
    after = np.empty(2 * flows, dtype=np.int64)
    before = np.empty(2 * flows, dtype=np.int64)
    senders = np.zeros(num_ports, dtype=np.int64)
    active = np.empty(flows, dtype=np.int64)
    seen = np.empty(flows, dtype=np.int64)
    idle = np.arange(queues)
    open_start = np.zeros(flows)
    open_rate = np.full(flows, -1.0)
    open_bytes = np.zeros(flows)
    untold = size.copy()
    with_startups = startup.max() > 0.0 if flows > 0 else False
    count = 0
    num_seen = 0
    num_idle = queues
    coming = 0
    pieces = 0
    now = begin_s
    window = begin_s
    while True:
        i = 0
        while i < num_idle:
            q = idle[i]
            f = next_in_queue(q, queue_start, first, started, release, now)
            if f < 0 and first[q] < queue_start[q + 1]:
                i += 1
                continue
            num_idle -= 1
            idle[i] = idle[num_idle]
            if f >= 0:
                started[f] = True
                active[count] = f
                count += 1
                seen[num_seen] = f
                num_seen += 1
                senders[receiver[f]] += 1
                for side in range(2):
                    link(2 * f + side, port[f, side], head, after, before)
        while coming < len(releases) and releases[coming] <= now:
            coming += 1
        if count == 0:
            if coming == len(releases):
                break
            now = releases[coming]
            window = now
            continue
        fair_rates(active, count, port, weight, receiver, senders, incast, head, after, rate)
        step = np.inf
        for i in range(count):
            step = min(step, left[active[i]] / rate[active[i]])
        near = SAME * (now + step)
        until = now + max(step, near)
        is_release = coming < len(releases) and releases[coming] <= until
        if is_release:
            until = releases[coming]
        step = until - now
        now = until
        i = 0
        while i < count:
            f = active[i]
            if left[f] > rate[f] * (step + near):
                moved[f] += rate[f] * step
                left[f] -= rate[f] * step
                i += 1
                continue
            moved[f] += left[f]
            left[f] = 0.0
            count -= 1
            active[i] = active[count]
            senders[receiver[f]] -= 1
            idle[num_idle] = queue[f]
            num_idle += 1
            for side in range(2):
                unlink(2 * f + side, port[f, side], head, after, before)
        if count == 0 or is_release or now - window >= grain_s:
            if with_startups and not settled(seen, num_seen, left, open_rate, moved, startup):
                continue
            num_seen, pieces = close_window(
                window,
                now,
                seen,
                num_seen,
                left,
                moved,
                startup,
                open_start,
                open_rate,
                open_bytes,
                untold,
                pieces,
                piece_flow,
                piece_start,
                piece_duration,
                piece_size,
            )
            window = now
    return now, pieces


@kernel
def settled(seen, num_seen, left, open_rate, moved, startup):
    """Tell whether no flow that began in this window still pays its start-up."""
    for i in range(num_seen):
        f = seen[i]
        begins = left[f] > 0.0 and open_rate[f] < 0.0
        if begins and moved[f] <= startup[f] * (1.0 + 1e-9):
            return False
    return True


@kernel
def close_window(
    start,
    end,
    seen,
    num_seen,
    left,
    moved,
    startup,
    open_start,
    open_rate,
    open_bytes,
    untold,
    pieces,
    piece_flow,
    piece_start,
    piece_duration,
    piece_size,
):
    """Tell what each flow moved in a window; return how many go on, and the number of pieces.

    A flow's open piece grows as long as its rate stays, and is written when it changes or the flow
    ends. An open rate below 0 means that the flow has no piece yet: its first carries the start-up.
    """
    kept = 0
    for i in range(num_seen):
        f = seen[i]
        mean = moved[f] / (end - start)
        if abs(mean - open_rate[f]) > SAME * mean:
            if open_rate[f] < 0.0:
                open_bytes[f] = -startup[f]
            else:
                if pieces < len(piece_flow):
                    piece_flow[pieces] = f
                    piece_start[pieces] = open_start[f]
                    piece_duration[pieces] = start - open_start[f]
                    piece_size[pieces] = open_bytes[f]
                pieces += 1
                untold[f] -= open_bytes[f]
                open_bytes[f] = 0.0
            open_start[f] = start
            open_rate[f] = mean
        open_bytes[f] += moved[f]
        moved[f] = 0.0
        if left[f] > 0.0:
            seen[kept] = f
            kept += 1
            continue
        if pieces < len(piece_flow):
            piece_flow[pieces] = f
            piece_start[pieces] = open_start[f]
            piece_duration[pieces] = end - open_start[f]
            piece_size[pieces] = untold[f]
        pieces += 1
    return kept, pieces
