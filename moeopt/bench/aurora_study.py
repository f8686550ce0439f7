"""Aurora's evaluation (arXiv 2410.17043, section 8) again, in its simulator's terms.

Loads are stand-ins (`moeopt.colocation.generate`): what is published of the paper's fixes neither
its traffic nor its compute times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Literal

import msgspec
import numpy as np

from moeopt.bench.registry import Report
from moeopt.colocation.generate import LAYERS, SHAPES, limoe
from moeopt.colocation.plan import ColocationPlan, Evaluation, evaluate
from moeopt.colocation.problem import ColocationProblem, ModelLayer
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.solve import solve
from moeopt.core.table import Cell, Column, Table
from moeopt.describe.topology import port_bytes_per_s
from moeopt.io import load_problem
from moeopt.library import find
from moeopt.transfers.bounds import makespan_bound
from moeopt.transfers.contention import Order, unscheduled_makespan
from moeopt.transfers.problem import TransferProblem

#: How a model's all-to-alls are served: by Aurora's order, or by none.
Served = Order | Literal["aurora"]

_LINA_ORDERS: tuple[Served, ...] = ("aurora", "sjf")

#: Random assignments that RGA, REC and both are averaged over.
RANDOM = 50

#: Pairs of models, as far as they differ.
PAIRS = (
    ("b16-coco", "b16-imagenet"),
    ("b32-coco", "b32-imagenet"),
    ("b16-coco", "b32-imagenet"),
    ("b16-imagenet", "b32-coco"),
)

#: Other layers mixed into the traffic that a plan is scored with.
OTHERS = (0, 1, 2, 3)


def run() -> Report:
    """Compute every row of the study."""
    found = {row.name: row.values() for row in _ROWS}
    rows: list[list[Cell]] = [
        [row.name, _range(found[row.name]), row.paper, row.differs] for row in _ROWS
    ]
    columns = [Column(name) for name in ("Aurora against", "here", "paper", "what differs")]
    note = (
        "Time over Aurora's, least to most over models and layers, unless the row says what."
        " Loads, compute times and the time of a pair's turns are stand-ins: the paper prints none."
    )
    table = Table("Aurora's evaluation, section 8", columns, rows, note)
    data = {name: values.tolist() for name, values in found.items()}
    return Report([table, _traces()], [], {"study": data})


def _traces() -> Table:
    """Return the same comparisons for real texts: DeepSeek-V2-Lite's experts in 8 groups."""
    rows: list[list[Cell]] = []
    for cluster, method in (("equal", "bottleneck_matching"), ("mixed", "two_step")):
        problem = load_problem(find(f"colocation/deepseek-v2-lite-both-{cluster}"))
        assert isinstance(problem, ColocationProblem)
        ours = _value(problem, method)
        alone = [float(_value(_alone(problem, m), "two_step").utilisation.mean()) for m in (0, 1)]
        lina = [max(t for t, _ in lina_alone(problem, order=o)) for o in _LINA_ORDERS]
        best = solve(problem, "exact").objective
        assert best is not None
        rows.append(
            [
                cluster,
                _mean_time(problem, "rga_rec") / ours.time_s,
                *(time_s / ours.time_s for time_s in lina),
                float(ours.utilisation.mean() / np.mean(alone)),
                ours.time_s / best,
            ]
        )
    names = (
        "RGA and REC",
        "Lina",
        "Lina unscheduled",
        "utilisation over exclusive",
        "over optimum",
    )
    columns = [Column("cluster"), *(Column(name, ".3f") for name in names)]
    note = "Both texts of the library's traces, layer 13: time over Aurora's, unless it says what."
    return Table("The same on real traces, experts folded into 8 groups", columns, rows, note)


def _range(values: FloatArray) -> str:
    if values.size == 1:
        return f"{values[0]:.2f}"
    return f"{values.min():.2f} to {values.max():.2f}, mean {values.mean():.2f}"


def _alone(problem: ColocationProblem, model: int) -> ColocationProblem:
    """Return the problem of one of the models by itself."""
    return msgspec.structs.replace(
        problem, name="", generator=None, models=(problem.models[model],)
    )


def _singles(cluster: str) -> Iterator[ColocationProblem]:
    """Return every model and layer by itself."""
    for name, layer in product(SHAPES, range(LAYERS)):
        yield _alone(limoe(name, name, cluster, layer), 0)  # type: ignore[arg-type]


def _pairs(cluster: str, others: int = 0) -> Iterator[ColocationProblem]:
    """Return every pair of models and layer."""
    for (first, second), layer in product(PAIRS, range(LAYERS)):
        yield limoe(first, second, cluster, layer, others)  # type: ignore[arg-type]


def _value(problem: ColocationProblem, method: str, seed: int = 0) -> Evaluation:
    plan = solve(problem, method, seed=seed).plan
    assert plan is not None
    return evaluate(problem, plan)


def _mean_time(problem: ColocationProblem, method: str) -> float:
    return float(np.mean([_value(problem, method, seed).time_s for seed in range(RANDOM)]))


