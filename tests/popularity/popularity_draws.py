"""Random traces and tables, and the predictors as loops over equation (1)."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np

from moeopt.popularity import CountTable
from moeopt.popularity.table import table_from_rows
from moeopt.traces import RoutingTrace


def draw_trace(
    seed: int = 0,
    *,
    tokens: int = 60,
    layers: int = 2,
    experts: int = 4,
    top_k: int = 2,
    vocabulary: int = 5,
) -> RoutingTrace:
    """Return a trace with attention IDs of every layer."""
    rng = np.random.default_rng(seed)
    order = rng.random((tokens, layers, experts)).argsort(axis=2)
    return RoutingTrace(
        expert_ids=order[:, :, :top_k].astype(np.uint8),
        token_ids=rng.integers(vocabulary, size=tokens),
        attention_ids=rng.integers(vocabulary, size=(tokens, layers)),
        experts=experts,
    )


def one_layer(rows: dict[tuple[int, int, int], float], experts: int, top_k: int = 1) -> CountTable:
    """Return a table of one layer from counts by token, attention and expert."""
    token, attention, expert = np.array(list(rows), dtype=np.int64).reshape(-1, 3).T
    return table_from_rows(
        np.zeros_like(token),
        token,
        attention,
        expert,
        np.array(list(rows.values()), dtype=float),
        experts=(experts,),
        top_k=top_k,
    )


def counted(trace: RoutingTrace) -> Counter[tuple[int, ...]]:
    """Return the occurrences of each layer, token, attention and expert, by a loop."""
    assert trace.token_ids is not None
    assert trace.attention_ids is not None
    found: Counter[tuple[int, ...]] = Counter()
    for t, layer in itertools.product(range(trace.num_tokens), range(trace.num_layers)):
        for expert in trace.expert_ids[t, layer]:
            key = layer, trace.token_ids[t], trace.attention_ids[t, layer], expert
            found[tuple(map(int, key))] += 1
    return found


def by_equation_one(
    past: list[tuple[int, int, int, int]], token: int, coming: dict[int, float], experts: int
) -> list[float]:
    """Return equation (1) as printed for one layer, not normalised.

    `past` lists token, position, attention and expert of each choice.
    """
    joint = Counter((f1, f2, f3) for f1, f2, f3, _ in past)
    pair = Counter((f1, f2) for f1, f2, _, _ in past)
    single = Counter(f1 for f1, *_ in past)
    every = Counter(past)
    positions = sorted({f2 for _, f2, _, _ in past})
    found = [0.0] * experts
    for (f1, f2, f3), times in joint.items():
        if f1 != token:
            continue
        attention = times * coming.get(f3, 0.0) / pair[f1, f2]
        position = pair[f1, f2] * (1 / len(positions)) / single[f1]
        for expert in range(experts):
            chosen = every[f1, f2, f3, expert] / times
            found[expert] += chosen * attention * position
    return found
