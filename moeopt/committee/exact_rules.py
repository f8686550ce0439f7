"""The rules of ``formulations/committee.md`` as rows, in the tight and in the plain form."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from moeopt.committee.exact_frame import Frame
from moeopt.committee.knapsack_ready import magnitude
from moeopt.committee.loss import swaps_of
from moeopt.committee.plan import TOLERANCE
from moeopt.core.arrays import FloatArray, IntArray


def add_rules(frame: Frame) -> None:
    """Add all families of the frame's form."""
    memory(frame)
    latency(frame)
    link(frame)
    slots(frame)
    committees(frame)
    updates(frame)
    period(frame)
    one_choice(frame)
    served(frame)
    by_residents(frame)
    prefixes(frame)


def memory(frame: Frame) -> None:
    """C1: slots take no more than the room that the budget leaves them."""
    size = frame.problem.slot_bytes()
    unit = unit_of(size)
    room = frame.problem.room_bytes() // unit
    frame.builder.add_rows("C1", np.zeros(size.size, int), frame.slots, size / unit, upper=[room])


def latency(frame: Frame) -> None:
    """C2: slots take no more seconds than the stated latency leaves them."""
    problem = frame.problem
    if problem.latency_s is None:
        return
    slot_s = problem.by_layer(problem.slot_s)
    unit = magnitude(slot_s)
    left = (problem.latency_s * (1 + TOLERANCE) - problem.base_s) / unit
    frame.builder.add_rows(
        "C2", np.zeros(slot_s.size, int), frame.slots, slot_s / unit, upper=[left]
    )


def link(frame: Frame) -> None:
    """C3: the link carries the loads of each update within a period."""
    if frame.problem.link_bytes_per_s is None:
        return
    # Beyond all experts nothing is loaded, and huge coefficients only round.
    most_bytes = float(frame.problem.sizes_bytes().sum()) * frame.problem.experts
    carried = np.minimum([frame.problem.load_bytes(p) for p in frame.periods.tolist()], most_bytes)
    columns, value, most = (_swapped if frame.choice.size else _loaded)(frame, carried)
    rows = np.arange(len(columns))
    if frame.tight:
        upper = np.full(rows.size, most[0])
        frame.builder.add_rows("C3", rows[:, None], columns, value, upper=upper)
        return
    frame.builder.add_rows(
        "C3", rows[:, None], np.column_stack((columns, np.tile(frame.chosen, (rows.size, 1)))),
        np.append(value, -most), upper=np.zeros(rows.size),
    )  # fmt: skip


def slots(frame: Frame) -> None:
    """C4: no layer has fewer or more slots than stated."""
    if frame.tight:
        return
    problem = frame.problem
    frame.builder.add_rows(
        "C4", np.arange(problem.layers), frame.slots, 1.0, lower=problem.fewest(),
        upper=problem.most(),
    )  # fmt: skip


def committees(frame: Frame) -> None:
    """C5: who is there was there or is loaded, who is dropped was there, and all have a slot."""
    there, load = frame.there, frame.load
    if not there.size:
        return
    times, layers, _ = there.shape
    row = np.arange(times * layers).reshape(times, layers)
    frame.builder.add_rows(
        "C5", np.append(np.repeat(row, there.shape[2]), row),
        np.append(there, np.broadcast_to(frame.slots, row.shape)),
        np.append(np.ones(there.size), -np.ones(row.size)), upper=np.zeros(row.size),
    )  # fmt: skip
    if frame.tight:
        if (load[1:] >= 0).all():
            _add(frame, "C5", [there[1:], there[:-1], load[1:]], [1, -1, -1], upper=0.0)
        return
    drop = frame.drop
    _add(frame, "C5", [there[:1], load[:1]], [1, -1], lower=0.0, upper=0.0)
    _add(frame, "C5", [drop[:1]], [1], upper=0.0)
    _add(
        frame, "C5", [there[1:], there[:-1], load[1:], drop[1:]], [1, -1, -1, 1], lower=0.0,
        upper=0.0,
    )  # fmt: skip
    _add(frame, "C5", [load[1:], there[:-1]], [1, 1], upper=1.0)
    _add(frame, "C5", [drop[1:], there[:-1]], [1, -1], upper=0.0)


def updates(frame: Frame) -> None:
    """C6: residents change only before windows that are a multiple of the period."""
    for t in range(1, len(frame.drop)):
        changes = np.append(frame.load[t], frame.drop[t])
        open_to = frame.chosen[t % frame.periods == 0]
        rows = np.arange(changes.size)
        frame.builder.add_rows(
            "C6", rows[:, None],
            np.column_stack((changes, np.tile(open_to, (rows.size, 1)))),
            np.append(1.0, -np.ones(open_to.size)), upper=np.zeros(rows.size),
        )  # fmt: skip


