"""How often each policy finds its expert on recorded routing, and how far hindsight is above it."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from moeopt.bench.buffering_traces import (
    EVERYTHING,
    PROTOCOL,
    SLOTS,
    Protocol,
    Recorded,
    recorded,
    where_more_is,
)
from moeopt.bench.registry import Figure, Report, Setting
from moeopt.buffering.policies import POLICIES
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.replays import replay_problem
from moeopt.core.arrays import FloatArray
from moeopt.core.table import Cell, Column, Table

#: Ours, and what cannot be beaten here: loads on demand, experts of one size and price.
OURS, BEST = "learned", "belady"


@dataclass(frozen=True)
class Rates:
    """Hit rates on one trace.

    Attributes
    ----------
    by_policy
        Of each policy at each of `SLOTS`.
    """

    by_policy: dict[str, FloatArray]

    @property
    def others(self) -> FloatArray:
        """The best policy at each size that neither is ours nor knows what comes."""
        online = [
            rates
            for name, rates in self.by_policy.items()
            if name != OURS and not POLICIES[name].offline
        ]
        best: FloatArray = np.max(online, axis=0)
        return best

    @property
    def lead(self) -> FloatArray:
        """By how much ours hits more often than the best other."""
        return self.by_policy[OURS] - self.others

    @property
    def closed(self) -> FloatArray:
        """The share that it closes of what the best other is below hindsight; nan of nothing."""
        gap = self.by_policy[BEST] - self.others
        share: FloatArray = np.full(gap.shape, np.nan)
        return np.divide(self.lead, gap, out=share, where=gap > 0)

    @property
    def above_best(self) -> float:
        """The most by which a policy hits more often than hindsight does."""
        return max(float((rates - self.by_policy[BEST]).max()) for rates in self.by_policy.values())


def run(setting: Setting) -> Report:
    """Replay all policies on every trace."""
    report = Report(data={"hit_rates": {}})
    leads, above = [], []
    closed: list[float] = []
    for protocol in (PROTOCOL,) if setting.quick else (PROTOCOL, EVERYTHING):
        for one in recorded():
            rates = rates_of(one, protocol)
            report.tables.append(_table(one, protocol, rates))
            report.data["hit_rates"][f"{one.name}, {protocol.name}"] = {
                name: found.tolist() for name, found in rates.by_policy.items()
            }
            leads.append(rates.lead)
            closed += rates.closed[~np.isnan(rates.closed)].tolist()
            above.append(rates.above_best)
    cases = f"tables: {len(leads)}, sizes: {len(SLOTS)}"
    told = "; ".join(filter(None, (cases, where_more_is())))
    report.figures += [
        Figure("hit rate of the best other online policy less ours, most",
               -float(np.min(leads)), 0.0, "+.4f", told),
        Figure("share of its gap to Belady that ours closes, least", min(closed, default=None),
               None, ".1%", _spread(closed)),
        Figure("hit rate of any policy less Belady's, most", max(above), 0.0, "+.4f"),
    ]  # fmt: skip
    return report


def _spread(shares: list[float]) -> str:
    return f"mean {np.mean(shares):.1%}, most {max(shares):.1%}" if shares else "there is no gap"


def rates_of(one: Recorded, protocol: Protocol, slots: tuple[int, ...] = SLOTS) -> Rates:
    """Return the hit rates of every policy on a trace.

    `static_top_k` alone knows counts of other texts; without any it is left out.

    Parameters
    ----------
    one, protocol
        What is replayed.
    slots
        Of each layer.
    """
    told = protocol.problem(one)
    blind = msgspec.structs.replace(told, history=None)
    return Rates(
        {
            name: _rates(told if policy.needs_history else blind, name, slots)
            for name, policy in POLICIES.items()
            if not policy.needs_history or told.history is not None
        }
    )


def _rates(problem: BufferingProblem, policy: str, slots: tuple[int, ...]) -> FloatArray:
    hits = []
    for count in slots:
        rooms = np.full(problem.num_layers, min(count, problem.num_experts))
        hits.append(sum(one.hits for one in replay_problem(problem, policy, rooms)))
    return np.array(hits) / problem.num_references


def _table(one: Recorded, protocol: Protocol, rates: Rates) -> Table:
    rows: list[list[Cell]] = [[name, *map(float, by)] for name, by in rates.by_policy.items()]
    rows.append(["learned less best other", *(f"{lead:+.3f}" for lead in rates.lead)])
    shares = [None if np.isnan(share) else f"{share:.1%}" for share in rates.closed]
    rows.append(["of its gap to belady", *shares])
    taken = ", ".join(str(layer + 1) for layer in protocol.layers_of(one.trace))
    some = "all layers" if protocol.layers is None else f"layers {taken}"
    tokens = min(one.trace.num_tokens, protocol.tokens or one.trace.num_tokens)
    told = "static_top_k alone knows counts of other texts. " if one.past is not None else ""
    always = "at least the best other online policy at every size"
    note = (
        f"{some} of {one.trace.num_layers}, {one.trace.num_experts} experts, top"
        f" {one.trace.top_k}, {tokens:,} tokens, each a step; a cache for each layer, cold at the"
        f" start; experts in order of their ids. {told}Online, only inactive_lifo, least_stale,"
        " group_lfu and learned spare what the token still needs."
        f" learned: {always if rates.lead.min() >= 0 else 'below the best other at some size'}."
    )
    columns = [Column("policy"), *(Column(f"{count} slots", ".3f") for count in SLOTS)]
    return Table(f"Hit rates, {one.name}, {protocol.name}", columns, rows, note)
