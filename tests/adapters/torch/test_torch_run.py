"""Runs of plans: what the workers do, on a pool that the tests share, and what is refused."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import moeopt
from moeopt.adapters.torch.layout import Layout
from moeopt.adapters.torch.link import Link
from moeopt.adapters.torch.run import RunOptions, run_plan
from moeopt.adapters.torch.run.bytes_job import run_bytes
from moeopt.adapters.torch.run.common import Shape
from moeopt.adapters.torch.run.layer_job import LayerJob, LayerRun, run_layer
from moeopt.adapters.torch.run.measure import foreseen, measured_constants
from moeopt.adapters.torch.run.options import ExchangeName
from moeopt.adapters.torch.run.predict import ordered_rounds
from moeopt.adapters.torch.run.report import LayerReport, layer_report, require_right
from moeopt.adapters.torch.run.round_job import run_round
from moeopt.adapters.torch.run.tables import PlacementReport
from moeopt.adapters.torch.run.tokens import routed_by_loads
from moeopt.adapters.torch.run.transfers import (
    TransferReport,
    WayReport,
    require_arrived,
    whole_rows,
)
from moeopt.core.errors import AdapterError, InstanceError
from moeopt.core.table import print_tables

LINK = Link(1e-4, 1e9, 5e8, 1e-4, 1e9)

LAYOUT = Layout.even([0, 1, 2, 3, 2], [2, 3])

LOADS = np.array([[4.0, 2, 6, 1], [1, 3, 5, 2]])


def job_of(exchange: ExchangeName = "single", tokens: int = 24, **shape: Any) -> LayerJob:
    """Return a job of two ranks, four experts, one of them twice."""
    size = Shape(**{"experts": 4, "hidden": 16, "inner": 24, "dtype": "fp32", "seed": 3, **shape})
    batches = [routed_by_loads(LOADS, tokens, 2, (3, step)) for step in range(2)]
    rounds = ordered_rounds(LAYOUT.served(LOADS) * size.row_bytes, LINK)
    return LayerJob(
        layer=1,
        layout=LAYOUT,
        shape=size,
        batches=batches,
        steps=3,
        exchange=exchange,
        rounds=rounds,
        link=LINK,
    )


def report_of(job: LayerJob, runs: list[LayerRun], constants: Any) -> LayerReport:
    return layer_report(job, LOADS, foreseen(job, constants), runs)


@pytest.mark.parametrize("exchange", ["auto", "single", "rounds", "spot"])
def test_a_layer_is_run_and_right(workers2: Any, exchange: ExchangeName) -> None:
    job = job_of(exchange)
    constants = measured_constants(workers2.workers(), job, 24, 2)
    report = report_of(job, workers2.run(run_layer, job), constants)
    require_right("layer 1", report.difference, 1e-6)
    assert all(seconds > 0 for seconds in report.measured_s.values())
    assert report.layer_s > 0
    assert sum(report.predicted_s.values()) == pytest.approx(report.predicted_layer_s)
    # Loads and shares but for whole tokens: the hot expert's copies take 11 of its 22.
    assert report.imbalance == pytest.approx(report.expected_imbalance, rel=0.05)
    assert report.expected_imbalance == pytest.approx(report.planned_imbalance, rel=0.05)
    assert report.sent_bytes == pytest.approx(report.expected_bytes, rel=0.1)
    # Two passes a step.
    assert sum(report.taken.values()) == (6 if exchange == "auto" else 0)


def test_bf16_is_right_to_its_own_rounding(workers2: Any) -> None:
    job = job_of(dtype="bf16")
    runs = workers2.run(run_layer, job)
    difference = max(run.difference for run in runs) / max(run.largest for run in runs)
    require_right("layer 1", difference, 2e-2)
    with pytest.raises(AdapterError, match="layer 1: outputs differ from the reference's by"):
        require_right("layer 1", difference, 1e-6)


@pytest.mark.parametrize("difference", [1e-5, float("nan"), float("inf")])
def test_wrong_outputs_are_an_error(difference: float) -> None:
    with pytest.raises(AdapterError, match="more than 1e-06"):
        require_right("layer 0", difference, 1e-6)


def test_no_tokens_at_all(workers2: Any) -> None:
    job = job_of(tokens=0)
    constants = measured_constants(workers2.workers(), job, 0, 2)
    report = report_of(job, workers2.run(run_layer, job), constants)
    assert (report.imbalance, report.sent_bytes, report.difference) == (None, 0.0, 0.0)


def test_a_layer_alone_on_one_rank(workers2: Any) -> None:
    everything = replace(job_of(), layout=Layout.even([0, 1, 2, 3], [0, 4]))
    runs = workers2.run(run_layer, everything)
    assert runs[0].sent[:, 0].tolist() == [0, 0]
    assert max(run.difference for run in runs) <= 1e-6 * max(run.largest for run in runs)


def test_bytes_arrive_in_every_way(workers2: Any) -> None:
    problem = moeopt.load_problem("@transfers/tiny-two-ports")
    plan = moeopt.solve(problem).plan
    rows, scale = whole_rows(problem, 1 << 14)
    assert scale > 0
    assert max(rows.sum(axis=0).max(), rows.sum(axis=1).max()) == 1 << 8
    runs = workers2.run(run_bytes, rows, plan, LINK, 2)
    for way in ("rounds", "single", "spot"):
        assert [run[way].wrong for run in runs] == [0, 0]
        assert [run[way].seconds.shape for run in runs] == [(2,), (2,)]
    require_arrived("spot", 0)
    with pytest.raises(AdapterError, match="rounds made on the spot: 3 rows"):
        require_arrived("spot", 3)


def test_models_take_turns(workers2: Any) -> None:
    jobs = [job_of(), job_of(hidden=8)]
    runs = workers2.run(run_round, jobs)
    for run in runs:
        assert run.end_s.shape == (3, 5, 2)
        assert run.alone_s.shape == (3, 2)
        # The round ends with the first model's gate, and no phase before the one in front of it.
        assert (run.end_s[:, 0, 0] >= run.end_s[:, 4, 1]).all()
        assert (np.diff(run.end_s[:, :, 1], axis=1) >= 0).all()
    for model in range(2):
        difference = max(run.difference[model] for run in runs)
        require_right("it", difference / max(run.largest[model] for run in runs), 1e-6)


def test_tables_fit_in_80_columns(workers2: Any) -> None:
    job = replace(job_of(), layer=57)
    constants = measured_constants(workers2.workers(), job, 24, 2)
    layer = report_of(job, workers2.run(run_layer, job), constants)
    placement = PlacementReport(
        name="deepseek-v2-lite-translation-windows-64",
        devices=320,
        world=16,
        backend="gloo",
        traced=True,
        tokens=4096,
        top_k=8,
        exchange="auto",
        steps=100,
        shape=replace(job.shape, hidden=7168, inner=2048),
        constants=constants,
        layers=(layer,),
    )
    ways = dict.fromkeys(("rounds", "single"), WayReport(rounds=14, measured_s=1, predicted_s=2))
    transfers = TransferReport(
        name="deepseek-v2-lite-translation-8-contiguous",
        world=16,
        backend="gloo",
        steps=100,
        sent_bytes=1 << 40,
        port_bytes=1 << 36,
        scale=1.2345678e-12,
        plan_makespan_s=2.6268123e-3,
        link=LINK,
        ways=ways,
    )
    for report in (placement, transfers):
        drawn = io.StringIO()
        print_tables(report.tables(), file=drawn)
        assert max(map(len, drawn.getvalue().splitlines())) <= 80


def test_every_message_has_a_row() -> None:
    problem = moeopt.load_problem("@transfers/zipf-8")
    rows, _ = whole_rows(problem, 64)
    assert ((rows > 0) == (problem.pair_bytes() > 0)).all()
    nothing = moeopt.load_problem("@transfers/empty-4")
    assert whole_rows(nothing, 64)[0].sum() == 0


Solved = Callable[[str], tuple[Any, Any]]


@pytest.fixture(scope="module")
def solved() -> Solved:
    """Return a function that loads a problem of the library and solves it, once."""
    known: dict[str, tuple[Any, Any]] = {}

    def pair(name: str) -> tuple[Any, Any]:
        if name not in known:
            problem = moeopt.load_problem(name)
            known[name] = (problem, moeopt.solve(problem).plan)
        return known[name]

    return pair


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("@placement/tiny-replicas", {"world": 3}, "world: must divide the plan's 2 devices"),
        ("@placement/tiny-replicas", {"world": 10**6}, "world: must be at most"),
        ("@placement/tiny-replicas", {"layers": (1,)}, "layers: must be layers of the plan"),
        ("@placement/tiny-replicas", {"port_bytes": 8}, "port_bytes: must not be given for a"),
        ("@transfers/tiny-two-ports", {"world": 4}, "world: must be the 2 ports of the plan"),
        ("@transfers/tiny-two-ports", {"trace": "t"}, "trace: must not be given for a transfers"),
        ("@transfers/tiny-relay", {}, "must send every message straight"),
        ("@colocation/tiny-two-models", {"top_k": 2}, "top_k: must not be given for a colocation"),
        ("@colocation/tiny-two-models", {"world": 3}, "world: must divide the plan's 2 devices"),
    ],
)
def test_what_does_not_fit_is_refused(
    solved: Solved, name: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(InstanceError, match=said):
        run_plan(*solved(name), RunOptions(**options))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"steps": 0}, "steps: must be >= 1"),
        ({"tokens": -1}, "tokens: must be >= 0"),
        ({"hidden": 2.5}, "hidden: must be a whole number"),
        ({"dtype": "fp8"}, "dtype: must be one of fp32, bf16"),
        ({"exchange": "nccl"}, "exchange: must be one of auto, single, rounds, spot"),
    ],
)
def test_options_that_mean_nothing(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InstanceError, match=said):
        RunOptions(**options)


def test_plans_of_other_problems(solved: Solved) -> None:
    problem, _ = solved("@placement/tiny-replicas")
    with pytest.raises(InstanceError, match="must be placement, transfers or colocation"):
        run_plan(problem, solved("@transfers/tiny-two-ports")[1])
    broken = replace_table(solved("@placement/tiny-replicas")[1], 0)
    with pytest.raises(InstanceError, match="must keep C1"):
        run_plan(problem, broken)


def replace_table(plan: Any, expert: int) -> Any:
    """Return the plan with one expert everywhere."""
    import msgspec

    table = np.full_like(plan.physical_to_logical, expert)
    return msgspec.structs.replace(plan, physical_to_logical=table)


def test_without_torch(solved: Solved, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.distributed", None)
    with pytest.raises(AdapterError, match=r"pip install 'moeopt\[torch\]'"):
        run_plan(*solved("@placement/tiny-replicas"))
