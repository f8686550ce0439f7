"""The bars of a picture, taken out of its marks again."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from moeopt.report.picture import Picture, Spans


class Bar(NamedTuple):
    """One lying bar: where it is, from when to when, and what it says."""

    lane: int
    start: float
    end: float
    group: str
    marked: bool
    text: str


def bars_of(picture: Picture) -> list[Bar]:
    """Return the bars of a picture by lane and start."""
    found = []
    for mark in picture.marks:
        if isinstance(mark, Spans):
            marked = [False] * len(mark.lane) if mark.marked is None else mark.marked.tolist()
            texts = mark.texts or ("",) * len(mark.lane)
            columns = (mark.lane.astype(int).tolist(), mark.start.tolist(), mark.end.tolist())
            found += [
                Bar(lane, start, end, mark.name, sets, text)
                for lane, start, end, sets, text in zip(*columns, marked, texts, strict=True)
            ]
    return sorted(found)


def overlap(bars: list[Bar]) -> float:
    """Return the longest time in which two bars of a lane overlap; below 0 if none do."""
    pairs = pairwise(bars)
    return max((a.end - b.start for a, b in pairs if a.lane == b.lane), default=0.0)


def covered(bars: list[Bar]) -> float:
    """Return the time in which at least one of the bars is under way."""
    total = upto = 0.0
    for bar in sorted(bars, key=lambda bar: bar.start):
        total += max(bar.end - max(bar.start, upto), 0.0)
        upto = max(upto, bar.end)
    return total
