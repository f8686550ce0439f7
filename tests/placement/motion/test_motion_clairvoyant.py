"""The clairvoyant against all schedules that there are, and the bound below it."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_parts import costs, plans, streams

from moeopt.placement.motion import World, simulate
from moeopt.placement.motion.baselines import Hysteresis, Never, Periodic
from moeopt.placement.motion.clairvoyant import clairvoyant, hindsight, lower_bound_s
from moeopt.placement.motion.costs import migration_experts
from moeopt.placement.motion.path import Between, Serving, best_path, bounds_between
from moeopt.placement.motion.simulate import replay

WITHIN = 1.0 + 1e-9


def schedules(windows, tables, world):
    """Return the seconds of every sequence of plans, tried out."""
    return [
        replay(windows, tables[0], list(wanted), world, "tried").total_s
        for wanted in product(tables, repeat=len(windows))
    ]


@settings(max_examples=30, deadline=None)
@given(streams())
def test_no_schedule_of_its_plans_is_cheaper_and_it_is_one_of_them(stream):
    """Equal to the best of all schedules; blocking, layers may part and so be better still."""
    windows, tables, world = stream
    found = clairvoyant(windows, tables[0], world, tables[1:]).total_s
    best = min(schedules(windows, tables, world))
    assert found <= best * WITHIN
    if world.overlapped:
        # With the plans that layers would take alone, which are candidates as well.
        blocking = World(
            world.costs, world.slots_per_device, world.batches_per_window, False, world.batch_tokens
        )
        alone = clairvoyant(windows, tables[0], blocking, tables[1:]).tables
        best = min(schedules(windows, [*tables, *alone[1:]], world))
    elif windows.shape[1] == 2:
        rows = [np.stack(pair) for pair in product(*(np.stack(tables).swapaxes(0, 1)))]
        first = [row for row in rows if (row == tables[0]).all()]
        best = min(schedules(windows[:2], [*first[:1], *rows], world))
        found = clairvoyant(windows[:2], tables[0], world, tables[1:]).total_s
    assert found == pytest.approx(best, rel=1e-9, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(streams(most_windows=6, plans_of=1))
def test_bound_clairvoyant_and_policies_are_in_order(stream):
    """Nobody is below the bound, and no policy below one that knows its plans."""
    windows, tables, world = stream
    policies = (Never(), Periodic(1), Periodic(2), Hysteresis(1))
    runs = [simulate(windows, tables[0], policy, world) for policy in policies]
    candidates = [plan for run in runs for plan in run.tables]
    best = clairvoyant(windows, tables[0], world, candidates)
    more = [*candidates, *hindsight(windows, tables[0], world)]
    better = clairvoyant(windows, tables[0], world, more)
    assert best.total_s <= min(run.total_s for run in runs) * WITHIN
    assert lower_bound_s(windows, world) <= better.total_s * WITHIN
    if not world.overlapped:
        # Overlapped, other plans change which are offered for layers that go together.
        assert better.total_s <= best.total_s * WITHIN


def test_it_may_change_before_the_first_window_if_that_pays():
    """Two windows of 18 tokens on one device: 10 each on two save more than the expert's 3 s."""
    world = World(costs(ports=1e9, token_s=1.0, expert_bytes=3e9), 2, 1, overlapped=False)
    windows = np.array([[[9.0, 9.0, 1.0, 1.0]]] * 2)
    table, better = np.array([[0, 1, 2, 3]]), np.array([[0, 2, 1, 3]])
    run = clairvoyant(windows, table, world, [better])
    assert (run.replans, run.migration_s) == (1, 3.0)
    assert run.total_s == pytest.approx(3.0 + 2 * 10.0)
    # Not for one window of few tokens.
    few = clairvoyant(windows[:1] / 9, table, world, [better])
    assert few.replans == 0


