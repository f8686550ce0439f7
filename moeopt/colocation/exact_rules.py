"""The rules of ``formulations/colocation.md`` as rows: who may sit where."""

from __future__ import annotations

import numpy as np

from moeopt.colocation.exact_model import Frame, order_weights
from moeopt.colocation.weights import device_classes


def add_rules(frame: Frame) -> None:
    """Add the families C, D1, D2 and S."""
    one_device(frame)
    places(frame)
    memory(frame)
    pinned(frame)
    holding(frame)
    both_there(frame)
    if frame.tighten:
        order_devices(frame)


def one_device(frame: Frame) -> None:
    """C1: every expert sits on one device."""
    for columns in frame.place:
        row = np.arange(len(columns))[:, None]
        frame.builder.add_rows("C1", row, columns, 1.0, lower=1, upper=1, count=len(columns))


def places(frame: Frame) -> None:
    """C2: a device holds at most so many experts of a model."""
    most = frame.problem.experts_per_device
    for columns in frame.place:
        devices = columns.shape[1]
        if frame.tighten and len(columns) <= most:
            continue
        frame.builder.add_rows("C2", np.arange(devices), columns, 1.0, upper=most, count=devices)


def memory(frame: Frame, slack: int | None = None) -> None:
    """C3: the experts of a device fit into its memory, in multiples of the largest expert.

    Parameters
    ----------
    frame
        The model.
    slack
        A column by which every device's memory may be exceeded.
    """
    size, budget = frame.layout.size, frame.layout.budget
    unit = size.max()
    devices = np.flatnonzero(np.isfinite(budget))
    if frame.tighten:
        most = size @ np.minimum(frame.layout.count, frame.problem.experts_per_device)
        devices = np.flatnonzero(budget < most)
    if unit == 0 or not devices.size:
        return
    row = np.arange(devices.size)
    column = [columns[:, devices] for columns in frame.place]
    value = [np.full(part.shape, one / unit) for part, one in zip(column, size, strict=True)]
    if slack is not None:
        column.append(np.full((1, devices.size), slack))
        value.append(np.full((1, devices.size), -1.0))
    joined = np.concatenate(column)
    frame.builder.add_rows(
        "C3", np.broadcast_to(row, joined.shape), joined, np.concatenate(value),
        upper=budget[devices] / unit,
    )  # fmt: skip


def pinned(frame: Frame) -> None:
    """C4: a pinned expert sits on its device."""
    pins = sorted({(pin.model, pin.expert, pin.device) for pin in frame.problem.pinned})
    if not pins or frame.tighten:
        return
    columns = [frame.place[m][e, g] for m, e, g in pins]
    frame.builder.add_rows("C4", np.arange(len(pins)), columns, 1.0, lower=np.ones(len(pins)))


def holding(frame: Frame) -> None:
    """D1: a device that has an expert of a model holds experts of it."""
    if not frame.holds.size:
        return
    for holds, columns in zip(frame.holds, frame.place, strict=True):
        row = np.arange(columns.size).reshape(columns.shape)
        held = np.broadcast_to(holds, columns.shape)
        frame.builder.add_rows(
            "D1", np.stack([row, row]), np.stack([held, columns]),
            np.array([1.0, -1.0])[:, None, None], lower=np.zeros(columns.size),
        )  # fmt: skip


def both_there(frame: Frame) -> None:
    """D2: two experts are together on a device only if each is there."""
    for pairs, together, columns in zip(frame.pairs, frame.together, frame.place, strict=True):
        row = np.arange(together.size).reshape(together.shape)
        for end in pairs.T:
            if together.size:
                frame.builder.add_rows(
                    "D2", np.stack([row, row]), np.stack([together, columns[end]]),
                    np.array([1.0, -1.0])[:, None, None], upper=np.zeros(together.size),
                )  # fmt: skip


def order_devices(frame: Frame) -> None:
    """S1: of two interchangeable devices the first has the first model's earlier experts.

    Every plan can be renumbered so: devices that nothing tells apart change places.
    """
    columns = frame.place[0]
    weight = order_weights(len(columns))[:, None]
    for kind in device_classes(frame.layout):
        first, then = kind.devices[:-1], kind.devices[1:]
        if first.size:
            row = np.broadcast_to(np.arange(first.size), (2, len(columns), first.size))
            frame.builder.add_rows(
                "S1", row, np.stack([columns[:, first], columns[:, then]]),
                np.stack([weight, -weight]), lower=np.zeros(first.size),
            )  # fmt: skip
