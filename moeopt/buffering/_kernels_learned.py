"""The hot loops of the learned policy: what it observes, what it expects, whom it drops.

Plain arrays in and out; the same code runs with the JIT off. State of one layer is a row of each
array:

========= ============================= =======================================================
`share`   ``(layers, experts, rates)``  how often each expert was active, forgotten at each rate
`count`   ``(layers, experts)``         how often it was active in all
`follow`  ``(layers, fades, experts,    how often the second was active after the first, later
          experts)``                    ones counting less by each fade
`after`   ``(layers, fades, experts)``  what `follow` is divided by
`echo`    ``(layers, fades, experts)``  how recently each was active, faded
`sight`   ``(layers, experts,           the features of each expert at the layer's last group
          features)``
`value`   ``(items,)``                  what is expected of each: 1 at once, less the later
========= ============================= =======================================================
"""

from __future__ import annotations

import numpy as np

from moeopt.core.jit import kernel

#: Loads that references must have paid for, within the groups that count, to be worth one.
WINDOW = 50.0

#: What every pair of experts is taken to have been seen together before the first group.
PRIOR = 0.1

#: A fading share or echo below is none: it would come to numbers so small that processors are slow
#: with them, and never to 0.
GONE = 1e-100

#: Least and most patience: what a use one group later counts.
PATIENCE = (0.2, 0.95)


@kernel
def expect(
    layer, active, before, rates, fades, share, count, follow, after, echo, sight, value,
    weight, slope, seen, fits, rate,
):  # fmt: skip
    """Take in a group of one layer, and write what is now expected of the layer's experts.

    `active` are the experts of the group, `before` those of the layer's last one. `weight` maps
    features to expectations and is learned by temporal differences: what was expected at the last
    group should have been 1 for those active now, and `patience_of` the layer times what is
    expected now for the others.
    """
    experts = count.shape[1]
    features = sight.shape[2]
    hot = np.zeros(experts, dtype=np.bool_)
    for expert in active:
        hot[expert] = True
    if after[layer, 0, 0] == 0.0 and active.size > 0:
        after[layer] = PRIOR * experts / active.size
    for f in range(fades.size):
        for expert in range(experts):
            echo[layer, f, expert] = faded(echo[layer, f, expert], fades[f])
        for expert in before:
            echo[layer, f, expert] += 1.0
        for expert in range(experts):
            felt = echo[layer, f, expert]
            if felt > 1e-3:
                for other in active:
                    follow[layer, f, expert, other] += felt
                after[layer, f, expert] += felt
    for expert in range(experts):
        for r in range(rates.size):
            share[layer, expert, r] = faded(share[layer, expert, r], rates[r])
            if hot[expert]:
                share[layer, expert, r] += 1.0 - rates[r]
        if hot[expert]:
            count[layer, expert] += 1.0
    seen[layer] += 1.0
    patience = patience_of(layer, count, seen, fits)
    # Summed along rows: the inner loop runs over neighbours in memory.
    follows = np.zeros((fades.size, experts))
    for f in range(fades.size):
        for one in active:
            part = 1.0 / (after[layer, f, one] * active.size)
            row = follow[layer, f, one]
            for expert in range(experts):
                follows[f, expert] += part * row[expert]
    new = np.empty(features)
    for expert in range(experts):
        for r in range(rates.size):
            new[r] = share[layer, expert, r]
        new[rates.size] = count[layer, expert] / seen[layer]
        for f in range(fades.size):
            new[rates.size + 1 + f] = follows[f, expert]
        new[features - 1] = active.size / experts
        now = 0.0
        was = 0.0
        for k in range(features):
            now += weight[k] * new[k]
            was += weight[k] * sight[layer, expert, k]
        if seen[layer] > 1.0:
            wrong = (1.0 if hot[expert] else patience * now) - was
            for k in range(features):
                step = wrong * sight[layer, expert, k]
                slope[k] += step * step
                weight[k] += rate * step / np.sqrt(slope[k])
        sight[layer, expert, :] = new
    for expert in range(experts):
        total = 0.0
        for k in range(features):
            total += weight[k] * sight[layer, expert, k]
        value[layer * experts + expert] = total


