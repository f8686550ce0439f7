"""Progress events: what a long solve tells while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class ProgressEvent:
    """One report of a running method.

    Attributes
    ----------
    elapsed_s
        Seconds since the solve began.
    objective
        Objective of the incumbent, or ``None``.
    bound
        Best proven bound so far, or ``None``.
    note
        What the method is doing, for people.
    """

    elapsed_s: float
    objective: float | None
    bound: float | None
    note: str


Progress = Callable[[ProgressEvent], None]
