"""Bayesian optimisation of the popularity table: cost after equal numbers of evaluations.

Routing with known truth, of which the table has seen one batch, with other topics than those that
are served. Costs are over that of the deployment made from the real tokens.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from moeopt.bench.registry import Figure, Report
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.solve import solve
from moeopt.core.table import Cell, Column, Table
from moeopt.describe.loads import total_counts
from moeopt.popularity.prediction import Prediction, Rule
from moeopt.popularity.predictors import Predictor
from moeopt.popularity.synthetic import token_routing
from moeopt.popularity.table import count_table
from moeopt.serverless.bayes import Search, optimise
from moeopt.serverless.bayes_gp import Region
from moeopt.serverless.bayes_objective import Deployed, with_tokens
from moeopt.serverless.bayes_pairs import table_space
from moeopt.serverless.generate import deployed
from moeopt.serverless.plan import evaluate
from moeopt.serverless.problem import ServerlessProblem
from moeopt.serverless.realised import meet
from moeopt.traces.trace import RoutingTrace

#: Tokens of a batch, batches that a deployment serves, evaluations: the paper's search took 20.
TOKENS, BATCHES, EVALUATIONS = 10_240, 10, 20

#: The promise, as a share of what the cheapest deployment without one takes.
PROMISE = 0.97

#: A late second costs so many seconds of the bill.
LATE = 4.0

#: More evaluations than there are: a process that is asked after these never is.
NEVER = 1000

#: Standard deviation of the logarithm of how common topics are.
TOPICS = 1.0


@dataclass(frozen=True)
class Contender:
    """A search with its settings.

    Attributes
    ----------
    search, region
        What moves pairs, and how, under the paper's rule.
    rule
        Instead of a search: what predicts, once.
    """

    search: Search = "none"
    region: Region | None = None
    rule: Rule | None = None


CONTENDERS: Mapping[str, Contender] = {
    "no search": Contender("none"),
    "no search, marginal rule": Contender(rule="marginal"),
    "no search, mended rule": Contender(rule="bayes_mended"),
    "random": Contender("random"),
    "single epsilon": Contender("single_epsilon"),
    "TPE": Contender("tpe"),
    "paper": Contender("multi_epsilon"),
    "never asked, total alone": Contender("gp", Region(feedback=False, first=NEVER)),
    "GP, total alone": Contender("gp", Region(feedback=False)),
    "shares, process never asked": Contender("gp", Region(first=NEVER)),
    "GP": Contender("gp"),
}


@dataclass(frozen=True)
class Case:
    """What is compared.

    Attributes
    ----------
    name
        For people.
    pairs
        Laid over the table.
    late
        Whether lateness is charged, as the paper's objective does not.
    left_out
        Contenders that would take too long.
    """

    name: str
    pairs: int
    late: bool
    left_out: tuple[str, ...] = ()


CASES = (
    Case("bill and lateness, 1,000 pairs", 1000, True, ("TPE",)),
    Case("bill and lateness, 200 pairs", 200, True),
    Case("bill alone, 1,000 pairs", 1000, False, ("TPE",)),
)


def bayes_tables(quick: bool) -> Report:
    """Compare the searches on every case."""
    report = Report(data={"bayes": {}})
    layers, seeds, evaluations = (3, 3, 8) if quick else (12, 10, EVALUATIONS)
    if not _installed("sklearn"):
        why = "scikit-learn is not installed: pip install 'moeopt[bayes]'"
        report.figures.append(Figure("Bayesian optimisation", None, 1.0, note=why))
        return report
    for case in CASES[1:2] if quick else CASES:
        objectives = [_objective(seed, layers, case.late) for seed in range(seeds)]
        runs = {
            name: _runs(contender, case, objectives, evaluations)
            for name, contender in CONTENDERS.items()
            if name not in case.left_out and (name != "TPE" or _installed("optuna"))
        }
        report.tables.append(_table(case, runs, seeds, evaluations))
        least = {name: run.least for name, run in runs.items()}
        report.data["bayes"][case.name] = {name: value.tolist() for name, value in least.items()}
        report.figures += _figures(case, least)
    return report


def _figures(case: Case, least: Mapping[str, FloatArray]) -> list[Figure]:
    """Return how the medians of the Gaussian process compare with that of Algorithm 2."""
    last = {name: float(np.median(1.0 + curves[:, -1])) for name, curves in least.items()}
    return [
        Figure(f"{case.name}: {name} over the paper's, medians", last[name] / last["paper"], 1.0)
        for name in ("GP", "GP, total alone")
    ]


@dataclass(frozen=True)
class _Runs:
    """Runs of one contender.

    Attributes
    ----------
    least
        Least cost after each evaluation, over that of the real tokens, less 1,
        ``(seeds, evaluations)``.
    seconds
        Of one evaluation with its search, mean.
    """

    least: FloatArray
    seconds: float


@dataclass(frozen=True)
class _Objective:
    """A seed's objective, and the cost of the deployment that knows the real tokens."""

    deployed: Deployed
    known_usd: float


