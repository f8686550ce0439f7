"""``moeopt run --adapter lambda``: on a stand of its own, and on functions that are there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from lambda_cases import tiny

from moeopt.adapters.aws_lambda.record import read_recording
from moeopt.adapters.aws_lambda.run import LambdaOptions, run_plan
from moeopt.adapters.aws_lambda.stand.local import Stand
from moeopt.cli.main import main
from moeopt.core.errors import AdapterError, InstanceError
from moeopt.core.solve import solve
from moeopt.library import find


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    assert main(["solve", "@serverless/tiny-2x4", "-o", str(path)]) == 0
    return path


@pytest.fixture
def account(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    """Lead what boto3 asks of its environment to the stand."""
    for name, value in stand.environment().items():
        monkeypatch.setenv(name, value)
    return stand


def test_a_plan_runs_on_a_stand_of_its_own(
    plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "calls.jsonl"
    capsys.readouterr()
    arguments = ["run", str(plan), "--local", "--steps", "2", "--record", str(record), "--json"]
    assert main(arguments) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["adapter"] == "lambda"
    assert document["local"] is True
    assert [layer["design"] for layer in document["layers"]] == [2, 3]
    for layer in document["layers"]:
        assert layer["difference"] <= 1e-5
        first, *warm = layer["batches"]
        assert first["cold"] == first["calls"] == layer["forecast"]["calls"] == 4
        assert len(warm) == 2
        assert all(batch["cold"] == batch["failed"] == 0 for batch in warm)
        # What is billed is more than the fees alone, and less than with cold starts.
        assert 0 < warm[0]["usd"] < first["usd"]
    assert len(read_recording(record)) == 2 * 3


def test_deployed_functions_run_and_give_the_next_instance(
    account: Stand, plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record, new = tmp_path / "calls.jsonl", tmp_path / "new.json"
    run = ["run", str(plan), "--name", "run-test", "--steps", "1"]
    assert main(run) == 1
    assert "deploy the plan first" in capsys.readouterr().err
    assert main(["lambda", "deploy", str(plan), "--name", "run-test", "--seed", "1"]) == 0
    try:
        # Other random parameters than those that were deployed.
        assert main(run) == 1
        assert "another seed" in capsys.readouterr().err
        assert main([*run, "--seed", "1", "--record", str(record)]) == 0
        assert "failed calls" in capsys.readouterr().out
        # The instance is named by its file: its hash is another than the library's.
        instance = str(find("serverless/tiny-2x4"))
        assert main(["calibrate", str(record), "--instance", instance, "-o", str(new)]) == 0
        assert main(["solve", str(new)]) in (0, 3)
    finally:
        assert main(["lambda", "remove", "run-test"]) == 0


def test_functions_with_other_memory_are_noticed(account: Stand) -> None:
    problem = tiny(slo_s=None)
    plan = solve(problem).plan
    assert plan is not None
    from moeopt.adapters.aws_lambda.deploy import DeployOptions, deploy, fleet_of
    from moeopt.adapters.aws_lambda.remove import remove
    from moeopt.adapters.aws_lambda.weights import random_weights

    clients, options = account.clients(), DeployOptions(name="other-memory")
    fleet = fleet_of(problem, plan, options, clients)
    deploy(fleet, random_weights(problem), clients, options)
    try:
        name = fleet.function(1, 0)
        clients.functions.update_function_configuration(FunctionName=name, MemorySize=640)
        with pytest.raises(AdapterError, match="has 640 MB, the plan"):
            run_plan(problem, plan, LambdaOptions(name="other-memory", layers=(1,), steps=1))
    finally:
        remove(fleet.names, clients)


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
