"""The best plan of a tiny problem, by going through slots and sets of residents, and its value.

Nothing here knows a solver, an array of losses or the checker: sets, loops and the formulation
page.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from moeopt.committee.plan import CommitteePlan
from moeopt.committee.problem import CommitteeProblem

#: Most experts of layers that are looked at together: there are as many states as subsets.
MOST_ITEMS = 10

#: Relative slack of the rules about seconds and rates, as on the formulation page.
SLACK = 1 + 1e-9

Residents = frozenset[int]
State = tuple[Residents, ...]


@dataclass(frozen=True)
class Best:
    """The least objective over all plans, and one plan that has it.

    Attributes
    ----------
    objective
        In units of the loss.
    plan
        ``None`` if labels were ignored: what has the objective then is no plan.
    """

    objective: float
    plan: CommitteePlan | None


class _Way(NamedTuple):
    """The cheapest way to a state: its cost, and the states so far, latest first."""

    cost: float
    past: tuple[Any, ...]


def brute_force(problem: CommitteeProblem, ignore: tuple[str, ...] = ()) -> Best | None:
    """Return the best plan, or ``None`` if there is none.

    Parameters
    ----------
    problem
        A few experts, a few windows: at most `MOST_ITEMS` experts of a layer, or of all with a
        link, which couples the layers.
    ignore
        Labels of constraints that need not hold. C4: a layer has 0 slots up to one for each expert.
        C5: everybody is there, unpaid. C6: every window is open. C7: any period up to the number of
        windows.

    Raises
    ------
    ValueError
        If there are too many experts.
    """
    periods = [int(p) for p in problem.choices()]
    if "C7" in ignore:
        periods = sorted({*periods, *range(1, problem.num_windows + 1)})
    best: Best | None = None
    for period in periods:
        found = _best_of_period(problem, period, ignore)
        if found is not None and (best is None or found.objective < best.objective):
            best = found
    return best


def layer_curve(problem: CommitteeProblem, layer: int, period: int = 1) -> list[float]:
    """Return the least cost of a layer with 0, 1, ... slots and without a link's limit."""
    slots = range(problem.experts + 1)
    if problem.loss == "table":
        return [_table_entry(problem, "table", period, layer, k) for k in slots]
    return [_best_states(problem, [layer], [k], period, math.inf, ()).cost for k in slots]


def naive_value(problem: CommitteeProblem, plan: CommitteePlan) -> dict[str, float]:
    """Return ``objective``, ``loss`` and ``loads`` of a plan, replayed one change at a time.

    Raises
    ------
    ValueError
        If the plan breaks a rule; the message is its label.
    """
    slots = [int(k) for k in plan.slots]
    _require(plan.period in problem.choices().tolist(), "C7")
    for layer, k in enumerate(slots):
        _require(_fewest(problem, layer) <= k <= _most(problem, layer), "C4")
    _require(_memory(problem, slots) <= problem.budget_bytes, "C1")
    _require(problem.latency_s is None or _seconds(problem, slots) <= problem.latency_s * SLACK,
             "C2")  # fmt: skip
    limit = _limit(problem, plan.period)
    if problem.loss == "table":
        _require(_swapped(problem, plan.period, slots) <= limit * SLACK, "C3")
        loss = sum(
            _table_entry(problem, "table", plan.period, layer, k) for layer, k in enumerate(slots)
        )
        return {"objective": loss, "loss": loss, "loads": 0}
    there: list[set[int]] = [set() for _ in slots]
    loss, paid, loads = 0.0, 0.0, 0
    for t in range(problem.num_windows):
        changes = [row for row in (*plan.drops.tolist(), *plan.loads.tolist()) if row[0] == t]
        _require(not changes or t % plan.period == 0, "C6")
        for _, layer, expert in plan.drops[plan.drops[:, 0] == t].tolist():
            _require(expert in there[layer], "C5")
            there[layer].remove(expert)
        new = plan.loads[plan.loads[:, 0] == t].tolist()
        for _, layer, expert in new:
            _require(expert not in there[layer], "C5")
            there[layer].add(expert)
        if not (t == 0 and problem.free_fill):
            loads += len(new)
            paid += sum(_entry(problem.load_price, layer) for _, layer, _ in new)
            moved = sum(_entry(problem.expert_bytes, layer) for _, layer, _ in new)
            _require(moved <= limit * SLACK, "C3")
        for layer, k in enumerate(slots):
            _require(len(there[layer]) <= k, "C5")
            loss += loss_of(problem, t, layer, frozenset(there[layer]))
    return {"objective": loss + paid, "loss": loss, "loads": loads}