def _objective(seed: int, layers: int, late: bool) -> _Objective:
    """Return the deployment of Bert-MoE with 4 experts under the routing of a seed."""
    model = deployed("bert-moe-4")
    problem = msgspec.structs.replace(model, layers=model.layers[:layers])
    routing = token_routing(problem.num_experts, layers=layers, seed=seed)
    rng = np.random.default_rng([seed, layers])
    topics = np.exp(TOPICS * rng.standard_normal(routing.num_topics))
    topics /= topics.sum()
    past = routing.draw(TOKENS, 2 * seed)
    coming = routing.draw(TOKENS, 2 * seed + 1, topics)
    batches = [routing.draw(TOKENS, 1000 * (seed + 1) + j, topics) for j in range(BATCHES)]
    counts = np.stack([total_counts(b.expert_ids, problem.num_experts) for b in batches], axis=1)
    prediction = Prediction(table=count_table(past), token_ids=_ids(coming), rule="bayes")
    promised, charge = _promised(problem, counts.mean(axis=1))
    objective = Deployed(
        problem=promised,
        space=table_space(prediction),
        tokens=tuple(counts),
        token_ids=tuple(_ids(batch) for batch in batches),
        late_usd_per_s=charge if late else 0.0,
    )
    return _Objective(objective, _usd_for(objective, list(counts.mean(axis=1))))


def _ids(trace: RoutingTrace) -> IntArray:
    assert trace.token_ids is not None
    return trace.token_ids.astype(np.int64)


def _promised(problem: ServerlessProblem, tokens: FloatArray) -> tuple[ServerlessProblem, float]:
    """Return the problem with a promise that binds, and the charge for a late second."""
    free = with_tokens(problem, list(tokens))
    plan = solve(free, "exact").plan
    assert plan is not None
    value = evaluate(free, plan)
    promise = msgspec.structs.replace(problem, slo_s=PROMISE * value.latency_s)
    return promise, LATE * value.cost_usd / value.latency_s


def _usd_for(objective: Deployed, tokens: Sequence[FloatArray]) -> float:
    """Return what the deployment made for some tokens, for each layer ``(experts,)``, costs."""
    problem, plan = objective.planned(tokens)
    met, promise = meet(problem, plan, objective.tokens), objective.problem.slo_s
    assert promise is not None
    late_s = np.maximum(0.0, met.latency_s - promise)
    return float((met.cost_usd + objective.late_usd_per_s * late_s).mean())


def _runs(
    contender: Contender, case: Case, objectives: Sequence[_Objective], evaluations: int
) -> _Runs:
    begun, least = time.perf_counter(), []
    for seed, objective in enumerate(objectives):
        if contender.rule is None:
            found = optimise(
                objective.deployed,
                objective.deployed.space,
                contender.search,
                pairs=case.pairs,
                evaluations=evaluations,
                seed=seed,
                region=contender.region,
            ).least_usd()
        else:
            prediction = objective.deployed.space.prediction
            tokens = Predictor(prediction.table).tokens(prediction.token_ids, contender.rule)
            found = np.array([_usd_for(objective.deployed, tokens)])
        curve = found / objective.known_usd - 1.0
        # What has nothing left to try keeps what it found.
        least.append(np.pad(curve, (0, evaluations - len(curve)), mode="edge"))
    seconds = (time.perf_counter() - begun) / (len(objectives) * evaluations)
    return _Runs(np.array(least), seconds)


def _table(case: Case, runs: Mapping[str, _Runs], seeds: int, evaluations: int) -> Table:
    """Return medians on the way, and the band at the end."""
    stages = sorted({1, evaluations // 4, evaluations // 2, evaluations})
    columns = [Column("search"), *(Column(f"after {stage}", ".2%") for stage in stages)]
    columns += [Column("10 %", ".2%"), Column("90 %", ".2%"), Column("s each", ".2f")]
    rows: list[list[Cell]] = []
    for name, run in runs.items():
        medians = np.median(run.least[:, np.array(stages) - 1], axis=0)
        band = np.quantile(run.least[:, -1], [0.1, 0.9])
        rows.append([name, *medians.tolist(), *band.tolist(), run.seconds])
    note = (
        f"Least cost over that of the deployment made from the real tokens: median of {seeds} seeds"
        f" after so many evaluations, and the band that holds 80 % of them after {evaluations}."
        " 'paper' is Algorithm 2 as written; 'GP' sees the feedback, 'total alone' does not. Where"
        " the process is never asked, shares are drawn in the same way, and no costs but the least"
        " one used. Plans are made by the exact method, and cost what they do on the batches that"
        " they were tuned on."
    )
    return Table(f"Bayesian optimisation, {case.name}", columns, rows, note)


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
