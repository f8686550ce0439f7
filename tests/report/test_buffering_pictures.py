"""Expert caches on a page: curves, hits over time, who is there when, and what is told of them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from three_wings_samples import apply, flat, mark, saved, solved

import moeopt
from moeopt.buffering import BufferingPlan, BufferingProblem, evaluate, policy_plan
from moeopt.core.errors import InstanceError
from moeopt.report.buffering import numbers
from moeopt.report.buffering.numbers import hits_of, missed, residents, together
from moeopt.report.buffering.page import REPORT, changes_table, layers_table
from moeopt.report.buffering.pictures import (
    all_hits_picture,
    cache_residents,
    hits_against_slots,
    layer_hits_picture,
    misses_picture,
    over_time_picture,
    residents_picture,
    slots_picture,
)

#: On demand, with a budget, with caps on loads, in a pool, in any order, sizes that differ.
NAMES = (
    "paper-example",
    "tiny-sizes",
    "tiny-pins",
    "tiny-free-fill",
    "locality-2x16x64-slots",
    "locality-2x16x64-budget",
    "locality-2x16x64-caps",
    "locality-2x16x64-periods",
    "locality-2x16x64-pool",
    "locality-2x16x32-any-order",
    "mixtral-8x7b-offloaded",
)


def case(name: str) -> tuple[BufferingProblem, BufferingPlan]:
    problem, plan, _ = solved(f"buffering/{name}")
    return problem, plan


@pytest.mark.parametrize("name", NAMES)
def test_misses_are_those_that_the_plan_is_charged_for(name: str) -> None:
    problem, plan = case(name)
    value = evaluate(problem, plan)
    absent = missed(problem, plan)
    layer = problem.group_of() % problem.layers
    by_layer = np.bincount(layer[absent], minlength=problem.layers)
    assert by_layer.tolist() == value.misses_by_layer.tolist()


@pytest.mark.parametrize("name", NAMES)
def test_no_policy_and_no_plan_is_above_the_optimum(name: str) -> None:
    problem, plan = case(name)
    value = evaluate(problem, plan)
    found = hits_of(problem, plan.capacity, ("lru", "fifo", "lfu", "learned"))
    own = value.references_by_layer - value.misses_by_layer
    for cache, (curve, room) in enumerate(zip(found, plan.capacity.tolist(), strict=True)):
        hits = value.hits if problem.pooled else own[cache]
        best = curve.best_at(room)
        assert best is not None
        assert hits <= best + 1e-9
        assert (np.diff(curve.best[np.isfinite(curve.best)]) >= -1e-9).all()
        for rooms, theirs in curve.rivals.values():
            for at, rate in zip(rooms.tolist(), theirs.tolist(), strict=True):
                most = curve.best_at(at)
                assert most is None or np.isnan(rate) or rate <= most + 1e-9


def test_a_plan_of_fewest_misses_stands_on_the_optimum() -> None:
    for name in ("locality-2x16x64-slots", "locality-2x16x64-budget", "locality-2x16x64-pool"):
        problem, _ = case(name)
        fewest = msgspec.structs.replace(problem, objective="misses", generator=None)
        best = moeopt.solve(fewest).plan
        found = hits_of(fewest, best.capacity, ())
        whole = together(found, best.capacity, in_slots=True)
        assert whole is not None
        room = int(best.capacity.sum() if np.ptp(best.capacity) else best.capacity[0])
        assert whole.best_at(room) == evaluate(fewest, best).hits


def test_the_paper_s_example_by_hand() -> None:
    problem, plan = case("paper-example")
    picture = all_hits_picture(problem, plan, hits_of(problem, plan.capacity, ("lru",)))
    assert picture is not None
    best, lru = mark(picture, "optimum in hindsight"), mark(picture, "lru")
    # Experts 0, 1 and 2 twice each, in turn: three slots load each once, LRU with two never hits.
    at = best.x.tolist().index(3)
    assert best.y[at] == pytest.approx(50)
    assert lru.y[lru.x.tolist().index(2)] == 0
    plan_s = mark(picture, "plan")
    assert (plan_s.x.tolist(), plan_s.y.tolist()) == ([2], [pytest.approx(100 * 2 / 6)])


def test_a_policy_s_plan_stands_on_the_policy_s_curve() -> None:
    problem, _ = case("locality-2x16x64-slots")
    for policy in ("lru", "lfu", "learned"):
        plan = policy_plan(problem, policy)
        found = hits_of(problem, plan.capacity, (policy,))
        picture = all_hits_picture(problem, plan, found)
        assert picture is not None
        curve, point = mark(picture, policy), mark(picture, "plan")
        assert curve.y[curve.x.tolist().index(8)] == pytest.approx(point.y[0])
        for layer in range(2):
            own = layer_hits_picture(problem, plan, found, layer)
            curve, point = mark(own, policy), mark(own, "plan")
            assert curve.y[curve.x.tolist().index(8)] == pytest.approx(point.y[0])


def test_what_would_take_too_long_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, plan = case("locality-2x16x64-caps")
    monkeypatch.setattr(numbers, "_LEARNED", 0)
    monkeypatch.setattr(numbers, "_FLOWED", 0)
    found = hits_of(problem, plan.capacity, ("lru", "learned"))
    assert set(found[0].rivals) == {"lru"}
    assert found[0].best.size == 0
    picture = all_hits_picture(problem, plan, found)
    assert picture is not None
    assert [one.name for one in picture.marks] == ["lru", "plan"]


@pytest.mark.parametrize("name", ["mixtral-8x7b-offloaded", "locality-2x16x64-caps"])
def test_hits_over_time_add_up_to_the_plan_s(name: str) -> None:
    problem, plan = case(name)
    picture = over_time_picture(problem, plan)
    line = mark(picture, "plan")
    ends = np.append(line.x[1:], problem.num_steps).astype(int)
    edges = problem.starts[np.append(0, ends) * problem.layers]
    hits = (line.y / 100 * np.diff(edges)).sum()
    assert hits == pytest.approx(evaluate(problem, plan).hits)


@pytest.mark.parametrize("name", ["locality-2x16x64-slots", "locality-2x16x64-caps"])
def test_the_map_shows_who_is_there(name: str) -> None:
    problem, plan = case(name)
    for layer in range(problem.layers):
        picture = residents_picture(problem, plan, layer)
        heat, points = picture.marks
        there: set[int] = set()
        changes = [(at, 0, item) for at, item in zip(plan.drop_at, plan.drop_item, strict=True)]
        changes += [(at, 1, item) for at, item in zip(plan.load_at, plan.load_item, strict=True)]
        for step in range(problem.num_steps):
            group = step * problem.layers + layer
            last = group if problem.serve == "bypass" else problem.starts[group + 1] - 1
            there = set()
            for at, load, item in sorted(changes):
                if at <= last and item // problem.experts == layer:
                    (there.add if load else there.discard)(int(item) % problem.experts)
            assert set(np.flatnonzero(heat.values[:, step]).tolist()) == there  # type: ignore[union-attr]
        assert points.x.size == evaluate(problem, plan).misses_by_layer[layer]  # type: ignore[union-attr]


def test_a_map_may_begin_anywhere() -> None:
    problem, plan = case("locality-2x16x64-slots")
    late = residents(problem, plan, 1, np.arange(40, 64))
    picture = residents_picture(problem, plan, 1, 40)
    assert picture.marks[0].values.tolist() == late.tolist()  # type: ignore[union-attr]
    assert picture.x.names[0] == "40"


def test_misses_and_slots_of_each_layer() -> None:
    problem, plan = case("locality-2x16x64-budget")
    picture = misses_picture(problem, plan, hits_of(problem, plan.capacity, ()))
    assert mark(picture, "plan").height.tolist() == evaluate(problem, plan).misses_by_layer.tolist()
    lru = evaluate(problem, policy_plan(problem, "lru", plan.capacity))
    assert mark(picture, "lru").height.tolist() == lru.misses_by_layer.tolist()
    assert (mark(picture, "fewest possible").y <= mark(picture, "plan").height).all()
    slots = slots_picture(problem, plan)
    assert mark(slots, "room").height.tolist() == plan.capacity.tolist()
    asked = [np.unique(problem.active[problem.group_of() % 2 == k]).size for k in range(2)]
    assert mark(slots, "asked for").height.tolist() == asked


@pytest.mark.parametrize("name", NAMES)
def test_tables_hold_the_whole_plan(name: str) -> None:
    problem, plan = case(name)
    value = evaluate(problem, plan)
    layers = layers_table(problem, plan)
    columns = [column.name for column in layers.columns]
    assert [row[columns.index("misses")] for row in layers.rows] == value.misses_by_layer.tolist()
    changes = changes_table(problem, plan)
    kinds = [row[-1] for row in changes.rows]
    assert (kinds.count("load"), kinds.count("drop")) == (plan.load_at.size, plan.drop_at.size)
    times = [row[1] for row in changes.rows]
    assert times == sorted(times)
    items = [row[2] * problem.experts + row[3] for row in changes.rows if row[-1] == "load"]
    assert items == plan.load_item.tolist()


def test_long_tables_say_what_they_leave_out(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, plan = case("locality-2x16x64-slots")
    monkeypatch.setattr("moeopt.report.buffering.page.MOST_CHANGES", 10)
    table = changes_table(problem, plan)
    assert len(table.rows) == 10
    assert f"{plan.load_at.size + plan.drop_at.size - 10} more are left out" in table.note


def test_what_binds_is_what_would_pay_without_it() -> None:
    problem, plan, result = solved("buffering/tiny-cap")
    facts = {fact.label: fact for fact in REPORT.summary(problem, plan, result).binds}
    free = msgspec.structs.replace(problem, loads_per_group=None, generator=None)
    gained = result.objective - moeopt.solve(free).objective
    assert gained > 0
    assert facts["loads before a pass"].number == pytest.approx(gained)
    more = msgspec.structs.replace(problem, slots=3, generator=None)
    assert moeopt.solve(more).objective == result.objective
    assert facts["slots"].number == 0


def test_the_summary_s_numbers_are_the_plan_s() -> None:
    problem, plan, result = solved("buffering/mixtral-8x7b-offloaded")
    value = evaluate(problem, plan)
    summary = REPORT.summary(problem, plan, result)
    gained = {fact.label: fact.number for fact in summary.gained}
    assert gained["hit rate"] == value.hit_rate
    assert gained["misses"] == value.misses
    assert gained["time of misses and loads"] == value.seconds == result.objective
    assert gained["waiting for transfers"] == value.stall_s
    assert summary.distance[0].text == "33.588 s"


@pytest.mark.parametrize("name", [*NAMES, "tiny-nothing", "tiny-cold", "tiny-layer-slots"])
def test_every_kind_of_cache_has_pictures(name: str) -> None:
    problem, plan, result = solved(f"buffering/{name}")
    drawn = flat(REPORT.pictures(problem, plan, result))
    assert len({picture.name for picture in drawn}) == len(drawn)
    assert all(picture.says for picture in drawn)
    assert bool(drawn) == (problem.num_references > 0)
    assert REPORT.summary(problem, plan, result).binds


@pytest.mark.parametrize("name", ["tiny-on-demand", "tiny-cap"])
def test_steps_can_be_carried_out(name: str, tmp_path: Path) -> None:
    steps = saved(f"buffering/{name}", tmp_path)
    told = " ".join(step.command for step in steps)
    assert ("LearnedCache" in told) == (name == "tiny-on-demand")
    apply(steps)


def test_bad_choices_are_one_sentence() -> None:
    problem, plan = case("locality-2x16x64-slots")
    with pytest.raises(InstanceError, match="layer: must be 0 to 1"):
        cache_residents(problem, plan, 2)
    with pytest.raises(InstanceError, match="policy: must be one of"):
        hits_against_slots(problem, plan, ("no such",))
