"""Replanning: from the previous plan to better ones, for as few copied bytes as it takes.

Today's balancers plan afresh and move nearly everything. Here each layer descends from the plan in
force by swaps and changes of replica counts, each the one that cools the hottest device most for
what must be copied (`moeopt.placement._kernels_replan`). The corners of the layers' trails, merged
in order of what a byte buys, are one front for all layers: the plan for any budget, or any price
per byte, is read off it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.core.result import Limit
from moeopt.core.stop import Context
from moeopt.core.wing import Outcome
from moeopt.placement import balance
from moeopt.placement.arrays import NoPlacementError
from moeopt.placement.bounds import layer_bounds
from moeopt.placement.descent import Ground, Late, Trails, Turns, corners
from moeopt.placement.detours import detours
from moeopt.placement.plan import PlacementPlan, copies_of
from moeopt.placement.problem import PlacementProblem
from moeopt.placement.rules import memory_can_bind

#: A layer that ends further above its bound than this is also planned afresh and relabelled.
FAR = 1e-3


@dataclass(frozen=True)
class Front:
    """Ever better plans for ever more copied bytes; the first moves least.

    Attributes
    ----------
    moved_bytes, transfers
        Shape ``(points,)``, ascending: bytes, and copies of experts, that devices lack in the
        previous plan.
    objective
        ``(points,)``, falling: the sum over layers of the largest load over speed, in tokens.
    imbalance
        ``(points,)``: mean over layers of the largest load over speed over the mean.
    bound
        No plan has a smaller objective, however much it moves.
    """

    moved_bytes: FloatArray
    transfers: IntArray
    objective: FloatArray
    imbalance: FloatArray
    bound: float
    # Turns that each point has taken: some lead to no point.
    _taken: IntArray
    _begins: Turns
    _turns: Turns
    _trails: tuple[Trails, ...]

    def __len__(self) -> int:
        return len(self.moved_bytes)

    def table(self, point: int) -> IntArray:
        """Return a point's plan: the expert in each slot, shape ``(layers, slots)``."""
        turns = Turns.joined([self._begins, self._turns.part(slice(self._taken[point]))])
        # Of several turns of one layer the last counts.
        last = np.zeros(len(self._begins), dtype=np.int64)
        last[turns.layer] = np.arange(len(turns))
        return np.stack(
            [self._trails[turns.trail[i]].row(turns.row[i], turns.step[i]) for i in last]
        )

    def within(self, most_bytes: float) -> int:
        """Return the last point that moves at most `most_bytes`; 0 if none does."""
        allowed = int(np.searchsorted(self.moved_bytes, most_bytes, side="right"))
        return max(0, allowed - 1)

    def reaching(self, imbalance: float) -> int | None:
        """Return the first point that is at most so imbalanced, ``None`` if there is none."""
        found = np.flatnonzero(self.imbalance <= imbalance)
        return int(found[0]) if len(found) else None

    def priced(self, price_per_byte: float) -> int:
        """Return the point of least objective plus `price_per_byte` times the moved bytes."""
        return int(np.argmin(self.objective + price_per_byte * self.moved_bytes))


@dataclass(frozen=True)
class Replan:
    """A plan made from another, as arrays.

    Attributes
    ----------
    physical_to_logical
        Expert in each slot, ``(layers, slots)``.
    expert_count
        Copies of each expert, ``(layers, experts)``.
    moved_bytes, transfers
        What must be copied.
    imbalance
        Mean over layers of the largest load over the mean.
    front
        All plans that it was chosen from.
    """

    physical_to_logical: IntArray
    expert_count: IntArray
    moved_bytes: float
    transfers: int
    imbalance: float
    front: Front


