"""What workers run for the tests of the layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.distributed as dist

from moeopt.adapters.torch.experts import Activation, Experts
from moeopt.adapters.torch.layer import ExpertParallel, rank_and_world
from moeopt.adapters.torch.layout import Layout
from moeopt.adapters.torch.reference import random_weights, reference
from moeopt.core.errors import InstanceError

Tensors = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Case:
    """One layer and what goes in; every worker makes its own part of it.

    Attributes
    ----------
    layout
        Of the layer.
    tokens
        Of each rank.
    top_k
        Experts of a token; with ``"any"`` routing one may come twice.
    routing
        ``"any"`` experts, or all choices of all tokens to ``"one"``.
    hidden, inner, activation
        Of the experts.
    seed
        Of everything drawn.
    """

    layout: Layout
    tokens: tuple[int, ...]
    top_k: int = 2
    routing: Literal["any", "one"] = "any"
    hidden: int = 8
    inner: int = 12
    activation: Activation = "silu"
    seed: int = 0

    def weights(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the weights of all logical experts."""
        experts = self.layout.num_experts
        size = (experts, self.hidden, self.inner)
        return random_weights(*size, seed=self.seed, activation=self.activation)

    def inputs(self, rank: int, tokens: int) -> Tensors:
        """Return tokens, their experts and their gate weights."""
        random = np.random.default_rng([self.seed, rank])
        experts = self.layout.num_experts
        ids = random.integers(0, experts, (tokens, self.top_k))
        if self.routing == "one":
            ids[:] = np.random.default_rng(self.seed).integers(experts)
        hidden = random.standard_normal((tokens, self.hidden), dtype=np.float32)
        gate = random.random((tokens, self.top_k), dtype=np.float32)
        return torch.from_numpy(hidden), torch.from_numpy(ids), torch.from_numpy(gate)

    def layer(self, group: dist.ProcessGroup | None = None) -> ExpertParallel:
        """Return this rank's part of the layer."""
        rank, _ = rank_and_world(group)
        experts = Experts.of_slots(*self.weights(), self.layout.experts_on(rank), self.activation)
        return ExpertParallel(self.layout, experts, group=group)


def error(found: torch.Tensor, wanted: torch.Tensor, scale: float = 0.0) -> float:
    """Return the largest difference over the largest entry (at least over `scale`)."""
    if found.shape != wanted.shape:
        return float("inf")
    if found.numel() == 0:
        return 0.0
    largest = max(float(wanted.detach().abs().max()), scale)
    return float((found - wanted).detach().abs().max()) / (largest or 1.0)


def definition(case: Case, inputs: Tensors) -> torch.Tensor:
    """Return what the layer must return, in twice the digits."""
    hidden, ids, gate = inputs
    up, down = (weight.double() for weight in case.weights())
    return reference(hidden.double(), ids, gate.double(), up, down, case.activation)


def forward_error(case: Case) -> float:
    """Run three passes, the second with other numbers of tokens, and return the largest error."""
    rank, _ = rank_and_world()
    layer = case.layer()
    worst = 0.0
    with torch.no_grad():
        for tokens in (case.tokens, case.tokens[::-1], case.tokens):
            inputs = case.inputs(rank, tokens[rank])
            worst = max(worst, error(layer(*inputs), definition(case, inputs), 1.0))
    return worst


def errors(case: Case) -> dict[str, float]:
    """Return the largest errors of some passes, and of the gradients of one."""
    return {"outputs": forward_error(case), **gradient_errors(case)}


def gradient_errors(case: Case) -> dict[str, float]:
    """Return the error of every gradient of one forward and backward pass."""
    rank, world = rank_and_world()
    hidden, ids, gate = case.inputs(rank, case.tokens[rank])
    towards = torch.from_numpy(np.random.default_rng(rank).standard_normal(hidden.shape))
    layer = case.layer()
    ours = [hidden.requires_grad_(), gate.requires_grad_()]
    (layer(hidden, ids, gate) * towards.float()).sum().backward()
    truth = [part.detach().double().requires_grad_() for part in (hidden, gate, *case.weights())]
    out = reference(truth[0], ids, truth[1], truth[2], truth[3], case.activation)
    (out * towards).sum().backward()
    found = [part.grad for part in ours]
    wanted = [part.grad for part in truth]
    weights = (layer.experts.up, layer.experts.down)
    found += [_by_expert(weight, case.layout, rank) for weight in weights]
    if world > 1:
        for total in (found[2], found[3], wanted[2], wanted[3]):
            dist.all_reduce(total)
    # A gate weight's is a sum of products, one for each number of a row: these have the rounding.
    scales = {"hidden": 1.0, "gate": float(case.hidden), "up": 1.0, "down": 1.0}
    each = zip(scales.items(), found, wanted, strict=True)
    return {name: error(a, b, scale) for (name, scale), a, b in each}


def _by_expert(weight: torch.nn.Parameter, layout: Layout, rank: int) -> torch.Tensor:
    """Return the sum of the gradients of each expert's copies on a rank."""
    total = torch.zeros(layout.num_experts, *weight.shape[1:])
    if weight.grad is not None:
        expert = torch.from_numpy(layout.experts_on(rank))
        assert not weight.grad[expert < 0].any()
        total.index_add_(0, expert[expert >= 0], weight.grad[expert >= 0])
    return total


