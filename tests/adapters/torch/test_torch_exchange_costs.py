"""How plans are cut into rows, rounds computed on the spot, and what the cost model chooses."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_st
from torch_exchange_cases import NVLINK, SLOW, matrices, odd_plan, plan_of

from moeopt.adapters.torch.choice import fastest
from moeopt.adapters.torch.cuts import Cuts, Parts
from moeopt.adapters.torch.link import Link
from moeopt.adapters.torch.spot import parts_s, spot_parts
from moeopt.core.arrays import IntArray
from moeopt.core.errors import InstanceError
from moeopt.transfers.plan import TransferPlan

MIB = 2**20


@st.composite
def _rows(draw: st.DrawFn, most: int = 1000) -> IntArray:
    world = draw(st.integers(1, 6))
    cells = st.one_of(st.just(0), st.integers(0, most))
    rows = draw(numpy_st.arrays(np.int64, (world, world), elements=cells))
    return rows * (1 - np.eye(world, dtype=np.int64))


@st.composite
def _plan(draw: st.DrawFn, world: int) -> TransferPlan:
    port = st.integers(0, world - 1)
    row = st.tuples(st.integers(0, 5), port, port, st.sampled_from([0.0, 1e-9, 1.0, 3.0, 1e12]))
    rows = [r for r in draw(st.lists(row, max_size=12)) if r[1] != r[2]]
    return plan_of(*rows) if rows else plan_of((0, 0, 1, 0.0))


def _sums(parts: Parts, world: int) -> IntArray:
    sums = np.zeros((world, world), dtype=np.int64)
    np.add.at(sums, (parts.source, parts.destination), parts.rows)
    return sums


def _ordered(parts: Parts) -> list[tuple[int, ...]]:
    columns = (parts.round_index, parts.source, parts.destination, parts.rows)
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def _one_peer(parts: Parts) -> bool:
    ports = (parts.source, parts.destination)
    return all(
        len({*zip(parts.round_index, port, strict=True)}) == len(parts.rows) for port in ports
    )


@given(data=st.data(), rows=_rows())
def test_any_plan_sends_all_rows_and_both_ends_cut_alike(
    data: st.DataObject, rows: IntArray
) -> None:
    world = len(rows)
    cuts = Cuts.of_distances(1) if world == 1 else Cuts.of(data.draw(_plan(world)), world)
    parts = cuts.parts(rows[cuts.source, cuts.destination])
    assert (_sums(parts, world) == rows).all()
    assert (np.diff(parts.round_index) >= 0).all()
    assert (parts.rows > 0).all()
    assert (parts.round_index < parts.num_rounds).all()
    for rank in range(world):
        own = cuts.of_rank(rank)
        mine = own.parts(rows[own.source, own.destination])
        here = (parts.source == rank) | (parts.destination == rank)
        for column in ("round_index", "source", "destination", "rows"):
            assert (getattr(mine, column) == getattr(parts, column)[here]).all()


def test_pairs_are_cut_in_the_shares_of_their_bytes() -> None:
    plan = plan_of((2, 0, 1, 30.0), (5, 0, 1, 10.0), (5, 1, 0, 1.0), (5, 0, 1, 20.0))
    cuts = Cuts.of(plan, 3)
    rows = np.array([[0, 11, 4], [7, 0, 0], [0, 2, 0]])
    parts = cuts.parts(rows[cuts.source, cuts.destination])
    columns = (parts.round_index, parts.source, parts.destination, parts.rows)
    # Two rounds of the plan; then the pairs that it does not know, at distances 1 and 2.
    assert [tuple(map(int, row)) for row in zip(*columns, strict=True)] == [
        (0, 0, 1, 6),
        (1, 0, 1, 5),
        (1, 1, 0, 7),
        (3, 0, 2, 4),
        (3, 2, 1, 2),
    ]
    assert parts.num_rounds == 4


@given(rows=_rows(), row_bytes=st.integers(1, 8192))
def test_whole_rows_of_a_plan_stay_as_they_are(rows: IntArray, row_bytes: int) -> None:
    planned = spot_parts(rows, row_bytes, None)
    columns = (planned.round_index, planned.source, planned.destination, planned.rows * row_bytes)
    plan = plan_of((0, 0, 1, 0.0), *zip(*columns, strict=True))
    cuts = Cuts.of(plan, max(2, len(rows)))
    parts = cuts.parts(np.pad(rows, (0, 1))[cuts.source, cuts.destination])
    assert _ordered(parts) == _ordered(planned)


def test_plans_that_pass_bytes_on_are_refused() -> None:
    plan = plan_of((0, 0, 1, 1.0), (1, 1, 2, 1.0))
    relayed = msgspec.structs.replace(plan, origin=np.array([0, 0]), target=np.array([2, 2]))
    with pytest.raises(InstanceError, match="straight to its target"):
        Cuts.of(relayed, 3)
    direct = msgspec.structs.replace(plan, origin=plan.source, target=plan.destination)
    assert Cuts.of(direct, 3).one_peer


@given(rows=_rows())
def test_rounds_on_the_spot_are_of_one_peer_and_complete(rows: IntArray) -> None:
    exact = spot_parts(rows, 4096, None)
    length = np.zeros(exact.num_rounds, dtype=np.int64)
    np.maximum.at(length, exact.round_index, exact.rows)
    assert length.sum() == max(rows.sum(axis=0).max(), rows.sum(axis=1).max())
    for link in (None, SLOW, NVLINK):
        parts = spot_parts(rows, 4096, link)
        assert (_sums(parts, len(rows)) == rows).all()
        assert _one_peer(parts)
        if link is not None:
            seconds = parts_s(link, parts, 4096)
            assert seconds <= parts_s(link, exact, 4096)
            assert seconds >= link.least_rounds_s(rows * 4096) * (1 - 1e-12)


def test_start_ups_make_rounds_fewer() -> None:
    rows = matrices(8)[0] * (1 - np.eye(8, dtype=np.int64))
    dear = Link(0.0, 1e9, 1e9, 1.0, 1e9)
    free = Link(0.0, 1e9, 1e9, 0.0, 1e9)
    assert spot_parts(rows, 4096, dear).num_rounds == 7
    exact = spot_parts(rows, 4096, free)
    assert parts_s(free, exact, 4096) == pytest.approx(free.least_rounds_s(rows * 4096))


def test_one_all_to_all_takes_its_start_up_and_the_busiest_port() -> None:
    link = Link(1.0, 10.0, 5.0, 0.0, 1.0)
    even = 30 * (1 - np.eye(3, dtype=np.int64)) + 99 * np.eye(3, dtype=np.int64)
    assert link.single_s(even) == 1.0 + 60 / 10.0
    to_one = np.zeros((3, 3), dtype=np.int64)
    to_one[1:, 0] = 30  # 60 arrive where the mean is 20
    assert link.single_s(to_one) == 1.0 + 20 / 10.0 + 40 / 5.0
    assert link.single_s(to_one.T) == 1.0 + 60 / 10.0
    assert link.single_s(np.zeros((3, 3), dtype=np.int64)) == 1.0


def test_ranks_begin_a_round_when_their_last_one_has_ended() -> None:
    link = Link(0.0, 1.0, 1.0, 1.0, 2.0)
    # 0 sends to 1 for 1 + 4 s; 2 to 3 for 1 + 1 s, then at once to 0 only when 0 is free.
    plan = plan_of((0, 0, 1, 8.0), (0, 2, 3, 2.0), (4, 3, 2, 2.0), (9, 2, 0, 4.0))
    assert link.rounds_s(*_columns(plan)) == 5.0 + 3.0
    # Two senders share the receiver's rate, and each is a start-up to it.
    assert link.rounds_s(*_columns(plan_of((0, 1, 0, 4.0), (0, 2, 0, 6.0)))) == 2.0 + 5.0
    nothing = plan_of((0, 0, 1, 0.0))
    none = msgspec.structs.replace(
        nothing, **{name: getattr(nothing, name)[:0] for name in nothing.__struct_fields__[1:7]}
    )
    assert link.rounds_s(*_columns(none)) == 0.0


def _columns(plan: TransferPlan) -> tuple:
    return plan.round_index, plan.source, plan.destination, plan.size_bytes


def test_between_gpus_of_one_host_rounds_do_not_pay() -> None:
    rows = 8 * MIB * np.ones((8, 8), dtype=np.int64) * (1 - np.eye(8, dtype=np.int64))
    assert NVLINK.single_s(rows * 8 // 7) == pytest.approx(349e-6, rel=1e-3)
    distances = Cuts.of_distances(8)
    parts = distances.parts(rows[distances.source, distances.destination])
    assert parts_s(NVLINK, parts, 1) == pytest.approx(911e-6 * 7 / 8, rel=1e-3)
    assert fastest(NVLINK, rows, 1, distances) == ("single", None)
    skewed = matrices(8)[0] * (1 - np.eye(8, dtype=np.int64))
    assert fastest(NVLINK, skewed, 4096)[0] == "single"


def test_on_slow_links_with_incast_rounds_pay() -> None:
    hot = np.ones((4, 4), dtype=np.int64) * (1 - np.eye(4, dtype=np.int64))
    hot[1:, 0] = 40
    way, parts = fastest(SLOW, 1000 * hot, 4096)
    assert way == "spot"
    assert parts is not None
    assert parts_s(SLOW, parts, 4096) < 0.3 * SLOW.single_s(4096000 * hot)
    # So few bytes that start-ups are all there is.
    assert fastest(SLOW, hot, 1)[0] == "single"


def test_rounds_must_save_more_than_it_takes_to_compute_them() -> None:
    rows = np.zeros((3, 3), dtype=np.int64)
    rows[1:, 0] = 5000
    plan = Cuts.of(plan_of((0, 1, 0, 1.0), (1, 2, 0, 1.0)), 3)
    way, parts = fastest(SLOW, rows, 4096, plan)
    assert parts is not None
    size = rows * 4096
    single_s = SLOW.single_s(size) + SLOW.single_s(size.T)
    saved = single_s - 2 * parts_s(SLOW, parts, 4096)
    for decide_s, expected in ((0.99 * saved, way), (1.01 * saved, "single")):
        assert fastest(replace(SLOW, decide_s=decide_s), rows, 4096, plan)[0] == expected


def test_a_plan_that_fits_is_taken_and_one_that_does_not_is_not() -> None:
    rows = np.zeros((3, 3), dtype=np.int64)
    rows[1:, 0] = 5000
    in_turn = Cuts.of(plan_of((0, 1, 0, 1.0), (1, 2, 0, 1.0)), 3)
    assert fastest(SLOW, rows, 4096, in_turn)[0] == "plan"
    in_bits = Cuts.of(plan_of(*((k, 1 + k % 2, 0, 1.0) for k in range(400))), 3)
    assert fastest(SLOW, rows, 4096, in_bits)[0] == "spot"


def test_nothing_to_send_takes_no_rounds() -> None:
    nothing = np.zeros((4, 4), dtype=np.int64)
    way, parts = fastest(SLOW, nothing, 4096, Cuts.of(odd_plan(4), 4))
    assert way == "plan"
    assert parts is not None
    assert len(parts.rows) == 0
