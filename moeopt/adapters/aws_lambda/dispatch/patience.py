"""How long a caller keeps trying: attempts, and the waits between them."""

from __future__ import annotations

import random
from dataclasses import dataclass

from moeopt.core.arguments import whole
from moeopt.core.errors import InstanceError


@dataclass(frozen=True, kw_only=True)
class Patience:
    """Attempts at one piece of work, with waits of full jitter between them.

    A wait is drawn from 0 to a ceiling that doubles with each failure, so that calls that were
    refused together do not come back together.

    Attributes
    ----------
    attempts
        Calls that may fail. Those that never began, throttled or while the function is being
        updated, are not counted: for them there is `total_s` alone.
    first_s, most_s
        Ceiling of the first wait, and of all.
    total_s
        Seconds of all waits together.
    halvings
        Times that what is too much for a call is halved. A call that runs out of time is billed
        whole, and one that cannot reach storage does so with a single token too.
    seed
        Of the waits: with the piece and the attempt it determines them, whatever else runs.

    Raises
    ------
    InstanceError
        If there is no attempt, or a number is negative.
    """

    attempts: int = 8
    first_s: float = 0.05
    most_s: float = 5.0
    total_s: float = 120.0
    halvings: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        if whole("attempts", self.attempts) < 1:
            raise InstanceError("attempts", self.attempts, "must be at least 1", "allow one call")
        if whole("halvings", self.halvings) < 0:
            raise InstanceError("halvings", self.halvings, "must be at least 0", "give 0 for none")
        for name in ("first_s", "most_s", "total_s"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise InstanceError(name, value, "must be finite and not negative", "give seconds")

    def wait_s(self, piece: str, attempt: int) -> float:
        """Return the wait after an attempt, from 1, at a piece."""
        # Beyond this many doublings every ceiling is the largest one.
        doublings = min(attempt - 1, 60)
        ceiling_s = min(self.most_s, self.first_s * 2.0**doublings)
        return random.Random(f"{self.seed}/{piece}/{attempt}").uniform(0.0, ceiling_s)
