"""The policies allow what deploying, running and removing ask for, and no more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from lambda_cases import mini, plan_of
from lambda_watch import cleanly, deployed, give_strange_code, watched

from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.deploy import DeployOptions
from moeopt.adapters.aws_lambda.deployer.iam import deployer_policy, trust_policy, worker_policy
from moeopt.adapters.aws_lambda.dispatch.routing import routed
from moeopt.adapters.aws_lambda.gate import Gate
from moeopt.adapters.aws_lambda.names import Names
from moeopt.adapters.aws_lambda.remove import remove

ACCOUNT, REGION = "123456789012", "us-east-1"

#: Rights that an operation takes, where they are not called like it: from AWS's reference of
#: actions for each service.
RIGHTS = {
    "lambda:CreateFunction": {"lambda:CreateFunction", "lambda:TagResource", "iam:PassRole"},
    "lambda:GetFunction": {"lambda:GetFunction", "lambda:ListTags"},
    "lambda:Invoke": {"lambda:InvokeFunction"},
    "lambda:UpdateFunctionConfiguration": {"lambda:UpdateFunctionConfiguration", "iam:PassRole"},
    # The code's object is read with the rights of who names it.
    "lambda:UpdateFunctionCode": {"lambda:UpdateFunctionCode", "s3:GetObject"},
    "iam:CreateRole": {"iam:CreateRole", "iam:TagRole"},
    "s3:DeleteObjects": {"s3:DeleteObject", "s3:DeleteObjectVersion"},
    "s3:GetBucketLifecycleConfiguration": {"s3:GetLifecycleConfiguration"},
    "s3:GetPublicAccessBlock": {"s3:GetBucketPublicAccessBlock"},
    "s3:HeadBucket": {"s3:ListBucket"},
    "s3:ListObjectVersions": {"s3:ListBucketVersions"},
    "s3:PutBucketLifecycleConfiguration": {"s3:PutLifecycleConfiguration"},
    "s3:PutPublicAccessBlock": {"s3:PutBucketPublicAccessBlock"},
}


@pytest.fixture
def options(clients: Clients) -> Iterator[DeployOptions]:
    """Give settings of a small deployment."""
    with cleanly(clients, "one") as options:
        yield options


def allowed(policy: dict[str, Any]) -> dict[str, set[str]]:
    """Return the resources of each action that a policy allows."""
    found: dict[str, set[str]] = {}
    for statement in policy["Statement"]:
        assert statement["Effect"] == "Allow"
        for action in statement["Action"]:
            assert "*" not in action
            found.setdefault(action, set()).update(statement["Resource"])
    return found


def test_what_is_asked_for_is_what_is_allowed(clients: Clients, options: DeployOptions) -> None:
    problem = mini(((6,),))
    with watched(clients) as watch:
        done = deployed(clients, replace(options, reserve=True), problem, plan_of(problem, 1))
        with Gate(done.fleet, clients) as gate:
            gate.layer(0, *routed(np.array([6]), done.fleet.widths(0)[0], 0))
    give_strange_code(clients, "moeopt-one-0-0")
    with watched(clients, operations=watch.operations):
        deployed(clients, replace(options, seed=1), problem)
        remove(Names("one"), clients)
    asked = set().union(*(RIGHTS.get(name, {name}) for name in watch.operations))
    policy = deployer_policy(Names("one"), None, clients.account, clients.region)
    assert asked == set(allowed(policy))


def test_rights_end_at_the_deployments_names() -> None:
    names = Names("one")
    found = allowed(deployer_policy(names, None, ACCOUNT, REGION))
    assert found.pop("lambda:ListFunctions") == {"*"}
    role = f"arn:aws:iam::{ACCOUNT}:role/moeopt-one-worker"
    bucket = f"arn:aws:s3:::moeopt-one-{ACCOUNT}"
    for action, resources in found.items():
        service = action.partition(":")[0]
        if service == "iam":
            assert resources == {role}, action
        elif service == "lambda":
            assert resources == {f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:moeopt-one-*"}
        elif re.fullmatch("s3:(Get|Put|Delete)Object(Version)?", action):
            assert resources == {f"{bucket}/moeopt/one/*"}, action
        else:
            assert resources == {bucket}, action
    [passing] = [
        one
        for one in deployer_policy(names, None, ACCOUNT, REGION)["Statement"]
        if "iam:PassRole" in one["Action"]
    ]
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}


def test_what_is_the_users_is_used_and_not_made() -> None:
    role, layer = "arn:aws:iam::1:role/theirs", "arn:aws:lambda:us-east-1:1:layer:numpy:1"
    image = "210987654321.dkr.ecr.eu-west-1.amazonaws.com/some/experts@sha256:0"
    found = allowed(
        deployer_policy(
            Names("one"), "theirs", ACCOUNT, REGION, role=role, layers=[layer], image=image
        )
    )
    assert found["iam:PassRole"] == {role}
    assert found["lambda:GetLayerVersion"] == {layer}
    assert found["ecr:BatchGetImage"] == {
        "arn:aws:ecr:eu-west-1:210987654321:repository/some/experts"
    }
    assert "arn:aws:s3:::theirs/moeopt/one/*" in found["s3:PutObject"]
    theirs = {action for action, resources in found.items() if "arn:aws:s3:::theirs" in resources}
    assert theirs == {"s3:ListBucket", "s3:ListBucketVersions"}


def test_functions_read_parameters_and_inputs_and_write_batches() -> None:
    found = allowed(worker_policy(Names("one"), "b"))
    assert found == {
        "s3:GetObject": {
            "arn:aws:s3:::b/moeopt/one/weights/*",
            "arn:aws:s3:::b/moeopt/one/batches/*",
        },
        "s3:PutObject": {"arn:aws:s3:::b/moeopt/one/batches/*"},
        "s3:ListBucket": {"arn:aws:s3:::b"},
    }
    [trust] = trust_policy()["Statement"]
    assert (trust["Principal"], trust["Action"]) == (
        {"Service": "lambda.amazonaws.com"},
        "sts:AssumeRole",
    )


@pytest.mark.parametrize(
    ("region", "part"),
    [("us-gov-east-1", "aws-us-gov"), ("cn-north-1", "aws-cn"), ("eu-west-1", "aws")],
)
def test_names_are_of_the_regions_partition(region: str, part: str) -> None:
    policies = (
        deployer_policy(Names("one"), None, ACCOUNT, region),
        worker_policy(Names("one"), "b", region),
    )
    for policy in policies:
        for statement in policy["Statement"]:
            for resource in statement["Resource"]:
                assert resource == "*" or resource.startswith(f"arn:{part}:")
