"""The formulas beside a simulation: exact in their own world, optimistic in others."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np

from moeopt.bench.registry import Figure, Report, Setting
from moeopt.core.stop import Context
from moeopt.core.table import Cell, Column, Table
from moeopt.serverless.generate import deployed
from moeopt.serverless.ods import fixed_design
from moeopt.serverless.plan import ServerlessPlan, evaluate
from moeopt.serverless.problem import ServerlessProblem
from moeopt.serverless.simple import lambdaml
from moeopt.serverless.simulate import FORMULAS, World, simulate

#: What is lifted, by name. The last but one lifts all that makes the formulas optimistic.
WORLDS = {
    "own world": FORMULAS,
    "objects": World(objects=True),
    "queueing": World(queueing=True),
    "whole tokens": World(whole_tokens=True),
    "straggling": World(straggling=0.2),
    "all of these": World(objects=True, queueing=True, whole_tokens=True, straggling=0.2),
    "eager": World(eager=True),
}

#: Draws of slow replicas that a world with straggling is averaged over.
DRAWS = 10

#: How close the formulas are to the simulation where they are exact.
EXACTNESS = 1e-9

MODELS = ("gpt2-moe", "bert-moe-16")


def run(setting: Setting) -> Report:
    """Simulate the best plan of each design alone, as fast as LambdaML's or faster."""
    report = Report(data={"simulator": {}})
    rows: list[list[Cell]] = []
    exact, pipelined = 0.0, []
    for model in MODELS[:1] if setting.quick else MODELS:
        problem = deployed(model)
        slo_s = evaluate(problem, lambdaml(problem)).latency_s
        promised = msgspec.structs.replace(problem, slo_s=slo_s, generator=None)
        for design in promised.designs:
            plan = fixed_design(promised, Context(), design).plan
            if not isinstance(plan, ServerlessPlan):
                continue
            found = compared(promised, plan, DRAWS // 2 if setting.quick else DRAWS)
            seconds = float(evaluate(promised, plan).layer_s.sum())
            rows.append([model, design, seconds, *found.values()])
            report.data["simulator"][f"{model}, design {design}"] = found
            if design == 1:
                pipelined.append(found["own world"])
            else:
                exact = max(exact, abs(found["own world"]))
    columns = [Column("model"), Column("design"), Column("formulas, s", ".2f")]
    columns += [Column(name, "+.2%") for name in WORLDS]
    note = (
        "Seconds of all MoE layers, simulated over computed. objects: a delay for each object that"
        " the gate writes and the next layer reads; queueing: all replicas' minibatches and"
        " messages on one link; straggling: replicas slower or faster by 20 %, mean of draws;"
        " eager: nobody waits for what others read."
    )
    report.tables.append(Table("The formulas beside a simulation", columns, rows, note))
    below = max([0.0, *pipelined])
    report.figures += [
        Figure("formulas off their own world, designs 2 and 3", exact, EXACTNESS, ".1e"),
        Figure("formulas below their own world, design 1", below, EXACTNESS, ".1e"),
        Figure("all that is left out, most", max(float(row[-2] or 0) for row in rows), None,
               "+.2%", "simulated over computed"),
    ]  # fmt: skip
    return report


def compared(problem: ServerlessProblem, plan: ServerlessPlan, draws: int) -> dict[str, float]:
    """Return by how much the MoE layers take longer than computed, as a share, by world.

    Parameters
    ----------
    problem, plan
        What to run.
    draws
        Runs of a world with straggling.
    """
    computed_s = float(evaluate(problem, plan).layer_s.sum())
    found = {}
    for name, world in WORLDS.items():
        seeds = range(draws if world.straggling else 1)
        runs = [simulate(problem, plan, replace(world, seed=seed)) for seed in seeds]
        seconds = float(np.mean([one.layer_s.sum() for one in runs]))
        found[name] = seconds / computed_s - 1.0
    return found
