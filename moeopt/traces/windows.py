"""What was recorded as counts: of a trace or of counts, window by window or in all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from moeopt.core.arguments import whole
from moeopt.core.errors import InstanceError
from moeopt.describe.loads import total_counts
from moeopt.traces.counts import ExpertCounts, require_room
from moeopt.traces.trace import RoutingTrace


def counts_in_windows(
    recorded: RoutingTrace | ExpertCounts, windows: int | None = None
) -> ExpertCounts:
    """Return how many tokens each expert got, in windows that follow one another.

    Parameters
    ----------
    recorded
        A trace, whose tokens are cut, or counts, whose windows are added up.
    windows
        How many; each has as many tokens (or recorded windows) as the next, or one more. Left
        out, one for a trace, and of counts those that they have.

    Raises
    ------
    InstanceError
        If there is not so much to be cut.
    """
    if windows is None:
        windows = 1 if isinstance(recorded, RoutingTrace) else recorded.num_windows
    trace = isinstance(recorded, RoutingTrace)
    there = recorded.num_tokens if isinstance(recorded, RoutingTrace) else recorded.num_windows
    if not 1 <= whole("windows", windows) <= there:
        rule = f"must be 1 to {there}, the {'tokens' if trace else 'windows'} that were recorded"
        raise InstanceError("windows", windows, rule, "cut it into fewer")
    if isinstance(recorded, RoutingTrace):
        size = recorded.expert_ids.size
        require_room("windows", windows, recorded.num_layers, recorded.num_experts, size)
        parts = np.array_split(recorded.expert_ids, windows)
        counts = np.stack([total_counts(part, recorded.num_experts) for part in parts])
        return ExpertCounts(counts, np.arange(recorded.num_layers))
    parts = np.array_split(recorded.counts, windows)
    with np.errstate(over="ignore"):  # an infinite sum is told of as what it is
        counts = np.stack([part.sum(axis=0) for part in parts])
    return ExpertCounts(counts, recorded.layer_ids)


def counts_of_model(
    recorded: RoutingTrace | ExpertCounts,
    windows: int | None = None,
    layer_ids: Sequence[int] | None = None,
    experts: int | None = None,
) -> ExpertCounts:
    """Return what was recorded of a model's MoE layers, of all its experts, window by window.

    Parameters
    ----------
    recorded, windows
        As for `counts_in_windows`.
    layer_ids, experts
        As for `counts_of_layers`, but of a trace, which does not keep the numbers of its layers,
        there must be a number for each.

    Raises
    ------
    InstanceError
        If there is not so much to be cut, or it is of another model.
    """
    trace = isinstance(recorded, RoutingTrace)
    if trace and layer_ids is not None and len(layer_ids) != recorded.num_layers:
        rule = f"must be as many as the trace's {recorded.num_layers}, which it does not number"
        raise InstanceError("layer_ids", f"<{len(layer_ids)} layers>", rule, "is it another model?")
    return counts_of_layers(counts_in_windows(recorded, windows), layer_ids, experts)


def counts_of_layers(
    counts: ExpertCounts, layer_ids: Sequence[int] | None = None, experts: int | None = None
) -> ExpertCounts:
    """Return the counts of a model's MoE layers, of all its experts.

    Parameters
    ----------
    counts
        As recorded, with or without the dense layers.
    layer_ids
        Numbers of the MoE layers in the model; left out, the layers that have tokens.
    experts
        Of each layer; left out, those of `counts`.

    Raises
    ------
    InstanceError
        If the counts are of another model.
    """
    if not counts.counts.any():
        raise InstanceError("counts", "<all 0>", "must have tokens", "record requests")
    found = counts.active() if layer_ids is None else _picked(counts, np.asarray(layer_ids))
    if experts is None or experts == found.num_experts:
        return found
    if experts < found.num_experts:
        rule = f"must be at least the {found.num_experts} that were recorded"
        raise InstanceError("experts", experts, rule, "is it the right model?")
    more = ((0, 0), (0, 0), (0, experts - found.num_experts))
    return ExpertCounts(np.pad(found.counts, more), found.layer_ids)


def _picked(
    counts: ExpertCounts, ids: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
) -> ExpertCounts:
    """Return the rows of some layers: by number if all are there, else in order."""
    rows = np.flatnonzero(np.isin(counts.layer_ids, ids))
    if len(rows) == len(ids):
        return ExpertCounts(counts.counts[:, rows], ids)
    if counts.num_layers == len(ids):
        return ExpertCounts(counts.counts, ids)
    raise InstanceError(
        "layer_ids",
        f"<{len(ids)} layers>",
        f"must be among the {counts.num_layers} that were recorded, or as many",
        "is it the right model?",
    )
