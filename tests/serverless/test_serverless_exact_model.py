"""The linear model against brute force, rule by rule, and against the knapsack."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from serverless_oracle import MB, brute_force, drawn, layer, simple, whole_prices

from moeopt.core.errors import InstanceError
from moeopt.core.result import Limit, Status
from moeopt.core.stop import Context
from moeopt.mip import solve_model
from moeopt.serverless.exact import run_exact
from moeopt.serverless.exact_model import (
    build,
    compile_model,
    decode,
    refuses_milp,
    run_milp,
)
from moeopt.serverless.exact_options import full_menus, short_menus
from moeopt.serverless.plan import ServerlessPlan, evaluate, violations
from moeopt.serverless.problem import (
    Billing,
    ExpertFunction,
    MemoryTable,
    Network,
    ServerlessLayer,
    ServerlessProblem,
    VcpuModel,
)
from moeopt.serverless.promise import rounded_up

#: Two memory sizes: the larger one costs twice as much and computes more than twice as fast.
TWO_SIZES: dict[str, Any] = {
    "memory_mb": (1024, 2048),
    "compute": MemoryTable(seconds_per_token=(1.0, 0.375)),
    "max_replicas": 2,
}
DELAYED = Network(
    storage_bytes_per_s=8.0 * MB, function_bytes_per_s=4.0 * MB, access_delay_s=0.25,
    warm_start_s=0.5, cold_start_s=1.0,
)  # fmt: skip

SMALL_TOKENS = ExpertFunction(
    parameter_bytes=8 * MB,
    input_bytes_per_token=0.0,
    output_bytes_per_token=0.0,
    compute=MemoryTable(seconds_per_token=(1.0,)),
)

#: Experts of each layer, and what is not drawn.
SHAPES: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "one layer": ((3,), {}),
    "two layers": ((2, 1), {"max_replicas": 1}),
    "three layers": ((1, 1, 1), {"max_replicas": 1}),
    "one degree": ((1, 1), {"pipeline_degree": "model"}),
    "one degree, one design": ((1, 1), {"pipeline_degree": "model", "designs": (1,)}),
    "scenarios": ((2,), {"scenarios": 2, "slo_start": "cold"}),
    "waiting": ((2, 1), {"max_replicas": 1, "billing": Billing(non_moe_memory_mb=512)}),
    "provisioned": ((2,), {"billing": Billing(provisioned_s=2.0)}),
}


def optimum(stated: ServerlessProblem, without: str | None = None, **options: Any) -> float:
    """Return the optimum of the model, one rule's rows left out."""
    (model,) = build(stated, **options)
    answer = solve_model(model if without is None else model.without(without))
    assert answer.status is Status.OPTIMAL
    assert answer.objective is not None
    return answer.objective


def proven(stated: ServerlessProblem, warm_start: ServerlessPlan | None = None) -> float:
    """Return the objective of the plan of `run_milp`, which must be proven."""
    outcome = run_milp(stated, Context(), warm_start)
    assert isinstance(outcome.plan, ServerlessPlan)
    assert violations(stated, outcome.plan) == []
    value = evaluate(stated, outcome.plan).objective
    assert outcome.bound == pytest.approx(value, rel=1e-6)
    assert outcome.limit is None
    return value


def promised(stated: ServerlessProblem, share: float) -> ServerlessProblem:
    """Return the problem with a promise between the shortest latency and the cheapest plan's.

    `share` 0 is the shortest latency, 1 the cheapest plan's.
    """
    free = run_milp(stated, Context(), None).plan
    assert isinstance(free, ServerlessPlan)
    tiny = msgspec.structs.replace(stated, slo_s=1e-9)
    (missed,) = run_milp(tiny, Context(), None).infeasible
    assert missed.constraint == "C6"
    shortest_s = missed.amount + 1e-9
    free_s = evaluate(stated, free).latency_s
    slo_s = shortest_s + share * (free_s - shortest_s)
    return msgspec.structs.replace(stated, slo_s=slo_s * (1 + 1e-9))


