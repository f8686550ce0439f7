"""Functions: looked at, compared with what they are to be, made, changed and deleted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moeopt.adapters.aws_lambda.clients import Clients, code_of, outside
from moeopt.adapters.aws_lambda.deployer.control import LOOKING, patiently, side_by_side
from moeopt.adapters.aws_lambda.deployer.wanted import WantedFunction
from moeopt.adapters.aws_lambda.names import Names
from moeopt.adapters.aws_lambda.worker import protocol
from moeopt.core.errors import AdapterError

_MISSING, _CONFLICT = "ResourceNotFoundException", "ResourceConflictException"

#: Waiters for a function that is being made, and for one that is being changed. One that nobody
#: called for weeks is neither, and need not be active to be changed.
MADE, CHANGED = "function_active_v2", "function_updated_v2"

#: How often, in seconds, and how many times a function is asked whether it is ready.
_WAITING = {"Delay": 1, "MaxAttempts": 300}

#: What reasons call a setting.
_CALLED = {"MemorySize": "memory", "EphemeralStorage": "ephemeral storage"}


@dataclass(frozen=True)
class FoundFunction:
    """A function that is there.

    Attributes
    ----------
    name
        Its name.
    tags
        What it carries.
    configuration
        As Lambda's control plane tells it.
    image
        URI of its image, if it has one.
    reserved
        Concurrent calls that are reserved; ``None`` for none.
    """

    name: str
    tags: Mapping[str, str]
    configuration: Mapping[str, Any]
    image: str | None
    reserved: int | None

    @property
    def settled(self) -> bool:
        """Whether neither its making nor a change of it is still going on."""
        going = (self.configuration.get("State"), self.configuration.get("LastUpdateStatus"))
        return "Pending" not in going and "InProgress" not in going

    @property
    def environment(self) -> Mapping[str, str]:
        """Its variables."""
        found: Mapping[str, str] = self.configuration.get("Environment", {}).get("Variables", {})
        return found

    @property
    def bucket(self) -> str | None:
        """Where its objects are."""
        return self.environment.get(protocol.BUCKET)


def look_at_functions(names: Names, clients: Clients) -> dict[str, FoundFunction]:
    """Return all functions that are called like one of a deployment, whoever made them."""
    called = re.compile(re.escape(names.functions) + r"\d+-\d+")
    with outside("Lambda"):
        pages = clients.functions.get_paginator("list_functions").paginate()
        there = [one["FunctionName"] for page in pages for one in page["Functions"]]
    listed = sorted(name for name in there if called.fullmatch(name))
    found = side_by_side(lambda name: look_at_function(name, clients), listed, LOOKING)
    return {one.name: one for one in found if one is not None}


def look_at_function(name: str, clients: Clients) -> FoundFunction | None:
    """Return a function, if it is there."""
    answer = patiently(
        f"function {name}", lambda: clients.functions.get_function(FunctionName=name), _MISSING
    )
    if answer is None:
        return None
    if "TagsError" in answer:
        # Whose it is cannot be told.
        raise AdapterError(f"function {name}: its tags: {answer['TagsError'].get('Message')}")
    return FoundFunction(
        name=name,
        tags=answer.get("Tags", {}),
        configuration=answer["Configuration"],
        image=answer.get("Code", {}).get("ImageUri"),
        reserved=answer.get("Concurrency", {}).get("ReservedConcurrentExecutions"),
    )


def must_be_new(found: FoundFunction, wanted: WantedFunction) -> str:
    """Return why a function cannot be changed into what it is to be; empty if it can."""
    configuration = found.configuration
    if configuration.get("State") == "Failed":
        return f"it could not be made: {configuration.get('StateReason', 'no reason was given')}"
    if configuration.get("PackageType", "Zip") != wanted.package_type:
        return f"package type {configuration.get('PackageType')} -> {wanted.package_type}"
    there = configuration.get("Architectures", ["x86_64"])
    if there != [wanted.architecture]:
        return f"architecture {', '.join(there)} -> {wanted.architecture}"
    return ""


def settings_that_differ(found: FoundFunction, wanted: WantedFunction) -> list[str]:
    """Return what of a function's configuration is not as it is to be."""
    there = {**found.configuration}
    there["Layers"] = [layer["Arn"] for layer in found.configuration.get("Layers", ())]
    reasons = []
    for name, value in wanted.settings.items():
        if there.get(name) != value:
            reasons.append(f"{_CALLED.get(name, name.lower())} {_shown(there.get(name), value)}")
    here = found.environment
    names = sorted(set(here) | set(wanted.environment))
    reasons += [name for name in names if here.get(name) != wanted.environment.get(name)]
    if found.configuration.get("LastUpdateStatus") == "Failed":
        reasons.append("its last update failed")
    return reasons


def code_differs(found: FoundFunction, wanted: WantedFunction) -> bool:
    """Tell whether a function's code is not as it is to be."""
    if wanted.code_sha256 is None:
        return found.image != wanted.code["ImageUri"]
    return bool(found.configuration.get("CodeSha256") != wanted.code_sha256)


