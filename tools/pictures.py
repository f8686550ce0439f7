"""Make the pictures of ``docs/pictures``: ``python tools/pictures.py [--only NAME …] [-o FOLDER]``.

A picture of ``docs/gallery.md`` is what the Python above it draws, run as it stands there. Those of
the report and of the terminal are taken in Chromium: that of ``MOEOPT_CHROMIUM``, else on the path.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib
from browser import chromium
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
GALLERY = ROOT / "docs" / "gallery.md"
FOLDER = ROOT / "docs" / "pictures"

#: Of drawings: 880 × 495 dots.
DOTS_PER_INCH = 110

#: What the report and the terminal show: real loads on eight GPUs, and a solve short enough.
REPORTED = "@placement/deepseek-v2-lite-intent-72"
PRINTED = "@transfers/deepseek-v2-lite-intent-8-contiguous"

_WIDE = {"width": 1100, "height": 820}

#: A picture of a whole page shows how it is built: half as large and in few colours, or its letters
#: would fill megabytes.
WHOLE = "report-whole"

#: Pictures of a page: its file, the browser's window, and whether all of the page is taken.
TAKEN: dict[str, tuple[str, dict[str, Any], bool]] = {
    "report-light": ("report.html", {"viewport": _WIDE}, False),
    "report-dark": ("report.html", {"viewport": _WIDE, "color_scheme": "dark"}, False),
    "report-phone": ("report.html", {"viewport": {"width": 390, "height": 844}}, False),
    WHOLE: ("report.html", {"viewport": {"width": 960, "height": 820}}, True),
    "terminal": ("terminal.html", {"viewport": {"width": 740, "height": 100}}, True),
}

_PART = re.compile(
    r"^```python\n(?P<code>.*?)^```$|^!\[[^]]+\]\(pictures/(?P<name>[\w-]+)\.png\)$", re.M | re.S
)

_TERMINAL = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; padding: 14px 18px; background: #1b1e23; color: #e4e4e4; }}
pre {{ margin: 0; font: 14px/1.3 "DejaVu Sans Mono", monospace; }}
{stylesheet}
</style><pre>{code}</pre>
"""


def drawn() -> dict[str, list[str]]:
    """Return the gallery's pictures by name, each with the Python of its section down to it."""
    found: dict[str, list[str]] = {}
    for section in GALLERY.read_text(encoding="utf-8").split("\n## "):
        code: list[str] = []
        for part in _PART.finditer(section):
            if part["name"] is None:
                code.append(part["code"])
            else:
                found[part["name"]] = list(code)
    return found


def draw(names: Iterable[str], folder: Path) -> None:
    """Run what draws each picture, and keep it."""
    matplotlib.use("agg")
    from matplotlib import pyplot

    every = drawn()
    for name in names:
        namespace: dict[str, Any] = {"__name__": "gallery"}
        for code in every[name]:
            pyplot.close("all")
            exec(compile(code, f"{GALLERY.name}: {name}", "exec", dont_inherit=True), namespace)
        data = io.BytesIO()
        namespace["ax"].get_figure().savefig(data, format="png", dpi=DOTS_PER_INCH)
        pyplot.close("all")
        write(data.getvalue(), folder / f"{name}.png")


def take(names: Iterable[str], folder: Path) -> None:
    """Open each page, and keep what is seen of it."""
    with tempfile.TemporaryDirectory() as place, chromium() as browser:
        pages = Path(place)
        for name in names:
            file, window, whole = TAKEN[name]
            if not (pages / file).exists():
                (report if file == "report.html" else terminal)(pages / file)
            page = browser.new_page(**window)
            page.goto((pages / file).as_uri())
            page.wait_for_timeout(500)  # what moves has come to rest
            png = page.screenshot(full_page=whole)
            page.close()
            write(png, folder / f"{name}.png", small=name == WHOLE)


def report(path: Path) -> None:
    """Write the report of a plan, as a reader would."""
    moeopt("solve", REPORTED, "-o", "plan.json", "--quiet", folder=path.parent)
    moeopt("report", "plan.json", "-o", path.name, "--quiet", folder=path.parent)


def terminal(path: Path) -> None:
    """Write what a terminal of 80 columns shows of a solve."""
    from rich.console import Console
    from rich.text import Text

    command = f"moeopt solve {PRINTED}"
    printed = moeopt("solve", PRINTED, folder=path.parent, FORCE_COLOR="1", COLUMNS="80")
    console = Console(record=True, width=82, file=io.StringIO(), force_terminal=True)
    console.print(Text.assemble(("$ ", "dim"), command))
    console.print(Text.from_ansi(printed))
    path.write_text(console.export_html(code_format=_TERMINAL, inline_styles=False))


def moeopt(*arguments: str, folder: Path, **variables: str) -> str:
    """Run a command in a folder, with these variables, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "moeopt", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


def write(png: bytes, path: Path, *, small: bool = False) -> None:
    """Write a PNG in 256 colours, which is all that drawings need; or half as large in 64."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    image = image.reduce(2) if small else image
    few = image.quantize(64 if small else 256, dither=Image.Dither.NONE)
    few.save(path, optimize=True)


def main() -> None:
    """Make what is asked for."""
    names = [*drawn(), *TAKEN]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("-o", "--output", type=Path, default=FOLDER, metavar="FOLDER")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    draw([name for name in args.only if name not in TAKEN], args.output)
    shots = [name for name in args.only if name in TAKEN]
    if shots:
        take(shots, args.output)
    for name in args.only:
        path = args.output / f"{name}.png"
        print(f"{name}: {path.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
