"""A short history, two tasks: what to plan for, and whether to switch plans when the task does.

Counts of DeepSeek-V2-Lite on two tasks, in windows of 256 tokens, on 8 devices with 9 slots. Your
own come from a trace by `moeopt.describe.loads.window_counts`.

Run: python examples/placement_robust.py
"""

import numpy as np

import moeopt
from moeopt.describe.cluster import Cluster
from moeopt.library import find
from moeopt.placement import PlacementPlan, PlacementProblem, evaluate, place
from moeopt.placement.motion import Costs
from moeopt.placement.robust import Traffic, choose, scenarios, shrinkage

TASKS = ("intent", "translation")
DEVICES, SLOTS = 8, 72


def counted(task: str) -> np.ndarray:
    """Return the windows of a task, ``(windows, layers, experts)``."""
    return moeopt.load_problem(find(f"placement/deepseek-v2-lite-{task}-windows")).loads_tokens


def problem_of(loads: np.ndarray, objective: str = "max_load") -> PlacementProblem:
    """Return the placement of some loads."""
    return PlacementProblem(
        loads_tokens=loads,
        cluster=Cluster.uniform(DEVICES),
        slots_per_device=SLOTS // DEVICES,
        objective=objective,
    )


def imbalance(table: np.ndarray, loads: np.ndarray) -> float:
    """Return the largest device load over the mean, mean over layers."""
    plan = PlacementPlan(physical_to_logical=table)
    return float(evaluate(problem_of(loads), plan).imbalance.mean())


def short_history(windows: np.ndarray, other: np.ndarray) -> None:
    """Plan from one window, alone and beside what was known before, for the last quarter."""
    before, today, later = windows[:8], windows[8:9], windows[24:]
    known = np.stack([other.sum(axis=0), before.sum(axis=0)])
    # One window does not tell how alike its tokens are; those before it do.
    spread = shrinkage(before, top_k=6).dispersion
    found = shrinkage(today, known, top_k=6, dispersion=spread)
    print(f"of the other task {found.mix[0]:.0%}, of this one {found.mix[1]:.0%},", end=" ")
    print(f"weight of the past {found.weight.mean():.0%}, dispersion {spread.mean():.1f}")
    for name, loads in (("256 tokens alone", today[0]), ("shrunk", found.loads)):
        plan = place(loads, devices=DEVICES, slots=SLOTS)
        print(f"{name:18} held out {imbalance(plan.physical_to_logical, later.sum(axis=0)):.3f}")


def two_tasks(windows: list[np.ndarray]) -> None:
    """Make one plan for both tasks, and compare it with one for each."""
    seen = [one[:16] for one in windows]
    labels = [task for task, one in zip(TASKS, seen, strict=True) for _ in one]
    few = scenarios(np.concatenate(seen), labels)
    for objective in ("max_load", "mean_max"):
        plan = place(
            few.loads_tokens,
            devices=DEVICES,
            slots=SLOTS,
            scenario_weights=few.weights,
            objective=objective,
        )
        scores = (imbalance(plan.physical_to_logical, one[16:].sum(axis=0)) for one in windows)
        both = zip(TASKS, scores, strict=True)
        print(f"one plan, {objective:8}", *(f"{task} {score:.3f}" for task, score in both))
    # Batches of 8,192 tokens that are routed like the windows.
    traffic = Traffic(
        batches=tuple(32 * one for one in seen),
        dwell_s=np.array([60.0, 60.0]),
        batches_per_s=20.0,
        notice_s=1.0,
    )
    costs = Costs.of_model("deepseek-v2-lite", "h200", DEVICES, port_bytes_per_s=50e9)
    choice = choose(problem_of(seen[0], "mean_max"), traffic, costs)
    for turns in (choice.one_plan, choice.apart, choice.best):
        print(f"{turns.name:32} {1e3 * turns.expected_s:.2f} ms a batch", end=", ")
        print(f"{1e3 * turns.switch_s:.0f} ms a switch")
    print(f"a plan for each pays if tasks last {choice.break_even_s:.0f} s")


def main() -> None:
    """Run both."""
    windows = [counted(task) for task in TASKS]
    short_history(*windows)
    two_tasks(windows)


if __name__ == "__main__":
    main()
