"""Plan DeepSeek-V3's experts on four nodes of eight devices, from the instance that is shipped.

Run: python examples/placement_deepseek_v3.py
"""

import msgspec

import moeopt
from moeopt.library import find
from moeopt.placement import evaluate


def main() -> None:
    """Print the imbalance before and after, and how far each plan is from the best possible."""
    problem = moeopt.load_problem(find("placement/deepseek-v3-288-32"))
    print(f"{problem.num_layers} layers x {problem.num_experts} experts, {problem.num_slots} slots")
    print(f"{problem.num_devices} devices in {problem.cluster.num_nodes} nodes")

    # A group of experts on one node each: tokens cross fewer links, the balance has less room.
    grouped = msgspec.structs.replace(problem, groups=8, group_rule="one_node")
    for name, stated, method in (
        ("before (experts in order)", problem, "contiguous"),
        ("after", problem, "auto"),
        ("after, groups on one node", grouped, "auto"),
    ):
        result = moeopt.solve(stated, method)
        imbalance = evaluate(stated, result.plan).imbalance
        print(f"{name:26} imbalance {imbalance.mean():.4f}", end=", ")
        print(f"worst layer {imbalance.max():.4f}, gap {100 * result.gap:.2f} %")


if __name__ == "__main__":
    main()