def period(frame: Frame) -> None:
    """C7: the period is one of those stated."""
    if frame.tight:
        return
    stated = np.isin(frame.periods, frame.problem.choices())
    rows = np.arange(frame.chosen.size)
    frame.builder.add_rows("C7", rows, frame.chosen, 1.0, upper=np.where(stated, 1.0, 0.0))


def one_choice(frame: Frame) -> None:
    """D1: the plan has one period, and with a table each layer one number of slots in it."""
    if not frame.tight:
        rows = np.zeros(frame.chosen.size, int)
        frame.builder.add_rows("D1", rows, frame.chosen, 1.0, lower=[1], upper=[1])
    if not frame.choice.size:
        return
    periods, layers, numbers = frame.choice.shape
    pairs = periods * layers
    row = np.repeat(np.arange(pairs), numbers)
    if frame.tight:
        frame.builder.add_rows("D1", row, frame.choice.ravel(), 1.0, lower=1, upper=1, count=pairs)
    else:
        frame.builder.add_rows(
            "D1", np.append(row, np.arange(pairs)),
            np.append(frame.choice, np.repeat(frame.chosen, layers)),
            np.append(np.ones(row.size), -np.ones(pairs)), lower=0, upper=0, count=pairs,
        )  # fmt: skip
    layer = np.arange(layers)
    frame.builder.add_rows(
        "D1",
        np.append(np.broadcast_to(layer[:, None], frame.choice.shape), layer),
        np.append(frame.choice, frame.slots),
        np.append(np.broadcast_to(np.arange(numbers), frame.choice.shape), -np.ones(layers)),
        lower=np.zeros(layers), upper=np.zeros(layers),
    )  # fmt: skip


def served(frame: Frame) -> None:
    """D2: no more than the stated number of experts serve a token."""
    if frame.serves.size:
        pairs = frame.serves.reshape(-1, frame.problem.experts)
        rows = np.arange(len(pairs))
        top_k = frame.problem.top_k
        frame.builder.add_rows("D2", rows[:, None], pairs, 1.0, upper=top_k, count=rows.size)


def by_residents(frame: Frame) -> None:
    """D3: experts that serve a token are there."""
    if frame.serves.size:
        spans = frame.problem.token_windows()
        window = np.repeat(np.arange(len(spans)), [span.stop - span.start for span in spans])
        _add(frame, "D3", [frame.serves, frame.there[window]], [1, -1], upper=0.0)


def prefixes(frame: Frame) -> None:
    """D4: of a prefix serve those of a shorter one, and residents by which it is longer."""
    found = frame.prefixes
    if found is None:
        return
    longer = np.flatnonzero(found.parent >= 0)
    frame.builder.add_rows(
        "D4", np.concatenate((np.arange(frame.served.size), longer, found.prefix)),
        np.concatenate((frame.served, frame.served[found.parent[longer]],
                        frame.there.ravel()[found.expert])),
        np.concatenate((np.ones(frame.served.size), -np.ones(longer.size + found.prefix.size))),
        upper=np.zeros(frame.served.size),
    )  # fmt: skip


def _loaded(frame: Frame, carried: FloatArray) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return the columns of each update's loads, their sizes, and what a period carries of them.

    Loads are of whole experts: what is over a whole number of units carries nothing.
    """
    size = frame.problem.sizes_bytes()
    unit = unit_of(size)
    value = np.repeat(size / unit, frame.problem.experts)
    times = frame.load[1 if frame.problem.free_fill else 0 :]
    if (times < 0).any():
        times = times[:0]
    return times.reshape(len(times), value.size), value, carried * (1 + TOLERANCE) // unit


def _swapped(frame: Frame, carried: FloatArray) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return the same of a table, in which an update is one of each layer's entries."""
    stated = [swaps_of(frame.problem, p) for p in frame.periods.tolist()]
    swaps = np.stack([table for table in stated if table is not None])
    used = (frame.problem.sizes_bytes()[:, None] * swaps).ravel()
    unit = magnitude(used)
    return frame.choice.reshape(1, used.size), used / unit, carried * (1 + TOLERANCE) / unit


def unit_of(sizes: FloatArray) -> float:
    """Return the largest number of bytes in which sizes are whole: tolerances are absolute."""
    return float(np.gcd.reduce(sizes.astype(np.int64)))


def _add(
    frame: Frame, group: str, blocks: list[npt.NDArray[np.int64]], signs: list[int], *,
    lower: float = -np.inf, upper: float,
) -> None:  # fmt: skip
    """Add a row for each cell of some blocks of columns of one shape."""
    columns = np.column_stack([block.ravel() for block in blocks])
    rows = np.arange(len(columns))
    frame.builder.add_rows(
        group, rows[:, None], columns, np.array(signs, dtype=np.float64), lower=lower, upper=upper,
        count=rows.size,
    )  # fmt: skip
