"""The checker and the value, against tiny instances and plans replayed one change at a time."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from committee_oracle import brute_force, drawn, naive_value, problem_of

from moeopt.committee.plan import CommitteePlan, evaluate, resident_at, violations
from moeopt.committee.problem import CommitteeProblem


def plan(slots: Any, loads: Any = (), drops: Any = (), period: int = 1) -> CommitteePlan:
    """Return a plan from rows of window, layer and expert."""
    tables = [np.array(rows, dtype=np.int64).reshape(-1, 3) for rows in (loads, drops)]
    return CommitteePlan(period=period, slots=np.array(slots), loads=tables[0], drops=tables[1])


def changed(problem: CommitteeProblem, **fields: Any) -> CommitteeProblem:
    """Return the problem with other fields."""
    return msgspec.structs.replace(problem, **fields)


#: Four windows of three experts of one layer, of which one fits.
ONE = problem_of([[4, 1, 0], [0, 3, 1], [0, 5, 2], [2, 0, 6]])
#: Two windows, two layers of two experts; 3 and 5 bytes each, of which 11 fit.
TWO = problem_of([[[4, 1], [2, 2]], [[0, 3], [7, 1]]], expert_bytes=[3, 5], budget_bytes=11)
#: A link of 5 bytes a window.
LINK = changed(TWO, link_bytes_per_s=2.5, window_s=2.0, periods=[1, 2])
TABLE = CommitteeProblem(
    layers=2, experts=2, loss="table", table=[[5, 2, 0], [9, 4, 1]], swaps=[[0, 1, 0], [0, 1, 2]],
    expert_bytes=[3, 5], budget_bytes=13, min_slots=0, link_bytes_per_s=2.0, window_s=4.0,
)  # fmt: skip
FIRST = [(0, 0, 0)]

#: Constraint, problem, a plan that breaks it and nothing else, where it breaks and by how much.
BROKEN: dict[str, tuple[CommitteeProblem, CommitteePlan, str, float]] = {
    "C1": (ONE, plan([2], FIRST), "slots", 1),
    "C1-sizes": (TWO, plan([2, 2]), "slots", 5),
    "C1-everything": (
        changed(TWO, activation_bytes=1, fixed_bytes=2, staging_slots=[1, 0]),
        plan([1, 1]), "slots", 4,
    ),
    "C2": (changed(ONE, budget_bytes=3, base_s=0.5, slot_s=0.25, latency_s=0.9),
           plan([2]), "slots", 0.1),
    "C3": (LINK, plan([1, 1], [(0, 0, 0), (0, 1, 0), (1, 0, 1), (1, 1, 1)],
                      [(1, 0, 0), (1, 1, 0)]), "loads[2]", 3),
    "C3-fill": (changed(LINK, free_fill=False), plan([1, 1], [(0, 0, 0), (0, 1, 0)]), "loads[0]",
                3),
    "C3-table": (TABLE, plan([1, 2]), "slots", 5),
    "C4-few": (changed(ONE, min_slots=1), plan([0]), "slots[0]", 1),
    "C4-many": (changed(TWO, max_slots=[2, 1], budget_bytes=99), plan([2, 2]), "slots[1]", 1),
    "C4-more than there are": (changed(TABLE, budget_bytes=99), plan([0, 3]), "slots[1]", 1),
    "C5-loaded twice": (
        changed(ONE, budget_bytes=2), plan([2], [*FIRST, (2, 0, 0)]), "loads[1]", 1,
    ),
    "C5-dropped unseen": (ONE, plan([1], FIRST, [(1, 0, 1)]), "drops[0]", 1),
    "C5-dropped before it comes": (ONE, plan([1], FIRST, [(0, 0, 0)]), "drops[0]", 1),
    "C5-room": (ONE, plan([1], [*FIRST, (2, 0, 1)]), "slots[0]", 1),
    "C5-room of another layer": (TWO, plan([2, 1], [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 1, 1)]),
                                 "slots[1]", 1),
    "C6": (
        changed(ONE, periods=[2]), plan([1], [*FIRST, (3, 0, 2)], [(2, 0, 0)], 2),
        "loads[1][0]", 1,
    ),
    "C6-dropped": (changed(ONE, periods=[3]), plan([1], FIRST, [(2, 0, 0)], 3), "drops[0][0]", 1),
    "C7": (ONE, plan([1], FIRST, period=3), "period", 2),
    "C7-table": (TABLE, plan([1, 1], period=2), "period", 1),
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
    assert {name.split("-")[0] for name in BROKEN} == {f"C{n}" for n in range(1, 8)}


def test_several_broken_rules_are_all_named() -> None:
    stated = changed(LINK, base_s=1.0, slot_s=1.0, latency_s=3.0, max_slots=1, free_fill=False)
    rows = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 1, 0)]
    broken = plan([2, 2], rows, [(1, 0, 0), (1, 0, 1)], period=3)
    stated = changed(stated, link_bytes_per_s=1.0, window_s=1.0)
    assert [found.constraint for found in violations(stated, broken)] == [
        "C1", "C2", "C3", "C4", "C5", "C6", "C6", "C7",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"period": 0}, "period"),
        ({"period": 10**30}, "period"),
        ({"slots": [1, 1]}, "slots"),
        ({"slots": [-1]}, "slots[0]"),
        ({"slots": [0.5]}, "slots[0]"),
        ({"slots": [np.nan]}, "slots[0]"),
        ({"loads": [0, 0, 0]}, "loads"),
        ({"loads": [[0, 0]]}, "loads"),
        ({"loads": [[0, 0, 0], [4, 0, 1]]}, "loads[1][0]"),
        ({"loads": [[0, 1, 0]]}, "loads[0][1]"),
        ({"loads": [[0, 0, 3]]}, "loads[0][2]"),
        ({"loads": [[0, 0, 0.5]]}, "loads[0][2]"),
        ({"loads": [[0, 0, 0], [0, 0, 0]]}, "loads[1]"),
        ({"loads": [[2, 0, 0], [1, 0, 1]]}, "loads[1]"),
        ({"drops": [[-1, 0, 0]]}, "drops[0][0]"),
        ({"drops": [[1, 0, 2], [1, 0, 0]]}, "drops[1]"),
    ],
)
def test_what_cannot_be_read_is_a_shape_violation(fields: Any, where: str) -> None:
    sound = plan([1], [(0, 0, 0), (1, 0, 1)], [(1, 0, 0)])
    assert violations(ONE, sound) == []
    (found,) = violations(ONE, msgspec.structs.replace(sound, **fields))
    assert (found.constraint, found.path) == ("shape", f"$.{where}")


def test_a_plan_by_a_table_names_no_experts() -> None:
    (found,) = violations(TABLE, plan([1, 1], FIRST))
    assert (found.constraint, found.path, found.amount) == ("shape", "$.loads", 1)


def test_an_expert_may_leave_and_come_back_at_once() -> None:
    again = plan([1], [*FIRST, (1, 0, 0)], [(1, 0, 0)])
    assert violations(ONE, again) == []
    assert resident_at(ONE, again)[:, 0].tolist() == [[True, False, False]] * 4
    assert evaluate(ONE, again).loads == 1


def test_rules_about_rates_and_seconds_have_a_little_slack_and_bytes_have_none() -> None:
    tenths = changed(
        TWO, budget_bytes=16, slot_s=0.1, latency_s=0.3 - 1e-17, link_bytes_per_s=50 / 3,
        window_s=0.18, expert_bytes=[3, 5],
    )  # fmt: skip
    # 3 * 0.1 > 0.3 and 50 / 3 * 0.18 < 3, both by rounding alone.
    swapped = plan([1, 2], [(0, 0, 0), (0, 1, 0), (0, 1, 1), (1, 0, 1)], [(1, 0, 0)])
    assert violations(tenths, swapped) == []
    late = changed(tenths, latency_s=0.299, link_bytes_per_s=16.6)
    assert [found.constraint for found in violations(late, swapped)] == ["C2", "C3"]
    assert violations(changed(tenths, budget_bytes=13), swapped) == []
    (over,) = violations(changed(tenths, budget_bytes=12), swapped)
    assert over.amount == 1
    large = changed(
        problem_of([[1, 1]]), expert_bytes=2**51 + 1, budget_bytes=2**51, fixed_bytes=2**51
    )
    (over,) = violations(large, plan([1]))
    assert over.amount == 2**51 + 1


@pytest.mark.parametrize("rows", [[], np.zeros((0, 2)), [[0, 0, 0]]])
def test_a_table_without_rows_is_the_same_plan_once_written_and_read(rows: Any) -> None:
    made = CommitteePlan(period=1, slots=[1], loads=rows, drops=[])
    assert made.loads.shape == (len(rows), 3)
    assert made.drops.shape == (0, 3)
    read = CommitteePlan(period=1, slots=[1], loads=made.loads.tolist(), drops=made.drops.tolist())
    assert read == made


def test_figures_by_hand() -> None:
    stated = changed(
        ONE, load_price=2.0, activation_bytes=4, fixed_bytes=3, staging_slots=2, expert_bytes=10,
        budget_bytes=60, base_s=0.5, slot_s=0.25, link_bytes_per_s=10.0, window_s=2.0,
    )  # fmt: skip
    kept = plan([1], [(0, 0, 0), (1, 0, 1), (3, 0, 2)], [(1, 0, 0), (3, 0, 1)])
    found = evaluate(stated, kept)
    assert (found.loss, found.load_cost, found.objective) == (1 + 1 + 2 + 2, 4, 10)
    assert found.loss_share == pytest.approx(6 / 24)
    assert found.memory_bytes == 3 + 2 * 10 + 14
    assert found.latency_s == 0.75
    assert (found.loads, found.slots, found.swap_bytes) == (2, 1, 20)
    assert found.mean_swap_bytes_per_s == 20 / 8
    assert found.peak_swap_bytes_per_s == 10 / 2
    assert found.loss_by_layer.tolist() == [6]
    assert found.loads_by_layer.tolist() == [2]
    paid = evaluate(changed(stated, free_fill=False), kept)
    assert (paid.objective, paid.loads, paid.swap_bytes) == (12, 3, 30)


def test_figures_of_two_layers_and_a_longer_period_by_hand() -> None:
    stated = changed(LINK, load_price=[1.0, 2.0], budget_bytes=16)
    found = evaluate(stated, plan([2, 2], [(0, 0, 0), (0, 1, 0), (0, 1, 1)], period=2))
    assert found.loss_by_layer.tolist() == [1 + 3, 0]
    assert (found.loads, found.mean_swap_bytes_per_s, found.peak_swap_bytes_per_s) == (0, 0, 0)
    moved = plan([1, 1], [(0, 0, 0), (1, 0, 1), (1, 1, 0)], [(1, 0, 0)])
    found = evaluate(stated, moved)
    assert found.loss_by_layer.tolist() == [1, 4 + 1]
    assert found.loads_by_layer.tolist() == [1, 1]
    assert found.objective == 6 + 1 + 2
    assert found.peak_swap_bytes_per_s == 8 / 2
    assert found.mean_swap_bytes_per_s == 8 / 4


def test_figures_of_a_table_by_hand() -> None:
    found = evaluate(TABLE, plan([2, 1]))
    assert (found.loss, found.objective, found.load_cost) == (4, 4, 0)
    assert found.loss_share == pytest.approx(4 / 14)
    assert (found.loads, found.swap_bytes) == (0, 5)
    assert found.mean_swap_bytes_per_s == found.peak_swap_bytes_per_s == 5 / 4
    assert found.loads_by_layer.tolist() == [0, 0]
    bare = changed(TABLE, swaps=None, link_bytes_per_s=None, window_s=None)
    found = evaluate(bare, plan([2, 1]))
    assert (found.swap_bytes, found.mean_swap_bytes_per_s) == (None, None)
    periods = changed(TABLE, periods=[4, 2], table=[TABLE.table, np.full((2, 3), 7.0)])
    assert evaluate(periods, plan([2, 1], period=4)).objective == 4
    slow = evaluate(periods, plan([2, 1], period=2))
    assert (slow.objective, slow.loss_share) == (14, 1)
    assert slow.peak_swap_bytes_per_s == 5 / 8


def test_nothing_to_lose_has_no_share() -> None:
    assert evaluate(problem_of([[0, 0]]), plan([1])).loss_share is None


#: Fields of drawn problems: every rule and every loss.
KINDS: dict[str, dict[str, Any]] = {
    "additive": {"load_price": 1.0},
    "unequal": {"expert_bytes": [2, 3], "budget_bytes": 8, "load_price": [1.0, 0.0]},
    "late": {"slot_s": [1.0, 2.0], "base_s": 1.0, "latency_s": 6.0, "budget_bytes": 6},
    "filled": {"free_fill": False, "load_price": 3.0},
    "periods": {"periods": [3, 2], "windows": 4, "load_price": 1.0},
    "link": {"link_bytes_per_s": 1.0, "window_s": 1.0, "experts": 2, "periods": [1, 2]},
    "filling link": {
        "link_bytes_per_s": 2.0, "window_s": 1.0, "experts": 2, "free_fill": False,
        "expert_bytes": [1, 2], "budget_bytes": 4,
    },
    "limits": {"min_slots": [1, 0], "max_slots": [2, 1]},
    "masked": {"loss": "masked", "load_price": 1.0},
    "masked pairs": {"loss": "masked", "top_k": 2, "load_price": 0.5},
    "skip": {"loss": "skip", "top_k": 2, "load_price": 0.5},
    "table": {"loss": "table", "link_bytes_per_s": 3.0, "window_s": 1.0},
    "tables": {"loss": "table", "periods": [1, 4], "link_bytes_per_s": 1.0, "window_s": 1.0},
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_optimal_plans_are_sound_and_worth_what_the_oracle_says(kind: str) -> None:
    for seed in range(4):
        stated = drawn(seed, **KINDS[kind])
        best = brute_force(stated)
        if best is None:
            continue
        assert best.plan is not None
        assert violations(stated, best.plan) == []
        found, expected = evaluate(stated, best.plan), naive_value(stated, best.plan)
        assert found.objective == pytest.approx(best.objective, rel=1e-12)
        assert found.objective == pytest.approx(expected["objective"], rel=1e-12)
        assert found.loss == pytest.approx(expected["loss"], rel=1e-12)
        assert found.loads == expected["loads"] == found.loads_by_layer.sum()
        assert found.loss_by_layer.sum() == pytest.approx(found.loss)


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
            other = _other(stated, best.plan, rng)
            labels = {found.constraint for found in violations(stated, other)}
            first = _first_broken(stated, other)
            assert labels == set() if first is None else first in labels
            broken += first is not None
            if first is None:
                value = naive_value(stated, other)
                assert evaluate(stated, other).objective == pytest.approx(value["objective"])
    assert broken > 5


def _first_broken(problem: CommitteeProblem, other: CommitteePlan) -> str | None:
    """Return the label of the first rule that a replay sees broken."""
    try:
        naive_value(problem, other)
    except ValueError as error:
        return str(error)
    return None


def _other(
    problem: CommitteeProblem, sound: CommitteePlan, rng: np.random.Generator
) -> CommitteePlan:
    """Return the plan with a change more or less, other slots or another period."""
    tables = {"loads": sound.loads, "drops": sound.drops}
    slots, period = sound.slots.copy(), sound.period
    if rng.random() < 0.4 or problem.loss == "table":
        layer = int(rng.integers(problem.layers))
        slots[layer] = max(0, slots[layer] + rng.integers(-1, 2))
    if rng.random() < 0.2:
        period = int(rng.integers(1, 5))
    name = str(rng.choice(["loads", "drops"]))
    if problem.loss != "table":
        sizes = (problem.num_windows, problem.layers, problem.experts)
        table, row = tables[name], int(rng.integers(len(tables[name]) + 1))
        if row == len(table):
            table = np.vstack([table, [rng.integers(size) for size in sizes]])
        else:
            table = np.delete(table, row, axis=0)
        tables[name] = np.unique(table, axis=0)
    return plan(slots, tables["loads"], tables["drops"], period)


SWAPPED = [[4, 0], [0, 4], [4, 0]]

#: A constraint, a problem, its optimum and the optimum without the constraint.
BINDING: dict[str, tuple[CommitteeProblem, float, float]] = {
    "C1": (problem_of([[1, 2, 4]], budget_bytes=2), 1, 0),
    "C1-sizes": (problem_of([[[3, 1], [5, 2]]], expert_bytes=[2, 3], budget_bytes=5), 3, 0),
    "C2": (problem_of([[1, 2, 4]], budget_bytes=9, slot_s=0.1, base_s=0.1, latency_s=0.3), 1, 0),
    "C3": (
        problem_of([[[4, 0], [3, 0]], [[0, 4], [0, 3]]], link_bytes_per_s=1.0, window_s=1.0),
        3, 0,
    ),
    "C3-fill": (
        problem_of([[1, 2, 4]], free_fill=False, budget_bytes=2, link_bytes_per_s=1, window_s=1),
        3, 1,
    ),
    "C3-table": (TABLE, 4, 3),
    "C4": (problem_of([[[4, 2], [1, 1]]], max_slots=1), 3, 2),
    "C4-least": (problem_of([[[4, 2], [1, 1]]], min_slots=1), 3, 2),
    "C5": (problem_of([[1, 2, 4]], budget_bytes=2), 1, 0),
    "C6": (problem_of(SWAPPED, load_price=1.0, periods=[2]), 4, 2),
    "C7": (problem_of(SWAPPED, load_price=1.0, periods=[3, 2]), 4, 2),
}  # fmt: skip

#: The same where the constraint does not bind.
SLACK: dict[str, CommitteeProblem] = {
    "C1": problem_of([[1, 2, 4]], budget_bytes=3),
    "C2": problem_of([[1, 2, 4]], slot_s=0.1, base_s=0.1, latency_s=0.3),
    "C3": problem_of(SWAPPED, link_bytes_per_s=1.0, window_s=1.0),
    "C4": problem_of([[[4, 2], [1, 5]]], max_slots=1),
    "C5": problem_of([[1, 2, 4]], budget_bytes=3),
    "C6": problem_of([[4, 0], [4, 0], [0, 4]], periods=[2]),
    "C7": problem_of(SWAPPED, load_price=9.0, periods=[2]),
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
    assert {name.split("-")[0] for name in BINDING} == set(SLACK) == {f"C{n}" for n in range(1, 8)}
