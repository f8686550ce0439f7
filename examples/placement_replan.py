"""Follow a drift of popularity with few copies, and put them in order: balance, bytes, seconds.

Run: python examples/placement_replan.py
"""

import numpy as np

from moeopt.placement import place
from moeopt.placement.replan import replan
from moeopt.transfers.migration import moves_between, order_migration

DEVICES, SLOTS = 16, 9
EXPERT_BYTES = 3 * 7168 * 2048  # an expert of DeepSeek-V3 in FP8
RATE = 50e9


def migration(old: np.ndarray, new: np.ndarray) -> str:
    """Tell what is copied, and how long it takes layer after layer, ports busy both ways."""
    moves = [moves_between(*pair, SLOTS, EXPERT_BYTES)[1] for pair in zip(old, new, strict=True)]
    copies = sum(of_layer.num_moves for of_layer in moves)
    took = sum(order_migration(of_layer).makespan_bytes for of_layer in moves) / RATE
    return f"{copies} copies, {copies * EXPERT_BYTES / 1e9:.1f} GB, {1e3 * took:.1f} ms"


def main() -> None:
    """Plan 8 layers, let popularity drift, and compare replans with a fresh plan."""
    rng = np.random.default_rng(0)
    loads = rng.lognormal(0.0, 1.0, (8, 128))
    drifted = loads * rng.lognormal(0.0, 0.2, loads.shape)
    rules = {"devices": DEVICES, "slots": DEVICES * SLOTS}
    old = place(loads, **rules).physical_to_logical

    found = replan(old, drifted, DEVICES, expert_bytes=EXPERT_BYTES)
    front = found.front
    print(f"{len(front)} plans from {front.imbalance[0]:.3f} to {front.imbalance[-1]:.4f}")
    for level in (1.05, 1.01, 1.002):
        point = front.reaching(level)
        assert point is not None
        print(f"imbalance {level}: {migration(old, front.table(point))}")
    fresh = place(drifted, **rules, method="fast")
    print(f"planned afresh, {fresh.imbalance.mean():.4f}: ", end="")
    print(migration(old, fresh.physical_to_logical))

    # A device has died, and no other may take more than 8 experts over all layers.
    limited = replan(
        old,
        drifted,
        DEVICES,
        expert_bytes=EXPERT_BYTES,
        max_moved_bytes_per_device=8 * EXPERT_BYTES,
        dead_devices=(3,),
    )
    print(f"without device 3: {limited.transfers} copies, imbalance {limited.imbalance:.3f}")


if __name__ == "__main__":
    main()
