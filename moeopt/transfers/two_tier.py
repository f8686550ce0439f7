"""FAST: a fast network inside each node, a slow one between nodes, as one pipeline.

The bytes between two nodes are balanced over the rails inside the node, cross by Birkhoff's rounds
of the matrix of nodes, rail to rail, and are passed on inside the other node (arXiv 2505.09764).
As printed, all balancing comes first and the last stage's passing on comes last; here both go on
beside the stages, and long stages are cut, so that little of either is left over.

Where ports reach each other directly, the plain order competes: Birkhoff's rounds of the ports on
both networks, independent of each other.
"""

from __future__ import annotations

import numpy as np

from moeopt.core.stop import Context
from moeopt.core.wing import Outcome
from moeopt.transfers.birkhoff import rounds_of
from moeopt.transfers.bounds import bound as bound_of
from moeopt.transfers.problem import TransferProblem
from moeopt.transfers.rounds import Pieces, joined, pieces_of_rounds, plan_from_pieces
from moeopt.transfers.two_tier_plan import (
    Pipeline,
    nodes_of,
    pipeline,
    plan_of_pipeline,
    server_bytes,
)

#: In how many pieces the time between nodes is cut at least, one after the other tried. More make
#: the first and the last step shorter, and the plan longer to write down.
_PIECES = (1, 4, 8, 16, 32, 64)

#: More pieces must shorten the plan by this share.
_WORTH = 0.002


def refuses_two_tier(problem: TransferProblem) -> str | None:
    """Say why the problem is not for balancing inside nodes, if it is not."""
    if problem.fabric is None:
        return "it needs a fabric: a fast network inside each node"
    if problem.is_timed or problem.half_duplex or problem.absent_ports:
        return "it takes no windows, busy or absent ports, and no half-duplex ports"
    if problem.startup_s > 0 or problem.objective == "rounds":
        return "it knows no start-ups and rounds"
    if not problem.preemptive or problem.chunk_bytes > 0:
        return "it cuts messages as it needs"
    size = problem.fabric.ports_per_node
    for rate in (problem.send_rate(), problem.receive_rate()):
        if (rate.reshape(-1, size) != rate[::size, None]).any():
            return "the ports of a node must have one bandwidth"
    return None


def run_two_tier(problem: TransferProblem, context: Context, warm_start: object) -> Outcome:
    """Return the better of the pipeline and, where it is possible, the direct order."""
    del warm_start
    bound = bound_of(problem)
    line = _shortest_pipeline(problem, bound, context)
    direct = _direct(problem)
    statistics = _statistics(problem, line, direct)
    if direct is not None and direct.makespan_s <= line.makespan_s:
        plan = plan_from_pieces(problem, direct)
    else:
        plan = plan_of_pipeline(problem, line)
    return Outcome(plan=plan, bound=bound, statistics=statistics)


def _shortest_pipeline(problem: TransferProblem, bound: float, context: Context) -> Pipeline:
    """Return the pipeline with the fewest pieces that more pieces do not shorten."""
    best = pipeline(problem, _PIECES[0])
    for pieces in _PIECES[1:]:
        if best.makespan_s <= bound * (1.0 + _WORTH) or context.out_of_time():
            break
        line = pipeline(problem, pieces)
        if line.makespan_s < best.makespan_s * (1.0 - _WORTH):
            best = line
    return best


def _direct(problem: TransferProblem) -> Pieces | None:
    """Return Birkhoff's rounds of the ports on each network, if all reach each other."""
    if (problem.pair_bytes()[~problem.direct()] > 0.0).any():
        return None
    seconds, inside = problem.pair_bytes() / problem.pair_rate(), problem.inside()
    networks = [~inside] + [np.outer(row, row) for row in np.unique(inside, axis=0)]
    parts = [
        pieces_of_rounds(rounds_of(seconds * network), problem.pair_rate(), 1.0)
        for network in networks
    ]
    return joined(parts)


def _statistics(
    problem: TransferProblem, line: Pipeline, direct: Pieces | None
) -> dict[str, object]:
    """Return which plan is taken, and both beside FAST's optimum and guarantee.

    FAST's optimum is what the busiest node needs if all its ports share its bytes evenly; the
    guarantee is for messages between nodes.
    """
    nodes = nodes_of(problem)
    seconds = server_bytes(problem, nodes) / (nodes.size * nodes.slow)
    busiest = float(max(seconds.sum(axis=0).max(), seconds.sum(axis=1).max()))
    taken = line.makespan_s if direct is None else min(line.makespan_s, direct.makespan_s)
    slow = float(nodes.slow.max())
    return {
        "plan": "direct" if direct is not None and taken == direct.makespan_s else "pipeline",
        "pipeline_s": line.makespan_s,
        "direct_s": None if direct is None else direct.makespan_s,
        "slots": len(line.length),
        "between_nodes_s": busiest,
        "ratio": taken / busiest if busiest > 0.0 else None,
        "guaranteed_ratio": 1.0 + slow / nodes.fast * (nodes.size + nodes.size / nodes.count),
    }
