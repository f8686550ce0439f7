"""The library: each constraint binds somewhere, infeasible ones are, methods have their values."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

import moeopt
from moeopt import library
from moeopt.core.result import Status
from moeopt.io import load_problem
from moeopt.testing.conformance.transfers_oracle import brute_force
from moeopt.transfers import evaluate
from moeopt.transfers.problem import TransferProblem, Window

INFEASIBLE = library.entries("transfers/infeasible-*")

#: Of tiny instances: the constraint that binds, the fields without it, and the optimum then.
DROPPED: dict[str, tuple[str, dict[str, Any], float]] = {
    "tiny-two-ports": ("C1", {"traffic_bytes": np.zeros((2, 2))}, 0.0),
    "tiny-bandwidth": ("C2", {"bandwidth_bytes_per_s": 2.0}, 2.0),
    "tiny-receive-rate": ("C2", {"receive_bytes_per_s": None}, 3.0),
    "tiny-one-peer": ("C3", {"peers": "many"}, 3.0),
    "tiny-half-duplex": ("C4", {"half_duplex": False}, 1.0),
    "tiny-half-duplex-one-peer": ("C4", {"peers": "many"}, 2.0),
    "tiny-release": ("C5", {"windows": ()}, 4.0),
    "tiny-waves": ("C5", {"windows": ()}, 4.0),
    "tiny-deadline": ("C6", {"windows": (Window(source=3, release_s=1.0),)}, 2.0),
    "tiny-chunk": ("C7", {"chunk_bytes": 0.0}, 5.0),
    "tiny-whole-messages": ("C8", {"preemptive": True}, 4.0),
    "tiny-busy-whole": ("C8", {"preemptive": True}, 4.0),
    "tiny-busy": ("C9", {"busy": ()}, 2.0),
    "tiny-absent-relay": ("C9", {"absent_ports": ()}, 3.0),
    "tiny-startup": ("C2", {"startup_s": 0.0}, 4.0),
    "tiny-startup-one-peer": ("C3", {"startup_s": 0.0}, 4.0),
    "tiny-round-startups": ("C10", {"startup_s": 0.0}, 4.0),
    "aurora-unequal-ports-one-peer": ("C3", {"peers": "many"}, 2.0),
}

#: The field that states a constraint, as it is without it.
WITHOUT: dict[str, dict[str, Any]] = {
    "C3": {"peers": "many"},
    "C4": {"half_duplex": False},
    "C6": {"windows": ()},
    "C8": {"preemptive": True},
    "C9": {"absent_ports": (), "busy": ()},
}


def named(entries: list[library.Entry]) -> list[Any]:
    return [pytest.param(entry, id=entry.name.partition("/")[2]) for entry in entries]


def load(name: str) -> TransferProblem:
    problem = load_problem(f"@transfers/{name}")
    assert isinstance(problem, TransferProblem)
    return problem


@pytest.mark.parametrize("name", DROPPED)
def test_without_the_constraint_the_optimum_is_another(name: str) -> None:
    _, changes, optimum = DROPPED[name]
    freed = brute_force(msgspec.structs.replace(load(name), **changes))
    assert freed is not None
    assert freed.objective == pytest.approx(optimum, rel=1e-9)
    assert optimum < library.entries(f"transfers/{name}")[0].best_objective  # type: ignore[operator]


def test_without_rails_a_message_goes_straight() -> None:
    problem = load("tiny-rails")
    assert problem.fabric is not None
    switched = msgspec.structs.replace(problem.fabric, rails=False)
    freed = brute_force(msgspec.structs.replace(problem, fabric=switched))
    assert freed is not None
    assert freed.objective == 2.0


def test_with_more_time_two_rounds_are_enough() -> None:
    """C12: the fewest rounds of any length are as many as the peers of a port."""
    problem = load("tiny-fewest-rounds")
    assert library.entries("transfers/tiny-fewest-rounds")[0].best_objective == 3
    slow = msgspec.structs.replace(
        problem, objective="makespan", peers="one", startup_per="round", startup_s=1e6
    )
    freed = brute_force(slow)
    assert freed is not None
    assert evaluate(slow, freed.plan).num_rounds == 2  # type: ignore[arg-type]


def test_every_constraint_binds_in_some_tiny_instance() -> None:
    labels = {label for label, _, _ in DROPPED.values()} | {"C11", "C12"}
    assert labels == {f"C{n}" for n in range(1, 13)}


@pytest.mark.parametrize("entry", named(INFEASIBLE))
def test_nothing_meets_an_infeasible_instance_but_for_the_named_rule(entry: library.Entry) -> None:
    problem = load(entry.name.partition("/")[2])
    assert entry.proven_by is not None
    constraint = entry.proven_by.removeprefix("infeasible: ")
    none, freed = (
        brute_force(p) for p in (problem, msgspec.structs.replace(problem, **WITHOUT[constraint]))
    )
    assert none is not None
    assert none.objective is None
    assert freed is not None
    assert freed.objective is not None
    assert moeopt.solve(problem).status is Status.INFEASIBLE


@pytest.mark.parametrize("task", ["intent", "translation"])
@pytest.mark.parametrize("devices", [8, 32])
def test_real_dispatches_send_what_the_text_has(task: str, devices: int) -> None:
    """A token goes to at most 6 devices, the same tokens leave however experts are placed."""
    tokens = {"intent": 8222, "translation": 8251}[task]
    placed = [
        load(f"deepseek-v2-lite-{task}-{devices}-{where}") for where in ("contiguous", "balanced")
    ]
    for problem in placed:
        sent = problem.traffic_bytes[0] / 4096
        assert (sent == np.round(sent)).all()
        assert tokens <= sent.sum() <= 6 * tokens
    busiest = [p.pair_bytes().sum(axis=0).max() for p in placed]
    assert busiest[1] < busiest[0]
