"""Engines' own code on what moeopt gives them: exported plans, vLLM's EPLB with moeopt's policy.

From the published wheels of vLLM and SGLang, on CPU tensors. What is not under ``--peers`` is told.
"""

from __future__ import annotations

import importlib
import json
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from moeopt.adapters.engines.eplb import logical_maps, rebalance_experts
from moeopt.adapters.engines.formats import FORMATS
from moeopt.adapters.engines.placements import EnginePlacement, ModelLayers
from moeopt.adapters.engines.sglang import whole_model
from moeopt.adapters.engines.vllm_plugin import NAME
from moeopt.adapters.torch.workers import Workers
from moeopt.bench import motion_engines_sglang as sglang
from moeopt.bench import motion_engines_vllm as vllm
from moeopt.bench.balance import device_loads, imbalance
from moeopt.bench.peers import package_root
from moeopt.bench.placement_balance import short_name
from moeopt.bench.registry import Figure, Report, Setting
from moeopt.core.arrays import IntArray
from moeopt.core.table import Cell, Column, Table
from moeopt.placement.generate import SHAPES, Layout, Shape, drift, loads
from moeopt.transfers.migration import moves_between

#: A file of each engine that must be under ``--peers``.
VLLM = "vllm/distributed/eplb/eplb_state.py"
SGLANG = "sglang/srt/eplb/expert_location.py"

#: Shapes of a full and of a quick run.
REBALANCED = (
    "deepseek-v3-288-32",
    "deepseek-v3-320-64",
    "qwen3-144-16",
    "kimi-448-32",
    "deepseek-v3-288-32-hierarchical",
)
QUICK_REBALANCED = ("qwen3-144-16",)

#: Ranks of the rebalance whose weights are moved, in a full and in a quick run; its layers, and
#: the slots and experts of each rank.
RANKS, QUICK_RANKS = 4, 2
LAYERS, SLOTS_PER_RANK, EXPERTS_PER_RANK = 3, 10, 8


@dataclass(frozen=True)
class Rebalance:
    """One rebalance by vLLM's code, from vLLM's own plan, after a drift.

    Attributes
    ----------
    shape, policy
        Names.
    before, after
        Imbalance under the new loads of the plan in force and of the new one, mean over layers.
    transfers
        Experts sent to ranks that lacked them, mean over layers.
    moved
        The same over all slots.
    seconds
        Of the policy.
    """

    shape: str
    policy: str
    before: float
    after: float
    transfers: float
    moved: float
    seconds: float


def run(setting: Setting) -> Report:
    """Try every engine that is there."""
    report = Report()
    shapes = QUICK_REBALANCED if setting.quick else REBALANCED
    for module, part in ((SGLANG, _sglang), (VLLM, _vllm)):
        try:
            importlib.import_module("torch")
            with package_root(setting.peers, module) as root, Workers(1) as worker:
                report.add(part(worker, str(root), shapes))
                if module == VLLM:
                    ranks = QUICK_RANKS if setting.quick else RANKS
                    report.add(_carried_report(str(root), ranks))
        except ImportError as error:
            engine = module.partition("/")[0]
            report.figures.append(Figure(f"{engine}: its own code", None, note=str(error)))
    return report


def placement_of(shape: Shape) -> EnginePlacement:
    """Return a plan of a shape that has its model's layers."""
    tokens = loads("logn1", shape.layers, shape.experts)
    sizes = (shape.slots, shape.groups, shape.nodes, shape.devices)
    table = rebalance_experts(tokens, *sizes)[0]
    layers = ModelLayers.of_model(shape.model)
    return EnginePlacement(table, shape.devices, shape.experts, layers)


def transfers_of(old: IntArray, new: IntArray, ranks: int) -> list[int]:
    """Return the experts of each layer that are sent to ranks that lack them."""
    slots = old.shape[1] // ranks
    pairs = zip(old, new, strict=True)
    return [len(moves_between(before, after, slots)[0]) for before, after in pairs]


def _sglang(worker: Workers, root: str, shapes: Sequence[str]) -> Report:
    """Load exported files by SGLang's own loader."""
    wrong = [name for name in shapes if not _sglang_loads(worker, root, SHAPES[name])]
    return _loaded("sglang", shapes, wrong)


def _sglang_loads(workers: Workers, root: str, shape: Shape) -> bool:
    """Tell whether SGLang reads the placement that was written, as a file and as an argument."""
    placement = placement_of(shape)
    table = whole_model(placement)
    sizes = (shape.experts, len(table), shape)
    call = sglang.located
    with tempfile.TemporaryDirectory(prefix="moeopt-") as folder:
        path = Path(folder, "placement.json")
        FORMATS["sglang"].write(placement, path)
        read = workers.run(call, root, str(path), *sizes)[0]
        sent = workers.run(call, root, path.read_text(), *sizes, rank=1, transport="deepep")[0]
    slots_of, count = logical_maps(table, shape.experts)
    same = _equal(read.table, table) and _equal(sent.table, table) and _equal(read.count, count)
    copies = _equal(read.slots_of[:, :, : slots_of.shape[2]], slots_of)
    goes_to = np.take_along_axis(table, sent.dispatch, axis=1)
    return bool(same and copies and _equal(goes_to[0], np.arange(shape.experts)))


def _vllm(worker: Workers, root: str, shapes: Sequence[str]) -> Report:
    """Load maps, and rebalance by vLLM's policy and then by ours, by vLLM's own code."""
    wrong = [name for name in shapes if not _vllm_loads(worker, root, SHAPES[name])]
    report = _loaded("vllm", shapes, wrong)
    plans = {name: _first_plan(worker, root, SHAPES[name]) for name in shapes}
    theirs = [_rebalance(worker, root, name, plan) for name, plan in plans.items()]
    found = worker.run(vllm.load_plugins, root)[0]
    report.figures.append(_figure(f"vllm: entry point {NAME} not found", NAME not in found))
    ours = [_rebalance(worker, root, name, plan) for name, plan in plans.items()]
    report.add(_rebalance_report(list(zip(theirs, ours, strict=True))))
    return report


