"""Hot loops over layers: nodes as blocks, groups spread over nodes, bounds.

The words are those of ``_kernels.py``; the same code runs with ``NUMBA_DISABLE_JIT=1``.
"""

from __future__ import annotations

import numpy as np

from moeopt.core.jit import kernel
from moeopt.placement._kernels import hottest, improve, pack, replicate


@kernel
def block_bound(load, slots, slow, least, most):
    """Return a load that no plan of the block can beat: its mean, and its largest piece."""
    speed = 0.0
    fastest = slow[0]
    for g in range(len(slow)):
        speed += 1.0 / slow[g]
        fastest = min(fastest, slow[g])
    counts = np.empty(len(load), dtype=np.int64)
    replicate(load, slots, least, np.full(len(load), most), counts)
    largest = 0.0
    for e in range(len(load)):
        largest = max(largest, load[e] / counts[e])
    return max(load.sum() / speed, largest * fastest)


@kernel
def solve_block(load, start, slow, least, most, per_device, may_empty, table, target, budget, seed):
    """Plan a block from scratch into `table`; return its largest load, ``inf`` if it failed.

    Starts from EPLB's own plan where the rules allow it, so that the result is never worse, and,
    with work to spend, from counts of at most one copy per device where EPLB makes more. With no
    work to spend the plan is EPLB's.
    """
    experts = len(load)
    devices = len(slow)
    counts = np.empty(experts, dtype=np.int64)
    copies = np.empty((experts, devices), dtype=np.int16)
    device_load = np.empty(devices)
    slots = start[devices]
    best = np.inf
    best_table = np.full_like(table, -1)
    capped = min(most, devices)
    started = 0
    for attempt in range(2):
        limit = most if attempt == 0 else capped
        if attempt == 1 and (budget[0] <= 0 or started <= capped or best <= target):
            break
        used = replicate(load, slots, least, np.full(experts, limit), counts)
        started = counts.max()
        fits = pack(load, counts, start, slow, per_device, table, copies, device_load)
        # The second start must not leave slots empty that the first one fills.
        short = used < slots and (attempt == 1 or not may_empty)
        if not fits or used > slots or short:
            continue
        value = device_load[hottest(device_load, slow)] * slow[hottest(device_load, slow)]
        if value > target and budget[0] > 0:
            # The first of two starts must not spend what the second needs.
            share = budget.copy()
            if attempt == 0 and started > capped:
                share[0] = budget[0] // 2
            budget[0] -= share[0]
            value = improve(
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
                share,
                seed,
            )
            budget[0] += share[0]
        if value < best:
            best = value
            best_table[:] = table
    table[:] = best_table
    return best


@kernel
def solve_layers(
    load,
    node_start,
    slot_start,
    slow,
    node_of_expert,
    least,
    most,
    per_device,
    may_empty,
    lower,
    budget_per_slot,
    tolerance,
    seed,
    table,
    value,
):
    """Plan every layer, node by node; ``value[layer]`` is its largest load over speed.

    The value is ``inf`` where no plan was found; the layer's row is then not one.

    Parameters
    ----------
    load
        ``(layers, experts)``.
    node_start
        First device of each node, and the number of devices: ``(nodes + 1,)``.
    slot_start
        First slot of each device, and the number of slots: ``(devices + 1,)``.
    slow
        One over the speed of each device.
    node_of_expert
        ``(layers, experts)``: each node is a block of its own.
    lower
        ``(layers,)``: a bound; within `tolerance` of it the search of a layer stops.
    budget_per_slot
        Work per slot of a block, in pairs of slots looked at.
    table
        Output, ``(layers, slots)``.
    """
    layers, experts = load.shape
    nodes = len(node_start) - 1
    for layer in range(layers):
        heat = np.zeros(nodes)
        for e in range(experts):
            heat[node_of_expert[layer, e]] += load[layer, e]
        target = lower[layer] * (1.0 + tolerance)
        top = 0.0
        for n in np.argsort(-heat, kind="mergesort"):
            ids = np.flatnonzero(node_of_expert[layer] == n)
            first = slot_start[node_start[n]]
            last = slot_start[node_start[n + 1]]
            start = slot_start[node_start[n] : node_start[n + 1] + 1] - first
            local = np.full(last - first, -1, dtype=np.int64)
            if len(ids) > 0:
                budget = np.array([budget_per_slot * (last - first)])
                limit = min(most, last - first)
                if per_device > 0:
                    limit = min(limit, per_device * (node_start[n + 1] - node_start[n]))
                # The layer is as hot as its hottest node: the others need not be better.
                reached = solve_block(
                    load[layer, ids],
                    start,
                    slow[node_start[n] : node_start[n + 1]],
                    least,
                    limit,
                    per_device,
                    may_empty,
                    local,
                    max(target, top),
                    budget,
                    seed + layer,
                )
                top = max(top, reached)
            elif last > first and not may_empty:
                top = np.inf
            for slot in range(last - first):
                table[layer, first + slot] = ids[local[slot]] if local[slot] >= 0 else -1
        value[layer] = top


