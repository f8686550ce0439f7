"""Strategies of the committee wing: problems with every rule it knows, and plans for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from moeopt.committee.plan import CommitteePlan
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.testing.strategies._broken_committee import broken_committee

#: What absent experts may cost.
COMMITTEE_LOSSES = ("additive", "masked", "skip", "table")

#: Optional parts of a problem. An example has a few of them; a failing one shrinks to those it
#: needs. Without any there is one layer, one window and a budget.
COMMITTEE_FEATURES = (
    "activation",
    "fixed",
    "latency",
    "layers",
    "limits",
    "link",
    "named",
    "paid_fill",
    "periods",
    "price",
    "reals",
    "sizes",
    "staging",
    "top_k",
    "windows",
)

_VALUE = st.integers(0, 5)

Fields = dict[str, Any]


def committee_problems(
    *,
    max_experts: int = 4,
    max_layers: int = 2,
    max_windows: int = 5,
    losses: Sequence[str] = COMMITTEE_LOSSES,
    features: Sequence[str] = COMMITTEE_FEATURES,
    feasible: bool | None = True,
    plain: bool = False,
) -> st.SearchStrategy[CommitteeProblem]:
    """Draw committee problems, small by default.

    Parameters
    ----------
    max_experts, max_layers, max_windows
        Most experts of a layer, most layers, and most windows.
    losses
        Of `COMMITTEE_LOSSES`.
    features
        Optional rules to draw from, of `COMMITTEE_FEATURES`.
    feasible
        ``True``: a plan exists, because the limits are stated around one. ``False``: none exists.
        ``None``: either.
    plain
        Whether to draw nothing but one layer's loss in one window and a budget: short for no
        `features`.

    Examples
    --------
    >>> from moeopt.testing.strategies import committee_problems
    >>> strategy = committee_problems(losses=("masked",), features=("layers", "top_k"))
    """
    chosen = () if plain else tuple(features)
    most = (max(1, max_experts), max(1, max_layers), max(1, max_windows))
    stated = _stated(most, tuple(losses), chosen)
    kept = stated.map(_problem)
    if feasible is True:
        return kept
    contradictory = stated.flatmap(broken_committee).map(_problem)
    return contradictory if feasible is False else kept | contradictory


@st.composite
def committee_plans(draw: st.DrawFn, problem: CommitteeProblem) -> CommitteePlan:
    """Draw a plan of the right shape and range; it need not keep the problem's rules.

    Parameters
    ----------
    problem
        The problem that the plan is for.
    """
    experts, layers = problem.num_experts, problem.num_layers
    slots = draw(st.lists(st.integers(0, experts), min_size=layers, max_size=layers))
    return CommitteePlan(
        period=draw(st.sampled_from(problem.choices().tolist()) | st.integers(1, 3)),
        slots=np.array(slots, dtype=np.int64),
        loads=draw(_changes(problem)),
        drops=draw(_changes(problem)),
    )


@st.composite
def _changes(draw: st.DrawFn, problem: CommitteeProblem) -> IntArray:
    """Draw rows of window, layer and expert that rise."""
    row = st.tuples(
        st.integers(0, problem.num_windows - 1),
        st.integers(0, problem.num_layers - 1),
        st.integers(0, problem.num_experts - 1),
    )
    most = 0 if problem.loss == "table" else 8
    rows = draw(st.sets(row, max_size=most))
    return np.array(sorted(rows), dtype=np.int64).reshape(-1, 3)


def _problem(fields: Fields) -> CommitteeProblem:
    return CommitteeProblem(**fields)


@st.composite
def _stated(
    draw: st.DrawFn,
    most: tuple[int, int, int],
    losses: tuple[str, ...],
    known: tuple[str, ...],
) -> Fields:
    """Draw the fields of a problem, its limits stated so that a plan exists."""
    features = draw(st.sets(st.sampled_from(known), max_size=7)) if known else set()
    max_experts, max_layers, max_windows = most
    experts = draw(st.integers(1, max_experts))
    layers = draw(st.integers(1, max_layers)) if "layers" in features else 1
    fields: Fields = {
        "layers": layers,
        "experts": experts,
        "loss": draw(st.sampled_from(losses)),
    }
    if "top_k" in features:
        fields["top_k"] = draw(st.integers(1, experts + 1))
    windows = draw(st.integers(1, max_windows)) if "windows" in features else 1
    draw(_with_periods(fields, features, windows))
    if fields["loss"] != "table":
        draw(_with_windows(fields, features, windows))
    draw(_with_bytes(fields, features))
    draw(_with_limits(fields, features))
    if "named" in features:
        fields["name"] = draw(st.text("abc-0", max_size=5))
        fields["source"] = draw(st.text("abc é", max_size=5))
        fields["generator"] = {"name": "drawn", "seed": draw(st.integers(0, 9)), "size": 0.5}
    return fields


@st.composite
def _with_periods(draw: st.DrawFn, fields: Fields, features: set[str], windows: int) -> None:
    """State the periods to choose from, and the tables of each if that is the loss."""
    shape: tuple[int, ...] = (fields["layers"], fields["experts"] + 1)
    if "periods" in features:
        period = st.integers(1, windows + 1)
        periods = draw(st.lists(period, min_size=1, max_size=3, unique=True))
        fields["periods"] = np.array(periods, dtype=np.int64)
        if draw(st.booleans()):
            shape = (len(periods), *shape)
    if fields["loss"] == "table":
        fields["table"] = draw(_numbers(shape, features))
        if "link" in features:
            # At most as many as there are slots are replaced.
            share = draw(_numbers(shape, features)) / 5.0
            fields["swaps"] = np.floor(2.0 * np.minimum(share, 1.0) * np.arange(shape[-1])) / 2.0


@st.composite
def _with_windows(draw: st.DrawFn, fields: Fields, features: set[str], windows: int) -> None:
    """State what absent experts cost in each window, and what loads do."""
    shape = (fields["layers"], fields["experts"])
    if fields["loss"] == "additive":
        fields["importance"] = draw(_numbers((windows, *shape), features))
    else:
        tokens = draw(st.lists(st.integers(1, 3), min_size=windows, max_size=windows))
        fields["router"] = draw(_numbers((sum(tokens), *shape), features))
        if windows > 1 or draw(st.booleans()):
            fields["window_starts"] = np.cumsum([0, *tokens[:-1]])
    if "price" in features:
        fields["load_price"] = draw(_by_layer(fields, st.sampled_from([0.0, 0.5, 1.0, 3.0])))
    if "paid_fill" in features:
        fields["free_fill"] = False


@st.composite
def _numbers(draw: st.DrawFn, shape: tuple[int, ...], features: set[str]) -> FloatArray:
    """Draw what is lost: small whole numbers, of which many are alike, or any."""
    if "reals" in features:
        rng = np.random.default_rng(draw(st.integers(0, 2**16)))
        return rng.random(shape) * 3.0
    count = int(np.prod(shape))
    drawn = draw(st.lists(_VALUE, min_size=count, max_size=count))
    return np.array(drawn, dtype=np.float64).reshape(shape)


@st.composite
def _by_layer(draw: st.DrawFn, fields: Fields, each: st.SearchStrategy[Any]) -> Any:
    """Draw one number for all layers, or one for each."""
    if draw(st.booleans()):
        return draw(each)
    layers = fields["layers"]
    return np.array(draw(st.lists(each, min_size=layers, max_size=layers)))


@st.composite
def _with_bytes(draw: st.DrawFn, fields: Fields, features: set[str]) -> None:
    if "sizes" in features:
        fields["expert_bytes"] = draw(_by_layer(fields, st.integers(1, 3)))
    if "activation" in features:
        fields["activation_bytes"] = draw(_by_layer(fields, st.integers(0, 2)))
    if "staging" in features:
        fields["staging_slots"] = draw(_by_layer(fields, st.integers(0, 2)))
    if "fixed" in features:
        fields["fixed_bytes"] = draw(st.integers(0, 9))


@st.composite
def _with_limits(draw: st.DrawFn, fields: Fields, features: set[str]) -> None:
    """State budget, latency and link so that some slots, drawn first, keep them all."""
    layers, experts = fields["layers"], fields["experts"]
    fewest = np.full(layers, min(fields.get("top_k", 1), experts))
    most = np.full(layers, experts)
    if "limits" in features:
        if draw(st.booleans()):
            fields["min_slots"] = draw(_by_layer(fields, st.integers(0, experts)))
            fewest = np.broadcast_to(fields["min_slots"], (layers,))
        more = draw(st.lists(st.integers(0, experts), min_size=layers, max_size=layers))
        most = np.minimum(fewest + more, experts)
        fields["max_slots"] = most if draw(st.booleans()) else int(most.max())
    slots = np.array([draw(st.integers(int(a), int(b))) for a, b in zip(fewest, most, strict=True)])
    size = np.broadcast_to(fields.get("expert_bytes", 1), (layers,))
    each = size + fields.get("activation_bytes", 0)
    always = fields.get("fixed_bytes", 0) + int((size * fields.get("staging_slots", 0)).sum())
    spare = draw(st.integers(0, int(each.max()) * 2))
    fields["budget_bytes"] = max(1, always + int((each * slots).sum()) + spare)
    if "latency" in features:
        fields["base_s"] = draw(st.sampled_from([0.0, 0.25]))
        fields["slot_s"] = draw(_by_layer(fields, st.sampled_from([0.0, 0.5, 1.0])))
        if draw(st.booleans()):
            took = fields["base_s"] + float((fields["slot_s"] * slots).sum())
            fields["latency_s"] = took + draw(st.sampled_from([0.0, 0.5, 1.0]))
    if "link" in features:
        draw(_with_link(fields, slots, size))


@st.composite
def _with_link(draw: st.DrawFn, fields: Fields, slots: IntArray, size: IntArray) -> None:
    """State a link: any, for nothing need be loaded, but one that carries a table's swaps."""
    fields["window_s"] = draw(st.sampled_from([0.5, 1.0, 2.0]))
    rate = draw(st.sampled_from([1.0, 0.5, 2.0, 4.0]))
    if "swaps" in fields:
        swaps = fields["swaps"]
        of_last = swaps if swaps.ndim == 2 else swaps[-1]
        needed = float((size * of_last[np.arange(slots.size), slots]).sum())
        period = int(fields["periods"][-1]) if "periods" in fields else 1
        rate = max(rate / 4.0, needed / (fields["window_s"] * period))
    fields["link_bytes_per_s"] = rate
