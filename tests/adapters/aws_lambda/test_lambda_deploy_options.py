"""How a plan is deployed: as an image, with other settings, and what cannot be."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import msgspec
import numpy as np
import pytest
from lambda_cases import direct_event, mini, plan_of, some_tokens
from lambda_watch import account, changes, cleanly, deployed, layer_of, watched

import moeopt
from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.deploy import DeployOptions, deploy, fleet_of, weights_of
from moeopt.adapters.aws_lambda.deployer import functions as lambdas
from moeopt.adapters.aws_lambda.deployer.changes import Change, changes_table
from moeopt.adapters.aws_lambda.deployer.package import write_image_context
from moeopt.adapters.aws_lambda.deployer.steps import Phase, Step, carry_out
from moeopt.adapters.aws_lambda.deployer.wanted import wanted_of
from moeopt.adapters.aws_lambda.names import Names, name_from
from moeopt.adapters.aws_lambda.stand.local import Stand
from moeopt.adapters.aws_lambda.worker.protocol import from_text
from moeopt.cli.main import main
from moeopt.core.errors import AdapterError, InstanceError
from moeopt.io import save_problem
from moeopt.serverless.problem import Billing

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/experts:1"


@pytest.fixture
def options(clients: Clients) -> Iterator[DeployOptions]:
    """Give settings of a small deployment."""
    with cleanly(clients, "one") as options:
        yield options


def test_an_image_takes_the_place_of_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image_context(tmp_path)
    second = IMAGE.replace(":1", ":2")
    with Stand(images={IMAGE: tmp_path, second: tmp_path}) as stand:
        clients = stand.clients()
        deployed(clients, DeployOptions(name="one", layers=(layer_of(clients),)))
        image = DeployOptions(name="one", image=IMAGE)
        with watched(clients) as watch:
            done = deployed(clients, image)
        anew = ["DeleteFunction", "CreateFunction"] * 2
        assert sorted(watch.changing) == sorted([*anew, "DeleteObjects"])
        assert [one.why for one in done.changed] == [
            "made anew: package type Zip -> Image",
            "made anew: package type Zip -> Image",
            "1 that nothing uses any more",
        ]
        found = account(clients)["functions"]["moeopt-one-0-0"]
        assert found["Code"]["ImageUri"] == IMAGE
        assert found["Configuration"]["PackageType"] == "Image"
        with watched(clients) as watch:
            assert changes(deployed(clients, image)) == []
        assert watch.changing == []
        with watched(clients) as watch:
            done = deployed(clients, replace(image, image=second))
        assert watch.changing == ["UpdateFunctionCode"] * 2
        assert [one.why for one in done.changed] == ["code"] * 2
        # On the command line an image computes with PyTorch unless it is told not to.
        for name, value in stand.environment().items():
            monkeypatch.setenv(name, value)
        large = mini(memory_mb=(1769,))
        save_problem(tmp_path / "mini.json", large)
        moeopt.save_plan(tmp_path / "plan.json", large, moeopt.solve(large))
        line = ["lambda", "deploy", str(tmp_path / "plan.json"), "--image", second]
        assert main([*line, "--name", "one", "--instance", str(tmp_path / "mini.json")]) == 0
        found = account(clients)["functions"]["moeopt-one-0-0"]["Configuration"]
        assert found["Environment"]["Variables"]["MOEOPT_ENGINE"] == "torch"
        event = json.dumps(direct_event(some_tokens(3))).encode()
        answer = clients.calls.invoke(FunctionName="moeopt-one-0-0", Payload=event)
        payload = json.loads(answer["Payload"].read())["payload"]
    wanted = weights_of(mini(), image).expert(0, 0).compute(some_tokens(3))
    np.testing.assert_allclose(from_text(payload, 4), wanted, rtol=1e-5, atol=1e-6)


def test_functions_are_of_the_problems_architecture_and_storage(
    clients: Clients, options: DeployOptions
) -> None:
    deployed(clients, options)
    arm = mini(architecture="arm64", billing=Billing(ephemeral_mb=1024))
    done = deployed(clients, options, arm)
    assert [one.why for one in done.changed if one.kind == "function"] == [
        "made anew: architecture x86_64 -> arm64"
    ] * 2
    configuration = account(clients)["functions"]["moeopt-one-0-1"]["Configuration"]
    assert configuration["Architectures"] == ["arm64"]
    assert configuration["EphemeralStorage"] == {"Size": 1024}
    assert changes(deployed(clients, options, arm)) == []


def test_experts_with_the_same_parameters_share_an_object(
    clients: Clients, options: DeployOptions
) -> None:
    class Same:
        def expert(self, layer: int, expert: int) -> Any:
            return weights_of(mini(), options).expert(0, 0)

    fleet = fleet_of(mini(), plan_of(mini()), options, clients)
    done = deploy(fleet, Same(), clients, options)  # type: ignore[arg-type]
    assert [kind for _, kind in changes(done)].count("weights") == 1
    assert done.costs.uploads == 2


def test_what_ails_a_function_is_told(clients: Clients, options: DeployOptions) -> None:
    fleet = fleet_of(mini(), plan_of(mini()), options, clients)
    wanted = wanted_of(fleet, weights_of(mini(), options), options, clients).functions[0]
    deployed(clients, options)
    found = lambdas.look_at_function(wanted.name, clients)
    assert found is not None
    assert (lambdas.must_be_new(found, wanted), lambdas.differences(found, wanted)) == ("", [])

    def now(**said: str) -> lambdas.FoundFunction:
        return replace(found, configuration={**found.configuration, **said})

    failed = now(State="Failed", StateReason="the subnet is gone")
    assert lambdas.must_be_new(failed, wanted) == "it could not be made: the subnet is gone"
    stale = now(LastUpdateStatus="Failed")
    assert lambdas.differences(stale, wanted) == ["its last update failed"]
    with watched(clients) as watch:
        lambdas.change_function(stale, wanted, clients)
    assert watch.changing == ["UpdateFunctionConfiguration", "UpdateFunctionCode"]
    assert not now(State="Pending").settled
    assert not now(LastUpdateStatus="InProgress").settled
    answer = {"Configuration": {"State": "Failed", "StateReason": "no such layer"}}
    clients.functions.meta.events.register_first(
        "before-call.lambda.GetFunction", _answering(answer), unique_id="ailing"
    )
    try:
        with pytest.raises(AdapterError, match=f"^function {wanted.name}: no such layer$"):
            lambdas.await_function(wanted.name, clients, lambdas.MADE)
        answer["TagsError"] = {"Message": "you may not list tags"}
        with pytest.raises(AdapterError, match="its tags: you may not list tags"):
            lambdas.look_at_function(wanted.name, clients)
    finally:
        clients.functions.meta.events.unregister(
            "before-call.lambda.GetFunction", unique_id="ailing"
        )


def _answering(answer: Any) -> Any:
    class Fine:
        status_code = 200

    return lambda **_: (Fine(), answer)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "No"}, "name: must be lower-case"),
        ({"bucket": "My Bucket"}, "bucket: must be the name of a bucket"),
        ({"role": "worker"}, "role: must be the ARN of a role"),
        ({"layers": ("numpy",)}, "layers: must be ARNs of versions of layers"),
        ({"image": "experts"}, "image: must be the URI of an image"),
        ({"timeout_s": 901}, "timeout_s: must be 1 to 900"),
        ({"timeout_s": 0}, "timeout_s: must be 1 to 900"),
        ({"seed": -1}, "seed: must be >= 0"),
        ({"image": IMAGE, "dependencies": Path()}, "dependencies: must not be given with an im"),
        ({"engine": "abacus"}, "engine: must be numpy, or torch in an image"),
        # A package has no PyTorch: each call would fail, and be billed.
        ({"engine": "torch"}, "engine: must be numpy, or torch in an image"),
        ({"image": IMAGE, "runtime": "python3.12"}, "runtime: must not be given with an image"),
    ],
)
def test_settings_that_are_none(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InstanceError, match=f"^{said}"):
        DeployOptions(**given)


def test_changes_are_told_one_at_a_time() -> None:
    both, beside = threading.Barrier(2), list[bool]()

    def say(_: str) -> None:
        try:
            both.wait(0.05)
        except threading.BrokenBarrierError:
            beside.append(False)
        else:
            beside.append(True)

    steps = [Step(Change("create", "function", name), lambda: None) for name in "ab"]
    carry_out([Phase(steps, threads=2)], say)
    assert beside == [False, False]


def test_long_names_that_begin_alike_are_others() -> None:
    alike = [name_from(f"a model whose name is long, and goes on {k}") for k in range(2)]
    assert len(set(alike)) == 2
    assert all(Names(name).deployment.startswith("a-model-whose-name-is") for name in alike)
    assert name_from("Tiny 2x4!") == "tiny-2x4"
    assert name_from("a" * 32) == "a" * 32
    assert name_from("?") == "model"


def test_problems_that_cannot_be_deployed(clients: Clients, options: DeployOptions) -> None:
    held = mini(billing=Billing(provisioned_s=300.0))
    with pytest.raises(InstanceError, match=r"^\$.billing.provisioned_s: must be left out"):
        deployed(clients, options, held)
    book = mini().book()
    other = msgspec.structs.replace(book, functions={"riscv": book.functions["x86"]})
    with pytest.raises(InstanceError, match=r"^\$.architecture: must be x86 or arm64"):
        deployed(clients, options, mini(prices=other, architecture="riscv"))


def test_many_changes_of_a_kind_are_one_row() -> None:
    many = [Change("create", "function", f"f-{k}") for k in range(20)]
    kept = [Change("keep", "weights", "w"), Change("keep", "bucket", "b", "the user's")]
    hashed = Change("create", "code", f"code/{'0123456789abcdef' * 4}.zip")
    table = changes_table("", [hashed, *many, *kept])
    assert [row[2] for row in table.rows] == [
        "code/0123456789ab....zip",
        "f-0 ... f-19, 20 of them",
        "b",
        "1 that are as they should be",
    ]


def test_numpy_must_fit_the_runtime_on_aws_and_this_machine_on_a_stand(
    clients: Clients, options: DeployOptions, tmp_path: Path
) -> None:
    wheel = tmp_path / "numpy-9.9.dist-info"
    wheel.mkdir()
    (wheel / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 9.9\n")
    (wheel / "WHEEL").write_text("Tag: cp311-cp311-manylinux_2_28_x86_64\n")
    given = DeployOptions(name="one", dependencies=tmp_path, runtime="python3.11")
    fleet = fleet_of(mini(), plan_of(mini()), given, clients)
    here = wanted_of(fleet, weights_of(mini(), given), given, clients)
    assert here.functions[0].settings["Runtime"] == "python3.11"
    functions = boto3.client(
        "lambda",
        region_name="eu-west-1",
        endpoint_url="https://lambda.eu-west-1.amazonaws.com",
        aws_access_key_id="none",
        aws_secret_access_key="none",
    )
    aws = replace(clients, functions=functions)
    with pytest.raises(InstanceError, match=r"^runtime: must have glibc 2\.28"):
        wanted_of(fleet, weights_of(mini(), given), given, aws)
