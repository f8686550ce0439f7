"""Deploying: what is made, what is changed when the plan changes, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from lambda_cases import mini, plan_of
from lambda_watch import account, changes, cleanly, deployed, give_strange_code, watched

from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.deploy import (
    DeployOptions,
)
from moeopt.adapters.aws_lambda.deployer.iam import worker_policy
from moeopt.adapters.aws_lambda.names import Names
from moeopt.adapters.aws_lambda.remove import remove
from moeopt.serverless.plan import ServerlessPlan
from moeopt.serverless.problem import ServerlessProblem


@pytest.fixture
def options(clients: Clients) -> Iterator[DeployOptions]:
    """Give settings of a small deployment."""
    with cleanly(clients, "one") as options:
        yield options


def test_all_is_made_as_the_plan_says_and_a_second_time_nothing(
    clients: Clients, options: DeployOptions
) -> None:
    problem = mini()
    plan = msgspec.structs.replace(plan_of(problem), memory_mb=np.array([[512, 256]]))
    said: list[str] = []
    done = deployed(clients, options, problem, plan, say=said.append)
    assert sorted(changes(done)) == [
        ("create", "bucket"),
        ("create", "code"),
        ("create", "function"),
        ("create", "function"),
        ("create", "role"),
        ("create", "weights"),
        ("create", "weights"),
    ]
    assert sorted(said) == sorted(one.sentence() for one in done.changes)
    here, names = account(clients), Names("one")
    bucket = here["buckets"][f"moeopt-one-{clients.account}"]
    assert all(bucket["closed"]["PublicAccessBlockConfiguration"].values())
    [rule] = bucket["lifecycle"]["Rules"]
    assert (rule["Filter"], rule["Expiration"]) == ({"Prefix": names.batches}, {"Days": 1})
    role = here["roles"]["moeopt-one-worker"]
    policy = worker_policy(names, f"moeopt-one-{clients.account}")
    assert list(role["policies"].values()) == [policy]
    weights = [key for key in bucket["objects"] if re.fullmatch(r"moeopt/one/weights/.*npz", key)]
    for expert, memory_mb in enumerate((512, 256)):
        found = here["functions"][f"moeopt-one-0-{expert}"]
        configuration = found["Configuration"]
        variables = dict(configuration["Environment"]["Variables"])
        assert variables.pop("MOEOPT_WEIGHTS") in weights
        assert variables == {
            "MOEOPT_BUCKET": f"moeopt-one-{clients.account}",
            "MOEOPT_KEEP": "0",
            "MOEOPT_ENGINE": "numpy",
        }
        assert configuration["MemorySize"] == memory_mb
        assert configuration["Timeout"] == done.fleet.timeout_s(0)
        assert configuration["Role"].endswith(":role/moeopt-one-worker")
        assert [one["Arn"] for one in configuration["Layers"]] == list(options.layers)
        assert found["Tags"] == dict(names.tags)
    with watched(clients) as watch:
        again = deployed(clients, options, problem, plan)
    assert (changes(again), watch.changing) == ([], [])
    assert account(clients) == here


def test_a_dry_run_says_the_same_and_changes_nothing(
    clients: Clients, options: DeployOptions
) -> None:
    before = account(clients)
    with watched(clients) as watch:
        dry = deployed(clients, options, dry_run=True)
    assert (watch.changing, account(clients)) == ([], before)
    done = deployed(clients, options)
    assert dry.changes == done.changes
    assert dry.costs == done.costs
    assert dry.tables()[0].title == "one would be deployed: 7 changes"
    assert done.tables()[0].title == "one is deployed: 7 changes"
    slower = plan_of(mini(), memory_mb=128)
    here = account(clients)
    with watched(clients) as watch:
        dry = deployed(clients, options, plan=slower, dry_run=True)
    assert (watch.changing, account(clients)) == ([], here)
    assert changes(dry) == [("update", "function")] * 2
    remove(Names("one"), clients, dry_run=True)
    assert account(clients) == here


def test_a_changed_plan_changes_only_what_it_must(clients: Clients, options: DeployOptions) -> None:
    problem = mini()
    start = plan_of(problem)
    deployed(clients, options, problem, start)
    memory = msgspec.structs.replace(start, memory_mb=np.array([[512, 1769]]))
    reserving = replace(options, reserve=True)
    replicas = plan_of(problem, replicas=2, memory_mb=512)
    more = mini(((6, 3), (2, 2, 2)))
    settings = "UpdateFunctionConfiguration"
    reserve, free = "PutFunctionConcurrency", "DeleteFunctionConcurrency"
    steps: list[tuple[str, DeployOptions, ServerlessProblem, ServerlessPlan, list[str]]] = [
        ("memory", options, problem, memory, [settings]),
        ("back", options, problem, start, [settings]),
        ("design", options, problem, plan_of(problem, 2), []),
        ("replicas alone", options, problem, replicas, []),
        ("time-out", replace(options, timeout_s=77), problem, start, [settings] * 2),
        ("kept", replace(options, keep_parameters=True), problem, start, [settings] * 2),
        ("reserved", reserving, problem, start, [settings] * 2 + [reserve] * 2),
        ("more", reserving, problem, replicas, [reserve] * 2),
        ("free", options, problem, replicas, [free] * 2),
        ("more layers", options, more, plan_of(more), ["PutObject", "CreateFunction"] * 3),
        ("fewer", options, problem, start, ["DeleteFunction"] * 3 + ["DeleteObjects"]),
        (
            "parameters",
            replace(options, seed=1),
            problem,
            start,
            ["PutObject"] * 2 + [settings] * 2 + ["DeleteObjects"],
        ),
    ]
    for what, given, case, plan, expected in steps:
        with watched(clients) as watch:
            deployed(clients, given, case, plan)
        assert sorted(watch.changing) == sorted(expected), what
        if what in ("back", "reserved", "more layers", "parameters"):
            with watched(clients) as watch:
                assert changes(deployed(clients, given, case, plan)) == [], what
            assert watch.changing == [], what
    bucket = account(clients)["buckets"][f"moeopt-one-{clients.account}"]
    assert len(bucket["objects"]) == 3


def test_strange_code_is_replaced_and_old_objects_go(
    clients: Clients, options: DeployOptions
) -> None:
    deployed(clients, options)
    here, bucket = account(clients), f"moeopt-one-{clients.account}"
    give_strange_code(clients, "moeopt-one-0-1")
    clients.storage.put_object(Bucket=bucket, Key="moeopt/one/code/old.zip", Body=b"old")
    clients.storage.put_object(Bucket=bucket, Key="moeopt/one/batches/0", Body=b"running")
    clients.storage.delete_public_access_block(Bucket=bucket)
    clients.roles.delete_role_policy(RoleName="moeopt-one-worker", PolicyName="moeopt-worker")
    done = deployed(clients, options)
    assert [one.sentence() for one in done.changed] == [
        f"update bucket {bucket}: closed to the public",
        "update role moeopt-one-worker: what it allows",
        "update function moeopt-one-0-1: code",
        f"delete objects {bucket}/moeopt/one/: 1 that nothing uses any more",
    ]
    found = account(clients)
    assert found["buckets"][bucket]["objects"].pop("moeopt/one/batches/0")
    assert found == here
