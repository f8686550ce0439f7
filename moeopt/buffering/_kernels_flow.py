"""The hot loop of the flows: successive shortest paths in a graph whose nodes are in order.

Plain arrays in and out; the same code runs with the JIT off.
"""

from __future__ import annotations

import numpy as np

from moeopt.core.jit import kernel


@kernel
def first_potentials(tail, head, cost, potential):
    """Fill the distances from node 0, arcs sorted by tail and leading to later nodes alone."""
    potential[:] = np.inf
    potential[0] = 0.0
    for arc in range(tail.size):
        reached = potential[tail[arc]] + cost[arc]
        if reached < potential[head[arc]]:
            potential[head[arc]] = reached


@kernel
def send(first, links, tail, head, cost, room, flow, potential, gains):
    """Send one unit after another from node 0 to the last node, each by the cheapest path left.

    ``links[first[v] : first[v + 1]]`` are the arcs at node `v`: arc `a` is ``a`` where it leaves
    and ``~a`` where it enters. `room` is each arc's capacity, `flow` what it carries, `potential`
    the distances from node 0 without flow. Writes what each unit saves into `gains` and returns
    how many were sent: none from the first on that saves no more than rounding, which is written.
    """
    nodes = first.size - 1
    distance = np.full(nodes, np.inf)
    came_by = np.empty(nodes, dtype=np.int64)
    done = np.zeros(nodes, dtype=np.bool_)
    touched = np.empty(nodes, dtype=np.int64)
    heap_key = np.empty(links.size + 1)
    heap_node = np.empty(links.size + 1, dtype=np.int64)
    last = nodes - 1
    for unit in range(gains.size):
        count = 0
        distance[0] = 0.0
        touched[0] = 0
        count = 1
        size = _push(heap_key, heap_node, 0, 0.0, 0)
        while size > 0:
            at = heap_key[0]
            node = heap_node[0]
            size = _pop(heap_key, heap_node, size)
            if done[node]:
                continue
            done[node] = True
            if node == last:
                break
            for k in range(first[node], first[node + 1]):
                arc = links[k]
                if arc >= 0:
                    if flow[arc] >= room[arc]:
                        continue
                    other = head[arc]
                    step = cost[arc] + potential[node] - potential[other]
                else:
                    if flow[~arc] <= 0:
                        continue
                    other = tail[~arc]
                    step = -cost[~arc] + potential[node] - potential[other]
                # Rounding alone makes a step negative.
                reached = at + max(step, 0.0)
                if not done[other] and reached < distance[other]:
                    if distance[other] == np.inf:
                        touched[count] = other
                        count += 1
                    distance[other] = reached
                    came_by[other] = arc
                    size = _push(heap_key, heap_node, size, reached, other)
        span = distance[last]
        for k in range(count):
            node = touched[k]
            if done[node]:
                potential[node] += distance[node] - span
            distance[node] = np.inf
            done[node] = False
        gain = potential[0] - potential[last]
        gains[unit] = max(gain, 0.0)
        # Less than rounding leaves of the largest price is nothing.
        if gain <= 1e-12 * abs(potential[0]):
            return unit
        node = last
        while node != 0:
            arc = came_by[node]
            if arc >= 0:
                flow[arc] += 1
                node = tail[arc]
            else:
                flow[~arc] -= 1
                node = head[~arc]
    return gains.size


@kernel
def _push(keys, nodes, size, key, node):
    """Put a node on the heap of `size` entries; returns the new size."""
    at = size
    while at > 0:
        above = (at - 1) >> 1
        if keys[above] <= key:
            break
        keys[at] = keys[above]
        nodes[at] = nodes[above]
        at = above
    keys[at] = key
    nodes[at] = node
    return size + 1


@kernel
def _pop(keys, nodes, size):
    """Take the first entry off the heap of `size` entries; returns the new size."""
    size -= 1
    key = keys[size]
    node = nodes[size]
    at = 0
    while True:
        below = 2 * at + 1
        if below >= size:
            break
        if below + 1 < size and keys[below + 1] < keys[below]:
            below += 1
        if keys[below] >= key:
            break
        keys[at] = keys[below]
        nodes[at] = nodes[below]
        at = below
    keys[at] = key
    nodes[at] = node
    return size
