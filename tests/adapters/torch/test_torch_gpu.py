"""The layer on as many GPUs as there are: captured calls, kernels, streams, NCCL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torch_jobs_gpu as jobs

from moeopt.adapters.torch.workers import Workers

pytestmark = pytest.mark.gpu

#: Relative to the largest value; fp32 products are not TF32.
FP32, BF16 = 1e-5, 2e-2


@pytest.fixture(scope="module")
def gpus() -> Iterator[Workers]:
    with Workers(torch.cuda.device_count(), "nccl") as workers:
        yield workers


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, FP32), (torch.bfloat16, BF16)])
def test_passes_of_changing_sizes(gpus: Workers, dtype: torch.dtype, tolerance: float) -> None:
    assert max(gpus.run(jobs.passes, dtype)) <= tolerance


def test_two_passes_at_once(gpus: Workers) -> None:
    assert max(gpus.run(jobs.two_turns)) <= BF16


def test_gradients(gpus: Workers) -> None:
    assert max(map(max, gpus.run(jobs.gradients))) <= FP32


def test_migration_while_serving(gpus: Workers) -> None:
    assert max(gpus.run(jobs.migrated)) <= BF16


def test_captured_calls(gpus: Workers) -> None:
    assert all(gpus.run(jobs.captured))


def test_kernels(gpus: Workers) -> None:
    for there, summed, gated in gpus.run(jobs.kernels):
        assert there
        assert max(summed, gated) <= BF16
