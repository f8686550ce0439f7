"""Slots planned for each layer against equally many, on the half of a trace that no plan saw."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import numpy as np

from moeopt.bench.buffering_traces import (
    EVERYTHING,
    REFERENCE,
    Protocol,
    Recorded,
    halves,
    recorded,
)
from moeopt.bench.registry import Figure, Report, Setting
from moeopt.buffering.planning import split_slots, uniform_slots
from moeopt.buffering.policies import POLICIES
from moeopt.buffering.replays import miss_curve
from moeopt.buffering.stream import Stream, streams
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.table import Cell, Column, Table

#: Shares of all experts that fit.
BUDGETS = tuple(round(0.1 * tenth, 1) for tenth in range(1, 10))

#: Whose slots are planned. Belady's is the optimum here: its curves are the flow's.
POLICIES_PLANNED = ("lru", "learned", "belady")

#: 64ths of a layer's experts at which a slow policy's curve is taken; between them it is taken to
#: be straight.
SIZES = (1, 3, 6, 9, 12, *range(16, 61, 4), 62, 64)


@dataclass
class Half:
    """What a policy costs on half of a trace, whose numbers of slots are asked for again.

    Attributes
    ----------
    parts
        A stream for each layer.
    policy
        Its name.
    known
        Costs by layer and slots.
    """

    parts: tuple[Stream, ...]
    policy: str
    known: dict[tuple[int, int], float] = field(default_factory=dict)

    def curves(self) -> list[FloatArray]:
        """Return the cost of each layer at every number of slots."""
        return [self._curve(layer) for layer in range(len(self.parts))]

    def cost(self, slots: IntArray) -> float:
        """Return what the policy really costs with these slots.

        Parameters
        ----------
        slots
            Of each layer.
        """
        return sum(self._costs(layer, [count])[0] for layer, count in enumerate(slots.tolist()))

    def _curve(self, layer: int) -> FloatArray:
        items = self.parts[layer].num_items
        if POLICIES[self.policy].run is None:
            return np.array(self._costs(layer, range(items + 1)))
        sizes = np.unique(np.maximum(np.array(SIZES) * items // 64, 1))
        costs = np.interp(np.arange(items + 1), sizes, self._costs(layer, sizes.tolist()))
        return np.concatenate(([np.inf], costs[1:]))

    def _costs(self, layer: int, slots: list[int] | range) -> list[float]:
        new = np.array([count for count in slots if (layer, count) not in self.known], dtype=int)
        found = miss_curve(self.parts[layer], self.policy, new) if new.size else new
        self.known |= {(layer, n): float(c) for n, c in zip(new.tolist(), found, strict=True)}
        return [self.known[layer, count] for count in slots]


@dataclass(frozen=True)
class Row:
    """Costs on the later half with a budget.

    Attributes
    ----------
    share
        Of all experts that fit.
    uniform, planned, ideal
        With equally many slots, with those planned by the earlier half, by the later half itself.
    most, least
        Slots of the layers that get most and least by the plan.
    """

    share: float
    uniform: float
    planned: float
    ideal: float
    most: int
    least: int


def run(setting: Setting) -> Report:
    """Plan on the earlier halves and score on the later ones."""
    report = Report(data={"planning": {}})
    policies = [name for name in POLICIES_PLANNED if not setting.quick or not POLICIES[name].run]
    protocol = Protocol("quick", 4000, None) if setting.quick else EVERYTHING
    told: dict[str, dict[str, list[Row]]] = {}
    for one in recorded():
        if one.trace.num_tokens < 2 or (setting.quick and one.name != REFERENCE):
            continue
        told[one.name] = {name: compared(one, name, protocol) for name in policies}
        report.tables.append(_table(one, told[one.name]))
    report.data["planning"] = msgspec.to_builtins(told)
    for name in policies:
        rows = [row for found in told.values() for row in found[name]]
        ratios = [row.planned / row.uniform for row in rows]
        ideal = np.mean([row.ideal / row.uniform for row in rows])
        note = (
            f"least {min(ratios):.4f}, most {max(ratios):.4f}; planned on the half itself"
            f" {ideal:.4f}"
        )
        shown = "optimum" if name == "belady" else name
        figure = Figure(f"{shown}: misses, planned over uniform, mean", float(np.mean(ratios)),
                        1.0, ".4f", note)  # fmt: skip
        report.figures.append(figure)
    return report


def compared(one: Recorded, policy: str, protocol: Protocol = EVERYTHING) -> list[Row]:
    """Return the costs of a policy with each budget; the trace has two tokens at least.

    Parameters
    ----------
    one
        The trace that is parted.
    policy
        Whose costs are planned by and told.
    protocol
        What is taken of the trace.
    """
    trace = one.trace.part(0, protocol.tokens or one.trace.num_tokens)
    parted = halves(trace)
    assert parted is not None, "two tokens"
    earlier, later = (
        Half(streams(protocol.problem(Recorded(one.name, half, None))), policy) for half in parted
    )
    before, after = earlier.curves(), later.curves()
    rows = []
    for share in BUDGETS:
        slots = round(share * trace.num_layers * trace.num_experts)
        budget = float(max(trace.num_layers, slots))
        uniform = uniform_slots(np.full(trace.num_layers, trace.num_experts), 1.0, budget)
        planned = split_slots(before, 1.0, budget).slots
        ideal = split_slots(after, 1.0, budget).slots
        rows.append(
            Row(
                share=share,
                uniform=later.cost(uniform),
                planned=later.cost(planned),
                ideal=later.cost(ideal),
                most=int(planned.max()),
                least=int(planned.min()),
            )
        )
    return rows


def _table(one: Recorded, found: dict[str, list[Row]]) -> Table:
    columns = [Column("budget", ".0%")]
    for name in found:
        shown = "optimum" if name == "belady" else name
        columns += [Column(f"{shown}, uniform", ",.0f"), Column("planned", "+.2%"),
                    Column("ideal", "+.2%"), Column("slots")]  # fmt: skip
    rows: list[list[Cell]] = []
    for at, share in enumerate(BUDGETS):
        cells: list[Cell] = [share]
        for by_policy in found.values():
            row = by_policy[at]
            ratios = [cost / row.uniform - 1.0 for cost in (row.planned, row.ideal)]
            cells += [row.uniform, *ratios, f"{row.least} to {row.most}"]
        rows.append(cells)
    note = (
        "Misses on the later half. budget: share of all experts that fit; uniform: equally many"
        " slots for each layer; planned: by the policy's own misses on the earlier half; ideal: by"
        " those on the later half itself. optimum: in hindsight with these slots; with the ideal"
        " ones nothing costs less. slots: fewest and most of a layer that are planned."
    )
    return Table(f"Planned slots against uniform ones, {one.name}", columns, rows, note)
