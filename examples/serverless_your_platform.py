"""Your own model on your own platform: measured seconds, another price book, plain arrays.

Run: python examples/serverless_your_platform.py
"""

import numpy as np

from moeopt.describe.pricing import (
    DurationTier,
    FunctionPrices,
    PlatformLimits,
    PriceBook,
    StoragePrices,
)
from moeopt.serverless import deploy, paper_costs

#: Made up, to show what a book holds; bring the figures of your platform, with their date.
BOOK = PriceBook(
    name="a platform",
    date="2026-01-01",
    sources={"all": "made up"},
    functions={"arm64": FunctionPrices(duration=(DurationTier(usd_per_gb_s=1.2e-5),))},
    usd_per_request=4e-7,
    billing_step_s=0.1,
    storage={"objects": StoragePrices(usd_per_put=4e-6, usd_per_get=3e-7)},
    limits=PlatformLimits(
        least_memory_mb=512,
        most_memory_mb=4096,
        mb_per_vcpu=2048,
        payload_bytes=10_000_000,
        timeout_s=540,
    ),
)


def main() -> None:
    """Deploy two layers of unequal experts for two kinds of batches, at growing speed."""
    weekday = [[4000, 500, 300, 200], [1500, 1500, 2000]]
    weekend = [[900, 2500, 800, 800], [2500, 500, 2000]]
    tokens = [np.array(both) for both in zip(weekday, weekend, strict=True)]
    rules = {
        "scenario_weights": [5, 2],
        "parameter_bytes": 40_000_000,
        "intermediate_bytes": 200_000_000,
        "input_bytes_per_token": 4096,
        "output_bytes_per_token": 4096,
        "memory_mb": (512, 1024, 2048, 4096),
        "seconds_per_token": [9e-3, 4e-3, 1.9e-3, 1.1e-3],  # measured, for each size
        "max_replicas": 6,
        "storage_bytes_per_s": 80e6,
        "function_bytes_per_s": 50e6,
        "access_delay_s": 0.05,
        "warm_start_s": 0.02,
        "prices": BOOK,
        "architecture": "arm64",
        "storage": "objects",
    }
    for slo_s in (None, 20.0, 10.0, 6.0):
        found = deploy(tokens, slo_s=slo_s, **rules)
        promised = "none" if slo_s is None else f"{slo_s:.0f} s"
        print(f"promise {promised}: {found.latency_s:.2f} s", end=" ")
        print(f"for {1e6 * found.objective:.1f} uUSD, gap {100 * found.gap:.2f} %,", end=" ")
        print(
            f"designs {found.design.tolist()}, MB {found.memory_mb.max(axis=1).tolist()},", end=""
        )
        print(f" replicas {found.replicas.sum(axis=1).tolist()}")
    bare = deploy(tokens, slo_s=6.0, billing=paper_costs(), **rules)
    print(f"as the paper bills: {1e6 * bare.objective:.1f} uUSD")


if __name__ == "__main__":
    main()
