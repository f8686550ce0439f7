"""Plans that meet real tokens: the checker's bill where all is as planned, and what overruns."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
import serverless_cases as cases

import moeopt
from moeopt.core.errors import InstanceError
from moeopt.serverless.plan import evaluate
from moeopt.serverless.problem import (
    Billing,
    ExpertFunction,
    MemoryTable,
    Network,
    ServerlessProblem,
    paper_costs,
)
from moeopt.serverless.realised import Met, meet

MB = 2**20

#: Inputs and outputs of a token take 1 s each through storage, 2 s direct, and 16 MB each.
EXPERT = ExpertFunction(
    parameter_bytes=64 * MB,
    input_bytes_per_token=16 * MB,
    output_bytes_per_token=16 * MB,
    compute=MemoryTable(seconds_per_token=(0.5, 0.25)),
)

#: With parameters, an expert's head takes 2 + 4 + 1 s.
NETWORK = Network(
    storage_bytes_per_s=16 * MB,
    function_bytes_per_s=8 * MB,
    access_delay_s=1.0,
    warm_start_s=2.0,
    cold_start_s=5.0,
)


def stated(timeout_s: float = 1000.0, **fields: Any) -> ServerlessProblem:
    """Return one layer of two experts, of whose bill only seconds count. A call carries 48 MB."""
    limits = msgspec.structs.replace(cases.BOOK.limits, payload_bytes=48 * MB, timeout_s=timeout_s)
    book = msgspec.structs.replace(cases.BOOK, limits=limits)
    defaults = {"expert": EXPERT, "network": NETWORK, "prices": book, "billing": paper_costs()}
    return cases.problem([1, 1], **{**defaults, **fields})


def met(made: Any, *batches: Any, **fields: Any) -> Met:
    return meet(stated(**fields), made, [np.array(batches, dtype=float)])


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"billing": paper_costs()},
        {"billing": Billing(cold_share=0.25, non_moe_memory_mb=1024)},
        {"billing": Billing(provisioned_s=300.0)},
        {"slo_start": "cold", "slo_s": 1e6},
    ],
)
def test_as_planned_it_is_the_checkers_bill(fields: dict[str, Any]) -> None:
    for seed in range(12):
        problem = cases.drawn(seed, **fields)
        plan = moeopt.solve(problem, "exact").plan
        real = meet(problem, plan, [problem.tokens_of(e) for e in range(problem.num_layers)])
        assert not (real.over_memory | real.over_payload | real.over_time).any()
        for batch in range(problem.num_scenarios):
            layers = tuple(
                msgspec.structs.replace(layer, tokens=problem.tokens_of(e)[batch])
                for e, layer in enumerate(problem.layers)
            )
            value = evaluate(msgspec.structs.replace(problem, layers=layers), plan)
            assert real.cost_usd[batch] == pytest.approx(value.cost_usd, rel=1e-9)
            assert real.latency_s[batch] == pytest.approx(value.latency_s, rel=1e-9)
            assert real.layer_usd[batch] == pytest.approx(value.layer_usd, rel=1e-9)
            assert real.layer_s[batch] == pytest.approx(value.layer_s, rel=1e-9)


def test_a_call_out_of_memory_is_billed_and_its_tokens_run_again() -> None:
    """128 MB leave room for 2 tokens: 4 of them fail after 14 s, and two calls take 14 s each."""
    made = cases.plan(2, [[128, 128]], [[1, 1]])
    real = met(made, [2, 1], [4, 1])
    # Expert 1 takes 7 + 2 + 2.5 s. A second costs a dollar.
    assert real.cost_usd.tolist() == [14 + 11.5, 14 + 2 * 14 + 11.5]
    assert real.over_memory[:, 0].tolist() == [[False, False], [True, False]]
    assert not real.over_payload.any()
    assert real.calls[:, 0].tolist() == [[1, 1], [2, 1]]
    # The outputs are gathered in 1 s and 1 s for each token; 3 + 1 + 2 s lie before and after.
    assert real.layer_s[:, 0].tolist() == [14 + 4, 28 + 6]
    assert real.latency_s.tolist() == [14 + 4 + 6, 28 + 6 + 6]


def test_the_paper_counts_parameters_once() -> None:
    """6 tokens need 64 + 192 MB: ``ceil(256 / 128)`` calls of 3 would run out again."""
    made = cases.plan(2, [[128, 128]], [[1, 1]])
    assert met(made, [6, 0]).calls[0, 0].tolist() == [3, 0]


def test_what_is_too_large_for_a_call_is_split_before_it() -> None:
    """A call carries 3 tokens: 5 are two calls of 2.5, and nothing is billed in vain."""
    made = cases.plan(3, [[256, 256]], [[1, 1]])
    real = met(made, [3, 0], [5, 0])
    # 7 s to start, 2 s for each output, 0.25 s to compute; two dollars a second.
    assert real.cost_usd.tolist() == [2 * (7 + 3 * 2.25), 2 * 2 * (7 + 2.5 * 2.25)]
    assert real.over_payload[:, 0, 0].tolist() == [False, True]
    assert not real.over_memory.any()


def test_a_time_out_is_billed_whole() -> None:
    """Of 2 tokens, 14 s, with 13 s allowed: one each then takes 11.5 s."""
    made = cases.plan(2, [[128, 128]], [[1, 1]])
    real = met(made, [2, 1], timeout_s=13.0)
    assert real.over_time[0, 0].tolist() == [True, False]
    assert real.cost_usd[0] == 13 + 2 * 11.5 + 11.5
    assert real.layer_s[0, 0] == 13 + 11.5 + 4


def test_what_runs_again_waits_for_nothing() -> None:
    """With waiting billed, the upload of 10 tokens, 11 s, is waited for once."""
    made = cases.plan(2, [[128, 128]], [[1, 1]])
    billing = msgspec.structs.replace(paper_costs(), waiting=True)
    real = met(made, [4, 6], billing=billing)
    assert real.cost_usd[0] == (11 + 7) + 2 * (7 + 7) + (11 + 7) + 3 * (7 + 7)


def test_nothing_to_do_costs_nothing() -> None:
    made = cases.plan(1, [[128, 128]], [[1, 1]], [1])
    real = met(made, [0, 0])
    assert real.cost_usd[0] == 0
    assert real.calls.sum() == 0


def test_tables_of_another_model_are_refused() -> None:
    made = cases.plan(2, [[128, 128]], [[1, 1]])
    with pytest.raises(InstanceError, match=r"tokens\[0\]: must have shape \(1, 2\)"):
        met(made, [1, 2, 3])
    with pytest.raises(InstanceError, match="tokens: must have shape"):
        meet(stated(), made, [])
    with pytest.raises(InstanceError, match=r"tokens\[0\]\[0\]\[1\]"):
        met(made, [1, -1])
