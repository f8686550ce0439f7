"""Bayesian optimisation of the table that predicts popularity, by the cost of real deployments.

A plan is as good as the tokens it was made for. Algorithm 2 of arXiv 2501.05313 lays some pairs of
keys and counts over the table of the past, deploys what follows from them, and moves the pairs by
what the deployment cost.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from moeopt.core.arguments import whole
from moeopt.core.arrays import FloatArray, require_shape
from moeopt.core.errors import InstanceError
from moeopt.serverless.bayes_gp import Region, gp
from moeopt.serverless.bayes_log import TrialLog
from moeopt.serverless.bayes_pairs import TableSpace
from moeopt.serverless.bayes_search import (
    Epsilons,
    multi_epsilon,
    no_search,
    random_search,
    single_epsilon,
)
from moeopt.serverless.bayes_tpe import tpe
from moeopt.serverless.bayes_trials import (
    Measured,
    Objective,
    Propose,
    Trial,
    best_of,
    least_so_far,
)

Search = Literal["gp", "multi_epsilon", "single_epsilon", "random", "tpe", "none"]


@dataclass(frozen=True)
class Tuned:
    """What a run found.

    Attributes
    ----------
    best
        The cheapest trial.
    trials
        All of them, in order; the first leaves the table as it is.
    stopped
        ``"settled"`` by the stop rule, ``"evaluations"`` by their number, or ``"nothing left"``.
    """

    best: Trial
    trials: tuple[Trial, ...]
    stopped: Literal["settled", "evaluations", "nothing left"]

    @property
    def cost_usd(self) -> float:
        """Least cost."""
        return self.best.cost_usd

    def least_usd(self) -> FloatArray:
        """Return the least cost after each evaluation, ``(trials,)``."""
        return least_so_far(self.trials)


@dataclass(frozen=True, kw_only=True)
class Stop:
    """When a run ends before its evaluations are used up: the paper's rule.

    Attributes
    ----------
    change
        ``zeta``: by which share of it the least cost must have fallen,
    over
        ``lambda``: within so many evaluations. ``None`` uses all evaluations.
    """

    change: float = 1e-3
    over: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.change < math.inf or (self.over is not None and self.over < 1):
            raise InstanceError(
                "$.stop",
                f"<{self.change} over {self.over}>",
                "must be a change >= 0 over 1 evaluation or more",
                "leave over out to use all evaluations",
            )

    def settled(self, trials: list[Trial]) -> bool:
        """Tell whether the least cost has changed too little for too long."""
        if self.over is None or len(trials) <= self.over:
            return False
        least = least_so_far(trials)
        return bool(least[-1 - self.over] - least[-1] < self.change * abs(least[-1]))


def optimise(
    objective: Objective,
    space: TableSpace,
    search: Search = "gp",
    *,
    pairs: int = 1000,
    evaluations: int = 40,
    seed: int = 0,
    epsilons: Epsilons | None = None,
    region: Region | None = None,
    stop: Stop | None = None,
    log: str | os.PathLike[str] | None = None,
    progress: Callable[[int, Trial], None] | None = None,
) -> Tuned:
    """Move pairs over a table of counts until what is deployed from it costs least.

    The first evaluation leaves the table as it is. What is tried next depends on the seed, the
    number of evaluations so far and their history, and on nothing else: the same seed gives the
    same run, and a run that is continued from its log the same as one that was never stopped.

    Parameters
    ----------
    objective
        Takes pairs and returns what their deployment cost: `moeopt.serverless.bayes_objective`'s
        `Deployed`, or any other function.
    space
        Which pairs there are.
    search
        ``"gp"`` uses its Gaussian process, ``"multi_epsilon"`` is Algorithm 2 as written; the
        others are to compare with.
    pairs
        ``Q``, as many as are laid over the table.
    evaluations
        Most calls of the objective, those in the log counted.
    seed
        Of all that is drawn.
    epsilons
        Of ``"multi_epsilon"`` and ``"single_epsilon"``.
    region
        Of ``"gp"``.
    stop
        When to end earlier; never, if left out.
    log
        A file to which every evaluation is written, and from which the run goes on if it exists.
    progress
        Called with each trial's number and the trial, also with those from the log.

    Raises
    ------
    InstanceError
        If an argument is out of range, the objective returns no cost, or the log is of another
        run.
    AdapterError
        If a package that the search needs is not installed.
    """
    pairs, evaluations = _at_least("pairs", pairs, 1), _at_least("evaluations", evaluations, 1)
    seed = _at_least("seed", seed, 0)
    epsilons, region, stop = epsilons or Epsilons(), region or Region(), stop or Stop()
    propose = _search(search, space, pairs, epsilons, region)
    setting = {
        "search": search, "pairs": pairs, "seed": seed, "epsilons": asdict(epsilons),
        "region": asdict(region), "space": fingerprint(space),
    }  # fmt: skip
    kept = _Kept() if log is None else TrialLog(log, setting)
    trials: list[Trial] = []
    stopped: Literal["settled", "evaluations", "nothing left"] = "evaluations"
    while len(trials) < evaluations:
        if stop.settled(trials):
            stopped = "settled"
            break
        if len(trials) < len(kept.trials):
            trial = kept.trials[len(trials)]
        else:
            rng = np.random.default_rng([seed, len(trials)])
            found = propose(trials, rng) if trials else space.start(rng, pairs)
            if found is None:
                stopped = "nothing left"
                break
            trial = Trial(found, _checked(objective(found), space))
            kept.append(trial)
        trials.append(trial)
        if progress is not None:
            progress(len(trials), trial)
    return Tuned(best_of(trials), tuple(trials), stopped)


def fingerprint(space: TableSpace) -> str:
    """Return what tells one space, and its prediction, from another."""
    table, prediction = space.table, space.prediction
    digest = hashlib.sha256()
    arrays = (
        table.layer, table.token, table.attention, table.expert, table.count,
        prediction.token_ids, space.token_ids, space.attention_ids,
    )  # fmt: skip
    for array in arrays:
        digest.update(np.int64(array.size).tobytes() + np.ascontiguousarray(array).tobytes())
    rest = (table.experts, table.top_k, prediction.rule, space.most_count)
    digest.update(repr(rest).encode())
    return digest.hexdigest()


@dataclass
class _Kept:
    """A log that is not written."""

    trials: list[Trial] = field(default_factory=list)

    def append(self, trial: Trial) -> None:
        self.trials.append(trial)


def _search(
    search: str, space: TableSpace, pairs: int, epsilons: Epsilons, region: Region
) -> Propose:
    searches: dict[str, Callable[[], Propose]] = {
        "gp": lambda: gp(space, pairs, region),
        "multi_epsilon": lambda: multi_epsilon(space, pairs, epsilons),
        "single_epsilon": lambda: single_epsilon(space, pairs, epsilons),
        "random": lambda: random_search(space, pairs),
        "tpe": lambda: tpe(space, pairs),
        "none": lambda: no_search,
    }
    if search not in searches:
        known = ", ".join(get_args(Search))
        raise InstanceError("search", search, f"must be one of {known}", "choose one of them")
    return searches[search]()


def _at_least(name: str, value: int, least: int) -> int:
    counted = whole(name, value)
    if counted < least:
        raise InstanceError(name, counted, f"must be >= {least}", "raise it")
    return counted


def _checked(measured: Any, space: TableSpace) -> Measured:
    """Return what the objective returned, if it can be learned from."""
    if not isinstance(measured, Measured):
        raise InstanceError(
            "objective", f"<a {type(measured).__name__}>", "must return a Measured", "wrap the cost"
        )
    by_layer, tokens = measured.layer_usd, measured.tokens
    if by_layer is not None:
        require_shape(by_layer, "objective: $.layer_usd", (space.num_layers,), "layers")
    if tokens is not None:
        shape = (space.num_layers, max(space.table.experts))
        require_shape(tokens, "objective: $.tokens", shape, "layers, experts")
    if by_layer is not None and not math.isclose(by_layer.sum(), measured.cost_usd, rel_tol=1e-6):
        raise InstanceError(
            "objective: $.layer_usd",
            f"<a sum of {by_layer.sum()}>",
            f"must sum up to cost_usd, {measured.cost_usd}",
            "deal out what belongs to no layer, or leave layer_usd out",
        )
    return measured
