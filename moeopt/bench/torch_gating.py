"""Dynamic gating against static, on this processor, at the paper's ratios and small widths.

Where the paper measured, on GPUs and at full widths: ``examples/torch_gating.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from moeopt.bench.registry import Figure, Report, Setting
from moeopt.bench.timing import measure
from moeopt.core.errors import AdapterError
from moeopt.core.table import Cell, Column, Table

#: Tokens, and widths of the model and of an expert: a sixteenth of the paper's.
TOKENS, HIDDEN, INNER, TOP_K = 128, 64, 256, 2

REPEATS = {True: 5, False: 25}

#: Most that the two may differ where nothing is dropped, over the largest output.
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Model:
    """A model of arXiv 2303.06182: the numbers of its layer that make static gating dear."""

    name: str
    experts: int
    capacity_factor: float


MODELS = (Model("LM", 512, 0.05), Model("MT", 128, 1.0))


def run(setting: Setting) -> Report:
    """Time a layer of each model with both gatings."""
    from moeopt.adapters.torch.static import waste_factor

    report = Report(data={"gating": {}})
    rows: list[list[Cell]] = []
    for model in MODELS:
        calls, dropped = layers_of(model)
        times = measure(calls, repeats=REPEATS[setting.quick])
        medians = {name: time.median_s for name, time in times.items()}
        ratio = medians["static"] / medians["dynamic"]
        waste = waste_factor(model.experts, model.capacity_factor, TOP_K)
        runs = len(times["static"].seconds)
        shape: list[Cell] = [model.name, model.experts, model.capacity_factor, waste]
        milliseconds = [1e3 * medians[name] for name in ("static", "dynamic")]
        rows.append([*shape, *milliseconds, ratio, dropped, runs])
        report.data["gating"][model.name] = {name: time.to_dict() for name, time in times.items()}
        name = f"gating on this processor, {model.name}: dynamic over static"
        report.figures.append(Figure(name, 1 / ratio, 1.0, ".3f"))
    columns = [
        Column("model"),
        Column("experts"),
        Column("capacity factor"),
        Column("places a choice", ".1f"),
        Column("static ms", ".1f"),
        Column("dynamic ms", ".1f"),
        Column("ratio", ".1f"),
        Column("dropped", ".1%"),
        Column("runs"),
    ]
    note = (
        f"One process, one layer {HIDDEN} x {INNER}, {TOKENS} tokens, top-{TOP_K}, fp32, forward,"
        " experts drawn evenly. dropped: choices for which static gating has no place."
    )
    report.tables.append(Table("Dynamic against static gating", columns, rows, note))
    return report


def layers_of(model: Model) -> tuple[dict[str, Callable[[], object]], float]:
    """Return one call of the layer with each gating, and the share of choices that static drops.

    Raises
    ------
    AdapterError
        If nothing is dropped, and yet they differ.
    """
    import torch

    from moeopt.adapters.torch.experts import Experts
    from moeopt.adapters.torch.layer import ExpertParallel
    from moeopt.adapters.torch.layout import Layout
    from moeopt.adapters.torch.reference import random_weights
    from moeopt.adapters.torch.static import StaticGating

    up, down = random_weights(model.experts, HIDDEN, INNER, seed=0, activation="relu")
    experts = Experts(up, down, "relu")
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(TOKENS, HIDDEN, generator=generator)
    weights, ids = torch.rand(TOKENS, model.experts, generator=generator).topk(TOP_K)
    static = StaticGating(experts, model.capacity_factor)
    dynamic = ExpertParallel(Layout.contiguous(model.experts, 1), experts)

    def call(layer: torch.nn.Module) -> torch.Tensor:
        with torch.no_grad():
            out: torch.Tensor = layer(tokens, ids, weights)
        return out

    padded, exact = call(static), call(dynamic)
    dropped = static.dropped / ids.numel()
    alike = bool((padded - exact).abs().max() <= TOLERANCE * exact.abs().max())
    if not dropped and not alike:
        raise AdapterError(f"{model.name}: static and dynamic gating give other outputs")
    return {"static": partial(call, static), "dynamic": partial(call, dynamic)}, dropped
