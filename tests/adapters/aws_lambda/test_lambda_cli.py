"""``moeopt lambda``: deployed, removed, and what is said of what cannot be."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import numpy as np
import pytest
from lambda_cases import mini
from lambda_watch import account, layer_of

import moeopt
from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.stand.local import Stand
from moeopt.cli.main import main
from moeopt.io import save_problem
from moeopt.serverless.problem import Billing

#: As the tests that read a configuration need it.
SESSION = boto3.Session


@dataclass
class Line:
    """The command line in this process."""

    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: object, code: int = 0) -> tuple[str, str]:
        self.capsys.readouterr()
        assert main(["lambda", *map(str, arguments)]) == code, self.capsys.readouterr()
        out, err = self.capsys.readouterr()
        return out, err


@pytest.fixture(scope="module")
def session(stand: Stand) -> boto3.Session:
    """Return a session, which reads what it knows of AWS but once."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stand.environment().items():
            patch.setenv(name, value)
        return boto3.Session()


@pytest.fixture
def line(
    stand: Stand,
    clients: Clients,
    session: boto3.Session,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Line]:
    """Give a command line that is led to the stand, and see that nothing is left there."""
    for name, value in stand.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "Session", lambda: session)
    before = account(clients)
    yield Line(capsys)
    assert account(clients) == before


@pytest.fixture
def plan(tmp_path: Path) -> tuple[Path, Path]:
    """Return the files of a plan and of its problem."""
    problem, here = mini(), tmp_path / "plan.json"
    there = tmp_path / "mini.json"
    save_problem(there, problem)
    moeopt.save_plan(here, problem, moeopt.solve(problem))
    return here, there


def test_deployed_by_a_dry_run_first_and_removed(
    line: Line, plan: tuple[Path, Path], clients: Clients
) -> None:
    file, instance = plan
    given = ("deploy", file, "--instance", instance, "--layer", layer_of(clients))
    before = account(clients)
    out, err = line(*given, "--dry-run")
    assert (err, account(clients)) == ("", before)
    assert out.startswith("mini would be deployed: 7 changes\n")
    assert "create   function   moeopt-mini-0-1" in out
    assert "Costs by AWS Lambda and S3, us-east-1, 2026-09-20" in out
    out, err = line(*given)
    assert out.startswith("mini is deployed: 7 changes\n")
    assert "moeopt: create function moeopt-mini-0-1\n" in err
    out, err = line(*given, "--json")
    found = json.loads(out)
    assert (err, found["done"], found["bucket"]) == ("", True, f"moeopt-mini-{clients.account}")
    assert {one["action"] for one in found["changes"]} == {"keep"}
    out, _ = line(*given, "--name", "other", "--memory", code=2)
    out, err = line("remove", "mini", "--dry-run")
    assert (out.splitlines()[0], err) == ("mini would be removed", "")
    out, err = line("remove", "mini")
    assert out.splitlines()[0] == "mini is removed"
    assert f"moeopt: delete bucket moeopt-mini-{clients.account}: with 3 objects\n" in err
    assert line("remove", "mini") == ("nothing of mini is there\n", "")
    assert json.loads(line("remove", "mini", "--json")[0])["changes"] == []


def test_settings_reach_the_functions(
    line: Line, plan: tuple[Path, Path], clients: Clients, tmp_path: Path
) -> None:
    file, instance = plan
    weights = tmp_path / "weights.npz"
    arrays = {
        f"layer0.expert{expert}.{name}": np.zeros(shape, dtype=np.float32)
        for expert in range(2)
        for name, shape in (("up", (8, 3 + expert)), ("down", (3 + expert, 4)))
    }
    np.savez(weights, **arrays)
    line(
        "deploy", file, "--instance", instance, "--name", "set", "--weights", weights,
        "--keep-parameters", "--reserve", "--timeout", 33, "--layer", layer_of(clients),
        "--runtime", "python3.12", "--region", "us-east-1",
    )  # fmt: skip
    found = account(clients)["functions"]["moeopt-set-0-1"]
    configuration = found["Configuration"]
    assert (configuration["Timeout"], configuration["Runtime"]) == (33, "python3.12")
    assert configuration["Environment"]["Variables"]["MOEOPT_KEEP"] == "1"
    assert found["Concurrency"]["ReservedConcurrentExecutions"] >= 1
    line("remove", "set")


