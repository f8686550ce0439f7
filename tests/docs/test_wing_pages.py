"""The wings' pages: alike in order, each with pictures, limits, and papers that can be found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from doc_blocks import ROOT, blocks

from moeopt.core.registry import _OWN_WINGS

#: As in gurobi-optimods' pages. What else a page has to say stands before its limits.
ORDER = (
    "The problem",
    "The formulation",
    "What you state",
    "Run it",
    "Read it",
    "Methods, and when to use which",
    "Limits",
    "References",
)

every_wing = pytest.mark.parametrize("wing", _OWN_WINGS)


def _page(wing: str) -> Path:
    return ROOT / "docs" / "problems" / f"{wing}.md"


def _text(wing: str) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", _page(wing).read_text(encoding="utf-8"), flags=re.M | re.S)


def _headings(wing: str) -> list[str]:
    return re.findall(r"^## (.+)$", _text(wing), re.M)


def _section(wing: str, heading: str) -> str:
    after = _text(wing).split(f"\n## {heading}\n")[1]
    return after.split("\n## ")[0]


@every_wing
def test_headings_are_in_order(wing: str) -> None:
    found = _headings(wing)
    assert [name for name in found if name in ORDER] == list(ORDER)
    assert tuple(found[:5]) == ORDER[:5]
    assert tuple(found[-2:]) == ORDER[-2:]


@every_wing
def test_it_is_run_both_ways(wing: str) -> None:
    lines = _page(wing).read_text(encoding="utf-8").splitlines()
    start, end = lines.index("## Run it"), lines.index("## Read it")
    kinds = {block.kind for block in blocks(_page(wing)) if start < block.line < end}
    assert {"console", "doctest"} <= kinds


@every_wing
def test_one_or_two_pictures_are_shown(wing: str) -> None:
    shown = re.findall(r"^!\[([^]]+)\]\(\.\./pictures/[\w-]+\.png\)", _text(wing), re.M)
    assert 1 <= len(shown) <= 2
    assert all(len(alt.split()) >= 5 for alt in shown)


@every_wing
def test_limits_are_its_own_and_those_of_all(wing: str) -> None:
    limits = _section(wing, "Limits")
    assert "{doc}`../limits`" in limits
    assert len(re.findall(r"^- ", limits, re.M)) >= 3


@every_wing
def test_papers_can_be_found(wing: str) -> None:
    references = _section(wing, "References")
    linked = re.findall(r"\[arXiv ([\d.]+)\]\(https://arxiv\.org/abs/([\d.]+)\)", references)
    assert linked
    assert all(shown == leads_to for shown, leads_to in linked)
    assert "{doc}`../errata`" in references
    # A paper that the page or its formulation names is among them.
    formulation = (ROOT / "formulations" / f"{wing}.md").read_text(encoding="utf-8")
    named = re.findall(r"arXiv[ :](\d{4}\.\d{5})", _text(wing) + formulation)
    assert set(named) <= {number for number, _ in linked}
