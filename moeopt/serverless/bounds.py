"""What no deployment can beat: a lower bound of the bill, with its argument.

The bound needs no pipeline degree: in design 1 every replica has the number of minibatches that
suits it best, one number for its bill and another for its latency, in every scenario its own. One
degree for a layer, or for the model, can only do worse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from moeopt.core.arrays import BoolArray, FloatArray
from moeopt.serverless.options import (
    LayerData,
    Options,
    call_usd,
    cold_share_billed,
    layer_data,
    layer_options,
)
from moeopt.serverless.plan import TOLERANCE
from moeopt.serverless.problem import ServerlessProblem

#: Minibatches among which the best number is looked for first: mostly there are few.
_FEW = 16.0

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
    between = sum(layer.non_moe_s for layer in problem.layers)
    left_s = problem.slo_s - problem.head_s - problem.tail_s - between
    return max(cheapest, _best_price(known, left_s, cheapest)) + around_usd


def staircase(problem: ServerlessProblem, layer: int) -> Staircase:
    """Return what a layer costs at least within each latency; empty if some expert fits nowhere.

    Under one design the layer's latency is the largest of its experts', so within a latency every
    expert takes its cheapest option that is as fast.
    """
    data, parts = layer_data(problem, layer), []
    for design in problem.designs:
        options = _relaxed(problem, data) if design == 1 else layer_options(problem, data, design)
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
    for _ in range(_PRICES):
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


def _relaxed(problem: ServerlessProblem, data: LayerData) -> Options:
    """Return the options of design 1, each at the best number of minibatches for each figure.

    Without rounding, cost and latency are convex in the number of minibatches: what shrinks with
    a minibatch is a multiple of ``1 / n``, what each minibatch adds a multiple of ``n``, and the
    later of two convex times is convex. So the least is where the next minibatch stops paying.
    """
    replicas = np.arange(1, problem.max_replicas + 1)
    shape = (*data.tokens.shape, len(problem.memory_mb), len(replicas))
    share = np.broadcast_to((data.tokens[:, :, None] / replicas)[:, :, None, :], shape)
    compute_s, cold_share = data.compute_s[:, None], cold_share_billed(problem)
    upload_s = data.upload_s[:, None, None, None]
    cold_s = data.head_s[:, None, None] + problem.network.cold_start_s
    warm_s = data.head_s[:, None, None]

    def done_s(head_s: FloatArray, blocks: FloatArray) -> FloatArray:
        return data.clock.until_stored_s(1, head_s, share, blocks, compute_s, upload_s)

    def billed_s(head_s: FloatArray, blocks: FloatArray) -> FloatArray:
        if problem.billing.waiting:
            return done_s(head_s, blocks)
        return data.clock.working_s(1, head_s, share, blocks, compute_s)

    def paid_usd(blocks: FloatArray) -> FloatArray:
        mean_s = (1.0 - cold_share) * billed_s(warm_s, blocks)
        if cold_share:
            mean_s = mean_s + cold_share * billed_s(cold_s, blocks)
        return mean_s * data.usd_per_s[:, None] + call_usd(problem, data, 1, share, blocks)

    start_s = cold_s if problem.slo_start == "cold" else warm_s
    used = share > 0
    done = np.where(used, _least(lambda blocks: done_s(start_s, blocks), share), 0.0)
    each_usd = np.where(used, _least(paid_usd, share), 0.0)
    held_usd = data.held_usd[:, None]
    total = data.total_tokens[:, None, None, None]
    return Options(
        cost_usd=replicas * (np.tensordot(data.weights, each_usd, axes=1) + held_usd),
        latency_s=data.clock.layer_s(1, done, total).max(axis=0),
        fits=_enough_memory(problem, data, share),
    )


def _enough_memory(problem: ServerlessProblem, data: LayerData, share: FloatArray) -> BoolArray:
    """Return the options that C3 allows, which does not depend on minibatches."""
    expert = problem.expert_of(data.layer)
    both = expert.input_bytes_per_token + expert.output_bytes_per_token
    needed = data.parameter_bytes[:, None, None] + expert.intermediate_bytes + share * both
    enough: BoolArray = np.all(needed <= data.memory_bytes[:, None] * (1 + TOLERANCE), axis=0)
    return enough


def _least(value: Callable[[FloatArray], FloatArray], share: FloatArray) -> FloatArray:
    """Return the least of a function that is convex in the minibatches of a replica."""
    return value(_argmin(value, share))


def _argmin(value: Callable[[FloatArray], FloatArray], share: FloatArray) -> FloatArray:
    """Return the number of minibatches, 1 to a token in each, at which `value` is least."""
    low, high = np.ones_like(share), np.maximum(1.0, np.ceil(share))
    middle = np.minimum(_FEW, high)
    while (low < high).any():
        rises = value(middle + 1) >= value(middle)
        low, high = (
            np.where(rises, low, np.minimum(middle + 1, high)),
            np.where(rises, middle, high),
        )
        middle = np.floor((low + high) / 2)
    return low
