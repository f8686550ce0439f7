"""Where Triton is there, kernels of our own; PyTorch's operations do the same without it."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from typing import Any

import torch


def gpu_kernels(rows: torch.Tensor) -> Any:
    """Return the module of kernels for rows on a GPU, or ``None``; they compute in fp32."""
    return _kernels() if rows.is_cuda and rows.dtype != torch.float64 else None


@functools.cache
def _kernels() -> Any:
    if importlib.util.find_spec("triton") is None:
        return None
    return importlib.import_module("moeopt.adapters.torch._kernels_triton")
