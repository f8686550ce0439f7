"""A plan deployed: what is wanted, less what is there, is done.

Everything is found by its name and known by its tags, nothing is remembered here: a deployment that
was broken off is finished by deploying again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.deployer import functions as lambdas
from moeopt.adapters.aws_lambda.deployer.bucket import (
    FoundBucket,
    delete_bucket,
    look_at_bucket,
    look_at_own,
    make_bucket,
    require_usable,
)
from moeopt.adapters.aws_lambda.deployer.changes import Change, changes_table
from moeopt.adapters.aws_lambda.deployer.control import CHANGING, MOVING
from moeopt.adapters.aws_lambda.deployer.estimate import Estimate, estimate
from moeopt.adapters.aws_lambda.deployer.iam import role_arn, worker_policy
from moeopt.adapters.aws_lambda.deployer.objects import (
    StoredObject,
    delete_objects,
    objects_under,
    put_object,
)
from moeopt.adapters.aws_lambda.deployer.role import FoundRole, delete_role, look_at_role, make_role
from moeopt.adapters.aws_lambda.deployer.steps import Phase, Step, carry_out, changes_of
from moeopt.adapters.aws_lambda.deployer.wanted import (
    DeployOptions,
    Wanted,
    WantedFunction,
    fleet_of,
    wanted_of,
    weights_of,
)
from moeopt.adapters.aws_lambda.fleet import Fleet
from moeopt.adapters.aws_lambda.names import Names
from moeopt.adapters.aws_lambda.weights import Weights
from moeopt.core.errors import AdapterError
from moeopt.core.table import Table

__all__ = ["Change", "DeployOptions", "Deployment", "deploy", "fleet_of", "weights_of"]


@dataclass(frozen=True)
class Deployment:
    """What was done, or would be.

    Attributes
    ----------
    fleet
        The plan, under its name and in its bucket.
    changes
        Thing by thing, in the order in which they are done.
    costs
        What it costs.
    done
        Whether the changes were made; a dry run only looks.
    """

    fleet: Fleet
    changes: tuple[Change, ...]
    costs: Estimate
    done: bool

    @property
    def changed(self) -> tuple[Change, ...]:
        """The changes that are some."""
        return tuple(change for change in self.changes if change.action != "keep")

    def tables(self) -> list[Table]:
        """Return changes and costs for people."""
        verb = "is deployed" if self.done else "would be deployed"
        title = f"{self.fleet.names.deployment} {verb}: {len(self.changed)} changes"
        return [changes_table(title, self.changes), self.costs.table()]

    def document(self) -> dict[str, Any]:
        """Return everything as plain JSON types."""
        return {
            "deployment": self.fleet.names.deployment,
            "bucket": self.fleet.bucket,
            "done": self.done,
            "changes": [change.to_dict() for change in self.changes],
            "costs": self.costs.to_dict(),
        }


def deploy(
    fleet: Fleet,
    weights: Weights,
    clients: Clients,
    options: DeployOptions,
    *,
    dry_run: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Deployment:
    """Bring about what a fleet needs, and nothing where it is there already.

    Broken off at any point, it is finished by doing it again.

    Parameters
    ----------
    fleet
        As `fleet_of` makes it with the same options.
    weights
        Parameters of the experts.
    clients
        Account and region.
    options
        How.
    dry_run
        Only look, and tell what would be done.
    say
        Gets a line for each change that was made.

    Raises
    ------
    AdapterError
        If something of a needed name is there that this deployment did not make, the deployment
        lies in another bucket, or AWS refuses something.
    InstanceError
        If the code cannot be packed, or the parameters do not fit.
    """
    wanted = wanted_of(fleet, weights, options, clients)
    there = _look(fleet, clients)
    _refuse_others(there, fleet, options)
    phases = _phases(wanted, there, weights, clients, options)
    changes = changes_of(phases)
    written = sum(1 for one in changes if one.kind in ("code", "weights") and one.action != "keep")
    if not dry_run:
        carry_out(phases, say)
    return Deployment(fleet, changes, estimate(fleet, wanted.stored_bytes, written), not dry_run)


@dataclass(frozen=True)
class _There:
    """What is there already.

    Attributes
    ----------
    own, used
        The deployment's own bucket, and the one that is used: the same unless the user gave one.
    role
        The deployment's own.
    functions
        All that are called like the deployment's.
    objects
        Code and parameters in the bucket that is used, every version.
    """

    own: FoundBucket
    used: FoundBucket
    role: FoundRole
    functions: Mapping[str, lambdas.FoundFunction]
    objects: tuple[StoredObject, ...]


def _look(fleet: Fleet, clients: Clients) -> _There:
    names = fleet.names
    own = look_at_own(names, clients)
    used = own if fleet.bucket == own.name else look_at_bucket(fleet.bucket, clients)
    require_usable(used, clients, "name a bucket in that region, or another --region")
    objects = [
        one
        for kind in ("code/", "weights/")
        for one in (objects_under(clients, used.name, names.prefix + kind) if used.there else ())
    ]
    functions = lambdas.look_at_functions(names, clients)
    return _There(own, used, look_at_role(names, clients), functions, tuple(objects))


def _refuse_others(there: _There, fleet: Fleet, options: DeployOptions) -> None:
    """Raise `AdapterError` if what is needed is others', or this deployment lies elsewhere."""
    names = fleet.names
    for function in there.functions.values():
        lambdas.require_ours(function, names)
        if function.bucket not in (None, fleet.bucket):
            said = f"its objects are in bucket {function.bucket}, not in {fleet.bucket}"
            remedy = f"give --bucket {function.bucket}, or remove it first"
            raise AdapterError(f"deployment {names.deployment}: {said}; {remedy}")
    if there.used is not there.own and not there.used.there:
        raise AdapterError(f"bucket {there.used.name}: there is no such bucket; make it first")
    said = f"is there already and does not carry the tags of deployment {names.deployment}"
    if there.used is there.own and there.own.there and not there.own.ours:
        name = f"bucket {there.own.name}"
        raise AdapterError(f"{name}: {said}; choose another --name, or remove it")
    if options.role is None and there.role.there and not there.role.ours:
        name = f"role {there.role.name}"
        raise AdapterError(f"{name}: {said} here; choose another --name, or remove it")