@kernel
def partition_groups(
    load, groups, node_slots, node_slow, least, most, may_empty, node_of_group, lower
):
    """Spread groups over nodes so that the largest block bound is least (exact, by subsets).

    ``lower[layer]`` is that bound: no hierarchical plan of the layer can be below it. Unequal
    numbers of groups a node are allowed as far as the slots can hold them and, unless slots may
    stay empty, be filled by them. Where no spread fits, the bound is 0 and the spread is left as
    it was. Time and memory grow as ``2 ** groups``.

    Parameters
    ----------
    node_slow
        ``(nodes, devices of a node)``: one over the speed of each device.
    most
        ``(nodes,)``: most copies of an expert on each node.
    """
    layers, experts = load.shape
    nodes = len(node_slots)
    size = experts // groups
    masks = 1 << groups
    bound = np.empty((nodes, masks))
    best = np.empty((nodes + 1, masks))
    choice = np.zeros((nodes + 1, masks), dtype=np.int64)
    for layer in range(layers):
        for n in range(nodes):
            same = n > 0 and node_slots[n] == node_slots[n - 1]
            same = same and np.all(node_slow[n] == node_slow[n - 1])
            for mask in range(masks):
                if same:
                    bound[n, mask] = bound[n - 1, mask]
                    continue
                members = 0
                for k in range(groups):
                    members += (mask >> k) & 1
                fewest = 0 if may_empty else node_slots[n]
                most_held = members * size * most[n]
                if members * size * least > node_slots[n] or most_held < fewest:
                    bound[n, mask] = np.inf
                    continue
                chosen = np.empty(members * size)
                at = 0
                for k in range(groups):
                    if (mask >> k) & 1:
                        chosen[at : at + size] = load[layer, k * size : (k + 1) * size]
                        at += size
                bound[n, mask] = 0.0
                if members > 0:
                    bound[n, mask] = block_bound(
                        chosen, node_slots[n], node_slow[n], least, most[n]
                    )
        best[0, :] = np.inf
        best[0, 0] = 0.0
        for n in range(nodes):
            for mask in range(masks):
                best[n + 1, mask] = np.inf
                sub = mask
                while True:
                    value = max(bound[n, sub], best[n, mask ^ sub])
                    if value < best[n + 1, mask]:
                        best[n + 1, mask] = value
                        choice[n + 1, mask] = sub
                    if sub == 0:
                        break
                    sub = (sub - 1) & mask
        lower[layer] = best[nodes, masks - 1]
        if lower[layer] == np.inf:
            lower[layer] = 0.0
            continue
        mask = masks - 1
        for n in range(nodes, 0, -1):
            for k in range(groups):
                if (choice[n, mask] >> k) & 1:
                    node_of_group[layer, k] = n - 1
            mask ^= choice[n, mask]


@kernel
def pack_groups(load, groups, nodes, node_of_group):
    """Spread groups over nodes as EPLB does: LPT with equally many groups on each node."""
    layers, experts = load.shape
    size = experts // groups
    for layer in range(layers):
        heat = np.zeros(groups)
        for k in range(groups):
            heat[k] = load[layer, k * size : (k + 1) * size].sum()
        counts = np.ones(groups, dtype=np.int64)
        start = np.arange(nodes + 1) * (groups // nodes)
        table = np.empty(groups, dtype=np.int64)
        copies = np.empty((groups, nodes), dtype=np.int16)
        node_load = np.empty(nodes)
        pack(heat, counts, start, np.ones(nodes), 0, table, copies, node_load)
        for n in range(nodes):
            for slot in range(start[n], start[n + 1]):
                node_of_group[layer, table[slot]] = n


@kernel
def bound_layers(load, slots, slow, least, most, lower):
    """Write each layer's block bound, the whole cluster being one block, to ``lower[layer]``."""
    for layer in range(len(load)):
        lower[layer] = block_bound(load[layer], slots, slow, least, most)
