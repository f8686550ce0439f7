"""The layer on one GPU: types, gradients, grad modes, and how often the host waits."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
import torch
import torch_jobs_layer as jobs
from torch_jobs_layer import Case, Tensors

from moeopt.adapters.torch.buffers import Buffers
from moeopt.adapters.torch.clock import PhaseClock
from moeopt.adapters.torch.experts import Activation
from moeopt.adapters.torch.layer import ExpertParallel
from moeopt.adapters.torch.layout import Layout
from moeopt.adapters.torch.reference import reference
from moeopt.adapters.torch.static import StaticGating
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
    waits = [wait for wait in caught if "called a synchronizing" in str(wait.message)]
    assert len(waits) <= 1, [(wait.filename, wait.lineno) for wait in waits]


def test_layers_in_turns_share_captured_calls_of_changing_sizes() -> None:
    layouts = [Layout.even(table, [6]) for table in ([0, 1, 3, 2, -1, 0], [2, 0, 3, 1, 1, -1])]
    cases = [replace(CASE, layout=layout, hidden=72) for layout in layouts]
    layers = [case.layer().to("cuda") for case in cases]
    for step in range(5):
        for tokens in (40, 7, 300, 40):
            for case, layer in zip(cases, layers, strict=True):
                given = replace(case, seed=step).inputs(0, tokens)
                with torch.no_grad():
                    found = layer(*(part.cuda() for part in given))
                assert jobs.error(found.double().cpu(), jobs.definition(case, given)) <= 1e-5
    # The second layer went over to other slots, of as many: nothing is captured anew.
    ((buffers,),) = _idle(layers[0])
    assert len(buffers.orders._seen) == 3


def _idle(layer: ExpertParallel) -> list[list[Buffers]]:
    """Return the buffers that wait for rows as wide as the layer's, stream by stream."""
    width = layer.experts.up.shape[2]
    return [idle for (_, wide, *_), idle in layer._idle._idle.items() if wide == width]


def test_streams_do_not_share_memory() -> None:
    case = replace(CASE, hidden=80)
    layer, (hidden, ids, gate) = case.layer().to("cuda", torch.bfloat16), case.inputs(0, 40)
    wanted = jobs.definition(case, (hidden, ids, gate))
    inputs = (hidden.to("cuda", torch.bfloat16), ids.cuda(), gate.cuda())
    streams = [torch.cuda.Stream() for _ in range(2)]
    large = torch.ones(4096, 4096, device="cuda")
    outputs = []
    torch.cuda.synchronize()
    for step in range(6):
        with torch.cuda.stream(streams[step % 2]), torch.no_grad():
            if step % 2:
                for _ in range(20):  # this one is late
                    large = large @ large * 1e-4
            outputs.append(layer(*inputs))
    torch.cuda.synchronize()
    for output in outputs:
        assert jobs.error(output.double().cpu(), wanted) <= 2e-2
    assert [len(idle) for idle in _idle(layer)] == [1, 1]


def test_a_layer_on_the_last_gpu_whichever_is_current() -> None:
    last = torch.device("cuda", torch.cuda.device_count() - 1)
    for dtype in (torch.float32, torch.bfloat16):
        layer = CASE.layer().to(last, dtype)
        layer.clock = PhaseClock(last)
        for step in range(4):
            hidden, ids, gate = replace(CASE, seed=step).inputs(0, 40)
            with torch.no_grad():
                found = layer(hidden.to(last, dtype), ids.to(last), gate.to(last))
            wanted = jobs.definition(CASE, (hidden, ids, gate))
            assert jobs.error(found.double().cpu(), wanted) <= _tolerance(dtype)
        assert all(min(took) >= 0 for took in layer.clock.seconds().values())


@pytest.mark.parametrize("activation", ["silu", "relu"])
def test_static_gating_with_places_for_all_is_the_layer(activation: Activation) -> None:
    case = replace(CASE, layout=Layout.contiguous(6, 1), activation=activation)
    hidden, ids, gate = case.inputs(0, 40)
    ids = (ids[:, :1] + torch.arange(2)) % 6
    wanted = jobs.definition(case, (hidden, ids, gate))
    for dtype in (torch.float32, torch.bfloat16):
        layer = StaticGating(case.layer().experts.to("cuda", dtype), 1.0)
        for mode in (torch.no_grad, torch.enable_grad):
            with mode():
                found = layer(hidden.to("cuda", dtype), ids.cuda(), gate.cuda())
            assert layer.dropped == 0
            assert jobs.error(found.detach().double().cpu(), wanted) <= _tolerance(dtype)


def test_autocast_takes_grouped_kernels() -> None:
    layer, (hidden, ids, gate) = _on_gpu(torch.float32)
    wanted = jobs.definition(CASE, (hidden.cpu(), ids.cpu(), gate.cpu()))
    for mode in (torch.no_grad, torch.enable_grad):
        for rows in (hidden, hidden.bfloat16()):
            with mode(), torch.autocast("cuda", torch.bfloat16):
                found = layer(rows, ids, gate)
            assert jobs.error(found.detach().double().cpu(), wanted) <= 2e-2


def test_double_precision_stays_so() -> None:
    layer, (hidden, ids, gate) = _on_gpu(torch.float64)
    wanted = jobs.definition(CASE, (hidden.cpu(), ids.cpu(), gate.cpu()))
    with torch.no_grad():
        assert jobs.error(layer(hidden, ids, gate.double()).cpu(), wanted) <= 1e-12


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
