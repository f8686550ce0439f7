"""What vLLM's EPLB asks for, answered from the plan in force: few transfers, equal on all ranks.

vLLM calls its policy on each rank by itself and sends weights as the answers say, so equal
arguments must give equal answers: nothing here depends on time, threads or chance.
"""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from moeopt.adapters.engines.eplb import rebalance_experts as eplb_experts
from moeopt.adapters.engines.vllm_limits import Limits
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import MoeoptError
from moeopt.placement.arrays import NoPlacementError
from moeopt.placement.relabel import in_place, renumbered
from moeopt.placement.split import slot_loads

if TYPE_CHECKING:
    from moeopt.placement.replan import Front

#: vLLM's log, which it shows without further ado; moeopt's own is silent unless it is set up.
LOG = logging.getLogger("vllm.moeopt")

#: Errors that equal arguments raise on every rank, so that every rank falls back together. A lack
#: of memory or a missing file may strike one rank alone: it is not caught.
_OF_THE_ARGUMENTS = (
    MoeoptError,
    ArithmeticError,
    AssertionError,
    LookupError,
    TypeError,
    ValueError,
)

#: What has been said in this process.
_SAID: set[str] = set()

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Sizes:
    """The sizes that vLLM passes.

    Attributes
    ----------
    slots
        Physical experts of each layer, over all ranks.
    groups
        Groups of consecutive experts.
    nodes, ranks
        Of the expert-parallel group.
    """

    slots: int
    groups: int
    nodes: int
    ranks: int

    @property
    def slots_per_rank(self) -> int:
        """Physical experts of each layer on one rank."""
        return self.slots // self.ranks

    @property
    def group_nodes(self) -> int:
        """Nodes among which whole groups are spread, by vLLM's rule; 1 if groups do not count."""
        spread = self.groups > 1 and self.groups % self.nodes == 0
        return self.nodes if spread else 1


class Policy:
    """vLLM's EPLB policy: replans from the plan in force, and answers whatever happens.

    Parameters
    ----------
    limits
        How far a rebalance may go.
    theirs
        vLLM's own ``rebalance_experts``, for arguments that only it can answer.
    """

    def __init__(self, limits: Limits, theirs: Callable[..., Any] | None = None) -> None:
        self.limits = limits
        self._theirs = theirs

    def rebalance_experts(
        self,
        weight: Any,
        num_replicas: int,
        num_groups: int,
        num_nodes: int,
        num_ranks: int,
        old_global_expert_indices: Any = None,
    ) -> Any:
        """Return the expert in each physical slot, shape ``(layers, num_replicas)``.

        Parameters
        ----------
        weight
            Tokens of each expert, ``(layers, experts)``, a tensor on the CPU.
        num_replicas
            Physical experts of each layer.
        num_groups, num_nodes, num_ranks
            Groups of experts, nodes and ranks.
        old_global_expert_indices
            The plan in force, ``(layers, slots)``, -1 where a slot is empty.
        """
        sizes = (num_replicas, num_groups, num_nodes, num_ranks)
        attempts: dict[str, Callable[[], Any]] = {
            "moeopt's replanning": lambda: self._replanned(
                weight, Sizes(*sizes), old_global_expert_indices
            ),
            "moeopt's EPLB": lambda: _as_given(weight, eplb_experts(_array(weight), *sizes)[0]),
        }
        for name, attempt in attempts.items():
            try:
                return attempt()
            except _OF_THE_ARGUMENTS as error:
                if self._theirs is None and name == "moeopt's EPLB":
                    raise
                _say_once(name, f"{name} could not answer ({error}); the next best policy does")
        assert self._theirs is not None
        return self._theirs(weight, *sizes, old_global_expert_indices)

    def _replanned(self, weight: Any, sizes: Sizes, old: Any) -> Any:
        table = None if old is None else _array(old)
        return _as_given(weight, rebalance(_array(weight), sizes, table, self.limits))


