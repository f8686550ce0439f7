"""The page as bytes: the same each time, nothing runs that is not ours, nothing false is told."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import page_toys
import pytest

import moeopt
from moeopt.core import registry
from moeopt.core.errors import AdapterError, InstanceError
from moeopt.core.progress import Moment
from moeopt.core.result import Result, Status
from moeopt.core.table import Column, Table
from moeopt.io import ResultRecord, problem_sha256
from moeopt.placement.plan import PlacementPlan
from moeopt.report import wings
from moeopt.report.page import report_html, write_report
from moeopt.report.page.data import page_data
from moeopt.report.picture import Gallery, Picture
from moeopt.report.wings import Names

NAMES = Names(plan="plan.json", instance="instance.json")
PROBLEM = page_toys.GuessProblem(name=page_toys.HOSTILE, source="made up")
PLAN = page_toys.GuessPlan(number=2.5)
RESULT: Result[Any] = Result(
    status=Status.FEASIBLE, plan=PLAN, objective=2.5, bound=2.0, method="guessing", seed=7
)


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._WINGS, "guess", page_toys.WING)
    monkeypatch.setitem(wings._OWN, "guess", "page_toys")


def _data(page: bytes) -> Any:
    found = re.search(rb'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found is not None
    return json.loads(found[1])


def _scripts(page: bytes) -> list[str]:
    return re.findall(r"<script>(.*?)</script>", page.decode(), re.S)


def test_the_same_plan_gives_the_same_bytes() -> None:
    once = report_html(PROBLEM, PLAN, RESULT, names=NAMES)
    assert once == report_html(PROBLEM, PLAN, RESULT, names=NAMES)
    assert once != report_html(PROBLEM, PLAN, replace(RESULT, seed=8), names=NAMES)


def test_only_our_scripts_may_run_and_nothing_may_be_fetched() -> None:
    page = report_html(PROBLEM, PLAN, RESULT, names=NAMES)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page.decode())
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in _scripts(page)
    ]
    assert len(hashes) == 2
    assert rules["default-src"] == "'none'"
    assert rules["script-src"].split() == hashes
    assert "connect-src" not in rules
    # Before anything that it forbids could be asked for.
    assert page.index(b"Content-Security-Policy") < page.index(b"<style>")


def test_no_text_becomes_markup() -> None:
    page = report_html(PROBLEM, PLAN, RESULT, names=NAMES)
    assert page.count(b"</script>") == 3
    assert b"<img" not in re.sub(rb"<script>.*?</script>", b"", page, flags=re.S)
    assert html.escape(page_toys.HOSTILE).encode() in page
    assert _data(page)["tables"][0]["title"] == f"Long {page_toys.HOSTILE}"


def test_a_file_s_name_may_be_no_text() -> None:
    page = report_html(PROBLEM, PLAN, names=replace(NAMES, plan="a\udcff.json"))
    assert b"moeopt check instance.json a?.json" in page


def test_facts_stand_on_the_page_with_their_numbers() -> None:
    page = report_html(PROBLEM, PLAN, RESULT, names=NAMES).decode()
    assert '<dt>number</dt><dd data-number="2.5">2.5: as guessed</dd>' in page
    assert '<b data-number="2.5">2.5</b><span>number</span><small>as guessed</small>' in page
    assert '<dt>lower bound</dt><dd data-number="2.0">2</dd>' in page
    assert "<h2>What stands in the way of better</h2>" not in page  # nothing to tell
    assert f"moeopt {moeopt.__version__} · method guessing · seed 7" in page
    assert problem_sha256(PROBLEM) in page


def test_a_gain_stands_large_and_what_was_before_small(monkeypatch: pytest.MonkeyPatch) -> None:
    fact = wings.Fact(label="imbalance", text="2.5 → 1.25 (half)", number=np.float64(1.25))
    told = wings.Summary(asked=[], gained=[fact], distance=[], binds=[])
    report = replace(page_toys.REPORT, summary=lambda *_: told)
    monkeypatch.setattr(page_toys, "REPORT", report)
    page = report_html(PROBLEM, PLAN, names=NAMES).decode()
    assert (
        '<b data-number="1.25"><i>2.5 →</i> 1.25</b><span>imbalance</span><small>(half)</small>'
        in page
    )


def test_a_solve_that_told_more_than_its_end_is_drawn_too() -> None:
    moments = (Moment(0.5, 4.0, None), Moment(1.0, 2.5, 2.0))
    pages = [
        report_html(PROBLEM, PLAN, replace(RESULT, history=moments[-told:]), names=NAMES)
        for told in (1, 2)
    ]
    assert [page.count(b'id="picture-solver-progress"') for page in pages] == [0, 1]
    assert b"the first plan, after 500 ms, had 4" in pages[1]


def test_a_wing_without_pictures_needs_no_plotly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(wings._OWN, "guess")
    monkeypatch.setitem(sys.modules, "plotly", None)
    page = report_html(PROBLEM, PLAN, names=NAMES)
    assert len(page) < 100_000
    assert len(_scripts(page)) == 1
    assert b"#pictures" not in page


def test_pictures_without_plotly(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] == "plotly"]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, "plotly", None)
    with pytest.raises(AdapterError, match=r"pip install 'moeopt\[plot\]'"):
        report_html(PROBLEM, PLAN, names=NAMES)


def test_a_plan_that_breaks_a_rule_gets_no_page(tmp_path: Path) -> None:
    with pytest.raises(InstanceError) as caught:
        write_report(tmp_path / "a.html", PROBLEM, page_toys.GuessPlan(number=1.0))
    assert str(caught.value).startswith("$.number: must keep every constraint of its problem")
    assert "C1: 1.0 must be at least the hidden number" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_plan_of_another_wing() -> None:
    plan = PlacementPlan(physical_to_logical=np.zeros((1, 2), dtype=int))
    with pytest.raises(InstanceError, match=r"\$\.plan: must be guess, got 'placement'"):
        report_html(PROBLEM, plan, names=NAMES)


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ({"objective": 2.4}, r"\$\.result\.objective: must be the plan's, 2.5, got 2.4"),
        ({"bound": 2.6}, r"\$\.result\.bound: must be at most the plan's objective, 2.5, got 2.6"),
        ({"gap": 0.0}, r"\$\.result\.gap: must be what objective and bound give, got 0.0"),
        ({"bound": None, "gap": 0.0}, r"\$\.result\.gap: must be what objective and bound give"),
        ({"status": Status.OPTIMAL}, r"\$\.result\.status: must not be optimal without a bound"),
        ({"objective": None, "bound": 2.6}, r"\$\.result\.bound: must be at most the plan's"),
    ],
)
def test_a_result_that_is_not_of_the_plan(claims: dict[str, Any], says: str) -> None:
    told = {"objective": 2.5, "bound": 2.0, "gap": None, "method": "guessing"}
    result = ResultRecord(**{"status": Status.FEASIBLE, **told, **claims})
    with pytest.raises(InstanceError, match=says):
        report_html(PROBLEM, PLAN, result, names=NAMES)


def test_the_file_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_report(path, PROBLEM, PLAN, RESULT)
    assert path.read_bytes() == report_html(PROBLEM, PLAN, RESULT, names=NAMES)
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


def _stored(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("bdata"), str):
            yield value["bdata"]
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _stored(one)


def test_pictures_to_choose_from_keep_what_they_have_otherwise() -> None:
    one, other = page_toys.bars(1.0), page_toys.bars(9.0)
    fewer = replace(other, marks=other.marks[:1])
    gallery = Gallery(
        name="a", title="a", choice="of", names=["1", "2", "3"], pictures=[one, other, fewer]
    )
    first, second, third = json.loads(page_data([gallery], []))["pictures"][0]["figures"]
    assert second["data"] == [{"y": {"bdata": "CQI=", "dtype": "i1"}}]
    assert first["data"][0]["y"] == {"bdata": "AQI=", "dtype": "i1"}
    assert "height" not in second["layout"]
    # A level is a shape of the layout: the third has none.
    assert len(first["layout"]["shapes"]) == 1
    assert third["layout"]["shapes"] == []


def test_zeros_of_a_map_are_counted() -> None:
    values = np.zeros((20, 30), dtype=int)
    values[3, 4] = 5
    heat = Picture(
        name="map",
        title="map",
        x=page_toys.Axis(label="x"),
        y=page_toys.Axis(label="y"),
        marks=[page_toys.Heat(name="of", values=values)],
    )
    stored = list(_stored(json.loads(page_data([heat], []))["pictures"]))
    assert len(stored) == 1
    assert len(stored[0]) < 30
    whole = re.sub(r"\((\d+)\)", lambda zeros: "A" * int(zeros[1]), stored[0])
    assert base64.b64decode(whole) == values.astype(np.int8).tobytes()


def test_columns_keep_what_they_are_sorted_by() -> None:
    table = Table(
        "t",
        [Column("whole"), Column("short", ".1f"), Column("text"), Column("mixed", ".1f")],
        [
            [3, 1.01, "b", 1.5],
            [None, None, "a", "all"],
            [12, 1.02, None, None],
            [5, 1.01, "c", 2.5],
        ],
    )
    whole, short, text, mixed = json.loads(page_data([], [table]))["tables"][0]["columns"]
    assert whole == {"name": "whole", "numeric": True, "cells": [3, None, 12, 5]}
    assert short == {
        "name": "short",
        "numeric": True,
        "cells": ["1.0", None, "1.0", "1.0"],
        "ranks": [0, None, 1, 0],
    }
    assert text == {"name": "text", "numeric": False, "cells": ["b", "a", None, "c"]}
    assert mixed == {"name": "mixed", "numeric": False, "cells": ["1.5", "all", None, "2.5"]}
