"""What Aurora's own formulas say of two models that share devices, for comparison.

`moeopt.timeline.interleaved` is the time that moeopt itself uses.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from moeopt.core.arrays import FloatArray
from moeopt.core.errors import InstanceError
from moeopt.timeline.layer import LayerTime, on_same_axes
from moeopt.timeline.turns import line_seconds


def closed_form_s(
    gate_s: FloatArray,
    compute_s: FloatArray,
    aggregation_s: FloatArray,
    *,
    dispatch_end_s: FloatArray,
    combine_end_s: FloatArray,
) -> FloatArray:
    """Return eq. (4) for two models, with all of Table 2 put into it, shape ``(...)``.

    ``t = |G^a| + |A^b| + max{|A^a| + max[E_Ca, |F^b| + max(E_Nb, |F^a| + max(|G^b|, E_Na))],
    E_Cb}``. The paper leaves this expansion out.

    Parameters
    ----------
    gate_s, compute_s, aggregation_s
        Seconds of model a and of model b, shape ``(2, ...)``.
    dispatch_end_s, combine_end_s
        When their tokens have arrived, ``E_Na``, ``E_Nb`` and ``E_Ca``, ``E_Cb``, ``(2, ...)``.
    """
    first = compute_s[0] + np.maximum(gate_s[1], dispatch_end_s[0])
    second = compute_s[1] + np.maximum(dispatch_end_s[1], first)
    aggregated = aggregation_s[0] + np.maximum(combine_end_s[0], second)
    return np.asarray(gate_s[0] + aggregation_s[1] + np.maximum(aggregated, combine_end_s[1]))


def no_idle_total_s(layers: Sequence[LayerTime]) -> FloatArray:
    """Return eq. (4) of two models with the paper's relations of section 6.2, shape ``(...)``.

    ``E_Nb = ovl(N^a + N^b)``, ``E_Ca = ovl(N^a + N^b) + |C^a|`` and ``E_Cb = ovl(N^a + N^b) +
    ovl(C^a + C^b)``, where ``ovl`` is the aggregated communication time. They suppose that the
    network is never idle, so that a combine may end before the experts whose tokens it carries.
    Never above `moeopt.timeline.interleaved`, and equal to it where no release binds.

    Parameters
    ----------
    layers
        A layer of each of the two models, as for `moeopt.timeline.interleaved`.
    """
    if len(layers) != 2:
        raise InstanceError(
            "layers", f"<{len(layers)} layers>", "must be two: the paper has no more", "name two"
        )
    a, b = on_same_axes(layers)
    dispatch = line_seconds([a.dispatch, b.dispatch]).max(axis=-1)
    combine = line_seconds([a.combine, b.combine]).max(axis=-1)
    both = dispatch[0, 1]
    return closed_form_s(
        np.stack([a.gate_s, b.gate_s]).max(axis=-1),
        np.stack([a.compute_s, b.compute_s]).max(axis=-1),
        np.stack([a.aggregation_s, b.aggregation_s]).max(axis=-1),
        dispatch_end_s=np.stack([dispatch[0, 0], both]),
        combine_end_s=both + combine[0],
    )
