"""The transfers wing's share of the conformance suite."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np

from moeopt.core.arrays import IntArray
from moeopt.testing.conformance.kit import Kit, Relabelled, register_kit
from moeopt.testing.conformance.transfers_oracle import brute_force
from moeopt.testing.conformance.transfers_plans import in_units
from moeopt.transfers import generate
from moeopt.transfers.plan import TransferPlan
from moeopt.transfers.problem import Busy, TransferProblem, Window

#: Rules that methods for one kind of problem know: many problems have these alone.
_SIMPLE = (
    (),
    ("unequal", "receive", "absent"),
    ("unequal", "one_peer", "waves"),
    ("startups", "one_peer", "unequal"),
    ("round_startups", "one_peer"),
    ("releases", "busy", "deadlines"),
    ("rounds", "absent"),
    ("whole", "one_peer", "releases"),
    ("fabric", "absent"),
)

#: What a port says of a rate, one number for all or one for each.
_RATES = ("bandwidth_bytes_per_s", "receive_bytes_per_s")


def problems(feasible: bool) -> Any:
    """Return a strategy of problems small enough for brute force, mostly."""
    from hypothesis import strategies as st

    from moeopt.testing.strategies import transfer_problems

    every = transfer_problems(feasible=feasible)
    simple = [transfer_problems(features=features, feasible=feasible) for features in _SIMPLE]
    return every | st.one_of(simple)


def long_problems() -> list[TransferProblem]:
    """Return problems of every kind that keep a good method busy beyond a fraction of a second."""
    startups = msgspec.structs.replace(generate.startups(40, "uniform"), peers="one")
    dense = generate.all_to_all("dense", 40)
    whole = generate.all_to_all("uniform", 8)
    return [
        startups,
        generate.startups(24, "uniform"),
        msgspec.structs.replace(whole, peers="one", preemptive=False),
        msgspec.structs.replace(whole, objective="rounds"),
        generate.two_tier(),
        dense,
        msgspec.structs.replace(generate.two_models(24), peers="one"),
    ]


def tolerance(problem: TransferProblem) -> float:
    """Return 1e-9, or what the linear programs give where nothing simpler is known."""
    rounds = problem.objective == "rounds" or problem.startup_per == "round"
    crowded = problem.half_duplex and problem.peers == "one"
    return 1e-6 if problem.is_timed or rounds or crowded else 1e-9


def relabelled(problem: TransferProblem, rng: np.random.Generator) -> list[Relabelled]:
    """Return the problem with ports and waves in another order."""
    return [
        _renamed_ports(problem, _port_order(problem, rng)),
        _reordered_waves(problem, rng.permutation(problem.num_waves)),
    ]


def scaled(problem: TransferProblem, exponent: int) -> tuple[TransferProblem, float]:
    """Return the problem with bytes and times multiplied by ``2**exponent``, and the factor."""
    factor = 2.0**exponent
    changed = in_units(problem, 1 / factor, 1 / factor)
    return changed, 1.0 if problem.objective == "rounds" else factor


def larger(
    problem: TransferProblem, rng: np.random.Generator
) -> Iterable[tuple[str, TransferProblem]]:
    """Return problems that allow all plans of this one, or faster ones with the same rounds."""
    del rng
    yield "twice the rates", _faster(problem)
    if problem.is_timed:
        yield "no times", msgspec.structs.replace(problem, windows=(), busy=())
    if problem.chunk_bytes > 0 or not problem.preemptive:
        cut = msgspec.structs.replace(problem, chunk_bytes=0.0, preemptive=True)
        yield "messages that may be cut", cut
    if problem.peers == "one" or problem.half_duplex:
        yield "shared ports", msgspec.structs.replace(problem, peers="many", half_duplex=False)


def _faster(problem: TransferProblem) -> TransferProblem:
    changes: dict[str, Any] = {
        name: 2 * getattr(problem, name) for name in _RATES if getattr(problem, name) is not None
    }
    if problem.fabric is not None:
        fast = 2 * problem.fabric.bandwidth_bytes_per_s
        changes["fabric"] = msgspec.structs.replace(problem.fabric, bandwidth_bytes_per_s=fast)
    return msgspec.structs.replace(problem, **changes)


def _port_order(problem: TransferProblem, rng: np.random.Generator) -> IntArray:
    """Return ports in another order: nodes change places, and the places in all nodes alike."""
    size = 1 if problem.fabric is None else problem.fabric.ports_per_node
    nodes = np.arange(problem.num_ports).reshape(-1, size)
    order = nodes[rng.permutation(len(nodes))][:, rng.permutation(size)]
    return order.ravel()


def _renamed_ports(problem: TransferProblem, order: IntArray) -> Relabelled:
    """Put port ``order[p]`` of the problem in place `p`."""
    place = np.argsort(order)
    changes: dict[str, Any] = {
        "traffic_bytes": problem.traffic_bytes[:, order][:, :, order],
        "windows": tuple(_window(w, source=place, destination=place) for w in problem.windows),
        "busy": tuple(
            Busy(port=int(place[b.port]), start_s=b.start_s, end_s=b.end_s) for b in problem.busy
        ),
        "absent_ports": tuple(int(place[port]) for port in problem.absent_ports),
    }
    for name in _RATES:
        rate = getattr(problem, name)
        if isinstance(rate, np.ndarray):
            changes[name] = rate[order]

    def back(plan: TransferPlan) -> TransferPlan:
        ends = ("source", "destination", "origin", "target")
        return _with_columns(plan, {name: order for name in ends})

    return Relabelled("ports", msgspec.structs.replace(problem, **changes), back)


def _reordered_waves(problem: TransferProblem, order: IntArray) -> Relabelled:
    """Put wave ``order[w]`` of the problem in place `w`."""
    changed = msgspec.structs.replace(
        problem,
        traffic_bytes=problem.traffic_bytes[order],
        windows=tuple(_window(window, wave=np.argsort(order)) for window in problem.windows),
    )
    return Relabelled("waves", changed, lambda plan: _with_columns(plan, {"wave": order}))


def _window(window: Window, **places: IntArray) -> Window:
    """Return the window with the named indices looked up."""
    changes = {
        name: int(place[getattr(window, name)])
        for name, place in places.items()
        if getattr(window, name) is not None
    }
    return msgspec.structs.replace(window, **changes)


def _with_columns(plan: TransferPlan, places: dict[str, IntArray]) -> TransferPlan:
    """Return the plan with the named columns looked up, its rows in the order of plans."""
    changes = {
        name: place[getattr(plan, name)]
        for name, place in places.items()
        if getattr(plan, name) is not None
    }
    moved = msgspec.structs.replace(plan, **changes)
    order = np.lexsort((moved.source, moved.start_s, moved.round_index))
    columns = {
        name: getattr(moved, name)[order]
        for name in moved.__struct_fields__
        if isinstance(getattr(moved, name), np.ndarray)
    }
    return msgspec.structs.replace(moved, **columns)


KIT = register_kit(
    Kit(
        wing="transfers",
        problems=problems,
        long_problems=long_problems,
        optimum=brute_force,
        relabelled=relabelled,
        scaled=scaled,
        larger=larger,
        tolerance=tolerance,
    )
)
