"""Balance against transfers after a drift: moeopt's front against a full replan by EPLB.

Plans are EPLB's on lognormal loads, vLLM's own policy if it is there; then popularity drifts by
20 %. The budgets, and what is to be reached with them, are published figures of a descent by swaps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moeopt.bench.motion_cases import Change, drifted, planning
from moeopt.bench.peers import Contender
from moeopt.bench.placement_balance import short_name
from moeopt.bench.registry import Figure, Report, Setting
from moeopt.bench.timing import Timing, measure
from moeopt.core.arrays import IntArray
from moeopt.core.table import Cell, Column, Table
from moeopt.placement.generate import SHAPES
from moeopt.placement.replan import Front, replan

#: For each shape the share of slots that 8, 16 and 32 swaps a layer move, and their imbalance.
SWAPS = (8, 16, 32)
PUBLISHED: Mapping[str, Sequence[tuple[float, float]]] = {
    "deepseek-v3-288-32": ((0.055, 1.050), (0.109, 1.014), (0.205, 1.0015)),
    "deepseek-v3-320-64": ((0.050, 1.116), (0.099, 1.066), (0.194, 1.016)),
    "qwen3-144-16": ((0.109, 1.014), (0.204, 1.002), (0.290, 1.0004)),
    "kimi-448-32": ((0.035, 1.039), (0.070, 1.010), (0.135, 1.0009)),
}

#: Groups stay on their nodes: nothing is published.
GROUPED = ("deepseek-v3-288-32-hierarchical", "deepseek-v3-320-64-hierarchical")

#: Most copies of an expert on one device: any number, as EPLB allows; what deployments want.
COPIES = (None, 1)

#: Transfers to the balance of a full replan, of those that it takes.
MOST_SHARE = 0.2

#: Where replanning is timed against the engine's own, and how long it may take.
TIMED, MOST_MS = "deepseek-v3-288-32", 20.0


@dataclass(frozen=True, eq=False)
class Case:
    """A change of loads, the full replan, and our front.

    Attributes
    ----------
    change
        What was to be done.
    copies
        Most copies of an expert on one device in our plans.
    full
        The planner's table.
    front
        Ours.
    """

    change: Change
    copies: int | None
    full: IntArray
    front: Front

    @property
    def full_imbalance(self) -> float:
        """The full replan's imbalance."""
        return self.change.imbalance(self.full)

    def to_full(self) -> int | None:
        """Return the point of our front that is as balanced as the full replan."""
        return self.front.reaching(self.full_imbalance)

    def transfers_to_full(self) -> int | None:
        """Return the transfers of that point."""
        point = self.to_full()
        return None if point is None else int(self.front.transfers[point])

    def share(self, relabelled: bool = False) -> float | None:
        """Return these transfers over the full replan's, or over those that relabelling leaves."""
        mine = self.transfers_to_full()
        table = self.change.relabelled(self.full) if relabelled else self.full
        return None if mine is None else mine / self.change.transfers(table)

    def at(self, moved: float) -> float:
        """Return the imbalance for at most this share of slots moved."""
        return float(self.front.imbalance[self.front.within(moved * self.change.all_slots)])

    def label(self) -> list[Cell]:
        """Return the line's first cells."""
        return [short_name(self.change.name), "any" if self.copies is None else self.copies]


def run(setting: Setting) -> Report:
    """Draw the front of every shape, and time it."""
    with planning(setting) as planner:
        cases = [case for shape in (*PUBLISHED, *GROUPED) for case in cases_of(shape, planner)]
        report = told(cases, planner.name)
        report.add(_times(setting, planner))
    return report


def cases_of(shape: str, planner: Contender) -> list[Case]:
    """Return a shape's cases.

    Parameters
    ----------
    shape
        Name.
    planner
        Makes the plan in force and the full replan.
    """
    change, full = drifted(shape, planner)
    return [Case(change, copies, full, change.front(copies)) for copies in COPIES]


def told(cases: Sequence[Case], planner: str) -> Report:
    """Return a report of some cases.

    Parameters
    ----------
    cases
        What was found.
    planner
        Name of what plans are compared with.
    """
    data = {"planner": planner, "cases": [_plain(case) for case in cases]}
    tables = [_budget_table(cases), _full_table(cases, planner)]
    return Report(tables, _figures(cases, planner), {"front": data})


def _budget_table(cases: Sequence[Case]) -> Table:
    columns = [
        Column("shape"),
        Column("stale", ".4f"),
        Column("swaps"),
        Column("moved", ".3f"),
        Column("published", ".4f"),
        Column("ours", ".4f"),
        Column("one copy a device", ".4f"),
    ]
    rows: list[list[Cell]] = []
    for shape, pairs in PUBLISHED.items():
        of = [case for case in cases if case.change.name == shape]
        for swaps, (moved, published) in zip(SWAPS, pairs, strict=True) if of else ():
            stale = of[0].change.imbalance(of[0].change.previous)
            found = [case.at(moved) for case in of]
            rows.append([short_name(shape), stale, swaps, moved, published, *found])
    note = (
        "stale: the plan in force. swaps: of each layer in the published descent, and the share of"
        " slots that they move, which is our budget. Copies may share a device, except in the last."
    )
    return Table("Imbalance after 20 % drift for the same transfers", columns, rows, note)


