"""A choice of one point of each layer's front, and the plan it stands for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from moeopt.core.stop import Context
from moeopt.serverless.degrees import degrees_of
from moeopt.serverless.fronts import (
    Idle,
    LayerFront,
    Look,
    Stop,
    Worth,
    bounded_by,
    layer_front,
    picked,
    relaxed_front,
    with_best_degree,
    with_degrees,
)
from moeopt.serverless.knapsack import Choice, Front
from moeopt.serverless.options import LayerData, layer_data, layer_options
from moeopt.serverless.plan import ServerlessPlan, most_degree
from moeopt.serverless.problem import ServerlessProblem

#: A relative saving that is rounding.
ROUNDING = 1e-12

Designs = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Chosen:
    """A choice with the fronts it was made from.

    Attributes
    ----------
    fronts
        One for each layer.
    choice
        A point of each.
    """

    fronts: list[LayerFront]
    choice: Choice


@dataclass(frozen=True)
class Layer:
    """A layer with the designs and degrees it may take."""

    problem: ServerlessProblem
    data: LayerData
    designs: Sequence[int]
    degrees: Sequence[int]
    look: Look
    stop: Stop

    def front(self, degrees: Sequence[int]) -> LayerFront:
        """Return the front with some degrees."""
        return layer_front(self.problem, self.data, self.designs, degrees)

    def relaxed(self, low: Sequence[int], high: Sequence[int]) -> LayerFront:
        """Return a front that no degree from `low` to `high` can better."""
        if not low:
            return self.front(())
        return relaxed_front(self.problem, self.data, self.designs, low[0], high[0])

    def best(self, front: LayerFront, worth: Callable[[Front], Worth]) -> LayerFront:
        """Return a front with the degree that makes it worth least."""
        return with_best_degree(self.look, front, self.degrees, worth, self.stop)

    def more(self, front: LayerFront, idle: Idle) -> LayerFront:
        """Return a front with the degrees that are not idle."""
        return with_degrees(self.look, front, self.degrees, idle, self.stop)


def layers_of(problem: ServerlessProblem, context: Context, designs: Designs) -> list[Layer]:
    """Return the layers with what they may take.

    Parameters
    ----------
    problem, context
        What is solved, and until when.
    designs
        Designs to choose from in each layer.
    """
    layers = []
    for layer, allowed in enumerate(designs):
        data = layer_data(problem, layer)
        degrees = degrees_of(problem, data) if 1 in allowed else []
        look = bounded_by(problem, data)
        layers.append(Layer(problem, data, allowed, degrees, look, context.out_of_time))
    return layers


def plain(fronts: list[LayerFront]) -> list[Front]:
    """Return the fronts without their modes."""
    return [front.front for front in fronts]


def points_of(fronts: list[LayerFront]) -> int:
    """Return how many points the fronts have together."""
    return sum(front.front.latency_s.size for front in fronts)


def plan_of(problem: ServerlessProblem, deployment: Chosen) -> ServerlessPlan:
    """Return the plan of a choice."""
    shape = (problem.num_layers, problem.num_experts)
    memory, replicas = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    modes = []
    pairs = zip(deployment.fronts, deployment.choice.point.tolist(), strict=True)
    for layer, (front, point) in enumerate(pairs):
        mode = front.modes[front.mode[point]]
        options = layer_options(problem, layer_data(problem, layer), mode.design, mode.degree)
        size, count = picked(options, float(front.front.latency_s[point]))
        memory[layer, : size.size] = np.array(problem.memory_mb)[size]
        replicas[layer, : size.size] = count
        modes.append(mode)
    return with_least_degrees(
        problem,
        ServerlessPlan(
            design=np.array([mode.design for mode in modes]),
            pipeline_degree=np.array([mode.degree for mode in modes]),
            memory_mb=memory,
            replicas=replicas,
        ),
    )


def with_least_degrees(problem: ServerlessProblem, plan: ServerlessPlan) -> ServerlessPlan:
    """Return a plan with degrees no larger than its replicas' tokens: that changes no minibatch."""
    most = most_degree(problem, plan)
    return msgspec.structs.replace(plan, pipeline_degree=np.minimum(plan.pipeline_degree, most))
