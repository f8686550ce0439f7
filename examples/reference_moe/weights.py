"""The shipped weights: int8 with a scale for each column, gates in half precision, one file."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from model import Config, Model
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

_SCALE = ".scale"
#: Left in half precision: they are small, and the routing hangs on the gates.
_HALF = ("embedding", "head", "gate.weight")


def save(path: Path, model: Model) -> None:
    """Write a model rounded to int8: value = int8 x the scale of its column.

    Parameters
    ----------
    path
        The ``.safetensors``; its metadata holds the sizes of the model.
    model
        What to write.
    """
    tensors: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        if name.endswith(_HALF):
            tensors[name] = tensor.half()
            continue
        scale = (tensor.float().abs().amax(-2, keepdim=True) / 127).half()
        scale = scale.clamp(min=torch.finfo(torch.float16).tiny)
        tensors[name] = (tensor / scale.float()).round().clamp(-127, 127).to(torch.int8)
        tensors[name + _SCALE] = scale
    tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, metadata={"config": json.dumps(asdict(model.config))})


def load(path: Path, device: str = "cpu") -> Model:
    """Return the model of a file that `save` wrote, in single precision, ready to evaluate.

    Parameters
    ----------
    path
        The ``.safetensors``.
    device
        Where the model is to live.
    """
    with safe_open(path, "pt") as file:
        model = Model(Config(**json.loads(file.metadata()["config"])))
        names = set(file.keys())
        state = {}
        for name in names:
            if not name.endswith(_SCALE):
                tensor = file.get_tensor(name).float()
                scaled = name + _SCALE in names
                state[name] = tensor * file.get_tensor(name + _SCALE).float() if scaled else tensor
    model.load_state_dict(state)
    return model.to(device).eval().requires_grad_(False)
