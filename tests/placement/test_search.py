"""Search, enumeration and the portfolio: good plans, kept rules, honest answers."""

import numpy as np
import pytest
from both_ways import compiled_and_interpreted
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracle import brute_force as optimum

from moeopt import solve
from moeopt.describe.cluster import Cluster, Device
from moeopt.placement import (
    Pair,
    PlacementProblem,
    Timing,
    evaluate,
    generate,
    place,
    search,
    violations,
)
from moeopt.placement._kernels_rules import carry
from moeopt.placement.arrays import NoPlacementError
from moeopt.placement.enumeration import is_enumerable
from moeopt.placement.greedy import feasible_plan
from moeopt.placement.rules import network_of, rules_of
from moeopt.placement.split import traffic_of_plan
from moeopt.testing.strategies import placement_problems

#: Published optima of the Mixtral shape: mean imbalance over 32 layers.
MIXTRAL = {"logn1": 1.0323, "zipf0.8": 1.0239, "zipf1.2": 1.0287, "dirich0.5": 1.0528}


@pytest.mark.parametrize("load", MIXTRAL)
def test_mixtral_is_solved_to_the_published_optimum(load):
    """Enumeration proves the known optimum of 8 experts, 16 slots, 8 devices on all 32 layers."""
    problem = PlacementProblem(
        loads_tokens=generate.loads(load, 32, 8),
        cluster=Cluster.uniform(8),
        slots_per_device=2,
        max_copies_per_device=None,
    )
    result = solve(problem, "exact")
    assert result.status == "optimal"
    assert round(float(evaluate(problem, result.plan).imbalance.mean()), 4) == MIXTRAL[load]


@settings(max_examples=40, deadline=None)
@given(placement_problems(max_experts=4, max_devices=3, max_layers=1, plain=True, feasible=True))
def test_enumeration_equals_brute_force(problem):
    """Where enumeration takes a problem, its answer is the brute-force optimum."""
    assume(problem.split == "even")
    best = optimum(problem)
    result = solve(problem, "exact")
    assert result.status == "optimal"
    assert result.objective == pytest.approx(best.objective, rel=1e-6, abs=1e-9)
    if is_enumerable(problem):
        assert result.backend is None


@settings(max_examples=60, deadline=None)
@given(
    placement_problems(max_experts=5, max_devices=3, max_layers=2, max_scenarios=3, feasible=True)
)
def test_search_keeps_every_rule(problem):
    """Whatever the rules, a plan of the search is valid and no better than the bound."""
    result = solve(problem, "search")
    if result.plan is None:
        return
    assert violations(problem, result.plan) == []
    assert result.objective >= result.bound - 1e-6 * abs(result.bound)


@pytest.mark.parametrize("objective", ["mean_max", "worst_max", "cvar"])
def test_search_beats_lpt_on_scenarios(objective):
    """On scenario objectives, which LPT does not see, the search gains several per cent."""
    loads = np.random.default_rng(3).lognormal(0, 1, (12, 2, 16))
    extra = {"cvar_tail": 0.25} if objective == "cvar" else {}
    greedy = place(loads, 4, 16, objective=objective, method="lpt", **extra)
    found = place(loads, 4, 16, objective=objective, method="search", **extra)
    assert found.objective < 0.97 * greedy.objective


@settings(max_examples=40, deadline=None)
@given(
    placement_problems(
        max_experts=5, max_devices=3, objectives=("layer_time",), splits=("even",), feasible=True
    )
)
def test_annealing_sees_what_ports_carry(problem):
    """The tokens of each port's busier direction are the checker's, wherever sources are."""
    plan = feasible_plan(problem)
    assume(plan is not None)
    copies = plan.copies(problem)
    slot_start = rules_of(problem).slot_start
    last = problem.num_devices - 1
    for scenario, layers, traffic in traffic_of_plan(problem, copies, problem.loads_tokens):
        for layer, tokens in zip(range(problem.num_layers)[layers], traffic, strict=True):
            busy = np.zeros((problem.num_scenarios, problem.num_devices))
            row, load = plan.physical_to_logical[layer], problem.loads_tokens[:, layer].copy()
            network = network_of(problem, layer)
            carry(
                0, last, row, slot_start, copies[layer].sum(axis=1), load, busy,
                network.sends, network.leaves, network.stays, network.between,
            )  # fmt: skip
            away = tokens * (1 - np.eye(problem.num_devices))
            wanted = np.maximum(away.sum(axis=0), away.sum(axis=1))
            np.testing.assert_allclose(busy[scenario], wanted, rtol=1e-9, atol=1e-9)


