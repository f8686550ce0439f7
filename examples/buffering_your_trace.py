"""Your own trace: slots of each layer under a budget of bytes, and policies beside the optimum.

Run: python examples/buffering_your_trace.py [trace.npz]
"""

import sys

import msgspec
import numpy as np

import moeopt
from moeopt.buffering import buffering_problem, evaluate, violations
from moeopt.library import trace_path
from moeopt.traces import read_trace

#: Bytes of an expert, and the share of all of them that the device has room for.
EXPERT_BYTES, SHARE = 64 * 2**20, 0.25

#: Tokens that are looked at, half of them to plan by; the rest is held out.
TOKENS = 2048

POLICIES = ("lru", "lfu", "fifo", "inactive_lifo", "least_stale", "learned")


def main() -> None:
    """Divide the budget on the first half of a trace, and see what comes of it on the second."""
    path = sys.argv[1] if len(sys.argv) > 1 else trace_path("reference-unbalanced")
    trace = read_trace(path)
    half = min(TOKENS, trace.num_tokens) // 2
    everything = trace.num_layers * trace.num_experts
    budget = round(SHARE * everything) * EXPERT_BYTES
    problem = buffering_problem(trace.part(0, half), expert_bytes=EXPERT_BYTES, budget_bytes=budget)
    result = moeopt.solve(problem)
    slots = result.plan.capacity
    print(
        f"slots {slots.tolist()}: {result.objective:.0f} loads, bound {result.bound:.0f},", end=" "
    )
    print(f"{len(violations(problem, result.plan))} rules broken")
    equal = np.full(trace.num_layers, round(SHARE * trace.num_experts))
    alike = with_slots(problem, equal)
    print(f"slots {equal.tolist()}: {moeopt.solve(alike).objective:.0f} loads")

    later = buffering_problem(
        trace.part(half, 2 * half), expert_bytes=EXPERT_BYTES, budget_bytes=budget
    )
    held_out = with_slots(later, slots)
    best = moeopt.solve(held_out)
    print(f"held out: optimum {best.objective:.0f} loads, with equal slots", end=" ")
    print(f"{moeopt.solve(with_slots(later, equal)).objective:.0f}")
    for policy in POLICIES:
        found = moeopt.solve(held_out, policy)
        value = evaluate(held_out, found.plan)
        print(f"  {policy:13} hits {100 * value.hit_rate:.1f} %,", end=" ")
        print(f"loads {found.objective / best.objective:.2f} times the optimum's")


def with_slots(problem, slots):
    """Return the problem with slots of each layer instead of a budget."""
    return msgspec.structs.replace(problem, budget_bytes=None, slots=slots)


if __name__ == "__main__":
    main()
