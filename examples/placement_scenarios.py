"""Plan for many load scenarios: the expected largest load over windows of 256 tokens.

A plan that is good for the mean load can be poor in each window, because what is busy together
changes. ``mean_max`` minimises what a step waits for, on average.

Run: python examples/placement_scenarios.py
"""

import msgspec

import moeopt
from moeopt.library import find
from moeopt.placement import PlacementPlan, PlacementProblem, evaluate


def fair_shares(problem: PlacementProblem, plan: PlacementPlan) -> float:
    """Return the expected largest device load over the mean device load, mean over layers."""
    return float(evaluate(problem, plan).imbalance.mean())


def main() -> None:
    """Fit on the first half of the windows, score on the second."""
    problem = moeopt.load_problem(find("placement/deepseek-v2-lite-intent-windows"))
    half = problem.num_scenarios // 2
    seen, unseen = problem.loads_tokens[:half], problem.loads_tokens[half:]
    fit = msgspec.structs.replace(problem, loads_tokens=seen)
    score = msgspec.structs.replace(problem, loads_tokens=unseen)
    print(f"{half} windows to fit, {len(unseen)} to score, objective {problem.objective}")
    for method in ("contiguous", "lpt", "anticorrelation", "search"):
        plan = moeopt.solve(fit, method).plan
        print(f"{method:16} fitted {fair_shares(fit, plan):.3f}  held out", end=" ")
        print(f"{fair_shares(score, plan):.3f}")


if __name__ == "__main__":
    main()
