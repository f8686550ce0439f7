"""Committees on a page: slots, members, losses, limits, what memory buys, and what is told."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from three_wings_samples import apply, flat, mark, saved, solved

import moeopt
from moeopt.committee import CommitteePlan, CommitteeProblem, evaluate, resident_at
from moeopt.committee.loss import total_loss, weights
from moeopt.core.errors import InstanceError
from moeopt.report.committee.numbers import bought, costs_of, even_plan, layer_costs
from moeopt.report.committee.page import REPORT, changes_table, layers_table, members_table
from moeopt.report.committee.pictures import (
    limits_picture,
    loss_picture,
    members_picture,
    memory_picture,
    resident_map,
    sizes_picture,
    windows_picture,
)

#: Each loss, windows, prices, links, latency, periods, staging and activations, one real size.
NAMES = (
    "tiny-budget",
    "tiny-latency",
    "tiny-masked",
    "tiny-skip",
    "tiny-staging",
    "tiny-activations",
    "tiny-table-periods",
    "tiny-link",
    "tiny-layer-prices",
    "tiny-most",
    "additive-2x16x8-budget",
    "switch-t-64-4.7gib",
)


def case(name: str) -> tuple[CommitteeProblem, CommitteePlan]:
    problem, plan, _ = solved(f"committee/{name}")
    return problem, plan


def named(name: str) -> bool:
    return case(name)[0].loss != "table"


@pytest.mark.parametrize("name", NAMES)
def test_slots_and_losses_are_the_plan_s(name: str) -> None:
    problem, plan = case(name)
    value = evaluate(problem, plan)
    assert mark(sizes_picture(problem, plan), "slots").height.tolist() == plan.slots.tolist()
    picture = loss_picture(problem, plan, costs_of(problem, plan.period))
    loss = mark(picture, "loss").height
    paid = [one.height for one in picture.marks if getattr(one, "name", "") == "price of loads"]
    assert loss.tolist() == value.loss_by_layer.tolist()
    assert loss.sum() + np.sum(paid) == pytest.approx(value.objective)
    assert (
        mark(picture, "nobody there").height.tolist() == total_loss(problem, plan.period).tolist()
    )


@pytest.mark.parametrize("name", NAMES)
def test_no_layer_is_below_its_bound(name: str) -> None:
    problem, plan = case(name)
    costs = costs_of(problem, plan.period)
    bound = mark(loss_picture(problem, plan, costs), "least with these slots").y
    paid = layer_costs(problem, evaluate(problem, plan))
    assert (bound <= paid * (1 + 1e-9) + 1e-9).all()
    assert (costs.least <= costs.stays * (1 + 1e-9) + 1e-9).all()


def test_shares_of_the_loss_divide_the_plan_s_slots() -> None:
    problem, plan = case("switch-t-64-4.7gib")
    picture = sizes_picture(problem, plan)
    assert mark(picture, "by its share of the loss").y.sum() == pytest.approx(plan.slots.sum())
    assert mark(picture, "alike").value == pytest.approx(plan.slots.mean())


@pytest.mark.parametrize("name", NAMES)
def test_bars_of_a_limit_add_up_to_what_is_used(name: str) -> None:
    problem, plan = case(name)
    value, picture = evaluate(problem, plan), limits_picture(problem, plan)
    used = dict.fromkeys(picture.x.names, 0.0)
    for bars in picture.marks[:-1]:
        for x, base, height in zip(bars.x, bars.base, bars.height, strict=True):  # type: ignore[union-attr]
            limit = picture.x.names[int(x)]
            assert base == pytest.approx(used[limit])
            used[limit] += height
    assert used["memory"] == pytest.approx(100 * value.memory_bytes / problem.budget_bytes)
    if problem.latency_s:
        assert used["latency"] == pytest.approx(100 * value.latency_s / problem.latency_s)
    if value.peak_swap_bytes_per_s is not None and problem.link_bytes_per_s:
        share = value.peak_swap_bytes_per_s / problem.link_bytes_per_s
        assert used["link"] == pytest.approx(100 * share)
    assert all(share <= 100 * (1 + 1e-9) for share in used.values())


def test_the_maps_show_who_is_there() -> None:
    for name in ("additive-2x16x8-budget", "tiny-layer-prices", "tiny-skip"):
        problem, plan = case(name)
        there, worth = resident_at(problem, plan), weights(problem)
        for layer in range(problem.layers):
            heat = windows_picture(problem, plan, layer).marks[0].values  # type: ignore[union-attr]
            assert ((heat > 0) == there[:, layer].T).all()
            known = there[:, layer].T & (worth[:, layer].T > 1)
            assert heat[known] == pytest.approx(worth[:, layer].T[known])
        members = members_picture(problem, plan).marks[0].values  # type: ignore[union-attr]
        assert ((members > 0).sum(axis=1) == there.any(axis=0).sum(axis=1)).all()


def test_what_memory_buys_is_what_another_budget_gives() -> None:
    problem, plan = case("additive-2x16x8-budget")
    found = bought(problem, costs_of(problem, plan.period), plan.period)
    assert (np.diff(found.least) <= 1e-9).all()
    assert (found.least <= found.stays * (1 + 1e-9)).all()
    for at in (2, len(found.least) // 2):
        budget = int(found.budget_bytes[at])
        other = msgspec.structs.replace(problem, budget_bytes=budget, generator=None)
        best = moeopt.solve(other, "exact").objective
        assert found.least[at] <= best * (1 + 1e-9)
        assert best <= found.stays[at] * (1 + 1e-9)
        assert moeopt.solve(other, "knapsack").objective == pytest.approx(found.stays[at])


def test_the_plan_stands_between_bound_and_rival_at_its_budget() -> None:
    problem, plan = case("switch-t-64-4.7gib")
    picture = memory_picture(problem, plan, costs_of(problem, plan.period))
    bound, point = mark(picture, "bound"), mark(picture, "plan")
    at = np.flatnonzero(bound.x <= point.x[0] * (1 + 1e-12))[-1]
    # One window: a committee that stays is all there is, and the bound is the optimum.
    assert bound.y[at] == pytest.approx(point.y[0]) == pytest.approx(53055)


@pytest.mark.parametrize("name", NAMES)
def test_tables_hold_the_whole_plan(name: str) -> None:
    problem, plan = case(name)
    layers = layers_table(problem, plan)
    assert [row[1] for row in layers.rows] == plan.slots.tolist()
    assert layers.footer is not None
    if not named(name):
        return
    there = resident_at(problem, plan)
    members = members_table(problem, plan)
    assert [(row[0], row[1]) for row in members.rows] == [
        tuple(pair) for pair in np.argwhere(there.any(axis=0)).tolist()
    ]
    assert sum(row[3] for row in members.rows) == there.sum()
    changes = changes_table(plan)
    loads = [row[:3] for row in changes.rows if row[3] == "load"]
    assert loads == plan.loads.tolist()
    assert len(changes.rows) == len(plan.loads) + len(plan.drops)


def test_before_is_the_paper_s_simple_plan() -> None:
    for name in ("switch-t-64-4.7gib", "tiny-masked", "additive-2x16x8-budget"):
        problem, _ = case(name)
        simple = moeopt.solve(problem, "simple")
        ours = even_plan(problem, 1)
        assert ours is not None
        assert evaluate(problem, ours).objective == simple.objective


def test_what_binds_is_what_would_pay_without_it() -> None:
    problem, plan, result = solved("committee/tiny-latency")
    facts = {fact.label: fact for fact in REPORT.summary(problem, plan, result).binds}
    free = msgspec.structs.replace(problem, latency_s=None, generator=None)
    gained = result.objective - moeopt.solve(free).objective
    assert gained > 0
    assert facts["without the limit of latency"].number == pytest.approx(gained)
    more = problem.budget_bytes + int(problem.slot_bytes().max())
    richer = msgspec.structs.replace(problem, budget_bytes=more, generator=None)
    assert facts["memory for one slot more"].number == pytest.approx(
        result.objective - moeopt.solve(richer).objective
    )


@pytest.mark.parametrize("name", [*NAMES, "tiny-nothing", "table-12x16-budget"])
def test_every_kind_of_committee_has_a_page(name: str) -> None:
    problem, plan, result = solved(f"committee/{name}")
    drawn = flat(REPORT.pictures(problem, plan, result))
    assert len({picture.name for picture in drawn}) == len(drawn) >= 4
    assert all(picture.says for picture in drawn)
    summary = REPORT.summary(problem, plan, result)
    gained = {fact.label: fact.number for fact in summary.gained}
    assert gained["loss"] == evaluate(problem, plan).loss
    assert gained["resident"] == plan.slots.sum()


@pytest.mark.parametrize("name", ["tiny-masked", "tiny-windows", "tiny-table"])
def test_steps_can_be_carried_out(name: str, tmp_path: Path) -> None:
    steps = saved(f"committee/{name}", tmp_path)
    assert any("Scheduler" in step.command for step in steps) == (name != "tiny-table")
    apply(steps)


def test_bad_choices_are_one_sentence() -> None:
    with pytest.raises(InstanceError, match="a table names none"):
        resident_map(*case("tiny-table-periods"))
    with pytest.raises(InstanceError, match="layer: must be 0 to 1"):
        resident_map(*case("tiny-budget"), 2)
