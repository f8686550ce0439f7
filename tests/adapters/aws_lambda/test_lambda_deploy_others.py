"""What is not ours: refused, or used and left as it was; and deployments beside each other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from lambda_cases import mini, plan_of
from lambda_watch import account, changes, cleanly, deployed, watched

from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.deploy import DeployOptions, fleet_of, weights_of
from moeopt.adapters.aws_lambda.deployer.functions import make_function
from moeopt.adapters.aws_lambda.deployer.iam import trust_policy, worker_policy
from moeopt.adapters.aws_lambda.deployer.role import FoundRole, delete_role, make_role
from moeopt.adapters.aws_lambda.deployer.wanted import wanted_of
from moeopt.adapters.aws_lambda.names import Names
from moeopt.adapters.aws_lambda.remove import remove
from moeopt.core.errors import AdapterError

THEIRS = {"Key": "moeopt:managed-by", "Value": "somebody"}


@pytest.fixture
def options(clients: Clients) -> Iterator[DeployOptions]:
    """Give settings of a small deployment; nothing of it, or of its neighbours, is left."""
    with cleanly(clients, "one", "one-0", "two") as options:
        yield options


def refused(clients: Clients, options: DeployOptions, said: str) -> None:
    """See that a deployment is refused before anything is changed."""
    before = account(clients)
    with watched(clients) as watch, pytest.raises(AdapterError, match=said):
        deployed(clients, options)
    assert (watch.changing, account(clients)) == ([], before)


def role_of(clients: Clients, name: str) -> str:
    """Make somebody's role."""
    trust = json.dumps(trust_policy())
    made = clients.roles.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
    return str(made["Role"]["Arn"])


def theirs(clients: Clients, options: DeployOptions, name: str) -> None:
    """Make a function called like ours under the tags of deployment two."""
    fleet = fleet_of(mini(), plan_of(mini()), options, clients)
    wanted = wanted_of(fleet, weights_of(mini(), options), options, clients)
    make_function(replace(wanted.functions[0], name=name), Names("two"), clients)


