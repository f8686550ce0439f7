"""What a simulated layer is made of: events in order, links, replicas, and who gathers."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Protocol

Action = Callable[[], None]

#: Takes note that the outputs of so many tokens are there.
Stored = Callable[[float], None]


class Events:
    """What happens when, in order.

    Attributes
    ----------
    now_s
        The time.
    """

    def __init__(self) -> None:
        self.now_s = 0.0
        self._heap: list[tuple[float, int, Action]] = []
        self._order = count()

    def at(self, time_s: float, action: Action) -> None:
        """Let `action` happen at `time_s`; of two at one time the one asked for first."""
        heapq.heappush(self._heap, (time_s, next(self._order), action))

    def run(self) -> float:
        """Let everything happen and return when the last thing did."""
        while self._heap:
            self.now_s, _, action = heapq.heappop(self._heap)
            action()
        return self.now_s


class Way(Protocol):
    """What carries things."""

    def carry(self, seconds: float, done: Action) -> None:
        """Carry something that takes `seconds` if it is alone, and say when it is there."""


class Line:
    """A connection that carries one thing after the other.

    Parameters
    ----------
    events
        Where it happens.
    delay_s
        Of an access.
    each
        Whether everything carried has this delay, or only the first.
    """

    def __init__(self, events: Events, delay_s: float = 0.0, *, each: bool = True) -> None:
        self._events, self._delay_s, self._each = events, delay_s, each
        self._free_s = 0.0
        self._used = False

    def carry(self, seconds: float, done: Action) -> None:
        """Carry something that takes `seconds` once it has its turn and its delay is over."""
        if self._each or not self._used:
            seconds += self._delay_s
        self._used = True
        self._free_s = max(self._free_s, self._events.now_s) + seconds
        self._events.at(self._free_s, done)


class SharedLine:
    """A connection whose rate is shared equally by all that is carried at the same time.

    Parameters
    ----------
    events
        Where it happens.
    delay_s
        Of each access, during which it takes no part of the rate.
    """

    def __init__(self, events: Events, delay_s: float = 0.0) -> None:
        self._events, self._delay_s = events, delay_s
        # What is carried ends when everybody has been carried for so long in all.
        self._carried_s = self._since_s = 0.0
        self._ends: list[tuple[float, int, Action]] = []
        self._order = count()
        self._turn = 0

    def carry(self, seconds: float, done: Action) -> None:
        """Carry something that takes `seconds` if it is alone, once its delay is over."""
        self._events.at(self._events.now_s + self._delay_s, partial(self._join, seconds, done))

    def _join(self, seconds: float, done: Action) -> None:
        self._pass_time()
        heapq.heappush(self._ends, (self._carried_s + seconds, next(self._order), done))
        self._plan_next()

    def _pass_time(self) -> None:
        """Carry everybody on until now."""
        now_s = self._events.now_s
        if self._ends:
            self._carried_s += (now_s - self._since_s) / len(self._ends)
        self._since_s = now_s

    def _plan_next(self) -> None:
        """Let the next end happen, unless somebody joins before."""
        self._turn += 1
        if self._ends:
            left_s = max(0.0, self._ends[0][0] - self._carried_s) * len(self._ends)
            self._events.at(self._events.now_s + left_s, partial(self._end, self._turn))

    def _end(self, turn: int) -> None:
        if turn != self._turn:
            return
        self._pass_time()
        # No rounding keeps what ends now from ending.
        self._carried_s, _, done = heapq.heappop(self._ends)
        self._plan_next()
        done()


@dataclass(frozen=True)
class Pauses:
    """How long a replica that asked for an input in vain waits before it asks again.

    Attributes
    ----------
    first_s, most_s
        The first pause, and the longest.
    longer
        Factor of each later one.
    """

    first_s: float
    longer: float
    most_s: float

    def asked(self, begun_s: float, there_s: float, access_s: float) -> tuple[float, int]:
        """Return when an input is asked for that is there, and how often it was in vain.

        Parameters
        ----------
        begun_s
            The first time.
        there_s
            When it is there.
        access_s
            What asking in vain takes.
        """
        pause_s, asked_s, vain = self.first_s, begun_s, 0
        while asked_s < there_s:
            asked_s += access_s + pause_s
            pause_s = min(pause_s * self.longer, self.most_s)
            vain += 1
        return asked_s, vain


class Replica:
    """One function of an expert.

    It starts and loads its parameters, then takes each minibatch that is there: reading and
    computing occupy it, writing outputs goes on beside that.

    Parameters
    ----------
    events
        Where it happens.
    minibatches
        Tokens of each, kept as an attribute.
    head_s
        Start and parameters.
    read_s
        Of an access to inputs, and of a token's.
    compute_s
        Of a token.
    write_s
        Of a token's outputs.
    pauses
        How it waits for an input; ``None`` if it is told once one is there.

    Attributes
    ----------
    access_s
        Of an access to storage, at its own pace.
    called_s, returned_s
        When it was called, and when its last output was written.
    waited_s
        Seconds in which it waited for input with nothing else to do.
    vain
        How often it asked for input that was not there.
    """

    def __init__(
        self, events: Events, minibatches: list[float], head_s: float, read_s: tuple[float, float],
        compute_s: float, write_s: float, pauses: Pauses | None = None,
    ) -> None:  # fmt: skip
        self.minibatches, self._pauses = minibatches, pauses
        self.called_s = self.returned_s = self.waited_s = 0.0
        self.vain = 0
        self._events, self._head_s = events, head_s
        self.access_s, self._each_s = read_s[0], read_s[1] + compute_s
        self._write_s = write_s
        self._free_s: float | None = None
        self._arrived = self._taken = self._written = 0

    def call(self, out: Way, stored: Stored) -> None:
        """Call it now; its outputs go by `out`, and `stored` hears of them."""
        self._out, self._stored = out, stored
        self.called_s = self._events.now_s
        self._events.at(self.called_s + self._head_s, self._idle)

    def arrive(self) -> None:
        """Tell it that one more minibatch is there."""
        self._arrived += 1
        self._work()

    def _idle(self) -> None:
        self._free_s = self._events.now_s
        self._work()

    def _work(self) -> None:
        if self._free_s is None or self._taken >= self._arrived:
            return
        now_s = self._events.now_s
        if self._pauses is not None:
            now_s, vain = self._pauses.asked(self._free_s, now_s, self.access_s)
            self.vain += vain
        self.waited_s += now_s - self._free_s
        self._free_s = None
        tokens = self.minibatches[self._taken]
        self._taken += 1
        seconds = self.access_s + tokens * self._each_s
        self._events.at(now_s + seconds, partial(self._computed, tokens))

    def _computed(self, tokens: float) -> None:
        self._out.carry(tokens * self._write_s, partial(self._wrote, tokens))
        self._idle()

    def _wrote(self, tokens: float) -> None:
        self._written += 1
        if self._written == len(self.minibatches):
            self.returned_s = self._events.now_s
        self._stored(tokens)


class Gather:
    """The next layer's function, which reads the outputs once it is loaded.

    Parameters
    ----------
    line
        Its connection to storage.
    seconds_per_token
        Of a token's outputs.
    objects
        How many it reads.
    eager
        Whether it reads an object once that is there, or all once all are.
    """

    def __init__(self, line: Way, seconds_per_token: float, objects: int, eager: bool) -> None:
        self._line, self._each_s = line, seconds_per_token
        self._missing, self._eager = objects, eager
        self._loaded = False
        # Without any output it still looks.
        self._ready = [] if objects else [0.0]

    def loaded(self) -> None:
        """Begin to read."""
        self._loaded = True
        self._read()

    def stored(self, tokens: float) -> None:
        """Take note of an object with the outputs of `tokens`."""
        self._missing -= 1
        self._ready.append(tokens)
        self._read()

    def _read(self) -> None:
        if self._loaded and (self._eager or not self._missing):
            for tokens in self._ready:
                self._line.carry(tokens * self._each_s, _pass)
            self._ready.clear()


def _pass() -> None:
    """Let time pass."""
