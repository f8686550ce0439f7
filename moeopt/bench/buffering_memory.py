"""What memory buys: seconds of a step by bytes of experts, and experts against sequences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from moeopt.bench.buffering_traces import Recorded, recorded
from moeopt.bench.registry import Figure, Report, Setting
from moeopt.buffering.from_trace import buffering_problem
from moeopt.buffering.frontier import MemoryPoint, pareto
from moeopt.buffering.generate import DEVICE_BYTES_PER_S, LINK_BYTES_PER_S
from moeopt.buffering.memory import Shared, share_memory
from moeopt.buffering.problem import Timing
from moeopt.core.table import Cell, Column, Table
from moeopt.describe.presets import preset

#: Whose experts are moved, in the layers that the trace has.
MODEL = "deepseek-v2-lite"

#: Bytes that this model keeps of a token in a layer: 512 latent numbers and 64 of position.
KV_BYTES = 2 * (512 + 64)

#: Tokens that each sequence is promised, and memories in shares of all experts.
CONTEXT, MEMORIES = 32_768, (0.5, 1.0)

#: Fewest experts of a layer of a trace that is taken.
EXPERTS = 16

#: Sequences at once: those looked at where memory is shared, and those of the other table.
SEQUENCES, AT_ONCE = (1, 2, 4, 6, 8, 10, 12), 4

#: Shares of all experts that fit.
BUDGETS = tuple(0.1 * tenth for tenth in range(1, 11))

#: The paper's rule, the usual one, ours, and hindsight.
POLICIES = ("inactive_lifo", "lru", "learned", "belady")


def run(setting: Setting) -> Report:
    """Take both frontiers of one trace: the last of the folder, or the reference model's."""
    # One sequence's keys and values need room beside an expert of each layer.
    large = [one for one in recorded() if one.trace.num_experts >= EXPERTS]
    one = large[0] if setting.quick else large[-1]
    tokens = 256 if setting.quick else one.trace.num_tokens
    taken = Recorded(one.name, one.trace.part(0, tokens), None)
    policies = ("inactive_lifo", "lru") if setting.quick else POLICIES
    report = _latency(taken, policies)
    report.add(_sequences(taken, policies[-2] if len(policies) > 2 else policies[-1]))
    return report


def timing_of(one: Recorded) -> Callable[[int], Timing]:
    """Return what gives rates and seconds for a number of sequences at once.

    A pass takes the time in which the device reads the experts that its tokens need at most.

    Parameters
    ----------
    one
        The trace that is run.
    """
    trace, bytes_ = one.trace, preset("model", MODEL).expert_bytes

    def timing(sequences: int) -> Timing:
        read = min(sequences * trace.top_k, trace.num_experts) * bytes_
        return Timing(link_bytes_per_s=LINK_BYTES_PER_S, compute_s=read / DEVICE_BYTES_PER_S)

    return timing


def latencies(one: Recorded, policy: str) -> tuple[MemoryPoint, ...]:
    """Return what each of `BUDGETS` comes to, equally many slots for each layer.

    Parameters
    ----------
    one, policy
        What is replayed.
    """
    bytes_ = preset("model", MODEL).expert_bytes
    problem = buffering_problem(
        one.trace,
        concurrent=AT_ONCE,
        slots=one.trace.num_experts,
        expert_bytes=bytes_,
        timing=timing_of(one)(AT_ONCE),
    )
    layers, experts = one.trace.num_layers, one.trace.num_experts
    slots = [max(layers, round(share * layers * experts)) for share in BUDGETS]
    return pareto(problem, policy, [float(count * bytes_) for count in slots])


def shared(one: Recorded, policy: str, memory: float) -> tuple[Shared, ...]:
    """Return what each number of sequences comes to.

    Parameters
    ----------
    one, policy
        What is replayed.
    memory
        For both, in shares of all experts.
    """
    bytes_ = preset("model", MODEL).expert_bytes
    return share_memory(
        one.trace,
        policy,
        memory_bytes=memory * one.trace.num_layers * one.trace.num_experts * bytes_,
        kv_bytes_per_token=KV_BYTES * one.trace.num_layers,
        context_tokens=CONTEXT,
        sequences=SEQUENCES,
        timing=timing_of(one),
        expert_bytes=bytes_,
    )


def _latency(one: Recorded, policies: tuple[str, ...]) -> Report:
    points = {policy: latencies(one, policy) for policy in policies}
    rows: list[list[Cell]] = []
    for at, share in enumerate(BUDGETS):
        cells: list[Cell] = [share, next(iter(points.values()))[at].used_bytes / 2**30]
        for found in points.values():
            cells += [found[at].hit_rate, 1e3 * found[at].seconds_per_step]
        rows.append(cells)
    columns = [Column("experts that fit", ".0%"), Column("GiB", ".2f")]
    for policy in policies:
        columns += [Column(f"{policy}, hits", ".3f"), Column("ms a step", ".1f")]
    note = (
        f"As Fig. 13 of arXiv 2303.06182, here by the clock of moeopt.buffering.clock: {AT_ONCE}"
        f" sequences at once, {one.trace.num_layers} layers of {one.trace.num_experts} experts of"
        f" {MODEL}'s size, a link of {LINK_BYTES_PER_S / 1e9:.0f} GB/s, no experts predicted. All"
        " experts resident would still be loaded once each."
    )
    table = Table(f"Memory against latency, {one.name}", columns, rows, note)
    beaten = sum(not point.on_frontier for found in points.values() for point in found)
    figure = Figure("caches that a smaller one is as fast as", beaten, None, "d",
                    f"of {len(points) * len(BUDGETS)}")  # fmt: skip
    data = {
        policy: [[point.used_bytes, point.seconds_per_step] for point in found]
        for policy, found in points.items()
    }
    return Report([table], [figure], {"memory_latency": data})


def _sequences(one: Recorded, policy: str) -> Report:
    report = Report(data={"memory_sequences": {}})
    rows: list[list[Cell]] = []
    for memory in MEMORIES:
        points = shared(one, policy, memory)
        rows += [
            [
                memory,
                point.sequences,
                point.kv_bytes / 2**30,
                int(np.max(point.slots)),
                point.hit_rate,
                1e3 * point.seconds_per_step,
                1.0 / point.seconds_per_token,
                "yes" if point.on_frontier else "no",
            ]
            for point in points
        ]
        best = min(points, key=lambda point: point.seconds_per_token)
        name = f"sequences at once of the most tokens a second, memory {memory:.0%} of experts"
        report.figures.append(Figure(name, best.sequences, None, "d"))
        report.data["memory_sequences"][str(memory)] = [
            [point.sequences, point.seconds_per_step, point.seconds_per_token] for point in points
        ]
    columns = [Column("memory", ".0%"), Column("sequences"), Column("their GiB", ".2f"),
               Column("slots of a layer"), Column("hit rate", ".3f"), Column("ms a step", ".1f"),
               Column("tokens/s", ".2f"), Column("on the frontier")]  # fmt: skip
    note = (
        f"memory: in shares of all experts, for keys and values of {CONTEXT:,} tokens of each"
        f" sequence ({KV_BYTES:,} bytes a token and layer) and for experts. {policy}; rates as"
        " above. frontier: of seconds a step and tokens a second."
    )
    table = Table(f"Sequences against experts in one memory, {one.name}", columns, rows, note)
    report.tables.append(table)
    return report
