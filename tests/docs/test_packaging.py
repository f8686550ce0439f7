"""What is shipped: the archives' contents, the versions that are told, how to cite."""

from __future__ import annotations

import email.message
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import licences
import pytest
import yaml
from doc_blocks import ROOT
from packaging.specifiers import SpecifierSet

import moeopt
from moeopt.library import folder
from moeopt.mip import available_backends
from moeopt.report.page import write_report

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

PACKAGE = Path(moeopt.__file__).parent


def test_the_archive_holds_every_file_of_the_repository() -> None:
    include = PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    told = {place.removeprefix("/") for place in include}
    # The tests may run without the package's source beside them.
    assert all((ROOT / place).exists() for place in told - {"moeopt"})
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.splitlines()
    # These two are packed without being told. An unpacked archive has no repository: nothing.
    packed = {*told, "pyproject.toml", ".gitignore"}
    assert {name.partition("/")[0] for name in tracked} <= packed


def test_the_package_brings_what_is_no_module() -> None:
    assert (PACKAGE / "py.typed").exists()
    assert sorted(path.suffix for path in (PACKAGE / "report/page/assets").iterdir()) == [
        ".css", ".html", ".js", ".txt",
    ]  # fmt: skip
    assert (folder() / "index.json").exists()
    assert (folder() / "traces/LICENSE.python.txt").exists()
    for licence in PROJECT["project"]["license-files"]:
        assert (ROOT / licence).stat().st_size > 1000


def test_the_page_of_dependencies_says_what_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert licences.differences() == []
    page = tmp_path / "page.md"
    text = licences.PAGE.read_text(encoding="utf-8")
    wrong = text.replace("`>=2.0.2,<3`", "`>=1,<3`").replace("| `pandas` |", "| `polars` |")
    page.write_text(wrong.replace("1.44.5 | Apache-2.0", "1.44.5 | MIT"))
    monkeypatch.setattr(licences, "PAGE", page)
    assert licences.differences() == [
        "core numpy: >=2.0.2,<3 in pyproject.toml, >=1,<3 on the page",
        "pandas is not on the page",
        f"boto3: states {licences.stated_licence('boto3')}, MIT on the page",
    ]
    licences.write()
    assert licences.differences()[0] == "pandas is not on the page"


def test_a_field_that_is_missing_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The backport of importlib.metadata, which others may load, raises by brackets."""

    class Strict(email.message.Message):
        def __getitem__(self, name: str) -> Any:
            found = self.get(name)
            if found is None:
                raise KeyError(name)
            return found

    told = Strict()
    told["Classifier"] = "License :: OSI Approved :: MIT License"
    monkeypatch.setattr(licences.metadata, "metadata", lambda package: told)
    assert licences.stated_licence("any") == "License :: OSI Approved :: MIT License"


def test_both_bounds_are_there_and_versions_tried_lie_at_them() -> None:
    for row in licences.rows():
        bounds, tried = SpecifierSet(row.bounds), row.tried.split(", ")
        assert sorted(bound.operator for bound in bounds) == ["<", ">="], row.package
        assert all(version in bounds for version in tried), row.package


def test_a_report_brings_the_licence_of_plotlys_script(tmp_path: Path) -> None:
    problem = moeopt.load_problem(folder() / "placement/tiny-replicas.json")
    result = moeopt.solve(problem)
    write_report(tmp_path / "page.html", problem, result.plan, result)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    notice, _, script = text.partition("* plotly.js v")
    assert "The above copyright notice and this permission notice shall be included" in notice
    assert re.match(r"[^/]*Copyright [\d-]+, Plotly, Inc\.", script)


def test_extras_name_what_they_bring() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    for needed in extras.values():
        for name in needed:
            within = re.match(r"moeopt\[([\w,]+)\]$", name)
            assert within is None or set(within[1].split(",")) <= set(extras), name
    assert {"matplotlib", "plotly"} == {re.split(r"\W", name)[0] for name in extras["plot"]}


def test_citation() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["cff-version"] == "1.2.0"
    assert cited["version"] == moeopt.__version__ == PROJECT["project"]["version"]
    assert {"title", "message", "authors", "license", "type"} <= set(cited)
    papers = {paper["identifiers"][0]["value"]: paper for paper in cited["references"]}
    assert set(papers) == {f"arXiv:{n}" for n in (
        "2410.17043", "2303.06182", "2308.15030", "2501.05313",
    )}  # fmt: skip
    for number, paper in papers.items():
        assert paper["url"] == f"https://arxiv.org/abs/{number.removeprefix('arXiv:')}"
        assert paper["title"]
        assert {"year", "type"} <= set(paper)
        assert all(set(author) == {"given-names", "family-names"} for author in paper["authors"])


def test_the_program_of_the_package_tells_the_solvers_versions(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "moeopt", "--version"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert told["moeopt"] == moeopt.__version__
    for name in ("ortools", "pulp", "scipy", "numba"):
        assert told[name].partition(" ")[0] == metadata.version(name)
    assert "(CP-SAT" in told["ortools"]
    if sys.platform == "linux":
        assert re.search(r"\(CP-SAT, HiGHS \d+\.\d+\.\d+, SCIP \d+\.\d+\.\d+\)$", told["ortools"])
    if "cbc" in available_backends():
        assert re.search(r"\(CBC \d+\.\d+(\.\d+)?\)$", told["pulp"])


def test_versions_of_what_is_missing_or_built_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    from moeopt.cli import version

    def files(name: str) -> list[Any]:
        raise OSError("no list of files")

    monkeypatch.setattr(version, "_TOLD", ("ortools", "no-such-solver"))
    monkeypatch.setattr(metadata, "files", files)
    assert version.versions()[2:] == [
        f"ortools {metadata.version('ortools')}", "no-such-solver not installed",
    ]  # fmt: skip
