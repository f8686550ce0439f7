"""What the part on long runs finds: whoever leaks, drifts, dies or takes longer and longer."""

import time

import numpy as np
import pytest

from moeopt.bench.registry import Setting
from moeopt.bench.reliability import long_run
from moeopt.bench.reliability.long_run import MOST_GROWTH, walked
from moeopt.bench.reliability.long_run_stream import Exact, Stream
from moeopt.bench.reliability.long_run_walks import Calibration, OnlinePolicy, RunningAverages


class Planted:
    """A walk with nothing wrong, but what a test adds."""

    def __init__(self, step=None, wrong=()):
        self.step = step or (lambda number: None)
        self._wrong = wrong

    def wrong(self):
        yield from self._wrong


def test_a_quick_part_finds_nothing(monkeypatch):
    monkeypatch.setattr(long_run, "_QUICK", 60)
    report = long_run.run(Setting(quick=True, peers=[], say=lambda line: None))
    rows = report.data["long-run"]
    assert [row["failures"] for row in rows] == [()] * len(long_run.WALKS), rows
    assert {row["times"] for row in rows} == {60}


def test_what_a_walk_finds_wrong_is_told_with_where():
    trial = walked("planted", Planted(wrong=["the mean is off"]), 100)
    assert trial.failures[0] == "after 10 windows the mean is off"
    assert (trial.times, len(trial.failures)) == (100, 10)


def test_a_leak_is_a_failure():
    # Far more than other tests in this process left to be used again.
    kept = []
    trial = walked("planted", Planted(lambda n: kept.append(b"x" * (4 * MOST_GROWTH))), 100)
    assert "memory grew" in {failure.partition(" by ")[0] for failure in trial.failures}


def test_windows_that_take_longer_and_longer_are_a_failure():
    def slower(number):
        until = time.process_time() + 1e-5 * number
        while time.process_time() < until:
            pass

    (failure,) = walked("planted", Planted(slower), 100).failures
    assert failure.startswith("a window of the last tenth took ")


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (lambda number: 1 // (35 - number), "ZeroDivisionError"),
        (lambda number: np.float64(1.0) / np.float64(35 - number), "RuntimeWarning"),
    ],
)
def test_an_error_or_a_warning_of_numpy_ends_the_walk(step, said):
    trial = walked("planted", Planted(step), 100)
    assert trial.times == 30
    assert f"between 30 and 40 windows {said}" in trial.failures[0]


def test_averages_that_lose_a_billionth_are_found():
    walk = RunningAverages(100)
    for number in range(100):
        walk.step(number)
    assert list(walk.wrong()) == []
    walk._averages._tokens[2, 0, 3] *= 1.0 + 1e-8
    assert list(walk.wrong()) == ["the average over 16 windows is off by 1.0e-08"]


def test_a_calibration_that_drifts_is_found():
    walk = Calibration(100)
    for number in range(100):
        walk.step(number)
    assert list(walk.wrong()) == []
    walk._own._mean += 1e-7
    assert len(list(walk.wrong())) == 2


def test_an_online_policy_that_miscounts_is_found():
    walk = OnlinePolicy(20)
    for number in range(20):
        walk.step(number)
    assert list(walk.wrong()) == []
    walk._busy += 1
    assert len(list(walk.wrong())) == 1


def test_the_stream_has_all_that_wears_and_ends_as_it_began():
    stream = Stream(1000, 4)
    sizes = np.array([stream.window(number).sum() for number in range(1000)])
    assert set(sizes[:100]) == set(sizes[900:]) == {4096.0}
    assert sizes[100:200].min() < 10 < 1e9 < sizes[100:200].max()
    assert (sizes[200:300] == 0).sum() > 90
    assert sizes.argmax() == 250
    assert len(set(sizes[300:800])) == 1


def test_exact_sums_are_exact():
    exact = Exact()
    for window in ([[2.0**-10, 3.0]], [[2.0**50, 2.0**40]], [[2.0**-10, 0.0]]):
        exact.add(np.array(window))
    assert exact.total().tolist() == [[2.0**50 + 2.0**-9, 2.0**40 + 3.0]]
