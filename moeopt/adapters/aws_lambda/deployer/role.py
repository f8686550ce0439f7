"""The role that functions run under: made, looked at and deleted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.deployer.control import patiently
from moeopt.adapters.aws_lambda.deployer.iam import trust_policy
from moeopt.adapters.aws_lambda.names import Names
from moeopt.core.errors import AdapterError

#: Name of the role's one policy.
_POLICY = "moeopt-worker"

#: Roles have no region: one of two regions' deployments of a name would undo the other's.
_REGION_TAG = "moeopt:region"

_MISSING = "NoSuchEntity"


@dataclass(frozen=True)
class FoundRole:
    """What is there under the role's name.

    Attributes
    ----------
    name
        The role's.
    there
        Whether there is such a role.
    ours
        Whether it is the deployment's, in this region.
    policy
        What it allows; ``None`` if it has no policy of ours.
    """

    name: str
    there: bool = False
    ours: bool = False
    policy: Mapping[str, Any] | None = None


def look_at_role(names: Names, clients: Clients) -> FoundRole:
    """Return what is there under the name of the deployment's own role."""
    roles, what = clients.roles, f"role {names.role}"
    answer = patiently(what, lambda: roles.get_role(RoleName=names.role), _MISSING)
    if answer is None:
        return FoundRole(names.role)
    tags = {tag["Key"]: tag["Value"] for tag in answer["Role"].get("Tags", ())}
    if not tags.items() >= _tags(names, clients).items():
        return FoundRole(names.role, there=True)
    found = patiently(
        what, lambda: roles.get_role_policy(RoleName=names.role, PolicyName=_POLICY), _MISSING
    )
    policy = None if found is None else found["PolicyDocument"]
    return FoundRole(names.role, there=True, ours=True, policy=policy)


def make_role(found: FoundRole, policy: Mapping[str, Any], names: Names, clients: Clients) -> None:
    """Make the role, or give it its policy.

    Raises
    ------
    AdapterError
        If something is not allowed, or a role of others has the name meanwhile.
    """
    roles, what = clients.roles, f"role {names.role}"
    if not found.there:
        made = patiently(
            what,
            lambda: roles.create_role(
                RoleName=names.role,
                AssumeRolePolicyDocument=json.dumps(trust_policy()),
                Description=f"What the experts of {names.deployment} may do",
                Tags=[{"Key": key, "Value": value} for key, value in _tags(names, clients).items()],
            ),
            "EntityAlreadyExists",
        )
        # Made by an earlier request whose answer was lost, it is ours; else others were faster.
        if made is None and not look_at_role(names, clients).ours:
            raise AdapterError(f"{what}: it is there already, and is not this deployment's")
    patiently(
        what,
        lambda: roles.put_role_policy(
            RoleName=names.role, PolicyName=_POLICY, PolicyDocument=json.dumps(policy)
        ),
    )


def delete_role(names: Names, clients: Clients) -> None:
    """Delete the deployment's own role with its policy."""
    roles, what = clients.roles, f"role {names.role}"
    patiently(
        what,
        lambda: roles.delete_role_policy(RoleName=names.role, PolicyName=_POLICY),
        _MISSING,
    )
    patiently(what, lambda: roles.delete_role(RoleName=names.role), _MISSING)


def _tags(names: Names, clients: Clients) -> dict[str, str]:
    return {**names.tags, _REGION_TAG: clients.region}
