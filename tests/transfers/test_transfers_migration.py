"""Migrations: sources as good as can be, batches that keep their rule, and vLLM's call."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moeopt.adapters.engines.migration import (
    MigrationFlow,
    schedule_migration_batches,
    schedule_migration_batches_for_layers,
)
from moeopt.core.errors import InstanceError
from moeopt.core.stop import Context
from moeopt.transfers.bounds import bound
from moeopt.transfers.coloring import run_edge_coloring
from moeopt.transfers.migration import (
    Moves,
    choose_sources,
    migration_problem,
    moves_between,
    order_migration,
)
from moeopt.transfers.plan import TransferPlan, violations

SIZES = {"equal": [4.0], "two": [1.0, 2.0], "many": [1.0, 1.5, 2.25, 7.0]}


@st.composite
def migrations(draw, most_moves=12, most_ranks=6, sizes=None):
    """Draw moves between up to `most_ranks` ranks."""
    ranks = draw(st.integers(2, most_ranks))
    count = draw(st.integers(0, most_moves))
    kind = draw(st.sampled_from(sorted(SIZES))) if sizes is None else sizes
    rank = st.integers(0, ranks - 1)
    sources = np.zeros((count, ranks), dtype=bool)
    destination = np.array([draw(rank) for _ in range(count)], dtype=np.int64)
    for move in range(count):
        shifts = draw(st.lists(st.integers(1, ranks - 1), min_size=1, max_size=3))
        sources[move, (destination[move] + np.array(shifts)) % ranks] = True
    size = np.array([draw(st.sampled_from(SIZES[kind])) for _ in range(count)])
    return Moves(destination, size, sources)


def random_moves(seed, ranks, count, sizes):
    rng = np.random.default_rng(seed)
    destination = rng.integers(ranks, size=count)
    sources = np.zeros((count, ranks), dtype=bool)
    for _ in range(2):
        sources[np.arange(count), (destination + rng.integers(1, ranks, count)) % ranks] = True
    return Moves(destination, rng.choice(sizes, count), sources)


def busiest(moves, source, half_duplex):
    sent = np.bincount(source, moves.size_bytes, moves.num_ranks)
    received = np.bincount(moves.destination, moves.size_bytes, moves.num_ranks)
    return (sent + received).max() if half_duplex else max(sent.max(), received.max())


def assert_kept(moves, migration, half_duplex):
    """Look at the batches: rule, every move once and whole, from a copy, and how long it takes."""
    done, length = [], 0.0
    for batch in migration.batches:
        sends = [flow.source for flow in batch]
        receives = [flow.destination for flow in batch]
        for users in [sends + receives] if half_duplex else [sends, receives]:
            assert len(set(users)) == len(users)
        for flow in batch:
            done += flow.moves
            assert (moves.destination[list(flow.moves)] == flow.destination).all()
            assert moves.sources[list(flow.moves), flow.source].all()
        length += max(moves.size_bytes[list(flow.moves)].sum() for flow in batch)
    assert sorted(done) == list(range(moves.num_moves))
    assert migration.makespan_bytes == pytest.approx(length)
    assert migration.bound_bytes <= migration.makespan_bytes


@given(migrations(most_moves=6, most_ranks=4), st.booleans())
def test_sources_against_every_choice(moves, half_duplex):
    found = choose_sources(moves, half_duplex=half_duplex)
    choices = itertools.product(*(np.flatnonzero(row) for row in moves.sources))
    least = min(busiest(moves, np.array(source, dtype=np.int64), half_duplex) for source in choices)
    assert found.bound_bytes <= least * (1 + 1e-9)
    assert found.busiest_bytes >= least * (1 - 1e-9)
    assert busiest(moves, found.source, half_duplex) == pytest.approx(found.busiest_bytes)
    if moves.are_equal:
        assert found.busiest_bytes == found.bound_bytes == least


@given(migrations(), st.booleans())
def test_batches_keep_their_rule(moves, half_duplex):
    assert_kept(moves, order_migration(moves, half_duplex=half_duplex), half_duplex)


@given(migrations(most_moves=5, most_ranks=4), st.booleans())
def test_no_order_of_any_batches_beats_the_bound(moves, half_duplex):
    source = choose_sources(moves, half_duplex=half_duplex).source
    ours = order_migration(moves, source, half_duplex=half_duplex)
    best = shortest(moves, source, half_duplex)
    assert ours.bound_bytes <= best * (1 + 1e-9)
    assert best <= ours.makespan_bytes * (1 + 1e-9)


def shortest(moves, source, half_duplex):
    """Return the least makespan over all ways to put the moves into batches."""
    count, best = moves.num_moves, 0.0 if moves.num_moves == 0 else np.inf
    for batch in itertools.product(range(count), repeat=count):
        flows: dict[tuple[int, ...], float] = {}
        for move, number in enumerate(batch):
            pair = (number, int(source[move]), int(moves.destination[move]))
            flows[pair] = flows.get(pair, 0.0) + moves.size_bytes[move]
        used = [(n, s, 0) for n, s, _ in flows] + [
            (n, d, int(not half_duplex)) for n, _, d in flows
        ]
        if len(set(used)) == len(used):
            largest: dict[int, float] = {}
            for (number, _, _), size in flows.items():
                largest[number] = max(largest.get(number, 0.0), size)
            best = min(best, sum(largest.values()))
    return best


@given(migrations(sizes="equal"))
def test_equal_experts_full_duplex_take_as_long_as_the_busiest_port(moves):
    ours = order_migration(moves)
    assert ours.makespan_bytes == ours.busiest_bytes == ours.bound_bytes


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("ranks", "count"), [(16, 130), (32, 280), (64, 320)])
def test_equal_experts_half_duplex_too(seed, ranks, count):
    moves = random_moves(seed, ranks, count, [1.0])
    ours = order_migration(moves, half_duplex=True)
    assert_kept(moves, ours, half_duplex=True)
    assert ours.makespan_bytes == ours.busiest_bytes == ours.bound_bytes


@pytest.mark.parametrize(("half_duplex", "most"), [(False, 1.2), (True, 1.35)])
def test_unequal_experts_come_near_their_bound(half_duplex, most):
    moves = random_moves(3, 16, 150, [22.0, 44.0, 88.0])
    ours = order_migration(moves, half_duplex=half_duplex)
    assert_kept(moves, ours, half_duplex)
    assert ours.makespan_bytes <= most * ours.bound_bytes


def only(pairs, sizes=None, ranks=4):
    """Return moves with one source each."""
    source, destination = np.array(pairs).T
    size = np.ones(len(pairs)) if sizes is None else np.array(sizes, dtype=float)
    return Moves(destination, size, np.eye(ranks, dtype=bool)[source])


def test_experts_of_one_pair_are_one_flow():
    ours = order_migration(only([(0, 1), (0, 1), (2, 3)]))
    assert ours.num_batches == 1
    assert [flow.moves for flow in ours.batches[0]] == [(0, 1), (2,)]
    assert ours.makespan_bytes == 2.0


def test_both_ways_at_once_only_with_full_duplex():
    moves = only([(0, 1), (1, 0)])
    assert order_migration(moves).makespan_bytes == 1.0
    assert order_migration(moves, half_duplex=True).makespan_bytes == 2.0


def test_three_ranks_in_a_circle_take_a_batch_each_with_half_duplex():
    """The odd set: no rank has more than two moves."""
    ours = order_migration(only([(0, 1), (1, 2), (2, 0)]), np.array([0, 1, 2]), half_duplex=True)
    assert (ours.busiest_bytes, ours.bound_bytes, ours.makespan_bytes) == (2.0, 3.0, 3.0)


def test_flows_of_similar_size_meet():
    moves = only([(0, 2), (1, 3), (0, 3), (1, 2)], [10.0, 1.0, 1.0, 10.0])
    assert order_migration(moves).makespan_bytes == 20.0
    moves = only([(0, 2), (1, 3), (0, 3), (1, 2)], [10.0, 10.0, 1.0, 1.0])
    assert order_migration(moves).makespan_bytes == 11.0


def test_small_experts_of_a_pair_travel_beside_a_large_one():
    moves = only([(0, 1), (2, 3), (2, 3), (2, 3)], [3.0, 1.0, 1.0, 1.0])
    ours = order_migration(moves)
    assert (ours.num_batches, ours.makespan_bytes) == (1, 3.0)


@given(migrations(), st.booleans())
def test_as_a_problem_of_the_wing(moves, half_duplex):
    ours = order_migration(moves, half_duplex=half_duplex)
    problem = migration_problem(moves, ours.source, 2.0, half_duplex=half_duplex)
    assert bound(problem) <= ours.makespan_bytes / 2.0 * (1 + 1e-9)
    plan = run_edge_coloring(problem, Context(), None).plan
    assert isinstance(plan, TransferPlan)
    if moves.are_equal:
        assert violations(problem, plan) == []
        assert plan.makespan_s == pytest.approx(ours.makespan_bytes / 2.0)


def test_what_must_be_moved():
    """Rank 0 keeps expert 1, gets expert 3 from either copy; nobody has 5; -1 is no expert."""
    expert, moves = moves_between(
        np.array([0, 1, 3, -1, 3, 2]), np.array([1, 3, 5, 3, 0, 0]), 2, 1.0 + np.arange(6)
    )
    assert expert.tolist() == [0, 3]
    assert moves.destination.tolist() == [2, 0]
    assert moves.size_bytes.tolist() == [1.0, 4.0]
    assert moves.sources.tolist() == [[True, False, False], [False, True, True]]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"destination": np.array([4, 2])}, "must be a rank"),
        ({"size_bytes": np.array([1.0, 0.0])}, "finite number > 0"),
        ({"sources": np.zeros((2, 4), dtype=bool)}, "must name a rank"),
        ({"destination": np.array([0, 2])}, "not the destination"),
        ({"size_bytes": np.array([1.0])}, "one row for each move"),
    ],
)
def test_moves_that_cannot_be(change, what):
    given_moves = only([(0, 1), (1, 2)])
    with pytest.raises(InstanceError, match=what):
        Moves(**{**vars(given_moves), **change})


def test_a_given_source_must_hold_the_expert():
    with pytest.raises(InstanceError, match=r"source\[1\]: must be a rank that holds"):
        order_migration(only([(0, 1), (1, 2)]), np.array([0, 3]))


@st.composite
def maps(draw):
    """Draw the slots before and after: (slots of a rank, old, new)."""
    slots, ranks = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    expert = st.integers(-1, 9)
    size = slots * ranks
    old, new = (draw(st.lists(expert, min_size=size, max_size=size)) for _ in range(2))
    return slots, np.array(old), np.array(new)


@given(maps(), st.booleans(), st.booleans())
def test_every_rank_gets_what_it_lacks(drawn, full_duplex, sized):
    slots, old, new = drawn
    before = [set(rank.tolist()) - {-1} for rank in old.reshape(-1, slots)]
    after = [set(rank.tolist()) - {-1} for rank in new.reshape(-1, slots)]
    somewhere = set().union(*before)
    batches = schedule_migration_batches(
        slots, old, new, full_duplex=full_duplex, expert_bytes=np.arange(1.0, 11) if sized else None
    )
    got: list[list[int]] = [[] for _ in before]
    for batch in batches:
        ends = [flow.src_rank for flow in batch], [flow.dst_rank for flow in batch]
        for users in ends if full_duplex else [ends[0] + ends[1]]:
            assert len(set(users)) == len(users)
        for flow in batch:
            assert set(flow.expert_ids) <= before[flow.src_rank]
            assert list(flow.expert_ids) == sorted(flow.expert_ids)
            assert {type(flow.src_rank), *map(type, flow.expert_ids)} == {int}
            got[flow.dst_rank] += flow.expert_ids
    for held, wanted, came in zip(before, after, got, strict=True):
        assert sorted(came) == sorted((wanted - held) & somewhere)


def test_the_same_flows_on_every_rank_and_layer_by_layer():
    rng = np.random.default_rng(0)
    old, new = rng.integers(0, 30, (2, 3, 32))
    layers = schedule_migration_batches_for_layers(4, old, new)
    assert layers == schedule_migration_batches_for_layers(4, old.copy(), new.copy())
    assert layers[1] == schedule_migration_batches(4, old[1], new[1])
    assert isinstance(layers[0][0][0], MigrationFlow)
    assert hash(layers[0][0][0]) == hash(layers[0][0][0])


def test_nothing_to_move_is_no_batch():
    same = np.array([0, 1, 2, -1])
    assert schedule_migration_batches(2, same, same) == []
    assert schedule_migration_batches(2, np.full(4, -1), same) == []


@pytest.mark.parametrize(
    ("arguments", "options", "what"),
    [
        ((3, np.arange(4), np.arange(4)), {}, "divide the 4 slots"),
        ((0, np.arange(4), np.arange(4)), {}, "at least 1"),
        ((2, np.arange(4), np.arange(6)), {}, "shape of old_indices"),
        ((2, np.arange(4) / 2, np.arange(4)), {}, "whole numbers"),
        ((2, np.arange(4) - 2, np.arange(4)), {}, "-1 is an empty slot"),
        ((2, np.zeros((2, 2), dtype=int), np.zeros((2, 2), dtype=int)), {}, "1 axes"),
        ((2, np.arange(4), np.arange(4)), {"expert_bytes": np.ones(3)}, "4 experts"),
        ((2, np.arange(4), np.arange(4)), {"expert_bytes": np.zeros(4)}, "finite numbers > 0"),
    ],
)
def test_bad_arguments_of_the_drop_in(arguments, options, what):
    with pytest.raises(InstanceError, match=what):
        schedule_migration_batches(*arguments, **options)
