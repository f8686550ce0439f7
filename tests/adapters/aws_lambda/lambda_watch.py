"""What the tests of deploying see: each call to AWS, and all that is in the account."""

from __future__ import annotations

import contextlib
import io
import threading
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lambda_cases import mini, plan_of

from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.deploy import (
    Deployment,
    DeployOptions,
    deploy,
    fleet_of,
    weights_of,
)
from moeopt.adapters.aws_lambda.names import Names
from moeopt.adapters.aws_lambda.remove import remove
from moeopt.serverless.plan import ServerlessPlan
from moeopt.serverless.problem import ServerlessProblem

#: What the names of operations that change nothing begin with.
LOOKING = ("Get", "Head", "List")

#: What differs from one making of the same thing to the next.
_OF_THE_MOMENT = {"LastModified", "RevisionId", "ResponseMetadata", "Location", "CodeSize"}


class Broken(BaseException):
    """The caller's process has ended, as it were."""


@dataclass
class Watch:
    """Calls that were made, in order.

    Attributes
    ----------
    operations
        Service and operation of each, such as ``"s3:PutObject"``.
    changes_made
        Calls that may change something; the next one and all after it raise `Broken`.
    refusals
        By operation, errors that its next calls are answered with: code and message.
    """

    operations: list[str] = field(default_factory=list)
    changes_made: int | None = None
    refusals: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: bool = False

    @property
    def changing(self) -> list[str]:
        """Calls that change something, without their services."""
        names = [name.partition(":")[2] for name in self.operations]
        return [name for name in names if not name.startswith(LOOKING)]

    def before(self, model: Any, **_: Any) -> Any:
        name = f"{model.service_model.signing_name}:{model.name}"
        with self._lock:
            most = self.changes_made
            changing = not model.name.startswith(LOOKING)
            if self._over or (changing and most is not None and len(self.changing) >= most):
                self._over = True
                raise Broken
            self.operations.append(name)
            refusals = self.refusals.get(name)
            if not refusals:
                return None
            code, message = refusals.pop(0)
        return _Http(400), {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {}}


@dataclass
class _Http:
    """An answer, as far as boto3 looks at one that a hook gives."""

    status_code: int


@contextlib.contextmanager
def watched(clients: Clients, **how: Any) -> Iterator[Watch]:
    """Watch all calls of some clients, and interfere with them as `Watch` says."""
    watch = Watch(**how)
    doors = {id(one): one for one in (clients.functions, clients.calls, clients.storage)}
    events = [one.meta.events for one in (*doors.values(), clients.roles)]
    for each in events:
        each.register("before-call", watch.before)
    try:
        yield watch
    finally:
        for each in events:
            each.unregister("before-call", watch.before)


def account(clients: Clients, part: str = "") -> dict[str, Any]:
    """Return all functions, roles and buckets there are, without what is of the moment.

    Parameters
    ----------
    clients
        Whose account.
    part
        Of the names of what is returned.
    """
    listed = clients.functions.get_paginator("list_functions").paginate()
    functions = [one["FunctionName"] for page in listed for one in page["Functions"]]
    roles = [one["RoleName"] for one in clients.roles.list_roles()["Roles"]]
    buckets = [one["Name"] for one in clients.storage.list_buckets()["Buckets"]]
    return {
        "functions": {name: _function(name, clients) for name in functions if part in name},
        "roles": {name: _role(name, clients) for name in roles if part in name},
        "buckets": {name: _bucket(name, clients) for name in buckets if part in name},
    }


def deployed(
    clients: Clients,
    options: DeployOptions,
    problem: ServerlessProblem | None = None,
    plan: ServerlessPlan | None = None,
    **how: Any,
) -> Deployment:
    """Deploy a plan of a problem: by default one of ``mini``, which has two experts."""
    problem = mini() if problem is None else problem
    fleet = fleet_of(problem, plan_of(problem) if plan is None else plan, options, clients)
    return deploy(fleet, weights_of(problem, options), clients, options, **how)


def changes(done: Deployment) -> list[tuple[str, str]]:
    """Return what was done to what."""
    return [(one.action, one.kind) for one in done.changed]


@contextlib.contextmanager
def cleanly(clients: Clients, *names: str) -> Iterator[DeployOptions]:
    """Give settings of a small deployment, remove it in the end, and see that nothing is left.

    Parameters
    ----------
    clients
        Whose account.
    names
        Of the deployments that are made inside; the settings are the first's.
    """
    before = account(clients)
    yield DeployOptions(name=names[0], layers=(layer_of(clients),))
    for name in names:
        remove(Names(name), clients)
    assert account(clients) == before


def layer_of(clients: Clients, name: str = "numpy") -> str:
    """Return the ARN of a layer, with which a package leaves NumPy out."""
    for one in clients.functions.list_layer_versions(LayerName=name)["LayerVersions"]:
        return str(one["LayerVersionArn"])
    made = clients.functions.publish_layer_version(LayerName=name, Content={"ZipFile": _zip()})
    return str(made["LayerVersionArn"])


def give_strange_code(clients: Clients, function: str) -> None:
    """Put another's code into a function."""
    clients.functions.update_function_code(FunctionName=function, ZipFile=_zip())


def _zip() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("python/empty.py", "")
    return data.getvalue()


def _function(name: str, clients: Clients) -> Any:
    return _lasting(clients.functions.get_function(FunctionName=name))


def _role(name: str, clients: Clients) -> Any:
    roles, role = clients.roles, clients.roles.get_role(RoleName=name)["Role"]
    policies = roles.list_role_policies(RoleName=name)["PolicyNames"]
    return {
        "trust": role["AssumeRolePolicyDocument"],
        "tags": role.get("Tags", []),
        "policies": {
            one: roles.get_role_policy(RoleName=name, PolicyName=one)["PolicyDocument"]
            for one in policies
        },
    }


def _bucket(name: str, clients: Clients) -> Any:
    storage = clients.storage
    asked = {
        "tags": storage.get_bucket_tagging,
        "closed": storage.get_public_access_block,
        "lifecycle": storage.get_bucket_lifecycle_configuration,
    }
    found: dict[str, Any] = {"objects": {}}
    for what, ask in asked.items():
        with contextlib.suppress(storage.exceptions.ClientError):
            found[what] = _lasting(ask(Bucket=name))
    for page in storage.get_paginator("list_object_versions").paginate(Bucket=name):
        assert not page.get("DeleteMarkers")
        for one in page.get("Versions", ()):
            found["objects"][one["Key"]] = one["ETag"]
    return found


def _lasting(answer: Any) -> Any:
    if isinstance(answer, Mapping):
        kept = {key: value for key, value in answer.items() if key not in _OF_THE_MOMENT}
        return {key: _lasting(value) for key, value in kept.items()}
    return [_lasting(one) for one in answer] if isinstance(answer, list) else answer
