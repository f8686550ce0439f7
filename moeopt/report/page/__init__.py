"""A plan as one HTML file: no network, no folder beside it, readable without JavaScript."""

from __future__ import annotations

import base64
import functools
import hashlib
import os
from pathlib import Path
from string import Template
from typing import Any

from moeopt.core.errors import InstanceError
from moeopt.core.files import write_atomically
from moeopt.core.registry import wing_of
from moeopt.core.result import OPTIMALITY_TOLERANCE, Status, exceeds, relative_gap
from moeopt.report import interactive
from moeopt.report.page import markup
from moeopt.report.page.data import page_data
from moeopt.report.picture import Gallery, Picture
from moeopt.report.progress import solver_progress_picture
from moeopt.report.wings import Names, report_of

#: Nothing is fetched from anywhere; scripts run if their text is what we wrote. Plotly writes
#: styles, and makes an image of a picture to download it.
_POLICY = (
    "default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:;"
    " base-uri 'none'; form-action 'none'"
)


def write_report(
    path: str | os.PathLike[str],
    problem: Any,
    plan: Any,
    result: Any = None,
    names: Names | None = None,
) -> None:
    """Write a plan as an HTML file that appears whole or not at all.

    Parameters
    ----------
    path
        The file.
    problem, plan
        A valid plan of this problem, of any wing.
    result
        The `Result` of the solve, or the record of it that a plan's file keeps; ``None`` if it is
        not known.
    names
        What files are called in the commands that apply the plan; ``plan.json`` and
        ``instance.json`` if left out.

    Raises
    ------
    InstanceError
        If the plan breaks a constraint, or the result is not of this plan.
    AdapterError
        If plotly is not installed.
    OSError
        If the file cannot be written.
    """
    files = names or Names(plan="plan.json", instance="instance.json")
    write_atomically(path, report_html(problem, plan, result, names=files))


def report_html(problem: Any, plan: Any, result: Any = None, *, names: Names) -> bytes:
    """Return a plan as an HTML file: the same bytes for the same plan, result and names.

    Parameters
    ----------
    problem, plan, result, names
        As of `write_report`.

    Raises
    ------
    InstanceError
        If the plan breaks a constraint, or the result is not of this plan.
    AdapterError
        If plotly is not installed.
    """
    _require_valid(problem, plan)
    _require_true(problem, plan, result)
    report = report_of(problem)
    pictures = pictures_of(problem, plan, result)
    tables = list(report.tables(problem, plan, result))
    # Plotly's own, if there is anything to draw.
    scripts = [*([_plotly()] if pictures else []), _asset("page.js")]
    parts = {
        "Pictures": markup.pictures(pictures),
        "Tables": markup.tables(tables, names),
        "Apply it": markup.steps(report.steps(problem, plan, names)),
    }
    links, sections = markup.sections(parts)
    page = Template(_asset("page.html")).substitute(
        policy=_POLICY.format(hashes=" ".join(map(_hash, scripts))),
        title=markup.title(problem),
        style=_asset("page.css"),
        head=markup.head(problem, result),
        summary=markup.summary(report.summary(problem, plan, result)),
        links=links,
        sections=sections,
        foot=markup.foot(problem, result),
        data=page_data(pictures, tables),
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )
    # A file's name may be bytes that are no text.
    return page.encode(errors="replace")


def pictures_of(problem: Any, plan: Any, result: Any = None) -> list[Picture | Gallery]:
    """Return what a page draws: the wing's pictures, and the solve if it told more than its end.

    Parameters
    ----------
    problem, plan, result
        As of `write_report`.
    """
    drawn = list(report_of(problem).pictures(problem, plan, result))
    history = () if result is None else result.history
    return [*drawn, solver_progress_picture(history)] if len(history) > 1 else drawn


def _require_valid(problem: Any, plan: Any) -> None:
    """Raise `InstanceError` for a plan that its problem does not allow: it is worth no page."""
    wing = wing_of(problem)
    if not isinstance(plan, wing.plan_type):
        tag = type(plan).__struct_config__.tag
        raise InstanceError("$.plan", tag, f"must be {wing.name}", "give its plan")
    for broken in wing.violations(problem, plan):
        raise InstanceError(
            broken.path,
            f"<{broken.constraint}: {broken.message}>",
            "must keep every constraint of its problem",
            "moeopt check lists what it breaks",
        )


def _require_true(problem: Any, plan: Any, result: Any) -> None:
    """Raise `InstanceError` if a result is not of this plan: a file may claim anything."""
    if result is None:
        return
    objective = wing_of(problem).evaluate(problem, plan).objective
    claimed, bound = result.objective, result.bound
    gap = relative_gap(objective, bound)
    most = OPTIMALITY_TOLERANCE
    if claimed is not None and abs(claimed - objective) > most * abs(objective):
        raise _untrue("objective", claimed, f"must be the plan's, {objective:.9g}")
    if bound is not None and exceeds(bound, objective):
        raise _untrue("bound", bound, f"must be at most the plan's objective, {objective:.9g}")
    if result.gap is not None and (gap is None or abs(result.gap - gap) > most):
        raise _untrue("gap", result.gap, "must be what objective and bound give")
    if result.status is Status.OPTIMAL and (gap is None or gap > 2 * most):
        raise _untrue("status", result.status.value, "must not be optimal without a bound as high")


def _untrue(field: str, value: object, rule: str) -> InstanceError:
    return InstanceError(f"$.result.{field}", value, rule, "solve again, or leave the result out")


def _plotly() -> str:
    """Return plotly's script after the text of its licence, which it names but does not hold."""
    return f"/*\n{_asset('plotly-licence.txt')}*/\n{interactive.script()}"


@functools.cache
def _asset(name: str) -> str:
    return (Path(__file__).with_name("assets") / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """Return the source that lets a script of this text run, and no other."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
