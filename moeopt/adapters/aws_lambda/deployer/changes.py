"""What a deployment or a removal does, thing by thing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any, Literal

from moeopt.core.table import Cell, Column, Table

Action = Literal["create", "update", "keep", "delete"]
Kind = Literal["bucket", "role", "code", "weights", "function", "objects"]

#: Most rows of changes of one kind.
_ROWS = 8

_HASH = re.compile(r"([0-9a-f]{12})[0-9a-f]{52}")


@dataclass(frozen=True)
class Change:
    """One thing and what becomes of it.

    Attributes
    ----------
    action
        What is done; ``"keep"`` for nothing.
    kind, name
        What it is, and what it is called.
    why
        What differs, or why it is left alone; empty where the action says it.
    """

    action: Action
    kind: Kind
    name: str
    why: str = ""

    def sentence(self) -> str:
        """Return the change as a line of a log."""
        return f"{self.action} {self.kind} {_short(self.name)}" + (
            f": {self.why}" if self.why else ""
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON types."""
        return asdict(self)


def changes_table(title: str, changes: Sequence[Change]) -> Table:
    """Return the changes as a table: those of a kind in one row, if there are many."""
    rows = list[list[Cell]]()
    for (action, kind, why), group in groupby(changes, _alike):
        names = [_short(one.name) for one in group]
        if action == "keep" and not why:
            continue
        if len(names) > _ROWS:
            names = [f"{names[0]} ... {names[-1]}, {len(names)} of them"]
        rows += [[action, kind, name, why] for name in names]
    kept = sum(1 for one in changes if one.action == "keep" and not one.why)
    if kept:
        rows.append(["keep", "", f"{kept} that are as they should be", ""])
    columns = [Column("change"), Column("what"), Column("name"), Column("why")]
    return Table(title, columns, rows)


def _alike(change: Change) -> tuple[str, str, str]:
    return change.action, change.kind, change.why


def _short(name: str) -> str:
    """Return a name with what is a hash in it cut."""
    return _HASH.sub(r"\1...", name)
