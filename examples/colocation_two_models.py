"""Two models on one set of unequal devices: who shares a device, when what runs, and the wire.

Run: python examples/colocation_two_models.py
"""

import msgspec

import moeopt
from moeopt.colocation import evaluate, order_on_the_wire, speedups, violations
from moeopt.colocation.generate import limoe
from moeopt.colocation.summary import timeline_table, wire_table
from moeopt.core.table import print_tables
from moeopt.transfers import violations as broken


def main() -> None:
    """Colocate, compare with the papers' ways, and order the all-to-alls."""
    problem = limoe("b16-coco", "b16-imagenet", cluster="mixed")
    result = moeopt.solve(problem)
    value = evaluate(problem, result.plan)
    print(f"time {1e3 * value.time_s:.3f} ms, bound {1e3 * result.bound:.3f} ms,", end=" ")
    print(f"{len(violations(problem, result.plan))} rules broken")

    alone = 0.0
    for model in problem.models:
        single = msgspec.structs.replace(problem, models=(model,))
        by_itself = evaluate(single, moeopt.solve(single).plan)
        alone += float(by_itself.utilisation.mean()) / problem.num_models
    print(f"utilisation {100 * value.utilisation.mean():.1f} %, of a model alone", end=" ")
    print(f"{100 * alone:.1f} %")
    for name, ratio in speedups(problem, result.plan).items():
        print(f"  {name:22} takes {ratio:.3f} times as long")

    order = order_on_the_wire(problem, result.plan)
    print_tables([timeline_table(problem, value), wire_table(problem, order)])
    print(f"on the wire {1e3 * order.total_s:.3f} ms,", end=" ")
    print(f"{len(broken(order.problem, order.plan))} rules broken")
    first = order.plan.rounds_for(0)[0]
    for part in first.sends:
        what = f"{part.size_bytes / 1e6:.3f} MB of wave {part.wave} to device {part.peer}"
        print(f"  device 0 begins with {what}, for {1e3 * part.duration_s:.3f} ms")


if __name__ == "__main__":
    main()
