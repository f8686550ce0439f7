"""What is walked along a long stream: each takes windows one by one, and says what is wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Protocol

import numpy as np

from moeopt.adapters.engines.vllm_limits import Limits
from moeopt.adapters.engines.vllm_policy import Policy
from moeopt.bench.reliability.long_run_stream import REGIME, TOKENS, Exact, Stream
from moeopt.buffering.online import LearnedCache
from moeopt.committee.online import Scheduler
from moeopt.committee.outlook import Outlook
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.placement.motion.alarm import Calibrated, Seen
from moeopt.placement.motion.average import MEMORIES, Averages
from moeopt.placement.motion.costs import Costs
from moeopt.placement.motion.simulate import World
from moeopt.placement.online import Online
from moeopt.placement.problem import Timing

#: Statistics may differ from their recomputation by this share.
_CLOSE = 1e-9

#: Distances after which a calibration has forgotten all before.
_FORGOTTEN = 20_000


class Walk(Protocol):
    """Something that keeps state over a stream of windows."""

    def step(self, number: int) -> None:
        """Take in the window of this number."""

    def wrong(self) -> Iterator[str]:
        """Yield what is wrong with the state now."""


class OnlinePolicy:
    """`Online` over a stream: 8 experts in 12 slots on 4 devices, experts dear to move.

    Its equal windows can be evened out: where they cannot, it replans at every one.

    Parameters
    ----------
    windows
        Length of the stream.
    """

    experts, devices, slots = 8, 4, 3

    def __init__(self, windows: int) -> None:
        self._stream = Stream(windows, self.experts, even=True)
        timing = Timing(
            seconds_per_token=1e-6, dispatch_bytes_per_token=1.0, combine_bytes_per_token=3.0
        )
        even = np.ones(self.devices)
        costs = Costs(timing, 3e9, 1e9 * even, even)
        world = World(costs, self.slots, 100, False, 1000.0)
        self._table: IntArray = np.arange(self.devices * self.slots)[None] % self.experts
        self._policy = Online()
        self._policy.start(world, self._table)
        self._busy, self._counting = 0, False

    def step(self, number: int) -> None:
        """Take in a window, and the plan that is given."""
        window = self._stream.window(number)
        self._busy += bool(window.any())
        self._counting = bool(window.sum() == TOKENS)
        self._table = self._given(self._policy.observe(window, self._table))

    def wrong(self) -> Iterator[str]:
        """Yield counts that do not count, and figures that are none."""
        last, estimate = self._policy.last, self._policy.estimate
        assert last is not None
        assert estimate is not None
        known = last.known
        if known.windows != self._busy or not 0 <= known.changes <= known.windows:
            yield f"{known.windows} windows and {known.changes} changes after {self._busy} windows"
        if known.regimes > 8:
            yield f"{known.regimes} regimes are remembered"
        figures = (known.overdispersion, known.evidence_windows, known.windows_to_change)
        if not (all(0 < figure < math.inf for figure in figures) and 0 <= known.gain <= 1):
            yield f"no figures: {known}"
        shares = estimate.shares()
        if not (abs(shares.sum() - 1.0) < 1e-12 and (shares >= 0).all()):
            yield f"no shares: {shares.tolist()}"
        # Of what the giant window and the equal ones were, nothing may be left.
        if self._counting and known.since_change > REGIME // 4:
            apart = float(abs(shares[0] - self._stream.shares).max())
            if apart > 6.0 / math.sqrt(TOKENS):
                yield f"shares are {apart:.3f} from the truth, {known}"

    def _given(self, new: IntArray | None) -> IntArray:
        return self._table if new is None else new


class RunningAverages:
    """`Averages` without changes, against sums that are exact.

    Parameters
    ----------
    windows
        Length of the stream.
    """

    def __init__(self, windows: int) -> None:
        self._stream = Stream(windows, 8)
        self._averages = Averages(1, 8)
        self._exact = Exact()

    def step(self, number: int) -> None:
        """Take in a window."""
        window = self._stream.window(number)
        if window.any():
            self._exact.add(window)
            self._averages.add(Seen(window, float(window.sum()), 1.0))

    def wrong(self) -> Iterator[str]:
        """Yield averages that are not what they claim to be."""
        held = self._averages.tokens
        for memory, found in zip(MEMORIES, held, strict=True):
            expected = self._exact.total() if math.isinf(memory) else self._faded(memory)
            apart = _apart(found, expected)
            if apart > _CLOSE:
                yield f"the average over {memory:g} windows is off by {apart:.1e}"
        if self._averages.seen.windows != self._exact.count:
            yield f"{self._averages.seen.windows} windows of {self._exact.count}"
        evidence = self._averages.evidence()
        if not 0 < evidence < math.inf:
            yield f"evidence of {evidence} tokens"

    def _faded(self, memory: float) -> FloatArray:
        kept = 1.0 - 1.0 / memory
        recent = np.concatenate(self._exact.recent)
        ages = np.arange(len(recent))[::-1]
        weighed = recent * (kept**ages)[:, None]
        return np.array([[math.fsum(column) for column in weighed.T]])


class Calibration:
    """`Calibrated` against a fresh one that saw the last distances alone.

    Parameters
    ----------
    windows
        Length of the stream.
    """

    def __init__(self, windows: int) -> None:
        self._windows = windows
        self._dice = np.random.default_rng(5)
        self._own = Calibrated()
        self._recent = np.ones(_FORGOTTEN)
        self._seen = 0

    def step(self, number: int) -> None:
        """Take in a distance: log-normal, equal ones for half of the stream, one giant."""
        value = math.exp(0.25 * float(self._dice.standard_normal()))
        tenth = 10 * number // self._windows
        if 3 <= tenth < 8:
            value = 1.0
        if number == self._windows // 4:
            value = 1e300
        self._own.learn(value)
        self._recent[self._seen % _FORGOTTEN] = value
        self._seen += 1

    def wrong(self) -> Iterator[str]:
        """Yield a mean or a threshold that is not that of the last distances."""
        fresh = Calibrated()
        at = self._seen % _FORGOTTEN if self._seen > _FORGOTTEN else 0
        recent = np.roll(self._recent, -at)[: self._seen]
        for value in recent.tolist():
            fresh.learn(value)
        for name, own, new in (
            ("usual distance", self._own.usual, fresh.usual),
            ("threshold", self._own.threshold(1e-3), fresh.threshold(1e-3)),
        ):
            if not math.isclose(own, new, rel_tol=_CLOSE):
                yield f"the {name} is {own!r}, of the last distances alone {new!r}"


class Outlooks:
    """`Outlook` against exact sums.

    Parameters
    ----------
    windows
        Length of the stream.
    """

    def __init__(self, windows: int) -> None:
        self._stream = Stream(windows, 8)
        self._outlook = Outlook(1, 8)
        self._exact = Exact()

    def step(self, number: int) -> None:
        """Take in a window."""
        window = self._stream.window(number)
        self._exact.add(window)
        self._outlook.learn(window)

    def wrong(self) -> Iterator[str]:
        """Yield sums that are not exact, and expectations that are none."""
        total = self._exact.total()
        apart = _apart(self._outlook.sums, total)
        apart = max(apart, _apart(self._outlook.typical(), total.mean(axis=1) / self._exact.count))
        if apart > _CLOSE or self._outlook.windows != self._exact.count:
            yield f"sums of {self._outlook.windows} windows are off by {apart:.1e}"
        expected = self._outlook.expect(np.array([4.0]))
        if not (np.isfinite(expected) & (expected >= 0)).all():
            yield f"expects {expected.tolist()}"


class Committee:
    """`Scheduler` under ``rent_or_buy``.

    Parameters
    ----------
    windows
        Length of the stream.
    """

    def __init__(self, windows: int) -> None:
        self._stream = Stream(windows, 8)
        problem = CommitteeProblem(
            experts=8, importance=np.zeros((1, 1, 8)), budget_bytes=8, load_price=2000.0
        )
        self._scheduler = Scheduler(problem, [3], "rent_or_buy")

    def step(self, number: int) -> None:
        """Take in a window."""
        self._scheduler.observe(self._stream.window(number))

    def wrong(self) -> Iterator[str]:
        """Yield a committee that is too large."""
        members = int(self._scheduler.resident.sum())
        if members > 3:
            yield f"{members} members in 3 slots"


class Cache:
    """`LearnedCache` of 4 slots for 16 experts, two of them in a group.

    Parameters
    ----------
    windows
        Length of the stream.
    """

    def __init__(self, windows: int) -> None:
        self._stream = Stream(windows, 16)
        self._cache = LearnedCache(experts=16, slots=4, active_experts=2)

    def step(self, number: int) -> None:
        """Serve the two most asked for experts of a window."""
        window = self._stream.window(number)[0]
        self._cache.serve(np.argsort(-window, kind="stable")[:2] if window.any() else [])

    def wrong(self) -> Iterator[str]:
        """Yield a cache that is too full."""
        held = self._cache.resident().size
        if held > 4:
            yield f"{held} experts in 4 slots"


class Rebalances:
    """vLLM's policy, for a hundredth of the windows: it keeps nothing between two calls.

    Parameters
    ----------
    windows
        Length of the stream.
    """

    sizes = (12, 1, 1, 4)

    def __init__(self, windows: int) -> None:
        self._stream = Stream(windows, 8)
        self._policy = Policy(Limits(transfers_per_layer=4.0))
        self._last: tuple[FloatArray, IntArray | None, IntArray] | None = None

    def step(self, number: int) -> None:
        """Take in a window; rebalance at every hundredth."""
        window = self._stream.window(number)
        if number % 100 == 0:
            old = None if self._last is None else self._last[2]
            self._last = window, old, self._policy.rebalance_experts(window, *self.sizes, old)

    def wrong(self) -> Iterator[str]:
        """Yield a last answer that a fresh policy does not give."""
        assert self._last is not None
        window, old, table = self._last
        fresh = Policy(Limits(transfers_per_layer=4.0))
        if not np.array_equal(fresh.rebalance_experts(window, *self.sizes, old), table):
            yield "a fresh policy answers otherwise"


def _apart(found: FloatArray, expected: FloatArray) -> float:
    """Return the largest difference as a share of what is expected."""
    scale = np.where(expected != 0, abs(expected), 1.0)
    apart = abs(found - expected) / scale
    return float("inf") if np.isnan(apart).any() else float(apart.max())
