"""Write the golden models of the colocation wing anew.

Run ``python formulations/golden/colocation/regenerate.py``.

Each instance is compiled to an MPS file, and its optimum is that of brute force over all plans
(`tests/colocation/colocation_oracle.py`), which knows nothing of the models. Run it after a change
of the formulation page that changes the models, and read the differences.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "tests" / "colocation"))

from colocation_oracle import brute_force, cluster_of, layer  # noqa: E402

from moeopt.colocation.exact import build  # noqa: E402
from moeopt.colocation.problem import ColocationProblem, Pin  # noqa: E402
from moeopt.io import problem_to_json  # noqa: E402
from moeopt.mip import write_mps  # noqa: E402

EQUAL = cluster_of((1.0, 1.0, 3))
UNEQUAL = cluster_of((2.0, 4.0, 1), (1.0, 2.0, 2))
A = layer(
    [[1, 3, 2], [1, 0, 2], [4, 2, 0]], gate_s=1.0, aggregation_s=0.5, seconds_per_token=0.5,
    expert_bytes=2,
)  # fmt: skip
B = layer(
    [[0, 1, 2], [4, 0, 1], [0, 1, 0]], gate_s=0.5, aggregation_s=1.0, seconds_per_token=0.25,
    combine_bytes_per_token=2.0, expert_bytes=1,
)  # fmt: skip
SMALL = layer([[2, 5], [3, 0]], gate_s=1.0, seconds_per_token=1.0, expert_bytes=3)

#: What makes each instance; ``tighten`` says which form of the model is written.
INSTANCES: dict[str, tuple[bool, dict[str, Any]]] = {
    "time": (True, {"models": (A, B), "cluster": UNEQUAL}),
    "time-plain": (False, {"models": (A, B), "cluster": UNEQUAL}),
    "bottleneck": (True, {"models": (A, B), "cluster": UNEQUAL, "objective": "bottleneck"}),
    "communication": (True, {"models": (A, B), "cluster": EQUAL, "objective": "communication"}),
    "one-model": (True, {"models": (A,), "cluster": UNEQUAL}),
    "three-models": (
        True,
        {"models": (SMALL, A, B), "cluster": UNEQUAL, "objective": "bottleneck"},
    ),
    "two-places": (
        True,
        {"models": (A, SMALL), "cluster": cluster_of((1.0, 1.0, 2)), "experts_per_device": 2},
    ),
    "two-places-plain": (
        False,
        {
            "models": (A, SMALL),
            "cluster": cluster_of((1.0, 1.0, 2)),
            "experts_per_device": 2,
            "objective": "communication",
        },
    ),
    "memory": (True, {"models": (A, SMALL), "cluster": UNEQUAL, "expert_memory_bytes": (2, 5, 5)}),
    "rules-plain": (
        False,
        {
            "models": (A, B),
            "cluster": UNEQUAL,
            "expert_memory_bytes": (3, 3, 3),
            "pinned": (Pin(model=0, expert=2, device=1), Pin(model=1, expert=1, device=1)),
        },
    ),
}


def problem_of(name: str) -> ColocationProblem:
    """Return the problem of a golden instance."""
    return ColocationProblem(name=name, **INSTANCES[name][1])


def main() -> None:
    """Write every model and ``index.json``."""
    for old in HERE.glob("*.mps"):
        old.unlink()
    index = {}
    for name, (tighten, _) in INSTANCES.items():
        problem = problem_of(name)
        best = brute_force(problem)
        if best is None:
            raise SystemExit(f"{name} is infeasible")
        (model,) = build(problem, tighten=tighten)
        write_mps(model, HERE / f"{model.name}.mps")
        index[name] = {
            "optimum": best.objective,
            "tighten": tighten,
            "models": [f"{model.name}.mps"],
            "problem": json.loads(problem_to_json(problem)),
        }
    (HERE / "index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
