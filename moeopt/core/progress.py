"""Progress events: what a long solve tells while it runs, and what is kept of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

#: A history has at most so many moments.
MOST_MOMENTS = 1000


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


class Moment(NamedTuple):
    """What was known at one moment of a solve.

    Attributes
    ----------
    elapsed_s
        Seconds since the solve began.
    objective
        Least objective of the plans found until then, or ``None``.
    bound
        Largest bound proven until then, or ``None``.
    """

    elapsed_s: float
    objective: float | None
    bound: float | None


_NOTHING = Moment(0.0, None, None)


@dataclass
class Recorder:
    """A listener that keeps what changed, and passes every event on.

    Attributes
    ----------
    listener
        Whom events are passed on to, or ``None``.
    """

    listener: Progress | None = None
    _now: Moment = _NOTHING
    _changes: int = 0
    _every: int = 1
    _moments: list[Moment] = field(default_factory=list)

    def __call__(self, event: ProgressEvent) -> None:
        """Take one event in."""
        self._take(Moment(event.elapsed_s, event.objective, event.bound))
        if self.listener is not None:
            self.listener(event)

    def history(self, last: Moment) -> tuple[Moment, ...]:
        """Return what changed when, and the result itself; nothing if nothing was ever known.

        Parameters
        ----------
        last
            The result: no moment before it claims more than it does.
        """
        if last.objective is None and last.bound is None:
            return ()
        known = [*self._moments, self._now] if self._moments else []
        told = [_within(moment, last) for moment in known]
        changes = [m for i, m in enumerate(told) if i == 0 or m[1:] != told[i - 1][1:]]
        return (*_thinned(changes, MOST_MOMENTS - 1), last)

    def _take(self, moment: Moment) -> None:
        objective = _of(min, self._now.objective, moment.objective)
        bound = _of(max, self._now.bound, moment.bound)
        if (objective, bound) == self._now[1:]:
            return
        self._now = Moment(moment.elapsed_s, objective, bound)
        if self._changes % self._every == 0:
            self._moments.append(self._now)
        self._changes += 1
        if len(self._moments) == 2 * MOST_MOMENTS:
            # From now on half as many: those kept stay evenly spread, however many come.
            del self._moments[1::2]
            self._every *= 2


def _of(
    better: Callable[[float, float], float], one: float | None, other: float | None
) -> float | None:
    if one is None or other is None:
        return one if other is None else other
    return better(one, other)


def _within(moment: Moment, last: Moment) -> Moment:
    """Return a moment that claims no more than the last does."""
    objective = None if last.objective is None else moment.objective
    bound = None if last.bound is None else moment.bound
    return Moment(
        moment.elapsed_s,
        None if objective is None else _of(max, objective, last.objective),
        None if bound is None else _of(min, bound, last.bound),
    )


def _thinned(moments: list[Moment], most: int) -> list[Moment]:
    """Return at most so many of the moments, evenly, the first and the last among them."""
    if len(moments) <= most:
        return moments
    step = (len(moments) - 1) / (most - 1)
    return [moments[round(i * step)] for i in range(most)]
