"""Names of rows and columns: kept as patterns, written out only when somebody reads them."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_INDEXED = re.compile(r"(?P<stem>.+)\[(?P<number>0|[1-9][0-9]{0,17})\]")

#: Marks an escaped character: ``~`` and its code point in hexadecimal and ``;``.
_ESCAPE = "~"


@dataclass(frozen=True)
class NameBlock:
    """Consecutive columns that share a prefix: ``x[0,0]``, ``x[0,1]``, ...

    Attributes
    ----------
    prefix
        What stands before the bracket.
    shape
        Extent of each index; the empty shape is one column named just `prefix`.
    """

    prefix: str
    shape: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Return how many columns the block names."""
        return math.prod(self.shape)

    def names(self) -> Iterator[str]:
        """Yield the names in order, the last index running fastest."""
        if not self.shape:
            yield self.prefix
            return
        for flat in range(self.size):
            yield self.prefix + "[" + ",".join(map(str, self._unravel(flat))) + "]"

    def _unravel(self, flat: int) -> list[int]:
        index = []
        for extent in reversed(self.shape):
            flat, position = divmod(flat, extent)
            index.append(position)
        return index[::-1]


def row_name(group: str, number: int) -> str:
    """Return ``C2[5]``; a negative `number` means that the row is named just `group`."""
    return group if number < 0 else f"{group}[{number}]"


def parse_row_name(name: str) -> tuple[str, int]:
    """Return the group and number that `row_name` would make `name` of."""
    match = _INDEXED.fullmatch(name)
    return (match["stem"], int(match["number"])) if match else (name, -1)


def escape(name: str, allowed: Callable[[str], bool]) -> str:
    """Return `name` with every character that is not `allowed` written as ``~<hex>;``.

    The tilde itself is escaped, so different names stay different. `unescape` undoes it.
    """
    if name == "":
        return _ESCAPE + ";"
    return "".join(c if c != _ESCAPE and allowed(c) else f"{_ESCAPE}{ord(c):x};" for c in name)


def unescape(name: str) -> str:
    """Return the name that `escape` was given."""
    return re.sub(_ESCAPE + r"([0-9a-f]{0,6});", _character, name)


def _character(match: re.Match[str]) -> str:
    """Return what an escape stands for; one that stands for no character stays as it is."""
    if not match[1]:
        return ""
    code = int(match[1], 16)
    return chr(code) if code <= sys.maxunicode else match[0]
