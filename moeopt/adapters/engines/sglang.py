"""SGLang: JSON for ``--init-expert-location``, read by its ``srt/eplb/expert_location.py``.

One key, because the object is handed on as keyword arguments; a row for every layer of the model,
the dense ones too, which the server never asks for but whose experts it counts.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import replace

import msgspec
import numpy as np

from moeopt.adapters.engines.files import Known, json_rows, placed, read_json, rows_of
from moeopt.adapters.engines.placements import EnginePlacement, require_full, require_layers
from moeopt.core.arrays import IntArray
from moeopt.core.errors import InstanceError

ENGINE = "SGLang"

#: Any other name is read as JSON itself.
SUFFIXES = (".json",)


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    physical_to_logical_map: list[list[int]]


def refuse(placement: EnginePlacement) -> None:
    """Raise `InstanceError` for what SGLang cannot hold."""
    require_layers(placement, ENGINE)
    require_full(placement, ENGINE)


def encode(placement: EnginePlacement) -> bytes:
    """Return the file: dense layers get the experts in turn, as SGLang fills them itself."""
    rows = json_rows(whole_model(placement), "  ")
    return f'{{\n  "physical_to_logical_map": {rows}\n}}\n'.encode()


def whole_model(placement: EnginePlacement) -> IntArray:
    """Return the table of all layers of the model, ``(layers, slots)``."""
    layers = require_layers(placement, ENGINE)
    plain = np.arange(placement.num_slots) % placement.experts
    table = np.tile(plain, (layers.total, 1))
    table[list(layers.ids)] = placement.table
    return table


def read(path: str | os.PathLike[str], known: Known) -> EnginePlacement:
    """Return the placement of a file: its MoE layers where these are known, else all."""
    document = read_json(path, _Document, "an object with physical_to_logical_map alone")
    table = rows_of(path, document.physical_to_logical_map)
    # Dense layers are read by the engine too: theirs must be placements.
    whole = placed(path, table, Known(known.devices, known.experts))
    if known.layers is None:
        return whole
    if len(table) != known.layers.total:
        raise InstanceError(
            os.fspath(path),
            f"<{len(table)} layers>",
            f"must have the model's {known.layers.total}, dense ones too",
            "is it the right model?",
        )
    return replace(whole, table=table[list(known.layers.ids)], layers=known.layers)


def usage(placement: EnginePlacement, path: str) -> list[str]:
    """Return the command that serves the placement."""
    ranks = placement.devices
    return [
        f"python -m sglang.launch_server --model-path MODEL --tp-size {ranks} --ep-size {ranks}"
        f" --ep-num-redundant-experts {placement.redundant}"
        f" --init-expert-location {shlex.quote(path)}"
    ]
