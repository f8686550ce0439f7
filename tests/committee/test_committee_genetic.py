"""The paper's search: constraints kept, the optimum of small problems, seeds, time and ends."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from moeopt.buffering.planning import split_slots
from moeopt.committee.configurations import Space, space_of, stated_space
from moeopt.committee.curves import standing
from moeopt.committee.generate import switch_t, tables
from moeopt.committee.genetic import Objective, costs_by, search
from moeopt.committee.surrogate import learn
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.core.stop import Context


def drawn(seed: int) -> tuple[FloatArray, Space]:
    """Return costs and a space of up to 4 layers, with one to three rows, some not even rising."""
    rng = np.random.default_rng(seed)
    layers, points = int(rng.integers(1, 5)), int(rng.integers(2, 7))
    costs = rng.integers(0, 30, (layers, points)).astype(float)
    if seed % 2:
        costs = np.sort(costs)[:, ::-1].copy()
    slots = np.arange(points)
    uses = np.stack(
        [
            np.multiply.outer(rng.integers(1, 5, layers), slots),
            np.multiply.outer(rng.random(layers), slots),
            rng.random((layers, points)) * slots,
        ]
    )[: int(rng.integers(1, 4))]
    share = rng.uniform(0.2, 0.9)
    limits = np.floor(share * uses.max(axis=2).sum(axis=1) * 4) / 4
    fewest = rng.integers(0, 2, layers)
    most = rng.integers(1, points, layers)
    return costs, stated_space(fewest, most, [uses[:, layer] for layer in range(layers)], limits)


def every(space: Space) -> IntArray:
    """Return all configurations that keep the constraints, looked at one by one."""
    ranges = [range(a, b + 1) for a, b in zip(space.fewest, space.most, strict=True)]
    kept = []
    for slots in itertools.product(*ranges):
        used = [sum(row[layer, k] for layer, k in enumerate(slots)) for row in space.uses]
        if all(one <= limit for one, limit in zip(used, space.limits, strict=True)):
            kept.append(slots)
    return np.array(kept, dtype=np.int64).reshape(-1, len(ranges))


def watched(objective: Objective, kept: IntArray) -> Objective:
    """Return the objective, which now fails if it is asked for anything not kept."""
    known = set(map(tuple, kept.tolist()))

    def asked(configurations: IntArray) -> FloatArray:
        assert set(map(tuple, configurations.tolist())) <= known
        return objective(configurations)

    return asked


@pytest.mark.parametrize("seed", range(40))
def test_the_optimum_of_small_problems_and_nothing_that_breaks_a_constraint(seed: int) -> None:
    costs, space = drawn(seed)
    kept = every(space)
    found = search(watched(costs_by(costs), kept), space, Context(seed=seed), runs=2)
    assert found.complete
    if not len(kept):
        assert (found.slots, found.cost, found.history) == (None, np.inf, ())
        return
    assert found.slots is not None
    assert found.slots.tolist() in kept.tolist()
    assert found.cost == costs_by(costs)(found.slots[None])[0]
    assert found.cost == costs_by(costs)(kept).min()


def test_configurations_are_drawn_within_the_constraints() -> None:
    for seed in range(40):
        _, space = drawn(seed)
        kept = every(space)
        slots = space.draw(np.random.default_rng(seed), 50)
        assert set(map(tuple, slots.tolist())) <= set(map(tuple, kept.tolist()))
        assert space.keeps(kept).all()


def test_without_rows_every_configuration_is_allowed() -> None:
    space = stated_space(
        np.zeros(2, dtype=np.int64), np.full(2, 2), [np.zeros((0, 3))] * 2, np.zeros(0)
    )
    found = search(costs_by([np.array([3.0, 2.0, 1.0])] * 2), space, Context(), runs=1)
    assert found.slots is not None
    assert found.slots.tolist() == [2, 2]


def test_any_objective_of_configurations_will_do() -> None:
    """Layers that do not add up, and a cost that does not compare."""
    space = stated_space(
        np.zeros(3, dtype=np.int64), np.full(3, 5), [np.arange(6.0)[None]] * 3, np.array([9.0])
    )

    def objective(configurations: IntArray) -> FloatArray:
        found = -np.prod(configurations + 1.0, axis=1)
        return np.where(configurations[:, 0] == 3, np.nan, found)

    found = search(objective, space, Context())
    assert found.slots is not None
    assert found.slots[0] != 3
    assert found.cost == min(objective(every(space))[~np.isnan(objective(every(space)))])
    with pytest.raises(InstanceError, match="one cost for each"):
        search(lambda configurations: np.zeros(1), space, Context())


def test_it_searches_by_the_surrogate() -> None:
    weight = np.array([1.0, 4.0, 2.0])

    def loss(slots: IntArray, period: IntArray | int = 1) -> FloatArray:
        del period
        return np.asarray((weight * (1 - slots / 8) ** 2).sum(axis=1))

    fewest, most = np.ones(3, dtype=np.int64), np.full(3, 8)
    model = learn(loss, fewest, most, samples=500, held_out=50, rounds=400).surrogate
    space = stated_space(fewest, most, [np.arange(9.0)[None]] * 3, np.array([14.0]))
    found = search(model.objective(1), space, Context())
    assert found.slots is not None
    assert found.slots.sum() <= 14
    # It is the model's optimum, and nearly that of what the model was trained on.
    kept = every(space)
    assert found.cost == pytest.approx(model.predict(kept).min(), rel=1e-12)
    assert loss(found.slots[None])[0] <= 1.1 * loss(kept).min()


def test_switch_t_64_comes_near_the_optimum() -> None:
    problem = switch_t()
    costs = standing(problem, 1, "top_importance").costs
    found = search(costs_by(costs), space_of(problem, 1), Context(), runs=3)
    slots = problem.fewest()
    allowed = [
        np.where(np.arange(65) < least, np.inf, c) for least, c in zip(slots, costs, strict=True)
    ]
    best = split_slots(allowed, problem.slot_bytes(), problem.room_bytes())
    assert found.slots is not None
    assert found.slots.sum() <= 227
    assert best.cost <= found.cost <= 1.01 * best.cost


def test_the_same_seed_gives_the_same_slots() -> None:
    problem = tables(layers=8, experts=24)
    costs, space = standing(problem, 1, "top_importance").costs, space_of(problem, 1)
    one, again = (search(costs_by(costs), space, Context(seed=7), runs=1) for _ in range(2))
    other = search(costs_by(costs), space, Context(seed=8), runs=1)
    assert one.slots is not None
    assert again.slots is not None
    assert one.slots.tolist() == again.slots.tolist()
    assert (one.evaluations, one.rounds) == (again.evaluations, again.rounds)
    assert other.evaluations != one.evaluations


def test_its_history_falls_to_what_it_found() -> None:
    problem = tables(layers=8, experts=24)
    costs, space = standing(problem, 1, "top_importance").costs, space_of(problem, 1)
    found = search(costs_by(costs), space, Context(), runs=2)
    assert found.runs == 2
    steps = [point.cost for point in found.history]
    assert steps == sorted(set(steps), reverse=True)
    assert steps[-1] == found.cost
    asked = [point.evaluations for point in found.history]
    assert asked == sorted(asked)
    assert asked[-1] <= found.evaluations
    times = [point.elapsed_s for point in found.history]
    assert times == sorted(times)
    # The first point is the best of what was drawn, the others come of it.
    assert asked[0] <= 257
    assert len(steps) > 2


def test_without_time_it_has_the_best_of_what_was_drawn() -> None:
    problem = tables(layers=8, experts=24)
    costs, space = standing(problem, 1, "top_importance").costs, space_of(problem, 1)
    context = Context(time_limit_s=0.0, started_s=time.perf_counter() - 1)
    found = search(costs_by(costs), space, context, runs=None)
    assert not found.complete
    assert found.slots is not None
    assert (found.runs, found.rounds, len(found.history)) == (1, 0, 1)
    assert space.keeps(found.slots[None]).all()


def test_more_runs_find_no_worse() -> None:
    problem = tables(layers=8, experts=24)
    costs, space = standing(problem, 1, "top_importance").costs, space_of(problem, 1)
    found = [search(costs_by(costs), space, Context(), runs=runs).cost for runs in (1, 2, 3)]
    assert found == sorted(found, reverse=True)


def test_a_search_needs_an_end_and_mates() -> None:
    costs, space = drawn(0)
    with pytest.raises(InstanceError, match="time limit"):
        search(costs_by(costs), space, Context(), runs=None)
    with pytest.raises(InstanceError, match="4 or more"):
        search(costs_by(costs), space, Context(), population=3)
    with pytest.raises(InstanceError, match="whole number"):
        search(costs_by(costs), space, Context(), population=4.5)  # type: ignore[arg-type]
    for runs in (0, -1):
        with pytest.raises(InstanceError, match="runs"):
            search(costs_by(costs), space, Context(), runs=runs)


def test_a_space_of_strange_sizes_is_refused() -> None:
    one = np.ones(1, dtype=np.int64)
    for fewest, most, points in ((one, one, 1), (2 * one, one, 3), (-one, one, 3)):
        with pytest.raises(InstanceError, match="fewest <= most < points"):
            stated_space(fewest, most, [np.ones((1, points))], np.ones(1))