def sorted_plan(problem: ColocationProblem) -> ColocationPlan:
    """Return Theorem 5.1's assignment of one model: the most tokens on the fastest device."""
    tokens = problem.models[0].tokens()
    fastest = np.argsort(-problem.cluster.relative_speed(), kind="stable")
    device = np.empty((1, tokens.size), dtype=np.int64)
    device[0, np.argsort(-tokens, kind="stable")] = fastest
    return ColocationPlan(device=device)


def _orders(order: Order) -> FloatArray:
    """Return the inference time with unscheduled all-to-alls over Aurora's."""
    ratios = []
    for problem in _singles("equal"):
        time_s = _value(problem, "two_step").time_s
        in_place = np.arange(problem.num_devices)
        ratios.append((time_s + _delay(problem, in_place, order)) / time_s)
    return np.array(ratios)


def _exclusive_random() -> FloatArray:
    return np.array(
        [
            _mean_time(problem, "rga") / evaluate(problem, sorted_plan(problem)).time_s
            for problem in _singles("mixed")
        ]
    )


def lina_alone(
    problem: ColocationProblem, overlap: bool = False, order: Served = "aurora"
) -> list[tuple[float, float]]:
    """Return time and mean utilisation of each model in Lina's packing, on half of the devices.

    Parameters
    ----------
    problem
        Two models.
    overlap
        Whether a model is cut into two halves that take turns, as Lina's own pipelining does.
    order
        ``"aurora"`` for the shortest all-to-alls, else the unscheduled order of both.
    """
    packed = msgspec.structs.replace(problem, name="", generator=None, experts_per_device=2)
    plan = solve(packed, "lina").plan
    assert plan is not None
    found = []
    for m, model in enumerate(problem.models):
        # Two experts of a model bring the sources of both to their device.
        doubled = msgspec.structs.replace(
            model, gate_s=2 * model.gate_s, aggregation_s=2 * model.aggregation_s
        )
        parts = _halves(doubled) if overlap else (doubled,)
        one = msgspec.structs.replace(packed, models=parts)
        device = plan.device[[m] * len(parts)]
        value = evaluate(one, ColocationPlan(device=device))
        own = np.unique(device)
        time_s, busy = value.time_s, float(value.utilisation[own].mean())
        if order != "aurora":
            longer = time_s + _delay(one, device[0], order)
            time_s, busy = longer, busy * time_s / longer
        found.append((time_s, busy))
    return found


def _delay(problem: ColocationProblem, device: IntArray, order: Order) -> float:
    """Return how much longer both all-to-alls of one model take without a schedule."""
    model = problem.models[0]
    tokens = np.zeros((problem.num_devices, problem.num_devices))
    np.add.at(tokens, (device[:, None], device[None, :]), model.remote())
    sizes = (model.dispatch_bytes_per_token, model.combine_bytes_per_token)
    exchanges = [
        TransferProblem(traffic_bytes=traffic, bandwidth_bytes_per_s=_ports(problem))
        for traffic in (tokens * sizes[0], tokens.T * sizes[1])
    ]
    delays = [unscheduled_makespan(x, order) - makespan_bound(x) for x in exchanges]
    return float(np.sum(delays))


def _ports(problem: ColocationProblem) -> FloatArray:
    return port_bytes_per_s(problem.cluster)


def _halves(model: ModelLayer) -> tuple[ModelLayer, ModelLayer]:
    half = msgspec.structs.replace(
        model,
        traffic_tokens=model.traffic_tokens / 2,
        gate_s=model.gate_s / 2,
        aggregation_s=model.aggregation_s / 2,
    )
    return half, half


def _lina_time(
    cluster: str, method: str, overlap: bool = False, order: Served = "aurora"
) -> FloatArray:
    """Return the time of one layer of both models, each on devices of its own, over ours."""
    return np.array(
        [
            max(time_s for time_s, _ in lina_alone(problem, overlap, order))
            / _value(problem, method).time_s
            for problem in _pairs(cluster)
        ]
    )


def _lina_utilisation(
    cluster: str, method: str, overlap: bool = False, order: Served = "aurora"
) -> FloatArray:
    """Return the mean utilisation of all devices over one layer of both, ours over Lina's."""
    ratios = []
    for problem in _pairs(cluster):
        found = lina_alone(problem, overlap, order)
        # A model that is done earlier leaves its devices idle until the other is.
        both_s = max(time_s for time_s, _ in found)
        packed = float(np.mean([busy * time_s / both_s for time_s, busy in found]))
        ratios.append(float(_value(problem, method).utilisation.mean()) / packed)
    return np.array(ratios)


def _exclusive_utilisation() -> FloatArray:
    return np.array(
        [float(_value(problem, "two_step").utilisation.mean()) for problem in _singles("equal")]
    )


def _colocated_utilisation() -> FloatArray:
    """Return the utilisation of two models together over the mean of each by itself."""
    ratios = []
    for problem in _pairs("equal"):
        alone = [float(_value(_alone(problem, m), "two_step").utilisation.mean()) for m in range(2)]
        together = float(_value(problem, "bottleneck_matching").utilisation.mean())
        ratios.append(together / float(np.mean(alone)))
    return np.array(ratios)


