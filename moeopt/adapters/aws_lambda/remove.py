"""A deployment removed: all that it made, and nothing else.

Broken off at any point, it is finished by removing again. What is called like the deployment's and
does not carry its tags is others', and is left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.deployer.bucket import (
    FoundBucket,
    delete_bucket,
    look_at_bucket,
    look_at_own,
    require_usable,
)
from moeopt.adapters.aws_lambda.deployer.changes import Change
from moeopt.adapters.aws_lambda.deployer.control import CHANGING
from moeopt.adapters.aws_lambda.deployer.functions import (
    FoundFunction,
    delete_function,
    look_at_functions,
)
from moeopt.adapters.aws_lambda.deployer.objects import delete_objects, objects_under
from moeopt.adapters.aws_lambda.deployer.role import FoundRole, delete_role, look_at_role
from moeopt.adapters.aws_lambda.deployer.steps import Phase, Step, carry_out, changes_of
from moeopt.adapters.aws_lambda.names import Names

_OTHERS = "left alone: it does not carry this deployment's tags"


def remove(
    names: Names,
    clients: Clients,
    *,
    bucket: str | None = None,
    dry_run: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[Change, ...]:
    """Remove what carries a deployment's tags, and what lies under its prefix.

    Parameters
    ----------
    names
        Of the deployment.
    clients
        Account and region.
    bucket
        The user's bucket that it was deployed with. Functions that are still there tell it.
    dry_run
        Only look, and tell what would be done.
    say
        Gets a line for each change that was made.

    Returns
    -------
    tuple of Change
        In the order in which they are made; empty if there is nothing.

    Raises
    ------
    AdapterError
        If the deployment lies in another region, or AWS refuses something.
    """
    own = look_at_own(names, clients)
    functions = look_at_functions(names, clients)
    told = {one.bucket for one in functions.values() if names.owns(one.tags)} - {None}
    shared = sorted({name for name in (*told, bucket) if name is not None} - {own.name})
    found = [look_at_bucket(name, clients) for name in shared]
    for one in found:
        require_usable(one, clients, "give that --region")
    role = look_at_role(names, clients)
    sweeps = [_sweep(one.name, names, clients) for one in found if one.there]
    phases = [
        # First, while functions still tell which bucket it is; again when none writes any more.
        Phase([step for step in sweeps if step.do is not None]),
        Phase([_function_step(one, names, clients) for one in functions.values()], CHANGING),
        Phase(_role_steps(role, names, clients)),
        Phase(_bucket_steps(own, names, clients)),
    ]
    if not dry_run:
        carry_out(phases, say)
        for one in found if functions else ():
            if one.there:
                _empty(one.name, names, clients)
    return changes_of(phases)


def _sweep(bucket: str, names: Names, clients: Clients) -> Step:
    """Return the removal of all objects of the deployment from a bucket that stays."""
    objects = objects_under(clients, bucket, names.prefix)
    where = f"{bucket}/{names.prefix}"
    if not objects:
        return Step(Change("keep", "objects", where, "there are none"))
    change = Change("delete", "objects", where, f"{len(objects)} objects")
    return Step(change, partial(delete_objects, clients, bucket, objects))


def _empty(bucket: str, names: Names, clients: Clients) -> None:
    delete_objects(clients, bucket, objects_under(clients, bucket, names.prefix))


def _function_step(found: FoundFunction, names: Names, clients: Clients) -> Step:
    if not names.owns(found.tags):
        return Step(Change("keep", "function", found.name, _OTHERS))
    change = Change("delete", "function", found.name)
    return Step(change, partial(delete_function, found.name, clients))


def _role_steps(role: FoundRole, names: Names, clients: Clients) -> list[Step]:
    if not role.there:
        return []
    if not role.ours:
        return [Step(Change("keep", "role", role.name, _OTHERS))]
    return [Step(Change("delete", "role", role.name), partial(delete_role, names, clients))]


def _bucket_steps(own: FoundBucket, names: Names, clients: Clients) -> list[Step]:
    if own.hidden:
        return [Step(Change("keep", "bucket", own.name, f"left alone: {own.hidden}"))]
    if not own.there:
        return []
    if not own.ours:
        return [Step(Change("keep", "bucket", own.name, _OTHERS))]
    objects = objects_under(clients, own.name, "")
    others = [one for one in objects if not one.key.startswith(names.prefix)]
    if others:
        why = f"it holds {len(others)} objects of others, such as {others[0].key}"
        sweep = _sweep(own.name, names, clients)
        kept = Step(Change("keep", "bucket", own.name, why))
        return [sweep, kept] if sweep.do is not None else [kept]
    change = Change("delete", "bucket", own.name, f"with {len(objects)} objects")
    return [Step(change, partial(delete_bucket, own.name, names, clients))]
