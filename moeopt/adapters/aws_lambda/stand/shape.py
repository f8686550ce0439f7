"""How slow the stand makes itself: the delays and rates of the platform that it stands in for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from moeopt.core.errors import InstanceError
from moeopt.serverless.problem import ServerlessProblem


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Delays and rates; what this machine takes by itself comes on top where it is longer.

    Attributes
    ----------
    storage_bytes_per_s
        Between storage and each function, and the caller, each way; ``None`` for no limit.
    access_delay_s
        Of each access to storage.
    function_bytes_per_s
        Of a call's tensor and of its answer's; ``None`` for no limit. Base64 is counted at three
        quarters, as `moeopt.serverless.problem.Network` counts bytes of tensors.
    warm_start_s
        From the call until the function has it.
    cold_start_s
        What a cold start takes at least.
    processors
        Whether functions get their memory's share of a processor.
    concurrency
        Calls that run at once before others are throttled.

    Raises
    ------
    InstanceError
        If a number is out of range.
    """

    storage_bytes_per_s: float | None = None
    access_delay_s: float = 0.0
    function_bytes_per_s: float | None = None
    warm_start_s: float = 0.0
    cold_start_s: float = 0.0
    processors: bool = True
    concurrency: int = 1000

    def __post_init__(self) -> None:
        for name in ("storage_bytes_per_s", "function_bytes_per_s"):
            rate = getattr(self, name)
            if rate is not None and not rate > 0.0:
                raise InstanceError(f"$.{name}", rate, "must be above 0", "give a rate, or none")
        for name in ("access_delay_s", "warm_start_s", "cold_start_s"):
            delay_s = getattr(self, name)
            if not 0.0 <= delay_s < math.inf:
                raise InstanceError(f"$.{name}", delay_s, "must be at least 0", "give seconds")
        if self.concurrency < 1:
            raise InstanceError(
                "$.concurrency", self.concurrency, "must be at least 1", "count calls"
            )


def shape_of(problem: ServerlessProblem) -> Shape:
    """Return the platform that a problem describes."""
    network, limits = problem.network, problem.limits()
    return Shape(
        storage_bytes_per_s=network.storage_bytes_per_s,
        access_delay_s=network.access_delay_s,
        function_bytes_per_s=network.function_bytes_per_s,
        warm_start_s=network.warm_start_s,
        cold_start_s=network.cold_start_s,
        concurrency=limits.concurrency or 1000,
    )
