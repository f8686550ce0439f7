"""Plans for two tasks at once: what they are made from, and how near to a plan for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from moeopt.bench.balance import device_loads, imbalance
from moeopt.bench.motion_robust_history import DEVICES, SLOTS, TASKS, WINDOW, windows_of
from moeopt.bench.registry import Figure, Report, Setting
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.solve import solve
from moeopt.core.table import Cell, Column, Table
from moeopt.describe.cluster import Cluster
from moeopt.describe.loads import halves
from moeopt.placement.problem import Objective, PlacementProblem
from moeopt.placement.robust import scenarios

#: Tokens of the windows that plans are fitted to and scored on.
TOKENS = 256

#: Share of the worst windows that ``cvar`` averages, and that the table shows.
TAIL = 0.25


@dataclass(frozen=True)
class Fit:
    """What a plan is made from.

    Attributes
    ----------
    objective
        Of the plan.
    each
        Scenarios of a task; as many as there are windows if more.
    tasks
        Whose windows it sees.
    chosen
        Whether scenarios are windows chosen by forward selection, not sums of windows.
    """

    objective: Objective
    each: int = 1
    tasks: tuple[str, ...] = TASKS
    chosen: bool = False

    @property
    def name(self) -> str:
        """Return the row's name."""
        seen = "both" if len(self.tasks) > 1 else self.tasks[0]
        kind = "chosen" if self.chosen else "sums"
        each = "all windows" if self.each == ALL else f"{self.each} {kind} each"
        return f"{self.objective}, {seen}, {each}"


#: More scenarios than a task has windows: each is one.
ALL = 1_000

#: Each task's own plan, then plans for both.
FITS = (
    *(Fit("mean_max", 4, (task,)) for task in TASKS),
    Fit("max_load"),
    Fit("mean_max"),
    Fit("worst_max"),
    Fit("mean_max", 4, chosen=True),
    Fit("mean_max", 4),
    Fit("cvar", 4),
    Fit("mean_max", ALL),
)

#: In a quick run.
QUICK_FITS = (*(Fit("mean_max", 1, (task,)) for task in TASKS), Fit("max_load"), Fit("mean_max"))


def run(setting: Setting) -> Report:
    """Fit plans to the first halves of both tasks' windows, score them on the second halves."""
    found: dict[str, dict[str, float]] = {}
    for slots in SLOTS[-1:] if setting.quick else SLOTS:
        for fit in QUICK_FITS if setting.quick else FITS:
            found[f"{slots}/{fit.name}"] = _scores(_plan(fit, slots))
    return Report([_table(found)], _figures(found), {"both_tasks": found})


def joined(task: str) -> FloatArray:
    """Return the library's counts of a task in windows of `TOKENS`."""
    counts = windows_of(task)
    parts = counts.reshape(-1, TOKENS // WINDOW, *counts.shape[1:])
    return np.asarray(parts.sum(axis=1))


def problem_of(
    loads: FloatArray,
    slots: int,
    objective: Objective,
    weights: FloatArray | None = None,
    devices: int = DEVICES,
) -> PlacementProblem:
    """Return the placement of loads on equal devices.

    Parameters
    ----------
    loads, weights, objective
        Fields of the problem.
    slots
        Of all devices.
    devices
        Number of devices.
    """
    return PlacementProblem(
        loads_tokens=loads,
        scenario_weights=weights,
        cluster=Cluster.uniform(devices),
        slots_per_device=slots // devices,
        objective=objective,
        cvar_tail=TAIL if objective == "cvar" else None,
    )


def _plan(fit: Fit, slots: int) -> IntArray:
    seen = [halves(joined(task))[0] for task in fit.tasks]
    if fit.chosen:
        few = [_chosen(windows, fit.each) for windows in seen]
        loads, weights = (np.concatenate(parts) for parts in zip(*few, strict=True))
    else:
        labels = [task for task, windows in zip(fit.tasks, seen, strict=True) for _ in windows]
        sums = scenarios(np.concatenate(seen), labels, each=fit.each)
        loads, weights = sums.loads_tokens, sums.weights
    result: Any = solve(problem_of(loads, slots, fit.objective, weights))
    table: IntArray = result.plan.physical_to_logical
    return table


def _chosen(windows: FloatArray, count: int) -> tuple[FloatArray, FloatArray]:
    """Return windows and how many each is nearest to, by forward selection.

    One after the other the window is chosen that leaves the least sum of distances from every
    window to the nearest one chosen (Heitsch and Roemisch, 2003).
    """
    from scipy.spatial.distance import cdist

    flat = windows.reshape(len(windows), -1)
    distance = cdist(flat, flat)
    nearest = np.full(len(windows), np.inf)
    chosen: list[int] = []
    for _ in range(count):
        left = np.minimum(nearest[:, None], distance).sum(axis=0)
        left[chosen] = np.inf
        chosen.append(int(left.argmin()))
        nearest = np.minimum(nearest, distance[:, chosen[-1]])
    weights = np.bincount(distance[:, chosen].argmin(axis=1), minlength=count)
    return windows[chosen], weights.astype(np.float64)


def _scores(table: IntArray) -> dict[str, float]:
    """Return the held-out figures of a plan, in fair shares, averaged over layers."""
    ratio = {
        task: imbalance(device_loads(table, halves(joined(task))[1], DEVICES)) for task in TASKS
    }
    both = np.sort(np.concatenate(list(ratio.values())), axis=0)
    tail = round(TAIL * len(both))
    return {task: float(one.mean()) for task, one in ratio.items()} | {
        "mean": float(both.mean()),
        "tail": float(both[-tail:].mean()),
        "worst": float(both[-1].mean()),
    }


def _table(found: Mapping[str, Mapping[str, float]]) -> Table:
    rows: list[list[Cell]] = []
    for key, scores in found.items():
        slots, name = key.split("/")
        rows.append([int(slots), name, *scores.values()])
    columns = [
        Column("slots"),
        Column("plan"),
        *(Column(task, ".3f") for task in TASKS),
        Column("both", ".3f"),
        Column(f"worst {TAIL:.0%}", ".3f"),
        Column("worst", ".3f"),
    ]
    note = (
        f"Fitted to the first halves, scored on the second; windows of {TOKENS} tokens. Each task "
        "has so many scenarios: sums of its windows, or windows chosen."
    )
    return Table("Plans for two tasks: held-out largest load in fair shares", columns, rows, note)


def _figures(found: Mapping[str, Mapping[str, float]]) -> list[Figure]:
    def worst(fit: Fit, *others: tuple[Fit, str]) -> float:
        """Return the plan's mean over the mean of others, each on some column."""
        ratios = []
        for slots in {key.split("/")[0] for key in found}:
            beside = [found[f"{slots}/{other.name}"][column] for other, column in others]
            ratios.append(found[f"{slots}/{fit.name}"]["mean"] / float(np.mean(beside)))
        return max(ratios)

    each = 4 if f"{SLOTS[-1]}/{Fit('mean_max', 4).name}" in found else 1
    own = [(Fit("mean_max", each, (task,)), task) for task in TASKS]
    both = Fit("mean_max", each)
    return [
        Figure("both tasks: mean_max over each task's own plan", worst(both, *own), 1.02),
        Figure(
            "both tasks: mean_max over the plan of the mean load",
            worst(both, (Fit("max_load"), "mean")),
            0.9,
        ),
    ]
