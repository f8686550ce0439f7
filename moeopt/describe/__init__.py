"""The vocabulary: devices, nodes, clusters, model shapes and their loads."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOME = {
    "Cluster": "cluster",
    "Device": "cluster",
    "MoEModel": "model",
    "Node": "cluster",
    "NodeGroup": "cluster",
    "PriceBook": "pricing",
    "preset": "presets",
    "preset_names": "presets",
    "price_book": "pricing",
}

__all__ = [
    "Cluster",
    "Device",
    "MoEModel",
    "Node",
    "NodeGroup",
    "PriceBook",
    "preset",
    "preset_names",
    "price_book",
]

if TYPE_CHECKING:
    from moeopt.describe.cluster import Cluster, Device, Node, NodeGroup
    from moeopt.describe.model import MoEModel
    from moeopt.describe.presets import preset, preset_names
    from moeopt.describe.pricing import PriceBook, price_book


def __getattr__(name: str) -> Any:
    """Import the module that defines a public name on first use (PEP 562)."""
    if name in _HOME:
        value = getattr(importlib.import_module(f"moeopt.describe.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'moeopt.describe' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
