"""Problems and plans as files: what `moeopt.load_problem` and its sisters do."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from moeopt.core.errors import InstanceError
from moeopt.core.files import write_atomically
from moeopt.core.progress import Moment
from moeopt.core.result import Limit, Result, Status
from moeopt.core.wing import Document, Plan, Problem, Violation, Wing
from moeopt.io.decode import decode, decode_problem, kind_of_source, wing_of_source
from moeopt.io.encode import plan_to_json, problem_sha256, problem_to_json
from moeopt.io.read import Source, read_source
from moeopt.library import find

Path = str | os.PathLike[str]


class ResultRecord(Document, frozen=True, kw_only=True):
    """What a plan's document keeps of the `Result` that the plan came from.

    Attributes
    ----------
    status, limit, objective, bound, gap, method, backend, seed, runtime_s, build_s
        As in `Result`; ``None`` is unknown.
    statistics
        As in `Result`, numbers that are not finite replaced by ``None``.
    violations
        Empty for a plan.
    history
        As in `Result`: seconds, objective and bound of each moment.
    """

    status: Status
    limit: Limit = Limit.NONE
    objective: float | None = None
    bound: float | None = None
    gap: float | None = None
    method: str = ""
    backend: str | None = None
    seed: int = 0
    runtime_s: float = 0.0
    build_s: float = 0.0
    statistics: dict[str, Any] = msgspec.field(default_factory=dict)
    violations: tuple[Violation, ...] = ()
    history: tuple[Moment, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, as `Result.to_dict` does."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return fields


@dataclass(frozen=True)
class PlanDocument:
    """A plan as its file states it.

    Attributes
    ----------
    plan
        The plan, of whatever wing.
    problem_sha256
        `problem_sha256` of the problem that it was made for, if stated.
    result
        The record of the solve, if stated.
    """

    plan: Plan
    problem_sha256: str | None = None
    result: ResultRecord | None = None


def load_problem(path: Path) -> Any:
    """Return the problem of a file.

    Parameters
    ----------
    path
        A file, ``"-"`` for standard input, or ``"@wing/name"`` for an instance of the library.

    Raises
    ------
    InstanceError
        If it cannot be read or is not a valid problem; its `path` is a JSON path from ``$``, or
        the file's name if the trouble is with the file.
    """
    return decode_problem(_source(path))


def load_plan(path: Path, problem: Problem | None = None) -> Any:
    """Return the plan of a file.

    Parameters
    ----------
    path
        A file, or ``"-"`` for standard input.
    problem
        If given, the plan must have been made for it.

    Raises
    ------
    InstanceError
        If the file cannot be read, is not a plan, or is one for another problem.
    """
    document = load_plan_document(path)
    if problem is not None and document.problem_sha256 is not None:
        expected = problem_sha256(problem)
        if document.problem_sha256 != expected:
            raise InstanceError(
                "$.problem_sha256",
                document.problem_sha256,
                f"must be {expected}, the hash of the problem",
                "give the plan of this problem, or remove the field",
            )
    return document.plan


def load_plan_document(path: Path) -> PlanDocument:
    """Return a plan's file in full: the plan, the problem's hash and the result's record.

    Raises
    ------
    InstanceError
        If the file cannot be read or is not a plan.
    """
    return _plan_document(_source(path))


def load_any(path: Path) -> Problem | PlanDocument:
    """Return a problem, or a plan's document: whichever the file holds.

    Raises
    ------
    InstanceError
        If the file cannot be read or holds neither.
    """
    source = _source(path)
    if kind_of_source(source) == "plan":
        return _plan_document(source)
    problem: Problem = decode_problem(source)
    return problem


def save_problem(path: Path, problem: Problem) -> None:
    """Write a problem to a file, its arrays inline; the file appears whole or not at all."""
    write_atomically(path, problem_to_json(problem))


def save_plan(path: Path, problem: Problem, result: Result[Any]) -> None:
    """Write the plan of a result to a file that appears whole or not at all.

    Raises
    ------
    InstanceError
        If the result has no plan.
    """
    if result.plan is None:
        raise InstanceError(
            "result.plan", None, f"must be a plan, but the status is {result.status}", "solve again"
        )
    write_atomically(path, plan_to_json(result.plan, problem_sha256(problem), result))


def plan_document_type(wing: Wing) -> type[Plan]:
    """Return the type of a wing's plan files: the plan's fields and those of `PlanDocument`."""
    return _extended(wing.plan_type)


def _source(path: Path) -> Source:
    name = os.fspath(path)
    return read_source(find(name) if name.startswith("@") else name)


def _plan_document(source: Source) -> PlanDocument:
    wing = wing_of_source(source, "plan")
    read: Any = decode(source, plan_document_type(wing))
    fields = {name: getattr(read, name) for name in wing.plan_type.__struct_fields__}
    return PlanDocument(wing.plan_type(**fields), read.problem_sha256, read.result)


@functools.cache
def _extended(plan_type: type[Plan]) -> type[Plan]:
    # The base is a plan, so the new type is one: defstruct's annotation does not say it.
    extended: Any = msgspec.defstruct(
        f"{plan_type.__name__}Document",
        [
            ("problem_sha256", str | None, None),
            ("result", ResultRecord | None, None),
        ],
        bases=(plan_type,),
        frozen=True,
        kw_only=True,
        tag=plan_type.__struct_config__.tag,
    )
    return cast("type[Plan]", extended)
