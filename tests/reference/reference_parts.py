"""Where the example lies, and what it shipped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from moeopt.library import trace_path
from moeopt.traces import RoutingTrace, read_trace

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples" / "reference_moe"
SHIPPED = FOLDER / "shipped"

TRACES = ("reference-held-out", "reference-train", "reference-unbalanced")


def reference() -> dict[str, Any]:
    """Return what the example recorded of itself."""
    found: dict[str, Any] = json.loads((SHIPPED / "reference.json").read_text(encoding="utf-8"))
    return found


def trace(name: str) -> RoutingTrace:
    """Return a trace of the library."""
    return read_trace(trace_path(name))


def stretches(name: str, count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return the first texts of a trace, ``(count, 512)``."""
    tokens = trace(name).token_ids
    assert tokens is not None
    return tokens.astype(np.uint8).reshape(-1, 512)[:count]
