"""Write the golden models of the placement wing anew.

Run ``python formulations/golden/placement/regenerate.py``.

Each instance is compiled to MPS files, one for each model, and its optimum is that of brute force
over all placements (`tests/placement/oracle.py`), which knows nothing of the models. Run it after
a change of the formulation page that changes the models, and read the differences.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "tests" / "placement"))

from oracle import brute_force  # noqa: E402

from moeopt.describe.cluster import Cluster, Device, Node, NodeGroup  # noqa: E402
from moeopt.io import problem_to_json  # noqa: E402
from moeopt.mip import write_mps  # noqa: E402
from moeopt.placement.exact import build  # noqa: E402
from moeopt.placement.problem import Pair, PlacementProblem, Timing  # noqa: E402

FOUR = [[4, 3, 2, 1]]
SCENARIOS = [[[8, 1, 2, 1]], [[1, 1, 2, 4]], [[0, 5, 0, 3]], [[2, 2, 2, 2]]]

#: What makes each instance; ``tighten`` says which form of the model is written.
INSTANCES: dict[str, tuple[bool, dict[str, Any]]] = {
    "max-load": (True, {"loads_tokens": [[16, 4, 2, 2]], "slots_per_device": 3}),
    "max-load-plain": (False, {"loads_tokens": [[8, 3, 1]], "max_copies_per_device": 1}),
    "mean-max": (True, {"loads_tokens": SCENARIOS, "objective": "mean_max"}),
    "worst-max": (True, {"loads_tokens": SCENARIOS, "objective": "worst_max"}),
    "cvar": (True, {"loads_tokens": SCENARIOS, "objective": "cvar", "cvar_tail": 0.5}),
    "activated": (
        True,
        {"loads_tokens": SCENARIOS, "objective": "activated", "slots_per_device": 3},
    ),
    "layer-time": (
        True,
        {
            "loads_tokens": [[8, 4, 4]],
            "objective": "layer_time",
            "cluster": Cluster.uniform(2, 1, Device(link_bandwidth_bytes_per_s=64.0)),
            "source_tokens": np.array([[[3, 1, 0]], [[1, 0, 2]]]),
            "timing": Timing(
                seconds_per_token=0.5, dispatch_bytes_per_token=8.0, combine_bytes_per_token=16.0
            ),
        },
    ),
    "layer-time-moving": (
        True,
        {
            "loads_tokens": [[9, 8, 6]],
            "objective": "layer_time",
            "cluster": Cluster(
                nodes=(
                    NodeGroup(node=Node(nic_bandwidth_bytes_per_s=64.0)),
                    NodeGroup(
                        node=Node(device=Device(relative_speed=0.5), nic_bandwidth_bytes_per_s=32.0)
                    ),
                )
            ),
            "expert_traffic_tokens": np.array([[[1, 6, 0], [3, 2, 2], [5, 0, 4]]]),
            "timing": Timing(
                seconds_per_token=0.25,
                dispatch_bytes_per_token=8.0,
                combine_bytes_per_token=16.0,
                gate_s=0.5,
                aggregation_s=0.25,
            ),
        },
    ),
    "optimal-split": (
        True,
        {
            "loads_tokens": [[[8, 2, 2]], [[1, 6, 5]]],
            "objective": "mean_max",
            "split": "optimal",
        },
    ),
    "unequal-devices": (
        True,
        {
            "loads_tokens": [[16, 4, 2, 2]],
            "cluster": Cluster(
                nodes=(
                    NodeGroup(node=Node(device=Device(relative_speed=2.0))),
                    NodeGroup(node=Node(devices=2)),
                )
            ),
            "slots_per_device": (3, 1, 1),
            "max_copies_per_device": None,
        },
    ),
    "pairs-plain": (
        False,
        {
            "loads_tokens": FOUR,
            "cluster": Cluster.uniform(3),
            "dead_devices": (1,),
            "pinned": (Pair(expert=0, device=0), Pair(expert=1, device=0)),
            "forbidden": (Pair(expert=2, device=0),),
            "objective": "activated",
        },
    ),
    "copies-plain": (
        False,
        {
            "loads_tokens": [[8, 2]],
            "cluster": Cluster.uniform(4, 2),
            "slots_per_device": 1,
            "distinct_nodes": True,
            "min_copies_per_expert": 2,
            "max_copies_per_expert": 2,
        },
    ),
    "memory": (
        True,
        {
            "loads_tokens": FOUR * 2,
            "expert_bytes": np.array([5, 1, 1, 5]),
            "expert_memory_bytes": 12,
            "max_copies_per_expert": 1,
        },
    ),
    "one-node": (
        True,
        {
            "loads_tokens": FOUR,
            "cluster": Cluster.uniform(2, 2),
            "slots_per_device": 3,
            "groups": 2,
            "group_rule": "one_node",
            "allow_empty_slots": True,
        },
    ),
    "cross-node-price": (
        True,
        {
            "loads_tokens": FOUR,
            "cluster": Cluster.uniform(2, 2),
            "groups": 2,
            "cross_node_price": 0.25,
        },
    ),
    "moves": (
        True,
        {
            "loads_tokens": [[4, 3, 2, 1], [1, 2, 3, 4]],
            "expert_bytes": np.array([1, 2, 4, 4]),
            "max_copies_per_device": 2,
            "previous": np.array([[0, 1, 2, 3], [0, 1, 2, 3]]),
            "max_moved_bytes": 10,
            "move_price_per_byte": 0.0625,
        },
    ),
    "arrivals": (
        True,
        {
            "loads_tokens": [[4, 8, 5], [1, 7, 7]],
            "cluster": Cluster.uniform(4, 2),
            "slots_per_device": (1, 1, 2, 1),
            "expert_bytes": np.array([1, 2, 4]),
            "previous": np.array([[0, 1, 2, 2, 1], [0, 0, 1, 2, 2]]),
            "max_moved_bytes_per_device": (5, 1, 1, 5),
            "max_moved_bytes_per_node": (0, 2),
        },
    ),
}


def problem_of(name: str) -> PlacementProblem:
    """Return the problem of a golden instance."""
    fields = {"cluster": Cluster.uniform(2), "slots_per_device": 2, **INSTANCES[name][1]}
    fields["loads_tokens"] = np.array(fields["loads_tokens"], dtype=float)
    return PlacementProblem(name=name, **fields)


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
        files = []
        for model in build(problem, tighten=tighten):
            write_mps(model, HERE / f"{model.name}.mps")
            files.append(f"{model.name}.mps")
        index[name] = {
            "optimum": best.objective,
            "tighten": tighten,
            "models": files,
            "problem": json.loads(problem_to_json(problem)),
        }
    (HERE / "index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
