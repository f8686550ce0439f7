"""``moeopt bench torch``: PyTorch workers on this machine and on emulated nodes."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

from moeopt.bench import torch_exchange, torch_gating, torch_orders, torch_placement
from moeopt.bench.parts import run_parts
from moeopt.bench.registry import Figure, Report, Setting, Workload, register

#: Parts that need emulated nodes.
EMULATED = ("exchange", "placement")


def run(setting: Setting) -> Report:
    """Run every part that this machine permits; the simulated one always."""
    parts: dict[str, Callable[[], Report]] = {"simulated": lambda: torch_orders.run(setting)}
    has_torch = importlib.util.find_spec("torch") is not None
    if has_torch:
        parts["gating"] = lambda: torch_gating.run(setting)
    why = no_nodes() if has_torch else "needs torch"
    if why is None:
        parts["exchange"] = lambda: torch_exchange.run(setting)
        parts["placement"] = lambda: torch_placement.run(setting)
    report = Report()
    run_parts(setting, "torch", parts, report)
    if why is not None:
        setting.say(f"bench torch: left out, {', '.join(EMULATED)}: {why}")
        report.data["left_out"] = why
        report.figures += [Figure(f"emulated nodes, {part}", None, note=why) for part in EMULATED]
    return report


def no_nodes() -> str | None:
    """Return why no nodes can be emulated here, in one line; ``None`` if they can."""
    from moeopt.adapters.torch.emulate import refusal

    return refusal()


register(
    Workload(
        name="torch",
        summary="PyTorch workers: gating, orders of an all-to-all, placements on emulated nodes",
        run=run,
    )
)
