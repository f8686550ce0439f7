"""Predicted times: the timeline's, with what the link adds."""

from __future__ import annotations

import numpy as np
import pytest

from moeopt.adapters.torch.layout import Layout
from moeopt.adapters.torch.link import Link
from moeopt.adapters.torch.run.predict import (
    Constants,
    Cost,
    exchange_s,
    expected_traffic,
    ordered_rounds,
    predicted,
)
from moeopt.transfers.plan import TransferPlan

LINK = Link(
    startup_s=1.0,
    bytes_per_s=10.0,
    incast_bytes_per_s=10.0,
    round_startup_s=0.25,
    round_bytes_per_s=20.0,
)

CONSTANTS = Constants(
    gate=Cost(0.5, 0.25), compute=Cost(2.0, 0.125), aggregation=Cost(0.0, 0.5), link=LINK
)

#: Rank 0 serves 24 rows, rank 1 serves 8.
TRAFFIC = np.array([[8.0, 4], [16, 4]])


def test_costs_pass_through_both_measurements() -> None:
    cost = Cost.through((2, 6), (3.0, 5.0))
    assert (cost.start_s, cost.per_row_s) == (2.0, 0.5)
    assert cost.seconds(np.array([2.0, 6])).tolist() == [3.0, 5.0]
    # No part is negative, whatever was measured.
    assert Cost.through((2, 6), (5.0, 3.0)) == Cost(4.0, 0.0)
    assert Cost.through((2, 6), (1.0, 9.0)) == Cost(0.0, 1.4)
    assert Cost.through((2, 2), (1.0, 1.0)) == Cost(1.0, 0.0)


def test_phases_of_one_all_to_all() -> None:
    time = predicted(CONSTANTS, TRAFFIC, row_bytes=5)
    assert time.gate_s.tolist() == [0.5 + 0.25 * 12, 0.5 + 0.25 * 20]
    assert time.compute_s.max() == pytest.approx(2.0 + 0.125 * 24)
    assert time.aggregation_s.tolist() == [6.0, 10.0]
    # 16 rows of 5 bytes into rank 0, and out of it on the way back.
    assert time.dispatch_s.max() == pytest.approx(1.0 + 80 / 10)
    assert time.combine_s.max() == pytest.approx(1.0 + 80 / 10)
    assert float(time.total_s) == pytest.approx(5.5 + 9 + 5 + 9 + 10)


def test_rounds_and_the_best_of_all() -> None:
    rounds = ordered_rounds(TRAFFIC * 5, LINK)
    assert isinstance(rounds, TransferPlan)
    planned = exchange_s(LINK, TRAFFIC, 5, "rounds", rounds)
    assert planned == pytest.approx((0.25 + 80 / 20, 0.25 + 80 / 20))
    assert exchange_s(LINK, TRAFFIC, 5, "auto", rounds) == pytest.approx(planned)
    slow = Link(1.0, 10.0, 10.0, 100.0, 20.0)
    assert exchange_s(slow, TRAFFIC, 5, "auto", rounds) == pytest.approx((9.0, 9.0))


def test_rows_that_the_rounds_do_not_know_go_after_them() -> None:
    rounds = ordered_rounds(np.array([[0.0, 20], [0, 0]]), LINK)
    assert exchange_s(LINK, TRAFFIC, 5, "rounds", rounds)[0] == pytest.approx(
        (0.25 + 20 / 20) + (0.25 + 80 / 20)
    )


def test_one_rank_sends_nothing() -> None:
    assert ordered_rounds(np.array([[7.0]]), LINK) is None
    time = predicted(CONSTANTS, np.array([[8.0]]), row_bytes=5, exchange="auto")
    assert time.dispatch_s.tolist() == [0.0]
    assert float(time.total_s) == pytest.approx(2.5 + 3.0 + 4.0)


def test_nothing_to_do() -> None:
    time = predicted(CONSTANTS, np.zeros((2, 2)), row_bytes=5)
    assert time.compute_s.tolist() == [0.0, 0.0]
    assert time.dispatch_s.tolist() == [1.0, 1.0]


def test_traffic_takes_the_layouts_shares() -> None:
    layout = Layout.even([0, 1, 0], [2, 1])
    counts = np.array([[[6.0, 1], [2, 3]]])
    assert expected_traffic(layout, counts).tolist() == [[[4.0, 3.0], [4.0, 1.0]]]
