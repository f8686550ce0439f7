"""A tiny wing whose plans are told with every kind of part that a page has, and hostile names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from moeopt.core.table import Column, Table
from moeopt.core.wing import Plan, Problem, Violation, Wing
from moeopt.report.picture import Axis, Bars, Gallery, Heat, Level, Line, Picture, Points, Spans
from moeopt.report.wings import Fact, Step, Summary, WingReport, distance

#: What somebody might write into a file so that a page runs it.
HOSTILE = "</script><img src=x onerror=\"document.title='run'\"><b>&amp;'\"</b>"

#: Rows of the long table: three pages, the last not full.
ROWS = 60


class GuessProblem(Problem, frozen=True, kw_only=True, tag="guess"):
    """Guess a number, at least as large as the hidden one."""

    hidden: float = 2.0


class GuessPlan(Plan, frozen=True, kw_only=True, tag="guess"):
    """The number."""

    number: float = 2.5


@dataclass(frozen=True)
class Value:
    """What a guess is worth."""

    objective: float


def _violations(problem: GuessProblem, plan: GuessPlan) -> list[Violation]:
    missing = problem.hidden - plan.number
    said = f"{plan.number} must be at least the hidden number"
    broken = Violation(constraint="C1", path="$.number", message=said, amount=missing)
    return [broken] if missing > 0 else []


WING = Wing(
    name="guess",
    problem_type=GuessProblem,
    plan_type=GuessPlan,
    violations=_violations,
    evaluate=lambda problem, plan: Value(plan.number),
    impossible=lambda problem: [],
    methods={},
    build=lambda problem: [],
    summarise=lambda *arguments: [],
)


def long_table() -> Table:
    """Return rows in no order: whole numbers, figures shown too short to sort by, texts, gaps."""
    turn = [(7 * i) % ROWS for i in range(ROWS)]
    rows = [
        [
            k,
            1000.0 + k * 1e-3 if k % 10 else None,
            f"name {k}" if k else HOSTILE,
            -k if k % 2 else k,
        ]
        for k in turn
    ]
    columns = [Column("index"), Column("load", ",.1f"), Column(f"text {HOSTILE}"), Column("signed")]
    return Table(f"Long {HOSTILE}", columns, rows, note=HOSTILE, footer=["total", 1.5, None, 3])


def facts(number: float) -> Table:
    """Return rows without headings, with a text that a spreadsheet would take for a formula."""
    rows = [["number", number], ["=1+1", None], ["-2", 1234567.25], ["-2+cmd", -1.0], ["-", 0.0]]
    return Table("facts", [Column(""), Column("", ",.2f")], rows)


def _summary(problem: Any, plan: Any, result: Any) -> Summary:
    return Summary(
        asked=[Fact(label="hidden", text=f"{problem.hidden:g}", number=problem.hidden)],
        gained=[
            Fact(label="number", text=f"{plan.number:g}: as guessed", number=plan.number),
            Fact(label=HOSTILE, text=HOSTILE),
        ],
        distance=distance(result),
        binds=[],
    )


def bars(height: float) -> Picture:
    """Return a picture of two bars and a level."""
    return Picture(
        name=f"bars-{height:g}",
        title=f"Bars {HOSTILE}",
        x=Axis(label="device", whole=True),
        y=Axis(label=HOSTILE, unit="tokens", from_zero=True),
        marks=[
            Bars(name=HOSTILE, role="plan", x=[0, 1], height=[height, 2.0]),
            Level(name="mean", role="bound", value=1.0),
        ],
        says=f"The first bar is {height:g} {HOSTILE}.",
    )


def _pictures(problem: Any, plan: Any, result: Any) -> list[Picture | Gallery]:
    mixed = Picture(
        name="mixed",
        title="Lines, points and spans",
        x=Axis(label="time", unit="s"),
        y=Axis(label="lane", names=("a", "b", HOSTILE)),
        marks=[
            Spans(
                name="spans",
                role="first",
                lane=[0, 1],
                start=[0, 1],
                end=[1, 3],
                texts=("", HOSTILE),
            ),
            Line(name="line", role="second", x=[0, 1, 2], y=[0, np.nan, 2]),
            Points(name="points", role="third", x=[1.5], y=[plan.number], texts=(HOSTILE,)),
        ],
        says="All at once.",
    )
    heat = Picture(
        name="heat",
        title="Heat",
        x=Axis(label="device", whole=True),
        y=Axis(label="expert", whole=True),
        marks=[Heat(name="copies", values=np.arange(6).reshape(2, 3))],
    )
    gallery = Gallery(
        name="bars",
        title=f"Bars of {HOSTILE}",
        choice="layer",
        names=["1", "2", HOSTILE],
        pictures=[bars(1.0), bars(2.0), bars(plan.number)],
    )
    return [gallery, mixed, heat]


def _tables(problem: Any, plan: Any, result: Any) -> list[Table]:
    return [long_table(), facts(plan.number)]


REPORT = WingReport(
    summary=_summary,
    pictures=_pictures,
    tables=_tables,
    steps=lambda problem, plan, names: [
        Step(text=f"Check {HOSTILE}", command=f"moeopt check {names.instance} {names.plan}"),
        Step(text="Use it.", command="import moeopt\nprint(1 < 2)", language="python"),
    ],
)
