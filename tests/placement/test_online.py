"""The online policy: it moves when that pays, and otherwise does not."""

from dataclasses import replace

import numpy as np
import pytest

from moeopt import InstanceError
from moeopt.placement import place
from moeopt.placement.motion import Costs, World, simulate
from moeopt.placement.motion.baselines import Hysteresis, Never, Periodic
from moeopt.placement.motion.clairvoyant import clairvoyant, lower_bound_s
from moeopt.placement.motion.regret import regret
from moeopt.placement.online import Online

LAYERS, EXPERTS, DEVICES, SLOTS, TOKENS = 3, 32, 4, 9, 3072


def shares(seed):
    return np.random.default_rng(seed).dirichlet(np.full(EXPERTS, 0.7), LAYERS)


def stream(tasks, each, seed=0):
    """Windows of tasks, `each` windows long, one after the other."""
    rng = np.random.default_rng(seed)
    rows = [shares(task) for task in tasks for _ in range(each)]
    return np.array([[rng.multinomial(TOKENS, row) for row in share] for share in rows], float)


def world(batches=64, *, overlapped=False):
    costs = Costs.of_model("deepseek-v2-lite", "h200", DEVICES, 450e9)
    return World(costs, SLOTS, batches, overlapped)


def table():
    """Contiguous experts, and each device's spare slot one of its neighbour's."""
    rows = [[*range(8 * d, 8 * d + 8), (8 * d + 8) % EXPERTS] for d in range(DEVICES)]
    return np.tile(np.concatenate(rows), (LAYERS, 1))


def serving_s(windows):
    """Seconds of the windows if the plan never changed."""
    return simulate(windows, table(), Never(), world()).serving_s


def watched(windows, home, start=None):
    """Run the policy by hand; return the windows after which it moved, and its bytes there."""
    policy, now, moved = Online(), table() if start is None else start, []
    policy.start(home, now)
    for i, window in enumerate(windows):
        new = policy.observe(window, now)
        assert policy.last.moved == (new is not None)
        if new is not None:
            moved.append((i, home.costs.migration_s(now, new, SLOTS)))
            now = new
    return moved


def test_stationary_loads_are_left_alone_after_the_first_move():
    """Later moves are few, and small: a refinement here and there as more is known."""
    windows = stream([1], 60)
    moved = watched(windows, world())
    assert moved[0][0] == 0
    assert len(moved) <= 12
    assert sum(seconds for _, seconds in moved[1:]) < 3e-3 * serving_s(windows)


def test_a_plan_for_these_loads_is_kept():
    """Who starts with a plan of the very loads hardly moves, and never at once."""
    windows = stream([1], 30)
    planned = place(shares(1), DEVICES, DEVICES * SLOTS).physical_to_logical
    moved = watched(windows, world(), planned)
    assert all(i > 0 for i, _ in moved)
    assert sum(seconds for _, seconds in moved) < 5e-3 * serving_s(windows)


def test_a_change_of_task_is_followed_at_once():
    """The window after which most is moved is the first one of the new task."""
    moved = watched(stream([1, 2, 1], 12), world())
    expert_s = world().costs.expert_bytes / 450e9
    assert [i for i, seconds in moved if seconds > 4.5 * expert_s] == [0, 12, 24]


def test_nothing_moves_that_cannot_pay():
    """Experts so large that one takes longer than all that could be saved."""
    home = world()
    home = replace(home, costs=replace(home.costs, expert_bytes=1e12))
    assert watched(stream([1, 2], 10), home) == []
    policy = Online()
    policy.start(home, table())
    policy.observe(stream([1], 1)[0], table())
    assert policy.last.worth is None
    assert "one expert" in policy.last.why()


