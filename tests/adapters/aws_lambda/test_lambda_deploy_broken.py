"""Deployments and removals that break off, and hindrances that pass."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from lambda_cases import mini, plan_of
from lambda_watch import Broken, account, changes, cleanly, deployed, give_strange_code, watched

from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.deploy import DeployOptions
from moeopt.adapters.aws_lambda.deployer import control
from moeopt.adapters.aws_lambda.names import Names
from moeopt.adapters.aws_lambda.remove import remove
from moeopt.core.errors import AdapterError


@pytest.fixture
def options(clients: Clients) -> Iterator[DeployOptions]:
    """Give settings of a small deployment."""
    with cleanly(clients, "one") as options:
        yield options


def broken_off(
    clients: Clients,
    work: Callable[[Clients, DeployOptions], None],
    options: DeployOptions,
    most: int,
) -> bool:
    """Do work that is broken off after so many changes, and return whether it was whole by then.

    A call that only looks leaves everything as it was: between two changes, breaking off comes to
    the same.
    """
    with watched(clients, changes_made=most) as watch:
        try:
            work(clients, options)
        except Broken:
            assert len(watch.changing) == most
            return False
    assert 0 < len(watch.changing) <= most
    return True


def state(clients: Clients, name: str) -> Any:
    """Return what is there of a deployment, as if it had no name."""
    return json.loads(json.dumps(account(clients, f"-{name}-")).replace(name, "NAME"))


FEW, MORE = mini(((6,),)), mini(((6, 3),))


def make(clients: Clients, options: DeployOptions) -> None:
    deployed(clients, options, FEW)


def change(clients: Clients, options: DeployOptions) -> None:
    plan = plan_of(MORE, replicas=2, memory_mb=256)
    deployed(clients, replace(options, seed=1, reserve=True), MORE, plan)


def go(clients: Clients, options: DeployOptions) -> None:
    remove(Names(options.name or ""), clients)


def test_broken_off_anywhere_it_is_finished_by_doing_it_again(
    clients: Clients, options: DeployOptions
) -> None:
    nothing = state(clients, "whole")
    make(clients, replace(options, name="whole"))
    made = state(clients, "whole")
    go(clients, replace(options, name="whole"))
    whole = {make: False, go: False}
    for most in itertools.count():
        # A name of its own, since moto remembers a deleted bucket's tags.
        given = replace(options, name=f"broken{most}x")
        for work, undisturbed in ((make, made), (go, nothing)):
            whole[work] = whole[work] or broken_off(clients, work, given, most)
            work(clients, given)
            assert state(clients, str(given.name)) == undisturbed
        if all(whole.values()):
            break


def test_a_change_broken_off_anywhere_is_finished_by_doing_it_again(
    clients: Clients, options: DeployOptions
) -> None:
    make(clients, options)
    change(clients, options)
    undisturbed = state(clients, "one")
    for most in itertools.count():
        make(clients, options)
        whole = broken_off(clients, change, options, most)
        change(clients, options)
        assert state(clients, "one") == undisturbed
        if whole:
            break


def test_what_a_broken_deployment_left_is_removed(clients: Clients, options: DeployOptions) -> None:
    nothing = state(clients, "nothing")
    for most in itertools.count():
        given = replace(options, name=f"left{most}x")
        whole = broken_off(clients, make, given, most)
        go(clients, given)
        assert state(clients, str(given.name)) == nothing
        if whole:
            break


def test_hindrances_that_pass_are_waited_out(
    clients: Clients, options: DeployOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_FIRST_S", 0.001)
    busy = ("ResourceConflictException", "An update is in progress for resource")
    often = ("TooManyRequestsException", "Rate exceeded")
    unknown = ("InvalidParameterValueException", "The role cannot be assumed by Lambda.")
    unknown_to_kms = (
        "InvalidParameterValueException",
        "Lambda was unable to configure access to your environment variables because the KMS key"
        " is invalid for CreateGrant. KMS Exception: InvalidArnException",
    )
    refusals = {
        "lambda:CreateFunction": [unknown, unknown_to_kms, often, busy],
        "lambda:UpdateFunctionCode": [("ThrottlingException", "Rate exceeded")],
        "iam:PutRolePolicy": [("NoSuchEntity", "it cannot be found"), ("Throttling", "Rate")],
        "s3:PutBucketTagging": [("NoSuchBucket", "it does not exist")],
        "s3:PutObject": [("SlowDown", "Please reduce your request rate")],
        "lambda:UpdateFunctionConfiguration": [busy],
        "lambda:PutFunctionConcurrency": [busy],
        "lambda:DeleteFunction": [busy],
        "iam:DeleteRole": [("DeleteConflict", "Cannot delete entity")],
        "s3:CreateBucket": [("OperationAborted", "A conflicting operation is in progress")],
    }
    with watched(clients, refusals=refusals):
        deployed(clients, options)
    give_strange_code(clients, "moeopt-one-0-0")
    with watched(clients, refusals=refusals):
        deployed(clients, replace(options, seed=1, reserve=True))
        assert changes(deployed(clients, replace(options, seed=1, reserve=True))) == []
        remove(Names("one"), clients)
    assert not any(refusals.values())


def test_answers_that_were_lost_do_no_harm(clients: Clients, options: DeployOptions) -> None:
    # Boto3 asks again by itself, and is told that it is there: made by our first request.
    deployed(clients, options)
    here = account(clients)
    there = {
        "s3:HeadBucket": [("404", "Not Found")],
        "s3:CreateBucket": [("BucketAlreadyOwnedByYou", "you own it")],
        "iam:GetRole": [("NoSuchEntity", "not found")],
        "lambda:ListFunctions": [],
    }
    with watched(clients, refusals=there):
        deployed(clients, options)
    assert account(clients) == here
    gone = {
        "lambda:DeleteFunction": [("ResourceNotFoundException", "gone")],
        "iam:DeleteRole": [("NoSuchEntity", "gone")],
        "s3:DeleteBucket": [("NoSuchBucket", "gone")],
    }
    with watched(clients, refusals=gone):
        remove(Names("one"), clients)
    remove(Names("one"), clients)


def test_what_does_not_pass_is_told(clients: Clients, options: DeployOptions) -> None:
    # In the order in which they are asked for: each is as far as the deployment comes.
    for operation, code, said in (
        ("s3:HeadBucket", "403", "bucket moeopt-one-.*: it is another account's, or your policy"),
        ("lambda:ListFunctions", "AccessDeniedException", "Lambda: AccessDeniedException: no"),
        ("s3:CreateBucket", "BucketAlreadyExists", "bucket moeopt-one-.*: BucketAlreadyExists: no"),
        ("iam:CreateRole", "AccessDenied", "role moeopt-one-worker: AccessDenied: no"),
        ("s3:PutObject", "AccessDenied", "bucket moeopt-one-.*: AccessDenied: no"),
        (
            "lambda:CreateFunction",
            "InvalidParameterValueException",
            "function moeopt-one-0-.: InvalidParameterValueException: no",
        ),
    ):
        with (
            watched(clients, refusals={operation: [(code, "no")]}),
            pytest.raises(AdapterError, match=f"^{said}"),
        ):
            deployed(clients, options)


def test_patience_ends(
    clients: Clients, options: DeployOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_TOTAL_S", 0.0)
    busy = [("TooManyRequestsException", "Rate exceeded")] * 50
    with (
        watched(clients, refusals={"lambda:CreateFunction": busy}),
        pytest.raises(AdapterError, match="TooManyRequestsException: Rate exceeded"),
    ):
        deployed(clients, options)
