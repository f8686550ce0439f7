"""What must hold of expert caches beside their methods: bounds, flows, replays, pins, the clock."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import msgspec
import numpy as np

from moeopt.bench.reliability.agreement_identities import Sentences, above, apart
from moeopt.buffering.bounds import bound, cache_bound
from moeopt.buffering.clock import stall
from moeopt.buffering.exact import is_flow
from moeopt.buffering.flow import flow_curve
from moeopt.buffering.online import LearnedCache
from moeopt.buffering.pins import pins_beside_cache
from moeopt.buffering.plan import BufferingPlan, evaluate
from moeopt.buffering.policies import POLICIES, Matching
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.replays import hints_of, matching_of, policy_plan, replay
from moeopt.buffering.stream import Stream, streams
from moeopt.testing.conformance import kit_for
from moeopt.testing.conformance.kit import Optimum

#: Seconds that bounds may take, and units of flow that they may send; few make them lower.
_LIMITS_S, _UNITS = (1e-9, 1e-4), (0, 1, 2)


def bounds_cut_short(problem: BufferingProblem, optimum: Optimum) -> Sentences:
    """Check that bounds with little time, or few units of flow, are not above the optimum."""
    found = [above(f"within {s} s", bound(problem, s), optimum) for s in _LIMITS_S]
    if problem.budget_bytes is None:
        parts = streams(problem)
        sums = {units: sum(cache_bound(part, units) for part in parts) for units in _UNITS}
        found += [above(f"by {u} units of flow", value, optimum) for u, value in sums.items()]
    return [said for each in found for said in each]


def flows_of_all_sizes(problem: BufferingProblem, optimum: Optimum) -> Sentences | None:
    """Check that a flow tells the least cost of every number of slots."""
    del optimum
    parts = streams(problem)
    if problem.slots is None or not all(map(is_flow, parts)):
        return None
    curves, said = [flow_curve(part) for part in parts], []
    for slots in range(max(curve.size for curve in curves)):
        stated = msgspec.structs.replace(problem, slots=slots)
        best = kit_for("buffering").optimum(stated)
        cost = float(sum(curve[min(slots, curve.size - 1)] for curve in curves))
        if best is not None:
            least = np.inf if best.objective is None else best.objective
            said += apart(f"flows of {slots} slots", cost, least)
    return said


def replays(problem: BufferingProblem, optimum: Optimum) -> Sentences | None:
    """Check that a policy's replay costs what its plan does."""
    del optimum
    if problem.budget_bytes is not None:
        return None
    said: list[str] = []
    parts, matching = streams(problem), matching_of(problem)
    rooms = np.array([part.capacity for part in parts], dtype=np.int64)
    for name in _policies(problem):
        told = sum(_replayed(problem, part, name, matching) for part in parts)
        value = evaluate(problem, policy_plan(problem, name, rooms)).objective
        said += apart(f"the replay of {name}", told, value)
    return said


def pins(problem: BufferingProblem, optimum: Optimum) -> Sentences | None:
    """Check that the best pins cost what a plan with them does, and no more than none."""
    del optimum
    if problem.slots is None:
        return None
    found = pins_beside_cache(problem, "lru")
    if not np.isfinite(found.cost):
        return []
    pinned = msgspec.structs.replace(problem, pinned=found.pinned if found.pinned.size else None)
    value = evaluate(pinned, policy_plan(pinned, "lru")).objective
    said = apart(f"{found.pins.sum()} pins", found.cost, value)
    worse = found.cost > found.cost_without
    return said + [f"pins cost {found.cost!r}, none {found.cost_without!r}"] * worse


def clocks(problem: BufferingProblem, optimum: Optimum) -> Sentences | None:
    """Check that a plan's time is the sum of its parts, and no longer by a faster link."""
    plan, timing = optimum.plan, problem.timing
    if timing is None or not isinstance(plan, BufferingPlan):
        return None
    rates = [msgspec.structs.replace(timing, link_bytes_per_s=rate) for rate in (1e-3, 1.0, 1e300)]
    timed = [msgspec.structs.replace(problem, timing=each, load_s=None) for each in rates]
    runs = [stall(each, plan) for each in (problem, *timed)]
    said = []
    for run in runs:
        parts = run.compute_s + run.host_s + run.stall_s
        said += apart("the parts of a plan's seconds", parts, run.total_s)
        said += apart("waiting by layer", float(run.stall_by_layer_s.sum()), run.stall_s)
    # Which of two transfers a shared link ends first may depend on its rate.
    if timing.parallel_transfers == 1:
        for slow, fast in pairwise(runs[1:]):
            if fast.total_s > slow.total_s * (1 + 1e-9):
                said.append(f"a faster link takes {fast.total_s!r} s, a slower {slow.total_s!r}")
    return said


def learned_caches(problem: BufferingProblem, optimum: Optimum) -> Sentences | None:
    """Check that the learned policy as an object loads what its replay does."""
    del optimum
    plain = problem.serve == "load" and not problem.any_order and problem.pinned is None
    alike = problem.objective == "misses" and np.unique(problem.sizes_bytes()).size == 1
    if not (plain and alike) or problem.layers > 1 or not problem.slots or problem.num_steps == 0:
        return None
    (part,) = streams(problem)
    told = replay(part, "learned", record=True).schedule
    assert told is not None, "it was asked for"
    cache = LearnedCache(problem.experts, int(np.min(problem.slots)))
    served = [item for group in _groups(part) for item in cache.serve(group).missing.tolist()]
    same = served == told.load_item.tolist()
    return [] if same else [f"the object loads {served}, its replay {told.load_item.tolist()}"]


#: What is checked of each instance with a plan, by what the table calls it.
IDENTITIES = {
    "bounds cut short": bounds_cut_short,
    "flows of every number of slots": flows_of_all_sizes,
    "replays of policies, their plans": replays,
    "pins beside a cache": pins,
    "seconds of the best plans": clocks,
    "LearnedCache, its replay": learned_caches,
}


def _policies(problem: BufferingProblem) -> Iterator[str]:
    for name, policy in POLICIES.items():
        if problem.history is not None or not policy.needs_history:
            yield name


def _replayed(problem: BufferingProblem, part: Stream, name: str, matching: Matching) -> float:
    known = matching if name == "activation_matching" else None
    return replay(part, name, hints=hints_of(problem, part, known)).miss_cost


def _groups(part: Stream) -> Iterator[list[int]]:
    for begin, end in pairwise(part.starts.tolist()):
        yield part.items[begin:end].tolist()
