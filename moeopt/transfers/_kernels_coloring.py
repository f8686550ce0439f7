"""Edge colouring of multigraphs by alternating paths: each colour is a slot of a schedule.

Plain arrays and scalars in and out, no Python objects; the same code runs with
``NUMBA_DISABLE_JIT=1`` and gives the same colours, and nothing depends on the clock.

Vertices are ports: the sending and the receiving side of a port are two vertices where it may do
both at once (a bipartite graph), and one where it may not. ``partner[v, c]`` is the vertex that
`v` meets in slot `c`, -1 for none. ``free[v]`` are the slots in which `v` meets nobody, as bits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from moeopt.core.jit import kernel

Array = Any

#: Slots to a word of `free`; two bits of an int64 stay unused, so that no sign gets in the way.
BITS = 62
#: Paths that are looked at for one edge before others are flipped at random.
_MOST_PATHS = 64
_MODULUS = 2147483647
_MULTIPLIER = 48271


@kernel
def next_random(state: Array, below: int) -> int:
    """Advance the Lehmer generator in ``state[0]``; return a whole number from 0 to `below` - 1."""
    state[0] = (state[0] * _MULTIPLIER) % _MODULUS
    return int(state[0] % below)


@kernel
def _lowest(bits: int) -> int:
    """Return the place of the lowest bit of a positive number."""
    return int(math.frexp(float(bits & -bits))[1]) - 1


@kernel
def _toggle(free: Array, vertex: int, slot: int) -> None:
    free[vertex, slot // BITS] ^= 1 << (slot % BITS)


@kernel
def _common(free: Array, u: int, v: int, word: int) -> int:
    """Return the first slot from `word` on in which both are free, -1 if there is none."""
    for w in range(word, free.shape[1]):
        both = free[u, w] & free[v, w]
        if both != 0:
            return int(w * BITS + _lowest(both))
    return -1


@kernel
def _any_free(free: Array, vertex: int, word: int) -> int:
    """Return the first free slot of `vertex` at or after `word`, round the end; -1 if none."""
    words = free.shape[1]
    for i in range(words):
        w = (word + i) % words
        if free[vertex, w] != 0:
            return int(w * BITS + _lowest(free[vertex, w]))
    return -1


@kernel
def _random_free(free: Array, vertex: int, state: Array) -> int:
    """Return a free slot of `vertex` chosen at random; -1 if there is none."""
    seen = 0
    found = -1
    for w in range(free.shape[1]):
        bits = free[vertex, w]
        while bits != 0:
            seen += 1
            if next_random(state, seen) == 0:
                found = w * BITS + _lowest(bits)
            bits &= bits - 1
    return found


@kernel
def _path_end(partner: Array, start: int, a: int, b: int) -> int:
    """Return where the path ends that leaves `start` in slot `a` and alternates with `b`."""
    x = start
    slot = a
    while partner[x, slot] >= 0:
        x = partner[x, slot]
        slot = b if slot == a else a
    return int(x)


@kernel
def _flip(partner: Array, free: Array, start: int, a: int, b: int) -> None:
    """Exchange the slots `a` and `b` along the path that leaves `start` in slot `a`.

    `start` must be free in `b`, so that it is an end of the path.
    """
    x = start
    slot = a
    while x >= 0:
        following = partner[x, slot]
        partner[x, a], partner[x, b] = partner[x, b], partner[x, a]
        if partner[x, a] < 0 or partner[x, b] < 0:
            _toggle(free, x, a)
            _toggle(free, x, b)
        x = following
        slot = b if slot == a else a


@kernel
def _join(partner: Array, free: Array, u: int, v: int, slot: int) -> None:
    partner[u, slot] = v
    partner[v, slot] = u
    _toggle(free, u, slot)
    _toggle(free, v, slot)


@kernel
def _part(partner: Array, free: Array, u: int, v: int, slot: int) -> None:
    partner[u, slot] = -1
    partner[v, slot] = -1
    _toggle(free, u, slot)
    _toggle(free, v, slot)


@kernel
def _by_any_path(partner: Array, free: Array, u: int, v: int) -> bool:
    """Give the edge a slot by flipping one path, any that helps; tell whether there was one."""
    paths = 0
    for w in range(free.shape[1]):
        bits = free[u, w]
        while bits != 0:
            a = w * BITS + _lowest(bits)
            bits &= bits - 1
            for x in range(free.shape[1]):
                others = free[v, x]
                while others != 0:
                    b = x * BITS + _lowest(others)
                    others &= others - 1
                    paths += 1
                    if paths > _MOST_PATHS:
                        return False
                    if _path_end(partner, v, a, b) != u:
                        _flip(partner, free, v, a, b)
                        _join(partner, free, u, v, a)
                        return True
    return False


@kernel
def _wander(
    partner: Array, free: Array, slots: int, u: int, v: int, budget: Array, state: Array
) -> bool:
    """Colour one more edge where no single path does: flip others at random, or shift the edge.

    At most ``budget[0]`` steps, and ``budget[1]`` over all edges. On failure the edge that is
    left without a slot joins ``state[1]`` and ``state[2]``.
    """
    for _ in range(min(budget[0], budget[1])):
        budget[1] -= 1
        if next_random(state, 2) == 0:
            u, v = v, u
        if next_random(state, 2) == 0:
            a = _random_free(free, u, state)
            c = next_random(state, slots)
            if partner[u, c] >= 0:
                _flip(partner, free, u, c, a)
        else:
            b = _random_free(free, v, state)
            w = partner[u, b]
            if w >= 0:
                _part(partner, free, u, w, b)
                _join(partner, free, u, v, b)
                v = w
        slot = _common(free, u, v, 0)
        if slot >= 0:
            _join(partner, free, u, v, slot)
            return True
        if _by_any_path(partner, free, u, v):
            return True
    state[1] = u
    state[2] = v
    return False


@kernel
def colour(
    end: Array, other: Array, count: Array, slots: int, budget: Array, state: Array,
    partner: Array, free: Array,
) -> int:  # fmt: skip
    """Give every edge a slot such that no two at a vertex share one; return the slots used.

    König: in a bipartite graph with at least as many slots as edges at any vertex one path always
    suffices. In other graphs it may not; then edges wander, and in the end a slot is added. So it
    is where a vertex has none left: with edges given by weight the early slots get the heavy ones.

    Parameters
    ----------
    end, other, count
        ``count[i]`` parallel edges join ``end[i]`` and ``other[i]``.
    slots
        To begin with.
    budget
        Shape ``(2,)``: most random steps for one edge, and for all; the second is spent.
    state
        Shape ``(3,)``: the first entry is that of the random numbers, the others are room.
    partner
        Output, ``(vertices, most slots)``, all -1.
    free
        Output, ``(vertices, words)``: the first `slots` slots of all vertices.
    """
    vertices = partner.shape[0]
    for i in range(len(end)):
        u = end[i]
        v = other[i]
        # While no edge wanders, the free slots of u and v only get fewer: no word is read twice.
        word = 0
        word_u = 0
        word_v = 0
        for _ in range(count[i]):
            slot = _common(free, u, v, word)
            if slot >= 0:
                word = slot // BITS
                _join(partner, free, u, v, slot)
                continue
            word = free.shape[1]
            a = _any_free(free, u, word_u)
            b = _any_free(free, v, word_v)
            state[1] = u
            state[2] = v
            if a >= 0 and b >= 0:
                word_u = a // BITS
                word_v = b // BITS
                if _path_end(partner, v, a, b) != u:
                    _flip(partner, free, v, a, b)
                    _join(partner, free, u, v, a)
                    continue
                word = 0
                if _by_any_path(partner, free, u, v):
                    continue
                if _wander(partner, free, slots, u, v, budget, state):
                    continue
            for x in range(vertices):
                _toggle(free, x, slots)
            _join(partner, free, state[1], state[2], slots)
            slots += 1
            word = 0
    return int(slots)


@kernel
def odd_set_density(weight: Array) -> float:
    """Return the largest weight inside an odd set of vertices over half of the others of the set.

    A slot has at most ``(|S| - 1) / 2`` edges inside an odd set S, so no colouring, and no order
    of one peer at a time, takes fewer slots than this. Looked at: all sets of three, the best of
    them grown by two vertices at a time, and what is left as vertices of least weight are taken
    off one by one. It is a bound whether or not the densest set is among them.

    Parameters
    ----------
    weight
        Symmetric, ``(vertices, vertices)``, diagonal 0.
    """
    n = weight.shape[0]
    inside = np.zeros(n, np.bool_)
    most = 0.0
    best = np.zeros(3, np.int64)
    for i in range(n):
        for j in range(i + 1, n):
            for k in range(j + 1, n):
                total = weight[i, j] + weight[i, k] + weight[j, k]
                if total > most:
                    most = total
                    best[0], best[1], best[2] = i, j, k
    if most == 0.0:
        return 0.0
    # To each vertex: the weight of its edges into the set.
    into = np.zeros(n)
    for corner in best:
        inside[corner] = True
        for j in range(n):
            into[j] += weight[corner, j]
    total = most
    for size in range(4, n + 1):
        chosen = -1
        for i in range(n):
            if not inside[i] and (chosen < 0 or into[i] > into[chosen]):
                chosen = i
        total += into[chosen]
        inside[chosen] = True
        for j in range(n):
            into[j] += weight[chosen, j]
        if size % 2 == 1:
            most = max(most, total / (size // 2))
    for size in range(n, 3, -1):
        if size % 2 == 1:
            most = max(most, total / (size // 2))
        chosen = -1
        for i in range(n):
            if inside[i] and (chosen < 0 or into[i] < into[chosen]):
                chosen = i
        total -= into[chosen]
        inside[chosen] = False
        for j in range(n):
            into[j] -= weight[chosen, j]
    return most


@kernel
def earliest(
    source: Array, destination: Array, duration: Array, shared: bool, ports: int, start: Array
) -> None:
    """Start transmissions as early as their ports are free, in the order given.

    Parameters
    ----------
    shared
        Whether a port's two directions exclude each other.
    start
        Output, seconds.
    """
    free = np.zeros((2, ports))
    other = 0 if shared else 1
    for i in range(len(source)):
        start[i] = max(free[0, source[i]], free[other, destination[i]])
        free[0, source[i]] = start[i] + duration[i]
        free[other, destination[i]] = start[i] + duration[i]
