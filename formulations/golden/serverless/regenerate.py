"""Write the golden models of the serverless wing anew.

Run ``python formulations/golden/serverless/regenerate.py``.

Each instance is compiled to an MPS file, and its optimum is that of brute force over all plans
(`tests/serverless/serverless_oracle.py`), which knows nothing of the models. Run it after a change
of the formulation page that changes the models, and read the differences.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "tests" / "serverless"))

from serverless_oracle import brute_force, layer, simple, whole_prices  # noqa: E402

from moeopt.io import problem_to_json  # noqa: E402
from moeopt.mip import write_mps  # noqa: E402
from moeopt.serverless.exact_model import build  # noqa: E402
from moeopt.serverless.problem import (  # noqa: E402
    Billing,
    MemoryTable,
    Network,
    ServerlessProblem,
)

FEW = (layer([6, 1], non_moe_s=1.0, next_mb=8), layer([2]))
SLOW_STORAGE = Network(
    storage_bytes_per_s=8.0 * 2**20, function_bytes_per_s=4.0 * 2**20, access_delay_s=0.25,
    warm_start_s=0.5, cold_start_s=1.0,
)  # fmt: skip
TWO_SIZES: dict[str, Any] = {
    "memory_mb": (1024, 2048),
    "compute": MemoryTable(seconds_per_token=(1.0, 0.375)),
    "max_replicas": 2,
    "network": SLOW_STORAGE,
}
UPLOADS = {"output_mb": 2.0, "network": SLOW_STORAGE, "designs": (1,), "pipeline_degree": "model"}

#: What makes each instance; ``tighten`` says which form of the model is written.
INSTANCES: dict[str, tuple[bool, dict[str, Any]]] = {
    "bill": (True, {**TWO_SIZES, "layers": FEW, "billing": Billing(cold_share=0.5)}),
    "promise": (True, {**TWO_SIZES, "layers": FEW, "slo_s": 12.0}),
    "promise-plain": (False, {**TWO_SIZES, "layers": FEW, "slo_s": 12.0}),
    "waiting": (
        True,
        {**TWO_SIZES, "layers": FEW, "billing": Billing(non_moe_memory_mb=2048), "head_s": 2.0},
    ),
    "scenarios": (
        True,
        {
            **TWO_SIZES,
            "layers": (layer([[4, 0, 2], [0, 4, 2]]),),
            "scenario_weights": (3.0, 1.0),
            "slo_s": 7.0,
            "slo_start": "cold",
        },
    ),
    "limits-plain": (
        False,
        {
            **TWO_SIZES,
            "layers": (layer([5, 2]),),
            "intermediate_mb": 1012,
            "payload_bytes": 3 * 2**20,
            "prices": whole_prices(timeout_s=5.0),
        },
    ),
    "one-degree": (True, {**UPLOADS, "layers": (layer([8]), layer([16]))}),
    "one-degree-plain": (False, {**UPLOADS, "layers": (layer([8]), layer([16])), "slo_s": 45.0}),
    "two-designs-plain": (False, {**TWO_SIZES, "layers": (layer([3, 1]),), "designs": (1, 2)}),
}


def problem_of(name: str) -> ServerlessProblem:
    """Return the problem of a golden instance."""
    return simple(name=name, **INSTANCES[name][1])


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
