"""The cheapest way through windows and candidate plans: a dynamic programme, exact.

Seconds between two plans take a while to compute, and most pairs are never used. The programme is
solved with bounds in their place; the pairs on the way that it finds are then computed, and it is
solved again, until every pair on the way is known: no other way can be cheaper.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.placement.motion.costs import held


@dataclass(frozen=True, eq=False)
class Serving:
    """What it takes to serve each window under each plan.

    Attributes
    ----------
    batch_s
        Seconds of a batch, shape ``(windows, plans)``.
    ports_s
        Seconds of it in which ports are free for a migration, shape ``(windows, plans)``.
    batches
        Batches of each window.
    """

    batch_s: FloatArray
    ports_s: FloatArray
    batches: int


@dataclass(frozen=True, eq=False)
class Between:
    """Seconds of the migrations between plans, as far as they are known.

    Attributes
    ----------
    least, most
        Bounds, shape ``(plans, plans)``, from row to column; equal where known.
    seconds
        Computes a pair.
    """

    least: FloatArray
    most: FloatArray
    seconds: Callable[[int, int], float]

    def learn(self, pairs: list[tuple[int, int]]) -> bool:
        """Compute those of these pairs that are not known; tell whether there were any."""
        unknown = [pair for pair in pairs if self.least[pair] < self.most[pair]]
        for pair in unknown:
            self.least[pair] = self.most[pair] = self.seconds(*pair)
        return bool(unknown)


#: A way: the plan that is in force or on its way in each window.
Path = list[int]


def best_path(serving: Serving, between: Between, *, overlapped: bool) -> Path:
    """Return the cheapest way from plan 0 through all windows.

    Parameters
    ----------
    serving
        Of each window under each plan.
    between
        Of each pair of plans; what is computed is kept there.
    overlapped
        Whether a migration runs beside serving, as `simulate` says.
    """
    find = _overlapped if overlapped else _blocking
    while True:
        path = find(serving, between)
        steps = [step for step in zip([0, *path], path, strict=False) if step[0] != step[1]]
        if not between.learn(steps):
            return path


def bounds_between(tables: IntArray, slots_per_device: int) -> tuple[FloatArray, FloatArray]:
    """Return bounds on the makespan between plans, in experts, each ``(plans, plans)``.

    A layer's makespan is what its busiest port has to do. That is at least what the device that
    receives most receives. At most it is that, or all that a device might be asked for: every
    expert that it holds, to every device that lacks it.

    Parameters
    ----------
    tables
        Expert in each slot, shape ``(plans, layers, slots)``.
    slots_per_device
        Slots of each device.
    """
    plans, layers, _ = tables.shape
    experts = 1 + int(tables.max())
    least, most = np.zeros((2, plans, plans))
    for layer in range(layers):
        on = held(tables[:, layer], slots_per_device, experts).astype(np.float32)
        by_device, by_expert = on.swapaxes(0, 1), on.transpose(2, 0, 1)
        kept = by_device @ by_device.swapaxes(1, 2)
        received = (by_device.sum(axis=2)[:, None] - kept).max(axis=0)
        # Of each expert, from old to new: the devices that hold it now and did not.
        lacking = by_expert.sum(axis=2)[:, None] - by_expert @ by_expert.swapaxes(1, 2)
        asked = (on @ lacking.swapaxes(0, 1)).max(axis=1)
        least += received
        most += np.maximum(received, asked)
    return least, most


def _blocking(serving: Serving, between: Between) -> Path:
    """Return the cheapest way if serving stops for migrations, as far as their bounds tell."""
    serve = serving.batches * serving.batch_s
    came = np.zeros(serve.shape, dtype=np.int64)
    spent = between.least[0] + serve[0]
    # Rows are where ways lead to: numpy is quicker along rows.
    plans, towards = np.arange(serve.shape[1]), np.ascontiguousarray(between.least.T)
    for window in range(1, len(serve)):
        through = spent + towards
        came[window] = through.argmin(axis=1)
        spent = through[plans, came[window]] + serve[window]
    path = [int(spent.argmin())]
    for window in range(len(serve) - 1, 0, -1):
        path.append(int(came[window, path[-1]]))
    return path[::-1]


def _overlapped(serving: Serving, between: Between) -> Path:
    """Return the cheapest way if migrations run beside serving, as far as their bounds tell.

    A state is a window's beginning with a plan in force and none on its way. A migration that
    begins there leads to the end of the window in which it arrives; where only bounds are known,
    to the cheapest end that they allow. One that would not arrive is as good as none.
    """
    windows, plans = serving.batch_s.shape
    spent = np.full((windows + 1, plans), np.inf)
    spent[0, 0] = 0.0
    came = np.zeros((windows + 1, plans, 2), dtype=np.int64)
    for begun in range(windows):
        _migrate(begun, serving, between, spent, came)
    path: Path = []
    window, plan = windows, int(spent[-1].argmin())
    while window > 0:
        begun, before = came[window, plan].tolist()
        path += [plan] * (window - begun)
        window, plan = begun, before
    return path[::-1]


def _migrate(
    begun: int, serving: Serving, between: Between, spent: FloatArray, came: IntArray
) -> None:
    """Put all migrations that begin with a window into the states where they end."""
    batches = serving.batches
    # From the plans that can be in force at all.
    old = np.flatnonzero(np.isfinite(spent[begun]))
    least, most = between.least[old], between.most[old]
    so_far = spent[begun, old][:, None]
    under_way = np.ones(least.shape, dtype=np.bool_)
    for window in range(begun, len(serving.batch_s)):
        batch_s, ports_s = serving.batch_s[window], serving.ports_s[window, old][:, None]
        soonest = _batches_until(least, ports_s)
        ends = under_way & (soonest <= batches)
        if ends.any():
            latest = np.minimum(_batches_until(most, ports_s), batches)
            ways = [
                so_far + count * batch_s[old][:, None] + (batches - count) * batch_s
                for count in (np.minimum(soonest, batches), latest)
            ]
            cost = np.where(ends, np.minimum(*ways), np.inf)
            best = cost.argmin(axis=0)
            value = cost[best, np.arange(cost.shape[1])]
            better = value < spent[window + 1]
            spent[window + 1, better] = value[better]
            came[window + 1, better] = np.stack([np.full_like(best, begun), old[best]], 1)[better]
        under_way &= _batches_until(most, ports_s) > batches
        if not under_way.any():
            return
        so_far = so_far + batches * batch_s[old][:, None]
        least, most = least - batches * ports_s, most - batches * ports_s


def _batches_until(left_s: FloatArray, ports_s: FloatArray) -> FloatArray:
    """Return the batches until so much has been sent, at least 0; infinite if ports are busy."""
    batches = np.full(left_s.shape, np.inf)
    np.divide(left_s, ports_s, out=batches, where=ports_s > 0)
    batches[np.broadcast_to(ports_s <= 0, batches.shape) & (left_s <= 0)] = 0.0
    return np.asarray(np.maximum(np.ceil(batches), 0.0))
