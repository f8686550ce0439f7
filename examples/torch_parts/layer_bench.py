"""What the workers of ``torch_layer_time.py`` run: constants, then layers under several plans."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from moeopt.adapters.torch.clock import PhaseClock
from moeopt.adapters.torch.exchange import as_bytes
from moeopt.adapters.torch.experts import Experts
from moeopt.adapters.torch.layer import ExpertParallel
from moeopt.adapters.torch.layout import Layout
from moeopt.adapters.torch.reference import reference

#: Passes that are not timed, and those that are.
WARM_UP = 4
REPEATS = 15

#: Tokens of each checked layer that are computed again, and how far off bf16 may be, relative.
CHECKED = 64
BF16 = 2e-2


@dataclass(frozen=True)
class Shape:
    """The layer: widths, experts, choices of a token, tokens of a rank."""

    hidden: int
    inner: int
    experts: int
    top_k: int
    tokens: int


@dataclass(frozen=True)
class Constants:
    """What is measured on evenly random routing, for predictions.

    `compute` is ``(rows, seconds)`` at two sizes, `layer_s` the whole layer's, `even_bytes` what
    its busiest port moved; `rate` is bytes a second of a port.
    """

    compute: tuple[tuple[int, float], tuple[int, float]]
    rate: float
    layer_s: float
    even_bytes: int


class Bench:
    """One worker's layer, weights of all experts at hand."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.rank, self.world = dist.get_rank(), dist.get_world_size()
        self.device = here()
        shared = torch.Generator(device=self.device).manual_seed(0)
        own = torch.Generator(device=self.device).manual_seed(1 + self.rank)
        self.up = self._random(shared, shape.experts, 2 * shape.inner, shape.hidden)
        self.down = self._random(shared, shape.experts, shape.hidden, shape.inner)
        self.hidden = self._random(own, shape.tokens, shape.hidden) * shape.hidden**0.5
        gates = torch.rand(shape.tokens, shape.top_k, device=self.device, generator=own)
        self.gates = gates.softmax(dim=-1)
        self.layer = ExpertParallel(*self.placed(Layout.contiguous(shape.experts, self.world)))

    def place(self, layout: Layout) -> None:
        """Go over to another plan."""
        self.layer.adopt(*self.placed(layout))

    def layer_s(self, ids: torch.Tensor) -> float:
        """Return the median seconds of the layer on the slowest rank."""
        return self._slowest(lambda: self.layer(self.hidden, ids, self.gates))

    def served(self, ids: torch.Tensor) -> tuple[list[int], int]:
        """Return the rows of each own slot, and the bytes of the busiest port, one way."""
        turn = self.layer.gate(self.hidden, ids, self.gates)
        assert turn.route is not None
        sizes = turn.route.sizes
        off = [sum(side) - side[self.rank] for side in (sizes.sent, sizes.received)]
        rows = torch.tensor(max(off), device=self.device)
        dist.all_reduce(rows, dist.ReduceOp.MAX)
        return turn.per_slot, int(rows) * self.hidden.shape[1] * self.hidden.element_size()

    def compute_s(self, count: list[int], experts: Experts | None = None) -> float:
        """Return the median seconds of `computation` on the slowest rank."""
        return self._slowest(self.computation(count, experts))

    def computation(self, count: list[int], experts: Experts | None = None) -> Callable[[], Any]:
        """Return what computes the experts alone, the layer's or those given, on so many rows."""
        computed = experts or self.layer.experts
        ends = torch.tensor(count, device=self.device).cumsum(0).to(torch.int32)
        rows = self.hidden[torch.arange(sum(count), device=self.device) % len(self.hidden)]
        return lambda: computed(rows, ends, count)

    def rate(self) -> float:
        """Return the bytes a second that a port moves each way in an even all-to-all."""
        rows = self.shape.tokens * self.shape.top_k // self.world
        sent = self.hidden.new_empty(rows * self.world, self.shape.hidden)
        got = torch.empty_like(sent)
        split = [rows] * self.world

        def once() -> None:
            dist.all_to_all_single(as_bytes(got), as_bytes(sent), split, split)

        moved = rows * (self.world - 1) * self.shape.hidden * sent.element_size()
        return moved / self._slowest(once)

    def require_right(self, ids: torch.Tensor) -> None:
        """Compare the first tokens with the layer's definition.

        Raises
        ------
        ArithmeticError
            If they differ by more than bf16 explains.
        """
        first = slice(0, CHECKED)
        given = (self.hidden[first], ids[first], self.gates[first])
        found = self.layer(self.hidden, ids, self.gates)[first].float()
        weights = (self.up, self.down)
        truth = reference(
            *(t.float() if t.is_floating_point() else t for t in given),
            *(w.float() for w in weights),
        )
        off = float((found - truth).abs().max() / truth.abs().max())
        if not off <= BF16:
            raise ArithmeticError(f"rank {self.rank}: outputs differ by {off:.2g}")

    def placed(self, layout: Layout) -> tuple[Layout, Experts]:
        """Return a layout, and the experts of this rank's slots."""
        return layout, Experts.of_slots(self.up, self.down, layout.experts_on(self.rank))

    def _random(self, generator: torch.Generator, *shape: int) -> torch.Tensor:
        plain = torch.randn(*shape, device=self.device, dtype=torch.float32, generator=generator)
        return plain.mul_(shape[-1] ** -0.5).to(torch.bfloat16)

    def _slowest(self, work: Callable[[], Any]) -> float:
        return slowest_s(work, self.device)


