"""A plan's file, and the problem that it is of."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from moeopt.cli import files


def read(plan: str, instance: str | None) -> Any:
    """Return the document of a plan's file.

    Parameters
    ----------
    plan
        The file, or ``-``.
    instance
        Of its problem, which must not be ``-`` too.
    """
    from moeopt.core.errors import InstanceError
    from moeopt.io import load_plan_document

    if instance == plan == files.STDOUT:
        rule = "must be a file if --instance is -"
        raise InstanceError("PLAN", "-", rule, "save one of them")
    return files.read(load_plan_document, plan)


def problem_of(plan: str, instance: str | None, document: Any) -> Any:
    """Return the plan's problem: the one that is named, or the library's that it was made for.

    A problem that is not quite the plan's is told of on standard error; one of another wing is an
    `InstanceError`.
    """
    from moeopt.core.errors import InstanceError
    from moeopt.core.registry import wing_of

    if instance is None:
        problem = _of_library(plan, document)
    else:
        problem = files.read_problem(instance)
        if not made_for(problem, document):
            said = (
                "$.problem_sha256: the plan was made for another problem, or this one has changed"
            )
            print(f"moeopt: {shown(plan)}: {said}", file=sys.stderr)
    wing = wing_of(problem)
    if not isinstance(document.plan, wing.plan_type):
        tag = type(document.plan).__struct_config__.tag
        raise InstanceError(f"{shown(plan)}: $.plan", tag, f"must be {wing.name}", "give its plan")
    return problem


def made_for(problem: Any, document: Any) -> bool:
    """Tell whether a plan's file names this problem, or none."""
    from moeopt.io import problem_sha256

    return document.problem_sha256 in (None, problem_sha256(problem))


def shown(plan: str) -> str:
    """Return a plan's file as errors name it."""
    return "<stdin>" if plan == "-" else plan


@contextlib.contextmanager
def table_named(plan: str) -> Iterator[None]:
    """Let errors about a placement's table, or its layers, name them as the command line does."""
    from moeopt.core.errors import InstanceError

    try:
        yield
    except InstanceError as error:
        path = error.path
        if path.startswith("table"):
            path = f"{shown(plan)}: $.physical_to_logical{path.removeprefix('table')}"
        elif path in ("layer_ids", "model_layers", "devices"):
            path = "--" + path.replace("_", "-")
        raise InstanceError(path, error.value, error.rule, error.remedy) from None


def _of_library(plan: str, document: Any) -> Any:
    from moeopt.core.errors import InstanceError
    from moeopt.io import load_problem, problem_sha256
    from moeopt.library import entries

    wanted = document.problem_sha256
    tag = type(document.plan).__struct_config__.tag
    for entry in entries() if wanted is not None else ():
        if entry.wing == tag:
            problem = load_problem(f"@{entry.name}")
            if problem_sha256(problem) == wanted:
                return problem
    raise InstanceError(
        f"{shown(plan)}: $.problem_sha256",
        "<none>" if wanted is None else wanted,
        "must be that of an instance of the library if --instance is not given",
        "name the plan's problem with --instance",
    )
