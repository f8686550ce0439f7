"""The simulator: runs by hand, blocking and overlapped, and what all runs must add up to."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from motion_parts import Scripted, costs, streams

from moeopt import InstanceError
from moeopt.placement.motion import World, simulate
from moeopt.placement.motion.baselines import Never
from moeopt.placement.motion.simulate import Meter, replay

#: Two devices, each with a slot for one of three experts and one more; 4 s of migration an expert.
HERE = np.array([[0, 1, 2, 2]])
THERE = np.array([[0, 2, 1, 2]])
ONLY_COMPUTE = costs(ports=1e9, token_s=1.0, expert_bytes=4e9)

#: A window in which device 0 is busy, then such as make device 1 busy.
WINDOWS = np.array([[[6.0, 4.0, 0.0]], [[6.0, 2.0, 0.0]], [[6.0, 2.0, 0.0]], [[0.0, 4.0, 4.0]]])


def world(**changes):
    """Batches whose seconds are the busiest device's tokens: exchanges take nothing."""
    return replace(World(ONLY_COMPUTE, 2, 2, overlapped=False), **changes)


def test_a_blocking_migration_by_hand():
    """The first window shows what to do; 4 s of stop, then the other plan serves."""
    policy = Scripted([THERE, None, None, None])
    run = simulate(WINDOWS, HERE, policy, world())
    # Two batches each of 10, then under the new plan 6, 6 and 4 + 2 tokens on the busiest.
    np.testing.assert_allclose(run.window_s, [20.0, 12.0, 12.0, 12.0], rtol=1e-7)
    assert run.stopped_s.tolist() == [0.0, 4.0, 0.0, 0.0]
    assert run.used.tolist() == [0, 1, 1, 1]
    assert run.total_s == pytest.approx(60.0, rel=1e-7)
    # Expert 1 goes to device 1; of expert 2 device 0 gets one of the copies there.
    assert run.moved_bytes == 8e9
    np.testing.assert_allclose(run.imbalance, [2.0, 1.5, 1.5, 1.5])


def test_an_overlapped_migration_by_hand():
    """4 s of free ports are there within the first batch of 8 s: the old plan serves that one."""
    policy = Scripted([THERE, None, None, None])
    run = simulate(WINDOWS, HERE, policy, world(overlapped=True))
    np.testing.assert_allclose(run.window_s, [20.0, 8.0 + 6.0, 12.0, 12.0], rtol=1e-7)
    assert run.migration_s == 0.0
    assert run.replans == 1
    np.testing.assert_allclose(run.imbalance, [2.0, (2.0 + 1.5) / 2, 1.5, 1.5])


def test_an_overlapped_migration_that_takes_windows_and_one_that_waits():
    """20 s are more than a window of 16; what comes meanwhile waits for the end of the next one."""
    slow = replace(ONLY_COMPUTE, expert_bytes=20e9)
    policy = Scripted([THERE, HERE, None, None])
    run = simulate(WINDOWS, HERE, policy, world(costs=slow, overlapped=True))
    # Window 1 under the old plan; in window 2 the old plan has one batch more, 8, then 6. Way back
    # begins with window 3, whose 12 s do not suffice.
    np.testing.assert_allclose(run.window_s, [20.0, 16.0, 8.0 + 6.0, 12.0], rtol=1e-7)
    assert run.used.tolist() == [0, 1, 1, 2]
    assert [table.tolist() for table in run.tables] == [
        HERE.tolist(),
        THERE.tolist(),
        HERE.tolist(),
    ]
    # The policy is shown what it asked for as if it were done.
    assert [shown.tolist() for _, shown in policy.shown] == [
        table.tolist() for table in (HERE, THERE, HERE, HERE)
    ]


def test_a_migration_that_ends_with_a_window_makes_way_for_the_next():
    """16 s of free ports are those of window 1, to the last: the way back begins with window 2."""
    # No exchange of tokens is noticed beside such ports.
    exact = costs(ports=1e100, token_s=1.0, expert_bytes=16e100)
    run = simulate(
        WINDOWS, HERE, Scripted([THERE, HERE, None, None]), world(costs=exact, overlapped=True)
    )
    assert run.window_s.tolist() == [20.0, 16.0, 12.0, 6.0 + 4.0]
    assert run.used.tolist() == [0, 1, 2, 2]


def test_a_waiting_plan_gives_way_to_a_later_one():
    """The way back is called off before it begins: one migration in all."""
    slow = replace(ONLY_COMPUTE, expert_bytes=20e9)
    policy = Scripted([THERE, HERE, THERE, None])
    run = simulate(WINDOWS, HERE, policy, world(costs=slow, overlapped=True))
    assert run.replans == 1
    assert run.moved_bytes == 40e9


