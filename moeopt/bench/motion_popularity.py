"""Balance against transfers when popularity itself changes, beside fresh plans relabelled.

DeepSeek-V2-Lite from one recorded task to the other and back, and independent loads at
DeepSeek-V3's scale. Plans in force are EPLB's, vLLM's own policy if it is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from moeopt.bench.chart import Series, chart
from moeopt.bench.contenders import ours
from moeopt.bench.motion_bound import least_transfers
from moeopt.bench.motion_cases import PEER, Change, planning
from moeopt.bench.motion_streams import MODEL, TASKS
from moeopt.bench.peers import Contender, table_of
from moeopt.bench.placement_balance import short_name
from moeopt.bench.registry import Figure, Report, Setting
from moeopt.core.table import Cell, Column, Table
from moeopt.io import load_problem
from moeopt.placement.generate import SHAPES, Layout, loads
from moeopt.placement.replan import Front

#: The balance to be reached; where no fresh plan reaches it, so much above the best of them.
LEVEL = 1.01

RECORDED = (Layout(64, 8), Layout(72, 8), Layout(64, 16))
MADE_UP = ("deepseek-v3-288-32", "deepseek-v3-320-64")

#: Seeds of the loads before and after.
SEEDS = (1, 7)

#: Of these cases the front is drawn.
DRAWN = ("intent to translation, 72/8", "dsv3-288-32, new loads")


@dataclass(frozen=True)
class Fresh:
    """A plan made without regard to the one in force.

    Attributes
    ----------
    imbalance
        Under the new loads.
    transfers, relabelled
        As it is, and with its devices renumbered so that the fewest experts move.
    """

    imbalance: float
    transfers: int
    relabelled: int


@dataclass(frozen=True, eq=False)
class Case:
    """A change of popularity, our front and the fresh plans.

    Attributes
    ----------
    change
        What was to be done.
    front
        Ours.
    fresh
        By planner.
    bound
        Transfers that no plan of this level can do without; ``None``: not asked for.
    """

    change: Change
    front: Front
    fresh: Mapping[str, Fresh]
    bound: float | None

    @property
    def level(self) -> float:
        """The imbalance to be reached."""
        return level_of(self.fresh)

    @property
    def transfers(self) -> int | None:
        """What our front needs for it."""
        point = self.front.reaching(self.level)
        return None if point is None else int(self.front.transfers[point])

    @property
    def least_fresh(self) -> int:
        """The fewest transfers of a fresh plan, relabelled, whatever its balance."""
        return min(plan.relabelled for plan in self.fresh.values())

    @property
    def share(self) -> float | None:
        """Our transfers over these."""
        return None if self.transfers is None else self.transfers / self.least_fresh


def run(setting: Setting) -> Report:
    """Replan after every change."""
    with planning(setting) as planner:
        planners = [*([planner] if planner.name == PEER else []), ours("eplb")]
        planners += [ours("fast"), ours("auto"), *([] if setting.quick else [ours("search")])]
        found = [
            judged(change, planners, bounded=not setting.quick and change.previous.size < 5000)
            for change in changes(planner, quick=setting.quick)
        ]
    return told(found)


def changes(planner: Contender, *, quick: bool) -> Iterator[Change]:
    """Yield the changes of popularity.

    Parameters
    ----------
    planner
        Makes the plan in force.
    quick
        Whether to leave out the way back and the larger of the shapes.
    """
    tasks = [load_problem(f"@placement/{MODEL}-{task}").mean_loads() for task in TASKS]
    for way in (1,) if quick else (1, -1):
        before, after = tasks[::way]
        for row in RECORDED:
            name = f"{' to '.join(TASKS[::way])}, {row.slots}/{row.devices}"
            yield Change(name, row, table_of(planner.bind(before, row)()), after)
    for shape in MADE_UP[:1] if quick else MADE_UP:
        row = SHAPES[shape]
        before, after = (loads("logn1", row.layers, row.experts, seed) for seed in SEEDS)
        name = f"{short_name(shape)}, new loads"
        yield Change(name, row, table_of(planner.bind(before, row)()), after)


def judged(change: Change, planners: Sequence[Contender], *, bounded: bool) -> Case:
    """Return what all made of a change.

    Parameters
    ----------
    change
        What is to be done.
    planners
        Make the fresh plans.
    bounded
        Whether to bound the transfers from below.
    """
    fresh = {}
    for planner in planners:
        table = table_of(planner.bind(change.loads, change.layout)())
        again = change.relabelled(table)
        fresh[planner.name] = Fresh(
            change.imbalance(table), change.transfers(table), change.transfers(again)
        )
    bound = least_transfers(change, level_of(fresh)) if bounded else None
    return Case(change, change.front(), fresh, bound)


def level_of(fresh: Mapping[str, Fresh]) -> float:
    """Return the imbalance to be reached, given the fresh plans."""
    best = min(plan.imbalance for plan in fresh.values())
    return LEVEL if best <= LEVEL else LEVEL * best


def told(found: Sequence[Case]) -> Report:
    """Return a report of some cases."""
    tables = [_table(found), *(_chart(case) for case in found if case.change.name in DRAWN)]
    return Report(tables, _figures(found), {"popularity": [_plain(case) for case in found]})


def _table(found: Sequence[Case]) -> Table:
    columns = [
        Column("change"),
        Column("stale", ".4f"),
        Column("level", ".4f"),
        Column("fresh", ".0f"),
        Column("relabelled", ".0f"),
        Column("replan", ".0f"),
        Column("over it", ".3f"),
        Column("bound", ".0f"),
    ]
    rows: list[list[Cell]] = []
    for case in found:
        stale = case.change.imbalance(case.change.previous)
        fresh = [min(plan.transfers for plan in case.fresh.values()), case.least_fresh]
        mine = [case.transfers, case.share, case.bound]
        rows.append([case.change.name, stale, case.level, *fresh, *mine])
    note = (
        f"Transfers of all layers. fresh: fewest of {', '.join(found[0].fresh)}; relabelled: after"
        " renumbering devices so that the fewest experts move; replan: of moeopt's front at this"
        f" level, which is {LEVEL}, or 1 % over the best fresh plan where none is so even. bound:"
        " proven, of any plan at this level."
    )
    return Table("Transfers after a change of popularity", columns, rows, note)


def _chart(case: Case) -> Table:
    """Draw the front and the fresh plans."""
    slots = case.change.all_slots
    stale = (0.0, case.change.imbalance(case.change.previous) - 1.0)
    pairs = zip(case.front.transfers / slots, case.front.imbalance - 1.0, strict=True)
    series: Series = {
        "*": [(float(x), float(y)) for x, y in pairs],
        "f": [(plan.transfers / slots, plan.imbalance - 1.0) for plan in case.fresh.values()],
        "r": [(plan.relabelled / slots, plan.imbalance - 1.0) for plan in case.fresh.values()],
        "S": [stale],
    }
    note = (
        "Up: imbalance - 1. Right: transfers over slots. S: the plan in force. *: moeopt's front;"
        " f: fresh plans; r: the same, relabelled."
    )
    return chart(f"Front after a change of popularity: {case.change.name}", series, note)


def _figures(found: Sequence[Case]) -> list[Figure]:
    figures = []
    for case in found:
        title = f"popularity, {case.change.name}: transfers over least fresh"
        note = f"imbalance {case.level:.4f}"
        # Fewer, not as many: the target lies one digit below 1.
        figures.append(Figure(title, case.share, 0.999, ".3f", note))
    return figures


def _plain(case: Case) -> dict[str, object]:
    """Return a case as plain JSON types."""
    return {
        "change": case.change.name,
        "stale": case.change.imbalance(case.change.previous),
        "level": case.level,
        "transfers": case.transfers,
        "bound": case.bound,
        "fresh": {
            name: {
                "imbalance": plan.imbalance,
                "transfers": plan.transfers,
                "relabelled": plan.relabelled,
            }
            for name, plan in case.fresh.items()
        },
        "front": {
            "transfers": case.front.transfers.tolist(),
            "imbalance": case.front.imbalance.tolist(),
        },
    }
