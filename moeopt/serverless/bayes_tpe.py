"""The baseline that searches by tree-structured Parzen estimators, through Optuna if installed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from moeopt.core.arrays import IntArray
from moeopt.core.errors import AdapterError
from moeopt.serverless.bayes_pairs import Pairs, TableSpace, pairs_of
from moeopt.serverless.bayes_trials import Propose, Trial

_REMEDY = "pip install 'moeopt[bayes]'"


def tpe(space: TableSpace, pairs: int) -> Propose:
    """Return the search of Optuna's sampler over each pair's token, attention, expert and count.

    Raises
    ------
    AdapterError
        If Optuna is not installed.
    """
    optuna = _optuna()
    experts = np.array(space.table.experts)
    last = {
        "token": space.token_ids.size - 1,
        "attention": space.attention_ids.size - 1,
        # Experts of all layers, one after the other.
        "expert": int(experts.sum()) - 1,
    }
    distributions: dict[str, Any] = {}
    for pair in range(pairs):
        for name, end in last.items():
            distributions[f"{name}{pair}"] = optuna.distributions.IntDistribution(0, end)
        distributions[f"count{pair}"] = optuna.distributions.IntDistribution(
            1, space.most_count, log=True
        )
    first = np.concatenate([[0], np.cumsum(experts)])
    known: list[Any] = []

    def propose(trials: Sequence[Trial], rng: np.random.Generator) -> Pairs:
        # A sampler of its own for each trial: what it draws depends on the history alone.
        sampler = optuna.samplers.TPESampler(seed=int(rng.integers(2**31)))
        known.extend(
            optuna.trial.create_trial(
                params=_parameters(space, trial.pairs, first),
                distributions=distributions,
                value=trial.cost_usd,
            )
            for trial in trials[len(known) :]
        )
        said = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            study = optuna.create_study(sampler=sampler)
            study.add_trials(known)
            found = study.ask(distributions).params
        finally:
            optuna.logging.set_verbosity(said)
        return _pairs(space, pairs, first, found)

    return propose


def _parameters(space: TableSpace, pairs: Pairs, first: IntArray) -> dict[str, int]:
    columns = {
        "token": np.searchsorted(space.token_ids, pairs.token),
        "attention": np.searchsorted(space.attention_ids, pairs.attention),
        "expert": first[pairs.layer] + pairs.expert,
        "count": np.minimum(pairs.count, space.most_count),
    }
    return {
        f"{name}{pair}": int(value)
        for name, column in columns.items()
        for pair, value in enumerate(column)
    }


def _pairs(space: TableSpace, pairs: int, first: IntArray, found: dict[str, int]) -> Pairs:
    def column(name: str) -> IntArray:
        return np.array([found[f"{name}{pair}"] for pair in range(pairs)], dtype=np.int64)

    place = column("expert")
    layer = np.searchsorted(first, place, side="right") - 1
    rows = [
        layer,
        space.token_ids[column("token")],
        space.attention_ids[column("attention")],
        place - first[layer],
        column("count"),
    ]
    return pairs_of(np.stack(rows, axis=1))


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise AdapterError(
            f"the method tpe searches through Optuna, which is not installed; {_REMEDY}"
        ) from None
    return optuna