def rebalance(
    loads: npt.NDArray[Any],
    sizes: Sizes,
    old: npt.NDArray[Any] | None = None,
    limits: Limits | None = None,
) -> IntArray:
    """Return the expert in each slot, ``(layers, slots)``: `old` improved within the limits.

    A layer whose old plan cannot stay is filled up first (an expert missing, or a slot empty), or
    planned afresh with ranks numbered so that most experts stay (a group on two nodes where groups
    count); the limit of transfers does not hold there. A layer without load stays as it is.

    Parameters
    ----------
    loads
        Tokens of each expert, ``(layers, experts)``.
    sizes
        Slots, groups, nodes and ranks.
    old
        The plan in force, ``(layers, slots)``, -1 where a slot is empty.
    limits
        How far to go.
    """
    tokens = _tokens(loads)
    if not tokens.any():
        # vLLM's profile run at the start has no load: the time to compile, not the first rebalance.
        _compile()
    before = _fitting(old, len(tokens), sizes)
    if before is None:
        return _fresh(tokens, sizes)
    before[(before < 0) | (before >= tokens.shape[1])] = -1
    complete = _complete(before, tokens.shape[1])
    usable = _servable(before, tokens.shape[1], sizes)
    busy = tokens.any(axis=1) | ~complete
    after = before.copy()
    for part, change in ((busy & usable, _improved), (busy & ~usable, _mended)):
        if part.any():
            after[part] = change(tokens[part], before[part], sizes, limits or Limits())
    if not _servable(after[busy], tokens.shape[1], sizes).all():
        # It would stop the engine, or spoil what it answers.
        raise NoPlacementError("the new plan lacks an expert, or breaks the group rule")
    return in_place(after, before, sizes.ranks)


def _mended(loads: FloatArray, before: IntArray, sizes: Sizes, limits: Limits) -> IntArray:
    """Return plans for layers that have none: from what is there, or fresh ones."""
    if sizes.group_nodes > 1:
        # Groups that sit across nodes leave no room to gather them: start anew.
        return renumbered(_fresh(loads, sizes), before, sizes.ranks, sizes.group_nodes)
    front = _front(loads, before, sizes)
    return front.table(_chosen(front.objective, front.imbalance, limits))


def _improved(loads: FloatArray, before: IntArray, sizes: Sizes, limits: Limits) -> IntArray:
    """Return the cheapest plan of the front that is good enough, the one in force if that is."""
    budget = limits.transfers_per_layer
    # Somewhat further than the target asks for, so that layers can make up for each other.
    front = _front(loads, before, sizes, (1.0 + limits.target_imbalance) / 2)
    last = front.within(math.inf if budget is None else budget * len(loads))
    # The plan in force comes first: what costs no transfer may be a change even so.
    tokens = slot_loads(before, loads[None])[0].reshape(len(loads), sizes.ranks, -1).sum(axis=2)
    largest, mean = tokens.max(axis=1), tokens.mean(axis=1)
    chosen = _chosen(
        np.append(largest.sum(), front.objective[: last + 1]),
        np.append((largest / mean).mean(), front.imbalance[: last + 1]),
        limits,
    )
    return before if chosen == 0 else front.table(chosen - 1)


def _front(loads: FloatArray, before: IntArray, sizes: Sizes, imbalance: float = 1.0) -> Front:
    """Return the plans for more and more transfers, each of one byte, layers to an imbalance."""
    from moeopt.describe.cluster import Cluster
    from moeopt.placement.problem import PlacementProblem
    from moeopt.placement.replan import replan_front

    nodes = sizes.group_nodes
    problem = PlacementProblem(
        loads_tokens=loads,
        cluster=Cluster.uniform(sizes.ranks, nodes),
        slots_per_device=sizes.slots_per_rank,
        expert_bytes=1,
        groups=sizes.groups if nodes > 1 else 1,
        group_rule="one_node" if nodes > 1 else "free",
        max_copies_per_device=None,
        previous=before,
    )
    return replan_front(problem, imbalance=imbalance)


