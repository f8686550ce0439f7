"""What a run of a placement plan found, as tables for people and as one document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from moeopt.adapters.torch.clock import PHASES
from moeopt.adapters.torch.run.common import Shape
from moeopt.adapters.torch.run.options import TOLERANCE
from moeopt.adapters.torch.run.predict import Constants
from moeopt.adapters.torch.run.report import LayerReport
from moeopt.core.table import Cell, Column, Table
from moeopt.core.units import time_text, time_unit

_MIB = 2.0**20


@dataclass(frozen=True, kw_only=True)
class PlacementReport:
    """What a run of a placement plan found.

    Attributes
    ----------
    name
        Of the problem.
    devices, world
        Devices of the plan, and workers that stood for them.
    backend
        ``"nccl"`` or ``"gloo"``.
    traced
        Whether the tokens took recorded choices.
    tokens, top_k
        Tokens of a worker in a step, in the mean, and their experts.
    exchange, steps, shape
        As run.
    constants
        As measured before.
    layers
        What each layer showed.
    """

    name: str
    devices: int
    world: int
    backend: str
    traced: bool
    tokens: int
    top_k: int
    exchange: str
    steps: int
    shape: Shape
    constants: Constants
    layers: tuple[LayerReport, ...]

    def document(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {"run": "placement", "adapter": "torch", **asdict(self)}

    def tables(self) -> list[Table]:
        """Return the tables for people."""
        return [self._phases(), self._by_layer(), self._constants()]

    def _phases(self) -> Table:
        rows: list[tuple[str, float, float]] = [
            (
                phase,
                _mean([layer.measured_s[phase] for layer in self.layers]),
                _mean([layer.predicted_s[phase] for layer in self.layers]),
            )
            for phase in PHASES
        ]
        total = (
            "layer",
            _mean([layer.layer_s for layer in self.layers]),
            _mean([layer.predicted_layer_s for layer in self.layers]),
        )
        routed = "as the trace says" if self.traced else "as the loads say"
        folded = "" if self.world == self.devices else f" for {self.devices} devices"
        title = f"{self.name or 'a placement'} on {workers(self.world, self.backend)}{folded}"
        note = (
            f"{self.tokens} tokens a worker {routed}, top-{self.top_k},"
            f" {self.shape.hidden} x {self.shape.inner} {self.shape.dtype}, {self.steps} steps\n"
            "means over layers; a phase begins when all workers have ended the one before,\n"
            "but in the layer as a whole nobody waits"
        )
        return compared(title, "phase", rows, total, note)

    def _by_layer(self) -> Table:
        unit, word = time_unit(max(layer.layer_s for layer in self.layers))
        columns = [
            Column("layer"),
            Column(f"measured {word}", ".3f"),
            Column("predicted", ".3f"),
            Column("imbalance", ".3f"),
            Column("plan's", ".3f"),
            Column("MiB sent", ".3g"),
            Column("difference", ".1e"),
        ]
        rows = [
            [
                layer.layer,
                layer.layer_s / unit,
                layer.predicted_layer_s / unit,
                layer.imbalance,
                layer.planned_imbalance,
                layer.sent_bytes / _MIB,
                layer.difference,
            ]
            for layer in self.layers
        ]
        return Table(
            "every output compared with one process",
            columns,
            rows,
            note=f"differences are parts of the largest output, {self._allowed:g} at most",
        )

    @property
    def _allowed(self) -> float:
        return TOLERANCE[self.shape.dtype]

    def _constants(self) -> Table:
        costs = self.constants
        link = costs.link
        rows: list[list[Cell]] = [
            ["gate", *_cost(costs.gate.start_s, costs.gate.per_row_s)],
            ["compute", *_cost(costs.compute.start_s, costs.compute.per_row_s)],
            ["aggregation", *_cost(costs.aggregation.start_s, costs.aggregation.per_row_s)],
        ]
        if self.world > 1:
            byte = self.shape.row_bytes
            rows += [
                ["one all-to-all", *_cost(link.startup_s, byte / link.bytes_per_s)],
                ["a round", *_cost(link.round_startup_s, byte / link.round_bytes_per_s)],
            ]
        chosen: Counter[str] = Counter()
        for layer in self.layers:
            chosen.update(layer.taken)
        ways = ", ".join(
            f"{way} {count / chosen.total():.0%}" for way, count in chosen.most_common()
        )
        return Table(
            "measured before the run, all workers at once",
            [Column("cost"), Column("to begin with"), Column("each row")],
            rows,
            note=f"exchange {self.exchange}" + (f": {ways}" if ways else ""),
        )


def workers(world: int, backend: str) -> str:
    """Return how many workers there were, in words."""
    return f"{world} {backend} worker" + ("s" if world > 1 else "")


def compared(
    title: str,
    what: str,
    rows: Sequence[tuple[str, float, float]],
    total: tuple[str, float, float] | None,
    note: str,
) -> Table:
    """Return a table of measured and predicted seconds, in the unit that suits the longest."""
    everything = [*rows, *([total] if total else [])]
    unit, word = time_unit(max(max(measured, foreseen) for _, measured, foreseen in everything))

    def cells(row: tuple[str, float, float]) -> list[Cell]:
        name, measured, foreseen = row
        ratio = measured / foreseen if foreseen > 0 else None
        return [name, measured / unit, foreseen / unit, ratio]

    columns = [
        Column(what),
        Column(f"measured {word}", ".3f"),
        Column(f"predicted {word}", ".3f"),
        Column("ratio", ".2f"),
    ]
    return Table(
        title, columns, [cells(row) for row in rows], note=note, footer=total and cells(total)
    )


def _cost(start_s: float, per_row_s: float) -> list[Cell]:
    return [_short(start_s), _short(per_row_s)]


def _short(seconds: float) -> str:
    return time_text(float(f"{seconds:.3g}"))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