def test_the_bound_is_met_where_perfect_balance_is_possible():
    """Two equal halves, no ports: the mean. One expert of all tokens and one slot: all of them."""
    world = World(costs(ports=1e9, token_s=1.0), 1, 3, overlapped=True)
    even = np.array([[[4.0, 4.0]]])
    assert lower_bound_s(even, world) == pytest.approx(3 * 4.0)
    # A device of double speed takes two thirds.
    faster = World(costs(ports=1e9, token_s=1.0, speed=[1.0, 2.0]), 1, 3, overlapped=True)
    assert lower_bound_s(np.array([[[2.0, 4.0]]]), faster) == pytest.approx(3 * 2.0)
    # Two experts in two slots: neither can be cut.
    assert lower_bound_s(np.array([[[7.0, 1.0]]]), world) == pytest.approx(3 * 7.0)


def seconds_of(path, serving, moving_s, *, overlapped):
    """Return the seconds of a way, as the simulator has them, from a matrix of migrations."""
    total, plan, coming, left = 0.0, 0, None, 0.0
    for window, wanted in enumerate(path):
        if coming is None and wanted != plan:
            if overlapped:
                coming, left = wanted, moving_s[plan, wanted]
            else:
                total, plan = total + moving_s[plan, wanted], wanted
        for _ in range(serving.batches):
            if coming is not None and left <= 0:
                plan, coming = coming, None
            total += serving.batch_s[window, plan]
            left -= serving.ports_s[window, plan]
        if coming is not None and left <= 0:
            plan, coming = coming, None
    return total


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.integers(1, 3))
def test_the_way_found_with_bounds_is_the_best_of_all_ways(seed, overlapped, batches):
    """Whole numbers drawn at random; of migrations only bounds are known at first."""
    rng = np.random.default_rng(seed)
    windows, number = 4, 3
    batch_s, ports_s = rng.integers(0, [[[20]], [[4]]], (2, windows, number)).astype(float)
    exact = rng.integers(0, 12, (number, number)) * (1.0 - np.eye(number))
    least = np.maximum(exact - rng.integers(0, 4, exact.shape), 0.0)
    most = exact + rng.integers(0, 4, exact.shape)
    np.fill_diagonal(most, 0.0)
    serving = Serving(batch_s, ports_s, batches)
    between = Between(least, most, lambda old, new: float(exact[old, new]))
    path = best_path(serving, between, overlapped=overlapped)
    found, *others = (
        seconds_of(way, serving, exact, overlapped=overlapped)
        for way in [path, *product(range(number), repeat=windows)]
    )
    assert found == pytest.approx(min(others), abs=1e-9)


def test_a_migration_that_arrives_late_may_be_the_better_one():
    """Plan 1 is bad in the first window: that its migration takes all of it is not bad news."""
    batch_s = np.array([[1.0, 10.0, 2.0], [100.0, 1.0, 2.0]])
    least, most = np.zeros((2, 3, 3))
    least[0, 1], most[0, 1] = 1.0, 3.0
    between = Between(least, most, lambda old, new: 3.0)
    serving = Serving(batch_s, np.ones((2, 3)), 3)
    # Three batches at 1 and three at 1, not six at 2.
    assert best_path(serving, between, overlapped=True) == [1, 1]


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_bounds_enclose_the_makespan(data):
    """Of all pairs of plans; without copies and duplicates they meet."""
    extra = data.draw(st.integers(0, 1))
    sizes = {"layers": 2, "experts": 6, "devices": 3, "slots_per_device": 2 + extra}
    tables = np.stack([data.draw(plans(**sizes)) for _ in range(3)])
    least, most = bounds_between(tables, 2 + extra)
    exact = [[migration_experts(old, new, 2 + extra).sum() for new in tables] for old in tables]
    assert (least <= exact).all()
    assert (exact <= most).all()
    if not extra:
        assert (least == most).all()


def test_hindsight_plans_every_run_of_windows():
    """Five windows: five, two pairs, one four; each plan the best of its own windows."""
    world = World(costs(2), 2, 1, overlapped=False)
    windows = np.array([[[9.0, 9.0, 1.0, 1.0]], [[9.0, 1.0, 9.0, 1.0]]] * 2 + [[[1.0] * 4]])
    table = np.array([[0, 1, 2, 3]])
    found = hindsight(windows, table, world)
    assert len(found) == 5 + 2 + 1
    for loads, plan in zip(windows, found, strict=False):
        served = world.costs.served(loads, plan, 2)
        assert served.max() == served.mean()
