"""The layer on one GPU: types, gradients, grad modes, and how often the host waits."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch_jobs_layer as jobs
from torch_jobs_layer import Case, Tensors

from moeopt.adapters.torch.layer import ExpertParallel
from moeopt.adapters.torch.layout import Layout
from moeopt.adapters.torch.reference import reference
from moeopt.core.errors import InstanceError

pytestmark = pytest.mark.gpu

#: Expert 3 gets no tokens.
CASE = Case(Layout.even([0, 1, 3, 2, -1, 0], [6]), (40,), hidden=64, inner=96)


def _on_gpu(dtype: torch.dtype, tokens: int = 40) -> tuple[ExpertParallel, Tensors]:
    hidden, ids, gate = CASE.inputs(0, tokens)
    layer = CASE.layer().to("cuda", dtype)
    return layer, (hidden.to("cuda", dtype), ids.clamp(max=2).cuda(), gate.cuda())


def _tolerance(dtype: torch.dtype) -> float:
    return 2e-2 if dtype == torch.bfloat16 else 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("tokens", [0, 1, 40])
def test_every_grad_mode_gives_the_definition(dtype: torch.dtype, tokens: int) -> None:
    layer, inputs = _on_gpu(dtype, tokens)
    modes = [torch.inference_mode, torch.no_grad, torch.enable_grad]
    outputs = []
    # Orders are captured when they come a second time.
    for mode in [*modes, *modes[::-1], *modes]:
        with mode():
            outputs.append(layer(*inputs))
    wanted = jobs.definition(CASE, tuple(part.cpu() for part in inputs))
    for output in outputs:
        assert jobs.error(output.detach().double().cpu(), wanted) <= _tolerance(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_are_those_of_the_definition(dtype: torch.dtype) -> None:
    layer, (hidden, ids, gate) = _on_gpu(dtype)
    layer(hidden.requires_grad_(), ids, gate.requires_grad_()).float().square().sum().backward()
    truth = [part.detach().double().cpu().requires_grad_() for part in (hidden, gate)]
    up, down = (weight.double().requires_grad_() for weight in CASE.weights())
    reference(truth[0], ids.cpu(), truth[1], up, down).square().sum().backward()
    for ours, theirs in zip((hidden, gate), truth, strict=True):
        error = jobs.error(ours.grad.double().cpu(), theirs.grad)
        assert error <= 2 * _tolerance(dtype)
    for ours, theirs in zip((layer.experts.up, layer.experts.down), (up, down), strict=True):
        found = ours.grad.double().cpu()
        # A slot without rows has a gradient of 0, not of what stood in memory.
        assert not found[2].any()
        assert not found[4].any()
        both = torch.stack([found[0] + found[5], found[1], found[3]])
        assert jobs.error(both, theirs.grad[:3]) <= 2 * _tolerance(dtype)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.enable_grad])
def test_the_host_waits_for_no_more_than_the_sizes(mode: type) -> None:
    layer, inputs = _on_gpu(torch.bfloat16)
    with mode():
        for _ in range(3):
            layer(*inputs)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                layer(*inputs)
            finally:
                torch.cuda.set_sync_debug_mode("default")
    waits = [wait for wait in caught if "synchronizing" in str(wait.message)]
    assert len(waits) <= 1, waits


def test_experts_that_there_are_not_are_told_and_the_gpu_goes_on() -> None:
    layer, (hidden, ids, gate) = _on_gpu(torch.float32)
    for mode in (torch.no_grad, torch.enable_grad):
        with mode():
            right = layer(hidden, ids, gate)
            for strange in (ids - 1, ids + 2, ids + 40000):
                with pytest.raises(InstanceError, match="expert_ids: must be experts"):
                    layer(hidden, strange, gate)
            assert torch.equal(layer(hidden, ids, gate), right)
    with pytest.raises(InstanceError, match="gate_weights: must be on the experts' device, cuda"):
        layer(hidden, ids, gate.cpu())
