"""The linear models of a placement problem, and the way back from their points to tables."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec
import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.mip import LinearModel
from moeopt.placement.exact_ports import products_refused
from moeopt.placement.exact_rules import add_rules, start_model
from moeopt.placement.exact_value import add_value, identical_devices, ordering
from moeopt.placement.plan import copies_of
from moeopt.placement.problem import Pair, PlacementProblem
from moeopt.placement.rules import layers_joined


@dataclass(frozen=True, eq=False)
class CompiledLayers:
    """The model of one or more layers, and the way back from its points to tables.

    Attributes
    ----------
    model
        What a backend solves; its objective is in the problem's own units.
    problem
        The problem of these layers alone.
    layers
        Their indices in the whole problem.
    copies
        Columns ``n`` of the model, shape ``(layers, experts, devices)``.
    """

    model: LinearModel
    problem: PlacementProblem
    layers: tuple[int, ...]
    copies: IntArray

    def decode(self, x: FloatArray) -> IntArray:
        """Return the table of a point, shape ``(layers, slots)``."""
        return table_of(self.problem, np.rint(x[self.copies]).astype(np.int64))

    def fixed_to(self, table: IntArray) -> LinearModel:
        """Return the model with the copies of a table, its identical devices put in order."""
        copies = copies_of(self.problem, table)
        for devices in identical_devices(self.problem):
            value = ordering(self.problem, copies[..., devices])
            copies[..., devices] = copies[..., devices[np.argsort(-value, kind="stable")]]
        lower, upper = self.model.column_lower.copy(), self.model.column_upper.copy()
        lower[self.copies] = upper[self.copies] = copies
        return replace(self.model, column_lower=lower, column_upper=upper)


def refuses(problem: PlacementProblem) -> str | None:
    """Return why no linear model has this problem's optimum, or ``None`` if one has."""
    if problem.split == "nearest":
        return 'split "nearest" depends on which devices have no copy, which is not linear'
    return products_refused(problem)


def split_layers(
    problem: PlacementProblem,
) -> list[tuple[PlacementProblem, tuple[int, ...]]]:
    """Return the independent parts of a problem, each with its layers."""
    everything = tuple(range(problem.num_layers))
    if layers_joined(problem) or len(everything) == 1:
        return [(problem, everything)]
    return [(layer_problem(problem, layer), (layer,)) for layer in everything]


def compile_layers(
    problem: PlacementProblem,
    layers: tuple[int, ...],
    *,
    tighten: bool = True,
    at_most: float | None = None,
) -> CompiledLayers:
    """Return the model of one part of `split_layers`.

    With `at_most`, the objective of a known plan, plans that cost more may be cut off.
    """
    name = problem.name or "placement"
    if len(layers) == 1:
        name = f"{name}-layer{layers[0]}"
    frame = start_model(problem, name, tighten=tighten, at_most=at_most)
    add_rules(frame)
    add_value(frame)
    return CompiledLayers(frame.builder.build(), problem, layers, frame.copies)


def layer_problem(problem: PlacementProblem, layer: int) -> PlacementProblem:
    """Return the problem of one layer alone; what joins it to others is left as it is."""
    only = slice(layer, layer + 1)
    changes: dict[str, object] = {
        "loads_tokens": problem.loads_tokens[:, only],
        "pinned": _pairs_in(problem.pinned, layer),
        "forbidden": _pairs_in(problem.forbidden, layer),
    }
    if isinstance(problem.expert_bytes, np.ndarray):
        changes["expert_bytes"] = problem.bytes_of_experts()[only]
    if problem.source_tokens is not None:
        changes["source_tokens"] = problem.source_tokens[:, only]
    if problem.expert_traffic_tokens is not None:
        changes["expert_traffic_tokens"] = problem.expert_traffic_tokens[only]
    if problem.previous is not None:
        changes["previous"] = problem.previous[only]
    return msgspec.structs.replace(problem, **changes)


def table_of(problem: PlacementProblem, copies: IntArray) -> IntArray:
    """Return slots that hold `copies`, shape ``(layers, slots)``: experts ascending, then empty."""
    table = np.full((problem.num_layers, problem.num_slots), -1, dtype=np.int64)
    first = np.cumsum(problem.slots()) - problem.slots()
    experts = np.arange(problem.num_experts)
    for layer in range(problem.num_layers):
        for device in range(problem.num_devices):
            held = np.repeat(experts, copies[layer, :, device])
            table[layer, first[device] : first[device] + len(held)] = held
    return table


def _pairs_in(pairs: tuple[Pair, ...], layer: int) -> tuple[Pair, ...]:
    """Return the pairs of one layer, as pairs of every layer."""
    here = (pair for pair in pairs if pair.layer in (None, layer))
    return tuple(msgspec.structs.replace(pair, layer=None) for pair in here)
