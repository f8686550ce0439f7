"""The page in a real browser: what is seen on it is the plan, and nothing leaves the machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import page_toys
import pytest
from browser import chromium, executable
from opened import Opened

import moeopt
from moeopt.core import registry
from moeopt.placement.plan import evaluate
from moeopt.report import wings
from moeopt.report.page import pictures_of, write_report
from moeopt.report.wings import Names

#: A small one of each wing but placement, which has a large one.
SMALL = (
    "buffering/tiny-pool",
    "colocation/tiny-two-models",
    "committee/tiny-budget",
    "serverless/tiny-replicas",
    "transfers/tiny-busy",
)
LARGE = "placement/deepseek-v3-288-32"
NAMES = Names(plan="plan.json", instance="instance.json")

#: Every row of a table as texts: all its pages are turned.
ALL_ROWS = """section => {
    const [back, next] = section.querySelectorAll(".pager button"), rows = [];
    while (!back.disabled) back.click();
    for (;;) {
        for (const row of section.querySelectorAll("tbody tr"))
            rows.push([...row.cells].map(cell => cell.textContent));
        if (next.disabled) return JSON.stringify(rows);
        next.click();
    }
}"""

#: A colour as red, green and blue, whatever way it is written.
RGB = """(element, property) => {
    const context = new OffscreenCanvas(1, 1).getContext("2d");
    context.fillStyle = getComputedStyle(element)[property];
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if executable() is None:
        pytest.skip("no Chromium: install it or set MOEOPT_CHROMIUM")
    with chromium() as found:
        yield found


def _toy(folder: Path) -> Path:
    path = folder / "toy.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._WINGS, "guess", page_toys.WING)
        patch.setitem(wings._OWN, "guess", "page_toys")
        problem = page_toys.GuessProblem(name=page_toys.HOSTILE, source=page_toys.HOSTILE)
        write_report(path, problem, page_toys.GuessPlan(number=2.5))
    return path


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of the toy wing's plan."""
    return _toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the same page without pictures, which opens at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_toys, "REPORT", replace(page_toys.REPORT, pictures=lambda *_: ()))
        return _toy(tmp_path_factory.mktemp("plain"))


@contextmanager
def opened(browser: Any, file: Path, **options: Any) -> Iterator[Any]:
    """Give a page; nothing on it, to the end, may go wrong or ask for anything."""
    with Opened(browser, file, **options) as found:
        yield found.page
        assert found.complaints == []
        assert found.requests == []


def solved(name: str, folder: Path) -> tuple[Any, Any, Path]:
    """Return an instance of the library, the result of its solve, and its page."""
    problem = moeopt.load_problem(f"@{name}")
    result = moeopt.solve(problem)
    path = folder / "page.html"
    write_report(path, problem, result.plan, result, NAMES)
    return problem, result, path


def rows_of(section: Any) -> list[list[str]]:
    """Return every row of a table as texts."""
    rows: list[list[str]] = json.loads(section.evaluate(ALL_ROWS))
    return rows


def require_plan(page: Any, problem: Any, result: Any) -> list[list[list[str]]]:
    """Return the tables' rows; fail unless the page shows a plan as its wing tells it."""
    report = wings.report_of(problem)
    assert page.inner_text("h1") == problem.name
    told = report.summary(problem, result.plan, result)
    facts = [*told.asked, *told.gained, *told.distance, *told.binds]
    numbers = page.eval_on_selector_all(
        ".card dd[data-number]", "all => all.map(one => +one.dataset.number)"
    )
    assert numbers == [float(fact.number) for fact in facts if fact.number is not None]
    objective = registry.wing_of(problem).evaluate(problem, result.plan).objective
    assert number(page, "objective") == pytest.approx(objective, rel=1e-12)
    pictures = pictures_of(problem, result.plan, result)
    assert page.locator(".plot[aria-label]:has(.main-svg)").count() == len(pictures) > 0
    tables = report.tables(problem, result.plan, result)
    rows = [rows_of(section) for section in page.query_selector_all("[data-table]")]
    assert rows == [table.texts()[: len(table.rows)] for table in tables]
    commands = [step.command for step in report.steps(problem, result.plan, NAMES)]
    assert page.locator(".steps code").all_inner_texts() == commands
    return rows