def test_search_brings_experts_together_that_exchange_tokens():
    """Two cliques of four experts, dealt out apart: the search finds them, and nothing travels."""
    rng = np.random.default_rng(0)
    clique = rng.permutation(np.repeat([0, 1], 4))
    traffic = (clique[:, None] == clique).astype(float)[None]
    problem = PlacementProblem(
        loads_tokens=traffic.sum(axis=1),
        expert_traffic_tokens=traffic,
        cluster=Cluster.uniform(2, 1, Device(link_bandwidth_bytes_per_s=1.0)),
        slots_per_device=4,
        objective="layer_time",
        timing=Timing(
            seconds_per_token=1.0, dispatch_bytes_per_token=1.0, combine_bytes_per_token=1.0
        ),
    )
    result = solve(problem, "search")
    assert result.objective == 16
    assert len(set(clique[result.plan.physical_to_logical[0, :4]])) == 1


def test_search_never_loses_a_warm_start():
    """The plan handed in comes back, or a better one."""
    problem = generate.workload("qwen3-144-16", "zipf1.2")
    first = solve(problem, "search")
    again = solve(problem, "search", warm_start=first.plan, time_limit_s=2.0)
    assert again.objective <= first.objective * (1 + 1e-12)


def test_a_time_limit_is_used_and_kept():
    """With a limit the search goes on until it is over, and says that time stopped it."""
    problem = generate.workload("mixtral-16-8", "zipf1.2")
    solve(problem, "search")
    result = solve(problem, "search", time_limit_s=0.5)
    assert result.limit == "time"
    assert 0.4 < result.runtime_s < 2.5


def test_progress_is_told():
    """Every round reports elapsed time, objective and bound."""
    events = []
    problem = generate.workload("mixtral-16-8", "logn1")
    solve(problem, "search", progress=events.append)
    assert events
    assert all(event.objective >= event.bound for event in events)


def test_place_says_why_there_is_no_plan():
    """Too few slots are an exception for arrays, with the constraint in its words."""
    with pytest.raises(NoPlacementError, match=r"C2.*3 live slots must hold 4 experts"):
        place(np.ones((1, 4)), 3, 3)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**20), st.integers(-2, 3))
def test_scaling_loads_scales_the_objective(seed, power):
    """Loads times a power of two give the same plan and the scaled objective, bit for bit."""
    loads = np.random.default_rng(seed).lognormal(0, 1, (2, 12))
    one = place(loads, 3, 15)
    other = place(loads * 2.0**power, 3, 15)
    np.testing.assert_array_equal(one.physical_to_logical, other.physical_to_logical)
    assert other.objective == one.objective * 2.0**power


JIT_SCRIPT = """
import numpy as np
from moeopt.adapters.engines.eplb import rebalance_experts
from moeopt.placement import place
rng = np.random.default_rng(5)
w = rng.lognormal(0, 1, (2, 8)).round(3)
out = [rebalance_experts(w, 12, g, n, 4, method=m)[0].tolist()
       for m in ("eplb", "fast", "auto") for g, n in ((1, 1), (2, 2))]
s = rng.lognormal(0, 1, (3, 1, 6)).round(3)
for kw in ({"objective": "mean_max"}, {"objective": "cvar", "cvar_tail": 0.5},
           {"objective": "activated"}, {"distinct_nodes": True, "nodes": 3},
           {"previous": [[0, 1, 2, 3, 4, 5, 0, 1, 2]], "expert_bytes": 1, "nodes": 3,
            "max_moved_bytes_per_device": [2, 1, 1], "max_moved_bytes_per_node": 2}):
    from moeopt.placement import search
    search.STEPS_PER_SLOT, search.ANNEAL_ROUNDS = 20, 2
    out.append(place(s, 3, 9, method="search", **kw).physical_to_logical.tolist())
out.append(place(w[:, :5], 4, 8, method="exact").physical_to_logical.tolist())
print(out)
"""


def test_kernels_give_the_same_plans_with_the_jit_off(monkeypatch):
    """Interpreted and compiled, every kernel makes the same plans."""
    for name in ("STEPS_PER_SLOT", "ANNEAL_ROUNDS"):  # the script changes them
        monkeypatch.setattr(search, name, getattr(search, name))
    compiled, interpreted = compiled_and_interpreted(JIT_SCRIPT)
    assert compiled == interpreted
    assert compiled[0].startswith("[[")


