"""Run the reference model with a real committee, and with experts loaded on demand: time and loss.

    python examples/reference_moe/run_committee.py --device cpu --expert-copies 16
    python examples/reference_moe/run_committee.py --device cuda --expert-copies 160

One stream of held-out text, byte by byte. Experts come from where `run_cache.py` has them: with
cuda from pinned host memory into the GPU's, with cpu from a file into host memory. Committees are
loaded by a thread beside the computation; on demand, the layer waits for what it asks for. All rows
have one set of slots, for every expert; a committee uses as many as its budget has. The file is
written into a temporary folder of the working directory, and asks for Linux.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import fmean, median
from typing import Any, NamedTuple

import data
import numpy as np
import run_cache
import torch
import weights
from cache_links import Link, link_to, packed, strip
from committee import Committee, serve
from committee_entries import EVEN, GENETIC, TABLES, Plans, budgets_at
from committee_methods import (
    BY_FREQUENCY,
    OURS,
    PAPER,
    Known,
    Method,
    first_scores,
    known_from,
    positive,
    scheduler_of,
    streams_of,
)
from committee_plans import Plan, profiled
from committee_schedulers import best
from committee_streams import PACE
from device_cache import decode
from index import SHIPPED
from model import Model, Routing
from torch import Tensor
from torch.nn import functional as F

#: What is run with every budget.
WAYS = ((BY_FREQUENCY, EVEN), (PAPER, GENETIC), (OURS, TABLES))


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    device: str
    text: Path | None
    shares: list[float]
    tokens: int
    warm_up: int
    expert_copies: int
    repeats: int
    seed: int
    json: bool


class Run(NamedTuple):
    """What came of one run."""

    seconds: float
    loss: float
    loads: int


@dataclass
class Row:
    """A line of the table: a way to serve a budget, how it is run, and what came of it."""

    share: float
    name: str
    slots: int
    run: Callable[[Link], Run]
    runs: list[Run] = field(default_factory=list)


@dataclass(frozen=True)
class Served:
    """A model without its experts, a text, and what is known of the experts.

    The first tokens, `warm_up` of them, only fill the caches: they are not told of.
    """

    model: Model
    tokens: Tensor
    warm_up: int
    known: Known

    def committee(self, method: Method, plan: Plan, link: Link) -> Run:
        """Run the model over the text with a committee.

        Parameters
        ----------
        method, plan
            What serves.
        link
            Where experts come from.
        """
        device = self.tokens.device
        slots = torch.from_numpy(plan.slots).to(device)
        period = torch.tensor([plan.period], device=device)
        committee = Committee(
            self.model,
            link,
            best(first_scores(method, self.known), slots),
            scheduler_of(method, self.known, slots[None], period, PACE),
            method.gating,
            PACE,
            method.staged,
        )
        with committee.serving(), run_cache.no_collection():
            link.finish()
            logits, begun = serve(committee, self.tokens)
            link.finish()
            end = time.perf_counter()
        loads = sum(when >= begun[self.warm_up] for when in committee.arrived)
        return Run(end - begun[self.warm_up], self.loss(logits), loads)

    def cached(self, case: run_cache.Case, link: Link) -> Run:
        """Run the model over the text with a cache that is filled on demand.

        Parameters
        ----------
        case
            What the cache does.
        link
            Where experts come from.
        """
        ran = run_cache.run(self.model, self.tokens, case, link)
        first = int(case.problem.starts[self.warm_up * self.model.config.layers])
        loads = int((case.plan.load_at >= first).sum())
        return Run(ran.end - ran.cache.begun[first], self.loss(ran.logits), loads)

    def loss(self, logits: Tensor) -> float:
        """Return nats a byte; what ends a stretch of the context predicts nothing.

        Parameters
        ----------
        logits
            ``(tokens, 256)``.
        """
        after = torch.arange(1, len(logits), device=logits.device)
        told = (after % self.model.config.context > 0) & (after >= self.warm_up)
        return float(F.cross_entropy(logits[:-1][told], self.tokens[1:][told]))


def rows_of(served: Served, routings: Sequence[Sequence[Routing]], given: Options) -> list[Row]:
    """Return all that is run.

    Parameters
    ----------
    served
        What is served.
    routings
        Of its tokens with all experts resident, by layer.
    given
        The command line's options.
    """
    config, found = served.model.config, profiled()
    trace = run_cache.trace_of(served.model, routings)
    budgets = budgets_at(found, given.shares)
    plans = Plans(found, budgets)
    whole = run_cache.all_resident(trace)
    everything = config.layers * config.experts
    rows = [Row(1.0, "original", everything, partial(served.cached, whole))]
    for share, budget in zip(given.shares, budgets.tolist(), strict=True):
        case = run_cache.case_of(trace, "lru", budget // config.layers)
        slots = int(case.plan.capacity.sum())
        rows.append(Row(share, "on demand, lru", slots, partial(served.cached, case)))
    for method, way in WAYS:
        made = plans(way, method.staged, given.seed)
        for share, plan in zip(given.shares, made, strict=True):
            slots = int(plan.slots.sum())
            rows.append(Row(share, method.name, slots, partial(served.committee, method, plan)))
    return rows


@dataclass(frozen=True)
class Found:
    """All that was run, and with which experts."""

    rows: list[Row]
    experts_from: str
    expert_bytes: int
    own_bytes: int


def measured(given: Options, folder: Path) -> Found:
    """Run everything, as often as is asked for.

    Parameters
    ----------
    given
        The command line's options.
    folder
        Where the file of experts may be.
    """
    model = weights.load(SHIPPED / "weights.safetensors", given.device)
    length = given.warm_up + given.tokens
    text = streams_of(data.load(given.text).held_out, 1, length, given.seed)[0]
    tokens = torch.from_numpy(text.astype(np.int64)).to(given.device)
    served = Served(model, tokens, given.warm_up, known_from(profiled(), model))
    _, routings = decode(model, tokens)
    rows = rows_of(served, routings, given)
    experts = packed(model)
    strip(model)
    link = link_to(
        given.device,
        folder,
        experts=experts,
        width=model.config.width,
        copies=given.expert_copies,
        slots=len(experts),
    )
    with closing(link):
        for _ in range(given.repeats + 1):
            for row in rows:
                row.runs.append(row.run(link))
    return Found(rows, link.name, link.expert_bytes, 4 * experts.shape[1])


def report(given: Options, found: Found) -> list[str]:
    """Return what was found as lines for people.

    Parameters
    ----------
    given
        The command line's options.
    found
        What was run.
    """
    machine = torch.cuda.get_device_name() if given.device == "cuda" else platform.machine()
    return [
        f"{machine}, Python {platform.python_version()}, PyTorch {torch.__version__};"
        f" experts from {found.experts_from}",
        f"{given.tokens} bytes of held-out text one by one, after {given.warm_up} that do not"
        f" count; an expert of {found.expert_bytes:,} bytes: {given.expert_copies} times its own"
        f" {found.own_bytes:,}",
        *table(found.rows, given.tokens, found.expert_bytes),
        *affine(found.rows, given.tokens),
    ]


def plain(given: Options, found: Found) -> dict[str, Any]:
    """Return what was found as plain types, for JSON.

    Parameters
    ----------
    given, found
        As for `report`.
    """
    rows = [
        {
            "share": row.share,
            "name": row.name,
            "slots": row.slots,
            "ms": [1e3 * run.seconds / given.tokens for run in row.runs[1:]],
            "loss": fmean(run.loss for run in row.runs[1:]),
            "loads": fmean(run.loads for run in row.runs[1:]),
        }
        for row in found.rows
    ]
    return {"expert_bytes": found.expert_bytes, "tokens": given.tokens, "rows": rows}


def table(rows: Sequence[Row], tokens: int, expert_bytes: int) -> list[str]:
    """Return the lines of a table of rows, whose first runs do not count.

    Parameters
    ----------
    rows
        What was run.
    tokens
        That each run served.
    expert_bytes
        What a load moves.
    """
    lines = ["experts  way                slots  ms a byte   from     to  nats a byte  loads  MB/s"]
    for row in rows:
        runs = row.runs[1:]
        times = [1e3 * run.seconds / tokens for run in runs]
        loads, loss = fmean(run.loads for run in runs), fmean(run.loss for run in runs)
        rate = loads * expert_bytes / median(run.seconds for run in runs) / 1e6
        lines.append(
            f"{row.share:7.0%}  {row.name:17}  {row.slots:5}  {median(times):9.2f}"
            f"  {min(times):5.2f}  {max(times):5.2f}  {loss:11.3f}  {loads:5.0f}  {rate:4.0f}"
        )
    return lines


def affine(rows: Sequence[Row], tokens: int) -> list[str]:
    """Return the paper's model of latency, a constant and so much a slot, fitted to least times.

    Parameters
    ----------
    rows
        Of which those of committees count.
    tokens
        That each run served.
    """
    names = {method.name for method, _ in WAYS}
    some = [row for row in rows if row.name in names]
    slots = np.array([row.slots for row in some], np.float64)
    took = np.array([1e3 * min(run.seconds for run in row.runs[1:]) / tokens for row in some])
    slope, constant = np.polyfit(slots, took, 1)
    off = np.abs(took - constant - slope * slots)
    return [
        f"latency of committees, least: {constant:.2f} ms + {1e3 * slope:.2f} us a slot,"
        f" off by {off.mean():.2f} ms in the mean and {off.max():.2f} at most"
    ]


def main() -> None:
    """Run, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--text", type=Path, help="what data.py wrote; else the library at hand")
    parser.add_argument(
        "--shares", type=float, nargs="+", default=[0.1, 0.3, 0.5, 0.7, 0.9], help="of experts"
    )
    parser.add_argument("--tokens", type=positive, default=192, help="bytes of held-out text")
    parser.add_argument(
        "--warm-up", type=positive, default=192, help="bytes before, to fill caches"
    )
    parser.add_argument(
        "--expert-copies", type=positive, default=1, help="move each expert so many times over"
    )
    parser.add_argument("--repeats", type=positive, default=3, help="runs after a first one")
    parser.add_argument("--seed", type=int, default=0, help="of the text and of the paper's plans")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = Options(**vars(parser.parse_args()))
    if options.device == "cuda":
        run_cache.compute_alike()
    # Not where temporary files are: these may be in memory.
    with tempfile.TemporaryDirectory(dir=".") as folder:
        found = measured(options, Path(folder))
    if options.json:
        print(json.dumps(plain(options, found)))
    else:
        print(*report(options, found), sep="\n")


if __name__ == "__main__":
    main()
