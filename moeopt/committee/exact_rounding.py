"""A plan near a point that is not whole, for the linear model to start from."""

from __future__ import annotations

import numpy as np

from moeopt.committee.exact_frame import Frame, updates_of
from moeopt.committee.link import carried
from moeopt.committee.loss import weights
from moeopt.committee.plan import CommitteePlan, latency_s, memory_bytes
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.arrays import FloatArray, IntArray

#: What a number of slots may be below a whole one by.
_WHOLE = 1e-6


def rounded(frame: Frame, x: FloatArray) -> CommitteePlan | None:
    """Return a plan with the residents that a relaxation has most of, as the link carries them.

    ``None`` with a table: what is between two of its entries is near neither.

    Parameters
    ----------
    frame
        A model in the tight form.
    x
        A point of its relaxation.
    """
    problem, period = frame.problem, int(frame.periods[0])
    if problem.loss == "table":
        return None
    slots = _whole_slots(problem, x[frame.slots])
    share = x[frame.there]
    place = np.argsort(np.argsort(-share, axis=2, kind="stable"), axis=2)
    there = (share > 0.5) & (place < slots[:, None])
    update = np.searchsorted(
        updates_of(problem, period), np.arange(problem.num_windows), side="right"
    )
    return carried(problem, slots, period, there[update - 1], weights(problem))


def _whole_slots(problem: CommitteeProblem, share: FloatArray) -> IntArray:
    """Return numbers of slots rounded down, and up again where memory and latency allow it."""
    slots = np.floor(share + _WHOLE).astype(np.int64)
    for layer in np.argsort(slots - share, kind="stable").tolist():
        more = slots.copy()
        more[layer] += 1
        late = problem.latency_s is not None and latency_s(problem, more) > problem.latency_s
        if share[layer] > slots[layer] + _WHOLE and not late:
            slots = more if memory_bytes(problem, more) <= problem.budget_bytes else slots
    return slots
