"""Reading the documents: their fenced blocks, their tables, and running what they show."""

from __future__ import annotations

import doctest
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

#: Every document whose code is run.
PAGES = [
    ROOT / "README.md",
    *sorted(
        path
        for path in (ROOT / "docs").rglob("*.md")
        if not {"_build", "generated"} & set(path.parts)
    ),
]

#: A line that stands for any number of lines left out.
ELISION = "…"

_FENCE = re.compile(r"^```(\S.*)?$")
_NUMBER = re.compile(r"-?\d[\d,]*\.?\d*(?:[eE][-+]?\d+)?%?")

#: Numbers of a document may differ by this share, or this much, from those of a run: searches on
#: another processor may round otherwise.
_SHARE, _AMOUNT = 0.005, 0.1


@dataclass(frozen=True)
class Block:
    """A fenced block: its kind, its text and the line after its fence."""

    kind: str
    text: str
    line: int


@dataclass(frozen=True)
class Command:
    """A ``$`` line of a console block and the output shown below it."""

    line: str
    shown: list[str]

    def parts(self) -> list[list[str]]:
        """Return the words of each command joined by ``&&``."""
        words = shlex.split(self.line, comments=True)
        parts: list[list[str]] = [[]]
        for word in words:
            if word == "&&":
                parts.append([])
            else:
                parts[-1].append(word)
        return parts


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a document, in order."""
    found, kind, start = [], None, 0
    lines = page.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        match = _FENCE.match(line)
        if match is None:
            continue
        if kind is None:
            kind, start = (match.group(1) or "").strip("{} "), number
        else:
            found.append(Block(kind, "\n".join(lines[start : number - 1]) + "\n", start + 1))
            kind = None
    assert kind is None, f"{page}: the fence of line {start} is not closed"
    return found


def commands(block: Block) -> list[Command]:
    """Return the commands of a console block with what is shown below each."""
    found: list[Command] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:], []))
        else:
            found[-1].shown.append(line)
    return found


def run_python(block: Block, page: Path, namespace: dict[str, Any]) -> None:
    """Run a block of Python, comparing the output where it is a session."""
    if ">>>" not in block.text:
        # As a reader would run it: without this module's own __future__ imports.
        code = compile(block.text, f"{page}:{block.line}", "exec", dont_inherit=True)
        exec(code, namespace)
        return
    parser, said = doctest.DocTestParser(), []
    test = parser.get_doctest(block.text, {}, page.name, str(page), block.line)
    test.globs = namespace
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(test, out=said.append, clear_globs=False)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)


def assert_alike(shown: list[str], printed: list[str]) -> None:
    """Compare the lines shown with those printed: words exactly, numbers nearly, no times."""
    if not shown:
        return
    shown, rest = _without_times(shown), _without_times(printed)
    left_out = False
    for line in shown:
        if line == ELISION:
            left_out = True
            continue
        while left_out and rest and not _alike(line, rest[0]):
            rest.pop(0)
        assert rest, f"{line!r} was not printed"
        assert _alike(line, rest[0]), f"shown {line!r}, printed {rest[0]!r}"
        rest.pop(0)
        left_out = False
    assert left_out or not rest, f"printed but not shown: {rest[0]!r}"


def _without_times(lines: list[str]) -> list[str]:
    """Return the lines with ``ms`` for every number of a table's last column of that name."""
    found, timed = [], False
    for line in lines:
        words = line.split()
        if words and words[0] == "layer":
            timed = words[-1] == "ms"
        elif timed and words and (words[0].isdigit() or words[0] == "total"):
            float(words[-1])
            line = " ".join([*words[:-1], "ms"])
        found.append(line)
    return found


def _alike(shown: str, printed: str) -> bool:
    if shown.startswith("time ") and printed.startswith("time "):
        return True
    one, other = shown.split(), printed.split()
    return len(one) == len(other) and all(map(_word_alike, one, other))


def _word_alike(one: str, other: str) -> bool:
    if one == other or (set(one) == set(other) == {"─"}):
        return True
    if not (_NUMBER.fullmatch(one) and _NUMBER.fullmatch(other)):
        return False
    if "." not in one and "." not in other and len(one) < 4:
        return False  # counts, indices
    a, b = (float(word.replace(",", "").rstrip("%")) for word in (one, other))
    return abs(a - b) <= max(_AMOUNT, _SHARE * abs(a)) and ("." in one or abs(a - b) <= abs(a) / 50)


def table_rows(page: Path, first: str) -> Iterator[list[str]]:
    """Yield the cells of every row of the table whose first heading is `first`."""
    heading: str | None = None
    for line in page.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            heading = None
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if heading is None:
            heading = cells[0].strip("`")
        elif heading == first and not set(cells[0]) <= {"-", ":"}:
            yield cells
