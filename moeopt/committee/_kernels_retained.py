"""The hot loops over router values under masked gating.

Plain arrays in and out; the same code runs with ``NUMBA_DISABLE_JIT=1``. `values` are those of one
layer, ``(tokens, experts)``, none negative. A token is served by its `top_k` best residents: its
*floor* is the value of the last of them, 0 if it has fewer, and what an expert adds for it is what
its value exceeds the floor by.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from moeopt.core.jit import kernel

Array = Any


@kernel
def join_greedily(values: Array, top_k: int, most: int, order: Array, gains: Array, upper: Array,
                  share: float) -> None:  # fmt: skip
    """Let experts join, each time the one that adds most, of equals the first.

    Parameters
    ----------
    order, gains
        Filled: who joins, and what it adds, ``(most,)``.
    upper
        Lowered to what no set of 0, 1, ... experts exceeds, ``(experts + 1,)``.
    share
        Gains up to this share of the largest column are rounding.
    """
    tokens, experts = values.shape
    # What each expert, resident or not, exceeds the floors by. Kept up to date token by token.
    worth = np.zeros(experts)
    for x in range(tokens):
        for e in range(experts):
            worth[e] += values[x, e]
    held = np.zeros((tokens, top_k))
    resident = np.zeros(experts, dtype=np.bool_)
    floors = 0.0
    nothing = share * worth.max()
    lower_curve(worth, top_k * floors, upper)
    for j in range(most):
        best = -1
        most_gain = -1.0
        for e in range(experts):
            gain = worth[e] if worth[e] > nothing else 0.0
            if not resident[e] and gain > most_gain:
                best = e
                most_gain = gain
        resident[best] = True
        order[j] = best
        gain = 0.0
        rise = 0.0
        for x in range(tokens):
            old = held[x, top_k - 1]
            if values[x, best] <= old:
                continue
            gain += values[x, best] - old
            _insert(held[x], values[x, best])
            new = held[x, top_k - 1]
            if new > old:
                rise += new - old
                for e in range(experts):
                    worth[e] -= min(max(values[x, e], old), new) - old
        gains[j] = gain
        if rise > 0.0:
            floors += rise
            lower_curve(worth, top_k * floors, upper)


@kernel
def join_in_order(values: Array, top_k: int, order: Array, gains: Array) -> None:
    """Let experts join in a stated order; fill `gains` with what each adds, ``(order,)``."""
    held = np.zeros((values.shape[0], top_k))
    for j in range(order.size):
        gains[j] = 0.0
        for x in range(values.shape[0]):
            value = values[x, order[j]]
            if value > held[x, top_k - 1]:
                gains[j] += value - held[x, top_k - 1]
                _insert(held[x], value)


@kernel
def _insert(held: Array, value: float) -> None:
    """Put a value among those held, in falling order; the last of them goes."""
    p = held.size - 1
    while p > 0 and held[p - 1] < value:
        held[p] = held[p - 1]
        p -= 1
    held[p] = value


@kernel
def lower_curve(worth: Array, base: float, upper: Array) -> None:
    """Lower `upper` to the base and the K largest worths, for each K."""
    ranked = np.sort(worth)
    total = base
    upper[0] = min(upper[0], total)
    for slots in range(1, upper.size):
        total += max(ranked[worth.size - slots], 0.0)
        upper[slots] = min(upper[slots], total)


@kernel
def worth_above(rising: Array, experts: Array, prices: Array, worth: Array) -> None:
    """Sum up what each expert's values exceed the tokens' prices by, into `worth`.

    Parameters
    ----------
    rising, experts
        Values of each token in rising order, and whose they are, ``(tokens, experts)``.
    prices
        Of each token, ``(tokens,)``.
    """
    worth[:] = 0.0
    for x in range(prices.size):
        p = worth.size - 1
        while p >= 0 and rising[x, p] > prices[x]:
            worth[experts[x, p]] += rising[x, p] - prices[x]
            p -= 1


@kernel
def lacking(rising: Array, experts: Array, prices: Array, resident: Array, top_k: int,
            short: Array) -> None:  # fmt: skip
    """Write `top_k` less each token's residents above its price into `short`, ``(tokens,)``.

    `rising`, `experts` and `prices` are as for `worth_above`, `resident` is 1 or 0.
    """
    for x in range(prices.size):
        above = 0
        p = resident.size - 1
        while p >= 0 and rising[x, p] > prices[x]:
            above += resident[experts[x, p]]
            p -= 1
        short[x] = top_k - above


@kernel
def next_best(rising: Array, experts: Array, resident: Array, top_k: int, prices: Array) -> None:
    """Write each token's best value of residents that do not serve it, or 0, into `prices`."""
    for x in range(prices.size):
        prices[x] = 0.0
        served = 0
        for p in range(resident.size - 1, -1, -1):
            if resident[experts[x, p]]:
                if served == top_k:
                    prices[x] = rising[x, p]
                    break
                served += 1


