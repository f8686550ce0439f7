"""The time of several models that take turns: Aurora's Table 2, eq. (4), and beyond."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linprog
from timeline_simulation import simulated

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.timeline import (
    Exchange,
    Interleaved,
    LayerTime,
    Step,
    busiest_port,
    closed_form_s,
    interleaved,
    interleaved_alone,
    interleaved_phases,
    layer_time,
    line_seconds,
    no_idle_total_s,
)


def layer_of(rows: FloatArray) -> LayerTime:
    """Return a layer of seven rows, ``(7, ..., devices)``.

    Gate, sent and received in the dispatch, experts, sent and received in the combine, aggregation.
    """
    return LayerTime(rows[0], Exchange(*rows[1:3]), rows[3], Exchange(*rows[4:6]), rows[6])


def one_device(gate: float, transfer: float, compute: float, aggregation: float) -> LayerTime:
    return layer_of(
        np.array([[gate], *[[transfer]] * 2, [compute], *[[transfer]] * 2, [aggregation]])
    )


def paper_example(compute: float) -> list[LayerTime]:
    """Return example 11: two models whose all-to-alls add up at one port."""
    return [one_device(1.0, 4.0, compute, 1.0), one_device(1.0, 3.0, 3.0, 1.0)]


@st.composite
def tables(draw: st.DrawFn, *, least: int = 1, most: int = 4) -> FloatArray:
    """Draw ``(models, 7, devices)`` whole seconds, so that sums are exact."""
    shape = (draw(st.integers(least, most)), 7, draw(st.integers(1, 3)))
    return draw(arrays(np.float64, shape, elements=st.integers(0, 20).map(float)))


def ends(time: Interleaved) -> dict[str, list[float]]:
    names = ("dispatch", "compute", "combine", "aggregation")
    return {name: getattr(time, name).end_s.tolist() for name in names}


def test_table_2_where_the_network_is_never_idle() -> None:
    time = interleaved(paper_example(compute=3.0))
    assert ends(time) == {
        "dispatch": [4, 7],
        "compute": [7, 10],
        "combine": [11, 14],
        "aggregation": [12, 15],
    }
    assert time.total_s == 16
    assert time.total_s == no_idle_total_s(paper_example(compute=3.0))
    assert sum(layer.total_s for layer in paper_example(compute=3.0)) == 24


def test_table_2_with_an_idle_network() -> None:
    time = interleaved(paper_example(compute=6.0))
    assert ends(time) == {
        "dispatch": [4, 7],
        "compute": [10, 13],
        "combine": [14, 17],
        "aggregation": [15, 18],
    }
    assert time.total_s == 19
    # The paper's relations let the first combine end at 11, before its experts have worked.
    assert no_idle_total_s(paper_example(compute=6.0)) == 16


def test_the_same_from_the_phases_alone() -> None:
    lines = np.array([[4.0, 7.0], [0.0, 3.0]])
    for compute, total in [(3.0, 16), (6.0, 19)]:
        time = interleaved_phases(
            np.array([1.0, 1.0]),
            np.array([compute, 3.0]),
            np.array([1.0, 1.0]),
            dispatch=busiest_port(lines),
            combine=busiest_port(lines),
        )
        assert time.total_s == total
        assert time.utilisation == pytest.approx((7 + compute) / total)
        assert time.critical()[-1] == Step(
            "gate", (0,), None, None, total - 1.0, float(total), 1 / total
        )


def test_every_end_and_start_of_the_example_is_named() -> None:
    time = interleaved(paper_example(compute=6.0))
    assert time.gate.start_s.tolist() == [18, 0]
    assert time.gate.end_s.tolist() == [19, 1]
    assert time.dispatch.start_s.tolist() == [0, 1]
    assert time.compute.start_s.tolist() == [4, 10]
    assert time.combine.start_s.tolist() == [10, 13]
    assert time.aggregation.start_s.tolist() == [14, 17]
    assert time.utilisation == pytest.approx([13 / 19])


def test_the_chain_of_the_example() -> None:
    """The first dispatch and its experts, both combines, two short ends."""
    steps = interleaved(paper_example(compute=6.0)).critical()
    assert [(step.phase, step.models, step.start_s, step.end_s) for step in steps] == [
        ("dispatch", (0,), 0, 4),
        ("compute", (0,), 4, 10),
        ("combine", (0, 1), 10, 17),
        ("aggregation", (1,), 17, 18),
        ("gate", (0,), 18, 19),
    ]


@given(tables(least=2, most=2))
def test_the_closed_form_of_eq_4_equals_the_recursion(table: FloatArray) -> None:
    time = interleaved([layer_of(rows) for rows in table])
    gate, compute, aggregation = (table[:, row].max(axis=-1) for row in (0, 3, 6))
    assert time.total_s == closed_form_s(
        gate,
        compute,
        aggregation,
        dispatch_end_s=time.dispatch.end_s,
        combine_end_s=time.combine.end_s,
    )


@given(tables())
def test_an_event_simulation_agrees(table: FloatArray) -> None:
    time = interleaved([layer_of(rows) for rows in table])
    done, total = simulated(table)
    assert total == time.total_s
    for (phase, model), end in done.items():
        assert getattr(time, phase).end_s[model] == end


@given(tables(most=1))
def test_one_model_takes_eq_3(table: FloatArray) -> None:
    """Only the gate is at the end of the round instead of at its beginning."""
    layer = layer_of(table[0])
    time = interleaved([layer])
    assert time.total_s == layer.total_s
    assert time.gate.end_s[0] - time.gate.start_s[0] == layer.gate_s.max()
    np.testing.assert_array_equal(time.utilisation, layer.utilisation)
    # In the same order, the gate first in one and last in the other.
    *rest, gate = ("dispatch", "compute", "combine", "aggregation", "gate")
    order = [step.phase for step in time.critical()]
    assert order == [p for p in (*rest, gate) if p in {s.phase for s in layer.bottleneck()}]


@given(tables(), st.data())
def test_no_phase_grows_and_the_round_shrinks(table: FloatArray, data: st.DataObject) -> None:
    """Theorem 6.1 rests on this: the round does not fall in any end or computation."""
    where = tuple(data.draw(st.integers(0, size - 1)) for size in table.shape)
    more = table.copy()
    more[where] += data.draw(st.integers(1, 30))
    before, after = ([layer_of(rows) for rows in each] for each in (table, more))
    assert interleaved(after).total_s >= interleaved(before).total_s
    assert (interleaved_alone(after).total_s >= interleaved_alone(before).total_s).all()
    if len(table) == 2:
        assert no_idle_total_s(after) >= no_idle_total_s(before)


@given(tables(least=2, most=2), st.data())
def test_the_closed_form_does_not_fall_in_any_end(table: FloatArray, data: st.DataObject) -> None:
    phases = [table[:, row, 0] for row in range(5)]
    more = [phase.copy() for phase in phases]
    more[data.draw(st.integers(0, 4))][data.draw(st.integers(0, 1))] += 1

    def total(values: Sequence[FloatArray]) -> Any:
        return closed_form_s(*values[:3], dispatch_end_s=values[3], combine_end_s=values[4])

    assert total(more) >= total(phases)


@given(tables(least=2, most=2))
def test_the_papers_formula_is_a_lower_bound(table: FloatArray) -> None:
    layers = [layer_of(rows) for rows in table]
    assert no_idle_total_s(layers) <= interleaved(layers).total_s


@given(tables())
def test_the_chain_alone_takes_the_whole_round(table: FloatArray) -> None:
    """Nothing but the named devices' part in the chain is needed for the round's length."""
    time = interleaved([layer_of(rows) for rows in table])
    steps = time.critical()
    assert [step.start_s for step in steps] == [0.0, *[step.end_s for step in steps]][:-1]
    assert (steps[-1].end_s if steps else 0.0) == time.total_s
    assert not steps or sum(step.share for step in steps) == pytest.approx(1)
    alone = np.zeros(table.shape)
    for step in steps:
        base = {"gate": 0, "dispatch": 1, "compute": 3, "combine": 4, "aggregation": 6}[step.phase]
        row = base + (step.direction == "receives")
        models = list(step.models)
        alone[models, row, step.device] = table[models, row, step.device]
    assert interleaved([layer_of(rows) for rows in alone]).total_s == time.total_s


@given(tables())
def test_each_device_alone(table: FloatArray) -> None:
    together = interleaved([layer_of(rows) for rows in table])
    each = interleaved_alone([layer_of(rows) for rows in table])
    for g in range(table.shape[-1]):
        only = interleaved([layer_of(rows[:, [g]]) for rows in table])
        assert each.total_s[g] == only.total_s <= together.total_s
        assert each.utilisation[g] == only.utilisation[0]
        steps, others = each.critical(g), only.critical()
        assert [(s.phase, s.models, s.direction, s.seconds) for s in steps] == [
            (s.phase, s.models, s.direction, s.seconds) for s in others
        ]
        assert {step.device for step in steps} <= {g}
    assert each.critical(-1) == each.critical(table.shape[-1] - 1)


def test_leading_axes_are_kept_and_broadcast() -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(0, 20, (7, 4)).astype(float)
    second = rng.integers(0, 20, (7, 5, 3, 4)).astype(float)
    time = interleaved([layer_of(first), layer_of(second)])
    assert time.total_s.shape == (5, 3)
    assert time.utilisation.shape == (5, 3, 4)
    assert interleaved_alone([layer_of(first), layer_of(second)]).total_s.shape == (5, 3, 4)
    paper = no_idle_total_s([layer_of(first), layer_of(second)])
    for i, j in np.ndindex(5, 3):
        pair = [layer_of(first), layer_of(second[:, i, j])]
        one = interleaved(pair)
        assert one.total_s == time.total_s[i, j]
        assert one.critical() == time.critical(i, j)
        assert no_idle_total_s(pair) == paper[i, j]
    np.testing.assert_array_equal(time.model_time_s, time.total_s.sum(axis=1))


def test_bytes_of_dispatch_and_combine_differ() -> None:
    def layer(traffic: list[list[float]]) -> LayerTime:
        return layer_time(
            np.array(traffic),
            relative_speed=np.ones(2),
            port_bytes_per_s=np.array([1.0, 2.0]),
            seconds_per_token=0.0,
            dispatch_bytes_per_token=1.0,
            combine_bytes_per_token=2.0,
        )

    # Device 0 sends 4 in one model and receives 6 in the other: both ways of its port are used.
    layers = [layer([[0, 4], [0, 0]]), layer([[0, 0], [6, 0]])]
    time = interleaved(layers)
    assert time.dispatch.end_s.tolist() == [4, 6]
    assert time.combine.end_s.tolist() == [6 + 8, 6 + 12]
    np.testing.assert_array_equal(
        line_seconds([layer.dispatch for layer in layers])[..., 0], [[4, 6], [0, 6]]
    )


def test_a_network_of_ones_own() -> None:
    """Here every all-to-all waits for the one before it, although the ports are free."""
    seconds = np.array([4.0, 6.0])

    def in_line(release_s: FloatArray) -> tuple[FloatArray, IntArray]:
        end = np.array([release_s[0] + 4.0, max(release_s[0] + 4.0, release_s[1]) + 6.0])
        return end, np.array([0, int(release_s[1] >= release_s[0] + 4.0)])

    none = np.zeros(2)
    time = interleaved_phases(none, none, none, dispatch=in_line, combine=in_line)
    assert time.total_s == 2 * seconds.sum()
    assert [(step.phase, step.models) for step in time.critical()] == [
        ("dispatch", (0, 1)),
        ("combine", (0, 1)),
    ]


def test_release_times_can_put_the_busiest_port_out_of_reach() -> None:
    """The ends are those of the busiest port; an order on the wire may need longer.

    Model a: device 0 sends 1 to each of 1 and 2. Model b, released at 1: 3 to 1 and 4 to 2. Ports
    1 and 2 must receive a's tokens before 1 to be done at 2, but port 0 cannot send both by then.
    """
    a, b = np.zeros((5, 5)), np.zeros((5, 5))
    a[0, 1] = a[0, 2] = b[3, 1] = b[4, 2] = 1.0

    def layer(traffic: FloatArray, gate_s: float) -> LayerTime:
        return layer_time(
            traffic,
            relative_speed=np.ones(5),
            port_bytes_per_s=np.ones(5),
            seconds_per_token=0.0,
            dispatch_bytes_per_token=1.0,
            combine_bytes_per_token=0.0,
            gate_s=gate_s,
        )

    assert interleaved([layer(a, 0.0), layer(b, 1.0)]).dispatch.end_s[1] == 2
    # What device 0 has sent to 1 and to 2 at time 1, and the end: no port above its rate in
    # either interval.
    answer = linprog(
        [0, 0, 1],
        A_ub=[[1, 1, 0], [-1, -1, -1], [-1, 0, -1], [0, -1, -1]],
        b_ub=[1, -3, -3, -3],
        bounds=[(0, 1), (0, 1), (1, None)],
    )
    assert answer.fun == pytest.approx(2.5)


def test_what_does_not_fit_is_named() -> None:
    layer = one_device(1.0, 1.0, 1.0, 1.0)
    two = layer_of(np.ones((7, 2)))
    with pytest.raises(InstanceError, match="one for each model"):
        interleaved([])
    with pytest.raises(InstanceError, match="all on the same devices"):
        interleaved([layer, two])
    with pytest.raises(InstanceError, match="must be two"):
        no_idle_total_s([layer])
    with pytest.raises(InstanceError, match="must name one of the times"):
        interleaved([layer]).critical(0)
    network = busiest_port(np.ones((2, 2)))
    with pytest.raises(InstanceError, match=r"compute_s: must have shape \(2,\)"):
        interleaved_phases(np.ones(2), np.ones(3), np.ones(2), dispatch=network, combine=network)
    with pytest.raises(InstanceError, match="release_s"):
        interleaved_phases(np.ones(3), np.ones(3), np.ones(3), dispatch=network, combine=network)
    with pytest.raises(InstanceError, match="a row for each model"):
        interleaved_phases(np.ones(0), np.ones(0), np.ones(0), dispatch=network, combine=network)
