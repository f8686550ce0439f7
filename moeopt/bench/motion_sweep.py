"""A sweep of many small instances: in this process, in others, on local Ray and Dask clusters.

Every way must give the plans of the loop. A cluster's start is told apart: it is paid once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any, get_args

from moeopt.bench.registry import Figure, Report, Setting
from moeopt.bench.timing import timed
from moeopt.core.errors import InstanceError
from moeopt.core.many import Solve, solve_all
from moeopt.core.parallel import Backend, cores, run_all
from moeopt.core.result import Result
from moeopt.core.table import Cell, Column, Table
from moeopt.placement.generate import hard

#: Instances in a full and in a quick run.
INSTANCES, QUICK_INSTANCES = 1_000, 24

#: Of each: experts, devices, slots, skew of the loads, layers, and scenarios, of which the expected
#: largest load is annealed: what takes as long as a start is worth.
SHAPE = (16, 4, 20, 1.5, 2, 4)

#: The most workers for each time that a sweep is faster than the loop, its start left out. What a
#: cluster itself computes it computes on the same cores.
MOST = 1.5


@dataclass(frozen=True)
class Swept:
    """What one way took.

    Attributes
    ----------
    start_s
        Seconds to the first plan, less its own in the loop: the start, and what a worker loads.
    seconds
        Of the sweep, start and end included.
    workers
        Solves at a time.
    speed
        Plans a second from the first plan to the last, over the loop's.
    differ
        Instances whose status, plan, objective or bound is not the loop's.
    """

    start_s: float
    seconds: float
    workers: int
    speed: float
    differ: int


def run(setting: Setting) -> Report:
    """Sweep every way that is installed."""
    count = QUICK_INSTANCES if setting.quick else INSTANCES
    solves = [Solve(hard(*SHAPE, seed=seed)) for seed in range(count)]
    # Compiled once, for all processes.
    solve_all(solves[:1])
    expected: list[Result[Any]] = []
    serial_s = timed(lambda: expected.extend(solve_all(solves)))
    found: dict[str, Swept | None] = {"serial": Swept(0.0, serial_s, 1, 1.0, 0)}
    for backend in get_args(Backend)[1:]:
        setting.say(f"bench motion: sweep on {backend} ...")
        found[backend] = _swept(solves, backend, expected, serial_s)
    data = {name: swept and asdict(swept) for name, swept in found.items()}
    report = {"instances": count, "cores": cores(), **data}
    return Report([_table(found, count)], _figures(found, setting.quick), {"sweep": report})


def _swept(
    solves: Sequence[Solve], backend: Backend, expected: Sequence[Result[Any]], serial_s: float
) -> Swept | None:
    """Return what the sweep took on a backend, ``None`` if it is not installed."""
    workers = cores()
    results: list[Result[Any]] = []
    marks: list[tuple[int, float]] = []

    def advance(done: int, of: int) -> None:
        del of
        marks.append((done, time.perf_counter() - begun))

    _end_loky()
    begun = time.perf_counter()
    try:
        results = solve_all(
            solves, lambda call, args: run_all(call, args, backend=backend, progress=advance)
        )
    except InstanceError:
        return None
    seconds = time.perf_counter() - begun
    _end_loky()
    differ = sum(not _same(one, other) for one, other in zip(results, expected, strict=True))
    (early, first_s), (_, last_s) = marks[0], max(marks)
    each_s = serial_s / len(solves)
    return Swept(
        start_s=max(0.0, first_s - each_s),
        seconds=seconds,
        workers=workers,
        speed=each_s * (len(solves) - early) / (last_s - first_s),
        differ=differ,
    )


def _end_loky() -> None:
    """End the processes that joblib keeps for the next call, so that each call starts its own."""
    import_module("joblib.externals.loky").get_reusable_executor().shutdown(wait=True)


def _same(one: Result[Any], other: Result[Any]) -> bool:
    fields = ("status", "plan", "objective", "bound")
    return all(getattr(one, name) == getattr(other, name) for name in fields)


def _table(found: dict[str, Swept | None], count: int) -> Table:
    serial = found["serial"]
    assert serial is not None
    rows: list[list[Cell]] = []
    for name, swept in found.items():
        if swept is None:
            rows.append([name, None, None, None, None, None, "not installed"])
            continue
        ratios = [serial.seconds / swept.seconds, swept.speed]
        differ = "same plans" if not swept.differ else f"{swept.differ} differ"
        rows.append([name, swept.workers, swept.start_s, swept.seconds, *ratios, differ])
    columns = [
        Column("backend"),
        Column("workers", "d"),
        Column("start s", ".2f"),
        Column("all s", ".2f"),
        Column("speed-up", ".2f"),
        Column("after start", ".2f"),
        Column("plans"),
    ]
    experts, devices, slots, _, layers, scenarios = SHAPE
    size = f"{layers} x {experts} experts, {slots} slots, {devices} devices, {scenarios} scenarios"
    note = f"{cores()} cores. start s: to the first plan. all s: with the start."
    return Table(f"Sweep: {count} instances of {size}", columns, rows, note)


def _figures(found: dict[str, Swept | None], quick: bool) -> list[Figure]:
    figures = []
    for name, swept in found.items():
        if name == "serial":
            continue
        differ = None if swept is None else float(swept.differ)
        shared = None if swept is None else swept.workers / swept.speed
        note = f"no {name} installed" if swept is None else ""
        figures += [
            Figure(f"sweep, {name}: plans that differ", differ, 0.0, ".0f", note),
            # A quick run ends before the last worker has loaded its kernels.
            Figure(
                f"sweep, {name}: workers over speed-up after the start",
                shared,
                None if quick else MOST,
                ".2f",
                note,
            ),
        ]
    return figures
