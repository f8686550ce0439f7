"""Training with replicas: gradients, and weights, of one process."""

from __future__ import annotations

import numpy as np
import torch_jobs_migration as jobs
from hypothesis import given
from test_torch_migration import cases

from moeopt.adapters.torch.layout import Layout

TOLERANCE = 1e-6


def check(found, layout, tolerance=TOLERANCE):
    """Check that every slot has the single process' values, and that copies have the same bits."""
    for part, whole in enumerate(found[0][1]):
        slots = np.concatenate([own[part] for own, _ in found])
        filled = np.flatnonzero(layout.expert_of_slot >= 0)
        expert = layout.expert_of_slot[filled]
        largest = max(float(np.abs(whole).max()), 1.0)
        assert float(np.abs(slots[filled] - whole[expert]).max()) <= tolerance * largest
        first = filled[np.unique(expert, return_index=True)[1]]
        np.testing.assert_array_equal(slots[filled], slots[first[expert]])


@given(case=cases(2))
def test_gradients_are_those_of_one_process_on_two_ranks(workers2, case):
    layout, _, tokens = case
    check(workers2.run(jobs.trained, layout, tokens), layout)


@given(case=cases(4))
def test_gradients_are_those_of_one_process_on_four_ranks(workers4, case):
    layout, _, tokens = case
    check(workers4.run(jobs.trained, layout, tokens), layout)


def test_gradients_in_bf16_are_summed_in_fp32(workers4):
    import torch

    layout = Layout.even([0, 1, 0, 1, 0, 2, 0, 0], [2, 2, 2, 2])
    found = workers4.run(jobs.trained, layout, [32] * 4, torch.bfloat16)
    check(found, layout, tolerance=4 * 2.0**-8)


def test_training_before_and_after_a_migration_is_that_of_one_process(workers2):
    old, new = Layout.even([0, 1, 2, 0], [2, 2]), Layout.even([1, 1, 2, 0, 2, -1], [4, 2])
    check(workers2.run(jobs.trained_for_steps, old, new, [16, 12], 3), new, tolerance=1e-5)


def test_frozen_weights_get_no_gradients(workers2):
    layout = Layout.even([0, 1, 1, 0], [2, 2])
    assert workers2.run(jobs.frozen_parts, layout) == [(True, True)] * 2
