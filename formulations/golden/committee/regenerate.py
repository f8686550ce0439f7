"""Write the golden models of the committee wing anew.

Run ``python formulations/golden/committee/regenerate.py``.

Each instance is compiled to MPS files, a model for each update period that may be the best, and its
optimum is that of brute force over slots and sets of residents
(`tests/committee/committee_oracle.py`), which knows nothing of the models. Run it after a change of
the formulation page that changes the models, and read the differences.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "tests" / "committee"))

from committee_oracle import brute_force  # noqa: E402

from moeopt.committee.exact import build  # noqa: E402
from moeopt.committee.problem import CommitteeProblem  # noqa: E402
from moeopt.io import problem_to_json  # noqa: E402
from moeopt.mip import write_mps  # noqa: E402

#: Windows, layers and experts.
WORTH = [
    [[5, 1, 0], [2, 2, 3]],
    [[1, 4, 0], [3, 0, 1]],
    [[0, 6, 2], [1, 4, 0]],
    [[3, 2, 4], [0, 5, 1]],
]
#: Tokens, layers and experts.
ROUTER = [
    [[4, 3, 1], [0, 2, 5]],
    [[3, 4, 2], [1, 6, 0]],
    [[0, 5, 4], [2, 3, 3]],
    [[1, 0, 7], [4, 0, 2]],
]
TABLE = [[[9, 5, 4, 1], [7, 6, 2, 0]], [[9, 6, 5, 3], [8, 3, 2, 1]]]
SWAPS = [[[0, 1, 2, 1], [0, 0, 1, 2]], [[0, 1, 2, 3], [0, 1, 1, 0]]]
SIZES = {"expert_bytes": [2, 3], "budget_bytes": 9}
LINK = {"link_bytes_per_s": 1, "window_s": 1}
ADDITIVE = {"importance": WORTH, "budget_bytes": 3, "min_slots": 0}
GATED = {"router": ROUTER, "window_starts": [0, 2], "budget_bytes": 3, "min_slots": 0}
TABLES = {"loss": "table", "table": TABLE, "swaps": SWAPS, "periods": [1, 2], "min_slots": 0,
          **LINK, "budget_bytes": 4}  # fmt: skip

#: What makes each instance: ``tighten`` says which form of the model is written, then fields.
INSTANCES: dict[str, tuple[bool, dict[str, Any]]] = {
    "one-window": (True, {**ADDITIVE, "importance": WORTH[:1]}),
    "prices": (True, {**ADDITIVE, "load_price": 2}),
    "paid-fill": (True, {**ADDITIVE, "load_price": [1, 2], "free_fill": False}),
    "latency": (True, {**ADDITIVE, "budget_bytes": 6, "slot_s": [2, 3], "latency_s": 7}),
    "link": (True, {**ADDITIVE, **SIZES, **LINK, "link_bytes_per_s": 3, "free_fill": False}),
    "periods": (True, {**ADDITIVE, **LINK, "periods": [1, 2], "load_price": 1}),
    "skip": (True, {**GATED, "loss": "skip", "top_k": 2}),
    "masked": (True, {**GATED, "loss": "masked"}),
    "masked-prices": (True, {**GATED, "loss": "masked", "top_k": 2, "load_price": 1}),
    "table": (True, TABLES),
    "latency-plain": (
        False,
        {**ADDITIVE, "budget_bytes": 6, "slot_s": [2, 3], "latency_s": 7},
    ),
    "rules-plain": (
        False,
        {
            **ADDITIVE,
            **LINK,
            "expert_bytes": [2, 3],
            "activation_bytes": [0, 1],
            "budget_bytes": 7,
            "link_bytes_per_s": 1.5,
            "load_price": 0.5,
            "free_fill": False,
            "min_slots": 1,
            "max_slots": [3, 1],
            "periods": [2, 3],
        },
    ),
    "masked-plain": (False, {**GATED, "loss": "masked"}),
    "table-plain": (False, TABLES),
}


def problem_for(name: str) -> CommitteeProblem:
    """Return the problem of a golden instance."""
    _, fields = INSTANCES[name]
    arrays = {key: np.array(value) if isinstance(value, list) else value
              for key, value in fields.items()}  # fmt: skip
    return CommitteeProblem(name=name, layers=2, experts=3, **arrays)


def main() -> None:
    """Write every model and ``index.json``."""
    for old in HERE.glob("*.mps"):
        old.unlink()
    index = {}
    for name, (tighten, _) in INSTANCES.items():
        problem = problem_for(name)
        best = brute_force(problem)
        if best is None:
            raise SystemExit(f"{name} is infeasible")
        files = []
        for number, model in enumerate(build(problem, tighten=tighten)):
            files.append(f"{name}.mps" if number == 0 else f"{name}-{number + 1}.mps")
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
