"""The optimiser's choice of a design, against measured bills and seconds of every design."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from moeopt.adapters.aws_lambda.bill import bill_of_records
from moeopt.adapters.aws_lambda.calibrate import Calibration
from moeopt.bench.aws_lambda_forecast import NAMES
from moeopt.bench.aws_lambda_model import counts, with_batch
from moeopt.bench.aws_lambda_stand import Bench
from moeopt.bench.registry import Figure, Report
from moeopt.core.solve import solve
from moeopt.core.table import Cell, Column, Table
from moeopt.serverless.plan import ServerlessPlan, clock_of, evaluate
from moeopt.serverless.problem import DESIGNS, Design, ServerlessProblem

#: Batches, and what each is promised, over the shortest latency that there is: a small one with
#: time, and two in haste.
HASTE = {192: 2.0, 1152: 1.15, 7680: 1.15}

#: How many of each are measured.
REPEATS = {True: 3, False: 9}

#: Plans are made for this part of what is promised; the rest is for what formulas leave out.
RESERVE = 0.9

#: A promise that nobody keeps.
_AT_ONCE = 1e-6

#: Bills this near to each other are alike.
ALIKE = 0.02


@dataclass(frozen=True)
class Tried:
    """The best plan of one design, measured: the cheapest that is in time, or else the fastest.

    Attributes
    ----------
    design
        Which.
    in_time
        Whether the formulas say that it keeps the promise.
    planned_usd
        Its bill by the wing.
    usd
        Median of what was billed, as far as the problem counts it.
    seconds
        Median, with the start of the next function, which is not run here.
    """

    design: Design
    in_time: bool
    planned_usd: float
    usd: float
    seconds: float


@dataclass(frozen=True)
class Chosen:
    """A batch with a promise, the optimiser's choice, and what each design did.

    Attributes
    ----------
    tokens, slo_s
        The batch, and the promise.
    design
        Chosen.
    tried
        Each design whose calls can carry the batch.
    """

    tokens: int
    slo_s: float
    design: Design
    tried: tuple[Tried, ...]

    @property
    def confirmed(self) -> bool:
        """Whether the choice kept the promise, and none that kept it was billed less."""
        kept = {each.design: each.usd for each in self.tried if each.seconds <= self.slo_s}
        return self.design in kept and kept[self.design] <= (1.0 + ALIKE) * min(kept.values())


def run(bench: Bench, calibration: Calibration, quick: bool) -> Report:
    """Choose for each batch, and measure the best plan of every design."""
    found = [
        chosen(bench, with_batch(calibration.problem, tokens), tokens, REPEATS[quick])
        for tokens in HASTE
    ]
    missed = sum(not each.confirmed for each in found)
    return Report(
        [_table(found, REPEATS[quick])],
        [Figure(f"choices not confirmed, of {len(found)}", float(missed), 0.0, ".0f")],
        {"choice": [msgspec.to_builtins(each) for each in found]},
    )


def chosen(bench: Bench, problem: ServerlessProblem, tokens: int, repeats: int) -> Chosen:
    """Return the optimiser's choice for one batch, and what each design did.

    Parameters
    ----------
    bench
        Where to measure.
    problem
        With the batch's tokens, calibrated.
    tokens
        Of the batch.
    repeats
        Measured batches.
    """
    shortest = _shortest(problem)
    assert shortest is not None, "through storage every batch can travel"
    slo_s = HASTE[tokens] * shortest
    promised = msgspec.structs.replace(problem, slo_s=RESERVE * slo_s)
    plan = solve(promised).plan
    assert plan is not None, "the promise can be kept"
    tried = []
    for design in DESIGNS:
        own = msgspec.structs.replace(promised, designs=(design,))
        fastest = _shortest(own)
        if fastest is None:
            continue
        in_time = fastest <= RESERVE * slo_s
        if not in_time:
            own = msgspec.structs.replace(own, slo_s=fastest * (1.0 + 1e-9))
        tried.append(_tried(bench, own, design, in_time, tokens, repeats))
    return Chosen(tokens, slo_s, _design(plan), tuple(tried))


def _design(plan: ServerlessPlan) -> Design:
    return DESIGNS[int(plan.design[0]) - 1]


def _shortest(problem: ServerlessProblem) -> float | None:
    """Return the shortest latency there is, as the answer to an impossible promise says it."""
    broken = solve(msgspec.structs.replace(problem, slo_s=_AT_ONCE)).violations[0]
    return _AT_ONCE + broken.amount if broken.constraint == "C6" else None


def _tried(
    bench: Bench,
    problem: ServerlessProblem,
    design: Design,
    in_time: bool,
    tokens: int,
    repeats: int,
) -> Tried:
    plan = solve(problem).plan
    assert plan is not None, "its promise is one that can be kept"
    records = bench.run(bench.fleet(problem, plan), counts(tokens), repeats)
    bills = [bill_of_records(problem, [record]) for record in records]
    # After direct calls the next function would start and load; through storage it has before.
    load_s = clock_of(problem, 0).load_s if design == 3 else 0.0
    return Tried(
        design=design,
        in_time=in_time,
        planned_usd=evaluate(problem, plan).cost_usd,
        usd=float(np.median([bill.counted_usd(problem.billing) for bill in bills])),
        seconds=float(np.median([record.seconds for record in records])) + load_s,
    )


def _table(found: Sequence[Chosen], repeats: int) -> Table:
    rows: list[list[Cell]] = []
    for each in found:
        by_design = {tried.design: tried for tried in each.tried}
        for design in DESIGNS:
            own = by_design.get(design)
            rows.append(
                [
                    each.tokens,
                    each.slo_s,
                    NAMES[design],
                    None if own is None else 1e6 * own.planned_usd,
                    None if own is None else 1e6 * own.usd,
                    None if own is None else own.seconds,
                    _word(each, own),
                ]
            )
    return Table(
        "the optimiser's choice of a design, against every design measured",
        [
            Column("tokens"),
            Column("promise s", ".3f"),
            Column("design"),
            Column("planned uUSD", ".2f"),
            Column("billed uUSD", ".2f"),
            Column("measured s", ".3f"),
            Column(""),
        ],
        rows,
        note=f"Medians of {repeats} warm batches, with the start of the next function. Each design"
        f" has its\ncheapest plan for {RESERVE:.0%} of the promise, or else its fastest.",
    )


def _word(each: Chosen, own: Tried | None) -> str:
    if own is None:
        return "calls cannot carry it"
    words = ["chosen"] if own.design == each.design else []
    if not own.in_time:
        words.append("late by the formulas")
    if own.seconds > each.slo_s:
        words.append("late")
    return ", ".join(words)
