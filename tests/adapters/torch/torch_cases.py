"""Strategies for the tests of the PyTorch adapter: layouts, and layers with their tokens."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from torch_jobs_layer import Case

from moeopt.adapters.torch.layout import Layout

#: Widths of experts, hidden and inner: the first two fit the grouped kernels, the last does not.
_WIDTHS = ((8, 12), (4, 4), (5, 3))


@st.composite
def layouts(draw: st.DrawFn, ranks: int, *, max_experts: int = 6, max_slots: int = 4) -> Layout:
    """Draw a layout: copies, also on one rank; empty slots; ranks of unequal size or of none.

    Parameters
    ----------
    ranks
        How many.
    max_experts, max_slots
        Most experts, and most slots of a rank.
    """
    sizes = st.lists(st.integers(0, max_slots), min_size=ranks, max_size=ranks)
    slots = np.array(draw(sizes.filter(any)), dtype=np.int64)
    total = int(slots.sum())
    experts = draw(st.integers(1, min(max_experts, total)))
    others = draw(
        st.lists(st.integers(-1, experts - 1), min_size=total - experts, max_size=total - experts)
    )
    table = np.array(draw(st.permutations([*range(experts), *others])), dtype=np.int64)
    if draw(st.booleans()):
        return Layout.even(table, slots)
    seed = draw(st.integers(0, 2**16))
    return Layout(table, slots, _shares(table, ranks, np.random.default_rng(seed)))


def _shares(table: np.ndarray, ranks: int, random: np.random.Generator) -> np.ndarray:
    """Return shares of every size, 0 and 1 among them."""
    share = random.integers(0, 4, (ranks, len(table))) * random.random((ranks, len(table)))
    for expert in range(-1, table.max() + 1):
        slots = np.flatnonzero(table == expert)
        if expert < 0:
            share[:, slots] = 0.0
            continue
        share[share[:, slots].sum(axis=1) == 0, slots[0]] = 1.0
        share[:, slots] /= share[:, slots].sum(axis=1, keepdims=True)
    return share


@st.composite
def cases(draw: st.DrawFn, ranks: int, *, max_tokens: int = 12) -> Case:
    """Draw a layer and what goes in: other numbers of tokens on each rank, also none.

    Parameters
    ----------
    ranks
        How many.
    max_tokens
        Most tokens of a rank.
    """
    layout = draw(layouts(ranks))
    tokens = draw(st.tuples(*[st.integers(0, max_tokens)] * ranks))
    hidden, inner = draw(st.sampled_from(_WIDTHS))
    return Case(
        layout,
        tokens,
        top_k=draw(st.integers(1, 3)),
        routing=draw(st.sampled_from(["any", "any", "one"])),
        hidden=hidden,
        inner=inner,
        activation=draw(st.sampled_from(["silu", "relu"])),
        seed=draw(st.integers(0, 2**16)),
    )
