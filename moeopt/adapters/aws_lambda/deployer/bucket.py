"""Buckets: the deployment's own, made, looked at and deleted; and one of the user's, looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from moeopt.adapters.aws_lambda.clients import Clients, code_of, outside
from moeopt.adapters.aws_lambda.deployer.control import patiently
from moeopt.adapters.aws_lambda.deployer.objects import delete_objects, objects_under
from moeopt.adapters.aws_lambda.names import Names
from moeopt.core.errors import AdapterError

#: Nothing in the bucket is ever public.
_CLOSED = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}

#: Days after which inputs and outputs go that a broken-off batch has left.
_KEPT_DAYS = 1

#: Where buckets are made without naming the region.
_NAMELESS_REGION = "us-east-1"


@dataclass(frozen=True)
class FoundBucket:
    """What is there under a bucket's name.

    Attributes
    ----------
    name
        The bucket's.
    region
        Where it is; ``None`` if there is none.
    ours
        Whether it is the deployment's own; a bucket of the user's is not asked.
    lacks
        What is still to be done to make it the deployment's own, and so on.
    hidden
        Why nothing can be told of it; empty if something can.
    """

    name: str
    region: str | None = None
    ours: bool = False
    lacks: tuple[str, ...] = ()
    hidden: str = ""

    @property
    def there(self) -> bool:
        """Whether there is such a bucket."""
        return self.region is not None


def look_at_bucket(name: str, clients: Clients) -> FoundBucket:
    """Return whether a bucket is there; only its region is asked."""
    from botocore.exceptions import ClientError

    with outside(f"bucket {name}"):
        try:
            answer = clients.storage.head_bucket(Bucket=name, ExpectedBucketOwner=clients.account)
        except ClientError as error:
            # The answer to this request has no body, and its code is a number.
            if code_of(error) in ("404", "NoSuchBucket"):
                return FoundBucket(name)
            if code_of(error) in ("403", "AccessDenied"):
                why = "it is another account's, or your policy does not let you list it"
                return FoundBucket(name, hidden=why)
            raise
    return FoundBucket(name, answer.get("BucketRegion") or clients.region)


def look_at_own(names: Names, clients: Clients) -> FoundBucket:
    """Return what is there under the name of the deployment's own bucket.

    A deployment that was broken off after the bucket was made and before it was tagged leaves one
    without tags and without objects. Such a one of this very name is taken for our own: nobody can
    lose anything in it.

    Raises
    ------
    AdapterError
        If it is in another region.
    """
    found = look_at_bucket(names.bucket(clients.account), clients)
    if not found.there:
        return found
    require_usable(found, clients, "give that --region, or another --name")
    tags = _tags(found.name, clients)
    if not tags and not _holds_anything(found.name, clients):
        return replace(found, ours=True, lacks=("tags", *_MAKE))
    if not names.owns(tags):
        return found
    lacks = [what for what, (there, _) in _MAKE.items() if not there(found.name, names, clients)]
    return replace(found, ours=True, lacks=tuple(lacks))


def require_usable(found: FoundBucket, clients: Clients, remedy: str) -> None:
    """Raise `AdapterError` if a bucket that is there is hidden, or not where functions are."""
    if found.hidden:
        raise AdapterError(f"bucket {found.name}: {found.hidden}; give one of yours as --bucket")
    if found.there and found.region != clients.region:
        said = f"it is in {found.region}, functions would be in {clients.region}"
        raise AdapterError(f"bucket {found.name}: {said}; {remedy}")


def make_bucket(found: FoundBucket, names: Names, clients: Clients) -> None:
    """Make the deployment's own bucket, or what it lacks. Its tags come first: they make it ours.

    Raises
    ------
    AdapterError
        If another account has a bucket of this name, or something is not allowed.
    """
    what, storage = f"bucket {found.name}", clients.storage
    if not found.there:
        named: dict[str, Any] = {}
        if clients.region != _NAMELESS_REGION:
            named["CreateBucketConfiguration"] = {"LocationConstraint": clients.region}
        # Made by an earlier request whose answer was lost, it is there already.
        patiently(
            what,
            lambda: storage.create_bucket(Bucket=found.name, **named),
            "BucketAlreadyOwnedByYou",
        )
        with outside(what):
            storage.get_waiter("bucket_exists").wait(
                Bucket=found.name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
            )
    if not found.there or "tags" in found.lacks:
        tags = [{"Key": key, "Value": value} for key, value in names.tags.items()]
        patiently(
            what,
            lambda: storage.put_bucket_tagging(Bucket=found.name, Tagging={"TagSet": tags}),
        )
    for part, (_, make) in _MAKE.items():
        if not found.there or part in found.lacks:
            make(found.name, names, clients)


def delete_bucket(name: str, names: Names, clients: Clients) -> None:
    """Delete the deployment's own bucket, with what functions still wrote under its prefix."""
    what = f"bucket {name}"

    def empty_and_delete() -> None:
        delete_objects(clients, name, objects_under(clients, name, names.prefix))
        clients.storage.delete_bucket(Bucket=name)

    patiently(what, empty_and_delete, "NoSuchBucket")


def _tags(name: str, clients: Clients) -> dict[str, str]:
    answer = patiently(
        f"bucket {name}", lambda: clients.storage.get_bucket_tagging(Bucket=name), "NoSuchTagSet"
    )
    return {tag["Key"]: tag["Value"] for tag in (answer or {}).get("TagSet", ())}


def _holds_anything(name: str, clients: Clients) -> bool:
    with outside(f"bucket {name}"):
        answer = clients.storage.list_object_versions(Bucket=name, MaxKeys=1)
    return bool(answer.get("Versions") or answer.get("DeleteMarkers"))


def _rule(names: Names) -> dict[str, Any]:
    return {
        "ID": "moeopt-batches",
        "Filter": {"Prefix": names.batches},
        "Status": "Enabled",
        "Expiration": {"Days": _KEPT_DAYS},
    }


def _is_closed(name: str, _: Names, clients: Clients) -> bool:
    answer = patiently(
        f"bucket {name}",
        lambda: clients.storage.get_public_access_block(Bucket=name),
        "NoSuchPublicAccessBlockConfiguration",
    )
    found: Mapping[str, Any] = (answer or {}).get("PublicAccessBlockConfiguration", {})
    return found.items() >= _CLOSED.items()


def _close(name: str, _: Names, clients: Clients) -> None:
    patiently(
        f"bucket {name}",
        lambda: clients.storage.put_public_access_block(
            Bucket=name, PublicAccessBlockConfiguration=_CLOSED
        ),
    )


def _expires(name: str, names: Names, clients: Clients) -> bool:
    answer = patiently(
        f"bucket {name}",
        lambda: clients.storage.get_bucket_lifecycle_configuration(Bucket=name),
        "NoSuchLifecycleConfiguration",
    )
    wanted = _rule(names).items()
    return any(rule.items() >= wanted for rule in (answer or {}).get("Rules", ()))


def _let_expire(name: str, names: Names, clients: Clients) -> None:
    rules = {"Rules": [_rule(names)]}
    patiently(
        f"bucket {name}",
        lambda: clients.storage.put_bucket_lifecycle_configuration(
            Bucket=name, LifecycleConfiguration=rules
        ),
    )


_There = Callable[[str, Names, Clients], bool]
_Make = Callable[[str, Names, Clients], None]

#: What the deployment's own bucket has, beside its tags: whether it is there, and how it is made.
_MAKE: dict[str, tuple[_There, _Make]] = {
    "closed to the public": (_is_closed, _close),
    "expiry of batches": (_expires, _let_expire),
}
