"""The clock: worked examples, exact fractions, and what must hold at the ends of the scale."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from buffering_clock_oracle import told

from moeopt.buffering.clock import _predicted, stall
from moeopt.buffering.plan import BufferingPlan
from moeopt.buffering.problem import BufferingProblem, Timing
from moeopt.core.arrays import IntArray
from moeopt.core.errors import InstanceError


def ints(*values: int) -> IntArray:
    return np.array(values, dtype=np.int64)


def planned(
    loads: list[tuple[int, int]], drops: list[tuple[int, int]] = (), *capacity: int, **fields: Any
) -> BufferingPlan:
    """Return a plan of (when, item)."""
    load, drop = np.reshape(loads, (-1, 2)), np.reshape(drops, (-1, 2))
    return BufferingPlan(
        capacity=ints(*capacity),
        load_at=load[:, 0].astype(np.int64),
        load_item=load[:, 1].astype(np.int64),
        drop_at=drop[:, 0].astype(np.int64),
        drop_item=drop[:, 1].astype(np.int64),
        **fields,
    )


def passes(*groups: list[int], timing: dict[str, Any], **fields: Any) -> BufferingProblem:
    """Return groups over experts of 10 bytes and a link of 10 bytes a second."""
    given: dict[str, Any] = {"experts": 4, "expert_bytes": 10, "slots": 2}
    return BufferingProblem(
        active=ints(*[expert for group in groups for expert in group]),
        starts=np.cumsum([0, *map(len, groups)]),
        timing=Timing(**({"link_bytes_per_s": 10.0} | timing)),
        **(given | fields),
    )


def test_transfers_hide_behind_experts_that_run() -> None:
    """0 comes by 1 and runs for 2, 1 comes by 2 and runs for 2; then 0 runs while 2 comes."""
    problem = passes([0, 1], [0, 2], timing={"compute_s": 4.0})
    plan = planned([(0, 0), (1, 1), (3, 2)], [(3, 1)], 2)
    found = stall(problem, plan)
    assert (found.total_s, found.compute_s, found.stall_s) == (9, 8, 1)
    assert (found.link_busy_s, found.transfers, found.peak_staged) == (3, 3, 0)


def test_order_within_a_group() -> None:
    """With the missing expert first its second is lost; with the one that is there first not."""
    problem = passes([0], [1, 0], timing={"compute_s": 4.0}, any_order=True)
    late = planned([(0, 0), (1, 1)], [], 2)
    early = planned([(0, 0), (2, 1)], [], 2, order=ints(0, 2, 1))
    assert stall(problem, late).stall_s == 2
    assert stall(problem, early).stall_s == 1


def test_rate_is_shared_and_transfers_wait_in_turn() -> None:
    """Two at once end together at 2 s, one by one at 1 and 2 s, each a latency later."""
    plan = planned([(0, 0), (1, 1)], [], 2)
    one = passes([0, 1], timing={"compute_s": 2.0, "link_latency_s": 0.5})
    both = passes([0, 1], timing={"compute_s": 2.0, "link_latency_s": 0.5, "parallel_transfers": 2})
    # Alone: 0 at 1.5 runs to 2.5, 1 at 2.5 runs to 3.5. Together both are there at 2.5.
    assert stall(one, plan).total_s == 3.5
    assert stall(both, plan).total_s == 4.5
    assert stall(both, plan).link_busy_s == 2


def test_slots_that_are_in_use_need_staging() -> None:
    """One slot, two experts: 1 comes while 0 still runs, and needs room beside the cache."""
    problem = passes([0, 1], [1], timing={"compute_s": 4.0}, slots=1)
    plan = planned([(0, 0), (1, 1)], [(1, 0)], 1)
    assert stall(problem, plan).peak_staged == 1


def test_lookahead_hides_transfers() -> None:
    """Asked for one pass early, expert 1 comes while 0 runs."""
    plan = planned([(0, 0), (1, 1), (2, 2)], [(2, 0)], 2)
    timing = {"compute_s": 2.0, "lookahead_groups": 1}
    found = stall(passes([0], [1], [2], timing=timing), plan)
    # The first one cannot be predicted.
    assert (found.stall_s, found.wasted_transfers, found.peak_staged) == (1, 0, 1)
    assert found.total_s == 7


def test_wrong_predictions_load_the_link() -> None:
    """The one for expert 1 is in the way of nothing; that for 2 comes while 1 is waited for."""
    plan = planned([(0, 0), (1, 1), (2, 2)], [(2, 0)], 2)
    timing = {"compute_s": 2.0, "lookahead_groups": 1, "lookahead_accuracy": 0.0}
    found = stall(passes([0], [1], [2], timing=timing), plan)
    assert (found.transfers, found.wasted_transfers) == (5, 2)
    # Pass 0: wrong one behind 0, from 1 to 2. Pass 1 at 3: 1 comes first, then the wrong one.
    assert (found.stall_s, found.link_busy_s) == (3, 5)
    slow = stall(passes([0], [1], [2], timing=timing | {"compute_s": 0.0}), plan)
    # Pass 0 ends at 1, as the wrong one begins; 1 waits behind it and ends at 3; so does 2 at 5.
    assert slow.total_s == 5


def test_host_works_beside_the_device() -> None:
    """Two references of weight 2 and 1 on the host, 3 s; the device computes for 1 s."""
    fields = {"serve": "bypass", "miss_s": 1.0, "weights": np.array([1.0, 2.0, 1.0]), "slots": 1}
    problem = passes([0, 1, 2], timing={"compute_s": 1.0}, **fields, free_fill=True)
    found = stall(problem, planned([(0, 0)], [], 1))
    assert (found.total_s, found.host_s, found.stall_s, found.transfers) == (3, 2, 0, 0)
    paid = msgspec.structs.replace(problem, free_fill=False, expert_bytes=50)
    found = stall(paid, planned([(0, 0)], [], 1))
    # The expert comes at 5 and runs for 1: by then the host has long ended.
    assert (found.total_s, found.host_s, found.stall_s) == (6, 2, 3)


def test_nobody_waits_for_a_load_ahead_of_need() -> None:
    fields = {"serve": "bypass", "miss_s": 0.0, "slots": 1, "expert_bytes": 30}
    problem = passes([0], [0], [1], timing={"compute_s": 1.0}, **fields)
    found = stall(problem, planned([(0, 1)], [], 1))
    # Expert 1 is there at 3: two passes at 1 and 2, then a second of waiting and one of computing.
    assert (found.total_s, found.stall_s) == (4, 1)


@pytest.mark.parametrize("bypass", [False, True])
@pytest.mark.parametrize("seed", range(30))
def test_exact_fractions_say_the_same(seed: int, bypass: bool) -> None:
    rng = np.random.default_rng(seed)
    problem, plan = drawn(rng, bypass)
    assert problem.timing is not None
    load_group = plan.load_at if bypass else problem.group_of()[plan.load_at]
    _, wrong = _predicted(problem, plan, load_group, problem.timing)
    chance = np.random.default_rng(problem.timing.seed).random(plan.load_at.size)
    foreseen = (chance < problem.timing.lookahead_accuracy).tolist()
    found, exact = stall(problem, plan), told(problem, plan, foreseen, wrong.tolist())
    assert found.total_s == pytest.approx(float(exact.total), rel=1e-12)
    assert found.host_s == pytest.approx(float(exact.host), rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(
        found.stall_by_layer_s, [float(s) for s in exact.stall], rtol=1e-10, atol=1e-12
    )
    assert found.link_busy_s == pytest.approx(float(exact.busy), rel=1e-12)
    assert found.transfers == len(exact.transfers)
    assert found.wasted_transfers == sum(t.wrong for t in exact.transfers)
    assert found.peak_staged == exact.staged
    assert found.total_s == pytest.approx(found.compute_s + found.host_s + found.stall_s)
    # A wrong prediction asks for another expert of the same layer.
    if problem.experts > 1:
        assert (wrong // problem.experts == plan.load_item // problem.experts).all()
        assert (wrong != plan.load_item).all()


@pytest.mark.parametrize("seed", range(10))
def test_ends_of_the_scale(seed: int) -> None:
    problem, plan = drawn(np.random.default_rng(seed), False)

    def timed(**timing: Any) -> Any:
        return stall(msgspec.structs.replace(problem, timing=Timing(**timing)), plan)

    assert timed(link_bytes_per_s=1e300, compute_s=1.0).stall_s == 0
    total = problem.sizes_bytes().ravel()[plan.load_item].sum()
    for parallel in (1, 3):
        alone = timed(link_bytes_per_s=8.0, parallel_transfers=parallel)
        assert alone.total_s == pytest.approx(total / 8)
        assert alone.link_busy_s == pytest.approx(alone.total_s)
    rates = [timed(link_bytes_per_s=rate, compute_s=0.5).total_s for rate in (1.0, 2.0, 8.0, 64.0)]
    assert rates == sorted(rates, reverse=True)


def test_load_seconds_go_before_bytes() -> None:
    problem = passes([0], timing={"compute_s": 1.0}, load_s=7.0)
    assert stall(problem, planned([(0, 0)], [], 2)).total_s == 8


def test_without_timing_there_is_no_clock() -> None:
    problem = msgspec.structs.replace(passes([0], timing={}), timing=None)
    with pytest.raises(InstanceError, match="timing"):
        stall(problem, planned([(0, 0)], [], 2))


def drawn(rng: np.random.Generator, bypass: bool) -> tuple[BufferingProblem, BufferingPlan]:
    """Return a problem with round numbers and a valid plan that drops at random."""
    layers, experts, steps = (int(n) for n in (rng.integers(1, 4), rng.integers(2, 6), 8))
    groups = [
        np.sort(rng.permutation(experts)[: rng.integers(0, 4)]) for _ in range(steps * layers)
    ]
    slots = int(rng.integers(1, experts + 1))
    timing = Timing(
        link_bytes_per_s=4.0,
        link_latency_s=float(rng.choice([0.0, 0.25])),
        compute_s=rng.integers(0, 9, layers) / 4,
        parallel_transfers=int(rng.integers(1, 4)),
        lookahead_groups=int(rng.integers(0, 4)),
        lookahead_accuracy=float(rng.choice([1.0, 0.5])),
        seed=int(rng.integers(100)),
    )
    problem = BufferingProblem(
        layers=layers,
        experts=experts,
        active=np.concatenate([np.empty(0, dtype=np.int64), *groups]),
        starts=np.cumsum([0, *map(len, groups)]),
        expert_bytes=rng.integers(1, 9, (layers, experts)),
        serve="bypass" if bypass else "load",
        slots=slots,
        miss_s=0.5 if bypass else None,
        weights=rng.integers(0, 4, sum(map(len, groups))).astype(float) if bypass else None,
        free_fill=bypass and bool(rng.integers(2)),
        timing=timing,
    )
    loads, drops = [], []
    resident: list[set[int]] = [set() for _ in range(layers)]
    for g in range(problem.num_groups):
        held = resident[g % layers]
        for p in range(int(problem.starts[g]), int(problem.starts[g + 1])):
            item = int(problem.item_of()[p])
            if item in held or (bypass and rng.random() < 0.5):
                continue
            at = g if bypass else p
            if len(held) == slots:
                loaded_now = {i for when, i in loads if when == g} if bypass else set()
                if not held - loaded_now:
                    continue
                gone = int(rng.choice(sorted(held - loaded_now)))
                held.remove(gone)
                drops.append((at, gone))
            held.add(item)
            loads.append((at, item))
    return problem, planned(loads, drops, *[slots] * layers)
