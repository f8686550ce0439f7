"""What a layer takes, what it refuses in a sentence, and that bad numbers stay where they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch_jobs_layer as jobs
from torch_jobs_layer import Case
from torch_pools import Pool

from moeopt.adapters.torch.layout import Layout
from moeopt.core.errors import InstanceError

CASE = Case(Layout.even([0, 1, 2, 0], [4]), (6,))
PAIR = Case(Layout.even([0, 1, 2, 0], [1, 3]), (6, 4))


def _given(**changed: Any) -> tuple[torch.Tensor, ...]:
    names = ("hidden", "expert_ids", "gate_weights")
    given = dict(zip(names, CASE.inputs(0, 6), strict=True))
    for name, change in changed.items():
        given[name] = change(given[name])
    return tuple(given.values())


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "hidden",
            lambda x: x[:, :5],
            r"hidden: must have shape \(tokens, 8\), got <shape \(6, 5\)>",
        ),
        ("hidden", lambda x: x[None], r"hidden: must have shape \(tokens, 8\)"),
        ("hidden", lambda x: x[:4], r"expert_ids: must have shape \(4, top_k\), as many tokens"),
        ("hidden", lambda x: x.bfloat16(), "hidden: must have the experts' type, torch.float32"),
        ("hidden", lambda x: x.to("meta"), "hidden: must be on the experts' device, cpu"),
        ("expert_ids", lambda x: x[:, 0], r"expert_ids: must have shape \(6, top_k\)"),
        ("expert_ids", lambda x: x[:, :0], r"expert_ids: must have shape \(6, top_k\)"),
        ("expert_ids", lambda x: x.float(), "expert_ids: must be integers, .* <torch.float32>"),
        ("expert_ids", lambda x: x > 0, "expert_ids: must be integers, .* got <torch.bool>"),
        ("expert_ids", lambda x: x.to(torch.uint32), "expert_ids: must be integers, signed or"),
        ("expert_ids", lambda x: x.to("meta"), "expert_ids: must be on the experts' device"),
        ("gate_weights", lambda x: x[:, :1], r"gate_weights: must have the shape of expert_ids"),
        ("gate_weights", lambda x: x.long(), "gate_weights: must be floating-point numbers"),
        ("expert_ids", lambda x: x - 1, "expert_ids: must be experts of the layout, 0 to 2, got <"),
        ("expert_ids", lambda x: x + 1, "of 12 choices outside>; number experts as the layout"),
    ],
)
@pytest.mark.parametrize("grad", [False, True])
def test_what_does_not_fit_is_refused(name: str, change: Any, message: str, grad: bool) -> None:
    with torch.set_grad_enabled(grad), pytest.raises(InstanceError, match=message):
        CASE.layer()(*_given(**{name: change}))


def test_a_refused_pass_leaves_the_layer_as_it_was() -> None:
    layer, right = CASE.layer(), _given()
    with torch.no_grad():
        before = layer(*right)
        with pytest.raises(InstanceError):
            layer(*_given(expert_ids=lambda ids: ids + 1))
        assert torch.equal(layer(*right), before)


@pytest.mark.parametrize("expert", [300, -1])
def test_an_expert_that_there_is_not_is_told_on_every_rank(workers2: Pool, expert: int) -> None:
    others, own = workers2.run(jobs.wrong_ids, PAIR, expert)
    for said, found in ((others, "<outside on another rank>"), (own, "<1 of 8 choices outside>")):
        assert said.startswith(f"expert_ids: must be experts of the layout, 0 to 2, got {found}")


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.uint8])
def test_experts_of_any_integer_type_are_taken(dtype: torch.dtype) -> None:
    layer = CASE.layer()
    assert torch.equal(layer(*_given(expert_ids=lambda ids: ids.to(dtype))), layer(*_given()))


def test_views_are_taken() -> None:
    wide = torch.stack([*_given()[:1], torch.zeros(6, 8)], dim=2)
    other = _given(
        hidden=lambda x: wide[:, :, 0],
        expert_ids=lambda ids: ids.T.contiguous().T,
        gate_weights=lambda weights: weights.flip(0).T.contiguous().T.flip(0),
    )
    assert not other[0].is_contiguous()
    assert not other[1].is_contiguous()
    for mode in (torch.no_grad, torch.enable_grad):
        layer = CASE.layer()
        with mode():
            assert torch.equal(layer(*other), layer(*_given()))


def test_weights_may_have_more_digits_than_tokens() -> None:
    layer = CASE.layer().bfloat16()
    given = _given(hidden=torch.Tensor.bfloat16)
    for mode in (torch.no_grad, torch.enable_grad):
        with mode():
            found = layer(*given)
        assert found.dtype == torch.bfloat16
        assert jobs.error(found.detach().double(), jobs.definition(CASE, _given())) < 2e-2
    layer(given[0], given[1], given[2].requires_grad_()).float().sum().backward()
    assert given[2].grad is not None
    assert given[2].grad.dtype == torch.float32


def test_autocast_computes_in_fewer_digits(workers2: Pool) -> None:
    # Widths for grouped kernels, and not; and a rank that no rows come to.
    odd = replace(PAIR, hidden=5, inner=3)
    alone = replace(odd, routing="one")
    errors = [jobs.autocast_error(CASE), jobs.autocast_error(replace(CASE, hidden=5, inner=3))]
    for case in (PAIR, odd, alone):
        errors += workers2.run(jobs.autocast_error, case)
    assert all(1e-6 < error < 2e-2 for error in errors), errors
    hidden, ids, gate = _given(hidden=torch.Tensor.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        assert CASE.layer()(hidden, ids, gate).dtype == torch.bfloat16


@pytest.mark.parametrize("place", [0, 2])
@pytest.mark.parametrize("grad", [False, True])
def test_what_is_no_number_stays_with_its_token(place: int, grad: bool) -> None:
    given = list(_given())
    given[place] = given[place].clone()
    given[place][2, 0] = float("nan")
    with torch.set_grad_enabled(grad):
        layer = CASE.layer()
        found, right = layer(*given).detach(), layer(*_given()).detach()
    assert found[2].isnan().all()
    others = [0, 1, 3, 4, 5]
    assert torch.equal(found[others], right[others])
