"""Order an all-to-all: plain arrays in, each port's own list of rounds out; then the way back.

Run: python examples/transfers_all_to_all.py
"""

import numpy as np

from moeopt.transfers import TransferProblem, schedule, violations
from moeopt.transfers.contention import speedups

TOKEN_BYTES = 7168  # a token of DeepSeek-V3 in FP8


def main() -> None:
    """Order the dispatch of 8 devices whose experts are not equally popular."""
    # Tokens from each device to each other one: from your gate's counts.
    rng = np.random.default_rng(0)
    popularity = 1 / rng.permutation(np.arange(1.0, 9))
    tokens = rng.multinomial(4096, popularity / popularity.sum(), 8)
    traffic = (tokens * TOKEN_BYTES).astype(float)

    order = schedule(traffic, bandwidth=50e9)
    print(f"dispatch {1e6 * order.makespan_s:.1f} us, bound {1e6 * order.bound_s:.1f} us", end=", ")
    print(f"gap {100 * order.gap:.3f} %, {order.plan.num_rounds} rounds")
    problem = TransferProblem(traffic_bytes=traffic, bandwidth_bytes_per_s=50e9)
    for name, ratio in speedups(problem, order.makespan_s).items():
        print(f"  {name:11} takes {ratio:.2f} times as long")

    print("port 0, its first three rounds:")
    for turn in order.rounds_for(0)[:3]:
        for part in turn.sends:
            start, end = 1e6 * part.start_s, 1e6 * (part.start_s + part.duration_s)
            what = f"{part.size_bytes / 1e6:.3f} MB to {part.peer}"
            print(f"  round {turn.round_index}: {what}, {start:.1f} to {end:.1f} us")

    # Combine is dispatch reversed, and in BF16 twice as large.
    back = order.plan.reversed(scale=2.0)
    returned = TransferProblem(traffic_bytes=2 * traffic.T, bandwidth_bytes_per_s=50e9)
    print(f"combine {1e6 * back.makespan_s:.1f} us,", end=" ")
    print(f"{len(violations(returned, back))} rules broken")

    # Start-ups of 10 us make it worth while to send in fewer pieces.
    slow = schedule(traffic, bandwidth=50e9, alpha=1e-5, peers="one")
    took, bound = 1e6 * slow.makespan_s, 1e6 * slow.bound_s
    print(f"with start-ups {took:.1f} us, bound {bound:.1f} us,", end=" ")
    print(f"{len(slow.source)} transmissions instead of {len(order.source)}")


if __name__ == "__main__":
    main()
