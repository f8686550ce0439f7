"""What one evaluation of Bayesian optimisation returns, and the history that it makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from moeopt.core.arrays import FloatArray, IntArray, require_finite_nonnegative
from moeopt.core.errors import InstanceError
from moeopt.core.wing import Document
from moeopt.popularity.checks import check_token_ids
from moeopt.serverless.bayes_pairs import Pairs

#: Beyond it, in size, sums of squares would overflow.
_MOST = 1e100


def _no_ids() -> IntArray:
    return np.empty(0, dtype=np.int64)


class Measured(Document, frozen=True, kw_only=True, omit_defaults=True):
    """What a deployment cost, and what it says about the prediction behind it.

    Attributes
    ----------
    cost_usd
        Mean over the batches that it served. What is minimised: it may hold charges of the
        user's own, for lateness say.
    over_memory, over_payload
        Whether some call of a mispredicted expert had more tokens than its memory, or its
        payload, has room for: the paper's feedback (i) and (ii).
    mispredicted
        Whether some expert was mispredicted: its replicas had ``alpha`` tokens more or fewer than
        predicted. Without (i) and (ii), feedback (iii).
    token_ids
        IDs of the tokens of mispredicted batches, each once: what the limited range gets.
    layer_usd
        The part of `cost_usd` that each layer causes, ``(layers,)``, which sum up to it; ``None``
        if only the total is known.
    tokens
        Real tokens of each expert, mean over batches, ``(layers, experts)``, 0 beyond a layer's
        own; ``None`` if they were not counted.
    """

    cost_usd: float
    over_memory: bool = False
    over_payload: bool = False
    mispredicted: bool = False
    token_ids: IntArray = msgspec.field(default_factory=_no_ids)
    layer_usd: FloatArray | None = None
    tokens: FloatArray | None = None

    def __post_init__(self) -> None:
        for name in ("cost_usd", "layer_usd", "tokens"):
            value = getattr(self, name)
            if value is not None and not (np.abs(value) <= _MOST).all():
                worst = np.ravel(value)[np.argmin(np.abs(np.ravel(value)) <= _MOST)].item()
                raise InstanceError(
                    f"$.{name}", worst, f"must be finite, at most {_MOST:g} in size", "correct it"
                )
        if self.tokens is not None:
            require_finite_nonnegative(self.tokens, "$.tokens")
        check_token_ids(self.token_ids)


@dataclass(frozen=True)
class Trial:
    """One evaluation.

    Attributes
    ----------
    pairs
        What was laid over the table.
    measured
        What came of it.
    """

    pairs: Pairs
    measured: Measured

    @property
    def cost_usd(self) -> float:
        """What is minimised."""
        return self.measured.cost_usd


#: What is minimised: real deployments, or a model of them.
Objective = Callable[[Pairs], Measured]

#: Pairs to try next, from the history; ``None`` if there is nothing left to try.
Propose = Callable[[Sequence[Trial], np.random.Generator], Pairs | None]


def best_of(trials: Sequence[Trial]) -> Trial:
    """Return the cheapest trial, the first of equals."""
    return min(trials, key=lambda trial: trial.cost_usd)


def least_so_far(trials: Sequence[Trial]) -> FloatArray:
    """Return the least cost after each evaluation, ``(trials,)``."""
    return np.minimum.accumulate(np.array([trial.cost_usd for trial in trials]))
