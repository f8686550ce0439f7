"""What comes first on the page of a committee: what was asked and gained, and what binds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from moeopt.committee.bounds import bound
from moeopt.committee.plan import CommitteePlan, Evaluation, evaluate
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.result import OPTIMALITY_TOLERANCE
from moeopt.core.units import memory_text, range_text, time_text
from moeopt.report.committee.numbers import even_plan, out_of_time_after
from moeopt.report.wings import Fact, Summary, changed, counted, distance

#: Seconds that each bound may take: with fewer it is lower.
_BOUND_S, _LINK_S = 1.0, 0.3

_LOSSES = {
    "additive": "the importance of absent experts",
    "masked": "what tokens lose by going to the best experts that are there",
    "skip": "the values of tokens whose experts are absent",
    "table": "as measured for each number of slots",
}


def summary(problem: CommitteeProblem, plan: CommitteePlan, result: Any) -> Summary:
    """Return what was asked, what the plan gained, how far from the best it is, and what binds."""
    value = evaluate(problem, plan)
    return Summary(
        asked=_asked(problem),
        gained=_gained(problem, plan, value),
        distance=distance(result),
        binds=[*_used(problem, plan, value), *_binds(problem, value)],
    )


def _asked(problem: CommitteeProblem) -> list[Fact]:
    return [
        counted("layers", problem.layers),
        counted("experts of a layer", problem.experts),
        counted("windows", problem.num_windows),
        Fact(
            label="memory",
            text=memory_text(problem.budget_bytes),
            number=problem.budget_bytes,
        ),
        Fact(label="loss", text=_LOSSES[problem.loss]),
        Fact(label="rules", text="; ".join(_rules(problem)) or "none"),
    ]


def _rules(problem: CommitteeProblem) -> list[str]:
    """Return the rules in force beside memory, in words."""
    found = []
    fewest, most = problem.fewest(), problem.most()
    if fewest.any():
        found.append(f"fewest slots of a layer {range_text(fewest)}")
    if (most < problem.experts).any():
        found.append(f"most slots of a layer {range_text(most)}")
    if problem.latency_s is not None:
        found.append(f"at most {time_text(problem.latency_s)} for an input")
    if problem.link_bytes_per_s is not None:
        found.append(f"a link of {memory_text(problem.link_bytes_per_s)}/s")
    if problem.by_layer(problem.load_price).any():
        found.append("loads have a price")
    if problem.periods is not None:
        found.append(f"an update every {' or '.join(map(str, problem.periods.tolist()))} windows")
    return found


def _gained(problem: CommitteeProblem, plan: CommitteePlan, value: Evaluation) -> list[Fact]:
    simple = even_plan(problem, plan.period)
    before = None if simple is None else evaluate(problem, simple)
    facts = [changed("loss", None if before is None else before.loss, value.loss)]
    if value.loss_share is not None:
        start = ""
        if before is not None and before.loss_share is not None:
            start = f"{100 * before.loss_share:.1f} % → "
        text = f"{start}{100 * value.loss_share:.1f} %"
        fact = Fact(label="of what nobody there loses", text=text, number=value.loss_share)
        facts.append(fact)
    if value.load_cost or (before is not None and before.load_cost):
        paid = None if before is None else before.load_cost
        facts.append(changed("price of loads", paid, value.load_cost))
    whole = float(problem.layers * problem.experts)
    text = f"{value.slots:,} of {whole:,.0f} experts in {memory_text(value.memory_bytes)}"
    facts.append(Fact(label="resident", text=text, number=value.slots))
    if before is not None:
        text = "as many slots for each layer, those of most importance, for good"
        facts.append(Fact(label="before", text=text))
    return facts


def _used(problem: CommitteeProblem, plan: CommitteePlan, value: Evaluation) -> list[Fact]:
    """Return what is left of each limit."""
    left = problem.budget_bytes - value.memory_bytes
    slot = float(problem.slot_bytes().min())
    text = f"{memory_text(left)} left, a slot takes {memory_text(slot)}"
    facts = [Fact(label="memory", text=text, number=left)]
    if problem.latency_s is not None:
        slack = problem.latency_s - value.latency_s
        text = f"{time_text(max(0.0, slack))} left of {time_text(problem.latency_s)}"
        facts.append(Fact(label="latency", text=text, number=slack))
    if value.peak_swap_bytes_per_s is not None and problem.link_bytes_per_s is not None:
        share = value.peak_swap_bytes_per_s / problem.link_bytes_per_s
        text = f"the largest update takes {100 * share:.4g} % of what it carries"
        facts.append(Fact(label="link", text=text, number=share))
    held = {"at the fewest": problem.fewest(), "at the most": problem.most()}
    for where, limit in held.items():
        count = int((plan.slots == limit).sum())
        if count and (where == "at the most" or limit.any()):
            text = f"{count:,} of {problem.layers:,} layers {where} that they may have"
            facts.append(Fact(label=f"slots {where}", text=text, number=count))
    return facts


def _binds(problem: CommitteeProblem, value: Evaluation) -> list[Fact]:
    """Return how much less could be lost without each rule, by the bound without it.

    Where the bound of the problem itself is below the plan, so is that without a rule; what the
    two differ by is told as well.
    """
    now = min(_least(problem), value.objective)
    off = OPTIMALITY_TOLERANCE * value.objective
    facts = []
    for label, freed in _freed(problem):
        least = _least(freed)
        saved = value.objective - least
        if saved <= off:
            fact = Fact(label=label, text="does not bind: nothing better is possible", number=0.0)
        else:
            text = f"at most {100 * saved / value.objective:.3g} % less"
            if value.objective - now > off:
                parted = max(0.0, now - least)
                text += f"; the bound falls by {100 * parted / value.objective:.3g} %"
            fact = Fact(label=label, text=text, number=saved)
        facts.append(fact)
    return facts


def _least(problem: CommitteeProblem) -> float:
    """Return a bound; without its link a problem has another, which takes less time."""
    if problem.link_bytes_per_s is None:
        return bound(problem, out_of_time_after(_BOUND_S))
    free = msgspec.structs.replace(problem, link_bytes_per_s=None, window_s=None, generator=None)
    found = bound(free, out_of_time_after(_BOUND_S))
    return max(found, bound(problem, out_of_time_after(_LINK_S)))


def _freed(problem: CommitteeProblem) -> Iterator[tuple[str, CommitteeProblem]]:
    """Yield what could be allowed, and the problem that allows it."""

    def changed(**fields: Any) -> CommitteeProblem:
        return msgspec.structs.replace(problem, generator=None, **fields)

    slot = int(problem.slot_bytes().max())
    yield "memory for one slot more", changed(budget_bytes=problem.budget_bytes + slot)
    if problem.latency_s is not None:
        yield "without the limit of latency", changed(latency_s=None)
    if problem.link_bytes_per_s is not None:
        yield "without the link", changed(link_bytes_per_s=None, window_s=None)
    if problem.fewest().any():
        yield "without fewest slots", changed(min_slots=0)
    if (problem.most() < problem.experts).any():
        yield "without most slots", changed(max_slots=None)
