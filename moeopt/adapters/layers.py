"""Which layers of a plan are run."""

from __future__ import annotations

from moeopt.core.arguments import whole
from moeopt.core.errors import InstanceError


def chosen_layers(layers: tuple[int, ...] | None, there: int) -> list[int]:
    """Return the layers to run, in order, none twice.

    Parameters
    ----------
    layers
        As asked for; all if ``None``.
    there
        Layers of the plan.

    Raises
    ------
    InstanceError
        If the plan has no such layer.
    """
    if layers is None:
        return list(range(there))
    for layer in layers:
        if not 0 <= whole("layers", layer) < there:
            rule = f"must be layers of the plan, 0 to {there - 1}"
            raise InstanceError("layers", layer, rule, "name layers that it has")
    return sorted(set(layers))
