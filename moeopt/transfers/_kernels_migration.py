"""Sources of moves by augmenting paths, and batches of flows by exchanging parts of two.

Plain arrays and scalars in and out, no Python objects; the same code runs with
``NUMBA_DISABLE_JIT=1`` and gives the same answers, and nothing depends on the clock.

``sources[first[m]:first[m + 1]]`` are the ranks that can send move `m`; ``chosen[m]`` is the one
that does. ``load`` is what each rank has to do, of all kinds that count.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from moeopt.core.jit import kernel

Array = Any

#: Sums of sizes must differ by this share of the largest load: below it is rounding.
_GAIN = 1e-9


@kernel
def choose_greedily(
    order: Array, first: Array, sources: Array, size: Array, load: Array, chosen: Array
) -> None:
    """Give each move, in `order`, the source with the least load so far."""
    for m in order:
        best = sources[first[m]]
        for i in range(first[m] + 1, first[m + 1]):
            if load[sources[i]] < load[best]:
                best = sources[i]
        chosen[m] = best
        load[best] += size[m]


@kernel
def level_equal(first: Array, sources: Array, load: Array, chosen: Array) -> int:
    """Change sources until the largest load is the least possible one, for moves of load 1.

    While a rank has more than the limit, a path of moves that change their source leads to a rank
    below the limit; where none does, the ranks that were reached have more among themselves than
    they may, and the limit was too low. It starts at a mean that nobody can beat.
    """
    ranks = len(load)
    moves = len(chosen)
    limit = -(-load.sum() // ranks)
    # What a rank has beside the moves stays with it.
    fixed = load.copy()
    for m in range(moves):
        fixed[chosen[m]] -= 1
    for r in range(ranks):
        limit = max(limit, fixed[r])
    head = np.empty(ranks, np.int64)
    following = np.empty(moves, np.int64)
    by = np.empty(ranks, np.int64)
    queue = np.empty(ranks, np.int64)
    while True:
        start = 0
        for r in range(ranks):
            if load[r] > load[start]:
                start = r
        if load[start] <= limit:
            return int(limit)
        for r in range(ranks):
            head[r] = -1
            by[r] = -2
        for m in range(moves):
            following[m] = head[chosen[m]]
            head[chosen[m]] = m
        by[start] = -1
        queue[0] = start
        length = 1
        at = 0
        end = -1
        while at < length and end < 0:
            m = head[queue[at]]
            at += 1
            while m >= 0 and end < 0:
                for i in range(first[m], first[m + 1]):
                    r = sources[i]
                    if by[r] == -2:
                        by[r] = m
                        queue[length] = r
                        length += 1
                        if load[r] < limit:
                            end = r
                            break
                m = following[m]
        if end < 0:
            limit += 1
            continue
        load[end] += 1
        while end != start:
            m = by[end]
            before = chosen[m]
            chosen[m] = end
            end = before
        load[start] -= 1


@kernel
def level_unequal(first: Array, sources: Array, size: Array, load: Array, chosen: Array) -> None:
    """Lower the largest load by moves that change their source, one or two at a time."""
    moves = len(chosen)
    while True:
        hot = np.argmax(load)
        top = load[hot] * (1.0 - _GAIN)
        least = top
        one, to, two, then = -1, -1, -1, -1
        for m in range(moves):
            if chosen[m] != hot:
                continue
            for i in range(first[m], first[m + 1]):
                r = sources[i]
                if r == hot:
                    continue
                after = load[r] + size[m]
                if max(after, load[hot] - size[m]) < least:
                    least = max(after, load[hot] - size[m])
                    one, to, two = m, r, -1
                for other in range(moves):
                    if chosen[other] != r:
                        continue
                    for j in range(first[other], first[other + 1]):
                        z = sources[j]
                        if z == r:
                            continue
                        own = load[hot] - size[m]
                        far = load[z] + size[other]
                        if z == hot:
                            own += size[other]
                            far = own
                        value = max(max(after - size[other], far), own)
                        if value < least:
                            least = value
                            one, to, two, then = m, r, other, z
        if one < 0:
            return
        load[hot] -= size[one]
        load[to] += size[one]
        chosen[one] = to
        if two >= 0:
            load[to] -= size[two]
            load[then] += size[two]
            chosen[two] = then


@kernel
def bundle(
    order: Array, end: Array, other: Array, weight: Array, limit: float, found: Array
) -> int:
    """Put moves of one pair into bundles of at most `limit`, first fit; return the bundles.

    `order` has the moves of a pair side by side, the largest first.
    """
    filled = np.empty(len(order))
    bundles = 0
    first = 0
    before = -1
    for m in order:
        if before < 0 or end[m] != end[before] or other[m] != other[before]:
            first = bundles
        before = m
        b = first
        while b < bundles and filled[b] + weight[m] > limit:
            b += 1
        if b == bundles:
            filled[b] = 0.0
            bundles += 1
        filled[b] += weight[m]
        found[m] = b
    return bundles


@kernel
def first_fit(end: Array, other: Array, table: Array, batch: Array) -> None:
    """Put each flow into the first batch in which both of its ends are free."""
    for f in range(len(batch)):
        c = 0
        while table[end[f], c] >= 0 or table[other[f], c] >= 0:
            c += 1
        batch[f] = c
        table[end[f], c] = f
        table[other[f], c] = f


@kernel
def _component(
    start: int, i: int, j: int, end: Array, other: Array, table: Array, seen: Array, found: Array
) -> int:
    """Collect the flows of the batches `i` and `j` that hang together with `start`."""
    found[0] = start
    seen[start] = True
    size = 1
    at = 0
    while at < size:
        f = found[at]
        at += 1
        for side in range(2):
            v = end[f] if side == 0 else other[f]
            for c in (i, j):
                g = table[v, c]
                if g >= 0 and not seen[g]:
                    seen[g] = True
                    found[size] = g
                    size += 1
    return size


@kernel
def _settle(
    i: int, j: int, joins: bool, swaps: bool, end: Array, other: Array, weight: Array,
    batch: Array, table: Array, into: Array, chain: Array,
) -> None:  # fmt: skip
    """Make one flow of a chain's two, in batch `i`; or let its two halves change batches."""
    if not joins and not swaps:
        return
    for x in chain:
        table[end[x], batch[x]] = -1
        table[other[x], batch[x]] = -1
    if joins:
        into[chain[1]] = chain[0]
        weight[chain[0]] += weight[chain[1]]
        batch[chain[0]] = i
        table[end[chain[0]], i] = chain[0]
        table[other[chain[0]], i] = chain[0]
        return
    for x in chain:
        batch[x] = i + j - batch[x]
        table[end[x], batch[x]] = x
        table[other[x], batch[x]] = x


