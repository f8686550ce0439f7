"""The robust part of the motion workload: its claims on the library's counts, told in full."""

from __future__ import annotations

import json

import pytest

from moeopt.bench import command, motion_robust, motion_robust_history, motion_robust_switch
from moeopt.bench.registry import Report, Setting
from moeopt.core.table import print_tables


@pytest.fixture(scope="module")
def report() -> Report:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(motion_robust_history, "HISTORIES", (256, 1024))
        return motion_robust.run(Setting(quick=True, peers=(), say=print))


def test_what_is_claimed_holds(report: Report) -> None:
    assert len(report.figures) == 6
    assert not [figure.name for figure in report.figures if figure.met is not True]


def test_a_short_history_beside_earlier_traffic(report: Report) -> None:
    for key, scores in report.data["short_histories"].items():
        assert scores["shrunk"] < scores["history"], key
        # Another task's traffic is as good as useless, and next to nothing of it is taken.
        assert scores["other"] > 1.3
        assert scores["shrunk to it"] < 1.01 * scores["history"]


def test_a_plan_of_the_wrong_task_is_bad_and_one_for_both_is_not(report: Report) -> None:
    both = report.data["both_tasks"]
    intent = both["72/mean_max, intent, 1 sums each"]
    common = both["72/mean_max, both, 1 sums each"]
    assert intent["translation"] > 1.4 * common["translation"]
    assert common["intent"] < 1.01 * intent["intent"]


def test_switching_pays_where_tasks_differ_and_last(report: Report) -> None:
    many = report.data["switching"]["4 synthetic/80/16/4.5e+11"]
    saved = [many[f"saved_{dwell_s:g}"] for dwell_s in motion_robust_switch.DWELLS_S]
    assert saved == sorted(saved)
    assert saved[-1] > 0.05
    assert 0 < many["break_even_s"] < 10


def test_it_is_drawn_and_kept(report: Report, capsys: pytest.CaptureFixture[str]) -> None:
    json.dumps(report.data)
    print_tables([*report.tables, command.figures_table(report.figures)])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 160