#: For each rule an instance whose optimum is worse for it.
BINDING = {
    # As cheap sizes go, but 1,012 MB and the inputs and outputs of five tokens are too much.
    "C3": simple(**TWO_SIZES, layers=(layer([5, 2]),), intermediate_mb=1012, network=DELAYED),
    "C4": simple(layers=(layer([4, 1]),), network=DELAYED, payload_bytes=3 * MB, max_replicas=2),
    "C5": simple(**TWO_SIZES, layers=(layer([5, 2]),), prices=whole_prices(timeout_s=5.0)),
    "C6": simple(**TWO_SIZES, layers=(layer([6, 1]),), network=DELAYED, slo_s=7.0),
    # Eight tokens want minibatches of 3, sixteen tokens of 4.
    "C7": simple(
        layers=(layer([8]), layer([16])), output_mb=2.0, network=DELAYED, designs=(1,),
        pipeline_degree="model",
    ),
    "C8": simple(layers=(layer([3, 1]),), network=DELAYED, designs=(2,)),
}  # fmt: skip


@pytest.mark.parametrize("rule", BINDING)
def test_dropping_a_rule_that_binds_changes_the_optimum(rule: str) -> None:
    stated = BINDING[rule]
    best, relaxed = brute_force(stated), brute_force(stated, ignore=(rule,))
    assert best is not None
    assert relaxed is not None
    assert relaxed.objective < best.objective
    assert proven(stated) == pytest.approx(best.objective, rel=1e-9)
    assert optimum(stated) == pytest.approx(best.objective)
    assert optimum(stated, tighten=False) == pytest.approx(best.objective)
    assert optimum(stated, rule, tighten=False) == pytest.approx(relaxed.objective)


