"""Long traces are counted a layer, or some tokens, at a time: not with a number for everything."""

from __future__ import annotations

import numpy as np
from memory_peaks import peak_bytes

from moeopt.committee.from_trace import committee_problem
from moeopt.describe.loads import TOKENS_AT_ONCE, coactivation_counts, window_counts
from moeopt.traces import RoutingTrace
from moeopt.transfers.generate import routed_tokens

LAYERS, EXPERTS, TOP_K = 16, 64, 2


def _routing(tokens: int) -> np.ndarray:
    first = np.random.default_rng(0).integers(0, EXPERTS, (tokens, LAYERS, 1))
    return np.concatenate([first, (first + 1) % EXPERTS], axis=2).astype(np.uint8)


def test_counts_take_places_of_one_layer_at_a_time() -> None:
    ids = _routing(20_000)
    counts = window_counts(ids, EXPERTS, 5_000)
    places = 8 * ids[:, 0].size
    assert peak_bytes(lambda: window_counts(ids, EXPERTS, 5_000)) < 4 * places + counts.nbytes
    assert (counts[1, 3] == np.bincount(ids[5_000:10_000, 3].ravel(), minlength=EXPERTS)).all()


def test_pairs_of_experts_are_counted_in_as_much_memory_for_any_trace() -> None:
    ids = _routing(4 * TOKENS_AT_ONCE + 5)[:, :1]
    row = 8 * EXPERTS * TOKENS_AT_ONCE
    assert peak_bytes(lambda: coactivation_counts(ids, EXPERTS)) < 3 * row
    both = coactivation_counts(ids, EXPERTS)[0]
    assert (np.diag(both) == np.bincount(ids.ravel(), minlength=EXPERTS)).all()
    assert both[5, 6] == (ids[:, 0, 0] == 5).sum()


def test_tokens_between_devices_are_counted_in_as_much_memory_for_any_trace() -> None:
    ids = _routing(4 * TOKENS_AT_ONCE + 5)[:, :1]
    start = np.arange(len(ids)) % EXPERTS
    own = np.arange(EXPERTS)[None]
    row = 8 * EXPERTS * TOKENS_AT_ONCE
    assert peak_bytes(lambda: routed_tokens(ids, start, own, EXPERTS)) < 4 * row
    assert routed_tokens(ids, start, own, EXPERTS).sum() == ids.size


def test_windows_of_a_committee_take_masses_of_one_layer_at_a_time() -> None:
    trace = RoutingTrace(_routing(20_000))
    masses = 8 * trace.expert_ids[:, 0].size

    def made() -> None:
        committee_problem(trace, window_tokens=5_000, budget_bytes=64)

    # A length for each token and layer is the caller's to state: it is as large as the trace.
    lengths = 8 * trace.num_tokens * trace.num_layers
    assert peak_bytes(made) < 2 * lengths + 6 * masses
