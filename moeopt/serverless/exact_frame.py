"""A serverless problem as a linear model, and the way between its points and plans.

Its columns, rows and their labels are those of ``formulations/serverless.md``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.mip import LinearModel, ModelBuilder
from moeopt.serverless.exact_options import (
    Menu,
    full_menus,
    reads_latency,
    short_menus,
)
from moeopt.serverless.exact_rules import Columns, add_rows
from moeopt.serverless.plan import TOLERANCE, ServerlessPlan, evaluate, most_degree
from moeopt.serverless.problem import ServerlessProblem
from moeopt.serverless.promise import limit_of


@dataclass(frozen=True, eq=False)
class Frame:
    """A model, and what its columns mean.

    Attributes
    ----------
    problem
        The problem.
    menus
        What each layer chooses from.
    columns
        The columns that choose.
    model
        The model; its objective is in dollars.
    """

    problem: ServerlessProblem
    menus: tuple[Menu, ...]
    columns: Columns
    model: LinearModel

    def plan(self, x: npt.ArrayLike) -> ServerlessPlan:
        """Return the plan of a point."""
        x = np.asarray(x, dtype=np.float64)
        modes = [int(x[columns].argmax()) for columns in self.columns.mode]
        options = [np.flatnonzero(x[columns] > 0.5) for columns in self.columns.option]
        return plan_of(self.problem, self.menus, modes, options)

    def point(self, plan: ServerlessPlan) -> FloatArray | None:
        """Return a point that is as cheap as a valid plan and no slower in any layer.

        With one pipeline degree for the model, layers that the plan pipelines keep its degree, or
        take another design. ``None`` if the model left out what they would need.
        """
        x = np.zeros(self.model.num_columns)
        layer_s = evaluate(self.problem, plan).layer_s
        pipelined = plan.pipeline_degree[plan.design == 1]
        for e, menu in enumerate(self.menus):
            allowed = np.ones(menu.design.size, dtype=np.bool_)
            if self.columns.degrees.size:
                allowed = (menu.design != 1) | np.isin(menu.degree, pipelined)
            options = cheapest_within(menu, allowed, float(layer_s[e]) * (1 + TOLERANCE))
            if options is None:
                return None
            mode = menu.mode[options[0]]
            x[self.columns.option[e][options]] = 1.0
            x[self.columns.mode[e][mode]] = 1.0
            if self.columns.latency.size:
                slowest_s = max(float(menu.latency_s[options].max()), 0.0)
                x[self.columns.latency[e]] = slowest_s / self.columns.unit_s
            if self.columns.stage:
                x[self.columns.stage[e]] = self.columns.stage_s[e][1:] <= slowest_s
            if self.columns.degrees.size and menu.design[mode] == 1:
                x[self.columns.degree[self.columns.degrees == menu.degree[mode]]] = 1.0
        return x


def plan_of(
    problem: ServerlessProblem, menus: Sequence[Menu], modes: Sequence[int],
    options: Sequence[IntArray],
) -> ServerlessPlan:  # fmt: skip
    """Return the plan of a mode of each layer, and of an option for each kind of expert."""
    shape = (problem.num_layers, problem.num_experts)
    memory_mb, replicas = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for e, (menu, chosen) in enumerate(zip(menus, options, strict=True)):
        option = np.zeros(menu.kinds, dtype=np.int64)
        option[menu.chooser[chosen]] = chosen
        own = option[menu.kind]
        memory_mb[e, : own.size] = np.array(problem.memory_mb)[menu.size[own]]
        replicas[e, : own.size] = menu.replicas[own]
    plan = ServerlessPlan(
        design=np.array([menu.design[m] for menu, m in zip(menus, modes, strict=True)]),
        pipeline_degree=np.array([menu.degree[m] for menu, m in zip(menus, modes, strict=True)]),
        memory_mb=memory_mb,
        replicas=replicas,
    )
    # C7: beyond the most tokens of a replica a larger degree changes nothing.
    degree = np.minimum(plan.pipeline_degree, most_degree(problem, plan))
    return msgspec.structs.replace(plan, pipeline_degree=degree)


def cheapest_within(menu: Menu, allowed: BoolArray, limit_s: float) -> IntArray | None:
    """Return the cheapest options of one mode that are no slower than a limit.

    Parameters
    ----------
    menu
        What the layer chooses from.
    allowed
        Which modes it may have, ``(modes,)``.
    limit_s
        Seconds of the layer.

    Returns
    -------
    IntArray or None
        An option for each kind of expert, ``(kinds,)``; ``None`` if no mode has them all.
    """
    best: IntArray | None = None
    least = math.inf
    usable = menu.fits & allowed[menu.mode] & (menu.latency_s <= limit_s)
    for mode in np.unique(menu.mode[usable]).tolist():
        mine = np.flatnonzero(usable & (menu.mode == mode))
        # For each kind the first in order of cost.
        order = mine[np.lexsort((menu.cost_usd[mine], menu.chooser[mine]))]
        kinds, first = np.unique(menu.chooser[order], return_index=True)
        cost = float(menu.cost_usd[order[first]].sum())
        if kinds.size == menu.kinds and cost < least:
            best, least = order[first], cost
    return best


def compile_model(problem: ServerlessProblem, *, tighten: bool = True) -> Frame:
    """Return the model with the meaning of its columns."""
    menus = short_menus(problem) if tighten else full_menus(problem)
    builder = ModelBuilder(problem.name or "serverless")
    columns = _add_columns(builder, problem, menus, tighten=tighten)
    builder.objective_offset = waiting_offset_usd(problem)
    add_rows(builder, problem, menus, columns, tighten=tighten)
    return Frame(problem, menus, columns, builder.build())


def waiting_offset_usd(problem: ServerlessProblem) -> float:
    """Return the bill of non-MoE functions for what no decision changes."""
    fixed_s = problem.head_s + problem.tail_s + sum(layer.non_moe_s for layer in problem.layers)
    return problem.waiting_usd_per_s() * fixed_s


def _add_columns(
    builder: ModelBuilder, problem: ServerlessProblem, menus: tuple[Menu, ...], *, tighten: bool
) -> Columns:
    modes, options = [], []
    for e, menu in enumerate(menus):
        modes.append(builder.add_columns(f"z{e}", menu.design.size, upper=1, integer=True))
        options.append(
            builder.add_columns(
                f"x{e}", menu.mode.size, upper=1, integer=True, objective=menu.cost_usd
            )
        )
    degrees = np.empty(0, dtype=np.int64)
    if problem.pipeline_degree == "model":
        degrees = np.unique(np.concatenate([m.degree[m.design == 1] for m in menus]))
    unit_s = _unit_s(problem, menus)
    staged = menus if tighten and reads_latency(problem) else ()
    stage_s = tuple(_stages_s(menu) for menu in staged)
    return Columns(
        mode=tuple(modes),
        option=tuple(options),
        degrees=degrees,
        degree=builder.add_columns("w", degrees.size, upper=1),
        latency=builder.add_columns(
            "L",
            problem.num_layers if reads_latency(problem) else 0,
            objective=problem.waiting_usd_per_s() * unit_s,
        ),
        stage=tuple(
            builder.add_columns(f"v{e}", seconds.size - 1, upper=1, integer=True)
            for e, seconds in enumerate(stage_s)
        ),
        stage_s=stage_s,
        unit_s=unit_s,
    )


def _stages_s(menu: Menu) -> FloatArray:
    """Return the latencies that a layer can have, ascending, ``(stages + 1,)``."""
    least_s = menu.mode_latency_s().min(initial=math.inf)
    seconds: FloatArray = np.unique(np.maximum(menu.latency_s, least_s))
    return seconds if seconds.size else np.zeros(1)


def _unit_s(problem: ServerlessProblem, menus: tuple[Menu, ...]) -> float:
    """Return the unit of latencies in rows: solvers' tolerances are absolute.

    A power of two, so that dividing by it rounds nothing.
    """
    size = limit_of(problem)
    if not 0 < size < math.inf:
        size = max((float(menu.latency_s.max(initial=0.0)) for menu in menus), default=0.0)
    return 2.0 ** round(math.log2(size)) if size > 0 else 1.0
