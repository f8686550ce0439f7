"""The workloads by name: moeopt's own, loaded on first use, and those that other packages add."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moeopt.core.errors import InstanceError
from moeopt.core.table import Table

#: moeopt's own workloads and the module that registers each.
_OWN_WORKLOADS = {
    "aurora": "moeopt.bench.aurora",
    "buffering": "moeopt.bench.buffering",
    "committee": "moeopt.bench.committee",
    "lambda": "moeopt.bench.aws_lambda",
    "motion": "moeopt.bench.motion",
    "placement": "moeopt.bench.placement",
    "reliability": "moeopt.bench.reliability",
    "serverless": "moeopt.bench.serverless",
    "torch": "moeopt.bench.torch",
    "transfers": "moeopt.bench.transfers",
}

_WORKLOADS: dict[str, Workload] = {}


@dataclass(frozen=True)
class Setting:
    """What one run of a workload is given.

    Attributes
    ----------
    quick
        End within 50 s on two cores: fewer cases and repeats.
    peers
        Folders and wheels that may hold other systems.
    say
        Takes one line of progress.
    only
        The parts to run; all of them if empty.
    """

    quick: bool
    peers: Sequence[Path]
    say: Callable[[str], None]
    only: Sequence[str] = ()


@dataclass(frozen=True)
class Figure:
    """One number that the workload was run for.

    Attributes
    ----------
    name
        What it is.
    value
        The number, or ``None`` where it could not be taken.
    target
        The most it should be, or ``None`` if it is only told.
    format
        Format of both numbers.
    note
        Anything the reader must know, such as why there is no value.
    """

    name: str
    value: float | None
    target: float | None = None
    format: str = ".4f"
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; ``None`` without a value or a target."""
        if self.value is None or self.target is None:
            return None
        # As printed: a target of four digits is met by a value that rounds to it.
        return self._printed(self.value) <= self._printed(self.target)

    def _printed(self, number: float) -> float:
        return float(format(number, self.format).removesuffix("%"))

    def verdict(self) -> str:
        """Return ``"pass"``, ``"miss"`` or ``"-"``."""
        return {True: "pass", False: "miss", None: "-"}[self.met]


@dataclass
class Report:
    """What one run of a workload found; parts are added as they end.

    Attributes
    ----------
    tables
        For people.
    figures
        The numbers asked for, each with its target.
    data
        Everything, as plain JSON types.
    """

    tables: list[Table] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)

    def add(self, other: Report) -> None:
        """Append another report's parts."""
        self.tables += other.tables
        self.figures += other.figures
        self.data |= other.data


@dataclass(frozen=True)
class Workload:
    """A named benchmark.

    Attributes
    ----------
    name
        The name users write.
    summary
        One line on what it shows.
    run
        Takes a `Setting` and returns a `Report`.
    parts
        Names of the parts that can be run alone.
    """

    name: str
    summary: str
    run: Callable[[Setting], Report]
    parts: tuple[str, ...] = ()


def register(workload: Workload) -> Workload:
    """Add a workload, or replace the one of the same name, and return it."""
    _WORKLOADS[workload.name] = workload
    return workload


def workload_names() -> list[str]:
    """Return the names of all workloads, loaded or not."""
    return sorted({*_OWN_WORKLOADS, *_WORKLOADS})


def workload_named(name: str) -> Workload:
    """Return the workload called `name`.

    Raises
    ------
    InstanceError
        If there is no such workload.
    """
    if name not in _WORKLOADS and name in _OWN_WORKLOADS:
        importlib.import_module(_OWN_WORKLOADS[name])
    if name not in _WORKLOADS:
        raise InstanceError(
            "NAME", name, f"must be one of {', '.join(workload_names())}", "choose one of them"
        )
    return _WORKLOADS[name]
