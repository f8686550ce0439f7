"""Nothing is missing from the docs, and nothing stands there that does not exist."""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any, get_args

import msgspec
import pytest
from doc_blocks import PAGES, ROOT, table_rows

from moeopt.adapters.engines.eplb import Effort
from moeopt.core.registry import wing_named, wing_names
from moeopt.mip.backends import available_backends
from moeopt.placement.balance import MOST_GROUPS_ENUMERATED
from moeopt.placement.enumeration import MOST_EXPERTS, MOST_SLOTS
from moeopt.placement.methods import METHODS
from moeopt.placement.problem import GroupRule, Objective, PlacementProblem, Split
from moeopt.testing.conformance import PROPERTIES

PLACEMENT = ROOT / "docs" / "problems" / "placement.md"
NAMES = {name for wing in wing_names() for name in wing_named(wing).methods}


def _first_cells(page: Any, heading: str) -> list[str]:
    return [row[0].strip("`") for row in table_rows(page, heading)]


def test_table_of_fields_is_the_problem() -> None:
    fields = {field.name: field for field in msgspec.structs.fields(PlacementProblem)}
    rows = {row[0].strip("`"): row for row in table_rows(PLACEMENT, "field")}
    assert rows.keys() == fields.keys()
    for name, field in fields.items():
        default = rows[name][2]
        if field.default is msgspec.NODEFAULT:
            assert default == "required", name
        else:
            assert default.strip("`").replace('"', "'") == repr(field.default), name


def test_table_of_methods_is_the_registry() -> None:
    assert _first_cells(PLACEMENT, "method") == [method.name for method in METHODS]


def test_table_of_objectives_is_the_type() -> None:
    assert _first_cells(PLACEMENT, "objective") == list(get_args(Objective))


def test_choices_are_named() -> None:
    text = PLACEMENT.read_text(encoding="utf-8")
    for choice in (*get_args(Split), *get_args(GroupRule)):
        assert re.search(rf'`"?{choice}"?`', text), choice


def test_every_method_that_is_named_exists() -> None:
    efforts = set(get_args(Effort))
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        named = re.findall(r"--method[ =]([\w.-]+)", text)
        named += re.findall(r"""\bmethod=["']([\w.-]+)["']""", text)
        assert set(named) <= NAMES | efforts, page.name
    engines = ROOT / "docs" / "engines.md"
    assert {cell.split("`")[0].strip('"') for cell in _first_cells(engines, "method")} == efforts


def test_backends_are_all_there() -> None:
    named = set(_first_cells(ROOT / "docs" / "backends.md", "backend"))
    own = {name for name in available_backends() if not name.startswith("pulp:")}
    assert own <= named
    assert named - own <= {"pulp:NAME", "highs", "cpsat", "scip", "scipy", "cbc"}


def test_every_conformance_property_is_named() -> None:
    text = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    assert all(name in text for name in PROPERTIES)


def _reference() -> dict[str, set[str]]:
    """Return the names that the reference lists, by the module of its heading."""
    sections: dict[str, set[str]] = {}
    module = ""
    for line in (ROOT / "docs" / "api" / "index.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            module = line[3:]
            sections[module] = set()
        elif re.fullmatch(r"   [\w.]+", line):
            sections[module].add(line.strip())
    return sections


@pytest.mark.parametrize(("module", "names"), _reference().items())
def test_reference_names_exist(module: str, names: set[str]) -> None:
    for name in names:
        path, _, last = f"{module}.{name}".rpartition(".")
        assert hasattr(importlib.import_module(path), last), name


@pytest.mark.parametrize(
    "module",
    [
        "moeopt",
        "moeopt.buffering",
        "moeopt.committee",
        "moeopt.io",
        "moeopt.mip",
        "moeopt.placement",
        "moeopt.report",
        "moeopt.testing.conformance",
        "moeopt.testing.strategies",
    ],
)
def test_public_names_are_in_the_reference(module: str) -> None:
    listed = set().union(*_reference().values())
    package = importlib.import_module(module)
    public = {name: getattr(package, name) for name in package.__all__}
    missing = {
        name
        for name, value in public.items()
        if (inspect.isclass(value) or inspect.isfunction(value)) and name not in listed
    }
    assert not missing


def test_relative_links_lead_somewhere() -> None:
    for page in [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            found = page.parent / target
            assert found.exists() or found.with_suffix(".md").exists(), f"{page.name}: {target}"


def test_every_page_is_in_the_contents() -> None:
    docs, listed = ROOT / "docs", set()
    for page in (docs / "index.md", docs / "measurements" / "index.md"):
        names = re.findall(r"^[\w/-]+$", page.read_text(encoding="utf-8"), re.MULTILINE)
        listed |= {str((page.parent / name).relative_to(docs)) for name in names}
    pages = {str(p.relative_to(docs).with_suffix("")) for p in PAGES if docs in p.parents}
    assert pages - {"index"} == listed


def test_limits_name_the_sizes_in_the_code() -> None:
    text = " ".join((ROOT / "docs" / "limits.md").read_text(encoding="utf-8").split())
    assert f"up to {MOST_EXPERTS} experts and {MOST_SLOTS} slots" in text
    assert f"up to {MOST_GROUPS_ENUMERATED} groups" in text


def test_errata_are_numbered_and_say_how_sure_they_are() -> None:
    entries = [row[0].split() for row in table_rows(ROOT / "docs" / "errata.md", "")]
    assert {sure for _, sure in entries} == {"error", "gap", "open"}
    numbers: dict[str, list[int]] = {}
    for name, _ in entries:
        numbers.setdefault(name[0], []).append(int(name[1:]))
    assert numbers.keys() == set("AMPE")
    assert all(found == list(range(1, len(found) + 1)) for found in numbers.values())


def test_errata_that_formulations_name_are_on_the_page() -> None:
    entries = {row[0].split()[0] for row in table_rows(ROOT / "docs" / "errata.md", "")}
    serverless = ROOT / "formulations" / "serverless.md"
    named = {row[0] for row in table_rows(serverless, "") if re.fullmatch(r"E\d+", row[0])}
    assert len(named) == 10
    assert named <= entries
