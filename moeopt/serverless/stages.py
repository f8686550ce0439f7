"""The three stages of each layer, and what of them is hidden behind the next layer's loading.

S1: experts start and load their parameters while the gate uploads inputs. S2: they download,
compute and upload. S3: the next layer's function downloads the outputs. Through storage that
function starts and loads while S1 and S2 go on; with direct calls it starts after them (arXiv
2501.05313, section on scatter and gather, whose formulas the paper omits).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeopt.core.table import Cell, Column, Table
from moeopt.serverless.plan import ServerlessPlan, calls_of, clock_of
from moeopt.serverless.problem import ServerlessProblem


@dataclass(frozen=True)
class Stages:
    """What a layer's latency is made of, in its slowest scenario; seconds.

    Attributes
    ----------
    expert
        The expert that is done last.
    begun_s
        S1: until its first replica has parameters and inputs.
    worked_s
        S2: from then until its outputs are stored, or returned.
    loading_s
        What the next function's start and loading add: all of it after direct calls, otherwise
        what is left of it when S2 ends.
    hidden_s
        The rest of that loading, hidden behind S1 and S2.
    gathered_s
        S3; 0 after direct calls, whose outputs come back by themselves.
    """

    expert: int
    begun_s: float
    worked_s: float
    loading_s: float
    hidden_s: float
    gathered_s: float


def stages(problem: ServerlessProblem, plan: ServerlessPlan, layer: int) -> Stages:
    """Return the stages of one layer of a valid plan.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    layer
        Which layer.
    """
    calls, clock = calls_of(problem, plan, layer), clock_of(problem, layer)
    design, tokens = int(plan.design[layer]), problem.tokens_of(layer)
    slowest = int(np.argmax(calls.expert_s.max(axis=1)))
    used = calls.share[slowest] > 0
    gathered = 0.0 if design == 3 else float(clock.gather_s(tokens[slowest].sum()))
    expert = int(np.argmax(np.where(used, calls.done_s[slowest], -1.0)))
    done = float(calls.done_s[slowest, expert]) if used.any() else 0.0
    begun = float(calls.begun_s[slowest, expert]) if used.any() else 0.0
    hidden = 0.0 if design == 3 else min(done, clock.load_s)
    return Stages(
        expert=expert,
        begun_s=begun,
        worked_s=done - begun,
        loading_s=clock.load_s - hidden,
        hidden_s=hidden,
        gathered_s=gathered,
    )


def stages_table(problem: ServerlessProblem, plan: ServerlessPlan, layers: list[int]) -> Table:
    """Return the stages of some layers.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    layers
        Those to show.
    """
    rows: list[list[Cell]] = []
    for layer in layers:
        found = stages(problem, plan, layer)
        rows.append(
            [
                problem.layers[layer].name or layer,
                found.begun_s,
                found.worked_s,
                found.loading_s,
                found.gathered_s,
                found.hidden_s,
            ]
        )
    seconds = ("S1 begin", "S2 work", "loading", "S3 gather", "hidden")
    return Table(
        title="where the seconds of a layer go",
        columns=[Column("layer"), *(Column(name, ".3f") for name in seconds)],
        rows=rows,
        note="Hidden: the next function's loading that goes on behind S1 and S2.",
    )
