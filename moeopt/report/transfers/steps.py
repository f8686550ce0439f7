"""How to apply an order of transfers: check it, take it apart by port, run it on workers."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from moeopt.report.wings import Names, Step, python_text
from moeopt.transfers.plan import TransferPlan
from moeopt.transfers.problem import TransferProblem


def steps(problem: TransferProblem, plan: TransferPlan, names: Names) -> Sequence[Step]:
    """Return how to check a plan, take it apart by port, turn it around, and run it."""
    file, instance = shlex.quote(names.plan), shlex.quote(names.instance)
    load = f"import moeopt\n\nplan = moeopt.load_plan({python_text(names.plan)})\n"
    steps = [
        Step(
            text="Replay the plan byte by byte: every rule, C1 to C12, and what it is worth.",
            command=f"moeopt check {instance} {file}",
        ),
        Step(
            text="What one port does, round by round. Each worker takes its own list; with the"
            " rounds in step no two senders meet at a receiver that serves one.",
            command=load + _ONE_PORT,
            language="python",
        ),
    ]
    if not problem.is_timed:
        steps.append(
            Step(
                text="The way back (combine, where this is dispatch) is the same order backwards,"
                " as good as this one; here with twice the bytes, BF16 after FP8.",
                command=load + _BACK,
                language="python",
            )
        )
    if not _passes_on(plan):
        steps += [
            Step(
                text="Send its bytes between PyTorch workers on this machine, one for each port,"
                " beside one all-to-all; every byte is checked.",
                command=f"moeopt run {file} --instance {instance}",
            ),
            Step(
                text="In PyTorch: an exchange in the plan's rounds, for"
                " ExpertParallel(..., exchange=exchange). Every worker makes it after"
                " torch.distributed.init_process_group; ports are ranks.",
                command=load + _EXCHANGE,
                language="python",
            ),
        ]
    whole = problem.chunk_bytes > 0 or not problem.preemptive
    if whole and problem.peers == "one":
        steps.append(
            Step(
                text="If these are experts that move to a new placement: a vLLM that orders its"
                " own migrations takes its batches from this function, in the place and with the"
                " arguments of its own.",
                command=_VLLM.format(full_duplex=not problem.half_duplex),
                language="python",
            )
        )
    return steps


def _passes_on(plan: TransferPlan) -> bool:
    """Tell whether any message goes by a port in between, which workers do not do."""
    ends = ((plan.origin, plan.source), (plan.target, plan.destination))
    return any(end is not None and bool((end != hop).any()) for end, hop in ends)


_ONE_PORT = """\
for turn in plan.rounds_for(0):
    sends = [(part.peer, part.size_bytes) for part in turn.sends]
    receives = [(part.peer, part.size_bytes) for part in turn.receives]
    print(turn.round_index, "sends", sends, "receives", receives)
"""

_BACK = """\
back = plan.reversed(scale=2.0)
print(back.makespan_s, back.num_rounds)
"""

_EXCHANGE = """\
from moeopt.adapters.torch.rounds import RoundsExchange

exchange = RoundsExchange(plan)
"""

_VLLM = """\
import numpy as np
from moeopt.adapters.engines.migration import schedule_migration_batches

old = np.array([0, 1, 2, 3])  # logical expert in each slot, rank by rank
new = np.array([2, 1, 0, 3])
for batch in schedule_migration_batches(2, old, new, full_duplex={full_duplex}):
    print([(flow.src_rank, flow.dst_rank, flow.expert_ids) for flow in batch])
"""