def differences(found: FoundFunction, wanted: WantedFunction) -> list[str]:
    """Return all that is to be changed in a function."""
    reasons = settings_that_differ(found, wanted)
    if code_differs(found, wanted):
        reasons.append("code")
    if found.reserved != wanted.reserved:
        reasons.append(f"reserved calls {_shown(found.reserved, wanted.reserved)}")
    return reasons


def make_function(wanted: WantedFunction, names: Names, clients: Clients) -> None:
    """Make a function, and wait until it can be called.

    Raises
    ------
    AdapterError
        If it cannot be made, or others have made one of this name meanwhile.
    """

    def create() -> FoundFunction | None:
        from botocore.exceptions import ClientError

        try:
            clients.functions.create_function(
                FunctionName=wanted.name,
                PackageType=wanted.package_type,
                Architectures=[wanted.architecture],
                Code=dict(wanted.code),
                Environment={"Variables": dict(wanted.environment)},
                Tags=dict(names.tags),
                **wanted.settings,
            )
        except ClientError as error:
            # Made by an earlier request whose answer was lost, or still being deleted.
            there = code_of(error) == _CONFLICT and look_at_function(wanted.name, clients)
            if not there:
                raise
            return there
        return None

    there = patiently(f"function {wanted.name}", create)
    if there is not None:
        require_ours(there, names)
        change_function(there, wanted, clients)
        return
    await_function(wanted.name, clients, MADE)
    _reserve(None, wanted, clients)


def change_function(found: FoundFunction, wanted: WantedFunction, clients: Clients) -> None:
    """Bring a function's settings, code and reserved calls to what they are to be.

    Raises
    ------
    AdapterError
        If that fails.
    """
    what = f"function {wanted.name}"
    settle_function(found, clients)
    if settings_that_differ(found, wanted):
        patiently(
            what,
            lambda: clients.functions.update_function_configuration(
                FunctionName=wanted.name,
                Environment={"Variables": dict(wanted.environment)},
                **wanted.settings,
            ),
        )
        await_function(wanted.name, clients, CHANGED)
    failed = found.configuration.get("LastUpdateStatus") == "Failed"
    if failed or code_differs(found, wanted):
        patiently(
            what,
            lambda: clients.functions.update_function_code(FunctionName=wanted.name, **wanted.code),
        )
        await_function(wanted.name, clients, CHANGED)
    _reserve(found.reserved, wanted, clients)


def await_function(name: str, clients: Clients, waiter: str) -> None:
    """Wait until a function is made, or a change of it is through.

    Parameters
    ----------
    name, clients
        Which.
    waiter
        `MADE` or `CHANGED`.

    Raises
    ------
    AdapterError
        If that failed.
    """
    from botocore.exceptions import WaiterError

    with outside(f"function {name}"):
        try:
            clients.functions.get_waiter(waiter).wait(FunctionName=name, WaiterConfig=_WAITING)
        except WaiterError as error:
            configuration = error.last_response.get("Configuration", {})
            said = configuration.get("LastUpdateStatusReason") or configuration.get("StateReason")
            raise AdapterError(f"function {name}: {said or error}") from error


def settle_function(found: FoundFunction, clients: Clients) -> None:
    """Wait for what a deployment that was broken off has left under way.

    Raises
    ------
    AdapterError
        If that failed.
    """
    if found.configuration.get("State") == "Pending":
        await_function(found.name, clients, MADE)
    if found.configuration.get("LastUpdateStatus") == "InProgress":
        await_function(found.name, clients, CHANGED)


def delete_function(name: str, clients: Clients) -> None:
    """Delete a function."""
    patiently(
        f"function {name}",
        lambda: clients.functions.delete_function(FunctionName=name),
        _MISSING,
    )


def require_ours(found: FoundFunction, names: Names) -> None:
    """Raise `AdapterError` if a function is not this deployment's."""
    if not names.owns(found.tags):
        said = f"is there already and does not carry the tags of deployment {names.deployment}"
        raise AdapterError(f"function {found.name}: {said}; choose another --name, or remove it")


def _reserve(there: int | None, wanted: WantedFunction, clients: Clients) -> None:
    """Reserve as many concurrent calls as are wanted, or none."""
    what, functions = f"function {wanted.name}", clients.functions
    if there == wanted.reserved:
        return
    if wanted.reserved is None:
        patiently(what, lambda: functions.delete_function_concurrency(FunctionName=wanted.name))
        return
    patiently(
        what,
        lambda: functions.put_function_concurrency(
            FunctionName=wanted.name, ReservedConcurrentExecutions=wanted.reserved
        ),
    )


def _shown(there: Any, wanted: Any) -> str:
    if isinstance(wanted, dict) or isinstance(there, dict):
        there, wanted = ((one or {}).get("Size") for one in (there, wanted))
    return f"{there} -> {wanted}"
