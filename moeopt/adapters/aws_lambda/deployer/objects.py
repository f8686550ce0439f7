"""Objects of a bucket: which are there, and how they go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from moeopt.adapters.aws_lambda.clients import Clients, outside
from moeopt.adapters.aws_lambda.deployer.control import patiently
from moeopt.core.errors import AdapterError

#: Objects that one request deletes.
_AT_ONCE = 1000


@dataclass(frozen=True)
class StoredObject:
    """One version of an object, the only one unless the bucket keeps old ones.

    Attributes
    ----------
    key, version
        Its name.
    current
        Whether it is what reading the key gives.
    """

    key: str
    version: str
    current: bool


def objects_under(clients: Clients, bucket: str, prefix: str) -> list[StoredObject]:
    """Return what is in a bucket under a prefix, old versions and marks of deletions too."""
    found = list[StoredObject]()
    with outside(f"bucket {bucket}"):
        pages = clients.storage.get_paginator("list_object_versions")
        for page in pages.paginate(Bucket=bucket, Prefix=prefix):
            found += [
                StoredObject(one["Key"], one["VersionId"], one["IsLatest"])
                for one in page.get("Versions", ())
            ]
            found += [
                StoredObject(one["Key"], one["VersionId"], False)
                for one in page.get("DeleteMarkers", ())
            ]
    return found


def delete_objects(clients: Clients, bucket: str, objects: Sequence[StoredObject]) -> None:
    """Delete objects, those that are gone already too.

    Raises
    ------
    AdapterError
        If one of them cannot be.
    """
    for first in range(0, len(objects), _AT_ONCE):
        these = objects[first : first + _AT_ONCE]
        listed = [{"Key": one.key, "VersionId": one.version} for one in these]
        answer = patiently(
            f"bucket {bucket}",
            lambda listed=listed: clients.storage.delete_objects(  # type: ignore[misc]
                Bucket=bucket, Delete={"Objects": listed, "Quiet": True}
            ),
        )
        for error in (answer or {}).get("Errors", ()):
            said = f"{error.get('Code', 'error')}: {error.get('Message', '')}".strip(": ")
            raise AdapterError(f"bucket {bucket}: {error.get('Key')}: {said}")


def put_object(clients: Clients, bucket: str, key: str, data: bytes) -> None:
    """Write an object."""
    patiently(
        f"bucket {bucket}",
        lambda: clients.storage.put_object(Bucket=bucket, Key=key, Body=data),
    )
