"""The time of one layer of several models that share devices and take turns (Aurora, Table 2).

While one model computes, the tokens of the others travel. The round is the steady state: it begins
when the first model's gate is done, and ends with that model's gate of the next layer.

- Computation, one after the other on every device: the gates of models 2, 3, …, then all experts,
  all aggregations, at last the gate of model 1.
- The network: all dispatches, then all combines, in the models' order; a later one uses what the
  earlier leave free.

The paper states the table for two models and leaves the idle network out of it. Here the models
are any number, and ends are counted from the releases: a dispatch's is the end of its gate, a
combine's the end of its experts or of the last dispatch. If the network was last idle until the
release of model j, model k's tokens have arrived when the busiest port has moved those of j to k:

``E_Nk = max over j <= k of (release_j + line(N^j + … + N^k))``

where ``line`` is the paper's overlined sum, the busiest port's seconds. No order of transmission
ends a dispatch or a combine earlier. Each end by itself is reached if no release binds, but not
always all of them together, nor one end when releases bind: a device that sends to two others may
find both busy with the tokens of another model. An order that exists is a `Network` of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray, require_shape
from moeopt.core.errors import InstanceError
from moeopt.timeline.layer import Exchange, LayerTime, on_same_axes, share_of
from moeopt.timeline.round import Interleaved, Spans

#: Releases ``(models, ...)`` in seconds to ends of the same shape, and the model from whose
#: release each end counts.
Network = Callable[[FloatArray], tuple[FloatArray, IntArray]]


def interleaved(layers: Sequence[LayerTime]) -> Interleaved:
    """Return one round of models that take turns, each phase as slow as its slowest device.

    Parameters
    ----------
    layers
        One layer of each model, in their order, on the same devices; leading axes broadcast. One
        model alone takes `LayerTime.total_s`.
    """
    same = on_same_axes(layers)
    total = interleaved_phases(
        np.stack([layer.gate_s.max(axis=-1) for layer in same]),
        np.stack([layer.compute_s.max(axis=-1) for layer in same]),
        np.stack([layer.aggregation_s.max(axis=-1) for layer in same]),
        dispatch=busiest_port(line_seconds([layer.dispatch for layer in same]).max(axis=-1)),
        combine=busiest_port(line_seconds([layer.combine for layer in same]).max(axis=-1)),
    )
    computing = np.asarray(sum(layer.computing_s for layer in same))
    return replace(total, utilisation=share_of(computing, total.total_s[..., None]), layers=same)


def interleaved_alone(layers: Sequence[LayerTime]) -> Interleaved:
    """Return, for every device, the round that it would take alone, without the other devices.

    Aurora's section 7 weighs a device and the experts on it by this time. The devices are the
    last of the leading axes of what is returned.
    """
    each = interleaved([layer.mapped(lambda array: array[..., None]) for layer in layers])
    return replace(each, utilisation=each.utilisation[..., 0], alone=True)


def interleaved_phases(
    gate_s: FloatArray,
    compute_s: FloatArray,
    aggregation_s: FloatArray,
    *,
    dispatch: Network,
    combine: Network,
) -> Interleaved:
    """Return one round of models of which only each phase's time is known: Table 2, eq. (4).

    Parameters
    ----------
    gate_s, compute_s, aggregation_s
        Seconds of each model, shape ``(models, ...)``.
    dispatch, combine
        What the network makes of the releases: `busiest_port`, or an order of transmission.
    """
    if not len(gate_s):
        raise InstanceError("gate_s", "no model", "must have a row for each model", "name one")
    require_shape(compute_s, "compute_s", gate_s.shape, "as gate_s")
    require_shape(aggregation_s, "aggregation_s", gate_s.shape, "as gate_s")
    # The first model's gate was done before the round began.
    gate_end = np.zeros(gate_s.shape)
    gate_end[1:] = np.cumsum(gate_s[1:], axis=0)
    gate_start = np.concatenate([gate_end[:1], gate_end[:-1]])
    dispatch_end, dispatch_since = dispatch(gate_end)
    computed = _in_turn(gate_end[-1], dispatch_end, compute_s)
    release = np.maximum(computed.end_s, dispatch_end.max(axis=0))
    combine_end, combine_since = combine(release)
    aggregated = _in_turn(computed.end_s[-1], combine_end, aggregation_s)
    gate = Spans(gate_start, gate_end.copy())
    gate.start_s[0] = aggregated.end_s[-1]
    gate.end_s[0] = aggregated.end_s[-1] + gate_s[0]
    computing = (gate_s + compute_s + aggregation_s).sum(axis=0)
    return Interleaved(
        gate=gate,
        dispatch=Spans(gate_end, dispatch_end),
        compute=computed,
        combine=Spans(release, combine_end),
        aggregation=aggregated,
        dispatch_since=dispatch_since,
        combine_since=combine_since,
        utilisation=share_of(computing, gate.end_s[0]),
    )


def line_seconds(exchanges: Sequence[Exchange]) -> FloatArray:
    """Return how long each port is busy with the all-to-alls of some models together.

    Entry ``[j, k]`` of the result, shape ``(models, models, ..., devices)``, is the busier
    direction's seconds for models j to k; 0 where ``k < j``. Its largest over the devices is the
    aggregated communication time, the paper's overlined sum; `busiest_port` takes that.
    """
    sent = np.stack([exchange.send_s for exchange in exchanges])
    received = np.stack([exchange.receive_s for exchange in exchanges])
    lines = np.zeros((len(sent), *sent.shape))
    for j in range(len(sent)):
        both = np.cumsum(sent[j:], axis=0), np.cumsum(received[j:], axis=0)
        lines[j, j:] = np.maximum(*both)
    return lines


def busiest_port(line_s: FloatArray) -> Network:
    """Return a network in which every all-to-all ends as soon as its busiest port can.

    Parameters
    ----------
    line_s
        Seconds of models j to k together, shape ``(models, models, ...)``; read where ``j <= k``.
    """
    later = np.tri(len(line_s), k=-1, dtype=np.bool_)
    lines = np.where(later.reshape(*later.shape, *[1] * (line_s.ndim - 2)), -np.inf, line_s)

    def ends(release_s: FloatArray) -> tuple[FloatArray, IntArray]:
        require_shape(release_s, "release_s", lines.shape[1:], "models, ...")
        end = release_s[:, None] + lines
        return end.max(axis=0), end.argmax(axis=0)

    return ends


def _in_turn(free_s: FloatArray, ready_s: FloatArray, seconds: FloatArray) -> Spans:
    """Return when each model computes: after the one before it, and when its tokens are there."""
    start, end = np.empty(seconds.shape), np.empty(seconds.shape)
    for k in range(len(seconds)):
        start[k] = np.maximum(free_s, ready_s[k])
        end[k] = start[k] + seconds[k]
        free_s = end[k]
    return Spans(start, end)
