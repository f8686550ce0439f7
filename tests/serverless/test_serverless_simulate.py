"""A simulated layer: exactly the formulas in their own world, and by hand beyond it."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
import numpy as np
import pytest

from moeopt.serverless.plan import ServerlessPlan, clock_of, evaluate
from moeopt.serverless.problem import (
    Billing,
    ExpertFunction,
    MemoryTable,
    Network,
    ServerlessLayer,
    ServerlessProblem,
    VcpuModel,
    paper_costs,
)
from moeopt.serverless.simulate import FORMULAS, World, simulate, simulate_layer
from moeopt.serverless.simulate_events import Events, Pauses, SharedLine

SEEDS = range(25)


def drawn(seed: int, **fields: Any) -> ServerlessProblem:
    """Return two layers with unequal experts in two scenarios, some without tokens."""
    rng = np.random.default_rng(seed)
    layers = tuple(
        ServerlessLayer(
            tokens=np.floor(rng.exponential(300.0, (2, 4))) * (rng.random((2, 4)) < 0.8),
            parameter_bytes=rng.integers(1, 40, 4) * 1_000_000,
            non_moe_s=float(rng.random()),
            next_parameter_bytes=int(rng.integers(0, 60)) * 1_000_000,
        )
        for _ in range(2)
    )
    stated: dict[str, Any] = {
        "layers": layers,
        "expert": ExpertFunction(
            parameter_bytes=1,
            input_bytes_per_token=float(rng.integers(500, 5000)),
            output_bytes_per_token=float(rng.integers(500, 5000)),
            compute=VcpuModel(seconds_per_token=2e-3, most_vcpus=2.0),
        ),
        "network": Network(
            storage_bytes_per_s=float(rng.uniform(2e7, 1e8)),
            function_bytes_per_s=float(rng.uniform(1e7, 1e8)),
            access_delay_s=float(rng.uniform(0, 0.1)),
            warm_start_s=0.05,
            cold_start_s=1.5,
        ),
        "memory_mb": (768, 1536, 3072),
        "max_replicas": 3,
        "head_s": 0.3,
        "tail_s": 0.2,
    }
    return ServerlessProblem(**(stated | fields))


def planned(problem: ServerlessProblem, design: int, seed: int, blocks: int = 1) -> ServerlessPlan:
    """Return sizes and replicas at random, with about this many minibatches in design 1."""
    rng = np.random.default_rng(seed)
    shape = (problem.num_layers, problem.num_experts)
    plan = ServerlessPlan(
        design=np.full(shape[0], design),
        pipeline_degree=np.zeros(shape[0], dtype=np.int64),
        memory_mb=rng.choice(np.array(problem.memory_mb), shape),
        replicas=rng.integers(1, problem.max_replicas + 1, shape),
    )
    shares = [problem.tokens_of(e) / plan.replicas[e] for e in range(shape[0])]
    degree = np.array([max(1, int(np.ceil(share.max() / blocks))) for share in shares])
    return msgspec.structs.replace(plan, pipeline_degree=degree * (design == 1))


def alone(tokens: list[float], **network: float) -> ServerlessProblem:
    """Return one layer with round numbers: a byte a second, a token of 1 byte, 2 s of computing."""
    given = {"storage_bytes_per_s": 1.0, "function_bytes_per_s": 1.0}
    return ServerlessProblem(
        layers=(ServerlessLayer(tokens=np.array(tokens), next_parameter_bytes=5),),
        expert=ExpertFunction(
            parameter_bytes=3,
            input_bytes_per_token=1.0,
            output_bytes_per_token=1.0,
            compute=MemoryTable(seconds_per_token=(2.0,)),
        ),
        network=Network(**(given | network)),
        memory_mb=(1024,),
        max_replicas=4,
        billing=paper_costs(),
    )


def plan_of(problem: ServerlessProblem, design: int, degree: int = 0, *replicas: int) -> Any:
    experts = problem.num_experts
    return ServerlessPlan(
        design=np.array([design]),
        pipeline_degree=np.array([degree]),
        memory_mb=np.full((1, experts), 1024),
        replicas=np.array([replicas or (1,) * experts]),
    )


@pytest.mark.parametrize("design", [2, 3])
@pytest.mark.parametrize("start", ["warm", "cold"])
@pytest.mark.parametrize("seed", SEEDS)
def test_through_storage_and_direct_the_formulas_are_exact(
    seed: int, start: str, design: int
) -> None:
    bill = Billing(rounding=bool(seed % 2), cold_share=0.3, waiting=seed % 3 > 0)
    problem = drawn(seed, slo_start=start, billing=bill)
    plan = planned(problem, design, seed)
    found, value = simulate(problem, plan), evaluate(problem, plan)
    np.testing.assert_allclose(found.layer_s, value.layer_s, rtol=1e-12)
    assert found.latency_s == pytest.approx(value.latency_s, rel=1e-12)
    assert found.duration_usd == pytest.approx(value.duration_usd, rel=1e-12)


@pytest.mark.parametrize("blocks", [1, 2, 5, 40])
@pytest.mark.parametrize("seed", SEEDS)
def test_pipelined_the_formulas_are_exact_where_computing_decides(seed: int, blocks: int) -> None:
    """With inputs there before the parameters, and reading and computing slower than writing."""
    problem = drawn(seed, billing=paper_costs())
    layers = tuple(
        msgspec.structs.replace(layer, parameter_bytes=np.full(4, 900_000_000))
        for layer in problem.layers
    )
    problem = msgspec.structs.replace(problem, layers=layers)
    plan = planned(problem, 1, seed, blocks)
    assert plan.pipeline_degree.min() >= 1
    found, value = simulate(problem, plan), evaluate(problem, plan)
    np.testing.assert_allclose(found.layer_s, value.layer_s, rtol=1e-12)
    assert found.duration_usd == pytest.approx(value.duration_usd, rel=1e-12)
    # Parameters that slow leave the gate's one link the time to serve everybody.
    np.testing.assert_allclose(simulate(problem, plan, World(queueing=True)).layer_s, found.layer_s)


@pytest.mark.parametrize("blocks", [1, 3, 20])
@pytest.mark.parametrize("seed", SEEDS)
def test_pipelined_the_formulas_are_never_below_their_own_world(seed: int, blocks: int) -> None:
    problem = drawn(seed)
    plan = planned(problem, 1, seed, blocks)
    assert (simulate(problem, plan).layer_s <= evaluate(problem, plan).layer_s + 1e-12).all()


@pytest.mark.parametrize("design", [1, 2, 3])
@pytest.mark.parametrize("seed", range(8))
def test_working_time_is_what_the_paper_bills(seed: int, design: int) -> None:
    problem = drawn(seed, billing=paper_costs())
    plan = planned(problem, design, seed)
    for layer in range(problem.num_layers):
        run = simulate_layer(problem, plan, layer)
        size = np.searchsorted(problem.memory_mb, plan.memory_mb[layer, run.expert])
        network = problem.network
        head_s = problem.parameter_bytes_of(layer)[run.expert] / network.storage_bytes_per_s
        head_s = head_s + network.access_delay_s + network.warm_start_s
        working_s = clock_of(problem, layer).working_s(
            design, head_s, run.tokens, np.ones(run.tokens.size),
            problem.seconds_per_token_of(layer)[size],
        )  # fmt: skip
        np.testing.assert_allclose(run.replica_s - run.waited_s, working_s, rtol=1e-12)
        assert (run.waited_s >= 0).all()


def test_design_2_by_hand() -> None:
    """Loaded at 3, all inputs there at 6, 1 + 2 + 1 s a token; then 6 outputs are read."""
    problem = alone([2.0, 4.0])
    run = simulate_layer(problem, plan_of(problem, 2), 0)
    assert run.replica_s.tolist() == [6.0 + 8.0, 6.0 + 16.0]
    assert run.waited_s.tolist() == [3.0, 3.0]
    assert run.latency_s == 22.0 + 6.0


def test_a_pipeline_by_hand() -> None:
    """Two minibatches of 2 tokens, there at 2 and 4, loaded at 3: done at 9, 15 and then 17."""
    problem = alone([4.0])
    run = simulate_layer(problem, plan_of(problem, 1, 2), 0)
    assert run.replica_s.tolist() == [17.0]
    assert run.latency_s == 17.0 + 4.0


def test_direct_by_hand() -> None:
    """Called at 4, loaded at 7, computed at 15, answered at 19; the next layer loads 5 bytes."""
    problem = alone([4.0])
    run = simulate_layer(problem, plan_of(problem, 3), 0)
    assert run.replica_s.tolist() == [15.0]
    assert run.latency_s == 19.0 + 5.0


def test_a_layer_without_tokens_still_gathers() -> None:
    problem = alone([0.0, 0.0], access_delay_s=1.0)
    run = simulate_layer(problem, plan_of(problem, 2), 0)
    assert run.replica_s.size == 0
    assert run.latency_s == 1.0 + 5.0 + 1.0
    assert simulate(problem, plan_of(problem, 3)).duration_usd == 0.0


def test_objects_each_have_a_delay() -> None:
    """Uploading and gathering pay it once for each object instead of once: 2 x 3 more objects."""
    problem = alone([4.0, 4.0], access_delay_s=10.0)
    plan = plan_of(problem, 2, 0, 2, 2)
    assert gained(problem, plan, World(objects=True)) == 2 * 3 * 10.0
    assert gained(problem, plan_of(problem, 3, 0, 2, 2), World(objects=True)) == 0.0


def test_minibatches_queue_at_the_gate() -> None:
    """The second replica's first minibatch comes after the first one's, at 20 instead of 10."""
    problem = alone([20.0, 20.0])
    plan = plan_of(problem, 1, 10)
    assert gained(problem, plan, World(queueing=True)) == 10.0
    # Payloads and answers as well: the second is called at 40, and answers at 143.
    assert gained(problem, plan_of(problem, 3), World(queueing=True)) == 20.0
    assert gained(problem, plan_of(problem, 2), World(queueing=True)) == 0.0


def test_whole_tokens_are_shared_out() -> None:
    """5 tokens on 2 replicas: 3 and 2; a pipeline of at most 2: 2 and 1."""
    problem = alone([5.0])
    run = simulate_layer(problem, plan_of(problem, 2, 0, 2), 0, World(whole_tokens=True))
    assert run.tokens.tolist() == [3.0, 2.0]
    assert run.latency_s == 5.0 + 3 * 4.0 + 5.0
    run = simulate_layer(problem, plan_of(problem, 1, 2, 2), 0, World(whole_tokens=True))
    # Loaded at 3; two tokens until 9, one until 12, its output until 13.
    assert run.replica_s.tolist() == [13.0, 11.0]


def test_whoever_is_eager_is_done_earlier() -> None:
    """The first replica reads at 3 instead of 8, and its outputs while the second works."""
    problem = alone([4.0, 4.0])
    plan = plan_of(problem, 2)
    late, early = simulate_layer(problem, plan, 0), simulate_layer(
        problem, plan, 0, World(eager=True)
    )  # fmt: skip
    assert late.replica_s.tolist() == [24.0, 24.0]
    assert early.replica_s.tolist() == [20.0, 24.0]
    assert (late.latency_s, early.latency_s) == (32.0, 28.0)


def test_straggling_is_drawn_and_kept_by_the_seed() -> None:
    problem = drawn(3)
    plan = planned(problem, 2, 3)
    one, same, other = (
        simulate(problem, plan, World(straggling=0.5, seed=seed)).latency_s for seed in (1, 1, 2)
    )
    assert one == same
    assert one != other
    assert one > simulate(problem, plan).latency_s
    assert simulate(problem, plan, World(seed=5)).latency_s == simulate(problem, plan).latency_s


def test_the_slowest_scenario_is_the_layer() -> None:
    problem = drawn(4)
    plan = planned(problem, 2, 4)
    by_scenario = [
        [simulate_layer(problem, plan, e, scenario=s).latency_s for e in range(2)] for s in range(2)
    ]
    np.testing.assert_array_equal(simulate(problem, plan).layer_s, np.max(by_scenario, axis=0))


def gained(problem: ServerlessProblem, plan: ServerlessPlan, world: World) -> float:
    """Return how much longer the layer takes in another world."""
    there = simulate_layer(problem, plan, 0, world).latency_s
    return there - simulate_layer(problem, plan, 0, FORMULAS).latency_s


def test_a_pipeline_that_writes_slowly_ends_before_its_formula() -> None:
    """Reading and computing 1 s a token, writing 4: the first minibatch alone waits for nothing."""
    problem = alone([4.0])
    expert = ExpertFunction(
        parameter_bytes=20,
        input_bytes_per_token=0.5,
        output_bytes_per_token=4.0,
        compute=MemoryTable(seconds_per_token=(0.5,)),
    )
    problem = msgspec.structs.replace(problem, expert=expert)
    plan = plan_of(problem, 1, 2)
    found, value = simulate(problem, plan).latency_s, evaluate(problem, plan).latency_s
    # 20 + 2 + 8 + 8 + 16; (6) has 8 for the first block too.
    assert (found, value) == (54.0, 60.0)


def test_where_the_next_layer_runs_already_nothing_is_loaded() -> None:
    problem = alone([1.0])
    assert gained(problem, plan_of(problem, 3), World(running=True)) == -5.0
    assert simulate_layer(problem, plan_of(problem, 2), 0, World(running=True)).latency_s == 8.0
    # Loaded at 5, gathered by 8: it is what the functions take that counts.
    slow = alone([1.0], warm_start_s=20.0)
    assert gained(slow, plan_of(slow, 2), World(running=True)) == 0.0


def test_what_shares_a_link_is_there_later_or_earlier() -> None:
    """Uploads of 2 and 6 s, a delay of 1 s each: there at 5 and 9 s, in turns at 3 and 9 s."""
    problem = alone([2.0, 6.0], access_delay_s=1.0)
    plan = plan_of(problem, 2)
    run = simulate_layer(problem, plan, 0, World(eager=True, sharing=True, running=True))
    # Started at 4 s; read and computed in 7 and 19 s, written in 3 and 7 s.
    assert run.replica_s.tolist() == [15.0, 35.0]
    assert run.waited_s.tolist() == [1.0, 5.0]
    # Read with a delay of its own.
    assert run.latency_s == 42.0
    run = simulate_layer(problem, plan, 0, World(eager=True, running=True))
    assert run.replica_s.tolist() == [14.0, 35.0]
    assert run.latency_s == 41.0


def test_a_replica_s_minibatches_are_uploaded_one_after_the_other() -> None:
    """Of 2 s and a delay of 1 s each: the first is there at 3 s, not all of them at 9 s."""
    problem = alone([8.0], access_delay_s=1.0)
    run = simulate_layer(problem, plan_of(problem, 1, 2), 0, World(sharing=True, running=True))
    # Started at 4 s, a replica has a minibatch every 7 s, the next of which is there by then.
    assert run.waited_s.tolist() == [0.0]
    assert run.replica_s.tolist() == [4.0 + 4 * 7.0 + 3.0]


def carried(begun: list[float], sizes: list[float], delay_s: float) -> dict[int, float]:
    """Return when each of some things was there that a shared line carried."""
    events, ended = Events(), dict[int, float]()
    line = SharedLine(events, delay_s)

    def end(k: int) -> None:
        ended[k] = events.now_s

    for k, (start, size) in enumerate(zip(begun, sizes, strict=True)):
        events.at(start, partial(line.carry, size, partial(end, k)))
    events.run()
    return ended


@pytest.mark.parametrize("seed", range(10))
def test_a_shared_line_carries_all_it_was_given(seed: int) -> None:
    rng = np.random.default_rng(seed)
    begun, sizes = np.sort(rng.integers(0, 10, 12) / 4), rng.integers(0, 9, 12) / 4
    ended = carried(begun.tolist(), sizes.tolist(), 0.5)
    assert sorted(ended) == list(range(12))
    free = 0.0
    for k in range(12):
        assert ended[k] >= begun[k] + 0.5 + sizes[k] - 1e-9
        # It is idle only if there is nothing to carry.
        free = max(free, begun[k] + 0.5) + sizes[k]
    assert max(ended.values()) == pytest.approx(free)


def test_outputs_of_a_call_are_read_when_it_has_returned() -> None:
    """Two minibatches of 1 token: written at 7 and 10 s, and 1 s each to read."""
    problem = alone([2.0])
    plan = plan_of(problem, 1, 1)
    early = simulate_layer(problem, plan, 0, World(eager=True))
    late = simulate_layer(problem, plan, 0, World(eager=True, returning=True))
    assert early.replica_s.tolist() == late.replica_s.tolist() == [10.0]
    assert early.latency_s == 11.0
    assert late.latency_s == 12.0


def test_inputs_are_asked_for_until_they_are_there() -> None:
    """There at 7 s; asked for at 4 and 6 s in vain, which takes 1 s, then 1 and 2 s are waited."""
    problem = alone([6.0], access_delay_s=1.0)
    plan = plan_of(problem, 2)
    run = simulate_layer(problem, plan, 0, World(pauses=Pauses(1.0, 2.0, 10.0)))
    assert run.vain.tolist() == [2]
    assert run.waited_s.tolist() == [5.0]
    told = simulate_layer(problem, plan, 0)
    assert told.vain.tolist() == [0]
    assert run.replica_s.tolist() == [told.replica_s[0] + 2.0]
    # What is there when it is asked for first is asked for once.
    early = alone([1.0], access_delay_s=1.0)
    assert simulate_layer(early, plan, 0, World(pauses=Pauses(1.0, 2.0, 10.0))).vain.tolist() == [0]
    assert Pauses(1.0, 3.0, 4.0).asked(0.0, 20.0, 0.5) == (23.0, 6)
