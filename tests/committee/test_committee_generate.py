"""Drawn routing, SwitchT's shape, tables, and the two problems that mislead."""

from __future__ import annotations

import math

import numpy as np
import pytest

from moeopt.committee import generate
from moeopt.committee.loss import retained, total_loss, weights, window_losses
from moeopt.committee.problem import CommitteeProblem
from moeopt.committee.validate import impossible
from moeopt.core.errors import InstanceError

PROBLEMS = [
    generate.routed(3, 8, 4, 6, 2, loss="skip", skew=0.5, drift=0.5, rules="unequal", seed=7),
    generate.switch_t(16, 2.0, 0.5, windows=2, tokens=40, drift=0.2, seed=3),
    generate.tables(3, 5, 2, rough=1.0, rules="link", seed=4),
    generate.alternating(10.0, 6),
    generate.hub(5, 2, 0.25),
]


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.generator["name"])
def test_a_problem_is_remade_from_its_call(problem: CommitteeProblem) -> None:
    assert problem.generator is not None
    assert generate.remake(problem.generator) == problem
    assert impossible(problem) == []


def test_every_generator_is_remade_somewhere() -> None:
    made = {problem.generator["name"] for problem in PROBLEMS if problem.generator}
    assert made == set(generate.GENERATORS)


@pytest.mark.parametrize("rules", generate.RULES)
@pytest.mark.parametrize("room", [0.0, 0.5, 1.0])
def test_all_rules_have_a_plan_whatever_the_room(rules: str, room: float) -> None:
    for loss in ("additive", "masked", "skip"):
        problem = generate.routed(3, 6, 4, 3, loss=loss, room=room, rules=rules)
        assert impossible(problem) == []
    if rules != "price":
        assert impossible(generate.tables(3, 6, 2, room=room, rules=rules)) == []


def test_every_field_is_stated_by_some_call() -> None:
    """What the library has is made by these generators alone, but for tiny ones."""
    made = [generate.routed(2, 4, 2, 3, rules=rules) for rules in generate.RULES]
    made += [generate.routed(2, 4, 2, 3, loss=loss) for loss in ("masked", "skip")]
    made += [generate.tables(2, 4, 2, rules="link"), generate.alternating(1.0, 4)]
    default = CommitteeProblem(experts=1, importance=np.zeros((1, 1, 1)), budget_bytes=1)
    used = {
        name
        for problem in made
        for name in problem.__struct_fields__
        if repr(getattr(problem, name)) != repr(getattr(default, name))
    }
    assert set(default.__struct_fields__) - used == {"version"}


def test_a_room_is_a_share_of_the_slots() -> None:
    problem = generate.routed(4, 16, room=0.25)
    assert problem.room_bytes() / problem.slot_bytes()[0] == 16
    problem = generate.routed(4, 16, room=0.5, rules="unequal")
    assert problem.room_bytes() == math.floor(0.5 * 16 * problem.slot_bytes().sum())
    timed = generate.routed(4, 16, room=0.25, rules="latency")
    assert timed.latency_s is not None
    spare = timed.latency_s - timed.base_s
    assert spare == pytest.approx(0.25 * 16 * timed.by_layer(timed.slot_s).sum(), rel=0.01)
    assert timed.room_bytes() / timed.slot_bytes()[0] == 32


def test_importance_is_that_of_the_tokens() -> None:
    """Under every loss the same draw: eq. 1 of the router is what ``"additive"`` states."""
    one, other = (
        generate.routed(2, 8, 3, 10, 2, loss=loss, drift=0.3) for loss in ("additive", "skip")
    )
    assert one.importance is not None
    np.testing.assert_array_equal(weights(other), one.importance)
    assert (one.importance == np.round(one.importance)).all()
    masked = generate.routed(2, 8, 3, 10, 2, loss="masked", drift=0.3)
    np.testing.assert_array_equal(total_loss(masked), one.importance.sum(axis=(0, 2)))


def top(problem: CommitteeProblem, window: int) -> int:
    """Return the expert of layer 0 that matters most."""
    assert problem.importance is not None
    return int(problem.importance[window, 0].argmax())


def test_skew_and_drift() -> None:
    def share(skew: float) -> float:
        table = generate.routed(1, 32, 1, 500, 1, skew=skew).importance
        assert table is not None
        return float(table.max() / table.sum())

    assert share(0.0) < 0.1 < 0.3 < share(2.0)
    still, moving = (generate.routed(1, 16, 20, 60, 1, skew=2.0, drift=d) for d in (0.0, 0.3))
    assert len({top(still, t) for t in range(20)}) == 1
    assert len({top(moving, t) for t in range(20)}) > 3


def test_seeds_differ_and_names_tell() -> None:
    one, other = generate.routed(seed=1), generate.routed(seed=2)
    assert one.name != other.name
    assert (one.importance != other.importance).any()
    names = {p.name for p in (generate.tables(), generate.tables(seed=1), generate.tables(12, 8))}
    assert len(names) == 3


