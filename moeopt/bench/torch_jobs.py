"""What the workers of the bench run: exchanges and layers, each timed and checked."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial

import torch
import torch.distributed as dist

from moeopt.adapters.torch.exchange import Exchange, Route, SingleExchange, Sizes
from moeopt.adapters.torch.experts import Experts
from moeopt.adapters.torch.layer import ExpertParallel, rank_and_world
from moeopt.adapters.torch.layout import Layout
from moeopt.adapters.torch.reference import random_weights, reference
from moeopt.adapters.torch.rounds import RoundsExchange
from moeopt.bench.torch_orders import Course
from moeopt.bench.torch_routing import Routing
from moeopt.core.arrays import IntArray
from moeopt.core.errors import AdapterError

#: Most that an output may differ, over the largest.
TOLERANCE = 1e-6


def exchange_seconds(
    courses: Mapping[str, Course], rows: IntArray, row_bytes: int, repeats: int
) -> dict[str, list[float]]:
    """Return this rank's seconds of each exchange, taken in turn; the first round is checked.

    Parameters
    ----------
    courses
        How each goes, by name.
    rows
        From each rank to each, ``(ranks, ranks)``.
    row_bytes
        Bytes of a row.
    repeats
        Timed rounds over all of them.
    """
    rank, world = rank_and_world()
    sizes = Sizes(rows[rank].tolist(), rows[:, rank].tolist())
    sent = torch.cat([_content(rank, peer, rows, row_bytes) for peer in range(world)])
    right = torch.cat([_content(peer, rank, rows, row_bytes) for peer in range(world)])
    calls: dict[str, Callable[[], torch.Tensor]] = {}
    for name, course in courses.items():
        exchange: Exchange = SingleExchange()
        if course.plan is not None:
            exchange = RoundsExchange(course.plan, barrier=course.barrier)
        route = exchange.route(sizes, row_bytes)
        calls[name] = partial(_exchanged, route, sent, torch.empty_like(right))
    for name, call in calls.items():
        if not torch.equal(call(), right):
            raise AdapterError(f"exchange {name}: rank {rank} got other bytes than were sent")
    return _in_turn(calls, repeats)


def layer_seconds(
    layouts: Mapping[str, Layout], routing: Routing, hidden: int, inner: int, repeats: int
) -> dict[str, list[float]]:
    """Return this rank's seconds of each layout's layer, taken in turn; all outputs are checked.

    Parameters
    ----------
    layouts
        By name, of the same experts.
    routing
        Of the tokens of each rank.
    hidden, inner
        Widths of the model and of an expert.
    repeats
        Timed rounds over all of them.
    """
    rank, _ = rank_and_world()
    up, down = random_weights(routing.experts, hidden, inner, seed=0)
    ids, weights = (torch.from_numpy(part[rank]) for part in (routing.ids, routing.weights))
    tokens = torch.randn(len(ids), hidden, generator=torch.Generator().manual_seed(rank))
    calls: dict[str, Callable[[], torch.Tensor]] = {}
    with torch.no_grad():
        right = reference(tokens, ids, weights, up, down)
        for name, layout in layouts.items():
            layer = ExpertParallel(layout, Experts.of_slots(up, down, layout.experts_on(rank)))
            calls[name] = partial(layer, tokens, ids, weights)
        for name, call in calls.items():
            # What is no number is not right either.
            if not (call() - right).abs().max() <= TOLERANCE * right.abs().max():
                raise AdapterError(f"layout {name}: outputs of rank {rank} are wrong")
        return _in_turn(calls, repeats)


def _exchanged(route: Route, rows: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    return route.start(rows, out).wait()


def _content(source: int, goal: int, rows: IntArray, row_bytes: int) -> torch.Tensor:
    """Return the rows that go from one rank to another, the same wherever they are made."""
    generator = torch.Generator().manual_seed(source * len(rows) + goal)
    shape = (int(rows[source, goal]), row_bytes)
    return torch.randint(256, shape, dtype=torch.uint8, generator=generator)


def _in_turn(
    calls: Mapping[str, Callable[[], torch.Tensor]], repeats: int
) -> dict[str, list[float]]:
    """Return the seconds of each call; all ranks begin together."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            dist.barrier()
            begun = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - begun)
    return seconds
