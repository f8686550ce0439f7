"""When a migration is worth its seconds: by hand, by trying all, and how much of it."""

import itertools
import math

import numpy as np
import pytest
from motion_parts import costs

from moeopt import InstanceError
from moeopt.describe.cluster import Cluster
from moeopt.placement.motion.worth import Offer, standard_error, worth_moving
from moeopt.placement.plan import PlacementPlan, violations
from moeopt.placement.problem import PlacementProblem

#: Batches take the busiest device's tokens in seconds; an expert takes 4 s of ports.
SECONDS = costs(ports=1e12, token_s=1.0, expert_bytes=4e12)
HERE = np.array([[0, 1, 2, 3]])


def problem(loads, **changes):
    return PlacementProblem(
        loads_tokens=np.array(loads),
        cluster=Cluster.uniform(2),
        slots_per_device=2,
        previous=changes.pop("previous", HERE),
        **changes,
    )


def test_break_even_by_hand():
    """Loads 6, 4 on one device and 2, 0 on the other: a swap saves 4 s a batch for 4 s of ports."""
    stated = problem([[6.0, 4.0, 2.0, 0.0]])
    found = worth_moving(stated, SECONDS, 10)
    assert found.layers == 1
    assert found.saved_s == pytest.approx(4.0)
    assert found.migration_s == pytest.approx(4.0)
    assert found.break_even_batches == pytest.approx(1.0)
    assert found.net_s == pytest.approx(36.0)


@pytest.mark.parametrize(("batches", "layers"), [(0.9, 0), (1.1, 1)])
def test_the_threshold_is_where_savings_pass_the_price(batches, layers):
    """One batch too few and nothing moves; worth, table and break-even say so."""
    stated = problem([[6.0, 4.0, 2.0, 0.0]])
    found = worth_moving(stated, SECONDS, batches)
    assert found.layers == layers
    if not layers:
        np.testing.assert_array_equal(found.table, HERE)
        assert (found.net_s, found.break_even_batches) == (0.0, math.inf)


def test_layers_decide_for_themselves():
    """Of two layers the one that is balanced stays."""
    stated = problem([[6.0, 4.0, 2.0, 0.0], [3.0, 3.0, 3.0, 3.0]], previous=np.tile(HERE, (2, 1)))
    found = worth_moving(stated, SECONDS, 10)
    assert found.layers == 1
    np.testing.assert_array_equal(found.table[1], HERE[0])


@pytest.mark.parametrize("limit", [{}, {"max_moved_bytes": 8_000_000_000_000}])
def test_limits_of_moved_bytes_hold(limit):
    """Three layers alike, each worth two experts of 4 TB: with a limit of 8 TB one of them goes."""
    stated = problem(
        [[6.0, 4.0, 2.0, 0.0]] * 3, previous=np.tile(HERE, (3, 1)), expert_bytes=4e12, **limit
    )
    found = worth_moving(stated, SECONDS, 10)
    assert found.layers == (1 if limit else 3)
    assert violations(stated, PlacementPlan(physical_to_logical=found.table)) == []


def test_what_chance_cannot_tell_is_not_worth_a_move():
    """Scenarios that contradict each other: the mean gains, but by less than its error."""
    noisy = problem([[[9.0, 5.0, 1.0, 1.0]], [[1.0, 5.0, 5.0, 4.0]], [[2.0, 1.0, 6.0, 5.0]]])
    assert worth_moving(noisy, SECONDS, 1.2).layers == 0
    steady = problem([[[9.0, 5.0, 1.0, 1.0]]] * 3)
    assert worth_moving(steady, SECONDS, 1.2).layers == 1


def test_standard_error_by_hand():
    """Of 1, 2 and 3 it is 1 over the root of 3; a weight of 1 leaves one value, without any."""
    values = np.array([[1.0], [2.0], [3.0]])
    assert standard_error(values, np.full(3, 1 / 3)) == pytest.approx([1 / math.sqrt(3)])
    assert standard_error(values, np.array([1.0, 0.0, 0.0])).tolist() == [0.0]


def offers(seed, plans=3, layers=3):
    """Make an offer whose plans are numbers: that of the plan in all slots."""
    rng = np.random.default_rng(seed)
    saved = np.concatenate([np.zeros((1, layers)), rng.uniform(-0.2, 1.0, (plans - 1, layers))])
    moving = np.concatenate([np.zeros((1, layers)), rng.integers(1, 9, (plans - 1, layers))])
    tables = np.broadcast_to(np.arange(plans)[:, None, None], (plans, layers, 2))
    return Offer(tables, saved, moving.astype(np.float64), free_s=0.5)


@pytest.mark.parametrize("seed", range(12))
def test_the_choice_is_the_best_of_all(seed):
    """Blocking: exactly. Overlapped, where one price for all is a heuristic: seven tenths."""
    offer = offers(seed)
    batches = np.random.default_rng(seed).uniform(1, 40, 3)

    def net(choice, overlapped):
        at = (np.array(choice), np.arange(3))
        saved, moving = offer.saved_s[at], offer.moving_s[at].sum()
        late = moving / offer.free_s if overlapped else 0.0
        return (saved * (batches - late)).sum() - (0.0 if overlapped else moving)

    for overlapped in (False, True):
        best = max(net(choice, overlapped) for choice in itertools.product(range(3), repeat=3))
        found = offer.best(batches, overlapped=overlapped)
        assert found.net_s == pytest.approx(net(found.table[:, 0], overlapped))
        assert found.net_s >= (0.7 * best if overlapped else best - 1e-9)


def test_a_long_overlapped_migration_is_cut():
    """Two layers save 1 s and 0.2 s for 10 s of ports each: the first goes alone."""
    tables = np.arange(2)[:, None, None] * np.ones((1, 2, 2), dtype=np.int64)
    offer = Offer(
        tables, np.array([[0.0, 0.0], [1.0, 0.2]]), np.array([[0.0, 0.0], [10.0, 10.0]]), free_s=1.0
    )
    batches = np.full(2, 1000.0)
    assert offer.best(batches, overlapped=True).layers == 2
    cut = offer.best(batches, overlapped=True, batches_to_next=10.0)
    assert cut.layers == 1
    assert cut.table[0].tolist() == [1, 1]


def test_ports_that_are_never_free_carry_nothing():
    """An overlapped migration would not end."""
    offer = offers(0)
    stuck = Offer(offer.tables, offer.saved_s, offer.moving_s, free_s=0.0)
    assert stuck.best(np.full(3, 1e9), overlapped=True).layers == 0


def test_unequal_slots_are_refused():
    """The cost model has equal ones."""
    stated = PlacementProblem(
        loads_tokens=np.array([[6.0, 4.0, 2.0, 0.0]]),
        cluster=Cluster.uniform(2),
        slots_per_device=(1, 3),
        previous=HERE,
    )
    with pytest.raises(InstanceError, match="slots_per_device"):
        worth_moving(stated, SECONDS, 10)
