"""Your own trace: slots planned on its first half, a scheduler that sees the second as it comes.

Run: python examples/committee_your_trace.py [trace.npz]
"""

import sys

import numpy as np

import moeopt
from moeopt.committee import Scheduler, committee_problem, evaluate, schedule, violations
from moeopt.committee.periods import best_period
from moeopt.library import trace_path
from moeopt.traces import read_trace

#: Bytes of an expert, the share of all of them that the device has room for, and what a link
#: carries in the seconds of a window.
EXPERT_BYTES, SHARE, LINK_BYTES_PER_S, WINDOW_S = 64 * 2**20, 0.4, 1e9, 2.0

#: Tokens of a window, and of all that is looked at.
WINDOW, TOKENS = 256, 8192

PERIODS = (1, 2, 4)


def main() -> None:
    """Plan on the past, serve what comes, and compare with hindsight."""
    path = sys.argv[1] if len(sys.argv) > 1 else trace_path("reference-held-out")
    trace = read_trace(path)
    half = min(TOKENS, trace.num_tokens) // 2
    past, coming = (problem_of(trace.part(a, a + half)) for a in (0, half))
    slots = moeopt.solve(past, "knapsack").plan.slots
    history = past.importance.mean(axis=0)
    period = best_period(past, slots, "rent_or_buy", history=history).period
    print(f"slots {slots.tolist()}, an update every {period} windows")

    best = moeopt.solve(coming, time_limit_s=20)
    print(f"hindsight: {best.objective:.0f}, bound {best.bound:.0f}")
    for rule in ("paper", "rent_or_buy"):
        plan = schedule(coming, slots, rule, period=period, history=history)
        value = evaluate(coming, plan)
        print(f"  {rule:11} {value.objective / best.bound:.2f} times the bound,", end=" ")
        print(f"loss {100 * value.loss_share:.1f} %, {value.loads} loads,", end=" ")
        print(f"{value.peak_swap_bytes_per_s / 1e6:.0f} MB/s at most,", end=" ")
        print(f"{len(violations(coming, plan))} rules broken")

    scheduler = Scheduler(coming, slots, "rent_or_buy", period=period, history=history)
    for window, seen in enumerate(coming.importance):
        changes = scheduler.observe(seen)
        if len(changes.loads):
            layer, expert = changes.loads[0]
            print(f"after window {window}: {len(changes.loads)} experts come,", end=" ")
            print(f"expert {expert} of layer {layer} first")
            break


def problem_of(trace):
    """Return the committee's problem on a part of the trace."""
    everything = trace.num_layers * trace.num_experts
    return committee_problem(
        trace,
        window_tokens=WINDOW,
        across_sequences=True,
        expert_bytes=EXPERT_BYTES,
        staging_slots=1,
        budget_bytes=(round(SHARE * everything) + trace.num_layers) * EXPERT_BYTES,
        load_price=WINDOW / trace.num_experts,
        link_bytes_per_s=LINK_BYTES_PER_S,
        window_s=WINDOW_S,
        periods=np.array(PERIODS),
    )


if __name__ == "__main__":
    main()
