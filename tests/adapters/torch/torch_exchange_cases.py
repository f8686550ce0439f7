"""Plans, links and matrices for the tests of exchanges."""

from __future__ import annotations

import numpy as np

from moeopt.adapters.torch.link import Link
from moeopt.core.arrays import IntArray
from moeopt.transfers.plan import TransferPlan

#: Ports of 50 MB/s; a receiver with many senders has a fifth of that.
SLOW = Link(3e-4, 50e6, 10e6, 2e-4, 50e6)

#: Eight H200s of one host: 64 MiB of each in one all-to-all take 349 us, in 8 rounds 911 us.
NVLINK = Link(20e-6, 2**26 / 329e-6, 2**26 / 329e-6, 93e-6, 2**26 / (911e-6 - 8 * 93e-6))


def plan_of(*rows: tuple[int, int, int, float]) -> TransferPlan:
    """Return a plan of rows: round, source, destination, bytes; every byte takes a second."""
    number, source, destination, size = (np.array(column) for column in zip(*rows, strict=True))
    return TransferPlan(
        source=source,
        destination=destination,
        size_bytes=size,
        start_s=1e6 * number,
        duration_s=size,
        round_index=number,
    )


def matrices(world: int, seed: int = 0) -> list[IntArray]:
    """Return rows from each rank to each: any, with zeros, a silent rank, one pair, none."""
    random = np.random.default_rng(seed)
    full = random.integers(1, 300, (world, world))
    sparse = full * (random.random((world, world)) < 0.5)
    silent = full.copy()
    silent[-1], silent[:, -1] = 0, 0
    hot = np.zeros_like(full)
    hot[:, 0] = full[:, 0]
    pair = np.zeros_like(full)
    pair[0, world - 1] = 700
    few = random.integers(0, 3, (world, world))
    return [full, sparse, silent, hot, hot.T.copy(), pair, few, np.zeros_like(full)]


def odd_plan(world: int) -> TransferPlan:
    """Return a plan of unequal parts that knows some pairs only, and some that rarely occur."""
    far = world - 1
    rows = [(3, 0, 1, 5.0), (3, 1, 0, 2.5), (7, 0, 1, 1.0), (7, far, 0, 9.0), (40, 0, 1, 1e-3)]
    return plan_of(*rows)
