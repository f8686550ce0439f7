"""Few load scenarios from many windows: by task, by day, or by what windows have in common.

Windows are put together by Ward's method (`scipy.cluster.hierarchy`), which joins those that lose
least of the squared distances between expert shares, and every cluster becomes the sum of its
windows. Sums, not chosen windows: for every plan, what a scenario's mean largest load says is then
at most that of its windows (Jensen), and the noise of single windows, which nobody will see again,
averages out. On real traffic such scenarios make better plans than as many windows chosen by
forward selection (``moeopt bench motion``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moeopt.core.arguments import whole
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.placement.robust.windows import windows_of

#: Windows that are clustered at once: their distances take 400 MB.
MOST_WINDOWS = 10_000


@dataclass(frozen=True, eq=False)
class Scenarios:
    """Scenarios as `PlacementProblem` takes them, for ``mean_max``, ``cvar`` and ``worst_max``.

    Attributes
    ----------
    loads_tokens
        ``(scenarios, layers, experts)``, all with the tokens of the mean window: an hour of little
        traffic is a scenario of little weight, not of little load.
    weights
        Share of all tokens that a scenario stands for, ``(scenarios,)``: ``scenario_weights``.
    labels
        Of each scenario; empty strings where windows had none.
    members
        Scenario of each window, ``(windows,)``; -1 for a window without tokens.
    """

    loads_tokens: FloatArray
    weights: FloatArray
    labels: tuple[str, ...]
    members: IntArray


def scenarios(windows: object, labels: Sequence[str] | None = None, *, each: int = 1) -> Scenarios:
    """Return few scenarios that stand for all windows.

    Parameters
    ----------
    windows
        Tokens of each expert, ``(windows, layers, experts)``.
    labels
        Task or day of each window: windows of different labels are never put together. Left out,
        all have one.
    each
        Most scenarios of a label; 1 is its mean.

    Returns
    -------
    Scenarios
        In the order of their first windows, label by label.

    Raises
    ------
    InstanceError
        If a label has no tokens, or the sizes do not fit.
    """
    counts = windows_of(windows)
    names = _labels(labels, len(counts))
    if whole("each", each) < 1:
        raise InstanceError("each", each, "must be at least 1", "1 takes each label's mean")
    tokens = counts.sum(axis=(1, 2))
    members = np.full(len(counts), -1, dtype=np.int64)
    labelled: list[str] = []
    for name in dict.fromkeys(names):
        of_name = np.array([other == name for other in names])
        mine = np.flatnonzero(of_name & (tokens > 0))
        if not mine.size:
            raise InstanceError(
                "windows", f"<label {name!r}>", "every label must have tokens", "leave it out"
            )
        cluster = _clusters(counts[mine], each)
        members[mine] = cluster + len(labelled)
        labelled += [name] * (int(cluster.max()) + 1)
    return _summed(counts, tokens, members, tuple(labelled))


def _labels(labels: Sequence[str] | None, windows: int) -> list[str]:
    names = [""] * windows if labels is None else list(labels)
    if len(names) != windows:
        raise InstanceError(
            "labels",
            f"<{len(names)} labels>",
            f"must be one for each of the {windows} windows",
            "label them all, or none",
        )
    return names


def _clusters(counts: FloatArray, most: int) -> IntArray:
    """Return the cluster of each window, numbered by their first windows."""
    from scipy.cluster.hierarchy import fcluster, linkage

    if len(counts) <= most:
        return np.arange(len(counts))
    if most == 1:
        return np.zeros(len(counts), dtype=np.int64)
    if len(counts) > MOST_WINDOWS:
        raise InstanceError(
            "windows",
            f"<{len(counts)} windows of one label>",
            f"must be at most {MOST_WINDOWS} to be reduced",
            "add up consecutive windows first",
        )
    total = counts.sum(axis=2, keepdims=True)
    share = counts / np.where(total > 0, total, 1.0)
    joined = linkage(share.reshape(len(counts), -1), "ward")
    found = fcluster(joined, most, "maxclust")
    _, first, cluster = np.unique(found, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[cluster]


def _summed(
    counts: FloatArray, tokens: FloatArray, members: IntArray, labels: tuple[str, ...]
) -> Scenarios:
    """Add up the windows of each scenario, and scale the sums to the mean window's tokens."""
    belongs = (members == np.arange(len(labels))[:, None]).astype(np.float64)
    weights = belongs @ tokens
    mean = tokens.sum() / np.count_nonzero(tokens)
    scale = mean / weights
    return Scenarios(
        loads_tokens=np.tensordot(belongs * scale[:, None], counts, axes=1),
        weights=weights / weights.sum(),
        labels=labels,
        members=members,
    )
