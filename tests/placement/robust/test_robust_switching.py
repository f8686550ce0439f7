"""One plan or several: expected seconds and the break-even by hand, and chains of tasks."""

import math
from dataclasses import replace

import numpy as np
import pytest

from moeopt.core.errors import InstanceError
from moeopt.describe.cluster import Cluster
from moeopt.placement import Pair, PlacementPlan, PlacementProblem, Timing, violations
from moeopt.placement.motion.costs import Costs
from moeopt.placement.robust import Traffic, break_even_s, choose, switching, turns

#: Two tasks of 8 tokens for 4 experts on 2 devices with 2 slots. Each is even, 4 and 4, under one
#: plan alone, under the other's the busiest device has 7, and under the plan between them 5.
A, B = np.array([[[4.0, 0, 3, 1]]]), np.array([[[4.0, 3, 0, 1]]])
FOR_A, FOR_B, FOR_BOTH = (np.array([row]) for row in ([0, 1, 2, 3], [0, 2, 1, 3], [0, 3, 1, 2]))

#: A token takes a second and travels at once; an expert takes 30 s through a port.
COSTS = Costs(
    timing=Timing(seconds_per_token=1.0, dispatch_bytes_per_token=0, combine_bytes_per_token=0),
    expert_bytes=30.0,
    port_bytes_per_s=np.ones(2),
    relative_speed=np.ones(2),
)


def _traffic(dwell_s=(300.0, 300.0), **more):
    return Traffic(batches=(A, B), dwell_s=np.array(dwell_s), batches_per_s=0.1, **more)


def _both(traffic):
    one = turns("one plan", [FOR_BOTH] * 2, traffic, COSTS, 2)
    return one, turns("one each", [FOR_A, FOR_B], traffic, COSTS, 2)


def test_expected_seconds_by_hand():
    one, each = _both(_traffic())
    assert (one.serving_s, one.switch_s, one.expected_s) == (5.0, 0.0, 5.0)
    # Experts 1 and 2 change places, both ways at once: 30 s in each 30 batches.
    assert (each.serving_s, each.switch_s, each.expected_s) == (4.0, 30.0, 5.0)


def test_break_even_by_hand():
    traffic = _traffic()
    # A second saved in each batch, 30 s paid in each switch: 30 batches, 300 s.
    assert break_even_s(traffic, *_both(traffic)) == pytest.approx(300.0)
    # Until it is noticed, 5 batches cost 7 instead of 4: 45 batches.
    late = _traffic(notice_s=50.0)
    assert break_even_s(late, *_both(late)) == pytest.approx(450.0)


def test_at_the_break_even_both_cost_the_same():
    traffic = _traffic((100.0, 500.0), notice_s=20.0)
    even = break_even_s(traffic, *_both(traffic))
    factor = even / traffic.mean_dwell_s()
    one, each = _both(replace(traffic, dwell_s=factor * traffic.dwell_s))
    assert each.expected_s == pytest.approx(one.expected_s)
    one, each = _both(replace(traffic, dwell_s=2 * factor * traffic.dwell_s))
    assert each.expected_s < one.expected_s


def test_what_never_pays_and_what_always_does():
    traffic = _traffic(notice_s=40.0)
    one, each = _both(traffic)
    assert break_even_s(traffic, each, one) == math.inf
    free = replace(each, switch_s=0.0)
    assert break_even_s(traffic, one, free) == 40.0
    assert break_even_s(traffic, one, one) == 40.0
    assert break_even_s(traffic, one, replace(one, switch_s=1.0)) == math.inf


def test_expected_seconds_are_those_of_a_long_run():
    """Turns of 20 and 60 batches one after the other, counted batch by batch."""
    traffic = _traffic((200.0, 600.0), notice_s=100.0)
    seconds = 0.0
    for turn in range(10):
        task = turn % 2
        tables = (FOR_A, FOR_B)
        seconds += COSTS.migration_s(tables[1 - task], tables[task], 2)
        for batch in range((20, 60)[task]):
            table = tables[1 - task] if batch < 10 else tables[task]
            seconds += COSTS.batch_s((A, B)[task][0], table, 2)
    _, each = _both(traffic)
    assert each.expected_s == pytest.approx(seconds / 400)


def test_batches_are_averaged_after_their_largest_load():
    """Two batches that load different devices are not the even batch that is their mean."""
    uneven = np.array([[[4.0, 0, 4, 0]], [[0.0, 4, 0, 4]]])
    traffic = Traffic(batches=(uneven, B), dwell_s=np.array([1.0, 1.0]), batches_per_s=1.0)
    table = np.array([[0, 2, 1, 3]])
    assert turns("", [table, table], traffic, COSTS, 2).serving_s == pytest.approx((8 + 4) / 2)


def test_chains_of_three_tasks():
    # 0 - 1 - 2: from the middle one either way.
    chain = np.array([[0.0, 1, 0], [0.5, 0, 0.5], [0, 1.0, 0]])
    traffic = Traffic(
        batches=(A, B, A),
        dwell_s=np.array([10.0, 20.0, 50.0]),
        batches_per_s=1.0,
        next_task=chain,
    )
    np.testing.assert_allclose(traffic.visits(), [0.25, 0.5, 0.25])
    assert traffic.mean_dwell_s() == pytest.approx(25.0)
    np.testing.assert_allclose(traffic.shares(), [0.1, 0.4, 0.5])
    # Left out, every other task is as likely: all come up equally often.
    even = replace(traffic, next_task=None)
    np.testing.assert_allclose(even.visits(), 1 / 3)
    # Tasks 0 and 2 have the same plan here: only switches to and from task 1 cost anything.
    tables = [FOR_A, FOR_B, FOR_A]
    assert turns("", tables, traffic, COSTS, 2).switch_s == pytest.approx(30.0)
    assert turns("", tables, even, COSTS, 2).switch_s == pytest.approx(30.0 * 2 / 3)


