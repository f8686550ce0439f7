"""The picture of a solve: its staircases hold what the history holds."""

from __future__ import annotations

import numpy as np
import pytest

from moeopt.core.errors import InstanceError
from moeopt.core.progress import Moment
from moeopt.report.picture import Line
from moeopt.report.progress import solver_progress, solver_progress_picture

HISTORY = (
    Moment(0.0005, None, 3.0),
    Moment(0.001, 10.0, 3.0),
    Moment(0.002, 8.0, 4.0),
    Moment(0.004, 8.0, 6.0),
)


def test_staircases_in_the_unit_that_fits() -> None:
    picture = solver_progress_picture(HISTORY)
    plan, bound = picture.marks
    assert isinstance(plan, Line)
    assert isinstance(bound, Line)
    assert (plan.role, bound.role, plan.step, bound.step) == ("plan", "bound", True, True)
    assert picture.x.unit == "ms"
    assert plan.x.tolist() == pytest.approx([0.5, 1, 2, 4])
    assert np.array_equal(plan.y, [np.nan, 10, 8, 8], equal_nan=True)
    assert bound.y.tolist() == [3, 3, 4, 6]
    assert picture.says == (
        "The plan's objective, 8, was known after 2 ms; the first plan, after 1 ms, had 10."
        " Nothing below 6 is possible: the gap is 25 %."
    )


def test_what_was_never_known_is_not_drawn() -> None:
    picture = solver_progress_picture([Moment(1.0, 5.0, None)])
    assert [mark.name for mark in picture.marks if isinstance(mark, Line)] == [
        "objective of the best plan"
    ]
    assert picture.says == "The plan's objective, 5, was known after 1 s."
    # As a file may claim.
    lost = solver_progress_picture([Moment(1.0, 5.0, None), Moment(2.0, None, 3.0)])
    assert lost.says == "Nothing below 3 is possible."


def test_nothing_known_is_no_picture() -> None:
    with pytest.raises(InstanceError, match="must have a moment in it"):
        solver_progress_picture(())


def test_it_draws_a_result_or_its_history() -> None:
    from types import SimpleNamespace

    import matplotlib

    matplotlib.use("agg")
    from matplotlib.figure import Figure

    for given in (HISTORY, SimpleNamespace(history=HISTORY)):
        ax = Figure().subplots()
        assert solver_progress(given, ax) is ax
        assert ax.get_xlabel() == "time since the solve began (ms)"
        drawn = {tuple(np.asarray(line.get_ydata(), dtype=float)) for line in ax.get_lines()}
        assert (3.0, 3.0, 4.0, 6.0) in drawn
