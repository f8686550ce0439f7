"""Prediction of popular experts: the paper's posterior, Lina's token map and the marginal.

On routing with known truth, and on recorded routing if the environment variable `TRACES` names a
folder of it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np

from moeopt.bench.registry import Figure, Report
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.table import Cell, Column, Table
from moeopt.describe.loads import window_counts
from moeopt.popularity.accuracy import cross_entropy, log_loss, mean_difference
from moeopt.popularity.predictors import Predictor, moving_average
from moeopt.popularity.synthetic import Attention, TokenRouting, token_routing
from moeopt.popularity.table import count_table
from moeopt.traces.npz import read_trace
from moeopt.traces.stand_ins import with_stand_in_ids
from moeopt.traces.trace import RoutingTrace

#: Environment variable with a folder of traces as `moeopt.traces.read_trace` reads them.
TRACES = "MOEOPT_TRACES"

#: Tokens of a batch in the paper, and the batches whose prediction it timed.
BATCH, TIMED = 10_240, 10

#: Tokens of the windows that are averaged on recorded routing, which has no more than 8,000.
WINDOW = 512

#: Seconds that the paper takes for `TIMED` batches.
PAPER_S = 20.31

#: Predictors by column. Those without a plus send a token to its favourites only.
NAMES = ("marginal", "EMA", "Lina", "paper", "Lina +", "paper +", "mended +")

_LEGEND = (
    "marginal: the layer's shares; EMA: moving average of past batches; Lina: token map; paper:"
    " Bayes posterior, hard as printed; +: shares added up, no argmax; mended: the posterior with"
    " attention IDs weighted by P'/P."
)


@dataclass(frozen=True)
class Case:
    """A past and a future.

    Attributes
    ----------
    name
        What differs.
    attention_effect
        Of `moeopt.popularity.synthetic.token_routing`.
    moved
        Whether the future has other topics than the past.
    attention
        Whom the tokens of the past pay attention to.
    """

    name: str
    attention_effect: float = 1.5
    moved: bool = False
    attention: Attention = "unigram"


CASES = (
    Case("token alone", attention_effect=0.0),
    Case("attention"),
    Case("new topics", moved=True),
    Case("even profile", attention="even"),
)


def prediction_tables(quick: bool) -> Report:
    """Measure the predictors on known truth and on recorded routing, and time them.

    Parameters
    ----------
    quick
        Smaller models, a shorter past and fewer batches.
    """
    report = _synthetic(quick)
    report.add(_seconds(quick))
    report.add(_recorded())
    return report


def _synthetic(quick: bool) -> Report:
    rows: list[list[Cell]] = []
    losses: list[list[Cell]] = []
    found: dict[str, dict[str, float]] = {}
    for case, experts, top_k in product(CASES, (4, 8, 16), (1, 2)):
        differences, loss = _known_truth(case, experts, top_k, quick)
        rows.append([case.name, experts, top_k, *differences.values()])
        losses.append([case.name, experts, top_k, *loss.values()])
        found[f"{case.name}/{experts}/{top_k}"] = differences
    head = [Column("setting"), Column("experts"), Column("k")]
    title = f"Mean difference per expert, batches of {BATCH} tokens, routing with known truth"
    names = [*NAMES, "truth"]
    note = f"{_LEGEND} truth: the true shares given the token ID; what is left is chance."
    table = Table(title, [*head, *(Column(n, ".1f") for n in names)], rows, note)
    title = "Held-out log-loss in nats, routing with known truth"
    names = ["marginal", "Lina", "paper", "mended", "truth"]
    note = "Of the shares before any argmax; smoothed by one occurrence of the layer's shares."
    second = Table(title, [*head, *(Column(n, ".3f") for n in names)], losses, note)
    data = {"prediction": {"difference": found}}
    return Report(tables=[table, second], figures=list(_figures(found)), data=data)


def _figures(found: Mapping[str, Mapping[str, float]]) -> Iterator[Figure]:
    """Yield how often one predictor is nearer than another."""
    for first, second, said in (
        ("paper", "Lina", "in the paper: all"),
        ("paper +", "Lina +", ""),
        ("mended +", "paper +", ""),
        ("paper +", "paper", ""),
        ("marginal", "Lina", ""),
    ):
        nearer = np.mean([row[first] < row[second] for row in found.values()])
        name = f"{first} nearer than {second}, share of settings"
        yield Figure(name, float(nearer), None, ".2f", said)


def _known_truth(
    case: Case, experts: int, top_k: int, quick: bool
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the difference per expert and the log-loss of each predictor."""
    layers, before, batches = (2, 5, 2) if quick else (8, 20, 2)
    routing = token_routing(
        experts,
        layers=layers,
        top_k=top_k,
        attention_effect=case.attention_effect,
        seed=experts,
    )
    topics = None
    if case.moved:
        # A few topics make up most of the text to come.
        topics = np.random.default_rng(experts).dirichlet(np.full(routing.num_topics, 0.2)) + 1e-3
    past = routing.draw(before * BATCH, 1, attention=case.attention)
    future = routing.draw(batches * BATCH, 2, topics)
    predictor = Predictor(count_table(past))
    totals: dict[str, list[float]] = {}
    for begin in range(0, future.num_tokens, BATCH):
        batch = future.part(begin, begin + BATCH)
        predicted = _predicted(predictor, past, _ids(batch), BATCH)
        distinct, times = np.unique(_ids(batch), return_counts=True)
        true = routing.true_shares(distinct, topics)
        predicted["truth"] = [top_k * times @ share for share in true]
        for name, tokens in predicted.items():
            totals.setdefault(name, []).append(mean_difference(list(batch.counts()), tokens))
    loss = _losses(predictor, future) | {"truth": _true_loss(routing, future, topics)}
    return {name: float(np.mean(values)) for name, values in totals.items()}, loss