def _phases(
    wanted: Wanted, there: _There, weights: Weights, clients: Clients, options: DeployOptions
) -> list[Phase]:
    """Return all that is to be done: what others need comes first, what nobody needs goes last."""
    names = wanted.fleet.names
    orphans = _orphans(there, names, clients)
    found = {name: one for name, one in there.functions.items() if name not in orphans}
    functions = [
        _function_step(one, found.get(one.name), names, clients) for one in wanted.functions
    ]
    gone = sorted(set(found) - {one.name for one in wanted.functions})
    return [
        Phase(_deletions(orphans, "its role is gone", clients), CHANGING),
        Phase(_bucket_steps(there, names, clients)),
        Phase(_role_steps(wanted, there, clients, options)),
        Phase(_object_steps(wanted, there, weights, clients), MOVING),
        Phase(functions, CHANGING),
        Phase(_deletions(gone, "the plan has no such expert", clients), CHANGING),
        Phase(_unused_steps(wanted, there, clients, options)),
    ]


def _orphans(there: _There, names: Names, clients: Clients) -> list[str]:
    """Return the functions whose role somebody deleted: one made anew is another to Lambda.

    They could no longer read their environment, which is encrypted for the old one.
    """
    role = role_arn(names, clients.account, clients.region)
    functions = [] if there.role.there else there.functions.values()
    return sorted(one.name for one in functions if one.configuration.get("Role") == role)


def _deletions(functions: Sequence[str], why: str, clients: Clients) -> list[Step]:
    return [
        Step(
            Change("delete", "function", name, why),
            partial(lambdas.delete_function, name, clients),
        )
        for name in functions
    ]