@kernel
def faded(value, kept):
    """Return what is kept of a value, 0 where next to nothing is."""
    left = value * kept
    return left if left >= GONE else 0.0


@kernel
def patience_of(layer, count, seen, fits):
    """Return what a use one group later counts: the more, the more groups fit into the cache."""
    size = count[layer].sum() / seen[layer]
    return min(PATIENCE[1], max(PATIENCE[0], 1.0 - size / fits))


@kernel
def serve_group(
    items, begin, layer, before, resident, pinned, due, sizes, worth, free, rates, fades, share,
    count, follow, after, echo, sight, value, weight, slope, seen, fits, rate, missed, drop_at,
    drop_item, drops,
):  # fmt: skip
    """Serve one group from the cache; returns the number of drops so far, -1 if one cannot fit.

    `items` are the group's, the first of them reference `begin`; `before` the experts of the
    layer's last group. `worth` turns expectations into what an item's room is worth, price over
    size. ``free[0]`` is the room that is left.
    """
    active = items - layer * count.shape[1]
    expect(
        layer, active, before, rates, fades, share, count, follow, after, echo, sight, value,
        weight, slope, seen, fits, rate,
    )  # fmt: skip
    for k in range(items.size):
        due[items[k]] = k + 1
    for k in range(items.size):
        item = items[k]
        due[item] = 0
        if resident[item]:
            continue
        missed[begin + k] = True
        while free[0] < sizes[item]:
            victim = _least(resident, pinned, due, value, worth)
            if victim < 0:
                return -1
            resident[victim] = False
            free[0] += sizes[victim]
            drop_at[drops] = begin + k
            drop_item[drops] = victim
            drops += 1
        resident[item] = True
        free[0] -= sizes[item]
    return drops


@kernel
def learned_load(
    items, starts, layers, resident, pinned, due, sizes, worth, free, rates, fades, share, count,
    follow, after, echo, sight, value, weight, slope, seen, fits, rate, residents_first, order,
    missed, drop_at, drop_item,
):  # fmt: skip
    """Serve every reference; returns the number of drops, -1 if one cannot fit.

    Group `g` is of layer ``g % layers``. With `residents_first` each group first runs what is there
    when it begins: `order` is set to the references in the order in which they run, and `missed` is
    in that order.
    """
    drops = 0
    turn = items.copy()
    for group in range(starts.size - 1):
        layer = group % layers
        if residents_first:
            at = starts[group]
            for there in (True, False):
                for r in range(starts[group], starts[group + 1]):
                    if resident[items[r]] == there:
                        order[at] = r
                        turn[at] = items[r]
                        at += 1
        drops = serve_group(
            turn[starts[group] : starts[group + 1]], starts[group], layer,
            _last_of(turn, starts, group, layers) - layer * count.shape[1], resident, pinned, due,
            sizes, worth, free, rates, fades, share, count, follow, after, echo, sight, value,
            weight, slope, seen, fits, rate, missed, drop_at, drop_item, drops,
        )  # fmt: skip
        if drops < 0:
            break
    return drops


@kernel
def _last_of(items, starts, group, layers):
    """Return the items of the same layer's group before, none before the first."""
    old = group - layers
    if old < 0:
        return items[:0]
    return items[starts[old] : starts[old + 1]]


@kernel
def _least(resident, pinned, due, value, worth):
    """Return whom to drop: of least worth, or, if all are still due in the group, the last due."""
    victim = -1
    least = np.inf
    last = -1
    latest = 0
    for item in range(resident.size):
        if resident[item] and not pinned[item]:
            if due[item] > 0:
                if due[item] > latest:
                    latest = due[item]
                    last = item
            elif value[item] * worth[item] < least:
                least = value[item] * worth[item]
                victim = item
    return victim if victim >= 0 else last


