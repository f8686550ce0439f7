"""A small chart of characters, as a table's rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from moeopt.core.table import Cell, Column, Table

WIDTH, HEIGHT = 64, 14

#: Points by the character that marks them: share of the width (0 to 1), and height above 0.
Series = Mapping[str, Sequence[tuple[float, float]]]


def chart(title: str, series: Series, note: str) -> Table:
    """Draw points: a linear axis from 0 to 1 to the right, a logarithmic one upwards.

    Parameters
    ----------
    title
        One line above.
    series
        What to draw; later marks hide earlier ones.
    note
        What axes and marks mean.
    """
    heights = [y for points in series.values() for _, y in points if y > 0]
    low, high = math.floor(math.log10(min(heights))), math.log10(max(heights))
    step = max(high - low, 1e-9) / (HEIGHT - 1)
    drawn = [[" "] * WIDTH for _ in range(HEIGHT)]
    for mark, points in series.items():
        for x, y in points:
            up = round((math.log10(max(y, 10.0**low)) - low) / step)
            drawn[HEIGHT - 1 - up][round(min(x, 1.0) * (WIDTH - 1))] = mark
    rows: list[list[Cell]] = []
    for number, line in enumerate(drawn):
        height = 10.0 ** (low + step * (HEIGHT - 1 - number))
        rows.append([f"{height:8.2g} |" + "".join(line)])
    rows.append([" " * 9 + "+" + "-" * WIDTH])
    scale = "".join(f"{tenth:<{WIDTH // 4}.2f}" for tenth in (0.0, 0.25, 0.5, 0.75)) + "1.00"
    rows.append([" " * 9 + scale])
    return Table(title, [Column("")], rows, note)
