"""What a layer takes: said in a sentence, without waiting for the device."""

from __future__ import annotations

from typing import Any

import torch

from moeopt.core.errors import InstanceError

#: Types of experts' numbers: those that PyTorch sorts.
_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def require_weights(up: torch.Tensor, down: torch.Tensor, *, gated: bool) -> None:
    """Raise `InstanceError` unless the weights of experts fit each other, as `Experts` has them."""
    if up.ndim != 3 or (gated and up.shape[1] % 2):
        rule = f"must have shape (slots, {'2 inner' if gated else 'inner'}, hidden)"
        raise _wrong("up", up.shape, rule, "Experts")
    slots, rows, hidden = up.shape
    wanted = (slots, hidden, rows // 2 if gated else rows)
    if down.shape != wanted:
        raise _wrong("down", down.shape, f"must have shape {wanted} beside such an up", "Experts")
    if (down.dtype, down.device) != (up.dtype, up.device):
        shown = f"{down.dtype} on {down.device}"
        raise _wrong("down", shown, f"must be {up.dtype} on {up.device}, as up is", "Experts")


def require_inputs(
    hidden: torch.Tensor, expert_ids: torch.Tensor, gate_weights: torch.Tensor, like: torch.Tensor
) -> None:
    """Raise `InstanceError` unless shapes, types and devices fit the experts' weights.

    Values are not looked at. A gate weight or a token that is no number stays with its token; for
    experts that there are not, see `require_experts`.

    Parameters
    ----------
    hidden, expert_ids, gate_weights
        As `ExpertParallel.forward`.
    like
        Weights into the experts, ``(slots, rows, hidden)``.
    """
    width = like.shape[-1]
    if hidden.ndim != 2 or hidden.shape[1] != width:
        raise _wrong("hidden", hidden.shape, f"must have shape (tokens, {width})")
    if expert_ids.ndim != 2 or len(expert_ids) != len(hidden) or expert_ids.shape[1] == 0:
        rule = f"must have shape ({len(hidden)}, top_k), as many tokens as hidden"
        raise _wrong("expert_ids", expert_ids.shape, rule)
    if gate_weights.shape != expert_ids.shape:
        rule = f"must have the shape of expert_ids, {tuple(expert_ids.shape)}"
        raise _wrong("gate_weights", gate_weights.shape, rule)
    if hidden.dtype != like.dtype and not torch.is_autocast_enabled(like.device.type):
        raise _wrong("hidden", hidden.dtype, f"must have the experts' type, {like.dtype}")
    if expert_ids.dtype not in _INTEGERS:
        raise _wrong("expert_ids", expert_ids.dtype, "must be integers, signed or of 8 bits")
    if not gate_weights.dtype.is_floating_point:
        raise _wrong("gate_weights", gate_weights.dtype, "must be floating-point numbers")
    given = {"hidden": hidden, "expert_ids": expert_ids, "gate_weights": gate_weights}
    for name, tensor in given.items():
        if tensor.device != like.device:
            raise _wrong(name, tensor.device, f"must be on the experts' device, {like.device}")


def require_experts(told: list[int], choices: int, experts: int) -> None:
    """Raise `InstanceError` if tokens chose experts that there are not, here or on another rank.

    The layer asks once the sizes are on the host: on a GPU a look at the choices would be one wait
    more. Until then such choices count for the first expert or the last. Every rank that is told
    sizes raises, so that none waits for tokens that will not come.

    Parameters
    ----------
    told
        Choices below 0, and up to the last expert; then sizes, which are below 0 where a rank has
        chosen experts that there are not.
    choices, experts
        How many there are.
    """
    if min(told) >= 0:
        return
    before, upto = told[:2]
    strange = before + choices - upto
    shown = f"<{strange} of {choices} choices outside>" if strange else "<outside on another rank>"
    rule = f"must be experts of the layout, 0 to {experts - 1}"
    raise InstanceError("expert_ids", shown, rule, "number experts as the layout does")


def _wrong(
    path: str, found: Any, rule: str, where: str = "ExpertParallel.forward"
) -> InstanceError:
    shown = f"<shape {tuple(found)}>" if isinstance(found, torch.Size) else f"<{found}>"
    return InstanceError(path, shown, rule, f"see {where}")
