"""What workers run for the tests of exchanges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.distributed as dist

from moeopt.adapters.torch.choice import ChosenExchange
from moeopt.adapters.torch.exchange import Exchange, Route, SingleExchange, Sizes
from moeopt.adapters.torch.experts import Experts
from moeopt.adapters.torch.layer import ExpertParallel
from moeopt.adapters.torch.layout import Layout
from moeopt.adapters.torch.link import Link, measure_link
from moeopt.adapters.torch.reference import random_weights
from moeopt.adapters.torch.rounds import RoundsExchange, RoundsRoute, Span
from moeopt.adapters.torch.spot import SpotExchange
from moeopt.core.arrays import IntArray
from moeopt.core.errors import InstanceError
from moeopt.transfers.plan import TransferPlan

DTYPES = (torch.float32, torch.bfloat16)


@dataclass(frozen=True)
class Way:
    """How to exchange: something that can be sent to a worker.

    Attributes
    ----------
    name
        Of the exchange.
    plan, link, barrier
        What it takes, where it takes it.
    """

    name: Literal["single", "rounds", "spot", "chosen"]
    plan: TransferPlan | None = None
    link: Link | None = None
    barrier: bool = False

    def exchange(self, group: Any = None) -> Exchange:
        """Return the exchange of this worker."""
        if self.name == "rounds":
            assert self.plan is not None
            return RoundsExchange(self.plan, group, barrier=self.barrier)
        if self.name == "spot":
            return SpotExchange(group, self.link)
        if self.name == "chosen":
            assert self.link is not None
            return ChosenExchange(self.link, self.plan, group)
        return SingleExchange(group)


def device() -> torch.device:
    """Return where this worker's rows are."""
    if dist.get_backend() == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def sizes_of(matrix: IntArray, rank: int) -> Sizes:
    """Return what one rank knows of rows from each rank to each."""
    return Sizes(matrix[rank].tolist(), matrix[:, rank].tolist(), matrix)


def rows_arrive(way: Way, matrices: Sequence[IntArray], members: Sequence[int] = ()) -> list[str]:
    """Send rows there and back for each matrix, fp32 and bf16; return what came wrong.

    Rows say where they come from, where they go and which they are.

    Parameters
    ----------
    way
        How.
    matrices
        Rows from each rank to each.
    members
        Global ranks of a group that exchanges; none for all.
    """
    group = dist.new_group(list(members)) if members else None
    if members and dist.get_rank() not in members:
        return []
    exchange, rank = way.exchange(group), dist.get_rank(group)
    wrong = []
    for matrix in matrices:
        ranks, sizes = range(len(matrix)), sizes_of(matrix, rank)
        sent = [_marks(rank, other, matrix[rank, other]) for other in ranks]
        expected = [_marks(other, rank, matrix[other, rank]) for other in ranks]
        both = [(_tell(sent, dtype), _tell(expected, dtype)) for dtype in DTYPES]
        routes = [exchange.route(sizes, 3 * rows.element_size()) for rows, _ in both]
        # Both are under way at the same time, as two models' are.
        there = [
            route.start(rows, torch.full_like(goal, -1.0))
            for route, (rows, goal) in zip(routes, both, strict=True)
        ]
        arrived = [pending.wait() for pending in there]
        back = [
            route.start(rows, torch.full_like(home, -1.0), back=True)
            for route, rows, (home, _) in zip(routes, arrived, both, strict=True)
        ]
        returned = [pending.wait() for pending in back]
        if not all(torch.equal(rows, goal) for rows, (_, goal) in zip(arrived, both, strict=True)):
            wrong.append(f"{matrix}: not what was sent")
        if not all(torch.equal(rows, home) for rows, (home, _) in zip(returned, both, strict=True)):
            wrong.append(f"{matrix}: not back where it was")
    return wrong


