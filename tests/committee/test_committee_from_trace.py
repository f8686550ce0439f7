"""Problems from traces: eq. 1 token by token, windows within sequences, routers, real texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from moeopt.committee.from_trace import committee_problem, windows_of
from moeopt.committee.loss import weights
from moeopt.committee.online import schedule
from moeopt.committee.plan import evaluate
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.errors import InstanceError
from moeopt.library import trace_path
from moeopt.traces import RoutingTrace, read_trace

EXPERTS = np.array(
    [[[3, 1], [2, 0]], [[1, 0], [2, 1]], [[3, 1], [0, 1]], [[2, 3], [1, 3]], [[0, 1], [3, 2]]]
)


def recorded(*lengths: int, **fields: Any) -> RoutingTrace:
    given = {"expert_ids": EXPERTS.astype(np.uint8), "experts": 5}
    if lengths:
        given["sequence_lengths"] = np.array(lengths)
    return RoutingTrace(**(given | fields))


def test_windows_end_with_their_sequence() -> None:
    assert windows_of(recorded(3, 0, 2), 2).tolist() == [0, 0, 1, 2, 2]
    assert windows_of(recorded(3, 0, 2), 2, across_sequences=True).tolist() == [0, 0, 1, 1, 2]
    assert windows_of(recorded(), 4).tolist() == [0, 0, 0, 0, 1]
    for across in (False, True):
        assert windows_of(recorded(), 10**30, across).tolist() == [0] * 5


def test_tokens_are_counted_without_gates() -> None:
    problem = committee_problem(recorded(3, 2), window_tokens=2, budget_bytes=10)
    assert problem.importance is not None
    assert (problem.num_windows, problem.num_layers, problem.num_experts) == (3, 2, 5)
    assert problem.importance[0, 0].tolist() == [1, 2, 0, 1, 0]
    assert problem.importance.sum() == EXPERTS.size
    assert (problem.loss, problem.top_k) == ("additive", 2)


@pytest.mark.parametrize("seed", range(4))
def test_importance_token_by_token(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 7, 4)
    tokens, layers, experts = int(lengths.sum()), 2, 5
    ids = np.argsort(rng.random((tokens, layers, experts)), axis=2)[:, :, :2]
    gates = rng.random((tokens, layers, 2))
    trace = RoutingTrace(ids, gate_weights=gates, sequence_lengths=lengths, experts=experts)
    norms, hidden = rng.random((layers, experts)), rng.random((tokens, layers))
    problem = committee_problem(
        trace, window_tokens=3, norms=norms, hidden_norms=hidden, budget_bytes=10
    )
    wanted = np.zeros((problem.num_windows, layers, experts))
    window = windows_of(trace, 3)
    for x in range(tokens):
        for layer in range(layers):
            for rank, e in enumerate(ids[x, layer]):
                part = hidden[x, layer] * gates[x, layer, rank] * norms[layer, e]
                wanted[window[x], layer, e] += part
    assert problem.importance == pytest.approx(wanted)
    flat = committee_problem(
        trace, window_tokens=3, hidden_norms=hidden[:, 0], budget_bytes=10, layers=[1]
    )
    of_tokens = committee_problem(
        trace, window_tokens=3, hidden_norms=np.tile(hidden[:, :1], 2), budget_bytes=10
    )
    assert flat.importance is not None
    assert of_tokens.importance is not None
    assert flat.importance[:, 0] == pytest.approx(of_tokens.importance[:, 1])


def test_a_router_makes_the_same_importance_and_other_losses() -> None:
    """The router's best are the trace's choice, so that skipping costs eq. 1."""
    rng = np.random.default_rng(5)
    router = rng.random((9, 2, 4))
    ids = np.argsort(-router, axis=2)[:, :, :2]
    gates = np.take_along_axis(router, ids, axis=2)
    trace = RoutingTrace(ids, gate_weights=gates, sequence_lengths=np.array([5, 4]), experts=4)
    fields: dict[str, Any] = {"window_tokens": 2, "budget_bytes": 8, "hidden_norms": np.ones(9)}
    plain = committee_problem(trace, **fields)
    masked = committee_problem(trace, router=router, layers=[1, 0], **fields)
    skipping = committee_problem(trace, router=router, loss="skip", **fields)
    assert (masked.loss, skipping.loss, masked.top_k) == ("masked", "skip", 2)
    assert masked.window_starts is not None
    assert masked.window_starts.tolist() == [0, 2, 4, 5, 7]
    assert weights(skipping) == pytest.approx(plain.importance)
    assert masked.router is not None
    assert (masked.router == router[:, ::-1]).all()


def test_fields_are_passed_on() -> None:
    problem = committee_problem(
        recorded(), window_tokens=5, budget_bytes=40, expert_bytes=4, top_k=1, name="five"
    )
    assert (problem.budget_bytes, problem.top_k, problem.name) == (40, 1, "five")
    assert problem.sizes_bytes().tolist() == [4, 4]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"window_tokens": 0}, "window_tokens"),
        ({"layers": [2]}, "layers of the trace"),
        ({"layers": []}, "layers of the trace"),
        ({"norms": np.ones((2, 4))}, "norms"),
        ({"norms": -np.ones((2, 5))}, "norms"),
        ({"hidden_norms": np.ones(4)}, "hidden_norms"),
        ({"hidden_norms": np.ones((5, 3))}, "hidden_norms"),
        ({"router": np.ones((5, 2, 4))}, "router"),
        ({"importance": 1}, "no such field"),
        ({"budget_byte": 1}, "did you mean 'budget_bytes'"),
        ({"loss": "masked"}, "router"),
        ({"loss": "additive", "router": np.ones((5, 2, 5))}, "importance"),
    ],
)
def test_what_cannot_be(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(InstanceError, match=said):
        committee_problem(recorded(), **({"window_tokens": 2, "budget_bytes": 4} | asked))


def test_routing_is_a_trace() -> None:
    with pytest.raises(InstanceError, match="must be a RoutingTrace"):
        committee_problem(EXPERTS, window_tokens=2, budget_bytes=4)  # type: ignore[arg-type]
    with pytest.raises(InstanceError, match="must have a token"):
        committee_problem(recorded(expert_ids=EXPERTS[:0]), window_tokens=2, budget_bytes=4)


def reference(window_tokens: int, **fields: Any) -> CommitteeProblem:
    """Return 8 stretches of our own model's held-out text, two of its layers."""
    trace = read_trace(trace_path("reference-held-out")).part(0, 8 * 512)
    with np.load(trace_path("reference-norms")) as norms:
        bound = norms["spectral_in"] * norms["spectral_out"] * 160**0.5
    return committee_problem(
        trace, window_tokens=window_tokens, norms=bound, layers=[0, 5], budget_bytes=128, **fields
    )


