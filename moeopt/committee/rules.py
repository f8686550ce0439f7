"""How online schedulers rank experts: the paper's rule, and one that weighs loads.

A rule sees what every expert weighed in each window that has ended, resident or not: the router is
always there. It gives each expert a score. A scheduler lets the best that are absent take the place
of the worst that are resident, as long as the difference exceeds what a load costs the rule.
"""

from __future__ import annotations

from typing import Literal, Protocol, get_args

import numpy as np

from moeopt.committee.outlook import GONE, Outlook
from moeopt.core.arrays import FloatArray
from moeopt.core.errors import InstanceError

RuleName = Literal["paper", "rent_or_buy"]

#: Counters fade within as many windows as a usual expert needs to weigh so many loads.
RENTED = 50.0

#: Most windows that `RentOrBuy` looks ahead.
MOST_AHEAD = 24.0


class Rule(Protocol):
    """Ranks the experts of all layers."""

    def observe(self, weights: FloatArray) -> None:
        """Take in what each expert weighed in the window that just ended, ``(layers, experts)``."""

    def scores(self) -> FloatArray:
        """Return what each expert is worth from now on, none negative, ``(layers, experts)``."""

    def prices(self) -> FloatArray:
        """Return by how much one must be worth more to take another's place, ``(layers,)``."""

    def updates_left(self) -> int:
        """Return over how many updates the changes that are due are to be spread, 1 or more."""


class Paper:
    """The rule of arXiv:2308.15030: importance in the last period, whatever a load costs.

    At the end of each period those of greatest importance in it become the target. What has to be
    loaded for it is spread evenly over the updates of the next period (*amortised*). Of two that
    weighed the same, the one that is there stays.

    Parameters
    ----------
    layers, experts
        How many.
    target_updates
        Updates from one target to the next.
    period
        Windows from one update to the next.
    history
        What each expert weighed before, ``(layers, experts)``: the first target.
    """

    def __init__(
        self,
        layers: int,
        experts: int,
        target_updates: int,
        period: int,
        history: FloatArray | None = None,
    ) -> None:
        self._updates, self._period = target_updates, period
        self._target = np.zeros((layers, experts)) if history is None else history
        self._counted = np.zeros((layers, experts))
        self._windows = 0

    def observe(self, weights: FloatArray) -> None:
        """Take in what each expert weighed in the window that just ended, ``(layers, experts)``."""
        self._counted = self._counted + weights
        self._windows += 1
        if self._windows % (self._updates * self._period) == 0:
            self._target = self._counted
            self._counted = np.zeros_like(weights)

    def scores(self) -> FloatArray:
        """Return the importance of each expert in the last period, ``(layers, experts)``."""
        return self._target

    def prices(self) -> FloatArray:
        """Return zeros, ``(layers,)``."""
        return np.zeros(len(self._target))

    def updates_left(self) -> int:
        """Return the updates that are left until the next target."""
        return self._updates - self._windows // self._period % self._updates


class RentOrBuy:
    """Who has been, and will be, missed for more than a load costs comes in.

    Each expert has a counter of what it weighed, resident or not, that fades; added to it is what
    it is expected to weigh. An expert comes in when its sum exceeds that of the resident with the
    least by the price of its load: its absence has cost as much, or is expected to. Its victim's
    load, which may be due again, is not asked for: that helps on some texts and costs more on
    others.
    Counters fade within as many windows as a usual expert needs to weigh `RENTED` loads, at once if
    loads cost nothing; the windows ahead that count are as many as it needs for one.

    Where loads cost nothing, or little, the link is what is scarce: the scheduler lets those pass
    first that gain most for their bytes.

    Parameters
    ----------
    prices
        Of a load in each layer, ``(layers,)``.
    experts
        Experts of each layer.
    period
        Windows from one update to the next.
    delay
        Windows from asking for an expert to its arrival.
    history
        What each expert weighed before, ``(layers, experts)``, in whatever unit: see `Outlook`.
    """

    def __init__(
        self,
        prices: FloatArray,
        experts: int,
        period: int = 1,
        delay: int = 0,
        history: FloatArray | None = None,
    ) -> None:
        self._prices = prices
        self._least_ahead = float(period + delay)
        self._outlook = Outlook(prices.size, experts, history)
        self._counters = np.zeros((prices.size, experts))

    def observe(self, weights: FloatArray) -> None:
        """Take in what each expert weighed in the window that just ended, ``(layers, experts)``."""
        self._outlook.learn(weights)
        with np.errstate(all="ignore"):
            kept = 1.0 / (1.0 + 1.0 / (RENTED * self._windows_paid()))
        self._counters = (self._counters + weights) * kept[:, None]
        self._counters[self._counters < GONE * self._outlook.typical()[:, None]] = 0.0

    def scores(self) -> FloatArray:
        """Return faded counters and what is expected, ``(layers, experts)``."""
        ahead = 1.0 + np.minimum(self._windows_paid(), MOST_AHEAD - 1.0)
        return self._counters + self._outlook.expect(np.maximum(ahead, self._least_ahead))

    def prices(self) -> FloatArray:
        """Return the price of a load in each layer, ``(layers,)``."""
        return self._prices

    def updates_left(self) -> int:
        """Return 1."""
        return 1

    def _windows_paid(self) -> FloatArray:
        """Return in how many windows a usual expert weighs as much as a load costs, ``(layers,)``.

        0 where nothing has weighed anything yet.
        """
        typical = self._outlook.typical()
        with np.errstate(all="ignore"):
            return np.where(typical > 0, self._prices / typical, 0.0)


def rule_named(name: str) -> RuleName:
    """Return the name of a rule.

    Raises
    ------
    InstanceError
        If there is none of this name.
    """
    if isinstance(name, str):
        for known in get_args(RuleName):
            if name == known:
                return known  # type: ignore[no-any-return]
    names = " or ".join(f'"{known}"' for known in get_args(RuleName))
    raise InstanceError("rule", name, f"must be {names}", "choose one of them")
