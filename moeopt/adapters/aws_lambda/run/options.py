"""What a run on Lambda may be told."""

from __future__ import annotations

from dataclasses import dataclass

from moeopt.core.arguments import whole
from moeopt.core.errors import InstanceError

_LEAST = {"steps": 1, "seed": 0}


@dataclass(frozen=True, kw_only=True)
class LambdaOptions:
    """What a run was told; ``None`` where it was not.

    Attributes
    ----------
    local
        Whether a stand on this machine is started, used and ended; else AWS is asked, where the
        plan must have been deployed.
    region
        Of AWS; that of the environment if left out.
    name
        Of the deployment; made from the problem's name if left out.
    bucket
        Where its objects are, if that is a bucket of the user's.
    weights
        File of the experts' parameters; random ones by `seed` if left out.
    layers
        Which layers run; all if left out.
    steps
        How many batches are run warm and timed, after a first one.
    seed
        Of random parameters and tokens.
    record
        File to which every call is appended, for `moeopt calibrate`.
    """

    local: bool | None = None
    region: str | None = None
    name: str | None = None
    bucket: str | None = None
    weights: str | None = None
    layers: tuple[int, ...] | None = None
    steps: int | None = None
    seed: int | None = None
    record: str | None = None

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and whole(name, value) < least:
                raise InstanceError(name, value, f"must be >= {least}", "give more, or leave out")
        if self.local:
            for name in ("region", "bucket"):
                if getattr(self, name) is not None:
                    rule = "must not be given for a local run, which makes its own"
                    raise InstanceError(name, getattr(self, name), rule, "leave it out")
