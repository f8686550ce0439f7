"""Recorded routing: which experts each token went to, and what is known of the token."""

from __future__ import annotations

from moeopt.traces.npz import read_trace, write_trace
from moeopt.traces.stand_ins import with_stand_in_ids
from moeopt.traces.trace import RoutingTrace

__all__ = ["RoutingTrace", "read_trace", "with_stand_in_ids", "write_trace"]
