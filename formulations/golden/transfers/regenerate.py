"""Write the golden models of the transfers wing anew.

Run ``python formulations/golden/transfers/regenerate.py``.

Each instance is compiled to an MPS file, and its optimum is that of brute force
(`moeopt.testing.conformance.transfers_oracle`), which knows nothing of the models. Run it after a
change of the formulation page that changes the models, and read the differences.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from moeopt.io import problem_to_json
from moeopt.mip import write_mps
from moeopt.testing.conformance.transfers_oracle import brute_force
from moeopt.transfers.exact import build
from moeopt.transfers.problem import Busy, TransferProblem, Window

HERE = Path(__file__).resolve().parent

THREE = [[0, 3, 1], [2, 0, 2], [1, 1, 0]]
CHAIN = [[0, 3, 2], [0, 0, 4], [1, 0, 0]]

#: What makes each instance; ``tighten`` says which form of the model is written.
INSTANCES: dict[str, tuple[bool, dict[str, Any]]] = {
    "rounds": (True, {"traffic_bytes": THREE, "objective": "rounds"}),
    "rounds-plain": (False, {"traffic_bytes": CHAIN, "objective": "rounds"}),
    "round-startups": (
        True,
        {"traffic_bytes": THREE, "startup_s": 0.75, "startup_per": "round", "peers": "one"},
    ),
    "round-startups-half-duplex": (
        True,
        {
            "traffic_bytes": CHAIN,
            "startup_s": 0.25,
            "startup_per": "round",
            "peers": "one",
            "half_duplex": True,
        },
    ),
    "half-duplex-one-peer": (
        True,
        {"traffic_bytes": THREE, "peers": "one", "half_duplex": True},
    ),
    "whole-messages": (
        True,
        {
            "traffic_bytes": THREE,
            "bandwidth_bytes_per_s": np.array([1.0, 2.0, 1.0]),
            "preemptive": False,
            "peers": "one",
            "startup_s": 0.5,
        },
    ),
    "whole-messages-plain": (
        False,
        {
            "traffic_bytes": CHAIN,
            "preemptive": False,
            "peers": "one",
            "windows": (
                Window(source=0, destination=1, release_s=1.0),
                Window(source=1, destination=2, deadline_s=6.0),
            ),
            "busy": (Busy(port=1, start_s=1.0, end_s=1.5),),
        },
    ),
    "whole-messages-half-duplex-plain": (
        False,
        {"traffic_bytes": CHAIN, "preemptive": False, "peers": "one", "half_duplex": True},
    ),
    "shared-rates": (
        True,
        {
            "traffic_bytes": [[0, 2, 2], [0, 0, 0], [0, 1, 0]],
            "bandwidth_bytes_per_s": np.array([2.0, 1.0, 1.0]),
        },
    ),
    "message-startups": (True, {"traffic_bytes": THREE, "startup_s": 0.25}),
    "timed": (
        True,
        {
            "traffic_bytes": [THREE, CHAIN],
            "windows": (
                Window(wave=1, release_s=2.0),
                Window(wave=0, source=1, deadline_s=5.0),
            ),
            "busy": (Busy(port=2, start_s=3.0, end_s=4.0),),
        },
    ),
    "timed-plain": (
        False,
        {
            "traffic_bytes": CHAIN,
            "bandwidth_bytes_per_s": np.array([1.0, 2.0, 1.0]),
            "receive_bytes_per_s": 2.0,
            "windows": (
                Window(destination=2, release_s=1.5),
                Window(source=2, deadline_s=1.0),
            ),
            "busy": (Busy(port=0, start_s=2.0, end_s=2.5),),
        },
    ),
    "timed-one-peer-plain": (
        False,
        {
            "traffic_bytes": CHAIN,
            "bandwidth_bytes_per_s": np.array([2.0, 1.0, 2.0]),
            "peers": "one",
            "windows": (Window(source=0, destination=2, release_s=1.0),),
        },
    ),
    "timed-half-duplex-plain": (
        False,
        {
            "traffic_bytes": CHAIN,
            "half_duplex": True,
            "windows": (Window(source=2, release_s=5.0),),
        },
    ),
}


def problem_of(name: str) -> TransferProblem:
    """Return the problem of a golden instance."""
    fields = {"bandwidth_bytes_per_s": 1.0, **INSTANCES[name][1]}
    fields["traffic_bytes"] = np.array(fields["traffic_bytes"], dtype=float)
    return TransferProblem(name=name, **fields)


def main() -> None:
    """Write every model and ``index.json``."""
    for old in HERE.glob("*.mps"):
        old.unlink()
    index = {}
    for name, (tighten, _) in INSTANCES.items():
        problem = problem_of(name)
        best = brute_force(problem)
        if best is None or best.objective is None:
            raise SystemExit(f"{name} has no optimum that brute force finds")
        (model,) = build(problem, tighten=tighten)
        write_mps(model, HERE / f"{name}.mps")
        index[name] = {
            "optimum": best.objective,
            "tighten": tighten,
            "model": f"{name}.mps",
            "problem": json.loads(problem_to_json(problem)),
        }
    (HERE / "index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
