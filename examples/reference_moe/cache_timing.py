"""What a link and a model take on this machine, and what the wing's clock makes of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

import msgspec
import numpy as np
import numpy.typing as npt
from cache_links import Link
from device_cache import DeviceCache
from scipy.optimize import nnls

from moeopt.buffering.clock import Stall, stall
from moeopt.buffering.plan import BufferingPlan
from moeopt.buffering.problem import BufferingProblem, Timing

Seconds = npt.NDArray[np.float64]

#: Seconds that transfers took, by how many were asked for together and the bytes of each.
Observed = dict[tuple[int, int], list[float]]


@dataclass(frozen=True)
class LinkTimes:
    """What transfers take: ``latency_s + transfers * (each_s + bytes / bytes_per_s)``.

    Attributes
    ----------
    latency_s
        From the request to the first byte, once for transfers that are asked for together.
    each_s
        Of every transfer, however small.
    bytes_per_s
        Rate of the rest.
    """

    latency_s: float
    each_s: float
    bytes_per_s: float

    def transfer_s(self, size: int) -> float:
        """Return the seconds that a transfer keeps the link.

        Parameters
        ----------
        size
            Its bytes.
        """
        return self.each_s + size / self.bytes_per_s


def fit(observed: Observed) -> LinkTimes:
    """Return the times that come closest to measured ones, in the mean and relative to these.

    Parameters
    ----------
    observed
        As `observe` returns them. If all are of one size, a transfer has no seconds of its own.
    """
    count, size = np.array(list(observed), np.float64).T
    took = np.array([fmean(seconds) for seconds in observed.values()])
    # Bytes in units of the mean, so that the columns are of one order.
    unit = float(size.mean())
    columns = np.stack([np.ones_like(count), count, count * size / unit], 1) / took[:, None]
    columns[:, 1] *= len(set(size)) > 1
    (latency, each, moved), _ = nnls(columns, np.ones_like(took))
    return LinkTimes(float(latency), float(each), unit / max(float(moved), 1e-12))


def observe(
    link: Link, copies: int, items: int, between: Callable[[], object], seed: int, repeats: int = 12
) -> Observed:
    """Time one to four transfers together, of several sizes.

    Parameters
    ----------
    link
        With four slots at least.
    copies
        Of each expert: what a transfer of the whole moves.
    items
        Experts that it holds.
    between
        What is computed before each, so that link, caches and clocks are as in a run.
    seed
        Of which experts are moved.
    repeats
        Times that each is done.

    Returns
    -------
    dict
        By transfers and bytes of each: the seconds that they took.
    """
    rng = np.random.default_rng(seed)
    found: Observed = {}
    for some in sorted({-(-copies // 4), -(-copies // 2), copies}):
        for together in (1, 2, 4):
            seconds = found.setdefault((together, link.moves(some)), [])
            for _ in range(repeats):
                # As scattered as in a run: what was written just now is faster to write again.
                slots = rng.choice(link.num_slots, together, replace=False).tolist()
                loads = list(zip(slots, rng.choice(items, together).tolist(), strict=True))
                between()
                link.finish()
                before = time.perf_counter()
                link.request(loads, some)
                for slot, _ in loads:
                    link.wait(slot)
                seconds.append(time.perf_counter() - before)
    return found


def passes(
    cache: DeviceCache, problem: BufferingProblem, begin: float, end: float
) -> tuple[Seconds, Seconds]:
    """Return what a pass of each layer takes before its first expert runs, and from then on.

    Both ``(layers,)``, in the mean over the steps; with everything resident. The experts of a pass
    take as long one as the other; what follows on the last belongs to the next pass.

    Parameters
    ----------
    cache
        What served a run that has ended.
    problem
        Whose references it served, two or more in each group.
    begin, end
        When the run began and ended.
    """
    begun = np.array(cache.begun)
    first, last = problem.starts[:-1], problem.starts[1:] - 1
    count = np.diff(problem.starts)
    experts = (begun[last] - begun[first]) * count / np.maximum(count - 1, 1)
    before = begun[first] - np.concatenate(([begin], begun[first[:-1]] + experts[:-1]))
    before[0] += end - begun[first[-1]] - experts[-1]
    shape = (problem.num_steps, problem.num_layers)
    return before.reshape(shape).mean(0), experts.reshape(shape).mean(0)


def predict(
    problem: BufferingProblem,
    plan: BufferingPlan,
    times: LinkTimes,
    expert_bytes: int,
    before_s: Seconds,
    beside_s: Seconds,
) -> Stall:
    """Return what the transfers of a plan make this machine wait.

    What comes before a layer's transfers are asked for, attention and gate, hides none of them. So
    it is stated as a layer of its own that asks for nothing.

    Parameters
    ----------
    problem, plan
        References and what the caches do.
    times
        Of the link.
    expert_bytes
        What each transfer moves.
    before_s, beside_s
        Seconds of computation of a pass of each layer, ``(layers,)``: that which hides no
        transfers, and that of its experts beside which they go on.
    """
    layers, experts = problem.num_layers, problem.num_experts

    def apart(items: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        layer, expert = np.divmod(items, experts)
        return (2 * layer + 1) * experts + expert

    doubled = BufferingProblem(
        layers=2 * layers,
        experts=experts,
        active=problem.active,
        starts=np.concatenate(
            ([0], np.stack([problem.starts[:-1], problem.starts[1:]], 1).ravel())
        ),
        load_s=times.transfer_s(expert_bytes),
        slots=np.repeat(plan.capacity, 2),
        timing=Timing(
            link_bytes_per_s=times.bytes_per_s,
            link_latency_s=times.latency_s,
            compute_s=np.stack([before_s, beside_s], 1).ravel(),
        ),
    )
    changed = msgspec.structs.replace(
        plan,
        capacity=np.repeat(plan.capacity, 2),
        load_item=apart(plan.load_item),
        drop_item=apart(plan.drop_item),
    )
    return stall(doubled, changed)
