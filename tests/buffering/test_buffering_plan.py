"""The checker and the value, against tiny instances and plans replayed one event at a time."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from buffering_oracle import brute_force, drawn, naive_value, problem_of

from moeopt.buffering.plan import BufferingPlan, evaluate, violations
from moeopt.buffering.problem import BufferingProblem, Timing


def plan(capacity: Any, loads: Any = (), drops: Any = (), order: Any = None) -> BufferingPlan:
    """Return a plan from pairs of time and item."""
    load, drop = (np.array(list(table), dtype=np.int64).reshape(-1, 2) for table in (loads, drops))
    return BufferingPlan(
        capacity=np.array(capacity), order=None if order is None else np.array(order),
        load_at=load[:, 0], load_item=load[:, 1], drop_at=drop[:, 0], drop_item=drop[:, 1],
    )  # fmt: skip


#: Experts 0, 1, 0, 2 of one layer, two slots.
ROUND = problem_of([[0], [1], [0], [2]])
SOFT = msgspec.structs.replace(ROUND, serve="bypass")
#: Two layers of two experts, one slot each.
LAYERS = problem_of([[0], [1], [1], [1]], layers=2, slots=1, serve="bypass")
GROUP = problem_of([[0, 1], [1, 0]], slots=1)
LOADS = [(0, 0), (1, 1), (3, 2)]

#: Constraint, problem, a plan that breaks it and nothing else, where it breaks and by how much.
BROKEN: dict[str, tuple[BufferingProblem, BufferingPlan, str, float]] = {
    "C1-loaded twice": (
        ROUND, plan([2], [*LOADS[:2], (2, 0), (3, 2)], [(3, 1)]), "load_item[2]", 1,
    ),
    "C1-dropped unseen": (ROUND, plan([2], LOADS, [(0, 2), (3, 1)]), "drop_item[0]", 1),
    "C2": (ROUND, plan([2], LOADS), "capacity[0]", 1),
    "C2-bytes": (
        problem_of([[0], [1]], cache_bytes=7, expert_bytes=[[4, 5]]),
        plan([7], [(0, 0), (1, 1)]), "capacity[0]", 2,
    ),
    "C2-second cache": (
        msgspec.structs.replace(LAYERS, expert_bytes=3, slots=[1, 1]),
        plan([1, 1], [(0, 0), (1, 2), (3, 3)]), "capacity[1]", 1,
    ),
    "C2-pinned": (
        problem_of([[0], [1]], slots=1, pinned=[[0, 1]], serve="bypass"),
        plan([1], [(0, 0)]), "capacity[0]", 1,
    ),
    "C3-absent": (ROUND, plan([2], LOADS, [(2, 0), (3, 1)]), "load_at", 1),
    "C3-ahead": (
        ROUND, plan([2], [*LOADS[:2], (2, 2)], [(2, 1)]), "load_item[2]", 1,
    ),
    "C4": (
        msgspec.structs.replace(SOFT, loads_per_group=1),
        plan([2], [(1, 0), (1, 1)]), "load_at[0]", 1,
    ),
    "C5-closed": (
        msgspec.structs.replace(SOFT, update_period=2),
        plan([2], [(0, 0), (0, 1), (3, 2)], [(2, 1)]), "load_at[2]", 1,
    ),
    "C5-dropped while closed": (
        msgspec.structs.replace(SOFT, update_period=2),
        plan([2], [(0, 0), (0, 1)], [(3, 1)]), "drop_at[0]", 1,
    ),
    "C5-another layer": (LAYERS, plan([1, 1], [(1, 0)]), "load_at[0]", 1),
    "C6": (ROUND, plan([3], LOADS), "capacity[0]", 1),
    "C6-budget": (
        problem_of([[0], [1]], layers=2, budget_bytes=9, expert_bytes=[4, 3]),
        plan([1, 2], [(0, 0), (1, 3)]), "capacity", 1,
    ),
    "C7-not allowed": (GROUP, plan([1], [(0, 1), (1, 0), (2, 1), (3, 0)],
                                   [(1, 1), (2, 0), (3, 1)], [1, 0, 2, 3]), "order[0]", 2),
    "C7-other group": (
        msgspec.structs.replace(GROUP, any_order=True),
        plan([1], [(0, 0), (1, 1), (3, 0)], [(1, 0), (3, 1)], [0, 2, 1, 3]), "order[1]", 2,
    ),
    "C7-twice": (
        msgspec.structs.replace(GROUP, any_order=True),
        plan([1], [(0, 0), (2, 1), (3, 0)], [(2, 0), (3, 1)], [0, 0, 2, 3]), "order[0]", 2,
    ),
    "C8": (
        msgspec.structs.replace(ROUND, pinned=[[0, 0]]),
        plan([2], [(1, 1), (3, 2)], [(3, 0), (3, 1)]), "drop_item[0]", 1,
    ),
    "C8-loaded": (
        msgspec.structs.replace(ROUND, pinned=[[0, 0]]),
        plan([2], LOADS, [(3, 1)]), "load_item[0]", 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_named_with_its_place_and_amount(name: str) -> None:
    stated, broken, where, amount = BROKEN[name]
    (found,) = violations(stated, broken)
    assert found.constraint == name.split("-")[0]
    assert found.path == f"$.{where}"
    assert found.amount == pytest.approx(amount)
    with pytest.raises(ValueError, match=found.constraint):
        naive_value(stated, broken)


def test_every_rule_has_an_instance_that_breaks_it() -> None:
    assert {name.split("-")[0] for name in BROKEN} == {f"C{n}" for n in range(1, 9)}


def test_several_broken_rules_are_all_named() -> None:
    stated = problem_of([[0], [1], [0]], serve="bypass", slots=1, loads_per_group=1,
                        update_period=2, pinned=[[0, 0]])  # fmt: skip
    broken = plan([2], [(1, 0), (1, 1), (1, 1), (1, 2)], order=[1, 0, 2])
    stated = msgspec.structs.replace(stated, experts=3)
    assert [found.constraint for found in violations(stated, broken)] == [
        "C1", "C2", "C4", "C5", "C6", "C7", "C8",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"capacity": [2, 2]}, "capacity"),
        ({"capacity": [-1]}, "capacity[0]"),
        ({"capacity": [np.nan]}, "capacity[0]"),
        ({"load_item": [0]}, "load_item"),
        ({"load_at": [[0, 1, 3]]}, "load_at"),
        ({"load_at": [0, 1, 4]}, "load_at[2]"),
        ({"load_at": [0, 3, 1]}, "load_at[2]"),
        ({"load_at": [0, 1.5, 3]}, "load_at[1]"),
        ({"load_item": [0, 3, 2]}, "load_item[1]"),
        ({"drop_at": [-1]}, "drop_at[0]"),
        ({"drop_item": [9]}, "drop_item[0]"),
        ({"order": [0, 1]}, "order"),
        ({"order": [0, 1, 2, 4]}, "order[3]"),
    ],
)
def test_tables_that_cannot_be_read_are_shape_violations(fields: Any, where: str) -> None:
    sound = plan([2], LOADS, [(3, 1)])
    assert violations(ROUND, sound) == []
    arrays = {name: np.array(value) for name, value in fields.items()}
    (found,) = violations(ROUND, msgspec.structs.replace(sound, **arrays))
    assert (found.constraint, found.path) == ("shape", f"$.{where}")


def test_a_plan_without_any_event() -> None:
    soft = evaluate(SOFT, plan([2]))
    assert violations(SOFT, plan([2])) == []
    assert (soft.hits, soft.misses, soft.loads, soft.hit_rate) == (0, 4, 0, 0.0)
    empty = problem_of([[], []], experts=2)
    assert violations(empty, plan([2])) == []
    assert evaluate(empty, plan([2])).hit_rate is None


def test_figures_by_hand() -> None:
    stated = problem_of(
        [[0, 1], [1], [1], [0]], layers=2, slots=1, expert_bytes=[[2, 3], [5, 7]],
        load_s=[1.0, 2.0], objective="seconds",
    )  # fmt: skip
    loads = [(0, 0), (1, 1), (2, 3), (4, 2)]
    found = evaluate(stated, plan([1, 1], loads, [(1, 0), (4, 3)]))
    # The second step's reference to expert 1 of layer 0 is the one hit.
    assert (found.references, found.hits, found.misses, found.loads) == (5, 1, 4, 4)
    assert found.hit_rate == pytest.approx(0.2)
    assert found.miss_bytes == 2 + 3 + 7 + 5
    assert found.objective == found.seconds == 1 + 1 + 2 + 2
    assert found.references_by_layer.tolist() == [3, 2]
    assert found.misses_by_layer.tolist() == found.loads_by_layer.tolist() == [2, 2]
    assert found.stall_s is None


def test_figures_of_what_is_bypassed_by_hand() -> None:
    stated = problem_of(
        [[0, 1], [0], [1]], serve="bypass", slots=1, expert_bytes=[[2, 3]], load_s=4.0, miss_s=10.0,
        weights=np.array([1.0, 2.0, 3.0, 0.5]), objective="seconds",
    )  # fmt: skip
    kept = plan([1], [(0, 0), (2, 1)], [(2, 0)])
    found = evaluate(stated, kept)
    assert (found.misses, found.loads) == (1, 2)
    assert found.objective == 4 + 10 * 2 + 4
    assert found.miss_bytes == 2 + 3 + 3
    free = msgspec.structs.replace(stated, free_fill=True)
    assert evaluate(free, kept).objective == 10 * 2 + 4
    assert evaluate(free, kept).miss_bytes == 3 + 3
    assert evaluate(msgspec.structs.replace(free, objective="misses"), kept).objective == 1


def test_seconds_are_unknown_unless_they_are_stated() -> None:
    loaded = plan([2], LOADS, [(3, 1)])
    assert evaluate(ROUND, loaded).seconds is None
    assert evaluate(SOFT, plan([2])).seconds is None
    timed = msgspec.structs.replace(ROUND, expert_bytes=6, timing=Timing(link_bytes_per_s=4.0))
    found = evaluate(timed, loaded)
    assert found.seconds == 3 * 6 / 4
    assert found.stall_s is not None


#: Fields of drawn problems: every rule and both ways to serve.
KINDS: dict[str, dict[str, Any]] = {
    "load": {"most": 3},
    "load layers": {"layers": 2, "experts": 3, "steps": 4, "slots": [1, 2], "seconds": True},
    "pool": {"layers": 2, "experts": 3, "steps": 4, "pooled": True, "slots": 3},
    "bytes": {"cache_bytes": 4, "sizes": True, "objective": "miss_bytes"},
    "any order": {"any_order": True, "most": 3, "seconds": True},
    "pins": {"pinned": [[0, 1]], "seconds": True},
    "budget": {"layers": 2, "experts": 3, "steps": 4, "budget_bytes": 7, "sizes": True},
    "soft": {"serve": "bypass", "seconds": True},
    "soft cap": {"serve": "bypass", "seconds": True, "loads_per_group": 1, "free_fill": True},
    "soft period": {"serve": "bypass", "update_period": 2, "layers": 2, "experts": 3, "steps": 4},
    "soft pool": {
        "serve": "bypass", "pooled": True, "layers": 2, "experts": 2, "free_fill": True,
        "seconds": True, "pinned": [[1, 0]], "slots": 2,
    },
    "soft bytes": {
        "serve": "bypass", "cache_bytes": 3, "sizes": True, "objective": "miss_bytes",
        "free_fill": True,
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_optimal_plans_are_sound_and_worth_what_the_oracle_says(kind: str) -> None:
    for seed in range(6):
        stated = drawn(seed, **KINDS[kind])
        best = brute_force(stated)
        if best is None:
            continue
        assert best.plan is not None
        assert violations(stated, best.plan) == []
        found, expected = evaluate(stated, best.plan), naive_value(stated, best.plan)
        assert found.objective == pytest.approx(best.objective, rel=1e-12)
        assert found.objective == pytest.approx(expected["objective"], rel=1e-12)
        assert (found.misses, found.loads) == (expected["misses"], expected["loads"])
        assert found.hits + found.misses == found.references == stated.num_references
        assert found.misses_by_layer.sum() == found.misses
        assert found.references_by_layer.sum() == found.references


@pytest.mark.parametrize("kind", KINDS)
def test_plans_with_one_thing_changed_are_judged_as_a_replay_judges_them(kind: str) -> None:
    rng = np.random.default_rng(5)
    broken = 0
    for seed in range(4):
        stated = drawn(seed, **KINDS[kind])
        best = brute_force(stated)
        if best is None:
            continue
        assert best.plan is not None
        for _ in range(12):
            changed = _changed(stated, best.plan, rng)
            labels = {found.constraint for found in violations(stated, changed)}
            first = _first_broken(stated, changed)
            assert labels == set() if first is None else first in labels
            broken += first is not None
            if first is None:
                value = naive_value(stated, changed)
                assert evaluate(stated, changed).objective == pytest.approx(value["objective"])
    assert broken > 5


def _first_broken(problem: BufferingProblem, changed: BufferingPlan) -> str | None:
    """Return the label of the first rule that a replay sees broken."""
    try:
        naive_value(problem, changed)
    except ValueError as error:
        return str(error)
    return None


def _changed(
    problem: BufferingProblem, sound: BufferingPlan, rng: np.random.Generator
) -> BufferingPlan:
    """Return the plan with a load or drop more, less, later, or of another item."""
    times = problem.num_references if problem.serve == "load" else problem.num_groups
    tables = {
        kind: np.stack([getattr(sound, f"{kind}_at"), getattr(sound, f"{kind}_item")], axis=1)
        for kind in ("load", "drop")
    }
    kind = str(rng.choice(["load", "drop"]))
    table = tables[kind]
    event = [rng.integers(times), rng.integers(problem.num_layers * problem.num_experts)]
    row = rng.integers(len(table) + 1)
    if row == len(table):
        table = np.vstack([table, event])
    elif rng.random() < 0.5:
        table = np.delete(table, row, axis=0)
    else:
        table[row, rng.integers(2)] = event[rng.integers(2)] % times
        table[row, 1] %= problem.num_layers * problem.num_experts
    tables[kind] = table[np.argsort(table[:, 0], kind="stable")]
    order = sound.order
    if order is not None and rng.random() < 0.3:
        order = rng.permutation(order)
    return plan(sound.capacity, tables["load"], tables["drop"], order)


#: A constraint, a problem, its optimum and the optimum without the constraint.
BINDING: dict[str, tuple[BufferingProblem, float, float]] = {
    "C1": (ROUND, 3, 0),
    "C2": (problem_of([[0], [1], [0], [1]], slots=1), 4, 2),
    "C2-bytes": (problem_of([[0], [1], [0]], cache_bytes=3, expert_bytes=[[2, 2]]), 3, 2),
    "C2-pool": (problem_of([[0], [0], [0], [0]], layers=2, slots=1, pooled=True), 4, 2),
    "C3": (ROUND, 3, 0),
    "C4": (problem_of([[0, 1], [0, 1]], serve="bypass", loads_per_group=1), 1, 0),
    "C5": (problem_of([[0], [1], [1]], serve="bypass", slots=1, update_period=2), 1, 0),
    "C6": (problem_of([[0], [1], [0], [1]], slots=1), 4, 2),
    "C6-budget": (
        problem_of([[0], [0], [1], [1], [0], [1]], layers=2, budget_bytes=5, expert_bytes=[2, 3]),
        5, 4,
    ),
    "C7": (problem_of([[0, 1], [0, 1]], slots=1), 4, 3),
    "C8": (problem_of([[1], [2], [1], [2]], pinned=[[0, 0]]), 4, 2),
}  # fmt: skip

#: The same where the constraint does not bind.
SLACK: dict[str, BufferingProblem] = {
    "C2": problem_of([[0], [1], [0], [1]], slots=2),
    "C4": problem_of([[0], [1], [0]], serve="bypass", loads_per_group=1),
    "C5": problem_of([[0], [0], [1]], serve="bypass", slots=1, update_period=2),
    "C6": problem_of([[0], [1], [0], [1]], slots=3),
    "C7": problem_of([[1, 0], [0, 1]], slots=1),
    "C8": problem_of([[0], [1], [0], [1]], pinned=[[0, 0]]),
}


@pytest.mark.parametrize("name", BINDING)
def test_dropping_a_rule_that_binds_changes_the_optimum(name: str) -> None:
    stated, optimum, without = BINDING[name]
    best = brute_force(stated)
    dropped = brute_force(stated, ignore=(name.split("-")[0],))
    assert best is not None
    assert dropped is not None
    assert (best.objective, dropped.objective) == (optimum, without)


@pytest.mark.parametrize("label", SLACK)
def test_dropping_a_rule_that_does_not_bind_changes_nothing(label: str) -> None:
    best, dropped = brute_force(SLACK[label]), brute_force(SLACK[label], ignore=(label,))
    assert best is not None
    assert dropped is not None
    assert best.objective == dropped.objective


def test_every_rule_binds_somewhere() -> None:
    assert {name.split("-")[0] for name in BINDING} == {f"C{n}" for n in range(1, 9)}


def test_a_long_plan_is_judged_by_arrays_alone() -> None:
    # Every reference is loaded anew in its turn; a loop over 200,000 of them would be felt.
    groups, experts, layers = 50_000, 16, 4
    first = np.arange(groups)[:, None] * 3 % experts
    active = np.sort((first + np.arange(4)) % experts, axis=1).ravel()
    stated = BufferingProblem(
        layers=layers, experts=experts, active=active, starts=np.arange(groups + 1) * 4,
        slots=1, pooled=True,
    )  # fmt: skip
    items, at = stated.item_of(), np.arange(active.size)
    again = plan([1], np.stack([at, items], 1), np.stack([at[1:], items[:-1]], 1))
    assert violations(stated, again) == []
    assert evaluate(stated, again).misses == active.size