def layer_steps(
    way: Way, layout: Layout, tokens: Sequence[Sequence[int]], dtype: torch.dtype
) -> list[list[torch.Tensor]]:
    """Return of each step the layer's outputs and gradients, and the outputs without a graph.

    Parameters
    ----------
    way
        How rows travel.
    layout
        Of the layer.
    tokens
        Of each rank, step by step.
    dtype
        Of weights and tokens.
    """
    rank = dist.get_rank()
    weights = random_weights(layout.num_experts, 8, 16, seed=1)
    up, down = (part.to(device(), dtype) for part in weights)
    experts = Experts.of_slots(up, down, layout.experts_on(rank))
    layer = ExpertParallel(layout, experts, way.exchange())
    steps = []
    for step, count in enumerate(tokens):
        random = torch.Generator().manual_seed(100 * step + rank)
        hidden = torch.randn(count[rank], 8, generator=random).to(device(), dtype).requires_grad_()
        score = torch.rand(count[rank], layout.num_experts, generator=random).to(device())
        ids, gates = score.topk(2).indices, score.topk(2).values.requires_grad_()
        layer.zero_grad()
        out = layer(hidden, ids, gates)
        out.float().square().sum().backward()
        with torch.no_grad():
            again = layer(hidden, ids, gates)
        assert hidden.grad is not None
        assert gates.grad is not None
        found = [out.detach(), again, hidden.grad, gates.grad]
        found += [_or_zero(weight) for weight in (experts.up, experts.down)]
        steps.append([tensor.cpu() for tensor in found])
    return steps


def decisions(
    way: Way, matrices: Sequence[IntArray], row_bytes: int
) -> list[list[tuple[list[Span], list[Span]]] | None]:
    """Return what this rank does in each round, for each matrix; ``None`` for one operation."""
    exchange, rank = way.exchange(), dist.get_rank()
    routes = [exchange.route(sizes_of(matrix, rank), row_bytes) for matrix in matrices]
    return [_said(route) for route in routes]


def taken(way: Way, matrices: Sequence[IntArray], row_bytes: int) -> dict[str, int]:
    """Return how often an exchange that chooses took each way."""
    exchange, rank = way.exchange(), dist.get_rank()
    assert isinstance(exchange, ChosenExchange)
    for matrix in matrices:
        exchange.route(sizes_of(matrix, rank), row_bytes)
    return dict(exchange.taken)


def groups_made(way: Way, matrix: IntArray) -> tuple[int, int]:
    """Return how many groups of sends and receives this rank makes, there and back."""
    exchange, rank = way.exchange(), dist.get_rank()
    route = exchange.route(sizes_of(matrix, rank), 4)
    made = []
    original = dist.batch_isend_irecv

    def counted(ops: list[Any]) -> list[Any]:
        made.append(len(ops))
        return original(ops)

    dist.batch_isend_irecv = counted
    try:
        there = route.start(torch.zeros(sum(matrix[rank]), 1), _zeros(matrix[:, rank])).wait()
        first = len(made)
        route.start(there, _zeros(matrix[rank]), back=True).wait()
    finally:
        dist.batch_isend_irecv = original
    return first, len(made) - first


def refusals(ways: Sequence[Way], members: Sequence[int]) -> list[str]:
    """Return what this worker is told that would exchange in a group of some."""
    group = dist.new_group(list(members))
    said = []
    for way in ways:
        try:
            way.exchange(group)
        except InstanceError as error:
            said.append(str(error))
    return said


def measured() -> tuple[Link, Link]:
    """Return the link between all workers, and that of each worker with itself."""
    alone = [dist.new_group([rank]) for rank in range(dist.get_world_size())]
    link = measure_link(most_bytes=1 << 18, repetitions=3)
    return link, measure_link(alone[dist.get_rank()])


def _marks(source: int, destination: int, count: int) -> IntArray:
    """Return a row of three numbers for each of some rows, all exact in bf16."""
    number = np.arange(count)
    return np.stack([np.full(count, 16 * source + destination), number // 256, number % 256], 1)


def _tell(marks: Sequence[IntArray], dtype: torch.dtype) -> torch.Tensor:
    return torch.from_numpy(np.concatenate(marks)).to(device(), dtype)


def _said(route: Route) -> list[tuple[list[Span], list[Span]]] | None:
    if not isinstance(route, RoundsRoute):
        return None
    return [(turn.sends, turn.receives) for turn in route.rounds]


def _zeros(rows: IntArray) -> torch.Tensor:
    return torch.zeros(int(rows.sum()), 1)


def _or_zero(weight: torch.nn.Parameter) -> torch.Tensor:
    return torch.zeros(1) if weight.grad is None else weight.grad.clone()
