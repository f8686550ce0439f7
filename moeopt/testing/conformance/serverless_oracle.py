"""Brute force for tiny serverless problems, written from the formulation and from no solver.

It shares no arithmetic with ``moeopt.serverless``: each replica is followed second by second, one
option after the other, and all combinations of a layer's experts are valued.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.serverless.plan import ServerlessPlan
from moeopt.serverless.problem import ServerlessProblem, VcpuModel
from moeopt.testing.conformance.kit import Optimum

#: Combinations of the experts' options of a layer, over all ways of communicating, and those of
#: two layers' fronts, beyond which brute force declines.
MOST_COMBINATIONS, MOST_PAIRS = 1_000_000, 4_000_000

#: Relative difference that is rounding.
_CLOSE = 1e-9


class _Way(NamedTuple):
    """How a layer communicates."""

    design: int
    degree: int


@dataclass(frozen=True)
class _Option:
    """A memory size and a number of replicas of an expert, with what they come to."""

    memory_mb: int
    replicas: int
    cost_usd: float
    latency_s: float


#: A way and an option of each expert, for one layer or for several.
_Choice = tuple[tuple[_Way, tuple[_Option, ...]], ...]


@dataclass(frozen=True)
class _Front:
    """Choices of one layer or of several, none worse than another in both.

    Attributes
    ----------
    latency_s, cost_usd
        Ascending and descending, ``(choices,)``.
    chosen
        What they are.
    """

    latency_s: FloatArray
    cost_usd: FloatArray
    chosen: list[_Choice]


def brute_force(problem: ServerlessProblem) -> Optimum | None:
    """Return the optimum over every plan, or ``None`` if there are too many of them."""
    degrees = _degrees(problem)
    if _too_many(problem, degrees):
        return None
    groups = [[degree] for degree in degrees] if problem.pipeline_degree == "model" else [degrees]
    layers = [_Layer(problem, e) for e in range(problem.num_layers)]
    rate = problem.waiting_usd_per_s()
    outside_s = problem.head_s + problem.tail_s
    best: tuple[float, ServerlessPlan | None] = (math.inf, None)
    for group in groups:
        ways = [_Way(1, degree) for degree in group if 1 in problem.designs]
        ways += [_Way(design, 0) for design in (2, 3) if design in problem.designs]
        fronts = [reduce(_either, map(layer.front, ways)) for layer in layers]
        if any(len(a.chosen) * len(b.chosen) > MOST_PAIRS for a, b in pairwise(fronts)):
            return None
        whole = reduce(_joined, fronts)
        kept = whole.latency_s + outside_s <= (problem.slo_s or math.inf) * (1 + _CLOSE)
        if kept.any():
            # The last that keeps the promise is the cheapest.
            row = int(np.flatnonzero(kept)[-1])
            cost = float(whole.cost_usd[row]) + rate * outside_s
            if cost < best[0]:
                best = (cost, _plan(problem, whole.chosen[row]))
    return Optimum(None, None) if best[1] is None else Optimum(*best)


def _degrees(problem: ServerlessProblem) -> list[int]:
    """Return a degree for every combination of minibatches that replicas can have."""
    if 1 not in problem.designs:
        return [0]
    found = {1}
    for e in range(problem.num_layers):
        for tokens in problem.tokens_of(e).ravel().tolist():
            for replicas in range(1, problem.max_replicas + 1):
                share = tokens / replicas
                # The least degree with at most n minibatches; one above it is never needed.
                degree = max(1, math.ceil(share))
                found.add(degree)
                while degree > 1:
                    more = _minibatches(share, degree - 1)
                    degree = max(1, math.ceil(share / more - _CLOSE))
                    found.add(degree)
    return sorted(found)


def _too_many(problem: ServerlessProblem, degrees: list[int]) -> bool:
    options = len(problem.memory_mb) * problem.max_replicas
    most = int(problem.experts().max())
    # Floats: the number may be astronomical.
    return (len(degrees) + 2) * float(options) ** most > MOST_COMBINATIONS


class _Layer:
    """A layer, and its fronts by the way it communicates."""

    def __init__(self, problem: ServerlessProblem, layer: int) -> None:
        self.problem, self.layer = problem, layer
        self.known: dict[_Way, _Front] = {}

    def front(self, way: _Way) -> _Front:
        """Return all that the layer's experts can come to in one way."""
        if way not in self.known:
            self.known[way] = self.combined(way)
        return self.known[way]

    def combined(self, way: _Way) -> _Front:
        problem, stated = self.problem, self.problem.layers[self.layer]
        count = len(problem.tokens_of(self.layer)[0])
        experts = [_options(problem, self.layer, i, way) for i in range(count)]
        picked = list(product(*experts))
        late = [max(o.latency_s for o in each) + stated.non_moe_s for each in picked]
        cost = [
            sum(o.cost_usd for o in each) + problem.waiting_usd_per_s() * seconds
            for each, seconds in zip(picked, late, strict=True)
        ]
        return _pruned(np.array(late), np.array(cost), [((way, each),) for each in picked])


