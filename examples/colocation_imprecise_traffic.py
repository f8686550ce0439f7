"""Plan for one layer's traffic, run with other layers mixed in: what imprecise input costs.

After figure 14 of Aurora (arXiv 2410.17043), whose point of 75 % noise is three layers out of four.

Run: python examples/colocation_imprecise_traffic.py
"""

import numpy as np

import moeopt
from moeopt.colocation import ColocationPlan, ColocationProblem, evaluate
from moeopt.colocation.generate import limoe

MODELS = ("b16-imagenet", "b32-coco")


def random_s(problem: ColocationProblem) -> float:
    """Return the mean time of random pairs on random devices."""
    results = [moeopt.solve(problem, "rga_rec", seed=seed) for seed in range(20)]
    return float(np.mean([result.objective for result in results]))


def scored_s(problem: ColocationProblem, plan: ColocationPlan) -> float:
    """Return the time of a plan that was made for other traffic."""
    return evaluate(problem, plan).time_s


def main() -> None:
    """Score the plan for the first layer as more of the traffic is unknown to it."""
    plan = moeopt.solve(limoe(*MODELS, cluster="mixed")).plan
    for others in range(4):
        problem = limoe(*MODELS, cluster="mixed", others=others)
        best = moeopt.solve(problem).objective
        ours, random = scored_s(problem, plan), random_s(problem)
        print(f"noise {100 * others / (others + 1):2.0f} %:", end=" ")
        print(f"{random / ours:.3f} times as fast as random,", end=" ")
        print(f"the best plan for this traffic {random / best:.3f} times")


if __name__ == "__main__":
    main()
