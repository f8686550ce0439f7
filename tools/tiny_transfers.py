"""Tiny transfer problems: one for each rule, with the optimum, and some that have no plan.

Ports send one byte a second unless said otherwise, so that seconds are bytes. The optimum of each
is found again by brute force in the tests, once with the rule and once without.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from moeopt.transfers.problem import Busy, Fabric, TransferProblem, Window

#: Two nodes of two ports, twice as fast inside as between.
_RAILS = Fabric(ports_per_node=2, bandwidth_bytes_per_s=2.0, rails=True)

#: 6 messages that leave in two rounds, but in the least time only in three.
_PADDING = [[0, 3, 1], [2, 0, 2], [1, 1, 0]]


def known() -> Iterator[tuple[TransferProblem, float]]:
    """Yield each tiny problem with its least objective."""
    yield from _worked()
    yield from _ports()
    yield from _times()
    yield from _parts()
    yield from _fabrics()


def infeasible() -> Iterator[tuple[TransferProblem, str]]:
    """Yield problems that no plan can meet, each for one reason, with the constraint's label."""
    yield (
        _problem(
            "infeasible-deadline",
            "port 0 must send 3 bytes by 2 s",
            [[0, 2, 1], [0, 0, 0], [0, 0, 0]],
            windows=(Window(deadline_s=2.0),),
        ),
        "C6",
    )
    early, late = ((2, 1), (1, 2)), ((0, 1), (0, 2))
    yield (
        _problem(
            "infeasible-crossing-deadlines",
            "both messages of port 0 are due at 2, but their receivers are taken until 1: no port"
            " alone shows it",
            [[0, 1, 1], [0, 0, 1], [0, 1, 0]],
            windows=tuple(
                Window(source=source, destination=destination, deadline_s=due)
                for pairs, due in ((early, 1.0), (late, 2.0))
                for source, destination in pairs
            ),
        ),
        "C6",
    )
    yield (
        _problem(
            "infeasible-absent-port",
            "port 2 is absent, and a message is for it",
            [[0, 1, 1], [0, 0, 0], [0, 0, 0]],
            absent_ports=(2,),
        ),
        "C9",
    )
    yield (
        _problem(
            "infeasible-busy",
            "port 1 is busy until 3, 2 bytes are due there at 4",
            [[0, 2], [0, 0]],
            busy=(Busy(port=1, start_s=0.0, end_s=3.0),),
            windows=(Window(deadline_s=4.0),),
        ),
        "C9",
    )
    yield (
        _problem(
            "infeasible-one-peer",
            "one after the other, port 0 feeds its slow receivers in 4 s; 3 are given",
            [[0, 2, 2], [0, 0, 0], [0, 0, 0]],
            bandwidth_bytes_per_s=np.array([2.0, 1.0, 1.0]),
            peers="one",
            windows=(Window(deadline_s=3.0),),
        ),
        "C3",
    )
    yield (
        _problem(
            "infeasible-half-duplex",
            "2 bytes each way are 4 s of a shared port; 3 are given",
            [[0, 2], [2, 0]],
            half_duplex=True,
            windows=(Window(deadline_s=3.0),),
        ),
        "C4",
    )
    yield (
        _problem(
            "infeasible-whole-message",
            "3 bytes in one piece fit neither before the busy time nor between it and the deadline",
            [[0, 3], [0, 0]],
            peers="one",
            preemptive=False,
            busy=(Busy(port=0, start_s=2.0, end_s=3.0),),
            windows=(Window(deadline_s=4.0),),
        ),
        "C8",
    )


def _problem(name: str, why: str, traffic: list[Any], **rules: Any) -> TransferProblem:
    rules.setdefault("bandwidth_bytes_per_s", 1.0)
    return TransferProblem(
        name=name, source=f"made by hand: {why}", traffic_bytes=np.array(traffic, float), **rules
    )


def _aurora(name: str, why: str, traffic: list[Any], **rules: Any) -> TransferProblem:
    rules.setdefault("bandwidth_bytes_per_s", 1.0)
    source = f"worked by hand after Aurora (arXiv:2410.17043): {why}"
    return TransferProblem(
        name=name, source=source, traffic_bytes=np.array(traffic, float), **rules
    )


