"""Shared rates: who is through when, and that nobody is through before that."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moeopt.adapters.aws_lambda.stand.link import Lane, Links
from moeopt.adapters.aws_lambda.stand.shape import Shape
from moeopt.adapters.aws_lambda.stand.sharing import Sharing


def test_transfers_share_and_those_left_get_more() -> None:
    """100 and 300 bytes at 100 bytes/s: together until 2 s, then the second alone."""
    sharing = Sharing(100.0)
    small, large = sharing.begin(100, 0.0), sharing.begin(300, 0.0)
    assert sharing.due(small) == pytest.approx(2.0)
    assert sharing.due(large) == pytest.approx(4.0)
    assert sharing.due(large, short=200) == pytest.approx(2.0)
    assert sharing.due(large, short=250) == pytest.approx(1.0)
    sharing.settle(3.0)
    assert small.ended_s == pytest.approx(2.0)
    late = sharing.begin(50, 3.0)
    assert sharing.due(late) == pytest.approx(4.0)
    assert sharing.due(large) == pytest.approx(4.5)
    sharing.settle(10.0)
    assert (late.ended_s, large.ended_s) == (pytest.approx(4.0), pytest.approx(4.5))


def test_begins_in_the_past() -> None:
    """The past counts, if nobody else was on the way then."""
    sharing = Sharing(100.0)
    first = sharing.begin(100, 5.0)
    assert sharing.due(first) == pytest.approx(6.0)
    sharing.settle(9.0)
    assert sharing.due(sharing.begin(100, 7.0)) == pytest.approx(8.0)


@given(
    st.lists(
        st.tuples(st.integers(0, 10_000), st.floats(0.0, 5.0, allow_nan=False)),
        min_size=1,
        max_size=8,
    )
)
def test_ends_do_not_depend_on_when_one_looks(transfers: list[tuple[int, float]]) -> None:
    """Ends are the same however often it is settled; all is through when the rate allows it."""
    rate, looks = 1000.0, [k / 7.0 for k in range(40)]
    ends = []
    for watched in (False, True):
        sharing, shares = Sharing(rate), []
        for size, began_s in sorted(transfers, key=lambda t: t[1]):
            if watched:
                for look_s in looks:
                    sharing.settle(min(look_s, began_s))
            shares.append(sharing.begin(size, began_s))
        foreseen = [sharing.due(share) for share in shares]
        sharing.settle(1000.0)
        ends.append([share.ended_s for share in shares])
        assert foreseen == pytest.approx(ends[-1])
    assert ends[0] == pytest.approx(ends[1])
    # The rate is busy whenever there is something to send.
    busy_until = 0.0
    for size, began_s in sorted(transfers, key=lambda t: t[1]):
        busy_until = max(busy_until, began_s) + size / rate
    assert max(e for e in ends[0] if e is not None) == pytest.approx(busy_until)


def test_lane_keeps_threads_waiting() -> None:
    lane = Lane(1e6)
    began_s = time.monotonic()
    with ThreadPoolExecutor(4) as threads:
        ends = list(threads.map(lambda _: lane.begin(10_000, began_s).wait(), range(4)))
    assert time.monotonic() - began_s >= 0.04
    assert max(ends) - began_s >= 0.04 - 1e-9
    transfer = lane.begin(20_000)
    assert transfer.wait(5_000) <= transfer.wait() <= time.monotonic()


def test_no_rate_no_wait() -> None:
    assert Lane(None).begin(1 << 40, began_s=3.0).wait() == 3.0


def test_links() -> None:
    links = Links(Shape(access_delay_s=0.5, storage_bytes_per_s=100.0))
    first = links.of("a")
    assert links.of("a") is first
    assert links.of("b") is not first
    assert first.delay_s == 0.5
    links.forget("a")
    links.forget("a")
    assert links.of("a") is not first
    links.reshape(Shape())
    assert links.of("b").delay_s == 0.0
