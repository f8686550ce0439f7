"""Watch loads window by window and move experts when that pays: two tasks of real text in turn.

Run: python examples/placement_online.py
"""

import numpy as np

from moeopt.io import load_problem
from moeopt.placement.motion import Costs, World
from moeopt.placement.online import Online

DEVICES, SLOTS_PER_DEVICE = 8, 9
BATCHES_PER_WINDOW = 50


def main() -> None:
    """Serve windows of 256 tokens, 12 of each task in turn, and print what the policy decides."""
    tasks = [
        load_problem(f"@placement/deepseek-v2-lite-{name}-windows-64").loads_tokens
        for name in ("intent", "translation")
    ]
    windows = [task.reshape(-1, 4, *task.shape[1:]).sum(axis=1) for task in tasks]
    stream = [windows[i // 12 % 2][i] for i in range(24)] + [windows[0][i] for i in range(24, 30)]

    layers, experts = stream[0].shape
    table = np.tile(np.arange(DEVICES * SLOTS_PER_DEVICE) % experts, (layers, 1))
    world = World(
        costs=Costs.of_model("deepseek-v2-lite", "h200", DEVICES, port_bytes_per_s=50e9),
        slots_per_device=SLOTS_PER_DEVICE,
        batches_per_window=BATCHES_PER_WINDOW,
        overlapped=False,
        # A window is a sample; a batch has 4,096 tokens a device, 6 experts each.
        batch_tokens=4096 * DEVICES * 6,
    )
    policy = Online()
    policy.start(world, table)
    for number, loads in enumerate(stream):
        served_s = world.window_s(loads, table)
        new = policy.observe(loads, table)
        known = policy.last.known
        print(f"window {number:2}  {served_s:.3f} s  regime {known.regime}  {policy.last.why()}")
        table = table if new is None else new


if __name__ == "__main__":
    main()
