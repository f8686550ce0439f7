"""What must hold of a wing beside its methods: honest code keeps it, a lie anywhere is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from moeopt.bench.reliability import agreement_buffering as buffering
from moeopt.bench.reliability import agreement_committee as committee
from moeopt.bench.reliability import agreement_serverless as serverless
from moeopt.bench.reliability.agreement_identities import check, identities, trials
from moeopt.buffering.problem import BufferingProblem, Timing
from moeopt.committee.problem import CommitteeProblem
from moeopt.popularity.prediction import CountTable, Prediction
from moeopt.serverless.problem import (
    ExpertFunction,
    MemoryTable,
    Network,
    ServerlessLayer,
    ServerlessProblem,
)
from moeopt.testing.conformance import kit_for

CACHE = BufferingProblem(
    experts=3,
    active=np.array([0, 1, 2, 0, 1, 2]),
    starts=np.arange(7),
    slots=2,
    timing=Timing(link_bytes_per_s=1.0, compute_s=0.5),
)
ADDED = CommitteeProblem(
    experts=3,
    importance=np.array([[[3.0, 1.0, 2.0]], [[1.0, 3.0, 0.0]]]),
    budget_bytes=2,
    load_price=0.5,
)
MASKED = CommitteeProblem(
    experts=3,
    loss="masked",
    router=np.array([[[0.5, 0.3, 0.2]], [[0.1, 0.2, 0.7]]]),
    budget_bytes=2,
)
ONE = np.zeros(1, dtype=np.int64)
FUNCTIONS = ServerlessProblem(
    layers=(ServerlessLayer(),),
    expert=ExpertFunction(
        parameter_bytes=100,
        input_bytes_per_token=10.0,
        output_bytes_per_token=10.0,
        compute=MemoryTable(seconds_per_token=(0.2, 0.1)),
    ),
    network=Network(storage_bytes_per_s=100.0, function_bytes_per_s=200.0, access_delay_s=0.01),
    memory_mb=(128, 256),
    max_replicas=2,
    prediction=Prediction(
        table=CountTable(
            layer=ONE, token=ONE, attention=ONE, expert=ONE, count=np.ones(1), experts=(2,)
        ),
        token_ids=np.array([0, 0, 1]),
    ),
)

PROBLEMS = {
    "buffering": (CACHE,),
    "committee": (ADDED, MASKED),
    "serverless": (FUNCTIONS, msgspec.structs.replace(FUNCTIONS, designs=(2, 3))),
}


def told(wing: str) -> dict[str, list[str]]:
    """Return what each identity says of the wing's problems."""
    said: dict[str, list[str]] = {}
    for problem in PROBLEMS[wing]:
        optimum = kit_for(wing).optimum(problem)
        for name, one in check(wing, problem, optimum, lambda _, each: each).items():
            said.setdefault(name, []).extend(one.failures)
    return said


@pytest.mark.parametrize("wing", PROBLEMS)
def test_all_identities_apply_somewhere_and_hold(wing: str) -> None:
    assert told(wing) == {name: [] for name in identities(wing)}


LIES: dict[str, tuple[Any, str, Any, str]] = {
    "bounds cut short": (buffering, "bound", lambda real: lambda *a: 99.0, "99.0, the optimum"),
    "flows of every number of slots": (
        buffering, "flow_curve", lambda real: lambda part: real(part) + 1.0, "flows of 1 slots",
    ),
    "replays of policies, their plans": (
        buffering, "replay",
        lambda real: lambda *a, **k: replace(real(*a, **k), miss_cost=7.5), "the replay of lru",
    ),
    "pins beside a cache": (
        buffering, "pins_beside_cache",
        lambda real: lambda *a: replace(real(*a), cost=9.0, cost_without=8.0), "none 8.0",
    ),
    "seconds of the best plans": (
        buffering, "stall", lambda real: lambda *a: replace(real(*a), host_s=1.0), "the parts of",
    ),
    "LearnedCache, its replay": (
        buffering, "LearnedCache", lambda real: lambda experts, slots: real(experts, 1), "loads",
    ),
    "bounds cut short, relaxations": (
        committee, "relaxation", lambda real: lambda *a: np.nan, "by relaxation is nan",
    ),
    "flows in hindsight": (
        committee, "hindsight_curves",
        lambda real: lambda *a: [curve + 1.0 for curve in real(*a)], "a flow's curve",
    ),
    "greedy sets and their bounds, all sets": (
        committee, "upper_bound", lambda real: lambda *a: 0.0, "upper_bound of 1 experts",
    ),
    "schedulers with delays": (
        committee, "violations", lambda real: lambda *a: ["C1"], "a delay of 2 breaks C1",
    ),
    "tables of periods, schedules": (
        committee, "tables", lambda real: lambda *a, **k: (np.zeros((1, 1, 4)), None), "the table",
    ),
    "simulation without contention, formulas": (
        serverless, "simulate",
        lambda real: lambda *a: replace(real(*a), layer_s=2.0 * real(*a).layer_s), "simulated",
    ),
    "plans met by their own tokens": (
        serverless, "meet",
        lambda real: lambda *a: replace(real(*a), over_memory=np.ones(1)), "are over memory",
    ),
    "staircases of layers": (
        serverless, "fixed_usd", lambda real: lambda problem: 1.0, "by staircases",
    ),
    "knapsack over all degrees": (
        serverless, "least_cost", lambda real: lambda *a: 5.0, "of its relaxation is 5.0",
    ),
    "predicted tokens, those of the batch": (
        serverless, "Predictor",
        lambda real: lambda table: real(msgspec.structs.replace(table, top_k=2)), "another way",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_a_lie_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, planted, lie, sentence = LIES[name]
    monkeypatch.setattr(module, planted, lie(getattr(module, planted)))
    wing = module.__name__.rpartition("_")[2]
    assert any(sentence in each for each in told(wing)[name]), told(wing)[name]


def test_every_identity_has_its_lie() -> None:
    assert set(LIES) == {name for wing in PROBLEMS for name in identities(wing)}


def test_nothing_is_checked_without_a_plan() -> None:
    assert check("buffering", CACHE, None, lambda *a: "") == {}
    hopeless = msgspec.structs.replace(CACHE, slots=0)
    assert check("buffering", hopeless, kit_for("buffering").optimum(hopeless), lambda *a: "") == {}
    assert identities("placement") == {}


def test_trials_add_up() -> None:
    optimum = kit_for("buffering").optimum(CACHE)
    one = check("buffering", CACHE, optimum, lambda name, said: f"{name}: {said}")
    found = {trial.what: trial for trial in trials([one, {}, one])}
    assert set(found) == set(one)
    assert {trial.times for trial in found.values()} == {2}
    assert {trial.failures for trial in found.values()} == {()}
