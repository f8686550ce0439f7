"""Where a layer stands in its descent, and what each copy that comes or goes changes of it.

Units and the ghost are those of `moeopt.placement._kernels_replan`.
"""

from typing import NamedTuple

import numpy as np

from moeopt.core.jit import kernel


class Rules(NamedTuple):
    """What holds for all layers.

    Of devices: first slot (and the number of slots), one over the speed, node, alive. Of experts:
    fewest and most copies, most on one device, copies on distinct nodes (``apart``). ``strict``:
    whether nodes or arrivals must be looked at.
    """

    slot_start: np.ndarray
    slow: np.ndarray
    node: np.ndarray
    live: np.ndarray
    least: int
    most: int
    per_device: int
    apart: bool
    strict: bool


class Layer(NamedTuple):
    """One layer: loads and sizes of ``experts + 1``, masks of ``(experts + 1, devices)``."""

    table: np.ndarray
    load: np.ndarray
    size: np.ndarray
    smallest: float
    largest: float
    allowed: np.ndarray
    pinned: np.ndarray


class State(NamedTuple):
    """Where a layer stands.

    ``copies``, ``holders`` of each expert: copies, and devices that hold it; ``share``, ``more``,
    ``fewer``: the load of a copy, and with one copy more or one less;
    ``holder[e, :holders[e]]`` are these devices. ``on``, ``held`` ``(devices, experts + 1)``:
    copies now, and whether the previous plan had one. ``clean``: devices that hold only what they
    held. ``left``, ``node_left``: what may still arrive. ``tally``: size and number of copies
    that the previous plan lacks. ``spare``, ``others``: scratch.
    """

    copies: np.ndarray
    holders: np.ndarray
    share: np.ndarray
    more: np.ndarray
    fewer: np.ndarray
    heat: np.ndarray
    on: np.ndarray
    held: np.ndarray
    node_held: np.ndarray
    holder: np.ndarray
    clean: np.ndarray
    left: np.ndarray
    node_left: np.ndarray
    tally: np.ndarray
    spare: np.ndarray
    others: np.ndarray


@kernel
def reshare(e, more, layer, rules, state):
    """Give e one copy more or less: every copy that it has now carries another share."""
    state.copies[e] += more
    share = layer.load[e] / max(state.copies[e], 1)
    state.more[e] = layer.load[e] / (state.copies[e] + 1)
    state.fewer[e] = layer.load[e] / max(state.copies[e] - 1, 1)
    for t in range(state.holders[e]):
        q = state.holder[e, t]
        state.heat[q] += (share - state.share[e]) * state.on[q, e] * rules.slow[q]
    state.share[e] = share


@kernel
def leave(e, g, layer, rules, state):
    """Take one copy of e, of its present share, from g."""
    state.heat[g] -= state.share[e] * rules.slow[g]
    state.on[g, e] -= 1
    if state.on[g, e] > 0:
        return
    for t in range(state.holders[e]):
        if state.holder[e, t] == g:
            state.holders[e] -= 1
            state.holder[e, t] = state.holder[e, state.holders[e]]
            break
    book(e, g, -1, layer, rules, state)


@kernel
def come(e, g, layer, rules, state):
    """Put one copy of e, of its present share, on g."""
    state.heat[g] += state.share[e] * rules.slow[g]
    if state.on[g, e] == 0:
        state.holder[e, state.holders[e]] = g
        state.holders[e] += 1
        book(e, g, 1, layer, rules, state)
    state.on[g, e] += 1


@kernel
def book(e, g, more, layer, rules, state):
    """Count a copy that g lacked before, or that it no longer needs."""
    if state.held[g, e]:
        return
    size = more * layer.size[e]
    state.tally[0] += size
    state.tally[1] += more
    state.left[g] -= size
    if not state.node_held[rules.node[g], e]:
        state.node_left[rules.node[g]] -= size


@kernel
def remember(previous, rules, state):
    """Note who held what before; everyone holds the ghost, and the dead send nothing."""
    ghost = state.held.shape[1] - 1
    state.held[:] = False
    state.node_held[:] = False
    for g in range(rules.slow.size):
        for slot in range(rules.slot_start[g], rules.slot_start[g + 1]):
            state.held[g, previous[slot]] = True
            if rules.live[g]:
                state.node_held[rules.node[g], previous[slot]] = True
        state.held[g, ghost] = True
    state.node_held[:, ghost] = True


@kernel
def take_stock(layer, rules, state):
    """Count copies and holders, sum the devices' heat, and book what is there already."""
    table, load = layer.table, layer.load
    count, holders, holder, on, held = (
        state.copies,
        state.holders,
        state.holder,
        state.on,
        state.held,
    )
    share, more, fewer, heat = state.share, state.more, state.fewer, state.heat
    count[:] = 0
    holders[:] = 0
    on[:] = 0
    heat[:] = 0.0
    state.clean[:] = True
    state.tally[:] = 0.0
    for e in table:
        count[e] += 1
    for e in range(load.size):
        share[e] = load[e] / max(count[e], 1)
        more[e] = load[e] / (count[e] + 1)
        fewer[e] = load[e] / max(count[e] - 1, 1)
    for g in range(rules.slow.size):
        for slot in range(rules.slot_start[g], rules.slot_start[g + 1]):
            e = table[slot]
            heat[g] += share[e] * rules.slow[g]
            if on[g, e] == 0:
                holder[e, holders[e]] = g
                holders[e] += 1
                if not held[g, e]:
                    state.clean[g] = False
                    book(e, g, 1, layer, rules, state)
            on[g, e] += 1
