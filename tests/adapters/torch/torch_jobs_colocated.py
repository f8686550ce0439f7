"""What the workers do in the tests of colocated models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from moeopt.adapters.torch.colocated import Colocated, Tokens
from moeopt.adapters.torch.exchange import Pending, Route, SingleExchange, Sizes
from moeopt.adapters.torch.experts import Activation, Experts
from moeopt.adapters.torch.layer import ExpertParallel, rank_and_world
from moeopt.adapters.torch.layout import Layout
from moeopt.adapters.torch.reference import random_weights, reference
from moeopt.adapters.torch.spot import SpotExchange
from moeopt.adapters.torch.turn_clock import MeasuredRound, TurnClock
from moeopt.core.arrays import IntArray


@dataclass(frozen=True, eq=False)
class Case:
    """One model's layer."""

    layout: Layout
    tokens: tuple[int, ...]
    top_k: int = 2
    hidden: int = 16
    inner: int = 24
    activation: Activation = "silu"
    dtype: torch.dtype = torch.float32
    device: str = "cpu"

    def weights(self) -> tuple[torch.Tensor, torch.Tensor]:
        made = random_weights(
            self.layout.num_experts, self.hidden, self.inner, seed=1, activation=self.activation
        )
        up, down = (weights.to(self.device, self.dtype) for weights in made)
        return up, down

    def layer(self, group: Any = None, exchange: Any = None) -> ExpertParallel:
        on_me = self.layout.experts_on(rank_and_world()[0])
        experts = Experts.of_slots(*self.weights(), on_me, self.activation)
        return ExpertParallel(self.layout, experts, exchange or SingleExchange(group), group)

    def drawn(self, step: int) -> Tokens:
        rank = rank_and_world()[0]
        generator = torch.Generator().manual_seed(100 * step + rank)
        count = self.tokens[(rank + step) % len(self.tokens)]
        hidden = torch.randn(count, self.hidden, generator=generator)
        choice = torch.rand(count, self.layout.num_experts, generator=generator)
        weight = torch.rand(count, self.top_k, generator=generator).softmax(-1)
        ids = choice.topk(self.top_k).indices
        return Tokens(
            hidden.to(self.device, self.dtype), ids.to(self.device), weight.to(self.device)
        )

    def error(self, own: Tokens, out: torch.Tensor) -> float:
        """Return how far an output is from the reference in fp32."""
        up, down = (weights.float() for weights in self.weights())
        wanted = reference(own.hidden.float(), own.expert_ids, own.gate_weights, up, down,
                           self.activation)  # fmt: skip
        return float((out.float() - wanted).abs().max()) if len(out) else 0.0


def together(
    cases: list[Case], steps: int, *, own_groups: bool = False, in_rounds: bool = False
) -> tuple[bool, list[float], list[MeasuredRound]]:
    """Return whether rounds give what each layer alone gives, the errors, and the times."""
    groups = [dist.new_group() if own_groups else None for _ in cases]
    layers = [case.layer(group) for case, group in zip(cases, groups, strict=True)]
    if in_rounds:
        layers[0].exchange, layers[2].exchange = SpotExchange(), SpotExchange()
    alone = [case.layer() for case in cases]
    colocated = Colocated(layers)
    colocated.clock = TurnClock(torch.device(cases[0].device))
    same, errors = True, [0.0] * len(cases)
    for step in range(steps):
        tokens = [case.drawn(step) for case in cases]
        found = colocated(tokens)
        for k, (case, own, out) in enumerate(zip(cases, tokens, found, strict=True)):
            with torch.no_grad():
                same &= torch.equal(out, alone[k](*own))
            errors[k] = max(errors[k], case.error(own, out))
    return same, errors, colocated.clock.rounds()


def one_layer_twice(case: Case) -> bool:
    """Tell whether one layer gives two batches in turns what it gives one after the other."""
    layer = case.layer()
    batches = [case.drawn(0), case.drawn(1)]
    found = Colocated([layer, layer])(batches)
    with torch.no_grad():
        wanted = [layer(*own) for own in batches]
    return all(torch.equal(*both) for both in zip(found, wanted, strict=True))


def sent(layouts: list[Layout], tokens: list[list[IntArray]]) -> list[list[int]]:
    """Return the rows that this rank really sends to each, for each model."""
    rank = rank_and_world()[0]
    found = []
    for layout, ids in zip(layouts, tokens, strict=True):
        layer = Case(layout, tokens=()).layer()
        own = torch.from_numpy(ids[rank])
        with torch.no_grad():
            turn = layer.gate(torch.zeros(len(own), 16), own, torch.ones(len(own), 1))
        found.append([0] if turn.route is None else turn.route.sizes.sent)
    return found


class _Logged:
    """An exchange that writes down when its operations begin and are waited for."""

    needs_matrix = False

    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log
        self.exchange = SingleExchange()

    def route(self, sizes: Sizes, row_bytes: int) -> Route:
        return _LoggedRoute(self, self.exchange.route(sizes, row_bytes))


@dataclass(frozen=True, eq=False)
class _LoggedRoute:
    owner: _Logged
    route: Route

    @property
    def sizes(self) -> Sizes:
        return self.route.sizes

    def start(self, rows: torch.Tensor, out: torch.Tensor, *, back: bool = False) -> Pending:
        way = f"{'combine' if back else 'dispatch'} {self.owner.name}"
        self.owner.log.append(f"{way} begins")
        return _LoggedPending(self.owner, way, self.route.start(rows, out, back=back))


@dataclass(frozen=True, eq=False)
class _LoggedPending:
    owner: _Logged
    way: str
    pending: Pending

    def wait(self) -> torch.Tensor:
        self.owner.log.append(f"{self.way} taken")
        return self.pending.wait()


def order(cases: list[Case]) -> list[str]:
    """Return what one round does, in the order in which this rank does it."""
    log: list[str] = []
    layers = []
    for k, case in enumerate(cases):
        layers.append(case.layer(exchange=_Logged(str(k), log)))
        layers[-1].experts.register_forward_hook(lambda *_, k=k: log.append(f"experts {k}"))
    Colocated(layers)([case.drawn(0) for case in cases])
    return log


def gone_round(layouts: list[Layout], tokens: list[list[IntArray]]) -> bool:
    """Tell whether a plan's own tokens come back as each layer alone gives them."""
    rank = rank_and_world()[0]
    layers = [Case(layout, tokens=()).layer() for layout in layouts]
    own = []
    for ids in tokens:
        mine = torch.from_numpy(ids[rank])
        rows = torch.arange(len(mine) * 16, dtype=torch.float32).view(-1, 16).sin()
        own.append(Tokens(rows, mine, torch.ones(len(mine), 1)))
    found = Colocated(layers)(own)
    with torch.no_grad():
        wanted = [layer(*tokens) for layer, tokens in zip(layers, own, strict=True)]
    return all(torch.equal(*both) for both in zip(found, wanted, strict=True))


def random_layout(seed: int, experts: int, ranks: int) -> Layout:
    """Return experts anywhere, several with copies; the last rank has none."""
    rng = np.random.default_rng(seed)
    held = np.concatenate([rng.permutation(experts), rng.integers(experts, size=3)])
    slots = np.bincount(rng.integers(ranks - 1, size=len(held)), minlength=ranks)
    return Layout.even(held, slots)
