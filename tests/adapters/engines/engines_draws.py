"""Placements for the tests of engines' formats."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from moeopt.adapters.engines.files import Known
from moeopt.adapters.engines.placements import EnginePlacement, ModelLayers


@st.composite
def placements(draw: st.DrawFn) -> EnginePlacement:
    """Draw placements that every engine can hold: all slots filled, no expert twice on a rank."""
    devices = draw(st.integers(1, 4))
    slots = draw(st.integers(1, 4))
    experts = draw(st.integers(slots, devices * slots))
    numbers = draw(st.sets(st.integers(0, 9), min_size=1, max_size=3))
    layers = ModelLayers(tuple(sorted(numbers)), draw(st.integers(max(numbers) + 1, 12)))
    dice = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    table = [_row(dice, devices, slots, experts) for _ in layers.ids]
    return EnginePlacement(np.array(table), devices, experts, layers)


def known(placement: EnginePlacement) -> Known:
    """Return all that a reader may know of a placement beside its file."""
    return Known(placement.devices, placement.experts, placement.layers)


def _row(dice: np.random.Generator, devices: int, slots: int, experts: int) -> list[int]:
    """Return one layer: every expert where there is most room, then copies."""
    held: list[list[int]] = [[] for _ in range(devices)]
    for expert in dice.permutation(experts).tolist():
        min(held, key=len).append(expert)
    for rank in held:
        absent = [expert for expert in dice.permutation(experts).tolist() if expert not in rank]
        rank += absent[: slots - len(rank)]
        dice.shuffle(rank)
    return [expert for rank in held for expert in rank]
