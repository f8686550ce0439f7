"""How much memory is enough? The least loss at each budget, and the paper's planner beside it.

A model of SwitchT-64's size, its importance drawn; the same with a limit of latency; and the worst
that choosing by importance can do where tokens of absent experts go to others.

Run: python examples/committee_memory_budgets.py
"""

import moeopt
from moeopt.committee import evaluate, violations
from moeopt.committee.generate import hub, switch_t

BUDGETS_GIB = (2.6, 4.7, 7.0, 10.0)


def main() -> None:
    """Plan budget after budget."""
    for budget in BUDGETS_GIB:
        tell(f"{budget} GiB", switch_t(64, budget))
    for latency in (0.9, 0.7):
        tell(f"4.7 GiB within {latency} s", switch_t(64, 4.7, latency_s=latency))

    problem = hub(16, 4)
    best, paper = (moeopt.solve(problem, method) for method in ("auto", "top_importance"))
    print(f"substitutes: loss {best.objective:.3f}, bound {best.bound:.3f};", end=" ")
    print(f"by importance alone {paper.objective:.3f}")


def tell(name, problem):
    """Print the best plan of a problem, and others beside it."""
    best = moeopt.solve(problem)
    value = evaluate(problem, best.plan)
    print(f"{name}: {value.slots} slots of {problem.layers * problem.experts},", end=" ")
    print(f"{value.memory_bytes / 2**30:.2f} GiB, {value.latency_s:.2f} s,", end=" ")
    print(f"loss {100 * value.loss_share:.1f} %, gap {100 * best.gap:.2f} %,", end=" ")
    print(f"{len(violations(problem, best.plan))} rules broken")
    for method in ("genetic", "simple"):
        found = moeopt.solve(problem, method)
        print(f"  {method:8} {found.objective / best.objective:.4f} times the loss")


if __name__ == "__main__":
    main()
