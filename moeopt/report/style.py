"""How pictures look: a colour, a dash, a marker and a hatch for each role, in light and in dark.

The colours are Okabe and Ito's, changed until each shows on white paper and on a dark page. No two
that meet in a picture come nearer to each other than the nearest two of the original, seen with any
kind of colour vision; dashes, markers and hatches tell them apart where there is no colour.

References
----------
M. Okabe, K. Ito, "Color Universal Design", 2008. G. M. Machado, M. M. Oliveira, L. A. F. Fernandes,
"A Physiologically-based Model for Simulation of Color Vision Deficiency", IEEE TVCG 15(6), 2009.
S. van der Walt, N. Smith, the colour map viridis, 2015.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from moeopt.report.picture import Role

_BLUE, _SKY, _GREEN = "#0c6aa5", "#039af5", "#1d9671"
_ORANGE, _VERMILLION, _PURPLE, _GREY = "#cb8503", "#bd5e25", "#ae86b0", "#656565"


@dataclass(frozen=True)
class Look:
    """How one role looks.

    Attributes
    ----------
    colour
        As ``#rrggbb``.
    dash
        Lengths drawn and left out, in widths of the line; empty for an unbroken line.
    marker
        matplotlib's letter for it.
    hatch
        matplotlib's sign for it; empty for plain.
    """

    colour: str
    dash: tuple[float, ...]
    marker: str
    hatch: str


LOOKS: Mapping[Role, Look] = MappingProxyType(
    {
        "before": Look(_ORANGE, (4, 1.5), "s", "/"),
        "plan": Look(_BLUE, (), "o", ""),
        "bound": Look(_VERMILLION, (6, 2, 1, 2), "v", "-"),
        "best": Look(_GREEN, (1, 1.2), "*", "."),
        "rival": Look(_PURPLE, (2.5, 1.5), "D", "x"),
        "first": Look(_BLUE, (), "o", ""),
        "second": Look(_ORANGE, (4, 1.5), "s", "/"),
        "third": Look(_GREEN, (1, 1.2), "^", "."),
        "fourth": Look(_PURPLE, (2.5, 1.5), "D", "x"),
        "fifth": Look(_SKY, (3, 1, 1, 1, 1, 1), "P", "\\"),
        "sixth": Look(_VERMILLION, (8, 2), "v", "-"),
        "quiet": Look(_GREY, (1, 2.5), "X", "|"),
    }
)

#: Colours of a map from few to many: viridis without its dark third, which is lost on a dark page.
HEAT = (
    "#d5e21a", "#addc30", "#84d44b", "#5ec962", "#3fbc73",
    "#28ae80", "#1fa088", "#21918c", "#26828e", "#2a788e",
)  # fmt: skip


def heat_colour(share: float) -> str:
    """Return the colour of a value in a map, from 0 for few to 1 for the most."""
    at = share * (len(HEAT) - 1)
    low = min(int(at), len(HEAT) - 2)
    pairs = [(int(HEAT[low][i : i + 2], 16), int(HEAT[low + 1][i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a + (b - a) * (at - low)):02x}" for a, b in pairs)


@dataclass(frozen=True)
class Theme:
    """Colours of what is no mark: ``paper`` behind all, ``ink`` of words, ``grid`` of lines."""

    paper: str
    ink: str
    grid: str


LIGHT = Theme(paper="#ffffff", ink="#1b1f24", grid="#d9dde2")
DARK = Theme(paper="#15181c", ink="#e6e9ed", grid="#363c44")