@pytest.mark.parametrize("overlapped", [False, True])
def test_same_windows_same_plans(overlapped):
    """Two policies, and one that is started again, decide alike to the last slot."""
    windows = stream([1, 2], 4)
    home = world(overlapped=overlapped)
    policy = Online()
    runs = [simulate(windows, table(), p, home) for p in (policy, Online(), policy)]
    assert runs[0].replans > 0
    for other in runs[1:]:
        assert other.total_s == runs[0].total_s
        for one, two in zip(runs[0].tables, other.tables, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(("batches", "overlapped"), [(16, False), (512, False), (64, True)])
def test_it_takes_fewest_seconds_of_all_that_do_not_foresee(batches, overlapped):
    """Two tasks in turn: below never, EPLB at any period and hysteresis; regret adds up."""
    windows = stream([1, 2, 1, 2], 8)
    home = world(batches, overlapped=overlapped)
    others = [Never(), *(Periodic(n) for n in (1, 2, 4, 8)), *(Hysteresis(n) for n in (2, 8))]
    runs = [simulate(windows, table(), policy, home) for policy in others]
    ours = simulate(windows, table(), Online(), home)
    assert ours.total_s < min(run.total_s for run in runs)
    best = clairvoyant(windows, table(), home, [*ours.tables, *runs[1].tables])
    behind = regret(ours, best, runs[0])
    assert 0 <= behind.seconds == ours.total_s - best.total_s
    assert 0.5 < behind.share_of_way <= 1.0
    assert behind.relative == pytest.approx(ours.total_s / best.total_s - 1)
    assert best.total_s >= lower_bound_s(windows, home)


def test_regret_where_there_is_no_way_to_go():
    """Even loads: never moving is the best there is."""
    windows = np.full((3, LAYERS, EXPERTS), 8.0)
    start = np.tile(np.arange(EXPERTS), (LAYERS, 1))
    home = World(world().costs, 8, 4, overlapped=False)
    never = simulate(windows, start, Never(), home)
    ours = simulate(windows, start, Online(), home)
    found = regret(ours, clairvoyant(windows, start, home, ours.tables), never)
    assert found.share_of_way is None
    assert found.seconds == pytest.approx(0.0, abs=1e-12)


def test_decisions_can_be_read():
    """What was known, how long it was expected to hold, and what the move was worth."""
    policy = Online()
    home = world()
    policy.start(home, table())
    assert policy.last is None
    new = policy.observe(stream([1], 1)[0], table())
    last = policy.last
    assert last.moved
    np.testing.assert_array_equal(last.worth.table, new)
    assert last.known.windows == 1
    # One window seen, and four expected before any.
    np.testing.assert_allclose(last.batches_ahead, 5 * 64)
    assert last.worth.net_s > 0
    assert last.worth.break_even_batches < 5 * 64
    assert last.why().startswith("changes 3 of 3 layers: saves")


def test_misuse_is_named():
    """No stream, and another shape than the plan's."""
    with pytest.raises(InstanceError, match="start"):
        Online().observe(np.ones((LAYERS, EXPERTS)), table())
    policy = Online()
    policy.start(world(), table())
    for loads in (np.ones((LAYERS + 1, EXPERTS)), np.ones((LAYERS, EXPERTS - 1)), "many"):
        with pytest.raises(InstanceError, match="loads"):
            policy.observe(loads, table())
    for plan in (table()[:, 1:], table() - 2, table() + 0.5):
        with pytest.raises(InstanceError, match="table"):
            policy.observe(np.ones((LAYERS, EXPERTS)), plan)
        with pytest.raises(InstanceError, match="table"):
            Online().start(world(), plan)
    # What was refused left no trace.
    new = policy.observe(stream([1], 1)[0].tolist(), table().tolist())
    assert policy.last.known.windows == 1
    np.testing.assert_array_equal(new, policy.last.worth.table)
    for count in (-1, 1.5, None):
        with pytest.raises(InstanceError, match="remembered"):
            Online(remembered=count)
    with pytest.raises(InstanceError, match="false_alarms"):
        Online(false_alarms="few")
