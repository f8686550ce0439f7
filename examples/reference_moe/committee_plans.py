"""The slots of every budget: by the paper's planner and by ours, from what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from committee_methods import PERIODS, Floats, Ints
from committee_profile import FILE

from moeopt.committee.configurations import stated_space
from moeopt.committee.genetic import search
from moeopt.committee.surrogate import PredictionError, prediction_error, train
from moeopt.core.stop import Context

#: Random configurations that are kept back, to say how good the paper's model of accuracy is.
KEPT_BACK = 250

#: Genetic searches for a plan, each with twice the population of the one before.
SEARCHES = 2


class Plan(NamedTuple):
    """Slots of each layer, and windows from one update to the next."""

    slots: Ints
    period: int


def profiled(path: Path = FILE) -> dict[str, Any]:
    """Return what `committee_profile.py` wrote.

    Parameters
    ----------
    path
        Where.
    """
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def paper_plans(
    found: dict[str, Any], totals: Ints, seed: int
) -> tuple[list[Plan], PredictionError]:
    """Return the paper's plan for each budget, and how far its model of accuracy is off.

    A net with one hidden layer is trained on the random configurations; a genetic search finds the
    slots that it likes best, for each period; of the periods, too, the one that it likes best is
    taken.

    Parameters
    ----------
    found
        What was measured.
    totals
        Slots of all layers together, ``(budgets,)``.
    seed
        Of the training and of the searches.
    """
    slots, period = found["random_slots"].astype(np.int64), found["random_period"].astype(np.int64)
    losses: Floats = found["random_loss"].astype(np.float64)
    seen, back = slice(None, -KEPT_BACK), slice(-KEPT_BACK, None)
    model = train(slots[seen], period[seen], losses[seen], seed=seed)
    error = prediction_error(model, slots[back], period[back], losses[back])
    layers, experts = found["prior"].shape
    used = [np.arange(experts + 1, dtype=np.float64)[None]] * layers
    fewest, most = np.full(layers, slots.min()), np.full(layers, experts)
    plans = []
    for total in totals:
        space = stated_space(fewest, most, used, np.array([float(total)]))
        best, least = None, np.inf
        for choice in PERIODS:
            one = search(model.objective(choice), space, Context(seed=seed), runs=SEARCHES)
            if one.slots is not None and one.cost < least:
                best, least = Plan(one.slots, choice), one.cost
        assert best is not None, "the fewest slots fit"
        plans.append(best)
    return plans, error


def our_plans(found: dict[str, Any], budgets: Ints) -> list[Plan]:
    """Return our plan for each budget.

    Parameters
    ----------
    found
        What was measured.
    budgets
        Experts that fit, one on its way among them; they must be some that were planned for.
    """
    known = dict(zip(found["budgets"].tolist(), found["ours_slots"].astype(np.int64), strict=True))
    return [Plan(known[budget], 1) for budget in budgets.tolist()]
