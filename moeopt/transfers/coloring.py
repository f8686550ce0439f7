"""Edge colouring: a slot for every unit, exactly as many slots as the busiest port has units.

Ports that send and receive at once are a bipartite multigraph, whose units König's theorem colours
with as many slots as the largest degree (Aurora's Theorem 4.2 for whole tokens; its Algorithm 1,
line 8, may need more). Ports that do one thing at a time are a general multigraph: Shannon's bound
is 3/2 of the degree, three ports that all talk to each other reach it, and random ones hardly ever
exceed the larger of the degree and the density of an odd set, which no order can beat.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.stop import Context
from moeopt.core.wing import Outcome
from moeopt.transfers import _kernels_coloring as kernels
from moeopt.transfers.bounds import bound as bound_of
from moeopt.transfers.problem import TransferProblem
from moeopt.transfers.rounds import Pieces, plan_from_pieces

#: Most units that are coloured, and most pairs of a port's side and a slot: seconds, and 128 MB.
MOST_UNITS = 2_000_000
MOST_PORT_SLOTS = 2**26

#: Random steps for one unit that no single path finds a slot for, and for all of them.
_STEPS_PER_UNIT = 2_000
_STEPS = 100_000

#: Sizes are multiples of the unit up to this, relative.
_WHOLE = 1e-9

#: Small enough for two bytes to name any port's side.
_MOST_SIDES = 2**15 - 1


def run_edge_coloring(problem: TransferProblem, context: Context, warm_start: object) -> Outcome:
    """Send units of equal size in slots; equal slots are one round, and a pair's slots one part.

    With full-duplex ports and no start-ups the makespan is the largest line sum: the optimum.
    """
    del warm_start
    unit, whole = _units(problem)
    units = whole.astype(np.int64)
    peer = unit_slots(units, half_duplex=problem.half_duplex, seed=context.seed)
    peer = _alike_together(peer, units)
    pieces = _pieces(problem, peer, unit / float(problem.send_rate()[0]))
    statistics = {
        "unit_bytes": unit,
        "slots": len(peer),
        "least_slots": least_slots(units, half_duplex=problem.half_duplex),
    }
    plan = plan_from_pieces(problem, pieces)
    return Outcome(plan=plan, bound=bound_of(problem), statistics=statistics)


def refuses_edge_coloring(problem: TransferProblem) -> str | None:
    """Return why the method cannot take a problem, ``None`` if it can."""
    if problem.fabric is not None or problem.is_timed or not problem.has_equal_ports:
        return "it takes equal ports on one network, without windows or busy times"
    if not problem.preemptive:
        return "it cuts messages into units: set preemptive to true"
    per_message = problem.startup_s > 0 and problem.startup_per == "message"
    if problem.num_waves > 1 and per_message:
        return "it takes one wave where each message has a start-up: add the waves up"
    unit, units = _units(problem)
    if unit == 0.0:
        return (
            "it takes messages that are multiples of one unit, of chunk_bytes or more: round them"
        )
    total = float(units.sum())
    if total > MOST_UNITS:
        return (
            f"it takes {MOST_UNITS} units at most, and these messages have {total:.0f} of {unit:g}"
            " bytes: round them to larger units"
        )
    # Half-duplex ports have one side and may need twice the slots.
    sides = 2 * problem.num_ports
    slots = least_slots(units.astype(np.int64), half_duplex=problem.half_duplex)
    if sides * slots > MOST_PORT_SLOTS or sides > _MOST_SIDES:
        return (
            f"it takes {MOST_PORT_SLOTS} pairs of port and slot at most, not {sides * slots}:"
            " round messages to larger units"
        )
    return None


def least_slots(units: IntArray, *, half_duplex: bool = False) -> int:
    """Return slots that no order of the units can do without.

    The units of the busiest port; with half-duplex ports also those inside an odd set of ports,
    of which one port has to rest in every slot.
    """
    if not half_duplex:
        return int(max(units.sum(axis=0).max(initial=0), units.sum(axis=1).max(initial=0)))
    both = units + units.T
    density = float(kernels.odd_set_density(np.asarray(both, dtype=np.float64)))
    return max(int(both.sum(axis=1).max(initial=0)), math.ceil(density - _WHOLE))


def unit_slots(units: IntArray, *, half_duplex: bool = False, seed: int = 0) -> IntArray:
    """Give every unit a slot such that no port has two at once.

    Parameters
    ----------
    units
        From each port to each other, shape ``(ports, ports)``, diagonal 0.
    half_duplex
        Whether a port that sends cannot receive in the same slot.
    seed
        Of the random steps that half-duplex ports may need.

    Returns
    -------
    Whom each port sends a unit to, shape ``(slots, ports)``, -1 for nobody. The slots are as many
    as `least_slots`; with half-duplex ports they may, rarely, be more.
    """
    ports = len(units)
    slots = least_slots(units, half_duplex=half_duplex)
    end, other = np.nonzero(np.triu(units + units.T) if half_duplex else units)
    count = (units + units.T if half_duplex else units)[end, other]
    vertices, beyond = (ports, 0) if half_duplex else (2 * ports, ports)
    partner = _colored(end, other + beyond, count, vertices, slots, seed)
    peer = np.ascontiguousarray(partner[:ports].T)
    if half_duplex:
        return _directed(peer, units)
    return np.where(peer >= 0, peer - ports, -1)


def edge_slots(
    end: IntArray, other: IntArray, vertices: int, slots: int, seed: int = 0
) -> IntArray:
    """Give every edge of a multigraph a slot such that no two at a vertex share one.

    Slots are opened only where edges given before leave none: with `slots` small, edges given
    first share the first ones.

    Parameters
    ----------
    end, other
        Vertices of each edge, shape ``(edges,)``. Parallel edges get their slots in the order
        given, the earliest first.
    vertices
        Number of vertices.
    slots
        Open from the start.
    seed
        Of the random steps that a graph with odd circuits may need.
    """
    partner = _colored(end, other, np.ones_like(end), vertices, slots, seed)
    low, high = np.minimum(end, other), np.maximum(end, other)
    port, slot = np.nonzero(partner >= 0)
    peer = partner[port, slot].astype(np.int64)
    once = port < peer
    port, peer, slot = port[once], peer[once], slot[once]
    found = np.empty(len(end), dtype=np.int64)
    found[np.lexsort((high, low))] = slot[np.lexsort((slot, peer, port))]
    return found


def _colored(
    end: IntArray, other: IntArray, count: IntArray, vertices: int, slots: int, seed: int
) -> npt.NDArray[np.int16]:
    """Return whom each vertex meets in each slot, ``(vertices, slots)``, -1 for nobody."""
    degree = np.bincount(end, count, vertices) + np.bincount(other, count, vertices)
    most = int(degree.max(initial=0))
    if end.max(initial=0) >= other.min(initial=vertices):
        # No two sides: a greedy choice of slots opens less than twice the largest degree.
        most *= 2
    most = max(most, slots)
    partner = np.full((vertices, most), -1, dtype=np.int16)
    budget = np.array([_STEPS_PER_UNIT, _STEPS])
    state = np.array([1 + seed % (2**31 - 2), 0, 0])
    free = _all_free(vertices, slots, most)
    used = kernels.colour(end, other, count, slots, budget, state, partner, free)
    return partner[:, :used]


def _all_free(vertices: int, slots: int, most: int) -> IntArray:
    """Return every vertex's free slots as the kernel wants them: `slots` bits, room for `most`."""
    bits = kernels.BITS
    words = np.zeros(-(-max(most, 1) // bits), dtype=np.int64)
    words[: slots // bits] = (1 << bits) - 1
    if slots % bits:
        words[slots // bits] = (1 << slots % bits) - 1
    return np.tile(words, (vertices, 1))


def _directed(partner: npt.NDArray[Any], units: IntArray) -> IntArray:
    """Return who sends to whom: of the slots of two ports, the first are those of the lower one."""
    port, slot = np.nonzero(partner.T >= 0)
    peer = partner[slot, port].astype(np.int64)
    once = port < peer
    low, high, slot = port[once], peer[once], slot[once]
    order = np.lexsort((slot, high, low))
    low, high, slot = low[order], high[order], slot[order]
    pair = low * len(units) + high
    rank = np.arange(len(pair)) - np.searchsorted(pair, pair)
    forth = rank < units[low, high]
    sends = np.full(partner.shape, -1, dtype=np.int64)
    sends[slot, np.where(forth, low, high)] = np.where(forth, high, low)
    return sends


def _alike_together(peer: IntArray, units: IntArray) -> IntArray:
    """Return the slots in an order that brings equal ones together, and those of busy ports."""
    if not peer.size:
        return peer
    busiest_first = np.argsort(-(units.sum(axis=0) + units.sum(axis=1)), kind="stable")
    rows = np.ascontiguousarray(peer[:, busiest_first].astype(">i2"))
    keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    return peer[np.argsort(keys, kind="stable")]


def _pieces(problem: TransferProblem, peer: IntArray, unit_s: float) -> Pieces:
    """Return the slots as pieces: rounds where those are barriers, else as early as ports allow."""
    rate = float(problem.send_rate()[0])
    changed = np.ones(len(peer), dtype=np.bool_)
    changed[1:] = (peer[1:] != peer[:-1]).any(axis=1)
    round_of_slot = np.cumsum(changed) - 1
    if problem.startup_per == "round" or problem.objective == "rounds":
        first = np.flatnonzero(changed)
        number, source = np.nonzero(peer[first] >= 0)
        sends_s = unit_s * np.diff(first, append=len(peer)).astype(np.float64)[number]
        start = unit_s * first.astype(np.float64)[number] + problem.startup_s * (number + 1.0)
        return Pieces(source, peer[first][number, source], sends_s * rate, start, sends_s, number)
    source, slot, length = _runs(peer)
    destination = peer[slot, source]
    sends_s = unit_s * length.astype(np.float64)
    duration = sends_s + problem.startup_s
    start = unit_s * slot.astype(np.float64)
    if problem.startup_s > 0:
        shared, ports = problem.half_duplex, problem.num_ports
        kernels.earliest(source, destination, duration, shared, ports, start)
    return Pieces(source, destination, sends_s * rate, start, duration, round_of_slot[slot])


def _runs(peer: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Return the runs of slots in which a port sends to the same other: port, first slot, length.

    In the order of their first slots.
    """
    slots = len(peer)
    if slots == 0:
        nothing = np.empty(0, dtype=np.int64)
        return nothing, nothing, nothing
    flat = peer.T.ravel()
    new = np.ones(flat.shape, dtype=np.bool_)
    new[1:] = flat[1:] != flat[:-1]
    new[::slots] = True
    first = np.flatnonzero(new)
    length = np.diff(first, append=flat.size)
    sends = flat[first] >= 0
    first, length = first[sends], length[sends]
    order = np.lexsort((first // slots, first % slots))
    return first[order] // slots, first[order] % slots, length[order]


def _units(problem: TransferProblem) -> tuple[float, FloatArray]:
    """Return the bytes of a unit, 0 if there is none, and how many units each pair has."""
    messages = problem.messages()
    if not messages.any():
        return max(1.0, problem.chunk_bytes), messages.sum(axis=0)
    unit = _common_divisor(np.unique(messages[messages > 0]))
    if unit == 0.0 or unit < problem.chunk_bytes * (1.0 - _WHOLE):
        return 0.0, np.zeros((0, 0))
    return unit, np.asarray(np.round(messages / unit).sum(axis=0))


def _common_divisor(sizes: FloatArray) -> float:
    """Return the largest number that all sizes are multiples of, 0 if it is very small.

    What is no multiple of the divisor so far divides it further, at least in half, so there are
    few steps.
    """
    if sizes[-1] < 2.0**53 and (sizes == np.floor(sizes)).all():
        return float(np.gcd.reduce(sizes.astype(np.int64)))
    divisor = float(sizes[0])
    while divisor * MOST_UNITS > sizes[0]:
        off = np.abs(np.round(sizes / divisor) * divisor - sizes) > _WHOLE * sizes
        if not off.any():
            return divisor
        rest = float(sizes[np.argmax(off)])
        least = _WHOLE * rest
        while rest > least:
            divisor, rest = rest, math.fmod(divisor, rest)
            # Just below a multiple is one, but for rounding.
            rest = min(rest, divisor - rest)
    return 0.0
