"""A colocation plan on workers: layers of all models in turns, checked, timed and foreseen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from moeopt.adapters.torch.clock import PHASES, Phase
from moeopt.adapters.torch.colocation_layout import layouts_of_colocation, tokens_of_colocation
from moeopt.adapters.torch.run.common import Shape, measured_link
from moeopt.adapters.torch.run.layer_job import LayerJob
from moeopt.adapters.torch.run.measure import foreseen, measured_constants
from moeopt.adapters.torch.run.options import (
    TOLERANCE,
    RunOptions,
    asked,
    chosen_backend,
    chosen_world,
    started,
)
from moeopt.adapters.torch.run.placement import FOLD, STEPS, TOKENS, chosen_shape
from moeopt.adapters.torch.run.predict import Constants
from moeopt.adapters.torch.run.report import require_right
from moeopt.adapters.torch.run.round_job import RoundRun, run_round
from moeopt.adapters.torch.run.tables import compared, workers
from moeopt.adapters.torch.run.tokens import Batch
from moeopt.colocation.plan import ColocationPlan
from moeopt.colocation.problem import ColocationProblem
from moeopt.core.table import Table
from moeopt.timeline import LayerTime, interleaved

READ = frozenset(("world", "backend", "tokens", "hidden", "inner", "dtype", "steps", "seed"))


@dataclass(frozen=True, kw_only=True)
class ModelReport:
    """What one of the models showed.

    Attributes
    ----------
    name
        Its name, or number.
    measured_end_s, predicted_end_s
        When each of its phases ended, after the first model's gate had; that gate ends with the
        round. Medians over steps, of the slowest rank.
    alone_s, predicted_alone_s
        Seconds of its layer by itself.
    difference
        Largest difference from the reference, as a part of its largest output.
    constants
        As measured before the run.
    """

    name: str
    measured_end_s: dict[Phase, float]
    predicted_end_s: dict[Phase, float]
    alone_s: float
    predicted_alone_s: float
    difference: float
    constants: Constants


@dataclass(frozen=True, kw_only=True)
class ColocationReport:
    """What a run of a colocation plan found.

    Attributes
    ----------
    name
        Of the problem.
    devices, world
        Devices of the plan, and workers that stood for them.
    backend, steps
        As run.
    tokens
        Of a worker in a step, in the mean over workers, of the model that has most.
    shapes
        Of the models' layers.
    models
        What each showed, in the order of their turns.
    """

    name: str
    devices: int
    world: int
    backend: str
    steps: int
    tokens: float
    shapes: tuple[Shape, ...]
    models: tuple[ModelReport, ...]

    def document(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {"run": "colocation", "adapter": "torch", **asdict(self)}

    def tables(self) -> list[Table]:
        """Return the tables for people."""
        return [self._turns(), self._alone()]

    def _turns(self) -> Table:
        rows = [
            (f"{phase}, {model.name}", model.measured_end_s[phase], model.predicted_end_s[phase])
            for phase in PHASES
            for model in self.models
        ]
        # The first gate of the next layer is the end of all.
        rows.append(rows.pop(0))
        name, measured, foreseen = rows.pop()
        folded = "" if self.world == self.devices else f" for {self.devices} devices"
        shape = self.shapes[0]
        title = f"{self.name or 'models'} in turns on {workers(self.world, self.backend)}{folded}"
        note = (
            f"{self.tokens:.0f} tokens a worker as the traffic says, top-1,"
            f" {shape.hidden} x {shape.inner} {shape.dtype}, {self.steps} steps\n"
            f"counted from the end of the first gate, that of {self.models[0].name}"
        )
        return compared(title, "ends", rows, (name, measured, foreseen), note)

    def _alone(self) -> Table:
        rows = [(model.name, model.alone_s, model.predicted_alone_s) for model in self.models]
        total = ("together", sum(row[1] for row in rows), sum(row[2] for row in rows))
        worst = max(model.difference for model in self.models)
        note = (
            "every output compared with one process: the largest difference is\n"
            f"{worst:.1e} of the largest output, {TOLERANCE[self.shapes[0].dtype]:g} at most"
        )
        return compared("one model after the other", "model", rows, total, note)


def run_colocation(
    problem: ColocationProblem, plan: ColocationPlan, options: RunOptions
) -> ColocationReport:
    """Run one layer of each model in turns on workers of this machine.

    Raises
    ------
    InstanceError
        If the plan breaks its problem's rules, or an option does not fit them.
    AdapterError
        If a worker fails, or an output is wrong.
    """
    options.refuse_all_but(READ, "colocation")
    world = chosen_world(options.world, problem.num_devices, FOLD)
    layouts = [layout.folded(world) for layout in layouts_of_colocation(problem, plan)]
    backend = chosen_backend(options.backend, world)
    batches = _batches(problem, plan, world, options.tokens)
    steps = options.steps or STEPS
    shapes = tuple(chosen_shape(options, model.num_experts) for model in problem.models)
    with started(world, backend) as workers:
        link = asked(workers, measured_link)[0]
        jobs = [
            LayerJob(
                layer=number,
                layout=layouts[number],
                shape=shape,
                batches=(batches[number],),
                steps=steps,
                exchange="single",
                rounds=None,
                link=link,
            )
            for number, shape in enumerate(shapes)
        ]
        mean = [round(_mean_tokens(batch)) for batch in batches]
        constants = [
            measured_constants(workers, job, own, 1) for job, own in zip(jobs, mean, strict=True)
        ]
        # Before the run: what it shows is not known yet.
        expected = [foreseen(job, own)[1][0] for job, own in zip(jobs, constants, strict=True)]
        runs = asked(workers, run_round, jobs)
    names = [model.name or f"model {number}" for number, model in enumerate(problem.models)]
    reports = _reports(names, constants, expected, runs)
    for report in reports:
        require_right(report.name, report.difference, TOLERANCE[shapes[0].dtype])
    return ColocationReport(
        name=problem.name,
        devices=problem.num_devices,
        world=world,
        backend=backend,
        steps=steps,
        tokens=max(_mean_tokens(batch) for batch in batches),
        shapes=shapes,
        models=tuple(reports),
    )


def _batches(
    problem: ColocationProblem, plan: ColocationPlan, world: int, tokens: int | None
) -> list[Batch]:
    """Return each model's tokens; all models keep their proportions."""
    most = max(float(model.traffic_tokens.sum()) for model in problem.models)
    wanted = (TOKENS if tokens is None else tokens) * world
    scale = wanted / most if most > 0 else 1.0
    return [
        Batch(tuple(ids), tuple(np.ones(own.shape, dtype=np.float32) for own in ids))
        for ids in tokens_of_colocation(problem, plan, world, scale=scale)
    ]