def replan(
    previous: Any,
    loads: Any,
    devices: int,
    *,
    nodes: int = 1,
    expert_bytes: Any = 1,
    most_bytes: float | None = None,
    price_per_byte: float = 0.0,
    imbalance: float = 1.0,
    **rules: Any,
) -> Replan:
    """Return the best plan found from the previous one within a budget, or at a price.

    Parameters
    ----------
    previous
        Expert in each slot, ``(layers, slots)``, slots rank-major.
    loads
        Tokens of each expert, ``(layers, experts)``.
    devices, nodes
        Equal devices, in equal nodes.
    expert_bytes
        Bytes of an expert; 1 counts transfers.
    most_bytes
        Most bytes that may be copied over all layers.
    price_per_byte
        Tokens of the objective (the sum over layers of the largest load) that a byte is worth.
    imbalance
        A layer that is no more imbalanced is left alone.
    **rules
        Any further field of `PlacementProblem`: ``max_moved_bytes_per_device=…``, …

    Raises
    ------
    InstanceError
        If the arguments are malformed or do not fit together.
    NoPlacementError
        If the rules forbid the previous plan and no plan near it was found.

    Examples
    --------
    >>> from moeopt.placement.replan import replan
    >>> found = replan([[0, 1, 2, 3]], [[4.0, 3.0, 2.0, 1.0]], devices=2)
    >>> found.physical_to_logical.tolist(), found.transfers, found.imbalance
    ([[2, 1, 0, 3]], 2, 1.0)
    """
    from moeopt.describe.cluster import Cluster

    table = np.asarray(previous)
    slots = table.shape[-1] if table.ndim else 0
    if devices < 1 or slots % devices:
        rule = f"must have a multiple of {devices} slots"
        raise InstanceError("previous", f"<shape {table.shape}>", rule, "pad with -1")
    problem = PlacementProblem(
        loads_tokens=loads,
        cluster=Cluster.uniform(devices, nodes),
        slots_per_device=slots // devices,
        previous=table,
        expert_bytes=expert_bytes,
        **rules,
    )
    front = replan_front(problem, imbalance=imbalance)
    point = front.priced(price_per_byte)
    if most_bytes is not None:
        point = min(point, front.within(most_bytes))
    chosen = front.table(point)
    return Replan(
        physical_to_logical=chosen,
        expert_count=copies_of(problem, chosen).sum(axis=2),
        moved_bytes=float(front.moved_bytes[point]),
        transfers=int(front.transfers[point]),
        imbalance=float(front.imbalance[point]),
        front=front,
    )


def replan_front(
    problem: PlacementProblem,
    *,
    imbalance: float = 1.0,
    fresh: bool = True,
    workers: int = 1,
    late: Late | None = None,
) -> Front:
    """Return the front of plans from ``problem.previous`` on.

    Limits of moved bytes hold for every point (C11 to C13); ``move_price_per_byte`` is not in the
    objective: see `Front.priced`.

    Parameters
    ----------
    imbalance
        A layer that is no more imbalanced is left alone.
    fresh
        Whether layers that end far above their bound may also be planned afresh, with devices
        relabelled so that most experts stay.
    workers
        Threads that share the layers; the front is the same.
    late
        Tells whether the time is up: layers that were not come to by then stay as they are.

    Raises
    ------
    InstanceError
        If `refuses` says why not.
    NoPlacementError
        If the rules forbid the previous plan and no plan near it was found.
    """
    reason = refuses(problem)
    if reason is not None:
        raise InstanceError("$", "<problem>", f"cannot be replanned: {reason}", "use solve()")
    assert problem.previous is not None
    start = _start(problem)
    ground = Ground.of(problem, start, imbalance, workers, late)
    lower = layer_bounds(problem)
    trails = [ground.descend(start, np.arange(problem.num_layers))]
    if fresh:
        ends = trails[0].heat[np.arange(len(start)), trails[0].steps]
        far = np.flatnonzero(ends > (1 + FAR) * np.maximum(lower, ground.target))
        far, table = _fresh(problem, start, far, late)
        if len(far):
            moved = start.copy()
            moved[far] = table
            trails.append(ground.at(problem, moved).descend(table, far))
    trails += detours(problem, ground, trails)
    begins, turns = corners(trails, problem.num_layers)
    if problem.limits_moves():
        from moeopt.placement.rationing import rationed

        begins, turns = rationed(problem, ground, trails, begins, turns)
    return _front(ground, tuple(trails), begins, turns, float(lower.sum()))


def _start(problem: PlacementProblem) -> IntArray:
    """Return the previous plan, mended where a rule forbids it, else a fresh one near it."""
    # Imported here: a plan that needs no repair needs none of it.
    from moeopt.placement.repair import repaired

    previous = np.asarray(problem.previous, dtype=np.int64)
    mended = repaired(problem, previous)
    if mended is not None:
        return mended
    layers, table = _fresh(problem, previous, np.arange(problem.num_layers))
    if len(layers) < problem.num_layers:
        raise NoPlacementError("no_plan_found: the rules forbid the previous plan; use solve()")
    return table


def _fresh(
    problem: PlacementProblem, near: IntArray, layers: IntArray, late: Late | None = None
) -> tuple[IntArray, IntArray]:
    """Plan some layers afresh, with devices renumbered to be near a table.

    Returns
    -------
    layers
        Those for which a plan was found, ``(rows,)``.
    table
        Their plans, ``(rows, slots)``.
    """
    # Pairs are of numbered layers, and nothing plain.
    if len(layers) == 0 or problem.pinned or problem.forbidden or (late and late()):
        return layers[:0], near[:0]
    part = _without_previous(problem, layers)
    if not balance.is_plain(part):
        return layers[:0], near[:0]
    found = balance.search(balance.blocks_of(part), balance.AUTO_WORK, 0)
    layers = layers[np.isfinite(found.value)]
    table = balance.expand(part, found.table)[np.isfinite(found.value)]
    return _near(problem, near, layers, table, late)


