"""vLLM: the JSON of ``eplb_config.initial_expert_map_path`` (vLLM pull request 49572).

A list for every MoE layer in order. One list alone stands for all layers.
"""

from __future__ import annotations

import json
import os
import shlex

import numpy as np

from moeopt.adapters.engines.files import Known, json_rows, placed, read_json, rows_of
from moeopt.adapters.engines.placements import EnginePlacement, require_full
from moeopt.core.errors import InstanceError

ENGINE = "vLLM"
SUFFIXES = (".json",)


def refuse(placement: EnginePlacement) -> None:
    """Raise `InstanceError` for what vLLM cannot hold."""
    require_full(placement, ENGINE)


def encode(placement: EnginePlacement) -> bytes:
    """Return the file."""
    return f"{json_rows(placement.table)}\n".encode()


def read(path: str | os.PathLike[str], known: Known) -> EnginePlacement:
    """Return the placement of a file."""
    what = "a list of experts, or one such list for each MoE layer"
    rows = read_json(path, list[list[int] | int], what)
    table = rows_of(path, rows)
    if table.ndim == 1:
        layers = 1 if known.layers is None else len(known.layers.ids)
        table = np.tile(table, (layers, 1))
    if known.layers is not None and len(table) != len(known.layers.ids):
        raise InstanceError(
            os.fspath(path),
            f"<{len(table)} lists>",
            f"must have one for each of the {len(known.layers.ids)} MoE layers",
            "is it the right model?",
        )
    return placed(path, table, known)


def usage(placement: EnginePlacement, path: str) -> list[str]:
    """Return the command that serves the placement."""
    config = {"num_redundant_experts": placement.redundant, "initial_expert_map_path": path}
    return [
        f"vllm serve MODEL --tensor-parallel-size {placement.devices} --enable-expert-parallel"
        f" --enable-eplb --eplb-config {shlex.quote(json.dumps(config))}",
        "# needs vLLM pull request 49572; tensor times data parallel size must be"
        f" {placement.devices}",
        "# vLLM makes its own placement after a quarter of step_interval (3000) steps: raise it to"
        " keep this one",
    ]
