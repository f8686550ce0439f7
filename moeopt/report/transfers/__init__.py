"""Orders of transfers on a page, and their pictures by themselves."""

from moeopt.report.transfers.page import REPORT
from moeopt.report.transfers.pictures import (
    gantt,
    port_idleness,
    traffic,
)

__all__ = [
    "REPORT",
    "gantt",
    "port_idleness",
    "traffic",
]
