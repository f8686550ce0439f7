"""What others do with a plan in motion: nothing, EPLB every so often, FlashLB's hysteresis."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from moeopt.core.arguments import whole
from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.placement import balance
from moeopt.placement.motion.simulate import World
from moeopt.placement.relabel import renumbered

#: Makes a plan, ``(layers, slots)``, of loads, ``(layers, experts)``: slots and devices follow.
Planner = Callable[[FloatArray, int, int], IntArray]


def eplb(loads: FloatArray, slots: int, devices: int) -> IntArray:
    """Plan as vLLM's default policy does: EPLB, without groups.

    Parameters
    ----------
    loads
        Tokens of each expert, shape ``(layers, experts)``.
    slots
        Physical slots of each layer.
    devices
        Devices that share them equally.
    """
    return balance.eplb(balance.uniform_blocks(loads, slots, devices)).table


class Never:
    """Keeps the plan that it starts with."""

    name = "never"

    def start(self, world: World, table: IntArray) -> None:
        """Begin a stream: there is nothing to remember."""

    def observe(self, loads: FloatArray, table: IntArray) -> IntArray | None:
        """Stay."""
        return None


class Periodic:
    """Replans every so many windows, as vLLM does.

    vLLM's ``EplbState`` sums the loads of the last ``window_size`` steps and gives them to its
    policy every ``step_interval`` steps, the first time after a quarter of them; every layer takes
    the new plan. The slots of a rank, whose order vLLM keeps where it can, cost nothing in any
    order here.

    Parameters
    ----------
    period
        Windows from one plan to the next.
    over
        Windows that are summed; as many as `period` if left out.
    planner
        What makes the plan of the sum.
    """

    def __init__(self, period: int, over: int | None = None, planner: Planner = eplb) -> None:
        self._period = _at_least_one("period", period)
        self._over = _at_least_one("over", period if over is None else over)
        self._planner = planner
        self.name = f"every {self._period} over {self._over}"

    def start(self, world: World, table: IntArray) -> None:
        """Begin a stream: forget all windows."""
        self._world = world
        self._recent: deque[FloatArray] = deque(maxlen=self._over)
        self._since = self._period - self._period // 4

    def observe(self, loads: FloatArray, table: IntArray) -> IntArray | None:
        """Take in a window; at the end of a period plan anew."""
        self._recent.append(loads)
        self._since += 1
        if self._since < self._period:
            return None
        self._since = 0
        total = np.sum(self._recent, axis=0)
        return self._planner(total, self._world.num_slots, self._world.costs.num_devices)


class Hysteresis:
    """Replans layers that have become uneven, and takes what is better: after FlashLB.

    Taken over from vllm-ascend's FlashLB: a layer is planned anew the first time, and when its
    mean over maximum load, averaged over the remembered windows, is below 0.9 or below 0.85 of
    what it was when its plan was made; the new plan's devices are matched to the old one's so that
    most experts stay (Hungarian method); it is taken only if it is better on the remembered
    windows. Not taken over: its tree search over replica counts with a risk term of covariances,
    in whose place stands moeopt's fast search on the sum (distinct experts on a device, as there,
    where they fill it).

    Parameters
    ----------
    over
        Windows that are remembered.
    ratio, value
        Its two thresholds.
    """

    def __init__(self, over: int, *, ratio: float = 0.85, value: float = 0.9) -> None:
        self._over = _at_least_one("over", over)
        self._ratio, self._value = ratio, value
        self.name = f"hysteresis over {over}"

    def start(self, world: World, table: IntArray) -> None:
        """Begin a stream: forget all windows and plans."""
        self._world = world
        self._recent: deque[FloatArray] = deque(maxlen=self._over)
        # Every layer is uneven until it has been planned.
        self._when_planned = np.full(len(table), np.inf)

    def observe(self, loads: FloatArray, table: IntArray) -> IntArray | None:
        """Take in a window; plan the layers anew that have become uneven."""
        self._recent.append(loads)
        windows = np.stack(self._recent)
        now = self._evenness(windows, table)
        uneven = (now < self._ratio * self._when_planned) | (now < self._value)
        if not uneven.any():
            return None
        world = self._world
        slots, devices = world.num_slots, world.costs.num_devices
        total = np.ascontiguousarray(windows.sum(axis=0)[uneven])
        per_device = 1 if world.slots_per_device <= total.shape[1] else 0
        blocks = balance.uniform_blocks(total, slots, devices, per_device=per_device)
        new = table.copy()
        new[uneven] = renumbered(balance.fast(blocks).table, table[uneven], devices)
        then = self._evenness(windows, new)
        taken: BoolArray = uneven & (then > now)
        self._when_planned[taken] = then[taken]
        return np.where(taken[:, None], new, table) if taken.any() else None

    def _evenness(self, windows: FloatArray, table: IntArray) -> FloatArray:
        """Return each layer's mean over maximum load, ``(layers,)``.

        It is one over the mean of the windows' ratios of maximum to mean.
        """
        served = self._world.costs.served(windows, table, self._world.slots_per_device)
        mean = served.mean(axis=-1)
        ratio = np.divide(served.max(axis=-1), mean, out=np.ones_like(mean), where=mean > 0)
        return np.asarray(1.0 / ratio.mean(axis=0))


def _at_least_one(name: str, value: int) -> int:
    if whole(name, value) < 1:
        raise InstanceError(name, value, "must be >= 1", "raise it")
    return value