def _worked() -> Iterator[tuple[TransferProblem, float]]:
    yield (
        _aurora(
            "aurora-figure-4",
            "figure 4; 2 units, but 3 if both senders keep port 2 for the end",
            [[0, 1, 1], [1, 0, 1], [0, 0, 0]],
        ),
        2,
    )
    yield (
        _aurora("aurora-padding", "padded to line sums of 4, it leaves in 3 rounds", _PADDING),
        4,
    )
    yield (
        _aurora(
            "aurora-greedy-may-fail",
            "3 units; placed without conflict in the order of ports 1, 2, 0, 3, 12 of the 72"
            " orders of their tokens need 4",
            [[0, 1, 1, 0], [1, 0, 1, 1], [1, 1, 0, 1], [0, 0, 1, 0]],
        ),
        3,
    )
    yield (
        _aurora(
            "aurora-greedy-fails",
            "2 units; placed without conflict in the order of ports 0, 1, 2, 3, every order of"
            " their tokens needs 3",
            [[0, 0, 1, 0], [1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0]],
        ),
        2,
    )
    fast = np.array([2.0, 1.0, 1.0])
    star = [[0, 2, 2], [0, 0, 0], [0, 0, 0]]
    yield (
        _aurora(
            "aurora-unequal-ports",
            "the fast port serves both slow ones at once: 2 s; one at a time takes 4",
            star,
            bandwidth_bytes_per_s=fast,
        ),
        2,
    )
    yield (
        _aurora(
            "aurora-unequal-ports-one-peer",
            "one at a time at the slow port's rate: 2 + 2; both at once take 2 s, the printed bound"
            " of Theorem 5.2",
            star,
            bandwidth_bytes_per_s=fast,
            peers="one",
        ),
        4,
    )