def test_ports_that_are_never_free_never_end_an_overlapped_migration():
    """Where only exchanges take time there is none for a migration."""
    busy = costs(token_s=0.0)
    run = simulate(WINDOWS, HERE, Scripted([THERE] * 4), world(costs=busy, overlapped=True))
    never = simulate(WINDOWS, HERE, Never(), world(costs=busy))
    assert run.total_s == never.total_s
    assert run.replans == 1


def test_other_slots_of_the_same_device_are_no_migration():
    """A plan that only changes slots serves at once, and costs nothing."""
    same = np.array([[1, 0, 2, 2]])
    for overlapped in (False, True):
        run = simulate(WINDOWS, HERE, Scripted([same] * 4), world(overlapped=overlapped))
        assert (run.migration_s, run.moved_bytes) == (0.0, 0.0)
        assert run.total_s == simulate(WINDOWS, HERE, Never(), world()).total_s


def test_windows_are_scaled_to_batches():
    """A batch of 20 tokens is twice the first window's; one without tokens takes no time."""
    silent = np.zeros((1, 1, 3))
    for loads, seconds in ((WINDOWS[:1], 2 * 20.0), (silent, 0.0)):
        run = simulate(loads, HERE, Never(), world(batch_tokens=20.0))
        assert run.total_s == pytest.approx(seconds, rel=1e-7)


@settings(max_examples=30, deadline=None)
@given(streams(most_windows=5))
def test_runs_add_up(stream):
    """Total is serving and stops; windows are batches under the plans that are in force."""
    windows, tables, here = stream
    wanted = [tables[number % len(tables)] for number in range(len(windows))]
    policy = Scripted([*wanted[1:], None])
    run = simulate(windows, wanted[0], policy, here)
    # A meter that has served in another world is as good as a new one.
    meter = Meter(windows, here)
    replay(windows, wanted[0], wanted, replace(here, overlapped=not here.overlapped), "", meter)
    again = replay(windows, wanted[0], wanted, here, "again", meter)
    assert run.total_s == again.total_s == run.serving_s + run.migration_s
    assert run.used.max() == run.replans
    if here.overlapped:
        assert run.migration_s == 0.0
        return
    in_force = [run.tables[number] for number in run.used]
    serving = sum(map(here.window_s, windows, in_force))
    moving = sum(map(here.migration_s, run.tables, run.tables[1:]))
    np.testing.assert_allclose([run.serving_s, run.migration_s], [serving, moving], rtol=1e-12)


@pytest.mark.parametrize(
    ("table", "path"),
    [
        (np.array([[0, 1, 2]]), "table"),
        (np.array([[0, 1, 3, 2]]), "table"),
        (np.array([[0, 1, 1, -1]]), "table[0]"),
    ],
)
def test_plans_that_cannot_serve_are_refused(table, path):
    """Too few slots, an expert that is none, an expert left out: at the start or later."""
    for start, policy in ((table, Never()), (HERE, Scripted([table] * 4))):
        with pytest.raises(InstanceError) as error:
            simulate(WINDOWS, start, policy, world())
        assert error.value.path == path


@pytest.mark.parametrize("windows", [np.ones((2, 3)), np.ones((0, 1, 3)), -WINDOWS])
def test_windows_that_are_none_are_refused(windows):
    """Of another shape, without windows, below zero."""
    with pytest.raises(InstanceError, match="windows"):
        simulate(windows, HERE, Never(), world())


@pytest.mark.parametrize(
    "changes", [{"batches_per_window": 0}, {"slots_per_device": 0}, {"batch_tokens": np.inf}]
)
def test_worlds_that_are_none_are_refused(changes):
    """The error names the field."""
    with pytest.raises(InstanceError, match=next(iter(changes))):
        world(**changes)


def test_a_plan_for_each_window():
    """Two plans for four windows are refused, not cut short."""
    with pytest.raises(InstanceError, match="plans"):
        replay(WINDOWS, HERE, [HERE, THERE], world(), "few")


@pytest.mark.parametrize(
    ("windows", "table", "path"),
    [
        (WINDOWS.tolist(), HERE, "windows"),
        (WINDOWS, HERE[0], "table"),
        (WINDOWS, HERE.repeat(2, axis=0), "table"),
        (WINDOWS, HERE.astype(float), "table"),
    ],
)
def test_what_is_no_stream_or_plan_is_refused(windows, table, path):
    """One sentence, whatever is given."""
    with pytest.raises(InstanceError) as error:
        simulate(windows, table, Never(), world())
    assert error.value.path == path