def test_a_bucket_of_others_is_refused_and_left(clients: Clients, options: DeployOptions) -> None:
    # Under a name of its own: moto remembers the tags of buckets that are no more.
    options = replace(options, name="theirs")
    bucket, storage = f"moeopt-theirs-{clients.account}", clients.storage
    storage.create_bucket(Bucket=bucket)
    storage.put_object(Bucket=bucket, Key="moeopt/theirs/code/theirs", Body=b"theirs")
    refused(clients, options, f"^bucket {bucket}: is there already .* choose another --name")
    here = account(clients)
    assert [one.action for one in remove(Names("theirs"), clients)] == ["keep"]
    assert account(clients) == here
    storage.delete_object(Bucket=bucket, Key="moeopt/theirs/code/theirs")
    storage.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [THEIRS]})
    refused(clients, options, f"^bucket {bucket}: is there already")
    storage.delete_bucket(Bucket=bucket)
    storage.create_bucket(
        Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    refused(clients, options, f"^bucket {bucket}: it is in eu-west-1, functions would be in us-e")
    with pytest.raises(AdapterError, match="it is in eu-west-1"):
        remove(Names("theirs"), clients)
    storage.delete_bucket(Bucket=bucket)


def test_a_role_of_others_is_refused_and_left(clients: Clients, options: DeployOptions) -> None:
    role_of(clients, "moeopt-one-worker")
    refused(clients, options, "^role moeopt-one-worker: is there already")
    assert [one.action for one in remove(Names("one"), clients)] == ["keep"]
    clients.roles.delete_role(RoleName="moeopt-one-worker")


def test_a_role_of_another_region_is_left_to_its_deployment(
    clients: Clients, options: DeployOptions
) -> None:
    # Roles have no region: its deployment there would lose what it runs under.
    elsewhere = replace(clients, region="eu-west-1")
    make_role(
        FoundRole("moeopt-one-worker"), worker_policy(Names("one"), "b"), Names("one"), elsewhere
    )
    refused(clients, options, "^role moeopt-one-worker: is there already .* choose another --name")
    assert [one.action for one in remove(Names("one"), clients)] == ["keep"]
    delete_role(Names("one"), clients)


def test_functions_whose_role_was_deleted_are_made_anew(
    clients: Clients, options: DeployOptions
) -> None:
    deployed(clients, options)
    here, role = account(clients), "moeopt-one-worker"
    delete_role(Names("one"), clients)
    with watched(clients) as watch:
        done = deployed(clients, options)
    assert [one.why for one in done.changed if one.action == "delete"] == ["its role is gone"] * 2
    # Before there is a new role, so that a deployment that breaks off leaves none that look fine.
    made = ["CreateRole", "PutRolePolicy", "CreateFunction", "CreateFunction"]
    assert watch.changing == ["DeleteFunction", "DeleteFunction", *made]
    assert account(clients) == here
    assert here["roles"].keys() == {role}


def test_a_bucket_that_is_hidden_from_us_is_no_hindrance_to_another(
    clients: Clients, options: DeployOptions
) -> None:
    bucket = f"moeopt-one-{clients.account}"
    with watched(clients, refusals={"s3:HeadBucket": [("403", "Forbidden")]}):
        refused(clients, options, f"^bucket {bucket}: it is another account's.* as --bucket$")
    clients.storage.create_bucket(Bucket="somebodys-bucket")
    given = replace(options, bucket="somebodys-bucket")
    with watched(clients, refusals={"s3:HeadBucket": [("403", "Forbidden")]}):
        done = deployed(clients, given)
    assert ("create", "function") in changes(done)
    with watched(clients, refusals={"s3:HeadBucket": [("403", "Forbidden")]}):
        left = remove(Names("one"), clients)
    assert left[-1].sentence().startswith(f"keep bucket {bucket}: left alone: it is another acc")
    clients.storage.delete_bucket(Bucket="somebodys-bucket")


def test_a_function_of_others_is_refused_and_left(clients: Clients, options: DeployOptions) -> None:
    deployed(clients, options)
    clients.functions.delete_function(FunctionName="moeopt-one-0-1")
    theirs(clients, options, "moeopt-one-0-1")
    said = "^function moeopt-one-0-1: is there already .* tags of deployment one;"
    refused(clients, options, said)
    # Made between our looking and our making, it is refused as well.
    before = account(clients)
    fleet = fleet_of(mini(), plan_of(mini()), options, clients)
    wanted = wanted_of(fleet, weights_of(mini(), options), options, clients)
    with pytest.raises(AdapterError, match=said):
        make_function(wanted.functions[1], Names("one"), clients)
    assert account(clients) == before
    left = remove(Names("one"), clients)
    functions = [(one.action, one.name) for one in left if one.kind == "function"]
    assert functions == [("delete", "moeopt-one-0-0"), ("keep", "moeopt-one-0-1")]
    assert account(clients)["functions"].keys() == {"moeopt-one-0-1"} | (
        before["functions"].keys() - {"moeopt-one-0-0"}
    )
    clients.functions.delete_function(FunctionName="moeopt-one-0-1")


def test_deployments_do_not_touch_each_other(clients: Clients, options: DeployOptions) -> None:
    first = deployed(clients, options)
    alone = account(clients)
    # Its functions' names begin as those of the first do.
    second = replace(options, name="one-0", seed=1)
    assert len(changes(deployed(clients, second))) == len(changes(first))
    both = account(clients)
    with watched(clients) as watch:
        assert changes(deployed(clients, options)) == []
    assert watch.changing == []
    remove(Names("one-0"), clients)
    assert account(clients) == alone
    deployed(clients, second)
    assert account(clients) == both
    remove(Names("one"), clients)
    with watched(clients) as watch:
        assert changes(deployed(clients, second)) == []
    assert watch.changing == []


def test_a_bucket_and_a_role_of_the_users_are_used_and_survive(
    clients: Clients, options: DeployOptions
) -> None:
    storage, role = clients.storage, role_of(clients, "somebodys-role")
    storage.create_bucket(Bucket="somebodys-bucket")
    storage.put_bucket_tagging(Bucket="somebodys-bucket", Tagging={"TagSet": [THEIRS]})
    for key in ("data", "moeopt/one-0/weights/x", "moeopt/one.txt"):
        storage.put_object(Bucket="somebodys-bucket", Key=key, Body=b"theirs")
    before = account(clients)
    given = replace(options, bucket="somebodys-bucket", role=role)
    # The deployment's own bucket and role go when the user's take their places.
    deployed(clients, options)
    refused(clients, given, "its objects are in bucket moeopt-one-.* give --bucket moeopt-one-")
    for expert in range(2):
        clients.functions.delete_function(FunctionName=f"moeopt-one-0-{expert}")
    done = deployed(clients, given)
    assert changes(done)[-2:] == [("delete", "role"), ("delete", "bucket")]
    here = account(clients)
    assert here["roles"] == before["roles"]
    assert here["buckets"].keys() == before["buckets"].keys()
    assert here["functions"]["moeopt-one-0-0"]["Configuration"]["Role"] == role
    with watched(clients) as watch:
        assert changes(deployed(clients, given)) == []
    assert watch.changing == []
    storage.put_object(Bucket="somebodys-bucket", Key="moeopt/one/batches/b/0", Body=b"left")
    # Which bucket it is, the functions tell.
    remove(Names("one"), clients)
    assert account(clients) == before
    for key in ("data", "moeopt/one-0/weights/x", "moeopt/one.txt"):
        storage.delete_object(Bucket="somebodys-bucket", Key=key)
    storage.delete_bucket(Bucket="somebodys-bucket")
    refused(clients, given, "^bucket somebodys-bucket: there is no such bucket")
    clients.roles.delete_role(RoleName="somebodys-role")


def test_old_versions_in_a_bucket_of_the_users_go_too(
    clients: Clients, options: DeployOptions
) -> None:
    storage, bucket = clients.storage, "versioned-bucket"
    storage.create_bucket(Bucket=bucket)
    storage.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    given = replace(options, bucket=bucket)
    deployed(clients, given)
    done = deployed(clients, replace(given, seed=1))
    assert [one.why for one in done.changed if one.action == "delete"] == [
        "2 that nothing uses any more"
    ]
    clients.functions.delete_function(FunctionName="moeopt-one-0-0")
    clients.functions.delete_function(FunctionName="moeopt-one-0-1")
    # No function is left that tells the bucket.
    remove(Names("one"), clients)
    assert account(clients)["buckets"][bucket]["objects"]
    remove(Names("one"), clients, bucket=bucket)
    assert account(clients)["buckets"][bucket]["objects"] == {}
    storage.delete_bucket(Bucket=bucket)


def test_objects_of_others_in_our_bucket_survive(clients: Clients, options: DeployOptions) -> None:
    deployed(clients, options)
    bucket = f"moeopt-one-{clients.account}"
    clients.storage.put_object(Bucket=bucket, Key="notes", Body=b"theirs")
    left = remove(Names("one"), clients)
    assert left[-1].sentence() == (
        f"keep bucket {bucket}: it holds 1 objects of others, such as notes"
    )
    assert account(clients)["buckets"][bucket]["objects"].keys() == {"notes"}
    clients.storage.delete_object(Bucket=bucket, Key="notes")
