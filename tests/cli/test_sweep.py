"""``moeopt sweep``: frontiers and many instances, the same wherever the solves run."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from command_line import INSTANCE, Ran

from moeopt.cli import sweep
from moeopt.core.parallel import Backend
from moeopt.placement.frontiers import Kind

Run = Callable[..., Ran]
Write = Callable[..., Path]

ALONE = ("--workers", "1")
#: A method that looks at no clock: processes may compile kernels first.
TIMELESS = ("--method", "search")
#: Two nodes of one device, two groups.
GROUPED = {
    **INSTANCE,
    "groups": 2,
    "cluster": {"nodes": [{"node": {"devices": 1}, "count": 2}]},
}


@pytest.fixture(scope="module", autouse=True)
def _no_workers_left() -> Iterator[None]:
    yield
    importlib.import_module("joblib.externals.loky").get_reusable_executor().shutdown(wait=True)


def without_seconds(value: Any) -> Any:
    """Return a document without what differs between runs."""
    if isinstance(value, dict):
        hidden = ("runtime_s", "build_s", "layer_s", "history")
        return {k: without_seconds(v) for k, v in value.items() if k not in hidden}
    return [without_seconds(entry) for entry in value] if isinstance(value, list) else value


def test_choices_are_those_of_the_library() -> None:
    assert get_args(Kind) == sweep.FRONTIERS
    assert get_args(Backend) == sweep.BACKENDS


def test_a_table_of_slots(run: Run, instance: Path) -> None:
    ran = run("sweep", instance, "--frontier", "slots", "--to", 2, *ALONE)
    assert (ran.code, ran.err) == (0, "")
    rows = [line.split() for line in ran.out.splitlines()]
    assert rows[1] == ["redundant", "GB/device", "imbalance", "bound", "gap", "%", "saved", "%"]
    assert rows[3] == ["0", "-", "1.0000", "1.0000", "0.000", "-", "*"]
    assert rows[4][0] == "2"
    assert max(map(len, ran.out.splitlines())) <= 80
    assert os.listdir(instance.parent) == [instance.name]


@pytest.mark.parametrize("kind", ["slots", "locality"])
def test_two_processes_find_what_one_does(run: Run, write: Write, kind: str) -> None:
    path = write("grouped.json", GROUPED)
    alone = run("sweep", path, "--frontier", kind, "--json", *TIMELESS, *ALONE).json()
    spread = run("sweep", path, "--frontier", kind, "--json", *TIMELESS, "--workers", 2).json()
    assert without_seconds(alone) == without_seconds(spread)
    assert alone["frontier"] == kind
    assert len(alone["problem_sha256"]) == 64
    first, *_, last = alone["points"]
    assert first["objective"] == 100
    assert sorted(first["physical_to_logical"][0]) == [0, 1, 2, 3]
    assert first["slots_per_device"] == [2, 2]
    if kind == "locality":
        assert (last["at"], last["cost"], last["objective"]) == (None, 0, 140)


def test_a_frontier_in_a_file(run: Run, instance: Path) -> None:
    found = instance.with_name("slots.json")
    ran = run("sweep", instance, "--frontier", "slots", "--to", 0, "-o", found, *ALONE)
    assert "redundant" in ran.out
    document = json.loads(found.read_text())
    assert [point["at"] for point in document["points"]] == [0]
    quiet = run("sweep", instance, "--frontier", "slots", "--to", 0, "-o", "-", *ALONE)
    assert without_seconds(quiet.json()) == without_seconds(document)


def test_moves(run: Run, write: Write) -> None:
    path = write("a.json", INSTANCE, previous=[[0, 1, 2, 3], [0, 1, 2, 3]], expert_bytes=10**9)
    points = run("sweep", path, "--frontier", "moves", "--json").json()["points"]
    assert [point["cost"] for point in points] == [0, 2 * 10**9, 4 * 10**9]
    assert [point["objective"] for point in points] == [140, 120, 100]


def test_no_point_has_a_plan(run: Run, write: Write) -> None:
    path = write("a.json", INSTANCE, expert_bytes=10, expert_memory_bytes=10)
    ran = run("sweep", path, "--frontier", "slots", "--to", 2, *ALONE)
    assert ran.code == 3
    assert "a.json: no point of the frontier has a plan" in ran.err
    assert "infeasible" in ran.out


def test_many_instances(run: Run, instance: Path, write: Write) -> None:
    bad = write("bad.json", INSTANCE, slots_per_device=1)
    plans = instance.with_name("plans")
    # The one that has no plan does not stop those after it.
    ran = run("sweep", bad, instance, "@placement/tiny-pins", "-o", plans, *ALONE)
    assert ran.code == 3
    assert f"moeopt: {bad}: infeasible: C2 at $.slots_per_device" in ran.err
    rows = {line.split()[0]: line.split()[1:] for line in ran.out.splitlines() if line.strip()}
    assert rows["bad"][:3] == ["-", "-", "-"]
    assert rows["bad"][-1] == "infeasible"
    assert rows["small"][:3] == ["100", "100", "0.000"]
    assert rows["@placement/tiny-pins"][-1] == "optimal"
    assert max(map(len, ran.out.splitlines())) <= 80
    assert sorted(os.listdir(plans)) == ["placement-tiny-pins.json", "small.json"]
    assert run("check", instance, plans / "small.json").code == 0


def test_a_folder_in_two_processes(run: Run, instance: Path, write: Write) -> None:
    write("other.json", GROUPED, group_rule="one_node")
    alone = run("sweep", instance.parent, "--json", *TIMELESS, *ALONE)
    spread = run("sweep", instance.parent, "--json", *TIMELESS, "--workers", 2)
    assert (alone.code, spread.code, spread.err) == (0, 0, "")
    assert without_seconds(alone.json()) == without_seconds(spread.json())
    assert [Path(r["instance"]).name for r in alone.json()] == ["other.json", "small.json"]
    assert [r["objective"] for r in alone.json()] == [140, 100]


def test_long_names_keep_their_end(run: Run, write: Write) -> None:
    path = write(f"{'a' * 60}-day-17.json", INSTANCE)
    out = run("sweep", path, *ALONE).out
    assert max(map(len, out.splitlines())) <= 80
    assert "a-day-17" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--from", "1"], "--from: must be left out without --frontier"),
        (["--method", "atuo"], "method: must be one of"),
        (["--method", "hierarchical"], "cannot take the problem small: it needs group_rule"),
        (["--time-limit", "0"], "time_limit_s: must be > 0"),
        (["--workers", "0"], "workers: must be >= 1, got 0"),
        (["--backend", "spark"], "invalid choice: 'spark'"),
        (["--address", "auto"], "address: must be left out: loky runs on this machine"),
        (["--frontier", "slots", "--step", "0"], "step: must be > 0"),
        (["--frontier", "locality"], "small.json: $.cluster: must have several nodes"),
        (["--frontier", "devices"], "small.json: $.timing: must be stated"),
        (["--frontier", "moves"], "small.json: $: cannot be replanned"),
        (["--frontier", "slots", "-o", "."], "-o: must be a file that can be written"),
        (["-o", "-"], "-o: must be a folder: there may be several plans"),
        (["-o", "no/plans"], "make the folder no first"),
        (["none.json"], "none.json: must be a readable file"),
        (["b.json", "--frontier", "slots"], "must be one instance with --frontier, got 'b.json'"),
        (["empty"], "empty: must have instances in it"),
    ],
)
def test_bad_options_stop_before_anything_runs(
    run: Run,
    instance: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    says: str,
) -> None:
    def started(*_: Any, **__: Any) -> Any:
        raise AssertionError("something ran")

    monkeypatch.setattr("moeopt.core.many.solve", started)
    monkeypatch.chdir(instance.parent)
    Path("empty").mkdir()
    ran = run("sweep", instance, *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err


def test_an_instance_and_a_plan_are_named_once(run: Run, instance: Path, tmp_path: Path) -> None:
    ran = run("sweep", instance, instance)
    assert (ran.code, ran.out) == (2, "")
    assert "must be given once" in ran.err
    other = tmp_path / "elsewhere"
    other.mkdir()
    (other / instance.name).write_text(instance.read_text())
    ran = run("sweep", instance, other, "-o", tmp_path / "plans")
    assert (ran.code, ran.out) == (2, "")
    assert "must not have the plan's file small.json in common" in ran.err
    taken = run("sweep", instance, "-o", instance)
    assert (taken.code, taken.out) == (2, "")
    assert "-o: must be a folder" in taken.err


def test_only_placements_have_frontiers(run: Run) -> None:
    ran = run("sweep", "@buffering/tiny-pins", "--frontier", "slots")
    assert (ran.code, ran.out) == (2, "")
    assert "$.problem: must be placement, got 'buffering'; leave out --frontier" in ran.err


def test_a_solver_that_fails_is_named_with_its_instance(
    run: Run, instance: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moeopt.core.errors import BackendError

    def fails(*_: Any, **__: Any) -> Any:
        raise BackendError("scip", "segfault", "try highs")

    monkeypatch.setattr("moeopt.core.many.solve", fails)
    ran = run("sweep", instance, *ALONE)
    assert (ran.code, ran.out) == (1, "")
    assert "backend scip failed: segfault; try highs, in call 1 of 1: Solve(" in ran.err


def test_ctrl_c_ends_the_sweep_not_a_solve(
    run: Run, instance: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moeopt.core.result import Limit, Result, Status

    stopped: Result[Any] = Result(
        status=Status.NO_PLAN_FOUND, limit=Limit.INTERRUPTED, method="search"
    )
    monkeypatch.setattr("moeopt.core.many.solve", lambda *_, **__: stopped)
    ran = run("sweep", instance, *ALONE)
    assert (ran.code, ran.err) == (130, "moeopt: interrupted\n")
