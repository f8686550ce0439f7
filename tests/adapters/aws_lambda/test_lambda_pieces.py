"""A layer cut into pieces, and pieces into halves: every row in one of them, none too large."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from lambda_gate_cases import OUT, WIDTH, batches, fleet, fleets

from moeopt.adapters.aws_lambda.dispatch.exchange import packed
from moeopt.adapters.aws_lambda.dispatch.pieces import Piece, cut, halved
from moeopt.adapters.aws_lambda.dispatch.routing import combine, route
from moeopt.adapters.aws_lambda.fleet import Fleet
from moeopt.adapters.aws_lambda.worker.protocol import from_bytes, to_bytes


def _rows(pieces: Iterable[Piece]) -> list[int]:
    """Return the rows of pieces, minibatch by minibatch."""
    return [row for p in pieces for own in p.slices for row in range(own.start, own.stop)]


@given(fleets(), st.data())
def test_each_row_is_in_one_piece(fleet: Fleet, data: st.DataObject) -> None:
    experts = fleet.experts(0)
    counts = np.array(data.draw(st.lists(st.integers(0, 90), min_size=experts, max_size=experts)))
    pieces = cut(fleet, 0, counts)
    assert _rows(pieces) == list(range(counts.sum()))
    assert len({piece.name for piece in pieces}) == len(pieces)
    ends = np.cumsum(counts)
    for piece in pieces:
        assert piece.rows.start >= ends[piece.expert] - counts[piece.expert]
        assert piece.rows.stop <= ends[piece.expert]
        assert min(piece.minibatches) > 0
        if fleet.plan.design[0] == 3:
            assert piece.tokens <= fleet.direct_tokens(0)
        if fleet.plan.design[0] == 1:
            assert max(piece.minibatches) <= fleet.plan.pipeline_degree[0]
        else:
            assert len(piece.minibatches) == 1


@given(fleets(), st.data())
def test_replicas_share_in_whole_tokens(fleet: Fleet, data: st.DataObject) -> None:
    experts = fleet.experts(0)
    counts = np.array(data.draw(st.lists(st.integers(0, 90), min_size=experts, max_size=experts)))
    shares: dict[tuple[int, int], int] = {}
    for piece in cut(fleet, 0, counts):
        whose = (piece.expert, piece.replica)
        shares[whose] = shares.get(whose, 0) + piece.tokens
    for expert, tokens in enumerate(counts.tolist()):
        own = [share for (whose, _), share in shares.items() if whose == expert]
        assert len(own) == min(tokens, fleet.plan.replicas[0, expert])
        assert not own or max(own) - min(own) <= 1


@given(fleets(), st.integers(2, 200), st.data())
def test_halves_are_halved_down_to_tokens(fleet: Fleet, tokens: int, data: st.DataObject) -> None:
    counts = np.zeros(fleet.experts(0), dtype=np.int64)
    counts[-1] = tokens
    pieces = list(cut(fleet, 0, counts))
    names = {piece.name for piece in pieces}
    for _ in range(20):
        large = [k for k, piece in enumerate(pieces) if piece.tokens > 1]
        if not large:
            break
        at = data.draw(st.sampled_from(large))
        left, right = halved(fleet, 0, pieces[at])
        assert 0 <= left.tokens - right.tokens <= 1
        assert not names & {left.name, right.name}
        names |= {left.name, right.name}
        pieces[at : at + 1] = [left, right]
    assert _rows(pieces) == list(range(tokens))
    assert all((p.expert, p.replica) == (counts.size - 1, p.replica) for p in pieces)


@given(fleets(), st.data())
def test_pieces_computed_in_any_order_make_the_layer(fleet: Fleet, data: st.DataObject) -> None:
    experts = fleet.experts(0)
    batch = data.draw(batches(experts))
    tokens, routing = route(*batch, width=WIDTH, experts=experts)
    pieces = cut(fleet, 0, routing.counts)
    answers = np.empty((routing.rows, OUT), dtype=np.float32)
    for piece in data.draw(st.permutations(pieces)):
        for own in piece.slices:
            # There and back as bytes, as an object or a payload holds them.
            inputs = from_bytes(bytes(packed(tokens, routing.token[own])), WIDTH)
            outputs = inputs[:, :OUT] * np.float32(piece.expert + 1)
            answers[own] = from_bytes(to_bytes(outputs), OUT)
    outputs = combine(routing, answers)
    shares = (batch[2] * (batch[1] + 1)).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(outputs, tokens[:, :OUT] * shares, rtol=1e-4, atol=1e-5)


def test_a_payload_is_split_before_it_is_called() -> None:
    pieces = cut(fleet(3, [2], direct_tokens=8), 0, np.array([35]))
    assert [(p.name, p.tokens) for p in pieces] == [
        ("0-0-0-0", 6), ("0-0-0-1", 6), ("0-0-0-2", 6),
        ("0-0-1-0", 6), ("0-0-1-1", 6), ("0-0-1-2", 5),
    ]  # fmt: skip


def test_minibatches_of_a_half_are_cut_anew() -> None:
    one = fleet(1, [1], degree=4)
    (piece,) = cut(one, 0, np.array([11]))
    assert piece.minibatches == (4, 4, 3)
    left, right = halved(one, 0, piece)
    assert (left.name, left.first, left.minibatches) == ("0-0-0.0", 0, (3, 3))
    assert (right.name, right.first, right.minibatches) == ("0-0-0.1", 6, (3, 2))
