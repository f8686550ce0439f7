"""What a run may be told, and the sentences that refuse what it may not."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from moeopt.adapters.torch.workers import Backend, Workers
from moeopt.core.arguments import whole
from moeopt.core.errors import AdapterError, InstanceError

Dtype = Literal["fp32", "bf16"]
ExchangeName = Literal["auto", "single", "rounds", "spot"]

#: Largest difference from the reference, as a part of its largest output.
TOLERANCE: dict[Dtype, float] = {"fp32": 1e-6, "bf16": 2e-2}

#: Most workers for each processor: each takes some hundred megabytes, and its turn.
_CROWD = 8

#: Seconds of a call: steps may be many. What hangs is ended by the group's own timeout.
_PATIENCE_S = 30 * 86400.0

_LEAST = {
    "world": 1,
    "tokens": 0,
    "top_k": 1,
    "hidden": 1,
    "inner": 1,
    "steps": 1,
    "seed": 0,
    "port_bytes": 1,
}
_WORDS: dict[str, tuple[str, ...]] = {
    "backend": get_args(Backend),
    "dtype": get_args(Dtype),
    "exchange": get_args(ExchangeName),
}


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What a run was told; ``None`` where it was not, and where its plan's kind reads nothing.

    Attributes
    ----------
    world
        Workers; as many as the plan has devices or ports if left out.
    backend
        ``"nccl"`` or ``"gloo"``; left out, NCCL where each worker has a GPU.
    trace
        File of recorded choices that the tokens take.
    layers
        Which layers run; all if left out.
    tokens
        Tokens of a worker in one step, in the mean.
    top_k
        Experts of a token.
    hidden, inner
        Widths of a token and of an expert.
    dtype
        Of tokens and weights.
    steps
        How often everything is run and timed.
    exchange
        How tokens travel: as the measured link makes best, in one all-to-all, in rounds planned
        from the plan's traffic, or in rounds computed on the spot.
    seed
        Of weights and tokens.
    port_bytes
        Bytes that the busiest port of a transfer plan sends or receives.
    """

    world: int | None = None
    backend: Backend | None = None
    trace: str | None = None
    layers: tuple[int, ...] | None = None
    tokens: int | None = None
    top_k: int | None = None
    hidden: int | None = None
    inner: int | None = None
    dtype: Dtype | None = None
    steps: int | None = None
    exchange: ExchangeName | None = None
    seed: int | None = None
    port_bytes: int | None = None

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and whole(name, value) < least:
                raise InstanceError(name, value, f"must be >= {least}", "give more, or leave out")
        for name, words in _WORDS.items():
            value = getattr(self, name)
            if value is not None and value not in words:
                rule = f"must be one of {', '.join(words)}"
                raise InstanceError(name, value, rule, "write one of them")

    def refuse_all_but(self, read: Collection[str], kind: str) -> None:
        """Raise `InstanceError` for an option that a plan of this kind has no use for."""
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and field.name not in read:
                rule = f"must not be given for a {kind} plan, which has no use for it"
                raise InstanceError(field.name, value, rule, "leave it out")


def require_torch() -> None:
    """Raise `AdapterError` unless PyTorch is there."""
    try:
        import torch.distributed
    except ImportError:
        raise AdapterError("the torch adapter needs PyTorch: pip install 'moeopt[torch]'") from None
    if not torch.distributed.is_available():
        raise AdapterError("this build of PyTorch has no torch.distributed: install another")


def started(world: int, backend: Backend) -> Workers:
    """Start the workers of a run; what they would each compile is compiled before."""
    from moeopt.adapters.torch.spot import compile_rounds

    if world > 1:
        compile_rounds()
    return Workers(world, backend)


def asked(workers: Workers, function: Callable[..., Any], *args: Any) -> list[Any]:
    """Return what a function returns on each worker, by rank, however many steps it takes."""
    return workers.run(function, *args, timeout_s=_PATIENCE_S)


def chosen_world(world: int | None, devices: int, remedy: str) -> int:
    """Return the workers asked for, or one for each device.

    Parameters
    ----------
    world
        As asked for.
    devices
        Of the plan.
    remedy
        What to do about too many.

    Raises
    ------
    InstanceError
        If this machine has too few processors for them.
    """
    chosen = devices if world is None else world
    most = _CROWD * (os.cpu_count() or 1)
    if chosen > most:
        rule = f"must be at most {most} on this machine, {_CROWD} for each processor"
        raise InstanceError("world", chosen, rule, remedy)
    return chosen


def chosen_backend(backend: Backend | None, world: int) -> Backend:
    """Return the backend asked for, or NCCL where each worker has a GPU.

    Raises
    ------
    InstanceError
        If there are too few GPUs for NCCL.
    """
    import torch

    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if backend == "nccl" and there < world:
        rule = f"must have a GPU for each of the {world} workers, of which there are {there}"
        raise InstanceError("backend", backend, rule, "write gloo, or start fewer workers")
    if backend is None:
        return "nccl" if there >= world else "gloo"
    return backend
