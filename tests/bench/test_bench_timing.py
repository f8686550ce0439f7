"""Times are medians of warm calls taken in turn, on one core."""

from __future__ import annotations

import os

import pytest

from moeopt.bench.timing import Timing, measure, one_core, timed


def test_calls_are_taken_in_turn_after_a_warm_up() -> None:
    order: list[str] = []
    calls = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    times = measure(calls, repeats=2, warm_ups=1)
    assert order == ["a", "b"] * 3
    assert {name: len(found.seconds) for name, found in times.items()} == {"a": 2, "b": 2}


def test_one_round_is_done_whatever_the_budget() -> None:
    times = measure({"a": lambda: None}, repeats=5, warm_ups=0, budget_s=0.0)
    assert len(times["a"].seconds) == 1


def test_the_median_and_the_spread_around_it() -> None:
    found = Timing((1.0, 100.0, 2.0, 3.0, 1.0))
    assert found.median_s == 2.0
    assert found.spread == 1.0  # from 1 to 3
    assert found.to_dict()["seconds"] == [1.0, 100.0, 2.0, 3.0, 1.0]
    assert Timing((0.0,)).spread == 0.0


def test_a_call_takes_time() -> None:
    assert timed(lambda: sum(range(1000))) > 0


def test_the_process_has_one_core_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    with one_core() as core:
        assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "1"
        if before is not None:
            assert os.sched_getaffinity(0) == {core}
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ
    if before is not None:
        assert os.sched_getaffinity(0) == before


def test_systems_without_pinning_do_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    with one_core() as core:
        assert core is None
