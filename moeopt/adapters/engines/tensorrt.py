"""TensorRT-LLM: the YAML of ``moe_config.load_balancer``, a plan that stays (offline).

Keys as its ``generate_eplb_config.py`` writes them; layers by their number in the model. The file
is so plain that it is written and read without a library: read is what stands on lines of
``key: number`` and ``key: [numbers]``.
"""

from __future__ import annotations

import json
import os
import re

from moeopt.adapters.engines.files import Known, placed, read_text, rows_of
from moeopt.adapters.engines.placements import (
    EnginePlacement,
    ModelLayers,
    require_full,
    require_layers,
)
from moeopt.core.errors import InstanceError

ENGINE = "TensorRT-LLM"
SUFFIXES = (".yaml", ".yml")

_SLOTS, _LAYERS, _UPDATES = "num_slots", "initial_global_assignments", "layer_updates_per_iter"

_COMMENT = re.compile(r"(?:^|\s)#.*")
_NUMBER = re.compile(r"(\w+):\s*(\d{1,9})")
_LAYER = re.compile(r"\s+(\d{1,9}):\s*\[([\d,\s]*)\]")
_ENTRY = re.compile(r"\s*(\d{1,9})\s*")


def refuse(placement: EnginePlacement) -> None:
    """Raise `InstanceError` for what TensorRT-LLM cannot hold."""
    require_layers(placement, ENGINE)
    require_full(placement, ENGINE)


def encode(placement: EnginePlacement) -> bytes:
    """Return the file."""
    layers = require_layers(placement, ENGINE)
    rows = "".join(
        f"  {layer}: {row}\n"
        for layer, row in zip(layers.ids, placement.table.tolist(), strict=True)
    )
    return f"{_SLOTS}: {placement.num_slots}\n{_LAYERS}:\n{rows}{_UPDATES}: 0\n".encode()


def read(path: str | os.PathLike[str], known: Known) -> EnginePlacement:
    """Return the placement of a file."""
    name = os.fspath(path)
    numbers, rows = _parsed(name, read_text(name))
    ids = tuple(sorted(rows))
    if not ids:
        raise InstanceError(name, "<no layers>", f"must have {_LAYERS}", "is it an online config?")
    table = rows_of(name, [rows[layer] for layer in ids])
    if table.shape[1] != numbers.get(_SLOTS, table.shape[1]):
        raise InstanceError(
            f"{name}: {_SLOTS}",
            numbers[_SLOTS],
            f"must be the {table.shape[1]} experts that each layer lists",
            "write it again",
        )
    layers = known.layers or ModelLayers(ids, ids[-1] + 1)
    if layers.ids != ids:
        raise InstanceError(
            f"{name}: {_LAYERS}",
            f"<layers {ids[0]} to {ids[-1]}>",
            f"must be of the {len(layers.ids)} MoE layers {layers.ids[0]} to {layers.ids[-1]}",
            "is it the right model?",
        )
    return placed(name, table, Known(known.devices, known.experts, layers), numbers.get("ep_size"))


def usage(placement: EnginePlacement, path: str) -> list[str]:
    """Return the command that serves the placement, and the options that it names."""
    ranks = placement.devices
    return [
        f"trtllm-serve MODEL --tp_size {ranks} --ep_size {ranks}"
        " --extra_llm_api_options options.yaml",
        "# options.yaml",
        "moe_config:",
        "  backend: WIDEEP",
        f"  load_balancer: {json.dumps(path)}",
    ]


def _parsed(name: str, data: bytes) -> tuple[dict[str, int], dict[int, list[int]]]:
    """Return the numbers by key and the experts of each layer."""
    numbers: dict[str, int] = {}
    rows: dict[int, list[int]] = {}
    inside = False
    for line, text in _lines(data):
        number, layer = _NUMBER.fullmatch(text), _LAYER.fullmatch(text)
        where = f"{name}, line {line}"
        if text == f"{_LAYERS}:" and not rows:
            inside = True
        elif number and number[1] in (_SLOTS, _UPDATES, "ep_size") and number[1] not in numbers:
            numbers[number[1]] = int(number[2])
            inside = False
        elif inside and layer and int(layer[1]) not in rows:
            rows[int(layer[1])] = _entries(layer[2], where)
        else:
            raise InstanceError(
                where,
                text.strip(),
                f"must be {_SLOTS}, {_UPDATES}, ep_size or {_LAYERS}, each once,"
                " and below the last, layer: [experts]",
                "write it as generate_eplb_config.py does",
            )
    if numbers.get(_UPDATES, 0) != 0:
        raise InstanceError(
            f"{name}: {_UPDATES}", numbers[_UPDATES], "must be 0: this one is no plan", "see docs"
        )
    return numbers, rows


def _lines(data: bytes) -> list[tuple[int, str]]:
    """Return the lines that say something, by number; a list that goes on is joined to one."""
    found: list[tuple[int, list[str]]] = []
    open_lists = 0
    for line, raw in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        text = _COMMENT.sub("", raw).rstrip()
        if open_lists > 0:
            found[-1][1].append(text.strip())
        elif text and text != "---":
            found.append((line, [text]))
            open_lists = 0
        open_lists += text.count("[") - text.count("]")
    return [(line, " ".join(parts)) for line, parts in found]


def _entries(text: str, where: str) -> list[int]:
    entries = [_ENTRY.fullmatch(entry) for entry in text.split(",")]
    if not all(entries):
        raise InstanceError(where, text.strip(), "must list experts", "write them as [3, 0, 2]")
    return [int(entry[1]) for entry in entries if entry]
