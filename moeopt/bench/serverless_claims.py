"""Over which constants the published savings hold: one constant at a time, and in pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np

from moeopt.bench.registry import Figure, Report, Setting
from moeopt.bench.serverless_study import MODELS, SAVED, SAVED_ON_CLUSTER, Compared, compared
from moeopt.core.arrays import FloatArray
from moeopt.core.table import Cell, Column, Table
from moeopt.serverless.baselines import CpuCluster, cpu_cluster, least_idle_share
from moeopt.serverless.calibration import MODELS as SHAPES
from moeopt.serverless.calibration import TOKENS, Calibration
from moeopt.serverless.generate import deployed
from moeopt.serverless.problem import ServerlessProblem

#: A problem with one constant or more in place of the calibrated ones.
Made = Callable[..., ServerlessProblem]


@dataclass(frozen=True)
class Constant:
    """A constant that is not published, and what it may be.

    Attributes
    ----------
    name
        With its unit, for tables.
    key
        Its keyword in `stated`.
    base
        As calibrated.
    low, high
        The range that is looked at.
    even
        Whether its values are apart by equal steps; otherwise by equal factors.
    """

    name: str
    key: str
    base: float
    low: float
    high: float
    even: bool = False

    def values(self, count: int) -> FloatArray:
        """Return `count` values from the lowest to the highest, and the base."""
        spaced = np.linspace if self.even else np.geomspace
        values: FloatArray = np.unique([*spaced(self.low, self.high, count), self.base])
        return values

    def between(self, low: float, high: float) -> float:
        """Return the value halfway."""
        return (low + high) / 2 if self.even else float(np.sqrt(low * high))


_USUAL = Calibration()
#: Operations of a token in an expert of the paper's models.
_FLOPS = 4.0 * 768 * 3072

CONSTANTS = (
    Constant("ms of a token on one vCPU", "token_ms", 1e3 * _FLOPS / _USUAL.flops_per_s, 0.05, 50),
    Constant("most vCPUs that an expert uses", "most_vcpus", _USUAL.most_vcpus, 0.25, 2, True),
    Constant("storage bandwidth, MB/s", "storage_mb_s", _USUAL.storage_bytes_per_s / 1e6, 4, 1e3),
    Constant("function bandwidth, MB/s", "link_mb_s", _USUAL.function_bytes_per_s / 1e6, 3, 750),
    Constant("access delay, ms", "delay_ms", 1e3 * _USUAL.access_delay_s, 1, 5000),
    Constant("warm start, ms", "start_ms", 1e3 * _USUAL.warm_start_s, 1, 10_000),
    Constant("runtime of a function, MiB", "runtime_mib", _USUAL.runtime_bytes / 2**20, 16, 2048),
    Constant("popularity 1 / rank to the", "skew", 1.0, 0.0, 3.0, True),
    Constant("non-MoE seconds, times", "others", 1.0, 0.01, 100),
)

#: Constants that are changed together.
PAIRS = (("token_ms", "most_vcpus"), ("token_ms", "storage_mb_s"), ("delay_ms", "start_ms"))


def run(setting: Setting) -> Report:
    """Find the ranges, for one model or for all of the paper's."""
    models = MODELS[:1] if setting.quick else MODELS
    count, steps = (4, 3) if setting.quick else (13, 6)
    report = Report(data={"claims": {}})
    rows: list[list[Cell]] = []
    narrowest = []
    for constant in CONSTANTS:
        for model in models:
            found = _ranges(constant, partial(stated, model), count, steps)
            rows.append([constant.name, constant.base, model, *found])
            report.data["claims"][f"{constant.key}, {model}"] = found
            narrowest.append(found[1])
    columns = [Column("constant"), Column("calibrated", ".4g"), Column("model")]
    columns += [Column(f"{SAVED:.2%} saved on LambdaML"), Column("saved, least", ".1%"),
                Column("saved, most", ".1%"), Column("idle share for the cluster's")]  # fmt: skip
    note = (
        "Where the cheapest plan that loses at most the published throughput saves the published"
        " share of LambdaML's bill, as far as looked at. Last: from which idle share of the cluster"
        f" on its bill is undercut by the published {SAVED_ON_CLUSTER:.2%}, least to most over the"
        " range. Experts alone are billed, as in the paper."
    )
    report.tables.append(Table("Constants with which the claims hold", columns, rows, note))
    model = models[0]
    pairs = PAIRS[:1] if setting.quick else PAIRS
    report.tables += [_pair(keys, model, 3 if setting.quick else 5) for keys in pairs]
    report.tables.append(_prices(model))
    report.figures.append(
        Figure("saving on LambdaML, least over all ranges", min(narrowest), None, ".2%")
    )
    return report


def stated(model: str = "gpt2-moe", **constants: float) -> ServerlessProblem:
    """Return a model of the paper with some constants replaced, by the paper's bill.

    Parameters
    ----------
    model
        Its name.
    constants
        By `Constant.key`.
    """
    given = {key: value for key, value in constants.items() if key not in ("skew", "others")}
    fields: dict[str, Any] = dict(_field(*item) for item in given.items())
    problem = deployed(model, bill="paper", **fields)
    experts, layers = SHAPES[model].experts, problem.layers
    if "skew" in constants:
        popularity = np.arange(1.0, experts + 1) ** -constants["skew"]
        tokens = TOKENS * popularity / popularity.sum()
        layers = tuple(msgspec.structs.replace(layer, tokens=tokens) for layer in layers)
    times = constants.get("others", 1.0)
    layers = tuple(
        msgspec.structs.replace(layer, non_moe_s=times * layer.non_moe_s) for layer in layers
    )
    return msgspec.structs.replace(
        problem, layers=layers, tail_s=times * problem.tail_s, generator=None
    )