@kernel
def learned_bypass(
    items, starts, layers, opens, pinned, sizes, miss_prices, load_prices, free_fill, most,
    capacity, rates, fades, share, count, follow, after, echo, sight, value, weight, slope, seen,
    fits, rate, missed, load_at, load_item, drop_at, drop_item,
):  # fmt: skip
    """Change the residents before groups that are open; returns the numbers of loads and drops.

    Rent or buy: what references to an item have cost, or would have, is added up and forgotten over
    as many groups as `WINDOW` loads would have paid for. An item comes in when that, with what is
    expected of it next, exceeds its load and the same of those that go for it.
    """
    resident = pinned.copy()
    free = capacity
    for item in range(sizes.size):
        if pinned[item]:
            free -= sizes[item]
    # What a reference costs, as far as is known; before the first, what a load does.
    price = load_prices.copy() if load_prices.max() > 0 else np.ones(sizes.size)
    known, typical = 0, 0.0
    asked = np.zeros(sizes.size)
    spent = np.zeros(sizes.size)
    worth = value * price
    fresh = np.full(sizes.size, -1)
    loads = drops = 0
    for group in range(starts.size - 1):
        admitted = 0
        while opens[group] and admitted < most:
            # What a unit of room is worth to the resident that makes least of it.
            victim = _least_dense(resident, pinned, fresh, group, sizes, worth)
            lost = 0.0 if victim < 0 else worth[victim] / sizes[victim]
            best = -1
            gain = 0.0
            for item in range(sizes.size):
                if resident[item] or (free < sizes[item] and victim < 0):
                    continue
                saves = worth[item]
                if free < sizes[item]:
                    saves -= lost * sizes[item]
                if not (free_fill and group == 0):
                    saves -= load_prices[item]
                if saves > gain:
                    gain = saves
                    best = item
            if best < 0:
                break
            while free < sizes[best] and victim >= 0:
                resident[victim] = False
                free += sizes[victim]
                drop_at[drops] = group
                drop_item[drops] = victim
                drops += 1
                victim = _least_dense(resident, pinned, fresh, group, sizes, worth)
            if free < sizes[best]:
                break
            resident[best] = True
            fresh[best] = group
            free -= sizes[best]
            load_at[loads] = group
            load_item[loads] = best
            loads += 1
            admitted += 1
        layer = group % layers
        base = layer * count.shape[1]
        begin, end = starts[group], starts[group + 1]
        for item in range(base, base + count.shape[1]):
            spent[item] *= _kept(load_prices[item], typical)
        for r in range(begin, end):
            item = items[r]
            missed[r] = not resident[item]
            asked[item] += 1.0
            price[item] += (miss_prices[r] - price[item]) / asked[item]
            known += 1
            typical += (miss_prices[r] - typical) / known
            spent[item] += miss_prices[r]
        expect(
            layer, items[begin:end] - base, _last_of(items, starts, group, layers) - base, rates,
            fades, share, count, follow, after, echo, sight, value, weight, slope, seen, fits,
            rate,
        )  # fmt: skip
        ahead = 1.0 / (1.0 - patience_of(layer, count, seen, fits))
        for item in range(base, base + count.shape[1]):
            if asked[item] == 0.0 and known > 0:
                price[item] = typical
            worth[item] = value[item] * price[item] * ahead
            worth[item] += _kept(load_prices[item], typical) * spent[item]
    return loads, drops


@kernel
def _kept(load_price, typical):
    """Return what is left after a group of what was spent: all the more, the dearer loads are."""
    if typical <= 0.0:
        return 0.0
    groups = WINDOW * load_price / typical
    if groups == np.inf:
        return 1.0
    return groups / (1.0 + groups)


@kernel
def _least_dense(resident, pinned, fresh, group, sizes, worth):
    """Return the resident worth least for its room that did not come just now, or -1."""
    victim = -1
    least = np.inf
    for item in range(resident.size):
        if resident[item] and not pinned[item] and fresh[item] != group:
            dense = worth[item] / sizes[item]
            if dense < least:
                least = dense
                victim = item
    return victim
