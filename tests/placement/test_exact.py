"""The exact models against brute force, rule by rule and objective by objective."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import brute_force

from moeopt.core.errors import InstanceError
from moeopt.core.result import Limit, Status
from moeopt.core.stop import Context
from moeopt.describe.cluster import Cluster, Device, Node, NodeGroup
from moeopt.mip import solve_model
from moeopt.placement.exact import build, compile_layers, refuses, solve_exact, split_layers
from moeopt.placement.exact_ports import num_products
from moeopt.placement.exact_value import identical_devices
from moeopt.placement.plan import PlacementPlan, evaluate, violations
from moeopt.placement.problem import Pair, PlacementProblem, Timing

FOUR = [[4.0, 3.0, 2.0, 1.0]]


def problem(loads: Any, devices: int = 2, nodes: int = 1, **fields: Any) -> PlacementProblem:
    """Return a problem on equal devices; two slots each unless `fields` say otherwise."""
    fields.setdefault("cluster", Cluster.uniform(devices, nodes))
    fields.setdefault("slots_per_device", 2)
    return PlacementProblem(loads_tokens=np.array(loads, dtype=float), **fields)


#: For each rule an instance whose optimum is worse for it: with the rule and without.
BINDING = {
    "C1": (problem([[6, 1]], 3, slots_per_device=1), 3, 1 / 3),
    "C2": (problem([[4, 3]], slots_per_device=(1, 2)), 5, 4),
    "C3": (
        problem([[9, 3]], forbidden=(Pair(expert=1, device=0),), allow_empty_slots=True),
        7.5,
        6,
    ),
    "C4": (
        problem([[6, 1]], 3, slots_per_device=1, max_copies_per_expert=1, allow_empty_slots=True),
        6,
        3,
    ),
    "C5": (problem(FOUR, expert_bytes=np.array([5, 1, 1, 5]), expert_memory_bytes=8), 6, 5),
    "C6": (problem(FOUR, pinned=(Pair(expert=0, device=0), Pair(expert=1, device=0))), 7, 5),
    "C7": (problem(FOUR, forbidden=(Pair(expert=0, device=0), Pair(expert=3, device=1))), 6, 5),
    "C8": (problem([[6, 1]], 3, slots_per_device=1, dead_devices=(2,)), 6, 0.5),
    "C9": (problem([[9, 1]], 4, 2, slots_per_device=1, distinct_nodes=True), 4.5, 3),
    "C10": (problem(FOUR, 2, 2, groups=2, group_rule="one_node"), 7, 5),
    "C11": (
        problem(FOUR, expert_bytes=1, max_moved_bytes=1, previous=np.array([[0, 1, 2, 3]])),
        7,
        5,
    ),
    # Only experts 1 and 2 are small enough to change places; 1 and 3, or 0 and 2, would be best.
    "C12": (
        problem(
            FOUR,
            expert_bytes=np.array([2, 1, 1, 2]),
            max_moved_bytes_per_device=1,
            previous=np.array([[0, 1, 2, 3]]),
        ),
        6,
        5,
    ),
    # Nothing may come over the links: expert 0 gets a second copy on its own node, where it is 9.
    "C13": (
        problem(
            [[6, 3, 2, 1]],
            4,
            2,
            slots_per_device=(2, 1, 2, 1),
            expert_bytes=np.array([5, 4, 3, 2]),
            max_moved_bytes_per_node=(0, 1),
            previous=np.array([[0, 1, 2, 2, 3, 3]]),
        ),
        6,
        3.5,
    ),
}


def optimum(stated: PlacementProblem, without: str | None = None, **options: Any) -> float:
    """Return the sum of the models' optima, one rule's rows left out."""
    total = 0.0
    for model in build(stated, **options):
        answer = solve_model(model if without is None else model.without(without))
        assert answer.status is Status.OPTIMAL
        total += answer.objective or 0.0
    return total


@pytest.mark.parametrize("rule", BINDING)
def test_dropping_a_rule_that_binds_changes_the_optimum(rule: str) -> None:
    stated, with_rule, without = BINDING[rule]
    best, relaxed = brute_force(stated), brute_force(stated, ignore=(rule,))
    assert best is not None
    assert relaxed is not None
    assert best.objective == pytest.approx(with_rule)
    assert relaxed.objective == pytest.approx(without)
    assert optimum(stated) == pytest.approx(with_rule)
    assert optimum(stated, tighten=False) == pytest.approx(with_rule)
    dropped = optimum(stated, rule, tighten=False)
    if rule == "C2":
        # Its rows also keep a device from holding more than its slots: less is left than a table.
        assert dropped < without
    else:
        assert dropped == pytest.approx(without)


@st.composite
def tiny(draw: st.DrawFn, objective: str, split: str = "even") -> PlacementProblem:
    """Draw a problem that brute force can solve, with a few rules."""
    layers = draw(st.sampled_from([1, 1, 2]))
    experts, devices = draw(st.sampled_from([2, 4])), draw(st.sampled_from([2, 3, 4]))
    one_slot = devices == 4 or layers == 2
    slots = tuple(draw(st.integers(1, 1 if one_slot else 2)) for _ in range(devices))
    scenarios = 1 if objective == "max_load" else draw(st.integers(1, 3))
    size = scenarios * layers * experts
    loads = draw(st.lists(st.integers(0, 9), min_size=size, max_size=size))
    fields: dict[str, Any] = {
        "loads_tokens": np.array(loads, dtype=float).reshape(scenarios, layers, experts),
        "cluster": _cluster(draw, devices),
        "slots_per_device": slots,
        "objective": objective,
        "split": split,
        "max_copies_per_device": draw(st.sampled_from([1, 1, 2, None])),
        "allow_empty_slots": draw(st.booleans()),
        "max_copies_per_expert": draw(st.sampled_from([None, None, 2])),
    }
    if objective == "cvar":
        fields["cvar_tail"] = draw(st.sampled_from([0.3, 0.5, 1.0]))
    if objective == "layer_time":
        fields["timing"] = Timing(
            seconds_per_token=1e-6, dispatch_bytes_per_token=30.0, combine_bytes_per_token=60.0
        )
        fields["timing"] = msgspec.structs.replace(
            fields["timing"], gate_s=draw(st.sampled_from([0.0, 1e-5]))
        )
        sources = draw(st.sampled_from(["equal", "stay", "move"]))
        if sources == "move":
            count = layers * experts**2
            sent = draw(st.lists(st.integers(0, 5), min_size=count, max_size=count))
            traffic = np.array(sent, dtype=float).reshape(layers, experts, experts)
            fields["expert_traffic_tokens"] = traffic
            fields["loads_tokens"] = traffic.sum(axis=1)
            fields["max_copies_per_device"] = 1
        if sources == "stay":
            count = devices * layers * experts
            sent = draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
            fields["source_tokens"] = np.array(sent).reshape(devices, layers, experts)
    _draw_rules(draw, fields, (layers, experts, devices, sum(slots)))
    return PlacementProblem(**fields)


def _cluster(draw: st.DrawFn, devices: int) -> Cluster:
    nodes = 2 if devices % 2 == 0 and draw(st.booleans()) else 1
    speed = draw(st.sampled_from([1.0, 1.0, 0.5]))
    first, rest = (
        Node(
            device=Device(relative_speed=v, link_bandwidth_bytes_per_s=1e8),
            devices=count,
            nic_bandwidth_bytes_per_s=5e7,
        )
        for v, count in ((1.0, devices // nodes), (speed, devices // nodes))
    )
    groups = (NodeGroup(node=first), NodeGroup(node=rest))
    return Cluster(nodes=groups[:nodes])


def _draw_rules(draw: st.DrawFn, fields: dict[str, Any], shape: tuple[int, int, int, int]) -> None:
    layers, experts, devices, slots = shape
    two_nodes = fields["cluster"].num_nodes == 2
    rule = draw(
        st.sampled_from(["none", "none", "pair", "dead", "distinct", "groups", "bytes", "previous"])
    )
    if rule == "pair":
        kind = draw(st.sampled_from(["pinned", "forbidden"]))
        fields[kind] = (Pair(expert=experts - 1, device=0, layer=draw(st.sampled_from([None, 0]))),)
    if rule == "dead" and "source_tokens" not in fields:
        fields["dead_devices"] = (devices - 1,)
    if rule == "distinct":
        fields["distinct_nodes"] = two_nodes
    if rule == "groups":
        fields["groups"] = 2
        if fields["split"] == "even" and draw(st.booleans()):
            fields["cross_node_price"] = 0.75
        else:
            fields["group_rule"] = "one_node"
    if rule in ("bytes", "previous"):
        fields["expert_bytes"] = np.arange(1, experts + 1)
    if rule == "bytes":
        fields["expert_memory_bytes"] = layers * draw(st.integers(experts, 2 * experts))
    if rule == "previous":
        held = draw(
            st.lists(st.integers(-1, experts - 1), min_size=layers * slots, max_size=layers * slots)
        )
        fields["previous"] = np.array(held).reshape(layers, slots)
        fields["max_moved_bytes"] = draw(st.sampled_from([None, 3, 6]))
        fields["max_moved_bytes_per_device"] = draw(st.sampled_from([None, 3, 4]))
        fields["max_moved_bytes_per_node"] = draw(st.sampled_from([None, 3, 4]))
        fields["move_price_per_byte"] = draw(st.sampled_from([0.0, 0.25]))


KINDS = [
    ("max_load", "even"), ("mean_max", "even"), ("worst_max", "even"), ("cvar", "even"),
    ("activated", "even"), ("layer_time", "even"),
    ("max_load", "optimal"), ("mean_max", "optimal"), ("worst_max", "optimal"), ("cvar", "optimal"),
]  # fmt: skip


@pytest.mark.parametrize(("objective", "split"), KINDS)
@settings(max_examples=7, derandomize=True, database=None)
@given(data=st.data())
def test_exact_is_brute_force(objective: str, split: str, data: st.DataObject) -> None:
    stated = data.draw(tiny(objective, split))
    best = brute_force(stated)
    outcome = solve_exact(stated, Context())
    if best is None:
        assert outcome.plan is None
        assert outcome.infeasible
        return
    assert isinstance(outcome.plan, PlacementPlan)
    assert violations(stated, outcome.plan) == []
    found = evaluate(stated, outcome.plan).objective
    assert found == pytest.approx(best.objective, rel=1e-6, abs=1e-12)
    assert outcome.bound == pytest.approx(best.objective, rel=2e-6, abs=1e-12)
    assert outcome.statistics["layer_status"] == ["optimal"] * stated.num_layers
    assert optimum(stated, tighten=False) == pytest.approx(best.objective, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(("objective", "split"), KINDS)
@settings(max_examples=6, derandomize=True, database=None)
@given(data=st.data())
def test_the_model_values_a_plan_as_the_wing_does(
    objective: str, split: str, data: st.DataObject
) -> None:
    stated = data.draw(tiny(objective, split))
    for part, layers in split_layers(stated):
        best = brute_force(part)
        if best is None:
            continue
        table = best.plan.physical_to_logical[:, ::-1]
        shuffled = _on_devices(part, table)
        if violations(part, PlacementPlan(physical_to_logical=shuffled)):
            shuffled = best.plan.physical_to_logical
        value = evaluate(part, PlacementPlan(physical_to_logical=shuffled)).objective
        compiled = compile_layers(part, layers)
        answer = solve_model(compiled.fixed_to(shuffled))
        assert answer.objective == pytest.approx(value, rel=1e-6, abs=1e-12)
        assert answer.x is not None
        decoded = PlacementPlan(physical_to_logical=compiled.decode(answer.x))
        assert evaluate(part, decoded).objective == pytest.approx(value, rel=1e-6, abs=1e-12)


def _on_devices(stated: PlacementProblem, table: Any) -> Any:
    """Return a table with the experts of each device ascending, as after a renumbering."""
    parts = np.split(table, np.cumsum(stated.slots())[:-1], axis=1)
    return np.concatenate([np.sort(part, axis=1) for part in parts], axis=1)


def test_published_optima() -> None:
    # FlashLB's example (papers/placement-peers): its own plan has 200, EPLB's 232.
    flash = problem([[600, 560, 120, 120, 20, 10, 10, 10]], 8)
    assert evaluate_exact(flash) == pytest.approx(590 / 3)
    assert evaluate_exact(problem([[1, 4, 1, 2, 2, 2]], slots_per_device=3)) == pytest.approx(6)
    hot = problem([[1000] + [1] * 11], 4, slots_per_device=4)
    assert evaluate_exact(hot) == pytest.approx((1000 + 11 + 1) / 4, abs=1)


def evaluate_exact(stated: PlacementProblem) -> float:
    outcome = solve_exact(stated, Context())
    assert isinstance(outcome.plan, PlacementPlan)
    return evaluate(stated, outcome.plan).objective


def test_large_loads_and_small_times_keep_their_precision() -> None:
    exact = evaluate_exact(problem([[4e9, 3e9, 2e9, 1e9]]))
    assert exact == pytest.approx(5e9, rel=1e-12)
    small = problem([[4e-9, 3e-9, 2e-9, 1e-9]])
    assert evaluate_exact(small) == pytest.approx(5e-9, rel=1e-12)


def test_layers_are_joined_only_by_what_can_bind() -> None:
    loads = FOUR * 3
    assert len(build(problem(loads))) == 3
    roomy = problem(loads, expert_bytes=5, expert_memory_bytes=30)
    assert len(build(roomy)) == 3
    tight = msgspec.structs.replace(roomy, expert_memory_bytes=29)
    assert len(build(tight)) == 1
    moves: dict[str, Any] = {"expert_bytes": 5, "previous": np.zeros((3, 4), int)}
    assert len(build(problem(loads, **moves))) == 3
    for limit in ("max_moved_bytes", "max_moved_bytes_per_device", "max_moved_bytes_per_node"):
        assert len(build(problem(loads, **moves, **{limit: 10}))) == 1


def test_what_cannot_be_compiled_is_refused_with_a_reason() -> None:
    assert refuses(problem(FOUR)) is None
    assert "nearest" in (refuses(problem(FOUR, split="nearest")) or "")


def test_products_of_experts_on_one_device_are_counted_before_they_are_built() -> None:
    fields: dict[str, Any] = {
        "objective": "layer_time",
        "timing": Timing(
            seconds_per_token=1.0, dispatch_bytes_per_token=1.0, combine_bytes_per_token=1.0
        ),
        "cluster": Cluster.uniform(8, 1, Device(link_bandwidth_bytes_per_s=1.0)),
    }
    many = np.ones((1, 128, 128))
    wide = problem(many.sum(axis=1), expert_traffic_tokens=many, slots_per_device=16, **fields)
    assert num_products(wide) == 128 * 127 // 2 * 8
    assert "65024 products" in (refuses(wide) or "")
    few = np.ones((1, 9, 9))
    small = problem(few.sum(axis=1), expert_traffic_tokens=few, **fields)
    assert refuses(small) is None
    twice = msgspec.structs.replace(small, max_copies_per_device=2)
    assert "max_copies_per_device = 1" in (refuses(twice) or "")
    with pytest.raises(InstanceError, match=r"^\$\.expert_traffic_tokens: must be compilable"):
        build(twice)
    alone = msgspec.structs.replace(small, slots_per_device=(2, *[1] * 7))
    assert num_products(alone) == 36
    assert refuses(msgspec.structs.replace(alone, slots_per_device=(0, 0, 3, *[1] * 5))) is None


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        # Two pins of one expert where it may have one copy: unpin, or allow one more.
        (
            problem(
                FOUR, pinned=(Pair(expert=0, device=0), Pair(expert=0, device=1)),
                max_copies_per_expert=1, allow_empty_slots=True, slots_per_device=3,
            ),
            {"C4": 1, "C6": 1},
        ),
        # Experts of 4 and 3 bytes fill a device of 7; the other two need 4 of the other's 3.
        (
            problem(
                FOUR, expert_bytes=np.array([4, 3, 2, 2]), expert_memory_bytes=(8, 3),
            ),
            {"C5": 1},
        ),
        (
            problem(FOUR, expert_bytes=2, max_moved_bytes=2, previous=np.array([[0, 0, 0, 1]])),
            {"C11": 2},
        ),
        # Rows count in the bytes of the largest expert, which need not move at all.
        (
            problem(
                FOUR, expert_bytes=np.array([8, 2, 2, 2]), max_moved_bytes=1,
                previous=np.array([[0, 1, 0, 2]]),
            ),
            {"C11": 1},
        ),
        # Experts 2 and 3 were on the dead device, and 0 and 1 leave each of the others one slot.
        (
            problem(
                FOUR, 3, 3, expert_bytes=np.array([2, 2, 4, 6]), dead_devices=(1,),
                max_moved_bytes_per_device=(5, 0, 4), max_moved_bytes_per_node=(4, 0, 6),
                previous=np.array([[0, 0, 2, 3, 0, 1]]),
            ),
            {"C12": 2},
        ),
        (
            problem(
                FOUR, 3, 3, expert_bytes=np.array([2, 2, 4, 6]), dead_devices=(1,),
                max_moved_bytes_per_device=(4, 0, 6), max_moved_bytes_per_node=(5, 0, 4),
                previous=np.array([[0, 0, 2, 3, 0, 1]]),
            ),
            {"C13": 2},
        ),
    ],
)  # fmt: skip
def test_infeasible_names_the_rules_that_would_have_to_give(
    stated: PlacementProblem, expected: dict[str, float]
) -> None:
    assert brute_force(stated) is None
    outcome = solve_exact(stated, Context())
    assert outcome.plan is None
    found = {violation.constraint: violation.amount for violation in outcome.infeasible}
    for rule, amount in expected.items():
        assert found[rule] == pytest.approx(amount)
        assert brute_force(stated, ignore=(rule,)) is not None
    assert all(violation.path.startswith("$") for violation in outcome.infeasible)


def test_rules_that_cannot_give_way_alone_are_named_together() -> None:
    # Expert 3 must move into layer 0, where no byte may move (C11); in layer 1 three experts are
    # pinned to two slots (C2, C6). No rule is in both conflicts.
    pins = tuple(Pair(expert=e, device=0, layer=1) for e in (0, 1, 3))
    previous = np.array([[0, 0, 1, 2], [0, 1, 2, 3]])
    stated = problem(FOUR * 2, expert_bytes=1, max_moved_bytes=0, previous=previous, pinned=pins)
    outcome = solve_exact(stated, Context())
    found = {violation.constraint: violation for violation in outcome.infeasible}
    assert found["C11"].amount == pytest.approx(1)
    assert set(found) & {"C2", "C6"}
    assert "with the others named" in found["C11"].message


def test_a_deadline_leaves_a_valid_plan_and_a_bound() -> None:
    loads = np.random.default_rng(1).lognormal(0, 1, (20, 6, 40))
    stated = problem(loads, 8, slots_per_device=6, objective="mean_max")
    started = time.perf_counter()
    outcome = solve_exact(stated, Context(time_limit_s=1.0))
    assert time.perf_counter() - started < 5
    assert isinstance(outcome.plan, PlacementPlan)
    assert violations(stated, outcome.plan) == []
    assert outcome.limit is Limit.TIME
    assert outcome.bound is not None
    assert 0 < outcome.bound <= evaluate(stated, outcome.plan).objective


def test_a_warm_start_is_never_lost() -> None:
    stated = problem([[600, 560, 120, 120, 20, 10, 10, 10]], 8)
    best = solve_exact(stated, Context()).plan
    assert isinstance(best, PlacementPlan)
    again = solve_exact(stated, Context(time_limit_s=0.01), best)
    assert isinstance(again.plan, PlacementPlan)
    assert evaluate(stated, again.plan).objective <= evaluate(stated, best).objective * (1 + 1e-9)


def test_devices_are_identical_only_if_nothing_tells_them_apart() -> None:
    def classes(**fields: Any) -> list[list[int]]:
        stated = problem(FOUR, 4, 2, **fields)
        return [devices.tolist() for devices in identical_devices(stated)]

    assert classes() == [[0, 1, 2, 3]]
    assert classes(dead_devices=(1,)) == [[0, 2, 3]]
    assert classes(groups=2, group_rule="one_node") == [[0, 1], [2, 3]]
    assert classes(pinned=(Pair(expert=0, device=2),)) == [[0, 1, 3]]
    assert classes(slots_per_device=(1, 2, 1, 2)) == [[0, 2], [1, 3]]
    memory: dict[str, Any] = {"expert_bytes": 2, "expert_memory_bytes": (3, 5, 5, 3)}
    assert classes(**memory) == [[0, 3], [1, 2]]
    moves: dict[str, Any] = {"expert_bytes": 2, "previous": np.full((1, 8), -1)}
    assert classes(**moves) == [[0, 1, 2, 3]]
    assert classes(**moves, max_moved_bytes_per_device=(3, 5, 5, 3)) == [[0, 3], [1, 2]]
    assert classes(**moves, max_moved_bytes_per_node=9) == [[0, 1], [2, 3]]
