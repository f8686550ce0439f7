"""The time of one MoE layer: dispatch, expert computation, combine, with a barrier between.

Aurora (arXiv 2410.17043) section 4.1, eq. (3), without the gate and the aggregation, which no
deployment changes: ``t = max|N| + max|F| + max|C|``. The all-to-alls take their fluid optimum
(Theorem 4.2, and Theorem 5.2 for unequal ports): the busiest port's bytes over its rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeopt.core.arrays import FloatArray


@dataclass(frozen=True)
class LayerTime:
    """Seconds of each phase on each device; leading axes are the caller's.

    Attributes
    ----------
    dispatch_s, compute_s, combine_s
        Shape ``(..., devices)``: how long each device's port or cores are busy.
    """

    dispatch_s: FloatArray
    compute_s: FloatArray
    combine_s: FloatArray

    @property
    def total_s(self) -> FloatArray:
        """Return the layer's time, shape ``(...)``: the sum of the phases' maxima."""
        phases = (self.dispatch_s, self.compute_s, self.combine_s)
        return np.asarray(sum(phase.max(axis=-1) for phase in phases))


def layer_time(
    traffic_tokens: FloatArray,
    *,
    relative_speed: FloatArray,
    port_bytes_per_s: FloatArray,
    seconds_per_token: float,
    dispatch_bytes_per_token: float,
    combine_bytes_per_token: float,
) -> LayerTime:
    """Return the time of a layer whose tokens travel as `traffic_tokens` says.

    Parameters
    ----------
    traffic_tokens
        Tokens from each source device to each serving device, shape ``(..., devices, devices)``;
        the diagonal is served but not sent.
    relative_speed
        Shape ``(devices,)``.
    port_bytes_per_s
        Rate of each device's port, each direction, shape ``(devices,)``.
    seconds_per_token
        Computation of one token on a device of relative speed 1.
    dispatch_bytes_per_token, combine_bytes_per_token
        Bytes of a token on its way to the expert and back.
    """
    local = np.diagonal(traffic_tokens, axis1=-2, axis2=-1)
    sent = traffic_tokens.sum(axis=-1) - local
    received = traffic_tokens.sum(axis=-2) - local
    # Combine is dispatch transposed: sent and received change places, their maximum does not.
    busiest = np.maximum(sent, received) / port_bytes_per_s
    return LayerTime(
        dispatch_s=busiest * dispatch_bytes_per_token,
        compute_s=traffic_tokens.sum(axis=-2) * seconds_per_token / relative_speed,
        combine_s=busiest * combine_bytes_per_token,
    )
