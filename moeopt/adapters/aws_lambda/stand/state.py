"""What a stand consists of, and how it is set; its parts are shared by threads."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from moeopt.adapters.aws_lambda.stand.faults import Faults
from moeopt.adapters.aws_lambda.stand.functions import Functions
from moeopt.adapters.aws_lambda.stand.link import Links
from moeopt.adapters.aws_lambda.stand.pool import Pool
from moeopt.adapters.aws_lambda.stand.shape import Shape
from moeopt.adapters.aws_lambda.stand.slots import Slots
from moeopt.adapters.aws_lambda.stand.traffic import Counts


@dataclass
class State:
    """A stand.

    Attributes
    ----------
    shape
        Delays and rates from now on.
    functions, pool, slots, faults, links, counts
        Its parts.
    calls, cold_starts
        How many there were.
    """

    shape: Shape
    functions: Functions
    pool: Pool
    faults: Faults
    links: Links
    counts: Counts
    slots: Slots = field(default_factory=Slots)
    calls: int = 0
    cold_starts: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ran(self, cold: bool) -> None:
        """Count a call."""
        with self._lock:
            self.calls += 1
            self.cold_starts += cold
