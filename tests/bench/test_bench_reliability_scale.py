"""The part ``scale`` tells what grows too fast, does not end, dies or takes too much memory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from moeopt.bench.registry import Setting
from moeopt.bench.reliability import scale, scale_step
from moeopt.bench.reliability.scale_step import Measured, Run, run_scene

MIB = 2**20


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch) -> None:
    here = os.fspath(Path(__file__).parent)
    before = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", here if before is None else f"{here}{os.pathsep}{before}")


def _measured(count: int, **changes: object) -> Measured:
    fields = {
        "step": "load",
        "unit": "bytes",
        "count": count,
        "exponent": 1.0,
        "limited_s": None,
        "cpu_s": 0.0,
        "wall_s": 0.0,
        "peak_bytes": 0,
        "more_bytes": 0,
    }
    return Measured(**(fields | changes))


def _failures(*found: Measured) -> list[str]:
    ladder = scale.Ladder("here:load", "bytes", ())
    runs = {each.count: Run((each,)) for each in found}
    return [said for trial in scale.trials_of(ladder, runs) for said in trial.failures]


def test_growth_is_the_slope_over_the_largest_sizes() -> None:
    counts = [1, 2, 4, 8, 16, 32]
    # The first two are too short to count, and a constant part does not hide the square.
    seconds = [0.01, 0.02] + [0.01 * count**2 for count in counts[2:]]
    assert scale.growth(counts, seconds, least=0.1) == pytest.approx(2.0)
    assert scale.growth(counts, [0.5 * count for count in counts], 0.1) == pytest.approx(1.0)


def test_growth_of_too_few_values_is_not_known() -> None:
    assert scale.growth([1, 2, 4], [0.0, 1.0, 2.0], least=0.1) is None
    assert scale.growth([5, 5, 5], [1.0, 1.0, 1.0], least=0.1) is None


def test_time_and_memory_above_the_promise_are_failures() -> None:
    sizes = [1000, 2000, 4000]
    fast = [_measured(n, cpu_s=n / 1000, more_bytes=n * MIB) for n in sizes]
    assert _failures(*fast) == []
    slow = [_measured(n, cpu_s=(n / 1000) ** 2) for n in sizes]
    assert "time grows with exponent 2.00 of its bytes, 1 promised" in _failures(*slow)[0]
    assert "4000 in 16.00 s" in _failures(*slow)[0]
    large = [_measured(n, more_bytes=n**2 * 1000) for n in sizes]
    assert "memory grows with exponent 2.00" in _failures(*large)[0]


def test_a_limit_that_does_not_hold_is_a_failure() -> None:
    assert _failures(_measured(1, limited_s=10.0, wall_s=10.5)) == []
    assert "limit 10 s" in _failures(_measured(1, limited_s=10.0, wall_s=44.0))[0]


def test_more_than_20_gib_is_a_failure() -> None:
    assert "takes 24 GiB" in _failures(_measured(1, peak_bytes=24 * 2**30))[0]


def test_a_planted_quadratic_operation_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "LEAST_S", 0.02)
    ladder = scale.Ladder("scale_planted:quadratic", "rows", (8, 12, 16))
    runs = scale.climbed(ladder, ladder.sizes, lambda line: None)
    (trial,) = scale.trials_of(ladder, runs)
    assert trial.times == 3
    assert "time grows with exponent" in trial.failures[0]
    assert "compare all" in str(scale.table_of(ladder, runs).rows)


def test_operations_are_measured_in_order_and_sent_what_they_returned() -> None:
    run = run_scene("scale_planted:linear", 10, limit_s=60)
    assert run.failure is None
    assert [(each.step, each.count) for each in run.measured] == [
        ("double", 10),
        ("look at each", 20),
    ]
    assert run.measured[1].cpu_s > 0.05
    assert run.measured[1].peak_bytes > MIB


def test_memory_is_what_an_operation_adds() -> None:
    (each,) = run_scene("scale_planted:hungry", 64, limit_s=60).measured
    assert 60 * MIB < each.more_bytes < 100 * MIB
    assert each.peak_bytes > each.more_bytes


def test_what_does_not_end_or_dies_is_told_with_what_ended_before() -> None:
    run = run_scene("scale_planted:endless", 1, limit_s=2.0)
    assert [each.step for each in run.measured] == ["first"]
    assert run.failure == "wait did not end within 2 s"
    dead = run_scene("scale_planted:crashing", 1, limit_s=60)
    assert dead.failure is not None
    assert dead.failure.startswith("die ended with code -")


def test_memory_beyond_the_limit_ends_the_process() -> None:
    run = run_scene("scale_planted:hungry", scale_step.MOST_BYTES // MIB + 1, limit_s=60)
    assert run.failure is not None
    assert "fill ended with code 1: MemoryError" in run.failure


def test_a_ladder_ends_where_a_size_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    ladder = scale.Ladder("scale_planted:crashing", "rows", (1, 2), (1, 2))
    monkeypatch.setattr(scale, "LADDERS", (ladder,))
    report = scale.run(Setting(quick=True, peers=(), say=lambda line: None))
    assert report.figures[0].value == 1
    assert report.data["scale"][0]["times"] == 1
