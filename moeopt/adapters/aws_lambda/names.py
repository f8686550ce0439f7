"""What everything that a deployment makes is called: functions, role, bucket, objects, tags.

Nothing is remembered on the user's side. What belongs to a deployment is what carries its tags, and
in the bucket what lies under its prefix.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from moeopt.core.errors import InstanceError

#: Tags of everything that is made: who made it, and for which deployment.
OWNER_TAG, NAME_TAG = "moeopt:managed-by", "moeopt:deployment"
OWNER = "moeopt"

#: Longest name of a deployment: a function's has 64 characters, a bucket's 63.
MOST_CHARACTERS = 32

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")


@dataclass(frozen=True)
class Names:
    """The names of one deployment.

    Attributes
    ----------
    deployment
        Its own: lower-case letters, digits and dashes.

    Raises
    ------
    InstanceError
        If that is no such name.
    """

    deployment: str

    def __post_init__(self) -> None:
        fine = isinstance(self.deployment, str) and _NAME.fullmatch(self.deployment)
        if not fine or len(self.deployment) > MOST_CHARACTERS:
            rule = f"must be lower-case letters, digits and dashes, at most {MOST_CHARACTERS}"
            raise InstanceError("name", self.deployment, rule, "choose another name")

    @property
    def tags(self) -> Mapping[str, str]:
        """Tags of everything that is made."""
        return {OWNER_TAG: OWNER, NAME_TAG: self.deployment}

    def owns(self, tags: Mapping[str, str]) -> bool:
        """Tell whether what carries such tags is this deployment's."""
        return tags.items() >= self.tags.items()

    @property
    def functions(self) -> str:
        """What the names of all functions begin with."""
        return f"{OWNER}-{self.deployment}-"

    def function(self, layer: int, expert: int) -> str:
        """Return the name of an expert's function."""
        return f"{self.functions}{layer}-{expert}"

    @property
    def role(self) -> str:
        """The role that functions run under, unless the user gives one."""
        return f"{OWNER}-{self.deployment}-worker"

    def bucket(self, account: str) -> str:
        """Return the bucket's name, unless the user gives one; buckets share one name space."""
        return f"{OWNER}-{self.deployment}-{account}"

    @property
    def prefix(self) -> str:
        """What the keys of all objects begin with."""
        return f"{OWNER}/{self.deployment}/"

    def weights(self, sha256: str) -> str:
        """Return the key of an expert's parameters."""
        return f"{self.prefix}weights/{sha256}.npz"

    def code(self, sha256: str) -> str:
        """Return the key of a code package."""
        return f"{self.prefix}code/{sha256}.zip"

    @property
    def batches(self) -> str:
        """What the keys of all inputs and outputs begin with."""
        return f"{self.prefix}batches/"


def name_from(text: str) -> str:
    """Return a deployment's name made from any text, such as an instance's name.

    Of a long one the end is a hash, so that others which begin alike are other deployments.
    """
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if len(name) > MOST_CHARACTERS:
        end = hashlib.sha256(name.encode("ascii")).hexdigest()[:6]
        name = f"{name[: MOST_CHARACTERS - len(end) - 1].strip('-')}-{end}"
    return name or "model"
