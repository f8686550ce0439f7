"""The recorded traces that expert caches are judged on, and the protocol by which they are.

The reference model's held-out trace is always there; further ones come from the folder that the
environment variable `moeopt.bench.serverless_prediction.TRACES` names.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from moeopt.bench.serverless_prediction import TRACES
from moeopt.buffering.from_trace import buffering_problem
from moeopt.buffering.problem import BufferingProblem
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.library import trace_path
from moeopt.traces.npz import read_trace
from moeopt.traces.trace import RoutingTrace

#: The protocol of the first figures taken on these traces: so many tokens, and so many layers,
#: the first, the last and others evenly between. Of 26 layers they are 1, 9, 18 and 26.
TOKENS, LAYERS = 6000, 4

#: Slots of each layer.
SLOTS = (6, 8, 12, 16, 24, 32)

REFERENCE = "reference-held-out"

#: What the reference model was recorded on before.
_REFERENCE_PAST = "reference-train"


@dataclass(frozen=True)
class Recorded:
    """A recorded text, and what its model was seen to do on others.

    Attributes
    ----------
    name
        Of its file.
    trace
        The routing.
    past
        Tokens of each expert in other texts, ``(layers, experts)``; ``None`` without others.
    """

    name: str
    trace: RoutingTrace
    past: FloatArray | None


@dataclass(frozen=True)
class Protocol:
    """What is taken from a trace.

    Attributes
    ----------
    name
        For titles.
    tokens
        The first so many; ``None``: all.
    layers
        So many, evenly from the first to the last; ``None``: all.
    """

    name: str
    tokens: int | None
    layers: int | None

    def layers_of(self, trace: RoutingTrace) -> IntArray:
        """Return the layers that are taken of a trace."""
        count = min(trace.num_layers, self.layers or trace.num_layers)
        return np.linspace(0, trace.num_layers - 1, count).round().astype(np.int64)

    def problem(self, recorded: Recorded, slots: int = SLOTS[-1]) -> BufferingProblem:
        """Return a step for each token, a cache for each layer that is cold at the start.

        The texts of a trace follow each other without another cold start. Experts of a group run
        in the order of their ids.

        Parameters
        ----------
        recorded
            Where the references come from.
        slots
            Of each layer.
        """
        layers = self.layers_of(recorded.trace)
        trace = recorded.trace.part(0, self.tokens or recorded.trace.num_tokens)
        past = None if recorded.past is None else recorded.past[layers]
        return buffering_problem(trace, layers=layers.tolist(), slots=slots, history=past)


PROTOCOL = Protocol(f"{LAYERS} layers, {TOKENS} tokens", TOKENS, LAYERS)
EVERYTHING = Protocol("all layers, all tokens", None, None)


@cache
def recorded() -> tuple[Recorded, ...]:
    """Return the library's held-out trace, and those of the folder by their paths in it.

    Raises
    ------
    InstanceError
        If a folder is named that has none, or one without tokens.
    """
    earlier = read_trace(trace_path(_REFERENCE_PAST)).counts()
    found = [Recorded(REFERENCE, read_trace(trace_path(REFERENCE)), earlier)]
    folder = os.environ.get(TRACES)
    if not folder:
        return tuple(found)
    paths = sorted(Path(folder).rglob("*.npz"))
    if not paths:
        rule = "must be a folder with traces, .npz"
        raise InstanceError(TRACES, folder, rule, "correct the path, or unset the variable")
    traces = {
        path.relative_to(folder).with_suffix("").as_posix(): read_trace(path) for path in paths
    }
    for name, trace in traces.items():
        if not trace.num_tokens:
            raise InstanceError(f"{folder}/{name}.npz", 0, "must have tokens", "leave it out")
        counts = trace.counts()
        others = [one.counts() for other, one in traces.items() if other != name]
        alike = [table for table in others if table.shape == counts.shape]
        found.append(Recorded(name, trace, np.sum(alike, axis=0) if alike else None))
    return tuple(found)


def halves(trace: RoutingTrace) -> tuple[RoutingTrace, RoutingTrace] | None:
    """Return the earlier and the later half, cut between two sequences if there are two.

    ``None`` of a single token.

    Parameters
    ----------
    trace
        What is parted.
    """
    if trace.num_tokens < 2:
        return None
    if trace.sequence_lengths is None or trace.sequence_lengths.size > 1:
        return trace.halves()
    middle = trace.num_tokens // 2
    return trace.part(0, middle), trace.part(middle, trace.num_tokens)


def where_more_is() -> str:
    """Return what to say of traces that are not there; nothing if a folder is named."""
    return "" if os.environ.get(TRACES) else f"set {TRACES} to a folder of .npz for others"
