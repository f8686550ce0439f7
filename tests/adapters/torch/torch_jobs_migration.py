"""What workers do in the tests of migration and of replicas."""

from __future__ import annotations

import functools
import gc
import weakref

import numpy as np
import torch
import torch.distributed as dist
from torch_jobs_layer import error

from moeopt.adapters.torch.experts import Experts
from moeopt.adapters.torch.layer import ExpertParallel
from moeopt.adapters.torch.layout import Layout
from moeopt.adapters.torch.migrate import Migration, migrate_layers
from moeopt.adapters.torch.reference import random_weights, reference
from moeopt.adapters.torch.replicas import reduce_replica_gradients
from moeopt.core.errors import MoeoptError

HIDDEN, INNER, TOP_K = 16, 8, 2


@functools.cache
def own_group():
    """Return a group besides the layers', as serving would have it."""
    return dist.new_group()


def weights_of(layout, seed=1, dtype=torch.float32):
    up, down = random_weights(layout.num_experts, HIDDEN, INNER, seed=seed)
    return up.to(dtype), down.to(dtype)


def layer_of(layout, weights):
    return ExpertParallel(layout, Experts.of_slots(*weights, layout.experts_on(dist.get_rank())))


def tokens_of(layout, tokens, step=0):
    """Return hidden states, experts and gate weights of this rank's tokens."""
    rank = dist.get_rank()
    generator = torch.Generator().manual_seed(100 * step + rank)
    shape, top_k = (tokens[rank], layout.num_experts), min(TOP_K, layout.num_experts)
    return (
        torch.randn(tokens[rank], HIDDEN, generator=generator),
        torch.rand(shape, generator=generator).topk(top_k).indices,
        torch.rand(tokens[rank], top_k, generator=generator).softmax(-1),
    )


def definition(inputs, weights):
    """Return what a layer must return, in twice the digits."""
    hidden, ids, gates = inputs
    return reference(hidden.double(), ids, gates.double(), *(each.double() for each in weights))


def error_of(layer, weights, tokens, step):
    """Return the largest error of one pass of this rank's tokens."""
    inputs = tokens_of(layer.layout, tokens, step)
    with torch.no_grad():
        return error(layer(*inputs), definition(inputs, weights), 1.0)


def are_exact(layer, weights):
    """Tell whether each slot has its logical expert's bits, and each empty one zeros."""
    expert = layer.layout.experts_on(layer.rank)
    wanted = Experts.of_slots(*weights, expert)
    pairs = zip(layer.experts.parameters(), wanted.parameters(), strict=True)
    return all(torch.equal(found, exact) for found, exact in pairs)


def migrated(old, new, tokens, group=True, ordered=True):
    """Serve before, at every batch of, and after a migration."""
    weights = weights_of(old)
    layer = layer_of(old, weights)
    errors = [error_of(layer, weights, tokens, 0)]
    before = weakref.ref(layer.experts.up)
    migration = Migration(layer, new, own_group() if group else None, ordered=ordered)
    steps, staged = 0, migration.staged_bytes
    while not migration.done:
        migration.advance()
        steps += 1
        errors.append(error_of(layer, weights, tokens, steps))
    migration.finish()
    errors.append(error_of(layer, weights, tokens, steps + 1))
    return {
        "error": max(errors),
        "exact": are_exact(layer, weights) and layer.layout is new,
        "steps": steps,
        "batches": migration.num_batches,
        "sent": migration.sent_bytes,
        "received": migration.received_bytes,
        "released": before() is None,
        "staged": staged,
        "staged_after": migration.staged_bytes,
        "source": migration.plan.source,
        "destination": migration.plan.moves.destination,
    }


def moved_exactly(old, new, dtype):
    """Migrate weights of another type, without serving."""
    weights = weights_of(old, dtype=dtype)
    layer = layer_of(old, weights)
    list(migrate_layers([layer], [new]))
    return are_exact(layer, weights)


def in_inference_mode(old, new):
    """Migrate in inference mode, and train what has come of it; frozen weights stay frozen."""
    layer = layer_of(old, weights_of(old))
    layer.experts.down.requires_grad_(False)
    with torch.inference_mode():
        list(migrate_layers([layer], [new]))
    layer(*tokens_of(new, [8] * layer.world)).square().sum().backward()
    experts = layer.experts
    return bool(experts.up.grad.any()), experts.down.requires_grad


def one_after_another(pairs, tokens):
    """Migrate several layers; return each step's layouts reached, and memory held by each."""
    weights = [weights_of(old, seed) for seed, (old, _) in enumerate(pairs)]
    layers = [layer_of(old, each) for (old, _), each in zip(pairs, weights, strict=True)]
    before = [weakref.ref(layer.experts.up) for layer in layers]
    targets = [new for _, new in pairs]
    steps, errors = [], []
    for step, migration in enumerate(migrate_layers(layers, targets, own_group())):
        reached = [layer.layout is new for layer, new in zip(layers, targets, strict=True)]
        gc.collect()
        steps.append((reached, [old() is not None for old in before], migration.staged_bytes))
        serving = zip(layers, weights, strict=True)
        errors += [error_of(layer, each, tokens, step) for layer, each in serving]
    exact = [are_exact(layer, each) for layer, each in zip(layers, weights, strict=True)]
    return {"steps": steps, "error": max(errors), "exact": all(exact)}


