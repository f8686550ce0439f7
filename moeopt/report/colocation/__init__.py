"""Models that share devices on a page, and the pictures of it by themselves."""

from moeopt.report.colocation.page import REPORT
from moeopt.report.colocation.pictures import (
    device_weights,
    shared_devices,
    utilisation,
)

__all__ = [
    "REPORT",
    "device_weights",
    "shared_devices",
    "utilisation",
]
