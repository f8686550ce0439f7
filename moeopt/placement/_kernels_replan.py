"""Hot loops of replanning: each layer's descent from a plan, action by action.

An action of the hottest device swaps two experts between devices, or gives a slot of an expert that
has other copies to another expert. Its score is what the hottest device loses over the size of what
must be copied. An empty slot holds the ghost, the last expert: it has no load and no size, and may
be anywhere. Heat is load over speed; sizes are in mean experts.
"""

from typing import NamedTuple

import numpy as np

from moeopt.core.jit import kernel
from moeopt.placement._kernels_stock import (
    Layer,
    State,
    come,
    leave,
    remember,
    reshare,
    take_stock,
)

#: What copies nothing, or saves a copy, scores as if it copied this much of an expert.
FREE = 0.5

NOTHING, SWAP, OVERWRITE = 0, 1, 2


class Action(NamedTuple):
    """A swap of the slots `at` and `to`, or slot `at` given to expert `to`."""

    score: float
    kind: int
    at: int
    to: int


@kernel
def descend_layers(
    table,
    previous,
    load,
    size,
    room,
    node_room,
    target,
    trail,
    writes,
    steps,
    allowed,
    pinned,
    rules,
):
    """Change each layer of `table` until its largest heat is at most its target, or nothing helps.

    Parameters
    ----------
    table, previous
        ``(layers, slots)``; `table` is changed, `previous` is what is there without a copy.
    load, size
        ``(layers, experts + 1)``.
    room, node_room
        ``(layers, devices)`` and ``(layers, nodes)``: what may arrive at each device, and at each
        node over its links.
    target
        ``(layers,)``.
    trail
        Out, ``(layers, most steps + 1, 3)``: after each step the largest heat, and the size and the
        number of what must be copied.
    writes
        Out, ``(layers, most steps, 4)``: slot, expert, slot, expert; -1 where there is no second.
    steps
        Out, ``(layers,)``: steps taken.
    allowed, pinned
        ``(layers or 1, experts + 1, devices)``, each on its own.
    """
    devices, experts = rules.slow.size, load.shape[1]
    state = State(
        np.zeros(experts, np.int64),
        np.zeros(experts, np.int64),
        np.zeros(experts),
        np.zeros(experts),
        np.zeros(experts),
        np.zeros(devices),
        np.zeros((devices, experts), np.int16),
        np.zeros((devices, experts), np.bool_),
        np.zeros((node_room.shape[1], experts), np.bool_),
        np.zeros((experts, devices), np.int32),
        np.ones(devices, np.bool_),
        np.zeros(devices),
        np.zeros(node_room.shape[1]),
        np.zeros(2),
        np.zeros((table.shape[1], 2), np.int64),
        np.zeros((table.shape[1], 2)),
    )
    for k in range(load.shape[0]):
        sizes = size[k, : experts - 1]
        layer = Layer(
            table[k],
            load[k],
            size[k],
            sizes.min(),
            sizes.max(),
            allowed[k if len(allowed) > 1 else 0],
            pinned[k if len(pinned) > 1 else 0],
        )
        state.left[:] = room[k]
        state.node_left[:] = node_room[k]
        remember(previous[k], rules, state)
        take_stock(layer, rules, state)
        steps[k] = _descend(layer, rules, state, target[k], trail[k], writes[k])


@kernel
def _descend(layer, rules, state, target, trail, writes):
    """Take the hottest device's best action until there is none; return the steps taken."""
    trail[0, 0] = state.heat.max()
    trail[0, 1:] = state.tally
    for step in range(len(writes)):
        hot = np.argmax(state.heat)
        if state.heat[hot] <= target:
            return step
        action = Action(0.0, NOTHING, -1, -1)
        action = _exchange(hot, action, layer, rules, state)
        action = _copy_elsewhere(hot, action, layer, rules, state)
        action = _give_up(hot, action, layer, rules, state)
        if action.kind == NOTHING:
            return step
        _do(action, hot, layer, rules, state, writes[step])
        trail[step + 1, 0] = state.heat.max()
        trail[step + 1, 1:] = state.tally
    return len(writes)


