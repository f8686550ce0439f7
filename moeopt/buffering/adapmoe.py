"""AdapMoE's way to divide slots (arXiv:2408.10284): expected loads of a layer, and its program.

Its layers have 8 experts of which a token needs one or two, all equally often, and a predictor
loads what the next layer needs. What a layer then loads on demand falls with its slots, convexly:
the second difference is ``2 p (1 - a) / (E (E - 1))``. So `moeopt.buffering.planning.split_slots`
finds the program's cost by slopes alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from moeopt.core.arguments import number, whole
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import InstanceError


def adapmoe_cost(single_share: float, accuracy: float, experts: int = 8) -> FloatArray:
    """Return the expected loads on demand of a token with 0 to all slots, ``(experts + 1,)``.

    With ``t`` slots both experts of a token are missing with chance ``u``, exactly one with ``v``;
    the predictor, if it is right, has loaded one of them:
    ``a (1 - t/E) (1 - p) + (1 - a) (2 u (1 - p) + u p + v (1 - p))``.

    Parameters
    ----------
    single_share
        Share ``a`` of the tokens that need one expert alone.
    accuracy
        Chance ``p`` that the predictor has loaded the right expert.
    experts
        Experts ``E`` of the layer; the paper has 8.

    Raises
    ------
    InstanceError
        If a share is not within 0 and 1, or there are not two experts.
    """
    for path, share in (("single_share", single_share), ("accuracy", accuracy)):
        if not 0 <= number(path, share) <= 1:
            raise InstanceError(path, share, "must be within 0 and 1", "give a share")
    if whole("experts", experts) < 2:
        raise InstanceError("experts", experts, "must be 2 or more", "a token may need two")
    t = np.arange(experts + 1)
    pairs = experts * (experts - 1)
    none = (experts - t) * (experts - 1 - t) / pairs
    one = 2 * t * (experts - t) / pairs
    miss = 1 - accuracy
    two = 2 * none * miss + none * accuracy + one * miss
    found: FloatArray = single_share * (1 - t / experts) * miss + (1 - single_share) * two
    return found


def slots_by_program(curves: Sequence[FloatArray], slots: int) -> IntArray:
    """Return the split of equal slots that costs least, by AdapMoE's program over layers.

    Any curves, in time ``layers * slots * points``.

    Parameters
    ----------
    curves
        What 0, 1, ... slots cost each layer; ``inf`` where that cannot be.
    slots
        Most slots of all layers together.

    Raises
    ------
    InstanceError
        If these serve no layer.
    """
    best = np.zeros(slots + 1)
    taken = []
    for curve in curves:
        points = min(curve.size, slots + 1)
        table = np.full((points, slots + 1), np.inf)
        for t in range(points):
            table[t, t:] = best[: slots + 1 - t] + curve[t]
        taken.append(np.argmin(table, axis=0))
        best = table.min(axis=0)
    left = int(np.argmin(best))
    if not np.isfinite(best[left]):
        raise InstanceError("slots", slots, "are too few for every layer", "give more of them")
    found = np.zeros(len(curves), dtype=np.int64)
    for layer in reversed(range(len(curves))):
        found[layer] = taken[layer][left]
        left -= found[layer]
    return found