def _either(one: _Front, other: _Front) -> _Front:
    late = np.concatenate([one.latency_s, other.latency_s])
    cost = np.concatenate([one.cost_usd, other.cost_usd])
    return _pruned(late, cost, one.chosen + other.chosen)


def _joined(one: _Front, other: _Front) -> _Front:
    late = (one.latency_s[:, None] + other.latency_s).ravel()
    cost = (one.cost_usd[:, None] + other.cost_usd).ravel()
    return _pruned(late, cost, [a + b for a in one.chosen for b in other.chosen])


def _pruned(late: FloatArray, cost: FloatArray, chosen: list[_Choice]) -> _Front:
    order = np.lexsort((cost, late))
    least = np.minimum.accumulate(cost[order])
    kept = order[np.append(True, least[1:] < least[:-1])] if order.size else order
    return _Front(late[kept], cost[kept], [chosen[row] for row in kept.tolist()])


def _options(problem: ServerlessProblem, layer: int, expert: int, way: _Way) -> list[_Option]:
    """Return the options of an expert that keep C1 to C5."""
    found = []
    for j, memory_mb in enumerate(problem.memory_mb):
        for replicas in range(1, problem.max_replicas + 1):
            at_once = [
                _Replica(problem, layer, expert, s, way, j, replicas)
                for s in range(problem.num_scenarios)
            ]
            if not all(replica.fits() for replica in at_once):
                continue
            mean = sum(
                float(weight) * replica.usd()
                for weight, replica in zip(problem.weights(), at_once, strict=True)
            )
            cost = replicas * (mean + float(problem.held_usd()[j]))
            latency = max(replica.layer_s() for replica in at_once)
            found.append(_Option(memory_mb, replicas, cost, latency))
    return found


