"""The flow: the optimum in hindsight, for every number of slots in one run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from moeopt.buffering.flow import flow_curve, flow_schedule, flow_within
from moeopt.buffering.plan import evaluate, violations
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.stream import plan_of, streams
from moeopt.testing.conformance.buffering_oracle import brute_force


def drawn(rng: np.random.Generator) -> BufferingProblem:
    """Return a small problem of experts of one size, of either service."""
    layers, steps = (int(n) for n in rng.integers(1, (3, 7)))
    experts = int(rng.integers(1, 6 if layers == 1 else 4))
    active, starts = [], [0]
    for _ in range(steps * layers):
        active += rng.permutation(experts)[: rng.integers(0, min(experts, 3) + 1)].tolist()
        starts.append(len(active))
    pooled = bool(rng.random() < 0.3)
    fields: dict[str, Any] = {
        "slots": int(rng.integers(1, experts * (layers if pooled else 1) + 1)),
        "pooled": pooled,
    }
    if rng.random() < 0.3:
        fields["pinned"] = [[0, 0]]
    if rng.random() < 0.7:
        fields["objective"] = "seconds"
        fields["load_s"] = rng.integers(0, 6, (layers, experts)).astype(float)
    if rng.random() < 0.6:
        fields |= {
            "serve": "bypass",
            "miss_s": rng.integers(0, 6, (layers, experts)).astype(float),
            "weights": rng.integers(0, 4, len(active)).astype(float),
            "free_fill": bool(rng.random() < 0.3),
            "update_period": int(rng.integers(1, 4)),
        }
        if "load_s" not in fields:
            del fields["miss_s"], fields["weights"]
        if rng.random() < 0.5:
            fields["loads_per_group"] = int(rng.integers(1, 3))
    return BufferingProblem(
        experts=experts, layers=layers, active=np.array(active, np.int64), starts=starts, **fields
    )


@pytest.mark.parametrize("seed", range(20))
def test_the_flow_is_the_optimum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(15):
        problem = drawn(rng)
        best = brute_force(problem)
        if best is None:  # a pool of too many experts
            continue
        parts = streams(problem)
        capacities = np.array([part.capacity for part in parts])
        cost = sum(flow_curve(part)[part.capacity] for part in parts)
        if best.objective is None:
            assert cost == np.inf
            continue
        assert cost == pytest.approx(best.objective, abs=1e-9)
        schedules = [flow_schedule(part, int(part.capacity or 0))[0] for part in parts]
        plan = plan_of(problem, parts, capacities, schedules)
        assert violations(problem, plan) == []
        assert evaluate(problem, plan).objective == pytest.approx(best.objective, abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_curves_are_convex_and_agree_with_single_runs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    active = np.concatenate([rng.choice(12, 3, replace=False) for _ in range(60)])
    problem = BufferingProblem(
        experts=12, active=active, starts=np.arange(61) * 3, slots=4, objective="seconds",
        load_s=rng.random((1, 12)),
    )  # fmt: skip
    (stream,) = streams(problem)
    curve = flow_curve(stream)
    assert curve[0] == np.inf
    slopes = np.diff(curve[1:])
    assert (slopes <= 1e-12).all()
    assert (np.diff(slopes) >= -1e-9).all()
    for slots in range(1, 13):
        assert flow_schedule(stream, slots)[1] == pytest.approx(curve[slots])
    # With room for all, each is loaded once.
    assert curve[12] == pytest.approx(problem.load_prices()[0, np.unique(active)].sum())


def alternating(load_s: float) -> BufferingProblem:
    """Return two experts that are asked for in turn 400 times, each miss at a price of 1."""
    return BufferingProblem(
        experts=2, active=np.arange(400) % 2, starts=np.arange(401), slots=1, serve="bypass",
        objective="seconds", miss_s=1.0, load_s=load_s,
    )  # fmt: skip


@pytest.mark.parametrize(("load_s", "optimum"), [(1, 201), (10, 210), (100, 300)])
def test_alternating_experts(load_s: float, optimum: float) -> None:
    """The optimum keeps one of the two: arXiv 2308.15030's rule swaps both for ever."""
    (stream,) = streams(alternating(load_s))
    assert flow_curve(stream)[1] == pytest.approx(optimum)


def test_extremes_of_soft_misses() -> None:
    """All slots: loads alone. No slot: all misses. Free loads: the dearest of each step."""
    rng = np.random.default_rng(5)
    weights = rng.random(40 * 6)
    fields: dict[str, Any] = {
        "experts": 6, "active": np.tile(np.arange(6), 40), "starts": np.arange(41) * 6, "slots": 2,
        "serve": "bypass", "objective": "seconds", "miss_s": 1.0, "weights": weights,
    }  # fmt: skip
    by_step = weights.reshape(40, 6)
    (stream,) = streams(BufferingProblem(load_s=0.25, **fields))
    curve = flow_curve(stream)
    assert curve[0] == pytest.approx(weights.sum())
    assert curve[6] == pytest.approx(6 * 0.25)
    (stream,) = streams(BufferingProblem(load_s=0.0, **fields))
    kept = np.sort(by_step, axis=1)[:, ::-1]
    assert flow_curve(stream)[:7] == pytest.approx([kept[:, k:].sum() for k in range(7)])
    # Loads at a price beyond all misses, but for the first fill: the best static set.
    (stream,) = streams(BufferingProblem(load_s=1e3, free_fill=True, **fields))
    total = np.sort(by_step.sum(axis=0))[::-1]
    assert flow_curve(stream)[:7] == pytest.approx([total[k:].sum() for k in range(7)])


def test_nothing_to_serve() -> None:
    problem = BufferingProblem(experts=3, active=[], starts=[0, 0, 0], slots=1)
    (stream,) = streams(problem)
    assert flow_curve(stream).tolist() == [0, 0, 0, 0]
    assert flow_schedule(stream, 1)[0].load_at.size == 0


@pytest.mark.parametrize("looks", [0, 1, 3])
def test_a_stopped_flow_tells_what_it_knows(looks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped after some slots, its schedule is legal, and its bound below the optimum."""
    monkeypatch.setattr("moeopt.buffering.flow._ARCS_AT_ONCE", 1)
    rng = np.random.default_rng(2)
    active = np.concatenate([rng.choice(12, 3, replace=False) for _ in range(60)])
    problem = BufferingProblem(
        experts=12, active=active, starts=np.arange(61) * 3, slots=8, objective="seconds",
        load_s=rng.random((1, 12)),
    )  # fmt: skip
    (stream,) = streams(problem)
    optimum = flow_schedule(stream, 8)[1]
    answers = iter([False] * looks + [True])
    flowed = flow_within(stream, 8, lambda: next(answers))
    assert flowed.bound < optimum < flowed.cost
    plan = plan_of(problem, (stream,), np.array([8]), [flowed.schedule])
    assert violations(problem, plan) == []
    assert evaluate(problem, plan).objective == pytest.approx(flowed.cost)
    assert not flowed.ended
    whole, answers = flow_curve(stream), iter([False] * looks + [True])
    if looks:
        assert flowed.cost == pytest.approx(whole[1 + looks])
    curve = flow_curve(stream, lambda: next(answers))
    assert (curve <= whole * (1 + 1e-9)).all()
    assert curve[1 : 2 + looks] == pytest.approx(whole[1 : 2 + looks])
