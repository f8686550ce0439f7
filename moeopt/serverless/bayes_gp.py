"""The search that uses its Gaussian process: not in the paper, which names one and leaves it out.

A thousand pairs act on the bill only through the predicted tokens of each expert. So the process
sees these, a layer's shares, instead of pairs (`moeopt.serverless.bayes_loads`): a few dimensions
for each layer. Where the objective tells what each layer cost, every layer has a process of its
own, with Matérn's kernel 5/2, and the bill is their sum: an evaluation then is one of every layer.

Each step draws new shares for each layer around the best known ones, within a trust region that
grows with success and shrinks without (as TuRBO does, arXiv 1910.01739), and, where real tokens
were counted, on the way to them; builds pairs that reach them; and takes, layer by layer, the ones
with the largest expected improvement of the whole bill.

Most of what this wins comes from the space of shares and from counted tokens, not from the process:
the benchmark has both without it (`Region.first`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.special import ndtr

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.serverless.bayes_loads import layer_loads
from moeopt.serverless.bayes_numbers import at_least, settle
from moeopt.serverless.bayes_pairs import Pairs, TableSpace, pairs_of
from moeopt.serverless.bayes_surrogate import Surrogate, require_scikit_learn
from moeopt.serverless.bayes_trials import Propose, Trial, least_so_far

#: Rounds over the layers in which each chooses again, given the others' choices.
_ROUNDS = 2

#: Evaluations after which kernels are fitted again.
_REFIT = 4

#: How many times as many candidates there are where layers have one process together.
_MORE = 4

#: Share of layers that move at once where they have one process together.
_MOVING = 0.3

#: Least share of an expert that is drawn around.
_FLOOR = 1e-3

#: Standard deviations beyond which a cost is certain.
_FAR = 40.0

#: Improvement of the least cost that counts as success, as a share of it.
_SUCCESS = 1e-3


@dataclass(frozen=True, kw_only=True)
class Region:
    """How the search with the Gaussian process moves.

    Attributes
    ----------
    start, least, most
        Standard deviation of the logarithm of a share when new ones are drawn: the size of the
        trust region. Below `least` it starts anew.
    successes, failures
        After so many in a row it is doubled, or halved.
    first
        Evaluations before the process is asked: with more than there are, it never is.
    candidates
        New shares drawn for each layer in each step.
    feedback
        Whether costs of layers and real tokens are used, where the objective tells them; else
        only the total is.
    """

    start: float = 0.3
    least: float = 0.02
    most: float = 1.6
    successes: int = 2
    failures: int = 3
    first: int = 4
    candidates: int = 24
    feedback: bool = True

    def __post_init__(self) -> None:
        settle(self, "$.region")
        if not 0.0 < self.least <= self.start <= self.most:
            raise InstanceError(
                "$.region",
                f"<{self.least}, {self.start}, {self.most}>",
                "must grow from least over start to most, from above 0",
                "put them in order",
            )
        for name in ("successes", "failures", "first", "candidates"):
            at_least(f"$.region.{name}", getattr(self, name), 1)

    def size(self, trials: Sequence[Trial]) -> float:
        """Return the size of the trust region after `trials`."""
        least = least_so_far(trials)
        size, won, lost = self.start, 0, 0
        for before, after in pairwise(least):
            if before - after > _SUCCESS * abs(before):
                won, lost = won + 1, 0
            else:
                won, lost = 0, lost + 1
            if won == self.successes:
                size, won = min(self.most, 2.0 * size), 0
            elif lost == self.failures:
                size, lost = size / 2.0, 0
                size = self.start if size < self.least else size
        return size


@dataclass(frozen=True)
class _Choices:
    """What one layer, or all layers together, may do next.

    Attributes
    ----------
    rows
        Pairs of each choice, ``(pairs, 5)`` each.
    mean, deviation
        Of its cost, ``(choices,)``.
    """

    rows: list[IntArray]
    mean: FloatArray
    deviation: FloatArray


class GpSearch:
    """The search, with what it has computed of past trials.

    Parameters
    ----------
    space, pairs
        Which pairs there are, and how many are laid over the table.
    region
        How it moves.

    Raises
    ------
    AdapterError
        If scikit-learn is not installed.
    """

    def __init__(self, space: TableSpace, pairs: int, region: Region) -> None:
        require_scikit_learn()
        self._space, self._pairs, self._region = space, pairs, region
        self._layers = layer_loads(space)
        self._budget = np.bincount(np.arange(pairs) % len(self._layers), minlength=space.num_layers)
        #: Of each trial, for each layer: pairs that change the table, and predicted shares.
        self._rows: list[list[IntArray]] = []
        self._shares: list[list[FloatArray]] = []
        self._kernels: dict[tuple[int, int, int], Any] = {}

    def propose(self, trials: Sequence[Trial], rng: np.random.Generator) -> Pairs:
        """Return the pairs to try next."""
        for trial in trials[len(self._rows) :]:
            self._learn(trial)
        real, size = self._real(trials), self._region.size(trials)
        if len(trials) < self._region.first:
            return self._filled_up(self._begun(trials, real, size, rng), rng)
        groups = self._groups(trials)
        costs = self._costs(trials, groups)
        choices = [
            self._choices(group, cost, real, size, rng)
            for group, cost in zip(groups, costs.T, strict=True)
        ]
        picked = _best_together(choices, float(costs.sum(axis=1).min()), rng)
        rows = [choice.rows[at] for choice, at in zip(choices, picked, strict=True)]
        return self._filled_up(np.concatenate(rows), rng)

    def _begun(
        self, trials: Sequence[Trial], real: FloatArray | None, size: float,
        rng: np.random.Generator,
    ) -> IntArray:  # fmt: skip
        """Return pairs before there is a process: first to the real shares, then around them."""
        best = int(np.argmin([trial.cost_usd for trial in trials]))
        spread = size if len(trials) > 1 or real is None else 0.0
        rows = [
            self._moved(layer, best, real, rng.uniform(0.0, 1.0) if spread else 1.0, spread, rng)
            for layer in range(len(self._layers))
        ]
        return np.concatenate(rows)

    def _groups(self, trials: Sequence[Trial]) -> list[list[int]]:
        """Return which layers share a process: each its own if each has a cost, else all."""
        layers = list(range(len(self._layers)))
        told = all(trial.measured.layer_usd is not None for trial in trials)
        return [[layer] for layer in layers] if told and self._region.feedback else [layers]

    def _costs(self, trials: Sequence[Trial], groups: list[list[int]]) -> FloatArray:
        """Return the cost of each group in each trial, ``(trials, groups)``."""
        if len(groups) == 1:
            return np.array([[trial.cost_usd] for trial in trials])
        return np.array([trial.measured.layer_usd for trial in trials])

    def _learn(self, trial: Trial) -> None:
        rows = trial.pairs.rows()
        split = [rows[rows[:, 0] == layer] for layer in range(len(self._layers))]
        changing = [own[loads.changes(own)] for own, loads in zip(split, self._layers, strict=True)]
        self._rows.append(changing)
        self._shares.append(
            [_share(own.loads(rows)) for own, rows in zip(self._layers, changing, strict=True)]
        )

    def _choices(
        self, group: list[int], costs: FloatArray, real: FloatArray | None, size: float,
        rng: np.random.Generator,
    ) -> _Choices:  # fmt: skip
        """Return old and new choices of a group with what its process says of them."""
        past = np.array([np.concatenate([s[e] for e in group]) for s in self._shares])
        surrogate = self._surrogate(group, past, costs)
        centre = int(np.argmin(surrogate.at(past)[0]))
        rows = [np.concatenate([own[e] for e in group]) for own in self._rows]
        shares = list(past)
        for _ in range(self._region.candidates * (1 if len(group) == 1 else _MORE)):
            new, there = self._rows[centre].copy(), self._shares[centre].copy()
            towards = rng.uniform(0.0, 1.2) if rng.random() < 0.5 else 0.0
            for layer in self._moving(group, rng):
                new[layer] = self._moved(layer, centre, real, towards, size, rng)
                there[layer] = _share(self._layers[layer].loads(new[layer]))
            rows.append(np.concatenate([new[e] for e in group]))
            shares.append(np.concatenate([there[e] for e in group]))
        mean, deviation = surrogate.at(np.array(shares))
        return _Choices(rows, mean, deviation)

    def _surrogate(self, group: list[int], past: FloatArray, costs: FloatArray) -> Surrogate:
        """Return the process of a group, its kernel fitted to all trials but the last few."""
        trials = len(past) - (len(past) - self._region.first) % _REFIT
        key = (group[0], len(group), trials)
        if key not in self._kernels:
            self._kernels[key] = Surrogate(past[:trials], costs[:trials]).kernel
        return Surrogate(past, costs, self._kernels[key])

    def _moving(self, group: list[int], rng: np.random.Generator) -> list[int]:
        """Return the layers that move: of many some, as of TuRBO's many dimensions."""
        if len(group) == 1:
            return group
        count = 1 + rng.binomial(len(group) - 1, _MOVING)
        return [group[at] for at in rng.permutation(len(group))[:count]]

    def _moved(
        self, layer: int, centre: int, real: FloatArray | None, towards: float, size: float,
        rng: np.random.Generator,
    ) -> IntArray:  # fmt: skip
        """Return pairs for shares of a layer near those of trial `centre`.

        Parameters
        ----------
        layer, centre
            Which shares.
        real, towards
            Real tokens, and how far on the way to their shares.
        size
            Standard deviation of the logarithms.
        rng
            Of the draw.
        """
        share = self._shares[centre][layer]
        # What nothing is known of is alike.
        goal = np.full(len(share), 1.0 / len(share))
        if real is not None:
            goal = _share(real[layer, : len(share)])
        share = share + towards * (goal - share)
        # An expert without a share can still get one.
        aim = np.maximum(share, _FLOOR) * np.exp(size * rng.standard_normal(len(share)))
        loads = self._layers[layer]
        return loads.steered(rng, _share(aim) * loads.total, int(self._budget[layer]))

    def _real(self, trials: Sequence[Trial]) -> FloatArray | None:
        """Return the mean of all real tokens that were counted, ``(layers, experts)``."""
        counted = [t.measured.tokens for t in trials if t.measured.tokens is not None]
        if not counted or not self._region.feedback:
            return None
        mean: FloatArray = np.mean(counted, axis=0)
        return mean

    def _filled_up(self, rows: IntArray, rng: np.random.Generator) -> Pairs:
        """Return as many pairs as there are to be: rows of the table as they are fill up."""
        missing = max(0, self._pairs - len(rows))
        fillers = self._space.start(rng, missing).rows()
        # First, so that they undo no change of the same key.
        return pairs_of(np.concatenate([fillers, rows[: self._pairs]]))