@pytest.mark.parametrize("window_tokens", [32, 128])
@pytest.mark.parametrize("price", [0, 1, 30])
def test_never_worse_than_the_papers_rule_on_the_reference_trace(
    window_tokens: int, price: float
) -> None:
    """Whatever period the paper's rule is given; prices in mean weights of an expert."""
    mean = float(weights(reference(window_tokens)).mean())
    problem = reference(window_tokens, load_price=price * mean, periods=[1, 4])
    for slots in (8, 24, 48):
        ours = evaluate(problem, schedule(problem, [slots] * 2, "rent_or_buy")).objective
        for period, spread in ((1, 1), (1, 4), (4, 1)):
            plan = schedule(problem, [slots] * 2, "paper", period=period, target_updates=spread)
            assert ours <= evaluate(problem, plan).objective


@pytest.mark.parametrize("loads", [1, 4])
def test_never_worse_where_the_link_is_scarce(loads: int) -> None:
    problem = reference(32, link_bytes_per_s=float(loads), window_s=1.0)
    for slots in (8, 24, 48):
        ours = evaluate(problem, schedule(problem, [slots] * 2, "rent_or_buy")).objective
        for spread in (1, 4):
            plan = schedule(problem, [slots] * 2, "paper", target_updates=spread)
            assert ours <= evaluate(problem, plan).objective


@pytest.mark.parametrize("seed", range(5))
def test_importance_bounds_the_error_of_leaving_experts_out(seed: int) -> None:
    """Identity 10 of the notes: two matrices and a ReLU, no bias, spectral norms."""
    rng = np.random.default_rng(seed)
    tokens, experts, width, hidden, top_k = 40, 6, 8, 12, 2
    inner, outer = (
        rng.normal(size=(experts, width, hidden)),
        rng.normal(size=(experts, hidden, width)),
    )
    x = rng.normal(size=(tokens, width))
    logits = x @ rng.normal(size=(width, experts))
    ids = np.argsort(-logits, axis=1)[:, :top_k]
    gates = np.exp(np.take_along_axis(logits, ids, 1))
    gates /= gates.sum(axis=1, keepdims=True)
    given = np.maximum(0.0, np.einsum("xw,ewh->xeh", x, inner))
    given = np.einsum("xeh,ehw->xew", given, outer)
    weights_of = np.zeros((tokens, experts))
    np.put_along_axis(weights_of, ids, gates, 1)
    norms = np.linalg.norm(inner, 2, axis=(1, 2)) * np.linalg.norm(outer, 2, axis=(1, 2))
    problem = committee_problem(
        RoutingTrace(ids[:, None], gates[:, None], experts=experts),
        window_tokens=10, norms=norms[None], hidden_norms=np.linalg.norm(x, axis=1),
        budget_bytes=experts,
    )  # fmt: skip
    table = weights(problem)[:, 0]
    for _ in range(10):
        absent = rng.random(experts) < 0.5
        missing = np.einsum("xe,xew->xw", weights_of * absent, given)
        error = np.linalg.norm(missing, axis=1).reshape(4, 10).sum(axis=1)
        assert (error <= table[:, absent].sum(axis=1) * (1 + 1e-9)).all()
        # Not by being beyond all measure.
        assert (error >= table[:, absent].sum(axis=1) / 50).all()
