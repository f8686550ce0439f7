"""What each wing tells on a page: summary, pictures, tables, and how to apply the plan."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from moeopt.core.registry import wing_of
from moeopt.core.result import OPTIMALITY_TOLERANCE
from moeopt.core.table import Table
from moeopt.core.units import number_text
from moeopt.report.picture import Gallery, Picture

#: The wings that have more to show than tables, and the module with their ``REPORT``.
_OWN = {
    "buffering": "moeopt.report.buffering",
    "colocation": "moeopt.report.colocation",
    "committee": "moeopt.report.committee",
    "placement": "moeopt.report.placement",
    "serverless": "moeopt.report.serverless",
    "transfers": "moeopt.report.transfers",
}


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One line of a summary.

    Attributes
    ----------
    label
        What it is: ``"imbalance"``.
    text
        The figure with its unit, as a reader wants it.
    number
        The figure itself, in SI units or counts, as the plan has it; ``None`` for words.
    """

    label: str
    text: str
    number: float | None = None


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What comes first on the page.

    Attributes
    ----------
    asked
        What was asked: sizes, objective, rules.
    gained
        What the plan is worth: before and after, in what the user pays for.
    distance
        How far from the best possible it can be.
    binds
        What stands in the way of better: the rules and the places that bind.
    """

    asked: Sequence[Fact]
    gained: Sequence[Fact]
    distance: Sequence[Fact]
    binds: Sequence[Fact]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of applying a plan.

    Attributes
    ----------
    text
        What it does, and when it is the right one.
    command
        The exact command, or lines of Python.
    language
        ``"console"`` or ``"python"``.
    way
        Of steps in a row with different ways a user takes one way: ``"vLLM"``. Empty for a step
        that is everybody's.
    """

    text: str
    command: str
    language: str = "console"
    way: str = ""


@dataclass(frozen=True, kw_only=True)
class Names:
    """What files are called in the steps.

    Attributes
    ----------
    plan
        The plan's file, as the user named it.
    instance
        The problem's: a file or ``@wing/name``.
    """

    plan: str
    instance: str


@dataclass(frozen=True, kw_only=True)
class WingReport:
    """How one wing's plans are told.

    Attributes
    ----------
    summary
        ``summary(problem, plan, result)``; the result is ``None`` where a plan's file keeps none.
    pictures
        ``pictures(problem, plan, result)``, the most telling first.
    tables
        ``tables(problem, plan, result)``: the whole plan, row by row.
    steps
        ``steps(problem, plan, names)``: how to apply it.
    """

    summary: Callable[[Any, Any, Any], Summary]
    pictures: Callable[[Any, Any, Any], Sequence[Picture | Gallery]]
    tables: Callable[[Any, Any, Any], Sequence[Table]]
    steps: Callable[[Any, Any, Names], Sequence[Step]]


def report_of(problem: Any) -> WingReport:
    """Return how the plans of a problem are told; for a wing that others add, by its tables."""
    wing = wing_of(problem)
    if wing.name in _OWN:
        found: WingReport = importlib.import_module(_OWN[wing.name]).REPORT
        return found
    return WingReport(
        summary=_plain_summary,
        pictures=lambda problem, plan, result: (),
        tables=wing.summarise,
        steps=lambda problem, plan, names: (),
    )


def counted(label: str, count: int) -> Fact:
    """Return how many there are of something.

    Parameters
    ----------
    label, count
        What, and how many.
    """
    return Fact(label=label, text=f"{count:,}", number=count)


def changed(
    label: str, before: float | None, after: float, amount: Callable[[float], str] = number_text
) -> Fact:
    """Return what something was and what it is now.

    Parameters
    ----------
    label
        What.
    before, after
        Its values; ``None`` where there is nothing to compare with.
    amount
        Tells a value with its unit.
    """
    start = "" if before is None else f"{amount(before)} → "
    return Fact(label=label, text=start + amount(after), number=after)


def values(
    objective: float | None, bound: float | None, amount: Callable[[float], str] = number_text
) -> list[Fact]:
    """Return an objective and a bound of it as they are told.

    Parameters
    ----------
    objective, bound
        ``None`` if not known.
    amount
        Tells a value with its unit.
    """
    known = {"objective": objective, "lower bound": bound}
    return [
        Fact(label=label, text="unknown" if value is None else amount(value), number=value)
        for label, value in known.items()
    ]


def distance(result: Any, amount: Callable[[float], str] = number_text) -> list[Fact]:
    """Return objective, bound, gap, status, method and time of a solve: the same in every wing.

    Parameters
    ----------
    result
        The `Result`, the record of it that a plan's file keeps, or ``None``.
    amount
        As for `values`.
    """
    if result is None:
        return [Fact(label="bound", text="not known: the plan's file keeps no result")]
    gap = result.gap
    told = "unknown" if gap is None else f"{100 * gap:.3g} %: no plan is better by more"
    if gap is not None and gap <= OPTIMALITY_TOLERANCE:
        told = "0 %: proven, no plan is better"
    limit = result.limit.value
    ended = "" if limit == "none" else f", stopped by its {limit} limit"
    return [
        *values(result.objective, result.bound, amount),
        Fact(label="gap", text=told, number=gap),
        Fact(label="status", text=result.status.value.replace("_", " ") + ended),
        Fact(label="method", text=f"{result.method}, seed {result.seed}"),
        Fact(label="time", text=f"{result.runtime_s:.3g} s", number=result.runtime_s),
    ]


def python_text(text: str) -> str:
    """Return a text as Python reads it, in double quotes; letters of any script stand as they are.

    Parameters
    ----------
    text
        A file's name, say.
    """
    return json.dumps(text, ensure_ascii=False)


def python_loads(names: Names) -> str:
    """Return the lines of Python that load a problem and its plan.

    Parameters
    ----------
    names
        What the files are called.
    """
    return (
        "import moeopt\n\n"
        f"problem = moeopt.load_problem({python_text(names.instance)})\n"
        f"plan = moeopt.load_plan({python_text(names.plan)}, problem)\n"
    )


def _plain_summary(problem: Any, plan: Any, result: Any) -> Summary:
    sizes = [Fact(label=k, text=f"{v:,}", number=float(v)) for k, v in problem.sizes().items()]
    del plan
    return Summary(asked=sizes, gained=(), distance=distance(result), binds=())