def test_policies_are_printed_without_asking_aws(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    given = ("policy", "mini", "--account", "123456789012", "--region", "eu-west-1")
    out, err = line(*given)
    found = json.loads(out)
    assert (set(found), err) == ({"deployer", "worker", "worker_trust"}, "")
    assert "arn:aws:s3:::moeopt-mini-123456789012/moeopt/mini/*" in out
    out, _ = line(*given, "--bucket", "theirs")
    assert "arn:aws:s3:::theirs/moeopt/mini/batches/*" in out
    _, err = line("policy", "mini", "--account", "12", "--region", "eu-west-1", code=2)
    assert err == "moeopt: --account: must be 12 digits, got '12'; see the console\n"


def test_an_images_context_is_written(line: Line, tmp_path: Path) -> None:
    out, _ = line("image", tmp_path / "image")
    assert out.splitlines()[-1].startswith("docker push ")
    assert (tmp_path / "image" / "Dockerfile").read_text().startswith("FROM ")
    (tmp_path / "file").write_text("")
    _, err = line("image", tmp_path / "file", code=2)
    assert err.startswith("moeopt: DIR: must be a folder that can be written (")
    _, err = line("image", tmp_path / "image", "--runtime", "python2", code=2)
    assert err.startswith("moeopt: --runtime: must be a Python")


def test_what_cannot_be_is_a_sentence(
    line: Line,
    plan: tuple[Path, Path],
    clients: Clients,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file, instance = plan
    given = ("deploy", file, "--instance", instance)

    def said(*arguments: object, code: int = 2) -> str:
        out, err = line(*arguments, code=code)
        assert out == ""
        assert err.count("\n") == 1
        return err.removeprefix("moeopt: ")

    assert said("deploy", file).startswith(f"{file}: $.problem_sha256: must be that of an inst")
    assert said(*given, "--name", "My model").startswith("--name: must be lower-case letters")
    assert said(*given, "--timeout", 1000).startswith("--timeout: must be 1 to 900 seconds")
    assert said(*given, "--layer", "numpy").startswith("--layer: must be ARNs of versions")
    assert said(*given, "--dependencies", tmp_path).startswith("--dependencies: must hold NumPy")
    layer = ("--layer", layer_of(clients))
    assert said(*given, *layer, "--bucket", "no-such-bucket", code=1).startswith(
        "bucket no-such-bucket: there is no such bucket"
    )
    assert said(*given, "--weights", tmp_path / "none.npz").startswith(f"{tmp_path}/none.npz")
    assert said("remove", "My model").startswith("NAME: must be lower-case letters")
    assert said("remove", "mini", "--bucket", "My bucket").startswith("--bucket: must be the name")
    held = mini(billing=Billing(provisioned_s=300.0))
    save_problem(tmp_path / "held.json", held)
    moeopt.save_plan(tmp_path / "held-plan.json", held, moeopt.solve(held))
    assert said("deploy", tmp_path / "held-plan.json", "--instance", tmp_path / "held.json") == (
        f"{tmp_path}/held-plan.json: $.billing.provisioned_s: must be left out to be deployed:"
        " functions here have no provisioned concurrency, got 300.0; plan without it\n"
    )
    monkeypatch.setattr(boto3, "Session", SESSION)
    with monkeypatch.context() as patch:
        patch.setenv("AWS_PROFILE", "none")
        patch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        assert said("remove", "mini", code=1) == (
            "AWS: The config profile (none) could not be found\n"
        )
        patch.delenv("AWS_PROFILE")
        (tmp_path / "config").write_text("[broken")
        patch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        assert said("remove", "mini", code=1).startswith("AWS: Unable to parse config file: ")
        patch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        patch.setenv("AWS_ENDPOINT_URL", "stand")
        assert said("remove", "mini", code=1) == "AWS: Invalid endpoint: stand\n"
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    assert said("remove", "mini", code=1).startswith("no AWS region is set: give --region")
    monkeypatch.setitem(sys.modules, "boto3", None)
    assert said("remove", "mini", code=1).startswith("the lambda adapter needs boto3: pip install")


def test_a_plan_of_another_wing_is_refused(line: Line, tmp_path: Path) -> None:
    problem = moeopt.load_problem("@buffering/against-fifo-8")
    moeopt.save_plan(tmp_path / "plan.json", problem, moeopt.solve(problem))
    save_problem(tmp_path / "problem.json", problem)
    given = ("--instance", tmp_path / "problem.json")
    _, err = line("deploy", tmp_path / "plan.json", *given, code=2)
    assert err.endswith(
        "plan.json: $.plan: must be serverless, got 'buffering'; give a serverless plan\n"
    )
