"""Schedulers on recorded text: what they lose beside hindsight, and what they load."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from moeopt.bench.buffering_traces import PROTOCOL, REFERENCE, Recorded, recorded
from moeopt.bench.registry import Figure, Report, Setting
from moeopt.committee.from_trace import committee_problem
from moeopt.committee.generate import alternating
from moeopt.committee.loss import weights
from moeopt.committee.online import schedule
from moeopt.committee.plan import evaluate
from moeopt.committee.problem import CommitteeProblem
from moeopt.committee.report import OnlineReport, report
from moeopt.core.table import Cell, Column, Table

#: Tokens of a window, of all layers.
WINDOW_TOKENS = 32

#: Slots of each layer, where it has more experts.
SLOTS = (8, 16, 24, 32, 48)

#: Prices of a load, in what an expert is worth in a window on average.
PRICES = (0.0, 3.0, 30.0)

#: Loads of all layers together that the link carries in a window; ``None``: any number.
LOADS = (None, 1, 4)

#: Updates over which the paper's rule spreads its changes: of all, the best counts.
SPREADS = (1, 4, 16)

#: Of an expert of the reference model, in single precision.
_BYTES = 51_200


@dataclass(frozen=True)
class Row:
    """What both schedulers make of a trace.

    Attributes
    ----------
    trace, slots, price, loads
        The case: the link carries so many loads in a window, ``None``: any number.
    paper, ours
        Loss and price of loads, over the optimum in hindsight that knows no link; ``None`` where
        that is nothing.
    cost
        Ours over the paper's; ``inf`` where the paper's is nothing and ours is not.
    mean, peak
        Our mean and largest swap rates over the link's; ``None`` without one.
    paper_peak
        The paper's largest.
    """

    trace: str
    slots: int
    price: float
    loads: int | None
    paper: float | None
    ours: float | None
    cost: float
    mean: float | None
    peak: float | None
    paper_peak: float | None


def run(setting: Setting) -> Report:
    """Run both schedulers with every price and every link, and the paper's adversary."""
    told = recorded()
    if setting.quick:
        told = tuple(one for one in told if one.name == REFERENCE)
    rows = [
        _row(one, slots, price, loads)
        for one in told
        for loads in LOADS
        for price in (PRICES if loads is None else (0.0,))
        for slots in (SLOTS[1::2] if setting.quick else SLOTS)
        if slots < one.trace.num_experts
    ]
    adversary, known = _adversary()
    found = Report(tables=[_table(name.name, rows) for name in told])
    within = max(max(row.peak or 0.0, row.paper_peak or 0.0) for row in rows)
    worst = max(row.cost for row in rows)
    found.figures = [
        Figure("schedulers: ours over the paper's, worst case", worst, 1.0, ".3f", f"{len(rows)}"),
        Figure("largest swap rate over the link's", within, 1.0, ".3f"),
        Figure("two experts in turn: the paper's over hindsight", adversary, None, ".1f"),
        Figure("two experts in turn: ours over hindsight", known, None, ".2f"),
    ]
    found.data["schedulers"] = msgspec.to_builtins(rows)
    return found


def windows(one: Recorded, loads: int | None, price: float) -> CommitteeProblem:
    """Return the windows of a trace; slots are not limited by memory.

    Parameters
    ----------
    one
        The trace, of which `PROTOCOL`'s layers are taken, and at most its tokens.
    loads
        That the link carries in a window; ``None``: any number.
    price
        Of a load, in what an expert is worth in a window on average.
    """
    layers = PROTOCOL.layers_of(one.trace)
    trace = one.trace.part(0, PROTOCOL.tokens or one.trace.num_tokens)
    link = {} if loads is None else {"link_bytes_per_s": float(loads * _BYTES), "window_s": 1.0}
    problem = committee_problem(
        trace,
        window_tokens=WINDOW_TOKENS,
        layers=layers.tolist(),
        across_sequences=True,
        expert_bytes=_BYTES,
        budget_bytes=_BYTES * trace.num_experts * layers.size,
        **link,
    )
    return msgspec.structs.replace(problem, load_price=price * float(weights(problem).mean()))


def _row(one: Recorded, slots: int, price: float, loads: int | None) -> Row:
    problem = windows(one, loads, price)
    each = np.full(problem.num_layers, slots)
    history = None if one.past is None else one.past[PROTOCOL.layers_of(one.trace)]
    plans = [
        schedule(problem, each, "paper", target_updates=spread, history=history)
        for spread in SPREADS
    ]
    paper = report(problem, min(plans, key=lambda plan: evaluate(problem, plan).objective))
    ours = report(problem, schedule(problem, each, "rent_or_buy", history=history))
    return Row(
        trace=one.name,
        slots=slots,
        price=price,
        loads=loads,
        paper=paper.ratio,
        ours=ours.ratio,
        cost=_over(ours.loss + ours.load_cost, paper.loss + paper.load_cost),
        mean=_share(ours.mean_swap_bytes_per_s, ours),
        peak=_share(ours.peak_swap_bytes_per_s, ours),
        paper_peak=_share(paper.peak_swap_bytes_per_s, paper),
    )


def _over(mine: float, other: float) -> float:
    if not other:
        return float("inf") if mine else 1.0
    return mine / other


def _share(rate: float | None, told: OnlineReport) -> float | None:
    if rate is None or told.link_bytes_per_s is None:
        return None
    return rate / told.link_bytes_per_s


def _adversary() -> tuple[float, float]:
    """Return how far both rules are from hindsight on the two-expert example."""
    problem = alternating()
    ratios = [
        report(problem, schedule(problem, [1], rule)).ratio for rule in ("paper", "rent_or_buy")
    ]
    paper, ours = ratios
    assert paper is not None, "hindsight loses something"
    assert ours is not None, "of the same problem"
    return paper, ours


def _table(trace: str, rows: list[Row]) -> Table:
    columns = [
        Column("loads a window"),
        Column("price", ".0f"),
        Column("slots", "d"),
        Column("paper", ".2f"),
        Column("ours", ".2f"),
        Column("ours / paper", ".3f"),
        Column("mean", ".2f"),
        Column("peak", ".2f"),
        Column("its peak", ".2f"),
    ]
    cells: list[list[Cell]] = [
        ["any" if row.loads is None else str(row.loads), row.price, row.slots, row.paper, row.ours,
         row.cost, row.mean, row.peak, row.paper_peak]
        for row in rows if row.trace == trace
    ]  # fmt: skip
    note = (
        f"Windows of {WINDOW_TOKENS} tokens. price: of a load, in an expert's mean worth in a"
        " window. paper, ours: loss and loads over those of the optimum in hindsight, which has no"
        f" link; the paper's changes spread over {', '.join(map(str, SPREADS))} windows, the best"
        " counted. mean, peak: swap rates over the link's."
    )
    return Table(f"Schedulers, {trace}", columns, cells, note)