def _vllm_loads(workers: Workers, root: str, shape: Shape) -> bool:
    """Tell whether vLLM's state takes the placement that was written."""
    placement = placement_of(shape)
    with tempfile.TemporaryDirectory(prefix="moeopt-") as folder:
        path = Path(folder, "placement.json")
        FORMATS["vllm"].write(placement, path)
        table = np.array(json.loads(path.read_text()))
    maps = workers.run(vllm.map_loaded, root, table, shape.experts, shape.devices)[0]
    slots_of, count = logical_maps(placement.table, shape.experts)
    return (
        _equal(maps["physical_to_logical_map"], placement.table)
        and _equal(maps["logical_replica_count"], count)
        and _equal(maps["logical_to_physical_map"][:, :, : slots_of.shape[2]], slots_of)
    )


def _first_plan(worker: Workers, root: str, shape: Shape) -> IntArray:
    """Return the plan that vLLM makes of the loads before the drift."""
    first = loads("logn1", shape.layers, shape.experts)
    start = np.tile(np.arange(shape.slots) % shape.experts, (shape.layers, 1))
    tables: list[IntArray] = worker.run(vllm.rebalanced, root, start, [first], shape)[0].tables
    return tables[-1]


def _rebalance(worker: Workers, root: str, name: str, old: IntArray) -> Rebalance:
    """Rebalance a plan after a drift by a fifth, by the policy that vLLM has there."""
    shape = SHAPES[name]
    now = drift(loads("logn1", shape.layers, shape.experts))
    found = worker.run(vllm.rebalanced, root, old, [now], shape)[0]
    new, ranks = found.tables[-1], shape.devices
    before, after = (
        float(imbalance(device_loads(table, now, ranks)).mean()) for table in (old, new)
    )
    transfers = statistics.fmean(transfers_of(old, new, ranks))
    moved = transfers / old.shape[1]
    return Rebalance(name, found.policy, before, after, transfers, moved, found.seconds)


def _rebalance_report(pairs: Sequence[tuple[Rebalance, Rebalance]]) -> Report:
    columns = [
        Column("shape"),
        Column("policy"),
        Column("before", ".4f"),
        Column("after", ".4f"),
        Column("transfers a layer", ".1f"),
        Column("moved", ".1%"),
        Column("ms", ".1f"),
    ]
    rows = [one for pair in pairs for one in pair]
    cells: list[list[Cell]] = [
        [
            short_name(one.shape),
            one.policy,
            one.before,
            one.after,
            one.transfers,
            one.moved,
            1e3 * one.seconds,
        ]
        for one in rows
    ]
    title = "vLLM's EPLB code: a rebalance after a drift of 20 %, its own plan in force"
    note = "before, after: largest over mean rank load, mean over layers."
    worse = max(ours.after / theirs.after for theirs, ours in pairs)
    # Where whole groups go to other nodes, most experts must move.
    free = [pair for pair in pairs if not SHAPES[pair[0].shape].hierarchical]
    share = max(ours.transfers / theirs.transfers for theirs, ours in free)
    figures = [
        Figure("vllm, plugin: imbalance over the default policy's", worse, 1.0, ".4f"),
        Figure("vllm, plugin: its transfers, without groups", share, 0.3, ".3f"),
    ]
    data = {"engine_rebalances": [asdict(one) for one in rows]}
    return Report([Table(title, columns, cells, note)], figures, data)


def _carried_report(root: str, ranks: int) -> Report:
    """Move weights in the background by vLLM's worker, with its batches and with ours."""
    tokens = loads("logn1", LAYERS, EXPERTS_PER_RANK * ranks)
    layout = Layout(SLOTS_PER_RANK * ranks, ranks)
    with Workers(ranks) as workers:
        runs = {"vllm": workers.run(vllm.carried, root, tokens, layout)}
        workers.run(vllm.load_plugins, root)
        runs[NAME] = workers.run(vllm.carried, root, tokens, layout)
    columns = [
        Column("policy and batches"),
        Column("transfers a layer", ".1f"),
        Column("batches a layer", ".1f"),
        Column("weights"),
    ]
    rows: list[list[Cell]] = []
    for name, seen in runs.items():
        one = seen[0]
        transfers = statistics.fmean(transfers_of(one.old, one.new, ranks))
        batches = statistics.fmean(len(layer) for layer in one.batches)
        rows.append([name, transfers, batches, "right" if vllm.carried_right(seen) else "WRONG"])
    title = f"vLLM's background worker on {ranks} ranks, its weights checked"
    right = all(vllm.carried_right(seen) for seen in runs.values())
    figure = _figure("vllm: weights wrong after its worker moved them", not right)
    return Report([Table(title, columns, rows)], [figure])


def _loaded(engine: str, shapes: Sequence[str], wrong: Sequence[str]) -> Report:
    title = f"{engine}: exported plans, loaded by its own code"
    rows: list[list[Cell]] = [
        [short_name(name), "other maps" if name in wrong else "the same maps"] for name in shapes
    ]
    table = Table(title, [Column("shape"), Column("loaded")], rows)
    figure = _figure(f"{engine}: exported plans that it loads otherwise", bool(wrong))
    return Report([table], [figure])


def _figure(name: str, failed: bool) -> Figure:
    return Figure(name, float(failed), 0.0, ".0f")


def _equal(first: Any, second: Any) -> bool:
    return bool(np.array_equal(first, second))
