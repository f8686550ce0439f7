"""What a page tells of a serverless plan: its bill and times, what binds, how to deploy it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

from moeopt.core.arrays import largest
from moeopt.core.table import Cell, Column, Table
from moeopt.core.units import number_text, time_text
from moeopt.report.picture import Gallery, Picture
from moeopt.report.serverless.pictures import (
    DESIGNS,
    bill_picture,
    latency_picture,
    memory_map,
    replica_map,
)
from moeopt.report.wings import Fact, Names, Step, Summary, WingReport, counted, distance
from moeopt.serverless.binding import RULES, binding
from moeopt.serverless.plan import Evaluation, ServerlessPlan, evaluate, layer_calls
from moeopt.serverless.problem import ServerlessProblem
from moeopt.serverless.simple import lambdaml
from moeopt.serverless.stages import stages_table
from moeopt.serverless.summary import layers_table, money_unit, savings, simulated

#: Layers for which is looked what binds them, those that cost most.
MOST_LAYERS = 12

#: Experts that are listed one by one.
MOST_EXPERTS = 20_000


def summary(problem: ServerlessProblem, plan: ServerlessPlan, result: Any) -> Summary:
    """Return what was asked, what the plan gained, how far from the best it is, and what binds."""
    value = evaluate(problem, plan)
    return Summary(
        asked=_asked(problem),
        gained=_gained(problem, plan, value),
        distance=distance(result, _money),
        binds=_binds(problem, plan, value),
    )


def pictures(
    problem: ServerlessProblem, plan: ServerlessPlan, result: Any
) -> list[Picture | Gallery]:
    """Return the pictures of a plan, the most telling first."""
    del result
    drawn: list[Picture | Gallery] = [bill_picture(problem, plan), latency_picture(problem, plan)]
    if problem.num_experts > 1 or problem.num_layers > 1:
        drawn += [memory_map(problem, plan), replica_map(problem, plan)]
    return drawn


def tables(problem: ServerlessProblem, plan: ServerlessPlan, result: Any) -> list[Table]:
    """Return the layers, their stages, and what is rented for every expert."""
    del result
    value = evaluate(problem, plan)
    return [
        layers_table(problem, plan, value, simulated(problem, plan)),
        stages_table(problem, plan, list(range(problem.num_layers))),
        experts_table(problem, plan, value),
    ]


def experts_table(problem: ServerlessProblem, plan: ServerlessPlan, value: Evaluation) -> Table:
    """Return memory, replicas, tokens, bill and time of every expert.

    Parameters
    ----------
    problem, plan, value
        A valid plan and its value.
    """
    size, unit = money_unit(float(value.expert_usd.max()))
    rows: list[list[Cell]] = []
    for layer, calls in enumerate(layer_calls(problem, plan)):
        experts = len(calls.replicas)
        share, needed = calls.share.max(axis=0), calls.needed_bytes.max(axis=0)
        columns = (
            range(experts),
            plan.memory_mb[layer, :experts].tolist(),
            calls.replicas.tolist(),
            share.tolist(),
            (100 * needed / calls.memory_bytes).tolist(),
            (value.expert_usd[layer, :experts] / size).tolist(),
            value.expert_s[layer, :experts].tolist(),
        )
        name = problem.layers[layer].name or layer
        rows += [[name, *row] for row in zip(*columns, strict=True)]
    left = len(rows) - MOST_EXPERTS
    return Table(
        title="Experts",
        columns=[
            Column("layer"),
            Column("expert"),
            Column("MB"),
            Column("replicas"),
            Column("tokens of a replica", ".6g"),
            Column("memory used %", ".1f"),
            Column(unit, ".4g"),
            Column("s", ".4g"),
        ],
        rows=rows[:MOST_EXPERTS],
        note="Tokens and memory of the largest scenario; seconds are the layer's, were it for this"
        " expert alone." + (f" {left:,} more are left out." if left > 0 else ""),
    )


def steps(problem: ServerlessProblem, plan: ServerlessPlan, names: Names) -> list[Step]:
    """Return how to check a plan, try it on this machine, deploy it, run it, and end it."""
    del plan
    instance, file = shlex.quote(names.instance), shlex.quote(names.plan)
    named = f"{file} --instance {instance}"
    name = _deployment(problem)
    return [
        Step(
            text="Check it: every constraint, and the bill, worked out afresh.",
            command=f"moeopt check {instance} {file}",
        ),
        Step(
            text="Try it on this machine, without an account (pip install 'moeopt[stand]', Linux):"
            " functions on a stand-in for AWS Lambda, every output checked, every call billed.",
            command=f"moeopt run {named} --local",
        ),
        Step(
            text="See what a deployment to AWS Lambda would make and cost (pip install"
            " 'moeopt[aws]', and credentials of an account); nothing is changed.",
            command=f"moeopt lambda deploy {named} --name {name} --dry-run",
        ),
        Step(
            text="Deploy it: a function for each expert, with the plan's memory.",
            command=f"moeopt lambda deploy {named} --name {name}",
        ),
        Step(
            text="Run batches on the functions, and keep what was measured.",
            command=f"moeopt run {named} --name {name} --record calls.jsonl",
        ),
        Step(
            text="Make an instance of what was measured, to plan with.",
            command=f"moeopt calibrate calls.jsonl --instance {instance} -o measured.json",
        ),
        Step(text="Remove all of it.", command=f"moeopt lambda remove {name}"),
    ]


#: How serverless plans are told.
REPORT = WingReport(summary=summary, pictures=pictures, tables=tables, steps=steps)


def _asked(problem: ServerlessProblem) -> list[Fact]:
    book = problem.book()
    tokens = sum(float(problem.tokens_of(k).sum()) for k in range(problem.num_layers))
    mean = tokens / problem.num_layers / problem.num_scenarios
    promise = "none"
    if problem.slo_s is not None:
        promise = f"{problem.slo_s:.6g} s from end to end, from a {problem.slo_start} start"
    sizes = problem.memory_mb
    dated = f", {book.date}" if book.date else ""
    return [
        counted("layers", problem.num_layers),
        counted("experts of a layer", problem.num_experts),
        Fact(label="tokens of a layer", text=f"{mean:,.6g}", number=mean),
        counted("batches to choose for", problem.num_scenarios),
        Fact(label="promise", text=promise, number=problem.slo_s),
        Fact(label="memory sizes", text=f"{len(sizes)}, {min(sizes)} to {max(sizes)} MB"),
        counted("most replicas of an expert", problem.max_replicas),
        Fact(label="designs", text=", ".join(DESIGNS[design] for design in problem.designs)),
        Fact(label="wanted", text="least bill of a batch"),
        Fact(label="prices", text=f"{book.name}{dated}, {problem.architecture}"),
    ]


def _gained(problem: ServerlessProblem, plan: ServerlessPlan, value: Evaluation) -> list[Fact]:
    saved = savings(problem, plan).get("lambdaml")
    if saved is None:
        bill, time = _money(value.cost_usd), time_text(value.latency_s)
        before = "the largest memory and no replicas would break a rule"
    else:
        other = evaluate(problem, lambdaml(problem))
        change = f"{100 * abs(saved):.1f} % {'less' if saved >= 0 else 'more'}"
        size, _ = money_unit(value.cost_usd)
        bill = f"{number_text(other.cost_usd / size)} → {_money(value.cost_usd)}, {change}"
        time = f"{time_text(other.latency_s)} → {time_text(value.latency_s)}"
        before = "LambdaML's deployment: the largest memory, no replicas"
        if other.slack_s is not None and other.slack_s < 0:
            before += "; it breaks the promise"
    million = 1e6 * value.cost_usd
    return [
        Fact(label="bill of a batch", text=bill, number=value.cost_usd),
        Fact(label="a million batches", text=_money(million), number=million),
        Fact(label="end to end", text=time, number=value.latency_s),
        counted("functions", int(plan.replicas.sum())),
        Fact(label="before", text=before),
    ]


def _binds(problem: ServerlessProblem, plan: ServerlessPlan, value: Evaluation) -> list[Fact]:
    """Return which rules keep how many layers from being cheaper, and what the promise leaves."""
    shown = largest(value.layer_usd, MOST_LAYERS).tolist()
    found = binding(problem, plan, value, shown)
    facts = list(_by_rule(found, problem.num_layers))
    if value.slack_s is not None:
        left = time_text(value.slack_s)
        facts.append(Fact(label="left of the promise", text=left, number=value.slack_s))
    at_once, allowed = int(value.replicas_at_once.max()), problem.limits().concurrency
    if allowed is not None and at_once > allowed:
        text = f"{at_once:,} calls at once, an account may run {allowed:,}: ask for more"
        facts.append(Fact(label="calls at once", text=text, number=at_once))
    return facts


def _by_rule(found: list[tuple[str, ...]], layers: int) -> Iterator[Fact]:
    of = f"{layers:,} {'layer' if layers == 1 else 'layers'}"
    if len(found) < layers:
        of = f"the {len(found):,} dearest layers"
    for label, rule in RULES.items():
        count = sum(label in binds for binds in found)
        if count:
            text = f"without it {count:,} of {of} would be cheaper"
            yield Fact(label=rule, text=text, number=count)
    if not any(found):
        yield Fact(label="rules", text=f"none: {of} would be no cheaper without any one of them")


def _deployment(problem: ServerlessProblem) -> str:
    """Return a name for the deployment: lower-case letters, digits and dashes, at most 32."""
    name = re.sub(r"[^a-z0-9]+", "-", problem.name.lower()).strip("-")
    return name[:32].strip("-") or "model"


def _money(usd: float) -> str:
    size, unit = money_unit(usd)
    return f"{number_text(usd / size)} {unit}"
