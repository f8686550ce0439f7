"""The validator and the value, against tiny instances and values worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from colocation_oracle import cluster_of, drawn, layer, naive_round, naive_value

from moeopt.colocation.plan import ColocationPlan, device_phases, evaluate, violations
from moeopt.colocation.problem import ColocationProblem, Pin

RING = [[0, 1, 0], [0, 0, 1], [1, 0, 0]]


def problem(*models: Any, devices: int = 3, **fields: Any) -> ColocationProblem:
    """Return a problem on equal devices unless `fields` say otherwise."""
    fields.setdefault("cluster", cluster_of((1.0, 1.0, devices)))
    layers = models or (layer(RING, expert_bytes=2), layer([[0, 2], [3, 0]], expert_bytes=3))
    return ColocationProblem(models=layers, **fields)


def plan(*rows: Any) -> ColocationPlan:
    return ColocationPlan(device=np.array(rows))


#: Constraint, problem, a table that breaks it and nothing else, where it breaks and by how much.
BROKEN = {
    "C1": (problem(), [[0, 1, -1], [0, 1, -1]], "[0][2]", 1),
    "C2": (problem(), [[0, 1, 1], [0, 1, -1]], "[0]", 1),
    "C2-places": (
        problem(layer(np.ones((4, 4))), experts_per_device=2), [[2, 2, 2, 2]], "[0]", 2,
    ),
    "C3": (problem(expert_memory_bytes=(5, 4, 5)), [[0, 1, 2], [0, 1, -1]], "", 1),
    "C4": (
        problem(pinned=(Pin(model=1, expert=0, device=2),)), [[0, 1, 2], [0, 1, -1]], "[1][0]", 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_named_with_its_place_and_amount(name: str) -> None:
    stated, table, where, amount = BROKEN[name]
    (found,) = violations(stated, plan(*table))
    assert found.constraint == name.split("-")[0]
    assert found.path == f"$.device{where}"
    assert found.amount == pytest.approx(amount)


def test_every_rule_has_an_instance_that_breaks_it() -> None:
    assert {name.split("-")[0] for name in BROKEN} == {"C1", "C2", "C3", "C4"}


def test_several_broken_rules_are_all_named() -> None:
    stated = problem(expert_memory_bytes=(3, 9, 9), pinned=(Pin(model=0, expert=0, device=1),))
    broken = violations(stated, plan([0, 0, -1], [2, 0, -1]))
    assert [found.constraint for found in broken] == ["C1", "C2", "C3", "C4"]


@pytest.mark.parametrize(
    ("table", "where"),
    [
        ([[0, 1, 2]], ""),
        ([[0, 1], [0, 1]], ""),
        ([[0, 1, 3], [0, 1, -1]], "[0][2]"),
        ([[0, 1, 2], [0, 1, 2]], "[1][2]"),
        ([[0, 1, 2], [-2, 1, -1]], "[1][0]"),
        ([[0, 1, 2], [0.5, 1, -1]], "[1][0]"),
        ([[0, 1, np.nan], [0, 1, -1]], "[0][2]"),
    ],
)
def test_a_table_that_cannot_be_read_is_a_shape_violation(table: Any, where: str) -> None:
    (found,) = violations(problem(), plan(*table))
    assert (found.constraint, found.path) == ("shape", f"$.device{where}")


def test_memory_is_met_exactly_at_its_budget() -> None:
    assert violations(problem(expert_memory_bytes=(5, 5, 2)), plan([0, 1, 2], [0, 1, -1])) == []


def test_a_device_s_own_memory_is_the_limit_unless_one_is_stated() -> None:
    from moeopt.describe.cluster import Cluster, Device

    cluster = Cluster.uniform(3, 1, Device(memory_bytes=4, link_bandwidth_bytes_per_s=1.0))
    (found,) = violations(problem(cluster=cluster), plan([0, 1, 2], [0, 1, -1]))
    assert found.constraint == "C3"
    assert (
        violations(problem(cluster=cluster, expert_memory_bytes=5), plan([0, 1, 2], [0, 1, -1]))
        == []
    )


def test_phases_of_devices_by_hand() -> None:
    model = layer(
        [[4, 3, 2], [1, 5, 0], [0, 6, 7]], gate_s=3.0, aggregation_s=6.0, seconds_per_token=0.5,
        dispatch_bytes_per_token=8.0, combine_bytes_per_token=4.0,
    )  # fmt: skip
    stated = problem(model, cluster=cluster_of((2.0, 4.0, 1), (1.0, 2.0, 2)), experts_per_device=2)
    # Experts 0 and 1 exchange 3 + 1 tokens on device 1; 2 + 0 go to expert 2, 0 + 6 come.
    (found,) = device_phases(stated, plan([1, 1, 0]))
    assert found.gate_s.tolist() == [1.5, 3.0, 0.0]
    assert found.aggregation_s.tolist() == [3.0, 6.0, 0.0]
    assert found.compute_s.tolist() == [(2 + 0 + 7) * 0.5 / 2, (5 + 14) * 0.5, 0.0]
    assert found.dispatch.send_s.tolist() == [6 * 8 / 4, 2 * 8 / 2, 0.0]
    assert found.dispatch.receive_s.tolist() == [2 * 8 / 4, 6 * 8 / 2, 0.0]
    assert found.combine.send_s.tolist() == [2 * 4 / 4, 6 * 4 / 2, 0.0]
    assert found.combine.receive_s.tolist() == [6 * 4 / 4, 2 * 4 / 2, 0.0]


def papers_example(compute_a: float) -> ColocationProblem:
    """Return section 6, item 11: gates and aggregations of 1, all-to-alls of 4 and 3."""
    a, b = (
        layer([[0, tokens], [tokens, 0]], gate_s=1.0, aggregation_s=1.0,
              seconds_per_token=seconds / tokens)
        for tokens, seconds in ((4, compute_a), (3, 3.0))
    )  # fmt: skip
    return problem(a, b, devices=2)


@pytest.mark.parametrize(("compute_a", "seconds"), [(3.0, 16.0), (6.0, 19.0)])
def test_papers_worked_examples_of_table_2(compute_a: float, seconds: float) -> None:
    found = evaluate(papers_example(compute_a), plan([0, 1], [0, 1]))
    assert found.time_s == pytest.approx(seconds)
    # All devices are alike: each alone takes as long.
    assert found.device_time_s == pytest.approx([seconds, seconds])
    assert found.bottleneck_s == pytest.approx(seconds)
    assert found.communication_s == 7
    assert found.utilisation == pytest.approx([(4 + compute_a + 3) / seconds] * 2)


@pytest.mark.parametrize(
    ("objective", "seconds"), [("time", 16.0), ("bottleneck", 16.0), ("communication", 7.0)]
)
def test_the_objective_is_the_one_that_is_named(objective: Any, seconds: float) -> None:
    import msgspec

    stated = msgspec.structs.replace(papers_example(3.0), objective=objective)
    assert evaluate(stated, plan([0, 1], [1, 0])).objective == pytest.approx(seconds)


def test_one_model_takes_the_sum_of_its_phases() -> None:
    # Section 6, item 8: G = 1, N = C = 4, F = 3, A = 1.
    model = layer([[0, 4], [4, 0]], gate_s=1.0, aggregation_s=1.0, seconds_per_token=0.75)
    assert evaluate(problem(model, devices=2), plan([1, 0])).time_s == pytest.approx(13.0)


def test_aggregated_lines_are_those_of_the_summed_matrix() -> None:
    # Section 6, item 9: b_max(D_a + P' D_b P) is the largest line of a pair.
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, (2, 5, 5)).astype(float)
    for matrix in (a, b):
        np.fill_diagonal(matrix, 0.0)
    stated = problem(layer(a), layer(b), devices=5, objective="communication")
    for _ in range(5):
        row_a, row_b = rng.permutation(5), rng.permutation(5)
        total = np.zeros((5, 5))
        total[np.ix_(row_a, row_a)] += a
        total[np.ix_(row_b, row_b)] += b
        largest = max(total.sum(axis=0).max(), total.sum(axis=1).max())
        assert evaluate(stated, plan(row_a, row_b)).objective == pytest.approx(largest)


@pytest.mark.parametrize("experts", [(3,), (3, 3), (3, 2), (2, 3, 3)])
@pytest.mark.parametrize("places", [1, 2])
def test_evaluate_is_the_page_in_loops(experts: tuple[int, ...], places: int) -> None:
    kinds = ((2.0, 1.0, 1), (1.0, 4.0, 2))
    for seed in range(6):
        stated = drawn(seed, kinds, experts, experts_per_device=places)
        rng = np.random.default_rng(seed)
        table = np.full((len(experts), max(experts)), -1)
        for m, count in enumerate(experts):
            table[m, :count] = rng.permutation(np.repeat(np.arange(3), places))[:count]
        found = evaluate(stated, plan(*table))
        assert violations(stated, plan(*table)) == []
        expected = naive_value(stated, plan(*table))
        assert found.time_s == pytest.approx(expected["time"], rel=1e-12)
        assert found.bottleneck_s == pytest.approx(expected["bottleneck"], rel=1e-12)
        assert found.communication_s == pytest.approx(expected["communication"], rel=1e-12)
        assert found.bottleneck_s <= found.time_s * (1 + 1e-12)


def test_no_component_that_grows_makes_the_round_shorter() -> None:
    # Section 6, item 12, of which the mended Theorem 6.1 is made.
    rng = np.random.default_rng(1)
    spans = [(0, 0), (0, 1), (1, 1)]
    for _ in range(40):
        component: dict[str, Any] = {name: rng.integers(0, 9, 2).tolist() for name in "GFA"}
        component |= {name: dict(zip(spans, rng.integers(0, 9, 3).tolist(), strict=True))
                      for name in "NC"}  # fmt: skip
        before = naive_round(component)
        for terms in component.values():
            for key in terms if isinstance(terms, dict) else range(len(terms)):
                terms[key] += 3
                assert naive_round(component) >= before
                terms[key] -= 3


def test_what_makes_the_time_as_long_as_it_is() -> None:
    found = evaluate(papers_example(6.0), plan([0, 1], [0, 1]))
    steps = found.interleaved.critical()
    assert [(step.phase, step.models) for step in steps] == [
        ("dispatch", (0,)), ("compute", (0,)), ("combine", (0, 1)), ("aggregation", (1,)),
        ("gate", (0,)),
    ]  # fmt: skip
    assert sum(step.seconds for step in steps) == pytest.approx(found.time_s)