def _chosen(objective: FloatArray, imbalance: FloatArray, limits: Limits) -> int:
    """Return the first plan that reaches the target, or after which little is gained."""
    worth = objective * (1.0 - limits.least_gain) <= objective[-1]
    return int(np.argmax(worth | (imbalance <= limits.target_imbalance)))


def _fresh(loads: FloatArray, sizes: Sizes) -> IntArray:
    table: IntArray = eplb_experts(loads, sizes.slots, sizes.groups, sizes.nodes, sizes.ranks)[0]
    return table


def _tokens(loads: npt.NDArray[Any]) -> FloatArray:
    tokens = np.asarray(loads, dtype=np.float64)
    wrong = ~(np.isfinite(tokens) & (tokens >= 0))
    if wrong.any():
        _say_once("loads", "some loads are negative or no numbers; they count as 0")
        return np.where(wrong, 0.0, tokens)
    return tokens


def _fitting(old: npt.NDArray[Any] | None, layers: int, sizes: Sizes) -> IntArray | None:
    """Return the old plan with as many slots as the new one has, or ``None`` if it has no use.

    When vLLM takes ranks away, the last ones go; ranks that come have empty slots.
    """
    if old is None or old.ndim != 2 or len(old) != layers or old.shape[1] % sizes.slots_per_rank:
        return None
    missing = max(0, sizes.slots - old.shape[1])
    table = np.pad(old.astype(np.int64), ((0, 0), (0, missing)), constant_values=-1)
    return np.ascontiguousarray(table[:, : sizes.slots])


def _complete(table: IntArray, experts: int) -> Mask:
    """Tell which layers have every slot filled and every expert somewhere, ``(layers,)``."""
    held = np.zeros((len(table), experts + 1), dtype=np.bool_)
    np.put_along_axis(held, table, True, axis=1)  # -1 is the last column
    return np.asarray(held[:, :experts].all(axis=1) & (table >= 0).all(axis=1))


def _servable(table: IntArray, experts: int, sizes: Sizes) -> Mask:
    """Tell which layers are complete, each group on one node where groups count, ``(layers,)``."""
    nodes = sizes.group_nodes
    complete = _complete(table, experts)
    if nodes == 1:
        return complete
    present = np.zeros((len(table), sizes.groups, nodes), dtype=np.bool_)
    node = np.arange(sizes.slots) // (sizes.slots // nodes)
    present[np.arange(len(table))[:, None], table // (experts // sizes.groups), node] = True
    return np.asarray(complete & (present.sum(axis=2) <= 1).all(axis=1))


@cache
def _compile() -> None:
    """Compile or load the kernels, by replans of four experts, free and in groups."""
    from moeopt.adapters.engines.migration import schedule_migration_batches

    for groups, old in ((1, [[0, 1, 2, 3, 0, 0]]), (2, [[0, 1, 0, 2, 3, 2]])):
        rebalance(np.array([[8.0, 4.0, 2.0, 1.0]]), Sizes(6, groups, 2, 2), np.array(old))
    schedule_migration_batches(1, np.array([0, 1]), np.array([1, 0]))


def _say_once(what: str, line: str) -> None:
    """Log a line, the first of its kind in this process."""
    if what not in _SAID:
        _SAID.add(what)
        LOG.warning("moeopt: %s", line)


def _array(given: Any) -> npt.NDArray[Any]:
    """Return a tensor on any device, or an array, as an array."""
    if _is_tensor(given):
        # NumPy has no bfloat16.
        exact = given.detach().cpu()
        given = (exact.double() if exact.is_floating_point() else exact).numpy()
    return np.asarray(given)


def _as_given(weight: Any, table: IntArray) -> Any:
    return sys.modules["torch"].from_numpy(table) if _is_tensor(weight) else table


def _is_tensor(given: Any) -> bool:
    return "torch" in sys.modules and isinstance(given, sys.modules["torch"].Tensor)