def test_more_nodes_than_groups_is_refused_or_infeasible_never_invalid():
    """Slots that no group can fill are no plan, not an invalid one."""
    problem = PlacementProblem(
        loads_tokens=np.random.default_rng(1).lognormal(3, 1, (1, 64)).round(),
        cluster=Cluster.uniform(3, 3),
        slots_per_device=64,
        groups=2,
        group_rule="one_node",
        max_copies_per_device=None,
    )
    for method in ("auto", "fast", "search", "hierarchical", "eplb"):
        assert solve(problem, method, time_limit_s=5.0).plan is None


def test_a_proof_that_memory_is_too_small_is_kept():
    """Where only the exact model sees that nothing fits, `auto` and `search` say infeasible."""
    problem = PlacementProblem(
        loads_tokens=np.full((1, 13), 5.0),
        cluster=Cluster.uniform(4),
        slots_per_device=13,
        allow_empty_slots=True,
        expert_bytes=np.full(13, 7),
        expert_memory_bytes=(27, 27, 27, 20),
    )
    for method in ("auto", "search"):
        result = solve(problem, method)
        assert result.status == "infeasible"
        assert any(v.constraint == "C5" for v in result.violations)


@pytest.mark.parametrize(
    ("shape", "rules"),
    [
        ((1, 100, 12), {"devices": 4, "slots": 24}),
        ((1, 58, 256), {"devices": 32, "slots": 288, "forbidden": "one"}),
        ((64, 26, 64), {"devices": 8, "slots": 64, "objective": "mean_max"}),
        ((1, 58, 256), {"devices": 32, "slots": 288}),
    ],
)
@pytest.mark.parametrize("limit_s", [0.3, 1.0])
def test_deadlines_hold_whatever_the_way(shape, rules, limit_s):
    """Enumeration, annealing with rules and scenarios, and the plain search end in time."""
    loads = np.random.default_rng(0).lognormal(3, 1, shape).round()
    extra = {"objective": rules["objective"]} if "objective" in rules else {}
    if "forbidden" in rules:
        extra["forbidden"] = (Pair(expert=0, device=0),)
    problem = PlacementProblem(
        loads_tokens=loads,
        cluster=Cluster.uniform(rules["devices"]),
        slots_per_device=rules["slots"] // rules["devices"],
        **extra,
    )
    solve(problem, time_limit_s=0.05)
    result = solve(problem, time_limit_s=limit_s)
    assert result.plan is not None
    # Slack for a busy machine; what this is to catch overran by seconds.
    assert result.runtime_s < 1.3 * limit_s + 2.0


def test_one_scenario_takes_the_fast_way():
    """With one scenario the mean of maxima is the maximum, and the plan is as good."""
    loads = np.random.default_rng(2).lognormal(0, 1, (2, 64))
    plain = place(loads, 8, 72)
    assert place(loads, 8, 72, objective="mean_max").objective == plain.objective


def test_auto_reports_progress():
    """The plain path reports at least once."""
    events = []
    solve(generate.workload("qwen3-144-16", "logn1"), progress=events.append)
    assert events


def test_the_bound_sees_pins_through_the_linear_relaxation():
    """Two hot experts pinned to one device: the bound of `auto` is their sum, not the mean."""
    loads = np.array([[50.0, 40.0] + [1.0] * 14])
    pins = (Pair(expert=0, device=0), Pair(expert=1, device=0))
    result = place(loads, 4, 16, pinned=pins, method="auto").result
    assert result.bound >= 90.0 - 1e-3


@pytest.mark.parametrize("method", ["auto", "search"])
def test_a_layer_that_packing_cannot_plan_is_left_to_other_ways(method):
    """Unequal slots in a node can defeat the fast packing; with a time limit a plan is found."""
    problem = PlacementProblem(
        loads_tokens=np.array([[7.0, 3, 1, 3]]),
        cluster=Cluster.uniform(4, 2),
        slots_per_device=(3, 1, 3, 1),
        groups=2,
        group_rule="one_node",
        allow_empty_slots=True,
    )
    result = solve(problem, method, time_limit_s=2.0)
    assert result.plan is not None
    assert result.objective >= 6.5 - 1e-9


def test_auto_goes_on_where_enumeration_did_not_prove():
    """With time left, layers that enumeration left open are searched on."""
    loads = np.random.default_rng(0).lognormal(0, 1, (60, 12))
    problem = PlacementProblem(loads_tokens=loads, cluster=Cluster.uniform(4), slots_per_device=6)
    limited = solve(problem, time_limit_s=4.0)
    assert limited.status == "optimal" or limited.limit == "time"
