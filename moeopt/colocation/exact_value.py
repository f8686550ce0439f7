"""The time of ``formulations/colocation.md`` as rows: Table 2 for any number of models.

Every maximum is a column that is at least each of its terms; minimising ``T`` makes them meet.
"""

from __future__ import annotations

import numpy as np

from moeopt.colocation.exact_model import Frame
from moeopt.colocation.weights import Loads, expert_loads, parts_of
from moeopt.core.arrays import FloatArray, IntArray


def add_value(frame: Frame) -> None:
    """Add the families D3 to D11 and V."""
    all_to_alls(frame)
    if frame.problem.objective != "communication":
        gates_and_aggregations(frame)
        experts(frame)
        dispatched(frame)
        computed(frame)
        released(frame)
        combined(frame)
        aggregated(frame)
    whole_round(frame)
    if frame.tighten:
        if frame.holds.size:
            held_together(frame)
        alone(frame)


def gates_and_aggregations(frame: Frame) -> None:
    """D3: gate and aggregation last as long as on every device that has experts of the model."""
    clocks = frame.clocks
    speed = frame.layout.speed[clocks.device]
    for m, (gate, aggregation) in enumerate(frame.layout.fixed.tolist()):
        held = frame.holds[m, clocks.device]
        for seconds, columns in ((gate, clocks.gate), (aggregation, clocks.aggregation)):
            units = seconds / speed[:, None] / frame.unit_s
            _at_least(frame, "D3", columns[clocks.clock, m], held[:, None], units)


def experts(frame: Frame) -> None:
    """D4: the experts of a model last as long as on every device."""
    clocks, layout = frame.clocks, frame.layout
    speed = layout.speed[clocks.device]
    for m, columns in enumerate(frame.place):
        seconds = layout.seconds[m] * layout.tokens[m, : len(columns)] / speed[:, None]
        units = seconds / frame.unit_s
        _at_least(frame, "D4", clocks.compute[clocks.clock, m], columns[:, clocks.device].T, units)


def all_to_alls(frame: Frame) -> None:
    """D5: the all-to-alls of models j to k last as long as at every port, each direction.

    What a device's experts exchange among themselves is taken off, both ways.
    """
    clocks, layout = frame.clocks, frame.layout
    port = layout.port[clocks.device]
    both = ((clocks.dispatch, layout.there), (clocks.combine, layout.back))
    for columns, carried in both:
        if not columns.size:
            continue
        for span, (j, k) in enumerate(
            zip(clocks.first.tolist(), clocks.last.tolist(), strict=True)
        ):
            for tokens in (layout.sent, layout.received):
                terms = [
                    _port_terms(frame, m, tokens[m] * carried[m], carried[m])
                    for m in range(j, k + 1)
                ]
                _at_least(
                    frame,
                    "D5",
                    columns[clocks.clock, span],
                    np.concatenate([column for column, _ in terms], axis=1),
                    np.concatenate([bytes_ for _, bytes_ in terms]) / port[:, None] / frame.unit_s,
                )


def dispatched(frame: Frame) -> None:
    """D6: a dispatch ends after any earlier release and all dispatches from that one on."""
    clocks = frame.clocks
    for span, (j, k) in enumerate(zip(clocks.first.tolist(), clocks.last.tolist(), strict=True)):
        # The first model's gate was done before the round began.
        terms = [*clocks.gate[:, 1 : j + 1].T, clocks.dispatch[:, span]]
        _after(frame, "D6", clocks.sent[:, k], *terms)


def computed(frame: Frame) -> None:
    """D7: experts run after all gates, after those of the model before, and after their tokens."""
    clocks = frame.clocks
    for k in range(clocks.gate.shape[1]):
        before = [clocks.done[:, k - 1]] if k else list(clocks.gate[:, 1:].T)
        _after(frame, "D7", clocks.done[:, k], *before, clocks.compute[:, k])
        _after(frame, "D7", clocks.done[:, k], clocks.sent[:, k], clocks.compute[:, k])