def _bucket_steps(there: _There, names: Names, clients: Clients) -> list[Step]:
    if there.used is not there.own:
        return [Step(Change("keep", "bucket", there.used.name, "the user's"))]
    make = partial(make_bucket, there.own, names, clients)
    if not there.own.there:
        return [Step(Change("create", "bucket", there.own.name), make)]
    if there.own.lacks:
        return [Step(Change("update", "bucket", there.own.name, ", ".join(there.own.lacks)), make)]
    return [Step(Change("keep", "bucket", there.own.name))]


def _role_steps(
    wanted: Wanted, there: _There, clients: Clients, options: DeployOptions
) -> list[Step]:
    if options.role is not None:
        return [Step(Change("keep", "role", options.role, "the user's"))]
    names, role = wanted.fleet.names, there.role
    policy = worker_policy(names, wanted.fleet.bucket, clients.region)
    make = partial(make_role, role, policy, names, clients)
    if not role.there:
        return [Step(Change("create", "role", role.name), make)]
    if role.policy != policy:
        return [Step(Change("update", "role", role.name, "what it allows"), make)]
    return [Step(Change("keep", "role", role.name))]


def _object_steps(wanted: Wanted, there: _There, weights: Weights, clients: Clients) -> list[Step]:
    """Return the uploads. A key says what is in it: what is there is right."""
    stored, bucket = {one.key for one in there.objects if one.current}, wanted.fleet.bucket
    steps = []
    if wanted.package is not None and wanted.code_key is not None:
        put = partial(put_object, clients, bucket, wanted.code_key, wanted.package.data)
        steps.append(_object_step("code", wanted.code_key, stored, put))

    def put_weights(key: str, layer: int, expert: int) -> None:
        # Made again here: to keep all of them in memory until now might be too much.
        put_object(clients, bucket, key, weights.expert(layer, expert).to_npz())

    for key, (layer, expert, _) in wanted.weights.items():
        put = partial(put_weights, key, layer, expert)
        steps.append(_object_step("weights", key, stored, put))
    return steps


def _object_step(kind: Any, key: str, stored: set[str], put: Callable[[], None]) -> Step:
    if key in stored:
        return Step(Change("keep", kind, key))
    return Step(Change("create", kind, key), put)


def _function_step(
    wanted: WantedFunction, found: lambdas.FoundFunction | None, names: Names, clients: Clients
) -> Step:
    make = partial(lambdas.make_function, wanted, names, clients)
    if found is None:
        return Step(Change("create", "function", wanted.name), make)
    anew = lambdas.must_be_new(found, wanted)
    if anew:

        def make_anew() -> None:
            lambdas.delete_function(wanted.name, clients)
            make()

        return Step(Change("update", "function", wanted.name, f"made anew: {anew}"), make_anew)
    reasons = lambdas.differences(found, wanted)
    if reasons:
        change = Change("update", "function", wanted.name, ", ".join(reasons))
        return Step(change, partial(lambdas.change_function, found, wanted, clients))
    # A deployment that was broken off may have left it in the making.
    wait = None if found.settled else partial(lambdas.settle_function, found, clients)
    return Step(Change("keep", "function", wanted.name), wait)


def _unused_steps(
    wanted: Wanted, there: _There, clients: Clients, options: DeployOptions
) -> list[Step]:
    """Return the removal of what was used before: old code and parameters, our role and bucket."""
    names, steps = wanted.fleet.names, list[Step]()
    used = {wanted.code_key, *wanted.weights}
    old = [one for one in there.objects if one.key not in used]
    if old:
        keys = {one.key for one in old}
        change = Change(
            "delete",
            "objects",
            f"{wanted.fleet.bucket}/{names.prefix}",
            f"{len(keys)} that nothing uses any more",
        )
        steps.append(Step(change, partial(delete_objects, clients, wanted.fleet.bucket, old)))
    if options.role is not None and there.role.ours:
        change = Change("delete", "role", there.role.name, "the user's is used")
        steps.append(Step(change, partial(delete_role, names, clients)))
    own = there.own
    if own is not there.used and own.ours:
        change = Change("delete", "bucket", own.name, "the user's is used")
        steps.append(Step(change, partial(delete_bucket, own.name, names, clients)))
    return steps