def some_gradients(case: Case, wanted: tuple[tuple[str, ...], ...]) -> dict[str, float]:
    """Return the errors of the gradients of only some inputs, others on each rank."""
    rank, _ = rank_and_world()
    hidden, ids, gate = case.inputs(rank, case.tokens[rank])
    layer = case.layer()
    layer.experts.requires_grad_("experts" in wanted[rank])
    ours = {"hidden": hidden, "gate": gate}
    truth = {name: part.double() for name, part in ours.items()}
    for name in set(ours) & set(wanted[rank]):
        ours[name].requires_grad_()
        truth[name].requires_grad_()
    layer(ours["hidden"], ids, ours["gate"]).square().sum().backward()
    up, down = (weight.double() for weight in case.weights())
    out = reference(truth["hidden"], ids, truth["gate"], up, down, case.activation)
    if out.requires_grad:
        out.square().sum().backward()
    errors = {}
    for name in ours:
        grads = (ours[name].grad, truth[name].grad)
        errors[name] = 0.0 if grads == (None, None) else error(*grads, 1.0)
    errors["experts"] = float((layer.experts.up.grad is None) == ("experts" in wanted[rank]))
    return errors


def two_turns(case: Case) -> list[float]:
    """Send the tokens of two passes of one layer before either computes."""
    rank, _ = rank_and_world()
    layer = case.layer()
    passes = [case.inputs(rank, case.tokens[rank]), case.inputs(rank, case.tokens[rank] + 3)]
    errors = []
    with torch.no_grad():
        for _ in range(2):
            turns = [layer.gate(*inputs) for inputs in passes]
            for phase in ("dispatch", "arrive", "compute", "combine", "arrive"):
                for turn in turns:
                    getattr(layer, phase)(turn)
            for turn, inputs in zip(turns, passes, strict=True):
                errors.append(error(layer.aggregate(turn), definition(case, inputs)))
    return errors


def modes_in_turn(case: Case) -> list[float]:
    """Pass the same tokens in every grad mode, and look at all outputs only at the end."""
    rank, _ = rank_and_world()
    layer = case.layer()
    inputs = case.inputs(rank, case.tokens[rank])
    modes = [torch.inference_mode, torch.no_grad, torch.enable_grad]
    outputs = []
    for mode in [*modes, *modes[::-1], *modes]:
        with mode():
            outputs.append(layer(*inputs))
    wanted = definition(case, inputs)
    return [error(output.detach(), wanted) for output in outputs]


def twice_the_same(case: Case) -> bool:
    """Tell whether two passes give the same bits, gradients too."""
    rank, _ = rank_and_world()
    layer = case.layer()
    found = []
    for _ in range(2):
        hidden, ids, gate = case.inputs(rank, case.tokens[rank])
        out = layer(hidden.requires_grad_(), ids, gate.requires_grad_())
        layer.zero_grad()
        out.square().sum().backward()
        found.append([out, hidden.grad, gate.grad, layer.experts.up.grad, layer.experts.down.grad])
    return all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def in_pairs(case: Case) -> float:
    """Run two layers at once, each on every other worker."""
    rank = dist.get_rank()
    groups = [dist.new_group([0, 2]), dist.new_group([1, 3])]
    group = groups[rank % 2]
    place = dist.get_rank(group)
    layer = case.layer(group)
    inputs = case.inputs(rank, case.tokens[place])
    with torch.no_grad():
        worst = error(layer(*inputs), definition(case, inputs))
    dist.barrier()
    return worst


def of_others(case: Case) -> str:
    """Make a layer of a group that worker 1 is not in, and return what that says."""
    group = dist.new_group([0])
    try:
        case.layer(group)
    except InstanceError as error:
        return str(error)
    return ""


def second_derivative(case: Case) -> str:
    """Ask for what an exchange does not have, and return what that says."""
    rank, _ = rank_and_world()
    hidden, ids, gate = case.inputs(rank, case.tokens[rank])
    out = case.layer()(hidden.requires_grad_(), ids, gate)
    (first,) = torch.autograd.grad(out.square().sum(), hidden, create_graph=True)
    try:
        first.sum().backward()
    except RuntimeError as error:
        return str(error)
    return ""


def autocast_error(case: Case) -> float:
    """Return the largest error under autocast, with a graph and without."""
    rank, _ = rank_and_world()
    layer = case.layer()
    inputs = case.inputs(rank, case.tokens[rank])
    worst = 0.0
    for mode in (torch.no_grad, torch.enable_grad):
        with mode(), torch.autocast("cpu", torch.bfloat16):
            found = layer(*inputs)
        worst = max(worst, error(found.detach().double(), definition(case, inputs)))
    return worst


def wrong_ids(case: Case, expert: int) -> str:
    """Route a token of the last worker to an expert that there is not; return what that says."""
    rank, world = rank_and_world()
    hidden, ids, gate = case.inputs(rank, case.tokens[rank])
    if rank == world - 1:
        ids[0, 0] = expert
    try:
        with torch.no_grad():
            case.layer()(hidden, ids, gate)
    except InstanceError as error:
        return str(error)
    return ""
