"""Plans from few windows: counts as they are, against counts drawn to what was known before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from moeopt.bench.balance import device_loads, imbalance
from moeopt.bench.registry import Figure, Report, Setting
from moeopt.core.arrays import FloatArray
from moeopt.core.table import Cell, Column, Table
from moeopt.io import load_problem
from moeopt.placement.arrays import place
from moeopt.placement.robust import shrinkage, shrunk

TASKS = ("intent", "translation")
DEVICES = 8
SLOTS = (64, 72)

#: Tokens of the histories, and of the windows that are counted.
HISTORIES = (256, 512, 1024, 2048, 4096)
WINDOW = 64

#: Earlier traffic is the first quarter of a task's windows; the last quarter is what plans meet.
EARLIER, LAST = slice(0, 32), slice(96, 128)

#: What a plan is made from, as the table's columns: the history alone, earlier traffic of the task
#: alone, both by `shrunk`, both added up; then the other task's traffic, alone and by `shrunk`, and
#: `shrunk` with nothing before.
SOURCES = ("history", "earlier", "shrunk", "added", "other", "shrunk to it", "shrunk to none")

Scores = dict[str, float]


def run(setting: Setting) -> Report:
    """Score plans of short histories on real windows, and on loads that are known."""
    counted = {task: windows_of(task) for task in TASKS}
    slots = SLOTS[-1:] if setting.quick else SLOTS
    real = {
        f"{task}/{each}/{tokens}": _real(counted, task, each, tokens)
        for task in TASKS
        for each in slots
        for tokens in HISTORIES
    }
    truth = {
        f"{spread:g}/{windows}": _known(spread, windows, draws=2 if setting.quick else 10)
        for spread in SPREADS
        for windows in WINDOWS
    }
    data = {"short_histories": real, "known_truth": truth}
    return Report([_table(real), _truth_table(truth)], _figures(real, truth), data)


def windows_of(task: str) -> FloatArray:
    """Return the library's counts of a task, ``(windows, layers, experts)``, in order."""
    counts: FloatArray = load_problem(f"@placement/deepseek-v2-lite-{task}-windows-64").loads_tokens
    return counts


