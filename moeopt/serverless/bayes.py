"""Bayesian optimisation of the table that predicts popularity, by the cost of real deployments.

A plan is as good as the tokens it was made for. Algorithm 2 of arXiv 2501.05313 lays some pairs of
keys and counts over the table of the past, deploys what follows from them, and moves the pairs by
what the deployment cost.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeVar, get_args

import numpy as np

from moeopt.core.arrays import FloatArray, require_shape
from moeopt.core.errors import InstanceError
from moeopt.serverless.bayes_gp import Region, gp
from moeopt.serverless.bayes_log import TrialLog
from moeopt.serverless.bayes_numbers import at_least, settle
from moeopt.serverless.bayes_pairs import Pairs, TableSpace
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

_Kind = TypeVar("_Kind")

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
        ``zeta``: by more than which share of it the least cost must have fallen,
    over
        ``lambda``: within so many evaluations. ``None`` uses all evaluations.
    """

    change: float = 1e-3
    over: int | None = None

    def __post_init__(self) -> None:
        settle(self, "$.stop")
        if self.change < 0.0 or (self.over is not None and self.over < 1):
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
        return bool(least[-1 - self.over] - least[-1] <= self.change * abs(least[-1]))


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
    label: str = "",
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
        `Deployed`, or any other function. If it has a method ``fingerprint()``, what that returns
        stands in the log.
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
    label
        What tells this objective from others in a log, where it has no ``fingerprint()`` or that
        does not say all: a log of another label is refused.
    progress
        Called with each trial's number and the trial, also with those from the log.

    Raises
    ------
    InstanceError
        If an argument is out of range, the objective returns no cost, or the log is of another
        run or objective.
    AdapterError
        If a package that the search needs is not installed.
    """
    pairs, evaluations = at_least("pairs", pairs, 1), at_least("evaluations", evaluations, 1)
    seed = at_least("seed", seed, 0)
    epsilons = _one_of("epsilons", Epsilons, epsilons)
    region, stop = _one_of("region", Region, region), _one_of("stop", Stop, stop)
    propose = _search(search, space, pairs, epsilons, region)
    setting = {
        "search": search, "pairs": pairs, "seed": seed, "epsilons": asdict(epsilons),
        "region": asdict(region), "space": space.fingerprint(),
        "objective": _fingerprint(objective), "label": _one_of("label", str, label),
    }  # fmt: skip
    kept = _Kept() if log is None else TrialLog(log, setting, lambda t: _check(t, space, pairs))
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
            trial = Trial(found, _asked(objective, found, space))
            kept.append(trial)
        trials.append(trial)
        if progress is not None:
            progress(len(trials), trial)
    return Tuned(best_of(trials), tuple(trials), stopped)


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


def _one_of(name: str, kind: type[_Kind], value: _Kind | None) -> _Kind:
    """Return a setting, or the default of its kind if it was left out."""
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise InstanceError(
            name, f"<a {type(value).__name__}>", f"must be of type {kind.__name__}", "give one"
        )
    return value


def _fingerprint(objective: Objective) -> str:
    """Return what the objective says of itself, "" if nothing."""
    own = getattr(objective, "fingerprint", None)
    return str(own()) if callable(own) else ""


def _check(trial: Trial, space: TableSpace, pairs: int) -> None:
    """Raise `InstanceError` unless a trial from a log could be a fresh one."""
    if len(trial.pairs) != pairs:
        raise InstanceError(
            "$.pairs", f"<{len(trial.pairs)} pairs>", f"must be {pairs}", "give another file"
        )
    space.check(trial.pairs)
    _check_measured(trial.measured, space)


def _asked(objective: Objective, pairs: Pairs, space: TableSpace) -> Measured:
    """Return what the objective says of some pairs, if it can be learned from."""
    measured: Any = objective(pairs)
    if not isinstance(measured, Measured):
        raise InstanceError(
            "objective", f"<a {type(measured).__name__}>", "must return a Measured", "wrap the cost"
        )
    try:
        _check_measured(measured, space)
    except InstanceError as error:
        raise error.under("objective: $") from None
    return measured


def _check_measured(measured: Measured, space: TableSpace) -> None:
    """Raise `InstanceError` unless a measurement fits the space and agrees with itself."""
    by_layer, tokens = measured.layer_usd, measured.tokens
    if by_layer is not None:
        require_shape(by_layer, "$.layer_usd", (space.num_layers,), "layers")
    if tokens is not None:
        shape = (space.num_layers, max(space.table.experts))
        require_shape(tokens, "$.tokens", shape, "layers, experts")
    if by_layer is not None and not math.isclose(by_layer.sum(), measured.cost_usd, rel_tol=1e-6):
        raise InstanceError(
            "$.layer_usd",
            f"<a sum of {by_layer.sum()}>",
            f"must sum up to cost_usd, {measured.cost_usd}",
            "deal out what belongs to no layer, or leave layer_usd out",
        )
