"""One plan for two tasks, or one for each and a migration at every switch: seconds of both."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from moeopt.bench.motion_robust_history import DEVICES, SLOTS, TASKS
from moeopt.bench.motion_robust_tasks import TOKENS, joined, problem_of
from moeopt.bench.registry import Figure, Report, Setting
from moeopt.core.arrays import FloatArray
from moeopt.core.table import Cell, Column, Table
from moeopt.describe.loads import halves
from moeopt.placement.motion.costs import Costs
from moeopt.placement.robust import Choice, Traffic, Turns, break_even_s, choose, turns

#: Of each port, bytes in a second.
PORTS = (450e9, 50e9)

#: Tokens of a batch that is routed like a window, and batches in a second.
BATCH_TOKENS = 8192
BATCHES_PER_S = 20.0

#: Mean seconds that a task lasts.
DWELLS_S = (1.0, 10.0, 100.0, 1000.0)

#: More tasks than the real traces have, and fewer slots a device: synthetic, lognormal loads.
MANY_TASKS, MANY_DEVICES, MANY_SLOTS = 4, 16, 80

MODEL, DEVICE = "deepseek-v2-lite", "h200"


@dataclass(frozen=True)
class Case:
    """Tasks on devices.

    Attributes
    ----------
    name
        Of the row.
    seen, unseen
        Windows of each task that plans are made from, and scored on.
    devices, slots
        Of the placement.
    """

    name: str
    seen: tuple[FloatArray, ...]
    unseen: tuple[FloatArray, ...]
    devices: int
    slots: int


def run(setting: Setting) -> Report:
    """Make the plans on the first halves of the tasks' windows, and score them on the second."""
    found: dict[str, dict[str, float]] = {}
    for case in _cases(setting.quick):
        problem = problem_of(case.seen[0], case.slots, "mean_max", devices=case.devices)
        # The rate of the ports decides between the plans, and makes none.
        choice = choose(problem, _traffic(case.seen), _costs(case, PORTS[0]))
        for port in PORTS:
            key = f"{case.name}/{case.slots}/{case.devices}/{port:g}"
            found[key] = _scores(case, choice, _costs(case, port))
    data = {key: _told(scores) for key, scores in found.items()}
    return Report([_table(found)], _figures(found), {"switching": data})


def _costs(case: Case, port: float) -> Costs:
    return Costs.of_model(MODEL, DEVICE, case.devices, port)


def _cases(quick: bool) -> Iterator[Case]:
    seen, unseen = zip(*(halves(joined(task)) for task in TASKS), strict=True)
    for slots in SLOTS[-1:] if quick else SLOTS:
        yield Case("two real", seen, unseen, DEVICES, slots)
    layers, experts = (2, 64) if quick else seen[0].shape[1:]
    rng = np.random.default_rng(0)
    drawn = rng.lognormal(0.0, 1.0, (MANY_TASKS, 1, layers, experts))
    tokens = seen[0][0, 0].sum() / drawn.sum(axis=-1, keepdims=True)
    many = tuple(drawn * tokens)
    yield Case(f"{MANY_TASKS} synthetic", many, many, MANY_DEVICES, MANY_SLOTS)


def _scores(case: Case, choice: Choice, costs: Costs) -> dict[str, float]:
    """Return milliseconds of a batch on the unseen windows, and the break-even."""
    seen, unseen = _traffic(case.seen), _traffic(case.unseen)
    each = case.slots // case.devices

    def scored(option: Turns, traffic: Traffic = unseen) -> Turns:
        return turns(option.name, option.tables, traffic, costs, each)

    one, apart = scored(choice.one_plan), scored(choice.apart)
    kept = scored(replace(choice.apart, tables=choice.apart.tables[:1].repeat(len(case.seen), 0)))
    found = {
        "kept_ms": 1e3 * kept.serving_s,
        "one_ms": 1e3 * one.serving_s,
        "each_ms": 1e3 * apart.serving_s,
        "switch_ms": 1e3 * apart.switch_s,
        "break_even_s": break_even_s(unseen, one, apart),
    }
    options = [scored(option, seen) for option in choice.options]
    for dwell_s in DWELLS_S:
        batches = dwell_s * BATCHES_PER_S
        best = scored(min(options, key=lambda option: option.lasting(batches)))
        found[f"saved_{dwell_s:g}"] = 1.0 - best.lasting(batches) / one.serving_s
    return found


def _traffic(windows: tuple[FloatArray, ...]) -> Traffic:
    """Return tasks of equal length whose batches are routed like the windows."""
    return Traffic(
        batches=tuple(BATCH_TOKENS / TOKENS * one for one in windows),
        dwell_s=np.ones(len(windows)),
        batches_per_s=BATCHES_PER_S,
    )


def _told(scores: Mapping[str, float]) -> dict[str, float | None]:
    """Return the scores as JSON has them: never is ``None``."""
    return {name: None if math.isinf(score) else score for name, score in scores.items()}


def _table(found: Mapping[str, Mapping[str, float]]) -> Table:
    rows: list[list[Cell]] = []
    for key, scores in found.items():
        tasks, slots, devices, port = key.split("/")
        told = _told(scores).values()
        rows.append([tasks, int(slots), int(devices), float(port) / 1e9, *told])
    columns = [
        Column("tasks"),
        Column("slots"),
        Column("devices"),
        Column("GB/s", ".0f"),
        Column("kept", ".2f"),
        Column("one plan", ".2f"),
        Column("one each", ".2f"),
        Column("switch", ".1f"),
        Column("even at s", ".1f"),
        *(Column(f"{dwell_s:g} s", ".2%") for dwell_s in DWELLS_S),
    ]
    note = (
        f"ms of a batch of {BATCH_TOKENS:,} tokens, {MODEL} on {DEVICE}, {BATCHES_PER_S:g} batches "
        "a second; held out. kept: the first task's plan for all. switch: ms of a migration from "
        "task to task. even at s: the dwell from which one plan each costs less, - if never. Then "
        "what the best of all, plans between included, saves over one plan if tasks last so long."
    )
    return Table("One plan for several tasks, or one for each and a switch", columns, rows, note)


def _figures(found: Mapping[str, Mapping[str, float]]) -> list[Figure]:
    """Return what the best choice costs over the better of the two extremes, at the worst dwell."""

    def over(scores: Mapping[str, float], dwell_s: float) -> float:
        one_ms = scores["one_ms"]
        each_ms = scores["each_ms"] + scores["switch_ms"] / (dwell_s * BATCHES_PER_S)
        return one_ms * (1.0 - scores[f"saved_{dwell_s:g}"]) / min(one_ms, each_ms)

    worst = max(over(scores, dwell_s) for scores in found.values() for dwell_s in DWELLS_S)
    return [Figure("switching: best choice over the better extreme, worst dwell", worst, 1.005)]
