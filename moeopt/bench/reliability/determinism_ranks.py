"""What vLLM's ranks work out, each for itself: plans and batches must be equal, byte by byte.

vLLM calls its EPLB policy in every process with the same loads and moves weights as the answers
say: ranks that disagree wait for each other for ever. SGLang calls DeepSeek's EPLB likewise.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from moeopt.adapters.engines.eplb import rebalance_experts
from moeopt.adapters.engines.migration import schedule_migration_batches_for_layers
from moeopt.adapters.engines.vllm_limits import Limits
from moeopt.adapters.engines.vllm_policy import Policy, Sizes
from moeopt.bench.reliability.determinism_way import (
    Way,
    digest_of,
    said,
    start,
    taken_up,
    threads,
)
from moeopt.bench.reliability.trial import Trial
from moeopt.core.arrays import FloatArray, IntArray

#: Shapes of models and ranks: layers, experts, and what vLLM passes.
SHAPES = (
    (2, 8, Sizes(12, 1, 1, 4)),
    (3, 16, Sizes(24, 4, 2, 8)),
    (4, 64, Sizes(72, 1, 1, 8)),
    (2, 128, Sizes(144, 8, 4, 16)),
    (1, 8, Sizes(8, 1, 1, 2)),
)

#: How far rebalances go in turn.
_LIMITS = (Limits(), Limits(transfers_per_layer=2.0), Limits(target_imbalance=1.1))


@dataclass(frozen=True)
class Rank:
    """One process of those that must agree.

    Attributes
    ----------
    way
        How it works.
    busy
        Whether a second thread keeps it waiting, and it has planned other things before.
    """

    way: Way
    busy: bool = False


#: What numerical libraries do on a processor without wide registers.
_OLD_PROCESSOR = {"OPENBLAS_CORETYPE": "Nehalem", "NPY_DISABLE_CPU_FEATURES": "X86_V3"}

#: As different as ranks may be: seeds of hashes, threads, clocks, processors, without the JIT.
RANKS = (
    Rank(Way("rank 0")),
    Rank(Way("rank 1", {"PYTHONHASHSEED": "1"})),
    Rank(Way("rank 2", {"PYTHONHASHSEED": "random", **threads(2)})),
    Rank(Way("rank 3", {"PYTHONHASHSEED": "random", **threads(4)})),
    Rank(Way("rank 4"), busy=True),
    Rank(Way("rank 5", {"PYTHONHASHSEED": "12345"}, clock=1000.0)),
    Rank(Way("rank 6", {"PYTHONHASHSEED": "2", **_OLD_PROCESSOR}, clock=0.001), busy=True),
    Rank(Way("rank 7", {"NUMBA_DISABLE_JIT": "1"})),
)

#: Rebalances of each shape.
_REBALANCES = 24


def trial_of(ranks: Sequence[Rank]) -> Trial:
    """Return whether all ranks gave the same answers."""
    asked = (str(_REBALANCES), str(len(SHAPES)))
    started = [start(__name__, rank.way, *asked, str(int(rank.busy))) for rank in ranks]
    first, *others = map(said, started)
    failures = [f"{ranks[0].way.name}: {first[1]}"] * bool(first[1])
    for rank, (answers, wrong) in zip(ranks[1:], others, strict=True):
        failures += [f"{rank.way.name}: {wrong}"] * bool(wrong)
        failures += disagreements(rank.way.name, first[0], answers)
    what = f"vLLM's policy and batches, SGLang's EPLB: equal bytes on {len(ranks)} ranks"
    return Trial(what, len(first[0]) * len(ranks), tuple(failures), f"{len(first[0]):,} answers")


def disagreements(rank: str, first: dict[str, str], answers: dict[str, str]) -> list[str]:
    """Return a sentence for the first answer of a rank that is not the first rank's."""
    for name in first.keys() | answers.keys():
        if answers.get(name) != first.get(name):
            return [f"{rank}, {name}: {answers.get(name)} instead of {first.get(name)}"]
    return []


def answers_of(windows: int, shapes: int) -> dict[str, str]:
    """Return a digest of every answer of this process, by name.

    Parameters
    ----------
    windows
        Rebalances of each shape, each from the plan before.
    shapes
        How many of `SHAPES`.
    """
    found: dict[str, str] = {}
    for layers, experts, sizes in SHAPES[:shapes]:
        old: IntArray | None = None
        shape = f"{layers} layers, {experts} experts, {sizes}"
        for window, loads in enumerate(_loads(layers, experts, windows)):
            policy = Policy(_LIMITS[window % len(_LIMITS)])
            given = None if old is None else _worn(old, window, sizes)
            arguments = (sizes.slots, sizes.groups, sizes.nodes, sizes.ranks)
            new = policy.rebalance_experts(loads, *arguments, given)
            name = f"{shape}, rebalance {window}"
            found[name] = _digest(new)
            if given is not None and given.shape == new.shape:
                moved = schedule_migration_batches_for_layers(sizes.slots_per_rank, given, new)
                found[f"{name}, batches"] = _digest(repr(moved))
            found[f"{name}, EPLB"] = _digest(rebalance_experts(loads, *arguments))
            old = new
    return found


def _loads(layers: int, experts: int, windows: int) -> Iterator[FloatArray]:
    """Yield windows that drift, jump, tie, and now and then are empty."""
    dice = np.random.default_rng([layers, experts])
    shares = dice.dirichlet(np.full(experts, 0.5), layers)
    for window in range(windows):
        shares = shares * dice.lognormal(0.0, 0.2, shares.shape)
        if window % 7 == 6:
            shares = dice.dirichlet(np.full(experts, 0.5), layers)
        loads = shares / shares.sum(axis=1, keepdims=True) * 4096.0
        kind = window % 6
        if kind == 2:
            loads = np.floor(loads / 64.0)
        elif kind == 3:
            loads = np.full_like(loads, 7.0)
        elif kind == 4:
            loads[:, ::3] = 0.0
            loads[window % layers] = 0.0
        yield loads


def _worn(old: IntArray, window: int, sizes: Sizes) -> IntArray:
    """Return a plan in force as it may be: whole, a rank's slots lost, or of fewer ranks."""
    worn = old.copy()
    if window % 5 == 3:
        worn[:, : sizes.slots_per_rank] = -1
    elif window % 5 == 4:
        worn = worn[:, : -sizes.slots_per_rank]
    return worn


def _digest(answer: Any) -> str:
    parts = answer if isinstance(answer, tuple) else (answer,)
    data = b"".join(p.encode() if isinstance(p, str) else p.tobytes() for p in parts)
    return digest_of(data)


def _keep_busy() -> None:
    """Let a thread take turns with this one, and plan something else first."""

    def turn() -> None:
        while True:
            sum(range(1000))

    threading.Thread(target=turn, daemon=True).start()
    np.random.seed(1)  # noqa: NPY002  # for whoever would use the global dice
    answers_of(2, 1)


if __name__ == "__main__":
    taken_up(sys.argv[1])
    if int(sys.argv[4]):
        _keep_busy()
    print(json.dumps(answers_of(int(sys.argv[2]), int(sys.argv[3]))))