@dataclass(frozen=True)
class _Replica:
    """One replica of an expert in one scenario."""

    problem: ServerlessProblem
    layer: int
    expert: int
    scenario: int
    way: _Way
    size: int
    replicas: int

    @property
    def tokens(self) -> float:
        mine = self.problem.tokens_of(self.layer)[self.scenario, self.expert]
        return float(mine) / self.replicas

    @property
    def all_tokens(self) -> float:
        return float(self.problem.tokens_of(self.layer)[self.scenario].sum())

    @property
    def minibatches(self) -> int:
        return _minibatches(self.tokens, self.way.degree) if self.way.design == 1 else 1

    @property
    def parameter_bytes(self) -> float:
        return float(self.problem.parameter_bytes_of(self.layer)[self.expert])

    def token_bytes(self) -> tuple[float, float]:
        expert = self.problem.expert_of(self.layer)
        return expert.input_bytes_per_token, expert.output_bytes_per_token

    def token_s(self) -> float:
        compute = self.problem.expert_of(self.layer).compute
        if not isinstance(compute, VcpuModel):
            return compute.seconds_per_token[self.size]
        share = self.problem.memory_mb[self.size] / self.problem.limits().mb_per_vcpu
        return compute.seconds_per_token / min(share, compute.most_vcpus)

    def fits(self) -> bool:
        """Tell whether C3, C4 and C5 hold."""
        problem, (there, back) = self.problem, self.token_bytes()
        own = problem.expert_of(self.layer).intermediate_bytes + self.parameter_bytes
        needed = own + self.tokens * (there + back)
        if needed > problem.memory_mb[self.size] * 2**20 * (1 + _CLOSE):
            return False
        message = self.tokens * max(there, back)
        if self.way.design == 3 and message > problem.tensor_payload_bytes() * (1 + _CLOSE):
            return False
        return self.billed_s(0.0) <= problem.limits().timeout_s * (1 + _CLOSE)

    def usd(self) -> float:
        """Return the bill of its call, 0 if it has no tokens."""
        if not self.tokens:
            return 0.0
        problem, billing, book = self.problem, self.problem.billing, self.problem.book()
        cold = billing.cold_share if billing.cold_starts and book.init_is_billed else 0.0
        if billing.provisioned_s is not None:
            cold = 0.0
        seconds = (1 - cold) * self.billed_s(0.0)
        if cold:
            seconds += cold * self.billed_s(problem.network.cold_start_s)
        usd = seconds * float(problem.usd_per_s()[self.size])
        if billing.requests:
            usd += book.usd_per_request
        return usd + (self.storage_usd() if billing.storage else 0.0)

    def storage_usd(self) -> float:
        prices = self.problem.book().storage_prices(self.problem.storage)
        usd = prices.usd_per_get + prices.usd_per_retrieved_gb * self.parameter_bytes / 1e9
        if self.way.design == 3:
            return usd
        gigabytes = self.tokens * sum(self.token_bytes()) / 1e9
        for _ in range(self.minibatches):
            # Its inputs are written by the gate and read, its outputs written and read next.
            usd += 2 * (prices.usd_per_put + prices.usd_per_get)
        return usd + gigabytes * (prices.usd_per_uploaded_gb + prices.usd_per_retrieved_gb)

    def billed_s(self, cold_s: float) -> float:
        """Return the billed seconds of its call."""
        billing = self.problem.billing
        started = self.started_s(cold_s)
        if self.way.design == 3:
            seconds = self.worked_from(started)
        elif billing.waiting:
            seconds = self.done_s(cold_s)
        else:
            seconds = self.worked_from(started)
        step = self.problem.book().billing_step_s if billing.rounding else 0.0
        return math.ceil(seconds / step - 1e-6) * step if step else seconds

    def started_s(self, cold_s: float) -> float:
        """Return when it has its parameters, after its call."""
        network = self.problem.network
        loading_s = network.access_delay_s + self.parameter_bytes / network.storage_bytes_per_s
        return network.warm_start_s + cold_s + loading_s

    def worked_from(self, clock: float) -> float:
        """Return when it is done if all it waits for is there at `clock`."""
        network, (there, back), token_s = self.problem.network, self.token_bytes(), self.token_s()
        rate, delay_s = network.storage_bytes_per_s, network.access_delay_s
        if self.way.design == 3:
            return clock + self.tokens * (token_s + back / network.function_bytes_per_s)
        if self.way.design == 2:
            clock += delay_s + self.tokens * there / rate
            return clock + self.tokens * token_s + delay_s + self.tokens * back / rate
        size = self.tokens / self.minibatches
        for _ in range(self.minibatches):
            # Reads and computes a minibatch while the outputs of the one before are written.
            clock += delay_s + max(size * (there / rate + token_s), size * back / rate)
        return clock + delay_s + size * back / rate

    def done_s(self, cold_s: float) -> float:
        """Return when it is done after the layer's start, its inputs on their way until then."""
        network, there = self.problem.network, self.token_bytes()[0]
        started = self.started_s(cold_s)
        if self.way.design == 3:
            return self.worked_from(started + self.tokens * there / network.function_bytes_per_s)
        rate, delay_s = network.storage_bytes_per_s, network.access_delay_s
        uploaded = delay_s + self.all_tokens * there / rate
        if self.way.design == 2:
            return self.worked_from(max(started, uploaded))
        size = self.tokens / self.minibatches
        first = self.worked_from(max(started, delay_s + size * there / rate))
        back = self.token_bytes()[1]
        last = delay_s + max(size * (there / rate + self.token_s()), size * back / rate)
        return max(first, uploaded + last + delay_s + size * back / rate)

    def layer_s(self) -> float:
        """Return the layer's latency, were it for this replica alone."""
        problem, network = self.problem, self.problem.network
        load = problem.layers[self.layer].next_parameter_bytes / network.storage_bytes_per_s
        next_s = network.warm_start_s + network.access_delay_s + load
        cold_s = network.cold_start_s if problem.slo_start == "cold" else 0.0
        done = self.done_s(cold_s) if self.tokens else 0.0
        if self.way.design == 3:
            return done + next_s
        gathered = self.all_tokens * self.token_bytes()[1] / network.storage_bytes_per_s
        return max(done, next_s) + network.access_delay_s + gathered


def _minibatches(tokens: float, degree: int) -> int:
    return max(1, math.ceil(tokens / degree - _CLOSE))


def _plan(problem: ServerlessProblem, chosen: _Choice) -> ServerlessPlan:
    shape = (problem.num_layers, problem.num_experts)
    memory, replicas = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for e, (_, picked) in enumerate(chosen):
        memory[e, : len(picked)] = [option.memory_mb for option in picked]
        replicas[e, : len(picked)] = [option.replicas for option in picked]
    return ServerlessPlan(
        design=np.array([way.design for way, _ in chosen]),
        pipeline_degree=_within_shares(problem, chosen, replicas),
        memory_mb=memory,
        replicas=replicas,
    )


def _within_shares(problem: ServerlessProblem, chosen: _Choice, replicas: IntArray) -> IntArray:
    """Return the degrees, none above the most tokens of a replica, C7: no minibatch changes."""
    most = []
    for e, (way, picked) in enumerate(chosen):
        share = problem.tokens_of(e) / replicas[e, : len(picked)]
        most.append(max(1, math.ceil(float(share.max()) - _CLOSE)) if way.design == 1 else 0)
    if problem.pipeline_degree == "model":
        most = [max(most) if own else 0 for own in most]
    return np.array([min(way.degree, own) for (way, _), own in zip(chosen, most, strict=True)])