def _near(
    problem: PlacementProblem, near: IntArray, layers: IntArray, table: IntArray, late: Late | None
) -> tuple[IntArray, IntArray]:
    """Return layers and their tables with devices renumbered, of those that there is time for."""
    from moeopt.placement.relabel import device_kinds, relabelled

    starts, kind, size = problem.slot_start(), device_kinds(problem), problem.bytes_of_experts()
    rows = []
    for layer, row in zip(layers.tolist(), table, strict=True):
        if late and late():
            break
        weight = size[layer][None]
        rows.append(
            relabelled(row[None], near[layer][None], starts, kind=kind, expert_bytes=weight)
        )
    found = np.concatenate([near[:0], *rows])
    return layers[: len(rows)], found


def _without_previous(problem: PlacementProblem, layers: IntArray) -> PlacementProblem:
    """Return the problem of some layers as if nothing were in force."""
    return msgspec.structs.replace(
        problem,
        loads_tokens=problem.loads_tokens[:, layers],
        expert_bytes=problem.bytes_of_experts()[layers],
        source_tokens=None,
        expert_traffic_tokens=None,
        previous=None,
        move_price_per_byte=0.0,
        max_moved_bytes=None,
        max_moved_bytes_per_device=None,
        max_moved_bytes_per_node=None,
    )


def _front(
    ground: Ground, trails: tuple[Trails, ...], begins: Turns, turns: Turns, bound: float
) -> Front:
    """Return the front that begins where layers begin and goes on turn by turn."""
    every = Turns.joined([begins, turns])
    by_layer = np.argsort(every.layer, kind="stable")
    # What each turn changes, against its layer's turn before.
    changes = {}
    for name in ("heat", "size", "number"):
        value = getattr(every, name)[by_layer].astype(np.float64)
        before = np.concatenate([[0.0], value[:-1]])
        first = np.concatenate([[True], np.diff(every.layer[by_layer]) > 0])
        change = np.empty(len(every))
        change[by_layer] = value - np.where(first, 0.0, before)
        begun = change[: len(begins)].sum()
        changes[name] = begun + np.concatenate([[0.0], np.cumsum(change[len(begins) :])])
        if name == "heat":
            weighed = change / np.where(ground.mean > 0, ground.mean, 1.0)[every.layer]
    weighed /= len(begins)
    # A layer without tokens is as even as can be.
    idle = np.mean(ground.mean == 0)
    begun = idle + weighed[: len(begins)].sum()
    imbalance = begun + np.concatenate([[0.0], np.cumsum(weighed[len(begins) :])])
    # Around a limit a layer may come to a better plan that moves no more.
    least_after = np.minimum.accumulate(changes["size"][::-1])[::-1]
    kept = np.flatnonzero(changes["size"] < np.append(least_after[1:], np.inf))
    return Front(
        moved_bytes=changes["size"][kept],
        transfers=np.rint(changes["number"][kept]).astype(np.int64),
        objective=changes["heat"][kept],
        # None is below 1 but by rounding.
        imbalance=np.maximum(imbalance[kept], 1.0),
        bound=bound,
        _taken=kept,
        _begins=begins,
        _turns=turns,
        _trails=trails,
    )


def refuses(problem: PlacementProblem) -> str | None:
    """Return why a problem cannot be replanned, ``None`` if it can."""
    if problem.previous is None:
        return "it needs a previous plan"
    if problem.expert_bytes is None or not np.any(problem.bytes_of_experts()):
        return "it needs expert_bytes (1 counts transfers)"
    if not balance.sees_one_load(problem) or problem.split != "even":
        return "it takes objective max_load with the even split"
    if problem.cross_node_price > 0:
        return "it knows no price of cross-node tokens"
    return "memory may bind" if memory_can_bind(problem) else None


def outcome(problem: PlacementProblem, context: Context, warm_start: object) -> Outcome:
    """Return the front's best plan at the problem's price of moved bytes: method ``replan``."""
    del warm_start
    bound = layer_bounds(problem)
    known = {"layer_bound": bound.tolist()}
    try:
        front = replan_front(problem, workers=context.workers, late=context.out_of_time)
    except NoPlacementError:
        return Outcome(plan=None, bound=float(bound.sum()), statistics=known)
    point = front.priced(problem.move_price_per_byte)
    return Outcome(
        plan=PlacementPlan(physical_to_logical=front.table(point)),
        bound=float(bound.sum()),
        limit=Limit.TIME if context.out_of_time() else None,
        statistics={**known, "transfers": int(front.transfers[point]), "points": len(front)},
    )
