"""Moves of whole experts, and the choice of the rank that each comes from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.transfers import _kernels_migration as kernels

#: The linear relaxation is solved to about this, relative.
_LP_TOLERANCE = 1e-7


@dataclass(frozen=True)
class Moves:
    """Experts that ranks lack, each with the ranks that can send it.

    Attributes
    ----------
    destination
        Rank that each move ends at, shape ``(moves,)``.
    size_bytes
        Bytes of its expert, shape ``(moves,)``.
    sources
        Ranks that hold a copy, shape ``(moves, ranks)``; the destination is none of them.
    """

    destination: IntArray
    size_bytes: FloatArray
    sources: BoolArray

    def __post_init__(self) -> None:
        moves = len(self.destination)
        if self.sources.ndim != 2 or {len(self.sources), len(self.size_bytes)} != {moves}:
            shapes = (self.destination.shape, self.size_bytes.shape, self.sources.shape)
            rule = "must have one row for each move, and sources one column for each rank"
            raise InstanceError("moves", f"<shapes {shapes}>", rule, "correct the shapes")
        rank = (self.destination >= 0) & (self.destination < self.num_ranks)
        _require(rank, "moves.destination", self.destination, "must be a rank")
        size = np.isfinite(self.size_bytes) & (self.size_bytes > 0)
        _require(size, "moves.size_bytes", self.size_bytes, "must be a finite number > 0")
        held = self.sources.any(axis=1) & ~self.sources[np.arange(moves), self.destination]
        rule = "must name a rank, and not the destination"
        _require(held, "moves.sources", self.sources, rule)

    @property
    def num_moves(self) -> int:
        """Number of moves."""
        return len(self.destination)

    @property
    def num_ranks(self) -> int:
        """Number of ranks."""
        return int(self.sources.shape[1])

    @property
    def are_equal(self) -> bool:
        """Whether all experts have one size."""
        return bool((self.size_bytes == self.size_bytes[:1]).all())


@dataclass(frozen=True)
class Sources:
    """From which rank each move comes.

    Attributes
    ----------
    source
        Shape ``(moves,)``.
    busiest_bytes
        Bytes of the busiest port: sent or received, or both together with half-duplex ports.
    bound_bytes
        No choice of sources has a busiest port with less.
    """

    source: IntArray
    busiest_bytes: float
    bound_bytes: float


def moves_between(
    old: IntArray, new: IntArray, slots_per_rank: int, expert_bytes: FloatArray | float = 1.0
) -> tuple[IntArray, Moves]:
    """Return which experts must be moved where to turn one layer's placement into another.

    Ranks that hold an expert already need no second copy; an expert that nobody holds has none to
    send, and is left out.

    Parameters
    ----------
    old, new
        Expert in each slot, slots rank-major, -1 for an empty slot; shape ``(slots,)``.
    slots_per_rank
        Slots of each rank.
    expert_bytes
        Bytes of every expert, or of each by its number.

    Returns
    -------
    expert
        Of each move, shape ``(moves,)``, ascending.
    moves
        By expert, then destination.
    """
    experts = 1 + int(max(old.max(initial=-1), new.max(initial=-1)))
    held = _held(old, slots_per_rank, experts)
    lacking = _held(new, slots_per_rank, experts) & ~held & held.any(axis=1, keepdims=True)
    expert, destination = np.nonzero(lacking)
    sizes = np.asarray(expert_bytes, dtype=np.float64)
    size = np.full(len(expert), sizes) if sizes.ndim == 0 else sizes[expert]
    return expert, Moves(destination, size, held[expert])


def choose_sources(moves: Moves, *, half_duplex: bool = False) -> Sources:
    """Choose the rank that each move comes from such that the busiest port has least to do.

    Experts of equal size: the least possible, by augmenting paths. Else by a greedy choice and a
    local search, with the linear relaxation as the bound.

    Parameters
    ----------
    half_duplex
        Whether what a rank receives counts together with what it sends.
    """
    source = np.empty(moves.num_moves, dtype=np.int64)
    if moves.num_moves == 0:
        return Sources(source, 0.0, 0.0)
    move, rank = np.nonzero(moves.sources)
    choices = np.bincount(move)
    first = np.concatenate([[0], np.cumsum(choices)])
    if moves.are_equal:
        unit = float(moves.size_bytes[0])
        received = np.bincount(moves.destination, minlength=moves.num_ranks)
        load = received.copy() if half_duplex else np.zeros_like(received)
        order = np.argsort(choices, kind="stable")
        kernels.choose_greedily(order, first, rank, np.ones_like(source), load, source)
        least = kernels.level_equal(first, rank, load, source)
        busiest = unit * max(least, int(received.max()))
        return Sources(source, busiest, busiest)
    size = moves.size_bytes
    received_bytes = np.bincount(moves.destination, size, moves.num_ranks).astype(np.float64)
    fixed = received_bytes if half_duplex else np.zeros(moves.num_ranks)
    load_bytes = fixed.copy()
    order = np.lexsort((choices, -size))
    kernels.choose_greedily(order, first, rank, size, load_bytes, source)
    kernels.level_unequal(first, rank, size, load_bytes, source)
    most = float(received_bytes.max())
    busiest = max(float(load_bytes.max()), most)
    bound = max(_least_largest_load(move, rank, size, fixed), most)
    return Sources(source, busiest, min(bound, busiest))


def _least_largest_load(
    move: IntArray, rank: IntArray, size: FloatArray, fixed: FloatArray
) -> float:
    """Return the least largest load if moves could be divided among their sources (an LP).

    Parameters
    ----------
    move, rank
        Each pair of a move and a rank that can send it.
    size
        Of each move.
    fixed
        What each rank has to do besides.
    """
    # Imported here: only experts of unequal size need it.
    from scipy.optimize import linprog
    from scipy.sparse import csr_array

    choices, moves, ranks = len(move), len(size), len(fixed)
    choice = np.arange(choices)
    once = csr_array((np.ones(choices), (move, choice)), shape=(moves, choices + 1))
    entries = np.concatenate([size[move], np.full(ranks, -1.0)])
    rows = np.concatenate([rank, np.arange(ranks)])
    columns = np.concatenate([choice, np.full(ranks, choices)])
    load = csr_array((entries, (rows, columns)), shape=(ranks, choices + 1))
    cost = np.append(np.zeros(choices), 1.0)
    found = linprog(cost, load, -fixed, once, np.ones(moves), method="highs")
    mean = float((size.sum() + fixed.sum()) / ranks)
    return max(mean, float(found.fun) * (1.0 - _LP_TOLERANCE)) if found.success else mean


def _held(slots: IntArray, slots_per_rank: int, experts: int) -> BoolArray:
    """Tell which rank holds which expert, ``(experts, ranks)``."""
    held = np.zeros((experts, len(slots) // slots_per_rank), dtype=np.bool_)
    filled = np.flatnonzero(slots >= 0)
    held[slots[filled], filled // slots_per_rank] = True
    return held


def _require(
    holds: BoolArray, name: str, values: IntArray | FloatArray | BoolArray, rule: str
) -> None:
    if not holds.all():
        at = int(np.argmin(holds))
        raise InstanceError(f"{name}[{at}]", values[at].tolist(), rule, "correct the move")
