"""Colours that everybody tells apart, on white and on dark, and signs where there is no colour."""

from __future__ import annotations

from itertools import combinations
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from moeopt.report.picture import Role
from moeopt.report.style import DARK, HEAT, LIGHT, LOOKS, heat_colour

#: Roles that one picture may have.
TOGETHER: tuple[tuple[Role, ...], ...] = (
    ("before", "plan", "bound", "best", "rival", "quiet"),
    ("first", "second", "third", "fourth", "fifth", "sixth", "quiet"),
    ("first", "second", "third", "fourth", "fifth", "bound", "quiet"),
)

#: Okabe and Ito's colours.
ORIGINAL = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")

#: Linear light as it is seen: Machado et al. 2009, severity 1.
VISION = {
    "full": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}

#: To cones, and from their cube roots to OKLab.
_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def light(colour: str) -> NDArray[np.float64]:
    """Return a colour as linear red, green and blue."""
    stored = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear: NDArray[np.float64] = np.where(
        stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4
    )
    return linear


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as WCAG 2 defines it."""
    shades = sorted(float(light(c) @ [0.2126, 0.7152, 0.0722]) + 0.05 for c in (one, other))
    return shades[1] / shades[0]


def seen(colour: str, vision: str) -> NDArray[np.float64]:
    """Return a colour as it is seen, in OKLab, where black and white are 1 apart."""
    cones = _CONES @ np.clip(VISION[vision] @ light(colour), 0, 1)
    lab: NDArray[np.float64] = _OKLAB @ np.cbrt(cones)
    return lab


def nearest(colours: list[str], vision: str) -> float:
    """Return the least distance of two of some colours."""
    points = [seen(colour, vision) for colour in colours]
    return min(float(np.linalg.norm(one - other)) for one, other in combinations(points, 2))


def test_every_role_has_a_look() -> None:
    assert set(LOOKS) == set(get_args(Role))


@pytest.mark.parametrize("role", get_args(Role))
@pytest.mark.parametrize("paper", [LIGHT.paper, DARK.paper])
def test_every_role_shows_on_every_paper(role: Role, paper: str) -> None:
    assert contrast(LOOKS[role].colour, paper) >= 3.0


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_words_are_read_with_ease(theme: object) -> None:
    assert contrast(theme.ink, theme.paper) >= 7.0  # type: ignore[attr-defined]


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("roles", TOGETHER, ids="-".join)
def test_colours_of_a_picture_are_told_apart(roles: tuple[Role, ...], vision: str) -> None:
    least = min(nearest(list(ORIGINAL), kind) for kind in VISION)
    assert least == pytest.approx(0.076, abs=0.001)
    assert nearest([LOOKS[role].colour for role in roles], vision) >= least


@pytest.mark.parametrize("roles", TOGETHER, ids="-".join)
@pytest.mark.parametrize("sign", ["dash", "marker", "hatch"])
def test_signs_of_a_picture_differ_where_there_is_no_colour(
    roles: tuple[Role, ...], sign: str
) -> None:
    assert len({getattr(LOOKS[role], sign) for role in roles}) == len(roles)


@pytest.mark.parametrize("vision", VISION)
def test_a_map_darkens_evenly_for_everybody(vision: str) -> None:
    points = np.array([seen(colour, vision) for colour in HEAT])
    assert np.all(np.diff(points[:, 0]) < 0)
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    assert steps.max() / steps.min() < 2.5


def test_the_most_of_a_map_shows_on_every_paper() -> None:
    assert min(contrast(HEAT[-1], theme.paper) for theme in (LIGHT, DARK)) >= 3.0


def test_colours_between_those_of_a_map() -> None:
    assert heat_colour(0.0) == HEAT[0]
    assert heat_colour(1.0) == HEAT[-1]
    assert heat_colour(3 / 9) == HEAT[3]
    assert heat_colour(0.5 / 9) == "#c1df25"
