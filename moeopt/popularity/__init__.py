"""Which experts will be popular: predictors of the tokens of each expert, learned from traces."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOME = {
    "CountTable": "prediction",
    "Prediction": "prediction",
    "Predictor": "predictors",
    "TokenRouting": "synthetic",
    "attention_ratio": "predictors",
    "count_table": "table",
    "log_loss": "accuracy",
    "mean_difference": "accuracy",
    "merged": "table",
    "moving_average": "predictors",
    "read_table": "table",
    "table_from_rows": "table",
    "token_routing": "synthetic",
    "unigram": "predictors",
    "write_table": "table",
}

__all__ = [
    "CountTable",
    "Prediction",
    "Predictor",
    "TokenRouting",
    "attention_ratio",
    "count_table",
    "log_loss",
    "mean_difference",
    "merged",
    "moving_average",
    "read_table",
    "table_from_rows",
    "token_routing",
    "unigram",
    "write_table",
]

if TYPE_CHECKING:
    from moeopt.popularity.accuracy import log_loss, mean_difference
    from moeopt.popularity.prediction import CountTable, Prediction
    from moeopt.popularity.predictors import Predictor, attention_ratio, moving_average, unigram
    from moeopt.popularity.synthetic import TokenRouting, token_routing
    from moeopt.popularity.table import (
        count_table,
        merged,
        read_table,
        table_from_rows,
        write_table,
    )


def __getattr__(name: str) -> Any:
    """Import the module that defines a public name on first use (PEP 562)."""
    if name in _HOME:
        value = getattr(importlib.import_module(f"moeopt.popularity.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'moeopt.popularity' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
