"""How a bad instance is made: a small change of one valid base, and what must be said of it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BASE: dict[str, Any] = {
    "problem": "placement",
    "version": 1,
    "name": "base",
    "loads_tokens": [[40, 30, 20, 10], [10, 20, 30, 40]],
    "cluster": {"nodes": [{"node": {"devices": 2}, "count": 2}]},
    "slots_per_device": 1,
}

Make = Callable[[Path], "Path | None"]


@dataclass(frozen=True)
class Case:
    """One bad instance; `says` must all stand in the sentence."""

    name: str
    make: Make
    says: tuple[str, ...]
    code: int = 2

    def __str__(self) -> str:
        return self.name


def file_with(folder: Path, data: bytes) -> Path:
    path = folder / "bad.json"
    path.write_bytes(data)
    return path


def edited(**fields: Any) -> dict[str, Any]:
    document = copy.deepcopy(BASE)
    document.update(fields)
    return document


def edit(name: str, *says: str, code: int = 2, **fields: Any) -> Case:
    """Return a case whose document has other or more fields."""
    data = json.dumps(edited(**fields)).encode()
    return Case(name, lambda folder: file_with(folder, data), says, code)


def without(name: str, field: str, *says: str) -> Case:
    """Return a case that lacks a field."""
    document = {key: value for key, value in BASE.items() if key != field}
    return Case(name, lambda folder: file_with(folder, json.dumps(document).encode()), says)


def raw(name: str, data: bytes, *says: str) -> Case:
    """Return a case whose file has exactly these bytes."""
    return Case(name, lambda folder: file_with(folder, data), says)


def replaced(name: str, old: str, new: str, *says: str) -> Case:
    """Return a case with one piece of the base's text replaced: JSON that no library writes."""
    text = json.dumps(BASE)
    assert old in text
    return raw(name, text.replace(old, new, 1).encode(), *says)


def place(name: str, make: Make, *says: str) -> Case:
    """Return a case in which the file itself is the trouble."""
    return Case(name, make, says)
