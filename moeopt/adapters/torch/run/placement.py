"""A placement plan on workers: every layer predicted, run, checked and timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from moeopt.adapters.layers import chosen_layers
from moeopt.adapters.torch.layout import Layout, layouts_of_plan
from moeopt.adapters.torch.link import Link
from moeopt.adapters.torch.run.common import Shape, measured_link
from moeopt.adapters.torch.run.layer_job import LayerJob, run_layer
from moeopt.adapters.torch.run.measure import foreseen, measured_constants
from moeopt.adapters.torch.run.options import (
    TOLERANCE,
    ExchangeName,
    RunOptions,
    asked,
    chosen_backend,
    chosen_world,
    started,
)
from moeopt.adapters.torch.run.predict import ordered_rounds
from moeopt.adapters.torch.run.report import layer_report, require_right
from moeopt.adapters.torch.run.tables import PlacementReport
from moeopt.adapters.torch.run.tokens import (
    Batch,
    chosen_top_k,
    read_choices,
    routed_by_loads,
    routed_by_trace,
    sent_tokens,
    tokens_of_trace,
)
from moeopt.core.arrays import FloatArray
from moeopt.core.errors import InstanceError
from moeopt.placement.plan import PlacementPlan
from moeopt.placement.problem import PlacementProblem

READ = frozenset(field.name for field in fields(RunOptions)) - {"port_bytes"}

#: What to do where there are too many devices.
FOLD = "ask for a divisor of the devices: several become one worker"

#: What is run where nothing is said.
TOKENS, HIDDEN, INNER, STEPS = 512, 128, 256, 5


@dataclass(frozen=True, eq=False)
class Tokens:
    """All tokens of a run.

    Attributes
    ----------
    batches
        Of each layer that runs.
    sent
        What each rank sends by the problem's loads, ``(layers, ranks, experts)``, all layers.
    usual
        Tokens of a rank in a step, in the mean.
    top_k
        Experts of each.
    """

    batches: dict[int, list[Batch]]
    sent: FloatArray
    usual: int
    top_k: int


def run_placement(
    problem: PlacementProblem, plan: PlacementPlan, options: RunOptions
) -> PlacementReport:
    """Run a plan's layers on workers of this machine, and report what was measured.

    Raises
    ------
    InstanceError
        If the plan breaks its problem's rules, or an option does not fit them.
    AdapterError
        If a worker fails, or an output is wrong.
    """
    options.refuse_all_but(READ, "placement")
    world = chosen_world(options.world, problem.num_devices, FOLD)
    layouts = [layout.folded(world) for layout in layouts_of_plan(problem, plan)]
    layers = chosen_layers(options.layers, problem.num_layers)
    tokens = _tokens(problem, plan, options, world, layers)
    backend = chosen_backend(options.backend, world)
    shape = chosen_shape(options, problem.num_experts)
    exchange: ExchangeName = options.exchange or "auto"
    steps = options.steps or STEPS
    with started(world, backend) as workers:
        link = asked(workers, measured_link)[0]
        jobs = (_job(i, layouts[i], shape, tokens, link, exchange, steps) for i in layers)
        first = next(jobs)
        constants = measured_constants(workers, first, tokens.usual, tokens.top_k)
        reports = []
        for job in (first, *jobs):
            # Before the run: what it shows is not known yet.
            expected = foreseen(job, constants)
            runs = asked(workers, run_layer, job)
            report = layer_report(job, tokens.sent[job.layer], expected, runs)
            require_right(f"layer {job.layer}", report.difference, TOLERANCE[shape.dtype])
            reports.append(report)
    return PlacementReport(
        name=problem.name,
        devices=problem.num_devices,
        world=world,
        backend=backend,
        traced=options.trace is not None,
        tokens=tokens.usual,
        top_k=tokens.top_k,
        exchange=exchange,
        steps=steps,
        shape=shape,
        constants=constants,
        layers=tuple(reports),
    )


def chosen_shape(options: RunOptions, experts: int) -> Shape:
    """Return the layer asked for, of so many experts."""
    return Shape(
        experts=experts,
        hidden=options.hidden or HIDDEN,
        inner=options.inner or INNER,
        dtype=options.dtype or "fp32",
        seed=options.seed or 0,
    )


def _tokens(
    problem: PlacementProblem,
    plan: PlacementPlan,
    options: RunOptions,
    world: int,
    layers: Sequence[int],
) -> Tokens:
    """Return the tokens of every layer that runs."""
    sent = sent_tokens(problem, plan, world)
    seed = options.seed or 0
    if options.trace is not None:
        if options.top_k is not None:
            rule = "must not be given with a trace, which has its own"
            raise InstanceError("top_k", options.top_k, rule, "leave it out")
        trace = read_choices(options.trace, problem)
        steps = options.steps or STEPS
        usual = tokens_of_trace(trace, options.trace, world, options.tokens, TOKENS)
        batches = {
            layer: routed_by_trace(trace, layer, world, usual, steps, (seed, layer))
            for layer in layers
        }
        return Tokens(batches, sent, usual, trace.top_k)
    top_k = chosen_top_k(sent[list(layers)], options.top_k)
    usual = TOKENS if options.tokens is None else options.tokens
    loads = {layer: [routed_by_loads(sent[layer], usual, top_k, (seed, layer))] for layer in layers}
    return Tokens(loads, sent, usual, top_k)


def _job(
    layer: int,
    layout: Layout,
    shape: Shape,
    tokens: Tokens,
    link: Link,
    exchange: ExchangeName,
    steps: int,
) -> LayerJob:
    rounds = None
    if exchange in ("auto", "rounds"):
        sent = tokens.sent[layer]
        total = tokens.usual * len(sent) * tokens.top_k
        share = sent * (total / sent.sum() if sent.any() else 0.0)
        rounds = ordered_rounds(layout.served(share) * shape.row_bytes, link)
    return LayerJob(
        layer=layer,
        layout=layout,
        shape=shape,
        batches=tokens.batches[layer],
        steps=steps,
        exchange=exchange,
        rounds=rounds,
        link=link,
    )