def number(page: Any, label: str) -> float:
    """Return the number of a fact of the summary."""
    fact = page.locator(".card dl div", has=page.get_by_text(label, exact=True)).first
    return float(fact.locator("dd").get_attribute("data-number"))


@pytest.mark.parametrize("name", SMALL)
def test_every_wing_has_a_page(browser: Any, tmp_path: Path, name: str) -> None:
    problem, result, path = solved(name, tmp_path)
    with opened(browser, path) as page:
        require_plan(page, problem, result)


@pytest.fixture(scope="module")
def large(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Give a problem of DeepSeek-V3's size, its plan, the plan's page, open, and its tables."""
    problem, result, path = solved(LARGE, tmp_path_factory.mktemp("large"))
    assert path.stat().st_size <= 6_000_000
    with opened(browser, path) as page:
        yield problem, result, page, require_plan(page, problem, result)


def test_the_summary_is_what_the_plan_comes_to(large: Any) -> None:
    problem, result, page, _ = large
    value = evaluate(problem, result.plan)
    loads = value.device_loads[0]
    assert number(page, "lower bound") == result.bound
    assert number(page, "gap") == result.gap
    assert number(page, "layers") == problem.num_layers
    imbalance = loads.max(axis=1).sum() / loads.mean(axis=1).sum()
    assert number(page, "imbalance") == pytest.approx(imbalance, rel=1e-12)
    assert page.inner_text(".tile b").endswith(f"{imbalance:.4f}")


def test_the_tables_are_the_plan(large: Any) -> None:
    problem, result, page, (layers, devices, slots) = large
    each, table = evaluate(problem, result.plan).device_loads[0], result.plan.physical_to_logical
    assert page.locator("output").last.inner_text() == "16,701–16,704 of 16,704"
    assert [row[0] for row in layers] == [str(layer) for layer in range(58)]
    assert [row[2] for row in layers] == [f"{v:.4f}" for v in each.max(axis=1) / each.mean(axis=1)]
    loads = [_value(row[3]) for row in devices]
    assert loads == pytest.approx(each.sum(axis=0), rel=1e-5)
    layer, slot = np.indices(table.shape)
    expert = table.ravel().tolist()
    assert [int(row[0]) for row in slots] == layer.ravel().tolist()
    assert [int(row[1]) for row in slots] == (slot // 9).ravel().tolist()
    assert [int(row[2]) for row in slots] == slot.ravel().tolist()
    assert [int(row[3]) for row in slots] == expert
    counts = np.stack([np.bincount(row, minlength=256) for row in table])
    copies = counts[layer.ravel(), expert]
    assert [int(row[4]) for row in slots] == copies.tolist()
    served = problem.mean_loads()[layer.ravel(), expert] / copies
    assert [_value(row[5]) for row in slots] == pytest.approx(served, rel=1e-5)


def _value(text: str) -> float:
    return float(text.replace(",", ""))


def test_the_pictures_are_the_plan(large: Any) -> None:
    problem, result, page, _ = large
    each, table = evaluate(problem, result.plan).device_loads[0], result.plan.physical_to_logical

    def heights(picture: str) -> dict[str, list[float]]:
        drawn: dict[str, list[float]] = page.eval_on_selector(
            f"#picture-{picture} .plot",
            """plot => Object.fromEntries(plot.calcdata.map(points =>
                [points[0].trace.name, points.map(point => point.s ?? point.y)]))""",
        )
        return drawn

    imbalance = each.max(axis=1) / each.mean(axis=1)
    assert heights("layer-imbalance")["this plan"] == pytest.approx(imbalance, rel=1e-12)
    assert heights("device-loads")["this plan"] == pytest.approx(each.sum(axis=0), rel=1e-12)
    page.select_option("#picture-device-loads select", label="layer 3")
    assert heights("device-loads")["this plan"] == pytest.approx(each[3], rel=1e-12)
    page.select_option("#picture-expert-device-map select", label="layer 5")
    drawn = page.eval_on_selector(
        "#picture-expert-device-map .plot", "plot => plot.calcdata[0][0].z.map(row => [...row])"
    )
    # Hottest first: on each device exactly those that sit there.
    rank = np.argsort(np.argsort(-problem.mean_loads()[5], kind="stable"))
    held = np.zeros((32, 256), dtype=bool)
    held[np.arange(288) // 9, rank[table[5]]] = True
    assert np.array_equal(np.asarray(drawn) > 0, held)


@pytest.fixture(scope="module")
def shown(browser: Any, toy: Path) -> Iterator[Any]:
    """Give the toy's page, open; each test says what it needs of it."""
    with opened(browser, toy) as page:
        yield page


def test_hostile_names_are_texts(shown: Any) -> None:
    assert shown.title() == f"{page_toys.HOSTILE} · moeopt"
    assert shown.inner_text("h1") == page_toys.HOSTILE
    assert shown.locator("img").count() == 0
    assert shown.locator("td", has_text="onerror").first.inner_text() == page_toys.HOSTILE
    assert shown.locator("figure select option").last.inner_text() == page_toys.HOSTILE
    assert shown.locator("#picture-bars .legendtext").first.text_content() == page_toys.HOSTILE


def test_a_choice_changes_what_is_drawn(shown: Any) -> None:
    def drawn() -> Any:
        return shown.evaluate(
            "document.querySelector('#picture-bars .plot').calcdata[0].map(point => point.s)"
        )

    shown.locator("select").select_option(index=1)
    assert drawn() == [2.0, 2.0]
    shown.locator("select").select_option(index=2)
    assert drawn() == [2.5, 2.0]
    said = f"The first bar is 2.5 {page_toys.HOSTILE}."
    assert shown.inner_text("#picture-bars figcaption") == said
    assert shown.locator("#picture-bars .plot").get_attribute("aria-label").endswith(said)


def test_columns_sort_up_and_down(browser: Any, plain: Path) -> None:
    rows = page_toys.long_table().rows
    with opened(browser, plain) as page:
        section = page.query_selector("[data-table]")

        def column(index: int) -> list[str]:
            return [row[index] for row in rows_of(section)]

        def press(name: str, sort: str) -> None:
            page.get_by_role("button", name=name, exact=True).press("Enter")
            head = page.get_by_role("columnheader", name=name, exact=True)
            assert head.get_attribute("aria-sort") == sort

        assert column(0) == [str(row[0]) for row in rows]
        press("index", "ascending")
        assert column(0) == [str(i) for i in range(60)]
        press("index", "descending")
        assert column(0) == [str(i) for i in reversed(range(60))]
        # By the number, not by its text; unknown ones last both ways.
        up = [str(i) for i in range(60) if i % 10]
        press("load", "ascending")
        assert column(0)[:54] == up
        assert column(1)[54:] == ["-"] * 6
        press("load", "descending")
        assert column(0)[:54] == up[::-1]
        assert column(1)[54:] == ["-"] * 6
        press("signed", "ascending")
        assert column(3) == [str(k) for k in sorted(row[3] for row in rows)]
        # Texts as people count: name 2 before name 10.
        page.locator("th button", has_text="onerror").click()
        assert column(2)[1:] == [f"name {i}" for i in range(1, 60)]
        assert page.locator("th[aria-sort=none]").count() == 3


def test_a_search_narrows_the_rows(browser: Any, plain: Path) -> None:
    with opened(browser, plain) as page:
        section = page.query_selector("[data-table]")
        output = section.query_selector("output")
        assert output.inner_text() == "1–25 of 60"
        section.query_selector(".after").click()
        assert output.inner_text() == "26–50 of 60"
        page.get_by_role("searchbox").first.fill("AME 5")
        found = {row[2] for row in rows_of(section)}
        assert found == {f"name {i}" for i in range(1, 60) if "5" in str(i)}
        assert output.inner_text() == "1–15 of 15 (60 in all)"
        # Every word, in whatever column.
        page.get_by_role("searchbox").first.fill("name -57")
        assert [row[0] for row in rows_of(section)] == ["57"]
        page.get_by_role("searchbox").first.fill("nothing like it")
        assert rows_of(section) == []
        assert output.inner_text() == "no row (60 in all)"


def test_a_table_downloads(browser: Any, plain: Path) -> None:
    with opened(browser, plain) as page:
        page.get_by_role("searchbox").first.fill("onerror")
        with page.expect_download() as download:
            page.get_by_role("button", name="Download CSV").first.click()
        text = Path(download.value.path()).read_bytes().decode()
        with page.expect_download() as download:
            page.get_by_role("button", name="Download CSV").last.click()
        facts = Path(download.value.path()).read_bytes().decode()
    quoted = page_toys.HOSTILE.replace('"', '""')
    assert text == f'index,load,"text {quoted}",signed\r\n0,,"{quoted}",0\r\n'
    # Numbers that programs read, and nothing that a spreadsheet runs.
    assert facts == ",\r\nnumber,2.50\r\n'=1+1,\r\n-2,1234567.25\r\n'-2+cmd,-1.00\r\n-,0.00\r\n"


def test_a_command_is_copied(browser: Any, plain: Path) -> None:
    with opened(browser, plain, permissions=["clipboard-read", "clipboard-write"]) as page:
        page.get_by_role("button", name="Copy").last.click()
        page.get_by_role("button", name="Copied").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == "import moeopt\nprint(1 < 2)"


def _contrast(page: Any, selector: str) -> float:
    """Return the contrast of an element's text with the page's paper (WCAG 2)."""

    def luminance(rgb: list[int]) -> float:
        parts = [v / 255 for v in rgb]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    ink = page.eval_on_selector(selector, RGB, "color")
    paper = page.eval_on_selector("html", RGB, "backgroundColor")
    dark, light = sorted([luminance(ink), luminance(paper)])
    return (light + 0.05) / (dark + 0.05)


def test_light_and_dark(shown: Any) -> None:
    def paper() -> list[int]:
        return shown.eval_on_selector("html", RGB, "backgroundColor")

    def inks() -> list[str]:
        return shown.evaluate("plots.map(plot => plot._fullLayout.xaxis.tickfont.color)")

    def require_readable() -> None:
        for selector in (
            "h1",
            "dt",
            "dd",
            "figcaption",
            "th button",
            "td",
            ".steps code",
            "footer",
        ):
            assert _contrast(shown, selector) >= 4.5, selector

    shown.emulate_media(color_scheme="light")
    light, light_inks = paper(), inks()
    assert min(light) > 200
    require_readable()
    shown.locator("#theme").click()
    dark, dark_inks = paper(), inks()
    assert max(dark) < 60
    assert not set(light_inks) & set(dark_inks)
    require_readable()
    # What is chosen now is drawn as the page is.
    shown.locator("select").select_option(index=1)
    assert inks() == dark_inks
    shown.locator("#theme").click()
    assert (paper(), inks()) == (light, light_inks)


def test_the_page_follows_the_system(browser: Any, plain: Path) -> None:
    with opened(browser, plain, color_scheme="light") as page:
        light = page.eval_on_selector("html", RGB, "backgroundColor")
        assert page.inner_text("#theme") == "Dark"
        page.emulate_media(color_scheme="dark")
        assert page.eval_on_selector("html", RGB, "backgroundColor") != light
        page.locator("#theme", has_text="Light").wait_for()
        page.emulate_media(color_scheme="dark", media="print")
        assert page.eval_on_selector(".card", RGB, "backgroundColor") == [255, 255, 255]


def test_a_phone_needs_no_scrolling_aside(shown: Any) -> None:
    shown.set_viewport_size({"width": 360, "height": 740})
    for _ in range(100):
        # Pictures follow a moment later. (Waiting by a string is what the page's policy forbids.)
        if shown.evaluate("plots.every(plot => plot._fullLayout.width <= 360)"):
            break
        shown.wait_for_timeout(50)
    assert shown.evaluate("Math.max(...plots.map(plot => plot._fullLayout.width))") <= 360
    assert shown.evaluate("document.documentElement.scrollWidth") == 360
    # There is no room beside a map: its colours are told above.
    drawn = shown.locator("#picture-heat .plot .nsewdrag").bounding_box()
    told = shown.locator("#picture-heat .plot .cbfills").bounding_box()
    assert told["y"] + told["height"] <= drawn["y"]
    assert drawn["width"] >= 180


def test_without_javascript_the_summary_is_there(browser: Any, plain: Path) -> None:
    with opened(browser, plain, java_script_enabled=False) as page:
        assert page.inner_text(".tile b") == "2.5"
        assert page.locator("#gained dd").first.inner_text() == "2.5: as guessed"
        assert page.locator("tbody tr").count() == 25 + 5
        assert page.locator("button:visible").count() == 4  # the headings of the table
        assert page.inner_text("noscript").startswith("35 more rows need JavaScript")