def _predicted(
    predictor: Predictor, past: RoutingTrace, ids: IntArray, window: int
) -> dict[str, Sequence[FloatArray]]:
    """Return what each predictor says of a batch."""
    windows = window_counts(past.expert_ids, past.num_experts, window)
    found: list[Sequence[FloatArray]] = [
        predictor.tokens(ids, "marginal"),
        list(moving_average(windows) * ids.size / window),
        predictor.tokens(ids, "token_map"),
        predictor.tokens(ids, "bayes"),
        predictor.tokens(ids, "token_expected"),
        predictor.tokens(ids, "bayes_expected"),
        predictor.tokens(ids, "bayes_mended"),
    ]
    return dict(zip(NAMES, found, strict=True))


def _losses(predictor: Predictor, future: RoutingTrace) -> dict[str, float]:
    return {
        "marginal": log_loss(predictor, future, "marginal"),
        "Lina": log_loss(predictor, future, "token_map"),
        "paper": log_loss(predictor, future, "bayes"),
        "mended": log_loss(predictor, future, "bayes_mended"),
    }


def _true_loss(routing: TokenRouting, future: RoutingTrace, topics: FloatArray | None) -> float:
    distinct, which = np.unique(_ids(future), return_inverse=True)
    return cross_entropy(routing.true_shares(distinct, topics), which, future)


def _ids(trace: RoutingTrace) -> IntArray:
    assert trace.token_ids is not None
    return trace.token_ids.astype(np.int64)


def _seconds(quick: bool) -> Report:
    """Time the table of a long past, and the batches that the paper timed."""
    layers, experts, vocabulary = 12, 4, 30_000
    routing = token_routing(experts, layers=layers, vocabulary=vocabulary)
    past = routing.draw((10 if quick else 100) * BATCH, 1)
    coming = _ids(routing.draw(TIMED * BATCH, 2)).reshape(TIMED, BATCH)
    begun = time.perf_counter()
    table = count_table(past)
    built_s = time.perf_counter() - begun
    rows: list[list[Cell]] = [[f"table of {past.num_tokens:,} tokens", built_s, 28.89]]
    worst_s = 0.0
    rules: tuple[Literal["token_map", "bayes", "bayes_expected"], ...] = (
        "token_map",
        "bayes",
        "bayes_expected",
    )
    for rule in rules:
        begun = time.perf_counter()
        predictor = Predictor(table)
        for batch in coming:
            predictor.tokens(batch, rule)
        seconds = time.perf_counter() - begun
        worst_s = max(worst_s, seconds)
        rows.append([f"{TIMED} batches, {rule}", seconds, PAPER_S if rule == "bayes" else None])
    columns = [Column("what"), Column("seconds", ".2f"), Column("paper", ".2f")]
    note = f"{layers} layers of {experts} experts, {vocabulary:,} token IDs, {table.layer.size:,}"
    note += " rows in the table. The paper's 28.89 s include running the model, on 100 batches."
    name = f"{TIMED} batches of {BATCH} tokens predicted, seconds"
    figure = Figure(name, worst_s, 2.0, ".2f", f"{PAPER_S} in the paper")
    return Report(
        tables=[Table("Seconds of prediction", columns, rows, note)],
        figures=[figure],
        data={"prediction_s": {str(row[0]): row[1] for row in rows}},
    )


def _recorded() -> Report:
    """Measure on the later halves of recorded texts, if there are any."""
    folder = os.environ.get(TRACES)
    name = "recorded routing, traces"
    if not folder:
        return Report(figures=[Figure(name, None, None, "d", f"set {TRACES} to a folder of .npz")])
    traces = {path.stem: read_trace(path) for path in sorted(Path(folder).rglob("*.npz"))}
    rows: list[list[Cell]] = []
    losses: list[list[Cell]] = []
    for future, past, ids in product(traces, traces, (1, 2)):
        fitted, scored = _told_apart(traces, past, future, ids)
        if fitted.num_layers != scored.num_layers or fitted.num_experts != scored.num_experts:
            continue
        predictor = Predictor(count_table(fitted))
        predicted = _predicted(predictor, fitted, _ids(scored), WINDOW)
        real = list(scored.counts())
        head: list[Cell] = [future, past, ids]
        rows.append([*head, *(mean_difference(real, tokens) for tokens in predicted.values())])
        losses.append([*head, *_losses(predictor, scored).values()])
    columns = [Column("later half of"), Column("learned from"), Column("IDs")]
    note = (
        "Learned from the earlier half of the same text, or the whole of another. IDs: the traces"
        " hold no token IDs; a token's first 1 or 2 experts in the first MoE layer stand in for"
        " its ID, those of the token before for its attention ID, and that layer is left out."
    )
    first = Table(
        "Mean difference per expert, recorded routing, stand-in IDs",
        [*columns, *(Column(n, ".1f") for n in NAMES)],
        rows,
        f"{note} {_LEGEND}",
    )
    names = ("marginal", "Lina", "paper", "mended")
    second = Table(
        "Held-out log-loss in nats, recorded routing, stand-in IDs",
        [*columns, *(Column(n, ".3f") for n in names)],
        losses,
    )
    figure = Figure(name, float(len(traces)), None, ".0f")
    return Report(tables=[first, second], figures=[figure], data={"prediction_recorded": rows})


def _told_apart(
    traces: Mapping[str, RoutingTrace], past: str, future: str, ids: int
) -> tuple[RoutingTrace, RoutingTrace]:
    """Return what is learned from and what is scored, with stand-in IDs."""
    earlier, later = traces[future].halves()
    fitted = earlier if past == future else traces[past]
    return with_stand_in_ids(fitted, ids), with_stand_in_ids(later, ids)
