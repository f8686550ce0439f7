"""Dependencies as pyproject.toml and installed packages state them: ``python tools/licences.py``.

Compares the tables of docs/dependencies.md with them and says what differs; ``--write`` mends the
bounds there. What a package is for, what it was tried with and, where versions differ in it, its
licence are written by hand.
"""

from __future__ import annotations

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]

PAGE = ROOT / "docs" / "dependencies.md"

#: Words of a licence's statement by what is looked for, because packages word them differently.
_FAMILIES = ("Apache", "BSD", "MIT", "MPL", "PSF", "Python Software Foundation")


class Row(NamedTuple):
    """A row of the page's first table."""

    extra: str
    package: str
    bounds: str
    tried: str
    licence: str
    purpose: str


def requirements(extra: str = "core") -> list[Requirement]:
    """Return what an extra needs, or the core, also through other extras of moeopt."""
    found = []
    for needed in map(Requirement, _lists()[extra]):
        if needed.name == "moeopt":
            found += [one for other in sorted(needed.extras) for one in requirements(other)]
        else:
            found.append(needed)
    return found


def direct() -> dict[tuple[str, str], str]:
    """Return the bounds of each direct dependency, by extra and name."""
    return {
        (extra, needed.name): _bounds(needed)
        for extra, lines in _lists().items()
        for needed in map(Requirement, lines)
        if needed.name != "moeopt"
    }


def transitive() -> set[str]:
    """Return what the core's dependencies bring here, they themselves left out."""
    core = {needed.name for needed in requirements()}
    found, todo = set[str](), list(core)
    while todo:
        for needed in map(Requirement, metadata.requires(todo.pop()) or ()):
            name = needed.name.lower().replace("_", "-")
            wanted = needed.marker is None or needed.marker.evaluate({"extra": ""})
            if wanted and name not in found | core:
                found.add(name)
                todo.append(name)
    return found


def stated_licence(package: str) -> str:
    """Return the licence in an installed package's own words; nothing where it states none."""
    told = metadata.metadata(package)
    classified = [line for line in told.get_all("Classifier", []) if line.startswith("License ::")]
    # Not by brackets: where the backport of importlib.metadata is loaded, what is missing raises.
    text = str(told.get("License-Expression") or told.get("License") or "")
    # Some put the whole text there.
    return text if text and "\n" not in text else " AND ".join(classified)


def families(licence: str) -> set[str]:
    """Return the licences that a statement names, whatever the words."""
    found = {family for family in _FAMILIES if family in licence}
    return {"PSF" if family.startswith("Python") else family for family in found}


def rows() -> list[Row]:
    """Return the rows of the direct dependencies on the page."""
    cells = [line.strip("| ").split(" | ") for line in _lines()]
    return [Row(*map(_plain, row)) for row in cells if len(row) == 6 and row[1][0] == "`"]


def brought() -> dict[str, str]:
    """Return the licences of the core's transitive dependencies on the page."""
    cells = [line.strip("| ").split(" | ") for line in _lines()]
    return {_plain(row[0]): row[1] for row in cells if len(row) == 3 and row[0][0] == "`"}


def differences() -> list[str]:
    """Return where the page and pyproject.toml, or the page and what is installed, differ."""
    page, told = rows(), direct()
    said = {(row.extra, row.package): row.bounds for row in page}
    found = [
        f"{' '.join(key)}: {told.get(key)} in pyproject.toml, {said.get(key)} on the page"
        for key in sorted(told.keys() | said.keys())
        if told.get(key) != said.get(key)
    ]
    found += [f"{name} is not on the page" for name in sorted(transitive() - brought().keys())]
    licences = {row.package: row.licence for row in page} | brought()
    for package, licence in licences.items():
        stated = stated_licence(package) if _installed(package) else ""
        if not families(stated) <= families(licence):
            found.append(f"{package}: states {stated}, {licence} on the page")
    return found


def write() -> None:
    """Put the bounds of pyproject.toml on the page."""
    text = PAGE.read_text(encoding="utf-8")
    for (extra, package), bounds in direct().items():
        start = f"| {extra} | `{package}` | `"
        text = re.sub(rf"^{re.escape(start)}[^`]*", start + bounds, text, flags=re.MULTILINE)
    PAGE.write_text(text, encoding="utf-8")


def _lists() -> dict[str, list[str]]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project: dict[str, Any] = tomllib.loads(text)["project"]
    return {"core": project["dependencies"], **project["optional-dependencies"]}


def _bounds(needed: Requirement) -> str:
    return ",".join(sorted(map(str, needed.specifier), reverse=True))


def _lines() -> list[str]:
    text = PAGE.read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line.startswith("| ")]


def _plain(cell: str) -> str:
    return cell.strip("`")


def _installed(package: str) -> bool:
    try:
        metadata.metadata(package)
    except metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        write()
    wrong = differences()
    print("\n".join(wrong) or "docs/dependencies.md says what pyproject.toml and packages say")
    sys.exit(bool(wrong))
