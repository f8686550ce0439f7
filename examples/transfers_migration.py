"""Move experts to a new placement: which copy is sent, in what order, and as vLLM's batches.

Run: python examples/transfers_migration.py
"""

import numpy as np

from moeopt.adapters.engines.migration import schedule_migration_batches
from moeopt.placement import place
from moeopt.transfers.migration import moves_between, order_migration

RANKS, SLOTS = 16, 9
EXPERT_BYTES = 3 * 7168 * 2048  # an expert of DeepSeek-V3 in FP8
RATE = 50e9


def main() -> None:
    """Plan a layer, let popularity drift, plan again, and order the moves in between."""
    rng = np.random.default_rng(0)
    loads = rng.lognormal(0.0, 1.0, (1, 128))
    drifted = loads * rng.lognormal(0.0, 0.2, loads.shape)
    old, new = (
        place(load, devices=RANKS, slots=RANKS * SLOTS, method="eplb", max_copies_per_device=None)
        for load in (loads, drifted)
    )

    tables = old.physical_to_logical[0], new.physical_to_logical[0]
    _, moves = moves_between(*tables, SLOTS, EXPERT_BYTES)
    print(f"{moves.num_moves} of {RANKS * SLOTS} slots get an expert that their rank lacks")
    for half_duplex, name in ((True, "one thing at a time"), (False, "send and receive")):
        order = order_migration(moves, half_duplex=half_duplex)
        took, bound = (1e3 * b / RATE for b in (order.makespan_bytes, order.bound_bytes))
        print(f"{name:20} {order.num_batches:2} batches, {took:.2f} ms, bound {bound:.2f} ms")

    batches = schedule_migration_batches(SLOTS, *tables)
    print(f"as vLLM's list: {len(batches)} batches, the first one begins with {batches[0][0]}")


if __name__ == "__main__":
    main()