def test_switch_t_has_the_papers_memory_and_latency() -> None:
    """227 of 768 slots at 4.7 GiB, and 18 MiB an expert."""
    problem = generate.switch_t()
    assert (problem.num_layers, problem.num_experts, problem.top_k) == (12, 64, 1)
    assert problem.sizes_bytes().tolist() == [18 * 2**20] * 12
    assert problem.room_bytes() // problem.slot_bytes()[0] == 227
    assert problem.latency_s is None
    assert generate.switch_t(latency_s=0.8).latency_s == 0.8


def test_tables_fall_and_get_worse_with_the_period() -> None:
    problem = generate.tables(20, 16, 3, rough=0.1, rules="link")
    assert problem.table is not None
    assert problem.swaps is not None
    assert problem.choices().tolist() == [1, 2, 4]
    assert (problem.table[:, :, -1] == 0).all()
    means = problem.table.mean(axis=1)
    assert (np.diff(means, axis=1) < 0).mean() > 0.9
    assert (np.diff(problem.table.mean(axis=(1, 2))) > 0).all()
    # Neither convex nor always falling.
    assert (np.diff(problem.table, axis=2) > 0).any()
    assert (np.diff(problem.table, 2, axis=2) < 0).any()
    alone = generate.tables(2, 4)
    assert (alone.swaps, alone.periods) == (None, None)
    assert alone.table is not None
    assert alone.table.ndim == 2


def test_alternating_experts_are_needed_in_turn() -> None:
    problem = generate.alternating(3.0, 5)
    assert problem.importance is not None
    assert problem.importance[:, 0].argmax(axis=1).tolist() == [0, 1, 0, 1, 0]
    assert problem.importance.sum() == 5
    assert (problem.load_price, problem.free_fill, problem.budget_bytes) == (3.0, False, 1)


@pytest.mark.parametrize(("experts", "slots"), [(8, 1), (16, 4), (64, 8)])
def test_the_hub_is_of_no_importance_and_worth_the_most(experts: int, slots: int) -> None:
    """The most important retain hardly more than their share of the experts of the optimum."""
    problem = generate.hub(experts, slots)
    importance = weights(problem)[0, 0]
    assert importance.tolist() == [0.0, *[1.0] * (experts - 1)]
    assert problem.router is not None
    chosen = np.arange(experts)
    plain, best = (
        retained(problem.router[:, 0], np.isin(chosen, ids), 1)
        for ids in (range(1, slots + 1), range(slots))
    )
    expected = {8: 0.143, 16: 0.267, 64: 0.127}[experts]
    assert plain / best == pytest.approx(expected, abs=5e-4)
    assert plain / best >= slots / experts
    there = np.zeros((1, 1, experts), dtype=bool)
    there[..., :slots] = True
    assert window_losses(problem, there).sum() == pytest.approx(experts - 1 - best)


@pytest.mark.parametrize(
    ("call", "path"),
    [
        ({"name": "nonsense"}, r"\$.generator.name"),
        ({}, r"\$.generator.name"),
        ({"name": "routed", "rules": "none"}, r"\$.rules"),
        ({"name": "routed", "loss": "table"}, r"\$.loss"),
        ({"name": "routed", "drift": 1.5}, r"\$.drift"),
        ({"name": "routed", "room": -0.1}, r"\$.room"),
        ({"name": "routed", "skew": -1}, r"\$.skew"),
        ({"name": "routed", "top_k": 17}, r"\$.top_k"),
        ({"name": "routed", "tokens": 10**8}, r"\$.tokens"),
        ({"name": "routed", "windows": 0}, r"\$.windows"),
        ({"name": "switch_t", "budget_gib": -1.0}, r"\$.budget_gib"),
        ({"name": "switch_t", "latency_s": -1.0}, r"\$.latency_s"),
        ({"name": "tables", "rules": "price"}, r"\$.rules"),
        ({"name": "tables", "periods": 17}, r"\$.periods"),
        ({"name": "tables", "rough": -1.0}, r"\$.rough"),
        ({"name": "alternating", "windows": 0}, r"\$.windows"),
        ({"name": "alternating", "load_price": -1.0}, r"\$.load_price"),
        ({"name": "hub", "experts": 1}, r"\$.experts"),
        ({"name": "hub", "slots": 9}, r"\$.slots"),
        ({"name": "hub", "short": 2.0}, r"\$.short"),
        ({"name": "hub", "wings": 2}, r"\$.generator"),
        ({"name": "routed", "seed": -1}, r"\$.generator"),
        ({"name": "alternating", "windows": 2.5}, r"\$.generator"),
    ],
)
def test_a_strange_call_is_refused(call: dict[str, str | int | float], path: str) -> None:
    with pytest.raises(InstanceError, match=path):
        generate.remake(call)