def _real(counted: Mapping[str, FloatArray], task: str, slots: int, tokens: int) -> Scores:
    """Return the mean held-out imbalance of each source over histories of one length.

    And of the shrinkage, its weight and the dispersion.
    """
    counts = counted[task]
    other = next(windows for name, windows in counted.items() if name != task).sum(axis=0)
    earlier, unseen = (counts[part].sum(axis=0) for part in (EARLIER, LAST))
    scores = []
    for history in _histories(counts, tokens // WINDOW):
        sources = _sources(history, earlier, other)
        found = shrinkage(history, earlier)
        scores.append([_imbalance(loads, slots, unseen) for loads in sources.values()])
        scores[-1] += [float(found.weight.mean()), float(found.dispersion.mean())]
    names = (*SOURCES, "weight", "dispersion")
    return dict(zip(names, np.mean(scores, axis=0).tolist(), strict=True))


def _histories(counts: FloatArray, windows: int) -> Iterator[FloatArray]:
    """Yield the histories of a length between earlier and last traffic."""
    for start in range(EARLIER.stop, LAST.start - windows + 1, max(windows, 8)):
        yield counts[start : start + windows]


def _sources(history: FloatArray, earlier: FloatArray, other: FloatArray) -> dict[str, FloatArray]:
    """Return the loads that plans are made from, in the order of `SOURCES`."""
    total = history.sum(axis=0)
    loads = (
        total,
        earlier,
        shrunk(history, earlier),
        earlier + total,
        other,
        shrunk(history, other),
        shrunk(history),
    )
    return dict(zip(SOURCES, loads, strict=True))


def _imbalance(loads: FloatArray, slots: int, unseen: FloatArray) -> float:
    table = place(loads, devices=DEVICES, slots=slots, method="fast").physical_to_logical
    return float(imbalance(device_loads(table, unseen, DEVICES)).mean())


#: Of the synthetic truth: how alike a window's tokens are (1: independent), windows of 384 counts.
SPREADS = (1.0, 4.0)
WINDOWS = (1, 4, 16)
COUNTS, LAYERS, EXPERTS = 384, 26, 64

#: Columns: as before, and shrunk where the dispersion is known from earlier windows.
TRUTH_SOURCES = ("history", "earlier", "shrunk", "dispersion known", "added")

#: Skew of the experts, and how far they have moved since the earlier traffic, in lognormal sigma.
SKEW, DRIFT = 1.0, 0.3


def _known(spread: float, windows: int, draws: int) -> Scores:
    """Return the same where the truth is known: histories drawn from it, plans scored on it."""
    scores = []
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        earlier = rng.lognormal(0.0, SKEW, (LAYERS, EXPERTS))
        truth = earlier * rng.lognormal(0.0, DRIFT, earlier.shape)
        share = truth / truth.sum(axis=1, keepdims=True)
        runs = [
            [rng.multinomial(int(COUNTS / spread), one) for one in share] for _ in range(windows)
        ]
        history = spread * np.array(runs, dtype=np.float64)
        total = history.sum(axis=0)
        # As many tokens as on the real traces.
        before = EARLIER.stop * COUNTS * earlier / earlier.sum(axis=1, keepdims=True)
        loads = (
            total,
            before,
            shrunk(history, before),
            shrunk(history, before, dispersion=spread),
            before + total,
        )
        scores.append([_imbalance(one, SLOTS[-1], truth) for one in loads])
    return dict(zip(TRUTH_SOURCES, np.mean(scores, axis=0).tolist(), strict=True))


def _table(found: Mapping[str, Scores]) -> Table:
    rows: list[list[Cell]] = []
    for key, scores in found.items():
        task, slots, tokens = key.split("/")
        rows.append([task, int(slots), int(tokens), *scores.values()])
    columns = [
        Column("task"),
        Column("slots"),
        Column("tokens"),
        *(Column(name, ".3f") for name in SOURCES),
        Column("weight", ".2f"),
        Column("dispersion", ".2f"),
    ]
    note = (
        "Plans by fast, scored on the task's last 2,048 tokens. earlier: its first 2,048; "
        "other: the other task's. Means over histories between. weight: of earlier in shrunk; "
        "dispersion: of the history's windows, a multinomial's is 1."
    )
    return Table("Short histories: held-out imbalance of plans made from", columns, rows, note)


def _truth_table(found: Mapping[str, Scores]) -> Table:
    rows: list[list[Cell]] = []
    for key, scores in found.items():
        spread, windows = key.split("/")
        rows.append([float(spread), int(windows), *scores.values()])
    columns = [
        Column("dispersion", ".0f"),
        Column("windows"),
        *(Column(name, ".3f") for name in TRUTH_SOURCES),
    ]
    note = (
        f"{SLOTS[-1]} slots; windows of {COUNTS} counts; drift of {DRIFT} since the earlier loads."
    )
    return Table("Short histories of a known truth: imbalance under it", columns, rows, note)


def _figures(real: Mapping[str, Scores], truth: Mapping[str, Scores]) -> list[Figure]:
    """Return how much of the imbalance above 1 is left, and that nothing is spoilt."""

    def worst(found: Mapping[str, Scores], one: str, over: tuple[str, ...]) -> float:
        return max(s[one] / min(s[name] for name in over) for s in found.values())

    short = {key: scores for key, scores in real.items() if int(key.split("/")[2]) <= 1024}
    return [
        Figure(
            "short histories: shrunk over raw, up to 1,024 tokens, worst",
            worst(short, "shrunk", ("history",)),
            0.9999,
        ),
        Figure(
            "short histories: shrunk to another task over raw, worst",
            worst(real, "shrunk to it", ("history",)),
            1.01,
        ),
        Figure(
            "known truth: shrunk, dispersion known, over the better of both, worst",
            worst(truth, "dispersion known", ("history", "earlier")),
            1.01,
        ),
    ]