def _over_optimum() -> FloatArray:
    ratios = []
    for problem in _pairs("mixed"):
        aimed = msgspec.structs.replace(problem, objective="bottleneck")
        best = solve(aimed, "exact").objective
        two_step = solve(aimed, "two_step").objective
        assert best is not None
        assert two_step is not None
        ratios.append(two_step / best)
    return np.array(ratios)


def _imprecise_alone(others: int) -> FloatArray:
    """Return the speed-up over RGA of plans made for one layer and scored with more mixed in."""
    ratios = []
    for name in SHAPES:
        made_for = _alone(limoe(name, name, "mixed"), 0)
        scored = _alone(limoe(name, name, "mixed", 0, others), 0)
        ratios.append(_mean_time(scored, "rga") / evaluate(scored, sorted_plan(made_for)).time_s)
    return np.array(ratios)


def _imprecise_pairs(others: int) -> FloatArray:
    """Return the same of pairs, over RGA and REC."""
    ratios = []
    for first, second in PAIRS:
        made_for = limoe(first, second, "mixed")
        scored = limoe(first, second, "mixed", 0, others)
        plan = solve(made_for, "two_step").plan
        assert plan is not None
        ratios.append(_mean_time(scored, "rga_rec") / evaluate(scored, plan).time_s)
    return np.array(ratios)


def _loss(speed_up: Callable[[int], FloatArray]) -> FloatArray:
    exact, mixed = speed_up(OTHERS[0]).mean(), speed_up(OTHERS[-1]).mean()
    return np.array([1.0 - mixed / exact])


@dataclass(frozen=True)
class _Row:
    name: str
    paper: str
    differs: str
    values: Callable[[], FloatArray]


def _equal(overlap: bool = False, order: Served = "aurora") -> FloatArray:
    return _lina_time("equal", "bottleneck_matching", overlap, order)


def _mixed(overlap: bool = False, order: Served = "aurora") -> FloatArray:
    return _lina_time("mixed", "two_step", overlap, order)


def _use(overlap: bool = False, order: Served = "aurora") -> FloatArray:
    return _lina_utilisation("equal", "bottleneck_matching", overlap, order)


_SCHEDULED = "Lina is given Aurora's order; it balances one model's experts as well as two models'"
_UNORDERED = "Lina's all-to-alls by SJF: it orders none itself"
_OVERLAPPED = "Lina's two halves take turns; the paper leaves that out"
_LAYERS = "a plan for layer 1, scored with {} others mixed in"

_ROWS = (
    _Row("SJF, exclusive, equal", "up to 1.38", "inference time", partial(_orders, "sjf")),
    _Row("RCS, exclusive, equal", "about SJF or better", "", partial(_orders, "random")),
    _Row("RGA, exclusive, mixed", "1.36 to 1.81", "mean of 50 draws", _exclusive_random),
    _Row("Lina, equal", "1.25 to 2.38", _SCHEDULED, _equal),
    _Row("Lina unscheduled, equal", "1.25 to 2.38", _UNORDERED, partial(_equal, order="sjf")),
    _Row("Lina with its overlap, equal", "-", _OVERLAPPED, partial(_equal, True)),
    _Row("Lina, mixed", "1.91 to 3.54", _SCHEDULED, _mixed),
    _Row("Lina unscheduled, mixed", "1.91 to 3.54", _UNORDERED, partial(_mixed, order="sjf")),
    _Row("Lina with its overlap, mixed", "-", _OVERLAPPED, partial(_mixed, True)),
    _Row("utilisation, exclusive", "most below 0.20", "a share", _exclusive_utilisation),
    _Row("utilisation over exclusive", "1.57 to 1.72", "a ratio", _colocated_utilisation),
    _Row("utilisation over Lina", "1.28 to 1.50", _SCHEDULED, _use),
    _Row("utilisation over Lina unscheduled", "1.28 to 1.50", _UNORDERED,
         partial(_use, order="sjf")),
    _Row("utilisation over Lina with its overlap", "-", _OVERLAPPED, partial(_use, True)),
    _Row("two steps over the optimum, mixed", "1.07 on average", "by proof, not by enumeration",
         _over_optimum),
    *(
        _Row(f"RGA, exclusive, mixed, {share} % others", paper, _LAYERS.format(k),
             partial(_imprecise_alone, k))
        for k, share, paper in zip(OTHERS, (0, 50, 67, 75), ("1.90", "-", "-", "1.60"), strict=True)
    ),
    *(
        _Row(f"RGA and REC, mixed, {share} % others", paper, _LAYERS.format(k),
             partial(_imprecise_pairs, k))
        for k, share, paper in zip(OTHERS, (0, 50, 67, 75), ("2.0", "-", "-", "1.80"), strict=True)
    ),
    _Row("loss of speed-up, exclusive", "0.158", "a share, 0 to 75 % others",
         partial(_loss, _imprecise_alone)),
    _Row("loss of speed-up, colocated", "0.10", "a share, 0 to 75 % others",
         partial(_loss, _imprecise_pairs)),
)  # fmt: skip
