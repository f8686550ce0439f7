"""What no deployment can beat: a lower bound of the bill, with its argument.

The bound needs no pipeline degree: in design 1 every replica has the number of minibatches that
suits it best, one number for its bill and another for its latency, in every scenario its own. One
degree for a layer, or for the model, can only do worse.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeopt.core.arrays import FloatArray
from moeopt.serverless.degrees import largest_degree
from moeopt.serverless.options import Options, layer_data, layer_options, options_within
from moeopt.serverless.plan import TOLERANCE
from moeopt.serverless.problem import ServerlessProblem
from moeopt.serverless.promise import fixed_s

#: A promise may be missed by this much: a little more than the checker lets pass.
_SLACK = 1.01 * TOLERANCE

#: Prices of a second that are tried; each of them gives a bound.
_PRICES = 60


@dataclass(frozen=True)
class Staircase:
    """What a layer costs at least if it takes at most so long, over designs.

    Attributes
    ----------
    latency_s
        Seconds of the layer, ``(steps,)``.
    cost_usd
        Its bill, waiting non-MoE functions included, ``(steps,)``.
    """

    latency_s: FloatArray
    cost_usd: FloatArray


def bound(problem: ServerlessProblem) -> float:
    """Return the better of two lower bounds of the bill, in US dollars.

    * *Cheapest*: every layer takes its cheapest step, whatever the promise.
    * *Priced seconds*: let a second cost `price`, and be paid back for every second of the promise.
      A plan that keeps the promise then costs no more than its bill, and at least the sum over
      layers of the least ``cost + price * latency``. So for every price that sum less
      ``price * promise`` is a bound; a search looks for the best price.

    Zero or more: if some layer fits nowhere there is no plan, and any bound holds.
    """
    layers = [staircase(problem, layer) for layer in range(problem.num_layers)]
    known = [layer for layer in layers if layer.latency_s.size]
    around_usd = problem.waiting_usd_per_s() * (problem.head_s + problem.tail_s)
    cheapest = sum(float(layer.cost_usd.min()) for layer in known)
    if problem.slo_s is None or len(known) < len(layers):
        return cheapest + around_usd
    # A little more than the checker lets pass.
    left_s = problem.slo_s * (1 + _SLACK) - fixed_s(problem)
    return max(cheapest, _best_price(known, left_s, cheapest)) + around_usd


def staircase(problem: ServerlessProblem, layer: int) -> Staircase:
    """Return what a layer costs at least within each latency; empty if some expert fits nowhere.

    Under one design the layer's latency is the largest of its experts', so within a latency every
    expert takes its cheapest option that is as fast.
    """
    data, parts = layer_data(problem, layer), []
    for design in problem.designs:
        if design == 1:
            options = options_within(problem, data, 1, largest_degree(data.tokens))
        else:
            options = layer_options(problem, data, design)
        parts.append(_steps(options))
    within_s = np.concatenate([part.latency_s for part in parts])
    cost_usd = np.concatenate([part.cost_usd for part in parts])
    seconds = within_s + problem.layers[layer].non_moe_s
    return Staircase(within_s, cost_usd + problem.waiting_usd_per_s() * seconds)


def _best_price(layers: list[Staircase], left_s: float, cheapest: float) -> float:
    """Return the largest bound of some prices of a second.

    The bound is concave in the price: it rises while the layers together take too long.
    """

    def priced(price: float) -> tuple[float, float]:
        total, seconds = -price * left_s, 0.0
        for layer in layers:
            value = layer.cost_usd + price * layer.latency_s
            step = int(np.argmin(value))
            total += float(value[step])
            seconds += float(layer.latency_s[step])
        return total, seconds

    best, seconds = priced(0.0)
    if seconds <= left_s:
        return best
    low, high = 0.0, max(cheapest, np.finfo(float).tiny) / max(seconds, 1.0)
    # At higher prices the last digit of the seconds left is worth all layers together.
    most = cheapest / np.spacing(max(seconds, abs(left_s)))
    while high <= most:
        value, seconds = priced(high)
        best = max(best, value)
        if seconds <= left_s:
            break
        low, high = high, 4 * high
    for _ in range(_PRICES):
        price = (low + high) / 2
        value, seconds = priced(price)
        best = max(best, value)
        low, high = (low, price) if seconds <= left_s else (price, high)
    return best if np.isfinite(best) else cheapest


def _steps(options: Options) -> Staircase:
    """Return the staircase of one design."""
    experts = len(options.cost_usd)
    allowed = options.fits.reshape(experts, -1)
    if not allowed.any(axis=1).all():
        return Staircase(np.empty(0), np.empty(0))
    latency = np.where(allowed, options.latency_s.reshape(experts, -1), np.inf)
    cost = np.where(allowed, options.cost_usd.reshape(experts, -1), np.inf)
    order = np.argsort(latency, axis=1)
    latency = np.take_along_axis(latency, order, axis=1)
    best = np.minimum.accumulate(np.take_along_axis(cost, order, axis=1), axis=1)
    saved = best[:, :-1] - best[:, 1:]
    # No layer is faster than its slowest expert at its fastest: until then savings are free.
    first = latency[:, 0].max()
    when = np.maximum(latency[:, 1:], first)[saved > 0]
    turn = np.argsort(when)
    whole = best[:, 0].sum()
    return Staircase(
        np.append(first, when[turn]), np.append(whole, whole - np.cumsum(saved[saved > 0][turn]))
    )
