"""What the part on determinism finds: whoever goes by hash order, time or what was before."""

import itertools
import random
import time

import pytest

from moeopt.bench.registry import Setting
from moeopt.bench.reliability import determinism
from moeopt.bench.reliability.determinism_child import digest, is_digest
from moeopt.bench.reliability.determinism_ranks import answers_of, disagreements
from moeopt.bench.reliability.determinism_way import Way, run_clock_at, said, start
from moeopt.bench.reliability.determinism_work import tasks, turned
from moeopt.io import load_problem, problem_to_json
from moeopt.library import find

CHILD = "moeopt.bench.reliability.determinism_child"

_calls = itertools.count()

LIARS = {
    "by the clock": lambda: b"%d" % (time.perf_counter() > 1e12),
    "by what was before": lambda: b"%d" % next(_calls),
    "by global dice": lambda: b"%f %f" % (random.random(), random.gauss()),
    "by nothing": lambda: b"the same",
    "by an error": lambda: b"%d" % (1 // 0),
}


def digests(names=tuple(LIARS)):
    return dict(digest((name, LIARS[name])) for name in names)


def test_who_goes_by_hash_order_is_named_by_the_part(monkeypatch):
    monkeypatch.setattr(determinism, "_CHILD", "determinism_planted")
    report = determinism.run(Setting(quick=True, peers=[], say=lambda line: None))
    (row,) = report.data["determinism"]
    (failure,) = row["failures"]
    assert failure.startswith("by hash order: ")
    assert row["times"] == 2
    assert report.figures[0].met is False


def test_who_goes_by_dice_or_by_what_was_before_is_named():
    trial = determinism.compared(Way("again"), digests(), digests(), "")
    named = [failure.partition(":")[0] for failure in trial.failures]
    assert named == ["by what was before", "by global dice", "by an error"]
    assert trial.times == len(LIARS)


def test_who_goes_by_the_clock_is_named(monkeypatch):
    plain = digests(["by the clock", "by nothing"])
    monkeypatch.setattr(time, "perf_counter", time.perf_counter)
    for name in ("monotonic", "time"):
        monkeypatch.setattr(time, name, getattr(time, name))
    run_clock_at(1e18)
    time.perf_counter()
    trial = determinism.compared(Way("fast", clock=1e18), plain, digests(plain), "")
    assert [failure.partition(":")[0] for failure in trial.failures] == ["by the clock"]


def test_a_process_that_dies_is_a_failure():
    answers, wrong = said(start(CHILD, Way("lost"), "no such amount"))
    assert answers == {}
    assert "KeyError" in wrong
    assert determinism.compared(Way("lost"), {}, answers, wrong).failures == (wrong,)


def test_a_rank_that_answers_otherwise_is_named():
    first = {"rebalance 0": "a", "rebalance 1": "b"}
    assert disagreements("rank 3", first, dict(first)) == []
    assert disagreements("rank 3", first, {"rebalance 0": "a", "rebalance 1": "c"}) == [
        "rank 3, rebalance 1: c instead of b"
    ]
    assert disagreements("rank 3", first, {"rebalance 0": "a"}) == [
        "rank 3, rebalance 1: None instead of b"
    ]


def test_ranks_are_asked_for_plans_batches_and_eplb_of_worn_plans():
    answers = answers_of(6, 1)
    assert answers == answers_of(6, 1)
    kinds = {name.rpartition(", ")[2] for name in answers}
    assert {"batches", "EPLB", "rebalance 5"} <= kinds


@pytest.mark.parametrize("name", ["placement/tiny-replicas", "transfers/tiny-waves"])
def test_a_problem_in_other_forms_is_equal(name):
    problem = load_problem(find(name))
    again = turned(problem)
    assert again is not problem
    assert problem_to_json(again) == problem_to_json(problem)


def test_answers_have_different_names_and_are_digests():
    found = tasks(Way("plain"), "few")
    names = [name for name, _ in found]
    assert len(set(names)) == len(names)
    assert is_digest(digest(found[-1])[1])
    assert not is_digest(digest(("x", LIARS["by an error"]))[1])
