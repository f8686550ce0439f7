"""Deployments and removals that break off, and hindrances that pass."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from lambda_cases import mini, plan_of
from lambda_watch import Broken, account, changes, cleanly, deployed, watched

from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.deploy import DeployOptions
from moeopt.adapters.aws_lambda.deployer import control
from moeopt.adapters.aws_lambda.names import Names
from moeopt.adapters.aws_lambda.remove import remove
from moeopt.core.errors import AdapterError

_NUMBERS = itertools.count()


@pytest.fixture
def options(clients: Clients) -> Iterator[DeployOptions]:
    """Give settings of a small deployment."""
    with cleanly(clients, "one") as options:
        yield options


def breaking(
    clients: Clients, first: Callable[[str], Any], work: Callable[[str], Any]
) -> Iterator[str]:
    """Do work on one deployment after the other, each time broken off one change later.

    A call that only looks leaves everything as it was: between two changes, breaking off comes to
    the same. Each deployment has a name of its own, since moto remembers a deleted bucket's tags.

    Parameters
    ----------
    clients
        Whose calls.
    first, work
        Get a deployment's name. The first is done before, and is not broken off.
    """
    changes = 0
    while True:
        name = f"broken{next(_NUMBERS)}x"
        first(name)
        with watched(clients, changes_made=changes) as watch:
            try:
                work(name)
            except Broken:
                pass
            else:
                break
        assert len(watch.changing) == changes
        yield name
        changes += 1
    assert changes == len(watch.changing) > 0
    yield name


def state(clients: Clients, name: str) -> Any:
    """Return what is there of a deployment, as if it had no name."""
    return json.loads(json.dumps(account(clients, f"-{name}-")).replace(name, "NAME"))


@pytest.mark.parametrize("task", ["deploy", "update", "remove"])
def test_broken_off_anywhere_it_is_finished_by_doing_it_again(
    clients: Clients, options: DeployOptions, task: str
) -> None:
    few, more = mini(((6,),)), mini(((6, 3),))
    plan = plan_of(more, replicas=2, memory_mb=256)

    def make(name: str) -> None:
        deployed(clients, replace(options, name=name), few)

    def change(name: str) -> None:
        deployed(clients, replace(options, name=name, seed=1, reserve=True), more, plan)

    def go(name: str) -> None:
        remove(Names(name), clients)

    first, work = {"deploy": (go, make), "update": (make, change), "remove": (make, go)}[task]
    first("whole")
    work("whole")
    undisturbed = state(clients, "whole")
    go("whole")
    for name in breaking(clients, first, work):
        work(name)
        assert state(clients, name) == undisturbed
        go(name)


def test_what_a_broken_deployment_left_is_removed(clients: Clients, options: DeployOptions) -> None:
    nothing = state(clients, "nothing")

    def make(name: str) -> None:
        deployed(clients, replace(options, name=name), mini(((6,),)))

    for name in breaking(clients, lambda _: None, make):
        remove(Names(name), clients)
        assert state(clients, name) == nothing


def test_hindrances_that_pass_are_waited_out(
    clients: Clients, options: DeployOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_FIRST_S", 0.001)
    busy = ("ResourceConflictException", "An update is in progress for resource")
    often = ("TooManyRequestsException", "Rate exceeded")
    unknown = ("InvalidParameterValueException", "The role cannot be assumed by Lambda.")
    refusals = {
        "lambda:CreateFunction": [unknown, often, busy],
        "lambda:UpdateFunctionConfiguration": [busy],
        "lambda:PutFunctionConcurrency": [busy],
        "lambda:DeleteFunction": [busy],
        "iam:DeleteRole": [("DeleteConflict", "Cannot delete entity")],
        "s3:CreateBucket": [("OperationAborted", "A conflicting operation is in progress")],
    }
    with watched(clients, refusals=refusals):
        deployed(clients, options)
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


@pytest.mark.parametrize(
    ("operation", "code", "said"),
    [
        (
            "s3:CreateBucket",
            "BucketAlreadyExists",
            "^bucket moeopt-one-.*: BucketAlreadyExists: no",
        ),
        ("s3:HeadBucket", "403", "^bucket moeopt-one-.*: it is another account's, or your policy"),
        ("iam:CreateRole", "AccessDenied", "^role moeopt-one-worker: AccessDenied: no"),
        ("s3:PutObject", "AccessDenied", "^bucket moeopt-one-.*: AccessDenied: no"),
        (
            "lambda:CreateFunction",
            "InvalidParameterValueException",
            "^function moeopt-one-0-.: InvalidParameterValueException: no",
        ),
        ("lambda:ListFunctions", "AccessDeniedException", "^Lambda: AccessDeniedException: no"),
    ],
)
def test_what_does_not_pass_is_told(
    clients: Clients, options: DeployOptions, operation: str, code: str, said: str
) -> None:
    with (
        watched(clients, refusals={operation: [(code, "no")]}),
        pytest.raises(AdapterError, match=said),
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
