"""What workers with a GPU each do for `test_torch_gpu`."""

from __future__ import annotations

import numpy as np
import torch
import torch.distributed as dist

from moeopt.adapters.torch.experts import Experts
from moeopt.adapters.torch.gating import SplitTable, arrivals, ordered
from moeopt.adapters.torch.graphs import Graphs
from moeopt.adapters.torch.kernels import gpu_kernels
from moeopt.adapters.torch.layer import ExpertParallel
from moeopt.adapters.torch.layout import Layout
from moeopt.adapters.torch.migrate import Migration
from moeopt.adapters.torch.reference import random_weights, reference

EXPERTS, HIDDEN, INNER, TOP_K = 8, 64, 48, 3


def here() -> torch.device:
    return torch.device("cuda", torch.cuda.current_device())


def off(found: torch.Tensor, truth: torch.Tensor) -> float:
    if truth.numel() == 0:
        return 0.0
    return float((found.float() - truth.float()).abs().max() / truth.float().abs().max())


def given(tokens: int, seed: int, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(100 * seed + dist.get_rank())
    hidden = torch.randn(tokens, HIDDEN, generator=generator)
    ids = torch.rand(tokens, EXPERTS, generator=generator).topk(TOP_K).indices
    weights = torch.rand(tokens, TOP_K, generator=generator).softmax(dim=-1)
    return hidden.to(here(), dtype), ids.to(here()), weights.to(here())


def layouts() -> tuple[Layout, Layout]:
    """Return replicas evenly, and an uneven layout with an empty slot."""
    world = dist.get_world_size()
    even = Layout.even(np.arange(EXPERTS * 2) % EXPERTS, _slots(2 * EXPERTS, world, 0))
    table = np.append(np.arange(EXPERTS)[::-1], [-1, 3, 3])
    return even, Layout.even(table, _slots(EXPERTS + 3, world, 1))


def _slots(count: int, world: int, fewer: int) -> np.ndarray:
    slots = np.full(world, count // world)
    slots[0] += count % world
    if world > 1:
        slots[1] -= fewer
        slots[0] += fewer
    return slots


def built(layout: Layout, dtype: torch.dtype) -> tuple[ExpertParallel, tuple[torch.Tensor, ...]]:
    weights = [w.to(here(), dtype) for w in random_weights(EXPERTS, HIDDEN, INNER, seed=1)]
    experts = Experts.of_slots(*weights, layout.experts_on(dist.get_rank()))
    return ExpertParallel(layout, experts), tuple(weights)


def passes(dtype: torch.dtype) -> float:
    """Return the largest error over passes of changing sizes: eager, captured and replayed."""
    worst = 0.0
    for layout in layouts():
        layer, weights = built(layout, dtype)
        for step, tokens in enumerate([40, 40, 7, 40, 0, 7, 7, 40]):
            hidden, ids, gates = given(tokens, step, dtype)
            with torch.no_grad():
                found = layer(hidden, ids, gates)
                truth = reference(hidden, ids, gates, *weights)
            worst = max(worst, off(found, truth))
    return worst


def two_turns() -> float:
    """Return the error of two passes whose phases are mixed."""
    layer, weights = built(layouts()[0], torch.bfloat16)
    worst = 0.0
    for step in range(4):
        both = [given(tokens, 10 * step + i, torch.bfloat16) for i, tokens in enumerate((32, 32))]
        with torch.no_grad():
            turns = [layer.gate(*each) for each in both]
            for work in (layer.dispatch, layer.arrive, layer.compute, layer.combine, layer.arrive):
                for turn in turns:
                    work(turn)
            found = [layer.aggregate(turn) for turn in turns]
            truth = [reference(*each, *weights) for each in both]
        worst = max(worst, *(off(a, b) for a, b in zip(found, truth, strict=True)))
    return worst


def gradients() -> list[float]:
    """Return the errors of the gradients of tokens, gate weights, and all experts' weights."""
    layout = layouts()[0]
    layer, weights = built(layout, torch.float32)
    hidden, ids, gates = given(33, 5, torch.float32)
    own = [t.clone().requires_grad_() for t in (hidden, gates)]
    true = [t.clone().requires_grad_() for t in (hidden, gates)]
    full = [w.clone().requires_grad_() for w in weights]
    layer(own[0], ids, own[1]).square().sum().backward()
    reference(true[0], ids, true[1], *full).square().sum().backward()
    errors = [off(a.grad, b.grad) for a, b in zip(own, true, strict=True)]
    held = torch.from_numpy(layout.experts_on(dist.get_rank())).to(here())
    for mine, all_of_it in zip((layer.experts.up, layer.experts.down), full, strict=True):
        summed = torch.zeros_like(all_of_it).index_add(0, held, mine.grad)
        truth = all_of_it.grad.clone()
        dist.all_reduce(summed)
        dist.all_reduce(truth)
        errors.append(off(summed, truth))
    return errors


def migrated() -> float:
    """Return the largest error before, during and after a migration."""
    old, new = layouts()
    layer, weights = built(old, torch.bfloat16)
    group = dist.new_group()
    migration = Migration(layer, new, group)
    worst, step = 0.0, 0
    while True:
        each = given(24, step, torch.bfloat16)
        with torch.no_grad():
            worst = max(worst, off(layer(*each), reference(*each, *weights)))
        step += 1
        if layer.layout is new:
            return worst
        if migration.done:
            migration.finish()
        else:
            migration.advance()


def captured() -> bool:
    """Tell whether captured calls return what plain ones do, also when they are replayed."""
    table = SplitTable.of(layouts()[0], dist.get_rank(), here())
    orders, places = Graphs(), Graphs()
    same = True
    for seed in range(4):
        ids = given(50, seed, torch.float32)[1]
        (order, sizes), (true_order, true_sizes) = (
            orders.call(lambda given: ordered(given, table), (ids,), "ordered"),
            ordered(ids, table),
        )
        same &= bool((order.place == true_order.place).all() and (sizes == true_sizes).all())
        received = torch.randint(0, 9, (3, 5), device=here())
        found = places.call(lambda given: arrivals(given, 512), (received,), 512)
        total = int(received.sum())
        truth = arrivals(received, total)
        same &= bool((found.index[:total] == truth.index).all())
        same &= bool((found.ends == truth.ends).all())
    return same


def kernels() -> tuple[bool, float, float]:
    """Return whether Triton is there, and how far its kernels are from fp32 sums."""
    rows = torch.randn(60, 2500, device=here(), dtype=torch.bfloat16)
    own = gpu_kernels(rows)
    if own is None:
        return False, 0.0, 0.0
    place = torch.randperm(60, device=here())
    weights = torch.rand(20, 3, device=here())
    by_token = rows.float()[place].view(20, 3, -1)
    summed = off(own.weighted_sum(rows, weights, place), (by_token * weights[..., None]).sum(1))
    gate, up = rows.float().chunk(2, dim=-1)
    return True, summed, off(own.gated(rows), torch.nn.functional.silu(gate) * up)