def loss_of(problem: CommitteeProblem, window: int, layer: int, there: Residents) -> float:
    """Return what a window and layer lose with these residents, token by token."""
    experts = range(problem.experts)
    if problem.importance is not None:
        return sum(float(problem.importance[window, layer, e]) for e in experts if e not in there)
    assert problem.router is not None
    lost = 0.0
    for token in range(*_tokens(problem, window)):
        value = problem.router[token, layer].tolist()
        # Falling value; of equal ones the lowest expert first, as sorting is stable.
        own = sorted(experts, key=lambda e, value=value: -value[e])[: problem.top_k]
        serving = [e for e in own if e in there]
        if problem.loss == "masked":
            serving = sorted(there, key=lambda e, value=value: -value[e])[: problem.top_k]
        lost += sum(value[e] for e in own) - sum(value[e] for e in serving)
    return lost


def problem_of(importance: Any, **fields: Any) -> CommitteeProblem:
    """Return a problem with the importance of experts in windows, layers and experts.

    Parameters
    ----------
    importance
        Nested lists; two axes are windows and experts of one layer.
    fields
        Of the problem, as they are. Left out, room for one expert of each layer, and 1 byte each.
    """
    table = np.asarray(importance, dtype=np.float64)
    table = table[:, None, :] if table.ndim == 2 else table
    fields = {"budget_bytes": table.shape[1], "min_slots": 0, **fields}
    return CommitteeProblem(
        layers=table.shape[1], experts=table.shape[2], importance=table, **fields
    )