@pytest.mark.parametrize("rule", ["C1", "C2"])
def test_without_memory_or_replicas_nothing_is_rented(rule: str) -> None:
    assert optimum(BINDING["C6"], tighten=False) > 0
    assert optimum(BINDING["C6"], rule, tighten=False) == 0


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_the_model_is_brute_force(shape: str, seed: int) -> None:
    experts, fields = SHAPES[shape]
    stated = promised(drawn(seed, experts, **fields), (0.0, 0.4, 0.8)[seed])
    best = brute_force(stated)
    assert best is not None
    assert proven(stated) == pytest.approx(best.objective, rel=1e-9)
    assert optimum(stated) == pytest.approx(best.objective, rel=1e-6)
    assert optimum(stated, tighten=False) == pytest.approx(best.objective, rel=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_without_a_promise_too(shape: str) -> None:
    experts, fields = SHAPES[shape]
    stated = drawn(7, experts, **fields)
    best = brute_force(stated)
    assert best is not None
    assert proven(stated) == pytest.approx(best.objective, rel=1e-9)
    assert optimum(stated, tighten=False) == pytest.approx(best.objective, rel=1e-6)


def lambda_problem(seed: int, **fields: Any) -> ServerlessProblem:
    """Return a problem too large for brute force, at the platform's prices."""
    rng = np.random.default_rng(seed)
    layers = tuple(
        ServerlessLayer(
            tokens=rng.multinomial(4000, rng.dirichlet(np.ones(3))).astype(float),
            non_moe_s=0.5,
            next_parameter_bytes=9 * MB,
        )
        for _ in range(3)
    )
    stated: dict[str, Any] = {
        "layers": layers,
        "expert": ExpertFunction(
            parameter_bytes=18 * MB,
            intermediate_bytes=40 * MB,
            input_bytes_per_token=3072.0,
            output_bytes_per_token=3072.0,
            compute=VcpuModel(seconds_per_token=2e-3, most_vcpus=1.5),
        ),
        "network": Network(
            storage_bytes_per_s=65e6,
            function_bytes_per_s=float(rng.choice([20e6, 90e6])),
            access_delay_s=float(rng.choice([0.001, 0.08])),
            warm_start_s=0.1,
        ),
        "memory_mb": (128, 768, 1769, 3008),
        "max_replicas": 2,
    }
    return ServerlessProblem(**{**stated, **fields})


@pytest.mark.parametrize("coupling", ["layer", "model"])
@pytest.mark.parametrize("seed", range(4))
def test_the_model_is_the_knapsack(seed: int, coupling: str) -> None:
    free = lambda_problem(seed, pipeline_degree=coupling)
    stated = promised(free, (seed + 1) / 8)
    best = run_exact(stated, Context(), None).plan
    assert isinstance(best, ServerlessPlan)
    assert proven(stated) == pytest.approx(evaluate(stated, best).objective, rel=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("tighten", [True, False])
def test_a_plan_s_point_is_feasible_and_as_good(shape: str, tighten: bool) -> None:
    experts, fields = SHAPES[shape]
    stated = promised(drawn(4, experts, **fields), 0.5)
    plan = run_exact(stated, Context(), None).plan
    assert isinstance(plan, ServerlessPlan)
    frame = compile_model(stated, tighten=tighten)
    x = frame.point(plan)
    assert x is not None
    assert frame.model.violations(x) == []
    found = frame.plan(x)
    assert violations(stated, found) == []
    value = evaluate(stated, found)
    assert frame.model.evaluate(x) == pytest.approx(value.objective, rel=1e-12)
    assert value.objective == pytest.approx(evaluate(stated, plan).objective, rel=1e-9)
    assert (value.layer_s <= evaluate(stated, plan).layer_s * (1 + 1e-9)).all()
    assert decode(stated, x, tighten=tighten) == found


def test_experts_alike_decide_as_one() -> None:
    stated = simple(**TWO_SIZES, layers=(layer([3, 3]), layer([2])), network=DELAYED, slo_s=9.0)
    menus = short_menus(stated)
    assert [menu.kinds for menu in menus] == [1, 1]
    best = brute_force(stated)
    assert best is not None
    assert proven(stated) == pytest.approx(best.objective, rel=1e-9)
    other = msgspec.structs.replace(
        stated.layers[0], parameter_bytes=np.array([MB, 2 * MB, MB]), tokens=np.full(3, 2.0)
    )
    stated = msgspec.structs.replace(stated, layers=(other,))
    assert short_menus(stated)[0].kind.tolist() == [0, 1, 0]


def test_what_no_optimal_plan_needs_has_no_column() -> None:
    stated = promised(lambda_problem(0), 0.5)
    full = sum(menu.mode.size for menu in full_menus(stated))
    short = sum(menu.mode.size for menu in short_menus(stated))
    assert short < full / 10


@pytest.mark.parametrize("coupling", ["layer", "model"])
def test_a_promise_that_cannot_be_kept_names_the_shortest_latency(coupling: str) -> None:
    stated = lambda_problem(2, pipeline_degree=coupling, slo_s=1.0)
    (found,) = run_milp(stated, Context(), None).infeasible
    assert (found.constraint, found.path) == ("C6", "$.slo_s")
    shortest_s = 1.0 + found.amount
    assert f"{rounded_up(shortest_s)} s" in found.message
    just = msgspec.structs.replace(stated, slo_s=shortest_s * (1 + 1e-9))
    assert proven(just) > 0
    short = msgspec.structs.replace(stated, slo_s=shortest_s * (1 - 1e-4))
    assert run_milp(short, Context(), None).infeasible


@pytest.mark.parametrize("tighten", [True, False])
def test_both_forms_are_infeasible_where_the_promise_cannot_be_kept(tighten: bool) -> None:
    stated = promised(drawn(1, (2, 1)), 0.0)
    assert stated.slo_s is not None
    short = msgspec.structs.replace(stated, slo_s=stated.slo_s * (1 - 1e-4))
    (model,) = build(short, tighten=tighten)
    assert solve_model(model).status is Status.INFEASIBLE


def test_an_expert_that_fits_nowhere_is_named_by_its_layer() -> None:
    stated = simple(layers=(layer([2]), layer([2, 40])), intermediate_mb=1000)
    (found,) = run_milp(stated, Context(), None).infeasible
    assert (found.constraint, found.path) == ("C3", "$.layers[1]")


def test_degrees_that_suit_no_two_layers_are_told() -> None:
    # The first layer is done in time with many minibatches only, the second with few.
    large = msgspec.structs.replace(SMALL_TOKENS, output_bytes_per_token=16.0 * MB)
    stated = simple(
        layers=(layer([8], expert=large), layer([20], expert=SMALL_TOKENS)),
        network=DELAYED,
        designs=(1,),
        prices=whole_prices(timeout_s=23.75),
    )
    assert proven(stated) > 0
    assert brute_force(stated) is not None
    stated = msgspec.structs.replace(stated, pipeline_degree="model")
    assert brute_force(stated) is None
    (found,) = run_milp(stated, Context(), None).infeasible
    assert (found.constraint, found.path) == ("C7", "$.pipeline_degree")


@pytest.mark.parametrize("missed", [1e-10, 1e-8, 1e-7, 5e-7])
def test_a_promise_missed_by_a_solver_s_tolerance_is_kept(missed: float) -> None:
    free = lambda_problem(3)
    cheap = run_exact(free, Context(), None).plan
    assert isinstance(cheap, ServerlessPlan)
    slo_s = evaluate(free, cheap).latency_s * (1 - missed)
    stated = msgspec.structs.replace(free, slo_s=slo_s)
    outcome = run_milp(stated, Context(), None)
    assert isinstance(outcome.plan, ServerlessPlan)
    assert violations(stated, outcome.plan) == []
    assert outcome.bound is not None
    assert outcome.bound <= evaluate(stated, outcome.plan).objective


def test_a_deadline_leaves_a_valid_plan_and_a_bound() -> None:
    stated = promised(lambda_problem(1), 0.3)
    for limit_s, designs in ((1e-6, (1, 2, 3)), (1e-6, (1,)), (0.3, (1, 2, 3))):
        stated = msgspec.structs.replace(stated, designs=designs)
        outcome = run_milp(stated, Context(time_limit_s=limit_s), None)
        assert isinstance(outcome.plan, ServerlessPlan)
        assert violations(stated, outcome.plan) == []
        assert outcome.bound is not None
        assert 0 < outcome.bound <= evaluate(stated, outcome.plan).objective
        assert limit_s == 0.3 or outcome.limit is Limit.TIME


def test_a_warm_start_is_never_lost_and_a_gap_is_enough() -> None:
    stated = promised(lambda_problem(5), 0.4)
    best = run_milp(stated, Context(), None).plan
    assert isinstance(best, ServerlessPlan)
    value = evaluate(stated, best).objective
    assert proven(stated, best) == pytest.approx(value, rel=1e-12)
    late = run_milp(stated, Context(time_limit_s=1e-6), best)
    assert late.plan == best
    loose = run_milp(stated, Context(gap=0.5), None)
    assert isinstance(loose.plan, ServerlessPlan)
    assert loose.bound is not None
    assert 0.5 * evaluate(stated, loose.plan).objective <= loose.bound <= value * (1 + 1e-9)


def test_the_same_seed_gives_the_same_plan() -> None:
    stated = promised(lambda_problem(4), 0.6)
    one, other = (run_milp(stated, Context(seed=3), None).plan for _ in range(2))
    assert one == other


@pytest.mark.parametrize("scale", [2.0**-30, 2.0**20])
def test_units_of_money_and_time_do_not_matter(scale: float) -> None:
    stated = promised(drawn(1, (2, 1)), 0.5)
    book = stated.book()
    tier = book.functions["x86"].duration[0]
    prices = msgspec.structs.replace(
        book.functions["x86"],
        duration=(msgspec.structs.replace(tier, usd_per_gb_s=tier.usd_per_gb_s * scale),),
    )
    billing = msgspec.structs.replace(stated.billing, requests=False, storage=False)
    free = msgspec.structs.replace(stated, billing=billing)
    cheap = msgspec.structs.replace(
        free, prices=msgspec.structs.replace(book, functions={"x86": prices})
    )
    assert proven(cheap) == pytest.approx(proven(free) * scale, rel=1e-9)


def test_what_is_too_large_is_refused_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    stated = lambda_problem(0)
    assert refuses_milp(stated) is None
    monkeypatch.setattr("moeopt.serverless.exact_model.MOST_OPTIONS", 10)
    assert "options" in (refuses_milp(stated) or "")
    with pytest.raises(InstanceError, match="options"):
        build(stated)
    monkeypatch.setattr("moeopt.serverless.exact_model.MOST_PLAIN_OPTIONS", 10)
    with pytest.raises(InstanceError, match="options"):
        build(stated, tighten=False)
