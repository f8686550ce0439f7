"""``moeopt run --adapter lambda``: on a stand of its own, and on functions that are there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from lambda_cases import mini, plan_of, tiny
from lambda_deployed import bare_packages

from moeopt.adapters.aws_lambda.record import read_recording
from moeopt.adapters.aws_lambda.run import LambdaOptions, run_plan
from moeopt.adapters.aws_lambda.run.room import WORKER_BYTES, free_bytes, require_room
from moeopt.adapters.aws_lambda.stand.local import Stand
from moeopt.cli.main import main
from moeopt.core.errors import AdapterError, InstanceError
from moeopt.core.solve import solve
from moeopt.io import load_plan, load_problem, save_problem
from moeopt.serverless.problem import ServerlessProblem


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """Return the files of a plan and of its problem: a part of a token, and an idle expert."""
    instance, plan = str(tmp_path / "mini.json"), str(tmp_path / "plan.json")
    save_problem(instance, mini([[5.5, 0.0], [4.0]], max_replicas=1))
    assert main(["solve", instance, "-o", plan]) == 0
    return plan, instance


def named(files: tuple[str, str]) -> list[str]:
    """Return a run of a plan on its problem."""
    return ["run", files[0], "--instance", files[1], "--steps", "1"]


def test_a_plan_runs_on_a_stand_of_its_own(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "calls.jsonl"
    capsys.readouterr()
    with bare_packages():
        assert main([*named(files), "--local", "--record", str(record), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["adapter"] == "lambda"
    assert document["local"] is True
    assert [layer["tokens"] for layer in document["layers"]] == [6, 4]
    for layer in document["layers"]:
        assert layer["difference"] <= 1e-5
        first, warm = layer["batches"]
        assert first["cold"] == first["calls"] == layer["forecast"]["calls"] == 1
        assert warm["cold"] == warm["failed"] == 0
        # What is billed is more than the fees alone, and less than with cold starts.
        assert 0 < warm["usd"] < first["usd"]
    assert len(read_recording(record)) == 2 * 2


@pytest.fixture
def account(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    """Lead what boto3 asks of its environment to the stand."""
    for name, value in stand.environment().items():
        monkeypatch.setenv(name, value)
    with bare_packages():
        yield stand


def test_deployed_functions_run_and_give_the_next_instance(
    account: Stand, files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (plan, instance), new, record = files, str(tmp_path / "new.json"), str(tmp_path / "calls.jsonl")
    run = [*named(files), "--name", "run-test"]
    assert main(run) == 1
    assert "deploy the plan first" in capsys.readouterr().err
    deploy = ["lambda", "deploy", plan, "--instance", instance, "--name", "run-test"]
    assert main([*deploy, "--seed", "1"]) == 0
    try:
        # Other random parameters than those that were deployed.
        assert main([*run, "--layers", "1"]) == 1
        assert "another seed" in capsys.readouterr().err
        assert main([*run, "--seed", "1", "--record", record]) == 0
        assert "failed calls" in capsys.readouterr().out
        assert main(["calibrate", record, "--instance", instance, "-o", new]) == 0
        assert main(["solve", new]) in (0, 3)
        # Functions that were changed by hand are not the plan's.
        client = account.clients().functions
        client.update_function_configuration(FunctionName="moeopt-run-test-1-0", MemorySize=640)
        options = LambdaOptions(name="run-test", layers=(1,), steps=1, seed=1)
        with pytest.raises(AdapterError, match="has 640 MB, the plan"):
            run_plan(load_problem(instance), load_plan(plan), options)
    finally:
        assert main(["lambda", "remove", "run-test"]) == 0


def test_a_run_that_this_machine_cannot_hold_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], files: tuple[str, str]
) -> None:
    """Workers of all layers that run stay; parameters of all layers are stored."""
    problem: ServerlessProblem = mini([[6.0, 3.0], [4.0, 0.0]])
    both = problem, plan_of(problem, 2, replicas=2)
    stored = 4 * 4096
    for layers, workers in (([0], 4), ([1], 2), ([0, 1], 6)):
        needed = stored + workers * (WORKER_BYTES + 4096)
        require_room(*both, layers, needed)
        said = f"layers: must fit into this machine's free memory, .*: {workers} workers"
        with pytest.raises(InstanceError, match=said):
            require_room(*both, layers, needed - 1)
    assert free_bytes() > 0
    room = "moeopt.adapters.aws_lambda.run.room.free_bytes"
    monkeypatch.setattr(room, lambda: WORKER_BYTES)
    assert main([*named(files), "--local"]) == 2
    assert "--layers: must fit into this machine's free memory, 0.1 GB" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"steps": 0}, "steps: must be >= 1"),
        ({"seed": -1}, "seed: must be >= 0"),
        ({"local": True, "bucket": "mine"}, "bucket: must not be given for a local run"),
        ({"local": True, "region": "us-east-1"}, "region: must not be given for a local run"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(InstanceError, match=said):
        LambdaOptions(**options)  # type: ignore[arg-type]


def test_a_recording_that_cannot_be_written_is_told_before_anything_starts(tmp_path: Path) -> None:
    problem = tiny()
    plan = solve(problem).plan
    assert plan is not None
    nowhere = tmp_path / "no" / "such" / "folder"
    # Had AWS been asked, it would be for credentials.
    with pytest.raises(InstanceError, match="must be a file that can be written"):
        run_plan(problem, plan, LambdaOptions(record=str(nowhere), region="nowhere-1"))


def test_a_layer_that_is_not_there_is_refused() -> None:
    problem = tiny()
    plan = solve(problem).plan
    assert plan is not None
    with pytest.raises(InstanceError, match="must be layers of the plan, 0 to 1"):
        run_plan(problem, plan, LambdaOptions(local=True, layers=(2,)))


def test_a_plan_of_another_wing_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "placement.json"
    assert main(["solve", "@placement/tiny-replicas", "-o", str(path)]) == 0
    capsys.readouterr()
    assert main(["run", str(path), "--adapter", "lambda", "--local"]) == 2
    assert "must be serverless" in capsys.readouterr().err
