"""Your own loads as arrays, the plan as arrays; then the same through EPLB's call.

Run: python examples/placement_your_loads.py
"""

import numpy as np

from moeopt.adapters.engines.eplb import rebalance_experts
from moeopt.placement import place


def main() -> None:
    """Place 4 layers of 64 experts in 72 slots on 8 devices of 2 nodes."""
    # Tokens that each expert of each layer received: from your engine's counters.
    loads = np.random.default_rng(0).lognormal(0.0, 1.0, (4, 64)).round(3)

    placed = place(loads, devices=8, slots=72, nodes=2)
    print("imbalance of each layer:", placed.imbalance.round(4))
    print("gap to the proven bound:", f"{100 * placed.gap:.3f} %")
    print("experts on device 0, layer 0:", placed.physical_to_logical[0, :9])
    print("copies of the hottest expert, layer 0:", placed.expert_count[0, loads[0].argmax()])

    # The call that engines make, with the three arrays that they expect back.
    physical_to_logical, logical_to_physical, count = rebalance_experts(
        loads, num_replicas=72, num_groups=1, num_nodes=2, num_gpus=8
    )
    print("shapes:", physical_to_logical.shape, logical_to_physical.shape, count.shape)


if __name__ == "__main__":
    main()
