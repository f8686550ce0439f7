"""The baselines: when they plan, from which windows, and what they keep."""

import numpy as np
import pytest
from hypothesis import given, settings
from motion_parts import costs, streams

from moeopt import InstanceError
from moeopt.adapters.engines.eplb import rebalance_experts
from moeopt.placement.motion import World, simulate
from moeopt.placement.motion.baselines import Hysteresis, Never, Periodic, eplb
from moeopt.placement.motion.costs import transfers
from moeopt.placement.relabel import renumbered

WORLD = World(costs(2, expert_bytes=1e-3), 2, 1, overlapped=False)
TABLE = np.array([[0, 1, 2, 3]])


def test_never_keeps_its_plan():
    """One plan, no migration."""
    run = simulate(np.ones((3, 1, 4)), TABLE, Never(), WORLD)
    assert (run.replans, run.total_s) == (0, run.serving_s)


def test_periodic_plans_the_sum_of_the_last_windows_every_period():
    """Every 4 windows over 3, first after a quarter as vLLM: after window 1, then of 3 to 5."""
    planned = []

    def planner(loads, slots, devices):
        planned.append((loads.tolist(), slots, devices))
        return TABLE

    windows = np.arange(1.0, 9.0)[:, None, None] * np.ones((8, 1, 4))
    policy = Periodic(4, 3, planner)
    assert policy.name == "every 4 over 3"
    for _ in range(2):
        # Started afresh it remembers nothing.
        planned.clear()
        simulate(windows, TABLE, policy, WORLD)
        assert planned == [([[1.0] * 4], 4, 2), ([[12.0] * 4], 4, 2)]


@pytest.mark.parametrize(("period", "after"), [(1, [1, 2, 3]), (2, [1, 3, 5]), (8, [2, 10])])
def test_periodic_starts_three_quarters_through_its_period(period, after):
    """As vLLM's ``expert_rearrangement_step`` does: ``max(0, interval - interval // 4)``."""
    seen = []
    policy = Periodic(period, 1, lambda loads, slots, devices: seen.append(loads[0, 0]) or TABLE)
    windows = np.arange(1.0, after[-1] + 1.0)[:, None, None] * np.ones((after[-1], 1, 4))
    simulate(windows, TABLE, policy, WORLD)
    assert seen == after


def test_periodic_sums_its_period_unless_told_otherwise():
    """What vLLM does where its window is its interval."""
    assert Periodic(4).name == "every 4 over 4"


def test_eplb_is_the_drop_in():
    """The plan that the engines' call gives."""
    loads = np.array([[9.0, 4.0, 2.0, 1.0], [1.0, 1.0, 1.0, 1.0]])
    expected = rebalance_experts(loads, 6, 1, 1, 2, method="eplb")[0]
    assert eplb(loads, 6, 2).tolist() == expected.tolist()


def test_hysteresis_plans_once_and_stays_while_loads_stay_even():
    """Uneven at first: planned. Then above both thresholds: kept, though a better plan exists."""
    uneven = [[9.0, 9.0, 1.0, 1.0]]
    nearly = [[11.0, 9.0, 1.0, 1.0]]
    windows = np.array([uneven, uneven, nearly, nearly])
    run = simulate(windows, TABLE, Hysteresis(1), WORLD)
    assert run.replans == 1
    np.testing.assert_allclose(run.imbalance, [1.8, 1.0, 12 / 11, 12 / 11])


def test_hysteresis_takes_nothing_that_is_no_better():
    """One expert has all tokens: whatever the plan, evenness is the same."""
    windows = np.array([[[8.0, 0.0, 0.0, 0.0]]] * 3)
    assert simulate(windows, TABLE, Hysteresis(1), WORLD).replans == 0


def test_hysteresis_plans_only_the_layers_that_are_uneven():
    """The second layer is even already; it is planned the first time, and found no better."""
    windows = np.array([[[9.0, 9.0, 1.0, 1.0], [5.0, 5.0, 5.0, 5.0]]] * 2)
    run = simulate(windows, np.repeat(TABLE, 2, axis=0), Hysteresis(1), WORLD)
    assert run.tables[-1][1].tolist() == TABLE[0].tolist()
    assert run.tables[-1][0].tolist() != TABLE[0].tolist()


@pytest.mark.parametrize("threshold", ["ratio", "value"])
def test_either_threshold_makes_hysteresis_plan(threshold):
    """Evenness falls from 1 to 13.5 of 20, and 13.5 of 15 is possible."""
    windows = np.array([[[9.0, 9.0, 1.0, 1.0]]] + [[[14.0, 6.0, 6.0, 1.0]]] * 2)
    low = {"ratio": 0.67, "value": 0.67}
    kept = simulate(windows, TABLE, Hysteresis(1, **low), WORLD)
    planned = simulate(windows, TABLE, Hysteresis(1, **low | {threshold: 0.68}), WORLD)
    np.testing.assert_allclose(kept.imbalance[1:], [20 / 13.5, 20 / 13.5])
    np.testing.assert_allclose(planned.imbalance[1:], [20 / 13.5, 15 / 13.5])


def test_devices_are_matched_to_where_most_experts_are():
    """The same plan with its devices in another order moves nothing."""
    old = np.array([0, 1, 2, 3, 4, 5])
    new = np.array([4, 5, 3, 0, 1, 2])
    found = renumbered(new[None], old[None], 3)[0]
    assert transfers(old[None], found[None], 2) == 2
    assert sorted(map(tuple, found.reshape(3, 2).tolist())) == [(1, 2), (3, 0), (4, 5)]


@settings(max_examples=25, deadline=None)
@given(streams(most_windows=4, plans_of=1))
def test_baselines_serve_any_stream(stream):
    """Their plans are refused by the simulator nowhere, and every period gives a run."""
    windows, tables, world = stream
    for policy in (Periodic(1), Periodic(2, 1), Hysteresis(2)):
        run = simulate(windows, tables[0], policy, world)
        assert run.serving_s >= 0.0
        assert len(run.window_s) == len(windows)


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda: Periodic(0), "period"),
        (lambda: Periodic(1, 0), "over"),
        (lambda: Hysteresis(0), "over"),
    ],
)
def test_periods_that_are_none_are_refused(make, path):
    """The error names the argument."""
    with pytest.raises(InstanceError) as error:
        make()
    assert error.value.path == path
