"""How far moeopt's policy may go in vLLM, read from variables of the environment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from moeopt.core.errors import InstanceError

#: What the names of all variables begin with.
PREFIX = "MOEOPT_VLLM_"


@dataclass(frozen=True)
class Limits:
    """How far a rebalance may go.

    Attributes
    ----------
    transfers_per_layer
        Most experts sent to a rank that lacks them, on average over the layers; ``None`` for any
        number.
    target_imbalance
        Largest over mean rank load, averaged over the layers, that is good enough.
    least_gain
        Share of the largest loads below which no further transfer is worth its cost.
    """

    transfers_per_layer: float | None = None
    target_imbalance: float = 1.0
    least_gain: float = 0.002

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Limits:
        """Read the limits from the variables that begin with `PREFIX`.

        Raises
        ------
        InstanceError
            If a value is out of range, or there is no such variable.
        """
        given = {name: text for name, text in environment.items() if name.startswith(PREFIX)}
        for name in given.keys() - _VARIABLES.keys():
            rule = f"must be one of {', '.join(_VARIABLES)}"
            raise InstanceError("environment", name, rule, "correct the name, or unset it")
        return cls(**{_VARIABLES[name][0]: _number(name, text) for name, text in given.items()})


#: Field, least and most value of each variable.
_VARIABLES: dict[str, tuple[str, float, float]] = {
    f"{PREFIX}TRANSFERS_PER_LAYER": ("transfers_per_layer", 0.0, math.inf),
    f"{PREFIX}TARGET_IMBALANCE": ("target_imbalance", 1.0, math.inf),
    f"{PREFIX}LEAST_GAIN": ("least_gain", 0.0, 1.0),
}


def _number(name: str, text: str) -> float:
    _, least, most = _VARIABLES[name]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (least <= value <= most and math.isfinite(value)):
        upper = f" and <= {most:g}" if math.isfinite(most) else ""
        raise InstanceError(name, text, f"must be a number >= {least:g}{upper}", "or unset it")
    return value
