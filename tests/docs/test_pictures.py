"""The docs' pictures: made by the tool, seen on a page, told to those who do not see."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pictures
import pytest
from doc_blocks import PAGES, ROOT

FOLDER = ROOT / "docs" / "pictures"

#: What a clone should not have to carry.
MOST_BYTES = 120 * 1024

_IMAGE = re.compile(r"!\[([^]]*)\]\(([^)]+)\)|<img\b[^>]*>")


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    return pictures


def _images(page: Path) -> list[tuple[str, Path]]:
    """Return the images of a page: what stands for each, and its file."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    found = []
    for image in _IMAGE.finditer(text):
        if image[2] is not None:
            found.append((image[1], (page.parent / image[2]).resolve()))
            continue
        alt, source = (re.search(rf'{name}="([^"]*)"', image[0]) for name in ("alt", "src"))
        assert alt, f"{page.name}: {image[0]} has no alt"
        assert source, f"{page.name}: {image[0]} has no src"
        found.append((alt[1], (page.parent / source[1]).resolve()))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_images_exist_and_are_told(page: Path) -> None:
    for alt, file in _images(page):
        assert file.is_file(), f"{page.name}: {file.name}"
        assert len(alt.split()) >= 5, f"{page.name}: {file.name} is told by {alt!r}"


def test_the_tool_makes_what_the_pages_show(tool: ModuleType) -> None:
    made = {*tool.drawn(), *tool.TAKEN}
    assert made == {path.stem for path in FOLDER.iterdir()}
    shown = {file.stem for page in PAGES for _, file in _images(page) if file.parent == FOLDER}
    assert made == shown


def test_pictures_are_small() -> None:
    assert not [path.name for path in FOLDER.iterdir() if path.stat().st_size > MOST_BYTES]


def test_a_picture_is_made(tool: ModuleType, tmp_path: Path) -> None:
    tool.draw(["loads"], tmp_path)
    (made,) = tmp_path.iterdir()
    image, kept = (tool.Image.open(path).convert("L") for path in (made, FOLDER / "loads.png"))
    assert image.size == kept.size == (880, 495)
    # The same bars, though another matplotlib may draw letters otherwise.
    dark = [sum(value < 200 for value in one.tobytes()) for one in (image, kept)]
    assert dark[0] == pytest.approx(dark[1], rel=0.05)
    assert dark[0] > 0.1 * 880 * 495


def test_what_leads_to_a_picture_is_of_its_section(tool: ModuleType) -> None:
    drawn = tool.drawn()
    assert [len(drawn[name]) for name in ("device-loads", "layer-loads", "gantt")] == [1, 2, 1]
    assert "device_loads(problem, plan" in drawn["layer-loads"][-1]
    assert all("ax = " in code[-1] for code in drawn.values())
    assert all("import moeopt" in code[0] for code in drawn.values())