def _problem(**more):
    stated = {
        "loads_tokens": np.ones((1, 4)),
        "cluster": Cluster.uniform(2),
        "slots_per_device": 2,
        "objective": "mean_max",
    }
    return PlacementProblem(**(stated | more))


def test_choose_by_hand():
    """Long turns are worth a plan each, short ones are not; both plans are found."""
    choice = choose(_problem(), _traffic((450.0, 450.0)), COSTS)
    assert (choice.one_plan.serving_s, choice.one_plan.switch_s) == (5.0, 0.0)
    assert (choice.apart.serving_s, choice.apart.switch_s) == (4.0, 30.0)
    assert choice.break_even_s == pytest.approx(300.0)
    assert choice.best.expected_s == choice.apart.expected_s < 5.0
    short = choose(_problem(), _traffic((150.0, 150.0)), COSTS)
    assert short.best is short.one_plan
    # One change of places turns the common plan into either task's own.
    ends = [option for option in choice.near if option.name.endswith("1 of the way")]
    assert len(ends) == 2
    assert all(option.serving_s == 4.0 for option in ends)


def test_choose_lies_between_the_extremes():
    """Every option keeps the rules; none serves better than its bound, the best beats both ends."""
    rng = np.random.default_rng(5)
    batches = tuple(rng.lognormal(0.0, 1.0, (3, 1, 2, 16)))
    problem = _problem(
        loads_tokens=np.ones((2, 16)), cluster=Cluster.uniform(4), slots_per_device=5
    )
    costs = replace(COSTS, port_bytes_per_s=np.ones(4), relative_speed=np.ones(4))
    traffic = Traffic(batches=batches, dwell_s=np.array([3e3, 1e3, 2e3]), batches_per_s=0.1)
    choice = choose(problem, traffic, costs)
    assert len(choice.options) == 2 + 2 * len(switching.STEPS)
    perfect = sum(
        share * one.sum() / 4 for share, one in zip(traffic.shares(), batches, strict=True)
    )
    for option in choice.options:
        assert option.serving_s >= perfect * (1 - 1e-9)
        for table in option.tables:
            assert not violations(problem, PlacementPlan(physical_to_logical=table))
    assert choice.apart.serving_s <= choice.one_plan.serving_s
    assert choice.one_plan.switch_s == 0
    assert choice.best.expected_s <= min(choice.one_plan.expected_s, choice.apart.expected_s)
    # Nearer plans switch for less and serve for more.
    common = [option for option in choice.near if "one plan" in option.name]
    assert common[0].switch_s < common[-1].switch_s
    assert common[0].serving_s > common[-1].serving_s


def test_relabelling_keeps_pins():
    pinned = _problem(pinned=(Pair(expert=0, device=0), Pair(expert=1, device=1)))
    tables = switching._relabelled(pinned, [FOR_B, np.array([[0, 3, 2, 1]])])
    for table in tables:
        assert not violations(pinned, PlacementPlan(physical_to_logical=table))
    # Without the pins, the second plan would change its devices to move less.
    free = switching._relabelled(_problem(), [FOR_B, np.array([[3, 1, 0, 2]])])
    assert free[1].tolist() == FOR_B.tolist()


@pytest.mark.parametrize(
    ("problem", "where"),
    [
        (_problem(loads_tokens=np.ones((1, 3)), slots_per_device=2), "experts"),
        (_problem(slots_per_device=(2, 3)), "slots_per_device"),
        (_problem(previous=FOR_A), "previous"),
        (_problem(objective="activated"), "objective"),
    ],
)
def test_refused_problems(problem, where):
    with pytest.raises(InstanceError, match=where):
        choose(problem, _traffic(), COSTS)


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"batches": (A,)}, "batches"),
        ({"batches": (A, B[0])}, r"batches\[1\]"),
        ({"batches": (A, B[:, :, :3])}, r"batches\[1\]"),
        ({"dwell_s": np.array([1.0])}, "dwell_s"),
        ({"dwell_s": np.array([1.0, -1.0])}, "dwell_s"),
        ({"dwell_s": np.array([1.0, 0.0])}, "notice_s"),
        ({"notice_s": 301.0}, "notice_s"),
        ({"batches_per_s": 0.0}, "batches_per_s"),
        ({"next_task": np.eye(2)}, "next_task"),
        ({"next_task": np.array([[0.0, 0.9], [1.0, 0.0]])}, "next_task"),
    ],
)
def test_refused_traffic(given, where):
    stated = {"batches": (A, B), "dwell_s": np.array([300.0, 300.0]), "batches_per_s": 0.1}
    with pytest.raises(InstanceError, match=where):
        Traffic(**(stated | given))


def test_tasks_that_never_meet_are_refused():
    apart = np.kron(np.eye(2), [[0.0, 1.0], [1.0, 0.0]])
    with pytest.raises(InstanceError, match="never meet"):
        Traffic(batches=(A, B, A, B), dwell_s=np.ones(4), batches_per_s=1.0, next_task=apart)


def test_a_table_for_each_task():
    with pytest.raises(InstanceError, match="tables"):
        turns("", [FOR_A], _traffic(), COSTS, 2)