@kernel
def _exchange(hot, action, layer, rules, state):
    """Return the better of `action` and a swap of one of `hot`'s experts for a lighter one."""
    table, size, allowed, pinned = layer.table, layer.size, layer.allowed, layer.pinned
    slot_start, slows, per_device = rules.slot_start, rules.slow, rules.per_device
    share, heat, on, held, clean = state.share, state.heat, state.on, state.held, state.clean
    ghost = share.size - 1
    top = heat[hot]
    slow = slows[hot]
    score = action.score
    # From the coolest device on: the sooner a good swap is found, the fewer need be looked at.
    coolest = np.argmin(heat)
    for k in range(slows.size):
        g = (coolest + k) % slows.size
        # No swap cools the hotter of two devices further than to where they meet.
        meet = (top - heat[g]) * slow / (slow + slows[g])
        # A clean device has all that it held: what comes must be copied, what leaves saves nothing.
        least = (layer.smallest if clean[hot] else 0.0) - (0.0 if clean[g] else layer.largest)
        most = (layer.smallest if clean[g] else 0.0) - (0.0 if clean[hot] else layer.largest)
        if g == hot or meet <= score * max(least + most, FREE):
            continue
        for at in range(slot_start[hot], slot_start[hot + 1]):
            a = table[at]
            there = _price(a, g, size, on, held) - _refund(a, hot, size, on, held)
            bar = score * max(there + least, FREE)
            if meet <= bar or share[a] * slow <= bar:
                continue
            if on[g, a] >= per_device or not allowed[a, g] or (pinned[a, hot] and on[hot, a] == 1):
                continue
            if rules.strict and not _may_arrive(a, g, hot, layer, rules, state):
                continue
            for to in range(slot_start[g], slot_start[g + 1]):
                b = table[to]
                change = share[a] - share[b]
                peak = max(top - change * slow, heat[g] + change * slows[g])
                # Looked at first, because it ends most pairs.
                if top - peak <= bar:
                    continue
                price = there + _price(b, hot, size, on, held) - _refund(b, g, size, on, held)
                if top - peak <= score * max(price, FREE) or (pinned[b, g] and on[g, b] == 1):
                    continue
                if b != ghost and (on[hot, b] >= per_device or not allowed[b, hot]):
                    continue
                if not rules.strict or _may_arrive(b, hot, g, layer, rules, state):
                    score = (top - peak) / max(price, FREE)
                    action = Action(score, SWAP, at, to)
    return action


@kernel
def _copy_elsewhere(hot, action, layer, rules, state):
    """Return the better of `action` and one more copy of an expert of `hot`, elsewhere."""
    table, size, allowed = layer.table, layer.size, layer.allowed
    count, share, heat, on, held = state.copies, state.share, state.heat, state.on, state.held
    more = state.more
    slows, per_device, spare, others = rules.slow, rules.per_device, state.spare, state.others
    top = heat[hot]
    score = action.score
    spares = _spare_slots(hot, top - score * FREE, layer, rules, state)
    for own in range(rules.slot_start[hot], rules.slot_start[hot + 1]):
        a = table[own]
        copy = more[a]
        fall = (share[a] - copy) * on[hot, a] * slows[hot]
        if count[a] >= rules.most or fall <= score * FREE:
            continue
        for k in range(spares):
            at, g = spare[k, 0], spare[k, 1]
            b = table[at]
            if top - others[k, 0] <= score * FREE or b == a:
                continue
            if on[g, a] >= per_device or not allowed[a, g]:
                continue
            price = _price(a, g, size, on, held) - _refund(b, g, size, on, held)
            bar = top - score * max(price, FREE)
            heavier = others[k, 1]
            peak = max(others[k, 0], top - fall + heavier * on[hot, b] * slows[hot])
            there = copy - share[b] + heavier * (on[g, b] - 1) - (share[a] - copy) * on[g, a]
            peak = max(peak, heat[g] + there * slows[g])
            if peak >= bar:
                continue
            if not rules.strict or _may_arrive(a, g, -1, layer, rules, state):
                score = (top - peak) / max(price, FREE)
                action = Action(score, OVERWRITE, at, a)
    return action


