"""The library of instances: in the repository as ``instances/``, in a wheel as ``_instances``."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import msgspec

from moeopt.core.errors import InstanceError
from moeopt.core.wing import Document

#: Where the instances lie: beside the modules of an installed copy, else in the checkout.
_PLACES = (Path(__file__).parent / "_instances", Path(__file__).parents[1] / "instances")


class Entry(Document, frozen=True, kw_only=True):
    """One instance of the library.

    Attributes
    ----------
    name
        ``wing/name``; ``@wing/name`` on the command line.
    path
        File, relative to the library's folder.
    size
        Its size in words.
    source
        Where the data come from.
    generator
        The call that made it, if one did.
    best_objective, best_bound
        Best known, or ``None``.
    proven_by
        What proved the bound, if anything did.
    """

    name: str
    path: str
    size: str = ""
    source: str = ""
    generator: dict[str, str | int | float] | None = None
    best_objective: float | None = None
    best_bound: float | None = None
    proven_by: str | None = None

    @property
    def wing(self) -> str:
        """Name of the wing whose problem it is."""
        return self.name.partition("/")[0]


class _Index(Document, frozen=True, kw_only=True):
    version: int
    instances: tuple[Entry, ...]


def folder() -> Path:
    """Return the library's folder.

    Raises
    ------
    InstanceError
        If this copy of moeopt has none.
    """
    for place in _PLACES:
        if (place / "index.json").is_file():
            return place
    raise InstanceError(
        "@", "<no index.json>", "the library of instances must be installed", "reinstall moeopt"
    )


def entries(pattern: str = "") -> list[Entry]:
    """Return the instances whose name, with or without its wing, matches `pattern`.

    A pattern is a piece of the name, or one with ``*`` and ``?`` as in a shell.
    """
    from fnmatch import fnmatchcase

    pattern = pattern.removeprefix("@")
    return [
        entry
        for entry in _index()
        if pattern in entry.name
        or fnmatchcase(entry.name, pattern)
        or fnmatchcase(entry.name.partition("/")[2], pattern)
    ]


def find(name: str) -> Path:
    """Return the file of an instance by its name, with or without the ``@``.

    Raises
    ------
    InstanceError
        If there is no such instance.
    """
    wanted = name.removeprefix("@")
    for entry in _index():
        if entry.name == wanted:
            return folder() / entry.path
    raise InstanceError(name, wanted, "must be an instance of the library", _remedy(wanted))


def trace_path(name: str) -> Path:
    """Return the file of a recorded trace, for `moeopt.traces.read_trace`.

    Parameters
    ----------
    name
        A name of ``traces/index.json``, which says how each was made: ``"reference-held-out"``.

    Raises
    ------
    InstanceError
        If there is no such trace.
    """
    paths = {path.stem: path for path in (folder() / "traces").glob("*.npz")}
    if name not in paths:
        raise InstanceError(
            "name", name, "must be a trace of the library", f"it has {', '.join(sorted(paths))}"
        )
    return paths[name]


def _remedy(wanted: str) -> str:
    import difflib

    names = [entry.name for entry in _index()]
    # Someone who left the wing out means the instance all the same.
    alike = [name for name in names if name.endswith("/" + wanted)]
    close = alike or difflib.get_close_matches(wanted, names, n=1)
    return f"did you mean '@{close[0]}'?" if close else "see `moeopt instances`"


@functools.cache
def _index() -> tuple[Entry, ...]:
    data: Any = (folder() / "index.json").read_bytes()
    return msgspec.json.decode(data, type=_Index).instances
