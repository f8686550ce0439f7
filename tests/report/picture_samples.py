"""One small picture for each kind of mark, with numbers that no rounding leaves as they are."""

from __future__ import annotations

import numpy as np

from moeopt.report.picture import Axis, Bars, Heat, Level, Line, Mark, Picture, Points, Spans

_PLAIN = Axis(label="place")


def picture(*marks: Mark, x: Axis = _PLAIN, y: Axis = _PLAIN) -> Picture:
    """Return a picture of some marks."""
    return Picture(name="some", title="Some marks", x=x, y=y, marks=marks)


BARS = picture(
    Bars(name="before", role="before", x=[0, 1, 2], height=[7.1, 2e5 / 3, 0.0]),
    Bars(name="this plan", role="plan", x=[0, 1, 2], height=[4, 5, 6]),
    Level(name="bound", role="bound", value=4.125),
    x=Axis(label="device", names=("gpu 0", "gpu 1", "gpu $2$")),
    y=Axis(label="load", unit="tokens", from_zero=True),
)

STACKED = picture(
    Bars(name="gate", role="first", x=[0, 1], height=[1.25, 2.5]),
    Bars(name="experts", role="second", x=[0, 1], height=[0.1, 0.2], base=[1.25, 2.5]),
    x=Axis(label="layer", whole=True),
    y=Axis(label="cost", unit="US$"),
)

LINES = picture(
    Line(name="front", role="plan", x=[1, 2, 3, 4], y=[0.9, np.nan, 0.4, 1 / 3], step=True),
    Line(name="rival", role="rival", x=[1, 4], y=[5, 6], points=True),
    y=Axis(label="latency", unit="ms"),
)

POINTS = picture(
    Points(name="ways", role="rival", x=[128, 3008], y=[0.1, 12.5], texts=("$1 to $2", "<b>b</b>")),
    x=Axis(label="memory", unit="MB", log=True),
    y=Axis(label="latency", unit="s", log=True),
)

COPIES = picture(
    Heat(name="copies", values=np.array([[0, 1, 2], [3, 0, 1]])),
    x=Axis(label="expert", whole=True),
    y=Axis(label="device", names=("gpu 0", "gpu 1")),
)

BYTES = picture(Heat(name="sent", unit="MB", values=np.array([[0.0, 0.1], [1e3 / 3, 1e-7]])))

SPANS = picture(
    Spans(
        name="transfer",
        role="first",
        lane=[0, 1, 1],
        start=[0.1, 0.2, 1 / 3],
        end=[0.7, 0.3, 0.9],
        texts=("a", "b", "c"),
        marked=[False, True, False],
    ),
    Spans(name="compute", role="second", lane=[2], start=[0], end=[1]),
    x=Axis(label="time", unit="ms", from_zero=True),
    y=Axis(label="port", names=("out 0", "out 1", "out 2")),
)

EVERY = {
    "bars": BARS,
    "stacked": STACKED,
    "lines": LINES,
    "points": POINTS,
    "copies": COPIES,
    "bytes": BYTES,
    "spans": SPANS,
}

EMPTY: dict[str, Mark] = {
    "bars": Bars(name="none", role="plan", x=[], height=[]),
    "line": Line(name="none", role="plan", x=[], y=[]),
    "points": Points(name="none", role="plan", x=[], y=[]),
    "heat": Heat(name="none", values=np.zeros((0, 4))),
    "blank": Heat(name="none", values=np.zeros((2, 2))),
    "spans": Spans(name="none", role="plan", lane=[], start=[], end=[], marked=[]),
    "unknown": Line(name="unknown", role="plan", x=[0.0, 1.0], y=[np.nan, np.nan]),
}
