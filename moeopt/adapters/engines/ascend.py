"""vllm-ascend: the JSON of ``eplb_config.expert_map_path`` (its first model runner).

Layers are found by their place in ``layer_list``, so MoE layers are numbered from 0 there. Each
rank keeps one place for an expert, so that two copies on one rank would be one, and every slot
behind it be misnumbered.
"""

from __future__ import annotations

import json
import os
import shlex

import msgspec
import numpy as np

from moeopt.adapters.engines.files import Known, placed, read_json, rows_of
from moeopt.adapters.engines.placements import (
    EnginePlacement,
    require_apart,
    require_full,
)
from moeopt.core.arrays import IntArray
from moeopt.core.errors import InstanceError

ENGINE = "vllm-ascend"
SUFFIXES = (".json",)


class _Device(msgspec.Struct):
    device_id: int
    device_expert: list[int]


class _Layer(msgspec.Struct):
    layer_id: int
    device_count: int
    device_list: list[_Device]


class _Document(msgspec.Struct):
    moe_layer_count: int
    layer_list: list[_Layer]


def refuse(placement: EnginePlacement) -> None:
    """Raise `InstanceError` for what vllm-ascend cannot hold."""
    require_full(placement, ENGINE)
    require_apart(placement, ENGINE)


def encode(placement: EnginePlacement) -> bytes:
    """Return the file, one line for each layer."""
    lines = [
        "    " + json.dumps(_layer(number, devices))
        for number, devices in enumerate(placement.by_device())
    ]
    head = f'{{\n  "moe_layer_count": {placement.num_layers},\n  "layer_list": [\n'
    return (head + ",\n".join(lines) + "\n  ]\n}\n").encode()


def _layer(number: int, devices: IntArray) -> dict[str, object]:
    return {
        "layer_id": number,
        "device_count": len(devices),
        "device_list": [
            {"device_id": device, "device_expert": experts.tolist()}
            for device, experts in enumerate(devices)
        ],
    }


def read(path: str | os.PathLike[str], known: Known) -> EnginePlacement:
    """Return the placement of a file."""
    what = "an object with moe_layer_count and layer_list"
    document = read_json(path, _Document, what)
    layers = document.layer_list
    devices = {layer.device_count for layer in layers} | {
        len(layer.device_list) for layer in layers
    }
    if len(layers) != document.moe_layer_count or len(devices) != 1:
        raise _contradicts(path)
    rows = []
    for number, layer in enumerate(layers):
        ids = [device.device_id for device in layer.device_list]
        if layer.layer_id != number or ids != list(range(len(ids))):
            raise _contradicts(path)
        rows.append([device.device_expert for device in layer.device_list])
    table = rows_of(path, rows)
    if table.ndim != 3:
        raise _contradicts(path)
    return placed(path, np.reshape(table, (len(table), -1)), known, devices.pop())


def usage(placement: EnginePlacement, path: str) -> list[str]:
    """Return the command that serves the placement."""
    config = {"eplb_config": {"expert_map_path": path}}
    return [
        f"vllm serve MODEL --tensor-parallel-size {placement.devices} --enable-expert-parallel"
        f" --additional-config {shlex.quote(json.dumps(config))}",
        f"# tensor times data parallel size must be {placement.devices}",
    ]


def _contradicts(path: str | os.PathLike[str]) -> InstanceError:
    return InstanceError(
        os.fspath(path),
        "<counts and ids>",
        "must have moe_layer_count layers of one device_count, numbered from 0 in order",
        "write it again",
    )
