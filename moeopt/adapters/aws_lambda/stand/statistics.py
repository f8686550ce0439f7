"""What a stand has seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from moeopt.adapters.aws_lambda.stand.traffic import Traffic


@dataclass(frozen=True)
class Statistics:
    """What the stand has seen since it started.

    Attributes
    ----------
    workers
        Processes that are alive.
    calls
        Calls that ran, whether they ended well or not.
    cold_starts
        Calls among them that report the start of a process; not those whose first start failed.
    throttled
        Calls that were not run since too many were.
    traffic
        What was asked of storage, by function; the caller's own under
        `moeopt.adapters.aws_lambda.stand.callers.CALLER`.
    """

    workers: int
    calls: int
    cold_starts: int
    throttled: int
    traffic: Mapping[str, Traffic]