@kernel
def hold(values: Array, resident: Array, held: Array, who: Array, x: int) -> None:
    """Write the best residents of token `x` and their values, in falling order.

    Where there are fewer, and in place of those of value 0, it is -1 and 0.
    """
    held[x] = 0.0
    who[x] = -1
    for e in range(resident.size):
        if resident[e]:
            _place(held[x], who[x], values[x, e], e)


@kernel
def _place(held: Array, who: Array, value: float, expert: int) -> None:
    """Put an expert among those held, unless it is worth no more than the last place."""
    p = held.size - 1
    if value <= held[p]:
        return
    while p > 0 and held[p - 1] < value:
        held[p] = held[p - 1]
        who[p] = who[p - 1]
        p -= 1
    held[p] = value
    who[p] = expert


@kernel
def count(values: Array, held: Array, who: Array, x: int, sign: float, gain: Array,
          pairs: Array) -> None:  # fmt: skip
    """Add (`sign` 1) or take back (-1) what exchanges change for token `x`.

    If `o` leaves and `i` comes, all tokens together retain ``gain[i] + pairs[o, i]`` more. `held`
    has one place more than serve the token: who moves up.
    """
    last = held.shape[1] - 2
    floor, below = held[x, last], held[x, last + 1]
    for i in range(gain.size):
        gain[i] += sign * max(values[x, i] - floor, 0.0)
    for p in range(last + 1):
        o = who[x, p]
        if o < 0:
            break
        lost = held[x, p] - below
        for i in range(gain.size):
            pairs[o, i] += sign * (min(max(values[x, i], below), floor) - below - lost)


@kernel
def count_all(values: Array, resident: Array, held: Array, who: Array, gain: Array,
              pairs: Array) -> None:  # fmt: skip
    """Fill `held`, `who`, `gain` and `pairs` for a set of residents."""
    for x in range(values.shape[0]):
        hold(values, resident, held, who, x)
        count(values, held, who, x, 1.0, gain, pairs)


@kernel
def best_exchange(resident: Array, gain: Array, pairs: Array) -> tuple[int, int, float]:
    """Return who leaves, who comes, and what that adds; of equals the first."""
    leaves, comes, most = -1, -1, 0.0
    for o in range(gain.size):
        if resident[o]:
            for i in range(gain.size):
                if not resident[i] and gain[i] + pairs[o, i] > most:
                    leaves, comes, most = o, i, gain[i] + pairs[o, i]
    return leaves, comes, most


@kernel
def exchange(values: Array, resident: Array, held: Array, who: Array, gain: Array, pairs: Array,
             leaves: int, comes: int) -> None:  # fmt: skip
    """Exchange two experts in all arrays; only tokens that hold one of them are looked at."""
    resident[leaves] = False
    resident[comes] = True
    last = held.shape[1] - 1
    for x in range(values.shape[0]):
        gone = False
        for p in range(last + 1):
            gone = gone or who[x, p] == leaves
        if not gone and values[x, comes] <= held[x, last]:
            continue
        count(values, held, who, x, -1.0, gain, pairs)
        if gone:
            hold(values, resident, held, who, x)
        else:
            _place(held[x], who[x], values[x, comes], comes)
        count(values, held, who, x, 1.0, gain, pairs)