def drawn(
    seed: int,
    *,
    layers: int = 2,
    experts: int = 3,
    windows: int = 3,
    loss: str = "additive",
    tokens: int = 3,
    **fields: Any,
) -> CommitteeProblem:
    """Return a problem with whole numbers drawn from a seed.

    Parameters
    ----------
    seed
        Of the draw.
    layers, experts, windows
        Sizes.
    loss
        Whose data are drawn.
    tokens
        Most of a window, with a router; there is one at least.
    fields
        Of the problem, as they are. Left out, room for half of all experts.
    """
    rng = np.random.default_rng(seed)
    shape: tuple[int, ...] = (layers, experts)
    fields = {"budget_bytes": max(layers, layers * experts // 2), "min_slots": 0, **fields}
    if loss == "additive":
        fields["importance"] = rng.integers(0, 9, (windows, *shape)).astype(float)
    elif loss == "table":
        shape = (layers, experts + 1)
        if "periods" in fields:
            shape = (len(fields["periods"]), *shape)
        fields["table"] = rng.integers(0, 20, shape).astype(float)
        most = np.broadcast_to(np.arange(experts + 1), shape)
        fields["swaps"] = np.floor(rng.random(shape) * (most + 1))
    else:
        counts = rng.integers(1, tokens + 1, windows)
        fields["router"] = rng.integers(0, 6, (int(counts.sum()), *shape)).astype(float)
        fields["window_starts"] = np.concatenate(([0], np.cumsum(counts)[:-1]))
    return CommitteeProblem(layers=layers, experts=experts, loss=loss, **fields)


def _best_of_period(problem: CommitteeProblem, period: int, ignore: tuple[str, ...]) -> Best | None:
    best: Best | None = None
    splits = list(_splits(problem, ignore))
    if problem.loss == "table":
        for split in splits:
            moved = _swapped(problem, period, split)
            if "C3" not in ignore and moved > _limit(problem, period) * SLACK:
                continue
            cost = sum(
                _table_entry(problem, "table", period, layer, k) for layer, k in enumerate(split)
            )
            if best is None or cost < best.objective:
                best = Best(cost, None if ignore else _plan(period, split, []))
        return best
    limit = math.inf if "C3" in ignore else _limit(problem, period)
    every = range(problem.layers)
    together = [list(every)] if math.isfinite(limit) else [[layer] for layer in every]
    for split in _largest(splits):
        ways = [
            _best_states(problem, group, [split[layer] for layer in group], period, limit, ignore)
            for group in together
        ]
        cost = sum(way.cost for way in ways)
        if best is None or cost < best.objective:
            plan = None if ignore else _plan(period, split, [_states(way) for way in ways])
            best = Best(cost, plan)
    return best


def _splits(problem: CommitteeProblem, ignore: tuple[str, ...]) -> Iterator[tuple[int, ...]]:
    """Yield every number of slots of the layers that memory, latency and limits allow."""
    ranges = [range(problem.experts + 1)] * problem.layers
    if "C4" not in ignore:
        ranges = [
            range(_fewest(problem, layer), _most(problem, layer) + 1)
            for layer in range(problem.layers)
        ]
    for split in itertools.product(*ranges):
        if "C1" not in ignore and _memory(problem, split) > problem.budget_bytes:
            continue
        late = problem.latency_s is not None and _seconds(problem, split) > (
            problem.latency_s * SLACK
        )
        if "C2" in ignore or not late:
            yield split


def _largest(splits: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Leave out what has no more slots than another in any layer: slots have no price."""
    return [
        one
        for one in splits
        if not any(
            other != one and all(a <= b for a, b in zip(one, other, strict=True))
            for other in splits
        )
    ]


def _best_states(
    problem: CommitteeProblem,
    layers: list[int],
    slots: list[int],
    period: int,
    limit: float,
    ignore: tuple[str, ...],
) -> _Way:
    """Return the cheapest way of some layers' residents through all windows."""
    if len(layers) * problem.experts > MOST_ITEMS:
        raise ValueError("too large for brute force")
    if "C5" in ignore:
        everybody = frozenset(range(problem.experts))
        windows = range(problem.num_windows)
        return _Way(sum(loss_of(problem, t, j, everybody) for t in windows for j in layers), ())
    targets = list(itertools.product(*(_subsets(problem.experts, k) for k in slots)))
    lost = [
        {
            (i, there): loss_of(problem, t, layer, there)
            for i, layer in enumerate(layers)
            for there in _subsets(problem.experts, slots[i])
        }
        for t in range(problem.num_windows)
    ]
    price = [_entry(problem.load_price, layer) for layer in layers]
    size = [_entry(problem.expert_bytes, layer) for layer in layers]
    ways = {tuple(frozenset() for _ in layers): _Way(0.0, ())}
    for t in range(problem.num_windows):
        is_open = t % period == 0 or "C6" in ignore
        free = t == 0 and problem.free_fill
        after: dict[State, _Way] = {}
        for state, way in ways.items():
            for now in targets if is_open else [state]:
                loads = [len(new - old) for old, new in zip(state, now, strict=True)]
                moved = sum(n * b for n, b in zip(loads, size, strict=True))
                if not free and moved > limit * SLACK:
                    continue
                cost = way.cost + sum(lost[t][i, there] for i, there in enumerate(now))
                if not free:
                    cost += sum(n * c for n, c in zip(loads, price, strict=True))
                if now not in after or cost < after[now].cost:
                    after[now] = _Way(cost, (way.past, dict(zip(layers, now, strict=True))))
        ways = after
    return min(ways.values(), key=lambda way: way.cost)


def _states(way: _Way) -> list[dict[int, Residents]]:
    """Return the residents by layer, window after window."""
    states, past = [], way.past
    while past:
        past, state = past
        states.append(state)
    return states[::-1]


def _plan(
    period: int, split: tuple[int, ...], groups: list[list[dict[int, Residents]]]
) -> CommitteePlan:
    """Return the plan of slots and of the residents of each group of layers in each window."""
    loads, drops = [], []
    for windows in groups:
        before: dict[int, Residents] = {}
        for t, state in enumerate(windows):
            for layer, there in state.items():
                old = before.get(layer, frozenset())
                loads += [(t, layer, e) for e in there - old]
                drops += [(t, layer, e) for e in old - there]
            before = state
    tables = [np.array(sorted(rows), dtype=np.int64).reshape(-1, 3) for rows in (loads, drops)]
    return CommitteePlan(period=period, slots=np.array(split), loads=tables[0], drops=tables[1])


def _subsets(experts: int, most: int) -> list[Residents]:
    return [
        frozenset(chosen)
        for count in range(most + 1)
        for chosen in itertools.combinations(range(experts), count)
    ]


def _tokens(problem: CommitteeProblem, window: int) -> tuple[int, int]:
    """Return the first token of a window and the first after it."""
    assert problem.router is not None
    starts = [0] if problem.window_starts is None else problem.window_starts.tolist()
    return int(starts[window]), int([*starts, len(problem.router)][window + 1])


def _entry(value: Any, layer: int) -> float:
    """Return a number, or the entry for a layer."""
    array = np.asarray(value)
    return float(array[layer] if array.ndim else array)


def _fewest(problem: CommitteeProblem, layer: int) -> int:
    if problem.min_slots is None:
        return min(problem.top_k, problem.experts)
    return int(_entry(problem.min_slots, layer))


def _most(problem: CommitteeProblem, layer: int) -> int:
    return problem.experts if problem.max_slots is None else int(_entry(problem.max_slots, layer))


def _memory(problem: CommitteeProblem, split: Any) -> float:
    total = float(problem.fixed_bytes)
    for layer, k in enumerate(split):
        size = _entry(problem.expert_bytes, layer)
        total += size * (_entry(problem.staging_slots, layer) + k)
        total += _entry(problem.activation_bytes, layer) * k
    return total


def _seconds(problem: CommitteeProblem, split: Any) -> float:
    return problem.base_s + sum(_entry(problem.slot_s, layer) * k for layer, k in enumerate(split))


def _limit(problem: CommitteeProblem, period: int) -> float:
    if problem.link_bytes_per_s is None or problem.window_s is None:
        return math.inf
    return problem.link_bytes_per_s * problem.window_s * period


def _table_entry(
    problem: CommitteeProblem, name: str, period: int, layer: int, slots: int
) -> float:
    table = getattr(problem, name)
    if table.ndim == 3:
        table = table[problem.choices().tolist().index(period)]
    return float(table[layer, slots])


def _swapped(problem: CommitteeProblem, period: int, split: Any) -> float:
    if problem.swaps is None:
        return 0.0
    return sum(
        _entry(problem.expert_bytes, layer) * _table_entry(problem, "swaps", period, layer, k)
        for layer, k in enumerate(split)
    )


def _require(holds: bool, label: str) -> None:
    if not holds:
        raise ValueError(label)
