"""The part of the bench: planted readers that fail are told of, and all others pass."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from moeopt.bench.registry import Setting
from moeopt.bench.reliability import fuzz, fuzz_commands, fuzz_judge
from moeopt.bench.reliability.fuzz_drawn import drawn
from moeopt.bench.reliability.fuzz_guided import guided
from moeopt.bench.reliability.fuzz_hostile import hostile_files
from moeopt.bench.reliability.fuzz_judge import judged, judged_bytes
from moeopt.bench.reliability.fuzz_named import named
from moeopt.bench.reliability.fuzz_targets import Load, Target, targets
from moeopt.bench.reliability.trial import Trial
from moeopt.core.errors import InstanceError

GOOD = next(target for target in targets() if target.name == "placements of vLLM")


def planted(load: Load) -> Target:
    return dataclasses.replace(GOOD, load=load)


def test_hypothesis_finds_a_planted_fault_and_tells_a_small_file() -> None:
    def careless(path: str) -> object:
        return b"e" in Path(path).read_bytes() and 1 / 0

    trial = drawn("planted", [GOOD, planted(careless)], 60)
    assert trial.times >= 30
    (failure,) = trial.failures
    assert "placements of vLLM: raised ZeroDivisionError" in failure
    assert "the file is '" in failure
    assert "e" in failure.partition("the file is ")[2]


def test_what_readers_may_not_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(path: str) -> None:
        end = time.process_time() + 0.07
        while time.process_time() < end:
            pass

    def told_at_length(path: str) -> None:
        raise InstanceError("$", 1, *("must be " + "x" * 290,) * 2).under("y" * 290)

    def endless(path: str) -> None:
        while True:
            pass

    said = {
        "RuntimeWarning": lambda path: np.array([1e300]).astype(np.int64),
        "SystemExit": lambda path: sys.exit(0),
        "RecursionError": lambda path: repr(_nested(10**5)),
        "took 0.1 s": busy,
    }
    monkeypatch.setattr(fuzz_judge, "MOST_SECONDS", 0.06)
    for what, load in said.items():
        assert what in judged_bytes(planted(load), tmp_path, b"\xff[1]"), what
    monkeypatch.setattr(fuzz_judge, "_MOST_BUSY_S", 0.05)
    said_of_endless = judged_bytes(planted(endless), tmp_path, b"\xff[1]")
    assert "did not end; the file is base64:/1sxXQ==" in said_of_endless
    monkeypatch.setattr(fuzz_judge, "_LONGEST", 100)
    assert "is refused by a sentence of" in judged_bytes(planted(told_at_length), tmp_path, b"1")
    assert judged_bytes(GOOD, tmp_path, b"[[0, 1]]") == ""


def test_memory_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("only Linux tells the peak since a moment")
    monkeypatch.setattr(fuzz_judge, "MOST_BYTES", 2**25)
    wasteful = planted(lambda path: np.ones(2**23))
    wasteful.put(tmp_path, b"[[0, 1]]")
    verdict = judged(wasteful, tmp_path, measured=True)
    assert verdict.failure == f"took {verdict.extra_bytes / 2**20:.0f} MiB"
    assert 2**25 < verdict.extra_bytes < 2**27


def test_hostile_files_of_a_reader_are_many_and_named_apart() -> None:
    names = [each.name for each in hostile_files(GOOD)]
    assert len(names) == len(set(names)) > 90
    assert {"a link to /dev/zero", "UTF-16", "every key twice", "960 lists in lists"} <= set(names)


def test_hostile_files_are_read_in_a_process_that_is_measured() -> None:
    trial = named("one reader", [GOOD.name], 9)
    assert trial.times > 10
    assert trial.failures == ()
    assert trial.seen.startswith("at most 0.")


@pytest.mark.skipif(not fuzz.there("atheris"), reason="atheris is not installed")
def test_the_guided_fuzzer_reads_as_many_files_as_asked() -> None:
    trial = guided("one reader", ["counts (.csv)"], 100)
    assert trial.times >= 100
    assert trial.failures == ()
    assert int(trial.seen.split()[0].replace(",", "")) > 20


def test_commands_that_fail_are_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({"plan": "placement", "version": 1, "x": 1}))
    assert "$.x: must not be there" in fuzz_commands.run(("show",), str(path))
    monkeypatch.setattr("moeopt.io.load_any", lambda path: 1 / 0)
    with pytest.raises(fuzz_commands.CommandFailed, match=r"show ended with 1: .*ZeroDiv"):
        fuzz_commands.run(("show",), str(path))


def test_the_report_counts_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("drawn", "guided", "named"):
        monkeypatch.setattr(fuzz, name, lambda family, *_: Trial(family, 5, ("it went wrong",)))
    monkeypatch.setattr(fuzz, "there", lambda name: name != "atheris")
    report = fuzz.run(Setting(quick=True, peers=(), say=lambda line: None))
    rows = report.data["fuzz"]
    assert [row["what"] for row in rows[:2]] == ["instances", "plans"]
    assert report.figures[0].value == len(rows)
    assert report.figures[0].met is False
    assert "atheris is not installed: nothing was tried by it" in report.tables[0].note


def _nested(depth: int) -> list[object]:
    found: list[object] = []
    for _ in range(depth):
        found = [found]
    return found