@kernel
def _exchange(
    i: int, j: int, end: Array, other: Array, weight: Array, batch: Array, table: Array,
    into: Array, largest: Array, seen: Array, found: Array,
) -> bool:  # fmt: skip
    """Divide the flows of two batches again so that their largest sum to the least; tell if less.

    Flows that share no port go where they like, whole chains of those that do change places. The
    heavier half of each chain goes to `i`; of two flows of one pair both do, if they fit.
    """
    top = max(largest[i], largest[j])
    rest = 0.0
    # Twice over the chains: what it would come to, and then for good.
    for final in (False, True):
        for v in range(len(table)):
            for c in (i, j):
                if table[v, c] >= 0:
                    seen[table[v, c]] = False
        for v in range(len(table)):
            for c in (i, j):
                f = table[v, c]
                if f < 0 or seen[f]:
                    continue
                size = _component(f, i, j, end, other, table, seen, found)
                heavy_i, heavy_j = 0.0, 0.0
                for x in found[:size]:
                    if batch[x] == i:
                        heavy_i = max(heavy_i, weight[x])
                    else:
                        heavy_j = max(heavy_j, weight[x])
                one, two = found[0], found[size - 1]
                joins = size == 2 and end[one] == end[two] and other[one] == other[two]
                joins = joins and heavy_i + heavy_j <= top
                if final:
                    _settle(i, j, joins, heavy_j > heavy_i, end, other, weight, batch, table,
                            into, found[:size])  # fmt: skip
                elif not joins:
                    rest = max(rest, min(heavy_i, heavy_j))
        if top + rest >= (largest[i] + largest[j]) * (1.0 - _GAIN):
            return False
    largest[i] = top
    largest[j] = rest
    return True


@kernel
def exchange_until_done(
    end: Array, other: Array, weight: Array, batch: Array, table: Array, into: Array,
    largest: Array,
) -> None:  # fmt: skip
    """Exchange flows between any two batches until no pair gets cheaper.

    Parameters
    ----------
    end, other, weight
        Of each flow: its two vertices and its bytes.
    batch
        Of each flow.
    table
        ``(vertices, batches)``: the flow of a vertex in a batch, -1 for none.
    into
        The flow that each has become part of; itself at first.
    largest
        Largest weight of each batch.
    """
    seen = np.zeros(len(batch), np.bool_)
    found = np.empty(len(batch), np.int64)
    batches = len(largest)
    better = True
    while better:
        better = False
        for i in range(batches):
            for j in range(i + 1, batches):
                if (
                    largest[i] > 0
                    and largest[j] > 0
                    and _exchange(
                        i, j, end, other, weight, batch, table, into, largest, seen, found
                    )
                ):
                    better = True


@kernel
def merge_batches(end: Array, other: Array, batch: Array, vertices: int) -> None:
    """Join batches that no port forbids: where both use a port, it is for the same pair.

    The largest flow of the union is at most the two largest together, so nothing gets longer.
    `batch` is changed in place, and its numbers become consecutive.
    """
    batches = batch.max() + 1
    # What a vertex does in a batch: the pair, as one number.
    does = np.full((batches, vertices), -1, np.int64)
    for f in range(len(batch)):
        pair = end[f] * vertices + other[f]
        does[batch[f], end[f]] = pair
        does[batch[f], other[f]] = pair
    name = np.arange(batches)
    kept = 0
    for c in range(batches):
        home = -1
        for k in range(kept):
            fits = True
            for v in range(vertices):
                if does[c, v] >= 0 and does[k, v] >= 0 and does[c, v] != does[k, v]:
                    fits = False
                    break
            if fits:
                home = k
                break
        if home < 0:
            home = kept
            kept += 1
            for v in range(vertices):
                does[home, v] = does[c, v]
        else:
            for v in range(vertices):
                if does[c, v] >= 0:
                    does[home, v] = does[c, v]
        name[c] = home
    for f in range(len(batch)):
        batch[f] = name[batch[f]]
