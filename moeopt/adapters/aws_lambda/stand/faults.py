"""Faults that the stand meets on purpose: the next requests that fit one fail in its way."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from moeopt.core.errors import InstanceError

#: What a fault does: kills the worker in the middle of a call; answers 429; answers 500
#: ``ServiceException``; closes the connection without an answer; lets the function run and closes
#: the connection then; and, of requests for objects, takes longer; answers 503 ``SlowDown``;
#: answers a read 404 ``NoSuchKey``.
Kind = Literal[
    "crash",
    "throttle",
    "service",
    "disconnect",
    "lost-answer",
    "s3-slow",
    "s3-error",
    "s3-missing",
]

_KINDS = get_args(Kind)


@dataclass(frozen=True)
class Fault:
    """A fault, and which requests meet it.

    Attributes
    ----------
    kind
        What happens.
    times
        How many requests it meets before it is over.
    function
        What the function's name holds; empty for all, the caller's own requests too.
    key
        What an object's key holds; empty for all. Only of the kinds that begin with ``s3``.
    seconds
        How much longer a request of kind ``s3-slow`` takes; how long a call has run when it meets a
        ``crash``.

    Raises
    ------
    InstanceError
        If there is no such kind, or a number is out of range.
    """

    kind: Kind
    times: int = 1
    function: str = ""
    key: str = ""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            rule = f"must be one of {', '.join(_KINDS)}"
            raise InstanceError("$.kind", self.kind, rule, "name a fault that there is")
        if self.times < 1:
            raise InstanceError("$.times", self.times, "must be at least 1", "count requests")
        if not 0.0 <= self.seconds < float("inf"):
            raise InstanceError("$.seconds", self.seconds, "must be at least 0", "give seconds")

    def meets(self, kind: Kind, function: str, key: str) -> bool:
        """Tell whether a request is one that the fault is meant for."""
        return self.kind == kind and self.function in function and self.key in key


class Faults:
    """The faults that are still to come; threads share them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: list[tuple[Fault, int]] = []

    def add(self, faults: Iterable[Fault]) -> None:
        """Add faults; a request meets the oldest that fits."""
        with self._lock:
            self._left += [(fault, fault.times) for fault in faults]

    def clear(self) -> None:
        """Drop all."""
        with self._lock:
            self._left.clear()

    def take(self, kind: Kind, function: str, key: str = "") -> Fault | None:
        """Return the fault that a request meets, once less from now on; ``None`` if it meets none.

        Parameters
        ----------
        kind
            What could happen to it.
        function
            Whose it is.
        key
            Of the object that it asks for, if it does.
        """
        with self._lock:
            for index, (fault, left) in enumerate(self._left):
                if fault.meets(kind, function, key):
                    if left > 1:
                        self._left[index] = (fault, left - 1)
                    else:
                        del self._left[index]
                    return fault
        return None
