"""Contradictions: each turns a stated problem into one that no plan can satisfy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from moeopt.placement.problem import Pair
from moeopt.testing.strategies._witness import Witness

Fields = dict[str, Any]


@st.composite
def broken(draw: st.DrawFn, fields: Fields, witness: Witness, *, plain: bool = False) -> Fields:
    """Draw a contradiction and return the fields with it; rules only ever become tighter.

    Parameters
    ----------
    fields
        Fields of a problem.
    witness
        The plan they were stated around.
    plain
        Whether the contradiction may use no optional rule.
    """
    named = _PLAIN if plain else {**_PLAIN, **_RULES}
    # Those that counting does not show come more often: only they reach a method at all.
    weighted = [*named, *([] if plain else _SUBTLE * 3)]
    fitting = [name for name in weighted if named[name](dict(fields), witness)]
    changed: Fields | None = named[draw(st.sampled_from(fitting))](dict(fields), witness)
    assert changed is not None
    return changed


def _too_few_slots(fields: Fields, witness: Witness) -> Fields:
    """Leave fewer live slots than experts."""
    _drop_moves(fields)
    fields.pop("previous", None)
    fields.pop("move_price_per_byte", None)
    room = (_experts(fields) - 1) // len(_live(fields))
    fields["slots_per_device"] = room
    return fields


def _too_many_slots(fields: Fields, witness: Witness) -> Fields | None:
    """Ask for more distinct experts on a device than there are."""
    if fields.get("max_copies_per_device", 1) != 1 or fields.get("allow_empty_slots"):
        return None
    _drop_moves(fields)
    fields.pop("previous", None)
    fields.pop("move_price_per_byte", None)
    fields["slots_per_device"] = _experts(fields) + 1
    return fields


def _too_many_copies(fields: Fields, witness: Witness) -> Fields:
    """Ask for more copies of each expert than there are slots."""
    fields.pop("max_copies_per_expert", None)
    fields["min_copies_per_expert"] = sum(witness.slots) + 1
    return fields


def _homeless(fields: Fields, witness: Witness) -> Fields:
    """Forbid an expert on every live device."""
    fields.pop("pinned", None)
    fields["forbidden"] = tuple(Pair(expert=0, device=g) for g in _live(fields))
    return fields


def _crowded(fields: Fields, witness: Witness) -> Fields | None:
    """Leave a device for more experts than it has slots: counting all slots does not show it."""
    live, experts = _live(fields), _experts(fields)
    home = live[0]
    if witness.slots[home] >= experts or len(live) < 2:
        return None
    fields.pop("pinned", None)
    fields["forbidden"] = tuple(
        Pair(expert=e, device=g) for e in range(witness.slots[home] + 1) for g in live if g != home
    )
    return fields


def _overpinned(fields: Fields, witness: Witness) -> Fields | None:
    """Pin more experts to a device than it has slots."""
    live, experts = _live(fields), _experts(fields)
    home = live[-1]
    if witness.slots[home] >= experts:
        return None
    fields.pop("forbidden", None)
    fields["pinned"] = tuple(Pair(expert=e, device=home) for e in range(witness.slots[home] + 1))
    return fields


def _no_memory(fields: Fields, witness: Witness) -> Fields:
    """State memory for all experts but one byte."""
    _drop_moves(fields)
    _, layers, experts = fields["loads_tokens"].shape
    needed = 1000 * layers * experts
    fields["expert_bytes"] = 1000
    fields["expert_memory_bytes"] = (needed - 1) // len(_live(fields))
    return fields


def _split_memory(fields: Fields, witness: Witness) -> Fields:
    """State memory in pieces that are each smaller than one expert."""
    _drop_moves(fields)
    fields["expert_bytes"] = 1000
    fields["expert_memory_bytes"] = 999
    return fields


def _no_moves(fields: Fields, witness: Witness) -> Fields:
    """Allow one byte less than an empty cluster must receive."""
    _, layers, experts = fields["loads_tokens"].shape
    fields.pop("expert_memory_bytes", None)
    fields["expert_bytes"] = 1000
    fields["previous"] = np.full_like(witness.table, -1)
    fields["max_moved_bytes"] = 1000 * layers * experts - 1
    return fields


def _no_node_for_group(fields: Fields, witness: Witness) -> Fields | None:
    """Ask for all experts on one node where each node has too few slots."""
    node = fields["cluster"].device_node()
    if np.bincount(node, weights=witness.slots).max() >= _experts(fields):
        return None
    fields.pop("cross_node_price", None)
    return {**fields, "groups": 1, "group_rule": "one_node"}


def _drop_moves(fields: Fields) -> None:
    for limit in ("max_moved_bytes", "max_moved_bytes_per_device", "max_moved_bytes_per_node"):
        fields.pop(limit, None)


def _live(fields: Fields) -> list[int]:
    dead = fields.get("dead_devices", ())
    return [g for g in range(fields["cluster"].num_devices) if g not in dead]


def _experts(fields: Fields) -> int:
    return int(fields["loads_tokens"].shape[2])


_Contradiction = Callable[[Fields, Witness], Fields | None]

_PLAIN: dict[str, _Contradiction] = {"slots": _too_few_slots, "overfull": _too_many_slots}

_RULES: dict[str, _Contradiction] = {
    "copies": _too_many_copies,
    "homeless": _homeless,
    "crowded": _crowded,
    "overpinned": _overpinned,
    "memory": _no_memory,
    "split_memory": _split_memory,
    "moves": _no_moves,
    "groups": _no_node_for_group,
}

_SUBTLE = ["crowded", "split_memory", "moves"]
