"""The host computes what is missing, and a few experts are uploaded before each layer.

As llama.cpp and KTransformers serve a model that does not fit: what is a cap on uploads worth, and
how close do policies come to the best that hindsight finds?

Run: python examples/buffering_upload_caps.py
"""

import msgspec

import moeopt
from moeopt.buffering import evaluate, violations
from moeopt.buffering.generate import offloaded

POLICIES = ("static_top_k", "lru", "lfu", "learned", "best_online")


def main() -> None:
    """Serve one stream on demand, and on the host with growing caps."""
    on_demand = offloaded("olmoe-1b-7b", steps=48, past=48)
    result = moeopt.solve(on_demand)
    steps = on_demand.num_steps
    print(f"on demand: {1e3 * result.objective / steps:.2f} ms a token at best", end=", ")
    print(f"lru {1e3 * moeopt.solve(on_demand, 'lru').objective / steps:.2f}")

    capped = offloaded("olmoe-1b-7b", steps=48, past=48, uploads=1)
    for uploads in (1, 2, 4, None):
        problem = msgspec.structs.replace(capped, loads_per_group=uploads)
        best = moeopt.solve(problem)
        value = evaluate(problem, best.plan)
        print(
            f"uploads {uploads or 'any'}: {1e3 * best.objective / steps:.2f} ms a token at best,",
            end=" ",
        )
        print(f"gap {100 * best.gap:.2f} %, {value.loads} uploads,", end=" ")
        print(
            f"{100 * value.hit_rate:.1f} % hits, {len(violations(problem, best.plan))} rules broken"
        )
        for policy in POLICIES:
            found = moeopt.solve(problem, policy)
            print(f"  {policy:12} {found.objective / best.objective:.2f} times as long")


if __name__ == "__main__":
    main()
