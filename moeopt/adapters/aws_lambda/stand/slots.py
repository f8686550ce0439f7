"""How many calls run at once, and which of them is one too many."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator

from moeopt.adapters.aws_lambda.stand import errors
from moeopt.adapters.aws_lambda.stand.functions import Function


class Slots:
    """The calls that run; threads share it.

    Attributes
    ----------
    refused
        Calls that were one too many.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reserved: Counter[str] = Counter()
        self._shared = 0
        self.refused = 0

    @contextlib.contextmanager
    def held(self, function: Function, unreserved: int) -> Iterator[None]:
        """Take a slot for a call.

        Parameters
        ----------
        function
            Which is called: one with calls reserved for it has these, and no others.
        unreserved
            Calls of all other functions that may run at once.

        Raises
        ------
        Refusal
            If no more calls may run.
        """
        of_function = function.reserved is not None
        with self._lock:
            running = self._reserved[function.name] if of_function else self._shared
            most = unreserved if function.reserved is None else function.reserved
            if running >= most:
                self.refused += 1
                raise errors.throttled(of_function)
            self._count(function, 1)
        try:
            yield
        finally:
            with self._lock:
                self._count(function, -1)

    def _count(self, function: Function, more: int) -> None:
        if function.reserved is None:
            self._shared += more
        else:
            self._reserved[function.name] += more