def gp(space: TableSpace, pairs: int, region: Region) -> Propose:
    """Return the search that uses its Gaussian process.

    Raises
    ------
    AdapterError
        If scikit-learn is not installed.
    """
    return GpSearch(space, pairs, region).propose


def expected_improvement(mean: FloatArray, deviation: FloatArray, least: float) -> FloatArray:
    """Return by how much costs are expected to fall below `least`, elementwise."""
    gap = least - mean
    # So far out nothing is left of the normal distribution.
    spread = np.maximum(deviation, np.maximum(np.abs(gap) / _FAR, np.finfo(np.float64).tiny))
    scaled = gap / spread
    density = np.exp(-0.5 * scaled**2) / np.sqrt(2.0 * np.pi)
    expected: FloatArray = np.maximum(gap * ndtr(scaled) + spread * density, 0.0)
    return expected


def _best_together(choices: list[_Choices], least: float, rng: np.random.Generator) -> list[int]:
    """Return the choice of each group with the largest expected improvement of their sum.

    Groups choose in turns, from the choices of least mean on.
    """
    picked = [int(choice.mean.argmin()) for choice in choices]
    mean = sum(float(choice.mean[at]) for choice, at in zip(choices, picked, strict=True))
    variance = sum(float(c.deviation[at]) ** 2 for c, at in zip(choices, picked, strict=True))
    for _ in range(_ROUNDS):
        for group in rng.permutation(len(choices)):
            choice, at = choices[group], picked[group]
            others = mean - choice.mean[at]
            other_variance = max(0.0, variance - choice.deviation[at] ** 2)
            means, variances = others + choice.mean, other_variance + choice.deviation**2
            best = int(expected_improvement(means, np.sqrt(variances), least).argmax())
            picked[group], mean, variance = best, float(means[best]), float(variances[best])
    return picked


def _share(tokens: FloatArray) -> FloatArray:
    total = tokens.sum()
    return tokens / total if total else np.full(len(tokens), 1.0 / len(tokens))
