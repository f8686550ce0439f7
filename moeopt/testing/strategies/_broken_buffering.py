"""Contradictions: each turns a stated buffering problem into one that no plan can satisfy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

Fields = dict[str, Any]


@st.composite
def broken_buffering(draw: st.DrawFn, fields: Fields) -> Fields:
    """Draw a contradiction and return the fields with it.

    Parameters
    ----------
    fields
        Fields of a problem.
    """
    return draw(st.sampled_from(_CONTRADICTIONS))(fields)


def _pins_too_many(fields: Fields) -> Fields:
    """Pin two experts where one fits."""
    pinned = np.array([[0, 0], [0, 1]])
    return {**_two_experts(fields), "slots": 1, "pinned": pinned}


def _pins_leave_no_slot(fields: Fields) -> Fields:
    """Pin an expert to the only slot, while another is asked for and has to be loaded."""
    return {**_on_demand(_two_experts(fields)), "slots": 1, "pinned": np.array([[0, 0]])}


def _expert_too_large(fields: Fields) -> Fields:
    """Ask for an expert that is larger than the cache."""
    sizes = np.full((1, 2), 1)
    sizes[0, 1] = 5
    return {**_on_demand(_two_experts(fields)), "expert_bytes": sizes, "cache_bytes": 4}


def _expert_beside_a_pin(fields: Fields) -> Fields:
    """Ask for an expert that fits, but not beside a pinned one."""
    changes = {"expert_bytes": 2, "cache_bytes": 3, "pinned": np.array([[0, 0]])}
    return {**_on_demand(_two_experts(fields)), **changes}


def _budget_too_small(fields: Fields) -> Fields:
    """State a budget for one slot, while two layers ask for experts."""
    both = {
        "layers": 2,
        "experts": 2,
        "active": np.array([0, 1]),
        "starts": np.array([0, 1, 2]),
        "expert_bytes": 3,
        "budget_bytes": 5,
    }
    return {**_on_demand(_without(fields)), **both}


def _budget_below_pins(fields: Fields) -> Fields:
    """State a budget that is smaller than what is pinned."""
    pinned = np.array([[0, 0], [0, 1]])
    return {**_two_experts(fields), "expert_bytes": 3, "budget_bytes": 5, "pinned": pinned}


def _two_experts(fields: Fields) -> Fields:
    """Return the fields with one layer that asks for each of two experts in turn."""
    return {
        **_without(fields),
        "layers": 1,
        "experts": 2,
        "active": np.array([0, 1, 0, 1]),
        "starts": np.arange(5),
    }


def _on_demand(fields: Fields) -> Fields:
    """Return the fields without what goes with ``serve="bypass"``."""
    alone = ("serve", "miss_s", "loads_per_group", "update_period", "free_fill")
    return {name: value for name, value in fields.items() if name not in alone}


def _without(fields: Fields) -> Fields:
    """Return the fields without the room, and without arrays whose shape would be another."""
    kept = {name: value for name, value in fields.items() if name not in _SHAPED}
    for name in ("load_s", "miss_s"):
        if name in kept:
            kept[name] = 1.0
    return kept


_SHAPED = frozenset(
    (
        "active",
        "starts",
        "weights",
        "sequence_starts",
        "expert_bytes",
        "slots",
        "cache_bytes",
        "budget_bytes",
        "pooled",
        "pinned",
        "history",
    )
)

_CONTRADICTIONS: tuple[Callable[[Fields], Fields], ...] = (
    _pins_too_many,
    _pins_leave_no_slot,
    _expert_too_large,
    _expert_beside_a_pin,
    _budget_too_small,
    _budget_below_pins,
)
