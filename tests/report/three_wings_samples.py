"""Solved instances of the library, marks by name, and steps carried out as they are written."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from written_steps import run_python

import moeopt
from moeopt.cli.main import main, parser_of_all
from moeopt.report.picture import Gallery, Picture
from moeopt.report.wings import Names, Step, report_of

#: Commands that need an account, a stand-in for one, or what a run has recorded.
_AWAY = ("run", "lambda", "calibrate")


@functools.cache
def solved(name: str, method: str = "auto") -> tuple[Any, Any, Any]:
    """Return an instance of the library, a plan of it, and the result."""
    problem = moeopt.load_problem(f"@{name}")
    result = moeopt.solve(problem, method)
    assert result.plan is not None, name
    return problem, result.plan, result


def mark(picture: Picture, name: str) -> Any:
    """Return the mark of this name."""
    (found,) = (one for one in picture.marks if getattr(one, "name", "") == name)
    return found


def flat(drawn: Iterable[Picture | Gallery]) -> list[Picture]:
    """Return all pictures, those to choose from one by one."""
    every: list[Picture] = []
    for one in drawn:
        every += one.pictures if isinstance(one, Gallery) else [one]
    return every


def apply(steps: Sequence[Step]) -> None:
    """Carry out every step; of what needs an account only ask what it takes."""
    for step in steps:
        if step.language == "python":
            run_python(step.command)
            continue
        program, *arguments = shlex.split(step.command)
        assert program == "moeopt", step.command
        if arguments[0] not in _AWAY:
            assert main(arguments) == 0, step.command
            continue
        parser_of_all().parse_args(arguments)


def saved(name: str, folder: Path, method: str = "auto") -> list[Step]:
    """Save an instance's plan, and return the steps that a page of it shows."""
    problem, plan, result = solved(name, method)
    file = folder / "the 'plän' \N{GRINNING FACE}.json"
    moeopt.save_plan(file, problem, result)
    names = Names(plan=str(file), instance=f"@{name}")
    return list(report_of(problem).steps(problem, plan, names))
