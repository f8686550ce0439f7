"""What workers on emulated nodes run for the tests."""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch
import torch.distributed as dist

from moeopt.adapters.torch.exchange import SingleExchange, Sizes
from moeopt.adapters.torch.layer import rank_and_world


def network() -> str:
    """Return this worker's network namespace."""
    return os.readlink("/proc/self/ns/net")


def over_the_port(rows: list[list[int]], row_bytes: int) -> tuple[int, float, float]:
    """Return the bytes that this node's port has sent for one exchange, its begin and its end.

    The clock is the machine's, the same for all.

    Parameters
    ----------
    rows
        From each rank to each.
    row_bytes
        Bytes of a row.
    """
    rank, world = rank_and_world()
    sizes = Sizes(rows[rank], [rows[peer][rank] for peer in range(world)])
    sent = torch.full((sum(sizes.sent), row_bytes), rank, dtype=torch.uint8)
    arrived = torch.empty(sum(sizes.received), row_bytes, dtype=torch.uint8)
    before = _sent_bytes()
    dist.barrier()  # nobody of the node has begun
    begun = time.monotonic()
    SingleExchange().route(sizes, row_bytes).start(sent, arrived).wait()
    ended = time.monotonic()
    dist.barrier()  # all have ended
    expected = torch.arange(world).repeat_interleave(torch.tensor(sizes.received))
    assert torch.equal(arrived, expected[:, None].to(torch.uint8).expand_as(arrived))
    return _sent_bytes() - before, begun, ended


def _sent_bytes() -> int:
    lines = Path("/proc/self/net/dev").read_text(encoding="utf-8").splitlines()
    counters = {name.strip(): rest.split() for name, _, rest in (x.partition(":") for x in lines)}
    return int(counters["eth0"][8])