def _full_table(cases: Sequence[Case], planner: str) -> Table:
    columns = [
        Column("shape"),
        Column("copies"),
        Column(planner, ".4f"),
        Column("moved", ".3f"),
        Column("relabelled", ".3f"),
        Column("ours", ".3f"),
        Column("fewer", ".1f"),
        Column("than rel.", ".1f"),
        Column("our end", ".4f"),
        Column("moved", ".3f"),
    ]
    rows: list[list[Cell]] = []
    for case in cases:
        change, slots = case.change, case.change.all_slots
        moved = [change.transfers(t) / slots for t in (case.full, change.relabelled(case.full))]
        mine = case.transfers_to_full()
        fewer = [_times_fewer(case.share(way)) for way in (False, True)]
        end = [float(case.front.imbalance[-1]), int(case.front.transfers[-1]) / slots]
        share = None if mine is None else mine / slots
        rows.append([*case.label(), case.full_imbalance, *moved, share, *fewer, *end])
    note = (
        f"{planner}: its full replan's imbalance, the share of slots that it moves, and after"
        " relabelling; ours: what moves for the same balance, and how many times fewer that is."
        " h: groups stay on one node."
    )
    return Table(f"Transfers to the balance of {planner}'s full replan", columns, rows, note)


def _times_fewer(share: float | None) -> float | None:
    return None if not share else 1.0 / share


def _figures(cases: Sequence[Case], planner: str) -> list[Figure]:
    figures = []
    for case in cases:
        if case.copies is None and case.change.name in PUBLISHED:
            shape = short_name(case.change.name)
            pairs = zip(SWAPS, PUBLISHED[case.change.name], strict=True)
            for swaps, (moved, target) in pairs:
                title = f"front, {shape}, k={swaps}: imbalance"
                figures.append(Figure(title, case.at(moved), target))
    for copies, name in ((None, "any copies"), (1, "one copy a device")):
        of = [case for case in cases if case.copies == copies and case.change.name in PUBLISHED]
        title = f"front, {name}: transfers over {planner}'s, equal balance"
        figures.append(_worst_share(title, of, MOST_SHARE))
    grouped = [case for case in cases if case.change.name in GROUPED]
    return [*figures, _worst_share("front, groups on nodes: the same", grouped, None)]


def _worst_share(title: str, cases: Sequence[Case], target: float | None) -> Figure:
    shares = {short_name(case.change.name): case.share() for case in cases}
    missed = [name for name, share in shares.items() if share is None]
    found = {name: share for name, share in shares.items() if share is not None}
    if missed or not found:
        note = f"not reached: {', '.join(missed) or 'no case'}"
        return Figure(title, None, target, ".3f", note)
    where = max(found, key=lambda name: found[name])
    return Figure(title, found[where], target, ".3f", f"worst: {where}")


def _times(setting: Setting, planner: Contender) -> Report:
    """Time the replan of all layers: the front whole, to the full replan's balance, and that."""
    shapes = [TIMED] if setting.quick else [*PUBLISHED, *GROUPED]
    rows: list[list[Cell]] = []
    found = {}
    for shape in shapes:
        found[shape] = _timed(shape, planner, repeats=7 if setting.quick else 21)
        medians = [1e3 * timing.median_s for timing in found[shape].values()]
        spread = max(timing.spread for timing in found[shape].values())
        ratios = [median / medians[-1] for median in medians[:-1]]
        rows.append([short_name(shape), *medians, *ratios, spread])
    columns = [Column("shape"), *(Column(f"{name} ms", ".1f") for name in found[TIMED])]
    columns += [Column("whole over it", ".2f"), Column("balance over it", ".2f")]
    columns += [Column("spread", ".0%")]
    note = (
        "whole: the front to its end; balance: until each layer is as balanced as the full replan,"
        f" which is {planner.name}'s. spread: interquartile range over the median, the worst."
    )
    table = Table("Milliseconds to replan all layers, one core, warm", columns, rows, note)
    figures = []
    for name in ("whole", "balance"):
        times = found[TIMED]
        ratio = times[name].median_s / times[planner.name].median_s
        note = f"{ratio:.2f} of {planner.name}'s {1e3 * times[planner.name].median_s:.1f}"
        value = 1e3 * times[name].median_s
        title = f"front, {short_name(TIMED)}, {name}: ms for all layers"
        figures.append(Figure(title, value, MOST_MS, ".1f", note))
    data = {
        shape: {k: timing.to_dict() for k, timing in times.items()}
        for shape, times in found.items()
    }
    return Report([table], figures, {"front_times": data})


def _timed(shape: str, planner: Contender, repeats: int) -> dict[str, Timing]:
    change, full = drifted(shape, planner)
    row = change.layout
    rules: dict[str, Any] = {
        "max_copies_per_device": None,
        "groups": row.groups,
        "group_rule": "one_node" if row.hierarchical else "free",
    }
    level = change.imbalance(full)

    def call(imbalance: float) -> object:
        return replan(
            change.previous,
            change.loads,
            row.devices,
            nodes=row.nodes,
            imbalance=imbalance,
            **rules,
        )

    calls = {
        "whole": lambda: call(1.0),
        "balance": lambda: call(level),
        planner.name: planner.bind(change.loads, SHAPES[shape]),
    }
    return measure(calls, repeats=repeats, budget_s=20)


def _plain(case: Case) -> dict[str, object]:
    """Return a case as plain JSON types."""
    front = case.front
    return {
        "shape": case.change.name,
        "copies": case.copies,
        "stale": case.change.imbalance(case.change.previous),
        "full": {
            "imbalance": case.full_imbalance,
            "transfers": case.change.transfers(case.full),
            "relabelled": case.change.transfers(case.change.relabelled(case.full)),
        },
        "to_full": case.transfers_to_full(),
        "transfers": front.transfers.tolist(),
        "imbalance": front.imbalance.tolist(),
    }