def released(frame: Frame) -> None:
    """D8: a combine is released by its experts and by the last dispatch."""
    clocks = frame.clocks
    for k in range(clocks.gate.shape[1]):
        _after(frame, "D8", clocks.ready[:, k], clocks.done[:, k])
        _after(frame, "D8", clocks.ready[:, k], clocks.sent[:, -1])


def combined(frame: Frame) -> None:
    """D9: a combine ends after any earlier release and all combines from that one on."""
    clocks = frame.clocks
    for span, (j, k) in enumerate(zip(clocks.first.tolist(), clocks.last.tolist(), strict=True)):
        _after(frame, "D9", clocks.back[:, k], clocks.ready[:, j], clocks.combine[:, span])


def aggregated(frame: Frame) -> None:
    """D10: aggregations run after all experts, one after the other, and after their combine."""
    clocks = frame.clocks
    for k in range(clocks.gate.shape[1]):
        before = clocks.end[:, k - 1] if k else clocks.done[:, -1]
        for start in (before, clocks.back[:, k]):
            _after(frame, "D10", clocks.end[:, k], start, clocks.aggregation[:, k])


def whole_round(frame: Frame) -> None:
    """D11: the round ends with the first model's next gate; or with the aggregated dispatch."""
    clocks = frame.clocks
    total = np.full(len(clocks.dispatch), frame.total)
    if frame.problem.objective == "communication":
        _after(frame, "D11", total, clocks.dispatch[:, 0])
    else:
        _after(frame, "D11", total, clocks.end[:, -1], clocks.gate[:, 0])


def held_together(frame: Frame) -> None:
    """V1: a device that holds as many experts of a model as may be there holds it.

    With one expert of a model on a device this is D1 summed up over experts.
    """
    most = frame.problem.experts_per_device
    for holds, columns in zip(frame.holds, frame.place, strict=True):
        _at_least(frame, "V1", holds, columns.T, np.full(columns.T.shape, 1.0 / most))


def alone(frame: Frame) -> None:
    """V2: the round is no shorter than any expert alone would make it on its device."""
    layout, problem = frame.layout, frame.problem
    loads = expert_loads(layout, problem.experts_per_device, problem.num_experts)
    for m, columns in enumerate(frame.place):
        mine = Loads(*(_only(m, one)[:, : len(columns), None] for one in (
            loads.sent, loads.received, loads.tokens, loads.held)))  # fmt: skip
        seconds = parts_of(layout, mine, layout.speed, layout.port).value(problem.objective)
        total = np.full(len(columns), frame.total)
        _at_least(frame, "V2", total, columns, seconds / frame.unit_s)


def _only(m: int, one: FloatArray) -> FloatArray:
    mine = np.zeros_like(one)
    mine[m] = one[m]
    return mine


def _port_terms(
    frame: Frame, m: int, amount: FloatArray, carried: float
) -> tuple[IntArray, FloatArray]:
    """Return a model's columns at the clocks' devices, ``(pairs, terms)``, and their bytes."""
    device = frame.clocks.device
    first, second = frame.pairs[m].T
    traffic = frame.layout.traffic[m]
    inside = (traffic[first, second] + traffic[second, first]) * carried
    columns = np.concatenate([frame.place[m], frame.together[m]])[:, device].T
    return columns, np.concatenate([amount[: len(frame.place[m])], -inside])


def _at_least(
    frame: Frame, group: str, column: IntArray, terms: IntArray, value: FloatArray
) -> None:
    """Add rows ``column >= value @ terms``; `terms` and `value` have a row for each column."""
    row = np.arange(len(column))
    count = len(column)
    value = np.broadcast_to(value, terms.shape)
    rows = np.concatenate([row, np.repeat(row, terms.shape[1])])
    columns = np.concatenate([column, terms.ravel()])
    values = np.concatenate([np.ones(count), -value.ravel()])
    frame.builder.add_rows(group, rows, columns, values, lower=np.zeros(count))


def _after(frame: Frame, group: str, column: IntArray, *terms: IntArray) -> None:
    """Add rows ``column >= sum of terms``."""
    _at_least(frame, group, column, np.stack(terms, axis=1), np.ones((len(column), len(terms))))