def slowest_s(work: Callable[[], Any], device: torch.device, *, apart: bool = False) -> float:
    """Return the median seconds of something on the rank that takes longest.

    With `apart` no rank begins again before all have ended.
    """
    return largest(median_s(work, device, apart=apart), device)


def median_s(work: Callable[[], Any], device: torch.device, *, apart: bool = False) -> float:
    """Return the median seconds of something on this rank; all begin together."""
    for _ in range(WARM_UP):
        work()
    dist.barrier()
    clock, nothing = PhaseClock(device), torch.zeros(1, device=device)
    for _ in range(REPEATS):
        if apart:
            dist.all_reduce(nothing)
        clock.mark(None)
        work()
        clock.mark("compute")
    return float(np.median(clock.seconds()["compute"]))


def largest(value: float, device: torch.device) -> float:
    """Return the largest of the ranks' values."""
    found = torch.tensor(value, device=device, dtype=torch.float64)
    dist.all_reduce(found, dist.ReduceOp.MAX)
    return float(found)


def here() -> torch.device:
    """Return where this worker computes."""
    if dist.get_backend() == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


@functools.cache
def bench_of(shape: Shape) -> Bench:
    """Return this worker's bench, the same in every call."""
    return Bench(shape)


@torch.no_grad()
def calibrate(shape: Shape) -> Constants:
    """Measure the constants of a layer, on tokens that choose their experts evenly at random."""
    bench = bench_of(shape)
    generator = torch.Generator(device=bench.device).manual_seed(100 + bench.rank)
    random = torch.rand(shape.tokens, shape.experts, device=bench.device, generator=generator)
    ids = random.topk(shape.top_k).indices
    layer_s = bench.layer_s(ids)
    count, moved = bench.served(ids)
    half = [rows // 2 for rows in count]
    sizes = [(sum(rows), bench.compute_s(rows)) for rows in (half, count)]
    return Constants((sizes[0], sizes[1]), bench.rate(), layer_s, moved)


@torch.no_grad()
def measure(
    shape: Shape, ids: np.ndarray, tables: np.ndarray, slots: np.ndarray
) -> list[list[tuple[float, float, int]]]:
    """Time every layer under every plan.

    Parameters
    ----------
    shape
        As it was calibrated.
    ids
        Experts of the tokens, ``(layers, ranks, tokens, top_k)``.
    tables
        Expert in each slot, ``(plans, layers, slots)``.
    slots
        Slots of each rank.

    Returns
    -------
    Of each plan and layer: seconds of the layer, of its experts alone on the busiest rank, and the
    bytes of its busiest port one way.
    """
    bench = bench_of(shape)
    own = torch.from_numpy(ids[:, bench.rank].astype(np.int64)).to(bench.device)
    found: list[list[tuple[float, float, int]]] = []
    for plan in tables:
        found.append([])
        for layer, table in enumerate(plan):
            bench.place(Layout.even(table, slots))
            seconds = bench.layer_s(own[layer])
            count, moved = bench.served(own[layer])
            found[-1].append((seconds, bench.compute_s(count), moved))
            if layer == 0:
                bench.require_right(own[layer])
    return found


@torch.no_grad()
def ranks_in_turn(shape: Shape, experts: list[np.ndarray], rows: list[np.ndarray]) -> list[float]:
    """Time the experts of ranks, one rank after another on this worker's device.

    Parameters
    ----------
    shape
        Of the layer.
    experts
        Expert in each slot of each rank.
    rows
        Of each of these slots.

    Returns
    -------
    Seconds of each rank.
    """
    bench = bench_of(shape)
    return [
        bench.compute_s(count.tolist(), Experts.of_slots(bench.up, bench.down, expert))
        for expert, count in zip(experts, rows, strict=True)
    ]
