"""The identities that the formulas must keep, with figures worked out by hand."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from serverless_cases import plan, problem

from moeopt.core.arrays import FloatArray
from moeopt.serverless.designs import Clock, best_blocks, blocks_of
from moeopt.serverless.plan import evaluate, violations
from moeopt.serverless.problem import (
    ExpertFunction,
    MemoryTable,
    Network,
    ServerlessLayer,
    ServerlessProblem,
    paper_costs,
)

#: 3,072 bytes of a token at 65 MB/s, both ways, and 80 ms for each access.
TOKEN_S = 3072 / 65e6
DELAY_S = 0.08
CLOCK = Clock(
    input_storage_s=TOKEN_S,
    output_storage_s=TOKEN_S,
    input_direct_s=TOKEN_S,
    output_direct_s=TOKEN_S,
    delay_s=DELAY_S,
    load_s=1.0,
)
HEAD_S, COMPUTE_S = 1.2, 0.001


def working_s(design: int, tokens: float, degree: float = 1) -> float:
    share = np.array(float(tokens))
    blocks = blocks_of(share, np.array(float(degree)))
    head, compute = np.array(HEAD_S), np.array(COMPUTE_S)
    return float(CLOCK.working_s(design, head, share, blocks, compute))


@pytest.mark.parametrize(
    ("degree", "consistent", "printed"),
    [
        (1, 41.80, 1.385),
        (10, 5.804, 2.187),
        (50, 2.606, 7.899),
        (100, 2.208, 19.75),
        (250, 1.975, 86.73),
        (500, 1.907, 303.1),
    ],
)
def test_e1_the_block_is_repeated_not_multiplied(
    degree: int, consistent: float, printed: float
) -> None:
    assert working_s(1, 500, degree) == pytest.approx(consistent, rel=5e-4)
    block_s = DELAY_S + degree * (TOKEN_S + COMPUTE_S)
    as_printed = HEAD_S + DELAY_S + 500 / degree * TOKEN_S + degree * block_s
    assert as_printed == pytest.approx(printed, rel=5e-4)


@pytest.mark.parametrize("tokens", [1, 499, 500, 20_000])
@pytest.mark.parametrize("beyond", [0, 1, 1000])
def test_one_minibatch_is_no_pipeline(tokens: int, beyond: int) -> None:
    assert working_s(1, tokens, tokens + beyond) == pytest.approx(working_s(2, tokens), rel=1e-14)
    share, one = np.array(float(tokens)), np.array(1.0)
    for upload_s in (0.09, 0.5, 3.0):
        early = max(upload_s, DELAY_S + tokens * TOKEN_S)
        done = [
            CLOCK.until_stored_s(
                design, np.array(HEAD_S), share, one, np.array(COMPUTE_S), np.array(early)
            )
            for design in (1, 2)
        ]
        assert done[0] == pytest.approx(done[1], rel=1e-14)


def test_500_tokens_without_a_pipeline() -> None:
    assert working_s(2, 500) == pytest.approx(1.9073, abs=5e-5)


@pytest.mark.parametrize(
    ("tokens", "blocks", "seconds"),
    [
        (500, 2, 0.0682),
        (500, 5, 0.3011),
        (500, 10, 0.6987),
        (500, 50, 3.8968),
        (500, 500, 39.8964),
        (20_000, 2, -0.3926),
        (20_000, 3, -0.4702),
        (20_000, 4, -0.4689),
        (20_000, 5, -0.4362),
    ],
)
def test_what_a_pipeline_of_equal_minibatches_gains(
    tokens: int, blocks: int, seconds: float
) -> None:
    gained = working_s(1, tokens, tokens / blocks) - working_s(2, tokens)
    assert gained == pytest.approx(seconds, abs=5e-5)
    formula = (blocks - 1) * DELAY_S - (1 - 1 / blocks) * tokens * TOKEN_S
    assert gained == pytest.approx(formula, abs=1e-12)


def test_the_best_number_of_minibatches_and_where_pipelining_breaks_even() -> None:
    assert best_blocks(20_000, TOKEN_S, DELAY_S) == pytest.approx(3.44, abs=0.005)
    even = 2 * DELAY_S / TOKEN_S
    assert even == pytest.approx(3385.4, abs=0.05)
    assert working_s(1, even, even / 2) == pytest.approx(working_s(2, even), rel=1e-14)
    assert best_blocks(500, TOKEN_S, 0.0) == 500


@pytest.mark.parametrize(
    ("tokens", "degree", "blocks"),
    [(500, 500, 1), (500, 499, 2), (500, 1, 500), (1000 / 3, 111, 4), (0.5, 1, 1), (0, 1, 1)],
)
def test_minibatches_of_real_valued_tokens(tokens: float, degree: int, blocks: int) -> None:
    assert blocks_of(np.array(tokens), degree) == blocks


def test_rounding_makes_no_minibatch() -> None:
    thirds = np.array([3000.0, 6000.0, 9000.0]) * (1 / 3) * (1 + 1e-15)
    assert blocks_of(thirds, 1000).tolist() == [1, 2, 3]


def _one_expert(**fields: Any) -> ServerlessProblem:
    """Return two layers of 500 and 100 tokens with the constants above, billed as in the paper."""
    expert = ExpertFunction(
        parameter_bytes=65_000_000,
        input_bytes_per_token=3072,
        output_bytes_per_token=3072,
        compute=MemoryTable(seconds_per_token=(COMPUTE_S, COMPUTE_S / 2)),
    )
    return ServerlessProblem(
        layers=tuple(
            ServerlessLayer(tokens=np.array(tokens)) for tokens in ([500.0], [100.0], [30.0])
        ),
        expert=expert,
        network=Network(
            storage_bytes_per_s=65e6,
            function_bytes_per_s=65e6,
            access_delay_s=DELAY_S,
            warm_start_s=0.12,
        ),
        memory_mb=(1024, 3008),
        max_replicas=8,
        billing=paper_costs(),
        **fields,
    )


def test_e2_every_design_has_its_own_cost() -> None:
    stated = _one_expert()
    table, counts = [[1024]] * 3, [[1]] * 3
    single = [
        evaluate(stated, plan([a] * 3, table, counts, [50 * (a == 1)] * 3)).layer_usd
        for a in (1, 2, 3)
    ]
    # Degrees of (50, 50, 30) would be as good: 30 tokens make one minibatch of at most 50.
    assert violations(stated, plan([1] * 3, table, counts, [50, 50, 30])) == []
    mixed = evaluate(stated, plan([1, 2, 3], table, counts, [50, 0, 0])).layer_usd
    for e, a in enumerate((1, 2, 3)):
        c1, c2, c3 = (float(costs[e]) for costs in single)
        printed = (a - 2) * (a - 3) * c1 + (a - 1) * (a - 3) * c2 + (a - 1) * (a - 2) * c3
        meant = 0.5 * (a - 2) * (a - 3) * c1 - (a - 1) * (a - 3) * c2
        meant += 0.5 * (a - 1) * (a - 2) * c3
        assert mixed[e] == pytest.approx((c1, c2, c3)[a - 1], rel=1e-14)
        assert mixed[e] == pytest.approx(meant, rel=1e-12)
        assert printed == pytest.approx((2 * c1, -c2, 2 * c3)[a - 1], rel=1e-12)


def test_e3_the_payload_binds_where_tokens_travel_in_calls() -> None:
    # 500 tokens of 3,072 bytes, where 400 fit.
    stated = _one_expert(payload_bytes=400 * 3072)
    table, one, two = [[1024]] * 3, [[1]] * 3, [[2], [1], [1]]
    direct = violations(stated, plan([3] * 3, table, one))
    assert [found.constraint for found in direct] == ["C4"]
    assert direct[0].amount == pytest.approx(100 * 3072)
    assert violations(stated, plan([3] * 3, table, two)) == []
    # As printed, (a - 3) * (r * D - D^p) <= 0 holds for a = 3 whatever is sent, and forbids the
    # other designs where the payload would fit.
    for design in (1, 2):
        assert violations(stated, plan([design] * 3, table, two, [9 * (design == 1)] * 3)) == []


def test_e5_the_slowest_expert_is_the_one_whose_whole_way_is_longest() -> None:
    # Expert 1 works longer, but expert 0's inputs and work together take longest.
    small = ExpertFunction(
        parameter_bytes=100,
        input_bytes_per_token=50,
        output_bytes_per_token=0,
        compute=MemoryTable(seconds_per_token=(0.5, 0.25)),
    )
    stated = problem([8.0, 7.0], expert=small, payload_bytes=400)
    found = evaluate(stated, plan(3, [256, 128], [1, 1]))
    way_s = [8 * 1.0 + 4 + 8 * 0.25, 7 * 1.0 + 4 + 7 * 0.5]
    assert found.expert_s[0] == pytest.approx([way_s[0] + 6, way_s[1] + 6])
    assert found.layer_s[0] == pytest.approx(max(way_s) + 6)
    # As printed, with a free i: the longest input and the longest work of different experts.
    assert found.layer_s[0] < 8 * 1.0 + max(4 + 8 * 0.25, 4 + 7 * 0.5) + 6


@pytest.mark.parametrize("design", [2, 3])
def test_replicas_cost_a_head_each_and_never_save(design: int) -> None:
    stated = _one_expert()

    def cost(replicas: int) -> FloatArray:
        return evaluate(stated, plan([design] * 3, [[3008]] * 3, [[replicas]] * 3)).layer_usd

    each = stated.usd_per_s()[1] * (HEAD_S + (2 * DELAY_S if design == 2 else 0.0))
    for replicas in range(2, 9):
        assert cost(replicas) - cost(1) == pytest.approx((replicas - 1) * each, rel=1e-9)


def test_replicas_are_quicker_only_until_the_head_is_all() -> None:
    stated = _one_expert()
    seconds = [
        evaluate(stated, plan([2] * 3, [[1024]] * 3, [[g]] * 3)).latency_s for g in range(1, 9)
    ]
    assert (np.diff(seconds) < 0).all()
    assert (np.diff(seconds, 2) > 0).all()


def test_design_1_is_never_early_and_never_later_than_its_last_minibatch() -> None:
    share, compute = np.array(500.0), np.array(COMPUTE_S)
    for blocks in (1.0, 2.0, 7.0, 500.0):
        for upload_s in (0.2, 2.0, 50.0):
            done = CLOCK.until_stored_s(
                1, np.array(HEAD_S), share, np.array(blocks), compute, np.array(upload_s)
            )
            alone = CLOCK.pipelined_s(share, np.array(blocks), compute)
            last = CLOCK.pipelined_s(share / blocks, np.array(1.0), compute)
            assert done == pytest.approx(
                max(max(HEAD_S, DELAY_S + 500 / blocks * TOKEN_S) + alone, upload_s + last)
            )


def test_loading_the_next_layer_hides_only_behind_storage() -> None:
    quick = msgspec.structs.replace(problem([1.0]).layers[0], next_parameter_bytes=10_000)
    stated = problem(layers=(quick,))
    # 2 + 100 + 1 s for the next layer: longer than the expert needs.
    assert evaluate(stated, plan(2, [128], [1])).layer_s[0] == pytest.approx(103 + 1.2)
    assert evaluate(stated, plan(1, [128], [1], 1)).layer_s[0] == pytest.approx(103 + 1.2)
    direct = 0.2 + 4 + 0.9 + 103
    assert evaluate(stated, plan(3, [128], [1])).layer_s[0] == pytest.approx(direct)