def refusals(old, new):
    """Return what is said to a caller who does each of the wrong things."""
    layer = layer_of(old, weights_of(old))
    said = {}

    def attempt(name, action):
        try:
            action()
        except MoeoptError as error:
            said[name] = f"{type(error).__name__}: {error}"

    ranks, experts = old.num_ranks, old.num_experts
    attempt("experts", lambda: Migration(layer, Layout.contiguous(experts + 1, ranks)))
    attempt("ranks", lambda: Migration(layer, Layout.contiguous(experts, ranks + 1)))
    elsewhere = new if dist.get_rank() else old
    attempt("disagreement", lambda: Migration(layer, elsewhere))
    attempt("order", lambda: Migration(layer, new, ordered=dist.get_rank() == 0))
    alone = [dist.new_group([rank]) for rank in range(ranks)][dist.get_rank()]
    attempt("group", lambda: Migration(layer, new, alone))

    migration = Migration(layer, new)
    attempt("at once", migration.finish)
    migration.advance()
    attempt("under way", migration.finish)
    while not migration.done:
        migration.advance()
    migration.finish()
    attempt("twice", migration.finish)
    replaced = Migration(layer, old)
    while not replaced.done:
        replaced.advance()
    if dist.get_rank() == 0:
        layer.adopt(new, Experts.of_slots(*weights_of(new), new.experts_on(0)))
    attempt("replaced", replaced.finish)
    attempt("lengths", lambda: list(migrate_layers([layer], [old, new])))

    layer(*tokens_of(new, [4] * ranks)).sum().backward()
    if dist.get_rank():
        layer.zero_grad(set_to_none=True)
    said["without"] = layer.experts.up.grad is None
    attempt("gradients", lambda: Migration(layer, old))
    layer.zero_grad(set_to_none=True)
    migration = Migration(layer, old)
    while not migration.done:
        migration.advance()
    if dist.get_rank() == 0:
        with torch.no_grad():
            layer.experts.up.mul_(2.0)
    attempt("changed", migration.finish)
    return said, layer.layout is new


def with_a_group_of_others(old, new):
    """Return what is said of a group as large as the layer's, in which not all are the layer's."""
    own, other = dist.new_group([0, 1]), dist.new_group([0, 2])
    if dist.get_rank() > 1:
        return "not of the layer"
    experts = Experts.of_slots(*weights_of(old), old.experts_on(dist.get_rank()))
    try:
        Migration(ExpertParallel(old, experts, group=own), new, other)
    except MoeoptError as error:
        return str(error)


def trained(layout, tokens, dtype=torch.float32):
    """Return this rank's gradients by slot after the sum, and those of one process."""
    weights = weights_of(layout, dtype=dtype)
    layer = layer_of(layout, weights)
    hidden, experts, gates = tokens_of(layout, tokens)
    inputs = hidden.to(dtype), experts, gates
    layer(*inputs).double().square().sum().backward()
    reduce_replica_gradients(layer)
    found = [each.grad.double().numpy() for each in layer.experts.parameters()]
    return found, whole_gradients(inputs, [each.double().requires_grad_() for each in weights])


def whole_gradients(inputs, weights):
    """Return the gradients of all ranks' tokens, of each logical expert."""
    definition(inputs, weights).square().sum().backward()
    whole = [torch.zeros_like(each) if each.grad is None else each.grad for each in weights]
    for each in whole:
        dist.all_reduce(each)
    return [each.numpy() for each in whole]


def trained_for_steps(old, new, tokens, steps):
    """Train, migrate, train; return this rank's weights by slot, and those of one process."""
    weights = weights_of(old)
    layer = layer_of(old, weights)
    weights = [each.double().requires_grad_() for each in weights]
    step = 0
    for layout in (old, new):
        list(migrate_layers([layer], [layout]))
        # Moments stay behind: both sides begin anew.
        several, single = (torch.optim.Adam(w, lr=1e-2) for w in (layer.parameters(), weights))
        for _ in range(steps):
            step += 1
            inputs = tokens_of(layout, tokens, step)
            for optimizer in (several, single):
                optimizer.zero_grad(set_to_none=True)
            layer(*inputs).square().sum().backward()
            reduce_replica_gradients(layer)
            for each, grad in zip(weights, whole_gradients(inputs, weights), strict=True):
                each.grad = torch.from_numpy(grad)
            several.step()
            single.step()
        layer.zero_grad(set_to_none=True)
    found = [each.detach().double().numpy() for each in layer.experts.parameters()]
    return found, [each.detach().numpy() for each in weights]


def frozen_parts(layout):
    """Sum gradients where one of the weights is frozen."""
    layer = layer_of(layout, weights_of(layout))
    layer.experts.up.requires_grad_(False)
    layer(*tokens_of(layout, [8] * layer.world)).sum().backward()
    reduce_replica_gradients(layer)
    return layer.experts.up.grad is None, bool(np.any(layer.experts.down.grad.numpy()))
