"""``moeopt bench placement``: balance, speed, exactness and held-out loads of expert placement.

Shapes and loads are those of `moeopt.placement.generate`; the peers are EPLB as vLLM and SGLang
ship it.
"""

from __future__ import annotations

from collections.abc import Callable

from moeopt.bench import (
    placement_balance,
    placement_exact,
    placement_held_out,
    placement_times,
    startup,
)
from moeopt.bench.parts import run_parts
from moeopt.bench.peers import Peers, find
from moeopt.bench.registry import Report, Setting, Workload, register
from moeopt.bench.timing import one_core
from moeopt.core.table import Column, Table


def run(setting: Setting) -> Report:
    """Run every part on one core and put their figures together."""
    report = Report()
    with one_core() as core, find(setting.peers) as peers:
        report.data["core"] = core
        report.add(_contenders(peers))
        parts: dict[str, Callable[[], Report]] = {
            "balance": lambda: placement_balance.run(setting, peers),
            "time": lambda: placement_times.run(setting, peers),
            "exact optimum": placement_exact.run,
            "held-out loads": lambda: placement_held_out.run(setting),
        }
        run_parts(setting, "placement", parts, report)
    # The command line is timed as users start it: on whatever cores there are.
    run_parts(setting, "placement", {"start-up": lambda: startup.run(setting)}, report)
    return report


def _contenders(peers: Peers) -> Report:
    rows = [[peer.name, peer.version] for peer in peers.contenders]
    rows += [[line.partition(":")[0], f"absent:{line.partition(':')[2]}"] for line in peers.absent]
    table = Table("Peers", [Column("peer"), Column("version")], rows)
    return Report(tables=[table], data={"peers": dict(rows)})


register(
    Workload(
        name="placement",
        summary="expert placement against EPLB as vLLM and SGLang ship it",
        run=run,
    )
)
