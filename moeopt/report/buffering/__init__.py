"""Expert caches on a page, and their pictures by themselves."""

from moeopt.report.buffering.page import REPORT
from moeopt.report.buffering.pictures import (
    cache_residents,
    cache_slots,
    hits_against_slots,
    hits_over_time,
    misses_per_layer,
)

__all__ = [
    "REPORT",
    "cache_residents",
    "cache_slots",
    "hits_against_slots",
    "hits_over_time",
    "misses_per_layer",
]
