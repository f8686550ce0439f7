"""Our own methods as contenders: through the drop-in call that engines make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from moeopt import __version__
from moeopt.adapters.engines.eplb import Effort, rebalance_experts
from moeopt.bench.peers import Contender
from moeopt.core.arrays import FloatArray
from moeopt.placement.generate import Layout


def ours(method: Effort) -> Contender:
    """Return one of the drop-in's methods."""

    def bind(loads: FloatArray, layout: Layout) -> Callable[[], Any]:
        # float32, as every other contender gets it.
        weight = loads.astype(np.float32)
        sizes = (layout.slots, layout.groups, layout.nodes, layout.devices)
        return lambda: rebalance_experts(weight, *sizes, method=method)[0]

    return Contender(method, bind, __version__)
