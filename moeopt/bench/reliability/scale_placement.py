"""Placement on many devices: every operation on a problem and its plan."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from moeopt.adapters.engines.formats import FORMATS
from moeopt.adapters.engines.placements import ModelLayers, placement_of
from moeopt.bench.reliability.scale_step import Step
from moeopt.core.solve import solve
from moeopt.describe.cluster import Cluster, Device, Node, NodeGroup
from moeopt.io import load_plan, load_problem, problem_to_json, save_plan, save_problem
from moeopt.placement.bounds import layer_bounds
from moeopt.placement.generate import drift, loads
from moeopt.placement.motion.costs import Costs
from moeopt.placement.motion.simulate import World
from moeopt.placement.online import Online
from moeopt.placement.plan import evaluate, violations
from moeopt.placement.problem import PlacementProblem
from moeopt.placement.summary import summarise
from moeopt.report.page import report_html
from moeopt.report.wings import Names
from moeopt.transfers.migration import order_migration
from moeopt.transfers.sources import moves_between

Steps = Generator[Step, Any, None]

#: Devices of a node, and slots of a device in each layer.
_PER_NODE, _SLOTS = 8, 2

#: Layers and experts of the problem with so many devices.
_MOST_DEVICES, _LAYERS, _EXPERTS = 1024, 100, 512

#: What the anytime methods are given.
_LIMIT_S = 10.0


def made(devices: int) -> PlacementProblem:
    """Return a problem with layers and experts in proportion to its devices."""
    layers = max(2, _LAYERS * devices // _MOST_DEVICES)
    experts = max(8, _EXPERTS * devices // _MOST_DEVICES)
    node = Node(device=Device(), devices=_PER_NODE, nic_bandwidth_bytes_per_s=4e11)
    return PlacementProblem(
        loads_tokens=loads("logn1", layers, experts),
        cluster=Cluster(nodes=(NodeGroup(node=node, count=devices // _PER_NODE),)),
        slots_per_device=_SLOTS,
        expert_bytes=44_040_192,
        max_copies_per_device=1,
    )


def documents(devices: int, folder: Path) -> Steps:
    """Load, save, check, value and export: proportional to bytes, slots or pairs."""
    problem = made(devices)
    slots = problem.num_layers * problem.num_slots
    pairs = problem.num_layers * problem.num_experts * devices
    plain, beside, kept = folder / "plain.json", folder / "beside.json", folder / "plan.json"
    result: Any = solve(problem, "contiguous")
    moved = msgspec.structs.replace(problem, previous=result.plan.physical_to_logical)
    yield Step("save a problem", "slots", slots, lambda: save_problem(plain, moved))
    size = plain.stat().st_size
    yield Step("load a problem", "bytes", size, lambda: load_problem(plain))
    size = _write_beside(beside, moved)
    yield Step("load a problem, arrays in .npz", "bytes", size, lambda: load_problem(beside))
    yield Step("bounds", "slots", slots, lambda: layer_bounds(problem))
    yield Step("check a plan", "pairs", pairs, lambda: violations(moved, result.plan))
    yield Step("value a plan", "slots", slots, lambda: evaluate(problem, result.plan))
    yield Step("save a plan", "slots", slots, lambda: save_plan(kept, moved, result))
    yield Step("load a plan", "bytes", kept.stat().st_size, lambda: load_plan(kept, moved))
    yield Step("tables of a plan", "slots", slots, lambda: summarise(problem, result.plan, result))
    layers = ModelLayers(tuple(range(problem.num_layers)), problem.num_layers)
    engine = placement_of(problem, result.plan, layers)
    for name in FORMATS:
        call = partial(FORMATS[name].encode, engine)
        yield Step(f"export to {name}", "slots", slots, call)


def page(devices: int, folder: Path) -> Steps:
    """Draw a plan as a page, whose map shows every expert on every device."""
    del folder
    problem = made(devices)
    pairs = problem.num_layers * problem.num_experts * devices
    result: Any = solve(problem, "contiguous")
    names = Names(plan="plan.json", instance="instance.json")
    yield Step(
        "report",
        "pairs",
        pairs,
        lambda: len(report_html(problem, result.plan, result, names=names)),
    )


def methods(devices: int, folder: Path) -> Steps:
    """Solve from nothing: fast methods, and anytime ones under a limit."""
    del folder
    problem = made(devices)
    pairs = problem.num_layers * problem.num_experts * devices
    yield Step("placement fast", "pairs", pairs, lambda: solve(problem, "fast"))
    yield Step("placement auto", "pairs", pairs, lambda: solve(problem))
    for name in ("auto", "search"):
        yield Step(
            f"placement {name} within {_LIMIT_S:g} s",
            "pairs",
            pairs,
            partial(solve, problem, name, time_limit_s=_LIMIT_S),
            limited_s=_LIMIT_S,
        )


def motion(devices: int, folder: Path) -> Steps:
    """Replan after the loads changed, order the migration, and one window of the online policy."""
    del folder
    fresh = made(devices)
    result: Any = solve(fresh, "fast")
    before = result.plan.physical_to_logical
    problem = msgspec.structs.replace(
        fresh, previous=before, loads_tokens=drift(fresh.loads_tokens[0])
    )
    slots = problem.num_layers * problem.num_slots
    # A step looks at the layer's other slots, and a layer takes steps in proportion to its slots.
    again = yield Step("replan", "slots", slots, lambda: solve(problem, "replan"), exponent=1.5)
    yield Step(
        f"replan (auto) within {_LIMIT_S:g} s",
        "slots",
        slots,
        lambda: solve(problem, time_limit_s=_LIMIT_S),
        limited_s=_LIMIT_S,
    )
    table = again.plan.physical_to_logical
    yield Step("order a migration", "slots", slots, lambda: _ordered(before, table), exponent=1.5)
    world = World(
        costs=Costs.of_model("deepseek-v3", "h200", devices, 5e10),
        slots_per_device=_SLOTS,
        batches_per_window=1000,
        overlapped=False,
    )
    yield Step(
        "one window online",
        "slots",
        slots,
        lambda: _one_window(world, before, np.asarray(problem.loads_tokens[0])),
        exponent=1.5,
    )


def _write_beside(path: Path, problem: PlacementProblem) -> int:
    """Write a problem with its arrays in an archive; return the bytes of both."""
    archive = path.with_suffix(".npz")
    np.savez(archive, loads=problem.loads_tokens, previous=np.asarray(problem.previous))
    content = msgspec.json.decode(problem_to_json(problem))
    content["loads_tokens"] = {"npz": archive.name, "key": "loads"}
    content["previous"] = {"npz": archive.name, "key": "previous"}
    path.write_bytes(msgspec.json.encode(content))
    return path.stat().st_size + archive.stat().st_size


def _ordered(before: Any, after: Any) -> None:
    for old, new in zip(before, after, strict=True):
        order_migration(moves_between(old, new, _SLOTS)[1])


def _one_window(world: World, table: Any, window: Any) -> None:
    policy = Online()
    policy.start(world, table)
    policy.observe(window, table)
