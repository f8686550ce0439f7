"""``moeopt bench torch``: PyTorch workers on this machine and on emulated nodes."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

from moeopt.bench import torch_exchange, torch_gating, torch_orders, torch_placement
from moeopt.bench.parts import run_parts
from moeopt.bench.registry import Figure, Report, Setting, Workload, register

#: Parts that need PyTorch, and of these those that need emulated nodes.
WORKERS = ("gating", "exchange", "placement")
EMULATED = WORKERS[1:]


def run(setting: Setting) -> Report:
    """Run every part that this machine permits; the simulated one always."""
    parts: dict[str, Callable[[], Report]] = {
        "simulated": lambda: torch_orders.run(setting),
        "gating": lambda: torch_gating.run(setting),
        "exchange": lambda: torch_exchange.run(setting),
        "placement": lambda: torch_placement.run(setting),
    }
    why, absent = left_out()
    report = Report()
    run_parts(setting, "torch", {name: parts[name] for name in parts if name not in absent}, report)
    if why is not None:
        setting.say(f"bench torch: left out, {', '.join(absent)}: {why}")
        report.data["left_out"] = why
        report.figures += [Figure(f"PyTorch workers, {part}", None, note=why) for part in absent]
    return report


def left_out() -> tuple[str | None, tuple[str, ...]]:
    """Return why parts cannot run here, in one line, and which; ``None`` if all can."""
    if importlib.util.find_spec("torch") is None:
        return "needs torch", WORKERS
    why = no_nodes()
    return why, () if why is None else EMULATED


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
