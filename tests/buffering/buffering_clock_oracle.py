"""A plan in time once more: exact fractions, every transfer worked out anew for every group."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from moeopt.buffering.plan import BufferingPlan
from moeopt.buffering.problem import BufferingProblem, Timing


@dataclass
class Transfer:
    asked: Fraction
    work: Fraction
    begun: Fraction | None = None
    ended: Fraction | None = None
    #: When its slot is free; of a wrong prediction when it was known to be wrong.
    free: Fraction = Fraction(0)
    wrong: bool = False


@dataclass
class Told:
    total: Fraction = Fraction(0)
    host: Fraction = Fraction(0)
    stall: list[Fraction] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)
    busy: Fraction = Fraction(0)
    staged: int = 0


def run_link(transfers: list[Transfer], most: int, latency: Fraction) -> list[Fraction]:
    """Set begin and end of all transfers; return when the link is busy, begin after end."""
    left = [transfer.work for transfer in transfers]
    waiting, under_way = list(range(len(transfers))), []
    now, busy = Fraction(0), []
    while waiting or under_way:
        while waiting and len(under_way) < most and transfers[waiting[0]].asked + latency <= now:
            transfers[waiting[0]].begun = now
            under_way.append(waiting.pop(0))
        following = [now + left[k] * len(under_way) for k in under_way]
        if waiting and len(under_way) < most:
            following.append(transfers[waiting[0]].asked + latency)
        until = min(following)
        for k in under_way:
            left[k] -= (until - now) / len(under_way)
        if under_way:
            busy += [now, until]
        now = until
        for k in [k for k in under_way if left[k] == 0]:
            transfers[k].ended = now
            under_way.remove(k)
    return busy


def told(
    problem: BufferingProblem,
    plan: BufferingPlan,
    foreseen: list[bool],
    wrong: list[int],
) -> Told:
    """Run a plan.

    Parameters
    ----------
    problem, plan
        What is run.
    foreseen
        Whether each load is predicted, if it may be.
    wrong
        The item that a wrong prediction of each load asks for.
    """
    timing = problem.timing
    assert isinstance(timing, Timing)
    layers, experts, ahead = problem.layers, problem.experts, timing.lookahead_groups
    latency = Fraction(timing.link_latency_s)
    rate = Fraction(timing.link_bytes_per_s)
    sizes = np.broadcast_to(np.asarray(problem.expert_bytes), (layers, experts)).ravel()
    compute = np.broadcast_to(np.asarray(timing.compute_s), (layers,))
    order = range(problem.num_references) if plan.order is None else plan.order.tolist()
    items = problem.item_of()
    bypass = problem.serve == "bypass"
    group_of = problem.group_of().tolist()
    when = [at if bypass else group_of[at] for at in plan.load_at.tolist()]
    first = 1 if problem.pooled else layers
    result = Told(stall=[Fraction(0)] * layers)
    resident = {int(item) for item in np.flatnonzero(problem.pinned_mask())}
    newest: dict[int, Transfer] = {}
    by_load: dict[int, Transfer] = {}
    used: dict[int, Fraction] = {}
    meant: list[tuple[Transfer, int]] = []
    begins = []

    def ask(item: int) -> Transfer:
        transfer = Transfer(begin, Fraction(int(sizes[item])) / rate)
        result.transfers.append(transfer)
        return transfer

    def early(k: int) -> bool:
        return ahead > 0 and when[k] >= ahead

    begin = Fraction(0)
    for g in range(problem.num_groups):
        begins.append(begin)
        mine = [k for k in range(len(when)) if when[k] == g]
        for k in mine:
            if not (problem.free_fill and g < first) and not (early(k) and foreseen[k]):
                by_load[k] = ask(int(plan.load_item[k]))
        for k in range(len(when)):
            if ahead and when[k] == g + ahead and not (problem.free_fill and when[k] < first):
                if foreseen[k]:
                    by_load[k] = ask(int(plan.load_item[k]))
                elif experts > 1:
                    meant.append((ask(wrong[k]), g + ahead))
        run_link(result.transfers, timing.parallel_transfers, latency)
        if bypass:
            resident -= {
                int(i) for i, at in zip(plan.drop_item, plan.drop_at, strict=True) if at == g
            }
        for k in mine:
            item = int(plan.load_item[k])
            resident.add(item)
            newest.pop(item, None)
            if k in by_load:
                newest[item] = by_load[k]
                by_load[k].free = begin
        places = range(int(problem.starts[g]), int(problem.starts[g + 1]))
        asked = [(p, int(items[order[p]])) for p in places]
        here = [(p, item) for p, item in asked if not bypass or item in resident]
        host = Fraction(0)
        if bypass and problem.miss_s is not None:
            for p, item in asked:
                if item not in resident:
                    weight = 1 if problem.weights is None else Fraction(problem.weights[order[p]])
                    host += Fraction(float(problem.miss_s)) * weight
        pace = Fraction(float(compute[g % layers]))
        now = begin
        for p, item in here:
            if item in newest:
                if not bypass:
                    gone = plan.drop_item[plan.drop_at == p].tolist()
                    newest[item].free = max(
                        [newest[item].free, *(used.get(v, begin) for v in gone)]
                    )
                ended = newest.pop(item).ended
                assert ended is not None
                now = max(now, ended)
            now += pace / len(here)
            used[item] = now
        end = max(now if here else begin + pace, begin + host)
        ideal = max(pace, host)
        result.stall[g % layers] += end - begin - ideal
        result.host += ideal - pace
        begin = end
    result.total = begin
    busy = run_link(result.transfers, timing.parallel_transfers, latency)
    ends = [min(time, begin) for time in busy]
    result.busy = sum((b - a for a, b in zip(ends[::2], ends[1::2], strict=True)), Fraction(0))
    for transfer, group in meant:
        transfer.wrong = True
        assert transfer.ended is not None
        transfer.free = max(begins[group], min(transfer.ended, begin))
    result.staged = _staged(result.transfers, begin)
    return result


def _staged(transfers: list[Transfer], end: Fraction) -> int:
    spans = [
        (t.begun, t.free) for t in transfers if t.begun is not None and t.begun < min(t.free, end)
    ]
    return max((sum(a <= time < b for a, b in spans) for time, _ in spans), default=0)
