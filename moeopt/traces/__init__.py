"""Recorded routing: which experts each token went to, and what is known of the token."""

from __future__ import annotations

from moeopt.traces.counts import ExpertCounts
from moeopt.traces.csv_counts import read_csv_counts, write_csv_counts
from moeopt.traces.dispatch import read_any
from moeopt.traces.megatron import read_megatron_trace
from moeopt.traces.npz import read_trace, write_trace
from moeopt.traces.record import Recorder, record_routing
from moeopt.traces.routed_experts import read_routed_experts, trace_of_requests
from moeopt.traces.sglang import read_sglang_counts, read_sglang_trace
from moeopt.traces.stand_ins import with_stand_in_ids
from moeopt.traces.tensorrt import read_tensorrt_counts
from moeopt.traces.trace import RoutingTrace
from moeopt.traces.windows import counts_in_windows, counts_of_layers

__all__ = [
    "ExpertCounts",
    "Recorder",
    "RoutingTrace",
    "counts_in_windows",
    "counts_of_layers",
    "read_any",
    "read_csv_counts",
    "read_megatron_trace",
    "read_routed_experts",
    "read_sglang_counts",
    "read_sglang_trace",
    "read_tensorrt_counts",
    "read_trace",
    "record_routing",
    "trace_of_requests",
    "with_stand_in_ids",
    "write_csv_counts",
    "write_trace",
]