@kernel
def _spare_slots(hot, bar, layer, rules, state):
    """List other devices' slots whose expert may lose a copy; return how many there are.

    ``spare``: slot and device; ``others``: the largest heat of third devices then, which must be
    below `bar`, and by how much each remaining copy gets heavier.
    """
    table, pinned = layer.table, layer.pinned
    count, share, fewer, heat, on = state.copies, state.share, state.fewer, state.heat, state.on
    holders, holder, spare, others = state.holders, state.holder, state.spare, state.others
    slows, slot_start = rules.slow, rules.slot_start
    ghost = count.size - 1
    found = 0
    for g in range(slows.size):
        if g == hot:
            continue
        for at in range(slot_start[g], slot_start[g + 1]):
            b = table[at]
            if b != ghost and count[b] <= rules.least:
                continue
            if pinned[b, g] and on[g, b] == 1:
                continue
            heavier = 0.0 if b == ghost else fewer[b] - share[b]
            peak = 0.0
            for t in range(0 if b == ghost else holders[b]):
                q = holder[b, t]
                if q != g and q != hot:
                    peak = max(peak, heat[q] + heavier * on[q, b] * slows[q])
            if peak < bar:
                spare[found, 0], spare[found, 1] = at, g
                others[found, 0], others[found, 1] = peak, heavier
                found += 1
    return found


@kernel
def _give_up(hot, action, layer, rules, state):
    """Return the better of `action` and another expert's copy in a slot of `hot`."""
    table, size, allowed = layer.table, layer.size, layer.allowed
    count, share, on, held = state.copies, state.share, state.on, state.held
    per_device, more = rules.per_device, state.more
    ghost = size.size - 1
    top = state.heat[hot]
    slow = rules.slow[hot]
    score = action.score
    for at in range(rules.slot_start[hot], rules.slot_start[hot + 1]):
        a = table[at]
        if a == ghost or count[a] <= rules.least or share[a] * slow <= score * FREE:
            continue
        if layer.pinned[a, hot] and on[hot, a] == 1:
            continue
        heavier = state.fewer[a] - share[a]
        others = 0.0
        for t in range(state.holders[a]):
            q = state.holder[a, t]
            if q != hot:
                others = max(others, state.heat[q] + heavier * on[q, a] * rules.slow[q])
        if others >= top - score * FREE:
            continue
        back = _refund(a, hot, size, on, held)
        for b in range(ghost):
            if b == a or count[b] >= rules.most:
                continue
            copy = more[b]
            here = copy - share[a] + heavier * (on[hot, a] - 1) - (share[b] - copy) * on[hot, b]
            peak = max(others, top + here * slow)
            price = _price(b, hot, size, on, held) - back
            if top - peak <= score * max(price, FREE):
                continue
            if on[hot, b] >= per_device or not allowed[b, hot]:
                continue
            if not rules.strict or _may_arrive(b, hot, -1, layer, rules, state):
                score = (top - peak) / max(price, FREE)
                action = Action(score, OVERWRITE, at, b)
    return action


@kernel
def _price(e, g, size, on, held):
    """Return what must be copied for another copy of e on g."""
    return 0.0 if held[g, e] or on[g, e] > 0 else size[e]


@kernel
def _refund(e, g, size, on, held):
    """Return what need not be copied when one copy of e leaves g."""
    return 0.0 if held[g, e] or on[g, e] > 1 else size[e]


@kernel
def _may_arrive(e, g, leaves, layer, rules, state):
    """Tell whether the rules on nodes and arrivals let e come to g; it leaves device `leaves`."""
    if rules.apart:
        for t in range(state.holders[e]):
            q = state.holder[e, t]
            if q != leaves and rules.node[q] == rules.node[g]:
                return False
    if not rules.strict or state.held[g, e] or state.on[g, e] > 0:
        return True
    if layer.size[e] > state.left[g]:
        return False
    return state.node_held[rules.node[g], e] or layer.size[e] <= state.node_left[rules.node[g]]


@kernel
def _do(action, hot, layer, rules, state, written):
    """Do an action and write down which slots hold what after it."""
    at, to = action.at, action.to
    written[2] = -1
    written[3] = -1
    if action.kind == SWAP:
        g = np.searchsorted(rules.slot_start, to, side="right") - 1
        a, b = layer.table[at], layer.table[to]
        leave(a, hot, layer, rules, state)
        leave(b, g, layer, rules, state)
        come(a, g, layer, rules, state)
        come(b, hot, layer, rules, state)
        layer.table[to] = a
        written[2], written[3] = to, a
    else:
        g = np.searchsorted(rules.slot_start, at, side="right") - 1
        a, b = layer.table[at], action.to
        leave(a, g, layer, rules, state)
        reshare(a, -1, layer, rules, state)
        reshare(b, 1, layer, rules, state)
        come(b, g, layer, rules, state)
    state.clean[hot] = False
    state.clean[g] = False
    layer.table[at] = b
    written[0], written[1] = at, b
