"""Whether this machine can hold the workers of a run on a stand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from moeopt.adapters.aws_lambda.dispatch.pieces import cut
from moeopt.adapters.aws_lambda.fleet import Fleet
from moeopt.adapters.aws_lambda.names import Names
from moeopt.core.arrays import IntArray
from moeopt.core.errors import InstanceError
from moeopt.serverless.plan import ServerlessPlan
from moeopt.serverless.problem import ServerlessProblem

#: What a worker takes beside its expert: Python, NumPy and boto3.
WORKER_BYTES = 90_000_000

_MEMINFO = Path("/proc/meminfo")


def planned_tokens(fleet: Fleet, layer: int) -> IntArray:
    """Return the tokens of each expert that a run has, ``(experts,)``: those of scenario 0.

    A part of a token is a token.
    """
    counts: IntArray = np.ceil(fleet.problem.tokens_of(layer)[0] - 1e-9).astype(np.int64)
    return counts


def require_room(
    problem: ServerlessProblem, plan: ServerlessPlan, layers: Sequence[int], free: int | None = None
) -> None:
    """Raise `InstanceError` if the functions of a run need more memory than this machine has.

    Each call of a batch has a worker of its own, which stays for the next batch.

    Parameters
    ----------
    problem, plan
        All of which is deployed, so that all parameters are stored.
    layers
        Which of them run.
    free
        Bytes; those that the machine has if left out.
    """
    free = free_bytes() if free is None else free
    fleet = Fleet(problem, plan, Names("room"), bucket="room")
    stored = sum(float(problem.parameter_bytes_of(e).sum()) for e in range(fleet.layers))
    workers, held = 0, 0.0
    for layer in layers:
        parameters = problem.parameter_bytes_of(layer)
        pieces = cut(fleet, layer, planned_tokens(fleet, layer))
        workers += len(pieces)
        held += sum(WORKER_BYTES + float(parameters[piece.expert]) for piece in pieces)
    if stored + held > free:
        raise InstanceError(
            "layers",
            f"<{len(layers)} layers>",
            f"must fit into this machine's free memory, {free / 1e9:.1f} GB: {workers} workers and"
            f" the plan's parameters take {(stored + held) / 1e9:.1f} GB",
            "name fewer layers, run a smaller plan, or deploy it to AWS",
        )


def free_bytes() -> int:
    """Return the memory that new processes may take."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", _MEMINFO.read_text(), re.MULTILINE)
    assert found is not None, "every Linux of the last ten years says so"
    return int(found[1]) * 1024
