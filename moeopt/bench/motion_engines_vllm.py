"""What the workers of the bench run of vLLM: its EPLB, on CPU tensors, from its wheel's files."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moeopt.adapters.engines.vllm_plugin import NAME, TARGET
from moeopt.bench.engine_rooms import open_vllm
from moeopt.bench.motion_engines_ranks import (
    MOST_STEPS,
    config_of_model,
    config_of_ranks,
    fill,
    is_filled,
    many_ranks,
    model_of,
    real_ranks,
    slot_tokens,
)
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import AdapterError
from moeopt.placement.generate import Layout

_GROUP = "vllm.general_plugins"


@dataclass(frozen=True)
class Rebalanced:
    """What vLLM's state held after rebalances.

    Attributes
    ----------
    tables
        Expert in each slot after each, ``(layers, slots)``.
    seconds
        Of the policy's last call.
    policy
        Name of its class.
    """

    tables: list[IntArray]
    seconds: float
    policy: str


@dataclass(frozen=True)
class Carried:
    """What a rebalance in the background carried, seen from one rank.

    Attributes
    ----------
    old, new
        Expert in each slot before and after, ``(layers, slots)``.
    batches
        Batches of each layer as vLLM's worker got them: flows as (source, destination, experts).
    right
        Whether this rank's weights are those of the experts that the new plan gives it.
    """

    old: IntArray
    new: IntArray
    batches: list[list[list[tuple[int, int, tuple[int, ...]]]]]
    right: bool


def load_plugins(root: str) -> list[str]:
    """Let vLLM's own loader find and run the plugin; return the entry points that it found.

    Where moeopt is not installed, its entry point is the one that its project file states.
    """
    _open(root)
    plugins = importlib.import_module("vllm.plugins")
    with _entry_point():
        found = plugins.load_plugins_by_group(_GROUP)
        plugins.load_general_plugins()
    return sorted(found)


def map_loaded(root: str, table: IntArray, experts: int, ranks: int) -> dict[str, IntArray]:
    """Return the maps that vLLM's state derives from a table, as after a change of ranks."""
    es = _open(root)
    layout = Layout(table.shape[1], ranks)
    with many_ranks(layout):
        torch = importlib.import_module("torch")
        model, config = model_of((len(table), experts), layout), config_of_model()
        state = es.EplbState.from_mapping(
            model, config, torch.device("cpu"), config_of_ranks(), torch.from_numpy(table.copy())
        )
    held = state.model_states[config.compute_hash()]
    names = ("physical_to_logical_map", "logical_to_physical_map", "logical_replica_count")
    return {name: getattr(held, name).numpy() for name in names}


def rebalanced(
    root: str, table: IntArray, windows: Sequence[FloatArray], layout: Layout
) -> Rebalanced:
    """Let vLLM's state rebalance after each window of loads, from a table on.

    One process stands for all ranks: collectives of PyTorch's fake process group do nothing, so
    the loads are those of rank 0, and no weights move.
    """
    es = _open(root)
    torch = importlib.import_module("torch")
    found = []
    with many_ranks(layout):
        model, config = model_of(windows[0].shape, layout), config_of_model()
        state = es.EplbState.from_mapping(
            model, config, torch.device("cpu"), config_of_ranks(), torch.from_numpy(table.copy())
        )
        timed = _Timed(state.policy)
        state.policy = timed
        state.rearrange(is_profile=True)
        held = state.model_states[config.compute_hash()]
        for loads in windows:
            current = held.physical_to_logical_map.numpy()
            held.expert_load_window[0] = torch.from_numpy(slot_tokens(loads, current))
            state.rearrange()
            found.append(held.physical_to_logical_map.numpy().copy())
    return Rebalanced(found, timed.seconds, timed.policy.__name__)


def carried(root: str, loads: FloatArray, layout: Layout) -> Carried:
    """Rebalance in the background, on the ranks of this group, with weights that are checked."""
    es = _open(root)
    torch = importlib.import_module("torch")
    dist = importlib.import_module("torch.distributed")
    rank, seen = dist.get_rank(), _Seen()
    real_ranks()
    model, config = model_of(loads.shape, layout), config_of_model()
    state = es.EplbState(config_of_ranks(in_background=True), torch.device("cpu"))
    state.device_index = 0
    state.add_model(model, config)
    held = state.model_states[config.compute_hash()]
    old = held.physical_to_logical_map.numpy().copy()
    fill(model, old, rank)
    window = slot_tokens(loads, old)
    held.expert_load_window[0] = torch.from_numpy(window if rank == 0 else 0 * window)
    with seen.watching():
        state.start_async_loop()
        state.rearrange()
        _finish(state, held)
    new = held.physical_to_logical_map.numpy().copy()
    return Carried(old, new, seen.batches, is_filled(model, new, rank))


class _Timed:
    """A policy whose last call is timed."""

    def __init__(self, policy: Any) -> None:
        self.policy, self.seconds = policy, 0.0

    def rebalance_experts(self, *arguments: Any) -> Any:
        begun = time.perf_counter()
        answer = self.policy.rebalance_experts(*arguments)
        self.seconds = time.perf_counter() - begun
        return answer


class _Seen:
    """What vLLM's worker gets when it asks for batches."""

    def __init__(self) -> None:
        self.batches: list[list[list[tuple[int, int, tuple[int, ...]]]]] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        worker: Any = importlib.import_module("vllm.distributed.eplb.async_worker")
        schedule = worker.schedule_migration_batches_for_layers

        def watched(*arguments: Any) -> Any:
            layers = schedule(*arguments)
            self.batches = [
                [[(f.src_rank, f.dst_rank, tuple(f.expert_ids)) for f in batch] for batch in layer]
                for layer in layers
            ]
            return layers

        worker.schedule_migration_batches_for_layers = watched
        try:
            yield
        finally:
            worker.schedule_migration_batches_for_layers = schedule


def _open(root: str) -> Any:
    """Return vLLM's ``eplb_state``, opened once in this process."""
    if "vllm" not in sys.modules:
        open_vllm(Path(root))
    return importlib.import_module("vllm.distributed.eplb.eplb_state")


@contextmanager
def _entry_point() -> Iterator[None]:
    """Name the plugin as users do, and state its entry point if moeopt is not installed."""
    from importlib.metadata import entry_points
    from tempfile import TemporaryDirectory

    os.environ["VLLM_PLUGINS"] = NAME
    if entry_points(group=_GROUP, name=NAME):
        yield
        return
    with TemporaryDirectory(prefix="moeopt-") as folder:
        info = Path(folder, "moeopt-0.dist-info")
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: moeopt\nVersion: 0\n")
        (info / "entry_points.txt").write_text(f"[{_GROUP}]\n{NAME} = {TARGET}\n")
        sys.path.append(folder)
        importlib.invalidate_caches()
        try:
            yield
        finally:
            sys.path.remove(folder)


def _finish(state: Any, held: Any) -> None:
    """Step as the engine does after each batch until the rebalance has ended."""
    for _ in range(MOST_STEPS - 1):
        state.step()
        if not held.rebalanced:
            return
        time.sleep(1e-3)
    raise AdapterError("vLLM's worker did not end its rebalance")


def carried_right(ranks: Sequence[Carried]) -> bool:
    """Tell whether every rank has the new plan's weights, and all saw the same plan."""
    first = ranks[0]
    return all(
        one.right and (one.new == first.new).all() and one.batches == first.batches for one in ranks
    )
