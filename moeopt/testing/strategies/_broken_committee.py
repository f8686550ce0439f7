"""Contradictions: each turns a stated committee problem into one that no plan can satisfy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

Fields = dict[str, Any]


@st.composite
def broken_committee(draw: st.DrawFn, fields: Fields) -> Fields:
    """Draw a contradiction and return the fields with it.

    Parameters
    ----------
    fields
        Fields of a problem.
    """
    # What counting does not show comes more often: it alone reaches a method.
    named = (*_CONTRADICTIONS, *[_no_slots_for_both] * 3)
    changed: Fields = draw(st.sampled_from(named))(fields)
    return changed


def _budget_too_small(fields: Fields) -> Fields:
    """State a byte less than a slot of each layer takes."""
    fixed = 1 + fields.get("fixed_bytes", 0)
    return {**_one_slot(fields), "fixed_bytes": fixed, "budget_bytes": _least_bytes(fields)}


def _staging_takes_all(fields: Fields) -> Fields:
    """State staging slots that leave nothing of the budget."""
    budget = _least_bytes(fields)
    return {**_one_slot(fields), "staging_slots": 1 + budget, "budget_bytes": budget}


def _too_slow(fields: Fields) -> Fields:
    """State a latency below that of a slot of each layer."""
    slot_s = {"base_s": 0.0, "slot_s": 1.0, "latency_s": fields["layers"] - 0.5}
    return {**_one_slot(fields), **slot_s}


def _link_too_slow(fields: Fields) -> Fields:
    """State tables in which any number of slots replaces more than the link carries."""
    swaps = np.ones((fields["layers"], fields["experts"] + 1))
    swaps[:, 0] = 0.0
    return {**_one_slot(_measured(fields)), "swaps": swaps, **_link(0.5)}


def _no_slots_for_both(fields: Fields) -> Fields:
    """State tables in which few slots replace too much, and a budget that pays for no more."""
    experts = max(2, fields["experts"])
    wide = {**fields, "experts": experts, "layers": 1}
    for name in ("expert_bytes", "activation_bytes", "staging_slots", "slot_s"):
        if np.ndim(wide.get(name, 1)):
            wide[name] = wide[name][0]
    swaps = np.ones((1, experts + 1))
    swaps[0, [0, experts]] = 0.0
    stated = _one_slot(_measured(wide))
    stated.pop("latency_s", None)
    most = _least_bytes(wide) + _slot_bytes(wide).sum() * (experts - 2)
    return {**stated, "swaps": swaps, **_link(0.5), "budget_bytes": int(most)}


def _one_slot(fields: Fields) -> Fields:
    """Return the fields with at least one slot in each layer."""
    kept = {name: value for name, value in fields.items() if name != "max_slots"}
    return {**kept, "min_slots": 1}


def _measured(fields: Fields) -> Fields:
    """Return the fields with tables for a loss, and one period."""
    named = ("importance", "router", "window_starts", "load_price", "free_fill", "periods")
    kept = {name: value for name, value in fields.items() if name not in named}
    table = np.ones((fields["layers"], fields["experts"] + 1))
    return {**kept, "loss": "table", "table": table}


def _link(rate: float) -> Fields:
    return {"link_bytes_per_s": rate, "window_s": 1.0}


def _slot_bytes(fields: Fields) -> Any:
    each = np.asarray(fields.get("expert_bytes", 1)) + fields.get("activation_bytes", 0)
    return np.broadcast_to(each, (fields["layers"],))


def _least_bytes(fields: Fields) -> int:
    """Return what a slot of each layer takes, with all that is always there."""
    size = np.broadcast_to(fields.get("expert_bytes", 1), (fields["layers"],))
    staged = int((size * fields.get("staging_slots", 0)).sum())
    return int(fields.get("fixed_bytes", 0) + staged + _slot_bytes(fields).sum())


_CONTRADICTIONS: tuple[Callable[[Fields], Fields], ...] = (
    _budget_too_small,
    _staging_takes_all,
    _too_slow,
    _link_too_slow,
)
