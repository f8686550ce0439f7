"""Write the golden models of the buffering wing anew.

Run ``python formulations/golden/buffering/regenerate.py``.

Each instance is compiled to MPS files, and its optimum is that of brute force over all schedules
(`tests/buffering/buffering_oracle.py`), which knows nothing of the models. Run it after a change
of the formulation page that changes the models, and read the differences.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "tests" / "buffering"))

from buffering_oracle import brute_force, problem_of  # noqa: E402

from moeopt.buffering.exact import build  # noqa: E402
from moeopt.buffering.problem import BufferingProblem  # noqa: E402
from moeopt.io import problem_to_json  # noqa: E402
from moeopt.mip import write_mps  # noqa: E402

ONE = [[0, 1], [2], [0, 3], [1], [2, 0], [3]]
SCAN = [[0, 1, 2], [0, 1, 2], [2, 3], [0, 1]]
TWO_LAYERS = [[0, 1], [2], [1], [0, 2], [0, 2], [1], [1], [2, 0]]
SIZES = [[3, 1, 2, 2]]
SECONDS = {"load_s": [[3.0, 1.0, 2.0, 4.0]], "objective": "seconds"}
SERVED = {"serve": "bypass", "miss_s": [[2.0, 1.0, 3.0, 1.5]], **SECONDS}

#: What makes each instance: ``tighten`` says which form of the model is written, then groups,
#: layers and fields.
INSTANCES: dict[str, tuple[bool, list[list[int]], int, dict[str, Any]]] = {
    "misses": (True, ONE, 1, {"slots": 2}),
    "misses-plain": (False, ONE, 1, {"slots": 2}),
    "seconds": (True, ONE, 1, {"slots": 2, **SECONDS}),
    "sizes": (True, ONE, 1, {"cache_bytes": 4, "expert_bytes": SIZES, "objective": "miss_bytes"}),
    "any-order": (True, SCAN, 1, {"slots": 2, "any_order": True}),
    "any-order-sizes": (
        True,
        SCAN,
        1,
        {"cache_bytes": 5, "expert_bytes": SIZES, "any_order": True, **SECONDS},
    ),
    "any-order-plain": (False, SCAN, 1, {"slots": 2, "any_order": True}),
    "budget": (True, TWO_LAYERS, 2, {"budget_bytes": 8, "expert_bytes": [2, 3]}),
    "budget-plain": (False, TWO_LAYERS, 2, {"budget_bytes": 8, "expert_bytes": [2, 3]}),
    "pool": (True, TWO_LAYERS, 2, {"slots": 3, "pooled": True}),
    "layers": (True, TWO_LAYERS, 2, {"slots": [1, 2]}),
    "bypass": (True, ONE, 1, {"slots": 2, **SERVED}),
    "bypass-cap": (True, ONE, 1, {"slots": 2, "loads_per_group": 1, **SERVED}),
    "bypass-fill": (True, ONE, 1, {"slots": 2, "free_fill": True, **SERVED}),
    "bypass-sizes": (True, ONE, 1, {"cache_bytes": 4, "expert_bytes": SIZES, **SERVED}),
    "rules-plain": (
        False,
        ONE,
        1,
        {
            "slots": 2,
            "loads_per_group": 1,
            "update_period": 2,
            "pinned": [[0, 1]],
            **SERVED,
        },
    ),
}


def problem_for(name: str) -> BufferingProblem:
    """Return the problem of a golden instance."""
    _, groups, layers, fields = INSTANCES[name]
    arrays = {key: np.array(value) if isinstance(value, list) else value
              for key, value in fields.items()}  # fmt: skip
    return problem_of(groups, layers, name=name, **arrays)


def main() -> None:
    """Write every model and ``index.json``."""
    for old in HERE.glob("*.mps"):
        old.unlink()
    index = {}
    for name, (tighten, *_) in INSTANCES.items():
        problem = problem_for(name)
        best = brute_force(problem)
        if best is None:
            raise SystemExit(f"{name} is infeasible")
        files = []
        for number, model in enumerate(build(problem, tighten=tighten)):
            files.append(f"{name}.mps" if number == 0 else f"{name}-cache{number}.mps")
            write_mps(model, HERE / files[-1])
        index[name] = {
            "optimum": best.objective,
            "tighten": tighten,
            "models": files,
            "problem": json.loads(problem_to_json(problem)),
        }
    (HERE / "index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
