"""Deployments of functions on a page, and their pictures by themselves."""

from moeopt.report.serverless.page import REPORT
from moeopt.report.serverless.pictures import (
    bill_per_layer,
    function_memory,
    function_replicas,
    latency_per_layer,
)

__all__ = [
    "REPORT",
    "bill_per_layer",
    "function_memory",
    "function_replicas",
    "latency_per_layer",
]
