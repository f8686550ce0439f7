"""Committees on a page, and their pictures by themselves."""

from moeopt.report.committee.page import REPORT
from moeopt.report.committee.pictures import (
    committee_sizes,
    limits_used,
    loss_against_memory,
    loss_per_layer,
    resident_map,
)

__all__ = [
    "REPORT",
    "committee_sizes",
    "limits_used",
    "loss_against_memory",
    "loss_per_layer",
    "resident_map",
]
