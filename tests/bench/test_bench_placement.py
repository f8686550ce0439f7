"""The placement workload on its smallest shape, without peers."""

from __future__ import annotations

import json

import numpy as np
import pytest

from moeopt.bench import (
    command,
    placement_balance,
    placement_exact,
    placement_held_out,
    placement_times,
    startup,
)
from moeopt.bench.peers import Peers
from moeopt.bench.placement_balance import Case
from moeopt.bench.registry import Report, Setting
from moeopt.core.table import print_tables
from moeopt.placement.generate import SHAPES

ALONE = Peers((), ("vllm: not asked for",))


@pytest.fixture
def setting() -> Setting:
    return Setting(quick=True, peers=[], say=print)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (placement_balance, placement_times):
        monkeypatch.setattr(module, "SHAPES", {"mixtral-16-8": SHAPES["mixtral-16-8"]})


def figures(report: Report) -> dict[str, object]:
    return {figure.name: figure for figure in report.figures}


def drawn_width(report: Report, capsys: pytest.CaptureFixture[str]) -> int:
    print_tables([*report.tables, command.figures_table(report.figures)])
    return max(map(len, capsys.readouterr().out.splitlines()))


def test_a_case_judges_against_the_better_known_eplb() -> None:
    case = Case(
        "mixtral-16-8",
        "logn1",
        bound=np.array([1.0, 1.0]),
        imbalance={
            "eplb": np.array([1.2, 1.5]),
            "auto": np.array([1.2, 1.25]),
            "fast": np.array([1.32, 1.0]),
        },
    )
    assert case.worst_difference("auto") == 0.0
    assert case.worst_difference("fast") == pytest.approx(0.1)
    assert case.mean_gap("auto") == pytest.approx((1 - 1 / 1.2 + 1 - 1 / 1.25) / 2)


def test_balance_without_peers(setting: Setting, capsys: pytest.CaptureFixture[str]) -> None:
    warm = placement_balance.FEWEST_SLOTS_PER_DEVICE
    assert warm > 2
    report = placement_balance.run(setting, ALONE)
    eplb = report.data["balance"][0]["imbalance"]["eplb"]
    assert round(float(np.mean(eplb)), 4) == 1.1030
    assert report.data["one_hot_expert"]["eplb"] == pytest.approx(1.88, abs=0.005)
    assert figures(report)["auto: worst layer against EPLB"].met  # type: ignore[attr-defined]
    assert figures(report)["auto: one hot expert"].met  # type: ignore[attr-defined]
    assert drawn_width(report, capsys) <= 100
    json.dumps(report.data)


def test_times_without_peers_say_so(setting: Setting, capsys: pytest.CaptureFixture[str]) -> None:
    report = placement_times.run(setting, ALONE)
    assert [figure.value for figure in report.figures] == [None, None]
    assert "no vllm" in report.figures[0].note
    assert report.data["times"]["mixtral-16-8/logn1"]["auto"]["median_s"] > 0
    assert drawn_width(report, capsys) <= 100


def test_the_published_optimum_is_found_and_proven(capsys: pytest.CaptureFixture[str]) -> None:
    report = placement_exact.run()
    for load, published in placement_exact.PUBLISHED.items():
        figure = figures(report)[f"exact: mixtral-16-8, {load}"]
        assert round(figure.value, 4) == published  # type: ignore[attr-defined]
    assert figures(report)["exact: loads not proven optimal"].value == 0  # type: ignore[attr-defined]
    assert drawn_width(report, capsys) <= 100


def test_scores_are_in_fair_shares() -> None:
    table = np.array([[0, 1, 2, 3]])
    windows = np.array([[[4.0, 0, 0, 0]], [[1.0, 1, 1, 1]], [[0, 3, 1, 0]]])
    average, most = placement_held_out.score(table, windows, 2)
    assert average == pytest.approx((2.0 + 1.0 + 1.5) / 3)
    assert most == 2.0


def test_windows_are_joined() -> None:
    short = placement_held_out._windows("intent", 64)
    long = placement_held_out._windows("intent", 1024)
    assert (short.num_scenarios, long.num_scenarios) == (128, 8)
    assert long.loads_tokens.sum() == short.loads_tokens.sum()
    assert long.objective == "mean_max"


def test_start_up_tells_a_failed_command(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "COMMANDS", ((("--help",), 0.2), (("nonsense",), 1.0)))
    report = startup.run(setting)
    assert report.figures[0].value is not None
    assert report.figures[1].value is None
    assert report.figures[1].note == "the command failed"
