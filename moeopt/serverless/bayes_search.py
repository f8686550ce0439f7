"""Search by the history alone: Algorithm 2 of arXiv 2501.05313 as written, and simple baselines.

As printed, a Gaussian process is named but has no part in the search: pairs come from the history
or from chance. Mended here, and named where it is done: E6, E7 and E10 of the formulation page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.serverless.bayes_numbers import settle
from moeopt.serverless.bayes_pairs import Pairs, TableSpace, pairs_of
from moeopt.serverless.bayes_trials import Measured, Propose, Trial, best_of


@dataclass(frozen=True, kw_only=True)
class Epsilons:
    """How the shares of pairs that explore fall: the paper publishes none of these numbers.

    Attributes
    ----------
    start
        ``epsilon_0``, at the beginning.
    decay
        ``rho``: after ``tau`` evaluations the share is ``epsilon_0 / (1 + rho tau)``.
    memory, payload, other
        ``rho_1``, ``rho_2``, ``rho_3``: after a misprediction of that kind the limited pairs'
        share is ``1 + rho' tau`` times as large. E10: ``rho_3 < rho_2 < rho_1 < rho``, so that a
        memory overrun keeps exploring longest.
    limited
        ``mu``: the share of pairs that explore only tokens of mispredicted batches.
    """

    start: float = 1.0
    decay: float = 0.5
    memory: float = 0.3
    payload: float = 0.2
    other: float = 0.1
    limited: float = 0.5

    def __post_init__(self) -> None:
        settle(self, "$.epsilons")
        for name in ("start", "limited"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InstanceError(
                    f"$.epsilons.{name}", getattr(self, name), "must be 0 to 1", "it is a share"
                )
        if not 0.0 <= self.other < self.payload < self.memory < self.decay:
            raise InstanceError(
                "$.epsilons",
                f"<{self.other}, {self.payload}, {self.memory}, {self.decay}>",
                "must grow from other over payload and memory to decay",
                "a memory overrun explores longest, and no feedback undoes the decay",
            )

    def after(self, evaluations: int, last: Measured) -> tuple[float, float]:
        """Return the shares of the limited pairs and of the others that explore next.

        E6: as printed, the factor of the feedback sits inside the loops over batches, layers and
        experts, where it would be applied many times and exceed 1. It is applied once for each
        evaluation, the largest that occurred: since ``rho' < rho``, no share exceeds
        ``epsilon_0``. E7: with it the limited pairs' share tends to ``epsilon_0 rho' / rho``, not
        to 0 as Theorem 2 has it.
        """
        share = self.start / (1.0 + self.decay * evaluations)
        return share * (1.0 + self._slowing(last) * evaluations), share

    def _slowing(self, last: Measured) -> float:
        if last.over_memory:
            return self.memory
        if last.over_payload:
            return self.payload
        return self.other if last.mispredicted else 0.0


def multi_epsilon(space: TableSpace, pairs: int, epsilons: Epsilons) -> Propose:
    """Return Algorithm 2's search: each pair keeps its best value, or explores by its own epsilon.

    The first ``mu Q`` pairs explore the limited range, the keys whose token occurred in a
    mispredicted batch (all keys, as long as there was none); the others explore all keys.
    """
    limited = np.arange(pairs) < round(epsilons.limited * pairs)

    def propose(trials: Sequence[Trial], rng: np.random.Generator) -> Pairs:
        slow, fast = epsilons.after(len(trials), trials[-1].measured)
        mispredicted = _limited_range(trials)
        near = space.draw(rng, pairs, mispredicted if mispredicted.size else None)
        far = space.draw(rng, pairs)
        fresh = np.where(limited[:, None], near.rows(), far.rows())
        return _mixed(trials, fresh, np.where(limited, slow, fast), rng)

    return propose


def single_epsilon(space: TableSpace, pairs: int, epsilons: Epsilons) -> Propose:
    """Return the baseline with one epsilon for all pairs: no feedback and no limited range."""

    def propose(trials: Sequence[Trial], rng: np.random.Generator) -> Pairs:
        share = epsilons.start / (1.0 + epsilons.decay * len(trials))
        fresh = space.draw(rng, pairs).rows()
        return _mixed(trials, fresh, np.full(pairs, share), rng)

    return propose


def random_search(space: TableSpace, pairs: int) -> Propose:
    """Return the baseline that draws all pairs anew each time."""

    def propose(trials: Sequence[Trial], rng: np.random.Generator) -> Pairs:
        del trials
        return space.draw(rng, pairs)

    return propose


def no_search(trials: Sequence[Trial], rng: np.random.Generator) -> None:
    """Propose nothing: the table stays as it is."""
    del trials, rng


def _limited_range(trials: Sequence[Trial]) -> IntArray:
    """Return the token IDs of all mispredicted batches so far, the paper's ``L``."""
    return np.unique(np.concatenate([trial.measured.token_ids for trial in trials]))


def _mixed(
    trials: Sequence[Trial], fresh: IntArray, share: FloatArray, rng: np.random.Generator
) -> Pairs:
    """Return the best trial's pairs, each replaced by a fresh one with its probability."""
    explores = rng.random(len(share)) < share
    return pairs_of(np.where(explores[:, None], fresh, best_of(trials).pairs.rows()))
