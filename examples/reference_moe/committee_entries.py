"""Lines of the tables of committees: methods with their plans, and what runs them on streams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from committee_methods import (
    BY_FREQUENCY,
    BY_NORM,
    DAMPED,
    OURS,
    PAPER,
    Floats,
    Ints,
    Lab,
    Method,
    even_slots,
)
from committee_plans import Plan, our_plans, paper_plans
from committee_streams import Pace
from model import MASKED, Gating

#: Says how a method's slots are divided.
EVEN, GENETIC, TABLES = "even", "genetic", "tables"


class Entry(NamedTuple):
    """A line of a table: a method, its plan, how it is told."""

    name: str
    method: Method
    plan: str
    pace: Pace = Pace()


#: What is compared first of all.
MAIN = (
    Entry("pruned, norm", BY_NORM, EVEN),
    Entry("pruned, frequency", BY_FREQUENCY, EVEN),
    Entry("paper", PAPER, GENETIC),
    Entry("ours", OURS, TABLES),
)

#: Which part of ours does what.
PARTS = (
    Entry("ours", OURS, TABLES),
    Entry("slots even", OURS, EVEN),
    Entry("rent or buy", replace(OURS, scheduler="library"), TABLES),
    Entry("paper's scheduler", replace(PAPER, gating=DAMPED), TABLES),
    Entry("paper's gating", replace(OURS, gating=MASKED), TABLES),
    Entry("never exchanged", replace(OURS, scheduler="none"), TABLES),
    Entry("paper's all, our gating", replace(PAPER, gating=DAMPED), GENETIC),
)

#: What gates do about the absent: substitutes or none, weights that add up to one or not.
GATING = tuple(
    Entry(f"{name}, damping {damping:g}", replace(OURS, gating=Gating(damping, margin)), TABLES)
    for damping in (0.0, 0.6, 1.0)
    for name, margin in (("substitutes", float("inf")), ("near ones", 1.0), ("skipped", 0.0))
)

#: Other links: experts that pass beside a window.
LINKS = tuple(
    Entry(f"{name}, {loads:g} a window", method, plan, Pace(loads=loads))
    for loads in (0.25, 1.0, 16.0)
    for name, method, plan in (("paper", PAPER, GENETIC), ("ours", OURS, TABLES))
)


class Measured(NamedTuple):
    """Of an entry, both ``(seeds, budgets)``."""

    #: Nats a byte above the original.
    excess: Floats
    #: Experts loaded in a window.
    loads: Floats


def measure(
    labs: Sequence[Lab],
    originals: Sequence[float],
    entry: Entry,
    plans: Callable[[str, int, int], list[Plan]],
) -> Measured:
    """Return what an entry costs with each seed.

    Parameters
    ----------
    labs
        With the streams of each seed.
    originals
        Loss of each with all experts resident.
    entry
        What is run.
    plans
        Of a way of planning, for the slots that an entry needs beside, and a seed.
    """
    excess, loads = [], []
    for seed, (lab, original) in enumerate(zip(labs, originals, strict=True)):
        lab.pace = entry.pace
        found = plans(entry.plan, entry.method.staged, seed)
        slots = np.stack([plan.slots for plan in found])
        ran = lab.run(entry.method, slots, np.array([plan.period for plan in found]))
        excess.append(ran.loss.mean(1) - original)
        loads.append(ran.loads.mean(1))
    return Measured(np.stack(excess), np.stack(loads))


class Plans:
    """The plans of every seed, each made when first asked for."""

    def __init__(self, found: dict[str, Any], budgets: Ints) -> None:
        self.found, self.budgets = found, budgets
        self.errors: list[float] = []
        self._searched: dict[tuple[int, int], list[Plan]] = {}

    def __call__(self, way: str, staged: int, seed: int) -> list[Plan]:
        """Return the plan of each budget."""
        totals = self.budgets - staged
        layers = len(self.found["prior"])
        if way == EVEN:
            return [Plan(even_slots(int(total), layers), 1) for total in totals]
        if way == TABLES:
            return our_plans(self.found, self.budgets)
        if (staged, seed) not in self._searched:
            self._searched[staged, seed], error = paper_plans(self.found, totals, seed)
            self.errors.append(error.mean)
        return self._searched[staged, seed]


def budgets_at(found: dict[str, Any], shares: Sequence[float]) -> Ints:
    """Return the budgets of some shares, which must have been planned for.

    Parameters
    ----------
    found
        What was measured.
    shares
        Of the memory of all experts.
    """
    wanted = [round(share * found["prior"].size) for share in shares]
    if missing := set(wanted) - set(found["budgets"].tolist()):
        raise SystemExit(f"no plans for {sorted(missing)} experts")
    return np.array(wanted)
