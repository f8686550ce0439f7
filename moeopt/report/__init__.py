"""Plans for people: pictures that take ``ax=None``, and the page of ``moeopt report``.

Every picture is made in two steps: a function of its wing says what is drawn, as plain data
(`moeopt.report.picture`), and `draw` draws it. matplotlib and plotly, the extra ``plot``, are
loaded when something is drawn.
"""

import importlib
from typing import TYPE_CHECKING, Any

_HOMES = {
    "moeopt.report.buffering": (
        "cache_residents",
        "cache_slots",
        "hits_against_slots",
        "hits_over_time",
        "misses_per_layer",
    ),
    "moeopt.report.colocation": ("device_weights", "shared_devices", "utilisation"),
    "moeopt.report.committee": (
        "committee_sizes",
        "limits_used",
        "loss_against_memory",
        "loss_per_layer",
        "resident_map",
    ),
    "moeopt.report.drawing": ("draw", "save"),
    "moeopt.report.fronts": (
        "cost_front",
        "frontier_front",
        "layer_cost_front",
        "memory_front",
        "moves_front",
    ),
    "moeopt.report.page": ("report_html", "write_report"),
    "moeopt.report.picture": (
        "Axis",
        "Bars",
        "Gallery",
        "Heat",
        "Level",
        "Line",
        "Picture",
        "Points",
        "Spans",
    ),
    "moeopt.report.placement": (
        "device_loads",
        "expert_device_map",
        "layer_imbalance",
        "replicas",
        "scenario_imbalance",
    ),
    "moeopt.report.progress": ("solver_progress",),
    "moeopt.report.serverless": (
        "bill_per_layer",
        "function_memory",
        "function_replicas",
        "latency_per_layer",
    ),
    "moeopt.report.timeline": ("interleaved_timeline", "layer_timeline"),
    "moeopt.report.transfers": ("gantt", "port_idleness", "traffic"),
    "moeopt.report.wings": ("Fact", "Names", "Step", "Summary", "WingReport", "report_of"),
}

_HOME = {name: module for module, names in _HOMES.items() for name in names}

if TYPE_CHECKING:
    from moeopt.report.buffering import (
        cache_residents,
        cache_slots,
        hits_against_slots,
        hits_over_time,
        misses_per_layer,
    )
    from moeopt.report.colocation import device_weights, shared_devices, utilisation
    from moeopt.report.committee import (
        committee_sizes,
        limits_used,
        loss_against_memory,
        loss_per_layer,
        resident_map,
    )
    from moeopt.report.drawing import draw, save
    from moeopt.report.fronts import (
        cost_front,
        frontier_front,
        layer_cost_front,
        memory_front,
        moves_front,
    )
    from moeopt.report.page import report_html, write_report
    from moeopt.report.picture import (
        Axis,
        Bars,
        Gallery,
        Heat,
        Level,
        Line,
        Picture,
        Points,
        Spans,
    )
    from moeopt.report.placement import (
        device_loads,
        expert_device_map,
        layer_imbalance,
        replicas,
        scenario_imbalance,
    )
    from moeopt.report.progress import solver_progress
    from moeopt.report.serverless import (
        bill_per_layer,
        function_memory,
        function_replicas,
        latency_per_layer,
    )
    from moeopt.report.timeline import interleaved_timeline, layer_timeline
    from moeopt.report.transfers import gantt, port_idleness, traffic
    from moeopt.report.wings import Fact, Names, Step, Summary, WingReport, report_of

__all__ = [
    "Axis",
    "Bars",
    "Fact",
    "Gallery",
    "Heat",
    "Level",
    "Line",
    "Names",
    "Picture",
    "Points",
    "Spans",
    "Step",
    "Summary",
    "WingReport",
    "bill_per_layer",
    "cache_residents",
    "cache_slots",
    "committee_sizes",
    "cost_front",
    "device_loads",
    "device_weights",
    "draw",
    "expert_device_map",
    "frontier_front",
    "function_memory",
    "function_replicas",
    "gantt",
    "hits_against_slots",
    "hits_over_time",
    "interleaved_timeline",
    "latency_per_layer",
    "layer_cost_front",
    "layer_imbalance",
    "layer_timeline",
    "limits_used",
    "loss_against_memory",
    "loss_per_layer",
    "memory_front",
    "misses_per_layer",
    "moves_front",
    "port_idleness",
    "replicas",
    "report_html",
    "report_of",
    "resident_map",
    "save",
    "scenario_imbalance",
    "shared_devices",
    "solver_progress",
    "traffic",
    "utilisation",
    "write_report",
]


def __getattr__(name: str) -> Any:
    """Import the module that defines a public name on first use (PEP 562)."""
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'moeopt.report' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
