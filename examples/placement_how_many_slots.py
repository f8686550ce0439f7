"""How many redundant slots pay? DeepSeek-V3's experts on 32 devices, from the shipped instance.

Every redundant slot is an expert more in a device's memory, in every layer. The sweep tells what
each number of them buys, and what no plan can beat.

Run: python examples/placement_how_many_slots.py
"""

from functools import partial

import moeopt
from moeopt.core.parallel import run_all
from moeopt.library import find
from moeopt.placement.frontier_cases import Span
from moeopt.placement.frontiers import Asked, frontier


def main() -> None:
    """Print the frontier, and the fewest slots that are nearly as good as the most."""
    problem = moeopt.load_problem(find("placement/deepseek-v3-288-32"))
    # Two solves at a time, in processes; backend="ray" or "dask" would use a cluster.
    run = partial(run_all, workers=2)
    found = frontier(problem, "slots", Asked(Span(0, 32, 4), run=run))
    print("redundant slots of each layer   imbalance   no plan is below")
    for point in found.points:
        marked = " *" if point.on_frontier else ""
        print(f"{point.at:31g}   {point.imbalance:9.4f}   {point.bound / point.unit:16.4f}{marked}")
    best = found.enough(0.01)
    memory = best.figures["memory_bytes"] / 1e9
    print(f"within 1 % of the best: {best.at:g} redundant slots, {memory:.1f} GB on a device")


if __name__ == "__main__":
    main()
