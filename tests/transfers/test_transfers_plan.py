"""The validator and the figures of a plan, against loops over time and values by hand."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transfers_draws import COLUMNS, plan_of, problems_with_plans
from transfers_oracle import naive_labels

from moeopt.transfers import Busy, Fabric, TransferPlan, TransferProblem, Window
from moeopt.transfers.plan import evaluate, violations

PAIR = [[0, 4], [0, 0]]
TWO_SENDERS = [[0, 0, 2], [0, 0, 2], [0, 0, 0]]
TWO_TARGETS = [[0, 2, 2], [0, 0, 0], [0, 0, 0]]
ACROSS = np.zeros((4, 4))
ACROSS[0, 3] = 4
FAST = Fabric(ports_per_node=2, bandwidth_bytes_per_s=4.0)


def problem(traffic: Any, rate: Any = 1.0, **fields: Any) -> TransferProblem:
    fields["traffic_bytes"] = np.array(traffic, dtype=float)
    return TransferProblem(bandwidth_bytes_per_s=rate, **fields)


def plan(*rows: tuple[Any, ...]) -> TransferPlan:
    """Return a plan of rows (source, destination, bytes, start, duration, round, wave, ends)."""
    full = []
    for row in rows:
        source, destination, size, start, duration, *more = row
        index = more[0] if more else 0
        wave, origin, target = more[1:] if len(more) > 1 else (0, source, destination)
        full.append((source, destination, size, start, duration, index, wave, origin, target))
    return plan_of(full)


def labels(stated: TransferProblem, made: TransferPlan) -> list[str]:
    return [found.constraint for found in violations(stated, made)]


#: Constraint, problem, a plan that breaks it and nothing else, where and by how much.
BROKEN: dict[str, tuple[TransferProblem, TransferPlan, str, float]] = {
    "C1": (problem(PAIR), plan((0, 1, 3, 0, 4)), "$.size_bytes", 1),
    "C1-none": (problem(PAIR), plan(), "$.size_bytes", 4),
    "C1-too-much": (problem(PAIR), plan((0, 1, 4, 0, 4), (0, 1, 2, 4, 2)), "$.size_bytes[0]", 2),
    "C1-no-message": (problem(PAIR), plan((0, 1, 4, 0, 4), (1, 0, 1, 0, 2)), "$.size_bytes[1]", 1),
    "C1-too-early": (
        problem(ACROSS, fabric=FAST),
        plan((0, 1, 4, 0, 1, 0, 0, 0, 3), (1, 3, 4, 0.5, 4, 0, 0, 0, 3)),
        "$.size_bytes[1]",
        4,
    ),
    "C1-left-behind": (
        problem(ACROSS, fabric=FAST),
        plan((0, 1, 4, 0, 1, 0, 0, 0, 3), (1, 3, 3, 1, 4, 0, 0, 0, 3)),
        "$.size_bytes",
        1,
    ),
    "C2": (problem(PAIR), plan((0, 1, 4, 0, 3)), "$.start_s[0]", 1),
    "C2-sender": (
        problem(TWO_TARGETS), plan((0, 1, 2, 0, 2), (0, 2, 2, 1.5, 2)), "$.start_s[0]", 0.5,
    ),
    "C2-receiver": (
        problem(TWO_SENDERS), plan((0, 2, 2, 0, 3), (1, 2, 2, 0, 3)), "$.start_s[0]", 1,
    ),
    "C2-slower-end": (problem(PAIR, [2, 1]), plan((0, 1, 4, 0, 2)), "$.start_s[0]", 2),
    "C2-startup": (problem(PAIR, startup_s=0.5), plan((0, 1, 4, 0, 4)), "$.start_s[0]", 0.5),
    "C2-pause": (
        problem(PAIR, startup_s=0.5),
        plan((0, 1, 2, 0, 2.5), (0, 1, 2, 3, 2)),
        "$.start_s[1]",
        0.5,
    ),
    "C2-inside": (
        problem([[0, 8, 0, 0], *[[0] * 4] * 3], fabric=FAST),
        plan((0, 1, 8, 0, 1)),
        "$.start_s[0]",
        1,
    ),
    "C3": (
        problem(TWO_TARGETS, 2.0, peers="one"),
        plan((0, 1, 2, 0, 2), (0, 2, 2, 1.25, 2)),
        "$.start_s[0]",
        0.75,
    ),
    "C4": (
        problem([[0, 2], [2, 0]], half_duplex=True),
        plan((0, 1, 2, 0, 3), (1, 0, 2, 0, 3)),
        "$.start_s[0]",
        1,
    ),
    "C4-one-peer": (
        problem([[0, 2], [2, 0]], 2.0, half_duplex=True, peers="one"),
        plan((0, 1, 2, 0, 2), (1, 0, 2, 1, 2)),
        "$.start_s[0]",
        1,
    ),
    "C5": (
        problem(PAIR, windows=(Window(release_s=2),)), plan((0, 1, 4, 1, 4)), "$.start_s[0]", 1,
    ),
    "C6": (
        problem(PAIR, windows=(Window(deadline_s=5),)), plan((0, 1, 4, 2, 4)), "$.duration_s[0]", 1,
    ),
    "C7": (
        problem(PAIR, chunk_bytes=2), plan((0, 1, 3, 0, 3), (0, 1, 1, 4, 1)), "$.size_bytes[1]", 1,
    ),
    "C8": (
        problem(PAIR, preemptive=False), plan((0, 1, 3, 0, 3), (0, 1, 1, 4, 1)), "$.start_s[0]", 1,
    ),
    "C9": (
        problem(ACROSS, fabric=FAST, absent_ports=(1,)),
        plan((0, 1, 4, 0, 1, 0, 0, 0, 3), (1, 3, 4, 1, 4, 0, 0, 0, 3)),
        "$.source[0]",
        1,
    ),
    "C9-busy": (
        problem(PAIR, busy=(Busy(port=1, start_s=3, end_s=9), Busy(port=1, start_s=2, end_s=4))),
        plan((0, 1, 4, 0, 4)),
        "$.start_s[0]",
        2,
    ),
    "C10": (
        problem([[0, 2], [2, 0]], startup_s=0.5, startup_per="round"),
        plan((0, 1, 2, 0.5, 2), (1, 0, 2, 2.75, 2, 1)),
        "$.start_s[1]",
        0.25,
    ),
    "C10-first": (
        problem(PAIR, startup_s=0.5, startup_per="round"), plan((0, 1, 4, 0, 4)), "$.start_s[0]",
        0.5,
    ),
    "C10-peers": (
        problem(TWO_TARGETS, startup_s=0.5, startup_per="round", peers="one"),
        plan((0, 1, 2, 0.5, 2), (0, 2, 2, 2.5, 2)),
        "$.round_index[0]",
        1,
    ),
    "C10-both-ways": (
        problem(
            [[0, 2], [2, 0]], startup_s=0.5, startup_per="round", peers="one", half_duplex=True
        ),
        plan((0, 1, 2, 0.5, 2), (1, 0, 2, 2.5, 2)),
        "$.round_index[0]",
        1,
    ),
    "C10-counted": (
        problem(TWO_TARGETS, objective="rounds"),
        plan((0, 1, 2, 0, 4), (0, 2, 2, 0, 4)),
        "$.round_index[0]",
        1,
    ),
    "C11": (
        problem([[0, 0, 4], [0, 0, 0], [0, 0, 0]]),
        plan((0, 1, 4, 0, 4, 0, 0, 0, 2), (1, 2, 4, 4, 4, 0, 0, 0, 2)),
        "$.source[0]",
        1,
    ),
    "C11-rails": (
        problem(ACROSS, fabric=msgspec.structs.replace(FAST, rails=True)),
        plan((0, 3, 4, 0, 4)),
        "$.source[0]",
        1,
    ),
    "C11-other-node": (
        problem([[0, 4, 0, 0], *[[0] * 4] * 3], fabric=FAST),
        plan((0, 2, 4, 0, 4, 0, 0, 0, 1), (2, 1, 4, 4, 4, 0, 0, 0, 1)),
        "$.source[0]",
        1,
    ),
    "C12": (
        problem(TWO_TARGETS, objective="rounds"),
        plan((0, 1, 2, 0, 2), (0, 2, 2, 3, 2, 1)),
        "$.start_s",
        1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_named_with_its_place_and_amount(name: str) -> None:
    stated, made, path, amount = BROKEN[name]
    (found,) = violations(stated, made)
    assert found.constraint == name.split("-")[0]
    assert found.path == path
    assert found.amount == pytest.approx(amount)
    assert ";" in found.message
    assert naive_labels(stated, made) == {found.constraint}


def test_every_rule_has_an_instance_that_breaks_it() -> None:
    assert {name.split("-")[0] for name in BROKEN} == {f"C{i}" for i in range(1, 13)}


@given(problems_with_plans())
def test_valid_plans_are_accepted(drawn: tuple[TransferProblem, TransferPlan]) -> None:
    stated, made = drawn
    assert violations(stated, made) == []
    assert naive_labels(stated, made) == set()


@given(problems_with_plans(), st.randoms(use_true_random=False))
def test_the_replay_agrees_with_loops_over_time(
    drawn: tuple[TransferProblem, TransferPlan], random: Random
) -> None:
    stated, made = drawn
    changed = _disturbed(stated, made, random)
    assert set(labels(stated, changed)) == naive_labels(stated, changed)


def _disturbed(stated: TransferProblem, made: TransferPlan, random: Random) -> TransferPlan:
    """Return the plan with a few entries changed, rows dropped or repeated."""
    columns = {name: np.array(getattr(made, name)) for name in COLUMNS}
    for _ in range(random.randint(1, 3)):
        rows = len(columns["source"])
        if rows == 0:
            break
        row, name = random.randrange(rows), random.choice([*COLUMNS, "drop", "again"])
        if name == "drop":
            columns = {key: np.delete(column, row) for key, column in columns.items()}
        elif name == "again":
            columns = {key: np.append(column, column[row]) for key, column in columns.items()}
        elif name == "start_s":
            columns[name][row] = max(0, columns[name][row] + random.choice([-1, -0.25, 0.25, 1]))
        elif name in ("duration_s", "size_bytes"):
            columns[name][row] *= random.choice([0.5, 0.9, 1.1, 2])
        else:
            most = {"wave": stated.num_waves, "round_index": rows + 1}.get(name, stated.num_ports)
            columns[name][row] = random.randrange(most)
    kept = columns["source"] != columns["destination"]
    return TransferPlan(**{name: column[kept] for name, column in columns.items()})


@pytest.mark.parametrize("gap", [-1e-6, -1e-10, 0.0, 1e-10])
def test_rounding_is_no_overlap_and_an_overlap_is_no_rounding(gap: float) -> None:
    made = plan((0, 1, 2, 0, 2), (0, 2, 2, 2 + gap, 2))
    broken = labels(problem(TWO_TARGETS, peers="one"), made)
    assert broken == (["C2", "C3"] if gap < -1e-9 else [])


def test_many_roundings_that_add_up_are_an_overlap() -> None:
    """Each of 1,000 parts starts 1e-10 of the makespan early: together that is too fast."""
    parts = 1000
    early = [(0, 1, 4 / parts, i * (4 / parts - 4e-10), 4 / parts) for i in range(parts)]
    assert labels(problem(PAIR), plan(*early)) == ["C2"]
    exact = [(0, 1, 4 / parts, i * 4 / parts, 4 / parts) for i in range(parts)]
    assert labels(problem(PAIR), plan(*exact)) == []


def test_bytes_that_take_no_time_that_a_float_can_tell_are_seen() -> None:
    made = plan((0, 1, 3, 0, 3), (0, 1, 1, 3, 1e-30))
    assert labels(problem(PAIR), made) == ["C2"]
    vast = problem([[0, 1e300], [0, 0]])
    assert labels(vast, plan((0, 1, 1e300, 0, 1e-300))) == ["C2"]
    crumb = plan((0, 1, 4, 0, 4), (0, 1, 1e-20, 4, 1e-20))
    assert labels(problem(PAIR), crumb) == []


def test_a_start_up_is_paid_once_by_parts_without_a_pause() -> None:
    stated = problem(PAIR, startup_s=1.0, preemptive=False)
    going_on = plan((0, 1, 1, 0, 2), (0, 1, 3, 2, 6))
    assert violations(stated, going_on) == []
    assert evaluate(stated, going_on).startups == 1
    assert labels(stated, plan((0, 1, 1, 0, 2), (0, 1, 3, 2.5, 6))) == ["C8"]


def test_messages_that_travel_together_share_a_start_up() -> None:
    """Waves 0 and 1 in one transmission pay one start-up; apart they pay two."""
    stated = problem([PAIR, PAIR], startup_s=1.0)
    together = plan((0, 1, 4, 0, 9, 0, 0, 0, 1), (0, 1, 4, 0, 9, 0, 1, 0, 1))
    assert violations(stated, together) == []
    apart = plan((0, 1, 4, 0, 4.5, 0, 0, 0, 1), (0, 1, 4, 4.5, 4.5, 0, 1, 0, 1))
    assert labels(stated, apart) == ["C2"]
    later = plan((0, 1, 4, 0, 5, 0, 0, 0, 1), (0, 1, 4, 5, 5, 0, 1, 0, 1))
    assert violations(stated, later) == []
    assert [evaluate(stated, made).startups for made in (together, later)] == [1, 2]


def test_a_chain_goes_on_only_with_the_same_messages() -> None:
    """Wave 1 joins wave 0 on the way: a new transmission, which pays a start-up of its own."""
    stated = problem([PAIR, [[0, 2], [0, 0]]], startup_s=1.0)
    joined = [(0, 1, 2, 3, 4, 0, 0, 0, 1), (0, 1, 2, 3, 4, 0, 1, 0, 1)]
    assert labels(stated, plan((0, 1, 2, 0, 3, 0, 0, 0, 1), *joined)) == ["C2"]
    paid = [(*row[:4], 5, *row[5:]) for row in joined]
    assert labels(stated, plan((0, 1, 2, 0, 3, 0, 0, 0, 1), *paid)) == []


def test_relayed_bulk_of_many_messages_is_one_transmission() -> None:
    """Both messages of port 0 cross in one transmission, found again however many it carries."""
    traffic = np.zeros((6, 6))
    traffic[0, 3:] = [2, 1, 3]
    stated = problem(
        traffic, startup_s=1.0, fabric=Fabric(ports_per_node=3, bandwidth_bytes_per_s=1.0)
    )
    across = [(0, 3, size / 2, 0, 4, 0, 0, 0, t) for size, t in ((2, 3), (1, 4), (3, 5))]
    across += [(0, 3, size / 2, 4, 3, 0, 0, 0, t) for size, t in ((2, 3), (1, 4), (3, 5))]
    inside = [(3, 4, 1, 7, 2, 0, 0, 0, 4), (3, 5, 3, 9, 4, 0, 0, 0, 5)]
    made = plan(*across, *inside)
    assert violations(stated, made) == []
    found = evaluate(stated, made)
    assert (found.num_transmissions, found.startups, found.makespan_s) == (4, 3, 13)
    np.testing.assert_allclose(found.idle_send_bytes, [7, 13, 13, 13, 13, 13])


EMPTY: dict[str, Any] = {name: np.zeros(0) for name in COLUMNS}
ONE: dict[str, Any] = {
    "source": [0], "destination": [1], "size_bytes": [4.0], "start_s": [0.0], "duration_s": [4.0],
    "round_index": [0],
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "path", "rule"),
    [
        ({"source": [[0]]}, "$.source", "must have shape (rows,)"),
        ({"size_bytes": [2.0, 2.0]}, "$.size_bytes", "must have shape (rows,)"),
        ({"wave": [0, 0]}, "$.wave", "must have shape (rows,)"),
        ({"source": [2]}, "$.source[0]", "must be a whole number >= 0 and < 2, is 2"),
        ({"destination": [0.5]}, "$.destination[0]", "must be a whole number"),
        ({"origin": [-1]}, "$.origin[0]", "must be a whole number >= 0"),
        ({"wave": [1]}, "$.wave[0]", "must be a whole number >= 0 and < 1"),
        ({"round_index": [-1]}, "$.round_index[0]", "must be a whole number"),
        ({"source": [np.nan]}, "$.source[0]", "must be a whole number"),
        ({"size_bytes": [-1.0]}, "$.size_bytes[0]", "must be a finite number >= 0, is -1.0"),
        ({"start_s": [np.inf]}, "$.start_s[0]", "must be a finite number"),
        ({"duration_s": [np.nan]}, "$.duration_s[0]", "must be a finite number"),
        ({"start_s": [1e308], "duration_s": [1e308]}, "$.start_s[0]", "must leave a finite end"),
        ({"duration_s": [0.0]}, "$.duration_s[0]", "must be > 0 where bytes are sent"),
        ({"source": [1]}, "$.destination[0]", "must differ from source"),
    ],
)
def test_a_plan_that_cannot_be_read_is_said_to_be_so(
    changes: dict[str, Any], path: str, rule: str
) -> None:
    columns = {name: np.array(column) for name, column in {**ONE, **changes}.items()}
    (found,) = violations(problem(PAIR), TransferPlan(**columns))
    assert (found.constraint, found.path) == ("shape", path)
    assert rule in found.message


def test_nothing_to_send_is_nothing_sent() -> None:
    stated = problem([[3, 0], [0, 5]], startup_s=1.0)
    made = TransferPlan(**EMPTY)
    assert violations(stated, made) == []
    found = evaluate(stated, made)
    assert (found.objective, found.makespan_s, found.num_rounds, found.startups) == (0, 0, 0, 0)
    assert (made.reversed() == made, made.rounds_for(0)) == (True, [])


def test_rows_of_nothing_are_nothing() -> None:
    made = plan((0, 1, 4, 0, 4), (1, 0, 0, 0, 0))
    assert violations(problem(PAIR), made) == []
    assert evaluate(problem(PAIR), made).num_transmissions == 1


def test_figures_by_hand() -> None:
    """Ports of 2 and 1 bytes/s: 0 sends 4 to 1 in 4 s, then 1 sends 2 back in 2 s."""
    made = plan((0, 1, 4, 0, 4), (1, 0, 2, 4, 2, 1))
    stated = problem([[0, 4], [2, 0]], [2.0, 1.0])
    found = evaluate(stated, made)
    assert (found.objective, found.makespan_s, found.num_rounds, found.startups) == (6, 6, 2, 2)
    np.testing.assert_allclose(found.idle_send_bytes, [8, 4])
    np.testing.assert_allclose(found.idle_receive_bytes, [10, 2])
    by_round = msgspec.structs.replace(stated, startup_per="round")
    assert evaluate(by_round, made).startups == 2
    counted = problem([[0, 4], [2, 0]], objective="rounds")
    assert evaluate(counted, plan((0, 1, 4, 0, 4), (1, 0, 2, 0, 2))).objective == 1


def test_an_absent_port_does_not_count_as_idle() -> None:
    found = evaluate(problem([[0, 4, 0], *[[0] * 3] * 2], absent_ports=(2,)), plan((0, 1, 4, 0, 4)))
    np.testing.assert_allclose(found.idle_send_bytes, [0, 4, 0])