def _mean_tokens(batch: Batch) -> float:
    return float(np.mean([len(ids) for ids in batch.expert_ids]))


def _reports(
    names: Sequence[str],
    constants: Sequence[Constants],
    expected: Sequence[LayerTime],
    runs: Sequence[RoundRun],
) -> list[ModelReport]:
    """Join what the ranks saw: a phase ends when its slowest rank has done."""
    # Phases, models.
    ends = np.median(np.max([run.end_s for run in runs], axis=0), axis=0)
    alone = np.median(np.max([run.alone_s for run in runs], axis=0), axis=0)
    together = interleaved(expected)
    predicted = np.stack([getattr(together, phase).end_s for phase in PHASES])
    difference = np.max([run.difference for run in runs], axis=0)
    largest = np.max([run.largest for run in runs], axis=0)
    return [
        ModelReport(
            name=name,
            measured_end_s=dict(zip(PHASES, ends[:, m].tolist(), strict=True)),
            predicted_end_s=dict(zip(PHASES, predicted[:, m].tolist(), strict=True)),
            alone_s=float(alone[m]),
            predicted_alone_s=float(expected[m].total_s),
            difference=float(difference[m] / largest[m]) if largest[m] > 0 else 0.0,
            constants=constants[m],
        )
        for m, name in enumerate(names)
    ]
