"""Brute force over every placement of a tiny problem: the oracle of the exact methods.

It knows the wing only through `violations` and `evaluate`. All tables of a layer are valued in one
call, as the layers of one wide problem; prices, which `evaluate` sums over layers, are added table
by table in the order of that value, until it alone exceeds the best total.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.placement.plan import PlacementPlan, evaluate, violations
from moeopt.placement.problem import PlacementProblem

#: Relative difference below which two values are taken for the same.
CLOSE = 1e-12

#: Most tables of one layer that are looked at.
MOST_TABLES = 300_000


@dataclass(frozen=True)
class Best:
    """The least objective over all placements, and one placement that has it."""

    objective: float
    plan: PlacementPlan


def brute_force(problem: PlacementProblem, ignore: tuple[str, ...] = ()) -> Best | None:
    """Return the best placement, or ``None`` if there is none.

    Parameters
    ----------
    problem
        About 5 experts, 3 devices and 7 slots at most; fewer with several layers.
    ignore
        Labels of constraints that need not hold.

    Raises
    ------
    ValueError
        If the problem does not fit (see `fits`).
    """
    if not fits(problem, ignore):
        raise ValueError("too large for brute force")
    layers = [_candidates(problem, layer, ignore) for layer in range(problem.num_layers)]
    if any(len(tables) == 0 for tables in layers):
        return None
    values = [_layer_values(problem, layer, tables) for layer, tables in enumerate(layers)]
    totals = values[0]
    for more in values[1:]:
        totals = np.add.outer(totals, more)
    best: Best | None = None
    for flat in np.argsort(totals, axis=None, kind="stable"):
        chosen = np.unravel_index(int(flat), totals.shape)
        if best is not None and totals[chosen] >= best.objective * (1 - CLOSE):
            break
        table = np.stack([tables[i] for tables, i in zip(layers, chosen, strict=True)])
        plan = PlacementPlan(physical_to_logical=table)
        if _broken(problem, plan, ignore):
            continue
        objective = evaluate(problem, plan).objective
        if best is None or objective < best.objective:
            best = Best(objective, plan)
    return best


def fits(problem: PlacementProblem, ignore: tuple[str, ...] = ()) -> bool:
    """Tell whether `brute_force` takes the problem; counts tables, makes none."""
    choices = [
        math.comb(len(symbols) + slots - 1, slots)
        for slots, symbols in _device_symbols(problem, ignore)
    ]
    return math.prod(choices) <= MOST_TABLES


def one_layer(problem: PlacementProblem, layer: int) -> PlacementProblem:
    """Return the problem of one layer alone."""
    pick = slice(layer, layer + 1)
    changes: dict[str, object] = {
        "loads_tokens": problem.loads_tokens[:, pick],
        "pinned": _pairs_of(problem.pinned, layer),
        "forbidden": _pairs_of(problem.forbidden, layer),
    }
    if problem.expert_bytes is not None:
        changes["expert_bytes"] = problem.bytes_of_experts()[pick]
    if problem.source_tokens is not None:
        changes["source_tokens"] = problem.source_tokens[:, pick]
    if problem.expert_traffic_tokens is not None:
        changes["expert_traffic_tokens"] = problem.expert_traffic_tokens[pick]
    if problem.previous is not None:
        changes["previous"] = problem.previous[pick]
    return msgspec.structs.replace(problem, **changes)


def _pairs_of(pairs: tuple[object, ...], layer: int) -> tuple[object, ...]:
    here = [pair for pair in pairs if pair.layer in (None, layer)]  # type: ignore[attr-defined]
    return tuple(msgspec.structs.replace(pair, layer=None) for pair in here)  # type: ignore[type-var]


def _candidates(problem: PlacementProblem, layer: int, ignore: tuple[str, ...]) -> IntArray:
    """Return the tables of one layer that break nothing, ``(candidates, slots)``."""
    alone = one_layer(problem, layer)
    kept = [
        table
        for table in _tables(alone, ignore)
        if not _broken(alone, PlacementPlan(physical_to_logical=table[None]), ignore)
    ]
    return np.array(kept, dtype=np.int64).reshape(-1, problem.num_slots)


def _tables(problem: PlacementProblem, ignore: tuple[str, ...]) -> Iterator[IntArray]:
    """Yield every table of one layer, devices' slots in order, without the obviously broken."""
    choices = [
        list(itertools.combinations_with_replacement(symbols, slots))
        for slots, symbols in _device_symbols(problem, ignore)
    ]
    for parts in itertools.product(*choices):
        table = np.array(list(itertools.chain(*parts)), dtype=np.int64)
        if "C1" in ignore or len(set(table.tolist()) - {-1}) == problem.num_experts:
            yield table


def _device_symbols(
    problem: PlacementProblem, ignore: tuple[str, ...]
) -> Iterator[tuple[int, range]]:
    """Yield the slots of each device, and what may be in them."""
    empty = problem.allow_empty_slots or "C2" in ignore
    for slots, live in zip(problem.slots().tolist(), problem.live(), strict=True):
        if not live and "C8" not in ignore:
            yield slots, range(-1, 0)
        else:
            yield slots, range(-1 if empty or not live else 0, problem.num_experts)


def _broken(problem: PlacementProblem, plan: PlacementPlan, ignore: tuple[str, ...]) -> bool:
    return any(found.constraint not in ignore for found in violations(problem, plan))


def _layer_values(problem: PlacementProblem, layer: int, tables: IntArray) -> FloatArray:
    """Return the objective of a layer without prices, for each of its tables."""
    alone = one_layer(problem, layer)
    many = len(tables)
    changes: dict[str, object] = {
        "loads_tokens": np.repeat(alone.loads_tokens, many, axis=1),
        "pinned": (),
        "forbidden": (),
        "expert_bytes": None,
        "expert_memory_bytes": None,
        "previous": None,
        "move_price_per_byte": 0.0,
        "max_moved_bytes": None,
        "max_moved_bytes_per_device": None,
        "max_moved_bytes_per_node": None,
        "cross_node_price": 0.0,
    }
    if alone.source_tokens is not None:
        changes["source_tokens"] = np.repeat(alone.source_tokens, many, axis=1)
    if alone.expert_traffic_tokens is not None:
        changes["expert_traffic_tokens"] = np.repeat(alone.expert_traffic_tokens, many, axis=0)
    wide = msgspec.structs.replace(alone, **changes)
    return evaluate(wide, PlacementPlan(physical_to_logical=tables)).layer_objective
