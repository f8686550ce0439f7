"""An expert computed with PyTorch on processors: for functions made of a container image."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn import functional

from .protocol import NUMBER, Tensor


def compute(tokens: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
    """Return the expert's outputs: the same as `experts_numpy.compute`, up to rounding.

    Parameters
    ----------
    tokens
        ``(tokens, in)``.
    parameters
        ``up (in, hidden)``, ``down (hidden, out)`` and maybe ``gate (in, hidden)``.

    Returns
    -------
    Tensor
        ``(tokens, out)``.
    """
    # Tokens that came from bytes cannot be written to, which PyTorch's tensors always can.
    rows = torch.from_numpy(np.array(tokens, dtype=NUMBER))
    held = {name: torch.from_numpy(array) for name, array in parameters.items()}
    with torch.inference_mode():
        hidden = rows @ held["up"]
        if "gate" in held:
            hidden *= functional.silu(rows @ held["gate"])
        else:
            hidden = functional.gelu(hidden, approximate="tanh")
        outputs: Tensor = (hidden @ held["down"]).numpy()
    return outputs
