"""A policy over a stream of windows: what it serves with, what it moves, how long all takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from moeopt.core.arguments import number, whole
from moeopt.core.arrays import FloatArray, IntArray, require_finite_nonnegative
from moeopt.core.errors import InstanceError
from moeopt.placement.motion.costs import Costs, free_s, transfers


@dataclass(frozen=True, eq=False)
class World:
    """What a policy lives in.

    Attributes
    ----------
    costs
        Of batches and migrations.
    slots_per_device
        Slots of each device in each layer.
    batches_per_window
        Batches that are served with the routing of one window: a window is a sample of it.
    overlapped
        Whether a migration runs beside serving, else serving stops for it.
    batch_tokens
        Tokens of all experts of a layer in one batch: a window's loads are scaled to so many.
        ``None``: a batch has the window's loads as they are.
    """

    costs: Costs
    slots_per_device: int
    batches_per_window: int
    overlapped: bool
    batch_tokens: float | None = None

    def __post_init__(self) -> None:
        for name in ("slots_per_device", "batches_per_window"):
            if whole(name, getattr(self, name)) < 1:
                raise InstanceError(name, getattr(self, name), "must be >= 1", "raise it")
        tokens = self.batch_tokens
        if tokens is not None and not 0 < number("batch_tokens", tokens) < math.inf:
            raise InstanceError("batch_tokens", tokens, "must be a finite number > 0", "correct it")

    @property
    def num_slots(self) -> int:
        """Slots of each layer."""
        return self.slots_per_device * self.costs.num_devices

    def batch_loads(self, loads: FloatArray) -> FloatArray:
        """Return the loads of one batch of a window, of the shape of `loads`."""
        if self.batch_tokens is None:
            return loads
        total = loads.sum(axis=-1, keepdims=True)
        return np.asarray(loads * (self.batch_tokens / np.where(total > 0, total, 1.0)))

    def batch_s(self, loads: FloatArray, table: IntArray) -> float:
        """Return the seconds of one batch of a window with these loads, ``(layers, experts)``."""
        return self.costs.batch_s(self.batch_loads(loads), table, self.slots_per_device)

    def window_s(self, loads: FloatArray, table: IntArray) -> float:
        """Return the seconds of serving a window with these loads, ``(layers, experts)``."""
        return self.batches_per_window * self.batch_s(loads, table)

    def migration_s(self, old: IntArray, new: IntArray) -> float:
        """Return the seconds that the ports need to turn one plan into another."""
        return self.costs.migration_s(old, new, self.slots_per_device)


class Policy(Protocol):
    """Decides after each window whether to change the plan."""

    @property
    def name(self) -> str:
        """For tables."""

    def start(self, world: World, table: IntArray) -> None:
        """Begin a stream afresh.

        Parameters
        ----------
        world
            What is served and what it costs.
        table
            The plan in force, ``(layers, slots)``.
        """

    def observe(self, loads: FloatArray, table: IntArray) -> IntArray | None:
        """Take in one window, and return a new plan, or ``None`` to stay.

        Parameters
        ----------
        loads
            Tokens of each expert in the window that has just ended, ``(layers, experts)``.
        table
            The plan in force; one that is on its way, or waits for its turn, counts as done.
        """


@dataclass(frozen=True, eq=False)
class Run:
    """What a policy did over a stream.

    Attributes
    ----------
    name
        Of the policy.
    window_s
        Seconds of serving each window, shape ``(windows,)``.
    stopped_s
        Seconds that serving stopped for a migration before each window, shape ``(windows,)``;
        0 where migrations are overlapped.
    tables
        The plan at the start, and that of every migration that was begun, in order.
    used
        Which of `tables` is in force, or on its way, in each window, shape ``(windows,)``.
    moved_bytes
        Bytes copied to devices that lacked them.
    imbalance
        Of each window, shape ``(windows,)``: mean over layers of the largest device load over the
        mean, in the mean of its batches.
    """

    name: str
    window_s: FloatArray
    stopped_s: FloatArray
    tables: tuple[IntArray, ...]
    used: IntArray
    moved_bytes: float
    imbalance: FloatArray

    @property
    def serving_s(self) -> float:
        """Seconds of serving."""
        return float(self.window_s.sum())

    @property
    def migration_s(self) -> float:
        """Seconds that serving stopped for migrations."""
        return float(self.stopped_s.sum())

    @property
    def total_s(self) -> float:
        """Seconds of the whole stream: the score."""
        return self.serving_s + self.migration_s

    @property
    def replans(self) -> int:
        """Migrations that were begun."""
        return len(self.tables) - 1


class Meter:
    """What batches and migrations of a stream take, each worked out once.

    For who tries many policies on it: pass one to all runs in worlds of the same costs.

    Parameters
    ----------
    windows
        Tokens of each expert, shape ``(windows, layers, experts)``.
    world
        Its costs, slots and tokens of a batch are read.
    """

    def __init__(self, windows: FloatArray, world: World) -> None:
        check_windows(windows)
        #: Layers and experts.
        self.shape = windows.shape[1:]
        self._windows = windows
        self._world = world
        self._plans: dict[bytes, int] = {}
        self._batches: dict[tuple[int, int], tuple[float, float, float]] = {}
        self._moves: dict[tuple[int, int], tuple[float, int]] = {}

    def batch(self, window: int, table: IntArray) -> tuple[float, float, float]:
        """Return a batch's seconds, those with free ports, and its imbalance.

        Parameters
        ----------
        window
            Its number.
        table
            The plan in force.
        """
        key = window, self._number(table)
        if key not in self._batches:
            self._batches[key] = self._batch(self._windows[window], table)
        return self._batches[key]

    def migration(self, old: IntArray, new: IntArray) -> tuple[float, int]:
        """Return the seconds of ports from one plan to another, and the experts that are copied."""
        key = self._number(old), self._number(new)
        if key not in self._moves:
            copied = transfers(old, new, self._world.slots_per_device)
            self._moves[key] = self._world.migration_s(old, new), copied
        return self._moves[key]

    def _number(self, table: IntArray) -> int:
        return self._plans.setdefault(table.tobytes(), len(self._plans))

    def _batch(self, loads: FloatArray, table: IntArray) -> tuple[float, float, float]:
        world, costs = self._world, self._world.costs
        served = costs.served(world.batch_loads(loads), table, world.slots_per_device)
        time = costs.of_served(served)
        load = served / costs.relative_speed
        mean = served.sum(axis=-1) / costs.relative_speed.sum()
        ratio = np.divide(load.max(axis=-1), mean, out=np.ones_like(mean), where=mean > 0)
        return float(time.total_s.sum()), float(free_s(time).sum()), float(ratio.mean())


def simulate(
    windows: FloatArray,
    table: IntArray,
    policy: Policy,
    world: World,
    meter: Meter | None = None,
) -> Run:
    """Run a policy over a stream.

    After each window the policy sees its loads and may give a new plan. Blocking: serving stops
    for the migration's seconds, then the new plan serves the next window. Overlapped: the migration
    has the ports while no token travels (`free_s`), the old plan serves until all of it has
    arrived, the new one from the next batch on. A plan given while another is on its way waits for
    the end of the window in which that one arrives; one given later takes its place. What planning
    itself takes is not counted: it runs beside serving.

    Parameters
    ----------
    windows
        Tokens of each expert, shape ``(windows, layers, experts)``.
    table
        The plan in force at the start, ``(layers, slots)``.
    policy
        Is started afresh.
    world
        What is served and what it costs.
    meter
        Of these windows and costs, if other runs share it.

    Raises
    ------
    InstanceError
        If the shapes do not fit, or a plan leaves an expert out.
    """
    check_windows(windows)
    server = Server(world, table, meter or Meter(windows, world))
    policy.start(world, table)
    wanted = table
    for loads in windows:
        server.serve(wanted)
        new = policy.observe(loads, wanted)
        wanted = wanted if new is None else new
    return server.run(policy.name)


def replay(
    windows: FloatArray,
    table: IntArray,
    plans: Sequence[IntArray],
    world: World,
    name: str,
    meter: Meter | None = None,
) -> Run:
    """Run a stream whose plans are known beforehand.

    Parameters
    ----------
    windows, table, world, meter
        As for `simulate`.
    plans
        The plan wanted from each window on, one for each window.
    name
        For tables.
    """
    check_windows(windows)
    if len(plans) != len(windows):
        rule = f"must be one for each of the {len(windows)} windows"
        raise InstanceError("plans", f"<{len(plans)} plans>", rule, "repeat a plan that stays")
    server = Server(world, table, meter or Meter(windows, world))
    for wanted in plans:
        server.serve(wanted)
    return server.run(name)


class Server:
    """Serves one window after the other, each under the plan wanted from it on.

    Parameters
    ----------
    world
        What is served and what it costs.
    table
        The plan in force at the start.
    meter
        Of the windows, and of the world's costs.
    """

    def __init__(self, world: World, table: IntArray, meter: Meter) -> None:
        self._world = world
        self._meter = meter
        self._table = self._checked(table)
        #: What is on its way, and the seconds of free ports that it still needs.
        self._coming: IntArray | None = None
        self._left_s = 0.0
        self._tables = [table]
        self._windows: list[tuple[float, float, int, float]] = []
        self._moved = 0

    def serve(self, wanted: IntArray) -> None:
        """Serve the next window.

        Parameters
        ----------
        wanted
            The plan that is to serve it; its migration begins now, unless one is on its way.
        """
        stopped_s = 0.0
        if self._coming is None and not np.array_equal(wanted, self._table):
            stopped_s = self._begin(self._checked(wanted))
        batches, window = self._world.batches_per_window, len(self._windows)
        batch_s, ports_s, imbalance = self._meter.batch(window, self._table)
        if self._coming is not None:
            old = batches_until(self._left_s, ports_s)
            if old <= batches:
                self._table, self._coming = self._coming, None
                new_s, _, new_imbalance = self._meter.batch(window, self._table)
                share = old / batches
                batch_s = share * batch_s + (1.0 - share) * new_s
                imbalance = share * imbalance + (1.0 - share) * new_imbalance
            else:
                self._left_s -= batches * ports_s
        used = len(self._tables) - 1
        self._windows.append((batches * batch_s, stopped_s, used, imbalance))

    def run(self, name: str) -> Run:
        """Return what has been done so far, under a name."""
        window_s, stopped_s, used, imbalance = map(np.array, zip(*self._windows, strict=True))
        return Run(
            name=name,
            window_s=window_s,
            stopped_s=stopped_s,
            tables=tuple(self._tables),
            used=used,
            moved_bytes=self._moved * self._world.costs.expert_bytes,
            imbalance=imbalance,
        )

    def _begin(self, wanted: IntArray) -> float:
        """Begin a migration, and return the seconds that serving stops for it."""
        seconds, copied = self._meter.migration(self._table, wanted)
        self._moved += copied
        self._tables.append(wanted)
        if self._world.overlapped and seconds > 0:
            self._coming, self._left_s = wanted, seconds
            return 0.0
        self._table = wanted
        return seconds

    def _checked(self, table: IntArray) -> IntArray:
        """Return the plan if it can serve."""
        layers, experts = self._meter.shape
        shape = (layers, self._world.num_slots)
        if np.shape(table) != shape:
            raise InstanceError(
                "table",
                f"<shape {np.shape(table)}>",
                f"must have shape {shape}",
                "correct the plan",
            )
        if table.dtype.kind not in "iu" or table.min() < -1 or table.max() >= experts:
            rule = f"must be whole numbers from -1 to {experts - 1}"
            raise InstanceError("table", "<experts>", rule, "correct the plan")
        index = np.arange(layers)[:, None] * experts + table
        copies = np.bincount(index[table >= 0], minlength=layers * experts)
        if copies.min() == 0:
            layer, expert = divmod(int(np.argmin(copies)), experts)
            rule = f"must have a copy of expert {expert}"
            raise InstanceError(f"table[{layer}]", "<slots>", rule, "place every expert")
        return table


def batches_until(left_s: float, ports_s: float) -> float:
    """Return the batches after which a migration has arrived; infinite if ports are never free.

    Parameters
    ----------
    left_s
        Seconds of free ports that it still needs.
    ports_s
        Seconds of each batch in which they are free.
    """
    return math.ceil(left_s / ports_s) if ports_s > 0 else math.inf


def check_windows(windows: FloatArray) -> None:
    """Raise `InstanceError` unless these are loads of windows."""
    if not isinstance(windows, np.ndarray) or windows.ndim != 3 or 0 in windows.shape:
        raise InstanceError(
            "windows",
            f"<shape {getattr(windows, 'shape', 'unknown')}>",
            "must have shape (windows, layers, experts)",
            "add the missing axis",
        )
    require_finite_nonnegative(windows, "windows")
