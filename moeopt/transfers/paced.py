"""Pacing: every message from beginning to end at the constant rate that ends them all together.

No order is needed at all: with ``T`` the largest time that a port needs for what it sends or
receives, rates of ``bytes / T`` load no port above its own. What it costs is one flow for each
pair, all at the same time, and a transport that keeps to its rate.
"""

from __future__ import annotations

import numpy as np

from moeopt.core.stop import Context
from moeopt.core.wing import Outcome
from moeopt.transfers.bounds import bound
from moeopt.transfers.contention import first_start_s, flows_of
from moeopt.transfers.plan import TransferPlan
from moeopt.transfers.problem import TransferProblem


def run_paced(problem: TransferProblem, context: Context, warm_start: object) -> Outcome:
    """Send everything at constant rates, in one round."""
    del context, warm_start
    return Outcome(plan=paced(problem), bound=bound(problem))


def refuses_paced(problem: TransferProblem) -> str | None:
    """Return why this problem cannot be paced, or ``None``."""
    if problem.peers == "one":
        return 'all peers of a port share its rate: set peers to "many"'
    if problem.is_timed:
        return "constant rates keep neither windows nor busy times"
    if problem.objective == "rounds":
        return 'every port has all its peers in its one round: set objective to "makespan"'
    if (problem.pair_bytes()[~problem.direct()] > 0).any():
        return "it passes nothing on, and rails do not reach every port: set fabric.rails to false"
    return None


def paced(problem: TransferProblem) -> TransferPlan:
    """Return the plan: one row for each message, all over the same time.

    The waves of a pair travel together and start up once. With a fabric both networks are paced
    over the time of the slower one.
    """
    flows = flows_of(problem)
    pair = flows.source * problem.num_ports + flows.destination
    _, first = np.unique(pair, return_index=True)
    carried = flows.size_bytes.copy()
    carried[first] += flows.startup_bytes[first]
    needed = [
        np.bincount(flows.port[:, side], carried * flows.weight[:, side], flows.num_ports)
        for side in (0, 1)
    ]
    # A half-duplex port has one number for both directions: what it sends and receives adds up.
    longest_s = float(np.sum(needed, axis=0).max())
    by_source = np.argsort(flows.source, kind="stable")
    return TransferPlan(
        source=flows.source[by_source],
        destination=flows.destination[by_source],
        size_bytes=flows.size_bytes[by_source],
        start_s=np.full(len(pair), first_start_s(problem)),
        duration_s=np.full(len(pair), longest_s),
        round_index=np.zeros(len(pair), dtype=np.int64),
        wave=flows.wave[by_source] if problem.num_waves > 1 else None,
    )
