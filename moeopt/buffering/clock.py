"""A plan in time: what its transfers make the device wait.

One device runs the groups one after the other, one link brings experts from the host. The model,
and where it is kind to the plan:

- A group begins when the one before has ended; then its gate speaks, and its loads are asked for
  in the plan's order. With `lookahead_groups` a load that is predicted is asked for that many
  groups earlier, after the loads of the group that begins then; before the first group nobody
  predicts. A wrong prediction asks for an expert that nobody needs, and the right one waits for its
  gate.
- The link begins transfers in the order in which they were asked for, each after the latency, at
  most `parallel_transfers` at once, and these share its rate equally. None is given up, none
  overtakes another.
- A group's `compute_s` is divided equally over the references that the device serves, and these run
  in the plan's order, each when those before it have run and its expert has arrived. So experts
  that are there first, as a plan with `any_order` may have them, hide more of the transfers.
- What is bypassed is served by the host, one after the other, from the gate on and beside the
  device: the group ends when both have ended, and its time is the longer of the two, as in
  KTransformers and Fiddler. A group waits for a load only if it has a reference to it.
- A transfer may begin before its slot is free. `Stall.peak_staged` says how many experts need room
  of their own for that, beside the cache: none if nothing is predicted and no group drops what it
  has run itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeopt.buffering._kernels_clock import ASKED, FORESEEN, FREE, MISSED, run_clock
from moeopt.buffering.plan import BufferingPlan
from moeopt.buffering.problem import BufferingProblem, Timing
from moeopt.core.arrays import FloatArray, IntArray, read_only
from moeopt.core.errors import InstanceError


@dataclass(frozen=True)
class Stall:
    """Where the time of a plan goes: ``total_s = compute_s + host_s + stall_s``.

    Attributes
    ----------
    total_s
        From the first gate to the end of the last group.
    compute_s
        Computation of the device.
    host_s
        Waiting for the host beyond that.
    stall_s
        Waiting for transfers beyond both.
    stall_by_layer_s
        The same by layer, ``(layers,)``.
    transfers
        Transfers that were asked for, wasted ones included.
    wasted_transfers
        Those of wrong predictions.
    link_busy_s
        Seconds until `total_s` in which something was transferred.
    peak_staged
        Most experts at once that were transferred or there before their slot was free.
    """

    total_s: float
    compute_s: float
    host_s: float
    stall_s: float
    stall_by_layer_s: FloatArray
    transfers: int
    wasted_transfers: int
    link_busy_s: float
    peak_staged: int


def stall(problem: BufferingProblem, plan: BufferingPlan) -> Stall:
    """Return what the transfers of a valid plan make the device wait.

    Parameters
    ----------
    problem
        With `timing`. Transfers take its `load_s` alone on the link, or their bytes over the rate.
    plan
        A plan that keeps C1 to C8.

    Raises
    ------
    InstanceError
        If the problem has no `timing`.
    """
    timing = problem.timing
    if timing is None:
        raise InstanceError(
            "$.timing", None, "must be stated", "give the link's rate and the seconds of a pass"
        )
    order = np.arange(problem.num_references) if plan.order is None else plan.order
    bypass = problem.serve == "bypass"
    load_group = plan.load_at if bypass else problem.group_of()[plan.load_at]
    fate, wrong = _predicted(problem, plan, load_group, timing)
    compute = np.broadcast_to(np.asarray(timing.compute_s, np.float64), (problem.layers,))
    room = plan.load_item.size + int((fate == MISSED).sum())
    waits, busy = np.zeros(problem.layers), np.zeros(3)
    begun, ended, release = np.empty(room), np.empty(room), np.empty(room)
    transfers, wasted = run_clock(
        problem.layers,
        problem.starts,
        problem.item_of()[order],
        np.searchsorted(load_group, np.arange(problem.num_groups + 1)),
        plan.load_item,
        fate,
        wrong,
        np.searchsorted(
            plan.drop_at, np.arange((problem.num_groups if bypass else order.size) + 1)
        ),
        plan.drop_item,
        problem.pinned_mask().ravel(),
        bypass,
        transfer_seconds(problem, timing).ravel(),
        read_only(compute),
        _host_seconds(problem, order),
        timing.lookahead_groups,
        timing.link_latency_s,
        timing.parallel_transfers,
        waits,
        busy,
        begun,
        ended,
        release,
    )
    return Stall(
        total_s=float(busy[0]),
        compute_s=float(compute.sum()) * problem.num_steps,
        host_s=float(busy[2]),
        stall_s=float(waits.sum()),
        stall_by_layer_s=waits,
        transfers=int(transfers),
        wasted_transfers=int(wasted),
        link_busy_s=float(busy[1]),
        peak_staged=_peak(begun[:transfers], release[:transfers]),
    )


def transfer_seconds(problem: BufferingProblem, timing: Timing) -> FloatArray:
    """Return the seconds of each expert's transfer alone on the link, ``(layers, experts)``."""
    if problem.load_s is None:
        return problem.sizes_bytes() / timing.link_bytes_per_s
    return _by_expert(problem, problem.load_s)


def _host_seconds(problem: BufferingProblem, order: IntArray) -> FloatArray:
    """Return what each reference takes on the host, in the order in which they run."""
    if problem.serve == "load" or problem.miss_s is None:
        return np.zeros(order.size)
    seconds = _by_expert(problem, problem.miss_s).ravel()[problem.item_of()]
    if problem.weights is not None:
        seconds = seconds * problem.weights
    return seconds[order]


def _by_expert(problem: BufferingProblem, value: object) -> FloatArray:
    """Return one number, one for each layer, or a full table as ``(layers, experts)``."""
    array = np.asarray(value, dtype=np.float64)
    column = array[:, None] if array.ndim == 1 else array
    return np.broadcast_to(column, (problem.layers, problem.experts))


def _predicted(
    problem: BufferingProblem, plan: BufferingPlan, group: IntArray, timing: Timing
) -> tuple[IntArray, IntArray]:
    """Return what becomes of each load, and the item that a wrong prediction asks for, or -1."""
    rng = np.random.default_rng(timing.seed)
    chance, other = rng.random(group.size), rng.random(group.size)
    right = chance < timing.lookahead_accuracy
    early = (timing.lookahead_groups > 0) & (group >= timing.lookahead_groups)
    fate = np.where(early, np.where(right, FORESEEN, MISSED), ASKED)
    if problem.free_fill:
        fate[group < (1 if problem.pooled else problem.layers)] = FREE
    experts = problem.experts
    if experts == 1:
        return fate, np.full(group.size, -1)
    layer, expert = np.divmod(plan.load_item, experts)
    further = 1 + np.floor(other * (experts - 1)).astype(np.int64)
    return fate, layer * experts + (expert + further) % experts


def _peak(begun: FloatArray, release: FloatArray) -> int:
    """Return the most transfers at once that had begun and whose slot was not yet free."""
    early = begun < release
    times = np.concatenate([release[early], begun[early]])
    change = np.repeat([-1, 1], int(early.sum()))
    # What leaves at a time leaves before what comes then.
    rising = np.argsort(times, kind="stable")
    return int(np.cumsum(change[rising]).max(initial=0))
