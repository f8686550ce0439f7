"""The parts of a page as HTML; every text of a problem, a plan or a file is escaped here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any

import moeopt
from moeopt.core.registry import wing_of
from moeopt.core.table import Cell, Column, Table, cell_text
from moeopt.report.picture import Gallery, Picture
from moeopt.report.wings import Fact, Names, Step, Summary

#: Rows of a table that are shown at a time; ``page.js`` turns the pages.
PAGE_ROWS = 25

#: Gains that stand large at the top, before the gap.
_TILES = 3

#: Characters of a figure that can stand large.
_TILE_WIDTH = 24

_GROUPS = (
    ("asked", "What was asked"),
    ("gained", "What it gains"),
    ("distance", "How far from the best possible"),
    ("binds", "What stands in the way of better"),
)


def title(problem: Any) -> str:
    """Return the name of the page: the problem's, or its wing's."""
    return escape(problem.name or f"{wing_of(problem).name} plan")


def head(problem: Any, result: Any) -> str:
    """Return the heading, and in a line below it what the page is about."""
    parts = [f"{wing_of(problem).name} plan"]
    if result is not None:
        parts += [result.status.value.replace("_", " ")]
    chips = "".join(f"<li>{escape(part)}</li>" for part in parts)
    source = f"<p class=lead>{escape(problem.source)}</p>" if problem.source else ""
    return f"<ul class=chips>{chips}</ul><h1>{title(problem)}</h1>{source}"


def summary(told: Summary) -> str:
    """Return the key figures as tiles, and every fact under the question that it answers."""
    short = [f for f in told.gained if f.number is not None and len(_parted(f)[0]) <= _TILE_WIDTH]
    tiles = [*short[:_TILES], *(fact for fact in told.distance if fact.label == "gap")]
    groups = [(name, heading, getattr(told, name)) for name, heading in _GROUPS]
    cards = "".join(
        f"<section class=card id={name}><h2>{heading}</h2>"
        f"<dl>{''.join(map(_fact, facts))}</dl></section>"
        for name, heading, facts in groups
        if facts
    )
    return f"<div class=tiles>{''.join(map(_tile, tiles))}</div><div class=cards>{cards}</div>"


def _fact(fact: Fact) -> str:
    return f"<div><dt>{escape(fact.label)}</dt><dd{_number(fact)}>{escape(fact.text)}</dd></div>"


def _tile(fact: Fact) -> str:
    """Return a fact whose figure stands large; what it was before, and what it means, small."""
    figure, words = _parted(fact)
    before, arrow, now = figure.rpartition("\N{RIGHTWARDS ARROW}")
    was = f"<i>{escape(before + arrow)}</i>" if arrow else ""
    small = f"<small>{escape(words)}</small>" if words else ""
    return (
        f"<div class=tile><b{_number(fact)}>{was}{escape(now)}</b>"
        f"<span>{escape(fact.label)}</span>{small}</div>"
    )


def _parted(fact: Fact) -> tuple[str, str]:
    """Return the figure of a fact, and the words that explain it."""
    figure, _, words = re.sub(r"[:,;] | (?=\()", "\0", fact.text, count=1).partition("\0")
    return figure, words


def _number(fact: Fact) -> str:
    return "" if fact.number is None else f' data-number="{float(fact.number)!r}"'


def sections(parts: Mapping[str, str]) -> tuple[str, str]:
    """Return the links to the parts of a page that are not empty, and the parts.

    Parameters
    ----------
    parts
        HTML of each part by its heading.
    """
    links, made = ['<a href="#summary">Summary</a>'], []
    for heading, html in parts.items():
        if html:
            name = heading.split()[0].lower()
            links.append(f'<a href="#{name}">{heading}</a>')
            made.append(f'<section id="{name}"><h2>{heading}</h2>{html}</section>')
    return "\n".join(links), "\n".join(made)


def pictures(shown: Sequence[Picture | Gallery]) -> str:
    """Return a frame for each picture, which the script fills; its caption tells what it shows."""
    return "".join(_frame(picture, i) for i, picture in enumerate(shown))


def _frame(picture: Picture | Gallery, index: int) -> str:
    says = says_of(picture)[0]
    choice = _choice(picture) if isinstance(picture, Gallery) else ""
    label = escape(". ".join(filter(None, (picture.title, says))))
    return (
        f'<figure class="card picture" id="picture-{escape(picture.name)}" data-picture={index}>'
        f"<div class=bar><h3>{escape(picture.title)}</h3>{choice}</div>"
        f'<div class=plot role=img aria-label="{label}">'
        "<noscript>The picture is drawn by JavaScript, which is off.</noscript></div>"
        f"<figcaption>{escape(says)}</figcaption></figure>"
    )


def _choice(gallery: Gallery) -> str:
    options = "".join(
        f"<option value={i}>{escape(name)}</option>" for i, name in enumerate(gallery.names)
    )
    return f"<label hidden>{escape(gallery.choice)} <select>{options}</select></label>"


def says_of(picture: Picture | Gallery) -> list[str]:
    """Return the caption of a picture, or of each picture to choose from."""
    if isinstance(picture, Gallery):
        return [one.says for one in picture.pictures]
    return [picture.says]


def tables(shown: Sequence[Table], names: Names) -> str:
    """Return the tables with their first rows; the script turns pages, sorts and searches."""
    return "".join(_table(table, i, names) for i, table in enumerate(shown))


def _table(table: Table, index: int, names: Names) -> str:
    right = [is_numeric(table, i) for i in range(len(table.columns))]
    rows = "".join(_row(row, table.columns, right) for row in table.rows[:PAGE_ROWS])
    foot = "" if table.footer is None else _row(table.footer, table.columns, right)
    more = len(table.rows) - PAGE_ROWS
    rest = f"{more:,} more rows need JavaScript; moeopt show {names.plan} lists the plan."
    return (
        f'<section class="card table" data-table={index}>'
        f"<div class=bar><h3>{escape(table.title[:1].upper() + table.title[1:])}</h3>"
        "<div class=tools hidden>"
        f'<input type=search placeholder="Search" aria-label="Search {escape(table.title)}">'
        f"<button type=button class=csv>Download CSV</button></div></div>"
        f'<div class=scroll tabindex=0 role=region aria-label="{escape(table.title)}">'
        f'<table style="--columns: {len(table.columns)}">'
        f"{_header(table.columns, right)}<tbody>{rows}</tbody>"
        + (f"<tfoot>{foot}</tfoot>" if foot else "")
        + "</table></div>"
        + "<nav class=pager hidden aria-label=Rows><output></output>"
        "<button type=button class=before>Previous</button>"
        "<button type=button class=after>Next</button></nav>"
        + (f"<noscript><p>{escape(rest)}</p></noscript>" if more > 0 else "")
        + (f"<p class=note>{escape(table.note)}</p>" if table.note else "")
        + "</section>"
    )


def is_numeric(table: Table, column: int) -> bool:
    """Tell whether a column holds numbers alone, unknown ones left out."""
    cells = [row[column] for row in table.rows if row[column] is not None]
    return bool(cells) and not any(isinstance(cell, str) for cell in cells)


def _header(columns: Sequence[Column], right: Sequence[bool]) -> str:
    if not any(column.name for column in columns):
        return ""
    cells = "".join(
        f"<th scope=col aria-sort=none{' class=n' if number else ''}>"
        f"<button type=button>{escape(column.name)}</button></th>"
        for column, number in zip(columns, right, strict=True)
    )
    return f"<thead><tr>{cells}</tr></thead>"


def _row(cells: Sequence[Cell], columns: Sequence[Column], right: Sequence[bool]) -> str:
    shown = zip(cells, columns, right, strict=True)
    texts = (
        f"<td{' class=n' if number else ''}>{escape(cell_text(cell, column))}</td>"
        for cell, column, number in shown
    )
    return f"<tr>{''.join(texts)}</tr>"


def steps(shown: Sequence[Step]) -> str:
    """Return how the plan is applied: what to do, and the command with a button to copy it."""
    items = "".join(
        _ways(list(some)) if several else "".join(map(_step, some))
        for several, some in groupby(shown, key=lambda step: step.way != "")
    )
    return f"<ol class=steps>{items}</ol>" if items else ""


def _ways(shown: Sequence[Step]) -> str:
    """Return ways of which a reader takes one, each with its own steps."""
    each = "".join(
        f"<h3>{escape(way)}</h3><ol>{''.join(map(_step, some))}</ol>"
        for way, some in groupby(shown, key=lambda step: step.way)
    )
    return f"<li class=ways><p>Take one of these ways.</p>{each}</li>"


def _step(step: Step) -> str:
    return (
        f"<li><p>{escape(step.text)}</p><div class=command>"
        f"<pre><code class=language-{step.language}>{escape(step.command)}</code></pre>"
        "<button type=button class=copy hidden>Copy</button></div></li>"
    )


def foot(problem: Any, result: Any) -> str:
    """Return what made the plan and of which problem."""
    from moeopt.io import problem_sha256

    parts = [f"moeopt {moeopt.__version__}"]
    if result is not None:
        backend = f" ({result.backend})" if result.backend else ""
        parts += [f"method {result.method}{backend}", f"seed {result.seed}"]
    said = " · ".join(map(escape, parts))
    return f"<p>{said}</p><p>problem sha256 <code>{problem_sha256(problem)}</code></p>"