def _field(key: str, value: float) -> tuple[str, float]:
    """Return a field of `Calibration` and its value."""
    return {
        "token_ms": ("flops_per_s", 1e3 * _FLOPS / value),
        "most_vcpus": ("most_vcpus", value),
        "storage_mb_s": ("storage_bytes_per_s", 1e6 * value),
        "link_mb_s": ("function_bytes_per_s", 1e6 * value),
        "delay_ms": ("access_delay_s", 1e-3 * value),
        "start_ms": ("warm_start_s", 1e-3 * value),
        "runtime_mib": ("runtime_bytes", value * 2**20),
    }[key]


def _ranges(
    constant: Constant, made: Made, count: int, steps: int
) -> tuple[str, float, float, str]:
    """Return where the claim on LambdaML holds, the savings, and the idle shares."""
    saved: dict[float, float] = {}
    idle = []

    def holds(value: float) -> bool:
        problem = made(**{constant.key: value})
        found = compared(problem)
        if found is None:
            return False
        saved[value] = found.saved
        busy_usd = cpu_cluster(problem).experts_usd
        idle.append(least_idle_share(found.usd, busy_usd, SAVED_ON_CLUSTER))
        return found.saved >= SAVED

    where = intervals(holds, constant.values(count), constant.between, steps)
    text = told(where, constant.low, constant.high)
    return text, min(saved.values()), max(saved.values()), f"{min(idle):.1%} to {max(idle):.1%}"


def intervals(
    holds: Callable[[float], bool], values: Sequence[float] | FloatArray,
    between: Callable[[float, float], float], steps: int,
) -> list[tuple[float, float]]:  # fmt: skip
    """Return the intervals in which something holds, as far as the values show.

    Parameters
    ----------
    holds
        What is asked at a value.
    values
        Ascending.
    between
        A value between two.
    steps
        Halvings of the distance between a value where it holds and its neighbour where not.

    Returns
    -------
    list
        First and last value known of each.
    """
    known = [(float(value), holds(float(value))) for value in values]
    found: list[tuple[float, float]] = []
    begin = known[0][0] if known[0][1] else None
    for (low, low_holds), (high, high_holds) in pairwise(known):
        if low_holds == high_holds:
            continue
        yes, no = (low, high) if low_holds else (high, low)
        for _ in range(steps):
            middle = between(min(yes, no), max(yes, no))
            yes, no = (middle, no) if holds(middle) else (yes, middle)
        if low_holds:
            assert begin is not None
            found.append((begin, yes))
            begin = None
        else:
            begin = yes
    if begin is not None:
        found.append((begin, known[-1][0]))
    return found


def told(found: Sequence[tuple[float, float]], low: float, high: float) -> str:
    """Return intervals as text; an end of the range that is looked at is none of the interval."""
    if not found:
        return f"nowhere from {low:g} to {high:g}"
    parts = []
    for first, last in found:
        if first <= low and last >= high:
            parts.append(f"all of {low:g} to {high:g}")
        elif first <= low:
            parts.append(f"{low:g} or less, to {last:.3g}")
        elif last >= high:
            parts.append(f"{first:.3g} to {high:g}, or more")
        else:
            parts.append(f"{first:.3g} to {last:.3g}")
    return "; ".join(parts)


def _pair(keys: tuple[str, str], model: str, count: int) -> Table:
    """Return the saving on LambdaML by the values of two constants."""
    first, second = (next(c for c in CONSTANTS if c.key == key) for key in keys)
    rows: list[list[Cell]] = []
    for one in _few(first, count):
        changed = [{first.key: float(one), second.key: float(two)} for two in _few(second, count)]
        cells = [_saving(compared(stated(model, **constants))) for constants in changed]
        rows.append([f"{one:.3g}", *cells])
    columns = [Column(f"{first.name} \\ {second.name}")]
    columns += [Column(f"{other:.3g}") for other in _few(second, count)]
    note = f"{model}; * where it is {SAVED:.2%} or more; - where LambdaML's plan breaks a rule."
    return Table("Saved on LambdaML, two constants at a time", columns, rows, note)


def _saving(found: Compared | None) -> Cell:
    if found is None:
        return None
    return f"{found.saved:.1%}{' *' if found.saved >= SAVED else ''}"


def _few(constant: Constant, count: int) -> FloatArray:
    """Return a few values from end to end."""
    spaced = np.linspace if constant.even else np.geomspace
    values: FloatArray = spaced(constant.low, constant.high, count)
    return values


def _prices(model: str) -> Table:
    """Return the saving on the cluster by its price and its idle share."""
    problem = stated(model)
    found = compared(problem)
    assert found is not None
    shares = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99)
    rows: list[list[Cell]] = []
    for price in (1.0, 2.0, 5.0, CpuCluster().usd_per_hour, 20.0, 50.0):
        cells: list[Cell] = []
        for share in shares:
            cluster = CpuCluster(usd_per_hour=price, idle_share=share)
            saved = 1.0 - found.usd / cpu_cluster(problem, cluster).experts_usd
            cells.append(f"{saved:.0%}{' *' if saved >= SAVED_ON_CLUSTER else ''}")
        rows.append([f"{price:.2f}", *cells])
    columns = [Column("USD an hour \\ idle share"), *(Column(f"{share:.0%}") for share in shares)]
    note = (
        f"{model}, experts alone; * where it is the published {SAVED_ON_CLUSTER:.2%} or more. A"
        " core that does k times a vCPU's work is a cluster of 1 / k of the price."
    )
    return Table("Saved on the cluster, by its price and idle share", columns, rows, note)
