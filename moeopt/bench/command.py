"""``moeopt bench``: run one workload, draw its tables, end with its figures."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from moeopt.bench.environment import describe
from moeopt.bench.registry import Figure, Report, Setting, Workload, workload_named
from moeopt.core.errors import InstanceError
from moeopt.core.files import write_atomically
from moeopt.core.table import Column, Table, print_tables

_STDOUT = "-"


def run(
    name: str,
    *,
    quick: bool,
    peers: Sequence[str | os.PathLike[str]] = (),
    only: Sequence[str] = (),
    json_path: str | os.PathLike[str] | None = None,
    quiet: bool = False,
) -> int:
    """Run the workload `name`; 0 once it ran, whether its targets are met or not.

    Parameters
    ----------
    name
        Name of a registered workload.
    quick
        End within 50 s on two cores.
    peers
        Unpacked wheels, or wheels, of the systems to compare with.
    only
        Names of the workload's parts to run; all of them if empty.
    json_path
        Where to write everything as JSON; ``"-"`` is standard output, and the tables then go to
        standard error.
    quiet
        No tables, and nothing of what is being done.

    Raises
    ------
    InstanceError
        If there is no such workload, part or path, or the JSON cannot be written.
    """
    workload = workload_named(name)
    for part in only:
        _require_part(workload, part)
    paths = [_existing(path) for path in peers]
    say = _hush if quiet else _say
    report = workload.run(Setting(quick=quick, peers=paths, say=say, only=only))
    as_json = None if json_path is None else os.fspath(json_path)
    out = sys.stderr if as_json == _STDOUT else sys.stdout
    if not quiet:
        print_tables([*report.tables, figures_table(report.figures)], out)
    if as_json is not None:
        _write(as_json, encode(name, quick, report))
    return 0


def figures_table(figures: Iterable[Figure]) -> Table:
    """Return the figures with their targets and verdicts, as the last table of a run."""
    columns = [Column("figure"), Column("value"), Column("at most"), Column("")]
    rows = []
    for figure in figures:
        value = None if figure.value is None else format(figure.value, figure.format)
        target = None if figure.target is None else format(figure.target, figure.format)
        name = f"{figure.name} ({figure.note})" if figure.note else figure.name
        rows.append([name, value or "-", target or "-", figure.verdict()])
    return Table("Figures", columns, rows)


def encode(name: str, quick: bool, report: Report) -> bytes:
    """Return the whole run as JSON."""
    document: dict[str, Any] = {
        "bench": name,
        "version": 1,
        "quick": quick,
        "environment": describe(),
        "figures": [{**asdict(figure), "met": figure.met} for figure in report.figures],
        "tables": [asdict(table) for table in report.tables],
        "data": report.data,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def _require_part(workload: Workload, part: str) -> None:
    if not workload.parts:
        rule, remedy = f"must not be given: {workload.name} runs as a whole", "leave it out"
        raise InstanceError("--only", part, rule, remedy)
    if part not in workload.parts:
        raise InstanceError(
            "--only", part, f"must be one of {', '.join(workload.parts)}", "choose some of them"
        )


def _existing(path: str | os.PathLike[str]) -> Path:
    found = Path(path)
    if not found.exists():
        raise InstanceError(
            "--peers", os.fspath(path), "must exist", "name a folder or a .whl file"
        )
    return found


def _hush(line: str) -> None:
    pass


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _write(name: str, data: bytes) -> None:
    if name == _STDOUT:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        write_atomically(name, data)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        rule = f"must be writable ({reason})"
        raise InstanceError("--json", name, rule, "choose another place") from None
