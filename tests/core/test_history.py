"""What a result keeps of its solve: when which objective and bound were known."""

from __future__ import annotations

import dataclasses
import itertools
import json
import signal
from collections.abc import Iterable
from pathlib import Path

import core_toys
import pytest

import moeopt
from moeopt.core import interrupts, registry
from moeopt.core.progress import MOST_MOMENTS, Moment, ProgressEvent, Recorder
from moeopt.core.stop import Context
from moeopt.core.wing import Method, Outcome
from moeopt.io import load_plan_document, plan_to_json, result_to_json
from moeopt.mip import guard

Told = tuple[float | None, float | None]


def recorded(events: Iterable[tuple[float, float | None, float | None]]) -> Recorder:
    recorder = Recorder()
    for event in events:
        recorder(ProgressEvent(*event, note=""))
    return recorder


def solved_telling(monkeypatch: pytest.MonkeyPatch, told: Iterable[Told]) -> moeopt.Result:
    def run(problem: object, context: object, warm_start: object) -> Outcome:
        for objective, bound in told:
            context.report(objective, bound, "")  # type: ignore[attr-defined]
        return Outcome(plan=core_toys.GuessPlan(number=3.0), bound=2.0)

    method = dataclasses.replace(core_toys.returning(), run=run)
    assert isinstance(method, Method)
    monkeypatch.setitem(registry._WINGS, "guess", core_toys.wing(method))
    return moeopt.solve(core_toys.GuessProblem(), "fixed")


def test_what_changed_is_kept_without_a_listener(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [(None, 1.0), (9.0, None), (9.0, 1.0), (12.0, 0.5), (4.0, 1.5)]
    result = solved_telling(monkeypatch, told)
    assert [moment[1:] for moment in result.history] == [
        (None, 1.0), (9.0, 1.0), (4.0, 1.5), (3.0, 2.0),
    ]  # fmt: skip
    times = [moment.elapsed_s for moment in result.history]
    assert times == sorted(times)
    assert result.history[-1] == (result.runtime_s, result.objective, result.bound)


def test_no_moment_claims_more_than_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    result = solved_telling(monkeypatch, [(2.9999, 2.5)])
    assert [moment[1:] for moment in result.history] == [(3.0, 2.0), (3.0, 2.0)]


def test_a_long_history_is_thinned_evenly() -> None:
    count = 100 * MOST_MOMENTS + 3
    recorder = recorded((float(i), float(2 * count - i), None) for i in range(count))
    assert len(recorder._moments) < 2 * MOST_MOMENTS
    history = recorder.history(Moment(float(count), 1.0, None))
    assert len(history) == MOST_MOMENTS
    assert history[0] == (0.0, 2 * count, None)
    assert history[-2][0] == count - 1
    assert history[-1] == (count, 1.0, None)
    steps = [after[0] - before[0] for before, after in itertools.pairwise(history)]
    assert max(steps) <= 3 * count / MOST_MOMENTS


def test_nothing_known_is_no_history() -> None:
    assert recorded([(1.0, None, None)]).history(Moment(2.0, None, None)) == ()


def test_it_stands_in_the_plans_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = moeopt.load_problem("@placement/tiny-replicas")
    result = moeopt.solve(problem)
    document = json.loads(result_to_json(problem, result))
    assert document["result"]["history"][-1] == [result.runtime_s, 6, 6]
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(document))
    record = load_plan_document(path).result
    assert record is not None
    assert record.history == result.history
    del document["result"]["history"]
    path.write_text(json.dumps(document))
    old = load_plan_document(path).result
    assert old is not None
    assert old.history == ()
    document["result"]["history"] = [[1, 2]]
    path.write_text(json.dumps(document))
    with pytest.raises(moeopt.InstanceError, match=r"\$\.result\.history\[0\]"):
        load_plan_document(path)


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("placement/tiny-speeds", "search"),
        ("placement/tiny-memory-across-layers", "exact"),
        ("transfers/tiny-whole-messages", "exact"),
        ("transfers/startup-uniform-8", "auto"),
        ("colocation/tiny-three-models", "exact"),
        ("buffering/tiny-prices", "best_online"),
        ("committee/additive-2x16x8-link", "exact"),
        ("serverless/tiny-2x4", "milp"),
    ],
)
def test_what_methods_tell_is_of_the_whole_problem(name: str, method: str) -> None:
    """A part's cost told as the whole's would be below what the plan costs."""
    events: list[ProgressEvent] = []
    result = moeopt.solve(moeopt.load_problem(f"@{name}"), method, progress=events.append)
    close = 1e-6 * abs(result.objective)
    assert all(e.objective >= result.objective - close for e in events if e.objective is not None)
    assert all(e.bound <= result.objective + close for e in events if e.bound is not None)


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("placement/reference-windows", "exact"),
        ("colocation/zipf-8-mixed-3-models", "exact"),
        ("committee/masked-2x32x4-drift-price", "exact"),
        ("serverless/gpt2-moe-paper", "milp"),
    ],
)
def test_ctrl_c_returns_what_there_is(name: str, method: str) -> None:
    def press(event: ProgressEvent) -> None:
        if event.objective is not None and not interrupts.asked():
            signal.raise_signal(signal.SIGINT)

    with interrupts.heard():
        result = moeopt.solve(moeopt.load_problem(f"@{name}"), method, progress=press)
    assert (result.status, result.limit) == ("feasible", "interrupted")
    assert result.history[-1][1:] == (result.objective, result.bound)


def test_ctrl_c_before_there_is_a_plan_is_an_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(problem: object, context: object, warm_start: object) -> Outcome:
        signal.raise_signal(signal.SIGINT)
        return Outcome(bound=1.0)

    method = dataclasses.replace(core_toys.returning(), run=run)
    monkeypatch.setitem(registry._WINGS, "guess", core_toys.wing(method))
    with interrupts.heard(), pytest.raises(KeyboardInterrupt):
        moeopt.solve(core_toys.GuessProblem(), "fixed")


@pytest.mark.parametrize(
    ("name", "method"),
    [("placement/tiny-speeds", "search"), ("transfers/tiny-whole-messages", "exact")],
)
def test_who_listens_changes_no_plan(
    monkeypatch: pytest.MonkeyPatch, name: str, method: str
) -> None:
    problem = moeopt.load_problem(f"@{name}")
    alone = moeopt.solve(problem, method, seed=3)
    monkeypatch.setattr(guard, "SMALL", 0)  # the same in a child process
    with interrupts.heard():
        watched = moeopt.solve(problem, method, seed=3, progress=lambda event: None)
    assert plan_to_json(watched.plan, None) == plan_to_json(alone.plan, None)


def test_the_first_ctrl_c_is_a_deadline_and_the_second_an_exception() -> None:
    context = Context()
    with interrupts.heard():
        assert (interrupts.asked(), context.out_of_time()) == (False, False)
        signal.raise_signal(signal.SIGINT)
        assert (interrupts.asked(), context.out_of_time(), context.remaining_s()) == (True, True, 0)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert not interrupts.asked()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_programs_own_handler_is_left_alone() -> None:
    def own(*_: object) -> None:
        pass

    before = signal.signal(signal.SIGINT, own)
    try:
        with interrupts.heard():
            assert signal.getsignal(signal.SIGINT) is own
            assert not interrupts.hearing()
    finally:
        signal.signal(signal.SIGINT, before)