def _ports() -> Iterator[tuple[TransferProblem, float]]:
    triangle = [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    yield (
        _problem("tiny-two-ports", "3 bytes there, 2 back at the same time", [[0, 3], [2, 0]]),
        3,
    )
    yield (
        _problem(
            "tiny-bandwidth",
            "port 0 sends 2 + 2; at twice the rate 2 s",
            [[0, 2, 2], [0, 0, 0], [0, 0, 0]],
        ),
        4,
    )
    yield (
        _problem(
            "tiny-receive-rate",
            "port 1 receives at half the rate: 2 / 0.5; with equal rates 3 s, port 0's 2 + 1",
            [[0, 2, 1], [0, 0, 0], [0, 0, 0]],
            receive_bytes_per_s=np.array([1.0, 0.5, 1.0]),
        ),
        4,
    )
    yield (
        _problem(
            "tiny-one-peer",
            "port 2 could receive both at once in 3 s, one at a time in 3 + 3",
            [[0, 0, 3], [0, 0, 3], [0, 0, 0]],
            bandwidth_bytes_per_s=np.array([1.0, 1.0, 2.0]),
            peers="one",
        ),
        6,
    )
    yield (
        _problem(
            "tiny-half-duplex",
            "each port sends 1 and receives 1, at half its rate each: 2 s; full duplex 1 s",
            triangle,
            half_duplex=True,
        ),
        2,
    )
    yield (
        _problem(
            "tiny-half-duplex-one-peer",
            "of three ports only two are in a transmission at a time: 3 s; shared 2 s",
            triangle,
            half_duplex=True,
            peers="one",
        ),
        3,
    )


def _times() -> Iterator[tuple[TransferProblem, float]]:
    yield (
        _problem(
            "tiny-release",
            "nothing to send between 2 and 3, the release of the last 2 bytes; without it 4 s",
            [[0, 2, 2], [0, 0, 0], [0, 0, 0]],
            windows=(Window(source=0, destination=1, release_s=3.0),),
        ),
        5,
    )
    yield (
        _problem(
            "tiny-waves",
            "2 bytes now, 2 of the same pair from 3 on; without the release 4 s",
            [[[0, 2], [0, 0]], [[0, 2], [0, 0]]],
            windows=(Window(wave=1, release_s=3.0),),
        ),
        5,
    )
    yield (
        _problem(
            "tiny-deadline",
            "the byte for port 1 must go first, so port 2 gets 2 bytes from 1 on; without the"
            " deadline it has one of them by then and ends at 2",
            [[0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]],
            windows=(
                Window(source=0, destination=1, deadline_s=1.0),
                Window(source=3, release_s=1.0),
            ),
        ),
        3,
    )
    yield (
        _problem(
            "tiny-busy",
            "1 byte before the busy time of 2 s, 1 after it; without it 2 s",
            [[0, 2], [0, 0]],
            busy=(Busy(port=0, start_s=1.0, end_s=3.0),),
        ),
        4,
    )
    yield (
        _problem(
            "tiny-busy-whole",
            "2 bytes in one piece wait for the end of the busy time; cut they end at 4",
            [[0, 2], [0, 0]],
            busy=(Busy(port=0, start_s=1.0, end_s=3.0),),
            peers="one",
            preemptive=False,
        ),
        5,
    )


def _parts() -> Iterator[tuple[TransferProblem, float]]:
    yield (
        _problem(
            "tiny-whole-messages",
            "every order of the 6 whole messages ends at 5 or later; cut they take 4, the line sum",
            [[0, 0, 0, 0], [1, 0, 3, 0], [1, 0, 0, 3], [2, 2, 0, 0]],
            peers="one",
            preemptive=False,
        ),
        5,
    )
    yield (
        _problem(
            "tiny-chunk",
            "no message is large enough for two parts of 2: whole they take 6; in parts of 1 they"
            " take 5, the line sum",
            [[0, 0, 0, 0], [1, 0, 0, 2], [1, 0, 0, 3], [3, 2, 0, 0]],
            peers="one",
            chunk_bytes=2.0,
        ),
        6,
    )
    yield (
        _problem(
            "tiny-startup",
            "2 bytes and a start-up for each of two peers: 2 x (2 + 1); without start-ups 4 s",
            [[0, 2, 2], [0, 0, 0], [0, 0, 0]],
            startup_s=1.0,
        ),
        6,
    )
    yield (
        _problem(
            "tiny-startup-one-peer",
            "6 whole messages, 2 start-ups each way at each port: 4 + 2; any cut costs one more",
            _PADDING,
            startup_s=1.0,
            peers="one",
        ),
        6,
    )
    yield (
        _problem(
            "tiny-round-startups",
            "two rounds of 3 and 2 with 2 s before each; the least time without start-ups, 4 s,"
            " takes three rounds and 4 + 6 s",
            _PADDING,
            startup_s=2.0,
            startup_per="round",
            peers="one",
        ),
        9,
    )
    yield (
        _problem(
            "tiny-fewest-rounds",
            "3 rounds within the least time, 4 s; two rounds would take 5 s",
            _PADDING,
            objective="rounds",
        ),
        3,
    )


def _fabrics() -> Iterator[tuple[TransferProblem, float]]:
    across = [[0, 0, 0, 2], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    yield (
        _problem(
            "tiny-rails",
            "whole, 1 s inside a node and 2 s between; if every port reached every other, 2 s",
            across,
            fabric=_RAILS,
            peers="one",
            preemptive=False,
        ),
        3,
    )
    yield (
        _problem(
            "tiny-relay",
            "one of port 0's messages leaves by port 1: 1 s to get there, 2 s between nodes; both"
            " from port 0 take 4 s",
            [[0, 0, 2, 2], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
            fabric=Fabric(ports_per_node=2, bandwidth_bytes_per_s=2.0),
            peers="one",
            preemptive=False,
        ),
        3,
    )
    yield (
        _problem(
            "tiny-absent-relay",
            "port 2 is absent, so port 1 passes on what port 3 gets: 2 + 2 s between nodes; port 2"
            " would pass it on within 3 s",
            [[0, 0, 0, 2], [0, 0, 0, 2], [0, 0, 0, 0], [0, 0, 0, 0]],
            fabric=_RAILS,
            peers="one",
            preemptive=False,
            absent_ports=(2,),
        ),
        4,
    )
